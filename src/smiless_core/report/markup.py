"""HTML by hand: text escaped where it enters, tables, figures and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

from smiless_core.report.lineup import Look

__all__ = [
    "Chart",
    "Html",
    "Key",
    "Table",
    "described",
    "embedded",
    "figure",
    "plotted",
    "sentence",
    "swatch",
    "table",
    "words",
]

# In a box from -6 to 6.
_SHAPES = {
    "circle": "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z",
    "square": "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "diamond": "M0,-6L6,0L0,6L-6,0Z",
    "triangle-up": "M0,-5.5L5.5,4.5H-5.5Z",
    "star": "M0,-6L1.5,-1.9L5.7,-1.9L2.3,0.7L3.5,4.9L0,2.4L-3.5,4.9L-2.3,0.7L-5.7,-1.9L-1.5,-1.9Z",
    "cross": "M-1.9,-5.5H1.9V-1.9H5.5V1.9H1.9V5.5H-1.9V1.9H-5.5V-1.9H-1.9Z",
    "x": "M-5,-2.6L-2.6,-5L0,-2.4L2.6,-5L5,-2.6L2.4,0L5,2.6L2.6,5L0,2.4L-2.6,5L-5,2.6L-2.4,0Z",
    "pentagon": "M0,-5.6L5.4,-1.6L3.3,4.7H-3.3L-5.4,-1.6Z",
}
_DASHES = {"solid": "", "dash": "5 2", "dot": "1.5 2.5", "dashdot": "5 2 1.5 2"}


class Html(str):
    """Text that is markup already; all other text is escaped when it is put on the page."""

    __slots__ = ()


class Table(NamedTuple):
    """What a chart shows, to be read.

    Attributes
    ----------
    headers : sequence of str
    rows : sequence of sequences of str
    text : collection of int
        The columns of words, which stand on the left; figures stand on the right.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Collection[int] = (0,)


class Key(NamedTuple):
    """An entry of a legend: the policy, and the traces that it turns off and on."""

    look: Look
    traces: tuple[int, ...]


class Chart(NamedTuple):
    """A chart and what is said about it.

    Attributes
    ----------
    name : str
        What it shows.
    headline : str
        One sentence on what is seen.
    caption : str
        How to read it.
    table : Table
        Its data.
    data : sequence of dict
        Traces for plotly.js; empty if the drawing is given.
    layout : mapping
        For plotly.js.
    labels : sequence of dict
        Marks whose labels the page places where there is room: ``x`` and ``y`` on the axes, ``text`` and ``short``.
    keys : sequence of Key
        The policies in it, where each can be turned off.
    note : Html
        Another legend.
    drawing : Html
        Instead of traces.
    """

    name: str
    headline: str
    caption: str
    table: Table
    data: Sequence[dict[str, Any]] = ()
    layout: Mapping[str, Any] = MappingProxyType({})
    labels: Sequence[dict[str, Any]] = ()
    keys: Sequence[Key] = ()
    note: Html = Html()
    drawing: Html = Html()


def words(text: str) -> Html:
    """Return text as markup."""
    return text if isinstance(text, Html) else Html(escape(text))


def sentence(text: str) -> Html:
    """Return a sentence as markup; a figure stays on the line of its unit."""
    return words(re.sub(r"(?<=\d) (?=(%|s|ms|ns)\b|%)", "\N{NO-BREAK SPACE}", text))


def plotted(text: str) -> str:
    """Return text for plotly.js, which takes tags in it for markup and decodes what is escaped."""
    return escape(text)


def embedded(value: object) -> Html:
    """Return JSON that may stand within a script element, whatever text is in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def swatch(look: Look, *, line: bool = False) -> Html:
    """Return the mark of a policy as a small picture; with its line where charts have one."""
    stroke = ""
    if line:
        dash = f' stroke-dasharray="{_DASHES[look.dash]}"' if _DASHES[look.dash] else ""
        stroke = f'<path d="M-13,0H13" stroke="{look.color}" stroke-width="2"{dash}/>'
    width = 26 if line else 14
    return Html(
        f'<svg class="swatch" width="{width}" height="14" viewBox="{-width // 2} -7 {width} 14" aria-hidden="true">'
        f'{stroke}<path d="{_SHAPES[look.symbol]}" fill="{look.color}"/></svg>'
    )


def table(content: Table, label: str, *, rows: Iterable[str] = ()) -> Html:
    """Lay out a table in a box that scrolls by itself.

    Parameters
    ----------
    content : Table
        The first column heads the rows.
    label : str
        What it is, for those who do not see it.
    rows : iterable of str, optional
        A class for each row.
    """
    classes = [*rows, *[""] * len(content.rows)]
    left = [' class="text"' if at in content.text else "" for at in range(len(content.headers))]
    head = "".join(
        f'<th scope="col"{side}>{words(header)}</th>' for header, side in zip(content.headers, left, strict=True)
    )
    body = []
    for row, kind in zip(content.rows, classes, strict=False):
        cells = [
            f'<th scope="row"{side}>{words(cell)}</th>' if at == 0 else f"<td{side}>{words(cell)}</td>"
            for at, (cell, side) in enumerate(zip(row, left, strict=True))
        ]
        start = f'<tr class="{kind}">' if kind else "<tr>"
        body.append(f"{start}{''.join(cells)}</tr>")
    lines = "\n".join(body)
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{words(label)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table></div>"
    )


def described(headline: str, name: str) -> Html:
    """Return the heading of a figure: what it is, and what is seen in it."""
    return Html(f'<h3><span class="eyebrow">{words(name)}</span> {sentence(headline)}</h3>')


def figure(anchor: str, chart: Chart, *, subject: str) -> Html:
    """Return a chart as a figure, with its legend, its caption and its table.

    Parameters
    ----------
    anchor : str
        Its id.
    chart : Chart
        What to show.
    subject : str
        What tells its table from others, for those who do not see it.
    """
    parts = [f'<figure id="{anchor}">', described(chart.headline, chart.name)]
    if chart.keys:
        parts.append(_legend(anchor, chart))
    parts.append(chart.note)
    if chart.data:
        height = chart.layout["height"]
        parts.append(
            f'<div class="plot" id="{anchor}-plot" role="img" aria-label="{words(chart.headline)}" '
            f'style="height:{height}px"></div>'
        )
        content = {"data": chart.data, "layout": dict(chart.layout), "labels": chart.labels}
        parts.append(f'<script type="application/json" data-plot="{anchor}-plot">{embedded(content)}</script>')
    parts.append(chart.drawing)
    parts.append(f"<figcaption>{sentence(chart.caption)}</figcaption>")
    parts.append(
        f"<details><summary>The figures behind it</summary>{table(chart.table, f'{chart.name}, {subject}')}</details>"
    )
    return Html("\n".join([*(part for part in parts if part), "</figure>"]))


def _legend(anchor: str, chart: Chart) -> str:
    line = any("lines" in trace.get("mode", "") and trace.get("legendgroup") for trace in chart.data)
    buttons = [
        f'<li><button type="button" class="key" aria-pressed="true" data-target="{anchor}-plot" '
        f'data-traces="{",".join(map(str, key.traces))}">{swatch(key.look, line=line)}'
        f"<span><b>{key.look.number}</b> {words(key.look.marked)}</span></button></li>"
        for key in chart.keys
    ]
    return f'<ul class="legend" aria-label="Policies; press to hide or show one">{"".join(buttons)}</ul>'
