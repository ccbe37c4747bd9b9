"""When instances exist, and what that costs, for arrivals that are always X seconds apart.

An instance is billed from the start of its initialization until it is let go. A service takes L seconds and a
cold start T. Instances serve in rotation: one that serves an arrival is free again for the k-th after it,
k = max(1, ceil(L / X)). Until then it either stays, and is billed kX per service, or it is let go and started
again just in time, and is billed T + L. The cheaper of the two is the rule of Lu et al. (SC 2024), with
overlap:

    cost of `prewarmed`                   = price * min(T + L, kX)
    cost of `on_arrival` and `on_request` = price * (T + L)

Requests that come G at a time, and what a platform imposes, extend it:

* With a batch of b an arrival takes c = ceil(G / b) instances: the cost per invocation is c / G as much.
* An instance stays at least m = `min_keep_alive` seconds after each service: T + L becomes T + L + m. From
  m >= kX on it is always still there when it is needed, and every readiness costs kX.
* At least r = `min_replicas` instances are up at all times. Where they are let go between services, ck are up
  for T + L + m - (k - 1)X of every X seconds, and c(k - 1) for the rest: what r exceeds c(k - 1) by, up to
  c, is paid there too. What r exceeds ck by is paid all the time. From r >= ck on no arrival finds an
  instance missing, and every readiness costs the same.
* A mode that takes more than `max_replicas` instances is not offered. `prewarmed` takes ck. The others, up
  for T + L each, take c * max(1, ceil((T + L) / X)), unless r >= ck are up anyway.

All of this is exact for `prewarmed`. For the other two it reckons that an instance that was started cold
leaves before it could serve again. Where that is not so (a short m, an r below ck, an announcement that comes
before the instance is gone) they may cost less, and it is an upper bound: schedules that alternate between
cold and warm are not considered, so `prewarmed` never costs more than the others.

Inside the ceilings times are whole nanoseconds: an instance that is free at the very instant of an arrival
serves it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.model.plan import Stay
from smiless_core.model.problem import Limits

__all__ = ["Decision", "deterministic_costs", "deterministic_schedule"]

_NO_LIMITS = Limits()


class Decision(NamedTuple):
    """When the instances of one function exist.

    Attributes
    ----------
    schedule : tuple of Stay
        The stays of an instance after the arrival that it served last; empty unless prewarmed.
    prewarm : float or None
        Seconds from the end of that service to the start of the first stay; None without a schedule.
    keep_alive : float or None
        Seconds from ready to let go in the first stay; None without a schedule.
    replicas : int
        The most instances that exist at one time.
    """

    schedule: tuple[Stay, ...]
    prewarm: float | None
    keep_alive: float | None
    replicas: int


def deterministic_costs(
    latency: NDArray[np.float64],
    cold_start: NDArray[np.float64],
    *,
    price: NDArray[np.float64],
    prewarmed: NDArray[np.bool_],
    interval: float,
    batch: NDArray[np.int64] | int = 1,
    concurrency: int = 1,
    limits: Limits = _NO_LIMITS,
) -> NDArray[np.float64]:
    """Return the cost per invocation of many modes, unchecked.

    Parameters
    ----------
    latency, cold_start : float64 array, shape (modes,)
        L and T, seconds.
    price : float64 array, shape (modes,)
        Dollars per second of one instance.
    prewarmed : bool array, shape (modes,)
        Whether the readiness is `prewarmed`; the other two cost the same.
    interval : float
        X, seconds, at least one nanosecond.
    batch : int64 array of shape (modes,), or int, default 1
        Requests that one instance serves together.
    concurrency : int, default 1
        G, the requests that arrive together.
    limits : Limits, optional
        What the platform can do.

    Returns
    -------
    float64 array, shape (modes,)
        Dollars; infinity where a mode is not offered. The module docstring derives them.
    """
    period, floor = round(interval * 1e9), limits.min_replicas
    together = -(-concurrency // batch)
    busy = np.rint(latency * 1e9)
    rotation = _arrivals_during(busy, period)
    needed = rotation * together
    resident = rotation * interval
    anew = cold_start + latency + limits.min_keep_alive
    stays = prewarmed
    if floor:
        stays = stays | (needed <= floor)
    if limits.min_keep_alive:
        stays = stays | (rotation * period <= round(limits.min_keep_alive * 1e9))
    billed = np.where(stays, np.minimum(anew, resident), anew)
    seconds = billed * together
    if floor:
        short = np.clip(floor - (needed - together), 0.0, together)
        seconds += short * np.maximum(resident - billed, 0.0) + np.maximum(floor - needed, 0.0) * interval
    costs: NDArray[np.float64] = price * seconds / concurrency
    if limits.max_replicas is not None:
        cold = _arrivals_during(busy + np.rint(cold_start * 1e9), period) * together
        replicas = np.where(prewarmed | (needed <= floor), needed, cold)
        costs[replicas > limits.max_replicas] = np.inf
    return costs


def deterministic_schedule(
    latency: float,
    cold_start: float,
    *,
    prewarmed: bool,
    interval: float,
    earliest_start: float = 0.0,
    batch: int = 1,
    concurrency: int = 1,
    limits: Limits = _NO_LIMITS,
) -> Decision:
    """Return the schedule of one mode that costs what `deterministic_costs` says.

    Parameters
    ----------
    latency, cold_start : float
        L and T, seconds.
    prewarmed : bool
        Whether the readiness is `prewarmed`.
    interval : float
        X, seconds, at least one nanosecond.
    earliest_start : float, default 0
        When work reaches the function, in seconds after the arrival.
    batch : int, default 1
        Requests that one instance serves together.
    concurrency : int, default 1
        G, the requests that arrive together.
    limits : Limits, optional
        What the platform can do.

    Returns
    -------
    Decision
        One stay from service to service where that costs no more; else one that ends after `min_keep_alive`,
        if that is above 0, and one that begins a cold start before the next service. Instances that only
        `min_replicas` keeps up stay on past this schedule.
    """
    period, floor = round(interval * 1e9), limits.min_replicas
    together = -(-concurrency // batch)
    busy, cold, idle = round(latency * 1e9), round(cold_start * 1e9), round(limits.min_keep_alive * 1e9)
    rotation = max(1, -(-busy // period))
    needed = rotation * together
    if not prewarmed:
        starting = max(1, -(-(busy + cold) // period)) * together
        return Decision((), None, None, floor if needed <= floor else max(starting, floor))
    done = earliest_start + latency
    # L may round down to a multiple of X: no stay ends before the service does.
    again = max(done, earliest_start + rotation * interval)
    if busy + cold + idle >= rotation * period or needed <= floor:
        schedule: tuple[Stay, ...] = (Stay(done, done, again),)
    else:
        schedule = (Stay(max(done, again - cold_start), again, again),)
        if idle:
            schedule = (Stay(done, done, done + limits.min_keep_alive), *schedule)
    first = schedule[0]
    return Decision(schedule, first.start - done, first.until - first.ready, max(needed, floor))


def _arrivals_during(busy: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Return max(1, ceil(busy / period)), both in whole nanoseconds.

    Below 2**53 the quotient of two whole numbers never rounds up or down to a whole number: this is exact.
    """
    rounds: NDArray[np.float64] = np.maximum(np.ceil(busy / period), 1.0)
    return rounds
