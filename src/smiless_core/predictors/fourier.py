"""A Fourier extrapolation of how many arrivals come: IceBreaker's forecast, as a distribution."""

import math
from collections import deque
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.errors import InvalidInputError
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.extrapolation import extrapolation_weights
from smiless_core.predictors.states import packed, unpacked
from smiless_core.validation import number, whole_number

__all__ = ["FourierExtrapolation"]

_KIND, _VERSION = "fourier-extrapolation", 1

_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
_MOST = 1e12  # arrivals that can be meant
# The hazards between which survival is taken for straight: P(X > x) falls by 1/200, and in the tail by a fifth.
_LEVELS = np.append(-np.log(1.0 - np.arange(1, 200) / 200.0), np.arange(5.5, 25.0, 0.2))


class _State(msgspec.Struct):
    bucket: float
    window: int
    harmonics: int
    last: float | None
    offset: float
    current: int
    counts: list[int]


class _Hazard(NamedTuple):
    """The expected number of arrivals from now on: straight between the ends of buckets, and beyond them."""

    time: NDArray[np.float64]  # seconds from now, from 0 on
    expected: NDArray[np.float64]
    rate: float  # per second, beyond the last of these times

    def until(self, seconds: float) -> float:
        """Return how many come until then."""
        inside = float(np.interp(seconds, self.time, self.expected))
        return inside + self.rate * max(seconds - float(self.time[-1]), 0.0)


class FourierExtrapolation:
    """Forecasts the rate of a Poisson process from the counts of the last buckets.

    The counts are extrapolated as IceBreaker does: a parabola, and the lowest frequencies of what it leaves over, for
    as many buckets as there are in the window, between 0 and the most that came in one of them. From then on the rate
    is the mean of the window. One arrival more than came is taken to be possible at any time, evenly.

    Parameters
    ----------
    bucket : float, default 60
        Seconds: IceBreaker forecasts by the minute.
    window : int, default 60
        How many buckets are remembered, at least 1, at most 1440; an hour, as for `baselines.IceBreaker`.
    harmonics : int, default 10
        Frequencies that are kept, besides the mean, at most 720; as many as in the paper.

    Raises
    ------
    InvalidInputError
        If a setting is out of range.

    Notes
    -----
    R. B. Roy, T. Patel and D. Tiwari, "IceBreaker: Warming Serverless Functions Better with Heterogeneity", ASPLOS
    2022. The paper forecasts concurrency, and no distribution: that of a Poisson process is added here. Buckets begin
    with the first arrival.
    """

    def __init__(self, bucket: float = 60.0, *, window: int = 60, harmonics: int = 10) -> None:
        self._bucket = number(bucket, "bucket", at_least=1e-3, at_most=1e6)
        self._window = whole_number(window, "window", at_least=1, at_most=1440)
        self._harmonics = whole_number(harmonics, "harmonics", at_least=0, at_most=720)
        self._clock = Clock()
        self._counts: deque[int] = deque(maxlen=self._window)
        self._offset = 0.0  # of the last arrival in its bucket, seconds
        self._current = 0  # arrivals in that bucket

    def observe(self, t: float) -> None:
        """Learn of an arrival; see `Predictor.observe`."""
        gap = self._clock.gap(t)
        if gap:
            ended, self._offset = self._later(gap)
            if ended:
                self._counts.append(self._current)
                self._counts.extend([0] * min(ended - 1, self._window))
                self._current = 0
        self._current = min(self._current + 1, 2**53)

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the distribution of the first arrival; None before the first bucket is over."""
        elapsed = self._clock.elapsed(now)
        hazard = self._hazard(elapsed)
        if hazard is None:
            return None
        levels = _LEVELS[: np.searchsorted(_LEVELS, hazard.expected[-1])]
        time = np.append(hazard.time[1:], np.interp(levels, hazard.expected, hazard.time))
        left = np.exp(-np.append(hazard.expected[1:], levels))
        order = np.argsort(time, kind="stable")
        time, left = elapsed + time[order], np.minimum.accumulate(left[order])
        kept = (time > elapsed) & (time < _LONGEST) & (left > math.exp(-25.0))
        # What is forecast for the time that has passed does not matter, as nothing came; its survival is above 0.
        before = math.exp(-min(hazard.rate * elapsed, 1.0))
        if elapsed > 0.0:
            time = np.append(elapsed, time[kept])
            left = before * np.append(1.0, left[kept])
        else:
            time, left = time[kept], left[kept]
        if not time.size:  # so fast that all of it is in the tail of a line that was cut
            return Arrivals.exponential(max(1.0 / hazard.rate, 1e-9))
        excess = min(max(1.0 / hazard.rate, 1e-9), _LONGEST)
        law = Arrivals.from_survival(times=time, survival=left, tail_excess=excess)
        return law.after(elapsed) if 0.0 < elapsed < _LONGEST else law

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return the counts of the Poisson process; see `Predictor.demand`."""
        elapsed, length = self._clock.elapsed(now), number(horizon, "horizon", above=0.0)
        hazard = self._hazard(elapsed)
        return Counts([0]) if hazard is None else Counts.poisson(min(hazard.until(min(length, _LONGEST)), _MOST))

    def state(self) -> bytes:
        """Return all that it knows; see `Predictor.state`."""
        fields = _State(
            bucket=self._bucket,
            window=self._window,
            harmonics=self._harmonics,
            last=self._clock.last,
            offset=self._offset,
            current=self._current,
            counts=list(self._counts),
        )
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        kept = unpacked(state, _KIND, _VERSION, _State)
        made = cls(kept.bucket, window=kept.window, harmonics=kept.harmonics)
        made._clock = Clock(kept.last)
        made._offset = number(kept.offset, "state.offset", at_least=0.0, at_most=made._bucket)
        made._current = whole_number(kept.current, "state.current", at_least=0, at_most=2**53)
        if len(kept.counts) > made._window:
            got = f"expected at most {made._window} counts, got {len(kept.counts)}"
            raise InvalidInputError(got, place="state.counts")
        for index, count in enumerate(kept.counts):
            made._counts.append(whole_number(count, f"state.counts[{index}]", at_least=0, at_most=2**53))
        return made

    def _later(self, gap: float) -> tuple[int, float]:
        """Return how many buckets end in so many seconds from the last arrival on, and how far the next one is."""
        ended, offset = divmod(self._offset + gap, self._bucket)
        return int(ended), offset

    def _hazard(self, elapsed: float) -> _Hazard | None:
        ended, offset = self._later(elapsed)
        counts = list(self._counts)
        if ended:
            counts += [self._current] + [0] * min(ended - 1, self._window)
            counts = counts[-self._window :]
        if not counts:
            return None
        known = np.array(counts, dtype=np.float64)
        # After a silence of more than the window, the one arrival that is possible belongs to all of it.
        mean = (known.sum() + 1.0) / (max(known.size, ended) + 1.0)
        weights = extrapolation_weights(known.size, self._harmonics, self._window)
        rates = np.clip(weights @ known, mean / (known.size + 1.0), max(float(known.max()), mean))
        widths = np.full(self._window, self._bucket)
        widths[0] -= offset
        time = np.append(0.0, np.cumsum(widths))
        expected = np.append(0.0, np.cumsum(rates * (widths / self._bucket)))
        return _Hazard(time, expected, float(mean) / self._bucket)
