"""The response to an arrival, with all waits, and the fraction of arrivals that is served within the SLA.

An arrival X after the one before, which was served on time, finds each function as its schedule says. On time, the
work of a function comes S after its arrival, and its schedule runs by that clock: stays begin and end S later than they
do after an arrival. Where the platform announces arrivals, what is there at the arrival is held for it, and the rest
begins in time for its work; else a function is seen when its work comes, which may be late itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Cells
from smiless_core.model.configuration import Readiness

__all__ = ["Attainment", "Cause", "Step", "attainment_of", "response_to"]

Nanoseconds = NDArray[np.int64]

_FOREVER = int(np.iinfo(np.int64).max)
_PARTS = 64  # into which a cell is cut, twice, to find where in it the SLA begins to be met


class Cause:
    """Why an arrival waits."""

    NONE, TOO_EARLY, TOO_LATE, OVERLAP, COLD_TAIL = range(5)


class Step(NamedTuple):
    """One function of a plan, in whole nanoseconds.

    Parameters
    ----------
    latency, cold_start : int
    readiness : Readiness
    on_time : int
        When its work comes if everything is ready, after the arrival.
    stays : int64 array, shape (s, 3)
        Start, ready and until of its first instance, after the arrival served last, as if its work came at once.
    """

    latency: int
    cold_start: int
    readiness: Readiness
    on_time: int
    stays: Nanoseconds


class Attainment(NamedTuple):
    """The fraction of arrivals that meets the SLA, and why the others do not.

    Attributes
    ----------
    fraction : float
    too_early, too_late, overlap, cold_tail : float
        Fractions of all arrivals that miss it: the first function that was late was not ready yet; had been let go and
        was to come again; was busy; had been let go for good. With `fraction` they add up to 1, unless the plan is
        too slow even when everything is ready.
    """

    fraction: float
    too_early: float
    too_late: float
    overlap: float
    cold_tail: float


def response_to(
    x: Nanoseconds,
    steps: Sequence[Step],
    *,
    predecessors: Sequence[Sequence[int]],
    order: Sequence[int],
    announced: bool,
) -> tuple[Nanoseconds, NDArray[np.uint8]]:
    """Return the response to arrivals, and why the first function that waits does so.

    Parameters
    ----------
    x : int64 array, shape (m,)
        The time since the arrival before, nanoseconds.
    steps : sequence of n Steps
    predecessors, order
        The graph, as in `timing.response_times`.
    announced : bool
        Whether the platform announces arrivals.

    Returns
    -------
    response : int64 array, shape (m,)
        Nanoseconds from the arrival to the last finish.
    cause : uint8 array, shape (m,)
        Of `Cause`.
    """
    nothing = np.zeros(len(x), np.int64)
    cause = np.zeros(len(x), np.uint8)
    ends: list[Nanoseconds] = [nothing] * len(steps)
    for v in order:
        step = steps[v]
        before = [ends[u] for u in predecessors[v]]
        comes = nothing if not before else before[0] if len(before) == 1 else np.maximum.reduce(before)
        if step.readiness is Readiness.ON_REQUEST:
            begins = comes + step.cold_start
        elif step.readiness is Readiness.ON_ARRIVAL:
            begins = np.maximum(comes, step.cold_start)
        else:
            begins, why = _met(x, comes, step, announced=announced)
            cause = np.where((cause == Cause.NONE) & (begins > comes), why, cause)
        ends[v] = begins + step.latency
    return np.maximum.reduce(ends), cause


def _met(x: Nanoseconds, comes: Nanoseconds, step: Step, *, announced: bool) -> tuple[Nanoseconds, NDArray[np.uint8]]:
    """Return when prewarmed work begins, and why later than it comes."""
    begins = np.maximum(comes, step.cold_start) if announced else comes + step.cold_start
    start, ready, until = (np.minimum(step.stays[:, i], _FOREVER - step.on_time) for i in range(3))
    kept = (start == ready) & (step.cold_start > 0)
    if announced:
        seen = x
        begun = np.where(kept, 0, start + step.on_time)  # one that still works is held all the same
        ready = np.where(kept, 0, ready + step.on_time)
        held = begun <= until
        begun, ready, until, kept = begun[held], ready[held], until[held], kept[held]
    else:
        seen = x + comes
        begun, ready, until = start + step.on_time, ready + step.on_time, until + step.on_time
    # An arrival at the very start of an initialization finds nothing; a kept instance is there from its start on.
    last = np.searchsorted(begun - kept, seen, "left") - 1
    there = np.zeros(len(x), bool)
    if len(begun):
        at = np.maximum(last, 0)
        there = (last >= 0) & (seen <= until[at])
        begins = np.where(there, np.maximum(comes, ready[at] - x), begins)
    why = np.where(
        there | (last < 0) & (len(begun) > 0),
        Cause.TOO_EARLY,
        np.where(last == len(begun) - 1, Cause.COLD_TAIL, Cause.TOO_LATE),
    )
    return begins, why.astype(np.uint8)


def attainment_of(
    cells: Cells,
    steps: Sequence[Step],
    *,
    predecessors: Sequence[Sequence[int]],
    order: Sequence[int],
    announced: bool,
    sla: int,
    busy: int,
) -> Attainment:
    """Return the fraction of arrivals that meets the SLA when each comes after one that was served on time.

    Parameters
    ----------
    cells : Cells
        The distribution of X.
    steps, predecessors, order, announced
        As for `response_to`.
    sla : int
        Nanoseconds.
    busy : int
        The longest latency of a prewarmed function: an arrival before it overlaps.
    """

    def judged(x: Nanoseconds) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        response, cause = response_to(x, steps, predecessors=predecessors, order=order, announced=announced)
        early = x < busy
        return (response <= sla) & ~early, np.where(early, np.uint8(Cause.OVERLAP), cause)

    count = len(cells.times)
    shares = np.zeros(6)

    def counted(weight: NDArray[np.float64], met: NDArray[np.bool_], cause: NDArray[np.uint8]) -> None:
        too_slow = np.uint8(5)  # everything was ready
        why = np.where(met, Cause.NONE, np.where(cause == Cause.NONE, too_slow, cause))
        shares[:] += np.bincount(why, weights=weight, minlength=6)

    if cells.mass.any():
        at = np.flatnonzero(cells.mass)
        counted(cells.mass[at], *judged(cells.times[at]))
    filled = np.flatnonzero(cells.spread)
    if len(filled):
        starts = np.concatenate(([0], cells.times[:-1]))[filled]
        ends, weight = cells.times[filled], cells.spread[filled]
        for _ in range(3):
            met, cause = judged(np.concatenate([starts + 1, np.maximum(ends - 1, starts + 1)]))
            same = (met[: len(starts)] == met[len(starts) :]) & (cause[: len(starts)] == cause[len(starts) :])
            counted(weight[same], met[: len(starts)][same], cause[: len(starts)][same])
            if same.all():
                break
            starts, ends, weight = _cut(starts[~same], ends[~same], weight[~same])
        else:
            counted(weight, *judged((starts + ends) // 2))
    if cells.tail_mass:
        beyond = int(cells.times[count - 1]) + round(cells.tail_excess * 1e9)
        counted(np.array([cells.tail_mass]), *judged(np.array([beyond])))
    fraction, *causes, _ = (shares / shares.sum()).tolist()
    return Attainment(fraction, *causes)


def _cut(
    starts: Nanoseconds, ends: Nanoseconds, weight: NDArray[np.float64]
) -> tuple[Nanoseconds, Nanoseconds, NDArray[np.float64]]:
    """Cut cells into parts of equal width."""
    edges = starts[:, None] + (ends - starts)[:, None] * np.arange(_PARTS + 1) // _PARTS
    return edges[:, :-1].ravel(), edges[:, 1:].ravel(), np.repeat(weight / _PARTS, _PARTS)
