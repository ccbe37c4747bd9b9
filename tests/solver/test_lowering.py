"""From names to arrays and back to the right answer, from end to end."""

import math
import pickle
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from problems import Question, chain, diamond, hardware_profile, problems, questions
from smiless_core import catalog
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.model import Application, Function, Limits, Prices, Problem, Profile
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.tables import Search, Status, Work
from strategies import examples

EVERY_10 = Arrivals.every(10.0)


# -- Rows ----------------------------------------------------------------------------------------------------


def two_functions(**settings):
    """A chain on cpu and gpu, with more batches than any test needs."""
    profile = Profile(
        "p",
        {
            "gpu": hardware_profile(sizes=(0.5,), batches=(1, 2), cold_start_mean=7.0),
            "cpu": hardware_profile(sizes=(4, 2), batches=(1, 2)),
        },
    )
    functions = (Function("first", "p"), Function("second", "p"))
    application = Application(functions, (("first", "second"),), sla=10.0)
    return Problem(application, {"p": profile}, Prices(cpu=1.0, gpu=10.0), **settings)


def rows_of(problem, v):
    """Every mode of a function as (hardware, size, batch, readiness), in the order of the rows."""
    compiled = CompiledProblem(problem)
    offsets = compiled.table(EVERY_10).offsets
    names = problem.application.names
    choice = [0] * len(names)
    found = []
    for mode in range(offsets[v + 1] - offsets[v]):
        choice[v] = mode
        planned = compiled.plan(choice, EVERY_10, sla=100.0)[names[v]]
        configuration = planned.configuration
        found.append((configuration.hardware, configuration.size, configuration.batch, str(planned.readiness)))
    return found


def test_modes_come_in_a_fixed_order():
    problem = two_functions(limits=Limits(announces_arrivals=True), concurrency=2)
    configurations = [*product(["cpu"], [2, 4], [1, 2]), *product(["gpu"], [0.5], [1, 2])]
    assert rows_of(problem, 0) == [
        (*configuration, readiness) for configuration in configurations for readiness in ("prewarmed", "on_request")
    ]
    assert rows_of(problem, 1) == [
        (*configuration, readiness)
        for configuration in configurations
        for readiness in ("prewarmed", "on_arrival", "on_request")
    ]


def test_on_arrival_needs_announced_arrivals():
    assert {readiness for *_, readiness in rows_of(two_functions(), 1)} == {"prewarmed", "on_request"}


@pytest.mark.parametrize(
    ("concurrency", "batches"), [(1, {1}), (2, {1, 2}), (3, {1, 2, 4}), (4, {1, 2, 4}), (9, {1, 2, 4, 8})]
)
def test_no_batch_is_larger_than_it_has_to_be(concurrency, batches):
    profile = Profile("p", {"cpu": hardware_profile(batches=(1, 2, 4, 8))})
    problem = Problem(
        Application.chain("p", sla=10.0), {"p": profile}, Prices(cpu=1.0, gpu=1.0), concurrency=concurrency
    )
    assert {batch for _, _, batch, _ in rows_of(problem, 0)} == batches


def test_limits_say_which_sizes_are_offered():
    problem = two_functions(limits=Limits(sizes={"cpu": (2, 3, 8)}))
    assert {(hardware, size) for hardware, size, *_ in rows_of(problem, 0)} == {("cpu", 2), ("cpu", 3)}


def test_rows_hold_release_latency_and_cost():
    compiled = CompiledProblem(two_functions(limits=Limits(announces_arrivals=True)))
    table = compiled.table(Arrivals.every(100.0))
    first, second = slice(0, 6), slice(6, 15)
    assert table.offsets.tolist() == [0, 6, 15]
    # 0.5 / size + 0.5 seconds; 3 s until a cpu is ready, 7 s until a gpu is.
    assert table.latency[first].tolist() == [0.75, 3.75, 0.625, 3.625, 1.5, 8.5]
    assert table.release[first].tolist() == [0.0] * 6
    assert table.latency[second].tolist() == [0.75, 0.75, 3.75, 0.625, 0.625, 3.625, 1.5, 1.5, 8.5]
    assert table.release[second].tolist() == [0.0, 3.0, 0.0, 0.0, 3.0, 0.0, 0.0, 7.0, 0.0]
    assert table.cost[second].tolist() == [*[2 * 3.75] * 3, *[4 * 3.625] * 3, *[5 * 8.5] * 3]
    table.validate()


def test_cold_starts_follow_the_multiple_or_the_quantile():
    model = hardware_profile(cold_start_mean=3.0, cold_start_std=0.5, cold_start_samples=(1.0, 2.0, 4.0))
    settings = [({}, 4.5), ({"std_multiple": 1.0}, 3.5), ({"cold_start_quantile": 0.5}, 2.0)]
    for given_settings, cold_start in settings:
        problem = Problem(
            Application.chain("p", sla=10.0),
            {"p": Profile("p", {"cpu": model})},
            Prices(cpu=1.0, gpu=1.0),
            **given_settings,
        )
        (planned,) = CompiledProblem(problem).plan([0], EVERY_10, sla=10.0)
        assert planned.cold_start == cold_start


def test_the_table_of_the_last_arrivals_is_kept():
    compiled = CompiledProblem(diamond())
    table = compiled.table(Arrivals.every(10.0))
    assert compiled.table(Arrivals.every(10.0)) is table
    other = compiled.table(Arrivals.every(0.5))
    assert not np.array_equal(other.cost, table.cost)
    assert np.array_equal(compiled.table(Arrivals.every(10.0)).cost, table.cost)


@pytest.mark.parametrize("number", [{"beta": 5e9}, {"cold_start_mean": 1e300}, {"alpha": 1e308, "sizes": (0.1,)}])
def test_times_out_of_range_name_the_function(number):
    profile = Profile("p", {"cpu": hardware_profile(**number)})
    problem = Problem(Application.chain("p", sla=1.0), {"p": profile}, Prices(cpu=1.0, gpu=1.0))
    with pytest.raises(InvalidInputError, match=r"^functions\[0\]: on cpu, .* out of range"):
        CompiledProblem(problem)


def test_prices_out_of_range_name_the_function():
    problem = chain(1.0).replace(prices=Prices(cpu=1e300, gpu=0.0))
    with pytest.raises(InvalidInputError, match=r"^functions\[0\]: .* out of range"):
        CompiledProblem(problem)


def test_it_pickles_as_its_problem():
    compiled = CompiledProblem(diamond())
    revived = pickle.loads(pickle.dumps(compiled))
    assert revived.problem == compiled.problem
    assert revived.solve(EVERY_10).to_dict() == compiled.solve(EVERY_10).to_dict()


# -- Answers -------------------------------------------------------------------------------------------------


@pytest.mark.native
@examples(150)
@given(questions())
def test_the_answer_is_that_of_an_enumeration_of_all_plans(question: Question):
    problem, arrivals, sla = question
    optimum = oracles.cheapest_plan(problem, arrivals.interval, sla=sla).optimum
    solution = CompiledProblem(problem).solve(arrivals, sla=sla)
    assert solution.shortest_latency == pytest.approx(optimum.shortest_latency, rel=1e-12)
    if not optimum.feasible:
        assert solution.status is Status.INFEASIBLE
        return
    assert solution.status is Status.OPTIMAL
    assert solution.cost == pytest.approx(float(optimum.cost), rel=1e-12)
    assert solution.bound == solution.cost
    assert solution.gap == 0.0
    assert solution.plan.latency <= sla


@pytest.mark.native
@examples(40)
@given(questions(), st.integers(1, 30_000))
def test_the_answer_does_not_depend_on_what_was_asked_before(question: Question, milliseconds: int):
    problem, arrivals, sla = question
    fresh = CompiledProblem(problem).solve(arrivals, sla=sla).to_dict()
    compiled = CompiledProblem(problem)
    assert compiled.solve(arrivals, sla=sla).to_dict() == fresh
    compiled.solve(Arrivals.every(milliseconds / 1e3), sla=sla / 2)
    assert compiled.solve(arrivals, sla=sla).to_dict() == fresh


@pytest.mark.native
@examples(15)
@given(questions(most=3))
def test_both_methods_give_the_same_plan(question: Question):
    problem, arrivals, sla = question
    compiled = CompiledProblem(problem)
    exact = compiled.solve(arrivals, sla=sla)
    program = compiled.solve(arrivals, method="milp", sla=sla)
    assert program.status is exact.status
    if exact.feasible:
        assert program.cost == pytest.approx(exact.cost, rel=1e-9)


def test_both_methods_name_each_others_mistakes():
    compiled = CompiledProblem(diamond())
    with pytest.raises(InvalidInputError, match=r"method: no method named 'exacct' \(did you mean 'exact'"):
        compiled.solve(EVERY_10, method="exacct")
    with pytest.raises(InvalidInputError, match="budget: method 'milp' does not count work"):
        compiled.solve(EVERY_10, method="milp", budget=Work(nodes=1))


@pytest.mark.parametrize("sla", [0.0, -1.0, math.nan, math.inf, 1e10, True, "2"])
def test_an_sla_has_to_be_a_time(sla):
    with pytest.raises(InvalidInputError, match=r"^sla: "):
        CompiledProblem(diamond()).solve(EVERY_10, sla=sla)


@pytest.mark.parametrize("arrivals", [10.0, None, "every 10 s"])
def test_arrivals_have_to_be_arrivals(arrivals):
    with pytest.raises(InvalidInputError, match=r"^arrivals: expected Arrivals, such as"):
        CompiledProblem(diamond()).solve(arrivals)


# -- Re-evaluation -------------------------------------------------------------------------------------------


class Tampered:
    """A search that answers right, and then changes what it says."""

    def __init__(self, search, **changes):
        self._search = search
        self._changes = changes

    def search(self, *arguments, **settings) -> Search:
        found = self._search.search(*arguments, **settings)
        changes = {
            name: change(getattr(found, name)) if callable(change) else change for name, change in self._changes.items()
        }
        return replace(found, **changes)


def tampered(**changes) -> CompiledProblem:
    compiled = CompiledProblem(diamond())
    compiled._exact = Tampered(compiled._exact, **changes)
    return compiled


SLOW = np.array([0, 0, 0, 0])  # everything on one core: 5 s


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"cost": lambda cost: cost * (1 + 1e-9)}, id="a wrong cost"),
        pytest.param({"latency": lambda latency: latency + 2e-9}, id="a wrong latency"),
        pytest.param({"bound": lambda bound: bound * (1 - 1e-9)}, id="optimal, but its bound is lower"),
        pytest.param({"bound": lambda bound: bound * (1 + 1e-9)}, id="a bound above the cost"),
        pytest.param({"choice": SLOW}, id="another choice"),
        pytest.param({"choice": SLOW, "cost": 0.000_134_111, "latency": 5.0}, id="a late choice"),
    ],
)
def test_a_plan_that_is_not_what_the_search_says_does_not_leave(changes):
    with pytest.raises(SolverError, match="a plan failed its re-evaluation"):
        tampered(**changes).solve(EVERY_10)


def test_a_late_plan_does_not_leave_though_all_else_is_right():
    compiled = CompiledProblem(diamond())
    late = compiled.solve(EVERY_10, sla=10.0).search
    compiled._exact = Tampered(
        compiled._exact, choice=late.choice, cost=late.cost, bound=late.bound, latency=late.latency
    )
    assert late.latency > 3.0
    with pytest.raises(SolverError, match="a plan failed its re-evaluation"):
        compiled.solve(EVERY_10, sla=3.0)


@pytest.mark.parametrize("choice", [[-1, 0, 0, 0], [0, 0, 0, 99], [0, 0, 0], [0, 0, 0, 0, 0]])
def test_modes_that_do_not_exist_do_not_leave(choice):
    with pytest.raises(SolverError, match="modes that do not exist"):
        tampered(choice=np.array(choice)).solve(EVERY_10)
    with pytest.raises(InvalidInputError, match=r"^choice: expected a mode of each function"):
        CompiledProblem(diamond()).plan(choice, EVERY_10, sla=3.0)


def test_a_sum_in_another_order_is_no_mistake():
    assert (
        tampered(cost=lambda cost: cost * (1 + 1e-15)).solve(EVERY_10).cost
        == CompiledProblem(diamond()).solve(EVERY_10).cost
    )


# -- Plans of any choice -------------------------------------------------------------------------------------


@st.composite
def choices(draw):
    """A problem, its arrivals, and any choice at all, so that every readiness is met."""
    problem = draw(problems())
    arrivals = Arrivals.every(draw(st.integers(1, 30_000)) / 1e3)
    compiled = CompiledProblem(problem)
    sizes = np.diff(compiled.table(arrivals).offsets).tolist()
    return compiled, arrivals, [draw(st.integers(0, size - 1)) for size in sizes]


@examples(150)
@given(choices())
def test_a_plan_is_worth_what_its_offers_are(drawn):
    compiled, arrivals, choice = drawn
    problem = compiled.problem
    plan = compiled.plan(choice, arrivals, sla=60.0)
    chosen = []
    for v, planned in enumerate(plan):
        configuration = planned.configuration
        name = (configuration.hardware, configuration.size, configuration.batch, planned.readiness)
        (offer,) = [offer for offer in oracles.offers(problem, v, arrivals.interval) if offer[:4] == name]
        assert planned.cost == pytest.approx(offer.cost, rel=1e-12)
        assert planned.cold_start == pytest.approx(offer.cold_start, rel=1e-12)
        chosen.append(offer)
    assert plan.cost == pytest.approx(sum(offer.cost for offer in chosen), rel=1e-12)
    edges = problem.application.edge_array.tolist()
    latency = oracles.longest_path(edges, [offer.release for offer in chosen], [offer.latency for offer in chosen])
    assert plan.latency == pytest.approx(latency, abs=1e-8)
    assert plan.attainment == (plan.latency <= 60.0)

    overlaps = problem.limits.announces_arrivals
    warm = [planned.latency for planned in plan]
    cold = [planned.cold_start for planned in plan]
    if overlaps:
        late = oracles.longest_path(edges, cold, warm)
    else:
        late = oracles.longest_path(edges, [0.0] * len(plan), [a + b for a, b in zip(warm, cold, strict=True)])
    assert plan.cold_latency == pytest.approx(late, abs=1e-8)


@examples(60)
@given(choices())
def test_slack_is_how_much_one_latency_can_grow(drawn):
    compiled, arrivals, choice = drawn
    sla = compiled.loosest_sla + 1.0
    plan = compiled.plan(choice, arrivals, sla=sla)
    rows = compiled.table(arrivals).rows(choice)
    table = compiled.table(arrivals)
    edges = compiled.problem.application.edge_array.tolist()
    for v, planned in enumerate(plan):
        latency = table.latency[rows].copy()
        latency[v] += planned.slack
        assert oracles.longest_path(edges, table.release[rows], latency) == pytest.approx(sla, abs=1e-7)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"budget": 3}, "budget: expected Work"),
        ({"budget": (1, 2, 3)}, "budget: expected Work"),
        ({"time_limit": -1.0}, "time_limit: .*-1"),
        ({"time_limit": 0.0}, "time_limit: .*0"),
        ({"time_limit": math.nan}, "time_limit: .*nan"),
        ({"arrivals": 10.0}, "arrivals: expected Arrivals"),
        ({"target": 0.0}, "target: .*0"),
        ({"target": 1.5}, "target: .*1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, line):
    problem = Problem(catalog.application("image-query"), catalog.profiles(), catalog.prices())
    given = {"arrivals": Arrivals.every(10.0)} | arguments
    with pytest.raises(InvalidInputError, match=line):
        CompiledProblem(problem).solve(given.pop("arrivals"), **given)


@pytest.mark.parametrize("wrong", [3, None, "image-query"])
def test_only_a_problem_is_compiled(wrong):
    with pytest.raises(InvalidInputError, match="problem: expected a Problem"):
        CompiledProblem(wrong)
