"""Arrivals from counters that Prometheus reads now and then.

A counter tells how many invocations there were, not when: they are spread evenly over the time between two readings.
Nothing is estimated otherwise. `increase()` of Prometheus extrapolates to the ends of its window, and misses the first
value of a new series; here every reading since the cursor is fetched as it is, and the differences are added up:

* a counter that is lower than before has begun again at 0: what it shows has come since;
* a series that was not there before has begun at 0 too;
* a reading that is missing makes the next difference larger, and its time less certain.

What a counter gained between its last reading and its end nobody can know.
"""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec

from smiless_core.adapters.protocol import Arrived
from smiless_core.adapters.web import Site
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import number, whole_number

__all__ = [
    "KNATIVE_BEFORE_1_19",
    "KNATIVE_SINCE_1_19",
    "OPENFAAS",
    "CountedArrivals",
    "MetricNames",
    "Prometheus",
    "Readings",
    "Series",
]

_LARGEST_ANSWER = 16 * 2**20  # an hour of raw readings, every 5 s, of some 500 series
_LOOKBACK = 300.0  # seconds, as Prometheus itself looks back for the last reading
_MARGIN = 60.0  # seconds for which a reading may be late
_FORGOTTEN = 7 * 86400.0  # seconds after which a series that is gone is not waited for


# --- names -----------------------------------------------------------------------------------------------------------


class MetricNames(Noun, frozen=True, kw_only=True):
    """What the counters of a platform are called, in one range of its versions.

    Parameters
    ----------
    started : tuple of str, default ()
        Names of the counter of requests that have begun; a request is seen when it comes. Empty if there is none.
    finished : tuple of str
        Names of the counter of requests that have been answered.
    function : str
        The label that holds the function.
    namespace : str, default ""
        The label that holds the namespace; where there is none, it follows the function behind a dot, or is left out.
    fixed : mapping of str to str, optional
        Other labels and their values: where several components count the same request, one of them.
    """

    started: tuple[str, ...] = ()
    finished: tuple[str, ...]
    function: str
    namespace: str = ""
    fixed: tuple[tuple[str, str], ...] = ()

    def counter(self, function: str, namespace: str, *, finished: bool = False) -> str:
        """Return the selector of all series that count the requests of one function.

        Parameters
        ----------
        function, namespace : str
            Which one.
        finished : bool, default False
            Whether to count answers even where requests are counted.

        Returns
        -------
        str
            A selector of PromQL.
        """
        names = self.finished if finished or not self.started else self.started
        labels = [("__name__", "=~", "|".join(names)) if len(names) > 1 else ("__name__", "=", names[0])]
        if self.namespace:
            labels += [(self.function, "=", function), (self.namespace, "=", namespace)]
        else:
            labels.append((self.function, "=~", rf"{re.escape(function)}([.]{re.escape(namespace)})?"))
        labels += [(label, "=", value) for label, value in self.fixed]
        return "{" + ",".join(f"{label}{sign}{_quoted(value)}" for label, sign, value in labels) + "}"

    def in_flight(self, function: str, namespace: str) -> str | None:
        """Return an expression for the requests that have begun and not been answered; None if nothing counts them."""
        if not self.started:
            return None
        started = self.counter(function, namespace)
        return f"sum({started}) - (sum({self.counter(function, namespace, finished=True)}) or vector(0))"


OPENFAAS = MetricNames(
    # Under OpenMetrics, counters end in _total.
    started=("gateway_function_invocation_started", "gateway_function_invocation_started_total"),
    finished=("gateway_function_invocation_total",),
    function="function_name",
)
"""The gateway of OpenFaaS: ``gateway/metrics/metrics.go`` of openfaas/faas. Its older versions leave out the namespace
where the address of a request does."""

KNATIVE_BEFORE_1_19 = MetricNames(
    finished=("revision_request_count",), function="service_name", namespace="namespace_name"
)
"""Knative Serving before 1.19: "Service metrics", queue-proxy, of its documentation of version 1.10."""

KNATIVE_SINCE_1_19 = MetricNames(
    finished=("http_server_request_duration_seconds_count",),
    function="kn_service_name",
    namespace="k8s_namespace_name",
    # The activator has a histogram of the same name: a request through both must not count twice.
    fixed=(("container_name", "queue-proxy"),),
)
"""Knative Serving since 1.19, when OpenTelemetry replaced OpenCensus: "Serving metrics", workload metrics, of its
documentation of version 1.20."""


# --- the client ------------------------------------------------------------------------------------------------------


class Series(NamedTuple):
    """Readings of one series.

    Attributes
    ----------
    labels : mapping of str to str
    readings : tuple of (float, float)
        When, seconds since 1970, and what; ascending, and finite.
    """

    labels: Mapping[str, str]
    readings: tuple[tuple[float, float], ...]


class _Result(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: Literal["vector", "matrix"]
    result: list[_Result]


class _Success(msgspec.Struct, frozen=True):
    status: Literal["success"]
    data: _Data


class _Failure(msgspec.Struct, frozen=True):
    status: Literal["error"]
    error: str = ""


class Prometheus:
    """A server with the HTTP API of Prometheus, asked by instant queries.

    Parameters
    ----------
    url : str
        Its address, such as ``http://prometheus.openfaas:9090``.
    now : callable
        What time it is, seconds since 1970.
    **site
        As `smiless_core.adapters.web.Site` takes it: user, password_file, password_variable, ca_file, verify, timeout.

    Raises
    ------
    InvalidInputError
        If a value makes no sense.
    MissingExtraError
        If aiohttp is not installed.
    """

    def __init__(self, url: str, *, now: Callable[[], float], **site: Any) -> None:
        self._site = Site(url, platform="prometheus", now=now, largest=_LARGEST_ANSWER, **site)

    async def query(self, expression: str, *, at: float, doing: str = "query") -> tuple[Series, ...]:
        """Evaluate an expression at one instant.

        Parameters
        ----------
        expression : str
            In PromQL; its result is an instant vector, or readings as they are (``metric[5m]``).
        at : float
            When, seconds since 1970.
        doing : str
            What for: it goes into errors.

        Returns
        -------
        tuple of Series
            An instant vector has one reading in each. Readings that are no finite numbers are left out.

        Raises
        ------
        PlatformError
            If it fails, or answers what makes no sense.
        """
        answer = await self._site.call(
            "GET",
            "/api/v1/query",
            doing=doing,
            query={"query": expression, "time": f"{at:.3f}"},
            # 400, 422 and 503 come with a reason, as JSON.
            accepted=(400, 422),
        )
        if answer.status != 200:
            failure = self._site.decoded(answer, _Failure, doing)
            raise self._site.error(f"it refuses the query: {self._site.shown(failure.error)}", doing, retryable=False)
        found = self._site.decoded(answer, _Success, doing).data
        series = []
        for each in found.result:
            readings = []
            for when, value in each.values if found.result_type == "matrix" else filter(None, [each.value]):
                try:
                    readings.append((when, float(value)))
                except ValueError:
                    shown = self._site.shown(value)
                    raise self._site.error(f"it answers what makes no sense: {shown!r} is no number", doing) from None
            finite = [each for each in readings if math.isfinite(each[0]) and math.isfinite(each[1])]
            series.append(Series(each.metric, tuple(sorted(finite))))
        return tuple(series)

    async def readings(self, selector: str, *, window: float, at: float, doing: str) -> tuple[Series, ...]:
        """See `Readings`."""
        # Windows are whole milliseconds.
        return await self.query(f"{selector}[{math.ceil(window * 1000.0)}ms]", at=at, doing=doing)

    async def close(self) -> None:
        """Let go of connections."""
        await self._site.close()


# --- arrivals --------------------------------------------------------------------------------------------------------


class Readings(Protocol):
    """Where readings of counters come from."""

    async def readings(self, selector: str, *, window: float, at: float, doing: str) -> tuple[Series, ...]:
        """Return the readings of all series of a selector in the last `window` seconds before `at`."""
        ...


class _Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far arrivals have been told.

    `at` is the time up to which they have, `seen` that of the latest reading, `counts` holds the last reading of each
    series: what it was, and when. `owed` are requests of our own that no reading has shown yet.
    """

    at: float
    seen: float
    counts: dict[str, tuple[float, float]] = {}
    owed: Annotated[int, msgspec.Meta(ge=0)] = 0


class CountedArrivals:
    """Arrivals out of counters, in steps that can be repeated.

    A cursor holds the last reading of each series, so that it stays valid when this process or Prometheus begins anew:
    with the same cursor, and nothing new since, the same is told again.

    Parameters
    ----------
    source : Readings
        Where readings come from, such as a `Prometheus`.
    now : callable
        What time it is, seconds since 1970.
    reach : float, default 3600
        Seconds that readings are asked for at most. After a longer break, what the counters gained has come at
        times that nobody knows: it is told as lost, not as arrivals.
    most : int, default 1,000,000
        The most arrivals that are told at once with their times; the others are told as lost.
    """

    def __init__(
        self, source: Readings, *, now: Callable[[], float], reach: float = 3600.0, most: int = 1_000_000
    ) -> None:
        self._source = source
        self._now = now
        self._reach = number(reach, "reach", above=0.0)
        self._most = whole_number(most, "most", at_least=1)

    async def since(self, selector: str, cursor: str, *, own: Iterable[float] = (), doing: str = "arrivals") -> Arrived:
        """Return what came after a cursor.

        Parameters
        ----------
        selector : str
            Which series to add up.
        cursor : str
            That of the last answer; empty to begin now.
        own : iterable of float, optional
            When requests were sent that are counted and are no arrivals.
        doing : str
            What for: it goes into errors.

        Returns
        -------
        Arrived
            Ascending; none comes before those told already.

        Raises
        ------
        InvalidInputError
            If the cursor is none of these.
        PlatformError
            If Prometheus fails.
        """
        now = self._now()
        known = _decoded(cursor) if cursor else None
        window = _LOOKBACK if known is None else min(max(now - known.seen, 0.0) + _MARGIN, self._reach)
        found = await self._source.readings(selector, window=window, at=now, doing=doing)
        readings = {_key(each.labels): each.readings for each in found if each.readings}
        if known is None:
            counts = {key: (each[-1][1], each[-1][0]) for key, each in readings.items()}
            seen = max((when for _, when in counts.values()), default=now - _LOOKBACK)
            return Arrived((), _encoded(_Cursor(max(seen, now), seen, counts)))
        return self._advanced(known, readings, now, sorted(own))

    def _advanced(
        self,
        known: _Cursor,
        readings: Mapping[str, Sequence[tuple[float, float]]],
        now: float,
        own: list[float],
    ) -> Arrived:
        counts = dict(known.counts)
        told: list[float] = []
        lost = 0
        for key, series in sorted(readings.items()):
            before, when = counts.get(key, (0.0, -math.inf))
            for time, value in series:
                if time <= when:
                    continue
                gained = round(value - before if value >= before else value)
                begin = max(when, known.at)
                if time - begin > self._reach:
                    lost += max(gained, 0)
                elif gained > 0:
                    kept = min(gained, self._most - len(told))
                    lost += gained - kept
                    told += _spread(begin, time, kept)
                before, when = value, time
            counts[key] = (before, when)
        told.sort()
        seen = max([known.seen, *(when for _, when in counts.values())])
        owed = known.owed
        if seen > known.seen:
            # What we sent ourselves and has been read by now. Clocks differ a little: what no reading shows yet is
            # waited for once more, and then given up, so that it never hides what others send.
            mine = own[bisect_right(own, known.seen) : bisect_right(own, seen)]
            _without(told, [known.seen] * known.owed)
            owed = _without(told, mine)
        gone = [key for key, (_, when) in counts.items() if now - when > _FORGOTTEN]
        for key in gone:
            del counts[key]
        # Without any reading there is nothing that could still be told for the time before now.
        at = max(known.at, seen) if counts else max(known.at, now)
        return Arrived(tuple(told), _encoded(_Cursor(at, seen, counts, owed)), lost)


def _spread(begin: float, end: float, count: int) -> list[float]:
    """Return so many times, evenly within an interval; all at its beginning if it has no length."""
    step = max(end - begin, 0.0) / max(count, 1)
    return [begin + step * (each + 0.5) for each in range(count)]


def _without(times: list[float], others: Iterable[float]) -> int:
    """Take the nearest time out for each of the others; return for how many there was none left."""
    missing = 0
    for each in others:
        if not times:
            missing += 1
            continue
        at = bisect_left(times, each)
        if at == len(times) or (at > 0 and each - times[at - 1] <= times[at] - each):
            at -= 1
        del times[at]
    return missing


def _key(labels: Mapping[str, str]) -> str:
    """Return a short name of a series: cursors are kept, and labels are long."""
    written = msgspec.json.encode(sorted(labels.items()))
    return hashlib.blake2s(written, digest_size=8).hexdigest()


def _encoded(cursor: _Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


def _decoded(cursor: str) -> _Cursor:
    try:
        return msgspec.json.decode(cursor, type=_Cursor)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidInputError("expected the cursor of an earlier answer", place="since") from None


def _quoted(value: str) -> str:
    """Write a string of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
