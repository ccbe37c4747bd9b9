"""Numbers, sentences and tables as plain text for people.

Everything but names is plain ASCII, so that it survives any terminal.
"""

from __future__ import annotations

import io
import math
import shutil
import textwrap
from collections.abc import Collection, Iterable, Sequence

from smiless_core.arrivals import Arrivals

__all__ = [
    "aligned",
    "arrivals_in_words",
    "brief_seconds",
    "dollars",
    "exact_seconds",
    "fact",
    "fitting_width",
    "per_million",
    "percent",
    "reached",
    "seconds",
    "share",
    "shown_end",
    "table",
    "time_spans",
    "usual_gap",
    "wrapped",
]

_NARROWEST, _USUAL, _WIDEST = 60, 100, 120
_LABEL = 15
_RARE = 1e-6  # of all gaps are longer than what pages reckon with
_FAR = 4.0  # times as long a time is too long to be shown with the others


def seconds(value: float) -> str:
    """Seconds to the millisecond, or three digits of what is shorter than 100 ms."""
    if abs(value) >= 0.1:
        return f"{value:,.3f} s"
    if value == 0.0:
        return "0 s"
    return f"{1e3 * value:.3g} ms" if abs(value) >= 1e-6 else f"{1e9 * value:.3g} ns"


def exact_seconds(value: float) -> str:
    """Seconds to the nanosecond, without trailing zeros."""
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return f"{text if value >= 1e-9 else repr(value)} s"


def brief_seconds(value: float) -> str:
    """Seconds with at most three significant digits, as on an axis."""
    if value == 0.0 or value >= 0.1:
        return f"{float(f'{value:.3g}'):,.10g} s"
    return f"{1e3 * value:.3g} ms" if value >= 1e-4 else f"{1e9 * value:,.0f} ns"


def arrivals_in_words(arrivals: Arrivals) -> str:
    """Say when arrivals come, in words that go on from "arrivals"."""
    apart = f"{arrivals.mean:.4g} s apart on average"
    if arrivals.kind == "exponential":
        return f"at random, {apart}"
    if arrivals.sequence is None or arrivals.kind not in ("empirical", "smoothed"):
        return str(arrivals)
    like = "just" if arrivals.kind == "empirical" else "much"
    return f"{like} as in {arrivals.sequence.size + 1:,} recorded ones, {apart}"


def usual_gap(arrivals: Arrivals) -> float:
    """Return the seconds after which hardly any arrival comes: one in a million."""
    return arrivals.quantile(1.0 - _RARE)


def shown_end(end: float, usual: float) -> float:
    """Return up to where to show what ends far beyond the usual; that itself where it is near, or never ends."""
    return usual if _FAR * usual < end < math.inf else end


def time_spans(spans: Sequence[tuple[float, float]], *, most: int = 3, usual: float = math.inf) -> str:
    """Write closed intervals of time, seconds, with the decimals that their width calls for.

    Parameters
    ----------
    spans : sequence of (float, float)
        Ascending; the last may be without an end. One that begins at 0 is *up to* its end.
    most : int, default 3
        How many to write out; of the others, only their number and their end.
    usual : float, optional
        After so long hardly anything comes: of what lies far beyond, only the end is written.
    """
    last = spans[-1][1]
    near = [(low, shown_end(high, usual)) for low, high in spans if low <= _FAR * usual]
    if near and near[-1][1] < last:
        return time_spans(near, most=most) + " and later" + f", up to {brief_seconds(last)}" * (last < math.inf)
    written = [_time_span(*span) for span in spans[:most]]
    if others := spans[most:]:
        end = others[-1][1]
        until = f"up to {brief_seconds(end)}" if end < math.inf else f"from {brief_seconds(others[-1][0])} on the last"
        written.append(f"{len(others)} more, {until}")
    return ", ".join(written)


def _time_span(low: float, high: float) -> str:
    if high == math.inf:
        return "always" if low == 0.0 else f"from {_decimal(low, low)} s on"
    if low == 0.0:
        return f"up to {_decimal(high, high)} s"
    width = high - low
    begin, end = _decimal(low, max(width, 0.01 * high)), _decimal(high, max(width, 0.01 * high))
    return f"{begin} s" if begin == end else f"{begin}-{end} s"


def _decimal(value: float, width: float) -> str:
    """Write a number with about two digits of a width, but no fewer decimals than none and no more than six."""
    decimals = min(max(1 - math.floor(math.log10(width)), 0), 6) if width > 0.0 else 0
    return f"{value:,.{decimals}f}"


def dollars(value: float) -> str:
    """Dollars with four significant digits, and never fewer than two decimals."""
    return f"${aligned([value])[0]}"


def per_million(cost: float) -> str:
    """Dollars for a million invocations."""
    return dollars(1e6 * cost)


def aligned(values: Sequence[float]) -> list[str]:
    """Write numbers with equally many decimals: four significant digits for the largest, but at least two."""
    largest = max(values)
    decimals = min(max(2, 3 - math.floor(math.log10(largest))), 20) if largest > 0.0 else 0
    return [f"{value:,.{decimals}f}" for value in values]


def percent(fraction: float) -> str:
    """Percent with three significant digits."""
    return f"{100 * fraction:.3g} %"


def share(fraction: float) -> str:
    """Percent with two significant digits of what is missing to 100 %, so that 0.99953 is not 1."""
    missing = 1.0 - fraction
    if not 1e-9 < missing < 1.0:
        return "100 %" if missing <= 1e-9 else "0 %"
    decimals = max(1 - math.floor(math.log10(100 * missing)), 0)
    text = f"{100 * fraction:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if decimals else text} %"


def reached(fraction: float) -> str:
    """Percent with at least two decimals, never rounded up."""
    missing = 100.0 * (1.0 - fraction)
    if missing <= 0.0:
        return "100 %"
    decimals = max(2, 1 - math.floor(math.log10(missing)))
    if decimals > 9:
        return "100 %"
    scale = 10.0**decimals
    return f"{math.floor(100.0 * fraction * scale + 1e-6) / scale:.{decimals}f} %"


def fitting_width(width: int | None) -> int:
    """Return the columns to fill: those given, or those of the terminal within bounds."""
    if width is not None:
        return width
    return min(max(shutil.get_terminal_size((_USUAL, 24)).columns, _NARROWEST), _WIDEST)


def wrapped(text: str, width: int) -> str:
    """Break a paragraph at spaces; a name is broken only where it is longer than a line."""
    return textwrap.fill(text, width, break_on_hyphens=False)


def fact(label: str, text: str, width: int) -> str:
    """Return a labeled line, its text aligned with that of other facts."""
    indent = " " * (2 + _LABEL)
    return textwrap.fill(
        text, width, initial_indent=f"  {label:<{_LABEL}}", subsequent_indent=indent, break_on_hyphens=False
    )


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int,
    right: Collection[str] = (),
    whole: Collection[str] = (),
) -> str:
    """Lay out a table.

    Parameters
    ----------
    headers : sequence of str
        The columns.
    rows : iterable of sequences of str
        Cells; taken literally, brackets and all.
    width : int
        Columns of text to stay within; cells are wrapped.
    right : collection of str
        The headers of columns aligned to the right.
    whole : collection of str
        The headers of columns that are not wrapped.

    Returns
    -------
    str
        Lines without trailing spaces and newline.
    """
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rule = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    grid = Table(box=rule, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    for header in headers:
        grid.add_column(
            Text(header),
            justify="right" if header in right else "left",
            no_wrap=header in whole,
            overflow="fold",
        )
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, legacy_windows=False).print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
