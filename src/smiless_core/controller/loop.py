"""The live loop: what a policy decides happens on a platform.

`Controller` is level-triggered. Each tick it reads what has arrived and what is there, asks the policy if that is due,
works out what should be there now (`wanted`), and sends the difference. Nothing is remembered but what is in the
store: a controller that is killed goes on with its history and its schedule.

It fails safe. Without the lease, with arrivals that it has not been able to read for a while, or with a policy that
fails, it sends nothing and leaves the platform to its own autoscaler; nor does it let anything go when it ends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Protocol

import numpy as np

from smiless_core.adapters import Observed, Outcome, Platform, Warmth
from smiless_core.controller.leases import Lease
from smiless_core.controller.state import Store
from smiless_core.controller.wanted import Entry, Wanted, planned_starts, planned_times
from smiless_core.errors import InvalidInputError, PlatformError, SmilessError
from smiless_core.model.configuration import Configuration
from smiless_core.model.directive import Directive
from smiless_core.model.problem import Problem
from smiless_core.policies import Decide, Decision, FunctionState, Observation, Policy, checked_decision
from smiless_core.validation import number

__all__ = ["Controller", "Journal"]

_SOON = 1e-3  # seconds: what is due within this is due
_GRACE = 5.0  # seconds that an instance may take longer than planned before it is said to be late
_SHORTEST_REST, _LONGEST_REST = 0.25, 30.0  # seconds between two tries of what does not come about
_MODELED = 1000  # arrivals before a restart that may still have instances there
_RENEWAL = 0.5  # seconds between two looks at the lease
_LEASE_TIMEOUT = 5.0  # seconds: one that cannot be renewed for so long counts as lost
_SESSION = "session"
_HOUR = 3600.0
_REMEMBERED = 7 * 86_400.0  # seconds for which the store knows what has been started


class Journal(Protocol):
    """Where what happens is told."""

    def __call__(self, event: str, /, **fields: object) -> None:
        """Take one event, such as ``action``, and what there is to say of it."""
        ...


class _Function:
    """What the controller knows of one function."""

    def __init__(self) -> None:
        self.wanted: Wanted | None = None
        self.seen = Observed(None)
        self.acting: asyncio.Task[None] | None = None
        self.begun: set[str] = set()  # entries that the store knows of
        self.tried: tuple[str, int] | None = None  # what has been sent last,
        self.tries = 0  # how often in a row,
        self.rests_until = -math.inf  # and when it may be sent again

    def may(self, step: tuple[str, int] | None, now: float) -> bool:
        """Whether something may be sent: nothing else is under way, and it has not just been tried in vain."""
        if step is None:
            self.tried, self.tries = None, 0
            return False
        return (self.acting is None or self.acting.done()) and (step != self.tried or now >= self.rests_until)

    def note(self, step: tuple[str, int], now: float) -> None:
        """Learn that something has been sent. What is asked for again had no effect, whatever the platform said."""
        self.tries = self.tries + 1 if step == self.tried else 1
        self.tried = step
        # Beyond 2**60 the longest has long been reached, and floats end.
        self.rests_until = now + min(_SHORTEST_REST * 2.0 ** min(self.tries, 60), _LONGEST_REST)


class _Steady:
    """The platform's clock, but never set back: what it was set back by is added from then on."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.ahead = 0.0  # seconds, of the platform's clock
        self._last = -math.inf

    def __call__(self) -> float:
        wall = self.wall()
        self.ahead = max(self.ahead, self._last - wall)
        self._last = max(self._last, wall + self.ahead)
        return self._last

    def begin(self, last: float) -> None:
        """Go on from a time that it has told before."""
        self._last = last


class Controller:
    """Runs one application on a platform, by a policy.

    Parameters
    ----------
    problem : Problem
        The application, its profiles and prices, and what the platform can do: see `Capabilities.narrowed`.
    policy : Policy
        What decides; the same that the simulator drives.
    platform : Platform
        Where the functions run.
    store : Store
        What outlives the controller.
    lease : Lease
        Whether it may act.
    now : callable
        What time it is, seconds since 1970.
    journal : Journal
        Where decisions and actions are told.
    entry : str, optional
        The function at which invocations arrive; the first source of the application by default.
    poll : float, default 0.5
        Seconds between two looks at the platform, at most.
    stale : float, default 30
        Seconds after which arrivals that could not be read are out of date, and it stops acting.
    seed : int, default 0
        For the policy.
    dry_run : bool, default False
        Whether it only tells what it would do.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    def __init__(
        self,
        problem: Problem,
        policy: Policy,
        platform: Platform,
        *,
        store: Store,
        lease: Lease,
        now: Callable[[], float],
        journal: Journal,
        entry: str | None = None,
        poll: float = 0.5,
        stale: float = 30.0,
        seed: int = 0,
        dry_run: bool = False,
    ) -> None:
        names = problem.application.names
        if entry is not None and entry not in names:
            raise InvalidInputError.unknown("function", entry, names, place="entry")
        self._problem = problem
        self._policy = policy
        self._platform = platform
        self._store = store
        self._lease = lease
        self._now = _Steady(now)
        self._tell = journal
        self._entry = entry if entry is not None else names[problem.application.sources[0]]
        self._poll = number(poll, "poll", above=0.0)
        self._stale = number(stale, "stale", above=0.0)
        self._seed = seed
        self._dry_run = dry_run
        self._functions = {name: _Function() for name in names}
        self._decide: Decide | None = None
        self._decision = Decision()
        self._began = 0.0  # when the policy's clock was 0
        self._arrivals = np.empty(0)
        self._modeled = 0  # arrivals that `wanted` knows of
        self._decided_after: int | None = None  # arrivals that the last decision knew of
        self._read_at = self._forgot_at = -math.inf
        self._leads = False
        self._leading = asyncio.Lock()
        self._held_at = -math.inf  # when the lease was asked for last, on the clock of the event loop
        self._awake = asyncio.Event()

    async def run(self, *, until: float = math.inf) -> None:
        """Control the application until a time, or until cancelled; what runs then goes on.

        Parameters
        ----------
        until : float, default infinity
            Seconds since 1970.
        """
        self._resume()
        await self._lead()
        leading = asyncio.create_task(self._keep_leading())
        try:
            while (now := self._now.wall()) < until:
                if leading.done():
                    leading.result()
                try:
                    pause = min(await self.tick(), until - now)
                except PlatformError as error:  # what cannot be remembered must not be done
                    self._tell("platform_error", doing="state", error=str(error))
                    await self._stop_acting()
                    pause = self._poll
                self._awake.clear()
                try:
                    async with asyncio.timeout(max(pause, _SOON)):
                        await self._awake.wait()
                except TimeoutError:
                    pass
        finally:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            await self._stop_acting()
            await self._lease.release()

    async def tick(self) -> float:
        """Look, decide and act once.

        Returns
        -------
        float
            Seconds after which to do so again, at the latest.
        """
        if not self._leads:
            self._tell("tick")
            return self._poll
        await self._read_arrivals()
        await self._look()
        now = self._now()
        self._model(now)
        self._tell(
            "tick",
            wanted={name: each.wanted.count(now) for name, each in self._functions.items() if each.wanted is not None},
            ready={name: each.seen.ready for name, each in self._functions.items()},
        )
        if now - self._read_at > self._stale:
            self._tell("stale", age=None if math.isinf(self._read_at) else now - self._read_at)
            await self._stop_acting()
            return self._poll
        if self._is_due(now) and not self._ask(now):
            return self._poll
        if asyncio.get_running_loop().time() - self._held_at > 2.0 * _RENEWAL:  # the policy took its time
            await self._lead()
        if self._leads:  # still: the platform may have been slow to answer
            self._act(now)
        return self._pause(now)

    # --- what is known --------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on where the store says, or begin."""
        session = self._store.meta(_SESSION)
        if session is None:
            self._began = self._now() // _HOUR * _HOUR  # forecasters know the time of the hour
            self._store.set_meta(_SESSION, repr(self._began))
        else:
            self._began = float(session)
        self._arrivals = np.asarray(self._store.history(), np.float64)
        self._modeled = max(len(self._arrivals) - _MODELED, 0)
        self._now.begin(max([self._began, *self._arrivals[-1:].tolist()]))
        self._decide, self._decided_after = None, None
        unfinished = [each.key for each in self._store.unfinished()]
        for key in unfinished:  # what is there now says what came of them
            self._store.finish(key, "unknown")
        self._tell("started", arrivals=len(self._arrivals), resumed=session is not None, unfinished=unfinished)

    async def _keep_leading(self) -> None:
        """Renew the lease however slow the platform is, and stop at once when it is lost."""
        while True:
            await asyncio.sleep(_RENEWAL)
            await self._lead()

    async def _lead(self) -> None:
        async with self._leading:
            asked_at = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(_LEASE_TIMEOUT):
                    holds = await self._lease.hold()
            except (PlatformError, TimeoutError) as error:
                self._tell("platform_error", doing="lease", error=str(error))
                holds = False
            self._held_at = asked_at
            if holds != self._leads:
                self._tell("leader" if holds else "standby")
                self._leads = holds
                if not holds:
                    await self._stop_acting()

    async def _read_arrivals(self) -> None:
        since = self._store.cursor(self._entry)
        try:
            arrived = await self._platform.arrivals(self._entry, since=since)
        except PlatformError as error:
            self._tell("platform_error", doing="arrivals", error=str(error))
            return
        # Clocks are set back: what came is not earlier than what came before it, and not later than now.
        now = self._now()
        last = self._arrivals[-1] if len(self._arrivals) else self._began
        times = np.maximum.accumulate(np.clip(np.array(arrived.times) + self._now.ahead, last, now))
        if arrived.cursor != since or len(times):
            self._store.ingest(self._entry, times.tolist(), arrived.cursor, arrived.lost)
        self._read_at = self._now()
        if len(times):
            self._arrivals = np.concatenate([self._arrivals, times])
        if len(times) or arrived.lost:
            last = float(self._arrivals[-1]) if len(self._arrivals) else None
            self._tell("arrivals", count=len(times), last=last, lost=arrived.lost)

    async def _look(self) -> None:
        async def look(name: str, function: _Function) -> None:
            try:
                function.seen = await self._platform.observe(name)
            except PlatformError as error:
                # What is not known is left alone.
                function.seen = Observed(None, -1)
                self._tell("platform_error", doing="observe", function=name, error=str(error))

        await asyncio.gather(*(look(name, function) for name, function in self._functions.items()))

    def _model(self, now: float) -> None:
        """Have what has arrived served, by what has been decided so far."""
        models = [each.wanted for each in self._functions.values() if each.wanted is not None]
        if not models:
            return
        for model in models:
            for arrival in self._arrivals[self._modeled :].tolist():
                model.arrive(arrival)
            model.advance(now)
        self._modeled = len(self._arrivals)

    # --- what is decided ------------------------------------------------------------------------------------------

    def _is_due(self, now: float) -> bool:
        if self._decided_after is None:
            return True
        wake = self._decision.wake
        if wake is not None and now - self._began >= wake - _SOON:
            return True
        return self._decision.at_arrivals and len(self._arrivals) > self._decided_after

    def _ask(self, now: float) -> bool:
        """Ask the policy; whether it has answered."""
        begun = perf_counter()
        try:
            if self._decide is None:
                self._decide = self._policy.start(self._problem, now=now - self._began, seed=self._seed)
            decision = checked_decision(self._decide(self._observation(now)), self._functions)
            if self._decided_after is None:
                for name in self._functions:
                    if name not in decision.directives:
                        raise InvalidInputError(f"the first decision has none for {name!r}", place="directives")
            if decision.wake is not None and decision.wake <= now - self._began:
                raise InvalidInputError(f"{decision.wake:g} s is not later than now", place="wake")
            self._direct(decision.directives)
        except Exception as error:  # a policy may be anybody's: what it raises must not end the loop
            self._tell("policy_error", error=f"{type(error).__name__}: {error}")
            return False
        self._decision = decision
        self._decided_after = len(self._arrivals)
        told = {
            "arrivals": len(self._arrivals),
            "wake": None if decision.wake is None or decision.wake == math.inf else self._began + decision.wake,
            "functions": {name: _shown(directive) for name, directive in decision.directives.items()},
        }
        self._tell("decision", **told, seconds=perf_counter() - begun)
        self._store.decision(now, told)
        if now - self._forgot_at > _HOUR:
            self._store.forget(now - _REMEMBERED)
            self._forgot_at = now
        return True

    def _observation(self, now: float) -> Observation:
        arrivals = np.maximum(self._arrivals - self._began, 0.0)
        arrivals.flags.writeable = False
        states = {name: self._state(function) for name, function in self._functions.items()}
        unknown = np.full(len(arrivals), np.nan)
        unknown.flags.writeable = False
        return Observation(max(now - self._began, 0.0), arrivals, MappingProxyType(states), lambda: unknown)

    def _state(self, function: _Function) -> FunctionState:
        seen = function.seen
        busy = min(seen.in_flight or 0, seen.ready)
        return FunctionState(
            initializing=max(seen.wanted - seen.ready, 0),
            idle=seen.ready - busy,
            busy=busy,
            queued=(seen.in_flight or 0) - busy,
            under_way=seen.in_flight or 0,
            requests=len(self._arrivals),
            concurrency=float(seen.in_flight or 0),
        )

    def _direct(self, directives: Mapping[str, Directive]) -> None:
        """Have all functions do what is decided, those that it leaves out as before."""
        limits = self._problem.limits
        in_force = {name: each.wanted.directive for name, each in self._functions.items() if each.wanted is not None}
        in_force |= {name: self._on_this_clock(directive) for name, directive in directives.items()}
        starts = planned_starts(self._problem, in_force)
        for name, directive in in_force.items():
            latency, cold_start = planned_times(self._problem, name, directive.configuration)
            least = max(directive.min_replicas, limits.min_replicas)
            most = min((each for each in (directive.max_replicas, limits.max_replicas) if each), default=None)
            within = directive.replace(min_replicas=least if most is None else min(least, most), max_replicas=most)
            function = self._functions[name]
            told = {"offset": starts[name], "latency": latency, "cold_start": cold_start}
            if function.wanted is None:
                function.wanted = Wanted(name, within, **told)
            else:
                function.wanted.direct(within, **told)

    def _on_this_clock(self, directive: Directive) -> Directive:
        """Return it with its timed starts on the clock of the platform: the policy's begins with the session."""
        shifted = tuple(
            each.replace(start=each.start + self._began, until=each.until + self._began) for each in directive.starts
        )
        return directive.replace(starts=shifted)

    # --- what is done ---------------------------------------------------------------------------------------------

    def _act(self, now: float) -> None:
        self._model(now)
        for name, function in self._functions.items():
            if function.wanted is None or function.seen.wanted < 0:
                continue
            entries = function.wanted.entries(now + _SOON)
            step = self._step(function, function.wanted.count(now + _SOON))
            may = function.may(step, now)
            if step is None:
                for key in self._begin(function, entries):  # what is there has not to be started
                    self._store.finish(key, "there")
                continue
            if not may:
                continue
            if function.acting is not None:
                function.acting.result()  # a fault in a program is not to be passed over
            kind, replicas = step
            configuration = function.wanted.directive.configuration
            if self._dry_run:
                self._tell(
                    "would",
                    function=name,
                    action=kind,
                    configuration=str(configuration),
                    replicas=replicas,
                    seen=_seen(function.seen),
                )
                function.note(step, now)
                continue
            keys = [] if kind == "retire" else self._begin(function, entries)
            function.acting = asyncio.create_task(self._carry_out(name, kind, configuration, replicas, keys))

    def _begin(self, function: _Function, entries: list[Entry]) -> list[str]:
        """Note starts that are due, before they are sent; return those that are news."""
        news = [
            each.key for each in entries if each.key not in function.begun and self._store.begin(each.key, each.due)
        ]
        function.begun = {each.key for each in entries}
        return news

    def _step(self, function: _Function, count: int) -> tuple[str, int] | None:
        """Return what to do with a function so that `count` instances are there: what, and with how many."""
        assert function.wanted is not None
        seen = function.seen
        if seen.configuration != function.wanted.directive.configuration:
            return "apply", count
        if count > max(seen.ready, seen.wanted):
            return "warm", count
        left = max(count, seen.in_flight or 0)  # what initializes may be waited for
        if left < max(seen.ready, seen.wanted) and max(seen.ready, seen.wanted) > self._problem.limits.min_replicas:
            return "retire", left
        return None

    async def _carry_out(
        self, name: str, kind: str, configuration: Configuration, replicas: int, keys: list[str]
    ) -> None:
        """Send one thing, and tell what came of it."""
        begun = self._now()
        _, cold_start = planned_times(self._problem, name, configuration)
        by = begun + cold_start + _GRACE - self._now.ahead
        try:
            if kind == "apply":
                warmth = await self._platform.apply(name, configuration, replicas=replicas, by=by)
            elif kind == "warm":
                warmth = await self._platform.warm(name, replicas=replicas, by=by)
            else:
                warmth = await self._platform.retire(name, replicas=replicas)
        except SmilessError as error:
            outcome = Outcome.LATE if isinstance(error, PlatformError) else Outcome.UNSUPPORTED
            warmth = Warmth(outcome, 0, str(error))
            self._tell("platform_error", doing=kind, function=name, error=str(error))
        try:
            for key in keys:
                self._store.finish(key, str(warmth.outcome))
        except PlatformError as error:  # the next tick finds out, too
            self._tell("platform_error", doing="state", error=str(error))
        self._functions[name].note((kind, replicas), self._now())
        self._tell(
            "action",
            action=kind,
            function=name,
            configuration=str(configuration),
            replicas=replicas,
            outcome=str(warmth.outcome),
            ready=warmth.ready,
            detail=warmth.detail,
            seconds=self._now() - begun,
            entries=keys,
        )
        if kind == "apply":
            self._awake.set()  # what is there now may not be all that should be

    async def _stop_acting(self) -> None:
        """Send nothing more."""
        tasks = [each.acting for each in self._functions.values() if each.acting is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in self._functions.values():
            each.acting = None

    def _pause(self, now: float) -> float:
        """Return how long there is nothing to do, as far as is known."""
        moments = [now + self._poll]
        if self._decision.wake is not None:
            moments.append(self._began + self._decision.wake)
        moments += [
            each.wanted.next_change(now + _SOON) for each in self._functions.values() if each.wanted is not None
        ]
        return max(min(moments) - now, _SOON)


def _shown(directive: Directive) -> dict[str, object]:
    """Return what a directive says, for the journal."""
    return {
        "configuration": str(directive.configuration),
        "readiness": str(directive.readiness),
        "schedules": [[[stay.start, stay.ready, _finite(stay.until)] for stay in each] for each in directive.schedules],
        "min_replicas": directive.min_replicas,
        "max_replicas": directive.max_replicas,
        "starts": [[each.start, _finite(each.until), each.count] for each in directive.starts],
    }


def _seen(seen: Observed) -> dict[str, object]:
    return {
        "configuration": None if seen.configuration is None else str(seen.configuration),
        "wanted": seen.wanted,
        "ready": seen.ready,
        "in_flight": seen.in_flight,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
