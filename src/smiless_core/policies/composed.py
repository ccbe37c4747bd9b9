"""The policy of this library: forecast, plan, carry out, and plan again as more is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from smiless_core.arrivals import Arrivals
from smiless_core.model.configuration import Configuration
from smiless_core.model.directive import Directive
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Problem
from smiless_core.policies.candidates import Candidates, Directives
from smiless_core.policies.protocol import Decide, Decision, Observation
from smiless_core.policies.published import PublishedSmiless
from smiless_core.policies.rehearsal import rehearse
from smiless_core.predictors import BandwidthChain
from smiless_core.validation import number, open_fraction, whole_number

__all__ = ["Smiless"]

_LONGEST_WAIT = 64  # arrivals between two plans
_SKIPPED = 16  # one part in so many of a rehearsal is for instances to come up
_MOST_LATE = 0.99  # of invocations: a plan is to be for some of them
_EVIDENCE = 3.0  # misses that the target allows: with none in so many, it is met with 95 % confidence (rule of three)
_STEPS = 200  # rehearsals of plans that differ in one step from the best one so far
_ANY_LATENCY = 1e9  # seconds


class Smiless(Noun, frozen=True, kw_only=True):
    """Plans for the whole distribution of recent inter-arrival times, and plans again as more of them are known.

    The forecast is that of `predictors.BandwidthChain`. The joint search plans for it: modes, ready set and one
    schedule per instance; and it plans for the gaps between bursts, with a tighter SLA, so that requests of a burst may
    queue for few instances. The auto-scaler plans batches and replicas for bursts as they are to be expected. These
    plans, and instances that just stay, are rehearsed: the recent arrivals are served again by each of them, event by
    event. Where invocations overlap, a response has to leave a part of the SLA over there, for bursts that are larger
    than all so far. The
    cheapest that meets the target so is improved step by step, on other hardware and with an instance more or less, and
    carried out if that pays for the cold starts of a change within as many arrivals as the plan in force has lasted;
    what is replaced serves until what replaces it
    is ready. To begin with, instances stay that leave half of the SLA for queueing: until it has seen enough for the
    target to mean something (never, if that is 1), or arrivals that meet others under way are rarer than misses may be.
    The target moves with what has happened: misses in excess of those allowed are to be made up for, and those saved
    may be spent, within `settle` times as many arrivals as one miss is allowed in.

    Parameters
    ----------
    memory : int, default 512
        How many inter-arrival times are rehearsed.
    patience : float, default 0.25
        A new plan is made when so many more arrivals have come, as a fraction of those known at the last one, and at
        the latest after 64.
    target : float, optional
        The attainment to plan for; the application's by default.
    settle : float, default 5
        See above.
    headroom : float, default 0.1
        What part of the SLA has to be left over in a rehearsal: with a queue, bursts may be larger by about so much.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    memory: int = 512
    patience: float = 0.25
    target: float | None = None
    settle: float = 5.0
    headroom: float = 0.1

    def __post_init__(self) -> None:
        self._set(
            memory=whole_number(self.memory, "memory", at_least=2),
            patience=number(self.patience, "patience", above=0.0),
            target=None if self.target is None else open_fraction(self.target, "target"),
            settle=number(self.settle, "settle", above=0.0),
            headroom=number(self.headroom, "headroom", at_least=0.0, at_most=0.9),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "smiless-core"

    @property
    def fidelity(self) -> str:
        """How near it is to its source: it is that itself."""
        return "own rule"

    @staticmethod
    def published() -> PublishedSmiless:
        """Return SMIless as it was published: a point forecast, and one window (`PublishedSmiless` has settings)."""
        return PublishedSmiless()

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide for one application; see `Policy.start`."""
        return _Online(self, problem)


class _Change(NamedTuple):
    """Instances of new configurations are on their way, while the old ones go on to serve."""

    ready: float  # when they are there, seconds
    settled: Mapping[str, Directive]  # what functions do from then on

    def is_over(self, seen: Observation) -> bool:
        """Whether they are there, and have served where schedules are to count from that."""
        scheduled = any(not each.min_replicas for each in self.settled.values())
        return seen.now >= self.ready and not (scheduled and seen.arrivals[-1] < self.ready)


class _Online:
    """What it knows about one application."""

    def __init__(self, policy: Smiless, problem: Problem) -> None:
        self._policy = policy
        self._problem = problem
        self._candidates = Candidates(problem)
        self._predictor = BandwidthChain(finest=_finest(problem))
        self._target = problem.application.attainment_target if policy.target is None else policy.target
        self._observed = 0
        self._due = 0
        self._changed = 0  # arrivals known when the plan in force was made
        self._in_force: Mapping[str, Directive] = {}
        self._changing: _Change | None = None

    def __call__(self, seen: Observation) -> Decision:
        for t in seen.arrivals[self._observed :].tolist():
            self._predictor.observe(t)
        self._observed = len(seen.arrivals)
        if self._changing is not None:
            if not self._changing.is_over(seen):
                return Decision(wake=self._waking(seen.now), at_arrivals=True)
            settled, self._changing = self._changing.settled, None
            return Decision(settled, at_arrivals=True)
        if self._observed < self._due:
            return Decision(at_arrivals=True)
        directives = self._plan(seen)
        changed = {name: each for name, each in directives.items() if self._in_force.get(name) != each}
        self._changing, changed = self._change(changed, seen.now)
        self._in_force = directives
        return Decision(changed, wake=self._waking(seen.now), at_arrivals=True)

    def _waking(self, now: float) -> float | None:
        """Return when instances of new configurations are ready, if that is still to come."""
        return self._changing.ready if self._changing is not None and self._changing.ready > now else None

    def _change(self, directives: Mapping[str, Directive], now: float) -> tuple[_Change | None, dict[str, Directive]]:
        """Return what is to be done later and what now, for instances to be replaced before they go."""
        at_once, settled = dict(directives), {}
        ready = now
        for name, new in directives.items():
            old = self._in_force.get(name)
            if old is None or old.configuration == new.configuration:
                continue
            limits = (old.max_replicas, new.max_replicas)
            at_once[name] = new.replace(
                min_replicas=max(new.min_replicas, 1),
                max_replicas=sum(each for each in limits if each) if None not in limits else None,
                granted=_ANY_LATENCY,
            )
            settled[name] = new.replace(granted=0.0)
            ready = max(ready, now + self._cold_start(name, new.configuration))
        return (_Change(ready, settled) if settled else None), at_once

    def _cost_of_change(self, directives: Directives) -> float:
        """Return what it costs to bring up instances of other configurations, dollars."""
        return math.fsum(
            self._problem.prices.per_second(new.configuration)
            * self._cold_start(name, new.configuration)
            * max(new.min_replicas, 1)
            for name, new in directives.items()
            if new.configuration != self._in_force[name].configuration
        )

    def _cold_start(self, function: str, configuration: Configuration) -> float:
        problem = self._problem
        model = problem.profile(problem.application.index[function]).hardware[configuration.hardware]
        return model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)

    def _plan(self, seen: Observation) -> Directives:
        resident = self._candidates.resident()
        forecast = self._predictor.arrivals(seen.now)
        if forecast is None or self._is_unsure(forecast):
            return self._candidates.cautious()
        wait = math.ceil(self._policy.patience * min(self._observed, self._policy.memory))
        self._due = self._observed + min(max(wait, 1), _LONGEST_WAIT)
        recent = seen.arrivals[-self._policy.memory - 1 :]
        allowed = self._allowed(seen)
        skipped = max(1, len(recent) // _SKIPPED)

        headroom = self._policy.headroom if self._overlapping(forecast) > 1.0 - self._target else 0.0

        def judged(directives: Directives) -> tuple[float, float]:
            found = rehearse(self._problem, recent, directives, skipped=skipped, headroom=headroom)
            return max(found.late - allowed, 0.0), found.cost

        planned = self._candidates.planned(forecast, np.diff(recent), target=1.0 - allowed, headroom=headroom)
        demand = self._predictor.demand(seen.now, horizon=self._problem.application.sla)
        bursting = self._candidates.bursting(demand, target=1.0 - allowed, most=len(recent))
        best = self._improved(min((*planned, *bursting, *resident), key=judged), judged)
        if self._in_force:
            (excess, cost), (excess_now, cost_now) = judged(best), judged(self._in_force)
            horizon = max(self._observed - self._changed, wait)
            if excess_now <= excess and (cost_now - cost) * horizon <= self._cost_of_change(best):
                return self._in_force
        self._changed = self._observed
        return best

    def _is_unsure(self, forecast: Arrivals) -> bool:
        """Whether arrivals may meet others under way more often than misses are allowed, as far as is known."""
        allowed = 1.0 - self._target
        return self._observed * allowed < _EVIDENCE and self._overlapping(forecast) > allowed

    def _overlapping(self, forecast: Arrivals) -> float:
        """Return how probable it is that the next invocation comes while one may be under way."""
        return 1.0 - forecast.survival(self._problem.application.sla)

    def _improved(self, best: Directives, judged: Callable[[Directives], tuple[float, float]]) -> Directives:
        """Take steps as long as they make it better, and as long as there is time."""
        reached, left = judged(best), _STEPS
        improving = True
        while improving and left > 0:
            improving = False
            for each in self._candidates.neighbors(best):
                left -= 1
                if (found := judged(each)) < reached:
                    reached, best, improving = found, each, True
                    break
        return best

    def _allowed(self, seen: Observation) -> float:
        """Return the fraction of invocations that may be late from now on, for the target to be met before long."""
        allowed = 1.0 - self._target
        responses = seen.responses
        late = np.count_nonzero(responses > self._problem.application.sla)
        if allowed <= 0.0:
            return 0.0
        ahead = self._policy.settle / allowed
        rest = allowed + (allowed * np.count_nonzero(responses >= 0.0) - late) / ahead
        return float(np.clip(rest, allowed / 10.0, min(2.0 * allowed, _MOST_LATE)))


def _finest(problem: Problem) -> float:
    """Return how fine a forecast has to be, seconds: a fifth of the shortest cold start, or of the SLA."""
    cold_starts = [
        model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)
        for v in range(len(problem.application.functions))
        for model in problem.profile(v).hardware.values()
    ]
    return min(max(min(*cold_starts, problem.application.sla) / 5.0, 0.01), 1.0)
