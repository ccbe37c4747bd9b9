"""Configurations for policies of keeping instances, against all products of them."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from oracles import nanoseconds
from problems import chain, diamond, problems
from strategies import examples

pytestmark = pytest.mark.native


def everything(problem: sc.Problem, v: int) -> list[sc.Configuration]:
    return [
        sc.Configuration(hardware, size, batch)
        for hardware, model in problem.profile(v).hardware.items()
        for size in problem.sizes(v, hardware)
        for batch in model.batches
    ]


def latency(problem: sc.Problem, v: int, configuration: sc.Configuration) -> float:
    return problem.profile(v).hardware[configuration.hardware].latency(configuration.batch, configuration.size)


def response(problem: sc.Problem, choice: tuple[sc.Configuration, ...]) -> int:
    """Return how long it takes when everything is ready, whole nanoseconds."""
    done: dict[int, int] = {}
    application = problem.application
    for v in application.order:
        begins = max((done[u] for u in application.predecessors[v]), default=0)
        done[v] = begins + nanoseconds(latency(problem, v, choice[v]), up=True)
    return max(done.values())


def cost(problem: sc.Problem, choice: tuple[sc.Configuration, ...], residency: float) -> float:
    return math.fsum(
        problem.prices.per_second(each) * (latency(problem, v, each) + residency) for v, each in enumerate(choice)
    )


@examples(100)
@given(problems(most=3), st.integers(0, 100), st.sampled_from([0.0, 0.01, 5.0, 60.0, 1e6]), st.booleans())
def test_no_choice_is_cheaper(problem, part, residency, as_argument):
    choices = list(product(*(everything(problem, v) for v in range(len(problem.application.functions)))))
    times = sorted({response(problem, choice) for choice in choices})
    sla = times[part * (len(times) - 1) // 100] / 1e9
    if as_argument:
        found = sc.cheapest_configurations(problem, residency=residency, sla=sla)
    else:
        within = problem.replace(application=problem.application.replace(sla=sla))
        found = sc.cheapest_configurations(within, residency=residency)
    assert tuple(found) == problem.application.names
    chosen = tuple(found.values())
    assert chosen in choices
    bound = nanoseconds(sla, up=False)
    assert response(problem, chosen) <= bound
    best = min(cost(problem, choice, residency) for choice in choices if response(problem, choice) <= bound)
    assert cost(problem, chosen, residency) == pytest.approx(best, rel=1e-9)


@examples(40)
@given(problems(most=3), st.sampled_from([0.0, 60.0]))
def test_where_nothing_meets_the_sla_it_is_the_fastest(problem, residency):
    choices = list(product(*(everything(problem, v) for v in range(len(problem.application.functions)))))
    fastest = min(response(problem, choice) for choice in choices)
    found = sc.cheapest_configurations(problem, residency=residency, sla=(fastest - 1) / 1e9)
    assert response(problem, tuple(found.values())) == fastest
    best = min(cost(problem, choice, residency) for choice in choices if response(problem, choice) == fastest)
    assert cost(problem, tuple(found.values()), residency) == pytest.approx(best, rel=1e-9)


def test_residency_by_hand():
    """A request takes 2.1 s on one core and 1.1 s on two: 2.1 + r against 2.2 + 2 r dollars."""
    model = sc.HardwareProfile(alpha=2.0, beta=0.1, gamma=0.0, cold_start_mean=1.0, sizes=(1, 2), batches=(1,))
    problem = chain(1.0).replace(profiles={"f0": sc.Profile("f0", {"cpu": model})})
    assert sc.cheapest_configurations(problem, residency=0.0)["f0"].size == 1
    assert sc.cheapest_configurations(problem, sla=1.5)["f0"].size == 2
    faster = model.replace(beta=0.0, gamma=0.0, dispatch=0.0)  # 2 s or 1 s: without residency the price is the same
    problem = problem.replace(profiles={"f0": sc.Profile("f0", {"cpu": faster})})
    assert sc.cheapest_configurations(problem, residency=0.001)["f0"].size == 1


@pytest.mark.parametrize(
    "options", [{"residency": -1.0}, {"residency": math.nan}, {"residency": math.inf}, {"sla": 0.0}, {"sla": math.nan}]
)
def test_what_makes_no_sense(options):
    with pytest.raises(sc.InvalidInputError, match=next(iter(options))):
        sc.cheapest_configurations(diamond(), **options)
