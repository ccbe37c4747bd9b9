"""The native chain of histograms against the slow one, and what it is for: timers, drift, bursts, cold beginnings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.chain_oracle import SlowChain, bin_of, edges_of
from smiless_core.predictors import BandwidthChain
from strategies import examples

pytestmark = pytest.mark.native

# Histograms are held in single precision: 6e-8 per gap, and gaps are forgotten after a hundred.
NEAR = {"rtol": 1e-4, "atol": 1e-9}
YEAR = 365.25 * 86400.0


def told(times: Iterable[float], **settings: float) -> BandwidthChain:
    chain = BandwidthChain(**settings)
    for t in times:
        chain.observe(t)
    return chain


def slowly(times: Sequence[float], **settings: float) -> SlowChain:
    """Return the slow chain after the gaps of these arrivals, which are in order."""
    chain = SlowChain(context=True, **settings)
    for earlier, later in pairwise(times):
        chain.observe(later - earlier, began=earlier)
    return chain


def agree(times: Sequence[float], **settings: float) -> np.ndarray:
    native, slow = told(times, **settings), slowly(times, **settings)
    probabilities = native.probabilities
    assert probabilities.dtype == native.edges.dtype == np.float64
    np.testing.assert_allclose(native.edges, slow.edges, rtol=1e-12)
    np.testing.assert_allclose(probabilities, slow.probabilities(), **NEAR)
    assert probabilities.min() >= 0.0
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-6)
    return probabilities


def at(gaps: Iterable[float]) -> list[float]:
    return list(accumulate(gaps, initial=0.0))


# -- agreement --------------------

SETTINGS = st.fixed_dictionaries(
    {
        "finest": st.sampled_from([0.25, 0.3, 1.0, 2.0]),
        "ratio": st.sampled_from([0.02, 0.05, 0.1]),
        "decay": st.sampled_from([0.9, 0.99, 0.995]),
    }
)
GAP = st.one_of(
    st.just(0.0),
    st.floats(0.0, 5.0),
    st.integers(0, 60).map(float),  # the finest edges themselves
    st.floats(0.0, 12.0).map(lambda x: 10.0 ** (x - 6.0)),
    st.sampled_from([60.0, 300.0, 3600.0, 86400.0, 90000.0, YEAR]),
    st.sampled_from(edges_of(1.0, 0.02)),
)


@examples(60)
@given(st.lists(GAP, max_size=12), SETTINGS)
def test_any_gaps(gaps: list[float], settings: dict[str, float]) -> None:
    agree(at(gaps), **settings)


@examples(15)
@given(
    st.sampled_from([0.7, 20.0, 300.0, 7200.0]),
    st.lists(st.sampled_from([1.0, 1.0, 1.0, 1.001, 0.98, 1.1, 2.0, 0.3]), min_size=20, max_size=60),
)
def test_timers_that_are_not_quite_regular(period: float, factors: list[float]) -> None:
    agree(at(period * factor for factor in factors), ratio=0.05)


@pytest.mark.parametrize("finest", [0.3, 1.0])
def test_every_kernel_in_every_place(finest: float) -> None:
    edges = edges_of(finest, 0.1)
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    for gap in [0.0, *edges[1::3], *middles[::3], *edges[-3:], 1.0001 * edges[-1], 3.0 * edges[-1], YEAR]:
        agree([0.0, gap], finest=finest, ratio=0.1)


@pytest.mark.parametrize("finest", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("ratio", [0.02, 0.1])
def test_the_grid_covers_a_day_and_no_bin_more(finest: float, ratio: float) -> None:
    edges = BandwidthChain(finest=finest, ratio=ratio).edges
    np.testing.assert_allclose(edges, edges_of(finest, ratio), rtol=1e-12)
    assert edges[0] == 0.0
    assert edges[-2] < 86400.0 <= edges[-1]


def test_before_the_first_gap_there_is_the_prior() -> None:
    edges = edges_of(1.0, 0.02)
    prior = [math.log((high + 1) / (low + 1)) / math.log(edges[-1] + 1) for low, high in pairwise(edges)]
    for times in ([], [0.0], [1.7e9]):
        np.testing.assert_allclose(told(times).probabilities, [*prior, 0.0], rtol=1e-5)


def test_long_sequences() -> None:
    rng = np.random.default_rng(5)
    drift = [300.0] * 80 + [60.0] * 80
    bursts = ([0.1] * 9 + [3600.0]) * 16
    two = rng.choice([5.0, 600.0], 160)
    heavy = np.exp(rng.normal(3.0, 3.0, 160))
    for gaps in (drift, bursts, two, heavy):
        agree(at(map(float, gaps)), ratio=0.05)


@pytest.mark.parametrize(
    "gaps",
    [
        [1e5],  # no level had foretold it
        [1e5, 1e5],
        [1e5, 10.0, 10.0],
        [10.0] * 30 + [YEAR] + [10.0] * 3 + [YEAR, 2e5],
        [5e4, 1e5],  # the widest kernel of the first reaches beyond, the others do not
        [0.0] * 40 + [86400.0],
    ],
)
def test_gaps_beyond_a_day(gaps: list[float]) -> None:
    agree(at(gaps))


def test_clocks_that_are_not_perfect() -> None:
    slow = SlowChain(ratio=0.1, context=True)
    for began, gap in ((100.0, 0.0), (100.0, 1.0), (50.0, 10.0)):
        slow.observe(gap, began=began)
    # 99.5 s came late, and is as if at 100 s; from 101 s back to 50 s nothing is known.
    native = told([100.0, 99.5, 101.0, 50.0, 60.0], ratio=0.1)
    np.testing.assert_allclose(native.probabilities, slow.probabilities(), **NEAR)


# -- what does not change it --------------------


def test_what_it_gave_stays_as_it_was() -> None:
    chain = told(at([300.0] * 5))
    given_out = chain.probabilities
    copied = given_out.copy()
    chain.observe(1e4)
    assert (given_out == copied).all()
    assert not (chain.probabilities == copied).all()
    # Nor does asking change anything.
    first, _, _ = chain.probabilities, chain.arrivals(1e4), chain.probabilities
    assert (chain.probabilities == first).all()


@examples(20)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(-(2**19), 2**19))
def test_it_does_not_matter_in_which_hour_time_began(gaps: list[int], hours: int) -> None:
    times = list(accumulate(gaps, initial=0))
    here, there = told(map(float, times)), told(float(3600 * hours + t) for t in times)
    assert (here.probabilities == there.probabilities).all()


@examples(20)
@given(st.lists(GAP, min_size=1, max_size=20), st.integers(0, 20))
def test_a_state_on_the_way_changes_nothing(gaps: list[float], when: int) -> None:
    times = at(gaps)
    chain = told(times[:when], ratio=0.1)
    chain = BandwidthChain.from_state(chain.state())
    for t in times[when:]:
        chain.observe(t)
    assert (chain.probabilities == told(times, ratio=0.1).probabilities).all()


# -- what it is for --------------------


def within(chain: BandwidthChain, low: float, high: float) -> float:
    """The probability of the bins between two times."""
    edges = chain.edges
    inside = (edges[:-1] >= low) & (edges[1:] <= high)
    return float(chain.probabilities[:-1][inside].sum())


def test_a_timer_is_known_after_few_gaps_and_sharply_after_many() -> None:
    likely = [within(told(at([300.0] * count)), 285.0, 315.0) for count in (0, 1, 3, 10, 60)]
    assert likely == sorted(likely)
    assert likely[0] < 0.02
    assert likely[1] > 0.25
    assert likely[2] > 0.6
    assert likely[3] > 0.9
    assert likely[4] > 0.98


def test_a_cold_beginning_excludes_nothing_within_a_day() -> None:
    for count in (0, 1, 2, 5, 100):
        probabilities = told(at([300.0] * count)).probabilities
        assert (probabilities[:-1] > 0.0).all()


def test_it_follows_a_timer_that_changes() -> None:
    times = at([300.0] * 200 + [60.0] * 100)
    chain = told(times[:201])
    assert within(chain, 285.0, 315.0) > 0.98
    likely = []
    for t in times[201:]:
        chain.observe(t)
        likely.append(within(chain, 55.0, 65.0))
    assert (np.diff(likely) > 0.0).all()
    # In histograms that fade by 1 % a gap, n new ones are 1 - .99^n of what there is.
    assert likely[9] == pytest.approx(1 - 0.99**10, abs=0.03)
    assert likely[99] == pytest.approx(1 - 0.99**100, abs=0.05)


def test_bursts_and_the_time_between_them_are_both_seen() -> None:
    chain = told(at(([0.2] * 9 + [3600.0]) * 20))
    assert within(chain, 0.0, 2.0) == pytest.approx(0.9, abs=0.03)
    assert within(chain, 3400.0, 3800.0) == pytest.approx(0.1, abs=0.03)


def test_random_arrivals_are_smoothed() -> None:
    gaps = np.random.default_rng(2).exponential(100.0, 400)
    chain = told(at(map(float, gaps)))
    below = np.concatenate([[0.0], np.cumsum(chain.probabilities[:-1])])
    exact = 1.0 - np.exp(-chain.edges / 100.0)
    assert np.abs(below - exact).max() < 0.12  # 200 gaps or so are in it: Kolmogorov's 1.36 / sqrt(200) is 0.096


# -- the effect of each constant is bounded --------------------


def surprise(gaps: Sequence[float], **settings: float) -> float:
    """The mean of -log of the density at each gap, when it had not been seen yet."""
    chain = BandwidthChain(**settings)
    edges, total = chain.edges.tolist(), 0.0
    chain.observe(0.0)
    for gap, t in zip(gaps, at(gaps)[1:], strict=True):
        k = bin_of(edges, gap)
        total -= math.log(chain.probabilities[k] / (edges[k + 1] - edges[k]))
        chain.observe(t)
    return total / len(gaps)


@pytest.mark.parametrize("kind", ["random", "two scales", "noisy timer"])
def test_no_constant_is_delicate(kind: str) -> None:
    rng = np.random.default_rng(11)
    gaps = {
        "random": rng.exponential(200.0, 300),
        "two scales": np.where(rng.random(300) < 0.7, rng.exponential(5.0, 300), rng.exponential(2000.0, 300)),
        "noisy timer": rng.normal(600.0, 30.0, 300),
    }[kind].tolist()
    usual = surprise(gaps)
    for settings in ({"decay": 0.98}, {"decay": 0.995}, {"ratio": 0.03}, {"ratio": 0.01}, {"finest": 0.5}):
        assert surprise(gaps, **settings) == pytest.approx(usual, abs=0.15), settings


@examples(20)
@given(st.lists(GAP, min_size=1, max_size=30), st.floats(0.0, 86400.0))
def test_what_came_is_not_impossible_any_more(gaps: list[float], last: float) -> None:
    chain = told(at([*gaps, last]), ratio=0.1)
    k = bin_of(chain.edges.tolist(), last)
    # The widest kernel has at least 8 % within a bin of its centre, in a histogram of so many gaps; what followed a
    # gap of its class holds no more, and falls back on that.
    count = (1 - 0.99 ** (len(gaps) + 1)) / 0.01
    assert chain.probabilities[max(k - 1, 0) : k + 2].sum() > 0.08 / (count + 1) ** 2


@pytest.mark.parametrize("outlier", [0.0, 7.0, 150.0, 3000.0, YEAR])
def test_one_outlier_is_forgiven(outlier: float) -> None:
    chain, now = BandwidthChain(), 0.0
    for gap in [0.0, *[300.0] * 150, outlier]:
        now += gap
        chain.observe(now)
    likely = []
    for _ in range(4):
        likely.append(within(chain, 285.0, 315.0))
        now += 300.0
        chain.observe(now)
    # The wide levels have foretold it best, and have the weight for two or three gaps.
    assert likely == sorted(likely)
    assert likely[3] > 0.9


def test_a_timer_with_jitter_is_known_by_its_clock() -> None:
    """Every five minutes, anywhere in the minute: the next one comes in its own minute, whatever the gap will be."""
    rng = np.random.default_rng(8)
    times = 300.0 * np.arange(200) + rng.uniform(0.0, 60.0, 200)
    for last in (1.0, 30.0, 59.0):
        chain = told([*times.tolist(), 60_000.0 + last])
        assert within(chain, 295.0 - last, 365.0 - last) > 0.93
        assert within(chain, 300.0 - last, 360.0 - last) > 0.75


def test_what_came_early_in_the_hour_is_no_news_of_what_is_left_of_it() -> None:
    """The clock's histogram is of what is to come: at the end of the minute nothing comes in that minute any more."""
    rng = np.random.default_rng(9)
    times = np.sort(np.concatenate([60.0 * np.arange(300) + rng.uniform(0.0, 60.0, 300)]))
    early, late = told([*times.tolist(), 18_000.5]), told([*times.tolist(), 18_059.5])
    assert within(early, 0.0, 58.0) < 0.1
    assert within(late, 0.0, 58.0) > 0.85
