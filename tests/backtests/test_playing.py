"""What methods do with recorded gaps: the native loop against single steps, and rules by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.arrivals import Arrivals
from smiless_core.backtests import (
    ChainSwitching,
    FixedKeepAlives,
    HybridHistograms,
    PointWindows,
    PredictorSwitching,
    Scene,
)
from smiless_core.backtests.femux import ForecasterSwitching
from smiless_core.backtests.methods import barred, left_over, meet, meet_each
from smiless_core.errors import InvalidInputError
from smiless_core.predictors import BandwidthChain, RecentGaps, StatisticalGaps
from smiless_core.windows import GapLaw, Wanted
from strategies import examples

pytestmark = pytest.mark.native

SECOND = 10**9
FOREVER = np.iinfo(np.int64).max

gap_lists = st.lists(
    st.one_of(
        st.sampled_from([0, SECOND, 5 * SECOND, 60 * SECOND, 60 * SECOND + SECOND // 8, 3600 * SECOND]),
        # Eighths of seconds: sums of them are exact as floats, and fall into the same bins.
        st.integers(0, 1600).map(lambda eighths: eighths * SECOND // 8),
        st.integers(0, 1_600_000).map(lambda eighths: eighths * SECOND // 8),
    ),
    min_size=1,
    max_size=30,
)
scenes = st.builds(
    lambda gaps, end, cold, tolerated: Scene(np.array(gaps, np.int64), end, cold, tolerated),
    gap_lists,
    st.integers(0, 10_000 * SECOND),
    st.sampled_from([SECOND // 10, 5 * SECOND, 40 * SECOND]),
    st.sampled_from([0, SECOND // 20, 2 * SECOND]),
)


@examples(60)
@given(scenes, st.lists(st.sampled_from([0.0, 1.0, 7.5, 300.0, 1e5]), min_size=1, max_size=3))
def test_the_native_loop_is_that_of_single_steps(scene, prices):
    method = ChainSwitching(prices=tuple(prices))
    played = method.play(scene)
    cold, tolerated = scene.cold_start / 1e9, scene.tolerated / 1e9
    *_, positions = method.forecaster(scene).meet(scene.gaps, np.array([1.0]), cold_start=cold)
    assert played.bars.sum() == scene.gaps.size
    assert played.bars.tolist() == barred(positions).tolist()
    for k, price in enumerate(prices):
        chain = method.forecaster(scene)
        chain.observe(0.0)
        now = residency = missed = 0
        stated = 0.0
        for i, gap in enumerate(scene.gaps.tolist()):
            plan = chain.plan(cold_start=cold, miss_price=price * cold, tolerated_wait=tolerated)
            met = meet(plan.stays.tolist(), gap, scene.cold_start)
            residency += met.residency
            missed += met.wait > scene.tolerated
            stated += plan.misses
            edges, probabilities = chain.edges, chain.probabilities
            bin_ = int(np.searchsorted(edges, gap / 1e9, "right")) - 1
            if bin_ < len(edges) - 1:
                part = (gap / 1e9 - edges[bin_]) / (edges[bin_ + 1] - edges[bin_])
                position = probabilities[:bin_].sum() + part * probabilities[bin_]
                assert positions[i] == pytest.approx(position, abs=1e-6)
            else:
                assert positions[i] == pytest.approx(1.0)
            now += gap
            chain.observe(now / 1e9)
        plan = chain.plan(cold_start=cold, miss_price=price * cold, tolerated_wait=tolerated)
        residency += left_over(plan.stays.tolist(), scene.end)
        # Times that are a sum of gaps are rounded: forecasts, and so plans, may differ by as much.
        assert played.residency[k] == pytest.approx(residency / 1e9, rel=1e-5, abs=1e-5)
        assert played.missed[k] == missed
        assert played.stated[k] == pytest.approx(stated, rel=1e-4, abs=1e-6)


def test_an_arrival_by_hand():
    stays = [(0, 0, 4), (10, 15, 20), (30, 35, FOREVER)]
    cold = 5
    assert meet(stays, 0, cold) == (0, 0)
    assert meet(stays, 4, cold) == (4, 0)
    assert meet(stays, 5, cold) == (4 + 5, 5)  # gone
    assert meet(stays, 10, cold) == (4 + 5, 5)  # what would start now has not started
    assert meet(stays, 11, cold) == (4 + 5, 4)
    assert meet(stays, 15, cold) == (4 + 5, 0)
    assert meet(stays, 20, cold) == (4 + 10, 0)
    assert meet(stays, 21, cold) == (4 + 10 + 5, 5)
    assert meet(stays, 40, cold) == (4 + 10 + 10, 0)
    assert meet([], 7, cold) == (5, 5)
    assert meet([], 0, cold) == (0, 0)  # in the instant in which the service before ends
    assert meet([(0, 0, FOREVER)], 7, cold) == (7, 0)
    assert meet([(7, 7, 9)], 7, 0) == (0, 0)  # no cold start: there at once
    assert left_over(stays, 12) == 4 + 2
    assert left_over(stays, 1000) == 4 + 10 + 970
    assert left_over(stays, 0) == 0


@examples(100)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=3), st.integers(0, 12), st.sampled_from([0, 1, 4]))
def test_arrivals_that_are_met_together(at, gap, cold):
    """Where there is one stay for each; it is there from the arrival before on, or starts for so long."""
    start, kept, far = at
    stays = [(0, 0, kept), (start, start + cold, start + cold + kept), (far, far + cold, far + cold)]
    residency, wait = meet_each(*np.array(stays).T, gap, cold)
    assert list(zip(residency, wait, strict=True)) == [meet([stay], gap, cold) for stay in stays]
    assert [each.tolist() for each in meet_each(*np.array(stays).T, np.full(3, gap), cold)] == [
        residency.tolist(),
        wait.tolist(),
    ]


@examples(60)
@given(scenes, st.lists(st.sampled_from([0.0, 0.5, 5.0, 60.0, 4000.0]), min_size=1, max_size=4))
def test_fixed_keep_alive_is_a_stay(scene, seconds):
    played = FixedKeepAlives(seconds=tuple(seconds)).play(scene)
    for k, each in enumerate(seconds):
        stays = [(0, 0, round(each * 1e9))]
        met = [meet(stays, gap, scene.cold_start) for gap in scene.gaps.tolist()]
        assert played.missed[k] == sum(one.wait > scene.tolerated for one in met)
        spent = sum(one.residency for one in met) + left_over(stays, scene.end)
        assert played.residency[k] == pytest.approx(spent / 1e9)


@examples(30)
@given(scenes)
def test_no_method_pays_less_than_a_clairvoyant_who_misses_nothing(scene):
    strict = scene._replace(tolerated=0)
    for method in (
        ChainSwitching(),
        HybridHistograms.swept(),
        PointWindows(),
        FixedKeepAlives(),
        ForecasterSwitching(),
    ):
        played = method.play(strict)
        assert len(played.residency) == len(played.missed) == len(method.settings)
        assert (played.residency >= strict.clairvoyant * (1 - 1e-9)).all()
        assert (played.missed <= strict.gaps.size).all()


@pytest.mark.parametrize(
    "method",
    [ChainSwitching(), HybridHistograms.swept(), PointWindows(), FixedKeepAlives(), ForecasterSwitching(),
     PredictorSwitching(predictor=RecentGaps, title="recent", prices=(2.0, 50.0))],
    ids=lambda method: method.name,
)  # fmt: skip
def test_the_future_does_not_matter(method):
    """What is paid up to a gap is the same whatever comes after: two futures, and none."""
    rng = np.random.default_rng(5)
    past = rng.integers(1, 300, 60) * SECOND
    one, other = rng.integers(1, 300, 30) * SECOND, rng.integers(1, 9000, 30) * SECOND

    alone = method.play(Scene(past, 0, 5 * SECOND, 0))
    for future in (one, other, other[::-1].copy()):
        both = method.play(Scene(np.concatenate([past, future]), 0, 5 * SECOND, 0))
        assert (both.missed >= alone.missed).all()
        if alone.bars is not None:
            assert (both.bars >= alone.bars).all()


def test_hybrid_histogram_by_hand():
    """Ten gaps of 3 min: from then on it starts 2.7 min (less 10 %) after an arrival, and stays until 4.4 min."""
    method = HybridHistograms(least=3)
    gaps = np.full(10, 180 * SECOND)
    played = method.play(Scene(gaps, 10**15, 5 * SECOND, 0))
    warm = 3 * 180.0  # while there are too few, kept for ten minutes
    started = 7 * (180.0 - 162.0)
    after = 264.0 - 162.0
    assert played.residency.tolist() == pytest.approx([warm + started + after])
    assert played.missed.tolist() == [0]
    late = method.play(Scene(np.append(gaps, 150 * SECOND), 0, 5 * SECOND, 0))
    assert late.missed.tolist() == [1]


def test_hybrid_histogram_falls_back_where_gaps_are_beyond_it():
    gaps = np.full(6, 20_000 * SECOND)
    played = HybridHistograms(fallbacks=(60.0,)).play(Scene(gaps, 0, 5 * SECOND, 0))
    assert played.residency.tolist() == pytest.approx([6 * 65.0])
    assert played.missed.tolist() == [6]


def test_point_window_by_hand():
    method = PointWindows(margins=(0.1,), memory=3)
    played = method.play(Scene(np.array([100, 100, 80, 100]) * SECOND, 0, 5 * SECOND, 0))
    # Nothing is known; 15 s at the forecast; gone too early; 15 s again.
    assert played.residency.tolist() == pytest.approx([5.0 + (100 - 85) + 5.0 + (100 - 85)])
    assert played.missed.tolist() == [2]


def test_predictors_with_the_same_forecast_are_played_alike():
    """The chain as any other forecaster, on the same bins: costs within what rounding of edges can do."""
    rng = np.random.default_rng(3)
    gaps = (rng.exponential(90.0, 150) * 1e9).astype(np.int64)
    scene = Scene(gaps, 100 * SECOND, 5 * SECOND, 0)
    prices = (1.0, 20.0, 400.0)
    native = ChainSwitching(prices=prices).play(scene)
    other = PredictorSwitching(predictor=BandwidthChain, title="chain", prices=prices).play(scene)
    assert other.residency == pytest.approx(native.residency, rel=0.03)
    assert np.abs(other.missed - native.missed).max() <= 4
    assert other.stated == pytest.approx(native.stated, rel=0.05, abs=1.0)  # of the first gap nothing is known


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: ChainSwitching(prices=()), "prices"),
        (lambda: ChainSwitching(prices=(-1.0,)), "prices[0]"),
        (lambda: ChainSwitching(decay=1.0), "decay"),
        (lambda: FixedKeepAlives(seconds=(float("nan"),)), "seconds[0]"),
        (lambda: HybridHistograms(heads=()), "heads"),
        (lambda: HybridHistograms(tails=(1.5,)), "tails[0]"),
        (lambda: FixedKeepAlives(seconds=()), "seconds"),
        (lambda: PointWindows(margins=(1e9,)), "margins[0]"),
        (lambda: PointWindows(memory=0), "memory"),
        (lambda: ForecasterSwitching(prices=()), "prices"),
        (lambda: ForecasterSwitching(blocks=()), "blocks"),
        (lambda: ForecasterSwitching(blocks=(1, 0)), "blocks[1]"),
        (lambda: ForecasterSwitching(memories=(1.01,)), "memories[0]"),
        (lambda: ForecasterSwitching(beginnings=(float("inf"),)), "beginnings[0]"),
        (lambda: PredictorSwitching(predictor=3, title="x"), "predictor"),
    ],
)
def test_wrong_settings_are_refused(make, place):
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert caught.value.place == place


def test_a_forecast_that_ends_a_cell_at_once():
    """Half of the arrivals come at once: the first cell has no width."""
    arrivals = Arrivals.empirical([0.0, 0.0, 10.0, 10.0])
    law = GapLaw(1.0, arrivals.cells(0.02))
    law.solve(Wanted(1e6), 5 * SECOND)
    assert law.late(law.stays(0), 5 * SECOND, tolerated=0) == pytest.approx(0.0)
    law.solve(Wanted(0.0), 5 * SECOND)
    assert 0.0 <= law.late(law.stays(0), 5 * SECOND, tolerated=0) <= 1.0


@pytest.mark.parametrize("model", ["autoregressive", "ets"])
def test_log_normal_forecasts_are_played(model):
    rng = np.random.default_rng(5)
    gaps = (np.where(rng.random(40) < 0.8, rng.exponential(2.0, 40), rng.exponential(600.0, 40)) * 1e9).astype(np.int64)
    played = PredictorSwitching(predictor=partial(StatisticalGaps, model), title=model).play(
        Scene(gaps, 0, 5 * SECOND, 0)
    )
    assert np.isfinite(played.stated).all()
    assert (played.stated <= gaps.size + 1e-9).all()
    assert played.missed[-1] <= played.missed[0]


@pytest.mark.parametrize(
    "method",
    [ChainSwitching(), HybridHistograms.swept(), PointWindows(), FixedKeepAlives(), ForecasterSwitching()],
    ids=lambda each: each.name,
)
def test_simultaneous_arrivals_are_met_by_all_methods(method):
    """They come in the instant in which the service before ends: nobody pays for them, and nobody misses them."""
    once = np.full(40, 600 * SECOND)
    twice = np.stack([once, np.zeros(40, np.int64)]).T.ravel()
    alone = method.play(Scene(once, 0, 5 * SECOND, 0))
    both = method.play(Scene(twice, 0, 5 * SECOND, 0))
    assert both.missed.max() <= 40
    if isinstance(method, FixedKeepAlives):  # others learn of gaps of 0 s
        assert both.residency.tolist() == alone.residency.tolist()
    assert method.play(Scene(np.zeros(30, np.int64), 0, 5 * SECOND, 0)).missed.max() == 0


def test_gaps_beyond_all_bins_count_in_the_histogram_of_positions():
    gaps = (np.random.default_rng(0).uniform(1.2, 9.0, 200) * 86_400e9).astype(np.int64)
    played = ChainSwitching().play(Scene(gaps, 0, 5 * SECOND, 0))
    assert played.bars.sum() == 200
    assert (played.stated <= 200).all()


def test_no_price_is_no_question():
    with pytest.raises(InvalidInputError, match="price"):
        BandwidthChain().meet(np.array([1, 2]), np.zeros(0), cold_start=5.0)
    with pytest.raises(InvalidInputError, match="gaps"):
        BandwidthChain().meet(np.array([-1]), np.ones(1), cold_start=5.0)


@pytest.mark.parametrize(("late", "missed"), [(-1, 0), (0, 0), (1, 1)])
def test_an_arrival_at_the_very_end_of_a_stay_is_met(late, missed):
    chains = BandwidthChain.fleet(2)
    for chain in chains:
        for k in range(21):
            chain.observe(60.0 * k)
    plan = chains[0].plan(cold_start=5.0, miss_price=50.0)
    gap = int(plan.stays[-1, 2]) + late
    residency, found, *_ = chains[1].meet(np.array([gap]), np.array([50.0]), cold_start=5.0)
    assert found.tolist() == [missed]
    assert residency.tolist() == [pytest.approx(meet(plan.stays.tolist(), gap, 5 * SECOND).residency / 1e9)]


def test_a_hybrid_histogram_meets_an_arrival_at_once():
    """Ready nearly ten minutes after each arrival; one in the same instant is served all the same."""
    apart = np.full(30, 600 * SECOND)
    alone = HybridHistograms().play(Scene(apart, 0, 5 * SECOND, 0))
    both = HybridHistograms().play(Scene(np.append(apart, 0), 0, 5 * SECOND, 0))
    assert both.missed.tolist() == alone.missed.tolist()
    assert both.residency.tolist() == alone.residency.tolist()


def test_members_of_a_fleet_know_of_their_own_arrivals_alone():
    first, second = BandwidthChain.fleet(2)
    for k in range(5):
        first.observe(10.0 * k)
    assert second.arrivals(now=40.0) is None
    assert second.demand(40.0, horizon=100.0).mean == 0.0
    assert second.state() == BandwidthChain().state()
    assert first.arrivals(now=40.0).quantile(0.5) == pytest.approx(10.0, abs=1.0)
