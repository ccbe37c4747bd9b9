"""Orion: right sizes by a best-first search, and right pre-warming of the later functions of a DAG."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smiless_core.baselines.offers import Offer, lingering, offers_for
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Problem
from smiless_core.policies import Decide, Decision, Directive, Observation, TimedStart
from smiless_core.timing import response_times
from smiless_core.validation import number

__all__ = ["Orion"]


class Orion(Noun, frozen=True, kw_only=True):
    """Size functions for the SLA, and start each instance just in time for the invocation that is under way.

    Sizes: all functions begin on the cheapest configuration; the one step up, of one function, that leaves the shortest
    response is taken until the response meets the SLA. Pre-warming: when an invocation comes, instances of the later
    functions start after the delays that leave them ready the moment that their work comes.

    Parameters
    ----------
    keep_alive : float, default 600
        Seconds for which instances stay after each service. The paper leaves that to the provider.
    share : float, default 1
        The share of the SLA that the response is sized for.

    Raises
    ------
    InvalidInputError
        If the time is negative, or the share not in (0, 1].

    Notes
    -----
    A. Mahgoub, E. B. Yi, K. Shankar, S. Elnikety, S. Chaterji and S. Bagchi, "ORION and the Three Rights: Sizing,
    Bundling, and Prewarming for Serverless DAGs", OSDI 2022, and its artifact (github.com/icanforce/Orion-OSDI22:
    DAG_Modeler and Prewarming_Optimizer). A step up leads to the next configuration by price that is faster than all
    cheaper ones. The artifact lengthens delays while the idling per second of response falls; where times are certain,
    that ends where nothing idles and nothing waits.
    """

    keep_alive: float = 600.0
    share: float = 1.0

    def __post_init__(self) -> None:
        kept = self.keep_alive
        self._set(
            keep_alive=kept if kept == math.inf else number(kept, "keep_alive", at_least=0.0),
            share=number(self.share, "share", above=0.0, at_most=1.0),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "Orion"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return (
            "simplified: planned latencies and cold starts instead of the percentile of correlated distributions; no"
            " bundling, as no function has parallel workers"
        )

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide, on the sizes found."""
        return _Prewarming(self, problem, _right_sizes(problem, sla=self.share * problem.application.sla))


class _Prewarming:
    """Delays for the later functions, whenever an invocation comes."""

    def __init__(self, settings: Orion, problem: Problem, sizes: Sequence[Offer]) -> None:
        self._application = application = problem.application
        self._sizes = sizes
        self._directives = [
            lingering(problem.limits, Directive.keep_alive(offer.configuration, settings.keep_alive)) for offer in sizes
        ]
        self._later = [v for v, before in enumerate(application.predecessors) if before]
        self._linger = max(settings.keep_alive, application.sla)
        self._needed: dict[int, tuple[float, ...]] = {}
        self._cold_starts = [0] * len(sizes)
        self._pending: list[list[TimedStart]] = [[] for _ in sizes]
        self._seen = -1

    def __call__(self, observation: Observation) -> Decision:
        names, functions = self._application.names, observation.functions
        came = len(observation.arrivals)
        if self._seen < 0:
            self._seen = came
            return Decision(dict(zip(names, self._directives, strict=True)), at_arrivals=bool(self._later))
        if came == self._seen:
            return Decision(at_arrivals=True)
        self._seen = came
        states = [functions[name] for name in names]
        absent = 0
        for v in self._application.sources:
            absent |= (states[v].cold_starts > self._cold_starts[v]) << v
            self._cold_starts[v] = states[v].cold_starts
        # One for each invocation that has not been through.
        wanted = [came - state.requests + state.under_way for state in states]
        for v in self._later:
            absent |= (wanted[v] > states[v].instances) << v
        changed = {}
        arrival = float(observation.arrivals[-1])
        starts = self._starts(absent)
        for v in self._later:
            begin = arrival + max(starts[v] - self._sizes[v].cold_start, 0.0)
            pending = [each for each in self._pending[v] if each.start > observation.now]
            if wanted[v] > 0:
                until = begin + self._sizes[v].cold_start + self._linger
                pending.append(TimedStart(begin, until, wanted[v]))
            self._pending[v] = pending
            changed[names[v]] = self._directives[v].replace(starts=tuple(pending))
        return Decision(changed, at_arrivals=True)

    def _starts(self, absent: int) -> tuple[float, ...]:
        """Return when work reaches each function after an arrival, given which of them (bits) are not there."""
        found = self._needed.get(absent)
        if found is None:
            application = self._application
            latency = [offer.latency for offer in self._sizes]
            release = [offer.cold_start if absent >> v & 1 else 0.0 for v, offer in enumerate(self._sizes)]
            timing = response_times(application.predecessors, latency, order=application.order, release=release)
            found = self._needed[absent] = timing.earliest_start
        return found


def _right_sizes(problem: Problem, *, sla: float) -> tuple[Offer, ...]:
    """Size functions by the steps that shorten the response most, until it is within the SLA or nothing is left.

    Of steps that leave the same response, the one that leaves the least sum of latencies is taken; then the cheapest;
    then that of the first function.
    """
    application = problem.application
    ladders = [_ladder(offers_for(problem, v)) for v in range(len(application.functions))]
    steps = [0] * len(ladders)
    latency = [ladder[0].latency for ladder in ladders]

    def response() -> float:
        return response_times(application.predecessors, latency, order=application.order).latency

    while response() > sla:
        best: tuple[float, float, float, int] | None = None
        for v, ladder in enumerate(ladders):
            if steps[v] + 1 == len(ladder):
                continue
            here, there = ladder[steps[v]], ladder[steps[v] + 1]
            latency[v] = there.latency
            step = (response(), there.latency - here.latency, there.price - here.price, v)
            latency[v] = here.latency
            best = step if best is None else min(best, step)
        if best is None:
            break
        v = best[-1]
        steps[v] += 1
        latency[v] = ladders[v][steps[v]].latency
    return tuple(ladder[step] for ladder, step in zip(ladders, steps, strict=True))


def _ladder(offers: Sequence[Offer]) -> list[Offer]:
    """Return the offers from the cheapest up that are faster than all cheaper ones."""
    ladder: list[Offer] = []
    for offer in sorted(offers, key=lambda each: (each.price, each.latency)):
        if not ladder or offer.latency < ladder[-1].latency:
            ladder.append(offer)
    return ladder
