"""What followed in the recent past, counted one moment after another."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.arrivals import Counts
from smiless_core.predictors.following import RecentArrivals
from strategies import examples

gap_lists = st.lists(st.integers(0, 12), max_size=20)


@examples(150)
@given(gap_lists, st.integers(1, 12), st.integers(0, 9), st.integers(1, 20))
def test_counts_of_every_moment_like_this_one(gaps, count, elapsed, horizon):
    recent = RecentArrivals(count)
    for gap in gaps:
        recent.add(float(gap))
    kept = gaps[-count:]
    at = [0, *accumulate(kept)]
    like = []
    for index, gap in enumerate(kept):
        begin = at[index] + elapsed
        if gap > elapsed and begin + horizon <= at[-1]:
            like.append(sum(begin < other <= begin + horizon for other in at))
    found = recent.counts(elapsed=float(elapsed), horizon=float(horizon))
    if like:
        assert found == Counts(like)
    elif at[-1]:
        seen = at[-1] + (elapsed if all(gap <= elapsed for gap in kept) else 0)
        assert found.mean == pytest.approx(horizon * len(kept) / seen, rel=1e-6)
    else:
        assert found == Counts([0])


def test_bursts_are_seen_as_they_are():
    recent = RecentArrivals()
    for gap in [1.0, 1.0, 1.0, 97.0] * 20:
        recent.add(gap)
    quiet = recent.counts(elapsed=5.0, horizon=90.0)  # between bursts none comes for 92 s
    assert (quiet.mean, quiet.quantile(1.0)) == (0.0, 0)
    assert recent.counts(elapsed=5.0, horizon=96.0).mean == 4.0


def test_a_long_silence_lowers_the_rate():
    recent = RecentArrivals(gaps=np.full(100, 60.0))
    assert recent.counts(elapsed=0.0, horizon=600.0).mean == 10.0
    assert recent.counts(elapsed=3e7, horizon=600.0).mean == pytest.approx(100 / 3.0006e7 * 600, rel=1e-6)


@pytest.mark.parametrize("horizon", [1e-9, 4.6e9, 1e300])
@pytest.mark.parametrize("gap", [0.0, 1e-9, 1.0, 4.6e9])
def test_extremes_are_counts(gap, horizon):
    recent = RecentArrivals(8, gaps=np.array([gap] * 8))
    found = recent.counts(elapsed=1e9, horizon=horizon)
    assert 0.0 <= found.mean < math.inf


@pytest.mark.parametrize("wrong", [[-1.0], [math.nan], [1.0, math.inf], [5e9]])
def test_what_is_no_gap(wrong):
    with pytest.raises(sc.InvalidInputError, match=r"^gaps\["):
        RecentArrivals(8, gaps=np.array(wrong))


def test_settings():
    with pytest.raises(sc.InvalidInputError, match=r"^count"):
        RecentArrivals(0)
    recent = RecentArrivals(2, gaps=np.array([1.0, 2.0, 3.0]))
    assert recent.gaps.tolist() == [2.0, 3.0]
    for elapsed, horizon in ((-1.0, 1.0), (0.0, 0.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(sc.InvalidInputError):
            recent.counts(elapsed=elapsed, horizon=horizon)
