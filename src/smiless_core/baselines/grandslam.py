"""GrandSLAm: the SLA shared out over stages, and batches as large as the share of each allows."""

import math

from smiless_core.baselines.offers import CLOCK_ROUNDING, Offer, lingering, within
from smiless_core.model.configuration import Configuration
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Problem
from smiless_core.policies import Decide, Decision, Directive, Observation, cheapest_configurations
from smiless_core.timing import response_times
from smiless_core.validation import number

__all__ = ["GrandSLAm"]


class GrandSLAm(Noun, frozen=True, kw_only=True):
    """Serve by instances that are always there, in batches as large as the slack of each stage allows.

    The slack of a function is its part of the SLA: as its latency to the longest path through it. Its batch is the
    largest of those measured whose latency is within the slack. Requests queue for the instances, and a free one takes
    as many as there are, up to the batch.

    Parameters
    ----------
    interval : float, default 10
        Seconds after which the number of instances follows the load: what came in the last interval and waits, at full
        batches, and at least 1.
    share : float, default 0.5
        The share of the SLA that sizes are chosen for, when nothing waits (`cheapest_configurations`): the paper has no
        rule for them. Half of it leaves room to wait for as long as the service takes.
    residency : float, default 60
        Seconds per invocation that instances are expected to idle, for the same.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Notes
    -----
    R. S. Kannan, L. Subramanian, A. Raju, J. Ahn, J. Mars and L. Tang, "GrandSLAm: Guaranteeing SLAs for Jobs in
    Microservices Execution Frameworks", EuroSys 2019. Its reordering by slack
    is first come, first served where all requests of a function are of one application.
    """

    interval: float = 10.0
    share: float = 0.5
    residency: float = 60.0

    def __post_init__(self) -> None:
        self._set(
            interval=number(self.interval, "interval", above=0.0),
            share=number(self.share, "share", above=0.0, at_most=1.0),
            residency=number(self.residency, "residency", at_least=0.0),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "GrandSLAm"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return (
            "simplified: one batch size per function, not one per batch from what its oldest request has left; no"
            " sharing and reordering among applications; the number of instances, given in the paper, follows the load"
        )

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide, with one instance of each function."""
        return _Stages(self, problem)


class _Stages:
    """The load of all functions, while there is any."""

    def __init__(self, settings: GrandSLAm, problem: Problem) -> None:
        self._interval = settings.interval
        self._limits = problem.limits
        self._names = problem.application.names
        self._batched = _batched(problem, settings)
        # Seconds of an instance that a request takes in a full batch.
        self._work = [
            problem.profile(v).hardware[each.hardware].latency(each.batch, each.size) / each.batch
            for v, each in enumerate(self._batched)
        ]
        self._replicas = [0] * len(self._batched)
        self._requests = [0] * len(self._batched)
        self._due = -math.inf

    def __call__(self, observation: Observation) -> Decision:
        now = observation.now
        if now < self._due - CLOCK_ROUNDING:
            return Decision(wake=self._due)
        changed = {}
        busy = False
        for v, name in enumerate(self._names):
            state = observation.functions[name]
            came, self._requests[v] = state.requests - self._requests[v], state.requests
            load = (came + state.queued) * self._work[v]
            replicas = within(self._limits, max(math.ceil(load / self._interval), 1))
            busy = busy or bool(came) or bool(state.under_way)
            if replicas != self._replicas[v]:
                self._replicas[v] = replicas
                kept = Directive(configuration=self._batched[v], min_replicas=replicas, max_replicas=replicas)
                changed[name] = lingering(self._limits, kept)
        if not busy:
            return Decision(changed, at_arrivals=True)
        self._due = now + self._interval
        return Decision(changed, wake=self._due)


def _batched(problem: Problem, settings: GrandSLAm) -> tuple[Configuration, ...]:
    """Return what each function runs on, with the largest batch within its slack."""
    application = problem.application
    sla = settings.share * application.sla
    chosen = cheapest_configurations(problem, residency=settings.residency, sla=sla)
    offers = [Offer.of(problem, v, configuration=each) for v, each in enumerate(chosen.values())]
    timing = response_times(application.predecessors, [each.latency for each in offers], order=application.order)
    batched = []
    for v, offer in enumerate(offers):
        configuration = offer.configuration
        model = problem.profile(v).hardware[configuration.hardware]
        slack = application.sla * offer.latency / (timing.latency - timing.slack[v])
        fitting = [batch for batch in model.batches if model.latency(batch, configuration.size) <= slack]
        batched.append(configuration.replace(batch=max(fitting, default=model.batches[0])))
    return tuple(batched)
