"""The configuration search on modes without and with releases, small and large."""

import math
from functools import partial
from typing import NamedTuple

import pytest

from bench.instances import GENERAL, SERIES_PARALLEL, TOPOLOGIES, Instance, instances
from bench.measuring import Measured, measured, record, spread
from smiless_core._native import search as native
from smiless_core.solver.exact import ExactSearch
from smiless_core.solver.tables import Search, Status
from smiless_core.timing import nanoseconds_down


class Cell(NamedTuple):
    """One instance at one SLA, and the search for it."""

    instance: Instance
    sla: float
    seconds: float
    search: Search


def sweep(drawn: list[Instance], *, time_limit: float) -> list[Cell]:
    """Search every instance at every one of its SLAs."""
    cells = []
    for instance in drawn:
        exact = ExactSearch(instance.table.edges, functions=instance.functions)
        calls = [partial(exact.search, instance.table, sla, time_limit=time_limit) for sla in instance.slas]
        for sla, result in zip(instance.slas, measured(calls), strict=True):
            cells.append(Cell(instance, sla, result.seconds, result.answer))
    return cells


def sweep_kernel(drawn: list[Instance]) -> list[Measured]:
    """Search the same through the wrapper of the C API alone."""
    results = []
    for instance in drawn:
        table = instance.table
        kernel = native.Search(instance.functions, table.edges)
        kernel.set_modes(table.offsets, table.release, table.latency)
        results += measured([partial(kernel.solve, table.cost, sla, time_limit=1.0) for sla in instance.slas])
    return results


def check(cells: list[Cell]) -> None:
    """Every choice costs and takes what the search says, and the bound does not exceed the cost."""
    for instance, sla, _, search in cells:
        assert search.choice is not None, f"{instance.name}: {search.status} at {sla} s"
        cost, latency = instance.table.evaluate(search.choice)
        assert latency <= nanoseconds_down(sla), f"{instance.name}: late at {sla} s"
        assert math.isclose(search.cost, cost, rel_tol=1e-12), f"{instance.name}: another cost at {sla} s"
        assert search.bound <= cost * (1 + 1e-12), f"{instance.name}: bound above cost at {sla} s"


def proofs(cells: list[Cell]) -> dict[str, float]:
    """Return the share of optimal answers, and the largest gap."""
    return {
        "proved": sum(cell.search.status is Status.OPTIMAL for cell in cells) / len(cells),
        "worst_gap": max(cell.search.gap for cell in cells),
    }


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("row", ["releases-zero", "readiness"])
def test_small(benchmark, row, topology):
    drawn = list(instances(topology, 12, count=200, readiness=row == "readiness"))
    cells = benchmark.pedantic(sweep, args=(drawn,), kwargs={"time_limit": 1.0})
    check(cells)
    kernel = sweep_kernel(drawn)
    record(
        benchmark,
        row,
        topology,
        **spread(cell.seconds for cell in cells),
        **proofs(cells),
        kernel_median=spread(result.seconds for result in kernel)["median"],
    )


@pytest.mark.parametrize(
    ("row", "topology", "functions", "count"),
    [
        *(("medium", topology, 50, 40) for topology in SERIES_PARALLEL),
        *(("medium", topology, 30, 40) for topology in GENERAL),
        *(("general-50", topology, 50, 20) for topology in GENERAL),
    ],
)
def test_medium(benchmark, row, topology, functions, count):
    drawn = list(instances(topology, functions, count=count))
    cells = benchmark.pedantic(sweep, args=(drawn,), kwargs={"time_limit": 1.0})
    check(cells)
    record(
        benchmark,
        row,
        f"{topology}, n = {functions}",
        **spread(cell.seconds for cell in cells),
        **proofs(cells),
    )


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_large(benchmark, topology):
    drawn = list(instances(topology, 1000, count=3, quantiles=(0.05, 0.4, 0.8)))
    # The call returns within 2 s: stopping and re-evaluation take some of them.
    cells = benchmark.pedantic(sweep, args=(drawn,), kwargs={"time_limit": 1.9})
    check(cells)
    record(benchmark, "large", topology, **spread(cell.seconds for cell in cells), **proofs(cells))
