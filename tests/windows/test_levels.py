"""Levels: a slow assignment in Python, laws that every assignment obeys, and closed forms of queueing theory."""

from __future__ import annotations

import math
from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedule_oracle as oracle
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model import Readiness, Stay
from smiless_core.windows import Path, Played, replay
from strategies import examples

pytestmark = pytest.mark.native

SECOND = 10**9

gap_lists = st.lists(st.integers(0, 12), min_size=1, max_size=40).filter(any)


def path_of(gaps) -> Path:
    return Path(np.array(gaps, np.int64) * SECOND)


@given(gap_lists, st.integers(0, 30))
@examples(200)
def test_levels_are_those_of_a_slow_assignment(gaps, busy):
    laws = path_of(gaps).levels(busy * SECOND)
    truth = oracle.levels([F(gap) for gap in gaps], F(busy))
    assert len(laws) == len(truth)
    for law, expected in zip(laws, truth, strict=True):
        assert law.share == pytest.approx(len(expected) / len(gaps), rel=1e-15)
        times, counts = np.unique([int(gap) for gap in expected], return_counts=True)
        assert law.cells.times.tolist() == (times * SECOND).tolist()
        assert law.cells.mass == pytest.approx(counts / len(expected), rel=1e-15)
        assert not law.cells.spread.any()


@given(gap_lists, st.integers(1, 30), st.booleans())
@examples(100)
def test_levels_divide_the_arrivals_and_their_gaps_outlast_a_service(gaps, busy, smoothed):
    path = Path.of(Arrivals.smoothed(gaps), 200) if smoothed else path_of(gaps)
    laws = path.levels(busy * SECOND)
    assert sum(law.share for law in laws) == pytest.approx(1.0, rel=1e-12)
    assert all(a.share >= b.share for a, b in pairwise(laws))
    for law in laws:
        cells = law.cells
        assert cells.mass.sum() + cells.spread.sum() + cells.tail_mass == pytest.approx(1.0, rel=1e-12)
        before = np.concatenate(([0], cells.times[:-1]))
        assert (cells.times[cells.mass > 0] >= busy * SECOND).all()
        assert (before[cells.spread > 0] >= busy * SECOND).all()


@given(gap_lists)
def test_without_overlap_there_is_one_level_and_its_gap_is_x(gaps):
    gaps = [gap + 1 for gap in gaps]
    (law,) = path_of(gaps).levels(min(gaps) * SECOND)
    assert law.share == 1.0
    times, counts = np.unique(gaps, return_counts=True)
    assert law.cells.times.tolist() == (times * SECOND).tolist()
    assert law.cells.mass == pytest.approx(counts / len(gaps))


@pytest.mark.parametrize("busy", [0.2, 1.0, 3.0])
def test_gaps_of_smooth_arrivals_are_spread(busy):
    """As far from the gaps of a path as Kolmogorov says that a law and so many draws of it are."""
    path = Path.of(Arrivals.exponential(1.0), 4000)
    laws = path.levels(round(busy * SECOND))
    gaps = np.diff(path.times)
    truth = oracle.levels([F(int(gap)) for gap in gaps], F(round(busy * SECOND)))
    assert [law.share for law in laws] == pytest.approx([len(level) / len(gaps) for level in truth])
    for law, level in zip(laws, truth, strict=True):
        if len(level) >= 50:
            times, level = law.cells.times, np.array(level, dtype=float)
            below = np.cumsum(law.cells.mass + law.cells.spread)
            there = np.array([np.mean(level <= edge) for edge in times])
            assert np.abs(below - there).max() <= 2.0 / math.sqrt(len(level))


def erlang_b(servers: int, offered: float) -> float:
    """The fraction of arrivals that a group of servers loses."""
    loss = 1.0
    for k in range(1, servers + 1):
        loss = offered * loss / (k + offered * loss)
    return loss


@pytest.mark.parametrize("offered", [0.5, 1.0, 4.0])
def test_shares_of_levels_are_erlangs(offered):
    """Poisson arrivals: the first k levels are a loss system, and what they lose goes further (any service)."""
    count = 60_000
    laws = Path.of(Arrivals.exponential(1.0), count).levels(round(offered * SECOND))
    beyond = 1.0
    for k, law in enumerate(laws[:6], 1):
        beyond -= law.share
        lost = erlang_b(k, offered)
        # Successive arrivals find much the same: a busy period counts as one.
        error = 5 * math.sqrt(lost * (1 - lost) * (1 + 2 * offered) / count)
        assert beyond == pytest.approx(lost, abs=error), k


def test_how_many_exponential_arrivals_find_an_instance_busy():
    """Mean 1, L = .5: 1 - exp(-1 / 2), 39 %; the number of busy ones is Poisson."""
    times = Path.of(Arrivals.exponential(1.0), 40_000).times
    kept = (Stay(0.5, 0.5, math.inf),)
    busy = Played(price=1.0, latency=0.5, cold_start=0.0, readiness=Readiness.PREWARMED, schedules=(kept,) * 3)
    found = replay(times, [busy])
    assert found.met_busy[0] / len(times) == pytest.approx(1 - math.exp(-0.5), abs=0.01)


def test_the_last_of_a_long_path_is_what_is_looked_at():
    arrivals = Arrivals.empirical([1.0] * 100 + [9.0] * 4)
    path = Path.of(arrivals, 2)
    assert np.diff(path.times).tolist() == [1 * SECOND] * 4 + [9 * SECOND] * 4


def test_a_path_ends_before_time_does():
    """Within 73 years, whatever the gaps; one that is longer by itself is refused."""
    years = 365.25 * 86400
    for mean in (3e5, 3e6, 3e7, 3e8):
        times = Path.of(Arrivals.exponential(mean), 8192).times
        assert (np.diff(times) >= 0).all()
        assert times[-1] <= 2**61 - 1
        assert 2 <= len(times) <= 8193
    assert Path.of(Arrivals.empirical([10 * years, 20 * years] * 5), 100).arrivals == 6, "70 years"
    with pytest.raises(InvalidInputError, match=r"^arrivals: gaps of 2\.5.*e\+09 s are too long to replay$"):
        Path.of(Arrivals.empirical([80 * years, 10 * years]), 100)
