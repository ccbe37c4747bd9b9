"""Models of time series on gaps."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

import smiless_core as sc
from forecasters import told
from smiless_core.predictors import statistical
from smiless_core.predictors.statistical import SeriesModel, StatisticalGaps


def log_normal(count: int, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(3.0, 0.5, count))


@pytest.mark.parametrize("model", list(SeriesModel))
def test_log_normal_gaps_are_found_again(model):
    arrivals = np.cumsum(log_normal(257))
    forecast = told(StatisticalGaps(model), arrivals).arrivals(arrivals[-1])
    assert math.log(forecast.quantile(0.5)) == pytest.approx(3.0, abs=0.15)
    deviation = math.log(forecast.quantile(0.841) / forecast.quantile(0.159)) / 2
    assert deviation == pytest.approx(0.5, abs=0.06)


def test_an_autoregression_foresees_what_alternates():
    generator = np.random.default_rng(1)
    gaps = np.tile([10.0, 200.0], 60) * np.exp(generator.normal(0.0, 0.05, 120))
    arrivals = np.cumsum([0.0, *gaps])
    after_long = told(StatisticalGaps(), arrivals).arrivals(arrivals[-1])
    after_short = told(StatisticalGaps(), arrivals[:-1]).arrivals(arrivals[-2])
    assert after_long.quantile(0.5) == pytest.approx(10.0, rel=0.3)
    assert after_short.quantile(0.5) == pytest.approx(200.0, rel=0.3)
    both = told(StatisticalGaps("ets"), arrivals).arrivals(arrivals[-1])  # which knows a level only
    assert 20.0 < both.quantile(0.5) < 100.0


def test_ets_follows_a_level_between_fits():
    walk = np.exp(np.cumsum(np.random.default_rng(4).normal(0.0, 0.3, 70)) + 3.0)
    arrivals = np.cumsum([0.0, *walk, *([walk[-1] * 20.0] * 12)])
    predictor = told(StatisticalGaps("ets", every=10_000), arrivals)
    before = told(StatisticalGaps("ets", every=10_000), arrivals[:71]).arrivals(arrivals[70])
    assert predictor.arrivals(arrivals[-1]).quantile(0.5) > 3.0 * before.quantile(0.5)


def test_it_is_fitted_every_so_many_gaps(monkeypatch):
    fitted = []
    original = statistical._fitted

    def counted(model, logarithms):
        fitted.append(len(logarithms))
        return original(model, logarithms)

    monkeypatch.setattr(statistical, "_fitted", counted)
    told(StatisticalGaps("ets", window=50, every=20), np.cumsum(log_normal(101)))
    assert fitted == [12, 32, 50, 50, 50]


@pytest.mark.parametrize("model", list(SeriesModel))
@pytest.mark.parametrize(
    "gaps",
    [
        [1.0, 5.0] * 40,
        [0.0] * 39 + [1.0],
        [1e-9] * 40,
        [0.0, 4.6e9] * 20,
        [1.0] * 30 + [3e7] + [1.0] * 30,
        list(np.geomspace(1e-3, 1e9, 60)),
    ],
)
def test_sequences_that_no_model_is_made_for(model, gaps):
    predictor = StatisticalGaps(model, window=40, every=5)
    arrivals = np.cumsum([0.0, *gaps])
    for at in arrivals:
        predictor.observe(at)
        forecast = predictor.arrivals(at)
        if forecast is not None:
            assert 0.0 < forecast.mean < math.inf
    again = StatisticalGaps.from_state(predictor.state())
    assert again.arrivals(arrivals[-1]).mean == predictor.arrivals(arrivals[-1]).mean


def test_a_fit_that_fails_is_the_plain_mean(monkeypatch):
    from statsforecast.models import ARIMA

    def fails(self, y, X=None):
        raise ValueError("zero-size array to reduction operation minimum which has no identity")

    monkeypatch.setattr(ARIMA, "fit", fails)
    arrivals = np.cumsum(log_normal(100))
    assert told(StatisticalGaps(), arrivals).arrivals(arrivals[-1]).quantile(0.5) == pytest.approx(20.0, rel=0.3)


def test_without_statsforecast(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(sc.MissingExtraError, match=r"smiless-core\[forecast\]"):
        StatisticalGaps()


@pytest.mark.parametrize("settings", [{"model": "lstm"}, {"window": 11}, {"window": 20_000}, {"every": 0}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(sc.InvalidInputError, match=f"^{next(iter(settings))}"):
        StatisticalGaps(**settings)
