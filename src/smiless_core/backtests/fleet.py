"""A target met without hindsight: the price of a miss moves with the misses, in the order in which arrivals come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.backtests.methods import Scene, left_over
from smiless_core.backtests.switching import ChainSwitching
from smiless_core.targets import FleetTarget, FleetTargetWithCeiling, MissPrices, Target

__all__ = ["Kept", "keep_target"]

_KINDS = {
    FleetTarget: "fleet",
    FleetTargetWithCeiling: "fleet with ceiling",
}
_POLL = 256  # arrivals between two reports


class Kept(NamedTuple):
    """What came of a target.

    Attributes
    ----------
    target : Target
    residency : float64 array, shape (f,)
        Seconds that instances were there, by function.
    missed : int64 array, shape (f,)
        Arrivals that waited for longer than tolerated.
    prices : float64 array, shape (f,)
        Of a miss, at the end, in cold starts.
    unreachable : int
        Functions for which the highest price has not bought the target.
    """

    target: Target
    residency: NDArray[np.float64]
    missed: NDArray[np.int64]
    prices: NDArray[np.float64]
    unreachable: int

    @property
    def kind(self) -> str:
        """What the target is about."""
        return _KINDS.get(type(self.target), "each application")


def keep_target(
    target: Target,
    scenes: Mapping[str, Scene],
    *,
    firsts: Sequence[int],
    method: ChainSwitching | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Kept:
    """Meet the arrivals of a fleet at prices that keep a target.

    Parameters
    ----------
    target : Target
    scenes : mapping of str to Scene
        The functions, all with the same cold start.
    firsts : sequence of int
        When their first arrivals came, nanoseconds.
    method : ChainSwitching, optional
        How forecasts are made; its prices are not used.
    progress : callable, optional
        Called with the number of arrivals met and that of all.
    """
    method = method or ChainSwitching()
    each = list(scenes.values())  # all with the same cold start
    chains = method.forecasters(each[0], len(each)) if each else []
    prices = MissPrices(target, len(chains))
    of = np.repeat(np.arange(len(each)), [scene.gaps.size for scene in each])
    index = np.concatenate([np.arange(scene.gaps.size) for scene in each]) if each else np.zeros(0, np.int64)
    # A gap is met when it ends; arrivals at the same time in the order of the functions.
    ends = (
        np.concatenate([first + np.cumsum(scene.gaps) for first, scene in zip(firsts, each, strict=True)])
        if each
        else np.zeros(0, np.int64)
    )
    order = np.lexsort((index, of, ends))
    cold = each[0].cold_start / 1e9 if each else 0.0
    tolerated = each[0].tolerated / 1e9 if each else 0.0
    price = np.empty(1)
    # Plain numbers: at some microseconds an arrival, taking them out of arrays one by one would show.
    spent_by, missed_by = [0.0] * len(chains), [0] * len(chains)
    steps = zip(of[order].tolist(), index[order].tolist(), ends[order].tolist(), strict=True)
    for done, (f, i, end) in enumerate(steps):
        gap = each[f].gaps[i : i + 1]
        price[0] = prices.price(f) * cold
        spent, late, _, _ = chains[f].meet(
            gap, price, cold_start=cold, tolerated_wait=tolerated, began=end - int(gap[0]), positions=False
        )
        spent_by[f] += float(spent[0])
        missed_by[f] += int(late[0])
        prices.observe(f, missed=bool(late[0]))
        if progress is not None and done % _POLL == 0:
            progress(done, len(order))
    residency, missed = np.array(spent_by), np.array(missed_by, np.int64)
    for f, scene in enumerate(each):
        plan = chains[f].plan(
            cold_start=scene.cold_start / 1e9,
            miss_price=prices.price(f) * scene.cold_start / 1e9,
            tolerated_wait=scene.tolerated / 1e9,
        )
        residency[f] += left_over(plan.stays.tolist(), scene.end) / 1e9
    if progress is not None:
        progress(len(order), len(order))
    return Kept(
        target,
        residency,
        missed,
        np.array([prices.price(f) for f in range(len(each))]),
        sum(prices.unreachable(f) for f in range(len(each))),
    )
