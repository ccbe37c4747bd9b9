"""What modes cost, against the enumeration of schedules, level by level."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedule_oracle as oracle
from problems import Made, made_up, tiny
from smiless_core.arrivals import Arrivals
from smiless_core.model import Limits, Readiness
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.pricing import Prices
from smiless_core.windows import ALWAYS, Wanted
from strategies import examples

pytestmark = pytest.mark.native

SECOND = 10**9


def priced(case, **limits):
    """Pricing, and per row its readiness, price, latency and cold start in fractions."""
    compiled = CompiledProblem(case.problem(**limits))
    rows = []
    for row in range(len(compiled.function)):
        mode = compiled.mode(row)
        rows.append((mode.readiness, F(mode.price), oracle.fraction(mode.latency), oracle.fraction(mode.cold_start)))
    return compiled.pricing(case.arrivals), rows


def every_value(atoms, *, latency, cold_start, later=()):
    """(seconds, waits per atom) of every schedule."""
    points = sorted({x + much for x, _ in atoms for much in (0, *later)})
    for stays in oracle.every_schedule(points, latency=latency, cold_start=cold_start):
        found = oracle.evaluate(atoms, stays, price=F(1), latency=latency, cold_start=cold_start)
        yield found.cost, found.waits


@given(tiny(most=2), st.sampled_from([0.0, 0.5, 2.0, 7.0, 50.0]))
@examples(60)
def test_prewarmed_modes_cost_what_the_cheapest_schedule_does(case, price):
    pricing, rows = priced(case)
    wanted = Wanted(price)
    for row, (readiness, dollars, latency, cold_start) in enumerate(rows):
        cost, late = pricing.priced(row, wanted), pricing.late(row, wanted)
        times = {"latency": latency, "cold_start": cold_start}
        if readiness is Readiness.PREWARMED:
            best = oracle.cheapest(case.atoms, miss_price=F(price), **times)
            value = cost / float(dollars) + price * late
            assert value == pytest.approx(float(best.value), rel=1e-9)
        else:
            best = oracle.cheapest(case.atoms, **times)
            assert cost == pytest.approx(float(dollars * best.cost), rel=1e-9)
            assert late == 0.0


@given(tiny(most=2), st.data())
@examples(60)
def test_a_ready_set_costs_what_the_cheapest_schedule_that_contains_it_does(case, data):
    chosen = sorted(data.draw(st.lists(st.sampled_from([x for x, _ in case.atoms]), min_size=1, unique=True)))
    pricing, rows = priced(case)
    wanted = Wanted(ready=np.array([[int(x * SECOND)] * 2 for x in chosen]))
    costs, known = pricing.costs(wanted)
    assert known.all()
    for row, (readiness, dollars, latency, cold_start) in enumerate(rows):
        ready_set = [(x, x) for x in chosen] if readiness is Readiness.PREWARMED and cold_start > 0 else ()
        best = oracle.cheapest(case.atoms, latency=latency, cold_start=cold_start, ready_set=ready_set)
        assert costs[row] == pytest.approx(float(dollars * best.cost), rel=1e-9)
        assert pricing.priced(row, wanted) == pytest.approx(costs[row], rel=1e-12)


@given(tiny(most=2))
@examples(40)
def test_always_is_never_late(case):
    pricing, rows = priced(case)
    for row, (readiness, dollars, latency, cold_start) in enumerate(rows):
        if readiness is Readiness.PREWARMED:
            every = every_value(case.atoms, latency=latency, cold_start=cold_start)
            ready = min(seconds for seconds, waits in every if not any(waits))
            assert pricing.priced(row, ALWAYS) == pytest.approx(float(dollars * ready), rel=1e-9)
            assert pricing.late(row, ALWAYS) == 0.0


@given(tiny(most=1), st.sampled_from([0, 1, 3, 10, 60]), st.integers(0, 6))
@examples(100)
def test_no_schedule_is_worth_less_than_the_bound_of_a_mode(case, price, tolerated):
    """Being ready as much after an atom as is tolerated may be best: no schedule undercuts what the bound uses."""
    pricing, rows = priced(case)
    sigma = F(tolerated, 2)
    for row, (readiness, dollars, latency, cold_start) in enumerate(rows):
        if readiness is not Readiness.PREWARMED or len(case.atoms) > 3:
            continue
        later = (sigma,) if sigma else ()
        every = every_value(case.atoms, latency=latency, cold_start=cold_start, later=later)
        best = min(
            seconds + price * sum(p for (_, p), wait in zip(case.atoms, waits, strict=True) if wait > sigma)
            for seconds, waits in every
        )
        charged = Prices(price * float(dollars), 0.0, 0)
        least = pricing.least(row, charged, tolerated=int(sigma * SECOND))
        assert least == pytest.approx(float(dollars * best), rel=1e-9)
        (lower,) = pricing.lower(np.array([row]), charged, tolerated=int(sigma * SECOND))
        assert lower <= least * (1 + 1e-12)


@given(tiny(most=1), st.sampled_from([F(1, 4), F(1), F(4)]), st.integers(0, 6), st.integers(1, 6))
@examples(100)
def test_no_schedule_is_worth_less_than_the_bound_of_its_absences(case, absence, grace, much):
    """Those who are gone pay for a cold start; being ready anywhere between the atoms does not undercut the bound."""
    pricing, rows = priced(case)
    grace = F(grace, 2)
    for row, (readiness, dollars, latency, cold_start) in enumerate(rows):
        if readiness is not Readiness.PREWARMED or len(case.atoms) > 2:
            continue
        points = {x for x, _ in case.atoms}
        points |= {x + later for x, _ in case.atoms for later in (F(much, 2), grace + cold_start, grace)}
        best = min(
            oracle.evaluate(case.atoms, stays, price=F(1), latency=latency, cold_start=cold_start).cost
            + absence
            * cold_start
            * sum(
                (
                    p
                    for x, p in case.atoms
                    if oracle.is_absent(x, stays)
                    and not any(not stay.bridged and x <= stay.start <= x + grace for stay in stays)
                ),
                F(0),
            )
            for stays in oracle.every_schedule(sorted(points), latency=latency, cold_start=cold_start)
        )
        charged = Prices(0.0, float(absence * dollars), int(grace * SECOND))
        least = pricing.least(row, charged, tolerated=0)
        assert least <= float(dollars * best) * (1 + 1e-9)
        (lower,) = pricing.lower(np.array([row]), charged, tolerated=0)
        assert lower <= least * (1 + 1e-12)


@given(tiny(most=1, apart=False), st.sampled_from([0.0, 1.0, 20.0]))
@examples(80)
def test_levels_add_up(case, price):
    """Where services overlap every level has a schedule of its own, for the arrivals that it serves."""
    pricing, rows = priced(case)
    wanted = Wanted(price)
    costs, known = pricing.costs(wanted)
    for row, (readiness, dollars, latency, cold_start) in enumerate(rows):
        levels = oracle.levels(case.gaps, latency)
        if any(len(set(level)) > 4 for level in levels) or (len(levels) == 1 and min(case.gaps) < latency):
            continue  # too many schedules; or a path that overlaps only where it begins anew
        value = F(0)
        for level in levels:
            atoms = [(x, F(level.count(x), len(level))) for x in sorted(set(level))]
            asked = F(price) if readiness is Readiness.PREWARMED else F(0)
            best = oracle.cheapest(atoms, latency=latency, cold_start=cold_start, miss_price=asked)
            value += F(len(level), len(case.gaps)) * best.value
        cost, late = pricing.priced(row, wanted), pricing.late(row, wanted)
        assert costs[row] == pytest.approx(cost, rel=1e-12) if known[row] else costs[row] <= cost * (1 + 1e-12)
        assert cost / float(dollars) + price * late == pytest.approx(float(value), rel=1e-9)
        assert pricing.replicas(row) >= len(levels)


@given(tiny(most=1, apart=False), st.integers(1, 3))
@examples(60)
def test_what_finds_no_instance_within_the_limit_is_lost(case, most):
    pricing, rows = priced(case, max_replicas=most)
    for row, (readiness, _, latency, cold_start) in enumerate(rows):
        busy = latency if readiness is Readiness.PREWARMED else latency + cold_start
        beyond = oracle.levels(case.gaps, busy)[most:]
        assert pricing.lost[row] == pytest.approx(sum(map(len, beyond)) / len(case.gaps), abs=1e-12)
        assert pricing.late(row, ALWAYS) >= pricing.lost[row] - 1e-12


@given(tiny(most=1), st.integers(1, 3), st.sampled_from([1, 2, 4]))
@examples(30)
def test_requests_that_arrive_together_share_batches(case, concurrency, least):
    """Each of them pays its share of the instances that an arrival takes."""
    alone, rows = priced(case)
    problem = case.problem(min_replicas=least).replace(concurrency=concurrency)
    together = CompiledProblem(problem).pricing(case.arrivals)
    mean = float(sum(x * p for x, p in case.atoms))
    wanted = Wanted(4.0)
    for row, (_, dollars, _, _) in enumerate(rows):
        # Batches of one: an instance per request.  The platform keeps `least` up, shared by the requests.
        one = alone.priced(row, wanted)
        kept = min(least / concurrency, 1.0)
        extra = max(least / concurrency - 1.0, 0.0)
        expected = float(dollars) * mean * (kept + extra) + (1.0 - kept) * one
        assert together.priced(row, wanted) == pytest.approx(expected, rel=1e-9)
        assert together.replicas(row) == max(least, concurrency)


def test_rare_overlap_is_a_miss_and_not_a_level():
    """One gap of 2,000 is shorter than the service."""
    problem = made_up([[Made(F(1), F(2), F(3))]], limits=Limits())
    pricing = CompiledProblem(problem).pricing(Arrivals.empirical([10.0] * 1999 + [1.0]))
    assert len(pricing.laws(2 * SECOND)) == 1
    assert pricing.late(0, ALWAYS) == pytest.approx(1 / 2000)
    # 3 s of initialization before the arrival, or after one that comes too early.
    assert pricing.priced(0, ALWAYS) == pytest.approx(2 + 3, rel=1e-9)
