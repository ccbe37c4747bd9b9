"""What a run says of itself, from its numbers."""

from __future__ import annotations

import json
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from problems import chain, hardware_profile
from small_policies import always
from smiless_core.simulator import FunctionRun, Run, Usage
from strategies import examples

CPU, BIG, GPU = sc.Configuration("cpu", 1), sc.Configuration("cpu", 4, 2), sc.Configuration("gpu", 0.5)


def made(responses: list[int], *, sla: float = 2.0, target: float = 0.9, **changes: object) -> Run:
    """Return a run with these responses, nanoseconds."""
    usage = (
        Usage(CPU, 0.5, 1.0, initializing=4.0, busy=10.0, idle=6.0),
        Usage(BIG, 2.0, 0.5, initializing=1.0, busy=2.0, idle=0.0),
    )
    given = {
        "policy": "made up",
        "settings": "made_up()",
        "fidelity": "of a test",
        "application": sc.Application.chain("f0", "f1", sla=sla, attainment_target=target),
        "trace": "trace",
        "seed": 0,
        "arrivals_ns": np.arange(len(responses)) * 10**9,
        "responses_ns": np.array(responses, np.int64),
        "end": 3600.0,
        "functions": (
            FunctionRun("f0", len(responses), 3, usage),
            FunctionRun("f1", len(responses), 2, (Usage(GPU, 3.0, 0.1, initializing=1.0, busy=1.0, idle=1.0),)),
        ),
        "clairvoyant": 5.0,
        "decisions": 7,
        "decision_time": 0.125,
    }
    return Run(**given | changes)


def test_dollars_and_seconds_by_hand():
    run = made([10**9] * 4)
    assert [function.cost for function in run.functions] == [0.5 * 20 + 2.0 * 3, 3.0 * 3]
    assert run.total_cost == 25.0
    assert run.cost == 6.25
    assert run.cost_ratio == 5.0
    assert run.cost_split == {"initializing": 2 + 2 + 3, "busy": 5 + 4 + 3, "idle": 3 + 3}
    assert run.instance_seconds == {"cpu": 1 * 20 + 4 * 3, "gpu": 0.5 * 3}
    assert run.instance_hours == 26.0 / 3600.0
    assert run.cold_starts == 5
    assert run.functions[0].mostly.configuration == CPU
    assert (run.count, run.sla, run.target) == (4, 2.0, 0.9)
    assert "made up" in repr(run)


def test_without_a_bound_there_is_no_ratio():
    for bound in (math.nan, 0.0):
        run = made([1], clairvoyant=bound)
        assert math.isnan(run.cost_ratio)
        assert run.to_dict()["cost_ratio"] is None


def test_late_is_what_takes_a_nanosecond_too_long():
    run = made([2_000_000_000, 2_000_000_001, 1, 1_999_999_999])
    assert run.late.tolist() == [False, True, False, False]
    assert run.attainment == 0.75
    assert not run.meets_target
    assert made([2_000_000_000, 2_000_000_001], target=0.5).meets_target
    # As doubles, a sum such as .1 + .2 is not what it says: the SLA is judged in whole nanoseconds.
    assert not made([300_000_000], sla=0.1 + 0.2).late.any()
    assert made([300_000_001], sla=0.1 + 0.2).late.all()


@examples(100)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=30),
    st.one_of(st.sampled_from([1, 50, 95, 99, 100]), st.integers(1, 100)),
)
def test_a_percentile_is_the_least_response_that_so_many_do_not_exceed(responses, percent):
    least = min(
        each
        for each in responses
        if Fraction(sum(other <= each for other in responses), len(responses)) >= Fraction(percent, 100)
    )
    assert made([each * 10**9 for each in responses]).percentile(percent) == float(least)


@examples(50)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=400), st.fractions(0, 1).filter(lambda each: 0 < each < 1))
def test_the_target_is_met_by_exactly_so_many(responses, target):
    run = made([each * 10**9 for each in responses], target=float(target))
    in_time = Fraction(sum(each <= 2 for each in responses), len(responses))
    assert run.attainment == pytest.approx(float(in_time), abs=1e-15)
    if abs(in_time - Fraction(float(target))) > Fraction(1, 10**12):
        assert run.meets_target == (in_time > float(target))


@pytest.mark.parametrize(("late", "count", "target"), [(1, 100, 0.99), (1, 10, 0.9), (3, 10, 0.7), (7, 1000, 0.993)])
def test_a_target_met_exactly_is_met(late, count, target):
    run = made([3 * 10**9] * late + [10**9] * (count - late), target=target)
    assert run.meets_target


def test_a_dictionary_is_json_without_anything_infinite():
    problem = chain(1.0, 2.0, sla=5.0)
    policy = sc.baselines.FixedKeepAlive(seconds=4.0)
    run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 10.0, 11.0]), policy, seed=3)
    said = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    assert said["total_cost"] == pytest.approx(sum(each["cost"] for each in said["functions"].values()))
    assert said["cost_split"] == pytest.approx(
        {
            state: sum(
                used["price_per_second"] * used[state] for each in said["functions"].values() for used in each["usage"]
            )
            for state in ("initializing", "busy", "idle")
        }
    )
    assert "decision_time" not in json.dumps(said), "what differs from run to run has no place there"
    assert json.loads(json.dumps(made([1], clairvoyant=math.nan).to_dict(), allow_nan=False))["cost_ratio"] is None


def test_a_run_pickles_and_does_not_change():
    run = sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0, 9.0]), sc.baselines.AlwaysWarm(), timeline=True)
    back = pickle.loads(pickle.dumps(run))
    assert back.to_dict() == run.to_dict()
    assert back.responses.tolist() == run.responses.tolist()
    for array in (run.arrivals_ns, run.responses_ns):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        run.seed = 4


def test_settings_say_how_a_policy_was_made_the_same_every_time():
    """A policy that says nothing of itself is told by its kind, not by where it lies in memory."""
    problem, trace = chain(1.0), sc.Trace.from_seconds([0.0])
    assert sc.simulate(problem, trace, sc.baselines.FixedKeepAlive(seconds=7.0)).settings.count("7.0") == 1
    told = [sc.simulate(problem, trace, always({"f0": sc.Directive(configuration=CPU)})).settings for _ in range(3)]
    assert len(set(told)) == 1
    assert " at 0x" not in told[0]


def test_usage_is_in_the_order_of_the_first_decisions():
    model = hardware_profile(sizes=(1, 2), alpha=1.0, beta=0.0)
    problem = chain(1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    sizes = iter([2, 1, 2])

    class Changing:
        name, fidelity = "changing", "of a test"

        def start(self, problem, *, now, seed):
            def decide(seen):
                size = next(sizes)
                directive = sc.Directive(configuration=sc.Configuration("cpu", size))
                return sc.Decision({"f0": directive}, wake=seen.now + 50.0 if seen.now < 100 else None)

            return decide

    trace = sc.Trace.from_seconds([0.0, 60.0, 120.0])
    run = sc.simulate(problem, trace, Changing(), sampled=False, timeline=True)
    (function,) = run.functions
    assert [(each.configuration.size, each.busy, each.initializing) for each in function.usage] == [
        (2.0, 1.0, 6.0),
        (1.0, 1.0, 3.0),
    ]
    assert run.instances.usage.tolist() == [0, 1, 0]
