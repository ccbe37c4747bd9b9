"""Counts of independent gaps, against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from smiless_core.arrivals import Arrivals
from smiless_core.predictors.renewals import renewal_counts


@pytest.mark.parametrize("elapsed", [0.0, 3.0, 200.0])
@pytest.mark.parametrize("horizon", [0.5, 20.0, 150.0, 1e4])
def test_exponential_gaps_make_a_poisson_process(elapsed, horizon):
    found = renewal_counts(Arrivals.exponential(5.0), elapsed=elapsed, horizon=horizon)
    expected = poisson(horizon / 5.0)
    assert found.mean == pytest.approx(expected.mean(), rel=0.005)
    for fraction in (0.1, 0.5, 0.9, 0.99):
        assert abs(found.quantile(fraction) - expected.ppf(fraction)) <= max(1, 0.01 * expected.ppf(fraction))


@pytest.mark.parametrize("shape", [0.2, 4.0])
@pytest.mark.parametrize(("elapsed", "horizon"), [(0.0, 40.0), (6.0, 15.0), (6.0, 1500.0)])
def test_gamma_gaps_against_simulation(shape, elapsed, horizon):
    arrivals = Arrivals.gamma(mean=5.0, shape=shape)
    generator = np.random.default_rng(5)
    steps = int(horizon / 5.0 * 2 + 60)
    later = generator.gamma(shape, 5.0 / shape, (4000, steps))
    first = arrivals.after(elapsed).sample(4000, seed=1) - elapsed
    came = np.cumsum(np.concatenate((first[:, None], later), axis=1), axis=1)
    counts = (came <= horizon).sum(axis=1)
    assert counts.max() <= steps
    found = renewal_counts(arrivals, elapsed=elapsed, horizon=horizon)
    assert found.mean == pytest.approx(counts.mean(), rel=0.06)
    assert found.quantile(0.9) == pytest.approx(np.quantile(counts, 0.9), rel=0.08, abs=1)


def test_timers():
    timer = Arrivals.every(60.0)
    for elapsed, horizon, count in ((0.0, 59.0, 0), (0.0, 60.0, 1), (50.0, 11.0, 1), (50.0, 300.0, 5), (10.0, 49.0, 0)):
        found = renewal_counts(timer, elapsed=elapsed, horizon=horizon)
        assert found.quantile(0.5) == count, (elapsed, horizon)
        assert found.mean == pytest.approx(count, abs=0.1)
    assert renewal_counts(timer, elapsed=0.0, horizon=600_000.0).mean == pytest.approx(10_000, rel=1e-3)


def test_what_is_overdue_comes_once_in_the_time_that_passed():
    assert renewal_counts(Arrivals.every(60.0), elapsed=61.0, horizon=30.5).mean == pytest.approx(0.5)
    assert renewal_counts(Arrivals.every(60.0), elapsed=1e9, horizon=100.0).mean == pytest.approx(1e-7, rel=1e-3)


@pytest.mark.parametrize("horizon", [1e-9, 1.0, 4.6e9, 1e300])
@pytest.mark.parametrize("mean", [1e-9, 1.0, 4.6e9])
@pytest.mark.parametrize("shape", [1e-3, 1.0, 1e6])
def test_extremes_are_counts(mean, horizon, shape):
    found = renewal_counts(Arrivals.gamma(mean=mean, shape=shape), elapsed=1.0, horizon=horizon)
    assert found.mean >= 0.0
    assert found.quantile(1.0) >= found.quantile(0.5)


def test_many_gaps_begin_with_what_is_left_of_the_first():
    assert renewal_counts(Arrivals.exponential(5.0), elapsed=4.0, horizon=325.0).mean == pytest.approx(65.0, abs=0.2)
