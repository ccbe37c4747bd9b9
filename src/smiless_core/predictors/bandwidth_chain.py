"""The default forecaster: histograms of past gaps at several widths, chained and mixed.

Every gap is smoothed by triangles of five widths relative to it, and added to a histogram of each width; histograms
forget. Each level falls back on the next wider one where it knows little, and the widest on gaps that are evenly
spread in their logarithm: Laplace smoothing along a chain. A sixth histogram is of the gaps that followed one like the
last. Three more are of what follows a clock and jitters: of the times from the beginning of the minute, the quarter of
an hour and the hour before one arrival to the next arrival. If jitters are independent, when the last arrival came
within its minute says nothing about when the next one comes within its own; the gap between them depends on both. The
forecast is a Bayesian mixture of the nine, whose weights follow how well each has forecast (with a small share for all
of them, so that none is lost for good). It needs no training and no least number of gaps. Times are those of a clock:
that of Unix, or seconds from the beginning of any hour.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core._native.chains import Chains
from smiless_core.arrivals import Arrivals, Counts
from smiless_core.errors import InvalidInputError
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.conditioning import conditioned
from smiless_core.predictors.following import RecentArrivals
from smiless_core.predictors.states import packed, unpacked
from smiless_core.validation import number, numbers, whole_number

__all__ = ["BandwidthChain", "Planned"]

Floats = NDArray[np.float64]

_KIND, _VERSION = "bandwidth-chain", 2
_LONGEST = 86_400.0
_REMEMBERED = 128  # arrivals, for the demand
_LONGEST_TIME = 4.6e9
_HOUR = 3600.0
_HOUR_NS = 3_600_000_000_000
_NOTHING = 1e-12  # a probability that is left by rounding


class Planned(NamedTuple):
    """When an instance exists until the next arrival, as the switching policy plans it.

    Attributes
    ----------
    stays : int64 array, shape (s, 3)
        Start, ready and until: nanoseconds after the last arrival; the last may be the largest number there is.
    value : float
        Expected seconds of residency and of priced misses, from the end of the service on.
    misses : float
        Probability that the next arrival waits for longer than tolerated.
    """

    stays: NDArray[np.int64]
    value: float
    misses: float


class _State(msgspec.Struct):
    finest: float
    ratio: float
    decay: float
    last: float | None
    recent: list[float]
    histograms: bytes  # little-endian float32
    weights: list[float]
    after: list[float]
    gaps: float
    class_of_last: int
    time: float


class BandwidthChain:
    """Forecasts by decayed histograms of several widths.

    Parameters
    ----------
    finest : float, default 1.0
        Seconds that the narrowest bins are wide. A fifth of the cold start or less.
    ratio : float, default 0.02
        How wide the others are, relative to where they begin, up to a day.
    decay : float, default 0.99
        What is left of a gap's weight when another one has come.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Examples
    --------
    >>> forecaster = BandwidthChain()
    >>> for k in range(50):
    ...     forecaster.observe(60.0 * k)
    >>> forecast = forecaster.arrivals(now=2940.0)
    >>> round(forecast.survival(55.0), 2), round(forecast.survival(65.0), 2)
    (1.0, 0.0)
    """

    def __init__(self, *, finest: float = 1.0, ratio: float = 0.02, decay: float = 0.99) -> None:
        self._finest = number(finest, "finest", at_least=1e-3, at_most=3600.0)
        self._ratio = number(ratio, "ratio", at_least=1e-3, at_most=1.0)
        self._decay = number(decay, "decay", at_least=0.5, at_most=1.0 - 1e-6)
        self._clock = Clock()
        self._recent = RecentArrivals(_REMEMBERED)
        self._chains = Chains(1, finest=self._finest, ratio=self._ratio, longest=_LONGEST, decay=self._decay)
        self._at = 0  # among the chains
        self._edges: Floats | None = None

    @classmethod
    def fleet(cls, count: int, *, finest: float = 1.0, ratio: float = 0.02, decay: float = 0.99) -> list[Self]:
        """Return forecasters for many applications, which take 20 KB each: they share what they reckon with.

        No two of them can be used at the same time in different threads.

        Parameters
        ----------
        count : int
            How many.
        finest, ratio, decay : float, optional
            Of all of them.
        """
        many = whole_number(count, "count", at_least=0)
        model = cls(finest=finest, ratio=ratio, decay=decay)
        chains = Chains(max(many, 1), finest=model._finest, ratio=model._ratio, longest=_LONGEST, decay=model._decay)
        made = []
        for at in range(many):
            one = copy(model)  # all but what is its own
            one._clock, one._recent = Clock(), RecentArrivals(_REMEMBERED)
            one._chains, one._at = chains, at
            made.append(one)
        return made

    @property
    def edges(self) -> Floats:
        """The ends of the bins, seconds from 0 on; shape (n + 1,)."""
        if self._edges is None:
            self._edges = self._chains.edges()
            self._edges.flags.writeable = False
        return self._edges

    @property
    def probabilities(self) -> Floats:
        """Of each bin, and last of what is beyond all of them, whatever has passed by now; shape (n + 1,)."""
        return self._chains.forecast(self._at)

    def observe(self, t: float) -> None:
        """Learn of an arrival; see `Predictor.observe`."""
        last = self._clock.last
        gap = self._clock.gap(t)
        if gap is not None and last is not None:
            self._chains.observe(self._at, gap, began=last % _HOUR)
            self._recent.add(gap)

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the distribution of the next gap; see `Predictor.arrivals`. Before the first gap, None."""
        if self._recent.gaps.size == 0:
            return None
        left = np.clip(1.0 - np.cumsum(self.probabilities[:-1]), 0.0, 1.0)
        left[left < _NOTHING] = 0.0
        forecast = Arrivals.from_survival(times=self.edges[1:], survival=left, tail_excess=float(self.edges[-1]))
        return conditioned(forecast, self._clock.elapsed(now))

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return what followed in the recent past; see `Predictor.demand`."""
        return self._recent.counts(elapsed=self._clock.elapsed(now), horizon=horizon)

    def plan(
        self,
        *,
        cold_start: float,
        miss_price: float,
        tolerated_wait: float = 0.0,
        latency: float = 0.0,
        min_keep_alive: float = 0.0,
    ) -> Planned:
        """Plan one function for the next gap by the switching policy, in microseconds.

        The same as `windows.switching_policy` of `arrivals`, but that instances start, are ready and are let go at the
        ends of bins.

        Parameters
        ----------
        cold_start, latency : float
            Seconds.
        miss_price : float
            What an arrival costs that waits for longer than `tolerated_wait`, in seconds of residency.
        tolerated_wait, min_keep_alive : float, default 0
            Seconds.
        """
        stays, value, misses = self._chains.plan(
            self._at,
            _nanoseconds(cold_start, "cold_start"),
            number(miss_price, "miss_price", at_least=0.0, at_most=1e12),
            tolerated=_nanoseconds(tolerated_wait, "tolerated_wait"),
            busy=_nanoseconds(latency, "latency"),
            keep=_nanoseconds(min_keep_alive, "min_keep_alive"),
        )
        return Planned(stays, value, misses)

    def meet(
        self,
        gaps: NDArray[np.int64],
        miss_prices: Floats,
        *,
        cold_start: float,
        tolerated_wait: float = 0.0,
        began: int | None = None,
        positions: bool = True,
    ) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
        """Plan before every gap, once for each price; meet it; and learn of it: a backtest in one native call.

        Services take no time. The clock does not go on, so this is no way to learn of arrivals that have a time.

        Parameters
        ----------
        gaps : int64 array, shape (g,)
            Nanoseconds.
        miss_prices : float64 array, shape (p,)
            As `miss_price` of `plan`.
        cold_start, tolerated_wait : float
            Seconds.
        began : int, optional
            When the first gap began, nanoseconds; where the last one ended by default, as far as it is known.
        positions : bool, default True
            Whether they are wanted.

        Returns
        -------
        residency : float64 array, shape (p,)
            Seconds that an instance was there, by price.
        missed : int64 array, shape (p,)
            Arrivals that waited for longer than tolerated.
        stated : float64 array, shape (p,)
            How many were expected to.
        positions : float64 array, shape (g,)
            The forecast probability that each gap is no longer than it was; empty if not wanted.

        Raises
        ------
        InvalidInputError
            If a gap or a price is out of range, or there is no price.
        """
        cold, tolerated = _nanoseconds(cold_start, "cold_start"), _nanoseconds(tolerated_wait, "tolerated_wait")
        try:
            residency, missed, stated, position = self._chains.replay(
                self._at,
                np.ascontiguousarray(gaps, np.int64),
                np.ascontiguousarray(miss_prices, np.float64),
                began=-1 if began is None else began % _HOUR_NS,
                cold_start=cold,
                tolerated=tolerated,
                positions=positions,
            )
        except ValueError as error:
            raise InvalidInputError(str(error), place="gaps, miss_prices") from None
        return residency, missed, stated, np.empty(0) if position is None else position

    def state(self) -> bytes:
        """Return all that it knows; see `Predictor.state`."""
        histograms, weights, after, gaps, last, time = self._chains.read(self._at)
        fields = _State(
            self._finest,
            self._ratio,
            self._decay,
            self._clock.last,
            self._recent.gaps.tolist(),
            histograms.astype("<f4").tobytes(),
            weights,
            after,
            gaps,
            last,
            time,
        )
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        known = unpacked(state, _KIND, _VERSION, _State)
        try:
            made = cls(finest=known.finest, ratio=known.ratio, decay=known.decay)
            made._clock = Clock(known.last)
            made._recent = RecentArrivals(_REMEMBERED, numbers(known.recent, "recent", at_least=0.0))
        except InvalidInputError as error:
            raise error.within(place="state") from None
        try:
            histograms = np.frombuffer(known.histograms, "<f4").astype(np.float32).reshape(-1, made._chains.bins + 1)
            made._chains.write(0, histograms, known.weights, known.after, known.gaps, known.class_of_last, known.time)
        except (ValueError, OverflowError) as error:
            raise InvalidInputError(str(error), place="state") from None
        return made


def _nanoseconds(seconds: float, place: str) -> int:
    return round(number(seconds, place, at_least=0.0, at_most=_LONGEST_TIME) * 1e9)
