"""A switcher in the manner of FeMux: from block to block of arrivals, the forecaster that suits them best decides."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.backtests.methods import Played, Scene, meet_each
from smiless_core.backtests.rivals import checked_settings
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import sequence, whole_number

__all__ = ["ForecasterSwitching"]

Integers = NDArray[np.int64]

_SECOND = 10**9
_KEPT = (0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_REMEMBERED = (32, 128)  # gaps
_REMEMBERED_OF_CLASS = 32
_CLASS_ENDS = np.array([5, 60, 600]) * _SECOND
# Per cent of the gaps before the instance is ready (None: it stays from the arrival on), and before it is let go.
_QUANTILES = ((None, 90), (None, 99), (None, 100), (0, 100), (2, 99), (5, 95), (10, 90), (25, 75))
_QUANTILE_MARGINS = (0, 5, 20)  # per cent of the quantiles
_POINT_MARGINS = (2, 10, 30, 100)  # per cent of the forecast
_SMOOTHING = 0.2
_LONGEST = 4e9  # seconds
_HIGHEST = 1e9  # cold starts


class ForecasterSwitching(Noun, frozen=True, kw_only=True):
    """Run many simple forecasters, and follow the one that has cost least so far, from block to block of arrivals.

    What costs is residency and misses at a price, as in FeMux's objective; costs fade from block to block. The
    forecasters are times to keep alive, windows between quantiles of recent gaps and of those that followed a gap like
    the last one, and windows around the last gap and around the exponentially smoothed one. Hossain et al., "FeMux",
    EuroSys 2025, learn beforehand which forecaster suits which features of a block (stationarity, linearity,
    periodicity, density), and forecast the concurrency of the next minute; here the costs of past blocks say which.

    Parameters
    ----------
    prices : tuple of float
        Of a miss, in cold starts.
    blocks : tuple of int
        Arrivals from one choices to the next.
    memories : tuple of float
        What is left of past costs after a block, from 0 to 1.
    beginnings : tuple of float
        Seconds for which the instance is kept while no forecaster has cost less. Its settings are all combinations.
    """

    prices: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 30.0, 50.0, 80.0, 140.0, 200.0, 400.0, 800.0, 2e3)
    blocks: tuple[int, ...] = (1, 16)
    memories: tuple[float, ...] = (0.9, 1.0)
    beginnings: tuple[float, ...] = (60.0, 600.0, 1800.0)

    def __post_init__(self) -> None:
        blocks = sequence(self.blocks, "blocks")
        if not blocks:
            raise InvalidInputError("expected at least one number", place="blocks")
        self._set(
            prices=checked_settings(self.prices, "prices", _HIGHEST),
            blocks=tuple(whole_number(each, f"blocks[{at}]", at_least=1) for at, each in enumerate(blocks)),
            memories=checked_settings(self.memories, "memories", 1.0),
            beginnings=checked_settings(self.beginnings, "beginnings", _LONGEST),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "femux"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return "simplified: past costs choose the forecaster, and not features; neither autoregression nor Fourier"

    @property
    def settings(self) -> tuple[str, ...]:
        """All combinations."""
        return tuple(
            f"{'each arrival' if block == 1 else f'blocks of {block} arrivals'}, memory {memory:g}, a miss costs"
            f" {price:g} cold starts, first kept for {kept:g} s"
            for block, memory, price, kept in product(self.blocks, self.memories, self.prices, self.beginnings)
        )

    def play(self, scene: Scene) -> Played:
        """See `Method.play`."""
        # What each of them would pay by each arrival, and whether it missed it; last what it pays after all of them.
        plans = [*_plans(scene), *(_kept(seconds, scene.gaps.size + 1) for seconds in self.beginnings)]
        outcomes = np.array([plan.outcomes(scene) for plan in plans])
        beginnings = range(len(plans) - len(self.beginnings), len(plans))
        residency, missed = [], []
        for block in self.blocks:
            of_blocks = np.add.reduceat(outcomes, np.arange(0, scene.gaps.size + 1, block), axis=2)
            at = np.arange(of_blocks.shape[2])
            for memory in self.memories:
                paid, late = _faded(of_blocks, memory)
                for price in self.prices:
                    scores = paid + price * scene.cold_start * late
                    best = scores[: beginnings.start].argmin(axis=0)
                    least = scores[best, at]
                    for beginning in beginnings:  # and on as long as nothing has cost less
                        chosen = np.where(scores[beginning] <= least, beginning, best)
                        spent, of_these = of_blocks[chosen, :, at].sum(axis=0)
                        residency.append(spent / 1e9)
                        missed.append(of_these)
        return Played(np.array(residency), np.array(missed, np.int64))


class _Plans(NamedTuple):
    """What one forecaster plans before each gap, and after the last: one stay, nanoseconds."""

    start: Integers
    ready: Integers
    until: Integers

    def outcomes(self, scene: Scene) -> Integers:
        """Return what is paid, and whether arrivals waited for too long, shape (2, g + 1)."""
        found = np.zeros((2, len(self.start)), np.int64)
        start, ready, until = (each[:-1] for each in self)
        residency, wait = meet_each(start, ready, until, scene.gaps, scene.cold_start)
        found[0, :-1], found[1, :-1] = residency, wait > scene.tolerated
        found[0, -1] = max(min(self.until[-1], scene.end) - self.start[-1], 0)
        return found


def _plans(scene: Scene) -> Iterator[_Plans]:
    """Yield what all forecasters plan."""
    gaps = scene.gaps
    for seconds in _KEPT:
        yield _kept(seconds, gaps.size + 1)
    memories = [_recent(gaps, remembered) for remembered in _REMEMBERED]
    for ordered, count in [*memories, _recent_of_class(gaps)]:
        for (low, high), margin in product(_QUANTILES, _QUANTILE_MARGINS):
            begins = np.zeros_like(count) if low is None else _quantile(ordered, count, low)
            yield _window(begins, _quantile(ordered, count, high), margin, scene.cold_start)
    smoothed = np.zeros(gaps.size + 1)
    smoothed[1:2] = gaps[:1]
    for i, gap in enumerate(gaps[1:].tolist(), 1):
        smoothed[i + 1] = smoothed[i] + _SMOOTHING * (gap - smoothed[i])
    for forecast, margin in product((np.append(0, gaps), smoothed.astype(np.int64)), _POINT_MARGINS):
        yield _window(forecast, forecast, margin, scene.cold_start)


def _kept(seconds: float, count: int) -> _Plans:
    none = np.zeros(count, np.int64)
    return _Plans(none, none, np.full(count, round(seconds * _SECOND), np.int64))


def _window(low: Integers, high: Integers, margin: int, cold_start: int) -> _Plans:
    """Be ready from `low` to `high`, widened; where there is no time to start, from the arrival on."""
    ready, until = low // 100 * (100 - margin), high + high // 100 * margin
    ready[ready <= cold_start] = 0
    return _Plans(np.maximum(ready - cold_start, 0), ready, np.maximum(until, ready))


def _recent(gaps: Integers, remembered: int) -> tuple[Integers, Integers]:
    """Return the last gaps before each, ascending and first in their rows, and how many there are."""
    padded = np.concatenate([np.full(remembered, np.iinfo(np.int64).max), gaps])
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(padded, remembered), axis=1)
    return ordered, np.minimum(np.arange(gaps.size + 1), remembered)


def _recent_of_class(gaps: Integers) -> tuple[Integers, Integers]:
    """Return the same for those gaps that followed one of the class of the last."""
    ordered = np.zeros((gaps.size + 1, _REMEMBERED_OF_CLASS), np.int64)
    count = np.zeros(gaps.size + 1, np.int64)
    classes = np.searchsorted(_CLASS_ENDS, gaps, "right")
    for each in range(_CLASS_ENDS.size + 1):
        (of_class,) = np.nonzero(classes == each)
        following = of_class + 1
        rows, known = _recent(gaps[following[following < gaps.size]], _REMEMBERED_OF_CLASS)
        ordered[following], count[following] = rows[: following.size], known[: following.size]
    return ordered, count


def _quantile(ordered: Integers, count: Integers, percent: int) -> Integers:
    """Return the least gap up to which there is so much of the gaps that are known, and one at least; 0 if none is."""
    at = np.maximum((percent * count + 99) // 100 - 1, 0)
    return np.where(count > 0, ordered[np.arange(count.size), at], 0)


def _faded(of_blocks: Integers, memory: float) -> NDArray[np.float64]:
    """Return what is remembered before each block of what was paid and missed, shape (2, plans, blocks)."""
    known = np.zeros((of_blocks.shape[2], *of_blocks.shape[:2]))
    for at in range(1, len(known)):
        known[at] = memory * known[at - 1] + of_blocks[:, :, at - 1]
    return known.transpose(2, 1, 0)
