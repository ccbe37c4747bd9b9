"""What the instances of each function were doing around one invocation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.report.axes import BARE, line, styled
from smiless_core.report.charts import state, state_key
from smiless_core.report.headlines import STATES
from smiless_core.report.lineup import Chapter, Entry
from smiless_core.report.markup import Chart, Table, plotted
from smiless_core.simulator.runs import Instances, Run, Services
from smiless_core.solver.formatting import brief_seconds, seconds

__all__ = ["Moment", "moments", "shown_runs", "timeline"]

_POLICIES = 3  # whose timelines are drawn
_BEFORE = (10.0, 90.0)  # least and most seconds around the invocation
_PIECES = 1500  # at most, so that the page stays quick
_LANES = 36
_ROW, _NAME = 20, 30  # pixels of a lane, and of the name above those of a function
_ARRIVALS = -12  # where arrivals are marked


class Moment(NamedTuple):
    """An invocation worth a look.

    Attributes
    ----------
    name : str
        Why.
    invocation : int
        Its index.
    """

    name: str
    invocation: int


class _Span(NamedTuple):
    """A stretch of time that an instance spent in one state."""

    state: str
    begin: float
    end: float


class _Life(NamedTuple):
    """An instance that was there in the window, and its lane among those of its function."""

    function: int
    serial: int
    usage: int
    lane: int
    starts: float
    ready: float
    ends: float
    spans: tuple[_Span, ...]
    served: int
    chosen: bool


class _Window(NamedTuple):
    begin: float
    end: float
    lives: tuple[_Life, ...]
    left_out: int


def shown_runs(chapter: Chapter) -> list[Entry]:
    """Return the few runs whose timelines are shown: the first that kept theirs."""
    kept = [each for each in chapter.featured if each.run.instances is not None and each.run.services is not None]
    return [entry for entry in kept if entry.run.count][:_POLICIES]


def moments(run: Run) -> list[Moment]:
    """Return the slowest invocation and a typical one: of median length, near the middle of the trace."""
    slowest = int(np.argmax(run.responses))
    found = [Moment("the slowest miss" if run.late[slowest] else "the slowest invocation", slowest)]
    usual = np.flatnonzero(run.responses == run.percentile(50))
    typical = int(usual[np.argmin(np.abs(usual - run.count // 2))])
    if typical != slowest:
        found.append(Moment("a typical invocation", typical))
    return found


def timeline(entry: Entry, moment: Moment) -> Chart:
    """Draw what instances were doing around an invocation.

    Parameters
    ----------
    entry : Entry
        A run with instances and services.
    moment : Moment
        Where to look.
    """
    run, at = entry.run, moment.invocation
    instances, services = run.instances, run.services
    assert instances is not None
    assert services is not None
    arrival, response = float(run.arrivals[at]), float(run.responses[at])
    window = _around(instances, services, run, at)
    heights = _heights(run, window)
    lanes = [heights[life.function] + _NAME + _ROW * life.lane for life in window.lives]
    total = heights[-1]
    data = [_spans(entry, window, lanes, name, arrival) for name in STATES]
    data += _chosen(services, window, lanes, at, arrival)
    data.append(_arrivals(run, window, at))
    names = run.application.names
    notes = [
        {
            "xref": "paper",
            "x": 0,
            "xanchor": "left",
            "y": heights[v] + _NAME - 9,
            "yanchor": "bottom",
            "text": plotted(name),
            "showarrow": False,
            "font": {"size": 12},
        }
        for v, name in enumerate(names)
    ]
    notes.append({**notes[0], "y": _ARRIVALS - 7, "text": "arrivals"})
    band = {
        "type": "rect",
        "layer": "below",
        "x0": 0,
        "x1": response,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": "var(--band)",
        "line": {"width": 0},
    }
    x = {
        "title": {"text": "seconds after the invocation came"},
        "range": [window.begin - arrival, window.end - arrival],
    }
    y = {"range": [total, _ARRIVALS - 28], **BARE}
    shapes = [band, line(x=run.sla, text="SLA")]
    others = f" {window.left_out} more instances are not drawn." if window.left_out else ""
    rows = [
        [
            names[life.function],
            str(life.serial + 1),
            str(run.functions[life.function].usage[life.usage].configuration),
            *(f"{time - arrival:+.3f} s" for time in (life.starts, life.ready, life.ends)),
            str(life.served),
            "yes" if life.chosen else "no",
        ]
        for life in window.lives
    ]
    headers = [
        "Function",
        "Instance",
        "Configuration",
        "Starts",
        "Ready",
        "Ends",
        "Requests in view",
        "This invocation",
    ]
    return Chart(
        "A timeline of instances",
        _told(run, services, moment),
        f"A lane holds one instance after another. The band spans the invocation, which came at {seconds(arrival)} of "
        f"the trace, and outlined parts are services of its requests; dotted lines are their waits.{others}",
        Table(headers, rows, (0, 2, 7)),
        data,
        styled(total - _ARRIVALS + 90, x, y, shapes=shapes, annotations=notes, barmode="overlay", hovermode="closest"),
        note=state_key(),
    )


def _told(run: Run, services: Services, moment: Moment) -> str:
    at = moment.invocation
    response = float(run.responses[at])
    text = f"{moment.name[0].upper()}{moment.name[1:]} took {brief_seconds(response)} of the SLA of "
    if run.late[at]:
        text = f"{moment.name[0].upper()}{moment.name[1:]} took {brief_seconds(response)}, more than the SLA of "
    text += brief_seconds(run.sla)
    mine = np.flatnonzero(services.invocation == at)
    if not len(mine):
        return f"{text}."
    waits = services.begins[mine] - services.comes[mine]
    longest = int(np.argmax(waits))
    if waits[longest] < 0.01 * response:
        return f"{text}: every function had an instance ready."
    name = run.application.names[services.function[mine[longest]]]
    reason = "initialize" if services.cold[mine[longest]] else "be ready or free"
    return (
        f"{text}: its longest wait, {brief_seconds(float(waits[longest]))}, was for an instance of {name} to {reason}."
    )


# -- what there is to draw --------------------


def _around(instances: Instances, services: Services, run: Run, at: int) -> _Window:
    """Return what was there around an invocation; the more was going on, the closer."""
    arrival, response = float(run.arrivals[at]), float(run.responses[at])
    room = min(max(2.0 * response, _BEFORE[0]), _BEFORE[1])
    while True:
        begin, end = arrival - room, arrival + response + room
        there = np.flatnonzero((instances.starts <= end) & (instances.ends >= begin))
        served = np.flatnonzero((services.begins <= end) & (services.finishes >= begin))
        if len(there) + len(served) <= _PIECES or room < 0.1 * response:
            break
        room /= 2.0
    busy = _by_instance(services, served, begin, end)
    lives: list[_Life] = []
    free: dict[int, list[float]] = {}  # by function: when each lane was last taken
    for i in there[np.lexsort((instances.serial[there], instances.starts[there], instances.function[there]))]:
        function, serial = int(instances.function[i]), int(instances.serial[i])
        starts, ready, ends = (float(times[i]) for times in (instances.starts, instances.ready, instances.ends))
        taken = free.setdefault(function, [])
        lane = next((lane for lane, until in enumerate(taken) if until <= starts), len(taken))
        taken[lane : lane + 1] = [ends]
        serving = busy.get((function, serial), [])
        members = {invocation for _, _, invocation in serving}
        spans = _spent(starts, ready, ends, sorted({(b, f) for b, f, _ in serving}), begin, end)
        usage = int(instances.usage[i])
        lives.append(
            _Life(function, serial, usage, lane, starts, ready, ends, spans, len(members), at in members),
        )
    # Whoever serves the invocation is always drawn.
    drawn = [life for life in lives if life.lane < max(_LANES // len(run.functions), 4) or life.chosen]
    lanes = {(life.function, life.lane) for life in drawn}
    places = {(v, lane): sum(u == v and other < lane for u, other in lanes) for v, lane in lanes}
    packed = tuple(life._replace(lane=places[life.function, life.lane]) for life in drawn)
    return _Window(begin, end, packed, len(lives) - len(drawn))


def _by_instance(
    services: Services, served: NDArray[np.int64], begin: float, end: float
) -> dict[tuple[int, int], list[tuple[float, float, int]]]:
    found: dict[tuple[int, int], list[tuple[float, float, int]]] = {}
    for r in served:
        key = int(services.function[r]), int(services.serial[r])
        service = float(services.begins[r]), float(services.finishes[r]), int(services.invocation[r])
        found.setdefault(key, []).append(service)
    return found


def _spent(
    starts: float, ready: float, ends: float, busy: Sequence[tuple[float, float]], begin: float, end: float
) -> tuple[_Span, ...]:
    """Return the states that an instance was in, one after the other, cut to the window."""
    spans = [_Span("initializing", starts, min(ready, ends))]
    # Services before the window are not known here: what is idle begins with it at the earliest.
    now = max(spans[0].end, begin)
    for begins, finishes in busy:
        spans += [_Span("idle", now, begins), _Span("busy", begins, finishes)]
        now = finishes
    spans.append(_Span("idle", now, ends))
    cut = [span._replace(begin=max(span.begin, begin), end=min(span.end, end)) for span in spans]
    return tuple(span for span in cut if span.begin < span.end)


def _heights(run: Run, window: _Window) -> list[int]:
    """Return where the rows of each function begin, in pixels from the top, and where the last ones end."""
    heights = [0]
    for v in range(len(run.functions)):
        lanes = len({life.lane for life in window.lives if life.function == v})
        heights.append(heights[-1] + _NAME + _ROW * max(lanes, 1))
    return heights


def _spans(entry: Entry, window: _Window, lanes: Sequence[int], name: str, arrival: float) -> dict[str, Any]:
    run = entry.run
    bars: dict[str, list[Any]] = {"base": [], "x": [], "y": [], "hovertext": []}
    for life, lane in zip(window.lives, lanes, strict=True):
        configuration = run.functions[life.function].usage[life.usage].configuration
        for span in life.spans:
            if span.state == name:
                bars["base"].append(round(span.begin - arrival, 9))
                bars["x"].append(round(span.end - span.begin, 9))
                bars["y"].append(lane)
                bars["hovertext"].append(
                    f"<b>{plotted(run.application.names[life.function])}, instance {life.serial + 1}</b><br>"
                    f"{name} for {brief_seconds(span.end - span.begin)}<br>{plotted(str(configuration))}"
                )
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        **bars,
        "width": 0.72 * _ROW,
        "marker": state(name, entry.look.color),
        "hoverinfo": "text",
    }


def _chosen(services: Services, window: _Window, lanes: Sequence[int], at: int, arrival: float) -> list[dict[str, Any]]:
    """Return the outlines of the services of an invocation, and lines for the waits before them."""
    lane_of = {(life.function, life.serial): lane for life, lane in zip(window.lives, lanes, strict=True)}
    base: list[float] = []
    length: list[float] = []
    rows: list[int] = []
    waits: list[tuple[float | None, int | None]] = []
    for r in np.flatnonzero(services.invocation == at):
        lane = lane_of[int(services.function[r]), int(services.serial[r])]
        comes, begins, finishes = (float(t[r]) - arrival for t in (services.comes, services.begins, services.finishes))
        base.append(round(begins, 9))
        length.append(round(finishes - begins, 9))
        rows.append(lane)
        if begins > comes:
            waits += [(round(comes, 9), lane), (round(begins, 9), lane), (None, None)]
    outline = {
        "type": "bar",
        "orientation": "h",
        "name": "this invocation",
        "base": base,
        "x": length,
        "y": rows,
        "width": 0.72 * _ROW,
        "marker": {"color": "rgba(0,0,0,0)", "line": {"width": 2.5, "color": "var(--ink)"}},
        "hoverinfo": "skip",
    }
    dotted = {
        "type": "scatter",
        "mode": "lines",
        "name": "its waits",
        "x": [time for time, _ in waits],
        "y": [lane for _, lane in waits],
        "line": {"color": "var(--ink)", "width": 2.5, "dash": "dot"},
        "hoverinfo": "skip",
    }
    return [outline, dotted]


def _arrivals(run: Run, window: _Window, at: int) -> dict[str, Any]:
    arrival = float(run.arrivals[at])
    first, last = np.searchsorted(run.arrivals, [window.begin, window.end])
    near = range(int(first), int(last))
    times = [round(float(run.arrivals[k]) - arrival, 9) for k in near]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "arrivals",
        "x": times,
        "y": [_ARRIVALS] * len(times),
        "marker": {
            "symbol": "triangle-down",
            "size": [13 if k == at else 8 for k in near],
            "color": ["var(--ink)" if k == at else "var(--muted)" for k in near],
        },
        "hoverinfo": "text",
        "hovertext": [f"invocation {k + 1:,}: {brief_seconds(float(run.responses[k]))}" for k in near],
    }
