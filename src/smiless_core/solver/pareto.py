"""Cost against SLA: every SLA at which the cheapest plan changes, exactly."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.model.problem import Problem
from smiless_core.solver.formatting import exact_seconds
from smiless_core.solver.lowering import COST_TOLERANCE, CompiledProblem
from smiless_core.solver.solution import SCHEMA, Solution
from smiless_core.solver.tables import Status, Work
from smiless_core.timing import nanoseconds_down
from smiless_core.validation import number, whole_number

__all__ = ["Frontier", "FrontierPoint", "frontier"]


class FrontierPoint(NamedTuple):
    """One breakpoint.

    Attributes
    ----------
    sla : float
        The smallest SLA at which this cost can be had, seconds: the latency of the plan.
    cost : float
        Dollars per invocation.
    solution : Solution
        The solution at that SLA; its plan is written out when it is first read.
    """

    sla: float
    cost: float
    solution: Solution


def frontier(
    problem: Problem,
    arrivals: Arrivals,
    *,
    min_sla: float | None = None,
    max_sla: float | None = None,
    max_points: int | None = None,
    budget: Work | None = None,
    progress: Callable[[int, float], object] | None = None,
) -> Frontier:
    """Find every SLA at which the optimal cost changes.

    Starting at the loosest SLA, each exact search asks for one nanosecond less than the last plan took. Costs
    that agree to one part in 10**12 count as equal; of plans of equal cost the fastest stays.

    Parameters
    ----------
    problem : Problem
        What to plan; its own SLA does not matter.
    arrivals : Arrivals
        When the next invocation comes.
    min_sla, max_sla : float, optional
        The range of interest, seconds; everything by default.
    max_points : int, optional
        Stop after this many breakpoints, counted from the loosest SLA; `Frontier.truncated` tells whether
        there are more. All by default: many functions with many configurations can have thousands.
    budget : Work, optional
        What each search may do, as for `solve`.
    progress : callable, optional
        Called after every search with the number of breakpoints so far and the fraction of the range that is
        done.

    Returns
    -------
    Frontier
        The breakpoints.

    Raises
    ------
    InvalidInputError
        If an argument is wrong.
    InfeasibleError
        If no SLA up to `max_sla` can be met.
    SolverError
        If a search fails, or its budget ends before the proof.
    """
    lowest = 0 if min_sla is None else nanoseconds_down(number(min_sla, "min_sla", above=0.0))
    most = None if max_points is None else whole_number(max_points, "max_points", at_least=1)
    compiled = CompiledProblem(problem)
    start = compiled.loosest_sla
    if max_sla is not None:
        start = min(start, number(max_sla, "max_sla", above=0.0 if min_sla is None else min_sla))
    first = compiled.solve(arrivals, sla=start, budget=budget)
    if not first.feasible:
        raise first.infeasible()
    shortest = round(first.shortest_latency * 1e9)

    points: list[FrontierPoint] = []
    level = 0.0  # lowest cost of the last point; a tighter SLA at the same cost may add a rounding to it
    truncated = False
    sla = top = nanoseconds_down(start)
    end = min(max(shortest, lowest), top)
    while sla >= shortest:
        search = compiled.search(arrivals, sla / 1e9, budget=budget)
        if search.status is not Status.OPTIMAL:
            asked = exact_seconds(sla / 1e9)
            raise SolverError(f"no plan was proved optimal for an sla of {asked} within the budget")
        latency = round(search.latency * 1e9)
        dearer = bool(points) and search.cost > level * (1 + COST_TOLERANCE)
        if dearer and (sla < lowest or len(points) == most):
            truncated = sla >= lowest
            break
        if points and not dearer:
            points.pop()
        else:
            level = search.cost
        reached = latency / 1e9
        solution = Solution(compiled, arrivals, search, reached, "exact", budget)
        points.append(FrontierPoint(reached, search.cost, solution))
        sla = latency - 1
        if progress is not None:
            progress(len(points), min(1.0, (top - sla) / (top + 1 - end)))
    return Frontier(tuple(reversed(points)), problem, arrivals, first.shortest_latency, max_sla, truncated=truncated)


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """Cost against SLA as a staircase. Print it for a table and a plot.

    Iterates over its points, from the tightest SLA to the loosest; costs fall strictly.

    Attributes
    ----------
    points : tuple of FrontierPoint
        The breakpoints, by rising SLA.
    problem : Problem
    arrivals : Arrivals
        What was asked for.
    shortest_latency : float
        The smallest SLA that can be met, seconds.
    max_sla : float or None
        Up to where the frontier is known, seconds; everywhere if None.
    truncated : bool
        Whether `max_points` left out breakpoints at tighter SLAs.
    """

    points: tuple[FrontierPoint, ...]
    problem: Problem
    arrivals: Arrivals
    shortest_latency: float
    max_sla: float | None
    truncated: bool

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[FrontierPoint]:
        return iter(self.points)

    def at(self, sla: float) -> FrontierPoint:
        """Return the breakpoint that holds at an SLA: the cheapest plan that meets it.

        Parameters
        ----------
        sla : float
            Seconds.

        Returns
        -------
        FrontierPoint
            The last one with an SLA of at most this.

        Raises
        ------
        InfeasibleError
            If no plan meets it.
        InvalidInputError
            If it lies outside the range that was computed.
        """
        asked = nanoseconds_down(number(sla, "sla", above=0.0))
        holding = bisect_right(self.points, asked, key=lambda point: round(point.sla * 1e9)) - 1
        if asked < round(self.shortest_latency * 1e9):
            raise self.points[0].solution.compiled.solve(self.arrivals, sla=sla).infeasible()
        if holding < 0:
            begin = self.points[0].sla
            raise InvalidInputError(f"{sla:.9g} s is below {begin:.9g} s, where this frontier begins", place="sla")
        if self.max_sla is not None and asked > nanoseconds_down(self.max_sla):
            end = self.max_sla
            raise InvalidInputError(f"{sla:.9g} s is beyond {end:.9g} s, where this frontier ends", place="sla")
        return self.points[holding]

    def to_dict(self) -> dict[str, Any]:
        """Return the frontier ready for JSON: what ``smiless frontier --json`` prints.

        Returns
        -------
        dict
            There are no NaN and no infinities.
        """
        return {
            "schema": SCHEMA,
            "application": self.problem.application.name,
            "shortest_latency": self.shortest_latency,
            "truncated": self.truncated,
            "points": [
                {
                    "sla": point.sla,
                    "cost": point.cost,
                    "functions": {
                        assignment.function: {
                            "hardware": str(assignment.configuration.hardware),
                            "size": assignment.configuration.size,
                            "batch": assignment.configuration.batch,
                            "readiness": str(assignment.readiness),
                        }
                        for assignment in point.solution.plan
                    },
                }
                for point in self.points
            ],
        }

    def __repr__(self) -> str:
        return f"<Frontier of {self.problem.application.name!r}: {len(self)} breakpoints>"

    def __str__(self) -> str:
        from smiless_core.solver.rendering import frontier_text  # late: rich is loaded by those who print

        return frontier_text(self)
