"""The engine against its slow twin, event by event; and the twin against what was known before there was either."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulation_cases
import twin as offline
from simulation_cases import Case, play, play_slowly
from simulation_twin import FOREVER, Application, Decision, Start, Stay, Twin, mix
from smiless_core._native.simulation import Simulation
from strategies import examples


def same(case: Case) -> None:
    """Every number of both is the same: what is seen between decisions, every request, instance and response."""
    got, want = play(case), play_slowly(case)
    end = want.observed[-1][0]
    assert got.observed == want.observed
    assert got.requests == [r for r in want.requests if r.finishes <= end]
    assert got.lives == want.lives
    assert got.responses == want.responses


@examples(400)
@given(simulation_cases.cases())
def test_the_engine_does_what_its_twin_does(case: Case):
    same(case)


@examples(400)
@given(simulation_cases.cases(most_functions=1, most_arrivals=8, most_decisions=3))
def test_and_so_it_does_with_one_function(case: Case):
    same(case)


def begun(case: Case) -> Simulation:
    """The engine after the last decision of a case."""
    simulation = simulation_cases.simulate(case.applications, seed=case.seed, start=case.start)
    for i, (time, decisions) in enumerate(case.decisions):
        if i:
            simulation.advance(time)
        for v, decision in decisions:
            simulation_cases.decide(simulation, v, decision)
    return simulation


@examples(200)
@given(simulation_cases.cases(), st.integers(0, 50))
def test_time_goes_no_further_than_the_last_finish(case: Case, beyond: int):
    whole, stopped = begun(case), begun(case)
    end = whole.finish()
    assert stopped.advance(end + 1 + beyond, no_further=True) == end
    assert stopped.finish() == end
    functions = range(sum(application.functions for application in case.applications))
    assert [stopped.bill(v) for v in functions] == [whole.bill(v) for v in functions]
    assert stopped.responses.tolist() == whole.responses.tolist()
    assert [each.tolist() for each in stopped.drain()] == [each.tolist() for each in whole.drain()]
    parted = begun(case)
    reached = case.decisions[-1][0]
    while reached < end:  # in steps that end before everything has been served
        until = min(end, reached + max((end - case.decisions[-1][0]) // 3, 1))
        reached = parted.advance(until, no_further=True)
        assert reached == until
    assert parted.finish() == end
    assert [parted.bill(v) for v in functions] == [whole.bill(v) for v in functions]


def one_function(*decisions: tuple[int, Decision], horizon: int | None = None) -> Case:
    """One arrival at 0, and these decisions at their times."""
    return Case((Application(1, [], [0]),), tuple((t, ((0, d),)) for t, d in decisions), 0, None, horizon)


INSTANT = Decision(configuration=0, price=1.0, latency=(1,), cold_start=0, readiness="prewarmed")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            one_function((0, INSTANT._replace(replicas=1)), (2, INSTANT), horizon=3), id="a floor that is taken away"
        ),
        pytest.param(
            one_function((0, INSTANT._replace(schedules=((Stay(0, 0, FOREVER),),))), (2, INSTANT), horizon=3),
            id="a stay that is taken away",
        ),
        pytest.param(
            one_function((0, INSTANT._replace(replicas=2, starts=(Start(0, FOREVER, 3),)))),
            id="floor and starts at one instant",
        ),
        pytest.param(
            one_function(
                (0, INSTANT._replace(configuration=2, cold_start=1, replicas=2)),
                (1, INSTANT._replace(max_replicas=2, replicas=1)),
            ),
            id="a floor that waits for room",
        ),
        pytest.param(
            Case(
                (Application(2, [(0, 1)], [0], announced=True),),
                (
                    (0, ((0, INSTANT._replace(cold_start=2, readiness="on_request")), (1, INSTANT))),
                    (2, ((0, INSTANT._replace(cold_start=2)),)),
                ),
                0,
                None,
                None,
            ),
            id="a predecessor that is decided again",
        ),
    ],
)
def test_cases_they_once_disagreed_on(case: Case):
    same(case)


@examples(200)
@given(simulation_cases.cases())
def test_the_bill_is_the_time_from_start_to_end(case: Case):
    """Billed = initializing + busy + idle = end - start, of every instance; and every request is served once."""
    outcome = play(case)
    end, arrived, functions = outcome.observed[-1]
    for v, seen in enumerate(functions):
        lives = [life for life in outcome.lives if life.function == v]
        assert sum(map(sum, seen.billed.values())) == sum(life.end - life.start for life in lives)
        assert seen.cold_starts == len(lives)
        served = [r.invocation for r in outcome.requests if r.function == v]
        assert len(served) == len(set(served)) == seen.requests - seen.under_way
    assert all(life.start <= life.end <= end for life in outcome.lives)
    if case.horizon is None:
        assert arrived == [len(a.arrivals) for a in case.applications]
        assert all(response > 0 for responses in outcome.responses for response in responses)


# --- the twin itself --------------------------------------------------------------------------------------


def test_the_random_words_are_those_of_splitmix64():
    """The first outputs of the reference implementation from seed 1234567."""
    step = 0x9E3779B97F4A7C15
    words = [mix((1234567 + i * step) % 2**64) for i in range(3)]
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def random_plans(draw: random.Random) -> tuple[list[offline.FunctionPlan], list[Decision], list[tuple[int, int]]]:
    plans, decisions = [], []
    size = draw.randint(1, 4)
    for _ in range(size):
        latency, cold_start = draw.randint(1, 4), draw.choice([0, 1, 2, 3, 4])
        readiness = draw.choice(["prewarmed", "prewarmed", "on_request"])
        schedules = []
        for _ in range(draw.randint(0, 3) if readiness == "prewarmed" else 0):
            stays, at = [], draw.randint(0, 6)
            for _ in range(draw.randint(0, 2)):
                ready = at + draw.choice([0, cold_start])
                stays.append((at, ready, ready + draw.randint(1, 4)))
                at = stays[-1][2] + draw.randint(0, 3)
            schedules.append(tuple(stays))
        plans.append(
            offline.FunctionPlan(
                1, latency, cold_start, readiness, tuple(tuple(offline.Stay(*s) for s in stays) for stays in schedules)
            )
        )
        decisions.append(
            Decision(
                configuration=0,
                price=1.0,
                latency=(latency * offline.BILLION,),
                cold_start=cold_start * offline.BILLION,
                readiness=readiness,
                schedules=tuple(tuple(Stay(*(t * offline.BILLION for t in s)) for s in stays) for stays in schedules),
            )
        )
    return plans, decisions, [(u, v) for v in range(size) for u in range(v) if draw.random() < 0.5]


def test_fixed_schedules_are_served_as_the_offline_twin_serves_them():
    """Of one application without batches, limits or spread; deciding the same again changes nothing."""
    for seed in range(300):
        draw = random.Random(seed)
        plans, decisions, edges = random_plans(draw)
        arrivals = offline.times([draw.choice([0, 0, 1, 1, 2, 3, 4, 6, 8, 12]) for _ in range(draw.randint(0, 11))])
        want = offline.replay(arrivals, plans, edges=edges, clock="latest")
        run = Twin([Application(len(plans), edges, arrivals)])
        for time in sorted(draw.choices(range(want.horizon + 1), k=draw.randint(0, 3))):
            for v, decision in enumerate(decisions):
                run.decide(v, decision)
            run.advance(time // offline.BILLION * offline.BILLION)
        for v, decision in enumerate(decisions):
            run.decide(v, decision)
        assert run.finish() == want.horizon
        assert run.responses(0) == list(want.responses)
        seen = [run.observe(v) for v in range(len(plans))]
        assert tuple(o.cold_starts for o in seen) == want.cold_starts
        assert [sum(map(sum, o.billed.values())) for o in seen] == [c * offline.BILLION for c in want.costs]
