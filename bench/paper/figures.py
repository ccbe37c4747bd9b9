"""The figures of the page, as SVG whose colors are legible on light and dark pages."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import NamedTuple

INK, FAINT = "#747b84", "#a9b0b8"
COLORS = ("#2f9e6e", "#d6455d", "#3b82d0", "#e08a1e", "#9a63c9", "#1aa3a8", "#b0793c", "#d45fa8", "#7f8f2a", "#6f7f96")
DASHED = "4 3"


class Point(NamedTuple):
    """A place in a panel, filled where the target is met."""

    x: float
    y: float
    filled: bool = True


class Line(NamedTuple):
    """What belongs together, in one color throughout a figure; dashed where a system is simplified."""

    label: str
    points: Sequence[Point]
    dashed: bool = False


class Axis(NamedTuple):
    """One direction of a panel."""

    ticks: Sequence[float]
    written: Callable[[float], str]
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low) if high > low else 0.5


class Panel(NamedTuple):
    """One diagram; `joined` if its points are joined, `mark` at a value of y that is worth one."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    joined: bool = True
    mark: float | None = None


WIDTH, HEIGHT = 250, 170
LEFT, TOP, GAP_X, GAP_Y = 70, 34, 84, 62


def figure(title: str, rows: Sequence[Sequence[Panel]], *, notes: Sequence[str] = ()) -> str:
    """Draw panels in rows, and one legend for all of them."""
    labels = dict.fromkeys(line.label for panels in rows for panel in panels for line in panel.lines)
    colors = {label: COLORS[at % len(COLORS)] for at, label in enumerate(labels)}
    dashed = {line.label: line.dashed for panels in rows for panel in panels for line in panel.lines}
    width = LEFT + max(map(len, rows)) * (WIDTH + GAP_X) - GAP_X + 24
    parts = []
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            parts += _panel(panel, LEFT + column * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y), colors)
    y = TOP + len(rows) * (HEIGHT + GAP_Y) - 8
    x = 12.0
    for label, color in colors.items() if len(colors) > 1 else ():
        need = 44 + 6.8 * len(label)
        if x + need > width:
            x, y = 12.0, y + 20
        parts.append(_stroke(f"M{x:.1f} {y - 4}h22", color, dashed[label]))
        parts.append(_dot(x + 11, y - 4, color, filled=True))
        parts.append(_text(x + 28, y, label))
        x += need
    for note in notes:
        y += 20
        parts.append(_text(12, y, note))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 12}" width="{width}" height="{y + 12}"'
        f' font-family="system-ui, sans-serif" font-size="12" fill="{INK}" role="img" aria-labelledby="title">'
    )
    return "\n".join([head, f'<title id="title">{escape(title)}</title>', *parts, "</svg>"]) + "\n"


def _panel(panel: Panel, left: float, top: float, colors: dict[str, str]) -> Iterable[str]:
    def x(value: float) -> float:
        return left + WIDTH * panel.x.place(value)

    def y(value: float) -> float:
        return top + HEIGHT * (1.0 - panel.y.place(value))

    yield _text(left + WIDTH / 2, top - 12, panel.title, anchor="middle")
    yield _stroke(f"M{left} {top}V{top + HEIGHT}H{left + WIDTH}", INK)
    for tick in panel.x.ticks:
        yield _stroke(f"M{x(tick):.1f} {top + HEIGHT}v4", INK)
        yield _text(x(tick), top + HEIGHT + 18, panel.x.written(tick), anchor="middle")
    for tick in panel.y.ticks:
        yield _stroke(f"M{left} {y(tick):.1f}h{WIDTH}", FAINT, thin=True)
        yield _text(left - 6, y(tick) + 4, panel.y.written(tick), anchor="end")
    if panel.mark is not None:
        yield _stroke(f"M{left} {y(panel.mark):.1f}h{WIDTH}", INK, dashed=True)
    for line in reversed(panel.lines):  # the first one on top
        color = colors[line.label]
        if panel.joined and len(line.points) > 1:
            path = "L".join(f"{x(point.x):.1f} {y(point.y):.1f}" for point in line.points)
            yield _stroke(f"M{path}", color, line.dashed)
        for point in line.points:
            yield _dot(x(point.x), y(point.y), color, filled=point.filled)


def decades(values: Iterable[float], *, steps: Sequence[float] = (1, 2, 5)) -> list[float]:
    """Return round numbers that enclose values on a logarithmic axis."""
    known = list(values)
    low, high = min(known), max(known)
    if max(known) > 20 * min(known):
        steps = steps[:1]
    marks = [step * 10.0**power for power in range(-9, 10) for step in steps]
    first = max(at for at, mark in enumerate(marks) if mark <= low)
    last = min(at for at, mark in enumerate(marks) if mark >= high)
    return marks[first : max(last, first + 1) + 1]


def _stroke(path: str, color: str, dashed: bool = False, *, thin: bool = False) -> str:
    more = f' stroke-dasharray="{DASHED}"' if dashed else ""
    more += ' stroke-width="0.5" stroke-opacity="0.6"' if thin else ""
    return f'<path d="{path}" fill="none" stroke="{color}"{more}/>'


def _dot(x: float, y: float, color: str, *, filled: bool) -> str:
    fill = color if filled else "none"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{fill}" stroke="{color}" stroke-width="1.3"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
