"""Ready sets of several functions, found as if they were one.

Prewarmed functions are ready for the same arrivals: their prices add up, and their mean cold start is that of the one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smiless_core.solver.intervals import Intervals, intersection, union
from smiless_core.windows import ALWAYS, Wanted

if TYPE_CHECKING:
    from smiless_core.solver.pricing import Pricing

__all__ = ["FINE", "Composite"]

FINE = 1.01
"""The factor within which the price of a miss is found."""


class Composite:
    """Prewarmed functions as if they were one, with their prices added and their mean cold start.

    Parameters
    ----------
    pricing : Pricing
    rows : int64 array, shape (n,)
        The modes of all functions; those that are not prewarmed are left out.
    tolerated : int, default 0
        Nanoseconds that an arrival may wait.
    first : bool, default False
        Whether only arrivals count that the first instance serves: further ones start on request.
    """

    def __init__(self, pricing: Pricing, rows: NDArray[np.int64], *, tolerated: int = 0, first: bool = False) -> None:
        terms = pricing.terms
        rows = rows[terms.prewarmed[rows]]
        rate, cold = pricing.scale[rows], terms.cold_start[rows]
        total = float(rate.sum())
        self._arrivals = pricing.arrivals
        self._cold = round(float(rate @ cold) / total) if total > 0.0 else int(cold.max())
        self._busy = int(terms.latency[rows].max())
        self._laws = pricing.laws(self._busy)
        self.levels = len(self._laws)
        if first:
            self._laws = self._laws[:1]
        self.first = first
        self.floor, self.ceiling = (
            1e-12 * self._cold,
            self._cold * 1.0,
        )  # a thousandth of a cold start, a billion of them
        self._early = 1.0 - float(pricing.arrivals.at_least(self._busy / 1e9)) if len(self._laws) == 1 else 0.0
        self.tolerated = tolerated
        self._low = self._high = math.inf

    def ready_set(self, allowed: float, *, near: float | None = None) -> tuple[Wanted, float]:
        """Return the ready set that is missed by no more than allowed, and the price of a miss.

        `near` is a price to begin with.
        """
        floor, ceiling = self.floor, self.ceiling
        if self._missed(0.0) <= allowed:
            self._low = self._high = 0.0
            return self.wanted(0.0), 0.0
        if self._cold == 0 or self._missed(ceiling) > allowed:
            return (ALWAYS._replace(price=0.0) if self.first else ALWAYS), math.inf
        low, high = floor, ceiling
        if near is not None and floor < near < ceiling:
            low, high = max(near / 2, floor), min(near * 2, ceiling)
            while low > floor and self._missed(low) <= allowed:
                low, high = max(low / 8, floor), low
            while high < ceiling and self._missed(high) > allowed:
                low, high = high, min(high * 8, ceiling)
        while high > low * FINE:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self._missed(middle) <= allowed else (middle, high)
        self._low, self._high = low, high
        return self.wanted(high), high

    def wanted(self, price: float) -> Wanted:
        """Return the ready set at a price of a miss."""
        return Wanted(0.0 if self.first else price, self._ready(price))

    def between(self, allowed: float) -> Iterator[Intervals]:
        """Yield ready sets between the one that was found and the next smaller one, just large enough.

        The price of a miss jumps over them: they are dearer than it says, but may be cheaper than the larger one.
        """
        if not 0.0 < self._high < math.inf or len(self._laws) > 1 or self._missed(self._high) > 0.9 * allowed:
            return
        small, large = self._ready(self._low), self._ready(self._high)
        law = self._laws[0]
        times, at, before = law.cells.times, law.cells.mass.copy(), law.cells.spread.copy()
        more_at, more_before = law.covered(large)
        at[~more_at], before[~more_before] = 0.0, 0.0
        if len(small):
            less_at, less_before = law.covered(small)
            at[less_at], before[less_before] = 0.0, 0.0
        needed = self._missed(self._low) - allowed
        early = np.flatnonzero(np.cumsum(at + before) >= needed)
        late = np.flatnonzero(np.cumsum((at + np.append(before[1:], 0.0))[::-1])[::-1] >= needed)
        cuts = [[0, int(times[k])] for k in early[:1]] + [[int(times[k]), np.iinfo(np.int64).max] for k in late[-1:]]
        for cut in cuts:
            yield union(small, intersection(large, np.array([cut])))

    def _missed(self, price: float) -> float:
        late = self._early
        for law in self._laws:
            law.solve(Wanted(price), self._cold, tolerated=self.tolerated)
            _, misses = law.values(np.array([self._busy]))
            late += law.share * float(misses[0])
        return late

    def _ready(self, price: float) -> Intervals:
        self._laws[0].solve(Wanted(price), self._cold, tolerated=self.tolerated)
        stays = self._laws[0].stays(self._busy)
        ready = stays[:, 1:].copy()
        if len(ready) and stays[0, 0] == stays[0, 1]:
            ready[0, 0] = 0
        return ready
