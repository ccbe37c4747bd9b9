"""What distributions say about X: against each other, against integrals and against counting."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, stats

from distributions import all_arrivals, gap_lists, means, places, simple, survival_points, unconditional
from smiless_core.arrivals import Arrivals

fractions = st.floats(0.0, 1.0, exclude_min=True)


# -- identities that hold for any distribution --------------------


@given(all_arrivals)
def test_survival_falls_from_one_to_zero(arrivals: Arrivals) -> None:
    at = places(arrivals)
    survival, at_least = arrivals.survival(at), arrivals.at_least(at)
    assert np.all(np.diff(survival) <= 1e-12)
    assert np.all((survival >= 0.0) & (survival <= at_least) & (at_least <= 1.0))
    # P(X >= x) is what P(X > y) comes down to as y comes up to x.
    assert np.all(at_least <= arrivals.survival(np.nextafter(at, -1.0)) + 1e-12)
    assert arrivals.survival(-1.0) == arrivals.at_least(-1.0) == arrivals.at_least(0.0) == 1.0
    assert arrivals.survival(1e300) == arrivals.at_least(1e300) == 0.0


@given(all_arrivals, st.floats(0.1, 4.0))
def test_the_expected_minimum_is_the_integral_of_survival(arrivals: Arrivals, scale: float) -> None:
    end = arrivals.mean * scale
    at = np.linspace(0.0, end, 4001)
    survival = arrivals.survival(at)
    step = end / 4000
    # Sums of a function that falls are bounds on its integral.
    from_below, from_above = survival[1:].sum() * step, survival[:-1].sum() * step
    slack = 1e-9 * end
    assert from_below - slack <= arrivals.expected_minimum(end) <= from_above + slack


@given(all_arrivals)
def test_partial_expectations_add_up(arrivals: Arrivals) -> None:
    at = places(arrivals)
    minimum, partial = arrivals.expected_minimum(at), arrivals.partial_expectation(at)
    exact = {"rtol": 1e-12, "atol": 1e-12 * float(at[-1])}
    np.testing.assert_allclose(minimum, partial + at * arrivals.survival(at), **exact)
    assert np.all(np.diff(partial) >= -1e-11 * at[-1])
    assert np.all(minimum <= np.minimum(at, arrivals.mean))
    assert arrivals.expected_minimum(1e300) == arrivals.partial_expectation(1e300) == arrivals.mean
    assert arrivals.partial_expectation(-1.0) == 0.0
    assert arrivals.expected_minimum(-1.0) == -1.0


@given(all_arrivals, st.lists(fractions, min_size=1, max_size=20))
def test_the_quantile_is_the_generalized_inverse(arrivals: Arrivals, asked: list[float]) -> None:
    q = np.array(asked)
    x = arrivals.quantile(q)
    assert np.all(1.0 - arrivals.survival(np.minimum(x, 1e300)) >= q - 1e-11)
    assert np.all(1.0 - arrivals.survival(np.minimum(x, 1e300) * (1.0 - 1e-9) - 1e-12) <= q + 1e-9)
    ascending = arrivals.quantile(np.sort(q))
    assert np.all(ascending[1:] >= ascending[:-1])  # some may be infinite
    assert arrivals.quantile(1.0) >= x.max()


@given(all_arrivals)
def test_numbers_and_arrays_are_answered_alike(arrivals: Arrivals) -> None:
    at = places(arrivals)[:12].reshape(2, 2, 3)
    for ask in (
        arrivals.survival,
        arrivals.at_least,
        arrivals.partial_expectation,
        arrivals.expected_minimum,
    ):
        answer = ask(at)
        assert answer.shape == at.shape
        one = ask(float(at[1, 0, 2]))
        assert type(one) is float
        assert one == pytest.approx(answer[1, 0, 2], rel=1e-14, abs=1e-300)
    assert type(arrivals.quantile(0.5)) is float
    assert arrivals.quantile(np.array([[0.5]])).tolist() == [[arrivals.quantile(0.5)]]
    assert ask([1, 2]).shape == (2,)


@given(unconditional, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_conditioning_is_consistent(arrivals: Arrivals, first: float, second: float) -> None:
    a = arrivals.quantile(first) * 0.9
    left = arrivals.survival(a)
    assume(left > 0.0)
    given_a = arrivals.after(a)
    at = places(arrivals)
    np.testing.assert_allclose(given_a.survival(at) * left, arrivals.survival(np.maximum(at, a)), rtol=1e-13)
    # The law of total expectation, from both sides of a.
    beyond = left * (given_a.mean - given_a.partial_expectation(at))
    later = at >= a
    np.testing.assert_allclose(arrivals.partial_expectation(at[later]) + beyond[later], arrivals.mean, rtol=1e-12)
    assert arrivals.partial_expectation(a) + left * given_a.mean == pytest.approx(arrivals.mean, rel=1e-12)
    assert given_a is arrivals or given_a.law.floor >= a
    b = a + second * (given_a.mean - a)
    assume(arrivals.survival(b) > 0.0)
    both, at_once = given_a.after(b), arrivals.after(b)
    np.testing.assert_allclose(both.survival(at), at_once.survival(at), rtol=1e-13)
    assert both.mean == pytest.approx(at_once.mean, rel=1e-14)
    assert both == at_once or given_a.survival(b) == 1.0  # where nothing is learned, nothing changes
    assert at_once.after(a).mean == at_once.mean


@given(unconditional)
def test_before_anything_could_come_nothing_is_learned(arrivals: Arrivals) -> None:
    floor = arrivals.law.floor
    assume(floor > 0.0)
    assert arrivals.after(floor * 0.999) == arrivals


@given(simple)
def test_a_mixture_of_one_is_that_one(arrivals: Arrivals) -> None:
    assert Arrivals.mixture(weights=[1.0], components=[arrivals]) == arrivals


@given(simple, simple, st.integers(1, 9))
def test_a_mixture_is_a_weighted_sum(one: Arrivals, other: Arrivals, tenths: int) -> None:
    weight = tenths / 10
    mixed = Arrivals.mixture(weights=[weight, 1.0 - weight], components=[one, other])
    at = np.concatenate((places(one), places(other)))
    for name in ("survival", "at_least", "expected_minimum"):
        parts = [getattr(each, name)(at) for each in (one, other)]
        sums = weight * parts[0] + (1.0 - weight) * parts[1]
        np.testing.assert_allclose(getattr(mixed, name)(at), sums, rtol=1e-12, atol=1e-12 * mixed.mean)


@given(all_arrivals, st.integers(0, 2**32))
def test_samples_follow_the_distribution(arrivals: Arrivals, seed: int) -> None:
    drawn = arrivals.sample(4000, seed=seed)
    assert drawn.shape == (4000,)
    assert drawn.tolist() == arrivals.sample(4000, seed=seed).tolist()
    at = places(arrivals)
    seen = np.mean(drawn[:, None] > at, axis=0)
    # Dvoretzky, Kiefer and Wolfowitz: a distance of .05 has a probability of 4e-9.
    assert np.max(np.abs(seen - arrivals.survival(at))) <= 0.05


# -- closed forms against integrals --------------------


@given(means, st.floats(0.2, 200.0), st.floats(0.01, 0.999))
def test_gamma_is_what_the_integral_of_its_density_says(mean: float, shape: float, at: float) -> None:
    known = stats.gamma(shape, scale=mean / shape)
    x = float(known.ppf(at))
    arrivals = Arrivals.gamma(mean=mean, shape=shape)
    assert arrivals.mean == mean
    assert arrivals.survival(x) == pytest.approx(1.0 - at, rel=1e-9)
    assert arrivals.quantile(at) == pytest.approx(x, rel=1e-9)
    # Substituting t = x u^4 takes the pole of the density at 0 away.
    partial, _ = integrate.quad(lambda u: known.pdf(x * u**4) * 4 * x * x * u**7, 0.0, 1.0, limit=200)
    assert arrivals.partial_expectation(x) == pytest.approx(partial, rel=1e-7, abs=1e-14 * mean)


@given(means, st.floats(0.001, 30.0))
def test_exponential_and_gamma_of_shape_one_agree(mean: float, ratio: float) -> None:
    x = mean * ratio
    one, other = Arrivals.exponential(mean), Arrivals.gamma(mean=mean, shape=1.0)
    for name in ("survival", "at_least", "partial_expectation", "expected_minimum"):
        assert getattr(one, name)(x) == pytest.approx(getattr(other, name)(x), rel=1e-10, abs=1e-13 * mean)
    assert one.expected_minimum(x) == pytest.approx(-mean * math.expm1(-ratio), rel=1e-12)
    assert one.quantile(0.5) == pytest.approx(mean * math.log(2.0), rel=1e-14)
    assert one.quantile(1.0) == other.quantile(1.0) == math.inf


@given(means, st.floats(0.0, 600.0))
def test_an_exponential_gap_has_no_memory(mean: float, ratio: float) -> None:
    for arrivals in (Arrivals.exponential(mean), Arrivals.gamma(mean=mean, shape=1.0)):
        later = arrivals.after(mean * ratio)
        assert later.mean == pytest.approx(mean * (1.0 + ratio), rel=1e-11)
        assert later.survival(mean * (1.0 + ratio)) == pytest.approx(math.exp(-1.0), rel=1e-11)
        assert later.quantile(0.5) == pytest.approx(mean * (ratio + math.log(2.0)), rel=1e-11)


def test_hyper_exponential_gaps_are_a_mixture() -> None:
    arrivals = Arrivals.hyper_exponential(weights=[0.9, 0.1], means=[1.0, 100.0])
    assert arrivals.mean == pytest.approx(10.9)
    assert arrivals.survival(5.0) == pytest.approx(0.9 * math.exp(-5.0) + 0.1 * math.exp(-0.05), rel=1e-14)
    assert arrivals.after(50.0).mean == pytest.approx(150.0, rel=1e-12)


def read_off(x: float, times: list[float], left: list[float], excess: float) -> float:
    """P(X > x), by walking along the points."""
    before, high = 0.0, 1.0
    for time, low in zip(times, left, strict=True):
        if x < time:
            return high + (low - high) * (x - before) / (time - before)
        before, high = time, low
    return high * math.exp(-(x - before) / excess)


@given(survival_points(), st.lists(st.floats(0.0, 10.0), min_size=1, max_size=10))
def test_a_survival_grid_is_read_off(points: tuple[list[float], list[float], float], at: list[float]) -> None:
    times, left, excess = points
    arrivals = Arrivals.from_survival(times=times, survival=left, tail_excess=excess)
    asked = [*at, *times]
    expected = [read_off(x, times, left, excess) for x in asked]
    np.testing.assert_allclose(arrivals.survival(np.array(asked)), expected, rtol=1e-12, atol=1e-14)
    corners = sorted({0.0, *times})
    body = sum(
        (read_off(a, times, left, excess) + read_off(np.nextafter(b, 0.0), times, left, excess)) / 2.0 * (b - a)
        for a, b in pairwise(corners)
    )
    assert arrivals.mean == pytest.approx(body + left[-1] * excess, rel=1e-12)
    if left[-1] > 0.0:
        assert arrivals.after(times[-1]).mean == pytest.approx(times[-1] + excess, rel=1e-12)


def test_a_survival_grid_has_atoms_where_it_falls_at_once() -> None:
    arrivals = Arrivals.from_survival(times=[0, 2, 2, 4], survival=[0.9, 0.8, 0.3, 0.0])
    assert (arrivals.survival(0.0), arrivals.at_least(2.0), arrivals.survival(2.0)) == (0.9, 0.8, 0.3)
    assert arrivals.mean == pytest.approx(1.7 + 0.3)
    assert [arrivals.quantile(q) for q in (0.05, 0.1, 0.15, 0.2, 0.5, 0.7, 0.85, 1.0)] == pytest.approx(
        [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 3.0, 4.0]
    )


# -- recorded gaps against counting --------------------


@given(gap_lists, st.lists(st.integers(0, 60), min_size=1, max_size=5), st.data())
def test_recorded_gaps_are_counted(seen: list[float], tenths: list[int], data: st.DataObject) -> None:
    arrivals = Arrivals.empirical(seen)
    exact = [Fraction(round(gap * 1e9), 10**9) for gap in seen]
    n = len(exact)
    assert arrivals.mean == pytest.approx(float(sum(exact) / n), rel=1e-15)
    for x in [each / 10 for each in tenths] + seen:
        at = Fraction(round(x * 1e9), 10**9)
        x = float(at)
        assert arrivals.survival(x) == sum(gap > at for gap in exact) / n
        assert arrivals.at_least(x) == sum(gap >= at for gap in exact) / n
        close = {"rel": 1e-13, "abs": 1e-14}
        assert arrivals.expected_minimum(x) == pytest.approx(float(sum(min(g, at) for g in exact) / n), **close)
        partial = sum(gap for gap in exact if gap <= at) / n
        assert arrivals.partial_expectation(x) == pytest.approx(float(partial), **close)
        if arrivals.survival(x) > 0.0:
            longer = [gap for gap in exact if gap > at]
            assert arrivals.after(x).mean == pytest.approx(float(sum(longer) / len(longer)), rel=1e-13)
            j = data.draw(st.integers(1, len(longer)))
            assert arrivals.after(x).quantile(j / len(longer)) == float(sorted(longer)[j - 1])
    k = data.draw(st.integers(1, n))
    assert arrivals.quantile(k / n) == float(sorted(exact)[k - 1])


@pytest.mark.parametrize("n", [10, 1000, 10**6])
def test_quantiles_at_whole_counts_are_order_statistics(n: int) -> None:
    arrivals = Arrivals.empirical(np.arange(1.0, n + 1.0))
    k = np.unique(np.linspace(1, n, 1000).astype(int))
    assert arrivals.quantile(k / n).tolist() == k.tolist()


def test_the_order_of_recorded_gaps_is_kept() -> None:
    seen = np.array([3.0, 0.0, 1.5, 3.0])
    arrivals = Arrivals.empirical(seen)
    seen[0] = 99.0
    assert arrivals.sequence is not None
    assert arrivals.sequence.dtype == np.int64
    assert arrivals.sequence.tolist() == [3_000_000_000, 0, 1_500_000_000, 3_000_000_000]
    later = arrivals.after(1.5)
    assert later.mean == 3.0
    assert later.sequence is arrivals.sequence
    with pytest.raises(ValueError, match="read-only"):
        arrivals.sequence[0] = 1
    assert set(arrivals.sample(100, seed=1).tolist()) == {0.0, 1.5, 3.0}
    assert Arrivals.every(3.0).sequence is None
    assert Arrivals.exponential(3.0).after(1.0).sequence is None


def test_a_million_gaps_are_exact() -> None:
    ns = np.random.default_rng(5).integers(0, 10**12, 10**6)
    arrivals = Arrivals.empirical(ns / 1e9)
    assert arrivals.sequence is not None
    assert np.array_equal(arrivals.sequence, ns)
    assert arrivals.mean == pytest.approx(int(ns.sum()) / 1e15, rel=1e-15)
    half = arrivals.after(500.0)
    assert half.mean == pytest.approx(ns[ns > 500 * 10**9].mean() / 1e9, rel=1e-12)
    atoms = arrivals.atoms()
    value, count = np.unique(ns, return_counts=True)
    assert np.array_equal(atoms.times, value)
    assert np.array_equal(atoms.mass, count / 10**6)
    assert atoms.error == atoms.tail_mass == 0.0


def test_what_has_passed_cannot_come() -> None:
    recorded = Arrivals.empirical([3.0, 10.0, 10.0])
    flat = Arrivals.from_survival(times=[2.0, 6.0, 8.0], survival=[0.5, 0.5, 0.0])
    mixed = Arrivals.mixture(weights=[0.5, 0.5], components=[recorded, flat])
    # Probabilities too small to make a difference to 1 still ask for what can come.
    for arrivals, first in ((recorded, 10.0), (flat, 6.0), (mixed, 6.0), (Arrivals.exponential(9.0), 5.0)):
        assert arrivals.after(5.0).quantile(1e-17) == pytest.approx(first, rel=1e-15)
