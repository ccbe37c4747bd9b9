"""Whatever a policy decides: every request is served once and in order, and what is billed is what there was."""

from __future__ import annotations

import math
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from oracles import nanoseconds
from problems import problems
from small_policies import Whims, always, offered
from smiless_core.simulator import Run
from strategies import examples

pytestmark = pytest.mark.native


@st.composite
def limits(draw: st.DrawFn) -> sc.Limits:
    least = draw(st.integers(0, 2))
    most = draw(st.none() | st.integers(max(least, 1), 4))
    return sc.Limits(min_replicas=least, max_replicas=most, announces_arrivals=draw(st.booleans()))


@st.composite
def traces(draw: st.DrawFn) -> sc.Trace:
    gaps = draw(st.lists(st.sampled_from([0, 0, 1, 250, 700, 1300, 4000, 9000, 30_000]), max_size=9))
    return sc.Trace(np.cumsum([draw(st.integers(-5, 5)), *gaps]) * 1_000_000)


def ns(seconds: np.ndarray) -> np.ndarray:
    return np.rint(seconds * 1e9).astype(np.int64)


def billable(run: Run, v: int) -> list[dict[str, int]]:
    """Return the instances of a function in whole nanoseconds."""
    there = run.instances
    assert there is not None
    own = np.flatnonzero(there.function == v).tolist()
    times = {name: ns(getattr(there, name)) for name in ("starts", "ready", "ends")}
    return [
        {"serial": int(there.serial[i]), "usage": int(there.usage[i])}
        | {name: int(values[i]) for name, values in times.items()}
        for i in own
    ]


def served(run: Run, v: int) -> list[dict[str, int]]:
    """Return the services of a function in whole nanoseconds."""
    all_of = run.services
    assert all_of is not None
    times = {name: ns(getattr(all_of, name)) for name in ("comes", "begins", "finishes")}
    return [
        {name: int(getattr(all_of, name)[i]) for name in ("invocation", "serial", "batch", "cold")}
        | {name: int(values[i]) for name, values in times.items()}
        for i in np.flatnonzero(all_of.function == v).tolist()
    ]


@examples(300)
@given(problems(), limits(), traces(), st.integers(0, 10**6), st.booleans())
def test_every_request_is_served_once_and_what_there_was_is_billed(problem, limits, trace, whim, sampled):
    problem = problem.replace(limits=limits)
    run = sc.simulate(problem, trace, Whims(whim), seed=whim, sampled=sampled, timeline=True)
    arrivals = (trace.times - trace.times[0]).tolist()
    finishes: dict[str, dict[int, int]] = {}
    application = problem.application
    spent = {"initializing": 0.0, "busy": 0.0, "idle": 0.0}
    for v in application.order:
        name = application.names[v]
        function, services, instances = run.functions[v], served(run, v), billable(run, v)
        assert function.name == name

        # Once, when all that it waits for is done.
        finishes[name] = {each["invocation"]: each["finishes"] for each in services}
        assert len(services) == len(finishes[name]) == function.requests == len(arrivals)
        before = [finishes[application.names[u]] for u in application.predecessors[v]]
        for each in services:
            k = each["invocation"]
            assert each["comes"] == max((done[k] for done in before), default=arrivals[k])
            assert each["comes"] <= each["begins"] < each["finishes"]

        # By one instance at a time, which is ready, at the latency of its configuration.
        assert sorted(each["serial"] for each in instances) == list(range(function.cold_starts))
        busy = [0] * len(function.usage)
        for instance in instances:
            used = function.usage[instance["usage"]]
            model = problem.profile(v).hardware[used.configuration.hardware]
            work = sorted(
                (each for each in services if each["serial"] == instance["serial"]),
                key=lambda each: (each["begins"], each["invocation"]),
            )
            until = max(instance["ready"], instance["starts"])
            for begins, together in groupby(work, key=lambda each: each["begins"]):
                batch = list(together)
                assert {each["batch"] for each in batch} == {len(batch)}
                assert len(batch) <= used.configuration.batch
                assert len({each["finishes"] for each in batch}) == 1
                latency = model.latency(len(batch), used.configuration.size, extrapolate=True)
                assert batch[0]["finishes"] - begins == nanoseconds(latency, up=True)
                assert begins >= until
                until = batch[0]["finishes"]
                busy[instance["usage"]] += until - begins
            assert not work or until <= instance["ends"]
            assert instance["ends"] <= round(run.end * 1e9)
            planned = model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)
            if not sampled:
                assert instance["ready"] - instance["starts"] == nanoseconds(planned, up=True)

        # And the bill is their time.
        for position, used in enumerate(function.usage):
            own = [each for each in instances if each["usage"] == position]
            initializing = sum(min(each["ready"], each["ends"]) - each["starts"] for each in own)
            lived = sum(each["ends"] - each["starts"] for each in own)
            assert round(used.initializing * 1e9) == initializing
            assert round(used.busy * 1e9) == busy[position]
            assert round(used.idle * 1e9) == lived - initializing - busy[position]
            assert used.price == problem.prices.per_second(used.configuration)
            for state, seconds in zip(spent, (initializing, busy[position], lived - initializing), strict=True):
                spent[state] += used.price * seconds / 1e9
    last = [max(done[k] for done in finishes.values()) for k in range(len(arrivals))]
    assert run.responses_ns.tolist() == [done - at for done, at in zip(last, arrivals, strict=True)]
    assert run.total_cost == pytest.approx(spent["initializing"] + spent["idle"], rel=1e-12)  # idle: with busy
    assert sum(run.cost_split.values()) == pytest.approx(run.total_cost, rel=1e-12)
    assert run.cost_split["busy"] == pytest.approx(spent["busy"], rel=1e-12)
    assert run.cost_split["initializing"] == pytest.approx(spent["initializing"], rel=1e-12)


@examples(100)
@given(problems(), limits(), traces(), st.integers(0, 10**6))
def test_no_more_instances_than_the_platform_has(problem, limits, trace, whim):
    problem = problem.replace(limits=limits)
    run = sc.simulate(problem, trace, Whims(whim), seed=whim, timeline=True)
    for v in range(len(run.functions)):
        changes = [(each["starts"], 1) for each in billable(run, v)] + [(each["ends"], -1) for each in billable(run, v)]
        there = np.cumsum([change for _, change in sorted(changes)])
        assert there.max() <= (math.inf if limits.max_replicas is None else limits.max_replicas)


@examples(100)
@given(problems(), traces(), st.integers(1, 3), st.integers(0, 3), st.booleans())
def test_no_fewer_instances_than_the_platform_keeps(problem, trace, least, own, announces):
    problem = problem.replace(limits=sc.Limits(min_replicas=least, announces_arrivals=announces))
    functions = problem.application.names
    told = always(
        {name: sc.Directive(configuration=offered(problem, v)[0], min_replicas=own) for v, name in enumerate(functions)}
    )
    run = sc.simulate(problem, trace, told, timeline=True)
    for v in range(len(functions)):
        lives = billable(run, v)
        moments = sorted({0, round(run.end * 1e9), *(each[name] for each in lives for name in ("starts", "ends"))})
        for at, following in pairwise(moments):
            middle = (at + following) / 2
            assert sum(each["starts"] < middle < each["ends"] for each in lives) >= max(least, own)


@examples(40)
@given(problems(), limits(), traces(), st.integers(0, 10**6), st.integers(0, 2**64 - 1))
def test_a_seed_gives_the_same_bytes(tmp_path_factory, problem, limits, trace, whim, seed):
    problem = problem.replace(limits=limits)
    path = tmp_path_factory.getbasetemp() / "runs.json"
    written = []
    for _ in range(2):
        run = sc.simulate(problem, trace, Whims(whim), seed=seed, timeline=True)
        sc.write_runs(path, [run.replace(decision_time=0.0)])
        written.append(path.read_bytes())
    assert written[0] == written[1]


@examples(100)
@given(problems(), traces(), st.integers(0, 10**6))
def test_time_may_begin_at_any_time(problem, trace, whim):
    """A trace with seconds since 1970 is served as one that begins at 0."""
    run, later = (
        sc.simulate(problem, sc.Trace(trace.times + shift), Whims(whim)) for shift in (0, 1_700_000_000_123_456_789)
    )
    assert later.responses_ns.tolist() == run.responses_ns.tolist()
    assert later.arrivals_ns.tolist() == run.arrivals_ns.tolist() == (trace.times - trace.times[0]).tolist()
    assert later.to_dict() == run.to_dict()
