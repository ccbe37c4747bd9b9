"""The plans and the scores of the backtest against the slow ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.scoring_oracle import best_stays, clairvoyant, expected, slow_score
from smiless_core.backtests import ChainSwitching, Scene
from smiless_core.predictors import BandwidthChain
from strategies import examples

pytestmark = pytest.mark.native

SECOND = 10**9
FOREVER = np.iinfo(np.int64).max


def planned(chain: BandwidthChain, *, cold: float, price: float, tolerated: float) -> list[tuple[float, float]]:
    plan = chain.plan(cold_start=cold, miss_price=price, tolerated_wait=tolerated)
    for start, ready, _ in plan.stays.tolist():
        assert start == ready == 0 or ready - start == round(cold * SECOND)
    return [(ready / SECOND, math.inf if until == FOREVER else until / SECOND) for _, ready, until in plan.stays]


def told(gaps: Sequence[float], **settings: float) -> BandwidthChain:
    chain = BandwidthChain(**settings)
    for t in accumulate(gaps, initial=0.0):
        chain.observe(t)
    return chain


@examples(60)
@given(
    st.lists(st.sampled_from([0.0, 500.0, 1500.0, 4000.0, 9000.0, 30000.0, 70000.0, 2e5]), max_size=12),
    st.sampled_from([700.0, 1000.0, 2500.0, 9000.0, 1e5]),
    st.sampled_from([0.0, 1e3, 3e4, 1e6]),
    st.sampled_from([0.0, 500.0, 1000.0, 3000.0]),
)
def test_no_schedule_between_bins_is_better_than_that_which_is_planned(
    gaps: list[float], cold: float, price: float, tolerated: float
) -> None:
    chain = told(gaps, finest=1000.0, ratio=0.5)
    edges, probabilities = chain.edges.tolist(), chain.probabilities.tolist()
    plan = chain.plan(cold_start=cold, miss_price=price, tolerated_wait=tolerated)
    stays = planned(chain, cold=cold, price=price, tolerated=tolerated)
    found = expected(edges, probabilities, stays, cold_start=cold, tolerated=tolerated)
    value = found.residency + price * found.misses
    assert (plan.value, plan.misses) == (pytest.approx(value, rel=1e-5), pytest.approx(found.misses, abs=1e-5))
    best = best_stays(edges, probabilities, cold_start=cold, miss_price=price, tolerated=tolerated)
    # With a tolerated wait there are more moments to be ready at than edges.
    assert value <= best.value * (1.0 + 1e-5)
    if tolerated == 0.0 or price == 0.0:
        assert value == pytest.approx(best.value, rel=1e-5)


@pytest.mark.parametrize("gaps", [[1e5], [60_000.0], [300.0] * 20 + [1e5] + [300.0] * 20])
@pytest.mark.parametrize("price", [0.0, 1e3, 4e4, 2e5, 1e9])
def test_no_instance_waits_for_what_is_beyond_the_last_edge(gaps: list[float], price: float) -> None:
    # It may be a year. 2e5 s is the highest price at which targets buy a cold start of 5 s.
    chain = told(gaps)
    stays = planned(chain, cold=5.0, price=price, tolerated=0.0)
    assert all(until <= chain.edges[-1] + 1e-6 for _, until in stays)


# In eighths of a second, so that times add up exactly and forecasts are the same to the bit.
EIGHTH = SECOND // 8
GAPS = st.one_of(
    st.lists(
        st.one_of(st.sampled_from([0, 8, 40, 480, 481]), st.integers(0, 16_000), st.integers(0, 10**6)), max_size=15
    ),
    st.lists(st.integers(2360, 2440), min_size=8, max_size=20),
)


@examples(40)
@given(
    GAPS,
    st.sampled_from([0.0, 1.0, 20.0, 1000.0, 1e5]),
    st.sampled_from([0.5, 5.0, 40.0]),
    st.sampled_from([0.0, 2.0, 50.0]),
    st.sampled_from([0.0, 3.0, 299.0, 3e5]),
)
def test_every_arrival_is_scored_by_its_schedule(
    eighths: list[int], price: float, cold: float, tolerated: float, end: float
) -> None:
    method = ChainSwitching(prices=(price,), ratio=0.1)
    gaps = np.array(eighths, np.int64) * EIGHTH
    scene = Scene(gaps, round(end * SECOND), round(cold * SECOND), round(tolerated * SECOND))
    played = method.play(scene)
    seconds = [each / 8 for each in eighths]
    chain, plans = method.forecaster(scene), []
    for t in accumulate(seconds, initial=0.0):
        chain.observe(t)
        plans.append(planned(chain, cold=cold, price=price * cold, tolerated=tolerated))
    cost, misses = slow_score(seconds, plans, cold_start=cold, tolerated=tolerated, end=end)
    assert played.missed[0] == misses
    assert played.residency[0] == pytest.approx(cost, abs=1e-6)
    assert scene.clairvoyant == pytest.approx(clairvoyant(seconds, cold_start=cold))
