"""Models of time series on the gaps, fitted by statsforecast: autoregression and exponential smoothing (ETS)."""

import math
import warnings
from collections import deque
from enum import StrEnum
from importlib import import_module
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.renewals import IndependentGaps
from smiless_core.predictors.states import array_of, bytes_of, packed, unpacked
from smiless_core.validation import choice, number, whole_number

__all__ = ["SeriesModel", "StatisticalGaps"]

_KIND, _VERSION = "statistical-gaps", 1

# Gaps are told apart by their logarithm, but not those that are shorter than this by far: 0 has none.
_SHORTEST = 1e-3  # seconds
_LONGEST = 4.6e9  # what distributions of gaps reach to
# Timers are late by a thousandth of their period at times, however exact they were so far.
_LEAST_DEVIATION = 1e-3
# More could not be told from no forecast at all: 1e8 times as long, or as short, would be within two deviations.
_MOST_DEVIATION = 10.0
_FEWEST = 12  # gaps that a model is fitted to: ETS refuses fewer than ten, and a third lag has to be told from noise
_ORDER = 3  # lags: what alternates, or comes in bursts of two or three, is seen; more would need more gaps to fit
_DEVIATIONS = np.linspace(-6.0, 6.0, 241)


class SeriesModel(StrEnum):
    """What is fitted to the logarithms of the gaps."""

    AUTOREGRESSIVE = "autoregressive"
    ETS = "ets"


class _State(msgspec.Struct):
    model: str
    window: int
    every: int
    last: float | None
    gaps: bytes
    since: int
    fit: bytes


class _Fit(NamedTuple):
    """The next logarithm is `level`, plus the parts of the last ones' distances from it; `alpha` moves the level."""

    level: float
    deviation: float
    alpha: float
    parts: tuple[float, ...]  # of the last one, of the one before, ...


class StatisticalGaps(IndependentGaps):
    """Forecasts a log-normal distribution: the next logarithm of a gap by a model of time series, and its error.

    The model is fitted anew every so many gaps, and goes on from the newest ones in between: fitting takes about 10 ms
    for an autoregression, and less than 1 ms for ETS; other updates take some microseconds. Until there are enough gaps
    for it, and where it does not converge, their mean and deviation are taken.

    Parameters
    ----------
    model : {"autoregressive", "ets"}, default "autoregressive"
        ARIMA(3, 0, 0) by maximum likelihood, or ETS(A, N, N), whose level moves with every gap.
    window : int, default 256
        Gaps that it is fitted to, from 12 to 10,000.
    every : int, default 64
        Gaps from one fit to the next: a quarter of the window is new by then.

    Raises
    ------
    InvalidInputError
        If a setting is out of range.
    MissingExtraError
        If statsforecast is not installed.

    Notes
    -----
    G. E. P. Box and G. M. Jenkins, Time Series Analysis, 1970; R. J. Hyndman, A. B. Koehler, R. D. Snyder and S. Grose,
    A state space framework for automatic forecasting using exponential smoothing methods, Int. J. Forecasting 18, 2002.
    Demand is that of independent gaps of the distribution forecast.
    """

    def __init__(self, model: str = SeriesModel.AUTOREGRESSIVE, *, window: int = 256, every: int = 64) -> None:
        self._model = choice(model, SeriesModel, place="model", what="model")
        self._window = whole_number(window, "window", at_least=_FEWEST, at_most=10_000)
        self._every = whole_number(every, "every", at_least=1)
        _library()
        self._clock = Clock()
        self._gaps: deque[float] = deque(maxlen=self._window)
        self._since = 0  # gaps since the last fit
        self._fit: _Fit | None = None

    def observe(self, t: float) -> None:
        """Learn of an arrival, and fit the model where it is time; see `Predictor.observe`."""
        gap = self._clock.gap(t)
        if gap is None:
            return
        self._gaps.append(gap)
        self._since += 1
        if self._fit is not None:
            off = math.log(gap + _SHORTEST) - self._fit.level
            self._fit = self._fit._replace(level=self._fit.level + self._fit.alpha * off)
        if len(self._gaps) >= _FEWEST and (self._fit is None or self._since >= self._every):
            self._fit = _fitted(self._model, np.log(np.array(self._gaps) + _SHORTEST))
            self._since = 0

    def state(self) -> bytes:
        """Return all that it knows; see `Predictor.state`."""
        fit = b""
        if self._fit is not None:
            fit = bytes_of(np.array([self._fit.level, self._fit.deviation, self._fit.alpha, *self._fit.parts]))
        fields = _State(
            model=str(self._model),
            window=self._window,
            every=self._every,
            last=self._clock.last,
            gaps=bytes_of(np.array(self._gaps)),
            since=self._since,
            fit=fit,
        )
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        kept = unpacked(state, _KIND, _VERSION, _State)
        made = cls(kept.model, window=kept.window, every=kept.every)
        made._clock = Clock(kept.last)
        made._gaps.extend(array_of(kept.gaps, "state.gaps", at_most=made._window, least=0.0, most=_LONGEST).tolist())
        made._since = whole_number(kept.since, "state.since", at_least=0)
        if kept.fit:
            values = array_of(kept.fit, "state.fit", at_most=3 + _ORDER, least=-1e3, most=1e3).tolist()
            if len(values) < 3:
                raise InvalidInputError(f"expected at least 3 numbers, got {len(values)}", place="state.fit")
            deviation = number(values[1], "state.fit[1]", at_least=_LEAST_DEVIATION, at_most=_MOST_DEVIATION)
            made._fit = _Fit(values[0], deviation, values[2], tuple(values[3:]))
        return made

    def _next(self) -> Arrivals | None:
        if len(self._gaps) < 2 or not any(self._gaps):
            return None
        fit = self._fit
        if fit is None:
            fit = _plain(np.log(np.array(self._gaps) + _SHORTEST))
        newest = list(self._gaps)[-1 : -1 - len(fit.parts) : -1]
        parts = zip(fit.parts, newest, strict=False)
        middle = fit.level + sum(part * (math.log(gap + _SHORTEST) - fit.level) for part, gap in parts)
        # Within the range of times: a model that has not converged may be anywhere.
        middle = min(max(middle, math.log(_SHORTEST)), math.log(_LONGEST))
        time = np.exp(np.minimum(middle + fit.deviation * _DEVIATIONS, math.log(_LONGEST))) - _SHORTEST
        from scipy.special import ndtr  # late: it is slow to import

        left = ndtr(-_DEVIATIONS)
        # Equal times at the end are an atom there; below 0 nothing can be, and what would be there is at 0.
        time = np.minimum(np.maximum(time, 0.0), _LONGEST)
        left[-1] = 0.0
        return Arrivals.from_survival(times=time, survival=left) if time[-1] > 0.0 else None


def _library() -> None:
    try:
        import_module("statsforecast.models")  # late: it is an extra, and slow to import
    except ImportError:
        raise MissingExtraError("forecast", "forecasting by models of time series") from None


def _plain(logarithms: NDArray[np.float64]) -> _Fit:
    # One value more, a factor of e away: two equal gaps make no timer yet.
    scatter = (logarithms.var() * logarithms.size + 1.0 / logarithms.size) / logarithms.size
    return _Fit(float(logarithms.mean()), _bounded(math.sqrt(scatter)), 0.0, ())


def _bounded(deviation: float) -> float:
    return min(max(deviation, _LEAST_DEVIATION), _MOST_DEVIATION)


def _fitted(model: SeriesModel, logarithms: NDArray[np.float64]) -> _Fit:
    """Fit a model, or take the plain mean where that fails, as it does for sequences without any noise."""
    from statsforecast.models import ARIMA, AutoETS

    plain = _plain(logarithms)
    if np.ptp(logarithms) <= _LEAST_DEVIATION:  # a timer: there is nothing to be fitted
        return plain._replace(deviation=_LEAST_DEVIATION)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of convergence: what comes of it is checked below
        try:
            if model is SeriesModel.ETS:
                found = AutoETS(season_length=1, model="ANN").fit(logarithms).model_
                alpha = float(found["par"][0])
                fit = _Fit(float(found["states"][-1][0]), math.sqrt(found["sigma2"]), alpha, ())
            else:
                found = ARIMA(order=(_ORDER, 0, 0), method="ML").fit(logarithms).model_
                parts = tuple(float(found["coef"][f"ar{lag}"]) for lag in range(1, _ORDER + 1))
                fit = _Fit(float(found["coef"]["intercept"]), math.sqrt(found["sigma2"]), 0.0, parts)
        # What statsforecast raises where a likelihood has no maximum: it differs by model and series.
        except (ArithmeticError, LookupError, NotImplementedError, RuntimeError, ValueError):
            return plain
    values = (fit.level, fit.deviation, fit.alpha, *fit.parts)
    # Outside of these, a series runs away; and parts of 1e3 do not come from one that does not.
    if not all(math.isfinite(value) and abs(value) <= 1e3 for value in values) or not 0.0 <= fit.alpha <= 1.0:
        return plain
    return fit._replace(deviation=_bounded(fit.deviation))
