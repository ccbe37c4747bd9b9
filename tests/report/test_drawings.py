"""Timelines and graphs: what is drawn is what happened."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import reported_runs
from reported_runs import RULES
from smiless_core.model import Application, Function
from smiless_core.report import graphs
from smiless_core.report.lineup import Chapter, chapters
from smiless_core.report.markup import Chart
from smiless_core.report.timelines import Moment, moments, shown_runs, timeline
from smiless_core.simulator.runs import Run
from strategies import Dag, dags

STATES = ("busy", "initializing", "idle")


@pytest.fixture(scope="module")
def chapter() -> Chapter:
    application = reported_runs.applications()[1]
    return chapters(reported_runs.runs(application, count=400), {})[0]


def states_drawn(chart: Chart, time: float) -> dict[str, int]:
    """How many bars of each state there are at a time."""
    bars = {trace["name"]: trace for trace in chart.data}
    return {
        name: sum(base < time < base + x for base, x in zip(bars[name]["base"], bars[name]["x"], strict=True))
        for name in STATES
    }


def states_of(run: Run, time: float) -> dict[str, int]:
    """How many instances are in each state at a time, from the records alone."""
    instances, services = run.instances, run.services
    assert instances is not None
    assert services is not None
    there = (instances.starts < time) & (time < instances.ends)
    starting = there & (time < instances.ready)
    serving = (services.begins < time) & (time < services.finishes)
    busy = len({(f, s) for f, s in zip(services.function[serving], services.serial[serving], strict=True)})
    return {"busy": busy, "initializing": int(starting.sum()), "idle": int((there & ~starting).sum()) - busy}


def test_what_is_drawn_at_any_time_is_what_there_was(chapter: Chapter) -> None:
    draw = np.random.default_rng(5)
    seen = dict.fromkeys(STATES, 0)
    for entry in chapter.entries:
        for moment in [*moments(entry.run), Moment("any", 200)]:
            chart = timeline(entry, moment)
            arrival = float(entry.run.arrivals[moment.invocation])
            for time in draw.uniform(*chart.layout["xaxis"]["range"], 40):
                drawn = states_drawn(chart, time)
                assert drawn == states_of(entry.run, arrival + time)
                seen = {name: seen[name] + drawn[name] for name in STATES}
    assert min(seen.values()) > 20


def test_bars_in_a_lane_do_not_overlap(chapter: Chapter) -> None:
    for entry in chapter.entries:
        chart = timeline(entry, moments(entry.run)[0])
        lanes: dict[int, list[tuple[float, float]]] = {}
        for trace in chart.data[: len(STATES)]:
            for base, x, y in zip(trace["base"], trace["x"], trace["y"], strict=True):
                lanes.setdefault(y, []).append((base, base + x))
        for spans in lanes.values():
            spans.sort()
            assert all(before[1] <= after[0] + 1e-8 for before, after in pairwise(spans))


def test_the_services_of_the_invocation_are_outlined(chapter: Chapter) -> None:
    for entry in chapter.entries:
        run = entry.run
        for moment in moments(run):
            outline, waits = timeline(entry, moment).data[3:5]
            mine = run.services.invocation == moment.invocation
            assert len(outline["x"]) == mine.sum() == 5
            ends = [base + x for base, x in zip(outline["base"], outline["x"], strict=True)]
            assert max(ends) == pytest.approx(run.responses[moment.invocation])
            waited = (run.services.begins > run.services.comes)[mine].sum()
            assert len(waits["x"]) == 3 * waited


def test_the_moments_are_the_slowest_and_one_of_median_length(chapter: Chapter) -> None:
    for entry in chapter.entries:
        slowest, typical = moments(entry.run)
        assert entry.run.responses[slowest.invocation] == entry.run.responses.max()
        assert slowest.name == ("the slowest miss" if entry.run.late.any() else "the slowest invocation")
        assert entry.run.responses[typical.invocation] == entry.run.percentile(50)


def test_the_headline_tells_the_longest_wait(chapter: Chapter) -> None:
    entry = next(each for each in chapter.entries if each.run.policy == "on request")
    slowest = moments(entry.run)[0]
    services = entry.run.services
    assert services is not None
    mine = np.flatnonzero(services.invocation == slowest.invocation)
    longest = mine[np.argmax((services.begins - services.comes)[mine])]
    name = entry.run.application.names[services.function[longest]]
    assert timeline(entry, slowest).headline.endswith(f"was for an instance of {name} to initialize.")
    warm = next(each for each in chapter.entries if each.run.policy == "always warm")
    assert timeline(warm, moments(warm.run)[1]).headline.endswith("every function had an instance ready.")


def test_busy_traces_are_drawn_closer() -> None:
    application = reported_runs.applications()[0]
    times = reported_runs.arrivals(8000, seed=3, mean=0.05)
    run = reported_runs.served(RULES[4], application, times)  # an instance for each request
    chart = timeline(chapters([run], {})[0].entries[0], Moment("any", 4000))
    bars = sum(len(trace["x"]) for trace in chart.data[:3])
    assert 20 < bars < 4000
    assert chart.layout["height"] < 2000
    assert "more instances are not drawn" in chart.caption
    assert len(chart.data[3]["x"]) == 5  # those that serve the invocation always are


def test_few_policies_have_timelines(chapter: Chapter) -> None:
    shown = [entry.look for entry in shown_runs(chapter)]
    assert shown == [entry.look for entry in chapter.eligible[:3]]
    assert shown[0] == chapter.best.look


# -- the graph --------------------


def application_of(dag: Dag) -> Application:
    names = [f"f{v}" for v in range(dag.functions)]
    functions = tuple(Function(name, name) for name in names)
    return Application(functions, tuple((names[u], names[v]) for u, v in dag.edges), sla=1.0)


def longest_way(dag: Dag, v: int) -> int:
    return max((1 + longest_way(dag, u) for u, w in dag.edges if w == v), default=0)


@given(dag=dags(most=6))
def test_functions_stand_in_layers_apart_from_each_other(dag: Any) -> None:
    application = application_of(dag)
    places, routes, width, height = graphs._laid_out(application)
    columns = [places[v].x for v in range(dag.functions)]
    across, down = graphs._BOX
    assert [sorted(set(columns)).index(x) for x in columns] == [longest_way(dag, v) for v in range(dag.functions)]
    for u, v in combinations(range(dag.functions), 2):
        assert columns[u] != columns[v] or abs(places[u].y - places[v].y) >= down
    assert all(0 <= places[v].x <= width - across for v in places)
    assert all(down / 2 <= places[v].y <= height - down / 2 for v in range(dag.functions))
    assert set(routes) == set(dag.edges)
    for (u, v), route in routes.items():
        assert (route[0], route[-1]) == (places[u], places[v])
        # What an edge passes between its ends is room of its own.
        for passed in route[1:-1]:
            others = [places[w] for w in range(dag.functions) if places[w].x == passed.x]
            assert all(abs(other.y - passed.y) > down / 2 for other in others)


def test_the_critical_path_is_that_of_what_mostly_ran(chapter: Chapter) -> None:
    for entry in chapter.entries:
        chart = graphs.diagram(entry)
        boxes = re.findall(r'<g class="function (cpu|gpu)( critical)?"><title>(.*?)</title>', chart.drawing)
        kinds = {function.name: str(function.mostly.configuration.hardware) for function in entry.run.functions}
        assert {name: kind for kind, _, name in boxes} == kinds
        # The longest of all ways, by trying them.
        ways = list(_ways(entry.run.application))
        latency = {function.name: function.mostly.latency for function in entry.run.functions}
        longest = max(ways, key=lambda way: sum(latency[name] for name in way))
        assert {name for _, critical, name in boxes if critical} == set(longest)
        assert chart.drawing.count('class="edge critical"') == len(longest) - 1
        assert chart.drawing.count('class="edge') == len(entry.run.application.edges)


def _ways(application: Application, start: str | None = None) -> Any:
    ends = (
        [v for u, v in application.edges if u == start]
        if start
        else [application.names[v] for v in application.sources]
    )
    if start and not ends:
        yield [start]
    for end in ends:
        for way in _ways(application, end):
            yield [start, *way] if start else way
