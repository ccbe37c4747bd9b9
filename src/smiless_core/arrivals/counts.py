"""How many arrivals come in some time, as a distribution."""

import math
from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.validation import number, numbers, sequence, whole_number

__all__ = ["Counts"]

_LARGEST = 2**53  # whole numbers up to here are exact as floats, and sums of them do not overflow
# What cumulated probabilities are off by: without this the 0.9-quantile of ten values could be the last one.
_ROUNDING = 1e-12
# Poisson probabilities are listed one by one up to this mean; beyond it so many quantiles stand for all.
_LISTED, _QUANTILES = 1000.0, 512
_NEGLIGIBLE = 1e-12


class Counts:
    """The distribution of a number of arrivals.

    Parameters
    ----------
    values : iterable of int
        Numbers that are possible, from 0 to 2**53.
    weights : iterable of float, optional
        How probable each is, in proportion; at least 0, not all 0. Equally by default.

    Raises
    ------
    InvalidInputError
        If there is no value, or there are not as many weights, or one is out of range.

    Examples
    --------
    >>> counts = Counts([0, 2, 2, 5])
    >>> counts.mean, counts.quantile(0.5), counts.quantile(1.0), counts.at_most(2)
    (2.25, 2, 5, 0.75)
    """

    __slots__ = ("_up_to", "_values")

    def __init__(self, values: Iterable[int], weights: Iterable[float] | None = None) -> None:
        items = sequence(values, "values")
        given = [whole_number(value, f"values[{i}]", at_least=0, at_most=_LARGEST) for i, value in enumerate(items)]
        if not given:
            raise InvalidInputError("expected at least one number", place="values")
        if weights is None:
            shares = np.ones(len(given))
        else:
            shares = np.array(numbers(weights, "weights", at_least=0.0), dtype=np.float64)
            if shares.size != len(given):
                raise InvalidInputError(f"expected {len(given)} weights, got {shares.size}", place="weights")
            if not shares.any():
                raise InvalidInputError("expected a weight above 0", place="weights")
            shares /= shares.max()  # their sum might overflow
        known, at = np.unique(np.array(given, np.int64), return_inverse=True)
        mass = np.bincount(at, shares, minlength=known.size)
        self._values: NDArray[np.int64] = known[mass > 0.0]
        up_to = np.cumsum(mass[mass > 0.0])
        self._up_to: NDArray[np.float64] = up_to / up_to[-1]

    @classmethod
    def poisson(cls, mean: float) -> Self:
        """Return the counts of a Poisson process.

        Parameters
        ----------
        mean : float
            How many are expected, from 0 to 1e12.

        Returns
        -------
        Counts
            Without what is less probable than 1e-12. Above a mean of 1000 by 512 quantiles of its normal
            approximation.
        """
        expected = number(mean, "mean", at_least=0.0, at_most=1e12)
        if expected == 0.0:
            return cls([0])
        if expected > _LISTED:
            return cls.spread(mean=expected, variance=expected)
        reach = 8.0 * math.sqrt(expected) + 20.0  # beyond it, both sides hold less than what is negligible
        values = np.arange(max(int(expected - reach), 0), int(expected + reach) + 1)
        from scipy.special import gammaln  # late: it is slow to import

        weights = np.exp(values * math.log(expected) - expected - gammaln(values + 1.0))
        kept = weights > _NEGLIGIBLE
        return cls(values[kept].tolist(), weights[kept].tolist())

    @classmethod
    def spread(cls, *, mean: float, variance: float) -> Self:
        """Return counts of which the mean and the variance are known, as 512 quantiles of a gamma distribution.

        Parameters
        ----------
        mean : float
            How many are expected, above 0, at most 1e12.
        variance : float
            Of their number, at least 0. More than a million times the squared mean counts as that.

        Returns
        -------
        Counts
            Rounded to whole numbers so that the mean stays.
        """
        expected = number(mean, "mean", above=0.0, at_most=1e12)
        scatter = number(variance, "variance", at_least=0.0)
        # A relative deviation of less than 1e-6 moves no count that can be meant.
        shape = expected * expected / min(max(scatter, 1e-12 * expected * expected), 1e6 * expected * expected)
        from scipy.special import gammaincinv  # late: it is slow to import

        drawn = gammaincinv(shape, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        drawn = np.minimum(
            drawn * (expected / drawn.mean()) if drawn.any() else np.full(_QUANTILES, expected), _LARGEST
        )
        # Rounded up as often as it takes to keep the mean: a running total is rounded, not each value.
        values = np.diff(np.rint(np.cumsum(drawn)), prepend=0.0)
        return cls(np.maximum(values, 0.0).astype(np.int64).tolist())

    @property
    def values(self) -> NDArray[np.int64]:
        """The numbers that are possible, ascending; shape (n,). A copy."""
        return self._values.copy()

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """How probable each of them is; shape (n,)."""
        return np.diff(self._up_to, prepend=0.0)

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self._values @ self.probabilities)

    def at_most(self, count: float) -> float:
        """Return the probability of no more than `count` arrivals."""
        below = int(np.searchsorted(self._values, number(count, "count"), "right"))
        return float(self._up_to[below - 1]) if below else 0.0

    def quantile(self, fraction: float) -> int:
        """Return the smallest number that is not exceeded with a probability of `fraction`, 0 to 1."""
        wanted = number(fraction, "fraction", at_least=0.0, at_most=1.0)
        at = int(np.searchsorted(self._up_to, wanted - _ROUNDING)) if wanted < 1.0 else self._values.size
        return int(self._values[min(at, self._values.size - 1)])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        return np.array_equal(self._values, other._values) and np.array_equal(self._up_to, other._up_to)

    def __hash__(self) -> int:
        return hash((self._values.tobytes(), self._up_to.tobytes()))

    def __repr__(self) -> str:
        return f"Counts(mean {self.mean:.4g}, at most {self._values[-1]})"
