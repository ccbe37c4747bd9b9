"""Charts of one application: figures for plotly.js as plain dictionaries, each with its sentence and its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smiless_core.report.axes import BARE, AttainmentAxis, line, seconds_axis, spread_axis, styled
from smiless_core.report.headlines import (
    STATES,
    along,
    cost,
    dearest_function,
    footnote,
    paid_for,
    part,
    ratio,
    spread,
    standing,
    verdict,
)
from smiless_core.report.lineup import Chapter, Look
from smiless_core.report.markup import Chart, Html, Key, Table, plotted
from smiless_core.solver.curves import Frontier
from smiless_core.solver.formatting import brief_seconds, per_million, percent, reached, seconds

__all__ = ["by_function", "cost_split", "distribution", "frontier_chart", "state", "state_key", "tradeoff"]

_COST = "$ per million invocations"
_POINTS = 500
_PERCENTS = (1, 5, 25, 50, 75, 90, 95, 99, 99.9, 100)
_ROW = 48  # pixels for a bar and its name
_MILLION = 1e6
_MIDDLE, _LIFT = 0.14, 0.11  # of rows


def tradeoff(chapter: Chapter) -> Chart:
    """Draw cost against attainment, one mark a policy."""
    run, target = chapter.first, chapter.first.target
    axis = AttainmentAxis.of([each.run.attainment for each in chapter.entries], target=target, count=run.count)
    priced = [entry for entry in chapter.entries if math.isfinite(entry.run.cost)]
    data, labels = [], []
    for look, ran in priced:
        x, y = _MILLION * ran.cost, axis.at(ran.attainment)
        hover = _hover(
            look.marked,
            f"{per_million(ran.cost)} per million invocations, {ratio(ran.cost_ratio)} the clairvoyant bound",
            f"attainment {reached(ran.attainment)}",
        )
        data.append(_marks(look, [x], [y], [hover]))
        labels.append({"x": x, "y": y, "text": plotted(look.marked), "short": str(look.number)})
    costs = [_MILLION * entry.run.cost for entry in priced]
    shapes: list[dict[str, Any]] = []
    if run.clairvoyant and run.count:
        bound = _MILLION * run.clairvoyant / run.count
        costs.append(bound)
        shapes.append(line(x=bound, text="clairvoyant bound", dash="dot"))
    x_axis, y_axis = spread_axis(costs or [1.0], _COST), axis.axis("attainment")
    marks = [(_MILLION * entry.run.cost, axis.at(entry.run.attainment)) for entry in priced]
    shapes.append(line(y=axis.at(target), text=f"target {percent(target)}", left=_left_is_free(marks, axis, x_axis)))
    rows = [
        [
            entry.look.marked,
            cost(entry.run.cost),
            ratio(entry.run.cost_ratio),
            reached(entry.run.attainment),
            verdict(entry),
        ]
        for entry in chapter.ranked
    ]
    return Chart(
        "Cost against attainment",
        standing(chapter),
        f"Up is better, left is cheaper. Attainment is the fraction of invocations answered within the SLA of "
        f"{brief_seconds(run.sla)}. No policy that meets every SLA can cost less than the clairvoyant bound."
        f"{footnote(chapter)}",
        Table(["Policy", "Cost per million", "Cost / clairvoyant", "Attainment", "Target"], rows, (0, 4)),
        data,
        styled(430, x_axis, y_axis, shapes=shapes, hovermode="closest"),
        labels,
        [Key(look, (at,)) for at, (look, _) in enumerate(priced)],
    )


def distribution(chapter: Chapter) -> Chart:
    """Draw how many invocations are answered within a time, one curve a policy."""
    run = chapter.first
    data = []
    spans = [run.sla]
    for look, ran in chapter.entries:
        times, fractions = _curve(ran.responses)
        spans += [*times[:1], *times[-1:]]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plotted(look.marked),
                "legendgroup": str(look.number),
                "x": times,
                "y": fractions,
                "line": {"color": look.color, "width": 2, "dash": look.dash, "shape": "hv"},
                "hovertemplate": "%{y:.2f} % within %{x:.4g} s",
            }
        )
    x = seconds_axis(spans, "response, seconds")
    y = {"title": {"text": "invocations answered, %"}, "range": [0, 112], "tickvals": [0, 25, 50, 75, 100]}
    shapes = [line(x=run.sla, text=f"SLA {brief_seconds(run.sla)}")]
    rows = [
        [
            entry.look.marked,
            *(brief_seconds(entry.run.percentile(each)) if entry.run.count else "-" for each in _PERCENTS),
            reached(entry.run.attainment),
        ]
        for entry in chapter.ranked
    ]
    headers = ["Policy", *(f"p{each:g}" if each < 100 else "Longest" for each in _PERCENTS), "Within the SLA"]
    return Chart(
        "Responses",
        spread(chapter),
        f"Each curve tells how many invocations are answered within a time; what lies to the right of the dashed line "
        f"misses the SLA.{footnote(chapter)}",
        Table(headers, rows),
        data,
        styled(380, x, y, shapes=shapes, hovermode="closest"),
        keys=[Key(look, (at,)) for at, (look, _) in enumerate(chapter.entries)],
    )


def cost_split(chapter: Chapter) -> Chart:
    """Draw what was paid for: instances that were busy, initializing or idle, one bar a policy."""
    entries = chapter.ranked
    totals = [entry.run.total_cost for entry in entries]
    count = max(chapter.first.count, 1)
    whole = [total for total in totals if total > 0.0]
    shares = bool(whole) and max(whole) > 8.0 * min(whole)
    scale = [100.0 / total if shares and total else _MILLION / count for total in totals]
    places = list(range(len(entries)))
    lengths = {
        name: [entry.run.cost_split[name] * by for entry, by in zip(entries, scale, strict=True)] for name in STATES
    }
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": places,
            "x": lengths[name],
            "width": 0.4,
            "marker": state(name, [entry.look.color for entry in entries]),
            "hoverinfo": "text",
            "hovertext": [
                _hover(
                    entry.look.marked,
                    f"{name}: {per_million(entry.run.cost_split[name] / count)} per million invocations",
                    f"{percent(part(entry.run.cost_split[name], entry.run.total_cost))} of its cost",
                )
                for entry in entries
            ],
        }
        for name in STATES
    ]
    names = [f"<b>{entry.look.number}</b> {plotted(entry.look.marked)}" for entry in entries]
    sums = [f"{name}: {per_million(total / count)}" for name, total in zip(names, totals, strict=True)]
    longest = max(map(sum, zip(*lengths.values(), strict=True)))
    title = "part of its cost, %" if shares else _COST
    x: dict[str, Any] = {"title": {"text": title}, "range": [0.0, 1.02 * longest or 1.0]}
    x |= {"ticksuffix": " %"} if shares else {"tickprefix": "$", "separatethousands": True}
    rows = [
        [
            entry.look.marked,
            *(per_million(entry.run.cost_split[name] / count) for name in STATES),
            per_million(entry.run.total_cost / count),
            *(percent(part(entry.run.cost_split[name], entry.run.total_cost)) for name in STATES),
        ]
        for entry in entries
    ]
    headers = ["Policy", *map(str.capitalize, STATES), "Total", *(f"{name.capitalize()}, %" for name in STATES)]
    per = "Each bar is all that the policy costs; beside its name, dollars" if shares else "Dollars"
    return Chart(
        "What is paid for",
        paid_for(chapter),
        f"{per} per million invocations. An instance is billed from the start of its initialization to its end."
        f"{footnote(chapter)}",
        Table(headers, rows),
        data,
        _bars(len(entries), x, sums, barmode="stack"),
        note=state_key(),
    )


def by_function(chapter: Chapter) -> Chart:
    """Draw what each function costs, one row a function and one mark a policy."""
    names, count = chapter.application.names, max(chapter.first.count, 1)
    costs = {
        entry.look.number: {each.name: _MILLION * each.cost / count for each in entry.run.functions}
        for entry in chapter.entries
    }
    data = []
    values: list[float] = []
    for turn, entry in enumerate(chapter.entries):
        # A little above one another, so that equal costs are all seen.
        lift = _MIDDLE + _LIFT * (turn % 3 - 1)
        paid = [(at, costs[entry.look.number][name]) for at, name in enumerate(names)]
        paid = [(at, dollars) for at, dollars in paid if dollars > 0.0]
        hover = [
            _hover(entry.look.marked, f"{names[at]}: {per_million(dollars / _MILLION)} per million invocations")
            for at, dollars in paid
        ]
        values += [dollars for _, dollars in paid]
        data.append(_marks(entry.look, [dollars for _, dollars in paid], [at + lift for at, _ in paid], hover))
    shapes = [
        {
            "type": "line",
            "layer": "below",
            "x0": 0,
            "x1": 1,
            "xref": "x domain",
            "y0": at + _MIDDLE,
            "y1": at + _MIDDLE,
            "line": {"color": "var(--grid)", "width": 1},
        }
        for at in range(len(names))
    ]
    rows = [
        [entry.look.marked, *(per_million(costs[entry.look.number][name] / _MILLION) for name in names)]
        for entry in chapter.ranked
    ]
    x = spread_axis(values or [1.0], _COST, room=0.05)
    return Chart(
        "Cost by function",
        dearest_function(chapter, costs),
        f"One mark a policy in the row of each function.{footnote(chapter)}",
        Table(["Policy", *names], rows),
        data,
        _bars(len(names), x, [plotted(name) for name in names], shapes=shapes, hovermode="closest"),
        keys=[Key(entry.look, (at,)) for at, entry in enumerate(chapter.entries)],
    )


def frontier_chart(chapter: Chapter, frontier: Frontier) -> Chart:
    """Draw what plans cost against the SLA or the attainment, with what the policies cost in fact."""
    over_sla = frontier.over == "sla"
    run, points = chapter.first, frontier.points
    planned = [_MILLION * point.cost for point in points]
    priced = [entry for entry in chapter.entries if math.isfinite(entry.run.cost)]
    if over_sla:
        place = [point.sla for point in points]
        longest = max(place[-1], run.sla)
        x = seconds_axis([*place, run.sla, longest], "SLA, seconds")
        stands = [run.sla for _ in priced]
        where = [seconds(point.sla) for point in points]
    else:
        attained = [point.attainment for point in points]
        axis = AttainmentAxis.of(
            [*attained, *(entry.run.attainment for entry in priced)], target=run.target, count=run.count
        )
        place = [axis.at(each) for each in attained]
        x = axis.axis("attainment")
        stands = [axis.at(entry.run.attainment) for entry in priced]
        where = [reached(each) for each in attained]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "plans",
            "x": place,
            "y": planned,
            "line": {"color": "var(--ink)", "width": 2, "shape": "hv" if over_sla else "vh"},
            "marker": {"size": 5, "color": "var(--ink)"},
            "hoverinfo": "text",
            "hovertext": [
                _hover(f"plan at {there}", f"{per_million(point.cost)} per million invocations")
                for there, point in zip(where, points, strict=True)
            ],
        }
    ]
    for (look, ran), at in zip(priced, stands, strict=True):
        hover = _hover(
            look.marked, f"{per_million(ran.cost)} per million invocations", f"attainment {reached(ran.attainment)}"
        )
        data.append(_marks(look, [at], [_MILLION * ran.cost], [hover]))
    costs = planned + [_MILLION * entry.run.cost for entry in priced]
    if over_sla:
        headers, rule = ["SLA", "Cost per million", "Attainment", "Gap"], line(x=run.sla, text="SLA")
    else:
        headers, rule = ["Attainment", "Cost per million", "Gap"], line(x=axis.at(run.target), text="target")
    rows = [
        [
            there,
            per_million(point.cost),
            *([reached(point.attainment)] if over_sla else []),
            percent(point.solution.gap),
        ]
        for there, point in zip(where, points, strict=True)
    ]
    against = "SLA" if over_sla else "attainment"
    return Chart(
        "The frontier",
        along(chapter, frontier, over_sla=over_sla),
        f"The staircase is the cheapest plan found for each {against}; marks are what policies cost when they served "
        f"the trace.{footnote(chapter)}",
        Table(headers, rows),
        data,
        styled(380, x, spread_axis(costs, _COST), shapes=[rule], hovermode="closest"),
        keys=[Key(entry.look, (at,)) for at, entry in enumerate(priced, 1)],
    )


# -- what is drawn --------------------


def state(name: str, color: str | Sequence[str]) -> dict[str, Any]:
    """Return how instances in a state are drawn, in the color of a policy: solid, hatched or pale."""
    if name == "busy":
        return {"color": color, "line": {"width": 1, "color": color}}
    if name == "idle":
        return {"color": color, "opacity": 0.28, "line": {"width": 1, "color": color}}
    pattern = {"shape": "/", "fillmode": "replace", "size": 6, "solidity": 0.45}
    return {"color": color, "line": {"width": 1, "color": color}, "pattern": pattern}


def state_key() -> Html:
    """Return the legend of the states."""
    marks = "".join(f'<li><span class="state {name}" aria-hidden="true"></span> {name}</li>' for name in STATES)
    return Html(f'<ul class="legend states" aria-label="What instances were doing">{marks}</ul>')


def _bars(rows: int, x: dict[str, Any], names: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return the layout of rows from the top down, each with its name above it: so it fits on a phone."""
    notes = [
        {
            "xref": "paper",
            "x": 0,
            "xanchor": "left",
            "y": at - 0.24,
            "yanchor": "bottom",
            "text": name,
            "showarrow": False,
            "font": {"size": 13},
        }
        for at, name in enumerate(names)
    ]
    y = {"range": [rows - 0.5, -0.72], **BARE}
    return styled(_ROW * rows + 62, x, y, annotations=notes, **more)


def _marks(look: Look, x: list[float], y: list[float], hover: list[str]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plotted(look.marked),
        "x": x,
        "y": y,
        "marker": {
            "color": look.color,
            "symbol": look.symbol,
            "size": 12,
            "line": {"width": 1, "color": "var(--card)"},
        },
        "hoverinfo": "text",
        "hovertext": hover,
    }


def _left_is_free(marks: Sequence[tuple[float, float]], axis: AttainmentAxis, x: dict[str, Any]) -> bool:
    """Whether there is more room for the name of the target at the left end of its line than at the right one."""
    if not marks:
        return False
    start: float
    start, end = x["range"]
    places = [((math.log10(at) if x["type"] == "log" else at) - start) / (end - start) for at, _ in marks]
    near = sorted(zip((abs(y - axis.at(axis.target)) for _, y in marks), places, strict=True))[:2]
    return bool(min(place for _, place in near) > 1.0 - max(place for _, place in near))


def _hover(head: str, *lines: str) -> str:
    return "<br>".join([f"<b>{plotted(head)}</b>", *map(plotted, lines)])


def _curve(responses: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Return the distribution of responses as steps at quantiles, exact at each, closest in the tail."""
    if not len(responses):
        return [], []
    ordered = np.sort(responses)
    count = len(ordered)
    ranks: NDArray[np.int64] = np.arange(1, count + 1)
    if count > _POINTS:
        tail = count - np.geomspace(1, count, _POINTS // 4) + 1
        ranks = np.unique(np.rint(np.concatenate((np.linspace(1, count, _POINTS - _POINTS // 4 - 1), tail))))
    times = np.unique(ordered[ranks.astype(np.int64) - 1])
    within = np.searchsorted(ordered, times, "right") / count
    return [float(times[0]), *times.tolist()], [0.0, *(100.0 * within).tolist()]
