"""A distribution that is known at some times only, as forecasters and histograms give it."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals.laws import ArrayLaw

__all__ = ["SurvivalGrid"]

Floats = NDArray[np.float64]


class _Knots(NamedTuple):
    """S runs straight from knot to knot; two knots at the same time are a jump."""

    time: Floats  # (n,), from 0 on
    survival: Floats  # (n,), from 1 on
    excess: Floats  # (n,), the integral of S from the knot on


@dataclass(frozen=True, eq=False)
class SurvivalGrid(ArrayLaw):
    """S is linear from S(0) = 1 through the points given, and exponential beyond the last one.

    Parameters
    ----------
    times : float64 array, shape (count,)
        Seconds, not descending, from 0 on. Kept as a read-only copy, as is `given`.
    given : float64 array, shape (count,)
        S at these times, not ascending, from 1 to 0.
    tail_excess : float
        E[X - x | X > x] for the last time x; has no effect where S is 0 there.
    """

    times: Floats
    given: Floats
    tail_excess: float
    kind = "survival"

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(array := getattr(self, field.name), np.ndarray):
                kept = array.copy()
                kept.flags.writeable = False
                object.__setattr__(self, field.name, kept)
        if self.given[-1] == 0.0:
            object.__setattr__(self, "tail_excess", 1.0)

    @cached_property
    def _knots(self) -> _Knots:
        time = np.concatenate(([0.0], self.times))
        survival = np.concatenate(([1.0], self.given))
        areas = np.diff(time) * (survival[1:] + survival[:-1]) / 2.0
        areas = np.append(areas, survival[-1] * self.tail_excess)
        return _Knots(time, survival, np.cumsum(areas[::-1])[::-1])

    @cached_property
    def smooth(self) -> bool:
        """Whether there is any probability outside the jumps."""
        knots = self._knots
        slopes = (np.diff(knots.time) > 0.0) & (np.diff(knots.survival) < 0.0)
        return bool(slopes.any() or knots.survival[-1] > 0.0)

    def survival(self, x: Floats) -> Floats:
        """Interpolate; at a jump take the lower end."""
        return self._interpolated(x, np.searchsorted(self._knots.time, x, "right"))

    def at_least(self, x: Floats) -> Floats:
        """Interpolate; at a jump take the upper end."""
        after = np.searchsorted(self._knots.time, x, "left")
        return np.where(x > 0.0, self._interpolated(x, np.maximum(after, 1)), 1.0)

    def excess(self, x: Floats) -> Floats:
        """Add the trapezoid up to the next knot to what is beyond that."""
        time, survival, excess = self._knots
        after = np.searchsorted(time, x, "right")
        here = self._interpolated(x, after)
        known = np.minimum(after, time.size - 1)
        inside = excess[known] + (here + survival[known]) / 2.0 * (time[known] - x)
        return np.where(after < time.size, inside, here * self.tail_excess)

    def inverse(self, s: Floats) -> Floats:
        """Find the first knot that is low enough, and go back from it along the line."""
        time, survival, _ = self._knots
        first = np.searchsorted(-survival, -s, "left")
        known = np.clip(first, 1, time.size - 1)
        drop = survival[known - 1] - survival[known]
        # In the branches that are not taken, and s = 0.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            back = (survival[known - 1] - s) / drop
            inside = time[known - 1] + back * (time[known] - time[known - 1])
            beyond = time[-1] + self.tail_excess * (np.log(survival[-1]) - np.log(s))
        start = time[np.searchsorted(-survival, -1.0, "right") - 1]
        return np.select([first == 0, first < time.size], [start, inside], beyond)

    def next_value(self, elapsed: float) -> float:
        """Return where the line goes down next."""
        time, survival, _ = self._knots
        lower = np.searchsorted(-survival, -self.survival(np.asarray(elapsed)), "right")
        return max(elapsed, float(time[lower - 1]))

    def jumps(self) -> tuple[Floats, Floats]:
        """Return the times where S is vertical, and how far it falls there."""
        time, survival, _ = self._knots
        drop = -np.diff(survival)
        vertical = (np.diff(time) == 0.0) & (drop > 0.0)
        return time[1:][vertical], drop[vertical]

    def knots(self) -> Floats | None:
        """Return the distinct times, unless there is a tail."""
        return np.unique(self.times) if self.given[-1] == 0.0 else None

    def _interpolated(self, x: Floats, after: NDArray[np.intp]) -> Floats:
        """Return S at x, which lies between the knots `after` - 1 and `after`."""
        time, survival, _ = self._knots
        known = np.minimum(after, time.size - 1)
        width = time[known] - time[known - 1]
        passed = np.minimum(x, time[known]) - time[known - 1]
        part = np.divide(passed, width, out=np.ones(np.shape(x)), where=width > 0.0)
        inside = survival[known - 1] + part * (survival[known] - survival[known - 1])
        inside = np.where(part == 1.0, survival[known], inside)  # the sum may have been rounded
        beyond = survival[-1] * np.exp(-np.maximum(x - time[-1], 0.0) / self.tail_excess)
        return np.where(after < time.size, inside, beyond)

    def __str__(self) -> str:
        times = "time" if self.times.size == 1 else "times"
        return f"survival at {self.times.size:,} {times}, mean {self.mean:.4g} s"
