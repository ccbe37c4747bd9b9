"""Recorded arrivals of one application, met by given schedules: what is billed and how long responses take.

Times are whole nanoseconds, and the rules leave nothing to chance:

* An instance serves one request at a time. A request takes the idle instance of the lowest *level*, else the one that
  is ready first of those that initialize for nobody, else a new one in the lowest level that is free.
* After a service the instance follows the schedule of its level, counted from the arrival served; where the service
  began late, from the latest arrival that could have been served on time at that moment. A level without a schedule,
  and an instance that is not `prewarmed`, end with their service.
* Where arrivals are announced, every function that is not `on_request` promises an instance at the arrival: one that
  is there or will be, else a new one that begins just early enough for the work.
* An instance is billed from the start of its initialization until it is let go, and not beyond the horizon.
* At one instant things happen in this order: finish, ready, arrival, request, start of a scheduled initialization,
  let go; ties by function, and then by invocation or level. Stays are closed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from smiless_core._native.replay import run
from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Readiness
from smiless_core.model.noun import Noun
from smiless_core.model.plan import Stay
from smiless_core.timing import nanoseconds_down
from smiless_core.validation import choice, number

__all__ = ["CAUSES", "Played", "Replay", "replay"]

CAUSES = ("none", "too early", "too late", "overlap", "cold tail")
"""What the codes in `Replay.causes` mean."""

_FOREVER = np.iinfo(np.int64).max
_LONGEST = 2.3e9
_CODES = {Readiness.PREWARMED: 0, Readiness.ON_ARRIVAL: 1, Readiness.ON_REQUEST: 2}


class Played(Noun, frozen=True, kw_only=True):
    """What one function does in a replay.

    Parameters
    ----------
    price : float
        Dollars per second of one instance.
    latency, cold_start : float
        L and T, seconds.
    readiness : Readiness
        When its instances begin to initialize.
    schedules : tuple of tuples of Stay, optional
        The stays of each level, in ascending order; only of a `prewarmed` function. An initialization takes
        `cold_start` whatever its stay says, and a stay with ``start == ready`` goes on from what came before it.

    Raises
    ------
    InvalidInputError
        If a number is out of its domain, or a schedule is not in order or not to be.
    """

    price: float
    latency: float
    cold_start: float
    readiness: Readiness
    schedules: tuple[tuple[Stay, ...], ...] = ()

    def __post_init__(self) -> None:
        self._set(
            price=number(self.price, "price", at_least=0.0),
            latency=number(self.latency, "latency", at_least=0.0, at_most=_LONGEST),
            cold_start=number(self.cold_start, "cold_start", at_least=0.0, at_most=_LONGEST),
            readiness=choice(self.readiness, Readiness, place="readiness", what="readiness"),
            schedules=tuple(map(tuple, self.schedules)),
        )
        if self.schedules and self.readiness is not Readiness.PREWARMED:
            raise InvalidInputError(f"{self.readiness} functions have none", place="schedules")
        for k, schedule in enumerate(self.schedules):
            for s, stay in enumerate(schedule):
                number(stay.start, f"schedules[{k}][{s}].start", at_least=0.0)
                number(stay.ready, f"schedules[{k}][{s}].ready", at_most=_LONGEST)
                if stay.until != math.inf:
                    number(stay.until, f"schedules[{k}][{s}].until", at_most=_LONGEST)
            if any(a.start > b.start or a.until > b.until for a, b in pairwise(schedule)):
                raise InvalidInputError("expected stays in ascending order", place=f"schedules[{k}]")


class Replay(Noun, frozen=True, kw_only=True, eq=False):
    """What happened in a replay. Replays compare by identity.

    Attributes
    ----------
    total_cost, init_cost, busy_cost, idle_cost : float
        Dollars, of all functions: in all, and while instances initialized, served and waited for work.
    costs : float64 array, shape (n,)
        Dollars per function.
    responses : float64 array, shape (N,)
        Seconds from each arrival to the last finish of its invocation.
    attainment : float or None
        Fraction of responses within the SLA, compared in whole nanoseconds; None without one.
    causes : uint8 array, shape (N,)
        Why each invocation waited, as a position in `CAUSES`: what level 1 was doing when work came to the first
        `prewarmed` function, in topological order, that did not start at once. 1 *too early*: initializing, or its
        first stay had yet to start. 2 *too late*: let go, with a later stay yet to start. 3 *overlap*: serving or
        initializing for another request. 4 *cold tail*: no stay left. 0 where no such function was late; waits of the
        other two kinds of readiness are planned.
    cold_starts : int64 array, shape (n,)
        Initializations begun per function, scheduled ones included.
    waited : int64 array, shape (n,)
        Requests that did not start at once.
    met_busy : int64 array, shape (n,)
        Requests that came while an instance of their function was serving.
    replicas : int64 array, shape (n,)
        Levels ever used.
    horizon : int
        Where billing ended, nanoseconds.
    """

    total_cost: float
    init_cost: float
    busy_cost: float
    idle_cost: float
    costs: NDArray[np.float64]
    responses: NDArray[np.float64]
    attainment: float | None
    causes: NDArray[np.uint8]
    cold_starts: NDArray[np.int64]
    waited: NDArray[np.int64]
    met_busy: NDArray[np.int64]
    replicas: NDArray[np.int64]
    horizon: int

    @property
    def cost(self) -> float:
        """Dollars per invocation."""
        return self.total_cost / len(self.responses)


def replay(
    times: NDArray[np.int64],
    functions: Sequence[Played],
    *,
    edges: Sequence[tuple[int, int]] | NDArray[np.int32] = (),
    sla: float | None = None,
    announced: bool = False,
    warm: Sequence[int] | NDArray[np.int64] | None = None,
    horizon: int | None = None,
) -> Replay:
    """Replay the arrivals of one application.

    Parameters
    ----------
    times : int64 array, shape (N,)
        The arrivals: nanoseconds, ascending, at least one.
    functions : sequence of n Played
        What each function does.
    edges : sequence of (int, int), or int32 array of shape (m, 2), optional
        Pairs of function indices: the second one starts when the first, and all others before it, have finished.
    sla : float, optional
        The bound on responses, seconds.
    announced : bool, default False
        Whether every function learns of an invocation when it arrives; `on_arrival` needs it.
    warm : sequence of n ints, optional
        How many levels of each function are there, idle, from the first arrival until they first serve.
    horizon : int, optional
        Where billing ends, nanoseconds; by default with the last finish.

    Returns
    -------
    Replay
        Costs, responses and counts.

    Raises
    ------
    InvalidInputError
        If the arrivals are not in order, the edges close a cycle, a function is `on_arrival` without announcements, or
        the horizon is before the last finish.

    Examples
    --------
    >>> import numpy as np
    >>> kept = Played(
    ...     price=1.0, latency=1.0, cold_start=2.0, readiness=Readiness.PREWARMED, schedules=((Stay(1.0, 1.0, 9.0),),)
    ... )
    >>> result = replay(np.array([0, 9_000_000_000]), [kept], sla=2.0)
    >>> result.responses, result.attainment, result.total_cost
    (array([3., 1.]), 0.5, 10.0)
    """
    arrivals = np.asarray(times)
    if arrivals.dtype != np.int64 or arrivals.ndim != 1:
        raise InvalidInputError(f"expected a flat int64 array, got {arrivals.dtype} of shape {arrivals.shape}")
    levels = list(chain.from_iterable(function.schedules for function in functions))
    stays = [(_ns(stay.start), _ns(stay.ready), _ns(stay.until)) for level in levels for stay in level]
    try:
        initializing, busy, idle, responses, causes, cold_starts, waited, met_busy, replicas, end = run(
            np.ascontiguousarray(arrivals),
            np.array([_ns(function.latency) for function in functions], dtype=np.int64),
            np.array([_ns(function.cold_start) for function in functions], dtype=np.int64),
            np.array([_CODES[function.readiness] for function in functions], dtype=np.int8),
            np.array(edges, dtype=np.int32).reshape(-1, 2),
            np.cumsum([0, *(len(function.schedules) for function in functions)], dtype=np.int64),
            np.cumsum([0, *map(len, levels)], dtype=np.int64),
            np.array(stays, dtype=np.int64).reshape(-1, 3),
            announced,
            None if warm is None else np.array(warm, dtype=np.int64),
            horizon,
        )
    except ValueError as error:
        raise InvalidInputError(str(error)) from error
    price = np.array([function.price for function in functions])
    split = [float(price @ nanoseconds) / 1e9 for nanoseconds in (initializing, busy, idle)]
    return Replay(
        total_cost=sum(split),
        init_cost=split[0],
        busy_cost=split[1],
        idle_cost=split[2],
        costs=price * (initializing + busy + idle) / 1e9,
        responses=responses / 1e9,
        attainment=None if sla is None else float(np.mean(responses <= nanoseconds_down(sla))),
        causes=causes,
        cold_starts=cold_starts,
        waited=waited,
        met_busy=met_busy,
        replicas=replicas,
        horizon=end,
    )


def _ns(seconds: float) -> int:
    return _FOREVER if seconds == math.inf else round(seconds * 1e9)
