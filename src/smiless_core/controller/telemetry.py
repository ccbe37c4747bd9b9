"""What a controller tells of itself: lines of JSON, metrics for Prometheus, and whether it is alive.

`Telemetry` takes the events of the loop. Each is one line of JSON, and changes the metrics; ``tick`` is no line, but
the sign of life that ``/healthz`` answers by, and carries what is there::

    telemetry("tick", wanted={"detect": 2}, ready={"detect": 1})
    telemetry("action", action="warm", function="detect", replicas=2, outcome="ready")

`StatusServer` serves ``/metrics`` and ``/healthz``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from numbers import Real
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from smiless_core.controller.guards import BreakerState, CircuitBreaker
from smiless_core.controller.lines import JsonLines
from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.placing import reason_of
from smiless_core.validation import number, shown

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Metrics", "Pulse", "StatusServer", "Telemetry"]

_EXTRA: Final = "control"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Labels come from closed sets, whatever an adapter says: each value is a time series for ever.
_CALLS: Final = frozenset({"apply", "arrivals", "capabilities", "lease", "observe", "retire", "state", "warm"})
_OUTCOMES: Final = frozenset({"clamped", "late", "ready", "unsupported"})


class Pulse:
    """Whether the loop still goes round.

    Parameters
    ----------
    patience : float, default 30
        Seconds without a beat after which it is taken to be stuck.
    now : callable, default `time.monotonic`
        What time it is, seconds; never set back.
    """

    def __init__(self, *, patience: float = 30.0, now: Callable[[], float] = time.monotonic) -> None:
        self._patience = number(patience, "patience", above=0.0)
        self._now = now
        self._beat_at = -math.inf

    def beat(self) -> None:
        """Say that it does."""
        self._beat_at = self._now()

    @property
    def age(self) -> float:
        """Seconds since the last beat; infinite before the first."""
        return self._now() - self._beat_at

    @property
    def is_fresh(self) -> bool:
        """Whether the last beat is not long ago."""
        return self.age <= self._patience


class Metrics:
    """What a controller has done and sees, for Prometheus, in a registry of its own.

    Parameters
    ----------
    breaker : CircuitBreaker, optional
        What is told as ``smiless_breaker_open``.
    now : callable, default `time.monotonic`
        What time it is, seconds; never set back.

    Raises
    ------
    MissingExtraError
        If prometheus-client is not installed.
    """

    def __init__(self, *, breaker: CircuitBreaker | None = None, now: Callable[[], float] = time.monotonic) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError:
            raise MissingExtraError(_EXTRA, "telling metrics") from None
        self._now = now
        self._decided_at = math.nan
        self.registry = own = CollectorRegistry()
        self._arrivals = Counter("smiless_arrivals", "Invocations that have come.", registry=own)
        self._lost = Counter("smiless_arrivals_lost", "Invocations whose time is not known.", registry=own)
        self._decisions = Counter("smiless_decisions", "Decisions of the policy.", registry=own)
        self._policy_errors = Counter("smiless_policy_errors", "Times that the policy failed.", registry=own)
        self._actions = Counter("smiless_actions", "What was sent.", ["action", "outcome"], registry=own)
        self._errors = Counter("smiless_platform_errors", "Calls that failed.", ["doing"], registry=own)
        self._seconds = Histogram("smiless_decision_seconds", "Time of a decision.", buckets=_BUCKETS, registry=own)
        self._leader = Gauge("smiless_leader", "Whether this controller may act.", registry=own)
        self._instances = {
            "wanted": Gauge("smiless_wanted_instances", "Instances there should be.", ["function"], registry=own),
            "ready": Gauge("smiless_ready_instances", "Instances that can serve.", ["function"], registry=own),
        }
        # These go on changing when the loop is stuck, so they are worked out when they are asked for.
        age = Gauge("smiless_plan_age_seconds", "Time since the last decision.", registry=own)
        age.set_function(lambda: self._now() - self._decided_at)
        if breaker is not None:
            is_open = Gauge("smiless_breaker_open", "Whether calls are kept from the platform.", registry=own)
            is_open.set_function(lambda: float(breaker.state is not BreakerState.CLOSED))

    def take(self, event: str, fields: Mapping[str, Any]) -> None:
        """Count an event.

        Parameters
        ----------
        event : str
            Which one, such as ``action``. Those that there is nothing to count of are left out.
        fields : mapping of str to Any
            What there is to say of it. What makes no sense counts as nothing.
        """
        if event == "tick":
            for name, gauge in self._instances.items():
                for function, count in (fields.get(name) or {}).items():
                    gauge.labels(str(function)).set(_amount(count))
        elif event == "arrivals":
            self._arrivals.inc(_amount(fields.get("count")))
            self._lost.inc(_amount(fields.get("lost")))
        elif event == "decision":
            self._decisions.inc()
            self._decided_at = self._now()
            self._seconds.observe(_amount(fields.get("seconds")))
        elif event == "policy_error":
            self._policy_errors.inc()
        elif event == "action":
            action, outcome = _label(fields.get("action"), _CALLS), _label(fields.get("outcome"), _OUTCOMES)
            self._actions.labels(action, outcome).inc()
        elif event == "platform_error":
            self._errors.labels(_label(fields.get("doing"), _CALLS)).inc()
        elif event in ("leader", "standby"):
            self._leader.set(event == "leader")

    def text(self) -> bytes:
        """Return all of them as Prometheus reads them."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class Telemetry:
    """Takes what the loop tells: ``telemetry(event, **fields)``.

    Parameters
    ----------
    stream : text stream, optional
        Where lines go.
    lines : JsonLines, optional
        How they are written, and without which secrets.
    metrics : Metrics, optional
        What is counted.
    pulse : Pulse, optional
        What beats at each ``tick``.
    now : callable, default `time.time`
        What time lines say it is, seconds since 1970.

    Attributes
    ----------
    unwritten : int
        Lines that could not be written: that must not stop a controller.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        lines: JsonLines | None = None,
        metrics: Metrics | None = None,
        pulse: Pulse | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._lines = lines or JsonLines()
        self._metrics = metrics
        self._pulse = pulse
        self._now = now
        self.unwritten = 0

    def __call__(self, event: str, /, **fields: object) -> None:
        """Take one event, such as ``action``, and what there is to say of it."""
        if self._metrics:
            self._metrics.take(event, fields)
        if event == "tick":
            if self._pulse:
                self._pulse.beat()
        elif self._stream:
            line = self._lines.line({**fields, "event": event, "time": round(self._now(), 6)})
            try:
                self._stream.write(f"{line}\n")  # in one piece, so that the lines of others do not get into it
                self._stream.flush()
            except (OSError, ValueError):  # no space, no reader, or closed
                self.unwritten += 1


class StatusServer:
    """Serves ``/metrics``, and ``/healthz``: 200 while the loop goes round, else 503. Used as an asynchronous context.

    Parameters
    ----------
    metrics : Metrics
        What ``/metrics`` tells.
    pulse : Pulse
        What ``/healthz`` tells.
    address : str
        Where to listen, as ``127.0.0.1:9090`` or ``[::1]:9090``; without a host, as ``:9090``, on all interfaces;
        port 0 is any that is free.

    Raises
    ------
    InvalidInputError
        If that is no address, or, on entry, it cannot be listened at.
    MissingExtraError
        On entry, if aiohttp is not installed.
    """

    def __init__(self, metrics: Metrics, pulse: Pulse, *, address: str) -> None:
        self._metrics = metrics
        self._pulse = pulse
        self._address = address
        self._host, self._port = _host_and_port(address)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it is, once it is entered."""
        if self._runner is None:
            raise RuntimeError("the server is not running")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        try:
            from aiohttp import web
        except ImportError:
            raise MissingExtraError(_EXTRA, "serving metrics") from None

        async def metrics(request: web.Request) -> web.Response:
            # The format that all versions of Prometheus read; aiohttp would take the character set apart.
            headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            return web.Response(body=self._metrics.text(), headers=headers)

        async def health(request: web.Request) -> web.Response:
            age, fresh = self._pulse.age, self._pulse.is_fresh
            body = {"age": age if math.isfinite(age) else None, "alive": fresh}
            return web.json_response(body, status=200 if fresh else 503)

        application = web.Application(client_max_size=1024)
        application.router.add_get("/metrics", metrics)
        application.router.add_get("/healthz", health)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, keepalive_timeout=15.0)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException as error:
            await runner.cleanup()
            if isinstance(error, OSError):
                raise InvalidInputError(
                    f"cannot listen at {self._address}: {reason_of(error)}", place="address"
                ) from None
            raise
        self._runner = runner
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


def _host_and_port(address: str) -> tuple[str | None, int]:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    if colon and port.isascii() and port.isdigit() and int(port) < 2**16 and bracketed == (":" in plain):
        return plain or None, int(port)
    raise InvalidInputError(f"expected host:port, got {shown(address)}", place="address")


def _amount(value: object) -> float:
    if isinstance(value, Real):
        with suppress(OverflowError):
            amount = float(value)
            if 0.0 <= amount < math.inf:
                return amount
    return 0.0


def _label(value: object, known: frozenset[str]) -> str:
    first = str(value).split(maxsplit=1)[:1]
    return first[0] if first and first[0] in known else "other"
