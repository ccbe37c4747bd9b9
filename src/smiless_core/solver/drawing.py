"""The schedules of a plan, drawn against the time since the previous arrival.

Every function has a bar that shows what an arrival finds which comes so long after the one before: its work comes at
the same time after its arrival, so that the bars of all functions share one axis, and with the distribution of X.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.model.configuration import Readiness
from smiless_core.solver.formatting import brief_seconds, shown_end, usual_gap, wrapped

if TYPE_CHECKING:
    from smiless_core.solver.joint import Aimed
    from smiless_core.solver.solution import Solution

__all__ = ["timeline"]

Floats = NDArray[np.float64]

_RAMP = ".:-+*%@"  # from unlikely to likely
_READY, _STARTING, _SERVING = "=", ">", "#"
_DRAWN = 3  # instances of a function
_LONG = 10.0  # times the usual gaps, where an axis is logarithmic anyhow
_WIDE = 8.0  # ratio of the usual gaps from which on the axis is logarithmic
_TICK = 10  # columns between two labels, at least
_ORDINALS = {2: "2nd", 3: "3rd"}


class _Bar(NamedTuple):
    """One instance: its name, its level, its stays (start, ready and until, seconds), and how long it serves."""

    label: str
    level: int
    stays: Floats
    serving: float


def timeline(solution: Solution, aimed: Aimed, *, width: int) -> str:
    """Draw when instances are there.

    Parameters
    ----------
    solution : Solution
        Arrivals that are not deterministic.
    aimed : Aimed
        The plan to draw.
    width : int
        Columns to stay within.

    Returns
    -------
    str
        Lines without trailing spaces: an axis, the distribution of X, the bars, and what their signs mean.
    """
    from rich.cells import cell_len, set_cell_size

    bars = list(_bars(solution, aimed))
    labels = ["invocations", *(bar.label for bar in bars)]
    margin = min(max(map(cell_len, labels)), max(width // 3, 16))
    edges, logarithmic = _axis(solution.arrivals, bars, width - margin - 3)
    drawn = [(bar.label, cells) for bar in bars if bar.level <= _DRAWN and _shows(bar, cells := _drawn(bar, edges))]

    def line(label: str, cells: str, mark: str) -> str:
        if cell_len(label) > margin:
            label = set_cell_size(label, margin - 2) + ".."
        return f"{set_cell_size(label, margin)} {mark}{cells}{mark}".rstrip()

    ticks, rule = _ticks(edges, logarithmic=logarithmic)
    scale = ", logarithmic" * logarithmic
    heading = f"What an invocation finds by the time since the one before{scale}:"
    lines = [wrapped(heading, width), line("", ticks, " "), line("", rule, "+")]
    lines.append(line(labels[0], _histogram(solution.arrivals, edges), "|"))
    lines += [line(label, cells, "|") for label, cells in drawn]
    legend = " ".join(_legend([cells for _, cells in drawn], bars, len(bars) - len(drawn), float(edges[-1])))
    return "\n".join([*lines, wrapped(legend, width)])


def _bars(solution: Solution, aimed: Aimed) -> Iterator[_Bar]:
    """Yield what there is to draw: the ready set, and the instances of each function that have a schedule."""
    choice = aimed.search.choice
    assert choice is not None
    compiled, pricing = solution.compiled, solution.compiled.pricing(solution.arrivals)
    rows = compiled.rows(choice).tolist()
    modes = [compiled.mode(row) for row in rows]
    if len(modes) > 1 and any(mode.readiness is Readiness.PREWARMED for mode in modes):
        ready = np.array(solution.closest.ready_set).reshape(-1, 2)
        yield _Bar("ready set", 1, ready[:, [0, 0, 1]], 0.0)
    for name, row, mode in zip(solution.problem.application.names, rows, modes, strict=True):
        for level, stays in enumerate(pricing.schedules(row, aimed.wanted), 1):
            if level == 1 or len(stays):
                seconds = np.where(stays < np.iinfo(np.int64).max, stays / 1e9, math.inf)
                yield _Bar(name if level == 1 else f"  {_ORDINALS.get(level, '')}", level, seconds, mode.latency)


def _shows(bar: _Bar, cells: str) -> bool:
    """Whether a bar has anything to show; that of the first instance is its absence, too."""
    return bar.level == 1 or _READY in cells


def _axis(arrivals: Arrivals, bars: Sequence[_Bar], across: int) -> tuple[Floats, bool]:
    """Return the edges of the columns, seconds, and whether they are in geometric steps."""
    rarest = arrivals.quantile(0.999)
    last = rarest
    usual = usual_gap(arrivals)
    last = max(last, *(shown_end(_last(bar), usual) for bar in bars))
    last *= 1.02  # an arrival at the very end has a column, too
    if arrivals.quantile(0.95) < _WIDE * arrivals.quantile(0.05) and last < _LONG * arrivals.quantile(0.5):
        return np.linspace(0.0, last, across + 1), False
    starts = [start for bar in bars if bar.level == 1 for start, ready, _ in bar.stays if start < ready]
    first = 0.9 * min(arrivals.quantile(0.002), *starts, *(bar.serving for bar in bars if bar.serving))
    first = max(first, min(1e-4 * last, 0.9 * arrivals.quantile(0.05)))
    return np.geomspace(first, last, across + 1), True


def _last(bar: _Bar) -> float:
    """Return when an instance is let go for good, seconds; 0 where it never is."""
    return float(bar.stays[np.isfinite(bar.stays)].max(initial=0.0))


def _drawn(bar: _Bar, edges: Floats) -> str:
    low, high = edges[:-1], edges[1:]
    cells = np.full(len(low), " ")
    cells[high <= bar.serving] = _SERVING
    for start, ready, _ in bar.stays:
        if start < ready:
            cells[(low < ready) & (high > start)] = _STARTING
    for _, ready, until in bar.stays:
        cells[(low <= until) & (high > ready)] = _READY
    return "".join(cells)


def _histogram(arrivals: Arrivals, edges: Floats) -> str:
    survival = np.concatenate(([1.0], arrivals.survival(edges[1:-1]), [0.0]))
    likely = -np.diff(survival)
    steps = np.ceil(likely / likely.max() * len(_RAMP)).astype(int)
    return "".join(
        " " if chance < 1e-9 else _RAMP[max(step, 1) - 1] for chance, step in zip(likely, steps, strict=True)
    )


def _ticks(edges: Floats, *, logarithmic: bool) -> tuple[str, str]:
    """Return the labels of the axis, and the axis."""
    across = len(edges) - 1
    labels, rule = [" "] * across, ["-"] * across
    free = 0
    for tick in _tick_times(edges, across, logarithmic=logarithmic):
        column = int(np.searchsorted(edges, tick * (1 + 1e-9), "right")) - 1
        text = brief_seconds(tick)
        if free <= column and column + len(text) <= across:
            rule[column] = "+"
            labels[column : column + len(text)] = text
            free = column + len(text) + 2
    return "".join(labels), "".join(rule)


def _tick_times(edges: Floats, across: int, *, logarithmic: bool) -> Iterator[float]:
    first, last = float(edges[0]), float(edges[-1])
    if logarithmic:
        decades = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
        room = across / max(math.log10(last / first), 1e-9)
        within = (1, 2, 5) if room >= 4 * _TICK else (1, 3) if room >= 2.5 * _TICK else (1,)
        times = [step * 10.0**decade for decade in decades for step in within]
    else:
        rough = last / max(across // (_TICK + 2), 1)
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= rough * (1 - 1e-9))
        times = [step * k for k in range(int(last / step) + 1)]
    yield from (time for time in times if first * (1 - 1e-9) <= time <= last)


def _legend(drawn: Sequence[str], bars: Sequence[_Bar], left_out: int, end: float) -> Iterator[str]:
    signs = {
        _READY: "= ready",
        _STARTING: "> still starting",
        _SERVING: "# still serving",
        " ": "blank: nothing there",
    }
    seen = {sign for cells in drawn for sign in cells}
    yield f"{', '.join(words for sign, words in signs.items() if sign in seen)}."
    yield f"Invocations are marked from {_RAMP[0]} (unlikely) to {_RAMP[-1]} (likely)."
    if end < (last := max(_last(bar) for bar in bars if bar.level == 1)):
        yield f"Stays go on beyond the axis, up to {brief_seconds(last)}, where hardly any invocation comes."
    if any(bar.level > 1 for bar in bars):
        others = f" ({left_out} are not drawn)" if left_out else ""
        yield f"Further instances{others} serve when the others are busy; theirs is the time since they served last."
