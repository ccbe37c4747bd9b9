"""Rules that place counted arrivals within the period they were counted in."""

import hashlib
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_PER_PERIOD", "Placement", "identity_generator", "placed_times"]

MOST_PER_PERIOD = 10_000_000
"""Arrivals that a counted period may hold; a larger count is taken for a mistake."""


class Placement(StrEnum):
    """How arrivals that a trace only counts are spread over the counted period (a minute or a second).

    Window policies depend on it, so it is chosen by whoever reads the trace, and recorded in the trace.

    * ``uniform``: independently and uniformly at random: a Poisson process of which the counts are known.
    * ``equidistant``: at the middles of equal parts of the period.
    * ``exponential``: exponential gaps, scaled to fill the period, each following its arrival; so the first
      arrival falls on the start of the period. (From a random start it would have the law of ``uniform``.)
    * ``fixed-phase``: functions with a timer at a phase of the period that is drawn once per function,
      further arrivals of the period at equal distances from it; all other functions ``uniform``.
    """

    UNIFORM = "uniform"
    EQUIDISTANT = "equidistant"
    EXPONENTIAL = "exponential"
    FIXED_PHASE = "fixed-phase"


def identity_generator(seed: int, *identity: str) -> np.random.Generator:
    """Return the random generator of one function, whatever its row in the file.

    Parameters
    ----------
    seed : int
        The seed of the caller, non-negative.
    *identity : str
        What names the function, and what it is drawn for.

    Returns
    -------
    numpy.random.Generator
        The same for the same arguments, on every machine.
    """
    key = hashlib.blake2b("\0".join(identity).encode(), digest_size=16).digest()
    words = np.frombuffer(key, dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *map(int, words)])))


def placed_times(
    counts: NDArray[np.int64],
    period: int,
    rule: Placement,
    generator: np.random.Generator,
    *,
    phase: int | None = None,
) -> NDArray[np.int64]:
    """Place counted arrivals.

    Parameters
    ----------
    counts : ndarray of int64, shape (periods,)
        Arrivals in consecutive periods, each from 0 to `MOST_PER_PERIOD`.
    period : int
        Nanoseconds.
    rule : Placement
        How to place them.
    generator : numpy.random.Generator
        Drawn from by the random rules, once per arrival.
    phase : int, optional
        The nanoseconds into the period of a timer; given for functions with a timer only.

    Returns
    -------
    ndarray of int64, shape (counts.sum(),)
        Nanoseconds after the start of the first period, ascending. Every arrival is within its period.
    """
    total = int(counts.sum())
    times = np.repeat(np.arange(counts.size, dtype=np.int64) * period, counts)
    if rule is Placement.UNIFORM or (rule is Placement.FIXED_PHASE and phase is None):
        times += generator.integers(0, period, size=total)
        times.sort()
        return times
    first = np.repeat(np.cumsum(counts) - counts, counts)
    peers = np.repeat(counts, counts)
    rank = np.arange(total, dtype=np.int64) - first
    if rule is Placement.EXPONENTIAL:
        times += _exponential(generator.standard_exponential(total), first, peers, period)
        return times
    if phase is not None:
        times += (rank * period // peers + phase) % period
        times.sort()
    else:
        times += (2 * rank + 1) * period // (2 * peers)
    return times


def _exponential(
    gaps: NDArray[np.float64], first: NDArray[np.int64], peers: NDArray[np.int64], period: int
) -> NDArray[np.int64]:
    """Offsets into the period: the gaps before each arrival over all gaps of its period."""
    ends = np.cumsum(gaps)
    origin = ends[first] - gaps[first]
    whole = ends[first + peers - 1] - origin
    offsets: NDArray[np.int64] = ((ends - gaps - origin) / whole * period).astype(np.int64)
    return offsets.clip(0, period - 1)
