"""The policy of this library: whatever comes it serves, by the rules of all policies. What it chooses is its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from observations import names_all, seen
from problems import chain, problems
from smiless_core.policies.composed import _Online
from strategies import examples

pytestmark = pytest.mark.native


@examples(20)
@given(
    problems(most=3),
    st.lists(st.sampled_from([0, 0, 1, 300, 2000, 30_000]), max_size=12),
    st.sampled_from([None, 0.5, 0.999]),
)
def test_it_serves_anything(problem, gaps, target):
    problem = problem.replace(application=problem.application.replace(attainment_target=target or 0.5, sla=5.0))
    trace = sc.Trace(np.cumsum([0, *gaps]) * 1_000_000)
    run, again = (sc.simulate(problem, trace, sc.Smiless(target=target, patience=0.01), seed=s) for s in (5, 5))
    assert (run.responses > 0.0).all()
    assert run.to_dict() == again.to_dict()


@pytest.mark.parametrize("policy", [sc.Smiless(), sc.PublishedSmiless()], ids=lambda policy: policy.name)
@pytest.mark.parametrize("most", [1, 2])
def test_it_serves_more_than_the_platform_has_instances_for(policy, most):
    """Arrivals that come faster than so many instances can serve: no plan has room for them, and they queue."""
    problem = chain(1.0, 2.0, sla=20.0, limits=sc.Limits(max_replicas=most))
    problem = problem.replace(application=problem.application.replace(attainment_target=0.5))
    run = sc.simulate(problem, sc.Trace.from_seconds(0.25 * np.arange(40)), policy, timeline=True)
    assert (run.responses >= 3.0).all()
    for v in range(2):
        own = run.instances.function == v
        starts, ends = run.instances.starts[own], run.instances.ends[own]
        assert all(((starts <= at) & (at < ends)).sum() <= most for at in starts)


def test_what_it_decides_depends_on_the_past_alone():
    """Two traces with the same beginning are served alike up to where they part."""
    problem = chain(1.0, 2.0, sla=4.0)
    problem = problem.replace(application=problem.application.replace(attainment_target=0.8))
    begin = np.cumsum(np.random.default_rng(2).exponential(15.0, 60))
    ends = [begin[-1] + 30.0 + np.arange(20) * 1.0, begin[-1] + 30.0 + np.arange(20) * 300.0]
    runs = [
        sc.simulate(problem, sc.Trace.from_seconds([*begin, *end]), sc.Smiless(), seed=3, timeline=True) for end in ends
    ]
    assert runs[0].responses_ns[:59].tolist() == runs[1].responses_ns[:59].tolist()
    at = begin[-1] - begin[0]
    begun = [np.sort(run.instances.starts[run.instances.starts < at]) for run in runs]
    assert begun[0].tolist() == begun[1].tolist()


def test_it_starts_as_a_value_and_keeps_its_state_to_itself():
    problem = chain(1.0, 2.0)
    policy = sc.Smiless()
    first, second = (policy.start(problem, now=0.0, seed=0) for _ in range(2))
    arrivals = (10.0 * np.arange(40)).tolist()
    opening = first(seen(problem, 0.0))
    assert names_all(problem, opening)
    for k, at in enumerate(arrivals):
        first(seen(problem, at, arrivals[: k + 1]))
    assert second(seen(problem, 0.0)) == opening
    assert policy == sc.Smiless()


def test_it_meets_the_target_of_regular_arrivals_for_no_more_than_instances_that_stay():
    problem = chain(1.0, 2.0, cold_start=3.0, sla=4.0)
    trace = sc.Trace.from_seconds(np.arange(0.0, 8000.0, 20.0))
    run = sc.simulate(problem, trace, sc.Smiless())
    assert run.meets_target
    assert run.total_cost >= run.clairvoyant
    assert run.total_cost < sc.simulate(problem, trace, sc.baselines.AlwaysWarm()).total_cost


@pytest.mark.parametrize(
    "settings",
    [{"memory": 1}, {"patience": 0.0}, {"patience": float("nan")}, {"target": 1.5}, {"target": 0.0}, {"settle": -1.0}],
    ids=str,
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(sc.InvalidInputError, match=next(iter(settings))):
        sc.Smiless(**settings)


def test_regular_arrivals_are_served_nearly_at_the_cost_of_the_plan_for_them():
    """Nothing overlaps: no headroom is paid for, and the cautious beginning is short."""
    problem = sc.Problem(sc.catalog.application("amber-alert"), sc.catalog.profiles(), sc.catalog.prices())
    run = sc.simulate(problem, sc.Trace.from_seconds(10.0 * np.arange(200)), sc.Smiless())
    assert run.attainment >= 0.99
    assert run.cost < 1.6 * sc.solve(problem, sc.Arrivals.every(10.0)).cost


@pytest.mark.parametrize("sla", [2.0, 4.0, 6.0])
@pytest.mark.parametrize("application", ["image-query", "amber-alert"])
def test_a_burst_at_the_beginning_is_in_time(application, sla):
    """A quiet hour, then a dozen invocations within three seconds, of which nothing was known."""
    problem = sc.Problem(sc.catalog.application(application), sc.catalog.profiles(), sc.catalog.prices())
    problem = problem.replace(application=problem.application.replace(sla=sla))
    quiet = np.sort(np.random.default_rng(2).uniform(0.0, 3600.0, 60))
    run = sc.simulate(problem, sc.Trace.from_seconds([*quiet, *(3700.0 + 0.25 * np.arange(12))]), sc.Smiless())
    assert run.late[-12:].sum() == 0
    assert run.late.sum() <= 1  # the first one, as nothing was there


def _ran_on(run: sc.Run) -> list[int]:
    """How many configurations each function has had."""
    return [len({used.configuration for used in function.usage}) for function in run.functions]


def test_a_change_has_to_pay_for_itself(monkeypatch):
    problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    trace = sc.Trace.from_seconds(np.cumsum(np.random.default_rng(1).exponential(40.0, 150)))
    ran = {}
    for cost in (0.0, 1e9):
        monkeypatch.setattr("smiless_core.policies.composed._Online._cost_of_change", lambda *_, cost=cost: cost)
        problem = problem.replace(application=problem.application.replace(attainment_target=0.9))
        ran[cost] = sum(_ran_on(sc.simulate(problem, trace, sc.Smiless())))
    assert ran[1e9] < ran[0.0]


def test_a_change_costs_the_cold_starts_of_what_is_new():
    problem = chain(1.0, 2.0, cold_start=3.0)
    online = _Online(sc.Smiless(), problem)
    old = {name: sc.Directive.keep_alive(sc.Configuration("cpu", 1), 5.0) for name in problem.application.names}
    online._in_force = old
    assert online._cost_of_change(old) == 0.0
    first, second = problem.application.names
    new = sc.Directive.keep_alive(sc.Configuration("gpu", 0.5), 5.0).replace(min_replicas=2, max_replicas=2)
    price = problem.prices.per_second(new.configuration)
    assert online._cold_start(first, sc.Configuration("cpu", 1)) == 3.0
    changed = {first: old[first], second: new}
    online._cold_start = lambda function, configuration: 7.0
    assert online._cost_of_change(changed) == pytest.approx(2 * 7.0 * price)
