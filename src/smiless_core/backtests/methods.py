"""What is tried out on recorded gaps, and what came of it.

One function, one instance: it is there on a schedule that is planned after every arrival, from the gaps before, until
the next arrival comes. Services take no time. An arrival finds the instance ready, or waits for what is left of an
initialization, or for a whole one. What is paid is the time that the instance is there, initialization included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Met", "Method", "Played", "Scene", "left_over", "meet", "meet_each"]

Integers = NDArray[np.int64]

FOREVER = np.iinfo(np.int64).max
BARS = 20


class Scene(NamedTuple):
    """The gaps of one function, and what an instance of it needs.

    Attributes
    ----------
    gaps : int64 array, shape (g,)
        From each arrival to the next, nanoseconds.
    end : int
        For how long it was watched after the last arrival, nanoseconds.
    cold_start, tolerated : int
        Nanoseconds: T, and how long an arrival may wait.
    first : int, default 0
        When its first arrival came, nanoseconds from the beginning of any hour.
    """

    gaps: NDArray[np.int64]
    end: int
    cold_start: int
    tolerated: int
    first: int = 0

    @property
    def clairvoyant(self) -> float:
        """What is paid at least where nobody waits, seconds: the shorter of every gap and a cold start."""
        return float(np.minimum(self.gaps, self.cold_start).sum()) / 1e9


class Played(NamedTuple):
    """What came of it, for each of the settings that a method has.

    Attributes
    ----------
    residency : float64 array, shape (k,)
        Seconds that instances were there.
    missed : int64 array, shape (k,)
        Arrivals that waited for longer than tolerated.
    stated : float64 array, shape (k,), optional
        How many of them the method expected.
    bars : int64 array, shape (20,), optional
        How many gaps lay in each twentieth of their forecasts: as many in all of them if forecasts are right.
    """

    residency: NDArray[np.float64]
    missed: NDArray[np.int64]
    stated: NDArray[np.float64] | None = None
    bars: NDArray[np.int64] | None = None


def barred(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count positions in their forecasts, by twentieths; NaN where there was no forecast."""
    return np.histogram(np.clip(positions[~np.isnan(positions)], 0.0, 1.0), BARS, (0.0, 1.0))[0].astype(np.int64)


class Method(Protocol):
    """A way to plan, with settings that trade cost for misses."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def fidelity(self) -> str:
        """How near it is to its source: "own rule", "paper rule", or "simplified: " and what is missing."""
        ...

    @property
    def settings(self) -> tuple[str, ...]:
        """What is varied, a text for each of the k settings."""
        ...

    def play(self, scene: Scene) -> Played:
        """Plan before every gap from those before it, and meet it."""
        ...


class Met(NamedTuple):
    """What became of one arrival."""

    residency: int  # nanoseconds that an instance was there for it
    wait: int  # nanoseconds


def meet(stays: Iterable[tuple[int, int, int]], gap: int, cold_start: int) -> Met:
    """Return what becomes of an arrival.

    Parameters
    ----------
    stays : iterable of (start, ready, until)
        Nanoseconds after the arrival before, in ascending order. What starts later than the arrival does not start.
    gap, cold_start : int
        Nanoseconds.
    """
    if not gap:
        return Met(0, 0)  # at the very end of the service before
    residency = 0
    for start, ready, until in stays:
        if start >= gap and ready > gap:
            break
        if ready > gap:
            return Met(residency + ready - start, ready - gap)
        if gap <= until:
            return Met(residency + gap - start, 0)
        residency += until - start
    return Met(residency + cold_start, cold_start)


def meet_each(
    start: Integers, ready: Integers, until: Integers, gap: Integers | int, cold_start: int
) -> tuple[Integers, Integers]:
    """Return what becomes of arrivals where there is one stay each: residency and wait, nanoseconds, as `meet`."""
    early = gap < ready
    before = early & (gap <= start)
    late = ~early & (gap > until)
    residency = np.where(early, ready, gap) - start
    residency = np.where(late, until - start + cold_start, np.where(before, cold_start, residency))
    wait = np.where(before | late, cold_start, np.where(early, ready - gap, 0))
    there = np.not_equal(gap, 0)  # else at the very end of the service before
    return residency * there, wait * there


def left_over(stays: Iterable[tuple[int, int, int]], end: int) -> int:
    """Return for how long instances are there until `end` if no other arrival comes, nanoseconds."""
    return sum(min(until, end) - start for start, _, until in stays if start < end)
