"""What functions run on where a policy decides only when instances exist."""

import math
from collections.abc import Mapping

import numpy as np

from smiless_core.model.configuration import Configuration, Readiness
from smiless_core.model.problem import Problem
from smiless_core.solver import CompiledProblem
from smiless_core.validation import number

__all__ = ["cheapest_configurations"]


def cheapest_configurations(
    problem: Problem, *, residency: float = 60.0, sla: float | None = None
) -> Mapping[str, Configuration]:
    """Choose the cheapest configurations that meet the SLA when everything is ready, by the exact search.

    Parameters
    ----------
    problem : Problem
        What to choose for.
    residency : float, default 60
        Seconds for which an instance is expected to stay, per invocation, besides serving: the longer, the more a low
        price counts, and the less a short service.
    sla : float, optional
        Seconds; that of the application by default.

    Returns
    -------
    mapping of str to Configuration
        By function, in the order of the application. Where no choice meets the SLA, the fastest one.
    """
    compiled = CompiledProblem(problem)
    stays = number(residency, "residency", at_least=0.0)
    rows = [compiled.mode(row) for row in range(len(compiled.function))]
    cost = np.array(
        [mode.price * (mode.latency + stays) if mode.readiness is Readiness.PREWARMED else math.inf for mode in rows]
    )
    bound = problem.application.sla if sla is None else number(sla, "sla", above=0.0)
    found = compiled.cheapest(cost, sla=bound)
    if found.choice is None:
        found = compiled.cheapest(cost, sla=found.shortest_latency)
    assert found.choice is not None, "the shortest latency is that of some choice"
    chosen = compiled.rows(found.choice).tolist()
    return {name: rows[row].configuration for name, row in zip(problem.application.names, chosen, strict=True)}
