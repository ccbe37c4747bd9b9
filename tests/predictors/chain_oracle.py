"""The bandwidth chain written from its definition, bin by bin in plain Python.  Nothing is shared with the product.

State: one decayed histogram per width of the kernel, the number of gaps in them, and a weight per histogram.  A narrow
histogram with few gaps falls back on the next wider one, and the widest one on the prior.  With `context` there are
four more below the narrowest: the gaps that followed one of the class of the last gap, and for each clock the times
from the beginning of its period before an arrival to the next arrival, of which what is later than the last one counts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

BETAS = (1.0, 0.3, 0.1, 0.03, 0.01)
HORIZON = 86400.0
PRIOR_WEIGHT = 1.0
SHARED = 0.01  # of the weights, among the levels after every gap as at first
CLASS_ENDS = (60.0,)  # of the last gap; one at an end belongs to the class above
CONTEXT_BETA = 0.1
PERIODS = (60.0, 900.0, 3600.0)
CLOCK_BETA = 0.02
CLOCK_SHARE = 0.02  # of the weights, at first and of what is shared
HEARD = 0.005  # of the weights: a clock with less is not asked


def edges_of(finest: float, ratio: float) -> list[float]:
    """e_0 = 0, e_(k+1) = e_k + max(finest, ratio e_k), until a day is covered."""
    edges = [0.0]
    while edges[-1] < HORIZON:
        edges.append(edges[-1] + max(finest, ratio * edges[-1]))
    return edges


def bin_of(edges: Sequence[Any], gap: Any) -> int:
    """The bin [e_k, e_(k+1)) that holds the gap; the last one is what is beyond all edges."""
    for k, (low, high) in enumerate(pairwise(edges)):
        if low <= gap < high:
            return k
    return len(edges) - 1


def class_of(gap: float) -> int:
    return sum(gap >= end for end in CLASS_ENDS)


def triangle(edges: Sequence[Any], centre: Any, half: Any) -> list[Any]:
    """A triangular density integrated over each bin and over what is beyond, without what is below 0; sums to 1.

    The density is linear between its three corners, so that the mean of its values at the ends of a piece, times
    the length of the piece, is its integral.  Fractions give fractions.
    """
    left, right = centre - half, centre + half

    def rising(x: Any) -> Any:
        return (x - left) / half**2

    def falling(x: Any) -> Any:
        return (right - x) / half**2

    def piece(density: Any, low: Any, high: Any) -> Any:
        return (density(low) + density(high)) / 2 * (high - low) if low < high else 0

    def between(low: Any, high: Any) -> Any:
        return piece(rising, max(low, left), min(high, centre)) + piece(falling, max(low, centre), min(high, right))

    masses = [between(low, high) for low, high in pairwise(edges)]
    masses.append(between(edges[-1], max(right, edges[-1])))
    total = sum(masses)
    return [mass / total for mass in masses]


class SlowChain:
    """The chain and its mixture, fed with gaps."""

    def __init__(self, *, finest: float = 1.0, ratio: float = 0.02, decay: float = 0.99, context: bool = False) -> None:
        self.finest, self.decay, self.context = finest, decay, context
        self.edges = edges_of(finest, ratio)
        shares = [math.log((high + finest) / (low + finest)) for low, high in pairwise(self.edges)]
        self.prior = [share / sum(shares) for share in shares] + [0.0]
        self.histograms = [[0.0] * len(self.prior) for _ in BETAS]
        self.count = 0.0
        levels = len(BETAS) + context
        clocks = len(PERIODS) * context
        self.shares = [(1 - CLOCK_SHARE * clocks) / levels] * levels + [CLOCK_SHARE] * clocks
        self.weights = self.shares
        # By class: what followed it, and how often something did. The class of the last gap, if there is one.
        self.followed = [([0.0] * len(self.prior), 0.0) for _ in range(len(CLASS_ENDS) + 1)]
        self.last: int | None = None
        self.clocks = [[0.0] * len(self.prior) for _ in PERIODS]
        self.now = 0.0
        self.later = [0.0] * len(PERIODS)  # of what is in them

    def levels(self, k: int) -> list[float]:
        """The probability of bin k by each level, from the widest kernel to the narrowest, and by the context."""
        found, wider = [], self.prior[k]
        for histogram in self.histograms:
            wider = (histogram[k] + PRIOR_WEIGHT * wider) / (self.count + PRIOR_WEIGHT)
            found.append(wider)
        if self.context:
            histogram, count = ([0.0] * len(self.prior), 0.0) if self.last is None else self.followed[self.last]
            found.append((histogram[k] + PRIOR_WEIGHT * wider) / (count + PRIOR_WEIGHT))
            for clock, period, later in zip(self.clocks, PERIODS, self.later, strict=True):
                shown = math.fmod(self.now, period)
                if k == len(self.prior) - 1:
                    mass = clock[k]
                else:
                    mass = self._between(clock, self.edges[k] + shown, self.edges[k + 1] + shown)
                found.append((mass + PRIOR_WEIGHT * wider) / (later + PRIOR_WEIGHT))
        return found

    def _between(self, histogram: list[float], begin: float, end: float) -> float:
        """What is between two times, evenly spread in each bin, without what is beyond all of them."""
        first = max(bisect_right(self.edges, begin) - 1, 0)
        mass = 0.0
        for k in range(first, len(self.edges) - 1):
            low, high = self.edges[k], self.edges[k + 1]
            if low >= end:
                break
            mass += histogram[k] * max(min(high, end) - max(low, begin), 0.0) / (high - low)
        return mass

    def observe(self, gap: float, *, began: float = 0.0) -> None:
        self._turn(began % PERIODS[-1])
        # How well each level had foretold it comes first, with what was known before it.
        foretold = [w * q for w, q in zip(self.weights, self.levels(bin_of(self.edges, gap)), strict=True)]
        if total := sum(foretold):
            self.weights = [each / total for each in foretold]
        self.weights = [(1 - SHARED) * w + SHARED * share for w, share in zip(self.weights, self.shares, strict=True)]
        self.histograms = [self._faded(h, gap, beta) for h, beta in zip(self.histograms, BETAS, strict=True)]
        self.count = self.decay * self.count + 1
        if self.last is not None:
            histogram, count = self.followed[self.last]
            self.followed[self.last] = self._faded(histogram, gap, CONTEXT_BETA), self.decay * count + 1
        self.last = class_of(gap)
        for at, (clock, period) in enumerate(zip(self.clocks, PERIODS, strict=True)):
            self.clocks[at] = self._faded(clock, math.fmod(self.now, period) + gap, CLOCK_BETA)
        self._turn(math.fmod(self.now + gap, PERIODS[-1]))

    def _turn(self, now: float) -> None:
        self.now = now
        for at, (clock, period) in enumerate(zip(self.clocks, PERIODS, strict=True)):
            self.later[at] = self._between(clock, math.fmod(now, period), math.inf) + clock[-1]

    def _faded(self, histogram: list[float], gap: float, beta: float) -> list[float]:
        kernel = triangle(self.edges, gap, max(beta * gap, self.finest / 2))
        return [self.decay * h + mass for h, mass in zip(histogram, kernel, strict=True)]

    def probabilities(self) -> list[float]:
        """Of each bin, and of what is beyond the last edge; clocks of little weight are not asked."""
        others = len(self.weights) - len(PERIODS) * self.context
        weights = [w if at < others or w >= HEARD else 0.0 for at, w in enumerate(self.weights)]
        return [
            sum(w * q for w, q in zip(weights, self.levels(k), strict=True)) / sum(weights)
            for k in range(len(self.prior))
        ]
