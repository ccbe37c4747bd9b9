"""The page of a backtest: what each method costs at what misses, and whether forecasts were right."""

from __future__ import annotations

import math
import os
from typing import Any

from smiless_core.backtests import Backtest, Curve
from smiless_core.backtests.results import LEAST_GAPS, SHOWN, counted
from smiless_core.errors import InvalidInputError
from smiless_core.placing import place_file
from smiless_core.report.axes import line, styled
from smiless_core.report.lineup import DAGGER, Look
from smiless_core.report.markup import Chart, Key, Table, figure, plotted, sentence, table, words
from smiless_core.report.shell import command_block, versions_table, whole_page
from smiless_core.solver.formatting import brief_seconds, percent
from smiless_core.validation import shown, text

__all__ = ["backtest_page", "write_backtest"]

_LEAST = 1e-3  # of misses: what the axis begins with
_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_COSTS = (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000)


def write_backtest(path: str | os.PathLike[str], found: Backtest, *, command: str | None = None) -> None:
    """Write a backtest as one HTML page that holds all it needs; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced.
    found : Backtest
    command : str, optional
        What to run to get it again.

    Raises
    ------
    InvalidInputError
        If an argument is wrong, or the file cannot be written.
    MissingExtraError
        If plotly is not installed.
    """
    place_file(path, backtest_page(found, command=command).encode("utf-8"))


def backtest_page(found: Backtest, *, command: str | None = None) -> str:
    """Return a backtest as one HTML page that holds all it needs; see `write_backtest`."""
    if not isinstance(found, Backtest):
        raise InvalidInputError(f"expected a Backtest, got {shown(found)}", place="found")
    asked = None if command is None else text(command, "command")
    scene = found.scene
    looks = [
        Look(number, each.method, each.fidelity.startswith("simplified")) for number, each in enumerate(found.curves, 1)
    ]
    drawn = list(zip(looks, found.curves, strict=True))
    facts = [
        counted(scene["functions"], "function"),
        counted(scene["gaps"], "gap"),
        f"cold start {brief_seconds(scene['cold_start'])}",
        *([f"{scene['placement']} placement"] if scene["placement"] else []),
    ]
    parts = [
        '<section id="overview">',
        "<h2>Cost against misses</h2>",
        f'<p class="lead">{sentence(_summary(found))}</p>',
        f'<p class="facts">{" &middot; ".join(words(fact) for fact in facts)}</p>',
        *(["<h3>Settings in hindsight</h3>", _hindsight(drawn)] if drawn else []),
        *(["<h3>Targets without hindsight</h3>", _targets(found)] if found.kept else []),
        *(["<h3>Left out</h3>", _left_out(found)] if found.failures else []),
    ]
    if drawn:
        parts.append(figure("frontier", _frontier(drawn, found, mean=False), subject="all arrivals"))
        parts.append(figure("frontier-mean", _frontier(drawn, found, mean=True), subject="means over functions"))
    parts.append("</section>")
    links = [("overview", "Cost against misses")]
    if charts := [chart for chart in (_calibration(drawn), _positions(drawn)) if chart is not None]:
        links.append(("forecasts", "Forecasts"))
        parts += ['<section id="forecasts">', "<h2>Forecasts</h2>"]
        parts += [figure(f"forecasts-{k}", chart, subject="forecasts") for k, chart in enumerate(charts, 1)]
        parts.append("</section>")
    links.append(("again", "How to reproduce"))
    parts += ['<section id="again">', "<h2>How to reproduce</h2>"]
    if asked is not None:
        parts.append(command_block(asked))
    parts += [versions_table(), "</section>"]
    count = len(found.curves)
    title = f"{count} {'method' if count == 1 else 'methods'} on {counted(scene['functions'], 'function')}"
    return whole_page(title, links, "\n".join(parts))


def _summary(found: Backtest) -> str:
    """Say which method costs least at 2 % of misses."""
    at = 0.02
    costs = {each.method: each.cost_at(at) for each in found.curves}
    costs = {name: cost for name, cost in costs.items() if not math.isnan(cost)}
    if not costs:
        return f"No method here misses as few as {percent(at)} of the arrivals."
    best, *others = sorted(costs, key=lambda name: costs[name])
    against = f", against {costs[others[0]]:.2f} times for {others[0]}, the next one" if others else ""
    return f"At {percent(at)} of misses, {best} costs {costs[best]:.2f} times what a clairvoyant pays{against}."


def _hindsight(drawn: list[tuple[Look, Curve]]) -> str:
    headers = ["Method", *(f"Cost at {percent(at)}" for at in SHOWN), *(f"Mean at {percent(at)}" for at in SHOWN)]
    rows = [
        [
            look.marked,
            *(_times(curve.cost_at(at)) for at in SHOWN),
            *(_times(curve.cost_at(at, mean=True)) for at in SHOWN),
            curve.fidelity,
        ]
        for look, curve in drawn
    ]
    note = (
        f"<p>Cost over that of a clairvoyant, at the best settings in hindsight: of all arrivals together, and as the "
        f"mean over functions with {LEAST_GAPS} gaps or more. {DAGGER} Simplified, as told.</p>"
    )
    return table(Table([*headers, "Fidelity"], rows, (0, len(headers))), "Methods in hindsight") + note


def _targets(found: Backtest) -> str:
    rows = [
        [
            f"{kept.kind}, {percent(kept.target.misses)}",
            percent(point.misses),
            _times(point.cost),
            percent(point.mean_misses) if not math.isnan(point.mean_misses) else "-",
            _times(point.mean_cost),
            percent(worst) if not math.isnan(worst := found.worst(kept)) else "-",
            f"{kept.unreachable:,}",
        ]
        for kept, point in zip(found.kept, found.kept_points(), strict=True)
    ]
    headers = ["Target", "Misses", "Cost", "Mean misses", "Mean cost", "Worst function", "Unreachable"]
    return table(Table(headers, rows), "Targets without hindsight")


def _left_out(found: Backtest) -> str:
    rows = [[method, why] for method, why in found.failures.items()]
    return table(Table(["Method", "Why"], rows, (0, 1)), "Methods left out")


def _times(cost: float) -> str:
    return "-" if math.isnan(cost) else f"{cost:.2f}"


def _frontier(drawn: list[tuple[Look, Curve]], found: Backtest, *, mean: bool) -> Chart:
    """Draw cost against misses, one line a method and one mark a target."""
    data: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    for look, curve in drawn:
        pairs = sorted(
            (misses, cost, point.setting)
            for point in curve.points
            for misses, cost in [(point.mean_misses, point.mean_cost) if mean else (point.misses, point.cost)]
            if not math.isnan(misses + cost)
        )
        rows += [[look.marked, setting, percent(misses), _times(cost)] for misses, cost, setting in pairs]
        best = math.inf
        seen = []
        for misses, cost, setting in pairs:  # of many settings only those that are worth it
            if cost < best:
                best = cost
                seen.append((max(misses, _LEAST), cost, setting))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": plotted(look.marked),
                "legendgroup": str(look.number),
                "x": [each[0] for each in seen],
                "y": [each[1] for each in seen],
                "text": [plotted(each[2]) for each in seen],
                "marker": {"color": look.color, "symbol": look.symbol, "size": 7},
                "line": {"color": look.color, "width": 2, "dash": look.dash},
                "hovertemplate": "%{x:.2%} missed at %{y:.2f} times the clairvoyant<br>%{text}",
            }
        )
    for point in found.kept_points():
        misses, cost = (point.mean_misses, point.mean_cost) if mean else (point.misses, point.cost)
        if math.isnan(misses + cost):
            continue
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plotted(point.setting),
                "x": [max(misses, _LEAST)],
                "y": [cost],
                "marker": {"color": "var(--ink)", "symbol": "star", "size": 10},
                "hovertemplate": f"{plotted(point.setting)}: %{{x:.2%}} at %{{y:.2f}}",
            }
        )
    costs = [cost for trace in data for cost in trace["y"]] or [1.0]
    x = {
        "title": {"text": "arrivals missed (log scale)"},
        "type": "log",
        "range": [math.log10(_LEAST) - 0.05, 0.05],
        "tickvals": list(_TICKS),
        "ticktext": [percent(each) for each in _TICKS],
        "tickangle": 0,
    }
    low, high = min(costs), max(costs)
    y = {
        "title": {"text": "cost / clairvoyant (log scale)"},
        "type": "log",
        "range": [math.log10(low) - 0.05, math.log10(max(high, 1.2 * low)) + 0.05],
        "tickvals": list(_COSTS),
        "ticktext": [f"{each:g}" for each in _COSTS],
    }
    stars = " Stars are targets that were kept without hindsight." if found.kept else ""
    of = f"means over functions with {LEAST_GAPS} gaps or more" if mean else "of all arrivals together"
    return Chart(
        "Frontier" if not mean else "Frontier, mean over functions",
        f"Further down and to the left is better: cost and misses, {of}.",
        f"Each line is one method, each mark one of its settings.{stars} A clairvoyant pays for the shorter of each "
        "gap and a cold start.",
        Table(["Method", "Setting", "Missed", "Cost / clairvoyant"], rows, (0, 1)),
        data,
        styled(440, x, y, hovermode="closest"),
        keys=[Key(look, (at,)) for at, (look, _) in enumerate(drawn)],
    )


def _calibration(drawn: list[tuple[Look, Curve]]) -> Chart | None:
    """Draw stated against realized misses."""
    data: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    keys: list[Key] = []
    for look, curve in drawn:
        points = [point for point in curve.points if not math.isnan(point.stated)]
        if not points:
            continue
        keys.append(Key(look, (len(data),)))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "legendgroup": str(look.number),
                "name": plotted(look.marked),
                "x": [max(point.stated, _LEAST) for point in points],
                "y": [max(point.misses, _LEAST) for point in points],
                "marker": {"color": look.color, "symbol": look.symbol, "size": 7},
                "line": {"color": look.color, "width": 1, "dash": look.dash},
                "hovertemplate": "stated %{x:.2%}, came %{y:.2%}",
            }
        )
        rows += [[look.marked, point.setting, percent(point.stated), percent(point.misses)] for point in points]
    if not data:
        return None
    axis = {
        "type": "log",
        "range": [math.log10(_LEAST) - 0.05, 0.05],
        "tickvals": list(_TICKS),
        "ticktext": [percent(each) for each in _TICKS],
        "tickangle": 0,
    }
    even = {
        "type": "line",
        "layer": "below",
        "x0": _LEAST,
        "y0": _LEAST,
        "x1": 1,
        "y1": 1,
        "line": {"color": "var(--rule)", "width": 1.5, "dash": "dash"},
    }
    return Chart(
        "Calibration",
        "Stated against realized misses: on the dashed line, what was stated came true.",
        "Below the line fewer arrivals were missed than stated, above it more.",
        Table(["Method", "Setting", "Stated", "Realized"], rows, (0, 1)),
        data,
        styled(
            400,
            {"title": {"text": "misses stated (log scale)"}, **axis},
            {"title": {"text": "misses realized (log scale)"}, **axis},
            shapes=[even],
            hovermode="closest",
        ),
        keys=keys,
    )


def _positions(drawn: list[tuple[Look, Curve]]) -> Chart | None:
    """Draw the histogram of the probability integral transform."""
    data: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    keys: list[Key] = []
    for look, curve in drawn:
        if curve.positions is None:
            continue
        bars = curve.positions.tolist()
        width = 1.0 / len(bars)
        keys.append(Key(look, (len(data),)))
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "legendgroup": str(look.number),
                "name": plotted(look.marked),
                "x": [width * k for k in range(len(bars) + 1)],
                "y": [*(bar / width for bar in bars), bars[-1] / width],
                "line": {"color": look.color, "width": 2, "dash": look.dash, "shape": "hv"},
                "hovertemplate": "%{y:.2f} at %{x:.2f}",
            }
        )
        rows += [[look.marked, f"{width * k:.2f}", f"{bar / width:.3f}"] for k, bar in enumerate(bars)]
    if not data:
        return None
    return Chart(
        "Where gaps lay in their forecasts",
        "The histogram of forecast probabilities of what came (probability integral transform): level where forecasts "
        "are right.",
        "High at both ends: forecasts are too sure. High in the middle: they are too unsure. Higher on the left: gaps "
        "are shorter than forecast.",
        Table(["Method", "From", "Density"], rows),
        data,
        styled(
            320,
            {"title": {"text": "forecast probability of a gap no longer"}, "range": [0, 1]},
            {"title": {"text": "density"}, "rangemode": "tozero"},
            shapes=[line(y=1.0)],
            hovermode="closest",
        ),
        keys=keys,
    )
