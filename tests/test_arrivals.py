"""Deterministic arrivals."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError

intervals = st.floats(1e-9, 4.6e9)


@given(intervals)
def test_the_distribution_has_one_atom(interval: float) -> None:
    arrivals = Arrivals.every(interval)
    assert arrivals.is_deterministic
    assert arrivals.mean == arrivals.interval == interval
    assert arrivals.survival(np.nextafter(interval, 0.0)) == 1.0
    assert arrivals.survival(interval) == 0.0
    assert arrivals.survival(-1.0) == 1.0


@given(intervals, st.floats(0.0, 1.0, exclude_min=True))
def test_the_quantile_is_where_survival_has_fallen_far_enough(interval: float, fraction: float) -> None:
    arrivals = Arrivals.every(interval)
    quantile = arrivals.quantile(fraction)
    assert 1.0 - arrivals.survival(quantile) >= fraction
    assert 1.0 - arrivals.survival(np.nextafter(quantile, 0.0)) < fraction


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan"), "half", True])
def test_a_quantile_takes_a_fraction(fraction: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^fraction: expected a .*, got "):
        Arrivals.every(1.0).quantile(fraction)


@pytest.mark.parametrize("elapsed", [float("nan"), None, "soon"])
def test_survival_takes_a_number(elapsed: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^elapsed: expected a finite number, got "):
        Arrivals.every(1.0).survival(elapsed)


@pytest.mark.parametrize("interval", [0.0, -1.0, 9e-10, 5e9, float("nan"), float("inf"), "10", True, None])
def test_an_interval_is_at_least_a_nanosecond_and_finite(interval: float) -> None:
    with pytest.raises(
        InvalidInputError, match=r"^interval: expected a finite number of at least 1e-09 and "
    ):
        Arrivals.every(interval)


def test_arrivals_are_values() -> None:
    arrivals = Arrivals.every(10)
    assert str(arrivals) == "every 10 s"
    assert str(Arrivals.every(0.25)) == "every 0.25 s"
    assert type(arrivals.interval) is float
    for twin in (pickle.loads(pickle.dumps(arrivals)), copy.copy(arrivals), copy.deepcopy(arrivals)):
        assert twin == arrivals
        assert hash(twin) == hash(arrivals)
    with pytest.raises(AttributeError):
        arrivals.interval = 3.0  # type: ignore[misc]
