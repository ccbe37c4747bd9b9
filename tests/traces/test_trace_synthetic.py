"""The built-in trace: the same everywhere, and of the statistics that its documentation gives."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from smiless_core import Trace
from smiless_core.errors import InvalidInputError
from smiless_core.traces import Pattern, azure_like
from smiless_core.traces.placement import identity_generator

DAY = 86_400.0
PARTS = [pattern for pattern in Pattern if pattern is not Pattern.MIXED]
FROZEN = {
    "mixed": (731, "e90931555fbb5c19"),
    "diurnal": (437, "aafcee2f85fba235"),
    "bursts": (180, "52e03f4805f5b9ef"),
    "timers": (72, "a39329e63973a0ce"),
    "sparse": (42, "9f247f389eda0f5e"),
}


def variation(trace: Trace) -> float:
    gaps = trace.inter_arrivals
    return float(gaps.std() / gaps.mean())


@pytest.mark.parametrize("kind", Pattern)
def test_the_same_in_every_release_and_on_every_machine(kind: str) -> None:
    trace = azure_like(kind)
    digest = hashlib.sha256(trace.times.astype("<i8").tobytes()).hexdigest()
    assert (trace.count, digest[:16]) == FROZEN[kind]


def test_uniform_doubles_are_the_top_bits_of_the_generator() -> None:
    """NumPy promises to keep the bits, not what it makes of them."""
    doubles, bits = identity_generator(3, "azure-like"), identity_generator(3, "azure-like").bit_generator
    assert [doubles.random() for _ in range(1000)] == [(int(bits.random_raw()) >> 11) * 2.0**-53 for _ in range(1000)]


@given(
    kind=st.sampled_from(Pattern),
    seconds=st.floats(1e-9, 3e5),
    arrivals=st.floats(1e-3, 500.0),
    seed=st.integers(0, 2**70),
)
def test_a_valid_trace_whatever_the_arguments(kind: Pattern, seconds: float, arrivals: float, seed: int) -> None:
    rate = max(arrivals / seconds, 1e-9)
    trace = azure_like(kind, seconds=seconds, rate=rate, seed=seed)
    assert trace.times.dtype == np.int64
    assert (np.diff(trace.times) >= 0).all()
    assert not trace.count or (trace.times[0] >= 0 and trace.times[-1] <= round(seconds * 1e9))
    told = {name: trace.source[name] for name in ("format", "kind", "seconds", "rate", "seed")}
    assert told == {"format": "azure-like", "kind": str(kind), "seconds": seconds, "rate": rate, "seed": seed}
    assert np.array_equal(trace.times, azure_like(str(kind), seconds=seconds, rate=rate, seed=seed).times)


def test_the_source_tells_the_parameters() -> None:
    assert azure_like().name == "azure-like-mixed"
    assert azure_like("bursts").source["burst_size"] == 8.0
    assert sum(azure_like().source["shares"].values()) == 1.0
    for part in PARTS:
        own = {name: value for name, value in azure_like(part).source.items() if name not in ("kind", "rate")}
        assert own == {name: azure_like().source[name] for name in own}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_mix_is_its_parts_taken_together(seed: int) -> None:
    parts = np.concatenate([azure_like(part, seed=seed).times for part in PARTS])
    assert np.array_equal(azure_like(seed=seed).times, np.sort(parts))


def test_the_mix_suits_a_comparison() -> None:
    assert 600 <= azure_like().count <= 900
    counts = [azure_like(seed=seed).count for seed in range(100)]
    # 432 + 180 * 15 + 36 * 5.5: the variances of the counts of the three parts that vary.
    assert np.mean(counts) == pytest.approx(720.0, abs=4 * np.sqrt(3330.0 / 100))
    assert np.std(counts) == pytest.approx(np.sqrt(3330.0), rel=0.25)
    assert np.mean([variation(azure_like(seed=seed)) for seed in range(50)]) == pytest.approx(1.33, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "dispersion"),
    # The variance of the count over its mean: E[size**2] / E[size] of bursts, the squared CV of a renewal process.
    [("diurnal", 1.0), ("bursts", 15.0), ("timers", 0.01), ("sparse", 5.5)],
)
def test_the_rate_is_the_one_asked_for(kind: str, dispersion: float) -> None:
    expected = 4000.0
    trace = azure_like(kind, seconds=5 * DAY, rate=expected / (5 * DAY), seed=1)
    assert abs(trace.count - expected) <= max(4.0 * np.sqrt(expected * dispersion), 2.0)


@pytest.mark.parametrize("kind", ["sparse", "diurnal"])
def test_no_bias_in_short_traces(kind: str) -> None:
    """In 12 mean gaps a renewal process that began with an arrival would have 2.25 arrivals too many."""
    counts = [azure_like(kind, seconds=1200.0, rate=0.01, seed=seed).count for seed in range(2000)]
    assert np.mean(counts) == pytest.approx(12.0, abs=4 * np.std(counts) / np.sqrt(2000))


def cumulative(seconds: NDArray[np.float64], day: float) -> NDArray[np.float64]:
    """Integrate 1 + 5/9 w(t) from the start of the day, w being the two parabolas, on its own terms."""
    steps = np.linspace(0.0, 1.0, 20_001)
    wave = np.where(steps < 0.5, -16.0 * steps * (0.5 - steps), 16.0 * (steps - 0.5) * (1.0 - steps))
    rate = 1.0 + 5 / 9 * wave
    integral = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2.0) / 20_000.0])
    return day * (seconds // day * integral[-1] + np.interp(seconds % day / day, steps, integral))


@pytest.mark.parametrize(("days", "seconds"), [(3, 3 * DAY), (1, DAY / 6)])
def test_a_diurnal_rate_is_poisson_in_its_own_time(days: int, seconds: float) -> None:
    trace = azure_like("diurnal", seconds=seconds, rate=20_000.0 / seconds, seed=2)
    own = cumulative(trace.seconds, seconds / days)
    assert stats.kstest(own / seconds, "uniform").pvalue > 0.001
    assert stats.kstest(np.diff(own) * trace.source["rate"], "expon").pvalue > 0.001
    assert stats.kstest(trace.seconds / seconds, "uniform").pvalue < 1e-6  # the test has the power to tell


def test_the_load_has_a_baseline_of_half_its_peak() -> None:
    hours = np.zeros(24)
    for seed in range(10):
        trace = azure_like(seconds=2 * DAY, rate=0.5, seed=seed)
        hours += np.bincount((trace.seconds // 3600.0).astype(int) % 24, minlength=24)
    assert hours[5:7].sum() / hours[17:19].sum() == pytest.approx(0.5, abs=0.05)


def test_bursts() -> None:
    trace = azure_like("bursts", seconds=20 * DAY, rate=0.0125, seed=3)
    gaps = trace.inter_arrivals
    assert variation(trace) == pytest.approx(3.87, rel=0.05)  # sqrt(2 * 8 - 1), but for the lengths of bursts
    within = gaps[gaps < 5.0]
    # With a burst in 640 s, less than 1 % of the gaps between bursts are as short as that.
    assert 1.0 - within.size / gaps.size == pytest.approx(1 / 8, rel=0.05)
    assert within.mean() == pytest.approx(0.5, rel=0.03)
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], gaps >= 5.0, [True]])))
    assert sizes.std() == pytest.approx(np.sqrt(56.0), rel=0.1)  # geometric: m (m - 1)


def test_timers() -> None:
    trace = azure_like("timers", seed=4)
    assert trace.count == 72
    # One fires twice while the other fires once: every third arrival is one long period later, but for the lateness.
    periods = (trace.times[3:] - trace.times[:-3]) / 1e9
    assert np.abs(periods - 600.0).max() < 0.9
    assert np.unique(periods).size > 60
    firsts = {tuple(azure_like("timers", seed=seed).times[:2].tolist()) for seed in range(20)}
    assert len(firsts) == 20


def test_sparse_gaps_have_a_heavy_tail() -> None:
    trace = azure_like("sparse", seconds=8e6, rate=0.0025, seed=5)
    gaps = trace.inter_arrivals / 400.0
    assert variation(trace) == pytest.approx(np.sqrt(5.5), rel=0.05)
    law = stats.kstest(gaps, lambda x: 1.0 - 0.8 * np.exp(-4.0 * x) - 0.2 * np.exp(-x / 4.0))
    assert law.pvalue > 0.001
    assert azure_like("sparse").count < azure_like("timers").count


@pytest.mark.parametrize("kind", Pattern)
def test_seeds_differ(kind: str) -> None:
    times = np.concatenate([azure_like(kind, seed=seed).times for seed in range(5)])
    assert np.unique(times).size == times.size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "burst"}, "kind: no kind of arrivals named 'burst' (did you mean 'bursts'?)"),
        ({"kind": None}, "kind: no kind of arrivals named None"),
        ({"seconds": 0}, "seconds: expected a finite number above 0"),
        ({"seconds": 1e9}, "seconds: expected a finite number above 0 and of at most 9"),
        ({"seconds": float("nan")}, "seconds: expected a finite number"),
        ({"seconds": "4 h"}, "seconds: expected a finite number"),
        ({"rate": 0.0}, "rate: expected a finite number of at least 1e-09, got 0.0"),
        ({"rate": True}, "rate: expected a finite number"),
        ({"rate": 1e4}, "rate: expected at most 10,000,000 arrivals, got 10000 per second for 14400 s"),
        ({"rate": 1e300, "seconds": 9e6}, "rate: expected at most 10,000,000 arrivals"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"seed": 1.0}, "seed: expected a whole number"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        azure_like(**arguments)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1
