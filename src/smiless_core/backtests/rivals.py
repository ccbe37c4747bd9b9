"""Published and usual ways to keep an instance, with their settings swept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from smiless_core.backtests.methods import FOREVER, Played, Scene, left_over, meet, meet_each
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import number, numbers, whole_number

__all__ = ["FixedKeepAlives", "HybridHistograms", "PointWindows"]

_MINUTE = 60_000_000_000
_LONGEST = 4e9  # seconds
_LARGEST_MARGIN = 1e3
_SECONDS = (0, 1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 420, 600, 900, 1200, 1800, 3600, 7200, 14400, 86400)


class FixedKeepAlives(Noun, frozen=True, kw_only=True):
    """Keep the instance for the same time after every arrival: what platforms do by themselves.

    Parameters
    ----------
    seconds : tuple of float
        Its settings.
    """

    seconds: tuple[float, ...] = tuple(map(float, _SECONDS))

    def __post_init__(self) -> None:
        self._set(seconds=checked_settings(self.seconds, "seconds", _LONGEST))

    @property
    def name(self) -> str:
        """What tables call it."""
        return "fixed-keep-alive"

    @property
    def fidelity(self) -> str:
        """It is what platforms do."""
        return "paper rule"

    @property
    def settings(self) -> tuple[str, ...]:
        """The times."""
        return tuple(f"{seconds:g} s" for seconds in self.seconds)

    def play(self, scene: Scene) -> Played:
        """See `Method.play`."""
        kept = np.array([round(each * 1e9) for each in self.seconds], np.int64)[:, None]
        cold = scene.gaps > kept
        residency = np.where(cold, kept + scene.cold_start, scene.gaps).sum(axis=1) / 1e9
        residency += np.minimum(kept[:, 0], scene.end) / 1e9
        missed = cold.sum(axis=1) if scene.cold_start > scene.tolerated else np.zeros(len(kept), np.int64)
        return Played(residency, missed)


class HybridHistograms(Noun, frozen=True, kw_only=True):
    """The hybrid histogram policy, with its quantiles, margins, leads and fallbacks swept.

    A histogram of past gaps in minutes, up to four hours. The instance starts at its head quantile, less a margin, and
    stays to its tail quantile, plus the margin; with a head of 0 it stays from the arrival on. While there are too few
    gaps, too many of them beyond the histogram, or the histogram tells too little (the coefficient of variation of its
    counts is low), a fixed keep-alive takes over. Shahrad et al., "Serverless in the Wild", ATC 2020, section 4.2:
    quantiles .05 and .99, margin .1, coefficient of variation 2; the fallback keeps for four hours there, and for ten
    minutes here by default, which costs less.

    Parameters
    ----------
    heads, tails, margins, leads, fallbacks : tuple of float
        What is swept: quantiles, fractions of them, fractions of a cold start by which the instance starts before the
        head (at 1 it is ready there), seconds. Its settings are all combinations.
    least : int, default 1
        Gaps before the histogram is used.
    least_variation : float, default 2
        Of the counts of the bins.
    most_beyond : float, default 0.5
        The fraction of gaps beyond four hours.
    """

    heads: tuple[float, ...] = (0.05,)
    tails: tuple[float, ...] = (0.99,)
    margins: tuple[float, ...] = (0.1,)
    leads: tuple[float, ...] = (0.0,)
    fallbacks: tuple[float, ...] = (600.0,)
    least: int = 1
    least_variation: float = 2.0
    most_beyond: float = 0.5

    def __post_init__(self) -> None:
        self._set(
            heads=checked_settings(self.heads, "heads", 1.0),
            tails=checked_settings(self.tails, "tails", 1.0),
            margins=checked_settings(self.margins, "margins", _LARGEST_MARGIN),
            leads=checked_settings(self.leads, "leads", 1.0),
            fallbacks=checked_settings(self.fallbacks, "fallbacks", _LONGEST),
            least=whole_number(self.least, "least", at_least=1),
            least_variation=number(self.least_variation, "least_variation", at_least=0.0),
            most_beyond=number(self.most_beyond, "most_beyond", at_least=0.0),
        )

    @classmethod
    def swept(cls) -> HybridHistograms:
        """Return it with many settings, for comparisons in hindsight."""
        return cls(
            heads=(0.0, 0.01, 0.05, 0.1),
            tails=(0.8, 0.9, 0.95, 0.99, 1.0),
            margins=(0.0, 0.1, 0.25),
            leads=(0.0, 1.0),
            fallbacks=(0.0, 60.0, 300.0, 600.0, 1800.0),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "hybrid-histogram"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return "simplified: no ARIMA for gaps beyond the histogram"

    @property
    def settings(self) -> tuple[str, ...]:
        """All combinations."""
        return tuple(
            f"head {head:g}, tail {tail:g}, margin {margin:g}, lead {lead:g}, fallback {fallback:g} s"
            for head, tail, margin, lead, fallback in self._combinations()
        )

    def _combinations(self) -> Iterator[tuple[float, float, float, float, float]]:
        return product(self.heads, self.tails, self.margins, self.leads, self.fallbacks)

    def play(self, scene: Scene) -> Played:
        """See `Method.play`."""
        minutes = 240
        counts = np.zeros(minutes, np.int64)
        beyond = 0
        settings = list(self._combinations())
        head = np.array([each[0] for each in settings])
        tail = np.array([each[1] for each in settings])
        margin = np.array([each[2] for each in settings])
        lead = np.array([round(each[3] * scene.cold_start) for each in settings], np.int64)
        fallback = np.array([round(each[4] * 1e9) for each in settings], np.int64)
        residency = np.zeros(len(settings), np.int64)
        missed = np.zeros(len(settings), np.int64)
        none = np.zeros(len(settings), np.int64)
        total_squares = 0
        for seen, gap in enumerate([*scene.gaps.tolist(), None]):
            start, ready, until = none, none, fallback
            if seen >= self.least and beyond < self.most_beyond * seen and seen > beyond:
                within = seen - beyond
                mean = within / minutes
                variation = np.sqrt(max(total_squares / minutes - mean * mean, 0.0)) / mean
                if variation >= self.least_variation:
                    up_to = np.cumsum(counts)
                    first = np.searchsorted(up_to, np.maximum(np.ceil(head * within), 1.0))
                    last = np.searchsorted(up_to, np.maximum(np.ceil(tail * within), 1.0)) + 1
                    begins = np.where(head > 0.0, first * (1.0 - margin) * _MINUTE, 0.0).astype(np.int64)
                    ends = (last * (1.0 + margin) * _MINUTE).astype(np.int64)
                    stays = (begins <= lead) | (head == 0.0)
                    start = np.where(stays, 0, begins - lead)
                    ready = np.where(stays, 0, start + scene.cold_start)
                    until = np.maximum(ends, ready)
            if gap is None:
                residency += np.maximum(np.minimum(until, scene.end) - start, 0)
                break
            cost, wait = meet_each(start, ready, until, gap, scene.cold_start)
            residency += cost
            missed += wait > scene.tolerated
            at = gap // _MINUTE
            if at < minutes:
                total_squares += 2 * int(counts[at]) + 1
                counts[at] += 1
            else:
                beyond += 1
        return Played(residency / 1e9, missed)


class PointWindows(Noun, frozen=True, kw_only=True):
    """The published window on a point forecast: ready at the forecast gap, less a margin, for as long as twice that.

    The forecast is the median of the last gaps (Lu et al., SC 2024, forecast with an LSTM network, and let the instance
    go at the forecast; margins are what that leaves to choose). Before there is a forecast, no instance stays.

    Parameters
    ----------
    margins : tuple of float
        Fractions of the forecast: its settings.
    memory : int, default 32
        How many gaps the median is of.
    """

    margins: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.5, 2.0, 4.0, 8.0)
    memory: int = 32

    def __post_init__(self) -> None:
        self._set(
            margins=checked_settings(self.margins, "margins", _LARGEST_MARGIN),
            memory=whole_number(self.memory, "memory", at_least=1),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "point-window"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return "simplified: the median of recent gaps forecasts, and no LSTM network"

    @property
    def settings(self) -> tuple[str, ...]:
        """The margins."""
        return tuple(f"margin {margin:g}" for margin in self.margins)

    def play(self, scene: Scene) -> Played:
        """See `Method.play`."""
        count = len(self.margins)
        residency, missed = np.zeros(count), np.zeros(count, np.int64)
        gaps = scene.gaps
        for i in range(gaps.size + 1):
            recent = gaps[max(i - self.memory, 0) : i]
            forecast = float(np.median(recent)) if recent.size else None
            for k, margin in enumerate(self.margins):
                stays = [] if forecast is None else [_around(forecast, margin, scene.cold_start)]
                if i == gaps.size:
                    residency[k] += left_over(stays, scene.end) / 1e9
                    continue
                met = meet(stays, int(gaps[i]), scene.cold_start)
                residency[k] += met.residency / 1e9
                missed[k] += met.wait > scene.tolerated
        return Played(residency, missed)


def _around(forecast: float, margin: float, cold_start: int) -> tuple[int, int, int]:
    ready, until = round(max(forecast * (1.0 - margin), 0.0)), min(round(forecast * (1.0 + margin)), FOREVER - 1)
    if ready <= cold_start:
        return 0, 0, until
    return ready - cold_start, ready, max(until, ready)


def checked_settings(values: object, place: str, most: float) -> tuple[float, ...]:
    """Check settings: at least one, from 0 to a limit."""
    checked = numbers(values, place, at_least=0.0)
    if not checked:
        raise InvalidInputError("expected at least one number", place=place)
    return tuple(number(value, f"{place}[{at}]", at_most=most) for at, value in enumerate(checked))
