"""How many instances of a function are to be there at a time, by what it is told to do and what has arrived.

Platforms count replicas; plans speak of single instances, each of which stays after the arrival that it served last.
`Wanted` keeps, for one function, what its instances would be doing if all went as planned, by the rules of the
simulator (``smiless.h``): a request takes the idle instance of the lowest level, else one that is initializing, else a
new one. What is to be there then follows for any time, and when that changes next. It says nothing of what is there.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from smiless_core.model.configuration import Configuration, Readiness
from smiless_core.model.directive import Directive
from smiless_core.model.problem import Problem

__all__ = ["Entry", "Wanted", "planned_starts", "planned_times"]


class Entry(NamedTuple):
    """An instance that is to start at a time.

    Attributes
    ----------
    key : str
        The same for the same start, after a restart too.
    due : float
        When it is to begin to initialize, seconds.
    until : float
        When it is let go if no request comes.
    """

    key: str
    due: float
    until: float


class _Level:
    """What the instance of one level does after the arrival that its schedule counts from."""

    __slots__ = ("arrival", "begins", "finishes", "serves")

    def __init__(self, arrival: float, begins: float, serves: float, finishes: float) -> None:
        self.arrival = arrival
        self.begins = begins  # to initialize, or to serve where it was there
        self.serves = serves
        self.finishes = finishes


class Wanted:
    """The instances of one function, as they should be.

    Parameters
    ----------
    function : str
        Its name.
    directive : Directive
        What it is told to do.
    offset : float
        When the work of an invocation reaches it, seconds after the arrival.
    latency, cold_start : float
        Of one request and of an instance, seconds, as planned.

    Attributes
    ----------
    directive : Directive
    """

    def __init__(
        self, function: str, directive: Directive, *, offset: float, latency: float, cold_start: float
    ) -> None:
        self._function = function
        self._levels: list[_Level] = []
        self._coming: list[tuple[float, float, float]] = []  # begins, comes, arrival: a heap of what is to be served
        self._busy: list[tuple[float, int]] = []  # finishes, level: a heap
        self._free: list[int] = []  # the other levels, ascending
        self._late: list[tuple[float, int, _Level]] = []  # serves, a number, level: a heap of what has yet to serve
        self._last = -math.inf  # the arrival whose work has come last
        self._served = 0
        self.direct(directive, offset=offset, latency=latency, cold_start=cold_start)

    def direct(self, directive: Directive, *, offset: float, latency: float, cold_start: float) -> None:
        """Tell it something else: schedules count from the same arrivals as before."""
        self.directive = directive
        self._offset, self._latency, self._cold_start = offset, latency, cold_start

    def arrive(self, arrival: float) -> None:
        """Learn of an invocation; seconds, not before the one before."""
        comes = arrival + self._offset
        begins = comes
        if self.directive.readiness is Readiness.ON_ARRIVAL:
            begins = max(arrival, comes - self._cold_start)
        heapq.heappush(self._coming, (begins, comes, arrival))

    def advance(self, now: float) -> None:
        """Have what has reached it by now served, by what it is told now; time is never set back."""
        # Not before: until its work comes, an instance does what it did.
        while self._coming and self._coming[0][0] <= now:
            self._serve(*heapq.heappop(self._coming))

    def _serve(self, begins: float, comes: float, arrival: float) -> None:
        # A schedule counts from the latest arrival whose work has come when the service begins.
        while self._late and self._late[0][0] < comes:
            level = heapq.heappop(self._late)[2]
            level.arrival = max(level.arrival, self._last)
        self._last = max(self._last, arrival)
        while self._busy and self._busy[0][0] <= begins:
            insort(self._free, heapq.heappop(self._busy)[1])
        absent: int | None = None
        initializing: tuple[float, int] | None = None
        for k in self._free:
            if self._is_ready(k, comes):
                self._occupy(k, arrival, begins, comes)
                return
            if self.covers(k, comes):
                coming = (self._ready_at(k, comes), k)
                initializing = coming if initializing is None else min(initializing, coming)
            elif absent is None:
                absent = k
        if initializing is not None and initializing[0] <= comes + self._cold_start:
            ready_at, k = initializing
            self._occupy(k, arrival, begins, ready_at)
            return
        most = self.directive.max_replicas
        if absent is None and self._busy and most is not None and len(self._levels) >= most:
            # It queues for the instance that is free first.
            free_at, k = heapq.heappop(self._busy)
            self._occupy(k, arrival, self._levels[k].begins, max(free_at, comes))
            return
        self._occupy(absent, arrival, begins, begins + self._cold_start)

    def _occupy(self, k: int | None, arrival: float, begins: float, serves: float) -> None:
        level = _Level(arrival, begins, serves, serves + self._latency)
        if k is None:
            k = len(self._levels)
            self._levels.append(level)
        else:
            self._levels[k] = level
            if (at := bisect_left(self._free, k)) < len(self._free) and self._free[at] == k:
                del self._free[at]
        heapq.heappush(self._busy, (level.finishes, k))
        self._served += 1
        heapq.heappush(self._late, (serves, self._served, level))

    def _counts_from(self, level: _Level) -> float:
        return level.arrival if level.serves < self._last + self._offset else max(level.arrival, self._last)

    # --- what is to be there --------------------------------------------------------------------------------------

    def count(self, now: float) -> int:
        """Return how many instances are to be there."""
        self.advance(now)
        there = sum(self._is_busy(level, now) or self.covers(k, now) for k, level in enumerate(self._levels))
        for each in self.directive.starts:
            if each.start <= now <= each.until:
                there = max(there, each.count)
        there = max(there, self.directive.min_replicas)
        most = self.directive.max_replicas
        return there if most is None else min(there, most)

    def covers(self, k: int, now: float) -> bool:
        """Tell whether the schedule of a level has its instance there, in any state but busy."""
        return any(begin <= now <= until for begin, _, until, _ in self._spans(k))

    def entries(self, now: float) -> list[Entry]:
        """Return the planned starts that are due, and whose instances are not to be let go yet."""
        self.advance(now)
        due = [
            Entry(f"{self._function} {self._counts_from(self._levels[k]):.9f} {k} {stay}", begin, until)
            for k in range(len(self._levels))
            for begin, ready, until, stay in self._spans(k)
            if begin <= now <= until and ready > begin
        ]
        due += [
            Entry(f"{self._function} at {each.start:.9f} {each.count}", each.start, each.until)
            for each in self.directive.starts
            if each.start <= now <= each.until
        ]
        return sorted(due, key=lambda each: (each.due, each.key))

    def next_change(self, now: float) -> float:
        """Return the first moment after `now` at which there may be something to do; infinity for none."""
        self.advance(now)
        moments = [self._coming[0][0]] if self._coming else []
        moments += [moment for level in self._levels for moment in (level.begins, level.finishes)]
        for k in range(len(self._levels)):
            for begin, _, until, _ in self._spans(k):
                moments += [begin, until]
        for each in self.directive.starts:
            moments += [each.start, each.until]
        return min((moment for moment in moments if moment > now), default=math.inf)

    def _is_busy(self, level: _Level, now: float) -> bool:
        return level.begins <= now < level.finishes

    def _spans(self, k: int) -> Iterator[tuple[float, float, float, int]]:
        """Yield when the instance of a level is there after its service: begin, ready, until, which stay."""
        level, schedules = self._levels[k], self.directive.schedules
        if k < len(schedules):
            schedule = schedules[k]
        elif self.directive.repeats and schedules:
            schedule = schedules[-1]
        else:
            return
        zero = level.finishes if self.directive.from_finish else self._counts_from(level)
        there_until = level.finishes
        for i, stay in enumerate(schedule):
            until = zero + stay.until
            if until < level.finishes:
                continue  # over before the service was
            begin = zero + stay.start
            if stay.start == stay.ready or begin <= level.finishes:  # it goes on from what came before it
                yield there_until, there_until, until, i
            else:
                # What is let go when it would start again is not let go.
                yield begin, begin + (stay.ready - stay.start), max(until, begin), i
            there_until = max(there_until, until)

    def _is_ready(self, k: int, now: float) -> bool:
        return any(ready <= now <= until for _, ready, until, _ in self._spans(k))

    def _ready_at(self, k: int, now: float) -> float:
        return min(ready for begin, ready, until, _ in self._spans(k) if begin <= now <= until)


def planned_times(problem: Problem, function: str, configuration: Configuration) -> tuple[float, float]:
    """Return the latency of one request and the cold start on a configuration, as planned, seconds."""
    model = problem.profile(problem.application.index[function]).hardware[configuration.hardware]
    return (
        model.latency(1, configuration.size, extrapolate=True),
        model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile),
    )


def planned_starts(problem: Problem, directives: Mapping[str, Directive]) -> dict[str, float]:
    """Return when the work of an invocation reaches each function, if all goes as planned.

    Parameters
    ----------
    problem : Problem
        The application and its profiles.
    directives : mapping of str to Directive
        What each function does.

    Returns
    -------
    dict of str to float
        Seconds after the arrival.
    """
    application = problem.application
    starts, ends = {}, [0.0] * len(application.names)
    for v in application.order:
        name = application.names[v]
        begins = max((ends[u] for u in application.predecessors[v]), default=0.0)
        starts[name] = begins
        directive = directives[name]
        latency, cold_start = planned_times(problem, name, directive.configuration)
        if directive.readiness is Readiness.ON_REQUEST:
            begins += cold_start
        elif directive.readiness is Readiness.ON_ARRIVAL:
            begins = max(begins, cold_start)
        ends[v] = begins + latency
    return starts
