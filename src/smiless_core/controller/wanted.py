"""How many instances of a function are to be there at a time, by what it is told to do and what has arrived.

Platforms count replicas; plans speak of single instances, each of which stays after the arrival that it served last.
`Wanted` keeps, for one function, what its instances would be doing if all went as planned, by the rules of the
simulator (``smiless.h``): a request takes the idle instance of the lowest level, else one that is initializing, else a
new one. What is to be there then follows for any time, and when that changes next. It says nothing of what is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
    """What the instance of one level does after the arrival that it served last."""

    __slots__ = ("arrival", "begins", "finishes")

    def __init__(self, arrival: float, begins: float, finishes: float) -> None:
        self.arrival = arrival
        self.begins = begins  # to initialize, or to serve where it was there
        self.finishes = finishes

    def zero(self, directive: Directive) -> float:
        return self.finishes if directive.from_finish else self.arrival


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
        self.direct(directive, offset=offset, latency=latency, cold_start=cold_start)

    def direct(self, directive: Directive, *, offset: float, latency: float, cold_start: float) -> None:
        """Tell it something else: schedules count from the same arrivals as before."""
        self.directive = directive
        self._offset, self._latency, self._cold_start = offset, latency, cold_start

    def arrive(self, arrival: float) -> None:
        """Learn of an invocation; seconds, not before the one before."""
        comes = arrival + self._offset
        most = self.directive.max_replicas
        found = self._free(comes, lambda k: self._is_ready(k, comes))
        if found is None and (coming := self._free(comes, lambda k: self.covers(k, comes))) is not None:
            ready_at = self._ready_at(coming, comes)
            if ready_at <= comes + self._cold_start:
                self._serve(coming, arrival, comes, ready_at + self._latency)
                return
        if found is not None:
            self._serve(found, arrival, comes, comes + self._latency)
            return
        k = self._free(comes, lambda _: True)
        if k is None and most is not None and len(self._levels) >= most:
            # It queues for the instance that is free first.
            k = min(range(len(self._levels)), key=lambda each: self._levels[each].finishes)
            begins = max(self._levels[k].finishes, comes)
            self._levels[k] = _Level(arrival, self._levels[k].begins, begins + self._latency)
            return
        starts = comes
        if self.directive.readiness is Readiness.ON_ARRIVAL:
            starts = max(arrival, comes - self._cold_start)
        self._serve(k, arrival, starts, starts + self._cold_start + self._latency)

    def _serve(self, k: int | None, arrival: float, begins: float, finishes: float) -> None:
        level = _Level(arrival, begins, finishes)
        if k is None:
            self._levels.append(level)
        else:
            self._levels[k] = level

    def _free(self, now: float, holds: Callable[[int], bool]) -> int | None:
        for k, level in enumerate(self._levels):
            if level.finishes <= now and holds(k):
                return k
        return None

    # --- what is to be there --------------------------------------------------------------------------------------

    def count(self, now: float) -> int:
        """Return how many instances are to be there."""
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
        due = [
            Entry(f"{self._function} {self._levels[k].arrival:.9f} {k} {stay}", begin, until)
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
        moments = [moment for level in self._levels for moment in (level.begins, level.finishes)]
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
        zero = level.zero(self.directive)
        there_until = level.finishes
        for i, stay in enumerate(schedule):
            until = zero + stay.until
            if until < level.finishes:
                continue  # over before the service was
            if stay.start == stay.ready:  # it goes on from what came before it
                yield there_until, there_until, until, i
            else:
                begin = max(zero + stay.start, level.finishes)
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
