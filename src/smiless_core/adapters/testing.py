"""A platform in memory, time that does not pass by itself, and the checks that every adapter has to pass.

To test an adapter of your own, write a `Harness` for it and run `CONTRACT`::

    @pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
    def test_contract(check):
        async def run():
            async with my_harness() as harness:
                await check(harness)

        asyncio.run(run())
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from smiless_core.adapters.protocol import ArrivalsSource, Arrived, Capabilities, Observed, Outcome, Platform, Warmth
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Configuration

__all__ = ["CONTRACT", "Harness", "InMemoryPlatform", "virtual_now", "virtual_run"]

T = TypeVar("T")

_POLL = 0.05  # seconds


# --- time ------------------------------------------------------------------------------------------------------------


class _Jump(selectors.SelectSelector):
    """Where the loop would wait, its time jumps instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if found := super().select(0):
            return found
        if timeout is None:
            raise RuntimeError("everything waits, and for nothing that time would bring")
        self.now += max(timeout, 0.0)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, start: float) -> None:
        self._jump = _Jump()
        self._jump.now = start
        super().__init__(self._jump)
        # What is due within this is due now; that of the system's clock is less than doubles tell of the year.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jump.now


def virtual_run(main: Coroutine[Any, Any, T], *, start: float = 0.0) -> T:
    """Run a coroutine in time that passes only while everything waits: hours take milliseconds.

    Parameters
    ----------
    main : coroutine
        What to run. It may sleep, wait and time out; sockets and threads do not go with it.
    start : float, default 0
        What time it is to begin with, seconds.

    Returns
    -------
    T
        What it returns.
    """
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(start)) as runner:
        return runner.run(main)


def virtual_now() -> float:
    """Return what time it is in `virtual_run`, seconds."""
    return asyncio.get_running_loop().time()


# --- a platform in memory --------------------------------------------------------------------------------------------


class _Instance:
    __slots__ = ("configuration", "ready_at", "serving")

    def __init__(self, configuration: Configuration, ready_at: float) -> None:
        self.configuration = configuration
        self.ready_at = ready_at
        self.serving = 0


class _Deployed:
    def __init__(self) -> None:
        self.configuration: Configuration | None = None
        self.wanted = 0
        self.instances: list[_Instance] = []
        self.arrivals: list[float] = []


class InMemoryPlatform:
    """A platform without anything behind it.

    Parameters
    ----------
    functions : iterable of str
        Their names.
    now : callable, default `virtual_now`
        What time it is, seconds.
    capabilities : Capabilities, optional
        What it can do; by default everything, with arrivals announced.
    cold_start : float or mapping of str to float, default 1
        Seconds until an instance is ready.
    fault : callable, optional
        Called before each call with its name and the function; what it returns is raised. It may also wait.
    lies : callable, optional
        Called with what would be observed; returns what is said instead.

    Attributes
    ----------
    sent : list of (float, str, str, int)
        What has changed something: when, "start" or "stop", of which function, and how many instances.
    """

    def __init__(
        self,
        functions: Iterable[str],
        *,
        now: Callable[[], float] = virtual_now,
        capabilities: Capabilities | None = None,
        cold_start: float | Mapping[str, float] = 1.0,
        fault: Callable[[str, str], Awaitable[PlatformError | None]] | None = None,
        lies: Callable[[str, Observed], Observed] | None = None,
    ) -> None:
        self._deployed = {name: _Deployed() for name in functions}
        self._now = now
        self._capabilities = capabilities or Capabilities(
            gpu=True, fractional_gpu=True, arrivals_source=ArrivalsSource.ANNOUNCED
        )
        self._cold_start = cold_start if isinstance(cold_start, Mapping) else dict.fromkeys(self._deployed, cold_start)
        self._fault = fault
        self._lies = lies
        self.sent: list[tuple[float, str, str, int]] = []

    @property
    def name(self) -> str:
        """What messages call it."""
        return "memory"

    async def capabilities(self) -> Capabilities:
        """See `Platform.capabilities`."""
        await self._call("capabilities", "")
        return self._capabilities

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """See `Platform.apply`."""
        deployed = await self._call("apply", function)
        if deployed.configuration == configuration:
            return await self.warm(function, replicas=replicas, by=by)
        deployed.configuration = configuration
        deployed.wanted = self._within(replicas)
        self._start(function, deployed, deployed.wanted)
        warmth = await self._ready(function, deployed, replicas, by)
        if deployed.configuration == configuration:
            self._stop(
                function,
                deployed,
                [each for each in deployed.instances if each.configuration != configuration and not each.serving],
            )
        return warmth

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """See `Platform.warm`."""
        deployed = await self._call("warm", function)
        if deployed.configuration is None:
            raise PlatformError("nothing is deployed", self.name, f"warm {function}", retryable=False)
        deployed.wanted = self._within(max(replicas, deployed.wanted))
        self._start(function, deployed, deployed.wanted - len(self._current(deployed)))
        return await self._ready(function, deployed, replicas, by)

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """See `Platform.retire`."""
        deployed = await self._call("retire", function)
        left = self._within(replicas)
        current = self._current(deployed)
        deployed.wanted = min(deployed.wanted, max(left, sum(each.serving > 0 for each in current)))
        free = [each for each in current if not each.serving]
        self._stop(function, deployed, free[: max(len(current) - left, 0)])
        ready = self._count_ready(deployed)
        clamped = left > replicas
        return Warmth(Outcome.CLAMPED if clamped else Outcome.READY, ready, f"it keeps {left}" if clamped else "")

    async def observe(self, function: str) -> Observed:
        """See `Platform.observe`."""
        deployed = await self._call("observe", function)
        seen = Observed(
            deployed.configuration,
            deployed.wanted,
            self._count_ready(deployed),
            sum(each.serving for each in deployed.instances),
        )
        return self._lies(function, seen) if self._lies else seen

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """See `Platform.arrivals`."""
        deployed = await self._call("arrivals", function)
        begin = int(since) if since else len(deployed.arrivals)
        return Arrived(tuple(deployed.arrivals[begin:]), str(len(deployed.arrivals)))

    async def close(self) -> None:
        """See `Platform.close`."""

    # --- the other side -----------------------------------------------------------------------------------------

    async def invoke(self, function: str, takes: float) -> None:
        """Send a request and wait for the answer: `takes` seconds from when an instance takes it.

        Without an instance, one is started for it; the request is cancelled when the caller is.
        """
        deployed = self._find(function)
        deployed.arrivals.append(self._now())
        if deployed.configuration is None:
            raise PlatformError("nothing is deployed", self.name, f"invoke {function}", retryable=False)
        if not deployed.instances:
            self._start(function, deployed, 1)
        while not (free := [each for each in deployed.instances if each.ready_at <= self._now() and not each.serving]):
            if len(deployed.instances) <= sum(each.serving for each in deployed.instances):
                self._start(function, deployed, 1)
            await asyncio.sleep(_POLL)
        free[-1].serving += 1
        try:
            await asyncio.sleep(takes)
        finally:
            free[-1].serving -= 1
            if free[-1] not in deployed.instances:
                raise AssertionError(f"{function}: an instance was let go while it served")

    # --- inside -------------------------------------------------------------------------------------------------

    async def _call(self, operation: str, function: str) -> _Deployed:
        found = self._find(function) if function else _Deployed()
        if self._fault and (error := await self._fault(operation, function)):
            raise error
        return found

    def _find(self, function: str) -> _Deployed:
        if function not in self._deployed:
            raise InvalidInputError.unknown("function", function, self._deployed)
        return self._deployed[function]

    def _within(self, replicas: int) -> int:
        most = self._capabilities.max_replicas
        wanted = max(replicas, self._capabilities.min_replicas, 0 if self._capabilities.scale_to_zero else 1)
        return wanted if most is None else min(wanted, most)

    def _current(self, deployed: _Deployed) -> list[_Instance]:
        return [each for each in deployed.instances if each.configuration == deployed.configuration]

    def _count_ready(self, deployed: _Deployed) -> int:
        return sum(each.ready_at <= self._now() for each in self._current(deployed))

    def _start(self, function: str, deployed: _Deployed, count: int) -> None:
        if count > 0 and deployed.configuration is not None:
            self.sent.append((self._now(), "start", function, count))
            ready_at = self._now() + self._cold_start[function]
            deployed.instances += [_Instance(deployed.configuration, ready_at) for _ in range(count)]

    def _stop(self, function: str, deployed: _Deployed, instances: list[_Instance]) -> None:
        if instances:
            self.sent.append((self._now(), "stop", function, len(instances)))
            deployed.instances = [each for each in deployed.instances if each not in instances]

    async def _ready(self, function: str, deployed: _Deployed, replicas: int, by: float) -> Warmth:
        if deployed.wanted < replicas:
            return Warmth(Outcome.CLAMPED, self._count_ready(deployed), f"it keeps {deployed.wanted}")
        while (ready := self._count_ready(deployed)) < replicas:
            if self._now() >= by:
                return Warmth(Outcome.LATE, ready)
            await asyncio.sleep(min(_POLL, max(by - self._now(), 1e-6)))
        return Warmth(Outcome.READY, ready)


# --- the contract ----------------------------------------------------------------------------------------------------


class Harness(Protocol):
    """A platform to be checked, freshly made, with the other side of it.

    Attributes
    ----------
    platform : Platform
    functions : tuple of str
        At least two that it serves.
    configurations : tuple of Configuration
        Two that differ, and on which all functions can run.
    patience : float
        Seconds within which instances are ready.
    """

    platform: Platform
    functions: tuple[str, ...]
    configurations: tuple[Configuration, Configuration]
    patience: float

    def now(self) -> float:
        """Return what time it is to the platform, seconds."""
        ...

    async def invoke(self, function: str) -> None:
        """Send a request that takes some moments, and wait for the answer."""
        ...

    def changes(self) -> int:
        """Return how often something was asked to change so far."""
        ...


async def _deploy(harness: Harness, replicas: int = 0) -> Warmth:
    return await harness.platform.apply(
        harness.functions[0],
        harness.configurations[0],
        replicas=replicas,
        by=harness.now() + harness.patience,
    )


async def _warm(harness: Harness, replicas: int, *, within: float | None = None) -> Warmth:
    by = harness.now() + (harness.patience if within is None else within)
    return await harness.platform.warm(harness.functions[0], replicas=replicas, by=by)


async def _until(harness: Harness, done: Callable[[Observed], bool]) -> Observed:
    end = harness.now() + harness.patience
    while not done(seen := await harness.platform.observe(harness.functions[0])):
        assert harness.now() < end, f"still {seen} after {harness.patience:g} s"
        await asyncio.sleep(_POLL)
    return seen


async def nothing_is_there_at_first(harness: Harness) -> None:
    """Look before anything is deployed."""
    seen = await harness.platform.observe(harness.functions[0])
    assert seen.configuration is None
    assert seen.ready == 0


async def what_is_applied_is_seen(harness: Harness) -> None:
    """Read back the configuration as it was given, and nothing of it for other functions."""
    await _deploy(harness)
    assert (await harness.platform.observe(harness.functions[0])).configuration == harness.configurations[0]
    assert (await harness.platform.observe(harness.functions[1])).configuration is None


async def what_is_applied_twice_changes_nothing(harness: Harness) -> None:
    """Ask for what is there: a controller that has forgotten what it did does no harm."""
    await _deploy(harness, 1)
    before = harness.changes()
    await _deploy(harness, 1)
    assert harness.changes() == before


async def warm_instances_are_ready(harness: Harness) -> None:
    """See ready what is said to be."""
    await _deploy(harness)
    warmth = await _warm(harness, 2)
    assert warmth.outcome is Outcome.READY, warmth
    assert warmth.ready >= 2
    assert (await harness.platform.observe(harness.functions[0])).ready >= 2


async def warming_twice_changes_nothing(harness: Harness) -> None:
    """Ask for as many again, and for fewer: that is what `retire` is for."""
    await _deploy(harness)
    await _warm(harness, 2)
    before = harness.changes()
    await _warm(harness, 2)
    await _warm(harness, 1)
    assert harness.changes() == before
    assert (await harness.platform.observe(harness.functions[0])).ready >= 2


async def more_than_it_has_is_clamped(harness: Harness) -> None:
    """Ask for more than there may be: a platform with a limit says what it keeps to."""
    most = (await harness.platform.capabilities()).max_replicas
    if most is None:
        return
    await _deploy(harness)
    warmth = await _warm(harness, most + 1)
    assert warmth.outcome is Outcome.CLAMPED, warmth
    assert warmth.ready <= most


async def too_late_is_said(harness: Harness) -> None:
    """Give no time to wait: instances are begun all the same."""
    await _deploy(harness)
    least = (await harness.platform.observe(harness.functions[0])).ready
    begun = harness.now()
    warmth = await _warm(harness, least + 1, within=0.0)
    assert harness.now() - begun < harness.patience
    assert warmth.outcome in (Outcome.LATE, Outcome.READY)
    await _until(harness, lambda seen: seen.ready > least)


async def instances_are_let_go(harness: Harness) -> None:
    """Let all go, or all but those that the platform keeps; it says so."""
    able = await harness.platform.capabilities()
    await _deploy(harness)
    await _warm(harness, 2)
    warmth = await harness.platform.retire(harness.functions[0], replicas=0)
    least = max(able.min_replicas, 0 if able.scale_to_zero else 1)
    assert (warmth.outcome is Outcome.READY) == (least == 0), warmth
    await _until(harness, lambda seen: seen.ready == least)
    before = harness.changes()
    await harness.platform.retire(harness.functions[0], replicas=2)
    assert harness.changes() == before, "more may be left than there are: nothing to do"


async def what_serves_is_not_let_go(harness: Harness) -> None:
    """Answer a request that is under way."""
    await _deploy(harness)
    await _warm(harness, 1)
    request = asyncio.ensure_future(harness.invoke(harness.functions[0]))
    try:
        await asyncio.sleep(2 * _POLL)
        assert not request.done(), "the request of this harness is too short to look at"
        await harness.platform.retire(harness.functions[0], replicas=0)
        await request
    finally:
        request.cancel()


async def another_configuration_takes_over(harness: Harness) -> None:
    """Change what instances run on; then only the new ones are seen."""
    await _deploy(harness, 1)
    warmth = await harness.platform.apply(
        harness.functions[0], harness.configurations[1], replicas=1, by=harness.now() + harness.patience
    )
    assert warmth.outcome is Outcome.READY, warmth
    seen = await harness.platform.observe(harness.functions[0])
    assert seen.configuration == harness.configurations[1]
    await harness.invoke(harness.functions[0])


async def unknown_functions_are_named(harness: Harness) -> None:
    """Ask for a function that is not there: the error says which one."""
    for call in (
        harness.platform.observe("no-such-function"),
        harness.platform.warm("no-such-function", replicas=1, by=harness.now()),
        harness.platform.retire("no-such-function", replicas=0),
        harness.platform.arrivals("no-such-function", since=""),
    ):
        (error,) = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(error, InvalidInputError)
        assert "no-such-function" in str(error)


async def arrivals_are_told_once(harness: Harness) -> None:
    """Tell each invocation in order, and again for the same cursor; what others are sent does not count."""
    platform, function = harness.platform, harness.functions[0]
    if (await platform.capabilities()).arrivals_source is ArrivalsSource.NONE:
        return
    for each in harness.functions[:2]:
        await platform.apply(each, harness.configurations[0], replicas=1, by=harness.now() + harness.patience)
    begin = await platform.arrivals(function, since="")
    assert not begin.times
    before = harness.now()
    for each in (function, function, harness.functions[1], function):
        await harness.invoke(each)
    told: list[float] = []
    cursor = begin.cursor
    end = harness.now() + harness.patience
    while len(told) < 3 and harness.now() < end:
        more = await platform.arrivals(function, since=cursor)
        told += more.times
        cursor = more.cursor
        await asyncio.sleep(_POLL)
    assert len(told) == 3, told
    assert told == sorted(told)
    # A counter is read now and then: what it tells may have come since the reading before.
    assert before - harness.patience <= told[0]
    assert told[-1] <= harness.now()
    again = await platform.arrivals(function, since=begin.cursor)
    assert len(again.times) + again.lost == 3
    assert (await platform.arrivals(function, since=cursor)).times == ()


async def closing_leaves_what_runs(harness: Harness) -> None:
    """Leave: the platform goes on by itself."""
    await _deploy(harness)
    await _warm(harness, 1)
    before = harness.changes()
    await harness.platform.close()
    assert harness.changes() == before


CONTRACT: tuple[Callable[[Harness], Awaitable[None]], ...] = (
    nothing_is_there_at_first,
    what_is_applied_is_seen,
    what_is_applied_twice_changes_nothing,
    warm_instances_are_ready,
    warming_twice_changes_nothing,
    more_than_it_has_is_clamped,
    too_late_is_said,
    instances_are_let_go,
    what_serves_is_not_let_go,
    another_configuration_takes_over,
    unknown_functions_are_named,
    arrivals_are_told_once,
    closing_leaves_what_runs,
)
"""What every adapter has to pass, each on a platform of its own."""
