"""What may be done next: schedules from the joint search, and instances that stay.

A burst can be met in three ways: by an instance for every request at once, by a few instances that requests queue for,
on configurations that leave time to wait, or by a few that serve them in batches. The joint search plans for the first;
for the second it is given the gaps between bursts, and a tighter SLA; the auto-scaler plans for the third.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.autoscaler import Autoscaler, Scaling
from smiless_core.errors import InfeasibleError
from smiless_core.model.configuration import Configuration
from smiless_core.model.directive import Directive
from smiless_core.model.plan import Plan
from smiless_core.model.problem import Problem
from smiless_core.policies.rehearsal import rehearse
from smiless_core.policies.sizing import cheapest_configurations
from smiless_core.solver import CompiledProblem, Solution
from smiless_core.timing import response_times

__all__ = ["Candidates", "Directives"]

Directives = Mapping[str, Directive]

_PARTS = (1.0, 0.85, 0.7, 0.6, 0.5, 0.35)  # of the SLA for a warm response; what is left is time to queue
_PLANNED_PARTS = (1.0, 0.7, 0.5)
_REPLICAS = (1, 2, 3)
# To begin with: a part of the SLA is left over, and so many invocations, so many seconds apart, are in time.
_LEFT = 0.5
_BURST, _BURST_GAP = 12, 0.25


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
        self._cautious: Directives | None = None
        functions = range(len(problem.application.functions))
        self._ladders = [_ladder(problem, v) for v in functions]
        self._scalers = [_scaler(problem, v) for v in functions]
        self._granted = [self._latencies(part) for part in _PLANNED_PARTS]

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

    def bursting(self, demand: Counts, *, target: float, most: int) -> Iterator[Directives]:
        """Yield those whose instances serve a burst at once, as the auto-scaler finds them, and stay.

        Parameters
        ----------
        demand : Counts
            How many invocations come within the SLA after one.
        target : float
            The attainment: bursts are larger with the rest of the probability.
        most : int
            Larger bursts are not looked at.
        """
        names = self._problem.application.names
        seen: set[tuple[Scaling, ...]] = set()
        for count in dict.fromkeys(min(1 + demand.quantile(fraction), most) for fraction in (target, 1.0)):
            for granted in self._granted:
                scaled = tuple(
                    each.closest(count, latency) for each, latency in zip(self._scalers, granted, strict=True)
                )
                if scaled in seen:
                    continue
                seen.add(scaled)
                yield {
                    name: Directive.keep_alive(each.configuration, math.inf).replace(
                        min_replicas=each.replicas, max_replicas=each.replicas
                    )
                    for name, each in zip(names, scaled, strict=True)
                }

    def _latencies(self, part: float) -> list[float]:
        """Divide the SLA among the functions, as on the cheapest configurations within a part of it; seconds."""
        problem = self._problem
        application = problem.application
        chosen = cheapest_configurations(problem, sla=part * application.sla)
        latency = [
            problem.profile(v).hardware[each.hardware].latency(1, each.size, extrapolate=True)
            for v, each in enumerate(chosen.values())
        ]
        timing = response_times(application.predecessors, latency, order=application.order)
        # The longest path through each function is to fill the SLA.
        return [
            application.sla * own / (timing.latency - slack) for own, slack in zip(latency, timing.slack, strict=True)
        ]

    def cautious(self) -> Directives:
        """Return what to begin with, while nothing is known of bursts: instances that stay, and leave time to queue.

        A response leaves half of the SLA over where nobody waits, and a burst is in time.
        """
        if self._cautious is None:
            problem = self._problem
            cold_starts = [
                model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)
                for v in range(len(problem.application.functions))
                for model in problem.profile(v).hardware.values()
            ]
            there = 2.0 * sum(cold_starts) + problem.application.sla  # by then all instances are
            burst = np.concatenate(([0.0], there + _BURST_GAP * np.arange(_BURST)))

            def judged(directives: Directives) -> tuple[float, float]:
                alone = rehearse(self._problem, burst[:2], directives, skipped=1, headroom=_LEFT)
                among_others = rehearse(self._problem, burst, directives, skipped=1)
                return alone.late + among_others.late, math.fsum(
                    each.min_replicas * self._problem.prices.per_second(each.configuration)
                    for each in directives.values()
                )

            self._cautious = min(
                (*self.resident(), *self.bursting(Counts([_BURST]), target=1.0, most=_BURST)), key=judged
            )
        return self._cautious

    def planned(
        self, arrivals: Arrivals, gaps: NDArray[np.float64], *, target: float, headroom: float
    ) -> Iterator[Directives]:
        """Yield those of the joint search.

        Parameters
        ----------
        arrivals : Arrivals
            The forecast.
        gaps : float64 array, shape (g,)
            Recent inter-arrival times, seconds.
        target : float
            The attainment to plan for.
        headroom : float
            The part of the SLA to be left over.
        """
        sla = self._problem.application.sla
        plan = self._solved(None, arrivals, (1.0 - headroom) * sla, target)
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


def _scaler(problem: Problem, v: int) -> Autoscaler:
    """Return what scales a function, within the limits of the platform."""
    profile = problem.profile(v)
    return Autoscaler(
        profile,
        problem.prices,
        sizes={hardware: problem.sizes(v, hardware) for hardware in profile.hardware if problem.sizes(v, hardware)},
        max_replicas=problem.limits.max_replicas,
    )


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
