"""The joint search, from a distribution to a `Solution` in Python, and once more for the next distribution."""

from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np
import pytest

from bench.instances import TOPOLOGIES, Instance, instances
from bench.measuring import REPEATS, measured, record, spread
from smiless_core import Arrivals, CompiledProblem, Solution, Status

TARGET = 0.95
GAPS = 1000
COUNT = 3
QUANTILES = (0.2, 0.5, 0.8)


def recorded(rng: np.random.Generator, *, shortest: float) -> np.ndarray:
    """Draw gaps with two humps, a few seconds and minutes, none shorter than so many seconds."""
    humps = np.where(rng.random(GAPS) < 0.7, rng.gamma(4.0, 3.0, GAPS), rng.lognormal(5.0, 0.5, GAPS))
    return shortest + humps


# No service of an instance takes 30 s: there arrivals never overlap. The exponential law has them now and then.
LAWS: dict[str, Callable[[np.random.Generator], Arrivals]] = {
    "recorded": lambda rng: Arrivals.empirical(recorded(rng, shortest=30.0)),
    "smoothed": lambda rng: Arrivals.smoothed(recorded(rng, shortest=30.0)),
    "smoothed, overlapping": lambda rng: Arrivals.smoothed(rng.gamma(0.5, 6.0, GAPS) + 1e-3),
    "exponential": lambda rng: Arrivals.exponential(60.0 * rng.uniform(0.99, 1.01)),
}


class Planner:
    """One problem that is solved for distributions, much the same and never twice the same one."""

    def __init__(self, instance: Instance, sla: float, law: str) -> None:
        problem = instance.problem
        self._compiled = CompiledProblem(problem.replace(application=problem.application.replace(sla=sla)))
        rng = np.random.default_rng(2024)
        self._arrivals = [LAWS[law](rng) for _ in range(2 * (1 + REPEATS) + 1)]
        self._next = count()
        self._last: Solution | None = None

    def _solved(self, start: Solution | None) -> Solution:
        self._last = self._compiled.solve(self._arrivals[next(self._next)], target=TARGET, start=start)
        return self._last

    def cold(self) -> Solution:
        """Solve with nothing to start from."""
        return self._solved(None)

    def again(self) -> Solution:
        """Solve from the solution before."""
        return self._solved(self._last)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("law", LAWS)
def test_joint(benchmark, law, topology):
    drawn = list(instances(topology, 12, count=COUNT, quantiles=QUANTILES))

    def sweep():
        cold, again = [], []
        for instance in drawn:
            planners = [Planner(instance, sla, law) for sla in instance.slas]
            cold += measured([planner.cold for planner in planners])
            again += measured([planner.again for planner in planners])
        return cold, again

    cold, again = benchmark.pedantic(sweep)
    for result in (*cold, *again):
        solution = result.answer
        assert solution.feasible, f"{solution.problem.application.name}: {solution.status}"
        assert solution.attainment.fraction >= TARGET - 1e-12
        assert solution.bound <= solution.cost * (1 + 1e-12)
    rng = np.random.default_rng(2024)
    (made,) = measured([partial(LAWS[law], rng)])
    gaps = [result.answer.gap for result in cold]
    times = spread(result.seconds for result in again)
    record(
        benchmark,
        "joint",
        f"{law}, {topology}",
        **spread(result.seconds for result in cold),
        again_median=times["median"],
        again_p99=times["p99"],
        smoothing_median=made.seconds,
        median_gap=float(np.median(gaps)),
        worst_gap=max(gaps),
        proved=sum(result.answer.status is Status.OPTIMAL for result in cold) / len(cold),
    )
