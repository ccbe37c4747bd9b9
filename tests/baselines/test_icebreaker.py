"""IceBreaker: its forecast against a Fourier transform, and its choices by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations import names_all, seen
from problems import Made, diamond, made_up
from smiless_core.baselines import IceBreaker
from smiless_core.errors import InvalidInputError
from smiless_core.model import Hardware, Limits, Problem
from smiless_core.policies import Decision, Policy
from smiless_core.predictors import extrapolation_weights
from strategies import examples


def transformed(series: Sequence[float], harmonics: int) -> float:
    """Return the forecast by the steps of the paper: detrend, transform, drop, transform back, extend."""
    count = len(series)
    times = np.arange(count)
    trend = np.polynomial.Polynomial.fit(times, series, min(2, count - 1))
    left = np.fft.fft(np.asarray(series) - trend(times))
    kept = sorted(range(count), key=lambda k: abs(np.fft.fftfreq(count)[k]))[: 1 + 2 * harmonics]
    extended = sum(
        abs(left[k]) / count * np.cos(2 * np.pi * np.fft.fftfreq(count)[k] * count + np.angle(left[k])) for k in kept
    )
    return float(trend(count) + extended)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=70), st.integers(0, 12))
@examples(60)
def test_the_forecast_is_that_of_the_fourier_transform(series: list[int], harmonics: int) -> None:
    (weights,) = extrapolation_weights(len(series), harmonics)
    assert float(weights @ series) == pytest.approx(transformed(series, harmonics), abs=1e-6)


def test_a_trend_goes_on_and_what_comes_once_a_window_comes_again() -> None:
    times = np.arange(60)
    assert extrapolation_weights(60, 10)[0] @ (3 + 2 * times + times**2) == pytest.approx(3 + 120 + 3600)
    waves = 5 + np.cos(2 * np.pi * 6 * times / 60)
    assert extrapolation_weights(60, 10)[0] @ waves == pytest.approx(6.0, abs=0.1)
    assert extrapolation_weights(60, 5)[0] @ waves == pytest.approx(5.0, abs=0.1)  # the sixth frequency is dropped


def choice(limits: Limits | None = None) -> Problem:
    """One function: 4 s on the cpu for $1, 1 s on the gpu for $8 a second; either starts in 2 s."""
    cpu, gpu = (Made(Fraction(price), Fraction(latency), Fraction(2)) for price, latency in ((1, 4), (8, 1)))
    return made_up([[cpu, gpu]], limits=limits or Limits())


class Minutes:
    """Decisions at the ends of minutes, with so many arrivals together in each of them."""

    def __init__(self, problem: Problem, **settings: float) -> None:
        self.problem = problem
        self.decide = IceBreaker(**settings).start(problem, now=0.0, seed=0)
        self.arrivals: list[float] = []
        self.minute = 0
        decision = self.decide(seen(problem, 0.0))
        assert names_all(problem, decision)
        self.directive = decision.directives["f0"]

    def pass_one(self, together: int) -> Decision:
        self.arrivals += [60.0 * self.minute + 30.0] * together
        if together:
            asked = self.decide(seen(self.problem, 60.0 * self.minute + 30.0, self.arrivals))
            assert asked[1:] == (60.0 * (self.minute + 1), False)
        self.minute += 1
        decision = self.decide(seen(self.problem, 60.0 * self.minute, self.arrivals))
        self.directive = decision.directives.get("f0", self.directive)
        return decision

    @property
    def chosen(self) -> tuple[str, int]:
        return str(self.directive.configuration.hardware), self.directive.min_replicas


def test_utility_decides_between_the_hardware_and_nothing() -> None:
    minutes = Minutes(choice())
    assert minutes.chosen == ("gpu", 0)
    # Until there are more than ten forecasts to judge by, all is warmed up on the costlier one.
    for _ in range(10):
        minutes.pass_one(3)
        assert minutes.chosen == ("gpu", 3)
    # The last ten are right: none missed, none wasted, and (1 + 2) / (4 + 2) of the time: (0 + 1 + 1 / 2) / 3.
    minutes.pass_one(3)
    assert minutes.chosen == ("cpu", 3)


@pytest.mark.parametrize(("low", "high", "chosen"), [(0.0, 0.49, ("gpu", 3)), (0.51, 1.0, ("cpu", 0))])
def test_the_thresholds_count(low: float, high: float, chosen: tuple[str, int]) -> None:
    minutes = Minutes(choice(), low=low, high=high)
    for _ in range(11):
        minutes.pass_one(3)
    assert minutes.chosen == chosen


def test_what_was_not_forecast_raises_the_utility_and_what_did_not_come_lowers_it() -> None:
    # One interval of history, forecasts from one value: that it comes again. 2 after 1: half was missed.
    minutes = Minutes(choice(), window=1, history=1, low=0.1, high=0.6)
    minutes.pass_one(1)
    minutes.pass_one(2)
    assert minutes.chosen == ("gpu", 2)  # (1 / 2 + 1 + 1 / 2) / 3
    minutes.pass_one(1)
    assert minutes.chosen == ("cpu", 1)  # 2 forecast for 1: (0 + 0 + 1 / 2) / 3
    # Nothing came: there is nothing to warm up, whatever the utility.
    minutes.pass_one(0)
    assert minutes.chosen == ("cpu", 0)


def test_concurrency_is_the_most_services_at_once() -> None:
    problem = choice()
    decide = IceBreaker().start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    # 1 s each on the gpu: 10.0, 10.5 and 10.9 overlap, 11.0 begins when the first one has ended.
    times = [10.0, 10.5, 10.9, 11.0, 40.0]
    decide(seen(problem, 10.0, times[:1]))
    assert decide(seen(problem, 60.0, times)).directives["f0"].min_replicas == 3


def test_it_sleeps_when_a_window_has_passed_without_arrivals() -> None:
    minutes = Minutes(choice(), window=5)
    assert minutes.pass_one(2).wake == 120.0
    for minute in range(2, 6):
        assert minutes.pass_one(0).wake == 60.0 * (minute + 1)
    assert minutes.pass_one(0)[1:] == (None, True)
    # Half a day later it is awake at the end of the minute that something comes in.
    late = 43_210.0
    assert minutes.decide(seen(minutes.problem, late, [*minutes.arrivals, late]))[1:] == (43_260.0, False)


def test_limits_are_kept() -> None:
    capped = Minutes(choice(Limits(max_replicas=2)))
    capped.pass_one(3)
    assert capped.chosen == ("gpu", 2)
    assert Minutes(choice(Limits(min_replicas=4))).chosen == ("gpu", 4)


def test_functions_with_one_kind_of_hardware_run_on_it() -> None:
    problem = diamond(limits=Limits(sizes={Hardware.CPU: (1.0, 2.0)}))
    decision = IceBreaker().start(problem, now=0.0, seed=0)(seen(problem, 0.0))
    assert names_all(problem, decision)
    assert {each.configuration.hardware for each in decision.directives.values()} == {Hardware.CPU}


def test_what_it_says_of_itself() -> None:
    policy: Policy = IceBreaker(window=30)
    assert policy.name == "IceBreaker"
    assert policy.fidelity.startswith("simplified: no memory footprint")
    assert "window=30" in repr(policy)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"interval": 0.0}, "interval"),
        ({"window": 0}, "window"),
        ({"harmonics": -1}, "harmonics"),
        ({"history": 0}, "history"),
        ({"low": 0.5, "high": 0.4}, "high"),
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, float], place: str) -> None:
    with pytest.raises(InvalidInputError, match=place):
        IceBreaker(**settings)
