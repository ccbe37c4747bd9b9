"""Exponential smoothing, against weighted sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from forecasters import told
from smiless_core.predictors.exponential_smoothing import ExponentialSmoothing
from strategies import examples


def shares(count: int, weight: float) -> np.ndarray:
    """Return what each of so many gaps counts for."""
    steps = [1.0, *(max(weight, 1.0 / (k + 1.0)) for k in range(1, count))]
    later = np.cumprod([1.0, *(1.0 - step for step in steps[:0:-1])])[::-1]
    return np.array(steps) * later


@examples(80)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 19))
def test_mean_and_spread_are_weighted(gaps, twentieths):
    weight = twentieths / 20
    part = shares(len(gaps), weight)
    assert part.sum() == pytest.approx(1.0)
    known = np.array(gaps, float)
    mean = part @ known
    # The first gap alone has the variance of an exponential distribution, which counts as it does.
    variance = part @ (known - mean) ** 2 + part[0] * known[0] ** 2
    found = told(ExponentialSmoothing(weight), np.cumsum([7.0, *known])).arrivals(0.0)
    expected = sc.Arrivals.gamma(mean=mean, shape=mean**2 / max(variance, 1e-6 * mean**2))
    assert found.mean == pytest.approx(mean)
    x = np.linspace(0.0, 3.0, 9) * mean
    assert found.survival(x) == pytest.approx(expected.survival(x), rel=1e-6, abs=1e-9)


def test_the_first_gaps_are_a_plain_mean():
    found = told(ExponentialSmoothing(0.1), [0.0, 1.0, 3.0, 6.0]).arrivals(6.0)
    assert found.mean == pytest.approx(2.0)


def test_it_follows_a_change_in_time():
    slow, fast = ExponentialSmoothing(0.02), ExponentialSmoothing(0.5)
    arrivals = np.cumsum([10.0] * 50 + [100.0] * 10)
    assert told(fast, arrivals).arrivals(arrivals[-1]).mean == pytest.approx(100.0, rel=0.01)
    assert told(slow, arrivals).arrivals(arrivals[-1]).mean < 40.0


def test_bursts_spread_wide_and_timers_do_not():
    bursts = told(ExponentialSmoothing(0.05), np.cumsum([1.0, 1.0, 1.0, 600.0] * 30)).arrivals(0.0)
    timer = told(ExponentialSmoothing(0.05), np.arange(300) * 60.0).arrivals(0.0)
    assert bursts.quantile(0.9) > 20.0 * bursts.quantile(0.3)
    assert timer.quantile(0.999) < 1.01 * timer.quantile(0.001)


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.5, 2.0, float("nan"), "half", None])
def test_weights_that_make_no_sense(weight):
    with pytest.raises(sc.InvalidInputError, match=r"^weight"):
        ExponentialSmoothing(weight)
