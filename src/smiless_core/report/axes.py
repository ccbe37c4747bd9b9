"""Axes that fit what they carry, and the layout that all charts share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from smiless_core.solver.formatting import brief_seconds, dollars, share

__all__ = ["BARE", "AttainmentAxis", "line", "seconds_axis", "spread_axis", "styled"]

_WIDE = 8.0  # times as much at one end as at the other calls for a logarithmic axis
_STRETCHED = 8.0  # times as many misses as the target allows call for a stretched one
_NINES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 0.99999)
_GRAPH = {
    "gridcolor": "var(--grid)",
    "linecolor": "var(--axis)",
    "tickcolor": "var(--axis)",
    "zeroline": False,
    "automargin": True,
}


BARE = {"showticklabels": False, "showgrid": False, "showline": False, "ticks": "", "fixedrange": True}
"""Of an axis whose rows carry their names within the chart."""


def styled(height: int, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a layout in the colors of the page.

    Parameters
    ----------
    height : int
        Pixels.
    x, y : dict
        The axes.
    **more
        Whatever else.
    """
    return {
        "height": height,
        "margin": {"l": 8, "r": 14, "t": 14, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 13, "color": "var(--ink)"},
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--axis)",
            "font": {"family": "var(--sans)", "size": 13, "color": "var(--ink)"},
            "align": "left",
            "namelength": -1,
        },
        "showlegend": False,
        "xaxis": {**_GRAPH, **_titled(x)},
        "yaxis": {**_GRAPH, **_titled(y)},
        **more,
    }


def _titled(axis: dict[str, Any]) -> dict[str, Any]:
    title = {"font": {"size": 13}, "standoff": 8, **axis["title"]} if "title" in axis else {"text": ""}
    return {**axis, "title": title}


def line(
    *, x: float | None = None, y: float | None = None, text: str = "", dash: str = "dash", left: bool = False
) -> dict[str, Any]:
    """Return a rule across a chart, upright at `x` or level at `y`, with its name at its top, its right or left end."""
    upright = x is not None
    ends = {"x0": x, "x1": x, "y0": 0, "y1": 1} if upright else {"x0": 0, "x1": 1, "y0": y, "y1": y}
    shape: dict[str, Any] = {
        "type": "line",
        "layer": "below",
        "xref": "x" if upright else "x domain",
        "yref": "y domain" if upright else "y",
        **ends,
        "line": {"color": "var(--rule)", "width": 1.5, "dash": dash},
    }
    if text:
        place = {"textposition": "end", "textangle": 0, "yanchor": "top", "xanchor": "left"}
        if not upright:
            side = ("start", "left") if left else ("end", "right")
            place = {"textposition": side[0], "textangle": 0, "yanchor": "bottom", "xanchor": side[1]}
        shape["label"] = {"text": text, "font": {"size": 12, "color": "var(--rule-text)"}, "padding": 3, **place}
    return shape


def seconds_axis(values: Sequence[float], title: str) -> dict[str, Any]:
    """Return a logarithmic axis of seconds around values above 0."""
    low, high = min(values), max(values)
    return {"title": {"text": f"{title} (log scale)"}, **_logarithmic(low, high, brief_seconds, room=0.04)}


def spread_axis(values: Sequence[float], title: str, *, room: float = 0.09) -> dict[str, Any]:
    """Return an axis of dollars around values, logarithmic if they are far apart and above 0."""
    low, high = min(values), max(values)
    if low > 0.0 and high > _WIDE * low:
        named = {"title": {"text": f"{title} (log scale)"}}
        return {**named, **_logarithmic(low, high, _short_dollars, room=room)}
    high = high or 1.0
    return {
        "title": {"text": title},
        "type": "linear",
        "range": [0.0, high * (1 + 1.5 * room)],
        "tickprefix": "$",
        "separatethousands": True,
    }


def _short_dollars(value: float) -> str:
    return f"${value:,.10g}" if value >= 0.01 else dollars(value)


def _logarithmic(low: float, high: float, write: Any, *, room: float) -> dict[str, Any]:
    """Return an axis with few labels, so that it is readable on a phone: plotly.js would label every digit."""
    start, end = math.log10(low), math.log10(high)
    margin = max(room * (end - start), 0.05)
    start, end = start - margin, end + margin
    decades = range(math.floor(start), math.ceil(end) + 1)
    steps = (1, 2, 5) if end - start < 2.2 else (1, 3) if end - start < 3.2 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    ticks = [tick for tick in ticks if start <= math.log10(tick) <= end]
    return {
        "type": "log",
        "range": [start, end],
        "tickmode": "array",
        "tickangle": 0,
        "tickvals": ticks,
        "ticktext": [write(tick) for tick in ticks],
    }


class AttainmentAxis(NamedTuple):
    """Where attainments go on an axis: as percent, or stretched towards 100 % where they are far apart.

    Attributes
    ----------
    floor : float
        The fraction of misses shown as none at all; 0 for an axis in percent.
    lowest, target : float
    """

    floor: float
    lowest: float
    target: float

    @classmethod
    def of(cls, attainments: Sequence[float], *, target: float, count: int) -> AttainmentAxis:
        """Return the axis for attainments among so many invocations."""
        lowest = min(attainments)
        floor = min(0.5 / max(count, 1), 0.5 * (1.0 - target) if target < 1.0 else 1.0)
        stretched = 1.0 - lowest > _STRETCHED * (1.0 - target) and max(attainments) >= target - 2 * (1.0 - target)
        return cls(floor if stretched else 0.0, min(lowest, target), target)

    def at(self, attainment: float) -> float:
        """Return the position of an attainment."""
        if not self.floor:
            return 100.0 * attainment
        return -math.log10(max(1.0 - attainment, self.floor))

    def axis(self, title: str) -> dict[str, Any]:
        """Return it for plotly.js."""
        start, end = self.at(self.lowest), self.at(1.0)
        room = 0.08 * (end - start) or 1.0
        if not self.floor:
            return {"title": {"text": title}, "range": [start - room, end + room], "ticksuffix": " %"}
        marks = [mark for mark in _NINES if self.lowest - 0.2 <= mark and 1.0 - mark > 1.3 * self.floor]
        # Half steps only where there is room for them.
        if end - start > 2.4:
            marks = [mark for mark in marks if mark not in (0.8, 0.95, 0.995)]
        places = [*(self.at(mark) for mark in marks), end]
        return {
            "title": {"text": f"{title}, stretched toward 100 %"},
            "range": [start - room, end + room],
            "tickmode": "array",
            "tickvals": places,
            "ticktext": [*(share(mark) for mark in marks), "100 %"],
        }
