"""The slow chain against figures worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from predictors.chain_oracle import BETAS, SlowChain, bin_of, class_of, edges_of, triangle


def test_bins_are_even_at_first_and_grow_in_proportion_then() -> None:
    edges = edges_of(1.0, 0.02)
    assert edges[:52] == [*map(float, range(51)), 51.0]  # .02 * 50 is 1
    assert edges[52] == pytest.approx(51 * 1.02)
    assert edges[-2] < 86400 <= edges[-1] == pytest.approx(edges[-2] * 1.02)
    assert edges_of(40000.0, 0.5) == [0.0, 40000.0, 80000.0, 120000.0]


def test_a_gap_on_an_edge_is_in_the_bin_that_begins_there() -> None:
    edges = [0.0, 1.0, 2.0, 4.0]
    assert [bin_of(edges, x) for x in (0.0, 0.999, 1.0, 2.0, 3.9, 4.0, 1e9)] == [0, 0, 1, 2, 2, 3, 3]


def test_kernels_are_integrated_exactly() -> None:
    F = Fraction
    edges = [F(k) for k in range(5)]
    # On an edge, half to either side, however narrow.
    assert triangle(edges, F(2), F(1, 2)) == [0, F(1, 2), F(1, 2), 0, 0]
    # From 0 to 4: 1/8, 3/8, 3/8, 1/8.
    assert triangle(edges, F(2), F(2)) == [F(1, 8), F(3, 8), F(3, 8), F(1, 8), 0]
    # Centre 1, half-width 2: 1/8 of it is below 0 and cut off; 3/8, 3/8 and 1/8 of 7/8 remain.
    assert triangle(edges, F(1), F(2)) == [F(3, 7), F(3, 7), F(1, 7), 0, 0]
    # At 0 half of it is cut off.
    assert triangle(edges, F(0), F(1, 2)) == [1, 0, 0, 0, 0]
    # Across the last edge: half; and all of it from beyond.
    assert triangle(edges, F(4), F(1, 2)) == [0, 0, 0, F(1, 2), F(1, 2)]
    assert triangle(edges, F(4), F(4)) == [F(1, 32), F(3, 32), F(5, 32), F(7, 32), F(1, 2)]
    assert triangle(edges, F(90), F(9)) == [0, 0, 0, 0, 1]
    # An eighth of the triangle of half-width 1/2 is beyond half of that.
    assert triangle(edges, F(7, 4), F(1, 2)) == [0, F(7, 8), F(1, 8), 0, 0]


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0, 7.7, 50.0, 299.5, 3600.0, 86399.0, 1e5, 3e7])
def test_doubles_are_as_good_as_fractions(gap: float) -> None:
    edges = edges_of(1.0, 0.1)
    for beta in BETAS:
        half = max(beta * gap, 0.5)
        got = triangle(edges, gap, half)
        exact = triangle([Fraction(e) for e in edges], Fraction(gap), Fraction(half))
        assert sum(got) == pytest.approx(1.0, rel=1e-14)
        assert got == pytest.approx([float(mass) for mass in exact], rel=1e-9, abs=1e-15)


def small() -> SlowChain:
    """Bins [0, 40000), [40000, 80000), [80000, 120000): the prior by logs of 2, 3/2 and 4/3, which sum to log 4."""
    return SlowChain(finest=40000.0, ratio=0.5)


def test_nothing_known_is_the_prior() -> None:
    chain = small()
    prior = [math.log(x) / math.log(4) for x in (2, 3 / 2, 4 / 3)]
    assert chain.probabilities() == pytest.approx([*prior, 0.0])
    chain.observe(1.0)
    # All levels had foretold the same: no weight has changed.
    assert chain.weights == pytest.approx([0.2] * 5)


def test_one_gap_is_worth_as_much_as_the_prior_at_the_widest_level() -> None:
    chain = small()
    # Half-widths 60000 and, four times, the least, 20000; gap 60000 is in the middle of bin 1.
    chain.observe(60000.0)
    # Rising from 0: (2/3)^2 / 2 = 2/9 until 40000; 5/9 in the middle; 2/9 beyond 80000, none of it beyond 120000.
    wide, narrow = [2 / 9, 5 / 9, 2 / 9, 0.0], [0.0, 1.0, 0.0, 0.0]
    assert chain.histograms[0] == pytest.approx(wide)
    for histogram in chain.histograms[1:]:
        assert histogram == pytest.approx(narrow)
    level = [(h + pi) / 2 for h, pi in zip(wide, chain.prior, strict=True)]
    expected = [q / 5 for q in level]
    for _ in range(4):
        level = [(h + q) / 2 for h, q in zip(narrow, level, strict=True)]
        expected = [p + q / 5 for p, q in zip(expected, level, strict=True)]
    assert chain.probabilities() == pytest.approx(expected)
    assert chain.count == 1.0


def test_a_second_gap_weighs_the_levels_and_fades_the_first() -> None:
    chain = small()
    chain.observe(60000.0)
    before = chain.levels(1)
    chain.observe(50000.0)
    weights = [0.99 * q / sum(before) + 0.002 for q in before]
    assert chain.weights == pytest.approx(weights)
    assert sum(chain.weights) == pytest.approx(1.0)
    assert chain.weights == sorted(chain.weights)  # the narrower, the more it had foretold just that
    assert chain.count == pytest.approx(1.99)
    # 50000 with half-width 20000: until 40000 a quarter of half the triangle, (1/2)^2 / 2.
    assert chain.histograms[4] == pytest.approx([1 / 8, 0.99 + 7 / 8, 0.0, 0.0])


def test_a_first_gap_beyond_the_last_edge_was_foretold_by_no_level() -> None:
    chain = small()
    chain.observe(120000.0)
    assert chain.weights == pytest.approx([0.2] * 5)
    # The widest, from 0 to 240000: (1/9) / 2, (4/9 - 1/9) / 2, (1 - 4/9) / 2, 1/2.
    assert chain.histograms[0] == pytest.approx([1 / 18, 3 / 18, 5 / 18, 1 / 2])
    # Half of every kernel is beyond: each level has the mean of a half and what the wider one has.
    assert chain.probabilities()[3] == pytest.approx((1 / 4 + 3 / 8 + 7 / 16 + 15 / 32 + 31 / 64) / 5)


def test_gaps_fade_by_their_age_and_no_mass_is_lost() -> None:
    gaps = [0.0, 3.0, 250.0, 250.0, 86400.0, 0.2, 1e7, 300.0, 299.0, 17.0]
    chain = SlowChain(ratio=0.1)
    for n, gap in enumerate(gaps, start=1):
        chain.observe(gap)
        assert sum(chain.probabilities()) == pytest.approx(1.0)
        assert sum(chain.weights) == pytest.approx(1.0)
        assert chain.count == pytest.approx((1 - 0.99**n) / 0.01)
    for b, beta in enumerate(BETAS):
        kernels = [triangle(chain.edges, gap, max(beta * gap, 0.5)) for gap in gaps]
        fading = [0.99 ** (len(gaps) - 1 - i) for i in range(len(gaps))]
        expected = [sum(f * k for f, k in zip(fading, column, strict=True)) for column in zip(*kernels, strict=True)]
        assert chain.histograms[b] == pytest.approx(expected, abs=1e-15)


def test_narrow_levels_fall_back_on_wide_ones_after_few_gaps() -> None:
    chain = SlowChain()
    chain.observe(300.0)
    # At 150 s the narrow kernels hold nothing: each level has half of what the one before has.
    level = chain.levels(bin_of(chain.edges, 150.0))
    assert [level[b] / level[b + 1] for b in range(1, 4)] == pytest.approx([2.0] * 3)
    for _ in range(60):
        chain.observe(300.0)
    # After 61 gaps the fallback is small, and the narrowest level has the weight.
    count = (1 - 0.99**61) / 0.01
    level = chain.levels(bin_of(chain.edges, 150.0))
    assert level[3] / level[4] == pytest.approx(count + 1)
    assert chain.weights[4] == max(chain.weights) > 0.5
    near = bin_of(chain.edges, 300.0)
    assert sum(chain.probabilities()[near - 2 : near + 3]) > 0.9


def test_a_sixth_level_knows_what_followed_gaps_like_the_last() -> None:
    assert [class_of(x) for x in (0.0, 59.9, 60.0, 1e9)] == [0, 0, 1, 1]
    plain, chain = SlowChain(ratio=0.1), SlowChain(ratio=0.1, context=True)
    assert chain.probabilities() == pytest.approx(plain.probabilities())
    for gap in (2.0, 100.0, 2.0, 100.0, 2.0):
        plain.observe(gap)
        chain.observe(gap)
    # After 2 s came 100 s, twice; after 100 s came 2 s, twice.
    kernel = triangle(chain.edges, 100.0, 10.0)
    assert chain.followed[0] == (pytest.approx([1.99 * mass for mass in kernel]), pytest.approx(1.99))
    assert chain.followed[1][1] == pytest.approx(1.99)
    k = bin_of(chain.edges, 100.0)
    narrowest, context = chain.levels(k)[4:6]
    assert narrowest == pytest.approx(plain.levels(k)[-1])
    assert context == pytest.approx((1.99 * kernel[k] + narrowest) / 2.99)
    assert sum(chain.probabilities()) == pytest.approx(1.0)
    assert sum(chain.weights) == pytest.approx(1.0)
    assert chain.probabilities()[k] > plain.probabilities()[k]


def test_the_sixth_level_is_the_narrowest_until_something_has_followed() -> None:
    chain = SlowChain(ratio=0.1, context=True)
    assert chain.weights == pytest.approx([0.94 / 6] * 6 + [0.02] * 3)
    chain.observe(100.0)
    assert chain.weights == pytest.approx([0.94 / 6] * 6 + [0.02] * 3)
    for k in (0, 20, bin_of(chain.edges, 100.0)):
        assert chain.levels(k)[4] == chain.levels(k)[5]


def test_clocks_by_hand() -> None:
    """20 s after the full minute, a gap of 50 s: 70 s from the beginning of the minute, and 10 s into the next one."""
    chain = SlowChain(ratio=0.1, context=True)
    chain.observe(50.0, began=3620.0)
    for clock in chain.clocks:
        assert clock == pytest.approx(triangle(chain.edges, 70.0, 1.4))
    assert chain.now == 70.0
    # On the minute's clock it is 10 s: 70 s is in a minute from now. On the others it is 70 s, in the midst of the bin.
    k = bin_of(chain.edges, 60.0)
    narrowest, _, minute, quarter, hour = chain.levels(k)[4:]
    low, high = chain.edges[bin_of(chain.edges, 70.0) :][:2]
    left = triangle(chain.edges, 70.0, 1.4)[bin_of(chain.edges, 70.0)] * (high - 70.0) / (high - low)
    assert chain.later == pytest.approx([1.0, left, left])
    assert sum(chain.levels(b)[6] for b in range(k - 3, k + 3)) > 0.5
    assert quarter == hour == pytest.approx(narrowest / (1.0 + chain.later[1]))
    assert minute > narrowest / 2.0
