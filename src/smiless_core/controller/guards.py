"""Calls of a platform that do not make things worse: limited in rate and time, retried with pauses, and given up."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeVar

from smiless_core.adapters import Arrived, Capabilities, Observed, Platform, Warmth
from smiless_core.errors import PlatformError, SmilessError
from smiless_core.model import Configuration
from smiless_core.validation import number, whole_number

__all__ = ["Backoff", "BreakerState", "CircuitBreaker", "Guard", "GuardedPlatform", "RateLimit"]

T = TypeVar("T")

Clock = Callable[[], float]


class Backoff:
    """How long to wait before another try: anything up to a bound that doubles, so that callers spread out.

    Parameters
    ----------
    first : float, default 0.25
        The bound before the second try, seconds.
    cap : float, default 30
        What the bound grows to, seconds.
    seed : int, optional
        For equal pauses in every run; by default those of two controllers differ.

    Notes
    -----
    "Full jitter" of M. Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog, 2015.
    """

    def __init__(self, *, first: float = 0.25, cap: float = 30.0, seed: int | None = None) -> None:
        self._first = number(first, "first", above=0.0)
        self._cap = number(cap, "cap", at_least=self._first)
        self._random = random.Random(seed)

    def delay(self, failures: int, *, retry_after: float | None = None) -> float:
        """Return how long to wait.

        Parameters
        ----------
        failures : int
            Failed tries so far, at least 1.
        retry_after : float, optional
            Seconds that the platform asks to wait; all of them are waited, and the jitter on top.
        """
        # Beyond 2**60 the cap has long been reached, and floats end.
        bound = min(self._cap, self._first * 2.0 ** min(failures - 1, 60))
        asked = retry_after if retry_after is not None and retry_after > 0.0 else 0.0  # not for NaN
        return asked + self._random.uniform(0.0, bound)


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    """All do."""
    OPEN = "open"
    """None does."""
    HALF_OPEN = "half_open"
    """One is on its way, to see whether others may follow."""


class CircuitBreaker:
    """Keeps calls from a platform that has failed some times in a row.

    Parameters
    ----------
    failures : int, default 5
        So many in a row open it.
    rest : float, default 30
        Seconds for which it stays open; then one call may try.
    now : callable, default `time.monotonic`
        What time it is, seconds; never set back.
    """

    def __init__(self, *, failures: int = 5, rest: float = 30.0, now: Clock = time.monotonic) -> None:
        self._most = whole_number(failures, "failures", at_least=1)
        self._rest = number(rest, "rest", above=0.0)
        self._now = now
        self._state = BreakerState.CLOSED
        self._failed = 0
        self._until = -math.inf
        self._period = 0  # answers to calls of earlier periods say nothing about this one

    @property
    def state(self) -> BreakerState:
        """What it is; open until a call tries again, also after its rest."""
        return self._state

    def remaining(self) -> float:
        """Return for how many seconds no call will go through, as far as is known."""
        if self._state is BreakerState.OPEN:
            return max(self._until - self._now(), 0.0)
        return 0.0

    def admit(self) -> int | None:
        """Ask whether a call may be made.

        Returns
        -------
        int or None
            A ticket to settle the call with, or None if it must not be made.
        """
        if self._state is BreakerState.HALF_OPEN or self.remaining() > 0.0:
            return None
        if self._state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)
        return self._period

    def succeeded(self, ticket: int) -> None:
        """Say that the call was answered."""
        if ticket == self._period:
            self._failed = 0
            if self._state is BreakerState.HALF_OPEN:
                self._enter(BreakerState.CLOSED)

    def failed(self, ticket: int) -> None:
        """Say that the call failed."""
        if ticket == self._period:
            self._failed += 1
            if self._state is BreakerState.HALF_OPEN or self._failed >= self._most:
                self._until = self._now() + self._rest
                self._enter(BreakerState.OPEN)

    def abandoned(self, ticket: int) -> None:
        """Say that one will never know: the call was cancelled. Another may try in its place."""
        if ticket == self._period and self._state is BreakerState.HALF_OPEN:
            self._enter(BreakerState.OPEN)  # its rest is over

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._failed = 0


class RateLimit:
    """How often one may call: within any `t` seconds at most ``burst + rate * t`` times.

    Parameters
    ----------
    rate : float
        Calls per second, on average.
    burst : int, default 1
        Calls at once after a quiet time.

    Notes
    -----
    A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): one number is all its state.
    """

    def __init__(self, rate: float, *, burst: int = 1) -> None:
        self._interval = 1.0 / number(rate, "rate", above=0.0)
        self._ahead = (whole_number(burst, "burst", at_least=1) - 1) * self._interval
        self._full = -math.inf  # when the bucket will be full again, but for one call's interval

    def delay(self, now: float, *, at_most: float = math.inf) -> float:
        """Return how long to wait before the next call, and count that call.

        Parameters
        ----------
        now : float
            What time it is, seconds; never set back.
        at_most : float, default infinity
            If one would have to wait longer, there will be no call, and none is counted.
        """
        begin = max(now, self._full - self._ahead)
        if begin - now <= at_most:
            self._full = max(self._full, begin) + self._interval
        return begin - now


class Guard:
    """Makes calls of one platform, within a rate and a time.

    A call waits for the rate limit, is refused while the breaker is open, is given a time-out, and is retried if its
    error says that this may help. All of that ends within the deadline, and all that goes wrong is a `PlatformError`.
    A platform that answers, be it with a refusal, is one that works: only errors that may be retried, and time-outs,
    count against it.

    Parameters
    ----------
    platform : str
        What to call it in errors.
    limit : RateLimit, optional
        By default 20 calls per second, 20 at once.
    breaker : CircuitBreaker, optional
        By default with its own defaults, on the same clock.
    backoff : Backoff, optional
        By default with its own defaults.
    timeout : float, default 10
        Seconds for one try.
    deadline : float, default 30
        Seconds for all tries and the pauses between them.
    now : callable, default `time.monotonic`
        What time it is, seconds; never set back.
    on_error : callable, optional
        Called with each failed try, those retried too.

    Attributes
    ----------
    breaker : CircuitBreaker
        As given.
    timeout : float
        As given.
    """

    def __init__(
        self,
        platform: str,
        *,
        limit: RateLimit | None = None,
        breaker: CircuitBreaker | None = None,
        backoff: Backoff | None = None,
        timeout: float = 10.0,
        deadline: float = 30.0,
        now: Clock = time.monotonic,
        on_error: Callable[[PlatformError], None] | None = None,
    ) -> None:
        self._platform = platform
        self._limit = limit or RateLimit(20.0, burst=20)
        self._backoff = backoff or Backoff()
        self.timeout = number(timeout, "timeout", above=0.0)
        self._deadline = number(deadline, "deadline", above=0.0)
        self._now = now
        self._on_error = on_error
        self.breaker = breaker or CircuitBreaker(now=now)

    async def __call__(self, call: Callable[[], Awaitable[T]], *, doing: str, timeout: float | None = None) -> T:
        """Make a call.

        Parameters
        ----------
        call : callable
            Returns what is awaited, anew for each try.
        doing : str
            What it does, for errors, such as ``warm detect``.
        timeout : float, optional
            Seconds for one try, where that is more than usual; the deadline then is at least as far.

        Returns
        -------
        T
            What the call returns.

        Raises
        ------
        PlatformError
            If it failed for good, or there was no time or no permission left to try.
        SmilessError
            What else the call raises on purpose, such as an argument that is wrong; it is not retried.
        """
        patience = self.timeout if timeout is None else timeout
        end = self._now() + max(self._deadline, patience)
        failures = 0
        last: PlatformError | None = None
        while True:
            try:
                ticket = await self._admitted(doing, end)
            except PlatformError as refusal:
                raise last or refusal from None  # why it failed says more than why it is not tried again
            try:
                async with asyncio.timeout(max(min(patience, end - self._now()), 0.0)):
                    result = await call()
            except Exception as error:
                last = self._understood(error, doing, patience)
                if last is None:  # not about the platform
                    self.breaker.abandoned(ticket)
                    raise
                (self.breaker.failed if last.retryable else self.breaker.succeeded)(ticket)
            except BaseException:
                self.breaker.abandoned(ticket)
                raise
            else:
                self.breaker.succeeded(ticket)
                return result
            failures += 1
            if self._on_error:
                self._on_error(last)
            pause = self._backoff.delay(failures, retry_after=last.retry_after)
            if not last.retryable or self.breaker.remaining() > 0.0 or self._now() + pause >= end:
                raise last
            await asyncio.sleep(pause)

    async def _admitted(self, doing: str, end: float) -> int:
        """Wait until a call may be made; return the breaker's ticket for it."""
        if (rest := self.breaker.remaining()) > 0.0:  # without using up the rate
            raise self._resting(doing, rest)
        now = self._now()
        delay = self._limit.delay(now, at_most=end - now)
        if now + delay >= end:
            raise PlatformError("too many calls at once", self._platform, doing, retry_after=delay)
        if delay > 0.0:
            await asyncio.sleep(delay)
        ticket = self.breaker.admit()  # others may have failed meanwhile
        if ticket is None:
            raise self._resting(doing, self.breaker.remaining())
        return ticket

    def _resting(self, doing: str, rest: float) -> PlatformError:
        message = "not called: it has failed too often in a row"
        return PlatformError(message, self._platform, doing, retry_after=rest or None)

    def _understood(self, error: Exception, doing: str, patience: float) -> PlatformError | None:
        """Return an error as one of the platform; None if it is not."""
        if isinstance(error, PlatformError):
            if error.doing:
                return error
            return PlatformError(error.message, error.platform, doing, error.retryable, error.retry_after)
        if isinstance(error, SmilessError):
            return None
        if isinstance(error, TimeoutError):
            return PlatformError(f"no answer within {patience:g} s", self._platform, doing)
        # Its text may hold anything, an address with a password too.
        what = f"failed with {type(error).__name__}"
        understood = PlatformError(what, self._platform, doing, retryable=isinstance(error, OSError))
        understood.__cause__ = error
        return understood


class GuardedPlatform:
    """A platform, all of whose calls go through a guard.

    Parameters
    ----------
    platform : Platform
        The platform.
    guard : Guard
        The guard.
    wall : callable, default `time.time`
        What time it is to the platform, seconds since 1970: what its calls are told to be done by.
    """

    def __init__(self, platform: Platform, guard: Guard, *, wall: Clock = time.time) -> None:
        self._platform = platform
        self._guard = guard
        self._wall = wall

    @property
    def name(self) -> str:
        """See `Platform.name`."""
        return self._platform.name

    async def capabilities(self) -> Capabilities:
        """See `Platform.capabilities`."""
        return await self._guard(self._platform.capabilities, doing="capabilities")

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """See `Platform.apply`."""
        return await self._guard(
            lambda: self._platform.apply(function, configuration, replicas=replicas, by=by),
            doing=f"apply {function}",
            timeout=self._until(by),
        )

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """See `Platform.warm`."""
        return await self._guard(
            lambda: self._platform.warm(function, replicas=replicas, by=by),
            doing=f"warm {function}",
            timeout=self._until(by),
        )

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """See `Platform.retire`."""
        return await self._guard(lambda: self._platform.retire(function, replicas=replicas), doing=f"retire {function}")

    async def observe(self, function: str) -> Observed:
        """See `Platform.observe`."""
        return await self._guard(lambda: self._platform.observe(function), doing=f"observe {function}")

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """See `Platform.arrivals`."""
        return await self._guard(lambda: self._platform.arrivals(function, since=since), doing=f"arrivals {function}")

    async def close(self) -> None:
        """See `Platform.close`."""
        await self._platform.close()

    def _until(self, by: float) -> float:
        """Return the time-out of a call that itself waits, and answers a little later."""
        return max(by - self._wall(), 0.0) + self._guard.timeout
