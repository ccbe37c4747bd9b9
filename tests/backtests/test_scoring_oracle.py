"""The slow scoring and the slow optimum against figures worked out by hand, and against each other."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.scoring_oracle import (
    Met,
    best_stays,
    clairvoyant,
    exhaustive,
    expected,
    meet,
    resident,
    schedules,
    slow_score,
)
from strategies import examples

# Kept for 4 s; then ready from 10 to 12 s, started at 7 s.
TWO = [(0.0, 4.0), (10.0, 12.0)]


@pytest.mark.parametrize(
    ("gap", "paid", "wait"),
    [
        (0.0, 0, 0),
        (1.5, 1.5, 0),
        (4.0, 4, 0),  # the end is closed
        (4.5, 4 + 3, 3),
        (7.0, 4 + 3, 3),  # the next one starts just now
        (7.5, 4 + 3, 2.5),  # paid once, and in full
        (9.75, 4 + 3, 0.25),
        (10.0, 4 + 3, 0),
        (11.0, 4 + 4, 0),
        (12.0, 4 + 5, 0),
        (12.5, 4 + 5 + 3, 3),
        (1e9, 4 + 5 + 3, 3),
    ],
)
def test_one_arrival(gap: float, paid: float, wait: float) -> None:
    assert meet(gap, TWO, cold_start=3.0) == Met(Fraction(paid), Fraction(wait))


def test_no_schedule_and_one_without_end() -> None:
    assert meet(0.0, [], cold_start=3.0) == Met(Fraction(0), Fraction(0))  # the service before ends then
    assert meet(0.0, [(0.0, 0.0)], cold_start=3.0) == Met(Fraction(0), Fraction(0))
    assert meet(50.0, [(0.0, math.inf)], cold_start=3.0) == Met(Fraction(50), Fraction(0))
    assert meet(50.0, [(20.0, math.inf)], cold_start=3.0) == Met(Fraction(33), Fraction(0))
    # A start right at the end of the stay before.
    assert meet(6.0, [(0.0, 4.0), (7.0, 8.0)], cold_start=3.0) == Met(Fraction(7), Fraction(1))
    with pytest.raises(ValueError, match="not in order"):
        meet(6.0, [(0.0, 4.0), (6.5, 8.0)], cold_start=3.0)
    with pytest.raises(ValueError, match="not in order"):
        meet(6.0, [(2.0, 4.0)], cold_start=3.0)
    # .7 - .1 is below .6 by an ulp.
    assert meet(0.65, [(0.0, 0.6), (0.7, 0.7)], cold_start=0.1).paid == Fraction(0.6) + Fraction(0.7) - Fraction(0.6)


def test_what_is_tolerated_is_no_miss() -> None:
    gaps = [4.5, 7.5, 9.75, 11.0]
    plans = [TWO] * 4
    paid = 7.0 + 7.0 + 7.0 + 8.0
    assert slow_score(gaps, plans, cold_start=3.0) == (paid, 3)
    assert slow_score(gaps, plans, cold_start=3.0, tolerated=0.25) == (paid, 2)
    assert slow_score(gaps, plans, cold_start=3.0, tolerated=2.5) == (paid, 1)
    assert slow_score(gaps, plans, cold_start=3.0, tolerated=3.0) == (paid, 0)
    assert clairvoyant([1.0, 3.0, 4.5], cold_start=3.0) == 7.0


def test_after_the_last_arrival_the_schedule_runs_on() -> None:
    ends = [0.0, 1.0, 4.0, 6.0, 8.0, 11.0, 12.0, 1e6]
    paid = [0, 1, 4, 4, 5, 8, 9, 9]
    assert [resident(end, TWO, cold_start=3.0) for end in ends] == paid
    assert slow_score([2.0], [TWO, TWO], cold_start=3.0, end=8.0) == (2.0 + 5.0, 0)
    assert slow_score([], [[(0.0, math.inf)]], cold_start=3.0, end=100.0) == (100.0, 0)
    with pytest.raises(ValueError, match="1 schedules for 1 gaps"):
        slow_score([2.0], [TWO], cold_start=3.0, end=8.0)


def test_expectations_by_hand() -> None:
    # Even from 0 to 4 with half, nothing until 8, a quarter from 8 to 12, a quarter beyond.
    edges, masses = [0.0, 4.0, 8.0, 12.0], [0.5, 0.0, 0.25, 0.25]
    assert expected(edges, masses, [], cold_start=3.0) == (3.0, 1.0)
    assert expected(edges, masses, [], cold_start=3.0, tolerated=3.0) == (3.0, 0.0)
    # Kept for 2 s: a quarter pays 1 s on average, the rest 2 + 3 s.
    assert expected(edges, masses, [(0.0, 2.0)], cold_start=3.0) == pytest.approx((0.25 + 0.75 * 5.0, 0.75))
    # Also ready from 10 to 12 s: from 8 to 10 s an eighth pays 2 + 3 s, and misses unless it is after 9 s; from
    # 10 to 12 s it pays 2 + 3 + 1 s on average; beyond 2 + 5 + 3 s.
    two = 0.25 + 0.25 * 5.0 + 0.125 * 5.0 + 0.125 * 6.0 + 0.25 * 10.0
    stays = [(0.0, 2.0), (10.0, 12.0)]
    assert expected(edges, masses, stays, cold_start=3.0) == pytest.approx((two, 0.5 + 0.125))
    assert expected(edges, masses, stays, cold_start=3.0, tolerated=1.0) == pytest.approx((two, 0.5 + 0.0625))
    with pytest.raises(ValueError, match="without end"):
        expected(edges, masses, [(0.0, math.inf)], cold_start=3.0)


MASSES = st.lists(st.integers(0, 5), min_size=5, max_size=5).filter(any)


@examples(25)
@given(MASSES, st.sampled_from([0.5, 1.0, 2.5, 3.0]), st.sampled_from([0.0, 0.7, 1.0]), st.data())
def test_expectations_are_means_of_scores(
    masses: list[int], cold: float, tolerated: float, data: st.DataObject
) -> None:
    edges, total = [0.0, 1.0, 2.0, 4.0, 8.0], sum(masses)
    options = list(schedules(edges, cold_start=cold, start_on_edges=data.draw(st.booleans())))
    stays = data.draw(st.sampled_from(options))
    got = expected(edges, [m / total for m in masses], stays, cold_start=cold, tolerated=tolerated)
    # Evenly spaced points in each bin, and one far away.
    points, repeats = 400, masses
    paid = missed = 0.0
    for k, times in enumerate(repeats[:-1]):
        xs = np.linspace(edges[k], edges[k + 1], points, endpoint=False) + (edges[k + 1] - edges[k]) / (2 * points)
        if times:
            cost, misses = slow_score(xs.tolist(), [stays] * points, cold_start=cold, tolerated=tolerated)
            paid, missed = paid + times * cost / points, missed + times * misses / points
    cost, misses = slow_score([1e6], [stays], cold_start=cold, tolerated=tolerated)
    paid, missed = paid + repeats[-1] * cost, missed + repeats[-1] * misses
    assert got.residency == pytest.approx(paid / total, abs=0.03)
    assert got.misses == pytest.approx(missed / total, abs=0.01)


@examples(40)
@given(
    st.sampled_from([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 4.0, 8.0], [0.0, 0.5, 3.0, 3.5, 20.0]]),
    MASSES,
    st.sampled_from([0.25, 1.0, 1.5, 2.0, 5.0]),
    st.sampled_from([0.0, 0.3, 2.0, 40.0]),
    st.sampled_from([0.0, 0.25, 1.0, 2.0]),
    st.booleans(),
)
def test_the_programme_finds_what_enumeration_finds(
    edges: list[float], masses: list[int], cold: float, price: float, tolerated: float, start_on_edges: bool
) -> None:
    shares = [m / sum(masses) for m in masses]
    asked = {"cold_start": cold, "miss_price": price, "tolerated": tolerated, "start_on_edges": start_on_edges}
    best = best_stays(edges, shares, **asked)
    assert best.value == pytest.approx(exhaustive(edges, shares, **asked).value, abs=1e-12)
    residency, misses = expected(edges, shares, best.stays, cold_start=cold, tolerated=tolerated)
    assert best.value == pytest.approx(residency + price * misses, abs=1e-12)


def test_the_best_schedules_of_plain_cases() -> None:
    edges = [float(k) for k in range(13)]

    def timer(*bins: int, beyond: float = 0.0) -> list[float]:
        return [(1 - beyond) * (k in bins) / len(bins) for k in range(12)] + [beyond]

    # A timer: started a cold start before, if that is cheaper than to stay, or if misses have a price.
    assert best_stays(edges, timer(1), cold_start=5.0, miss_price=1.0) == (pytest.approx(1.5), ((0.0, 2.0),))
    assert best_stays(edges, timer(10), cold_start=5.0, miss_price=1.0) == (pytest.approx(5.5), ((10.0, 11.0),))
    assert best_stays(edges, timer(10), cold_start=5.0, miss_price=0.0) == (pytest.approx(5.0), ())
    # Two of them, and nothing between.
    value, stays = best_stays(edges, timer(1, 10), cold_start=2.0, miss_price=10.0)
    assert stays == ((0.0, 2.0), (10.0, 11.0))
    assert value == pytest.approx((1.5 + 2.0 + 2.5) / 2)
    # Far away nobody waits for it.
    assert best_stays(edges, timer(3, beyond=1.0), cold_start=2.0, miss_price=10.0) == (pytest.approx(12.0), ())
    # What is tolerated need not be ready.
    assert best_stays(edges, timer(10), cold_start=5.0, miss_price=9.0, tolerated=5.0) == (pytest.approx(5.0), ())
