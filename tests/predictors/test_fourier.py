"""The Fourier extrapolation of counts, against IceBreaker's rule and rates that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

import smiless_core as sc
from forecasters import told
from smiless_core.predictors.extrapolation import extrapolation_weights
from smiless_core.predictors.fourier import FourierExtrapolation
from strategies import examples


def extrapolated(values: np.ndarray, harmonics: int, ahead: int) -> np.ndarray:
    """Extrapolate slowly: fit a parabola, transform what is left, and add up the waves that are kept."""
    count = len(values)
    times = np.arange(count)
    degree = min(2, count - 1)
    fit = np.polyfit(times, values, degree)
    rest = np.fft.fft(values - np.polyval(fit, times))
    frequencies = np.fft.fftfreq(count)
    kept = sorted(range(count), key=lambda k: abs(frequencies[k]))[: 1 + 2 * harmonics]
    found = []
    for later in range(ahead):
        wave = sum((rest[k] * np.exp(2j * np.pi * frequencies[k] * (count + later))).real for k in kept) / count
        found.append(np.polyval(fit, count) + wave)
    return np.array(found)


@examples(60)
@given(st.lists(st.integers(0, 20), min_size=4, max_size=24), st.integers(0, 12), st.integers(1, 30))
def test_weights_are_the_extrapolation(values, harmonics, ahead):
    known = np.array(values, float)
    found = extrapolation_weights(len(values), harmonics, ahead) @ known
    if len(values) > 1 + 2 * harmonics or len(values) % 2:  # else the highest frequency is kept or not by chance
        assert found == pytest.approx(extrapolated(known, harmonics, ahead), abs=1e-7)


def test_weights_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        extrapolation_weights(5, 2)[0] = 1.0


def waves(hours: int, seed: int = 2) -> np.ndarray:
    """Return arrivals whose rate goes up and down once in half an hour, from 0 to 24 in a minute."""
    generator = np.random.default_rng(seed)
    minutes = np.arange(hours * 60)
    counts = generator.poisson(12.0 * (1.0 - np.cos(2.0 * np.pi * minutes / 30.0)))
    return np.sort(
        np.concatenate([60.0 * m + generator.uniform(0.0, 60.0, c) for m, c in zip(minutes, counts, strict=True)])
    )


def test_a_rate_that_goes_up_and_down_is_foreseen():
    arrivals = waves(3)
    predictor = told(FourierExtrapolation(), arrivals)
    now = 3 * 3600.0
    foreseen = [predictor.demand(now, horizon=60.0 * k).mean for k in (5, 10, 20, 25, 30)]
    parts = np.diff(foreseen, prepend=0.0)
    # 0 to 5, 5 to 10, 10 to 20, 20 to 25 and 25 to 30 minutes after a valley.
    expected = [
        quad(lambda m: 12.0 * (1.0 - np.cos(2.0 * np.pi * m / 30.0)), *span)[0]
        for span in ((0, 5), (5, 10), (10, 20), (20, 25), (25, 30))
    ]
    assert parts == pytest.approx(expected, rel=0.3, abs=15.0)
    calm = predictor.arrivals(now)
    busy = predictor.arrivals(now + 60.0)
    assert calm.mean - (now - arrivals[-1]) > 2.0
    assert busy is not None


def test_survival_is_that_of_the_rate():
    predictor = told(FourierExtrapolation(10.0, window=40, harmonics=3), waves(1))
    now = waves(1)[-1]
    forecast = predictor.arrivals(now)
    for ahead in (0.5, 2.0, 8.0, 15.0, 40.0):
        none = predictor.demand(now, horizon=ahead).at_most(0)
        assert forecast.survival(ahead) == pytest.approx(none, abs=0.003)


def test_the_rate_dies_with_a_long_silence():
    arrivals = waves(1)
    predictor = told(FourierExtrapolation(), arrivals)
    busy = predictor.demand(arrivals[-1], horizon=600.0).mean
    silent = [predictor.demand(arrivals[-1] + hours * 3600.0, horizon=600.0).mean for hours in (1, 10, 100)]
    assert busy > 50.0
    assert busy > silent[0] > silent[1] > silent[2] > 0.0


def test_buckets_that_are_slept_through_are_empty():
    # Two arrivals in the first bucket, none in three, one in the fifth, which is not over.
    predictor = told(FourierExtrapolation(10.0, window=8, harmonics=0), [3.0, 4.0, 3.0 + 41.0])
    again = told(FourierExtrapolation(10.0, window=8, harmonics=0), [103.0, 104.0, 103.0 + 41.0])
    assert predictor.demand(44.0, horizon=5.0) == again.demand(144.0, horizon=5.0)
    assert told(FourierExtrapolation(10.0), [3.0, 4.0, 12.9]).arrivals(12.9) is None  # the first one is not over
    assert told(FourierExtrapolation(10.0), [3.0, 4.0, 12.9]).arrivals(13.1) is not None


@pytest.mark.parametrize(
    "settings",
    [{"bucket": 0.0}, {"bucket": 1e9}, {"window": 0}, {"window": 2_000}, {"harmonics": -1}, {"harmonics": 1.5}],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(sc.InvalidInputError, match=f"^{next(iter(settings))}"):
        FourierExtrapolation(**settings)


def test_the_present_bucket_has_begun():
    counts = [0, 9, 9, 1, 1, 9]
    arrivals = [10.0 * k + each for k, count in enumerate(counts) for each in np.linspace(0.5, 9.5, count)]
    predictor = told(FourierExtrapolation(10.0, window=6, harmonics=2), [0.0, *arrivals, 67.0])
    known = np.array([1, *counts[1:]], float)  # the first arrival begins the first bucket
    mean = (known.sum() + 1.0) / 7.0
    this, following = np.clip(extrapolation_weights(6, 2, 2) @ known, mean / 7.0, 9.0)
    assert abs(this - following) > 3.0
    for horizon, expected in ((2.0, 0.2 * this), (3.0, 0.3 * this), (8.0, 0.3 * this + 0.5 * following)):
        assert predictor.demand(67.0, horizon=horizon).mean == pytest.approx(expected)
