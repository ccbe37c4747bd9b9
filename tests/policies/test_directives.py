"""What policies say: directives that make sense, and nothing else."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from problems import chain
from small_policies import always
from strategies import examples

CPU = sc.Configuration("cpu", 1)
STAY = sc.Stay(1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"configuration": "cpu"}, "configuration: expected a Configuration, got 'cpu'"),
        ({"readiness": "warm"}, "readiness: "),
        ({"readiness": "on_request", "schedules": ((STAY,),)}, "schedules: on_request functions have none"),
        ({"schedules": ((STAY,),)}, "schedules: on_request functions have none"),
        ({"readiness": "prewarmed", "schedules": (STAY,)}, "schedules[0]: "),
        ({"readiness": "prewarmed", "schedules": ((STAY, 3),)}, "schedules[0][1]: expected a Stay, got 3"),
        ({"readiness": "prewarmed", "schedules": 3}, "schedules: "),
        ({"repeats": 1}, "repeats: "),
        ({"from_finish": None}, "from_finish: "),
        ({"min_replicas": -1}, "min_replicas: expected a whole number of at least 0, got -1"),
        ({"min_replicas": 0.5}, "min_replicas: "),
        ({"min_replicas": math.nan}, "min_replicas: "),
        ({"min_replicas": True}, "min_replicas: "),
        ({"max_replicas": 0}, "max_replicas: expected a whole number of at least 1, got 0"),
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas: expected a whole number of at least 3, got 2"),
        ({"granted": -0.1}, "granted: "),
        ({"granted": math.inf}, "granted: "),
        ({"starts": (STAY,)}, "starts[0]: expected a TimedStart"),
        ({"starts": sc.TimedStart(0.0, 1.0)}, "starts: "),
    ],
)
def test_a_directive_that_makes_no_sense(fields, said):
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.Directive(**{"configuration": CPU, **fields})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((math.nan, 1.0), "start: "),
        ((-math.inf, 1.0), "start: "),
        ((2.0, 1.0), "until: expected a finite number of at least 2, got 1.0"),
        ((2.0, math.nan), "until: "),
        ((2.0, 3.0, 0), "count: "),
        ((2.0, 3.0, 1.5), "count: "),
        (("soon", 3.0), "start: "),
    ],
)
def test_a_timed_start_that_makes_no_sense(arguments, said):
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.TimedStart(*arguments)
    assert str(caught.value).startswith(said)


def test_nan_does_not_slip_through_keep_alive():
    for seconds, options in (
        (math.nan, {}),
        (-1.0, {}),
        (1.0, {"prewarm": math.nan}),
        (1.0, {"prewarm": 2.0, "cold_start": -1.0}),
    ):
        with pytest.raises(sc.InvalidInputError):
            sc.Directive.keep_alive(CPU, seconds, **options)


def test_directives_are_values():
    one = sc.Directive(configuration=CPU, readiness="prewarmed", schedules=[[STAY]], starts=[sc.TimedStart(1, 2)])
    other = sc.Directive(
        configuration=CPU,
        readiness=sc.Readiness.PREWARMED,
        schedules=((STAY,),),
        starts=(sc.TimedStart(1.0, 2.0),),
    )
    assert one == other == pickle.loads(pickle.dumps(one))
    assert one != one.replace(repeats=True)
    with pytest.raises(AttributeError):
        one.repeats = True
    with pytest.raises(sc.InvalidInputError):
        one.replace(min_replicas=-1)


@examples(80)
@given(st.integers(0, 8), st.integers(0, 6), st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(0, 4))
def test_the_windows_of_keep_alive_by_hand(keep, prewarm, gaps, cold_start):
    """One instance, gaps after each answer: there from `prewarm` s after it for `keep` s, or all the time without."""
    problem = chain(2.0, cold_start=float(cold_start), sla=99.0)
    told = always({"f0": sc.Directive.keep_alive(CPU, float(keep), prewarm=float(prewarm), cold_start=cold_start)})
    now = initializing = idle = 0
    arrivals, responses = [], []
    ready_at, until = math.inf, -math.inf  # of the instance that is there, or will be
    for gap in [0, *gaps]:
        now += gap
        arrivals.append(now)
        starts = ready_at - cold_start
        if ready_at <= now <= until:  # idle until now; a stay of no prewarming began with the answer
            idle += now - ready_at
            begins = now
            initializing += 0 if prewarm == 0 else cold_start
        elif prewarm and starts < now < ready_at:
            begins = ready_at
            initializing += cold_start
        elif prewarm and starts == now < ready_at:  # the request is before the start, at one instant, and takes its own
            begins = now + cold_start
            initializing += cold_start
        else:
            if until < now and until >= 0:
                idle += until - ready_at
                initializing += 0 if prewarm == 0 else cold_start
            begins = now + cold_start
            initializing += cold_start
        responses.append(begins + 2 - now)
        now = begins + 2
        ready_at = now if prewarm == 0 else now + prewarm + cold_start
        until = max(now + prewarm + keep, ready_at)
    run = sc.simulate(problem, sc.Trace.from_seconds(np.array(arrivals, float)), told, sampled=False)
    assert run.responses == pytest.approx(responses, abs=1e-8)
    assert run.cost_split["initializing"] == pytest.approx(initializing, abs=1e-6)
    assert run.cost_split["idle"] == pytest.approx(idle, abs=1e-6)


def test_a_plan_becomes_directives():
    problem = chain(1.0, 2.0, sla=3.5)
    plan = sc.solve(problem, sc.Arrivals.exponential(20.0), target=0.9).plan
    for assignment in plan:
        directive = sc.Directive.of(assignment)
        assert directive.configuration == assignment.configuration
        assert directive.readiness is assignment.readiness
        if assignment.readiness is sc.Readiness.PREWARMED:
            assert directive.schedules == (assignment.schedule, *assignment.further)
        else:
            assert directive.schedules == ()
        assert not directive.from_finish
        assert (directive.min_replicas, directive.max_replicas, directive.starts) == (0, None, ())


def test_a_plan_for_regular_arrivals_is_carried_out_as_it_says():
    """From the second arrival on: at the cost of the plan, and within its latency."""
    problem = chain(1.0, 2.0, cold_start=3.0, sla=3.5)
    plan = sc.solve(problem, sc.Arrivals.every(20.0)).plan
    told = always({each.function: sc.Directive.of(each) for each in plan})
    count = 50
    run = sc.simulate(problem, sc.Trace.from_seconds(20.0 * np.arange(count)), told, sampled=False)
    assert run.responses[1:] == pytest.approx([plan.latency] * (count - 1))
    assert run.total_cost == pytest.approx(plan.cost * count, rel=1e-6)


@pytest.mark.parametrize(("least", "limit", "expected"), [(2, None, 2), (3, 2, 2), (0, None, 0)])
def test_a_floor_of_the_policy_stays_below_the_limit_of_the_platform(least, limit, expected):
    problem = chain(1.0, cold_start=3.0, limits=sc.Limits(max_replicas=limit))
    told = always({"f0": sc.Directive(configuration=CPU, min_replicas=least)})
    run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 50.0]), told, timeline=True)
    middle = (run.instances.starts < 40.0) & (run.instances.ends > 40.0)
    assert middle.sum() == expected
