"""A policy serves arrivals: what it sees, what it may answer, and what is billed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from problems import chain
from smiless_core.model import Configuration, Readiness, Stay
from smiless_core.timing import nanoseconds_up
from smiless_core.windows import Played, replay
from strategies import examples

CPU = Configuration("cpu", 1)


class Told:
    """Does what it is told to, and remembers what it has seen."""

    name, fidelity = "told", "own rule"

    def __init__(self, directives, *, at_arrivals=False, wakes=()) -> None:
        self.directives, self.at_arrivals, self.wakes = directives, at_arrivals, list(wakes)
        self.seen = []

    def start(self, problem, *, now, seed):
        self.started = (now, seed)
        wakes = list(self.wakes)

        def decide(seen):
            whole = seen.arrivals if seen.arrivals.base is None else seen.arrivals.base
            self.seen.append((seen.now, seen.arrivals.copy(), whole.copy(), seen.responses, dict(seen.functions)))
            assert not seen.arrivals.flags.writeable
            first = len(self.seen) == 1
            return sc.Decision(
                self.directives if first else {}, wake=wakes.pop(0) if wakes else None, at_arrivals=self.at_arrivals
            )

        return decide


def trace(*seconds: float) -> sc.Trace:
    return sc.Trace.from_seconds(seconds)


def kept(problem: sc.Problem, seconds: float) -> dict[str, sc.Directive]:
    return {name: sc.Directive.keep_alive(CPU, seconds) for name in problem.application.names}


def test_one_function_by_hand():
    problem = chain(1.0, cold_start=3.0, sla=2.0)  # a dollar per second
    run = sc.simulate(problem, trace(100.0, 110.0, 130.0), Told(kept(problem, 10.0)), sampled=False)
    assert run.arrivals.tolist() == [0.0, 10.0, 30.0]
    assert run.responses.tolist() == [4.0, 1.0, 4.0]
    assert run.late.tolist() == [True, False, True]
    # There from 0 s to 21 s, idle from 4 s to 10 s and from 11 s to 21 s; and from 30 s to 34 s.
    assert run.cost_split == {"initializing": 6.0, "busy": 3.0, "idle": 16.0}
    assert run.total_cost == 25.0
    assert (run.cold_starts, run.end, run.instance_hours) == (2, 34.0, 25.0 / 3600)
    assert run.percentile(50) == 4.0


def test_only_the_past_is_seen():
    problem = chain(1.0, 2.0)
    policy = Told(kept(problem, 60.0), at_arrivals=True, wakes=[5.5, 9.0])
    sc.simulate(problem, trace(0.0, 7.0, 7.0, 20.0), policy, seed=9)
    assert policy.started == (0.0, 9)
    assert [now for now, *_ in policy.seen[:4]] == [0.0, 1e-9, 7.000000001, 20.000000001]
    for now, arrivals, whole, responses, _ in policy.seen:
        assert (arrivals <= now).all()
        assert len(arrivals) == np.searchsorted([0.0, 7.0, 7.0, 20.0], now)
        assert not (whole > now).any(), "what is behind the array holds no later arrival, either"
        done = ~np.isnan(responses)
        assert (arrivals[done] + responses[done] <= now).all()
    assert policy.seen[2][-1]["f0"].requests == 3


def test_wakes_are_kept_to_the_nanosecond():
    problem = chain(1.0)
    policy = Told(kept(problem, 60.0), wakes=[0.25, 1.5, 1.5000000001, math.inf])
    sc.simulate(problem, trace(0.0, 7.0), policy)
    assert [now for now, *_ in policy.seen] == [0.0, 0.25, 1.5, 1.500000001]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 20), st.integers(0, 12), st.data())
@examples(60)
def test_schedules_are_served_as_in_a_replay(gaps, start, stay, data):
    problem = chain(1.0, 2.0, cold_start=3.0)
    schedule = (Stay(start, start + 3.0, start + 3.0 + stay),)
    levels = tuple(schedule for _ in range(data.draw(st.integers(1, 3))))
    times = np.cumsum([0, *gaps]).astype(np.int64) * 10**9
    run = sc.simulate(
        problem,
        sc.Trace(times),
        Told(
            {
                name: sc.Directive(configuration=CPU, readiness=Readiness.PREWARMED, schedules=levels)
                for name in problem.application.names
            }
        ),
        sampled=False,
    )
    played = [
        Played(price=1.0, latency=each, cold_start=3.0, readiness=Readiness.PREWARMED, schedules=levels)
        for each in (1.0, 2.0)
    ]
    expected = replay(times, played, edges=[(0, 1)])
    assert run.responses.tolist() == expected.responses.tolist()
    assert run.total_cost == pytest.approx(expected.total_cost, rel=1e-12)
    assert run.cold_starts == expected.cold_starts.sum()


@given(st.integers(0, 2**64 - 1))
@examples(20)
def test_what_is_billed_is_what_instances_did(seed):
    problem = sc.Problem(sc.catalog.application("amber-alert"), sc.catalog.profiles(), sc.catalog.prices())
    arrivals = sc.azure_like(seconds=1800.0, seed=seed % 1000)
    run = sc.simulate(problem, arrivals, sc.baselines.FixedKeepAlive(seconds=40.0), seed=seed, timeline=True)
    there = np.minimum(run.instances.ends, run.end) - run.instances.starts
    price = [[used.price for used in function.usage] for function in run.functions]
    billed = sum(price[v][u] * s for v, u, s in zip(run.instances.function, run.instances.usage, there, strict=True))
    assert run.total_cost == pytest.approx(billed, rel=1e-9)
    assert sum(run.cost_split.values()) == pytest.approx(run.total_cost, rel=1e-12)
    served = set(zip(run.services.function.tolist(), run.services.invocation.tolist(), strict=True))
    assert len(served) == len(run.services.function) == run.count * len(run.functions)
    ends = np.zeros((len(run.functions), run.count))
    ends[run.services.function, run.services.invocation] = run.services.finishes
    assert ends.max(axis=0) - run.arrivals == pytest.approx(run.responses, abs=1e-6)
    begins = np.zeros_like(ends)
    begins[run.services.function, run.services.invocation] = run.services.begins
    index = problem.application.index
    for one, other in problem.application.edges:
        assert (begins[index[other]] >= ends[index[one]] - 1e-9).all()


def test_a_seed_says_it_all():
    problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    arrivals = sc.azure_like(seconds=1800.0)
    runs = [sc.simulate(problem, arrivals, sc.baselines.AlwaysWarm(), seed=seed) for seed in (1, 1, 2)]
    assert runs[0].to_dict() == runs[1].to_dict()
    assert runs[0].responses.tolist() == runs[1].responses.tolist() != runs[2].responses.tolist()


def test_limits_of_the_platform_hold():
    problem = chain(1.0, sla=10.0, limits=sc.Limits(max_replicas=1))
    run = sc.simulate(problem, trace(0.0, 0.0, 0.0), Told(kept(problem, 60.0)), sampled=False)
    assert run.responses.tolist() == [4.0, 5.0, 6.0]
    assert run.cold_starts == 1
    up = chain(1.0, limits=sc.Limits(min_replicas=2))
    run = sc.simulate(up, trace(0.0, 30.0, 30.0), Told({"f0": sc.Directive(configuration=CPU)}), sampled=False)
    assert run.responses.tolist() == [4.0, 1.0, 1.0]


def test_times_since_1970():
    problem = chain(1.0)
    late = sc.simulate(problem, trace(1.7e9, 1.7e9 + 10), Told(kept(problem, 60.0)), sampled=False)
    assert late.responses.tolist() == [4.0, 1.0]


def test_until():
    problem = chain(1.0)
    run = sc.simulate(problem, trace(0.0), Told(kept(problem, 60.0)), sampled=False, until=30.0)
    assert (run.end, run.total_cost) == (30.0, 30.0)


def test_what_was_not_answered_before_time_ended_is_late():
    problem = chain(1.0, sla=9.0)
    run = sc.simulate(problem, trace(0.0, 10.0), Told(kept(problem, 2.0)), sampled=False, until=11.0)
    assert run.responses.tolist() == [4.0, math.inf]
    assert run.late.tolist() == [False, True]
    assert run.percentile(99) == math.inf
    assert run.to_dict()["latency"]["p99"] is None


class Answers:
    """Answers the second question with something else."""

    name, fidelity = "odd", "own rule"

    def __init__(self, answer) -> None:
        self.answer = answer

    def start(self, problem, *, now, seed):
        asked = iter([sc.Decision(kept(problem, 60.0), wake=5.0)])
        return lambda seen: next(asked, None) or self.answer(seen)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda seen: 7, "policy 'odd' at 5 s: expected a Decision, got 7"),
        (
            lambda seen: sc.Decision({"f9": sc.Directive(configuration=CPU)}),
            "at 5 s: directives: no function named 'f9'",
        ),
        (lambda seen: sc.Decision({"f0": 3}), "at 5 s: directives['f0']: expected a Directive, got 3"),
        (lambda seen: sc.Decision(wake=math.nan), "at 5 s: wake: expected a finite number, got nan"),
        (lambda seen: sc.Decision(wake=5.0), "at 5 s: asks to be woken at 5 s, which is not later than now"),
        (lambda seen: 1 / 0, "at 5 s: ZeroDivisionError: division by zero"),
        (
            lambda seen: sc.Decision({"f0": sc.Directive(configuration=CPU, min_replicas=-1)}),
            "at 5 s: min_replicas: expected a whole number of at least 0, got -1",
        ),
        (
            lambda seen: sc.Decision({"f0": sc.Directive.keep_alive(CPU, math.nan)}),
            "at 5 s: seconds: expected a finite",
        ),
        (
            lambda seen: sc.Decision({"f0": sc.Directive(configuration=Configuration("cpu", 3))}),
            "at 5 s: f0.configuration.size: 3 is not offered (1)",
        ),
        (
            lambda seen: sc.Decision({"f0": sc.Directive(configuration=CPU, readiness="on_arrival")}),
            "at 5 s: f0: ",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(answer, complaint):
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.simulate(chain(1.0), trace(0.0, 10.0), Answers(answer))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_decision_names_every_function():
    with pytest.raises(sc.InvalidInputError, match=r"'told' at 0 s: .* none for 'f1'"):
        sc.simulate(chain(1.0, 1.0), trace(0.0), Told({"f0": sc.Directive(configuration=CPU)}))


def test_no_arrival_is_nothing_to_serve():
    with pytest.raises(sc.InvalidInputError, match="there is no arrival"):
        sc.simulate(chain(1.0), sc.Trace(np.array([], np.int64)), Told({}))


@pytest.mark.parametrize("application", ["image-query", "amber-alert"])
def test_the_policy_of_this_library_learns(application):
    problem = sc.Problem(sc.catalog.application(application), sc.catalog.profiles(), sc.catalog.prices())
    arrivals = sc.Trace.from_seconds(np.arange(0.0, 6000.0, 30.0))
    run = sc.simulate(problem, arrivals, sc.Smiless(), seed=1)
    assert run.late[50:].mean() <= 0.02  # cold starts now and then last longer than planned
    assert run.cost < sc.simulate(problem, arrivals, sc.baselines.FixedKeepAlive(seconds=600.0)).cost


def test_a_published_window_by_hand():
    problem = chain(1.0, cold_start=3.0, sla=2.0)
    run = sc.simulate(problem, trace(*range(0, 100, 10)), sc.Smiless.published(), sampled=False)
    assert nanoseconds_up(1.0) == 10**9
    # From the second forecast on an instance starts 7 s after each arrival and is ready when the next one comes.
    assert run.responses.tolist() == [4.0, *[1.0] * 9]
    assert run.cost_split["busy"] == 10.0
    assert run.cost_split["initializing"] == 3.0 * run.cold_starts
    assert run.cold_starts == 9
