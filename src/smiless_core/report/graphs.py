"""The application as a picture: its functions in layers, the critical path, and what each one mostly ran on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from smiless_core.model.application import Application
from smiless_core.report.lineup import Entry
from smiless_core.report.markup import Chart, Html, Table, words
from smiless_core.simulator.runs import FunctionRun, Usage
from smiless_core.solver.formatting import brief_seconds, percent
from smiless_core.timing import response_times

__all__ = ["diagram"]

_BOX, _BEND = (180, 66), 14  # pixels: a function, and the height of an edge that passes a layer
_APART, _BETWEEN = 22, 34  # pixels: within a layer, and from layer to layer
_MARGIN = 4
_SWEEPS = 4
_LONGEST, _TIGHT = 24, 18  # characters of a name that fit, and that fit whatever the typeface


class _Place(NamedTuple):
    x: float
    y: float  # of the middle
    width: float


def diagram(entry: Entry) -> Chart:
    """Draw an application with what its functions mostly ran on under a policy."""
    run = entry.run
    application = run.application
    mostly = {function.name: function.mostly for function in run.functions if function.usage}
    latency = [mostly[name].latency if name in mostly else 0.0 for name in application.names]
    timing = response_times(application.predecessors, latency, order=application.order, bound=application.sla)
    path = timing.critical_path
    total, sla = brief_seconds(timing.latency), brief_seconds(application.sla)
    names = [application.names[v] for v in path]
    chain = " \N{RIGHTWARDS ARROW} ".join(
        names if len(names) <= 6 else [*names[:2], "\N{HORIZONTAL ELLIPSIS}", names[-1]]
    )
    beyond = timing.latency > application.sla
    within = f"{total}, more than the SLA of {sla}" if beyond else f"{total} of the SLA of {sla}"
    rows = []
    for v, function in enumerate(run.functions):
        used = mostly.get(function.name)
        rows.append(
            [
                function.name,
                ", ".join(application.names[u] for u in application.predecessors[v]) or "-",
                str(used.configuration) if used else "nothing",
                brief_seconds(used.latency) if used else "-",
                percent(_part(function, used)) if used else "-",
                "yes" if v in path else "no",
            ]
        )
    headers = ["Function", "Waits for", "Mostly ran on", "Latency", "Part of its billed time", "Critical"]
    return Chart(
        "The application",
        f"The critical path is {chain}: {within} when everything is ready.",
        "Each function with what it ran on for most of the time that was billed, and its latency on that as planned; "
        "the critical path has thick lines.",
        Table(headers, rows, (0, 1, 2, 5)),
        drawing=_drawn(application, {function.name: function for function in run.functions}, mostly, path),
    )


def _part(function: FunctionRun, used: Usage) -> float:
    total = sum(each.seconds for each in function.usage)
    return used.seconds / total if total else 0.0


# -- layered layout --------------------


def layers(predecessors: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """Return the layer of each function: the length of the longest way to it, in edges."""
    layer = [0] * len(predecessors)
    for v in order:
        layer[v] = max((layer[u] + 1 for u in predecessors[v]), default=0)
    return layer


def _drawn(
    application: Application, functions: Mapping[str, FunctionRun], mostly: Mapping[str, Usage], path: Sequence[int]
) -> Html:
    places, routes, width, height = _laid_out(application)
    critical = {(path[k], path[k + 1]) for k in range(len(path) - 1)}
    parts = []
    # Critical edges last, above the others.
    for edge, route in sorted(routes.items(), key=lambda each: each[0] in critical):
        kind = "edge critical" if edge in critical else "edge"
        parts.append(f'<path class="{kind}" d="{_curve(route)}"/>')
    for v, name in enumerate(application.names):
        place, used = places[v], mostly.get(name)
        x, y = place.x, place.y - _BOX[1] / 2
        kind = f"function {used.configuration.hardware if used else 'none'}" + " critical" * (v in path)
        short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
        squeezed = f' textLength="{_BOX[0] - 20}" lengthAdjust="spacingAndGlyphs"' if len(short) > _TIGHT else ""
        first, second = "nothing ran", ""
        if used:
            first = str(used.configuration)
            second = f"{brief_seconds(used.latency)}, {percent(_part(functions[name], used))} of the time"
        parts.append(
            f'<g class="{kind}"><title>{words(name)}</title>'
            f'<rect x="{x:g}" y="{y:g}" width="{_BOX[0]}" height="{_BOX[1]}" rx="7"/>'
            f'<text class="name" x="{x + 10:g}" y="{y + 21:g}"{squeezed}>{words(short)}</text>'
            f'<text x="{x + 10:g}" y="{y + 39:g}">{words(first)}</text>'
            f'<text x="{x + 10:g}" y="{y + 56:g}">{words(second)}</text></g>'
        )
    described = "; ".join(f"{source} before {target}" for source, target in application.edges) or "no edges"
    return Html(
        f'<div class="scroll dag" role="region" tabindex="0" aria-label="The graph of functions">'
        f'<svg width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{words(described)}">{"".join(parts)}</svg></div>'
    )


def _laid_out(
    application: Application,
) -> tuple[dict[int, _Place], dict[tuple[int, int], list[_Place]], float, float]:
    """Place functions in layers from left to right; an edge past a layer gets a place of its own in it."""
    index = application.index
    layer = layers(application.predecessors, application.order)
    columns: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for v in application.order:
        columns[layer[v]].append(v)
    chains: dict[tuple[int, int], list[int]] = {}
    links: list[tuple[int, int]] = []
    fresh = len(layer)
    for source, target in application.edges:
        u, v = index[source], index[target]
        passed = list(range(fresh, fresh + layer[v] - layer[u] - 1))
        fresh += len(passed)
        for k, bend in enumerate(passed, layer[u] + 1):
            columns[k].append(bend)
        chains[u, v] = [u, *passed, v]
        links += zip(chains[u, v], chains[u, v][1:], strict=False)
    _uncrossed(columns, links)
    tall = {each: _BOX[1] if each < len(layer) else _BEND for column in columns for each in column}
    heights = [sum(tall[each] for each in column) + _APART * (len(column) - 1) for column in columns]
    places: dict[int, _Place] = {}
    for k, column in enumerate(columns):
        y = _MARGIN + (max(heights) - heights[k]) / 2
        for each in column:
            places[each] = _Place(_MARGIN + k * (_BOX[0] + _BETWEEN), y + tall[each] / 2, _BOX[0])
            y += tall[each] + _APART
    width = 2 * _MARGIN + len(columns) * _BOX[0] + (len(columns) - 1) * _BETWEEN
    routes = {edge: [places[each] for each in chain] for edge, chain in chains.items()}
    return places, routes, width, 2 * _MARGIN + max(heights)


def _uncrossed(columns: list[list[int]], links: Sequence[tuple[int, int]]) -> None:
    """Order each layer by the mean place of its neighbors in the layer before, and back again, a few times."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for u, v in links:
        after.setdefault(u, []).append(v)
        before.setdefault(v, []).append(u)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        neighbors = before if forward else after
        for k in range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1):
            other = columns[k - 1 if forward else k + 1]
            # From 0 to 1, so that layers of different lengths compare.
            place = {each: (at + 0.5) / len(other) for at, each in enumerate(other)}
            own = {each: (at + 0.5) / len(columns[k]) for at, each in enumerate(columns[k])}

            def mean(
                each: int,
                near: dict[int, list[int]] = neighbors,
                place: dict[int, float] = place,
                own: dict[int, float] = own,
            ) -> float:
                known = near.get(each)
                return sum(place[other] for other in known) / len(known) if known else own[each]

            columns[k].sort(key=mean)


def _curve(route: Sequence[_Place]) -> str:
    """Return the path of an edge: level through every place that it passes, and curved in between."""
    x, y = route[0].x + route[0].width, route[0].y
    parts = [f"M{x:g},{y:g}"]
    for place in route[1:]:
        bend = (place.x - x) / 2
        parts.append(f"C{x + bend:g},{y:g} {place.x - bend:g},{place.y:g} {place.x:g},{place.y:g}")
        x, y = place.x, place.y
        if place is not route[-1]:
            x += place.width
            parts.append(f"H{x:g}")
    return "".join(parts)
