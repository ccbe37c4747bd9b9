"""Observations made by hand, for policies that are asked without a simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smiless_core.model import Problem
from smiless_core.policies import Decision, FunctionState, Observation


def seen(problem: Problem, now: float, arrivals: Sequence[float] = (), /, **functions: FunctionState) -> Observation:
    """Return an observation in which the functions that are not named do nothing."""
    times = np.array(arrivals, dtype=np.float64)
    times.flags.writeable = False
    states = {name: functions.get(name, FunctionState()) for name in problem.application.names}
    return Observation(now, times, states, lambda: np.full(len(times), np.nan))


def names_all(problem: Problem, decision: Decision) -> bool:
    """Whether a decision decides on every function, in order, as the first one has to."""
    return tuple(decision.directives) == problem.application.names
