"""Recorded gaps, exactly as they were."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals.laws import ArrayLaw

__all__ = ["Empirical"]

Floats = NDArray[np.float64]


class _Steps(NamedTuple):
    """The m distinct gaps, and what lies above each of them; entry 0 of the last two is for all gaps."""

    seconds: Floats  # (m,), ascending
    counts: NDArray[np.int64]  # (m,), how many gaps have this value
    above: NDArray[np.int64]  # (m + 1,), how many are longer than the one before
    mean_above: Floats  # (m + 1,), the seconds that these add up to, divided by the number of all gaps


@dataclass(frozen=True, eq=False)
class Empirical(ArrayLaw):
    """Every recorded gap is equally probable.

    Parameters
    ----------
    sequence : int64 array, shape (count,)
        The gaps in nanoseconds, in the order in which they came, not all zero. Kept as a read-only copy.
    """

    sequence: NDArray[np.int64]
    kind = "empirical"
    smooth = False

    def __post_init__(self) -> None:
        kept = self.sequence.copy()
        kept.flags.writeable = False
        object.__setattr__(self, "sequence", kept)

    @cached_property
    def _steps(self) -> _Steps:
        value, counts = np.unique(self.sequence, return_counts=True)
        above = self.sequence.size - np.concatenate(([0], np.cumsum(counts)))
        # 64 bits of mantissa, where the machine has them, make sums of up to 584 years exact.
        total = np.cumsum((value.astype(np.longdouble) * counts)[::-1])[::-1]
        mean_above = np.append(total, 0.0) / (1e9 * self.sequence.size)
        return _Steps(value / 1e9, counts, above, mean_above.astype(np.float64))

    def survival(self, x: Floats) -> Floats:
        """Count the gaps that are longer."""
        steps = self._steps
        return np.asarray(steps.above[np.searchsorted(steps.seconds, x, "right")] / self.sequence.size)

    def at_least(self, x: Floats) -> Floats:
        """Count the gaps that are not shorter."""
        steps = self._steps
        return np.asarray(steps.above[np.searchsorted(steps.seconds, x, "left")] / self.sequence.size)

    def excess(self, x: Floats) -> Floats:
        """Add up what the longer gaps have beyond x."""
        steps = self._steps
        longer = np.searchsorted(steps.seconds, x, "right")
        return np.maximum(steps.mean_above[longer] - x * (steps.above[longer] / self.sequence.size), 0.0)

    def inverse(self, s: Floats) -> Floats:
        """Return the shortest gap that at most a fraction s exceeds."""
        steps = self._steps
        exceeding = np.floor(s * self.sequence.size)
        return np.asarray(steps.seconds[np.searchsorted(-steps.above[1:], -exceeding, "left")])

    def next_value(self, elapsed: float) -> float:
        """Return the next longer gap."""
        steps = self._steps
        return float(steps.seconds[np.searchsorted(steps.seconds, elapsed, "right")])

    def jumps(self) -> tuple[Floats, Floats]:
        """Return the distinct gaps and their shares."""
        return self._steps.seconds, self._steps.counts / self.sequence.size

    def knots(self) -> Floats:
        """Return the distinct gaps."""
        return self._steps.seconds

    def __str__(self) -> str:
        gaps = "gap" if self.sequence.size == 1 else "gaps"
        return f"empirical, {self.sequence.size:,} {gaps}, mean {self.mean:.4g} s"
