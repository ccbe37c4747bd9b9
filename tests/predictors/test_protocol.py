"""What holds of every forecaster: `Predictor`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from forecasters import FORECASTERS, told
from smiless_core.arrivals import Counts
from smiless_core.predictors import Predictor
from strategies import examples

# How much of the probability is within 10 % of the period of a timer, at least. Buckets of a minute see no more than
# the rate of one, for which it is 0.074; and bins that are 15 % wide may reach beyond these 10 %.
SHARPNESS = {"fourier": 0.07, "hazard": 0.6}
# What a state may take, bytes; those of a hazard and of networks hold their whole model.
LARGEST = {"hazard": 300_000, "lstm": 100_000, "chain": 20_480}

YEAR = 365.25 * 86_400.0
TROUBLES = {
    "nothing": [],
    "one": [5.0],
    "simultaneous": [5.0] * 40,
    "duplicates": [at for at in np.arange(0.0, 900.0, 30.0) for _ in range(3)],
    "out of order": [at + late for at in np.arange(0.0, 180.0, 3.0) for late in (0.0, -0.4, 0.1, -0.9)],
    "set back": [*np.arange(10_000.0, 13_000.0, 60.0), *np.arange(0.0, 3_000.0, 60.0)],
    "set back often": [at % 7_000.0 for at in np.arange(0.0, 60_000.0, 600.0)],
    "years": [0.0, YEAR, 2.0 * YEAR, 2.0 * YEAR + 1.0, 3.0 * YEAR, 400.0 * YEAR, 401.0 * YEAR],
    "a year in the middle": [*np.arange(0.0, 3_000.0, 60.0), *(YEAR + np.arange(0.0, 3_000.0, 60.0))],
    "a year at the end": [*np.arange(0.0, 3_000.0, 60.0), YEAR],
    "nanoseconds": np.arange(50) * 1e-9,
    "long ago": -1e12 + np.arange(0.0, 3_000.0, 60.0),
    "alternating": np.cumsum([1.0, 600.0] * 40),
}


@pytest.fixture(params=FORECASTERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def fresh(name: str) -> Predictor:
    return FORECASTERS[name]()


def poisson(count: int, *, mean: float = 30.0, seed: int = 3) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(mean, count))


def said(predictor: Predictor, now: float, *, horizon: float = 300.0) -> tuple[Any, ...]:
    """Return all that a forecaster says at some time, as numbers."""
    arrivals, demand = predictor.arrivals(now), predictor.demand(now, horizon=horizon)
    counts = demand.values.tolist(), demand.probabilities.tolist()
    if arrivals is None:
        return None, *counts
    return arrivals.mean, arrivals.survival(np.geomspace(0.01, 1e6, 40)).tolist(), *counts


def test_nothing_is_known_at_first(fresh):
    assert fresh.arrivals(5.0) is None
    assert fresh.demand(5.0, horizon=1e6) == Counts([0])
    fresh.observe(5.0)  # nor from a first arrival alone
    for known in (fresh, type(fresh).from_state(fresh.state())):
        assert known.arrivals(5.0) is None
        assert known.demand(5.0, horizon=10.0) == Counts([0])


@pytest.mark.parametrize("elapsed", [0.0, 1.0, 25.0, 90.0])
def test_given_that_none_has_come(fresh, elapsed):
    arrivals = poisson(300)
    forecast = told(fresh, arrivals).arrivals(arrivals[-1] + elapsed)
    assert forecast is not None
    assert forecast.at_least(elapsed) == 1.0
    assert forecast.survival(elapsed * 0.99) == 1.0 or elapsed == 0.0
    assert forecast.mean > elapsed
    assert forecast.is_conditioned or elapsed == 0.0
    fractions = np.linspace(0.01, 1.0 - 1e-6, 30)
    quantiles = forecast.quantile(fractions)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles) >= 0.0).all()
    assert (quantiles >= elapsed * (1 - 1e-12)).all()


def test_before_the_last_arrival_nothing_has_passed(fresh):
    arrivals = poisson(100)
    told(fresh, arrivals)
    assert said(fresh, arrivals[-1] - 1e4) == said(fresh, arrivals[-1])


def test_the_future_does_not_matter(name):
    arrivals = poisson(120)
    whole, reversed_ = FORECASTERS[name](), FORECASTERS[name]()
    cut = 80
    gaps = np.diff(arrivals)
    other = np.cumsum([arrivals[0], *gaps[: cut - 1], *gaps[cut - 1 :][::-1]])
    for index in range(cut):
        # An hour later in between: to be asked changes nothing either.
        assert said(whole, arrivals[index] + 3_600.0) == said(whole, arrivals[index] + 3_600.0)
        whole.observe(arrivals[index])
        reversed_.observe(other[index])
    assert said(whole, arrivals[cut - 1]) == said(reversed_, other[cut - 1])
    assert whole.state() == reversed_.state()
    told(whole, arrivals[cut:])
    told(reversed_, other[cut:])
    assert whole.state() != reversed_.state()  # or the test would not have seen anything


@pytest.mark.parametrize("trouble", TROUBLES)
def test_time_that_is_not_perfect(name, trouble):
    predictor = FORECASTERS[name]()
    for at in TROUBLES[trouble]:
        predictor.observe(float(at))
    last = float(TROUBLES[trouble][-1]) if len(TROUBLES[trouble]) else 0.0
    for elapsed in (0.0, 10.0, 1e5, YEAR, 1e12, -1e5):
        for horizon in (1e-6, 60.0, YEAR, 1e15):
            demand = predictor.demand(last + elapsed, horizon=horizon)
            assert demand.values.min() >= 0
            assert 0.0 <= demand.mean < math.inf
        forecast = predictor.arrivals(last + elapsed)
        if forecast is not None:
            assert 0.0 < forecast.mean < math.inf
            assert forecast.quantile(0.5) >= 0.0
    again = type(predictor).from_state(predictor.state())
    assert again.state() == predictor.state()


@pytest.mark.parametrize("trouble", ["out of order", "set back", "duplicates", "alternating", "a year in the middle"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.4, 1.0])
def test_a_state_goes_on_as_it_was(name, trouble, part):
    arrivals = [float(at) for at in TROUBLES[trouble]]
    cut = int(part * len(arrivals))
    original = told(FORECASTERS[name](), arrivals[:cut])
    state = original.state()
    again = type(original).from_state(state)
    assert again.state() == state
    for at in arrivals[cut : cut + 100]:
        original.observe(at)
        again.observe(at)
    now = arrivals[-1] + 7.0
    assert said(again, now) == said(original, now)
    assert again.state() == original.state()


def test_states_that_are_none(name, fresh):
    kind = type(fresh)
    state = told(fresh, poisson(60)).state()
    for cut in {*range(0, min(len(state), 400), 7), len(state) // 2, len(state) - 1}:
        with pytest.raises(sc.InvalidInputError):
            kind.from_state(state[:cut])
    for make in FORECASTERS.values():
        if type(make()) is not kind:
            with pytest.raises(sc.InvalidInputError, match="state"):
                kind.from_state(told(make(), poisson(20)).state())
    # The version is the byte after the name of the kind.
    after = 2 + (state[1] & 0x1F)
    assert state[after] < 0x7F
    with pytest.raises(sc.InvalidInputError, match="version"):
        kind.from_state(state[:after] + bytes([state[after] + 1]) + state[after + 1 :])
    for foreign in (b"", b"\x00" * 50, "text", None, b"\x91" * 10_000):
        with pytest.raises(sc.InvalidInputError, match="state"):
            kind.from_state(foreign)


@examples(60)
@given(data=st.data(), name=st.sampled_from(sorted(FORECASTERS)))
def test_damaged_states(data, name):
    predictor = told(FORECASTERS[name](), poisson(30))
    state = predictor.state()
    at = data.draw(st.integers(0, min(len(state), 1_000) - 1))
    damaged = state[:at] + bytes([data.draw(st.integers(0, 255))]) + state[at + 1 :]
    try:
        again = type(predictor).from_state(damaged)
    except sc.InvalidInputError:
        return
    # It may be another number, but it is one that can be gone on from.
    told(again, [1e4, 2e4])
    said(again, 2e4 + 10.0)


def test_memory_is_bounded(name):
    predictor = FORECASTERS[name]()
    sizes = []
    arrivals = poisson(10_000)
    count = 1_000 if name == "switching" else 10_000  # every arrival costs a forecast of each of its members
    for index, at in enumerate(arrivals[:count].tolist()):
        predictor.observe(at)
        if index in (count // 2 - 1, count - 1):
            sizes.append(len(predictor.state()))
    assert sizes[1] <= LARGEST.get(name, 5_000)
    assert sizes[1] <= sizes[0] + 64  # numbers may get longer


def test_demand_of_a_poisson_process(name):
    found, errors = [], []
    for seed in range(4):
        arrivals = poisson(300, mean=12.0, seed=seed)
        predictor = told(FORECASTERS[name](), arrivals)
        for elapsed in (0.0, 10.0):
            demand = predictor.demand(arrivals[-1] + elapsed, horizon=240.0)
            found.append(demand.mean)
            errors.append(demand.quantile(0.98) - demand.mean)
    assert np.mean(found) == pytest.approx(20.0, rel=0.25)
    assert 3.0 <= np.mean(errors) <= 40.0  # 9.5 for the process itself: more where the rate is not certain


@pytest.mark.parametrize("period", [75.0, 900.0])
def test_timers_are_recognized(name, period):
    arrivals = period * np.arange(200.0)
    predictor = told(FORECASTERS[name](), arrivals)
    forecast = predictor.arrivals(arrivals[-1])
    near = forecast.at_least(0.9 * period) - forecast.survival(1.1 * period)
    assert near >= SHARPNESS.get(name, 0.9)
    assert forecast.mean == pytest.approx(period, rel=0.25)
    # Which is kept while it waits.
    later = predictor.arrivals(arrivals[-1] + period / 2)
    assert later.at_least(0.9 * period) - later.survival(1.1 * period) >= SHARPNESS.get(name, 0.9)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "now", None])
def test_what_is_no_time(fresh, wrong):
    told(fresh, poisson(20))
    state = fresh.state()
    with pytest.raises(sc.InvalidInputError):
        fresh.observe(wrong)
    with pytest.raises(sc.InvalidInputError):
        fresh.arrivals(wrong)
    with pytest.raises(sc.InvalidInputError):
        fresh.demand(wrong, horizon=1.0)
    for horizon in (0.0, -1.0, wrong):
        with pytest.raises(sc.InvalidInputError):
            fresh.demand(1e6, horizon=horizon)
    assert fresh.state() == state
