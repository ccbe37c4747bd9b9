"""Cost against SLA and attainment: where the cheapest plan changes.

For arrivals that are always as far apart every SLA at which it does is found exactly. For others the points are plans
of the joint search, a couple of dozen, closest together where the cost changes most. They are not proved optimal: those
that cost no less than a better one are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Literal, TypedDict, Unpack, overload

import numpy as np

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.model.problem import Problem
from smiless_core.solver.curves import Frontier, FrontierPoint, FrontierTable, most_telling
from smiless_core.solver.formatting import exact_seconds
from smiless_core.solver.joint import Aimed
from smiless_core.solver.lowering import COST_TOLERANCE, CompiledProblem
from smiless_core.solver.replaying import attainment_in
from smiless_core.solver.solution import Solution
from smiless_core.solver.tables import Search, Status, Work
from smiless_core.timing import nanoseconds_down
from smiless_core.validation import number, shown, whole_number
from smiless_core.windows import ALWAYS

__all__ = ["Frontier", "FrontierPoint", "FrontierTable", "frontier"]

Over = Literal["sla", "attainment", "both"]
Progress = Callable[[int, float], object]

_LEAST = 1e-9  # a target that any plan within the SLA reaches
_TARGETS = (_LEAST, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_COLUMNS = (0.8, 0.9, 0.95, 0.99, 0.999)
_POINTS, _ROWS = 24, 10
_SEARCHES = 1.5  # for every point over SLAs; some find what is known already
_SETTLED = 1e-4  # room for other costs that is not worth a search
_NEAR = 1.02  # costs of two points between which no third one is looked for


class _Options(TypedDict, total=False):
    sla: float | None
    target: float | None
    min_sla: float | None
    max_sla: float | None
    max_points: int | None
    budget: Work | None
    progress: Progress | None


@overload
def frontier(
    problem: Problem,
    arrivals: Arrivals,
    *,
    over: Literal["sla", "attainment"] = "sla",
    **options: Unpack[_Options],
) -> Frontier: ...


@overload
def frontier(
    problem: Problem,
    arrivals: Arrivals,
    *,
    over: Literal["both"],
    **options: Unpack[_Options],
) -> FrontierTable: ...


def frontier(
    problem: Problem,
    arrivals: Arrivals,
    *,
    over: Over = "sla",
    sla: float | None = None,
    target: float | None = None,
    min_sla: float | None = None,
    max_sla: float | None = None,
    max_points: int | None = None,
    budget: Work | None = None,
    progress: Progress | None = None,
) -> Frontier | FrontierTable:
    """Find what every SLA costs, or every attainment.

    Over SLAs and for deterministic arrivals, starting at the loosest, each search asks for one nanosecond less than the
    last plan needs: every search is exact, and the points are all SLAs at which the optimal cost changes. For other
    arrivals, after both ends, each search asks for an SLA where least is known of the cost; every point is the smallest
    SLA at which its plan reaches the target, but between two points there may be others.
    Costs that agree to one part in 10**12 count as equal; of plans of equal cost the fastest stays.

    Parameters
    ----------
    problem : Problem
        What to plan.
    arrivals : Arrivals
        When the next invocation comes.
    over : {"sla", "attainment", "both"}, default "sla"
        What the cost is against: the SLA at a fixed target, the attainment at a fixed SLA, or both in a table.
        Deterministic arrivals meet an SLA always or never: they have a frontier over SLAs only.
    sla : float, optional
        The SLA of a frontier over attainment, seconds; that of the application by default.
    target : float, optional
        The attainment asked for over SLAs; that of the application by default.
    min_sla, max_sla : float, optional
        The range of interest, seconds; everything by default. Not for a frontier over attainment.
    max_points : int, optional
        For deterministic arrivals: stop after this many points, counted from the loosest SLA; `Frontier.truncated`
        tells whether there are more. All by default: many functions with many configurations can have thousands. For
        others: how many points to find at most, by default 24. In a table: how many rows at most, by default 10.
    budget : Work, optional
        What each search may do, as for `solve`.
    progress : callable, optional
        Called after every search with the number of points so far and the fraction that is done.

    Returns
    -------
    Frontier or FrontierTable
        The points; over both, a table.

    Raises
    ------
    InvalidInputError
        If an argument is wrong.
    InfeasibleError
        If no SLA up to `max_sla` can be met, or the target cannot be reached within any of them.
    SolverError
        If a search fails, or, where arrivals are deterministic, its budget ends before the proof.
    """
    if over not in ("sla", "attainment", "both"):
        raise InvalidInputError.unknown("axis", over, ("sla", "attainment", "both"), place="over")
    given = {"sla": sla, "target": target, "min_sla": min_sla, "max_sla": max_sla}
    meant = {"sla": ("target", "min_sla", "max_sla"), "attainment": ("sla",), "both": ("min_sla", "max_sla")}
    for name, value in given.items():
        if value is not None and name not in meant[over]:
            raise InvalidInputError(f"{value:g} has no meaning over {over}", place=name)
    lowest = 0 if min_sla is None else nanoseconds_down(number(min_sla, "min_sla", above=0.0))
    most = None if max_points is None else whole_number(max_points, "max_points", at_least=1)
    compiled = CompiledProblem(problem)
    start = compiled.loosest_sla
    if max_sla is not None:
        start = min(start, number(max_sla, "max_sla", above=0.0 if min_sla is None else min_sla))
    walk = _Walk(compiled, arrivals, budget, progress)
    law: object = arrivals
    if not isinstance(law, Arrivals):
        raise InvalidInputError(f"expected Arrivals, such as Arrivals.every(10.0), got {shown(law)}", place="arrivals")
    if over != "sla" and arrivals.is_deterministic:
        raise InvalidInputError(f"{over}: arrivals {arrivals} meet an SLA always or never", place="over")
    if over == "attainment":
        return walk.over_attainment(sla, most or _POINTS)
    if over == "both":
        return walk.over_both(start, lowest, most or _ROWS, max_sla)
    first = compiled.solve(arrivals, sla=start, target=target, budget=budget)
    if not first.feasible:
        raise first.infeasible()
    if arrivals.is_deterministic:
        points, truncated = walk.exactly(first, lowest, most)
    else:
        points, truncated = walk.over_sla(first, lowest, most or _POINTS)
    return Frontier(points, problem, arrivals, walk.shortest_latency, max_sla, truncated=truncated)


class _Walk:
    """The searches behind a frontier."""

    def __init__(
        self, compiled: CompiledProblem, arrivals: Arrivals, budget: Work | None, progress: Progress | None
    ) -> None:
        self._compiled = compiled
        self._arrivals = arrivals
        self._budget = budget
        self._progress = progress

    @cached_property
    def shortest_latency(self) -> float:
        """The smallest SLA that can be met, seconds, everything ready if need be."""
        return self._always_ready(self._compiled.loosest_sla).shortest_latency

    def exactly(self, first: Solution, lowest: int, most: int | None) -> tuple[tuple[FrontierPoint, ...], bool]:
        """Return every SLA at which the optimal cost changes, and whether there are more."""
        compiled, arrivals = self._compiled, self._arrivals
        shortest = round(self.shortest_latency * 1e9)
        points: list[FrontierPoint] = []
        level = 0.0  # lowest cost of the last point; a tighter SLA at the same cost may add a rounding to it
        sla = top = nanoseconds_down(first.sla)
        end = min(max(shortest, lowest), top)
        while sla >= shortest:
            search = compiled.search(arrivals, sla / 1e9, budget=self._budget)
            if search.status is not Status.OPTIMAL:
                asked = exact_seconds(sla / 1e9)
                raise SolverError(f"no plan was proved optimal for an SLA of {asked} within the budget")
            latency = round(search.latency * 1e9)
            dearer = bool(points) and search.cost > level * (1 + COST_TOLERANCE)
            if dearer and (sla < lowest or len(points) == most):
                return tuple(reversed(points)), sla >= lowest
            if points and not dearer:
                points.pop()
            else:
                level = search.cost
            solution = Solution(compiled, arrivals, search, latency / 1e9, first.target, "exact", self._budget)
            points.append(FrontierPoint.of(solution))
            sla = latency - 1
            self._done(len(points), (top - sla) / (top + 1 - end))
        return tuple(reversed(points)), False

    def over_sla(self, first: Solution, lowest: int, most: int) -> tuple[tuple[FrontierPoint, ...], bool]:
        """Return points of the joint search by rising SLA, and whether there are more than asked for.

        Both ends are searched first, and then always an SLA where least is known of the cost.
        """
        top = nanoseconds_down(first.sla)
        end = min(max(round(self.shortest_latency * 1e9), lowest), top)
        answers: dict[int, FrontierPoint | None] = {top: FrontierPoint.of(self._tightest(first))}
        asked: int | None = end if end < top else None
        searches = math.ceil(_SEARCHES * most)
        while asked is not None and (len(answers) < 2 or len(_steps(answers)) < most) and len(answers) <= searches:
            found = self._solved(asked / 1e9, first.target)
            answers[asked] = FrontierPoint.of(self._tightest(found)) if found.feasible else None
            self._done(len(_steps(answers)), len(answers) / (searches + 1))
            asked = _least_known(answers)
        points = _steps(answers)
        self._done(len(points[-most:]), 1.0)
        return tuple(points[-most:]), len(points) > most

    def over_attainment(self, sla: float | None, most: int) -> Frontier:
        """Return points of the joint search by rising attainment."""
        solved: dict[float, Solution] = {}
        for target in _TARGETS:
            found = self._solved(sla, target)
            if not found.feasible:
                break
            solved[target] = found
            self._done(len(solved), len(solved) / (len(_TARGETS) + most))
        if not solved:
            raise found.infeasible()
        for tries in range(2 * most):
            points = _cheapest(solved)
            if len(points) >= most or (between := _between(points, solved)) is None:
                break
            target, start = between
            found = self._solved(sla, target, start=start)
            if found.feasible:
                solved[target] = found
            self._done(len(points), (len(_TARGETS) + tries / 2) / (len(_TARGETS) + most))
        points = _cheapest(solved)
        if len(points) > most:
            places = [float(k) for k in range(len(points))]
            points = [points[k] for k in most_telling(places, places, most)] if most > 1 else points[-1:]
        self._done(len(points), 1.0)
        return Frontier(
            tuple(points),
            self._compiled.problem,
            self._arrivals,
            self.shortest_latency,
            None,
            truncated=False,
            over="attainment",
        )

    def over_both(self, start: float, lowest: int, most: int, max_sla: float | None) -> FrontierTable:
        """Return a table of plans of the joint search."""
        slas = self._rows(start, lowest, most, max_sla)
        cells: list[tuple[FrontierPoint | None, ...]] = []
        above: tuple[FrontierPoint | None, ...] = (None,) * len(_COLUMNS)
        count = 0
        for sla in slas:
            row: list[FrontierPoint | None] = []
            # From the highest target on: a plan that reaches it reaches the lower ones as well.
            for better, target in zip(reversed(above), reversed(_COLUMNS), strict=True):
                solution = self._solved(sla, target)
                known = [point for point in (row[-1] if row else None, better) if point is not None]
                if solution.feasible:
                    known.append(FrontierPoint.of(solution))
                best = min(known, key=lambda point: point.cost, default=None)
                row.append(best and best._replace(sla=sla, target=target))
                count += 1
                self._done(count, count / (len(slas) * len(_COLUMNS)))
            above = tuple(reversed(row))
            cells.append(above)
        if cells[-1][0] is None:
            raise self._solved(slas[-1], _COLUMNS[0]).infeasible()
        problem = self._compiled.problem
        return FrontierTable(slas, _COLUMNS, tuple(cells), problem, self._arrivals, self.shortest_latency)

    def _rows(self, start: float, lowest: int, most: int, max_sla: float | None) -> tuple[float, ...]:
        """Return SLAs for a table: breakpoints if everything relied on were always ready, in whole milliseconds."""
        steps: list[tuple[int, float]] = []
        sla = top = nanoseconds_down(start)
        while True:
            search = self._always_ready(sla / 1e9)
            if search.choice is None:
                break
            steps.append((round(search.latency * 1e9), search.cost))
            sla = steps[-1][0] - 1
            if sla < lowest:
                break
        if not steps:
            raise self._solved(start, _LEAST).infeasible()
        steps.reverse()
        places = [math.log(max(latency, 1)) for latency, _ in steps]
        costs = [math.log(max(cost, 1e-300)) for _, cost in steps]
        rise = max(costs) - min(costs) or 1.0
        chosen = most_telling(places, [(cost - min(costs)) / rise for cost in costs], max(most, 2))[-most:]
        # Rounded up, so that the plan of the breakpoint is within.
        rounded = {min(-(-steps[k][0] // 10**6) * 10**6, top) for k in chosen}
        return tuple(latency / 1e9 for latency in sorted(rounded) if latency >= lowest)

    def _always_ready(self, sla: float) -> Search:
        """Return the cheapest modes if everything relied on were always ready, whatever attainment limits leave."""
        if self._arrivals.is_deterministic:
            return self._compiled.search(self._arrivals, sla, budget=self._budget)
        return self._compiled.joint(self._arrivals, sla, target=_LEAST, budget=self._budget).modes(ALWAYS)

    def _solved(self, sla: float | None, target: float, *, start: Solution | None = None) -> Solution:
        return self._compiled.solve(self._arrivals, sla=sla, target=target, budget=self._budget, start=start)

    def _tightest(self, solution: Solution) -> Solution:
        """Return the smallest SLA at which a plan still reaches its target, with what it does there."""
        assert solution.aimed is not None
        aimed, target = solution.aimed, solution.target
        low, high = round(solution.search.latency * 1e9), nanoseconds_down(solution.sla)
        if aimed.replayed is not None:
            responses = np.rint(np.sort(aimed.replayed.responses) * 1e9).astype(np.int64)
            needed = math.ceil(target * len(responses) - 1e-9)
            low = high = min(max(int(responses[min(needed, len(responses)) - 1]), low), high)
        elif self._at(aimed, low, target).attainment.fraction >= target - COST_TOLERANCE:
            high = low
        while high - low > 1:
            middle = (low + high) // 2
            if self._at(aimed, middle, target).attainment.fraction >= target - COST_TOLERANCE:
                high = middle
            else:
                low = middle
        return replace(solution, sla=high / 1e9, aimed=self._at(aimed, high, target))

    def _at(self, aimed: Aimed, sla: int, target: float) -> Aimed:
        """Return a plan with what it attains within another SLA, nanoseconds."""
        if aimed.replayed is None:
            joint = self._compiled.joint(self._arrivals, sla / 1e9, target=target)
            return joint.aimed(aimed.search, aimed.wanted, aimed.price)
        met = attainment_in(aimed.replayed, sla / 1e9, lost=self._lost(aimed))
        return aimed._replace(attainment=met, replayed=aimed.replayed.replace(attainment=met.fraction))

    def _lost(self, aimed: Aimed) -> float:
        """Return the fraction of arrivals that find too few instances, which no replay shows."""
        assert aimed.search.choice is not None
        return float(self._compiled.pricing(self._arrivals).lost[self._compiled.rows(aimed.search.choice)].max())

    def _done(self, points: int, fraction: float) -> None:
        if self._progress is not None:
            self._progress(points, min(1.0, fraction))


def _steps(answers: dict[int, FrontierPoint | None]) -> list[FrontierPoint]:
    """Return the points by rising SLA that cost less than all at tighter SLAs."""
    points: list[FrontierPoint] = []
    for point in sorted(filter(None, answers.values()), key=lambda point: (point.sla, point.cost)):
        if not points or point.cost < points[-1].cost * (1 - COST_TOLERANCE):
            points.append(point)
    return points


def _least_known(answers: dict[int, FrontierPoint | None]) -> int | None:
    """Return the SLA to look at next, nanoseconds: where the costs found around it leave most room for others.

    Between an SLA that was asked for and the smallest one at which the next plan holds, the cost may be anything from
    that of the one to that of the other. Room is that area, in the logarithms of both.
    """
    most, asked, best = _SETTLED, None, math.inf
    for low, high in pairwise(sorted(answers)):
        here, there = answers[low], answers[high]
        best = min(best, math.inf if here is None else here.cost)
        if there is None or there.cost >= best * (1 - COST_TOLERANCE):
            continue
        begin = round(there.sla * 1e9)
        fall = 1.0 if math.isinf(best) else math.log(best / max(there.cost, 1e-300))
        if begin - low > 1 and (room := fall * math.log(begin / low)) > most:
            most, asked = room, min(max(round(math.sqrt(low * begin)), low + 1), begin - 1)
    return asked


def _cheapest(solved: dict[float, Solution]) -> list[FrontierPoint]:
    """Return the points by rising attainment that no cheaper one matches."""
    points: list[FrontierPoint] = []
    for point in sorted(map(FrontierPoint.of, solved.values()), key=lambda point: (-point.attainment, point.cost)):
        if not points or point.cost < points[-1].cost * (1 - COST_TOLERANCE):
            points.append(point)
    return points[::-1]


def _between(points: list[FrontierPoint], solved: dict[float, Solution]) -> tuple[float, Solution] | None:
    """Return the target to look at next, where costs are furthest apart, and a plan to start from."""
    for here, there in sorted(pairwise(points), key=lambda pair: pair[0].cost / pair[1].cost):
        if there.cost < _NEAR * here.cost:
            return None
        # Half way by the number of digits of the misses.
        target = 1.0 - math.sqrt((1.0 - here.attainment) * max(1.0 - there.attainment, 1e-5))
        if target not in solved and here.attainment < target < there.attainment:
            return target, there.solution
    return None
