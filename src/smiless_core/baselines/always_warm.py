"""Always warm: a number of instances that are never let go."""

from smiless_core.baselines.offers import lingering, within
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Problem
from smiless_core.policies import Decide, Decision, Directive, cheapest_configurations
from smiless_core.validation import number, whole_number

__all__ = ["AlwaysWarm"]


class AlwaysWarm(Noun, frozen=True, kw_only=True):
    """Keep the same number of instances of every function at all times; more start on request and end with it.

    Parameters
    ----------
    replicas : int, default 1
        Instances of each function.
    residency : float, default 60
        Seconds per invocation that instances are expected to idle, for the choice of configurations
        (`cheapest_configurations`): platforms have no rule of their own.

    Raises
    ------
    InvalidInputError
        Unless there is at least one, and the time is at least 0.

    Notes
    -----
    What platforms sell by this rule: "provisioned concurrency" (AWS Lambda Developer Guide), "minimum instances"
    (Google Cloud Run), "always ready instances" (Azure Functions Premium).
    """

    replicas: int = 1
    residency: float = 60.0

    def __post_init__(self) -> None:
        self._set(
            replicas=whole_number(self.replicas, "replicas", at_least=1),
            residency=number(self.residency, "residency", at_least=0.0),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "always warm" if self.replicas == 1 else f"always warm, {self.replicas} each"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return "paper rule"

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide: once."""
        floor = within(problem.limits, self.replicas)
        chosen = cheapest_configurations(problem, residency=self.residency)
        directives = {
            name: lingering(problem.limits, Directive(configuration=configuration, min_replicas=floor))
            for name, configuration in chosen.items()
        }
        return lambda observation: Decision(directives)
