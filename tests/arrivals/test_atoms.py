"""Distributions as atoms: what is preserved, and how far off the rest may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions import all_arrivals, gap_lists, means, places
from smiless_core.arrivals import Arrivals, Atoms

resolutions = st.sampled_from([0.005, 0.02, 0.3, 1.0])


def support(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Return times and masses, the tail as an atom at its mean."""
    times = atoms.times / 1e9
    return np.append(times, times[-1] + atoms.tail_excess), np.append(atoms.mass, atoms.tail_mass)


def expected_minimum(atoms: Atoms, limits: np.ndarray) -> np.ndarray:
    times, mass = support(atoms)
    order = np.searchsorted(times, limits, "right")
    below = np.concatenate(([0.0], np.cumsum(times * mass)))
    above = np.concatenate((np.cumsum(mass[::-1])[::-1], [0.0]))
    return below[order] + limits * above[order]


@given(all_arrivals, resolutions)
def test_probability_and_mean_are_preserved(arrivals: Arrivals, resolution: float) -> None:
    atoms = arrivals.atoms(resolution)
    times, mass = support(atoms)
    assert atoms.times.dtype == np.int64
    assert np.all(np.diff(atoms.times) > 0)
    assert np.all(mass >= 0.0)
    assert atoms.tail_excess >= 0.0
    assert (atoms.tail_excess > 0.0) == (atoms.tail_mass > 0.0)
    assert mass.sum() == pytest.approx(1.0, abs=1e-12)
    assert times @ mass == pytest.approx(arrivals.mean, rel=1e-11, abs=0.501e-9)


@given(all_arrivals, resolutions)
def test_the_error_is_a_bound(arrivals: Arrivals, resolution: float) -> None:
    atoms = arrivals.atoms(resolution)
    limits = np.unique(np.concatenate((places(arrivals), support(atoms)[0])))
    off = np.abs(expected_minimum(atoms, limits) - arrivals.expected_minimum(limits))
    assert np.max(off) <= atoms.error + 1e-12 * arrivals.mean


@given(all_arrivals, resolutions)
def test_no_cell_holds_more_than_its_share(arrivals: Arrivals, resolution: float) -> None:
    atoms = arrivals.atoms(resolution)
    jumps, _ = arrivals.law.jumps()
    whole = np.abs(atoms.times[:, None] / 1e9 - jumps).min(axis=1, initial=np.inf) <= 1e-9
    # What is no jump; cells that are narrower than a nanosecond may share one.
    apart = (np.diff(atoms.times, append=2**62) > 1000) & (np.diff(atoms.times, prepend=0) > 1000)
    smooth = atoms.mass[~whole & apart]
    assert np.max(smooth, initial=0.0) <= resolution * (1.0 + 1e-6) + 1e-9
    limits = places(arrivals)
    seen = [atoms.mass[atoms.times / 1e9 > x].sum() + atoms.tail_mass for x in limits.tolist()]
    largest = np.max(atoms.mass, initial=atoms.tail_mass)
    # Atoms are where they are to the nanosecond.
    assert np.all(seen <= arrivals.survival(limits * (1.0 - 1e-15) - 1e-9) + largest + 1e-9)
    assert np.all(seen >= arrivals.survival(limits * (1.0 + 1e-15) + 1e-9) - largest - 1e-9)


@given(means, st.sampled_from([0.2, 0.1, 0.02, 0.005]))
def test_the_error_falls_with_the_square_of_the_resolution(mean: float, resolution: float) -> None:
    error = Arrivals.exponential(mean).atoms(resolution).error
    # x² exp(-x) is at most .5414; a quarter of that and the squared width; the tail; half a nanosecond.
    assert error <= 0.1354 * resolution**2 * (1.0 + resolution) * mean + 2e-9 * mean + 0.5e-9


@given(gap_lists)
def test_recorded_gaps_are_their_own_atoms(seen: list[float]) -> None:
    atoms = Arrivals.empirical(seen).atoms()
    exact = [round(gap * 1e9) for gap in seen]
    assert atoms.times.tolist() == sorted(set(exact))
    assert atoms.mass.tolist() == [exact.count(gap) / len(exact) for gap in sorted(set(exact))]
    assert (atoms.tail_mass, atoms.tail_excess, atoms.error) == (0.0, 0.0, 0.0)


def test_a_certain_gap_is_one_atom() -> None:
    atoms = Arrivals.every(0.3).atoms()
    assert (atoms.times.tolist(), atoms.mass.tolist(), atoms.tail_mass, atoms.error) == (
        [300_000_000],
        [1.0],
        0,
        0,
    )
    assert Arrivals.every(1.0 + 0.25e-9).atoms().error == pytest.approx(0.25e-9, rel=1e-6)


def test_jumps_stay_atoms_in_a_mixture_and_after_a_wait() -> None:
    recorded, smooth = Arrivals.empirical([2.0, 2.0, 5.0, 9.0]), Arrivals.gamma(mean=4.0, shape=2.0)
    mixed = Arrivals.mixture(weights=[0.4, 0.6], components=[recorded, smooth])
    for arrivals, scale in ((mixed, 1.0), (mixed.after(3.0), mixed.survival(3.0))):
        atoms = arrivals.atoms()
        for gap, share in ((2.0, 0.2), (5.0, 0.1), (9.0, 0.1)):
            found = atoms.mass[atoms.times == round(gap * 1e9)]
            if gap > arrivals.law.floor:
                assert found.tolist() == pytest.approx([share / scale])
    assert atoms.times[0] >= 3_000_000_000


def test_only_jumps_remain_of_a_mixture_whose_smooth_part_has_passed() -> None:
    smooth = Arrivals.from_survival(times=[1.0], survival=[0.0])
    mixed = Arrivals.mixture(weights=[0.5, 0.5], components=[smooth, Arrivals.every(7.0)])
    atoms = mixed.after(2.0).atoms()
    assert (atoms.times.tolist(), atoms.mass.tolist(), atoms.tail_mass) == ([7_000_000_000], [1.0], 0.0)


def test_the_tail_carries_what_lies_beyond() -> None:
    atoms = Arrivals.from_survival(times=[0.0, 1.0], survival=[1.0, 0.5], tail_excess=4.6e9).atoms()
    # Time ends at 4.6e9 s, one mean of the tail beyond 1 s.
    assert atoms.tail_mass == pytest.approx(0.5 * np.exp(-1.0), rel=1e-6)
    assert atoms.times[-1] / 1e9 + atoms.tail_excess == pytest.approx(9.2e9, rel=1e-6)
    assert atoms.error >= atoms.tail_mass * 4.6e9 * 0.99


@pytest.mark.parametrize("mean", [1e-9, 1e-7, 4.6e9])
def test_the_ends_of_time(mean: float) -> None:
    for arrivals in (Arrivals.exponential(mean), Arrivals.gamma(mean=mean, shape=1e-3)):
        atoms = arrivals.atoms()
        times, mass = support(atoms)
        assert mass.sum() == pytest.approx(1.0, abs=1e-12)
        assert times @ mass == pytest.approx(mean, rel=1e-9, abs=0.5e-9)
        assert atoms.times[-1] <= 2**62


def test_the_last_moment_leaves_an_atom() -> None:
    atoms = Arrivals.exponential(1e9).after(4.6e9).atoms()
    assert atoms.times.tolist() == [4_600_000_000_000_000_000]
    assert atoms.tail_mass == 1.0
    assert atoms.tail_excess == pytest.approx(1e9)


def test_atoms_are_read_only() -> None:
    for arrivals in (Arrivals.every(1.0), Arrivals.exponential(1.0), Arrivals.empirical([1.0])):
        atoms = arrivals.atoms()
        for array in (atoms.times, atoms.mass):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


def test_a_million_gaps() -> None:
    seen = np.random.default_rng(3).exponential(2.0, 10**6)
    arrivals = Arrivals.empirical(seen)
    atoms = arrivals.atoms()
    assert atoms.mass.sum() == pytest.approx(1.0, rel=1e-12)
    assert float(atoms.mass @ atoms.times) / 1e9 == pytest.approx(seen.mean(), rel=1e-9)
    later = arrivals.after(1.0).atoms()
    assert later.times[0] > 10**9
    assert later.mass.sum() == pytest.approx(1.0, rel=1e-12)
    few = seen[:1000]
    assert arrivals.survival(few) == pytest.approx([(seen > x).mean() for x in few], abs=2e-6)
