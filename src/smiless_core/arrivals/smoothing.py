"""Recorded gaps, spread so that gaps nobody has seen yet are possible too.

Every gap g becomes a triangular density of half-width beta g around g. Kernels that grow with the gap are what
times need, whose errors are relative; beta 1 just reaches 0, and symmetric kernels leave the mean where it was.
No single beta fits: a timer wants the narrowest, a Poisson process the widest, and an application that has both
wants each for its part. So the density is a mixture over all betas, with the weights that predict best a gap
that was left out: they maximize the leave-one-out likelihood

    sum over i of log(sum over b of w_b f_b(i)),   f_b(i) = sum over j != i of k(g_i; g_j, beta_b g_j) / (n - 1).

Which gaps were neighbors in time makes no difference to it.

Sources: B. W. Silverman, Density Estimation for Statistics and Data Analysis, 1986, sections 3.4.4 and 5.3;
J. D. F. Habbema, J. Hermans and K. van den Broek, A stepwise discriminant analysis program using density
estimation, COMPSTAT 1974, for the likelihood.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals.grid import SurvivalGrid
from smiless_core.arrivals.inputs import LONGEST, SHORTEST, nanoseconds
from smiless_core.arrivals.mixing import likeliest_weights

__all__ = ["BETAS", "Smoothed", "smoothed"]

Floats = NDArray[np.float64]

BETAS = np.array([1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
BETAS.flags.writeable = False

# Kernels that reach x belong to gaps between x / (1 + beta) and x / (1 - beta).
_FROM = 1.0 / (1.0 + BETAS)
_TO = np.divide(1.0, 1.0 - BETAS, out=np.full(BETAS.size, np.inf), where=BETAS < 1.0)

# What is left of a density after cancellation, in parts of the kernel's own peak, may be rounding.
_NOTHING = 1e-6
# More held-out gaps would not change the weights; they are taken evenly from all that there are.
_HELD_OUT = 8192
# Weights of less than this part of one gap are none.
_LEAST = 1e-3

# The knots of the survival: geometric from this part of the mean on, and closer where probability is.
_FINEST, _STEP, _GEOMETRIC = 1e-3, 0.02, 600
_KNOTS, _PROBABILITY, _BEND = 800, 0.005, 2e-4


@dataclass(frozen=True, eq=False)
class Smoothed(SurvivalGrid):
    """Recorded gaps, each spread by kernels of several widths; made by `smoothed`.

    Parameters
    ----------
    times, given, tail_excess
        The survival, as for any `SurvivalGrid`, exact at the times; nothing is left after the last one.
    sequence : int64 array, shape (count,)
        The gaps in nanoseconds, in the order in which they came. Kept as a read-only copy.
    weights : float64 array, shape (7,)
        What part of the probability of a gap is spread by each of `BETAS`.
    """

    sequence: NDArray[np.int64]
    weights: Floats
    kind = "smoothed"

    def path(self, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Return the recorded gaps in their order, as often as it takes to have `count`, each spread anew."""
        gaps = np.tile(self.sequence, max(-(-count // self.sequence.size), 1))
        width = generator.choice(BETAS, size=gaps.size, p=self.weights)
        # The difference of two uniform numbers is triangular on (-1, 1).
        width *= generator.random(gaps.size) - generator.random(gaps.size)
        gaps += np.rint(gaps * width).astype(np.int64)
        return np.minimum(gaps, nanoseconds(np.asarray(LONGEST)))

    def __str__(self) -> str:
        gaps = "gap" if self.sequence.size == 1 else "gaps"
        return f"smoothed, {self.sequence.size:,} {gaps}, mean {self.mean:.4g} s"


def smoothed(sequence: NDArray[np.int64]) -> Smoothed:
    """Return the smooth law of recorded gaps.

    Parameters
    ----------
    sequence : int64 array, shape (count,)
        The gaps in nanoseconds, not all zero. Zeros stay an atom at 0.

    Returns
    -------
    Smoothed
        Its survival is exact at no more than about 800 times and straight between them, which moves the mean by
        about 1e-4 of it. Gaps beyond 4.6e9 s are cut.
    """
    gaps = np.sort(sequence[sequence > 0])
    kernels = _Kernels(gaps / 1e9)
    weights = kernels.weights()
    times, given = _knots(kernels, weights)
    apart = gaps.size / sequence.size
    if apart < 1.0:
        times, given = np.append(0.0, times), np.append(1.0, given) * apart
    return Smoothed(times, given, 0.0, sequence, weights)


class _Kernels:
    """The kernels of all gaps, summed in O(log n) per place.

    Each branch of a triangle and of its integral is a polynomial in 1 / g, so that what kernels add up to is
    made of sums of 1, 1 / g and 1 / g**2 over the gaps between two places. The sums run from the longest gap
    down: then those of long gaps keep their digits beside those of short ones. 64 bits of mantissa, where the
    machine has them, leave enough after the narrowest kernels have cancelled six.
    """

    def __init__(self, gaps: Floats) -> None:
        self.gaps = gaps
        inverse = 1.0 / gaps.astype(np.longdouble)
        self._inverse = _from_above(inverse)
        self._squared = _from_above(inverse * inverse)

    def densities(self, x: Floats) -> Floats:
        """Return the sums of all kernels at x, one column for each beta, for x > 0."""
        first, middle, last = self._reach(x)
        one, two = self._inverse, self._squared
        steep = 1.0 / (BETAS * BETAS)
        rising = (1.0 / BETAS + steep) * (one[first] - one[middle]) - x[:, None] * steep * (two[first] - two[middle])
        falling = (1.0 / BETAS - steep) * (one[middle] - one[last]) + x[:, None] * steep * (two[middle] - two[last])
        return np.asarray(np.maximum(rising + falling, 0.0), dtype=np.float64)

    def survival(self, x: Floats, weights: Floats) -> Floats:
        """Return what part of the probability lies beyond x, for x > 0."""
        first, middle, last = self._reach(x)
        one, two = self._inverse, self._squared
        u = x[:, None] / BETAS

        def half_square(c: Floats, start: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[Any]:
            """Sum (c - u / g)**2 / 2 over the gaps from start to end."""
            squares = c * c * (end - start) - 2.0 * c * u * (one[start] - one[end]) + u * u * (two[start] - two[end])
            return np.asarray(np.maximum(squares, 0.0) / 2.0)

        beyond = self.gaps.size - middle
        left = half_square(1.0 + 1.0 / BETAS, first, middle)
        left += beyond - half_square(1.0 / BETAS - 1.0, middle, last)
        return np.asarray(left @ weights, dtype=np.float64) / self.gaps.size

    def weights(self) -> Floats:
        """Return the weights of the betas that predict best what was left out.

        The widest kernel has seen one gap more than there are (a Dirichlet prior), and whatever no kernel
        reaches speaks for it too, so that few gaps are spread wide, and one alone as wide as it gets.

        Returns
        -------
        float64 array, shape (7,)
            Not below 0, adding up to 1.
        """
        size = self.gaps.size
        kept = min(size, _HELD_OUT)
        held, times = np.unique(self.gaps[(2 * np.arange(kept) + 1) * size // (2 * kept)], return_counts=True)
        own = 1.0 / (held[:, None] * BETAS)
        density = self.densities(held) - own
        density[density < _NOTHING * own] = 0.0
        density[~density.any(axis=1), 0] = 1.0
        density /= density.max(axis=1, keepdims=True)
        prior = np.eye(1, BETAS.size)
        weights = likeliest_weights(np.concatenate((prior, density)), np.append(1.0, times))
        weights[weights < _LEAST / kept] = 0.0
        return np.asarray(weights / weights.sum())

    def _reach(self, x: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return the first gap whose kernel reaches x, the first above x, and the first that is out of reach."""
        first = np.searchsorted(self.gaps, x[:, None] * _FROM)
        middle = np.searchsorted(self.gaps, x)[:, None]
        last = np.searchsorted(self.gaps, x[:, None] * _TO)
        return np.minimum(first, middle), middle, np.maximum(last, middle)


def _from_above(terms: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of all terms from each place on, and the empty sum."""
    sums = np.zeros(terms.size + 1, dtype=np.longdouble)
    np.cumsum(terms[::-1], out=sums[-2::-1])
    return sums


def _knots(kernels: _Kernels, weights: Floats) -> tuple[Floats, Floats]:
    """Return times and the survival there: geometric, then halved where the line would be off."""
    mean = float(kernels.gaps.mean())
    end = min(float(kernels.gaps[-1]) * (1.0 + BETAS[weights > 0.0].max()), LONGEST)
    start = max(_FINEST * mean, SHORTEST)
    count = min(int(np.ceil(np.log(end / start) / np.log1p(_STEP))), _GEOMETRIC)
    time = _whole(np.append(0.0, np.geomspace(start, end, count + 1)))
    time = time[np.diff(time, prepend=-1.0) > 0.0]
    left = np.append(1.0, kernels.survival(time[1:], weights))
    left[-1] = 0.0
    straight = np.zeros(time.size - 1, dtype=bool)  # the cells that need no more knots
    while time.size < _KNOTS:
        drop = left[:-1] - left[1:]
        wide = np.flatnonzero(~straight & (drop > 2.0 * _BEND))  # survival falls: no line is off by more than half
        if not wide.size:
            break
        wide = np.sort(wide[np.argsort(-drop[wide], kind="stable")][: _KNOTS - time.size])
        middle = _whole((time[wide] + time[wide + 1]) / 2.0)
        inside = (middle > time[wide]) & (middle < time[wide + 1])  # else the cell is a nanosecond wide
        straight[wide[~inside]] = True
        wide, middle = wide[inside], middle[inside]
        there = kernels.survival(middle, weights)
        part = (middle - time[wide]) / (time[wide + 1] - time[wide])
        off = np.abs(there - left[wide] + part * drop[wide])
        split = (drop[wide] > _PROBABILITY) | (off > _BEND)
        straight[wide[~split]] = True
        at = wide[split] + 1
        time, left = np.insert(time, at, middle[split]), np.insert(left, at, there[split])
        straight = np.insert(straight, at, False)
    return time[1:], np.minimum.accumulate(np.clip(left[1:], 0.0, 1.0))


def _whole(seconds: Floats) -> Floats:
    """Round to whole nanoseconds, of which cells consist."""
    return nanoseconds(seconds) / 1e9
