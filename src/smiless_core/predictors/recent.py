"""The recent past is the future: the smoothed distribution of the last inter-arrival times."""

from typing import Self

import msgspec
import numpy as np

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.conditioning import conditioned
from smiless_core.predictors.following import RecentArrivals
from smiless_core.predictors.states import packed, unpacked
from smiless_core.validation import numbers, whole_number

__all__ = ["RecentGaps"]

_KIND, _VERSION = "recent-gaps", 1


class _State(msgspec.Struct):
    count: int
    least: int
    last: float | None
    gaps: list[float]


class RecentGaps:
    """Forecasts that the next inter-arrival time is like one of the last, or near one (`Arrivals.smoothed`).

    Parameters
    ----------
    count : int, default 256
        How many are remembered; memory and time for a forecast are proportional to it.
    least : int, default 2
        How many have to be known for a forecast; not more than `count`.
    """

    def __init__(self, count: int = 256, *, least: int = 2) -> None:
        self._least = whole_number(least, "least", at_least=1)
        self._count = whole_number(count, "count", at_least=self._least)
        self._recent = RecentArrivals(self._count)
        self._clock = Clock()

    def observe(self, t: float) -> None:
        """Learn of an arrival; see `Predictor.observe`."""
        gap = self._clock.gap(t)
        if gap is not None:
            self._recent.add(gap)

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the smoothed distribution of the gaps remembered; None if there are too few, or all are 0."""
        gaps = self._recent.gaps
        if gaps.size < self._least or not gaps.any():
            return None
        return conditioned(Arrivals.smoothed(gaps), self._clock.elapsed(now))

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return what followed in the recent past; see `Predictor.demand`."""
        return self._recent.counts(elapsed=self._clock.elapsed(now), horizon=horizon)

    def state(self) -> bytes:
        """Return all that it knows; see `Predictor.state`."""
        fields = _State(self._count, self._least, self._clock.last, self._recent.gaps.tolist())
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        known = unpacked(state, _KIND, _VERSION, _State)
        made = cls(known.count, least=known.least)
        made._clock = Clock(known.last)
        made._recent = RecentArrivals(known.count, np.array(numbers(known.gaps, "state.gaps", at_least=0.0)))
        return made
