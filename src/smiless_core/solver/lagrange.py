"""Lower bounds on the planning cost of every plan that reaches the target as planned.

Let sigma_v be the longest wait of v that the SLA can absorb in any plan. For any prices lam_v >= 0 of a miss that add
up to lam, every plan costs at least

    sum of [cost_v + lam_v P(wait_v > sigma_v)] - lam (1 - target),

if no P(wait_v > sigma_v) is above 1 - target. That is so where invocations reach the target, for they miss the SLA at
least as often as any function waits for too long. Where arrivals overlap, so that a replay tells what is reached, it is
asked of plans besides.

Waits for instances that are on their way are waits together, but cold starts add up. Let v be *gone* for an arrival if
it is absent and starts no initialization for sigma_v. The work of an invocation that is met never comes to v by more
than sigma_v late, so that it pays for a cold start of every function on a path P that is gone: with
d_v = latency_v + cold start_v (if gone, or on request) it has y = sum over P of d_v - SLA <= 0. So
E[y] <= (1 - target) max(0, greatest y), and for any price f >= 0 of a second every plan costs at least

    sum of [... + f E[d_v] on P] - f SLA - f (1 - target) max(0, greatest y).

This takes invocations that reach the target as planned: where arrivals overlap it is not used.

Both need the least over modes with warm response <= SLA (the configuration search) of a sum of minima over schedules:
one switching policy per mode. These are evaluated lazily: a mode starts with a lower bound, and only those that the
search picks are evaluated, until it picks none that was not. Plans have deterministic schedules, whose stays end at
atoms of the distribution (or at edges of its cells), and are ready there, or later by what is tolerated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.solver.pricing import Prices
from smiless_core.solver.tables import Search
from smiless_core.timing import nanoseconds_down, response_times
from smiless_core.windows import Wanted

if TYPE_CHECKING:
    from smiless_core.solver.lowering import CompiledProblem
    from smiless_core.solver.pricing import Pricing

__all__ = ["Bounds", "searched_lazily"]

Floats = NDArray[np.float64]
Find = Callable[[Floats], Search]


def searched_lazily(
    find: Find, compiled: CompiledProblem, costs: Floats, unknown: NDArray[np.bool_], price: Callable[[int], float]
) -> Search:
    """Search with lower bounds for costs, replacing those of modes that are picked until all of them are known.

    Parameters
    ----------
    find : callable
        The configuration search for costs of all modes.
    compiled : CompiledProblem
    costs : float64 array, shape (modes,)
        Dollars; changed.
    unknown : bool array, shape (modes,)
        Where `costs` has a lower bound; changed.
    price : callable
        The cost of a row.
    """
    while True:
        search = find(costs)
        if search.choice is None:
            return search
        rows = compiled.rows(search.choice)
        rows = rows[unknown[rows]]
        if not len(rows):
            return search
        costs[rows] = [price(row) for row in rows.tolist()]
        unknown[rows] = False


class _Prices(NamedTuple):
    """Dollars for a miss of each function, and for a second of each: the same on one path, 0 elsewhere."""

    miss: Floats
    second: Floats


class Bounds:
    """The bounds for one distribution, SLA and target.

    Parameters
    ----------
    compiled : CompiledProblem
    pricing : Pricing
        Of its modes.
    find : callable
        The configuration search for costs of all modes.
    sla : float
        Seconds.
    target : float
        The attainment asked for.
    """

    def __init__(self, compiled: CompiledProblem, pricing: Pricing, find: Find, *, sla: float, target: float) -> None:
        self._compiled = compiled
        self._pricing = pricing
        self._find = find
        self._sla = sla
        self._late = 1.0 - target
        self._absorbed = np.maximum(compiled.absorbed(nanoseconds_down(sla)), 0)
        self._grace = np.maximum.reduceat(self._absorbed, compiled.offsets[:-1])
        self._misses_only = compiled.problem.limits.announces_arrivals or not pricing.single.all()
        self._nothing = np.zeros(len(compiled.offsets) - 1)
        # Modes that are bounded together: those of one function with one cold start.
        self._alike: list[NDArray[np.int64]] = []
        rows = np.flatnonzero(pricing.terms.prewarmed & pricing.single & (pricing.scale > 0.0))
        if len(rows) and not pricing.limited:
            kinds = np.stack([compiled.function[rows], pricing.terms.cold_start[rows]])
            _, kind = np.unique(kinds, axis=1, return_inverse=True)
            self._alike = [rows[kind.ravel() == each] for each in range(int(kind.max()) + 1)]

    def free(self) -> float:
        """Return the bound without a price of misses."""
        return self._bound(_Prices(self._nothing, self._nothing))

    def around(self, rows: NDArray[np.int64], wanted: Wanted, price: float, *, enough: float) -> float:
        """Return the best bound for prices near those of a plan.

        Parameters
        ----------
        rows : int64 array, shape (n,)
            The modes of the plan.
        wanted : Wanted
            What its schedules are for.
        price : float
            What a miss is worth, seconds of residency of all prewarmed functions.
        enough : float
            Dollars: a bound that proves the plan.
        """
        pricing = self._pricing
        relied_on = pricing.terms.prewarmed[rows]
        miss = price * np.where(relied_on, pricing.scale[rows], 0.0)
        tries = [_Prices(factor * miss, self._nothing) for factor in (1.0, 1.6)]
        if not self._misses_only:
            tries += [_Prices(self._nothing, second) for second in self._seconds(rows, wanted)]
        return self._best(tries, enough)

    def _seconds(self, rows: NDArray[np.int64], wanted: Wanted) -> Iterator[Floats]:
        """Yield prices of a second on the path that is slowest when everything is cold: what a cold start saves."""
        pricing, terms = self._pricing, self._pricing.terms
        application = self._compiled.problem.application
        cold = (terms.latency[rows] + terms.cold_start[rows]).tolist()
        path = list(response_times(application.predecessors, cold, order=application.order).critical_path)
        saved = np.array([pricing.priced(row, wanted) for row in rows.tolist()]) - pricing.free[rows]
        worth = saved / np.maximum(terms.cold_start[rows] / 1e9, 1e-9)
        on_path = np.zeros(len(rows), bool)
        on_path[path] = True
        prices = np.sort(worth[on_path & terms.prewarmed[rows] & (worth > 0.0)])
        for at in sorted({len(prices) // 2, len(prices) - 1}) if len(prices) else ():
            yield np.where(on_path, prices[at], 0.0)

    def _best(self, tries: list[_Prices], enough: float) -> float:
        best = -math.inf
        for prices in tries:
            best = max(best, self._bound(prices))
            if best >= enough:
                break
        return best

    def _bound(self, prices: _Prices) -> float:
        """Return the bound for some prices."""
        compiled, pricing, terms = self._compiled, self._pricing, self._pricing.terms
        miss, second = prices.miss[compiled.function], prices.second[compiled.function]
        latency, cold = terms.latency / 1e9, terms.cold_start / 1e9
        # What misses may exceed the SLA by is taken from each mode; the constant keeps costs positive.
        slowest = second * (latency + cold)
        most = np.maximum.reduceat(self._late * slowest, compiled.offsets[:-1])
        constant = second * latency - self._late * slowest + most[compiled.function]
        costs = pricing.free + constant + np.where(terms.prewarmed, 0.0, second * cold)
        unknown = terms.prewarmed & ((miss > 0.0) | (second > 0.0)) & np.isfinite(costs) & (pricing.scale > 0.0)
        for rows in self._alike if prices.miss.any() or prices.second.any() else ():
            tolerated, charged = int(self._absorbed[rows].max()), self._charged(prices, rows[0])
            lower = pricing.lower(rows, charged, tolerated=tolerated)
            costs[rows] = np.maximum(costs[rows], constant[rows] + lower * (1.0 - 1e-12))

        def exact(row: int) -> float:
            least = pricing.least(row, self._charged(prices, row), tolerated=int(self._absorbed[row]))
            return float(constant[row]) + least

        search = searched_lazily(self._find, compiled, costs, unknown, exact)
        if search.choice is None:
            return math.inf
        bound = search.bound - float(prices.miss.sum()) * self._late
        price = float(prices.second.max())
        if price:
            # Plans whose path is never too slow, even cold, are not to gain from the excess that they do not have.
            shortest = float(np.minimum.reduceat(slowest, compiled.offsets[:-1]).sum())
            unused = self._late * max(price * self._sla - shortest, 0.0)
            bound -= float(most.sum()) + price * self._sla * (1.0 - self._late) + unused
        return bound

    def _charged(self, prices: _Prices, row: int) -> Prices:
        function = self._compiled.function[row]
        return Prices(float(prices.miss[function]), float(prices.second[function]), int(self._grace[function]))
