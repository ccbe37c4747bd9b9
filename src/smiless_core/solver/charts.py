"""Frontiers as text: plots and tables."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from smiless_core.solver.curves import Frontier, FrontierPoint, FrontierTable, most_telling
from smiless_core.solver.formatting import (
    aligned,
    arrivals_in_words,
    exact_seconds,
    fitting_width,
    percent,
    share,
    table,
    wrapped,
)
from smiless_core.solver.rendering import hardware_of, in_words, reckoned_with, runs_on

__all__ = ["frontier_table_text", "frontier_text"]

_MOST_ROWS = 24
_PLOT_ROWS = 12


def frontier_text(frontier: Frontier, *, width: int | None = None) -> str:
    """Write a frontier out as a plot and a table; the parameters are those of `solution_text`."""
    columns = fitting_width(width)
    points = frontier.points
    steps = _steps(frontier)
    shown = [points[at] for at in most_telling(steps.places, steps.heights, _MOST_ROWS)]
    moves = [
        ", ".join(_moves(here, there)) or "only when instances are there: same hardware and readiness"
        for here, there in pairwise(shown)
    ]
    costs = aligned([1e6 * point.cost for point in shown])
    kind = "breakpoints"
    if frontier.over == "attainment":
        headers = ["attainment", "$/million"]
        rows = [[met, cost] for met, cost in zip(_percents(point.attainment for point in shown), costs, strict=True)]
    else:
        headers = ["SLA from, s", "$/million"]
        rows = [[f"{point.sla:.9f}", cost] for point, cost in zip(shown, costs, strict=True)]
    if not frontier.arrivals.is_deterministic:
        kind = "points"
        headers.append("gap")
        rows = [[*row, percent(point.solution.gap)] for row, point in zip(rows, shown, strict=True)]
    table_rows = [[*row, move] for row, move in zip(rows, [*moves, ""], strict=True)]
    blocks = [
        wrapped(_heading(frontier), columns),
        "\n".join(_plot(steps, columns)),
        table([*headers, "what changes towards the next row"], table_rows, width=columns, right=headers, whole=headers),
    ]
    if len(shown) < len(points):
        blocks.append(f"{len(points) - len(shown)} {kind} between these rows are not shown.")
    return "\n\n".join(blocks)


def frontier_table_text(found: FrontierTable, *, width: int | None = None) -> str:
    """Write a frontier over both out as a table; the parameters are those of `solution_text`."""
    columns = fitting_width(width)
    heading = (
        f"{found.problem.application.name}: dollars per million invocations for arrivals"
        f" {arrivals_in_words(found.arrivals)}, by SLA and attainment. {_searched(found)}"
    )
    headers = ["SLA, s", *map(share, found.targets)]
    rows = [
        [f"{sla:.3f}", *("-" if math.isinf(cost) else _four_digits(1e6 * cost) for cost in costs)]
        for sla, costs in zip(found.slas, found.costs, strict=True)
    ]
    blocks = [wrapped(heading, columns), table(headers, rows, width=columns, right=headers, whole=headers)]
    if any(math.isinf(cost) for costs in found.costs for cost in costs):
        blocks.append(wrapped("No plan that was found reaches the attainment where there is none (-).", columns))
    return "\n\n".join(blocks)


def _percents(fractions: Iterable[float]) -> list[str]:
    """Write fractions as percent with equally many decimals: three digits of the least that is missing to 100 %."""
    given = [100.0 * fraction for fraction in fractions]
    missing = min((100.0 - value for value in given if value < 100.0 - 1e-7), default=1.0)
    decimals = min(max(2 - math.floor(math.log10(missing)), 2), 7)
    return [f"{value:.{decimals}f} %" for value in given]


def _four_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:#.4g}"


def _heading(frontier: Frontier) -> str:
    """Say what a frontier is, and what is known of it."""
    name, points = frontier.problem.application.name, frontier.points
    first, plural = points[0], "s" * (len(points) != 1)
    comes = f"arrivals {arrivals_in_words(frontier.arrivals)}"
    if frontier.over == "attainment":
        heading = (
            f"{name}: cost against attainment for an SLA of {exact_seconds(first.sla)} and {comes},"
            f" {len(points)} point{plural}. {_searched(frontier)}"
        )
    elif frontier.arrivals.is_deterministic:
        heading = f"{name}: cost against SLA for {comes}, {len(points)} breakpoint{plural}, each exact."
    else:
        heading = (
            f"{name}: cost against SLA for a target of {share(first.target)} and {comes},"
            f" {len(points)} point{plural}. {_searched(frontier)}"
        )
    if frontier.truncated:
        shortest, begin = exact_seconds(frontier.shortest_latency), exact_seconds(first.sla)
        heading += f" Truncated: SLAs from {shortest} up to {begin} can be met too, at a higher cost."
    return heading


def _searched(found: Frontier | FrontierTable) -> str:
    return f"The plans come from the joint search; the largest gap to a proved bound is {percent(found.gap)}."


def _moves(here: FrontierPoint, there: FrontierPoint) -> Iterator[str]:
    """Yield the functions that change between two points of a frontier, and what they change to."""
    exact = there.solution.arrivals.is_deterministic
    plans = zip(
        here.solution.plan,
        there.solution.plan,
        reckoned_with(here.solution),
        reckoned_with(there.solution),
        strict=True,
    )
    for old, new, before, after in plans:
        hardware = runs_on(new) if exact else hardware_of(new)  # how many there are follows from the schedules
        if before is not after:
            yield f"{new.function} to {hardware} {in_words(after)}"
        elif old.configuration != new.configuration:
            yield f"{new.function} to {hardware}"


class _Steps(NamedTuple):
    """A staircase to be drawn: positions ascending, heights from 0 to 1, and their names.

    Each step begins at its position and goes on to the right, or ends there and comes from the left.
    """

    places: list[float]
    heights: list[float]
    ends: tuple[str, str]
    costs: tuple[float, float]
    title: str
    begins: bool


def _steps(frontier: Frontier) -> _Steps:
    """Return what to draw of a frontier: costs by their logarithm where all of them have one."""
    points = frontier.points
    least, most = (choice(point.cost for point in points) for choice in (min, max))
    logarithmic = len(points) > 1 and least > 0.0
    costs = [math.log(point.cost) if logarithmic else point.cost for point in points]
    rise = max(costs) - min(costs) or 1.0
    scale = " (log scale)" * logarithmic
    if frontier.over == "sla":
        places = [point.sla for point in points]
        ends, title = tuple(map(exact_seconds, (places[0], places[-1]))), f"$/million{scale} against SLA"
    else:
        # By the number of nines, the digits of what is missing; nothing at all is one nine more than the least.
        misses = [1.0 - point.attainment for point in points]
        fewest = min((miss for miss in misses if miss > 1e-9), default=1.0)
        places = [-math.log10(max(miss, fewest / 10)) for miss in misses]
        ends = tuple(share(points[at].attainment) for at in (0, -1))
        title = f"$/million{scale} against attainment (in nines)"
    heights = [(cost - min(costs)) / rise for cost in costs]
    return _Steps(places, heights, (ends[0], ends[1]), (most, least), title, frontier.over == "sla")


def _plot(steps: _Steps, columns: int) -> Iterator[str]:
    """Draw a staircase: cost upwards."""
    yield f"  {steps.title}"
    names = aligned([1e6 * cost for cost in steps.costs])
    margin = max(map(len, names)) + 2
    across = max(columns - margin - 3, 20)
    several = len(steps.places) > 1
    rows = _PLOT_ROWS if several else 1
    lines = [[" "] * across for _ in range(rows)]
    first, span = steps.places[0], steps.places[-1] - steps.places[0]
    for column in range(across):
        place = first + span * column / (across - 1)
        if steps.begins:
            step = max(bisect_right(steps.places, place * (1 + 1e-12)) - 1, 0)
        else:
            step = min(bisect_left(steps.places, place - 1e-12), len(steps.places) - 1)
        height = steps.heights[step] if several else 1.0
        lines[round((1 - height) * (rows - 1))][column] = "*"
    labels = [names[0], *[""] * (rows - 2), names[1]][:rows]
    for label, line in zip(labels, lines, strict=True):
        yield f"  {label:>{margin - 2}} |{''.join(line)}".rstrip()
    start, end = steps.ends
    yield f"{'':{margin}} +{'-' * across}"
    yield f"{'':{margin}}  {start}" + (end.rjust(across - len(start)) if several else "")
