"""Numbers of arrivals, against counting by hand and scipy."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma, norm, poisson

import smiless_core as sc
from smiless_core.arrivals import Counts
from strategies import examples

values = st.lists(st.integers(0, 9), min_size=1, max_size=12)
weighted = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=9).filter(
    lambda pairs: any(weight for _, weight in pairs)
)


@examples(150)
@given(values, st.integers(0, 1000), st.integers(-1, 11))
def test_equal_weights_are_an_ordered_list(given, thousandths, count):
    counts = Counts(given)
    ordered = sorted(given)
    assert counts.values.tolist() == sorted(set(given))
    assert counts.probabilities.sum() == pytest.approx(1.0)
    assert counts.mean == pytest.approx(sum(given) / len(given))
    assert counts.at_most(count) == pytest.approx(sum(each <= count for each in given) / len(given))
    rank = max(math.ceil(thousandths * len(given) / 1000), 1)
    assert counts.quantile(thousandths / 1000) == ordered[rank - 1]


@examples(100)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=9).filter(
        lambda p: any(w for _, w in p)
    )
)
def test_weights_are_repetitions(pairs):
    found = Counts([value for value, _ in pairs], [weight * 1e305 for _, weight in pairs])
    repeated = Counts([value for value, weight in pairs for _ in range(weight)])
    assert found.values.tolist() == repeated.values.tolist()
    assert found.probabilities == pytest.approx(repeated.probabilities)


def test_the_most_probable_extremes():
    counts = Counts([0, 7], [1.0, 1e-10])
    assert counts.quantile(1.0) == 7
    assert counts.quantile(1.0 - 1e-9) == 0
    assert Counts([2**53]).quantile(0.0) == 2**53
    assert Counts([3], [1e-320]).mean == 3.0
    assert Counts([0, 1], [1e308, 1e308]).mean == 0.5


def test_values_are_a_copy():
    counts = Counts([1, 2])
    counts.values[0] = 9
    assert counts.values.tolist() == [1, 2]
    for same in (pickle.loads(pickle.dumps(counts)), copy.deepcopy(counts), Counts([2, 1], [5, 5])):
        assert same == counts
        assert hash(same) == hash(counts)
    assert counts != Counts([1, 2], [1, 2])
    assert counts != [1, 2]


@pytest.mark.parametrize("mean", [1e-9, 0.3, 7.0, 250.0, 999.0])
def test_poisson(mean):
    found = Counts.poisson(mean)
    assert found.mean == pytest.approx(mean, rel=1e-3 if mean < 1e-6 else 1e-9)
    assert found.probabilities == pytest.approx(poisson(mean).pmf(found.values), abs=1e-9)


@pytest.mark.parametrize("mean", [1001.0, 1e6, 1e12])
def test_many_of_a_poisson_process(mean):
    found = Counts.poisson(mean)
    assert found.mean == pytest.approx(mean, rel=1e-9)
    for fraction in (0.01, 0.5, 0.99):
        assert found.quantile(fraction) == pytest.approx(
            norm(mean, math.sqrt(mean)).ppf(fraction), abs=0.1 * math.sqrt(mean)
        )


@pytest.mark.parametrize(
    ("mean", "variance"), [(3.0, 0.0), (0.4, 0.0), (50.0, 900.0), (1e12, 1e20), (1.0, 1e9), (1e-9, 1.0)]
)
def test_spread(mean, variance):
    found = Counts.spread(mean=mean, variance=variance)
    assert found.mean == pytest.approx(mean, abs=1 / 512)
    if variance == 0.0:
        assert found.quantile(1.0) - found.quantile(0.0) <= 1
    if mean == 50.0:
        for fraction in (0.05, 0.5, 0.95):
            assert found.quantile(fraction) == pytest.approx(gamma(25 / 9, scale=18.0).ppf(fraction), abs=1.5)


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ([], None),
        ([-1], None),
        ([1.5], None),
        ([True], None),
        ([2**53 + 1], None),
        ([10**30], None),
        (5, None),
        ("12", None),
        ([1], []),
        ([1, 2], [1.0]),
        ([1], [0.0]),
        ([1], [-1.0]),
        ([1], [math.nan]),
        ([1], 1.0),
    ],
)
def test_what_is_no_distribution(values, weights):
    with pytest.raises(sc.InvalidInputError, match=r"^(values|weights)"):
        Counts(values, weights)


def test_questions_that_make_no_sense():
    counts = Counts([1])
    for fraction in (-0.1, 1.1, math.nan, "most"):
        with pytest.raises(sc.InvalidInputError, match=r"^fraction"):
            counts.quantile(fraction)
    with pytest.raises(sc.InvalidInputError, match=r"^count"):
        counts.at_most(math.nan)
    for mean in (-1.0, math.inf, 2e12):
        with pytest.raises(sc.InvalidInputError, match=r"^mean"):
            Counts.poisson(mean)
    for mean, variance in ((0.0, 1.0), (1.0, -1.0), (1.0, math.nan)):
        with pytest.raises(sc.InvalidInputError):
            Counts.spread(mean=mean, variance=variance)


def test_it_shows_itself():
    assert repr(Counts([0, 2, 2, 5])) == "Counts(mean 2.25, at most 5)"
    assert np.array_equal(Counts(range(3)).values, [0, 1, 2])
