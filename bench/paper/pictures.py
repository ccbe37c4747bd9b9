"""Results as figures."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.paper.evaluation import BEST, Experiment, Place, Result
from bench.paper.figures import Axis, Line, Panel, Point, decades, figure
from bench.paper.lineup import OURS, PUBLISHED, RIVALS
from bench.paper.planning import Overhead

SHOWN = tuple(dict.fromkeys([OURS.name, PUBLISHED.name, BEST, *(policy.name for policy in RIVALS)]))
LATE = Axis((0.001, 0.01, 0.1, 1.0), lambda share: f"{'≤ ' * (share == 0.001)}{100 * share:g} %", log=True)
FILLED = "Filled: the target is met. Dashed: simplified systems."


class _Grid(NamedTuple):
    """Results by application and SLA."""

    applications: list[str]
    slas: list[float]

    @classmethod
    def of(cls, experiment: Experiment) -> "_Grid":
        places = experiment.results
        return cls(list(dict.fromkeys(place.application for place in places)), sorted({place.sla for place in places}))


def systems(experiment: Experiment) -> str:
    """Draw cost and attainment of all systems over the SLA."""
    grid = _Grid.of(experiment)
    slas = Axis(grid.slas, lambda sla: f"{sla:g} s")
    rows: list[list[Panel]] = [[], []]
    for application in grid.applications:
        places = {sla: Place(application, sla) for sla in grid.slas}
        found = {sla: experiment.results[place] for sla, place in places.items() if place in experiment.results}
        names = [name for name in SHOWN if all(name in results for results in found.values())]

        def lines(
            value: Callable[[Result], float],
            found: dict[float, dict[str, Result]] = found,
            names: Sequence[str] = names,
        ) -> list[Line]:
            return [
                Line(
                    name,
                    [Point(sla, value(results[name]), results[name].met) for sla, results in found.items()],
                    any(results[name].simplified for results in found.values()),
                )
                for name in names
            ]

        costs = _dollars([results[name] for results in found.values() for name in names])
        rows[0].append(Panel(f"{application}: cost", slas, costs, lines(_cost)))
        rows[1].append(
            Panel(
                f"{application}: late",
                slas,
                LATE,
                lines(_late),
                mark=1.0 - next(iter(found.values()))[OURS.name].target,
            )
        )
    return figure(
        "Cost and attainment of all systems by SLA",
        rows,
        notes=["Above: dollars per million invocations. Below: the part of them that miss the SLA.", FILLED],
    )


def scattered(experiment: Experiment, title: str) -> str:
    """Draw cost against attainment, a panel for each place."""
    grid = _Grid.of(experiment)
    rows = []
    for sla in grid.slas:
        panels = []
        for application in grid.applications:
            results = experiment.results.get(Place(application, sla))
            if results is None:
                continue
            shown = [results[name] for name in SHOWN if name in results]
            panels.append(
                Panel(
                    f"{application}, {sla:g} s",
                    _dollars(shown),
                    LATE,
                    [Line(each.system, [Point(_cost(each), _late(each), each.met)], each.simplified) for each in shown],
                    joined=False,
                    mark=1.0 - shown[0].target,
                )
            )
        rows.append(panels)
    notes = [
        "Across: dollars per million. Upwards: the part of them that miss the SLA. Best: on the left, below.",
        FILLED,
    ]
    return figure(title, rows, notes=notes)


def overheads(found: Sequence[Overhead]) -> str:
    """Draw how long plans take over the length of a chain."""
    lengths = Axis([each.functions for each in found], lambda count: f"{count:g}")
    quantities = {
        "solve, fixed interval": [each.solve for each in found],
        "decision of the policy, mean": [each.mean for each in found],
        "decision with a change, median": [each.plan for each in found],
        "decision, longest": [each.longest for each in found],
    }
    times = Axis(decades([seconds for taken in quantities.values() for seconds in taken], steps=(1,)), _time, log=True)
    lines = [
        Line(label, [Point(each.functions, seconds) for each, seconds in zip(found, taken, strict=True)])
        for label, taken in quantities.items()
    ]
    return figure(
        "Planning time by the number of functions",
        [[Panel("planning time, by functions of a chain", lengths, times, lines)]],
        notes=["Timings: they differ", "from run to run."],
    )


def _cost(result: Result) -> float:
    return 1e6 * result.cost


def _late(result: Result) -> float:
    return max(1.0 - result.attainment, LATE.ticks[0])


def _dollars(results: Sequence[Result]) -> Axis:
    return Axis(decades([_cost(result) for result in results]), lambda cost: f"{cost:,.0f}", log=True)


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{1e6 * seconds:.0f} µs"
    return f"{1e3 * seconds:.0f} ms" if seconds < 1.0 else f"{seconds:.0f} s"
