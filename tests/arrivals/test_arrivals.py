"""Arrivals as values: what makes them, how they print, compare and travel."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions import all_arrivals
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError

intervals = st.floats(1e-9, 4.6e9)


@given(intervals)
def test_a_certain_gap(interval: float) -> None:
    arrivals = Arrivals.every(interval)
    assert arrivals.is_deterministic
    assert arrivals.mean == arrivals.interval == interval
    assert arrivals.survival(np.nextafter(interval, 0.0)) == 1.0
    assert arrivals.survival(interval) == 0.0
    assert arrivals.at_least(interval) == 1.0
    assert arrivals.at_least(np.nextafter(interval, np.inf)) == 0.0
    assert arrivals.expected_minimum(interval / 3) == interval / 3
    assert arrivals.partial_expectation(interval) == interval
    assert arrivals.after(interval / 2) == arrivals


@given(intervals, st.floats(0.0, 1.0, exclude_min=True))
def test_a_certain_gap_is_every_quantile(interval: float, fraction: float) -> None:
    assert Arrivals.every(interval).quantile(fraction) == interval


def test_equal_gaps_are_deterministic() -> None:
    assert Arrivals.empirical([2.5, 2.5]).interval == 2.5
    uneven = Arrivals.empirical([2.5, 2.6])
    assert not uneven.is_deterministic
    with pytest.raises(InvalidInputError, match=r"^interval: expected deterministic arrivals, got empirical, 2"):
        _ = uneven.interval
    assert not Arrivals.exponential(1.0).is_deterministic
    assert not Arrivals.from_survival(times=[1.0], survival=[0.0]).is_deterministic


@given(all_arrivals)
def test_arrivals_are_values(arrivals: Arrivals) -> None:
    arrivals.atoms()  # what was derived must neither travel nor count
    for twin in (pickle.loads(pickle.dumps(arrivals)), copy.copy(arrivals), copy.deepcopy(arrivals)):
        assert twin == arrivals
        assert hash(twin) == hash(arrivals)
        assert twin.mean == arrivals.mean
    assert arrivals != Arrivals.every(arrivals.mean + 1.0)
    assert arrivals != arrivals.mean
    assert "\n" not in str(arrivals)
    assert repr(arrivals) == f"Arrivals({arrivals})"
    with pytest.raises(AttributeError):
        arrivals.law = Arrivals.every(3.0).law


def test_a_pickle_holds_the_gaps_only() -> None:
    arrivals = Arrivals.empirical(np.arange(1.0, 1001.0))
    fresh = len(pickle.dumps(arrivals))
    assert arrivals.mean == 500.5
    assert len(pickle.dumps(arrivals)) == fresh < 9000
    twin = pickle.loads(pickle.dumps(arrivals))
    assert not twin.sequence.flags.writeable


def test_the_order_of_gaps_makes_a_difference() -> None:
    assert Arrivals.empirical([1.0, 2.0]) != Arrivals.empirical([2.0, 1.0])
    assert Arrivals.empirical([1, 2]) == Arrivals.empirical(np.array([1.0, 2.0], dtype=np.float32))


@pytest.mark.parametrize(
    ("arrivals", "text"),
    [
        (Arrivals.every(10), "every 10 s"),
        (Arrivals.every(0.25), "every 0.25 s"),
        (Arrivals.empirical([3.1] * 1234), "empirical, 1,234 gaps, mean 3.1 s"),
        (Arrivals.empirical([2]), "empirical, 1 gap, mean 2 s"),
        (Arrivals.exponential(2), "exponential, mean 2 s"),
        (Arrivals.gamma(mean=2, shape=0.5), "gamma, shape 0.5, mean 2 s"),
        (
            Arrivals.hyper_exponential(weights=[0.5, 0.5], means=[1, 3]),
            "hyper-exponential, 2 phases, mean 2 s",
        ),
        (
            Arrivals.mixture(weights=(0.5, 0.5), components=(Arrivals.every(1), Arrivals.exponential(3))),
            "mixture of 2, mean 2 s",
        ),
        (Arrivals.from_survival(times=[4.0], survival=[0.0]), "survival at 1 time, mean 2 s"),
        (Arrivals.exponential(2).after(5), "exponential, mean 2 s; 5 s have passed"),
    ],
)
def test_arrivals_print_as_what_they_are(arrivals: Arrivals, text: str) -> None:
    assert str(arrivals) == text


@pytest.mark.parametrize("interval", [0.0, -1.0, 9e-10, 5e9, float("nan"), float("inf"), "10", True, None])
def test_an_interval_is_at_least_a_nanosecond_and_finite(interval: Any) -> None:
    for place, make in (
        ("interval", Arrivals.every),
        ("mean", Arrivals.exponential),
        ("mean", lambda mean: Arrivals.gamma(mean=mean, shape=2.0)),
        (r"means\[1\]", lambda mean: Arrivals.hyper_exponential(weights=[0.5, 0.5], means=[1.0, mean])),
    ):
        wanted = rf"^{place}: expected a finite number of at least 1e-09 and "
        with pytest.raises(InvalidInputError, match=wanted):
            make(interval)


WRONG: list[tuple[str, Any]] = [
    (
        "inter_arrivals: expected a list of at least one number, got shape (0,)",
        lambda: Arrivals.empirical([]),
    ),
    ("inter_arrivals: expected a list of at least one number, got shape ()", lambda: Arrivals.empirical(3.0)),
    ("inter_arrivals: expected a finite number, got 'soon'", lambda: Arrivals.empirical("soon")),
    ("inter_arrivals: expected a finite number, got nothing", lambda: Arrivals.empirical(None)),
    ("inter_arrivals: expected numbers, got an array of <U1", lambda: Arrivals.empirical(["a", "b"])),
    ("inter_arrivals: expected numbers, got an array of bool", lambda: Arrivals.empirical([True, False])),
    (
        "inter_arrivals: expected a list of numbers, got nested",
        lambda: Arrivals.empirical([[1.0], [1.0, 2.0]]),
    ),
    ("inter_arrivals: expected a list of at least one number, got", lambda: Arrivals.empirical([[1.0, 2.0]])),
    ("inter_arrivals[1]: expected a finite number, got nan", lambda: Arrivals.empirical([1.0, np.nan])),
    (
        "inter_arrivals[2]: expected a finite number of at least 0",
        lambda: Arrivals.empirical([1.0, 2.0, -1e-9]),
    ),
    ("inter_arrivals[0]: expected a finite number of at least 0", lambda: Arrivals.empirical([5e9, 2.0])),
    ("inter_arrivals: all 3 arrivals are simultaneous", lambda: Arrivals.empirical([0.0, 1e-10, 0.0])),
    ("shape: expected a finite number of at least 0.001", lambda: Arrivals.gamma(mean=1.0, shape=0.0)),
    (
        "weights: expected weights that add up to 1, got 0.9",
        lambda: Arrivals.hyper_exponential(weights=[0.5, 0.4], means=[1.0, 2.0]),
    ),
    (
        "weights[1]: expected a finite number above 0, got 0.0",
        lambda: Arrivals.hyper_exponential(weights=[1.0, 0.0], means=[1.0, 2.0]),
    ),
    (
        "weights: expected one weight for each of 2",
        lambda: Arrivals.hyper_exponential(weights=[1.0], means=[1.0, 2.0]),
    ),
    ("weights: expected one weight for each of 0", lambda: Arrivals.mixture(weights=[], components=[])),
    (
        "components[0]: expected Arrivals, got 3.0",
        lambda: Arrivals.mixture(weights=[1.0], components=[3.0]),
    ),
    ("components: expected a list", lambda: Arrivals.mixture(weights=[1.0], components=3.0)),
    (
        "survival: expected 2 values, got 1",
        lambda: Arrivals.from_survival(times=[1.0, 2.0], survival=[0.5]),
    ),
    (
        "times[1]: expected ascending times, got 1 after 2",
        lambda: Arrivals.from_survival(times=[2.0, 1.0], survival=[0.5, 0.0]),
    ),
    (
        "survival[1]: expected descending probabilities, got 0.6 after 0.5",
        lambda: Arrivals.from_survival(times=[1.0, 2.0], survival=[0.5, 0.6], tail_excess=1.0),
    ),
    (
        "survival[0]: expected a finite number of at least 0 and of at most 1, got 1.1",
        lambda: Arrivals.from_survival(times=[1.0], survival=[1.1]),
    ),
    (
        "times[0]: expected a finite number of at least 0",
        lambda: Arrivals.from_survival(times=[-1.0], survival=[1.0]),
    ),
    (
        "tail_excess: expected at least 1e-09 as survival ends at 0.5, got 0",
        lambda: Arrivals.from_survival(times=[1.0], survival=[0.5]),
    ),
    (
        "survival: all gaps are 0: the mean is 0 s",
        lambda: Arrivals.from_survival(times=[0.0], survival=[0.0]),
    ),
    ("law: expected a distribution, as in Arrivals.every(10.0), got 3", lambda: Arrivals(3)),
    ("elapsed: expected a finite number, got nan", lambda: Arrivals.every(1.0).survival(float("nan"))),
    ("elapsed: expected a finite number, got 'soon'", lambda: Arrivals.every(1.0).at_least("soon")),
    (
        "limit[1, 0]: expected a finite number",
        lambda: Arrivals.every(1.0).expected_minimum(np.array([[1], [np.inf]])),
    ),
    ("limit: expected a finite number, got nothing", lambda: Arrivals.every(1.0).partial_expectation(None)),
    (
        "elapsed: expected less than every 1 s can last, got 1",
        lambda: Arrivals.every(1.0).after(1.0),
    ),
    ("elapsed: expected a finite number of at least 0", lambda: Arrivals.every(1.0).after(-1.0)),
    ("count: expected a whole number of at least 0", lambda: Arrivals.every(1.0).sample(-1, seed=0)),
    ("seed: expected a whole number of at least 0", lambda: Arrivals.every(1.0).sample(1, seed=0.5)),
    ("resolution: expected a finite number of at least 1e-05", lambda: Arrivals.every(1.0).atoms(0.0)),
    ("resolution: expected a finite number of at least 1e-05", lambda: Arrivals.every(1.0).cells(0.0)),
    ("inter_arrivals: all 2 arrivals are simultaneous", lambda: Arrivals.smoothed([0.0, 0.0])),
    ("inter_arrivals[1]: expected a finite number of at least 0", lambda: Arrivals.smoothed([2.0, -1e-9])),
    ("count: expected a whole number of at least 2", lambda: Arrivals.every(1.0).path(1)),
    ("seed: expected a whole number of at least 0", lambda: Arrivals.every(1.0).path(2, seed=-1)),
]


@pytest.mark.parametrize(("message", "make"), WRONG, ids=[message for message, _ in WRONG])
def test_what_is_wrong_is_named(message: str, make: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan"), "half", True])
def test_a_quantile_takes_a_fraction(fraction: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^fraction: expected a .*, got "):
        Arrivals.exponential(1.0).quantile(fraction)
