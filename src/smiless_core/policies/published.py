"""SMIless as it was published: a point forecast, and one window."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model.configuration import Hardware, Readiness
from smiless_core.model.directive import Directive
from smiless_core.model.noun import Noun
from smiless_core.model.plan import Assignment, Plan, Stay
from smiless_core.model.problem import Problem
from smiless_core.model.profiles import Profile
from smiless_core.policies.protocol import Decide, Decision, Observation
from smiless_core.policies.sizing import cheapest_configurations
from smiless_core.solver import CompiledProblem
from smiless_core.timing import warm_response
from smiless_core.validation import flag, whole_number

__all__ = ["PublishedSmiless"]


class PublishedSmiless(Noun, frozen=True, kw_only=True):
    """SMIless, with its rules for configurations and windows at every forecast.

    After each arrival the time to the next one is forecast. Configurations are those of least cost within the SLA for
    arrivals at that interval; a function whose initialization and service fit into it is let go and prewarmed for the
    moment when its work is expected, any other is kept. A prewarmed instance waits for the arrival however late it
    comes. Plans reckon with cold starts of the mean and three standard deviations.

    Parameters
    ----------
    memory : int, default 32
        The forecast is the median of so many inter-arrival times.
    homogeneous : bool, default False
        Whether there are CPUs only: the ablation SMIless-Homo of the paper.
    windows_follow_dag : bool, default True
        Whether a function is prewarmed for the moment when its own work is expected, or for the arrival of the
        invocation: the ablation SMIless-No-DAG.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    References
    ----------
    Lu, Xu, Li, Chen, Ye, Xu: "SMIless: Serving DAG-based Inference with Dynamic Invocations under Serverless
    Computing", SC 2024, doi 10.1109/SC41406.2024.00044.
    """

    memory: int = 32
    homogeneous: bool = False
    windows_follow_dag: bool = True

    def __post_init__(self) -> None:
        self._set(
            memory=whole_number(self.memory, "memory", at_least=1),
            homogeneous=flag(self.homogeneous, "homogeneous"),
            windows_follow_dag=flag(self.windows_follow_dag, "windows_follow_dag"),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"SMIless{'' if self.windows_follow_dag else ', no DAG'}{', homogeneous' if self.homogeneous else ''}"

    @property
    def fidelity(self) -> str:
        """How near it is to the paper."""
        return (
            "simplified: forecasts by the median of recent inter-arrival times instead of an LSTM, finds configurations"
            " by the exact search instead of its heuristic, and has no auto-scaler for bursts"
        )

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide for one application; see `Policy.start`."""
        if self.homogeneous:
            problem = _on_cpus(problem)
        return _Online(self, problem)


class _Online:
    """What it knows about one application."""

    def __init__(self, policy: PublishedSmiless, problem: Problem) -> None:
        self._policy = policy
        self._problem = problem
        self._compiled = CompiledProblem(problem)
        self._gaps: deque[float] = deque(maxlen=policy.memory)
        self._observed = 0
        self._last: float | None = None
        self._forecast: float | None = None
        self._in_force: Mapping[str, Directive] = {}

    def __call__(self, seen: Observation) -> Decision:
        for t in seen.arrivals[self._observed :].tolist():
            if self._last is not None:
                self._gaps.append(t - self._last)
            self._last = t
        self._observed = len(seen.arrivals)
        forecast = median(self._gaps) if self._gaps else None
        if self._in_force and forecast == self._forecast:
            return Decision(at_arrivals=True)
        self._forecast = forecast
        directives = self._directives(forecast)
        changed = {name: each for name, each in directives.items() if self._in_force.get(name) != each}
        self._in_force = directives
        return Decision(changed, at_arrivals=True)

    def _staying(self) -> dict[str, Directive]:
        configurations = cheapest_configurations(self._problem)
        return {name: Directive.keep_alive(each, math.inf) for name, each in configurations.items()}

    def _directives(self, forecast: float | None) -> dict[str, Directive]:
        if not forecast:  # nothing to go by, or all at once
            return self._staying()
        try:
            plan = self._compiled.solve(Arrivals.every(forecast)).closest
        except InfeasibleError:  # they come faster than the instances can serve that there may be
            return self._staying()
        shifts = [0.0] * len(plan) if self._policy.windows_follow_dag else _starts(plan)
        return {each.function: _waiting(each, shift) for each, shift in zip(plan, shifts, strict=True)}


def _on_cpus(problem: Problem) -> Problem:
    """Return the problem without any other hardware."""
    if not all(problem.sizes(v, Hardware.CPU) for v in range(len(problem.application.functions))):
        raise InvalidInputError("not all functions have a CPU to run on", place="homogeneous")
    profiles = {
        function.profile: Profile(function.profile, {Hardware.CPU: problem.profile(v).hardware[Hardware.CPU]})
        for v, function in enumerate(problem.application.functions)
    }
    return problem.replace(profiles=profiles)


def _starts(plan: Plan) -> list[float]:
    """Return when the work of each function is expected, seconds after the arrival."""
    return list(
        warm_response(
            plan.application,
            [each.latency for each in plan],
            cold_start=[each.cold_start for each in plan],
            readiness=[each.readiness for each in plan],
        ).earliest_start
    )


def _waiting(assignment: Assignment, earlier: float) -> Directive:
    """Return the first stay of an assignment, without its end, and so much earlier."""
    directive = Directive.of(assignment)
    if assignment.readiness is not Readiness.PREWARMED or not assignment.schedule:
        return directive
    first = assignment.schedule[0]
    start, ready = first.start, first.ready
    if start < ready:
        start, ready = max(start - earlier, 0.0), max(ready - earlier, assignment.cold_start, 1e-9)
    return directive.replace(schedules=((Stay(start, ready, math.inf),),))
