"""Statistics of arrivals that pass by once, in ascending order, in memory that does not grow with them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAP_RESOLUTION", "Dispersion", "RunningStatistics", "UnorderedError"]

_SECOND = 1_000_000_000
# Gaps are counted in bins of equal ratio, which also sum them: a bin of equal gaps gives the gap itself.
_BINS_PER_DOUBLING = 140
_BINS = 63 * _BINS_PER_DOUBLING + 1
GAP_RESOLUTION = 2.0 ** (1 / _BINS_PER_DOUBLING) - 1.0
"""The largest relative error of a quantile of the gaps: 0.5 %."""

# Arrivals are counted in cells of equal length; when time runs past the last cell, pairs of cells are merged.
# Nine doublings of the first length are a second.
_CELLS = 2048
_FIRST_CELL = _SECOND // 2**9
_FEWEST_WINDOWS = 16
_ARRIVALS_PER_WINDOW = 10


class Dispersion(NamedTuple):
    """How the arrivals per window of time vary."""

    ratio: float
    """Their variance over their mean: 1 for a Poisson process."""

    window: int
    """Nanoseconds."""

    rate_variation: float
    """The standard deviation of the rate from window to window over the mean rate, beyond what a Poisson
    process of constant rate shows by chance."""


class UnorderedError(Exception):
    """An arrival came before the one that was added before it."""


class RunningStatistics:
    """Counts and moments of the arrivals added so far, with times in nanoseconds."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = 0
        self.shortest_gap = self.longest_gap = 0
        self.simultaneous = 0
        self._gaps = 0
        self._mean = 0.0
        self._squares = 0.0
        self._bin_counts = np.zeros(_BINS, dtype=np.int64)
        self._bin_sums = np.zeros(_BINS)
        self._cell = _FIRST_CELL
        self._cells = np.zeros(_CELLS, dtype=np.int64)
        self._second = self._in_second = self._busiest = 0

    def add(self, times: NDArray[np.int64]) -> None:
        """Add arrivals.

        Parameters
        ----------
        times : ndarray of int64, shape (count,)
            Nanoseconds, ascending, none before the last that was added.

        Raises
        ------
        UnorderedError
            If they are not; this object is then of no further use.
        """
        if not times.size:
            return
        if not self.count:
            self.first = int(times[0])
            gaps = np.diff(times)
        else:
            gaps = np.diff(times, prepend=self.last)
        if gaps.size and gaps.min() < 0:
            raise UnorderedError
        self.last = int(times[-1])
        self.count += times.size
        if gaps.size:
            self._add_gaps(gaps)
        self._add_seconds((times - self.first) // _SECOND)
        while (self.last - self.first) // self._cell >= _CELLS:
            pairs = self._cells.reshape(-1, 2).sum(axis=1)
            self._cells = np.concatenate((pairs, np.zeros_like(pairs)))
            self._cell *= 2
        self._cells += np.bincount((times - self.first) // self._cell, minlength=_CELLS)

    def _add_gaps(self, gaps: NDArray[np.int64]) -> None:
        shortest, longest = int(gaps.min()), int(gaps.max())
        self.shortest_gap = min(self.shortest_gap, shortest) if self._gaps else shortest
        self.longest_gap = max(self.longest_gap, longest)
        # Chan, Golub and LeVeque (1983): means and squared deviations of parts, merged without cancellation.
        size, mean = gaps.size, float(gaps.sum(dtype=np.int64)) / gaps.size
        step = mean - self._mean
        squares = float(np.square(gaps - mean).sum())
        self._squares += squares + step * step * (self._gaps * size / (self._gaps + size))
        self._mean += step * size / (self._gaps + size)
        self._gaps += size
        positive = gaps[gaps > 0].astype(np.float64)
        self.simultaneous += size - positive.size
        bins = (np.log2(positive) * _BINS_PER_DOUBLING).astype(np.int64)
        self._bin_counts += np.bincount(bins, minlength=_BINS)
        self._bin_sums += np.bincount(bins, weights=positive, minlength=_BINS)

    def _add_seconds(self, seconds: NDArray[np.int64]) -> None:
        starts = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
        counts = np.diff(starts, append=seconds.size)
        if seconds[0] == self._second:
            counts[0] += self._in_second
        self._busiest = max(self._busiest, int(counts.max()))
        self._second, self._in_second = int(seconds[-1]), int(counts[-1])

    @property
    def mean_gap(self) -> float | None:
        """Mean gap in nanoseconds; None with fewer than two arrivals."""
        return (self.last - self.first) / (self.count - 1) if self.count > 1 else None

    @property
    def variation(self) -> float | None:
        """The standard deviation of the gaps over their mean; None where there is no gap but 0."""
        if not self.mean_gap:
            return None
        return math.sqrt(self._squares / self._gaps) / self.mean_gap

    @property
    def busiest_second(self) -> int:
        """The most arrivals in one second, of the seconds counted from the first arrival."""
        return self._busiest

    def gap_quantile(self, fraction: float) -> float:
        """Return the smallest gap that at least a fraction of the gaps does not exceed.

        Parameters
        ----------
        fraction : float
            In (0, 1]. There must be two arrivals.

        Returns
        -------
        float
            Nanoseconds, wrong by `GAP_RESOLUTION` at most.
        """
        rank = math.ceil(fraction * self._gaps * (1.0 - 1e-15)) - self.simultaneous
        if rank <= 0:
            return 0.0
        at = int(np.searchsorted(np.cumsum(self._bin_counts), rank))
        mean = float(self._bin_sums[at] / self._bin_counts[at])
        return min(max(mean, float(self.shortest_gap)), float(self.longest_gap))

    def dispersion(self) -> Dispersion | None:
        """Return how the arrivals per window vary.

        Returns
        -------
        Dispersion or None
            In the shortest window, by doubling, that holds 10 arrivals on average, as long as 16 whole ones
            remain. None where there are fewer than 16.
        """
        window, counts = self._cell, self._cells
        whole = (self.last - self.first) // window
        while counts[:whole].sum() < _ARRIVALS_PER_WINDOW * whole and whole >= 2 * _FEWEST_WINDOWS:
            window, counts = 2 * window, counts.reshape(-1, 2).sum(axis=1)
            whole = (self.last - self.first) // window
        if whole < _FEWEST_WINDOWS:
            return None
        mean = float(counts[:whole].mean())
        ratio = float(counts[:whole].var(ddof=1)) / mean
        # For a Poisson process the ratio is 1, give or take a standard error of sqrt(2 / (windows - 1)).
        certain = ratio > 1.0 + 3.0 * math.sqrt(2.0 / (whole - 1))
        return Dispersion(ratio, window, math.sqrt((ratio - 1.0) / mean) if certain else 0.0)

    def profile(self, columns: int) -> NDArray[np.float64]:
        """Return how many arrivals there were over time.

        Parameters
        ----------
        columns : int
            Parts of nearly equal length from the first arrival to the last; fewer if there are fewer cells.

        Returns
        -------
        ndarray of float, shape (at most columns,)
            Mean arrivals per cell of each part.
        """
        used = (self.last - self.first) // self._cell + 1
        edges = np.linspace(0, used, min(columns, used) + 1).astype(np.int64)
        return np.add.reduceat(self._cells[:used], edges[:-1]) / np.diff(edges)
