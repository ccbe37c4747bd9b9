"""The gateway as a platform.

What a controller has put there is written on the functions themselves, as annotations: nothing is kept elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import random as _random
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from smiless_core.adapters.openfaas.deployment import (
    CONFIGURATION,
    DEPLOYMENT,
    ECHO,
    NAMESPACE,
    Written,
    checked_name,
    deployment_of,
    unsupported,
)
from smiless_core.adapters.prometheus import OPENFAAS, CountedArrivals, Prometheus, Series
from smiless_core.adapters.protocol import ArrivalsSource, Arrived, Capabilities, Observed, Outcome, Warmth
from smiless_core.adapters.services import Service
from smiless_core.adapters.web import Answer, Site
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Configuration, Hardware
from smiless_core.validation import flag, number, text

__all__ = ["COMMUNITY", "WARMING_HEADER", "OpenFaaS"]

WARMING_HEADER = "X-Smiless-Warming"
"""The header of requests that only ask whether an instance can serve; a function may answer them without work."""

COMMUNITY = Capabilities(scale_to_zero=False, min_replicas=1, max_replicas=5, max_functions=15)
"""What the Community Edition is licensed for, as its provider and its gateway enforce it."""

T = TypeVar("T")

_POLL = 0.1  # seconds between looks at first; they grow apart
_LONGEST_POLL = 2.0  # what "available" comes in steps of, anyway
_SETTLING = 1.0  # seconds until what was asked for shows up in what is read: the provider reads from a cache
_UNREACHABLE = (429, 502, 503, 504)  # by the gateway or the provider, for an instance that does not listen
_REMEMBERED = 10_000  # requests of our own


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    """What the gateway says of a function: types.FunctionStatus of openfaas/faas-provider."""

    name: str
    image: str = ""
    replicas: Annotated[int, msgspec.Meta(ge=0)] = 0
    available_replicas: Annotated[int, msgspec.Meta(ge=0)] = 0
    invocation_count: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    annotations: dict[str, str] | None = None


class _Provider(msgspec.Struct, frozen=True):
    provider: str


class _Info(msgspec.Struct, frozen=True):
    provider: _Provider


class OpenFaaS:
    """The functions of one application behind a gateway.

    Parameters
    ----------
    gateway : str
        Its address, such as ``https://gateway.example``.
    services : mapping of str to Service
        What serves each function of the application: images that listen on port 8080.
    prefix : str, default ""
        Put in front of the functions' names.
    namespace : str, default "openfaas-fn"
        Where they are; the Community Edition has one.
    user : str, default "admin"
        The user of basic authentication.
    password_file : path-like, optional
        The file that holds the password.
    password_variable : str, optional
        The environment variable that holds it.
    ca_file : path-like, optional
        Certificates to trust instead of those of the system.
    verify : bool, default True
        Whether certificates are checked.
    prometheus : str or Prometheus, optional
        The Prometheus that reads the gateway's counters. Without it, invocations are those of the gateway's own list,
        and nobody knows which requests are under way.
    counted : {"started", "finished"}, default "started"
        Whether an invocation is seen when it comes or when it has been answered, for gateways that count only answers.
    edition : {"auto", "community", "pro"}, default "auto"
        The Community Edition if the provider's name ends in ``-ce``, by default.
    gpu_profile : str, default ""
        A Profile that gives a function one GPU (Pro). Without one, there are none.
    drains : bool, default False
        Whether instances that are told to stop first answer what they have begun, as of-watchdog can. Where they do
        not, nothing is let go while any request is under way: Kubernetes chooses which instance goes.
    quiet : float, default 60
        Without Prometheus: seconds for which the count of invocations must not have moved before anything is let go.
        Longer than any request takes.
    timeout : float, default 10
        Seconds within which a call has to be over.
    now : callable, default `time.time`
        What time it is, seconds since 1970.
    random : random.Random, optional
        Spreads the times between looks.

    Raises
    ------
    InvalidInputError
        If a value makes no sense here.
    MissingExtraError
        If aiohttp is not installed.
    """

    def __init__(
        self,
        gateway: str,
        services: Mapping[str, Service],
        *,
        prefix: str = "",
        namespace: str = NAMESPACE,
        user: str = "admin",
        password_file: str | os.PathLike[str] | None = None,
        password_variable: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        verify: bool = True,
        prometheus: str | Prometheus | None = None,
        counted: Literal["started", "finished"] = "started",
        edition: Literal["auto", "community", "pro"] = "auto",
        gpu_profile: str = "",
        drains: bool = False,
        quiet: float = 60.0,
        timeout: float = 10.0,
        now: Callable[[], float] = time.time,
        random: _random.Random | None = None,
    ) -> None:
        for word, known, place in (
            (counted, ("started", "finished"), "counted"),
            (edition, ("auto", "community", "pro"), "edition"),
        ):
            if word not in known:
                raise InvalidInputError.unknown("choice", word, known, place=place)
        self._services = dict(services)
        self._names = {function: checked_name(function, prefix, each) for function, each in services.items()}
        self._namespace = text(namespace, "namespace")
        self._site = Site(
            gateway,
            platform=self.name,
            now=now,
            user=user,
            password_file=password_file,
            password_variable=password_variable,
            ca_file=ca_file,
            verify=verify,
            timeout=timeout,
        )
        self._prometheus = (
            Prometheus(prometheus, now=now, timeout=timeout) if isinstance(prometheus, str) else prometheus
        )
        self._gateway = _Listed(self._site, self._namespace)
        self._arrivals = CountedArrivals(self._prometheus or self._gateway, now=now)
        self._counts_answers = counted == "finished"
        self._edition = edition
        self._gpu_profile = gpu_profile
        self._drains = flag(drains, "drains")
        self._quiet = number(quiet, "quiet", at_least=0.0)
        self._now = now
        self._random = random or _random.Random()
        self._able: Capabilities | None = None
        self._still: dict[str, tuple[float, float]] = {}  # a count, and since when it is that
        self._proved: dict[str, int] = {}  # instances that have answered
        self._deployed: dict[str, str] = {}  # the deployment that was seen last
        self._own: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    @property
    def name(self) -> str:
        """What messages call it."""
        return "openfaas"

    async def capabilities(self) -> Capabilities:
        """See `Platform.capabilities`."""
        doing = "capabilities"
        answer = await self._site.call("GET", "/system/info", doing=doing)
        provider = self._site.decoded(answer, _Info, doing).provider.provider
        community = provider.endswith("-ce") if self._edition == "auto" else self._edition == "community"
        able = COMMUNITY if community else Capabilities(gpu=bool(self._gpu_profile))
        if provider.startswith("faasd"):  # one host, and one instance of each function
            able = able.replace(max_replicas=1)
        self._able = able.replace(arrivals_source=ArrivalsSource.COUNTED)
        return self._able

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """See `Platform.apply`."""
        name, doing = self._find(function), f"apply {function}"
        if reason := unsupported(configuration, gpu=(await self._limits()).gpu):
            return Warmth(Outcome.UNSUPPORTED, 0, reason)
        wanted = deployment_of(
            name, self._services[function], configuration, namespace=self._namespace, gpu_profile=self._gpu_profile
        )
        there = await self._status(function, doing)
        rolls = False
        if there is None or not _same(there, wanted):
            answer = await self._site.call(
                "POST" if there is None else "PUT", "/system/functions", doing=doing, body=wanted, accepted=(400,)
            )
            if answer.status == 400:
                return Warmth(Outcome.UNSUPPORTED, there.available_replicas if there else 0, self._told(answer))
            self._proved.pop(function, None)
            rolls = there is not None
            there = await self._until(
                lambda: self._status(function, doing),
                lambda status: status is not None and _same(status, wanted),
                max(by, self._now() + _SETTLING),
            )
            if there is None or not _same(there, wanted):
                if rolls and answer.status == 200:  # a provider that has logged an error, and sent nothing
                    raise self._site.error("it answers 200 to an update, and has not made it", doing)
                return Warmth(Outcome.LATE, 0, "what was deployed does not show yet")
        warmth = await self._warm(function, replicas, by, doing)
        if rolls and not warmth.detail:
            return warmth._replace(detail="old instances answer too until the update is through")
        return warmth

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """See `Platform.warm`."""
        self._find(function)
        return await self._warm(function, replicas, by, f"warm {function}")

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """See `Platform.retire`.

        Which instance goes is up to Kubernetes. So none goes while one serves, unless instances drain: then as many
        stay as there are requests. `LATE` says that they may be let go later.
        """
        self._find(function)
        doing = f"retire {function}"
        least = (await self._limits()).min_replicas
        there = await self._status(function, doing)
        if there is None:
            return Warmth(Outcome.READY, 0)
        left = max(replicas, least)
        if there.replicas > left:
            serving = await self._serving(function, doing)
            if serving is None and (seconds := await self._moved_for(function, doing)) > 0.0:
                # Nobody knows; what is seen are answers, so the count has to rest for longer than any request.
                serving, why = 1, f"for {seconds:.3g} s more, requests may be under way"
            else:
                why = f"{serving} requests are under way"
            if serving and not self._drains:
                return Warmth(Outcome.LATE, there.available_replicas, why)
            left = max(left, serving or 0)
        if there.replicas > left:
            if refusal := await self._scale(function, left, doing):
                return Warmth(Outcome.CLAMPED, there.available_replicas, refusal)
            there = await self._until(
                lambda: self._status(function, doing),
                lambda status: status is None or status.replicas <= left,
                self._now() + _SETTLING,
            )
            if there is None:
                return Warmth(Outcome.READY, 0)
            self._proved[function] = min(self._proved.get(function, 0), there.replicas)
        ready = min(there.available_replicas, there.replicas)
        clamped = there.replicas > left or (there.replicas > replicas and least > replicas)
        return Warmth(Outcome.CLAMPED, ready, f"it keeps {there.replicas}") if clamped else Warmth(Outcome.READY, ready)

    async def observe(self, function: str) -> Observed:
        """See `Platform.observe`."""
        self._find(function)
        doing = f"observe {function}"
        there = await self._status(function, doing)
        if there is None:
            return Observed(None)
        return Observed(
            _configuration(there), there.replicas, there.available_replicas, await self._serving(function, doing)
        )

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """See `Platform.arrivals`.

        Requests that were sent to see whether instances can serve are taken out again.
        """
        name = self._find(function)
        selector = name
        if self._prometheus is not None:
            selector = OPENFAAS.counter(name, self._namespace, finished=self._counts_answers)
        return await self._arrivals.since(selector, since, own=self._own[function], doing=f"arrivals {function}")

    async def close(self) -> None:
        """See `Platform.close`."""
        await self._site.close()
        if self._prometheus is not None:
            await self._prometheus.close()

    # --- instances ----------------------------------------------------------------------------------------------

    async def _warm(self, function: str, replicas: int, by: float, doing: str) -> Warmth:
        most = (await self._limits()).max_replicas
        target = replicas if most is None else min(replicas, most)
        there = await self._status(function, doing)
        if there is None:
            raise self._site.error("nothing is deployed", doing, retryable=False)
        if there.replicas < target and (refusal := await self._scale(function, target, doing)):
            return Warmth(Outcome.CLAMPED, there.available_replicas, refusal)
        settled = self._now() + _SETTLING

        async def look() -> tuple[_Status, int]:
            status = await self._status(function, doing)
            if status is None:
                raise self._site.error("it is not there any more", doing, retryable=False)
            return status, await self._prove(function, min(status.available_replicas, target), by, doing)

        seen, ready = await self._until(
            look, lambda each: each[1] >= target or (each[0].replicas < target and self._now() >= settled), by
        )
        if seen.replicas < replicas and (target < replicas or self._now() >= settled):
            return Warmth(Outcome.CLAMPED, ready, f"it keeps {seen.replicas}")
        if ready < target:
            return Warmth(Outcome.LATE, ready)
        return Warmth(Outcome.READY, seen.available_replicas)

    async def _prove(self, function: str, count: int, by: float, doing: str) -> int:
        """Return how many instances can serve, of so many that are said to be there.

        "Available" means that a process listens. So each is sent a request with `WARMING_HEADER`; which of them gets it
        is up to the gateway, so that each is only likely to be asked.
        """
        proved = min(self._proved.get(function, 0), count)
        if proved < count and self._now() < by:
            answers = await asyncio.gather(*(self._answers(function, by, doing) for _ in range(count - proved)))
            if all(answers):
                proved = count
        self._proved[function] = proved
        return proved

    async def _answers(self, function: str, by: float, doing: str) -> bool:
        service, sent = self._services[function], self._now()
        path = f"/function/{self._names[function]}.{self._namespace}{service.ready or service.path}"
        try:
            answer = await self._site.call(
                "GET",
                path,
                doing=doing,
                headers={WARMING_HEADER: "1"},
                accepted=range(100, 600),
                authorize=False,  # it goes to the function, which has no business with the password
                timeout=by - sent,
            )
        except PlatformError:
            return False
        finally:
            self._own[function].append(self._now() if self._counts_answers else sent)
        told = answer.headers.get(ECHO)
        if told is not None and told != self._deployed.get(function):
            return False
        return answer.status == 200 if service.ready else answer.status not in _UNREACHABLE

    async def _scale(self, function: str, replicas: int, doing: str) -> str:
        """Ask for so many; return why not, where the platform does not do that at all."""
        name = self._names[function]
        answer = await self._site.call(
            "POST",
            f"/system/scale-function/{name}",
            doing=doing,
            query={"namespace": self._namespace},
            body={"serviceName": name, "namespace": self._namespace, "replicas": replicas},
            accepted=(400,),
        )
        return self._told(answer) or "it answers 400" if answer.status == 400 else ""

    async def _status(self, function: str, doing: str) -> _Status | None:
        name = self._names[function]
        answer = await self._site.call(
            "GET", f"/system/function/{name}", doing=doing, query={"namespace": self._namespace}, accepted=(404,)
        )
        if answer.status == 404:
            return None
        status = self._site.decoded(answer, _Status, doing)
        if status.name != name:
            raise self._site.error(f"it answers for {self._site.shown(status.name)!r}, not for {name!r}", doing)
        deployed = (status.annotations or {}).get(DEPLOYMENT, "")
        if self._deployed.get(function) != deployed:
            self._proved.pop(function, None)
            self._deployed[function] = deployed
        return status

    async def _until(self, look: Callable[[], Awaitable[T]], done: Callable[[T], bool], by: float) -> T:
        """Look until something holds or time is over, at first often; return what was seen last."""
        pause = _POLL
        while True:
            wait, failure = pause, None
            try:
                seen = await look()
                if done(seen):
                    return seen
            except PlatformError as error:
                if not error.retryable:
                    raise
                wait, failure = max(pause, error.retry_after or 0.0), error
            if (left := by - self._now()) <= 0.0 or (failure and wait > left):
                if failure:
                    raise failure
                return seen
            await asyncio.sleep(min(wait * self._random.uniform(0.8, 1.2), max(left, 1e-3)))
            pause = min(1.5 * pause, _LONGEST_POLL)

    # --- requests -----------------------------------------------------------------------------------------------

    async def _serving(self, function: str, doing: str) -> int | None:
        """Return the requests under way as Prometheus has read them last; None if it does not know."""
        expression = OPENFAAS.in_flight(self._names[function], self._namespace)
        if self._prometheus is None or expression is None:
            return None
        with suppress(PlatformError):
            for series in await self._prometheus.query(expression, at=self._now(), doing=doing):
                for _, value in series.readings:
                    return max(round(value), 0)
        return None

    async def _moved_for(self, function: str, doing: str) -> float:
        """Return for how many seconds more the count of answers has to rest."""
        count = await self._gateway.count(self._names[function], doing)
        before = self._still.get(function)
        if before is None or before[0] != count:
            before = self._still[function] = (count, self._now())
        return before[1] + self._quiet - self._now()

    # --- inside -------------------------------------------------------------------------------------------------

    async def _limits(self) -> Capabilities:
        return self._able or await self.capabilities()

    def _find(self, function: str) -> str:
        if function not in self._names:
            raise InvalidInputError.unknown("function", function, self._names)
        return self._names[function]

    def _told(self, answer: Answer) -> str:
        return self._site.shown(answer.body.decode("utf-8", "replace"))


class _Listed:
    """The counts in the gateway's own list of functions, which come from the Prometheus beside it."""

    def __init__(self, site: Site, namespace: str) -> None:
        self._site = site
        self._namespace = namespace

    async def count(self, name: str, doing: str) -> float:
        answer = await self._site.call("GET", "/system/functions", doing=doing, query={"namespace": self._namespace})
        listed = self._site.decoded(answer, list[_Status], doing)
        return sum(each.invocation_count for each in listed if each.name == name)

    async def readings(self, selector: str, *, window: float, at: float, doing: str) -> tuple[Series, ...]:
        """Return the one reading that there is; of 0 none, for so the gateway says that Prometheus does not answer."""
        count = await self.count(selector, doing)
        return (Series({"function": selector}, ((at, count),) if count else ()),)


def _same(status: _Status, wanted: Mapping[str, Any]) -> bool:
    written: str | None = wanted["annotations"][DEPLOYMENT]
    return (status.annotations or {}).get(DEPLOYMENT) == written and status.image == str(wanted["image"])


def _configuration(status: _Status) -> Configuration | None:
    """Read what a controller has written; None if it was somebody else, or is spoilt."""
    try:
        written = msgspec.json.decode((status.annotations or {}).get(CONFIGURATION, ""), type=Written)
        return Configuration(Hardware(written.hardware), written.size, written.batch)
    except (msgspec.DecodeError, ValueError):  # an InvalidInputError is a ValueError
        return None
