"""Every rival serves: any application, limits and arrivals, by the simulation; and a small case of each by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from problems import chain, problems
from smiless_core.baselines import (
    AlwaysWarm,
    FixedKeepAlive,
    GrandSLAm,
    HybridHistogram,
    IceBreaker,
    KnativeAutoscaler,
    Orion,
)
from smiless_core.model import Limits, Problem, Trace
from smiless_core.policies import Policy
from smiless_core.simulator.engine import simulate
from smiless_core.simulator.runs import Run
from strategies import examples

pytestmark = pytest.mark.native

POLICIES: list[Policy] = [
    AlwaysWarm(),
    FixedKeepAlive(seconds=30.0),
    GrandSLAm(interval=5.0),
    HybridHistogram(bin_width=5.0, span=300.0, refresh=5.0),
    HybridHistogram(bin_width=5.0, span=300.0, refresh=0.0),
    IceBreaker(interval=5.0, window=6, history=2),
    KnativeAutoscaler(stable_window=12.0),
    Orion(keep_alive=0.0),
    Orion(keep_alive=30.0),
]


def serve(problem: Problem, times: list[float], policy: Policy, **options: float) -> Run:
    return simulate(problem, Trace.from_seconds(times), policy, timeline=True, **options)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    least = draw(st.integers(0, 2))
    return Limits(
        min_replicas=least,
        max_replicas=draw(st.none() | st.integers(max(least, 1), 4)),
        min_keep_alive=draw(st.sampled_from([0.0, 0.0, 7.0])),
        announces_arrivals=draw(st.booleans()),
    )


@st.composite
def bursts(draw: st.DrawFn) -> list[float]:
    """Draw arrivals in bursts, with pauses between them."""
    now, times = 0.0, []
    for _ in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(1, 6))):
            times.append(now)
            now += draw(st.integers(0, 3_000)) / 1e3
        now += draw(st.sampled_from([0.0, 20.0, 400.0]))
    return times


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@given(problem=problems(), limits=limits(), times=bursts())
@examples(25)
def test_every_request_is_served_within_the_limits(
    policy: Policy, problem: Problem, limits: Limits, times: list[float]
) -> None:
    models = [model for profile in problem.profiles.values() for model in profile.hardware.values()]
    assume(all(model.cold_start_mean or not model.cold_start_std for model in models))
    problem = problem.replace(limits=limits)
    run = serve(problem, times, policy)
    assert np.all(np.isfinite(run.responses))
    assert [function.requests for function in run.functions] == [len(times)] * len(run.functions)
    again = serve(problem, times, policy)
    assert again.to_dict() == run.to_dict()
    instances = run.instances
    assert instances is not None
    most = math.inf if limits.max_replicas is None else limits.max_replicas
    for v in range(len(run.functions)):
        own = instances.function == v
        starts, ends = instances.starts[own], instances.ends[own]
        assert all(((starts <= at) & (at < ends)).sum() <= most for at in starts)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_idle_hours_cost_no_decisions(policy: Policy) -> None:
    short = serve(chain(1.0, 2.0), [0.0, 3600.0], policy)
    long = serve(chain(1.0, 2.0), [0.0, 360_000.0], policy)
    assert long.decisions <= short.decisions < 200


def test_a_kept_instance_serves_what_comes_in_time() -> None:
    # 3 s to start and 1 s to serve; done at 4. 10 s later it is still there, 10 s after that done at 15 it is not.
    run = serve(chain(1.0), [0.0, 14.0, 25.1], FixedKeepAlive(seconds=10.0))
    assert run.responses == pytest.approx([4.0, 1.0, 4.0])
    assert run.total_cost == pytest.approx((3 + 1) + 10 + 1 + 10 + (3 + 1))


def test_what_is_always_warm_is_so_from_the_start_on() -> None:
    run = serve(chain(1.0), [0.0, 100.0, 100.5, 200.0], AlwaysWarm())
    assert run.responses == pytest.approx([4.0, 1.0, 4.0, 1.0])
    # The one that the overlap took, 100.5 to 104.5, stays in the place of the one that is free before it.
    assert run.total_cost == pytest.approx(101.0 + 100.5)


def test_knative_starts_two_and_lets_them_go_after_panic() -> None:
    run = serve(chain(1.0), [0.0, 100.0], KnativeAutoscaler(), until=300.0)
    assert run.responses == pytest.approx([4.0, 4.0])
    assert run.instances is not None
    # In panic until after 60 s, and away at the next two ticks; asked 1 ns after the arrival.
    assert run.instances.starts[:2] == pytest.approx([0.0, 0.0], abs=1e-8)
    assert sorted(run.instances.ends)[:2] == pytest.approx([64.0, 66.0], abs=1e-6)


def test_the_histogram_lets_go_and_comes_back() -> None:
    run = serve(chain(1.0), [0.0, 600.0, 1200.0, 1800.0], HybridHistogram(refresh=0.0))
    assert run.responses == pytest.approx([4.0, 1.0, 1.0, 1.0])
    # For 4 hours at first. A gap of 600 less 1 s is in the bin from 540 s: it starts 486 s after the end.
    assert run.instances is not None
    assert run.instances.starts == pytest.approx([0.0, 1087.0, 1687.0])


def test_icebreaker_warms_up_what_came_before() -> None:
    run = serve(chain(1.0), [0.0, 90.0, 150.0, 210.0], IceBreaker())
    assert run.responses == pytest.approx([4.0, 1.0, 1.0, 1.0])
    # The first minute ends with one to come in the next: it is there from 63 s on, and stays.
    assert run.instances is not None
    assert run.instances.starts == pytest.approx([0.0, 60.0])


def test_orion_overlaps_cold_starts() -> None:
    # Cold: 3 + 4 s, the second function starts at 4 and is ready at 7: 3 + 4 + 2. The instances end at 7 and at 9.
    run = serve(chain(4.0, 2.0), [0.0], Orion(keep_alive=0.0))
    assert run.responses == pytest.approx([9.0])
    assert run.instances is not None
    assert sorted(run.instances.starts) == pytest.approx([0.0, 4.0])
    assert run.total_cost == pytest.approx(7.0 + 5.0)


def test_grandslam_serves_what_waits_in_batches() -> None:
    problem = chain(1.0, sla=4.0)
    model = problem.profiles["f0"].hardware["cpu"].replace(batches=(1, 2, 4))
    problem = problem.replace(profiles={"f0": problem.profiles["f0"].replace(hardware={"cpu": model})})
    # A request a second each: one instance takes the four that wait when it is ready, and then the fifth.
    run = serve(problem, [0.0, 1.0, 1.0, 2.0, 6.9], GrandSLAm(interval=60.0))
    assert run.services is not None
    assert run.services.batch.tolist() == [4, 4, 4, 4, 1]
    assert run.responses == pytest.approx([7.0, 6.0, 6.0, 5.0, 1.1])
