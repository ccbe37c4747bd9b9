"""Fixed keep-alive: every instance stays for the same time after each service."""

import math

from smiless_core.baselines.offers import lingering
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Problem
from smiless_core.policies import Decide, Decision, Directive, cheapest_configurations
from smiless_core.validation import number

__all__ = ["FixedKeepAlive"]


class FixedKeepAlive(Noun, frozen=True, kw_only=True):
    """Keep every instance for the same time after each service, as platforms do by themselves.

    Parameters
    ----------
    seconds : float, default 600
        How long; infinity never lets one go.
    residency : float, default 60
        Seconds per invocation that instances are expected to idle, for the choice of configurations
        (`cheapest_configurations`): platforms have no rule of their own.

    Raises
    ------
    InvalidInputError
        If either is negative or not a number.

    Notes
    -----
    The policy of Apache OpenWhisk (10 minutes) and, with 20 minutes, of Azure Functions before 2020: M. Shahrad et al.,
    "Serverless in the Wild: Characterizing and Optimizing the Serverless Workload at a Large Cloud Provider", USENIX
    ATC 2020, section 2.
    """

    seconds: float = 600.0
    residency: float = 60.0

    def __post_init__(self) -> None:
        kept = self.seconds if self.seconds == math.inf else number(self.seconds, "seconds", at_least=0.0)
        self._set(seconds=kept, residency=number(self.residency, "residency", at_least=0.0))

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"keep-alive {self.seconds:g} s"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return "paper rule"

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide: once."""
        chosen = cheapest_configurations(problem, residency=self.residency)
        directives = {
            name: lingering(problem.limits, Directive.keep_alive(configuration, self.seconds))
            for name, configuration in chosen.items()
        }
        return lambda observation: Decision(directives)
