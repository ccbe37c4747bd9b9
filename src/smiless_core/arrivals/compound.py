"""Distributions made of others: mixtures, and what remains after a time without an arrival."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals.laws import Exponential, Law

__all__ = ["Mixture", "Remainder"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture(Law):
    """X follows law i with probability weights[i]; weights are above 0 and add up to 1."""

    weights: tuple[float, ...]
    laws: tuple[Law, ...]
    kind = "mixture"

    @property
    def smooth(self) -> bool:
        """Whether there is any probability outside the jumps."""
        return any(law.smooth for law in self.laws)

    def survival(self, x: Floats) -> Floats:
        """P(X > x)."""
        return np.minimum(self._weighted(lambda law: law.survival(x)), 1.0)

    def at_least(self, x: Floats) -> Floats:
        """P(X >= x)."""
        return np.minimum(self._weighted(lambda law: law.at_least(x)), 1.0)

    def excess(self, x: Floats) -> Floats:
        """E[(X - x)+]."""
        return self._weighted(lambda law: law.excess(x))

    def inverse(self, s: Floats) -> Floats:
        """Bisect between the inverses of the laws, down to neighboring floats."""
        s = np.asarray(s)
        candidates = [law.inverse(s) for law in self.laws]
        low: Floats = np.minimum.reduce(candidates)
        high: Floats = np.maximum.reduce(candidates)
        positive = s > 0.0  # else only the highest will do, which may be infinite
        high = np.where(positive & (self.survival(np.where(positive, low, 0.0)) <= s), low, high)
        low = np.where(positive, low, high)
        # The bits of floats that are not negative, read as integers, are in the same order.
        below, reached = np.asarray(low).view(np.int64), np.asarray(high).view(np.int64)
        while np.any(reached - below > 1):
            middle = below + (reached - below) // 2
            enough = self.survival(middle.view(np.float64)) <= s
            below, reached = np.where(enough, below, middle), np.where(enough, middle, reached)
        return reached.view(np.float64)

    def next_value(self, elapsed: float) -> float:
        """Return the first of what the laws that are still possible have next."""
        at = np.asarray(elapsed)
        return min(law.next_value(elapsed) for law in self.laws if float(law.survival(at)) > 0.0)

    def jumps(self) -> tuple[Floats, Floats]:
        """Return the jumps of all laws; where several have one, it is there several times."""
        pairs = [law.jumps() for law in self.laws]
        time = np.concatenate([pair[0] for pair in pairs])
        mass = np.concatenate([weight * pair[1] for weight, pair in zip(self.weights, pairs, strict=True)])
        order = np.argsort(time, kind="stable")
        return time[order], mass[order]

    def knots(self) -> Floats | None:
        """Return the knots of all laws, if all have them."""
        knots = [known for law in self.laws if (known := law.knots()) is not None]
        return np.unique(np.concatenate(knots)) if len(knots) == len(self.laws) else None

    def draw(self, count: int, generator: np.random.Generator) -> Floats:
        """Draw which law, then from it."""
        chosen = generator.choice(len(self.laws), size=count, p=self.weights)
        drawn = np.empty(count)
        for index, law in enumerate(self.laws):
            where = np.flatnonzero(chosen == index)
            drawn[where] = law.draw(where.size, generator)
        return drawn

    def _weighted(self, value: Callable[[Law], Floats]) -> Floats:
        terms = (weight * value(law) for weight, law in zip(self.weights, self.laws, strict=True))
        return np.asarray(sum(terms))

    def __str__(self) -> str:
        if all(isinstance(law, Exponential) for law in self.laws):
            return f"hyper-exponential, {len(self.laws)} phases, mean {self.mean:.4g} s"
        return f"mixture of {len(self.laws)}, mean {self.mean:.4g} s"


@dataclass(frozen=True)
class Remainder(Law):
    """X, given that X > elapsed; still measured from the last arrival."""

    law: Law
    elapsed: float
    kind = "remainder"

    @property
    def smooth(self) -> bool:
        """Whether there is any probability outside the jumps."""
        return self.law.smooth

    @cached_property
    def _left(self) -> float:
        return float(self.law.survival(np.asarray(self.elapsed)))

    def survival(self, x: Floats) -> Floats:
        """P(X > x)."""
        return self.law.survival(np.maximum(x, self.elapsed)) / self._left

    def at_least(self, x: Floats) -> Floats:
        """P(X >= x)."""
        return np.where(x <= self.elapsed, 1.0, self.law.at_least(x) / self._left)

    def excess(self, x: Floats) -> Floats:
        """E[(X - x)+]."""
        beyond = self.law.excess(np.maximum(x, self.elapsed)) / self._left
        return beyond + np.maximum(self.elapsed - x, 0.0)

    def inverse(self, s: Floats) -> Floats:
        """Ask the whole law for the probability that is left; nothing comes before the next value."""
        return np.maximum(self.law.inverse(s * self._left), self.floor)

    @cached_property
    def floor(self) -> float:
        """The largest x with P(X < x) = 0."""
        return self.law.next_value(self.elapsed)

    def next_value(self, elapsed: float) -> float:
        """Return the largest x with P(elapsed < X < x) = 0."""
        return self.law.next_value(max(elapsed, self.elapsed))

    def jumps(self) -> tuple[Floats, Floats]:
        """Return the jumps that are still to come."""
        time, mass = self.law.jumps()
        later = time > self.elapsed
        return time[later], mass[later] / self._left

    def knots(self) -> Floats | None:
        """Return the knots that are still to come, and where they start."""
        knots = self.law.knots()
        return None if knots is None else np.append(self.floor, knots[knots > self.floor])

    def __str__(self) -> str:
        return f"{self.law}; {self.elapsed:g} s have passed"
