"""SMIless as published: its windows by hand."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from observations import names_all, seen
from problems import chain, hardware_profile, problems
from strategies import examples

pytestmark = pytest.mark.native

CPU = sc.Configuration("cpu", 1)


def told(problem: sc.Problem, arrivals: list[float], **settings: object) -> list[sc.Decision]:
    """Return what it decides at the beginning and after every arrival."""
    decide = sc.PublishedSmiless(**settings).start(problem, now=0.0, seed=0)
    return [decide(seen(problem, arrivals[0]))] + [
        decide(seen(problem, at, arrivals[: k + 1])) for k, at in enumerate(arrivals)
    ]


def windows(decision: sc.Decision) -> dict[str, list[tuple[float, float, float]]]:
    return {
        name: [(stay.start, stay.ready, stay.until) for schedule in each.schedules for stay in schedule]
        for name, each in decision.directives.items()
    }


def test_without_a_forecast_instances_stay():
    problem = chain(1.0, 2.0)
    first, after_one, *_ = told(problem, [0.0, 10.0])
    assert names_all(problem, first)
    assert set(first.directives.values()) == {sc.Directive.keep_alive(CPU, math.inf)}
    assert first.at_arrivals
    assert first.wake is None
    assert after_one == sc.Decision(at_arrivals=True)


def test_prewarmed_for_the_moment_when_its_own_work_is_expected():
    """A gap of 20 s, 3 s to start: the first works at 20 s, the second, whose work comes 1 s later, at 21 s."""
    decision = told(chain(1.0, 2.0, sla=3.0), [0.0, 20.0])[-1]
    assert windows(decision) == {"f0": [(17.0, 20.0, math.inf)], "f1": [(18.0, 21.0, math.inf)]}
    assert not any(each.from_finish or each.repeats for each in decision.directives.values())


def test_without_the_dag_it_is_prewarmed_for_the_arrival():
    decision = told(chain(1.0, 2.0, sla=3.0), [0.0, 20.0], windows_follow_dag=False)[-1]
    assert windows(decision) == {"f0": [(17.0, 20.0, math.inf)], "f1": [(17.0, 20.0, math.inf)]}


def test_kept_where_its_work_does_not_fit_between_arrivals():
    """4.5 s: the first needs 3 + 1 and is let go, the second 3 + 2 and stays from its service, done at 3 s, on."""
    decision = told(chain(1.0, 2.0, sla=3.0), [0.0, 4.5])[-1]
    assert windows(decision) == {"f0": [(1.5, 4.5, math.inf)], "f1": [(3.0, 3.0, math.inf)]}


def test_plans_reckon_with_three_standard_deviations():
    model = hardware_profile(alpha=0.0, beta=1.0, cold_start_mean=3.0, cold_start_std=0.5, sizes=(1,))
    problem = chain(1.0, sla=1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    assert windows(told(problem, [0.0, 20.0])[-1]) == {"f0": [(15.5, 20.0, math.inf)]}


def test_the_forecast_is_the_median_of_those_remembered():
    problem = chain(1.0, sla=1.0)
    arrivals = np.cumsum([0.0, 10.0, 30.0, 12.0, 50.0]).tolist()
    decisions = told(problem, arrivals, memory=3)
    gaps = np.diff(arrivals).tolist()
    expected = [statistics.median(gaps[max(0, k - 3) : k]) for k in range(1, 5)]
    assert expected == [10.0, 20.0, 12.0, 30.0]
    assert [windows(each)["f0"][0][1] for each in decisions[2:]] == expected


def test_it_says_only_what_has_changed():
    """Twice the same gap; then one that moves the windows of both."""
    decisions = told(chain(1.0, 2.0, sla=3.0), [0.0, 20.0, 40.0, 60.0, 62.0, 64.0, 66.0])
    assert [sorted(each.directives) for each in decisions[1:5]] == [[], ["f0", "f1"], [], []]
    assert all(each.at_arrivals for each in decisions)


def test_simultaneous_arrivals_are_no_forecast():
    """A median of 0 s is nothing to plan for; instances stay."""
    problem = chain(1.0)
    assert told(problem, [0.0, 0.0, 0.0])[-1].directives == {}


def test_homogeneous_has_processors_only():
    models = {
        "cpu": hardware_profile(alpha=0.0, beta=1.0, sizes=(1,)),
        "gpu": hardware_profile(alpha=0.0, beta=0.01, sizes=(1,)),
    }
    problem = chain(1.0, sla=2.0).replace(profiles={"f0": sc.Profile("f0", models)}, prices=sc.Prices(cpu=1.0, gpu=1.0))

    def hardware(**settings: object) -> set[str]:
        decisions = told(problem, [0.0, 100.0], **settings)
        return {str(each.configuration.hardware) for d in decisions for each in d.directives.values()}

    assert hardware() == {"gpu"}
    assert hardware(homogeneous=True) == {"cpu"}
    only = problem.replace(profiles={"f0": sc.Profile("f0", {"gpu": models["gpu"]})})
    with pytest.raises(sc.InvalidInputError, match="homogeneous"):
        sc.PublishedSmiless(homogeneous=True).start(only, now=0.0, seed=0)


@pytest.mark.parametrize("sla", [1.4, 1.6, 9.0])
def test_homogeneous_takes_only_what_is_offered_to_each_function(sla):
    """One has 1 and 4 cores to choose from, the other 2: 2 cores are no choice of the first."""
    profiles = {
        "f0": sc.Profile("f0", {"cpu": hardware_profile(alpha=1.0, beta=0.1, sizes=(1, 4))}),
        "f1": sc.Profile("f1", {"cpu": hardware_profile(sizes=(2,))}),
    }
    problem = sc.Problem(sc.Application.chain("f0", "f1", sla=sla), profiles, sc.Prices(cpu=1.0, gpu=1.0))
    run = sc.simulate(problem, sc.Trace.from_seconds([0.0, 10.0, 20.0]), sc.PublishedSmiless(homogeneous=True))
    assert {each.configuration.size for each in run.functions[0].usage} <= {1.0, 4.0}
    assert {each.configuration.size for each in run.functions[1].usage} == {2.0}


def test_regular_arrivals_cost_what_the_paper_says():
    """From the third on: T + L for each function, and all of it in time."""
    problem = chain(1.0, 2.0, cold_start=3.0, sla=3.0)
    count = 40
    run = sc.simulate(problem, sc.Trace.from_seconds(20.0 * np.arange(count)), sc.PublishedSmiless(), sampled=False)
    assert run.responses[0] == 4.0 + 5.0
    assert run.responses[1:].tolist() == [3.0] * (count - 1)
    # The first instances stay until the second arrival: from 4 s and 9 s, when they are done, to 20 s and 21 s.
    assert run.total_cost == pytest.approx(count * (4.0 + 5.0) + 16.0 - 3.0 + 12.0 - 3.0)


@examples(60)
@given(
    problems(most=3),
    st.lists(st.sampled_from([0, 1, 300, 2000, 30_000, 400_000]), max_size=10),
    st.booleans(),
    st.integers(1, 5),
)
def test_it_serves_anything(problem, gaps, follow, memory):
    trace = sc.Trace(np.cumsum([0, *gaps]) * 1_000_000)
    policy = sc.PublishedSmiless(windows_follow_dag=follow, memory=memory)
    run = sc.simulate(problem, trace, policy)
    assert (run.responses > 0.0).all()
    assert run.policy == ("SMIless" if follow else "SMIless, no DAG")


@pytest.mark.parametrize("settings", [{"memory": 0}, {"memory": 1.5}, {"homogeneous": 1}, {"windows_follow_dag": None}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(sc.InvalidInputError, match=next(iter(settings))):
        sc.PublishedSmiless(**settings)
