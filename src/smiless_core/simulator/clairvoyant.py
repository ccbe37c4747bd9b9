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
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smiless_core.model.configuration import Hardware, Readiness
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
    sla = problem.application.sla
    absorbed = compiled.absorbed(nanoseconds_down(sla)) / 1e9
    in_company = _in_company(trace, sla)
    cost = np.full(len(compiled.function), math.inf)
    idle: dict[tuple[int, Hardware, bool], float] = {}
    for row, v in enumerate(compiled.function.tolist()):
        mode = compiled.mode(row)
        if mode.readiness is not Readiness.PREWARMED or absorbed[row] < 0.0:
            continue
        hardware, size = mode.configuration.hardware, mode.configuration.size
        model = problem.profile(v).hardware[hardware]
        share = _cheapest_share(model, size)
        batches = share < mode.latency
        if (v, hardware, batches) not in idle:
            mean, std = (model.cold_start_mean, model.cold_start_std) if sampled else (mode.cold_start, 0.0)
            # What can be absorbed is what is left of the SLA: its sum with the latency is the same in all rows.
            longest = mode.latency + float(absorbed[row])
            idle[v, hardware, batches] = _idle(trace, longest, mean=mean, std=std, close=sla if batches else -1.0)
        busy = mode.latency * (trace.count - in_company) + share * in_company
        cost[row] = mode.price * (busy + idle[v, hardware, batches]) / trace.count
    found = compiled.cheapest(cost, sla=sla)
    return found.cost * trace.count if found.choice is not None else math.nan


def _gaps(trace: Trace) -> Iterator[NDArray[np.float64]]:
    """Yield the gaps between arrivals, seconds, so many at a time."""
    for first in range(0, trace.count - 1, _AT_A_TIME):
        yield np.diff(trace.times[first : first + _AT_A_TIME + 1]) / 1e9


def _in_company(trace: Trace, sla: float) -> int:
    """Return how many arrivals may share a batch with the one before or after."""
    count, beside = 0, False
    for gaps in _gaps(trace):
        close = gaps <= sla
        # A gap has two ends: that at which it ends, and, unless the gap before was close too, that at which it begins.
        count += int(close.sum()) + int((close & ~np.concatenate([[beside], close[:-1]])).sum())
        beside = bool(close[-1])
    return count


def _idle(trace: Trace, longest: float, *, mean: float, std: float, close: float) -> float:
    """Return the seconds that pass idle or initializing at least; gaps up to `close` count for nothing."""
    seconds = float(_shorter(np.array([math.inf]), mean, std)[0])
    for gaps in _gaps(trace):
        least = np.maximum(gaps[gaps > close] - longest, 0.0)
        seconds += float(_shorter(least, mean, std).sum())
    return seconds


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
