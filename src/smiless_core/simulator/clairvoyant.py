"""What a policy pays at least that knows the future and meets every SLA.

For one function on one configuration (price p, latency L, cold start T), let sigma be the longest wait that the SLA can
absorb there in any plan, and x the time from one arrival to the next. The service of the later one begins at least
``x - L - sigma`` after all earlier services have ended, so the instance that serves it was idle for so long, or
initialized since it served last: ``min(max(0, x - L - sigma), T)`` instance-seconds, besides the service itself. The
first arrival takes T. What is billed at different gaps is billed at different times or to different instances, so it
adds up. Each function on its own, on the modes of least summed cost that meet the SLA: no policy that meets every SLA
is cheaper. Where requests may share a batch (arrivals no further apart than the SLA), a service is reckoned as the
cheapest share of a batch, and the gap as nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smiless_core.model.configuration import Readiness
from smiless_core.model.problem import Problem
from smiless_core.model.profiles import HardwareProfile
from smiless_core.model.trace import Trace
from smiless_core.solver import CompiledProblem
from smiless_core.timing import nanoseconds_down

__all__ = ["clairvoyant_cost"]

_AT_A_TIME = 1 << 20  # gaps


def clairvoyant_cost(problem: Problem, trace: Trace, *, sampled: bool = True) -> float:
    """Bound what a policy pays from below that meets the SLA of every invocation.

    Parameters
    ----------
    problem : Problem
        The application, with its SLA, its profiles and the prices.
    trace : Trace
        The arrivals, at least one.
    sampled : bool, default True
        Whether cold starts are random, as `simulate` draws them, or last as long as planned. The bound is then on the
        expected cost, and holds even if the draws are known beforehand.

    Returns
    -------
    float
        Dollars in all; NaN where no configurations meet the SLA.
    """
    compiled = CompiledProblem(problem.replace(concurrency=1))
    absorbed = compiled.absorbed(nanoseconds_down(problem.application.sla)) / 1e9
    cost = np.full(len(compiled.function), math.inf)
    for row, v in enumerate(compiled.function.tolist()):
        mode = compiled.mode(row)
        if mode.readiness is not Readiness.PREWARMED or absorbed[row] < 0.0:
            continue
        configuration = mode.configuration
        model = problem.profile(v).hardware[configuration.hardware]
        mean, std = (model.cold_start_mean, model.cold_start_std) if sampled else (mode.cold_start, 0.0)
        shared = _cheapest_share(model, configuration.size)
        together = problem.application.sla if shared < mode.latency else -1.0
        busy, idle = mode.latency, float(_shorter(np.array([math.inf]), mean, std)[0])
        beside = False  # whether the arrival may share a batch with the one before
        for first in range(0, trace.count - 1, _AT_A_TIME):
            some = np.diff(trace.times[first : first + _AT_A_TIME + 1]) / 1e9
            close = some <= together
            least = np.maximum(some - (mode.latency + absorbed[row]), 0.0)
            idle += float(_shorter(np.where(close, 0.0, least), mean, std).sum())
            # The arrival at the end of each gap; that at its beginning has been counted, maybe as one without company.
            before = np.concatenate([[beside], close[:-1]])
            busy += float(np.where(close, shared, mode.latency).sum())
            busy -= (mode.latency - shared) * float((close & ~before).sum())
            beside = bool(close[-1])
        cost[row] = mode.price * (busy + idle) / trace.count
    found = compiled.cheapest(cost, sla=problem.application.sla)
    return found.cost * trace.count if found.choice is not None else math.nan


def _cheapest_share(model: HardwareProfile, size: float) -> float:
    """Return the least time per request of any batch, one request included, seconds."""
    return min(model.latency(b, size, extrapolate=True) / b for b in {1, *model.batches})


def _shorter(x: NDArray[np.float64], mean: float, std: float) -> NDArray[np.float64]:
    """Return the mean of the shorter of x and a cold start, normal and cut at 0: the integral of its survival to x."""
    if std == 0.0:
        return np.minimum(x, mean)
    from scipy.special import ndtr  # late: only those who simulate load it

    def integral(u: NDArray[np.float64]) -> NDArray[np.float64]:
        density = np.exp(-u * u / 2.0) / math.sqrt(2.0 * math.pi)
        area: NDArray[np.float64] = np.where(np.isneginf(u), 0.0, u) * ndtr(u) + density
        return area

    return std * (integral(np.array([mean / std])) - integral((mean - x) / std))
