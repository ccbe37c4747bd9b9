"""`solve` on a compiled problem, from arrivals to a plan in Python; and what importing the library takes."""

import statistics
import subprocess
import sys
from collections.abc import Callable
from itertools import count

import pytest

from bench.instances import TOPOLOGIES, Instance, instances
from bench.measuring import REPEATS, Measured, measured, record, spread
from smiless_core import Arrivals, Plan
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.solution import Solution
from smiless_core.solver.tables import Status

# Slow to import, and of no use to a caller who only plans.
HEAVY = ("numba", "cvxpy", "scipy.optimize", "polars", "rich", "typer")


def solver(instance: Instance, sla: float) -> Callable[[], Solution]:
    """Return a call that solves for an interval it has not seen before, so that nothing is remembered."""
    problem = instance.problem
    compiled = CompiledProblem(problem.replace(application=problem.application.replace(sla=sla)))
    calls = count()
    return lambda: compiled.solve(Arrivals.every(instance.arrivals.interval * (1 + 1e-6 * next(calls))))


def planner(instance: Instance, sla: float) -> Callable[[], Plan]:
    """Return a call that also writes the plan out, with its schedules."""
    solve = solver(instance, sla)
    return lambda: solve().plan


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_solve(benchmark, topology):
    drawn = list(instances(topology, 12, count=30))

    def sweep() -> tuple[list[Measured], list[Measured]]:
        solved, planned = [], []
        for instance in drawn:
            solved += measured([solver(instance, sla) for sla in instance.slas])
            planned += measured([planner(instance, sla) for sla in instance.slas])
        return solved, planned

    solved, planned = benchmark.pedantic(sweep)
    for solution, plan in zip(solved, planned, strict=True):
        assert solution.answer.cost == plan.answer.cost
        assert plan.answer.latency <= plan.answer.application.sla
    record(
        benchmark,
        "solve",
        topology,
        **spread(result.seconds for result in solved),
        proved=sum(result.answer.status is Status.OPTIMAL for result in solved) / len(solved),
        with_plan_median=spread(result.seconds for result in planned)["median"],
    )


@pytest.mark.parametrize("module", ["smiless_core", "numpy"])
def test_import(benchmark, module):
    runs = []
    benchmark.pedantic(lambda: runs.append(imported(module)), rounds=REPEATS, warmup_rounds=1)
    seconds = statistics.median(seconds for seconds, _ in runs[1:])
    if module == "numpy":
        record(benchmark, "import", module, numpy_median=seconds)
    else:
        record(benchmark, "import", module, median=seconds, heavy=max(heavy for _, heavy in runs))


def imported(module: str) -> tuple[float, int]:
    """Import in a fresh interpreter: seconds for the import alone, and how many heavy modules came along."""
    script = (
        f"import sys, time; start = time.perf_counter(); import {module}; "
        f"print(time.perf_counter() - start, sum(name in sys.modules for name in {HEAVY}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split()
    return float(seconds), int(heavy)
