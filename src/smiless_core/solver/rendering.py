"""Solutions, explanations and frontiers as text."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from smiless_core.model.configuration import Hardware, Readiness
from smiless_core.model.plan import Assignment, Plan
from smiless_core.solver.formatting import (
    aligned,
    dollars,
    exact_seconds,
    fact,
    fitting_width,
    per_million,
    percent,
    seconds,
    table,
    wrapped,
)
from smiless_core.solver.tables import Status

if TYPE_CHECKING:
    from smiless_core.solver.explanation import Explanation
    from smiless_core.solver.pareto import Frontier, FrontierPoint
    from smiless_core.solver.solution import Solution

__all__ = ["explanation_text", "frontier_text", "solution_text"]

_QUICK_FUNCTIONS = 12  # up to here the dozens of searches behind a breakpoint take milliseconds
_MOST_ROWS = 24
_PLOT_ROWS = 12

_PREWARMED = (
    "Prewarmed instances start, and are ready, at these times after the arrival that they served last;"
    " they are let go after each service."
)


def solution_text(solution: Solution, *, width: int | None = None) -> str:
    """Write a solution out: the verdict, the cost, one row per function, and what more SLA would save.

    Parameters
    ----------
    solution : Solution
        What to show.
    width : int, optional
        Columns to stay within; those of the terminal by default, from 60 to 120, or 100 without a terminal.

    Returns
    -------
    str
        Lines, without a newline at the end.
    """
    from smiless_core.solver.explanation import explain

    columns = fitting_width(width)
    verdict = _verdict(solution)
    if math.isinf(solution.shortest_latency):
        return wrapped(verdict, columns)
    plan = solution.plan if solution.feasible else solution.fastest
    per_hour = dollars(plan.cost * 3600 / solution.arrivals.mean)
    cost = f"{dollars(plan.cost)} per invocation, {per_million(plan.cost)} per million, {per_hour} per hour"
    latency = seconds(plan.latency) + f" of {exact_seconds(solution.sla)}" * solution.feasible
    facts = [
        ("cost", cost),
        ("latency", f"{latency}; {seconds(plan.cold_latency)} if nothing is ready"),
        ("critical path", " -> ".join(plan.critical_path)),
    ]
    if solution.feasible:
        facts.insert(1, ("bound", f"{dollars(solution.bound)} per invocation, gap {percent(solution.gap)}"))
    else:
        verdict += " This is the fastest plan:"
    blocks = [
        wrapped(verdict, columns),
        "\n".join(fact(label, text, columns) for label, text in facts),
        _assignments(plan, columns),
    ]
    if any(stay.start < stay.ready for assignment in plan for stay in assignment.schedule):
        blocks.append(wrapped(_PREWARMED, columns))
    if solution.status is Status.OPTIMAL:
        quick = solution.method == "exact" and len(plan) <= _QUICK_FUNCTIONS
        sentences = _savings(explain(solution)) if quick else [_saving(explain(solution))]
        blocks.append(wrapped(" ".join(sentences), columns))
    return "\n\n".join(blocks)


def explanation_text(explanation: Explanation, *, width: int | None = None) -> str:
    """Write an explanation out; the parameters are those of `solution_text`."""
    columns = fitting_width(width)
    solution = explanation.solution
    blocks = [wrapped(_verdict(solution), columns)]
    if math.isinf(solution.shortest_latency):
        return blocks[0]
    within = f"slack within {exact_seconds(max(solution.sla, solution.shortest_latency))}"
    slack = sorted(explanation.slack.items(), key=lambda item: item[1])
    rows = [(name, seconds(room)) for name, room in slack]
    blocks.append(table(["function", within], rows, width=columns, right=[within]))
    if solution.status is Status.OPTIMAL:
        blocks.append(wrapped(" ".join(_savings(explanation)), columns))
    elif solution.feasible:
        blocks.append(wrapped("What more SLA would save is known only of a plan that is proved optimal.", columns))
    return "\n\n".join(blocks)


def frontier_text(frontier: Frontier, *, width: int | None = None) -> str:
    """Write a frontier out as a plot and a table; the parameters are those of `solution_text`."""
    columns = fitting_width(width)
    points = frontier.points
    heading = (
        f"{frontier.problem.application.name}: cost against SLA for arrivals {frontier.arrivals},"
        f" {len(points)} breakpoint{'s' * (len(points) != 1)}, each exact."
    )
    if frontier.truncated:
        shortest, begin = exact_seconds(frontier.shortest_latency), exact_seconds(points[0].sla)
        heading += f" Truncated: SLAs from {shortest} up to {begin} can be met too, at a higher cost."
    shown = [points[at] for at in _spread(points)]
    moves = [", ".join(_moves(here, there)) for here, there in pairwise(shown)]
    costs = aligned([1e6 * point.cost for point in shown])
    rows = [(f"{point.sla:.9f}", cost, move) for point, cost, move in zip(shown, costs, [*moves, ""], strict=True)]
    headers = ["SLA from, s", "$/million", "what changes towards the next row"]
    blocks = [
        wrapped(heading, columns),
        "\n".join(_plot(points, columns)),
        table(headers, rows, width=columns, right=headers[:2], whole=headers[:2]),
    ]
    if len(shown) < len(points):
        blocks.append(f"{len(points) - len(shown)} breakpoints between these rows are not shown.")
    return "\n\n".join(blocks)


def _verdict(solution: Solution) -> str:
    """Return the first sentence: what was asked for, and what is known of the answer."""
    name = solution.problem.application.name
    asked = f"an SLA of {exact_seconds(solution.sla)} and arrivals {solution.arrivals}"
    if solution.status is Status.OPTIMAL:
        return f"{name}: proved optimal for {asked}."
    if solution.feasible:
        saving = f"a plan that costs up to {percent(solution.gap)} less may exist"
        return f"{name}: feasible for {asked}. The search ended before the proof: {saving}."
    if math.isinf(solution.shortest_latency):
        return str(solution.infeasible())
    return (
        f"{name}: infeasible for {asked}. The shortest latency that can be reached is"
        f" {exact_seconds(solution.shortest_latency)}, limited by {', '.join(solution.limited_by)}."
    )


def _assignments(plan: Plan, columns: int) -> str:
    headers = ["function", "runs on", "latency", "readiness", "slack", "$/million"]
    numbers = ["latency", "slack", "$/million"]
    costs = aligned([1e6 * assignment.cost for assignment in plan])
    rows = [
        (
            assignment.function,
            _runs_on(assignment),
            seconds(assignment.latency),
            _readiness(assignment),
            seconds(assignment.slack),
            cost,
        )
        for assignment, cost in zip(plan, costs, strict=True)
    ]
    # Names stay in one piece, unless they leave too little room for the rest.
    names = ["function"] if max(map(len, plan.application.names)) <= columns // 3 else []
    return table(headers, rows, width=columns, right=numbers, whole=names + numbers)


def _runs_on(assignment: Assignment) -> str:
    """Say what a function runs on, in fewer words than `Configuration` does."""
    configuration = assignment.configuration
    if configuration.hardware is Hardware.GPU:
        size = f"gpu {100 * configuration.size:g} %"
    else:
        size = f"cpu {configuration.size:g} core{'s' * (configuration.size != 1)}"
    count = f"{assignment.replicas} x " if assignment.replicas != 1 else ""
    batch = f", batch {configuration.batch}" if configuration.batch != 1 else ""
    return count + size + batch


def _readiness(assignment: Assignment) -> str:
    """Say in words when the instances of a function exist."""
    if assignment.readiness is not Readiness.PREWARMED:
        return f"{_words(assignment.readiness)}, ready {seconds(assignment.cold_start)} later"
    first, *others = assignment.schedule
    if first.start < first.ready:
        return f"starts {seconds(first.start)}, ready {seconds(first.ready)}"
    if not others:
        return "kept warm"
    idle, coming = first.until - first.ready, others[0]
    return f"stays {seconds(idle)}, starts {seconds(coming.start)}, ready {seconds(coming.ready)}"


def _words(readiness: Readiness) -> str:
    return readiness.replace("_", " ")


def _saving(explanation: Explanation) -> str:
    more, saving = seconds(explanation.extra), explanation.saving
    if saving is None:
        return f"What {more} more of SLA would save was not proved within the same limits."
    if saving == 0.0:
        return f"{more} more of SLA would save nothing."
    return f"{more} more of SLA would save {_amount(saving, explanation.solution)}."


def _savings(explanation: Explanation) -> Iterator[str]:
    yield _saving(explanation)
    if explanation.saving is None:
        return
    if explanation.next_sla is None or explanation.next_saving is None:
        yield "No looser SLA is known to allow a cheaper plan."
    else:
        amount = _amount(explanation.next_saving, explanation.solution)
        needed = exact_seconds(explanation.next_sla)
        yield f"The next cheaper plan needs an SLA of {needed} and saves {amount}."


def _amount(saving: float, solution: Solution) -> str:
    return f"{per_million(saving)} per million invocations ({percent(saving / solution.cost)})"


def _moves(here: FrontierPoint, there: FrontierPoint) -> Iterator[str]:
    """Yield the functions that change between two points of a frontier, and what they change to."""
    for old, new in zip(here.solution.plan, there.solution.plan, strict=True):
        if old.readiness is not new.readiness:
            yield f"{new.function} to {_runs_on(new)} {_words(new.readiness)}"
        elif old.configuration != new.configuration:
            yield f"{new.function} to {_runs_on(new)}"


def _heights(points: Sequence[FrontierPoint]) -> list[float]:
    """Return how high the cost of each point is drawn, 0 to 1: by its logarithm where all costs have one."""
    costs = [math.log(point.cost) if points[-1].cost > 0.0 else point.cost for point in points]
    return [(cost - costs[-1]) / (costs[0] - costs[-1]) if len(costs) > 1 else 0.0 for cost in costs]


def _spread(points: Sequence[FrontierPoint]) -> list[int]:
    """Return the positions of the points to list, evenly spread along the staircase, both ends among them."""
    if len(points) <= _MOST_ROWS:
        return list(range(len(points)))
    span = points[-1].sla - points[0].sla
    heights = _heights(points)
    steps = [
        (there.sla - here.sla) / span + high - low
        for (here, there), (high, low) in zip(pairwise(points), pairwise(heights), strict=True)
    ]
    walked = list(accumulate(steps, initial=0.0))
    marks = (walked[-1] * row / (_MOST_ROWS - 1) for row in range(_MOST_ROWS - 1))
    return sorted({*(bisect_left(walked, mark) for mark in marks), len(points) - 1})


def _plot(points: Sequence[FrontierPoint], columns: int) -> Iterator[str]:
    """Draw the staircase: cost upwards, SLA to the right."""
    first, last = points[0], points[-1]
    logarithmic = len(points) > 1 and last.cost > 0.0
    yield f"  $/million{' (log scale)' * logarithmic} against SLA"
    names = aligned([1e6 * first.cost, 1e6 * last.cost])
    margin = max(map(len, names)) + 2
    across = max(columns - margin - 3, 20)
    rows = _PLOT_ROWS if len(points) > 1 else 1
    lines = [[" "] * across for _ in range(rows)]
    heights = _heights(points)
    step = 0
    for column in range(across):
        sla = first.sla + (last.sla - first.sla) * column / (across - 1)
        while step + 1 < len(points) and points[step + 1].sla <= sla * (1 + 1e-12):
            step += 1
        lines[round((1 - heights[step]) * (rows - 1))][column] = "*"
    labels = [names[0], *[""] * (rows - 2), names[1]][:rows]
    for label, line in zip(labels, lines, strict=True):
        yield f"  {label:>{margin - 2}} |{''.join(line)}".rstrip()
    start, end = exact_seconds(first.sla), exact_seconds(last.sla)
    yield f"{'':{margin}} +{'-' * across}"
    yield f"{'':{margin}}  {start}" + (end.rjust(across - len(start)) if len(points) > 1 else "")
