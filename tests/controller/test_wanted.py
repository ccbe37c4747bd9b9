"""What should be there, against the engine that serves the same arrivals by the same directives."""

from time import perf_counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.controller.wanted import Wanted, planned_starts, planned_times
from smiless_core.model import Configuration, Stay
from smiless_core.policies import Directive, TimedStart
from smiless_core.serving import Serving
from strategies import examples

LATENCY, COLD = 0.5, 2.0
CPU = Configuration("cpu", 1)


def profile(name, latency=LATENCY, cold=COLD):
    return sc.Profile(
        name,
        {
            "cpu": sc.HardwareProfile(
                alpha=latency, beta=0.0, gamma=0.0, cold_start_mean=cold, cold_start_std=0.0, sizes=(1,), batches=(1,)
            )
        },
    )


PROBLEM = sc.Problem(sc.Application.chain("f", sla=10.0), {"f": profile("f")}, sc.Prices(cpu=1.0, gpu=1.0))

tenths = st.integers(0, 100).map(lambda tenth: tenth / 10 + 0.03)


@st.composite
def schedules(draw):
    """Draw stays in ascending order; the first may go on from the service, and so may later ones."""
    at, stays = LATENCY, []
    for k in range(draw(st.integers(1, 3))):
        keeps = draw(st.booleans())
        start = at if keeps else at + draw(st.integers(1, 40)) / 10
        ready = start if keeps else start + COLD
        until = ready + draw(st.integers(0, 40)) / 10 + 0.017 * (k + 1)
        stays.append(Stay(start, ready, until))
        at = until
    return tuple(stays)


@st.composite
def directives(draw):
    kind = draw(st.sampled_from(["on_request", "schedules", "keep_alive", "floor", "timed"]))
    if kind == "on_request":
        return Directive(configuration=CPU)
    if kind == "keep_alive":
        prewarm = draw(st.sampled_from([0.0, 0.0, 3.1, 6.2]))
        return Directive.keep_alive(CPU, draw(tenths), prewarm=prewarm, cold_start=COLD)
    levels = tuple(draw(st.lists(schedules(), min_size=1, max_size=3)))
    given_levels = {"readiness": "prewarmed", "schedules": levels, "repeats": draw(st.booleans())}
    if kind == "floor":
        return Directive(configuration=CPU, min_replicas=draw(st.integers(1, 3)))
    if kind == "timed":
        start = draw(tenths)
        return Directive(
            configuration=CPU, starts=(TimedStart(start, start + 1.0 + draw(tenths), draw(st.integers(1, 3))),)
        )
    return Directive(configuration=CPU, **given_levels)


def wanted(directive):
    return Wanted("f", directive, offset=0.0, latency=LATENCY, cold_start=COLD)


LATER = Directive(configuration=CPU, readiness="prewarmed", schedules=((Stay(0.6, 2.6, 6.117),),))


def instances(directive, arrivals, moments):
    """Return how many instances the engine has just after each moment."""
    times = np.array([round(each * 1e9) for each in arrivals], np.int64)
    serving = Serving(PROBLEM, times, sampled=False)
    serving.direct("f", directive)
    found = []
    for moment in moments:
        serving.advance(round(moment * 1e9))
        found.append(serving.observe()[0]["f"].instances)
    return found


@examples(300)
@given(
    directive=directives(),
    gaps=st.lists(st.integers(1, 150).map(lambda tenth: tenth / 10 + 0.0071), min_size=1, max_size=8),
    moments=st.lists(st.integers(0, 400).map(lambda tenth: tenth / 10 + 0.0553), min_size=1, max_size=6),
)
# A stay that begins before the service is over, and arrivals that come before a service begins.
@example(LATER, [0.1071, 0.1071, 2.4071, 0.4071, 5.8071, 0.1071], [14.9553])
@example(LATER, [0.1071, 0.1071, 2.4071, 0.4071, 5.8071, 0.1071], [3.1553])
def test_as_many_as_the_engine_has(directive, gaps, moments):
    arrivals = np.cumsum(gaps).tolist()
    moments = sorted(moments)
    there = instances(directive, arrivals, moments)
    for moment, count in zip(moments, there, strict=True):
        model = wanted(directive)
        for each in arrivals:
            if each <= moment:
                model.arrive(each)
        served_by_floor = directive.min_replicas or directive.starts
        if served_by_floor:
            # Instances that are there for everybody serve, too: what should be there is a bound then.
            assert model.count(moment) <= count + sum(each <= moment for each in arrivals)
            assert model.count(moment) >= directive.min_replicas
        else:
            assert model.count(moment) == count, (moment, model._levels)


@examples(200)
@given(directive=directives(), gaps=st.lists(st.integers(1, 150).map(lambda t: t / 10 + 0.0071), max_size=6))
def test_nothing_changes_before_the_next_change(directive, gaps):
    model = wanted(directive)
    now = 0.0
    for gap in gaps:
        now += gap
        model.arrive(now)
    for _ in range(20):
        after = model.next_change(now)
        if after == float("inf"):
            break
        middle = (now + after) / 2
        if now < middle < after:
            assert model.count(middle) == model.count(now + (after - now) * 0.999)
            assert model.entries(middle) == model.entries(now + (after - now) * 0.999)
        now = after


@examples(200)
@given(directive=directives(), gaps=st.lists(st.integers(1, 150).map(lambda t: t / 10 + 0.0071), max_size=6))
def test_entries_have_keys_of_their_own_and_are_due(directive, gaps):
    model, now = wanted(directive), 0.0
    for gap in gaps:
        now += gap
        model.arrive(now)
    seen = {}
    for moment in np.arange(now, now + 30.0, 0.25):
        due = model.entries(moment)
        assert len({each.key for each in due}) == len(due)
        for each in due:
            assert each.due <= moment <= each.until
            assert seen.setdefault(each.key, each) == each
        assert len(due) <= model.count(moment)


def test_stays_hold_after_a_change_of_directive():
    model = wanted(Directive.keep_alive(CPU, 60.0))
    model.arrive(10.0)
    assert (model.count(10.0 + LATENCY + COLD + 59.0), model.count(10.0 + LATENCY + COLD + 61.0)) == (1, 0)
    model.direct(Directive.keep_alive(CPU, 5.0), offset=0.0, latency=LATENCY, cold_start=COLD)
    assert model.count(10.0 + LATENCY + COLD + 59.0) == 0


def test_what_is_kept_stays_while_work_is_on_its_way():
    model = Wanted("f", Directive.keep_alive(CPU, 60.0), offset=5.0, latency=LATENCY, cold_start=COLD)
    model.arrive(100.0)
    assert [model.count(each) for each in (104.9, 105.1, 110.0)] == [0, 1, 1]
    model.arrive(120.0)
    assert model.next_change(120.0) == 125.0
    assert [model.count(each) for each in (120.1, 124.9, 125.1, 185.4, 185.6)] == [1, 1, 1, 1, 0]


def test_many_at_once_take_no_time():
    model, begun = wanted(Directive.keep_alive(CPU, 60.0)), perf_counter()
    for _ in range(20_000):
        model.arrive(1.0)
    assert model.count(1.0) == 20_000
    assert perf_counter() - begun < 3.0


def test_a_limit_on_replicas_is_kept():
    model = wanted(Directive(configuration=CPU, max_replicas=2))
    for each in (0.0, 0.1, 0.2, 0.3):
        model.arrive(each)
    assert model.count(0.4) == 2
    # Two each, one after the other, on instances that were cold.
    assert model.count(COLD + 2 * LATENCY - 0.05) == 2
    assert model.count(COLD + 2 * LATENCY + 0.15) == 0


def test_functions_further_down_are_reached_later():
    profiles = {"a": profile("a", 1.0, 2.0), "b": profile("b", 3.0, 4.0), "c": profile("c", 1.0, 10.0)}
    problem = sc.Problem(
        sc.Application.chain("a", "b", "c", sla=99.0),
        profiles,
        sc.Prices(cpu=1.0, gpu=1.0),
    )
    warm = Directive(configuration=CPU, readiness="prewarmed", schedules=((Stay(0.0, 0.0, 1.0),),))
    assert planned_starts(problem, {"a": warm, "b": warm, "c": warm}) == {"a": 0.0, "b": 1.0, "c": 4.0}
    cold = Directive(configuration=CPU)
    assert planned_starts(problem, {"a": cold, "b": cold, "c": warm}) == {"a": 0.0, "b": 3.0, "c": 10.0}
    announced = Directive(configuration=CPU, readiness="on_arrival")
    assert planned_starts(problem, {"a": warm, "b": announced, "c": warm}) == {"a": 0.0, "b": 1.0, "c": 7.0}
    assert planned_times(problem, "c", CPU) == (1.0, 10.0)


def test_an_announced_instance_starts_just_early_enough():
    model = Wanted(
        "f", Directive(configuration=CPU, readiness="on_arrival"), offset=5.0, latency=LATENCY, cold_start=COLD
    )
    model.arrive(100.0)
    assert model.next_change(100.0) == pytest.approx(103.0)
    assert (model.count(102.9), model.count(103.1), model.count(105.4), model.count(105.6)) == (0, 1, 1, 0)
