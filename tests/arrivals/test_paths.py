"""Gaps that follow each other: their order, their number and their distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions import all_arrivals, gap_lists, simple
from smiless_core.arrivals import Arrivals

counts = st.integers(2, 300)


def distance(path: np.ndarray, arrivals: Arrivals) -> float:
    """Return the largest difference between the share of gaps above a time and its probability."""
    seconds = np.unique(path) / 1e9
    ordered = np.sort(path / 1e9)
    above = 1.0 - np.searchsorted(ordered, seconds, "right") / path.size
    reached = 1.0 - np.searchsorted(ordered, seconds, "left") / path.size
    # Whole nanoseconds may be on either side of a jump.
    high = arrivals.at_least(seconds * (1 - 1e-15) - 1e-9)
    low = arrivals.survival(seconds * (1 + 1e-15) + 1e-9)
    return float(np.max(np.maximum(low - reached, above - high)))


@given(all_arrivals, counts)
def test_a_path_has_at_least_two_gaps(arrivals: Arrivals, count: int) -> None:
    path = arrivals.path(count)
    assert path.dtype == np.int64
    assert path.ndim == 1
    assert path.size >= 2
    assert path.min() >= 0
    if arrivals.sequence is None:
        assert path.size == count
    assert np.array_equal(path, arrivals.path(count, seed=0))


@given(simple, counts, st.integers(0, 9))
def test_quantiles_have_no_sampling_error(arrivals: Arrivals, count: int, seed: int) -> None:
    if arrivals.sequence is not None:
        return
    path = arrivals.path(count, seed=seed)
    assert distance(path, arrivals) <= 0.5 / count + 1e-9
    assert sorted(path.tolist()) == sorted(arrivals.path(count, seed=seed + 1).tolist())


def test_quantiles_come_in_random_order() -> None:
    path = Arrivals.exponential(3.0).path(4000) / 1e9
    assert abs(np.corrcoef(path[1:], path[:-1])[0, 1]) < 0.05
    assert path.mean() == pytest.approx(3.0, rel=1e-3)
    assert not np.array_equal(path, Arrivals.exponential(3.0).path(4000, seed=1) / 1e9)


@given(gap_lists, counts)
def test_recorded_gaps_are_their_own_path(seen: list[float], count: int) -> None:
    arrivals = Arrivals.empirical(seen)
    path = arrivals.path(count, seed=count)
    exact = [round(gap * 1e9) for gap in seen]
    assert path.tolist() == (exact if len(seen) > 1 else exact * count)
    elapsed = arrivals.quantile(0.4)
    if arrivals.survival(elapsed) > 0.0:
        assert np.array_equal(arrivals.after(elapsed).path(count, seed=count), path)


def test_a_certain_gap_comes_again_and_again() -> None:
    assert Arrivals.every(2.5).path(4).tolist() == [2_500_000_000] * 4
    assert Arrivals.smoothed([2.5, 2.5]).path(3).tolist() == [2_500_000_000] * 3


def test_smoothed_gaps_keep_their_order() -> None:
    generator = np.random.default_rng(3)
    seen = np.where(np.arange(400) % 20 < 15, 1.0, 600.0) * generator.normal(1.0, 0.01, 400)
    seen[::50] = 0.0
    arrivals = Arrivals.smoothed(seen)
    path = arrivals.path(1000, seed=5)
    assert path.size == 1200
    assert arrivals.path(300).size == 400
    spread = path.reshape(3, 400) / 1e9
    assert not spread[:, seen == 0.0].any()
    off = np.abs(spread / np.where(seen, seen, 1.0) - 1.0)[:, seen > 0.0]
    assert off.max() <= 1.0
    assert np.median(off) < 0.02
    assert not np.array_equal(spread[0], spread[1])
    assert np.array_equal(arrivals.after(1.0).path(1000, seed=5), path)


@pytest.mark.parametrize("scale", [0.001, 0.1, 1.0])
def test_a_smoothed_path_has_the_smoothed_distribution(scale: float) -> None:
    generator = np.random.default_rng(4)
    seen = 60.0 * generator.gamma(1.0 / scale**2, scale**2, 500)
    arrivals = Arrivals.smoothed(seen)
    path = arrivals.path(200_000, seed=6)
    assert distance(path, arrivals) <= 2.0 / np.sqrt(path.size)
    assert path.mean() / 1e9 == pytest.approx(arrivals.mean, rel=5e-3)
