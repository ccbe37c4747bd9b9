"""How many arrivals come next, if the gaps between them are independent and all of one distribution."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.conditioning import conditioned
from smiless_core.validation import number

__all__ = ["IndependentGaps", "renewal_counts"]

Floats = NDArray[np.float64]

_CELLS = 256  # that a horizon is cut into: counts are right to about 1/512 of their mean
_COUNTED = 64.0  # mean gaps in a horizon, up to which arrivals are counted one by one
_MOST = 512  # of them; only where most gaps are nearly 0 are there more
_NEGLIGIBLE = 1e-9
_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
_LARGEST = 1e12  # arrivals that can be meant
_KNOTS = 400


class IndependentGaps(ABC):
    """What forecasters have in common to which all coming gaps are of one distribution, and independent.

    They give that distribution, nothing of which has passed, as `_next`; None while too little is known.
    """

    _clock: Clock

    @abstractmethod
    def _next(self) -> Arrivals | None:
        """Return the distribution of the next gap, nothing of which has passed."""

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the distribution of the next gap; see `Predictor.arrivals`."""
        elapsed = self._clock.elapsed(now)
        gaps = self._next()
        return None if gaps is None else conditioned(gaps, elapsed)

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return the counts of a renewal process; see `Predictor.demand`."""
        elapsed, length = self._clock.elapsed(now), number(horizon, "horizon", above=0.0)
        gaps = self._next()
        return Counts([0]) if gaps is None else renewal_counts(gaps, elapsed=elapsed, horizon=length)


def renewal_counts(arrivals: Arrivals, *, elapsed: float, horizon: float) -> Counts:
    """Return the distribution of how many come next.

    Parameters
    ----------
    arrivals : Arrivals
        Of every gap, nothing of which has passed.
    elapsed : float
        Seconds since the last arrival. Where one should have come by then, those of a Poisson process are expected: one
        in as much time as has passed.
    horizon : float
        Seconds from now on, above 0; not more than 4.6e9 count.

    Returns
    -------
    Counts
        By convolution of cells that keep the mean of what is in them; of more than 64 mean gaps, by the mean and
        the variance that renewal processes come to.

    Notes
    -----
    D. R. Cox, Renewal Theory, 1962, sections 3.1 and 4.5.
    """
    passed = min(number(elapsed, "elapsed", at_least=0.0), _LONGEST)
    length = min(number(horizon, "horizon", above=0.0), _LONGEST)
    first = conditioned(arrivals, passed)
    if passed > 0.0 and first is arrivals and arrivals.survival(passed) < 1.0:
        return Counts.poisson(length / max(passed, arrivals.mean))
    if length > _COUNTED * arrivals.mean:
        return _many(arrivals, max(first.mean - passed, 0.0), length)
    width = length / _CELLS
    edges: Floats = width * np.arange(_CELLS + 2, dtype=np.float64)
    least = first.expected_minimum(passed + edges)
    next_one, following = _cells(least, width), _cells(arrivals.expected_minimum(edges), width)
    reached, at_least = next_one, [1.0]
    while (here := float(min(reached.sum(), at_least[-1]))) > _NEGLIGIBLE and len(at_least) <= _MOST:
        at_least.append(here)
        reached = np.convolve(reached, following)[: _CELLS + 1]
    weights = -np.diff(at_least, append=0.0)
    return Counts(range(len(at_least)), weights.tolist())


def _cells(least: Floats, width: float) -> Floats:
    """Return what E[min(X, x)] at the edges says of X: each value is shared by the two edges around it."""
    above = np.append(1.0, np.diff(least) / width)  # the mean of P(X > x) in each cell, and before 0
    return np.asarray(np.maximum(above[:-1] - above[1:], 0.0))


def _many(arrivals: Arrivals, rest: float, length: float) -> Counts:
    mean = arrivals.mean
    ends = np.geomspace(mean / _KNOTS, max(min(arrivals.quantile(1.0 - 1e-9), _LONGEST), 2.0 * mean), _KNOTS)
    ends = np.append(0.0, ends)
    beyond = np.maximum(mean - arrivals.expected_minimum(ends), 0.0)
    scatter = max(2.0 * float(np.trapezoid(beyond, ends)) / mean**2 - 1.0, 0.0)  # the squared coefficient of variation
    expected = length / mean
    shift = 1.0 - rest / mean + (scatter - 1.0) / 2.0
    count = min(max(expected + min(shift, expected), 1e-9), _LARGEST)
    return Counts.spread(mean=count, variance=scatter * expected)
