"""The idle gaps of the instances of one function, level by level.

Level k is the instance that serves when k - 1 others are busy: last in, first out. With a service of L seconds, the
arrivals that reach a level are apart by a gap of their own, never shorter than L, and the levels divide the arrivals
among themselves. Where no two arrivals are closer than L there is one level, and its gap is X.

Levels are read off a path: consecutive gaps (`Arrivals.path`), recorded or drawn, which are taken to repeat. A round
begins with every instance free; the gap before the first arrival at a level is what the round has left after the last
one. Services are taken to begin on time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core._native.windows import Windows
from smiless_core._native.windows import levels as assigned
from smiless_core.arrivals import Arrivals, Cells
from smiless_core.errors import InvalidInputError

__all__ = ["ALWAYS", "REQUIRED", "GapLaw", "Path", "Wanted", "cut"]

Nanoseconds = NDArray[np.int64]

REQUIRED = 1e15
"""Seconds of residency: a miss that costs so much is never worth it."""

_LONGEST = 2**61 - 1  # of a path, nanoseconds: 73 years
_STEP = 0.02  # relative width of the cells of levels
_FEW = 4  # gaps that tell nothing about their deviation


class Wanted(NamedTuple):
    """What a schedule is for.

    Parameters
    ----------
    price : float
        Seconds of residency that it is worth to meet an arrival ready.
    ready : int64 array, shape (k, 2), optional
        Closed intervals of the gap, nanoseconds, ascending and apart: arrivals that come then have to be met ready.
        Of several levels, it is about the first one, and the price about the others.
    """

    price: float = 0.0
    ready: Nanoseconds | None = None


ALWAYS = Wanted(REQUIRED, np.array([[0, np.iinfo(np.int64).max]]))
"""To be ready whenever an arrival comes."""


class GapLaw:
    """The gap before the arrivals that one level serves.

    Parameters
    ----------
    share : float
        The fraction of all arrivals that it serves.
    cells : Cells
        The distribution of their gaps.
    """

    def __init__(self, share: float, cells: Cells) -> None:
        self.share = share
        self.cells = cells
        self._native = Windows(cells.times, cells.mass, cells.spread, cells.tail_mass, cells.tail_excess)

    def solve(self, wanted: Wanted, cold_start: int, *, tolerated: int = 0) -> None:
        """Find the best schedule for a cold start; it is asked for by what follows.

        Arrivals are met that wait no longer than tolerated (nanoseconds).
        """
        price, spread_price, tail_price = self._prices(wanted)
        self._native.solve(cold_start, price, spread_price, tail_price, tolerated)

    def bound(self, price: float, cold_start: int, *, tolerated: int, absence_price: float, grace: int) -> None:
        """Bound what schedules cost, misses and absences included; only `values` can be asked for.

        Parameters
        ----------
        price : float
            Seconds of residency that a miss costs.
        cold_start, tolerated : int
            As for `solve`.
        absence_price : float
            Seconds of residency that an arrival costs by every second of its own cold start, unless it comes up to
            `grace` nanoseconds before the start of an initialization. With it, nothing that comes then or during the
            initialization is missed.
        """
        prices = np.full(len(self.cells.times), price)
        self._native.solve(cold_start, prices, prices, price, tolerated, absence_price, grace)

    def _prices(self, wanted: Wanted) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return what a miss costs at each edge, before each and beyond the last."""
        price = np.full(len(self.cells.times), float(wanted.price))
        if wanted.ready is None or not len(wanted.ready):
            return price, price, wanted.price
        at, before = self.covered(wanted.ready)
        beyond = wanted.ready[-1, 1] > self.cells.times[-1]
        return np.where(at, REQUIRED, price), np.where(before, REQUIRED, price), REQUIRED if beyond else wanted.price

    def covered(self, ready: Nanoseconds) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which edges, and which of the cells before them, lie in closed intervals, shape (k, 2), k > 0."""
        times = self.cells.times
        first, last = ready[:, 0], ready[:, 1]
        of = np.searchsorted(first, times, "right") - 1
        at = (of >= 0) & (times <= last[of])
        of = np.searchsorted(first, np.concatenate(([0], times[:-1])), "right") - 1
        return at, (of >= 0) & (times <= last[of])

    def values(self, busy: Nanoseconds, *, keep: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Seconds of residency and priced misses after services of so many nanoseconds, and the fraction of misses."""
        return self._native.values(busy, keep)

    def late(self, stays: Nanoseconds, cold_start: int, *, tolerated: int) -> float:
        """Return the fraction of arrivals that wait for longer than tolerated when an instance stays like this.

        Parameters
        ----------
        stays : int64 array, shape (s, 3)
            As `stays` returns them.
        cold_start, tolerated : int
            Nanoseconds.
        """
        if cold_start <= tolerated:
            return 0.0
        start, ready, until = stays.T
        kept = start == ready
        # An arrival at the very start of an initialization finds nothing.
        first = np.where(kept, ready, np.maximum(start + 1, ready - tolerated))
        return max(1.0 - float((self._until(until) - self._until(first - 1)).sum()), 0.0)

    def _until(self, times: Nanoseconds) -> NDArray[np.float64]:
        """P(gap <= time); the tail comes at no time that is not for ever."""
        cells = self.cells
        passed = np.concatenate(([0.0], np.cumsum(cells.mass + cells.spread)))
        cell = np.searchsorted(cells.times, times, "right")
        inside = np.minimum(cell, len(cells.times) - 1)
        before = np.concatenate(([0], cells.times))[inside]
        width = cells.times[inside] - before  # nothing where the first cell ends at 0
        part = np.clip(np.divide(times - before, width, out=np.zeros(times.shape), where=width > 0), 0.0, 1.0)
        started = np.where(cell < len(cells.times), cells.spread[inside] * part, 0.0)
        return passed[cell] + started + np.where(times == np.iinfo(np.int64).max, cells.tail_mass, 0.0)

    def stays(self, busy: int, *, keep: int = 0) -> Nanoseconds:
        """Return the stays after a service, shape (s, 3): start, ready, until; the last may never end."""
        stays, _ = self._native.follow(busy, keep)
        if not self.cells.tail_mass and len(stays):
            # Nothing comes after the last atom: to stay on costs nothing on paper, but there is no point in it.
            last = max(int(self.cells.times[-1]), busy + keep)
            stays[:, 2] = np.maximum(stays[:, 1], np.minimum(stays[:, 2], last))
        return stays


class Path:
    """Consecutive arrivals, and what levels make of them.

    Parameters
    ----------
    gaps : int64 array, shape (count,)
        Nanoseconds from each arrival to the next.
    law : Cells, optional
        The distribution that they are drawn from. Without it each gap counts as it is.
    """

    def __init__(self, gaps: Nanoseconds, *, law: Cells | None = None) -> None:
        self.times = np.concatenate(([0], np.cumsum(gaps)))
        self._law = law

    @classmethod
    def of(cls, arrivals: Arrivals, count: int, *, seed: int = 0) -> Path:
        """Return a path of these arrivals, of about so many if they are not recorded.

        Of a long record it is the end: the last gaps, four times as many as `count`. It is shorter where the gaps are
        so long that it would last for more than 73 years.

        Raises
        ------
        InvalidInputError
            If there is no gap that is short enough.
        """
        gaps = arrivals.path(count, seed=seed)[-4 * count :]
        fitting = int(np.searchsorted(np.cumsum(gaps / 1e9), _LONGEST / 1e9))
        if not fitting:
            raise InvalidInputError(f"gaps of {gaps[0] / 1e9:g} s are too long to replay", place="arrivals")
        return cls(gaps[:fitting], law=arrivals.cells() if arrivals.law.smooth else None)

    @property
    def exact(self) -> bool:
        """Whether each gap counts as it is."""
        return self._law is None

    @property
    def arrivals(self) -> int:
        """The number of arrivals."""
        return len(self.times)

    @property
    def _span(self) -> int:
        return int(self.times[-1])

    def levels(self, busy: int) -> list[GapLaw]:
        """Return what each level serves when services take so many nanoseconds."""
        total = len(self.times) - 1
        return [
            GapLaw(len(gaps) / total, self._cells(gaps, busy, next_ones if k == 0 else None))
            for k, (gaps, next_ones) in enumerate(self._gaps(busy))
        ]

    def first_gaps(self, busy: int) -> list[int]:
        """Return the gap before the first arrival that each level serves, nanoseconds."""
        return [int(gaps[0]) for gaps, _ in self._gaps(busy)]

    def _gaps(self, busy: int) -> Iterator[tuple[Nanoseconds, NDArray[np.bool_]]]:
        """Yield the gaps of each level, in the order of its arrivals, and where that is the gap from the one before."""
        # The last arrival of the path is the first one of the next round.
        level, gap = assigned(self.times[:-1], busy)
        order = np.argsort(level, kind="stable")
        for begin, end in pairwise([0, *np.cumsum(np.bincount(level)).tolist()]):
            of_level = order[begin:end]
            gaps, next_ones = gap[of_level], np.diff(of_level, prepend=of_level[-1] - len(level)) == 1
            left = self._span - int(self.times[of_level[-1]] - self.times[of_level[0]])
            gaps[0], next_ones[0] = max(left, busy), next_ones[0] and left >= busy
            yield gaps, next_ones

    def _cells(self, gaps: Nanoseconds, busy: int, next_ones: NDArray[np.bool_] | None) -> Cells:
        """Return the distribution of gaps, none of which is shorter than a service.

        Those to the arrival just before, at the first level, follow the law; others are made of several.
        """
        if self._law is None:
            times, counts = np.unique(gaps, return_counts=True)
            return Cells(times, counts / len(gaps), np.zeros(len(times)), 0.0, 0.0, 0.0)
        if next_ones is None or not next_ones.any():
            return _spread(gaps, busy, self._span)
        direct = _later(self._law, busy)
        if next_ones.all():
            return direct
        return _mixed(direct, float(next_ones.mean()), _spread(gaps[~next_ones], busy, self._span))


def _spread(gaps: Nanoseconds, busy: int, span: int) -> Cells:
    """Spread gaps evenly over cells and these around them, by Silverman's rule for their logarithms."""
    first = max(busy, span // 10**6, 1)
    steps = math.ceil(math.log(max(span / first, 1.0)) / math.log1p(_STEP)) + 1
    edges = _distinct(np.rint(first * (1 + _STEP) ** np.arange(1, steps + 1)).astype(np.int64))
    count = np.bincount(np.searchsorted(edges, gaps, "left"), minlength=len(edges)).astype(np.float64)[: len(edges)]
    deviation = float(np.log(np.maximum(gaps, 1)).std()) if len(gaps) > _FEW else 1.0
    width = 1.06 * deviation * len(gaps) ** -0.2 * math.sqrt(6.0)  # of a triangle with that deviation
    reach = min(math.ceil(width / math.log1p(_STEP)), len(edges) - 1)
    kernel = np.concatenate((np.arange(1, reach + 2), np.arange(reach, 0, -1))) / (reach + 1) ** 2
    wide = np.convolve(count, kernel)
    count = wide[reach : reach + len(edges)]
    count[0] += wide[:reach].sum()
    count[-1] += wide[reach + len(edges) :].sum()
    low, high = (int(at) for at in np.flatnonzero(count)[[0, -1]])
    times, spread = edges[low : high + 1], count[low : high + 1] / count.sum()
    before = int(edges[low - 1]) if low else first
    return Cells(np.concatenate(([before], times)), np.zeros(len(times) + 1), np.append(0.0, spread), 0.0, 0.0, 0.0)


def _later(cells: Cells, least: int) -> Cells:
    """Return the distribution of what is at least as long."""
    if least <= 0:
        return cells
    cells = cut(cells, np.array([least]))
    at = int(np.searchsorted(cells.times, least))
    times, mass, spread = cells.times[at:], cells.mass[at:], cells.spread[at:].copy()
    spread[0] = 0.0
    left = float(mass.sum() + spread.sum()) + cells.tail_mass
    return Cells(times, mass / left, spread / left, cells.tail_mass / left, cells.tail_excess, cells.error)


def _mixed(a: Cells, share: float, b: Cells) -> Cells:
    """Return the distribution that is one with a probability, else the other, which has no tail."""
    a, b = cut(a, b.times), cut(b, a.times)
    mass, spread = (share * x + (1.0 - share) * y for x, y in ((a.mass, b.mass), (a.spread, b.spread)))
    return Cells(a.times, mass, spread, share * a.tail_mass, a.tail_excess, a.error)


def cut(cells: Cells, extra: NDArray[np.int64]) -> Cells:
    """Return the same distribution with more edges."""
    times = _distinct(np.sort(np.concatenate((cells.times, extra))))
    within = np.minimum(np.searchsorted(cells.times, times, "left"), len(cells.times) - 1)
    mass = np.where(cells.times[within] == times, cells.mass[within], 0.0)
    width = np.diff(cells.times, prepend=0)[within]
    part = np.divide(np.diff(times, prepend=0), width, out=np.zeros(len(times)), where=width > 0)
    spread = np.where(times <= cells.times[-1], cells.spread[within] * part, 0.0)
    # Beyond the last edge that was added the tail is as far away as its mean says, but not nearer than that edge.
    excess = max(cells.tail_excess - (int(times[-1]) - int(cells.times[-1])) / 1e9, 0.0)
    return Cells(times, mass, spread, cells.tail_mass, excess, cells.error)


def _distinct(ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each value once: `np.unique` hashes first, which takes twenty times as long for a few hundred values."""
    first = np.ones(len(ascending), dtype=np.bool_)
    np.greater(ascending[1:], ascending[:-1], out=first[1:])
    return ascending.compress(first)
