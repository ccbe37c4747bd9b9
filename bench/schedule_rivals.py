"""What plans are compared with: simpler rules for when instances exist, each with the modes that suit it best.

A rule gives every instance the same stay after each service, whatever the distribution of gaps. Its modes are the
cheapest ones under that rule on the recorded gaps, within the SLA when every function finds what the rule keeps for it;
the search is the same exact one, over the same configurations.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from bench.halves import Fleet, Halves, Outcome, fleet_of, outcome
from smiless_core import Arrivals, CompiledProblem, Plan, Readiness, Stay
from smiless_core.solver.exact import ExactSearch
from smiless_core.windows import GapLaw, Path, Played

# What platforms offer, and finer: seconds from the end of a service.
KEEP_ALIVES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, math.inf)


class Rule(NamedTuple):
    """For how long an instance waits after its service, seconds: the first one, and each further one."""

    first: float
    further: float


ALWAYS = Rule(math.inf, 0.0)


class Kept(NamedTuple):
    """A keep-alive, what it lets the functions do, and what became of that on the arrivals it was chosen for."""

    seconds: float
    fleet: Fleet
    known: Outcome


class ScheduleRivals:
    """The rivals of one trace at one SLA.

    Parameters
    ----------
    compiled : CompiledProblem
    known : Halves
        The first half is what is planned for.
    sla : float
        Seconds.
    """

    def __init__(self, compiled: CompiledProblem, known: Halves, sla: float) -> None:
        problem = compiled.problem
        self._compiled, self._known, self._sla = compiled, known, sla
        self._arrivals = known.first.arrivals(exact=True)
        self._search = ExactSearch(problem.application.edge_array, functions=len(problem.application.functions))
        self._levels = cache(Path.of(self._arrivals, known.first.count).levels)
        self._modes = [compiled.mode(row) for row in range(len(compiled.function))]

    def on_request(self) -> Fleet:
        """Keep nothing: the cheapest modes that meet the SLA, or else the fastest ones, all of them cold."""
        costs = [
            mode.price * (mode.latency + mode.cold_start) if mode.readiness is Readiness.ON_REQUEST else math.inf
            for mode in self._modes
        ]
        rows = self._cheapest(costs)
        return Fleet(tuple(self._played(row) for row in rows), (0,) * len(rows))

    def always_ready(self) -> Fleet:
        """Keep one instance of every function for ever, and start further ones on request."""
        return self._following(ALWAYS)

    def fixed_keep_alive(self, target: float) -> Kept:
        """Keep every instance for the same time: the cheapest time that reaches the target on these very arrivals.

        Where none does, that of the highest attainment.
        """
        times = self._known.first.times
        kept = [
            Kept(seconds, fleet, outcome(times, self._known.again, fleet, self._compiled.problem, self._sla))
            for seconds in KEEP_ALIVES
            for fleet in [self._following(Rule(seconds, seconds))]
        ]
        most = max(each.known.attainment for each in kept)
        enough = [each for each in kept if each.known.attainment >= min(target, most)]
        return min(enough, key=lambda each: each.known.cost)

    def published_window(self) -> Fleet:
        """Expect the next arrival after the mean gap, and have everything ready then: the published window.

        The modes and the window are those of the plan that is optimal if every gap is the mean one.
        """
        return fleet_of(_at_every_level(self._compiled.solve(Arrivals.every(self._arrivals.mean), sla=self._sla).plan))

    def _following(self, rule: Rule) -> Fleet:
        costs = [
            self._cost(mode.price, mode.latency, mode.cold_start, rule)
            if mode.readiness is Readiness.PREWARMED
            else math.inf
            for mode in self._modes
        ]
        rows = self._cheapest(costs)
        starts = self._compiled.timing(rows).earliest_start
        warm = 1 if not math.isinf(rule.further) else None
        functions = tuple(self._played(row, rule, start / 1e9) for row, start in zip(rows, starts, strict=True))
        return Fleet(functions, tuple(warm or len(played.schedules) for played in functions))

    def _cost(self, price: float, latency: float, cold_start: float, rule: Rule) -> float:
        """Return dollars per invocation of a mode whose instances follow the rule."""
        levels = self._levels(round(latency * 1e9))
        seconds = (
            law.share * (latency + _held(law, latency, cold_start, rule.further if k else rule.first))
            for k, law in enumerate(levels)
        )
        return price * math.fsum(seconds)

    def _played(self, row: int, rule: Rule | None = None, start: float = 0.0) -> Played:
        mode = self._modes[row]
        schedules: tuple[tuple[Stay, ...], ...] = ()
        if rule is not None:
            done = start + mode.latency
            levels = len(self._levels(round(mode.latency * 1e9))) if rule.further else 1
            # Arrivals to come may overlap more than those that are known: a few instances more follow the rule.
            spare = 2 * levels + 8 if 0.0 < rule.further < math.inf else levels
            schedules = tuple((Stay(done, done, done + (rule.further if k else rule.first)),) for k in range(spare))
        return Played(
            price=mode.price,
            latency=mode.latency,
            cold_start=mode.cold_start,
            readiness=mode.readiness,
            schedules=schedules,
        )

    def _cheapest(self, costs: Sequence[float]) -> list[int]:
        """Return the cheapest modes within the SLA, as rows, or the cheapest of the fastest."""
        table = self._compiled.priced(np.array(costs))
        found = self._search.search(table, self._sla)
        if found.choice is None:
            found = self._search.search(table, found.shortest_latency)
        assert found.choice is not None, "the shortest latency can be reached"
        rows: list[int] = self._compiled.rows(found.choice).tolist()
        return rows


def _held(law: GapLaw, latency: float, cold_start: float, kept: float) -> float:
    """Return expected seconds beyond the service of an instance that waits for so long after it."""
    gaps, mass = law.cells.times / 1e9, law.cells.mass
    waited = np.minimum(gaps - latency, kept)
    return float(mass @ waited) + cold_start * float(mass[gaps > latency + kept].sum())


def _at_every_level(plan: Plan) -> Plan:
    """Return a plan for arrivals at equal intervals, in which all replicas take turns, with a schedule for each."""
    return plan.replace(
        assignments=tuple(
            each.replace(further=(each.schedule,) * (each.replicas - 1)) if each.schedule else each for each in plan
        )
    )


RIVALS: dict[str, Callable[[ScheduleRivals], Fleet]] = {
    "all on request": ScheduleRivals.on_request,
    "always ready": ScheduleRivals.always_ready,
    "published window": ScheduleRivals.published_window,
}
