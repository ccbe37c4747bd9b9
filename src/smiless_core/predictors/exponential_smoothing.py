"""Exponential smoothing: the recent past counts for more than what is long ago."""

import math
from typing import Self

import msgspec

from smiless_core.arrivals import Arrivals
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.renewals import IndependentGaps
from smiless_core.predictors.states import packed, unpacked
from smiless_core.validation import number, whole_number

__all__ = ["ExponentialSmoothing"]

_KIND, _VERSION = "exponential-smoothing", 1

# Timers are late by a thousandth of their period at times, however exact they were so far.
_LEAST_DEVIATION = 1e-3
_SHORTEST, _LONGEST = 1e-9, 4.6e9  # seconds: what distributions of gaps have for a mean
_LEAST_SHAPE = 1e-3  # of a gamma distribution


class _State(msgspec.Struct):
    weight: float
    known: int
    last: float | None
    mean: float
    variance: float


class ExponentialSmoothing(IndependentGaps):
    """Forecasts a gamma distribution with the smoothed mean and the smoothed variance of the gaps.

    A gap moves the mean by `weight` of its distance from it. The first ones move it by more, so that it is their plain
    mean; one gap alone is taken for the mean of an exponential distribution, and the variance leaves that behind as
    more gaps come.

    Parameters
    ----------
    weight : float, default 0.1
        Of the newest gap, above 0 and below 1: small ones smooth more. 0.1 is the usual one, by which about twenty gaps
        count.

    Raises
    ------
    InvalidInputError
        If the weight is out of range.

    Notes
    -----
    R. G. Brown, Smoothing, Forecasting and Prediction of Discrete Time Series, 1963, chapter 7, for the mean; T. Finch,
    Incremental calculation of weighted mean and variance, 2009, section 9, for the variance. Demand is that of
    independent gaps.
    """

    def __init__(self, weight: float = 0.1) -> None:
        self._weight = number(weight, "weight", above=0.0, at_most=math.nextafter(1.0, 0.0))
        self._clock = Clock()
        self._known = 0  # gaps, as far as it matters
        self._mean = self._variance = 0.0

    def observe(self, t: float) -> None:
        """Learn of an arrival; see `Predictor.observe`."""
        gap = self._clock.gap(t)
        if gap is None:
            return
        if self._known == 0:
            self._mean, self._variance = gap, gap * gap
        else:
            share = max(self._weight, 1.0 / (self._known + 1.0))
            off = gap - self._mean
            self._mean += share * off
            self._variance = (1.0 - share) * (self._variance + share * off * off)
        self._known = min(self._known + 1, math.ceil(1.0 / self._weight))

    def state(self) -> bytes:
        """Return all that it knows; see `Predictor.state`."""
        fields = _State(self._weight, self._known, self._clock.last, self._mean, self._variance)
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        kept = unpacked(state, _KIND, _VERSION, _State)
        made = cls(kept.weight)
        made._clock = Clock(kept.last)
        made._known = whole_number(kept.known, "state.known", at_least=0)
        made._mean = number(kept.mean, "state.mean", at_least=0.0, at_most=_LONGEST)
        made._variance = number(kept.variance, "state.variance", at_least=0.0, at_most=_LONGEST**2)
        return made

    def _next(self) -> Arrivals | None:
        mean = self._mean
        if mean < _SHORTEST:
            return None
        shape = mean * mean / max(self._variance, (_LEAST_DEVIATION * mean) ** 2)
        return Arrivals.gamma(mean=mean, shape=max(shape, _LEAST_SHAPE))
