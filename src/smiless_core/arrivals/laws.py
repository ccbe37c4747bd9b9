"""What a distribution of gaps has to tell, and the ones that have closed forms.

Everything that planning asks is made of three functions of the time x since the last arrival,

    survival S(x) = P(X > x),   at_least(x) = P(X >= x),   excess R(x) = E[(X - x)+],

where R is the integral of S from x on: E[min(X, x)] = E[X] - R(x), and E[X; X <= x] = E[X] - R(x) - x S(x).
They count from above, not from below, because conditioning on X > e divides by S(e): what is left of a thin
tail keeps its digits.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayLaw", "Exponential", "Gamma", "Law", "Point"]

Floats = NDArray[np.float64]


class Law(ABC):
    """The distribution of a time X >= 0 with a mean above 0, in seconds.

    Arrays in, arrays of the same shape out. Times that come in are at least 0; laws check nothing.
    """

    kind: ClassVar[str]  # what to call it, in one word

    @property
    def smooth(self) -> bool:
        """Whether there is any probability outside the jumps."""
        return True

    @property
    def mean(self) -> float:
        """E[X]."""
        return float(self.excess(np.zeros(())))

    @abstractmethod
    def survival(self, x: Floats) -> Floats:
        """P(X > x)."""

    def at_least(self, x: Floats) -> Floats:
        """P(X >= x)."""
        return self.survival(x)

    @abstractmethod
    def excess(self, x: Floats) -> Floats:
        """E[(X - x)+]."""

    @abstractmethod
    def inverse(self, s: Floats) -> Floats:
        """Return the smallest x with S(x) <= s; for s = 1 the largest x with P(X < x) = 0."""

    def next_value(self, elapsed: float) -> float:
        """Return the largest x with P(elapsed < X < x) = 0, where S(elapsed) > 0."""
        return elapsed

    def jumps(self) -> tuple[Floats, Floats]:
        """Return the values that have a probability of their own, ascending, and these probabilities."""
        return np.empty(0), np.empty(0)

    def knots(self) -> Floats | None:
        """Return the times between which S is a straight line, from 0 to the largest X; None if there are none such."""
        return None

    @property
    def floor(self) -> float:
        """The largest x with P(X < x) = 0."""
        return float(self.inverse(np.ones(())))

    @property
    def ceiling(self) -> float:
        """The smallest x with P(X > x) = 0, possibly infinite."""
        return float(self.inverse(np.zeros(())))

    def draw(self, count: int, generator: np.random.Generator) -> Floats:
        """Return independent samples, shape (count,)."""
        return self.inverse(1.0 - generator.random(count))


@dataclass(frozen=True, eq=False)
class ArrayLaw(Law):
    """A law that is made of arrays: compared by content and pickled without what was derived from them."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        return all(map(np.array_equal, self._fields(), other._fields()))

    def __hash__(self) -> int:
        return hash((type(self), self.mean))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), self._fields()

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class Point(Law):
    """X has one value."""

    interval: float
    kind = "deterministic"
    smooth = False

    def survival(self, x: Floats) -> Floats:
        """P(X > x)."""
        return np.where(x < self.interval, 1.0, 0.0)

    def at_least(self, x: Floats) -> Floats:
        """P(X >= x)."""
        return np.where(x <= self.interval, 1.0, 0.0)

    def excess(self, x: Floats) -> Floats:
        """E[(X - x)+]."""
        return np.maximum(self.interval - x, 0.0)

    def inverse(self, s: Floats) -> Floats:
        """Return the one value."""
        return np.full(np.shape(s), self.interval)

    def next_value(self, elapsed: float) -> float:
        """Return the one value."""
        return self.interval

    def jumps(self) -> tuple[Floats, Floats]:
        """Return the one value, which is certain."""
        return np.array([self.interval]), np.ones(1)

    def knots(self) -> Floats:
        """Return the one value."""
        return np.array([self.interval])

    def __str__(self) -> str:
        return f"every {self.interval:g} s"


@dataclass(frozen=True)
class Exponential(Law):
    """Arrivals of a Poisson process, `interval` apart in the mean."""

    interval: float
    kind = "exponential"

    def survival(self, x: Floats) -> Floats:
        """P(X > x)."""
        return np.exp(-x / self.interval)

    def excess(self, x: Floats) -> Floats:
        """E[(X - x)+] = interval S(x), for the gap has no memory."""
        return self.interval * np.exp(-x / self.interval)

    def inverse(self, s: Floats) -> Floats:
        """Return -interval ln s."""
        with np.errstate(divide="ignore"):  # s = 0 is infinitely far
            return 0.0 - self.interval * np.log(s)  # not -0.0 for s = 1

    def __str__(self) -> str:
        return f"exponential, mean {self.interval:g} s"


@dataclass(frozen=True)
class Gamma(Law):
    """Gamma with mean `interval` and shape k: more regular than exponential for k > 1, burstier for k < 1."""

    interval: float
    shape: float
    kind = "gamma"

    def survival(self, x: Floats) -> Floats:
        """Q(k, z) with z = kx / interval, the regularized upper incomplete gamma function (DLMF 8.2.4)."""
        from scipy.special import gammaincc

        return np.asarray(gammaincc(self.shape, self._scaled(x)))

    def excess(self, x: Floats) -> Floats:
        """E[X; X > x] - x S(x) = interval Q(k + 1, z) - x Q(k, z)."""
        from scipy.special import gammaincc

        scaled = self._scaled(x)
        above = self.interval * gammaincc(self.shape + 1.0, scaled)
        return np.asarray(np.maximum(above - x * gammaincc(self.shape, scaled), 0.0))

    def inverse(self, s: Floats) -> Floats:
        """Invert Q(k, z) in z."""
        from scipy.special import gammainccinv

        return np.asarray(gammainccinv(self.shape, s) * (self.interval / self.shape))

    def draw(self, count: int, generator: np.random.Generator) -> Floats:
        """Return independent samples, shape (count,)."""
        return generator.gamma(self.shape, self.interval / self.shape, count)

    def _scaled(self, x: Floats) -> Floats:
        return x * (self.shape / self.interval)

    def __str__(self) -> str:
        return f"gamma, shape {self.shape:g}, mean {self.interval:g} s"
