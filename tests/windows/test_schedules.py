"""Schedules for distributions: the native policy against exhaustive enumeration, evaluation against fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedule_oracle
from smiless_core._native.windows import Windows
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model.plan import Stay
from smiless_core.windows import (
    evaluate_schedule,
    fixed_keep_alive,
    hybrid_histogram,
    published_window,
    switching_policy,
)
from strategies import examples

pytestmark = pytest.mark.native

ALWAYS = 1e9  # a miss price above any residency that is drawn


@st.composite
def cases(draw, most=6):
    """Gaps (whole seconds, one per arrival), a latency that none undercuts, and a cold start."""
    gaps = draw(st.lists(st.integers(1, 24), min_size=1, max_size=9).filter(lambda g: len(set(g)) <= most))
    latency = draw(st.integers(0, min(gaps)))
    return gaps, latency, draw(st.sampled_from([0, 1, 2, 3, 5, 8, 20]))


def atoms_of(gaps):
    return [(Fraction(x), Fraction(gaps.count(x), len(gaps))) for x in sorted(set(gaps))]


@given(cases(), st.sampled_from([0, 1, 3, 10, 100]), st.integers(0, 3))
@examples(60)
def test_no_schedule_is_better(case, price, tolerated):
    gaps, latency, cold_start = case
    atoms = atoms_of(gaps)
    best = schedule_oracle.cheapest(
        atoms,
        latency=Fraction(latency),
        cold_start=Fraction(cold_start),
        miss_price=Fraction(price),
        tolerated_wait=Fraction(tolerated),
        points=schedule_oracle.endpoints(atoms, tolerated_wait=Fraction(tolerated)),
    )
    found = switching_policy(
        Arrivals.empirical([float(x) for x in gaps]),
        latency=latency,
        cold_start=cold_start,
        miss_price=price,
        tolerated_wait=tolerated,
    )
    assert found.residency + price * found.misses == pytest.approx(float(best.value), rel=1e-12, abs=1e-12)


@given(cases(), st.floats(0, 50), st.floats(0, 3), st.floats(0, 4))
@examples(150)
def test_the_recursion_values_what_it_does(case, price, tolerated, keep):
    """The native values are those of the schedule that is followed, evaluated by other code."""
    gaps, latency, cold_start = case
    arrivals = Arrivals.empirical([float(x) for x in gaps])
    found = switching_policy(
        arrivals,
        latency=latency,
        cold_start=cold_start,
        miss_price=price,
        tolerated_wait=tolerated,
        min_keep_alive=keep,
    )
    same = evaluate_schedule(arrivals, found.stays, latency=latency, cold_start=cold_start, tolerated_wait=tolerated)
    assert (same.residency, same.misses, same.mean_wait) == (found.residency, found.misses, found.mean_wait)
    atoms = arrivals.atoms()
    windows = Windows(atoms.times, atoms.mass, np.zeros(len(atoms.mass)), 0.0, 0.0)
    prices = np.full(len(atoms.times), price)
    windows.solve(cold_start * 10**9, prices, prices, price, 0)
    (value,), (missed,) = windows.values(np.array([latency * 10**9]), 0)
    never_late = switching_policy(arrivals, latency=latency, cold_start=cold_start, miss_price=price)
    assert latency + value == pytest.approx(never_late.residency + price * never_late.misses, rel=1e-12)
    assert missed == pytest.approx(never_late.misses, abs=1e-12)


@given(cases(), st.data())
@examples(150)
def test_evaluation_against_fractions(case, data):
    """Any ready set of the oracle, bridged as it says, costs the same here."""
    gaps, latency, cold_start = case
    atoms = atoms_of(gaps)
    points = [x for x, _ in atoms if x >= latency]
    ends = sorted(data.draw(st.lists(st.sampled_from(points), max_size=4, unique=True)))
    ready_set = list(zip(ends[::2], ends[1::2], strict=False))
    truth = schedule_oracle.planning_cost(atoms, ready_set, latency=Fraction(latency), cold_start=Fraction(cold_start))
    stays = [Stay(float(s.ready) if s.bridged else float(s.start), float(s.ready), float(s.until)) for s in truth.stays]
    # A bridged stay of the oracle is kept from the end of the one before: here it starts, ready, right there.
    kept, end = [], float(latency)
    for stay, held in zip(stays, truth.stays, strict=True):
        kept.append(Stay(end, end, stay.until) if held.bridged else stay)
        end = stay.until
    if cold_start == 0:
        return  # the difference between bridged and not is only a name
    found = evaluate_schedule(
        Arrivals.empirical([float(x) for x in gaps]), kept, latency=latency, cold_start=cold_start
    )
    assert found.residency == pytest.approx(float(truth.cost), rel=1e-12)


@given(cases())
@examples(60)
def test_it_is_never_dearer_than_the_special_cases(case):
    gaps, latency, cold_start = case
    arrivals = Arrivals.empirical([float(x) for x in gaps])
    times = {"latency": latency, "cold_start": cold_start}
    rivals = [fixed_keep_alive(arrivals, seconds=s, **times) for s in (0.0, 1.0, 7.5, math.inf)]
    rivals += [hybrid_histogram(arrivals, **times), published_window(arrivals, **times)]
    for rival in rivals:
        for price in (0.0, 2.0, ALWAYS):
            ours = switching_policy(arrivals, miss_price=price, **times)
            assert ours.residency + price * ours.misses <= (rival.residency + price * rival.misses) * (1 + 1e-12)


@given(cases(), st.floats(0, 30), st.floats(0.1, 30))
@examples(100)
def test_a_dearer_miss_means_fewer(case, price, more):
    gaps, latency, cold_start = case
    arrivals = Arrivals.empirical([float(x) for x in gaps])
    few = switching_policy(arrivals, latency=latency, cold_start=cold_start, miss_price=price + more)
    many = switching_policy(arrivals, latency=latency, cold_start=cold_start, miss_price=price)
    assert few.misses <= many.misses + 1e-12
    assert few.residency >= many.residency - 1e-12


@pytest.mark.parametrize(
    ("gaps", "latency", "cold_start", "residency"),
    [
        ([10.0, 100.0], 1.0, 2.0, 4.0),  # ready at 10 and at 100
        ([10.0, 100.0], 1.0, 1.0, 2.5),
        ([10.0], 0.5, 20.0, 10.0),  # bridging: there is no time to start anew
        ([10.0] * 9 + [11.0] * 90 + [100.0], 1.0, 5.0, 6.96),  # ready between, too
        ([8.0], 0.0, 5.0, 5.0),
        ([8.0], 0.0, 10.0, 8.0),
    ],
)
def test_known_answers(gaps, latency, cold_start, residency):
    found = switching_policy(Arrivals.empirical(gaps), latency=latency, cold_start=cold_start, miss_price=ALWAYS)
    assert found.misses == 0.0
    assert found.residency == pytest.approx(residency, rel=1e-12)


def test_two_ways_to_be_ready_at_two_times():
    """Bridging across probability: 7.80 when kept, 10.55 when not, 6.96 with a larger set."""
    arrivals = Arrivals.empirical([10.0] * 9 + [11.0] * 90 + [100.0])
    times = {"latency": 1.0, "cold_start": 5.0}
    bridged = evaluate_schedule(arrivals, [Stay(5, 10, 10), Stay(10, 10, 100)], **times)
    anew = evaluate_schedule(arrivals, [Stay(5, 10, 10), Stay(95, 100, 100)], **times)
    larger = evaluate_schedule(arrivals, [Stay(5, 10, 11), Stay(95, 100, 100)], **times)
    assert [bridged.residency, anew.residency, larger.residency] == pytest.approx([7.80, 10.55, 6.96])
    assert (bridged.misses, larger.misses) == (0.0, 0.0)
    assert anew.misses == pytest.approx(0.9)


def test_waiting_is_tolerated():
    """An arrival during an initialization waits for the rest of it, and that may be in time."""
    arrivals = Arrivals.empirical([9.0, 9.0, 9.0, 10.0])
    times = {"latency": 2.0, "cold_start": 4.0, "tolerated_wait": 2.0}
    found = switching_policy(arrivals, miss_price=ALWAYS, **times)
    assert (found.residency, found.misses) == (6.0, 0.0)
    at_ten = evaluate_schedule(arrivals, [Stay(6, 10, 10)], **times)
    assert (at_ten.residency, at_ten.misses, at_ten.mean_wait) == (6.0, 0.0, 0.75)
    assert at_ten.ready_set == ((10.0, 10.0),)


def test_being_ready_a_little_late_may_be_best():
    """Between the atoms: ready as much after one as may be waited."""
    arrivals = Arrivals.empirical([10.0] * 9 + [13.0] * 9 + [20.0] * 2)
    found = switching_policy(arrivals, latency=1.0, cold_start=4.0, tolerated_wait=2.5, miss_price=ALWAYS)
    assert found.residency == pytest.approx(5.675)
    assert found.stays[0].ready == 12.5


def test_memoryless_arrivals_are_all_or_nothing():
    """With a constant hazard an instance is worth keeping for ever or not at all."""
    arrivals = Arrivals.exponential(60.0)
    never = switching_policy(arrivals, latency=0.0, cold_start=5.0, miss_price=50.0)
    ever = switching_policy(arrivals, latency=0.0, cold_start=5.0, miss_price=60.0)
    assert never.misses == pytest.approx(1.0, abs=1e-3)
    assert never.residency == pytest.approx(5.0, rel=1e-3)
    assert ever.misses < 1e-6
    assert ever.residency == pytest.approx(60.0, rel=1e-6)


def test_a_smooth_distribution_is_evaluated_as_such():
    """Closed forms for exponential arrivals: a keep-alive of k, then a cold start."""
    mean, cold_start, kept = 60.0, 5.0, 30.0
    found = fixed_keep_alive(Arrivals.exponential(mean), seconds=kept, latency=0.0, cold_start=cold_start)
    gone = math.exp(-kept / mean)
    assert found.misses == pytest.approx(gone, rel=1e-12)
    assert found.residency == pytest.approx(mean * (1 - gone) + cold_start * gone, rel=1e-12)
    assert found.mean_wait == pytest.approx(cold_start * gone, rel=1e-12)
    # Started at s, ready at a: those between wait for the rest.
    stay = Stay(20.0, 25.0, 40.0)
    found = evaluate_schedule(Arrivals.exponential(mean), [stay], latency=0.0, cold_start=cold_start)
    at = {x: math.exp(-x / mean) for x in (20.0, 25.0, 40.0)}
    absent = 1 - at[20.0] + at[40.0]
    assert found.residency == pytest.approx(cold_start * at[20.0] + mean * (at[25.0] - at[40.0]) + cold_start * absent)
    assert found.misses == pytest.approx(absent + at[20.0] - at[25.0])
    rest = 25.0 * (at[20.0] - at[25.0]) - ((20 + mean) * at[20.0] - (25 + mean) * at[25.0])
    assert found.mean_wait == pytest.approx(rest + cold_start * absent)


def test_a_minimum_is_kept():
    found = switching_policy(Arrivals.empirical([4.0, 30.0]), latency=1.0, cold_start=2.0, min_keep_alive=5.0)
    assert found.stays[0] == Stay(1.0, 1.0, 6.0)
    assert found.residency == pytest.approx(1 + (3 + 5 + 2) / 2)


@pytest.mark.parametrize(
    ("stays", "line"),
    [
        ([Stay(0.5, 2.5, 3.0)], r"stays\[0\]: expected times in order from 1 s on, got 0.5 s"),
        ([Stay(5.0, 6.0, 7.0)], r"stays\[0\]: expected a cold start of 2 s, got 1 s"),
        (
            [Stay(5.0, 5.0, 7.0)],
            r"stays\[0\]: ready at once at 5 s, but nothing stays until then from 1 s on",
        ),
        ([Stay(1.0, 1.0, 4.0), Stay(3.0, 5.0, 6.0)], r"stays\[1\]: expected times in order from 4 s on"),
    ],
)
def test_impossible_stays_are_refused(stays, line):
    with pytest.raises(InvalidInputError, match=line):
        evaluate_schedule(Arrivals.every(10.0), stays, latency=1.0, cold_start=2.0)


@pytest.mark.parametrize("name", ["latency", "cold_start", "miss_price", "tolerated_wait", "min_keep_alive"])
@pytest.mark.parametrize("value", [-1.0, math.nan, "1", math.inf])
def test_wrong_numbers_are_refused(name, value):
    with pytest.raises(InvalidInputError, match=name):
        switching_policy(Arrivals.every(10.0), **{"latency": 1.0, "cold_start": 2.0, name: value})
