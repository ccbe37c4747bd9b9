"""What may be done next: schedules from the joint search, and instances that stay.

A burst can be met in two ways: by an instance for every request at once, or by a few instances that requests queue for,
on configurations that leave time to wait. The joint search plans for the first; for the second it is given the gaps
between bursts, and a tighter SLA.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError
from smiless_core.model.configuration import Configuration
from smiless_core.model.directive import Directive
from smiless_core.model.plan import Plan
from smiless_core.model.problem import Problem
from smiless_core.policies.sizing import cheapest_configurations
from smiless_core.solver import CompiledProblem, Solution

__all__ = ["Candidates", "Directives"]

Directives = Mapping[str, Directive]

_PARTS = (1.0, 0.85, 0.7, 0.6, 0.5, 0.35)  # of the SLA for a warm response; what is left is time to queue
_PLANNED_PARTS = (1.0, 0.7, 0.5)
_REPLICAS = (1, 2, 3)
_CAUTIOUS = 0.5  # the part of the SLA to begin with


class Candidates:
    """Proposes directives for one application.

    Parameters
    ----------
    problem : Problem
        What is served, and on what.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._compiled = CompiledProblem(problem)
        self._last: dict[float | None, Solution] = {}
        self._resident: list[Directives] = []
        self._ladders = [_ladder(problem, v) for v in range(len(problem.application.functions))]

    def resident(self) -> list[Directives]:
        """Return those whose instances stay once they are there: the cheapest first, as far as one is enough."""
        if not self._resident:
            seen: set[tuple[Configuration, ...]] = set()
            for part in _PARTS:
                sla = part * self._problem.application.sla
                configurations = cheapest_configurations(self._problem, sla=sla)
                if tuple(configurations.values()) in seen:
                    continue
                seen.add(tuple(configurations.values()))
                for replicas in _REPLICAS:
                    self._resident.append(
                        {
                            name: Directive.keep_alive(self._batching(name, each), math.inf).replace(
                                min_replicas=replicas, max_replicas=replicas
                            )
                            for name, each in configurations.items()
                        }
                    )
        return self._resident

    def cautious(self) -> Directives:
        """Return what to begin with, while nothing is known of bursts."""
        configurations = cheapest_configurations(self._problem, sla=_CAUTIOUS * self._problem.application.sla)
        return {
            name: Directive.keep_alive(self._batching(name, each), math.inf).replace(min_replicas=1, max_replicas=1)
            for name, each in configurations.items()
        }

    def planned(self, arrivals: Arrivals, gaps: NDArray[np.float64], *, target: float) -> Iterator[Directives]:
        """Yield those of the joint search.

        Parameters
        ----------
        arrivals : Arrivals
            The forecast.
        gaps : float64 array, shape (g,)
            Recent inter-arrival times, seconds.
        target : float
            The attainment to plan for.
        """
        sla = self._problem.application.sla
        plan = self._solved(None, arrivals, sla, target)
        if plan is not None:
            yield {each.function: Directive.of(each).replace(repeats=True) for each in plan}
        apart = gaps[gaps > sla]
        if len(apart) < 2:
            return
        between = Arrivals.smoothed(apart)
        for part in _PLANNED_PARTS:
            plan = self._solved(part, between, part * sla, target)
            if plan is None:
                continue
            for replicas in _REPLICAS[:2]:
                yield {
                    each.function: Directive.of(each).replace(
                        configuration=self._batching(each.function, each.configuration),
                        repeats=True,
                        max_replicas=replicas,
                    )
                    for each in plan
                }

    def neighbors(self, directives: Directives) -> Iterator[Directives]:
        """Yield what differs in one step of one function: other hardware, or an instance more or less."""
        for v, (name, directive) in enumerate(directives.items()):
            ladder = self._ladders[v]
            here = directive.configuration.replace(batch=1)
            if here in ladder:
                at = ladder.index(here)
                for step in (at - 1, at + 1):
                    if 0 <= step < len(ladder):
                        other = self._batching(name, ladder[step])
                        yield {**directives, name: directive.replace(configuration=other)}
            most = directive.max_replicas
            if most is not None:
                for replicas in {max(most - 1, 1), most + 1} - {most}:
                    least = replicas if directive.min_replicas else 0
                    yield {**directives, name: directive.replace(min_replicas=least, max_replicas=replicas)}

    def _solved(self, part: float | None, arrivals: Arrivals, sla: float, target: float) -> Plan | None:
        """Solve, from the last solution of the same kind on; None where arrivals are too much for the platform."""
        solution = self._compiled.solve(arrivals, sla=sla, target=target, start=self._last.get(part), prove=False)
        self._last[part] = solution
        try:
            return solution.closest
        except InfeasibleError:
            return None

    def _batching(self, function: str, configuration: Configuration) -> Configuration:
        """Return a configuration with the largest batch: requests share it only where they would wait otherwise."""
        model = self._problem.profile(self._problem.application.index[function]).hardware[configuration.hardware]
        return configuration.replace(batch=model.batches[-1])


def _ladder(problem: Problem, v: int) -> list[Configuration]:
    """Return what a function can run on by rising price and falling latency, without what is dominated."""
    offers = sorted(
        (problem.prices.per_second(configuration), model.latency(model.batches[0], size), configuration)
        for hardware, model in problem.profile(v).hardware.items()
        for size in problem.sizes(v, hardware)
        for configuration in [Configuration(hardware, size)]
    )
    ladder: list[Configuration] = []
    fastest = math.inf
    for _, latency, configuration in offers:
        if latency < fastest:
            ladder.append(configuration)
            fastest = latency
    return ladder
