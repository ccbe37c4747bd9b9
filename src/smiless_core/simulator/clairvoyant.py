"""What a policy pays at least that knows the future and meets every SLA.

For one function on one configuration (price p, latency L, cold start T), let sigma be the longest wait that the SLA
can absorb there in any plan, and x the time from one arrival to the next. The service of the later one begins at
least ``x - L - sigma`` after all earlier services have ended, so the instance that serves it was idle for so long, or
initialized since it served last: ``min(max(0, x - L - sigma), T)`` instance-seconds, besides the service itself. The
first arrival takes T. What is billed at different gaps is billed at different times or to different instances, so it
adds up, and so do functions. Each arrival is served by the modes of least summed cost that meet the SLA, whatever
served those before: no policy that meets every SLA is cheaper. Where requests may share a batch (arrivals no further
apart than the SLA), a service is reckoned as the cheapest share of a batch, and the gap as nothing.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from smiless_core.model.configuration import Readiness
from smiless_core.model.problem import Problem
from smiless_core.model.profiles import HardwareProfile, Profile
from smiless_core.model.trace import Trace
from smiless_core.solver import CompiledProblem
from smiless_core.solver.modes import Mode
from smiless_core.timing import nanoseconds_down

__all__ = ["clairvoyant_cost"]

_AT_A_TIME = 1 << 16  # gaps: memory stays small beside the trace
_AT_FIRST = 1 << 12  # enough to see that they differ, as they mostly do
_MANY = 500  # different gaps: a search for each takes longer than rounding is worth
_STEP = 0.05  # between gaps that are told apart then, as a fraction
_LONGEST = 8.0  # standard deviations: no cold start is longer


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
        expected cost of policies that give up no initialization because it lasts: where cold starts may be next to
        nothing, to start again and again until one is could cost less.

    Returns
    -------
    float
        Dollars in all; NaN where no configurations meet the SLA.
    """
    compiled = CompiledProblem(_one_at_a_time(problem))
    sla = problem.application.sla
    absorbed = compiled.absorbed(nanoseconds_down(sla)) / 1e9
    rows = [
        _Row(row, problem, v, compiled.mode(row), float(absorbed[row]), sampled)
        for row, v in enumerate(compiled.function.tolist())
        if compiled.mode(row).readiness is Readiness.PREWARMED and absorbed[row] >= 0.0
    ]
    if not rows:
        return math.nan
    span = min(row.free for row in rows), max(row.free + row.longest for row in rows)
    total = 0.0
    counts = _counted(trace, sla, span) or _counted(trace, sla, span, rounded=True)
    for (gap, close), count in counts.items():
        cost = np.full(len(compiled.function), math.inf)
        for row in rows:
            cost[row.at] = row.cost(gap, close=close, sla=sla)
        found = compiled.cheapest(cost, sla=sla)
        if found.choice is None:
            return math.nan
        total += found.bound * count
    return total


def _one_at_a_time(problem: Problem) -> Problem:
    """Return the problem where single requests are served, as they are where no other one is there."""
    profiles = {
        name: Profile(
            name,
            {
                hardware: model.replace(batches=(1, *(batch for batch in model.batches if batch > 1)))
                for hardware, model in profile.hardware.items()
            },
        )
        for name, profile in problem.profiles.items()
    }
    return problem.replace(profiles=profiles, concurrency=1)


class _Row:
    """One mode of one function."""

    def __init__(self, at: int, problem: Problem, v: int, mode: Mode, absorbed: float, sampled: bool) -> None:
        model = problem.profile(v).hardware[mode.configuration.hardware]
        self.at = at
        self._price = mode.price
        self._latency = mode.latency
        self._share = _cheapest_share(model, mode.configuration.size)
        self.free = mode.latency + absorbed
        self._mean, self._std = (model.cold_start_mean, model.cold_start_std) if sampled else (mode.cold_start, 0.0)
        self.longest = self._mean + _LONGEST * self._std

    def cost(self, gap: float, *, close: bool, sla: float) -> float:
        """Return what the arrival after a gap costs at least; `close` if it may share a batch with another."""
        shared = close and self._share < self._latency
        idle = 0.0 if shared and gap <= sla else _shorter(max(gap - self.free, 0.0), self._mean, self._std)
        return self._price * ((self._share if shared else self._latency) + idle)


def _counted(
    trace: Trace, sla: float, span: tuple[float, float], *, rounded: bool = False
) -> Counter[tuple[float, bool]]:
    """Count the arrivals by the gap before, and by whether another one is as near as the SLA.

    Costs do not fall with the gap, so a shorter one is still good for a bound. Gaps that make no difference are taken
    together: below the span nothing is idle, above it all has been let go. Empty where too many still differ for a
    search for each; then they may be rounded down.
    """
    counts: Counter[tuple[float, bool]] = Counter()
    shortest, longest = span
    base = max(shortest, longest * _STEP)
    first_is_close = trace.count > 1 and bool(trace.times[1] - trace.times[0] <= sla * 1e9)
    counts[longest, first_is_close] += 1
    first, at_a_time = 0, _AT_FIRST
    while first < trace.count - 1:
        gaps = np.diff(trace.times[first : first + at_a_time + 2]) / 1e9
        close = gaps <= sla
        company = close.copy()
        company[:-1] |= close[1:]
        used = min(at_a_time, len(gaps))  # one more gap is there to tell whether the next arrival is near
        first, at_a_time = first + at_a_time, _AT_A_TIME
        gaps, company = np.minimum(gaps[:used], longest), company[:used]
        gaps[gaps <= (base if rounded else shortest)] = 0.0
        if rounded:
            far = gaps > 0.0
            steps = np.floor(np.log(gaps[far] / base) / _STEP)
            gaps[far] = np.clip(base * np.exp(steps * _STEP), base, gaps[far])
        for near in (False, True):
            values, times = np.unique(gaps[company == near], return_counts=True)
            if len(values) > _MANY and not rounded:
                return Counter()
            for value, count in zip(values.tolist(), times.tolist(), strict=True):
                counts[value, near] += count
            if len(counts) > _MANY and not rounded:
                return Counter()
    return counts


def _cheapest_share(model: HardwareProfile, size: float) -> float:
    """Return the least time per request of any batch, one request included, seconds."""
    return min(model.latency(b, size, extrapolate=True) / b for b in {1, *model.batches})


def _shorter(x: float, mean: float, std: float) -> float:
    """Return the mean of the shorter of x and a cold start, normal and cut at 0: the integral of its survival to x."""
    if std == 0.0:
        return min(x, mean)

    def integral(u: float) -> float:
        if u == -math.inf:
            return 0.0
        below = 0.5 * math.erfc(-u / math.sqrt(2.0))
        return u * below + math.exp(-u * u / 2.0) / math.sqrt(2.0 * math.pi)

    return std * (integral(mean / std) - integral((mean - x) / std))
