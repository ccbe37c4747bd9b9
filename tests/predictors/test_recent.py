"""Forecasts from the recent past."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.predictors import RecentGaps
from strategies import examples


def told(arrivals: list[float], *, count: int = 4, least: int = 2) -> sc.Arrivals | None:
    predictor = RecentGaps(count, least=least)
    for at in arrivals:
        predictor.observe(at)
    return predictor.arrivals(arrivals[-1] if arrivals else 0.0)


@examples(80)
@given(st.lists(st.integers(0, 50), max_size=9), st.integers(1, 5), st.integers(1, 5))
def test_a_forecast_is_that_of_the_last_gaps(gaps, count, least):
    count = max(count, least)
    found = told(np.cumsum([100, *gaps]).astype(float).tolist(), count=count, least=least)
    remembered = gaps[-count:]
    if len(remembered) < least or not any(remembered):
        assert found is None
        return
    expected = sc.Arrivals.smoothed([float(each) for each in remembered])
    assert found is not None
    assert str(found) == str(expected)
    assert found.mean == expected.mean
    x = np.linspace(0.0, 80.0, 33)
    assert found.survival(x).tolist() == expected.survival(x).tolist()


def test_too_little_is_no_forecast():
    assert told([]) is None
    assert told([3.0]) is None
    assert told([3.0, 9.0]) is None
    assert told([3.0, 9.0], least=1) is not None
    assert told([3.0, 9.0, 12.0]) is not None
    assert told([3.0, 3.0, 3.0]) is None


def test_asking_changes_nothing():
    predictor = RecentGaps(4)
    for at in (0.0, 4.0, 9.0):
        predictor.observe(at)
    first = predictor.arrivals(9.0)
    predictor.arrivals(500.0)
    assert str(predictor.arrivals(9.0)) == str(first)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "now", None])
def test_what_is_no_time(wrong):
    predictor = RecentGaps()
    predictor.observe(5.0)
    with pytest.raises(sc.InvalidInputError, match=r"^t: "):
        predictor.observe(wrong)


@pytest.mark.parametrize(
    "settings", [{"count": 1}, {"count": 0}, {"count": 2.5}, {"least": 0}, {"count": 3, "least": 4}]
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(sc.InvalidInputError):
        RecentGaps(**settings)
