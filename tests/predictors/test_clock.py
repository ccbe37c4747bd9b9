"""Time that does not always go forward."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.predictors import Clock
from strategies import examples

times = st.lists(st.floats(-1e10, 1e10) | st.integers(0, 40).map(lambda tenths: tenths / 10), min_size=1, max_size=20)


@examples(100)
@given(times)
def test_gaps_are_at_least_0_and_add_up(arrivals):
    clock = Clock()
    newest = None
    for at in arrivals:
        gap = clock.gap(at)
        if newest is None or at < newest - 1.0:
            assert gap is None
            newest = at
        else:
            assert gap == min(max(at - newest, 0.0), 4.6e9)
            newest = max(at, newest)
        assert clock.last == newest
        assert clock.elapsed(at) == newest - newest
        assert clock.elapsed(newest + 7.0) == pytest.approx(7.0, abs=1e-5)


def test_late_reports_and_clocks_set_back():
    clock = Clock()
    assert [clock.gap(at) for at in (100.0, 99.0, 99.5, 103.0)] == [None, 0.0, 0.0, 3.0]
    assert clock.gap(101.9) is None  # more than a second back: time goes on from there
    assert clock.gap(103.9) == 2.0
    assert clock.elapsed(50.0) == 0.0


def test_the_longest_times():
    clock = Clock(-1.7e308)
    assert clock.elapsed(1.7e308) == 4.6e9
    assert clock.gap(1.7e308) == 4.6e9


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "now", None, True])
def test_what_is_no_time(wrong):
    for clock in (Clock(), Clock(3.0)):
        before = clock.last
        with pytest.raises(sc.InvalidInputError, match=r"^t: "):
            clock.gap(wrong)
        with pytest.raises(sc.InvalidInputError, match=r"^now: "):
            clock.elapsed(wrong)
        assert clock.last == before
