"""The search beside HiGHS on the same instances, and beside lowtime on what both can state."""

import math
from functools import partial

import numpy as np
import pytest

from bench.instances import TOPOLOGIES, Instance, instances
from bench.measuring import Measured, measured, record, spread
from bench.rivals import HighsModel, LowtimeModel, in_whole_units
from smiless_core.solver.exact import ExactSearch
from smiless_core.solver.tables import ModeTable

UNIT = 0.02  # seconds: lowtime takes one step for each


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("row", ["releases-zero", "readiness"])
def test_highs(benchmark, row, topology):
    drawn = list(instances(topology, 12, count=10, readiness=row == "readiness"))

    def sweep() -> tuple[list[Measured], list[Measured]]:
        ours, theirs = [], []
        for instance in drawn:
            exact = ExactSearch(instance.table.edges, functions=instance.functions)
            models = [HighsModel(instance.table, sla) for sla in instance.slas]
            calls = [partial(exact.search, instance.table, sla, time_limit=1.0) for sla in instance.slas]
            ours += measured(calls)
            theirs += measured([model.run for model in models])
        return ours, theirs

    ours, theirs = benchmark.pedantic(sweep)
    for own, rival in zip(ours, theirs, strict=True):
        assert math.isclose(own.answer.cost, rival.answer, rel_tol=1e-6)
    ratios = [rival.seconds / own.seconds for own, rival in zip(ours, theirs, strict=True)]
    highs = spread(rival.seconds for rival in theirs)
    record(
        benchmark,
        row,
        topology,
        highs_cells=highs["cells"],
        highs_median=highs["median"],
        highs_worst=highs["worst"],
        highs_ratio=float(np.median(ratios)),
        highs_least_ratio=min(ratios),
    )


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_lowtime(benchmark, topology):
    drawn = list(instances(topology, 12, count=10))
    results = benchmark.pedantic(lambda: [beside_lowtime(instance) for instance in drawn])
    excess = np.concatenate([excess for _, _, excess in results])
    ours, theirs = (np.array([result[side] for result in results]) for side in (0, 1))
    record(
        benchmark,
        "lowtime",
        topology,
        deadlines=len(excess),
        frontier_median=float(np.median(ours)),
        lowtime_median=float(np.median(theirs)),
        lowtime_ratio=float(np.median(theirs / ours)),
        lowtime_least_ratio=float((theirs / ours).min()),
        same_cost=float(np.mean(excess <= 1e-9)),
        mean_excess=float(excess.mean()),
        worst_excess=float(excess.max()),
    )


def beside_lowtime(instance: Instance) -> tuple[float, float, np.ndarray]:
    """Both frontiers of one instance, a deadline in every unit of time.

    Returns
    -------
    ours, theirs : float
        Seconds for all deadlines.
    excess : array
        For each deadline, how much more lowtime's best plan costs than the proved optimum, as a fraction.
    """
    table = in_whole_units(instance.table, UNIT)
    exact = ExactSearch(table.edges, functions=instance.functions)
    (theirs,) = measured([LowtimeModel(table, UNIT).run])
    frontier = np.array([table.evaluate(choice) for choice in theirs.answer])
    cost, latency = frontier[:, 0], np.rint(frontier[:, 1] / 1e9 / UNIT)
    deadlines = np.arange(round(table.fastest()[1] / UNIT), int(latency.max()) + 1)
    (ours,) = measured([partial(frontier_of, exact, table, (deadlines * UNIT).tolist())])
    optimum = np.array(ours.answer)
    best = np.array([cost[latency <= deadline].min(initial=math.inf) for deadline in deadlines])
    excess = best / optimum - 1
    assert excess.min() > -1e-9, f"{instance.name}: lowtime found a cheaper plan"
    return ours.seconds, theirs.seconds, excess


def frontier_of(exact: ExactSearch, table: ModeTable, deadlines: list[float]) -> list[float]:
    """Proved cheapest cost at each deadline (seconds)."""
    return [exact.search(table, deadline, time_limit=1.0).cost for deadline in deadlines]
