"""Responses and attainment against the oracle, and against the twin for pairs of arrivals."""

from __future__ import annotations

import math
from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedule_oracle as oracle
import twin
from schedule_oracle import Held, Mode
from smiless_core.arrivals import Arrivals, Cells
from smiless_core.model.configuration import Readiness
from smiless_core.solver.attainment import Step, attainment_of, response_to
from strategies import examples

SECOND = 10**9

halves = st.integers(0, 8).map(lambda count: F(count, 2))
positive = st.integers(1, 8).map(lambda count: F(count, 2))


@st.composite
def applications(draw):
    """Modes with any stays, edges, and whether arrivals are announced."""
    announced = draw(st.booleans())
    n = draw(st.integers(1, 3))
    edges = [(u, v) for v in range(n) for u in range(v) if draw(st.booleans())]
    modes = []
    for _ in range(n):
        readiness = draw(
            st.sampled_from(["prewarmed", "prewarmed", "on_request", *(["on_arrival"] if announced else [])])
        )
        latency, cold_start = draw(halves), draw(positive)
        stays, end = [], latency
        for _ in range(draw(st.integers(0, 3)) if readiness == "prewarmed" else 0):
            kept = (not stays or end > stays[-1].start) and draw(st.booleans())
            start = end if kept else end + draw(positive)
            ready = start if kept else start + cold_start
            end = ready + draw(halves)
            if stays and kept and stays[-1].until == start:
                stays[-1] = stays[-1]._replace(until=end)
            else:
                stays.append(Held(start, ready, end, kept))
        modes.append(Mode(latency, cold_start, readiness, tuple(stays)))
    return modes, edges, announced


def ns(seconds: F) -> int:
    return int(seconds * SECOND)


def steps_of(modes, edges) -> list[Step]:
    return [
        Step(
            ns(mode.latency),
            ns(mode.cold_start),
            Readiness(mode.readiness),
            ns(start),
            np.array([[ns(s.start), ns(s.ready), ns(s.until)] for s in mode.stays], np.int64).reshape(-1, 3),
        )
        for mode, start in zip(modes, oracle.earliest_starts(modes, edges), strict=True)
    ]


def graph(count: int, edges) -> dict:
    return {"predecessors": [[u for u, w in edges if w == v] for v in range(count)], "order": list(range(count))}


def responses(xs, modes, edges, announced):
    found, causes = response_to(
        np.array([ns(x) for x in xs], np.int64),
        steps_of(modes, edges),
        announced=announced,
        **graph(len(modes), edges),
    )
    return found.tolist(), causes.tolist()


@given(applications(), st.lists(st.integers(0, 80), min_size=1, max_size=8))
@examples(300)
def test_responses_are_those_of_the_oracle(case, quarters):
    modes, edges, announced = case
    xs = [F(q, 4) + max(mode.latency for mode in modes) for q in quarters]
    found, causes = responses(xs, modes, edges, announced)
    assert found == [ns(oracle.response(x, modes, edges, announced=announced)) for x in xs]
    prewarmed = any(mode.readiness == "prewarmed" for mode in modes)
    assert prewarmed or not any(causes)


@given(applications(), st.integers(0, 60))
@examples(150)
def test_responses_are_those_of_the_twin(case, quarters):
    """The second of two arrivals that are further apart than any response."""
    modes, edges, announced = case
    x = F(quarters, 4) + sum(mode.latency + mode.cold_start for mode in modes)
    plans = []
    for mode, start in zip(modes, oracle.earliest_starts(modes, edges), strict=True):
        times = {"latency": mode.latency, "cold_start": mode.cold_start}
        stays = oracle.schedule(mode.stays, earliest_start=start, announced=announced, **times)
        schedules = (tuple(twin.Stay(*held[:3]) for held in stays),) if mode.readiness == "prewarmed" else ()
        plans.append(twin.FunctionPlan(F(1), mode.latency, mode.cold_start, mode.readiness, schedules))
    warm = [int(mode.readiness == "prewarmed") for mode in modes]
    pair = twin.replay(twin.times([x]), plans, edges=edges, announced=announced, warm=warm)
    (found,), _ = responses([x], modes, edges, announced)
    assert found == pair.responses[1]


@st.composite
def laws(draw, least: F):
    """Atoms, cells of a second each, and the same as `Cells`."""
    first, count = draw(st.integers(0, 20)), draw(st.integers(1, 10))
    at = [least + F(first, 2) + k for k in range(count + 1)]
    weights = st.sampled_from([0, 0, 1, 2])
    atoms = [(x, draw(weights)) for x in at]
    cells = [(a, b, draw(weights)) for a, b in pairwise(at)]
    total = sum(w for *_, w in atoms) + sum(w for *_, w in cells)
    if not total:
        atoms[0], total = (at[0], 1), 1
    atoms = [(x, F(w, total)) for x, w in atoms]
    cells = [(a, b, F(w, total)) for a, b, w in cells]
    law = Cells(
        np.array([ns(x) for x in at], np.int64),
        np.array([float(p) for _, p in atoms]),
        np.array([0.0, *(float(p) for *_, p in cells)]),
        0.0,
        0.0,
        0.0,
    )
    return atoms, cells, law


@given(st.data(), applications(), halves)
@examples(150)
def test_attainment_of_cells(data, case, more):
    """All times are halves of seconds: within an open half-second all responses are in time, or none is."""
    modes, edges, announced = case
    least = max(mode.latency for mode in modes)
    atoms, cells, law = data.draw(laws(least))
    # Of one function more that takes no time, the start is the response when all is ready.
    after = [(v, len(modes)) for v in range(len(modes))]
    planned = oracle.earliest_starts([*modes, Mode(F(0), F(0), "prewarmed")], [*edges, *after])[-1]
    found = attainment_of(
        law,
        steps_of(modes, edges),
        announced=announced,
        sla=ns(planned + more),
        busy=ns(least),
        **graph(len(modes), edges),
    )
    comb = [(a + F(quarter, 4), p / 2) for a, _, p in cells for quarter in (1, 3)]
    expected = sum(
        p for x, p in [*atoms, *comb] if oracle.response(x, modes, edges, announced=announced) <= planned + more
    )
    assert found.fraction == pytest.approx(float(expected), abs=1e-9)
    assert math.fsum(found) == pytest.approx(1.0, abs=1e-12)
    assert all(0.0 <= share <= 1.0 + 1e-12 for share in found)


CAUSES = [
    (F(1, 2), "overlap"),
    (F(3), "too_early"),
    (F(7), "too_early"),
    (F(8), None),
    (F(9), None),
    (F(19, 2), "too_late"),
    (F(20), "too_late"),
    (F(21), "too_early"),
    (F(22), None),
    (F(61, 2), "cold_tail"),
]


@pytest.mark.parametrize(("x", "cause"), CAUSES)
def test_why_an_arrival_misses(x, cause):
    """L = 1, T = 2, ready from 8 to 9 and from 22 to 30."""
    stays = (Held(F(6), F(8), F(9), False), Held(F(20), F(22), F(30), False))
    steps = steps_of([Mode(F(1), F(2), "prewarmed", stays)], [])
    law = Cells(np.array([ns(x)], np.int64), np.ones(1), np.zeros(1), 0.0, 0.0, 0.0)
    found = attainment_of(law, steps, announced=False, sla=SECOND, busy=SECOND, **graph(1, []))
    assert found.fraction == (cause is None)
    if cause is not None:
        assert getattr(found, cause) == 1.0


def test_the_tail_is_served_by_what_is_never_let_go():
    """Exponential gaps, kept for ever: nothing is late; kept for k: exp(-k / mean) is."""
    cells = Arrivals.exponential(10.0).cells()
    forever = np.iinfo(np.int64).max
    fractions = []
    for until in (forever, ns(F(20))):
        step = Step(0, SECOND, Readiness.PREWARMED, 0, np.array([[0, 0, until]]))
        found = attainment_of(cells, [step], announced=False, sla=0, busy=0, **graph(1, []))
        fractions.append(found.fraction)
    assert fractions == [1.0, pytest.approx(1 - math.exp(-2), abs=1e-3)]


@pytest.mark.parametrize("announced", [False, True])
def test_what_is_never_let_go_serves_the_latest_arrival_there_may_be(announced):
    """After 146 years, also where work comes later than the arrival."""
    forever = np.iinfo(np.int64).max
    stays = np.array([[SECOND, SECOND, forever]])
    steps = [Step(SECOND, 3 * SECOND, Readiness.PREWARMED, start, stays) for start in (0, SECOND)]
    law = Cells(np.array([ns(F(4_600_000_000))], np.int64), np.ones(1), np.zeros(1), 0.0, 0.0, 0.0)
    found = attainment_of(law, steps, announced=announced, sla=2 * SECOND, busy=SECOND, **graph(2, [(0, 1)]))
    assert found.fraction == 1.0


def test_a_plan_that_is_too_slow_meets_nothing():
    steps = steps_of([Mode(F(2), F(1), "on_request")], [])
    law = Cells(np.array([10 * SECOND]), np.ones(1), np.zeros(1), 0.0, 0.0, 0.0)
    found = attainment_of(law, steps, announced=False, sla=2 * SECOND, busy=0, **graph(1, []))
    assert found.fraction == 0.0
