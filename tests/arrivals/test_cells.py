"""Distributions as cells: what stays exact, and how far off the rest may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions import all_arrivals, gap_lists, means, places, smoothed, survival_points
from smiless_core.arrivals import Arrivals, Cells

resolutions = st.sampled_from([0.005, 0.02, 0.3, 1.0])


def survival(cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ends of the cells from 0 on, P(X > end), and P(X >= end) for all but the first of them."""
    times = np.append(0.0, cells.times / 1e9)
    above = np.cumsum(np.append(cells.tail_mass, (cells.mass + cells.spread)[::-1]))[::-1]
    return times, above, above[1:] + cells.mass


def expected_minimum(cells: Cells, limits: np.ndarray) -> np.ndarray:
    """Integrate the survival, which is straight in each cell and level up to the tail's atom, up to the limits."""
    times, above, at_least = survival(cells)
    areas = np.append(0.0, np.cumsum(np.diff(times) * (above[:-1] + at_least) / 2))
    k = np.minimum(np.searchsorted(times, limits, "right"), times.size - 1)
    passed = np.minimum(limits, times[k]) - times[k - 1]
    width = times[k] - times[k - 1]
    slope = np.divide(at_least[k - 1] - above[k - 1], width, out=np.zeros(limits.size), where=width > 0)
    inside = areas[k - 1] + passed * (above[k - 1] + slope * passed / 2)
    return inside + cells.tail_mass * np.clip(limits - times[-1], 0.0, cells.tail_excess)


@given(all_arrivals, resolutions)
def test_probability_is_preserved(arrivals: Arrivals, resolution: float) -> None:
    cells = arrivals.cells(resolution)
    assert cells.times.dtype == np.int64
    assert cells.times.size == cells.mass.size == cells.spread.size >= 1
    assert np.all(np.diff(cells.times, prepend=-1) > 0)
    assert np.all((cells.mass >= 0.0) & (cells.spread >= 0.0))
    assert (cells.spread[0] == 0.0) or cells.times[0] > 0
    assert cells.mass.sum() + cells.spread.sum() + cells.tail_mass == pytest.approx(1.0, abs=1e-12)
    assert (cells.tail_excess > 0.0) == (cells.tail_mass > 0.0)
    jumps, weight = arrivals.law.jumps()
    assert cells.mass.sum() >= weight.sum() - 1e-12
    near = np.abs(jumps[:, None] - cells.times / 1e9).min(axis=1, initial=np.inf)
    assert np.all(near <= 0.5e-9 + 1e-15 * np.abs(jumps))


@given(all_arrivals, resolutions)
def test_the_error_is_a_bound(arrivals: Arrivals, resolution: float) -> None:
    cells = arrivals.cells(resolution)
    ends = cells.times / 1e9
    within = (np.append(0.0, ends[:-1]) + ends) / 2
    limits = np.unique(np.concatenate((places(arrivals), ends, within, [ends[-1] + cells.tail_excess])))
    off = np.abs(expected_minimum(cells, limits) - arrivals.expected_minimum(limits))
    assert np.max(off) <= cells.error + 1e-12 * arrivals.mean


def test_the_bound_is_not_loose() -> None:
    # A sudden fall, wherever it is in its wide cell, and a tail, so that the edges are not at the knots.
    reached = []
    for at in np.linspace(1.0, 4.0, 60):
        arrivals = Arrivals.from_survival(
            times=[at, at * 1.000001, 20.0], survival=[0.999, 0.301, 0.3], tail_excess=5.0
        )
        cells = arrivals.cells(1.0)
        limits = np.append(cells.times / 1e9, [at, at * 1.000001])
        off = np.abs(expected_minimum(cells, limits) - arrivals.expected_minimum(limits))
        reached.append(off.max() / cells.error)
    assert 0.95 < max(reached) <= 1.0 + 1e-9


@given(all_arrivals, resolutions)
def test_cells_are_small(arrivals: Arrivals, resolution: float) -> None:
    cells = arrivals.cells(resolution)
    if arrivals.law.knots() is not None:
        return  # straight anyway
    start = np.append(0, cells.times[:-1])
    wide = (start > 1000) & (cells.times - start > 1000)
    assert np.max(cells.spread[wide], initial=0.0) <= resolution * (1.0 + 2e-3)  # of a thousand nanoseconds
    assert cells.tail_mass <= 1.01e-6 or cells.times[-1] >= 4.59e18
    times, above, _ = survival(cells)
    # Jumps may be a nanosecond off.
    assert np.all(above <= arrivals.at_least(times * (1.0 - 1e-15) - 1e-9) + 1e-9)
    assert np.all(above >= arrivals.survival(times * (1.0 + 1e-15) + 1e-9) - 1e-9)


@given(means, st.sampled_from([0.2, 0.1, 0.02, 0.005]))
def test_the_error_falls_with_the_square_of_the_resolution(mean: float, resolution: float) -> None:
    cells = Arrivals.exponential(mean).cells(resolution)
    # x² exp(-x) is at most .5414; an eighth of that and the squared width for the cell, and all the cells
    # before, each a twelfth of the cubed width and of the density's slope, x² exp(-x) dx adding up to 2.
    assert cells.error <= (0.0677 + 1 / 6) * resolution**2 * (1.0 + resolution) ** 2 * mean + 2e-6 * mean


def test_a_few_hundred_cells_do() -> None:
    for arrivals, most in (
        (Arrivals.exponential(3.0), 500),
        (Arrivals.gamma(mean=3.0, shape=0.3), 600),
        (Arrivals.gamma(mean=3.0, shape=300.0), 120),
        (Arrivals.exponential(3.0).after(100.0), 500),
    ):
        cells = arrivals.cells()
        assert cells.times.size <= most
        assert cells.error <= 2e-4 * arrivals.mean


@given(gap_lists)
def test_recorded_gaps_are_atoms(seen: list[float]) -> None:
    cells = Arrivals.empirical(seen).cells()
    exact = [round(gap * 1e9) for gap in seen]
    assert cells.times.tolist() == sorted(set(exact))
    assert cells.mass.tolist() == [exact.count(gap) / len(exact) for gap in sorted(set(exact))]
    assert not cells.spread.any()
    assert (cells.tail_mass, cells.tail_excess, cells.error) == (0.0, 0.0, 0.0)


def test_a_certain_gap_is_one_atom() -> None:
    cells = Arrivals.every(0.3).cells()
    assert (cells.times.tolist(), cells.mass.tolist(), cells.spread.tolist()) == ([300_000_000], [1.0], [0.0])
    assert (cells.tail_mass, cells.error) == (0.0, 0.0)
    assert Arrivals.every(1.0 + 0.25e-9).cells().error == pytest.approx(0.25e-9, rel=1e-6)


@given(smoothed)
def test_smoothed_arrivals_are_cells_already(arrivals: Arrivals) -> None:
    whole = arrivals.cells()
    assert (whole.error, whole.tail_mass) == (0.0, 0.0)
    if arrivals.is_deterministic:
        return
    assert whole.times.tolist() == np.unique(np.rint(arrivals.law.knots() * 1e9).astype(np.int64)).tolist()
    later = arrivals.after(arrivals.quantile(0.3)).cells()
    assert later.error <= 0.5e-9
    assert later.tail_mass == 0.0


@given(survival_points())
def test_a_survival_curve_without_a_tail_is_exact(points: tuple[list[float], list[float], float]) -> None:
    times, left, _ = points
    arrivals = Arrivals.from_survival(times=[*times, times[-1] + 1.0], survival=[*left, 0.0])
    cells = arrivals.cells(1.0)
    assert cells.error == 0.0
    limits = np.linspace(0.0, times[-1] + 2.0, 50)
    assert expected_minimum(cells, limits) == pytest.approx(arrivals.expected_minimum(limits), abs=1e-14)
    for end, mass in zip(cells.times / 1e9, cells.mass, strict=True):
        assert mass == pytest.approx(arrivals.at_least(end) - arrivals.survival(end), abs=1e-15)


def test_knots_of_the_same_nanosecond_are_one() -> None:
    arrivals = Arrivals.from_survival(times=[1.0, 1.0 + 2e-10, 1.0 + 4e-10, 3.0], survival=[0.9, 0.8, 0.6, 0.0])
    cells = arrivals.cells()
    assert cells.times.tolist() == [1_000_000_000, 3_000_000_000]
    assert cells.mass == pytest.approx([0.3, 0.0])
    assert cells.spread == pytest.approx([0.1, 0.6])
    assert cells.error == pytest.approx(0.1 * 2e-10 + 0.2 * 4e-10 + 0.6 * 4e-10, rel=1e-5)


def test_what_is_below_a_nanosecond_is_at_zero() -> None:
    cells = Arrivals.from_survival(times=[4e-10, 5.0], survival=[0.75, 0.0]).cells()
    assert cells.times.tolist() == [0, 5_000_000_000]
    assert (cells.mass.tolist(), cells.spread.tolist()) == ([0.25, 0.0], [0.0, 0.75])


@pytest.mark.parametrize("mean", [1e-9, 1e-7, 4.6e9])
def test_the_ends_of_time(mean: float) -> None:
    for arrivals in (Arrivals.exponential(mean), Arrivals.gamma(mean=mean, shape=1e-3)):
        cells = arrivals.cells()
        assert cells.mass.sum() + cells.spread.sum() + cells.tail_mass == pytest.approx(1.0, abs=1e-12)
        assert cells.times[-1] <= 2**62


def test_the_last_moment_leaves_a_tail() -> None:
    cells = Arrivals.exponential(1e9).after(4.6e9).cells()
    assert (cells.times.tolist(), cells.tail_mass) == ([4_600_000_000_000_000_000], 1.0)
    assert cells.tail_excess == pytest.approx(1e9)


def test_cells_are_read_only() -> None:
    for arrivals in (Arrivals.every(1.0), Arrivals.exponential(1.0), Arrivals.empirical([1.0, 2.0])):
        cells = arrivals.cells()
        for array in (cells.times, cells.mass, cells.spread):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
