"""What frontiers are made of: points, staircases of points, and tables of them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model.problem import Problem
from smiless_core.solver.solution import SCHEMA, Solution
from smiless_core.timing import nanoseconds_down
from smiless_core.validation import number

__all__ = ["Frontier", "FrontierPoint", "FrontierTable", "most_telling"]


class FrontierPoint(NamedTuple):
    """One point of a frontier.

    Attributes
    ----------
    sla : float
        The SLA that is met, seconds: over SLAs the smallest at which this plan reaches the target, which is its
        latency where everything that it relies on is always ready.
    cost : float
        Dollars per invocation.
    solution : Solution
        The solution at that SLA; its plan is written out when it is first read.
    target : float
        The attainment that was asked for.
    attainment : float
        The fraction of invocations that meets the SLA.
    """

    sla: float
    cost: float
    solution: Solution
    target: float
    attainment: float

    @classmethod
    def of(cls, solution: Solution) -> FrontierPoint:
        """Return the point of a feasible solution."""
        fraction = 1.0 if solution.attainment is None else solution.attainment.fraction
        return cls(solution.sla, solution.cost, solution, solution.target, fraction)

    def to_dict(self) -> dict[str, Any]:
        """Return the point ready for JSON."""
        return {
            "sla": self.sla,
            "target": self.target,
            "attainment": self.attainment,
            "cost": self.cost,
            "gap": self.solution.gap,
            "functions": {
                assignment.function: {
                    "hardware": str(assignment.configuration.hardware),
                    "size": assignment.configuration.size,
                    "batch": assignment.configuration.batch,
                    "readiness": str(assignment.readiness),
                }
                for assignment in self.solution.plan
            },
        }


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """Cost against SLA, or against attainment, as a staircase. Print it for a table and a plot.

    Iterates over its points: over SLAs from the tightest to the loosest, with costs that fall strictly; over
    attainment from the lowest to the highest, with costs that rise strictly.

    Attributes
    ----------
    points : tuple of FrontierPoint
        By rising SLA, or by rising attainment.
    problem : Problem
    arrivals : Arrivals
        What was asked for.
    shortest_latency : float
        The smallest SLA that can be met, seconds.
    max_sla : float or None
        Up to where a frontier over SLAs is known, seconds; everywhere if None.
    truncated : bool
        Whether `max_points` left out points at tighter SLAs.
    over : {"sla", "attainment"}
        What the cost is against.
    """

    points: tuple[FrontierPoint, ...]
    problem: Problem
    arrivals: Arrivals
    shortest_latency: float
    max_sla: float | None
    truncated: bool
    over: str = "sla"

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[FrontierPoint]:
        return iter(self.points)

    @property
    def gap(self) -> float:
        """The largest gap of a point: what its plan may cost too much at most."""
        return max(point.solution.gap for point in self.points)

    def at(self, value: float) -> FrontierPoint:
        """Return the point that holds at an SLA, or at an attainment: the cheapest plan that meets it.

        Parameters
        ----------
        value : float
            Seconds, or a fraction.

        Returns
        -------
        FrontierPoint
            The last one with an SLA of at most this; or the first one with an attainment of at least this.

        Raises
        ------
        InfeasibleError
            If no plan meets it.
        InvalidInputError
            If it lies outside the range that was computed.
        """
        if self.over == "attainment":
            return self._with_attainment(number(value, "attainment", above=0.0, at_most=1.0))
        asked = nanoseconds_down(number(value, "sla", above=0.0))
        holding = bisect_right(self.points, asked, key=lambda point: round(point.sla * 1e9)) - 1
        if asked < round(self.shortest_latency * 1e9):
            raise self.points[0].solution.compiled.solve(self.arrivals, sla=value).infeasible()
        if holding < 0:
            begin = self.points[0].sla
            raise InvalidInputError(f"{value:.9g} s is below {begin:.9g} s, where this frontier begins", place="sla")
        if self.max_sla is not None and asked > nanoseconds_down(self.max_sla):
            end = self.max_sla
            raise InvalidInputError(f"{value:.9g} s is beyond {end:.9g} s, where this frontier ends", place="sla")
        return self.points[holding]

    def _with_attainment(self, asked: float) -> FrontierPoint:
        holding = bisect_left(self.points, asked - 1e-12, key=lambda point: point.attainment)
        if holding == len(self.points):
            end = self.points[-1].attainment
            raise InvalidInputError(f"{asked:.9g} is beyond {end:.9g}, where this frontier ends", place="attainment")
        return self.points[holding]

    def to_dict(self) -> dict[str, Any]:
        """Return the frontier ready for JSON: what ``smiless frontier --json`` prints.

        Returns
        -------
        dict
            There are no NaN and no infinities.
        """
        return _payload(self.problem, self.over, self.shortest_latency, self.points, truncated=self.truncated)

    def __repr__(self) -> str:
        what = "breakpoints" if self.arrivals.is_deterministic else "points"
        return f"<Frontier of {self.problem.application.name!r}: {len(self)} {what}>"

    def __str__(self) -> str:
        from smiless_core.solver.charts import frontier_text  # late: rich is loaded by those who print

        return frontier_text(self)


@dataclass(frozen=True, eq=False, repr=False)
class FrontierTable:
    """Cost against SLA and attainment. Print it for a table.

    Costs never rise along a row towards lower targets, nor along a column towards looser SLAs.

    Attributes
    ----------
    slas : tuple of float
        Of the rows, seconds, rising.
    targets : tuple of float
        Of the columns, rising.
    cells : tuple of tuples of FrontierPoint or None
        The cheapest plan found for each SLA and target, which may do better than both; None where there is none.
    problem : Problem
    arrivals : Arrivals
        What was asked for.
    shortest_latency : float
        The smallest SLA that can be met, seconds.
    """

    slas: tuple[float, ...]
    targets: tuple[float, ...]
    cells: tuple[tuple[FrontierPoint | None, ...], ...]
    problem: Problem
    arrivals: Arrivals
    shortest_latency: float

    @property
    def points(self) -> tuple[FrontierPoint, ...]:
        """All cells with a plan, row by row."""
        return tuple(point for row in self.cells for point in row if point is not None)

    @property
    def gap(self) -> float:
        """The largest gap of a cell: what its plan may cost too much at most."""
        return max(point.solution.gap for point in self.points)

    @property
    def costs(self) -> tuple[tuple[float, ...], ...]:
        """Dollars per invocation, row by row; infinity where there is no plan."""
        return tuple(tuple(math.inf if point is None else point.cost for point in row) for row in self.cells)

    def to_dict(self) -> dict[str, Any]:
        """Return the table ready for JSON, one point a cell: what ``smiless frontier --over both --json`` prints."""
        return _payload(self.problem, "both", self.shortest_latency, self.points, truncated=False)

    def __repr__(self) -> str:
        return f"<FrontierTable of {self.problem.application.name!r}: {len(self.slas)} x {len(self.targets)}>"

    def __str__(self) -> str:
        from smiless_core.solver.charts import frontier_table_text  # late: rich is loaded by those who print

        return frontier_table_text(self)


def most_telling(places: Sequence[float], heights: Sequence[float], most: int) -> list[int]:
    """Return the positions of at most so many points, evenly spread along a staircase, both ends among them.

    Parameters
    ----------
    places : sequence of float
        Ascending.
    heights : sequence of float
        From 0 to 1, monotone.
    most : int
        At least 2.
    """
    if len(places) <= most:
        return list(range(len(places)))
    span = places[-1] - places[0]
    steps = [
        (there - here) / span + abs(high - low)
        for (here, there), (high, low) in zip(pairwise(places), pairwise(heights), strict=True)
    ]
    walked = list(accumulate(steps, initial=0.0))
    marks = (walked[-1] * row / (most - 1) for row in range(most - 1))
    return sorted({*(bisect_left(walked, mark) for mark in marks), len(places) - 1})


def _payload(
    problem: Problem, over: str, shortest_latency: float, points: Sequence[FrontierPoint], *, truncated: bool
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "application": problem.application.name,
        "over": over,
        "shortest_latency": shortest_latency,
        "truncated": truncated,
        "points": [point.to_dict() for point in points],
    }
