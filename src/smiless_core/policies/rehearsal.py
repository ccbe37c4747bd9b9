"""What directives would have come to on arrivals that are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.model.directive import Directive
from smiless_core.model.problem import Problem
from smiless_core.serving import Serving
from smiless_core.timing import nanoseconds_down

__all__ = ["Rehearsed", "rehearse"]


class Rehearsed(NamedTuple):
    """What came of it, after the beginning.

    Attributes
    ----------
    cost : float
        Dollars per invocation.
    late : float
        The fraction of invocations that missed the SLA, less the headroom.
    """

    cost: float
    late: float


def rehearse(
    problem: Problem,
    arrivals: NDArray[np.float64],
    directives: Mapping[str, Directive],
    *,
    skipped: int,
    headroom: float = 0.0,
) -> Rehearsed:
    """Serve arrivals again by one set of directives, with cold starts as long as planned.

    Parameters
    ----------
    problem : Problem
        What is served, and on what.
    arrivals : float64 array, shape (N,)
        Seconds, ascending.
    directives : mapping of str to Directive
        Of every function, from the first arrival on.
    skipped : int
        The first arrivals, which do not count: nothing is there yet when they come. Less than N.
    headroom : float, default 0
        What part of the SLA a response has to leave over, not to be late.

    Returns
    -------
    Rehearsed
        Of the other arrivals, and of the time from the first of them on.
    """
    times = np.rint((arrivals - arrivals[0]) * 1e9).astype(np.int64)
    serving = Serving(problem, times, sampled=False)
    for name, directive in directives.items():
        serving.direct(name, directive)
    serving.advance(int(times[skipped]))
    before = _billed(serving)
    serving.finish()
    late = serving.responses[skipped:] > nanoseconds_down((1.0 - headroom) * problem.application.sla)
    return Rehearsed((_billed(serving) - before) / len(late), float(late.mean()))


def _billed(serving: Serving) -> float:
    return math.fsum(used.cost for function in serving.usage() for used in function.values())
