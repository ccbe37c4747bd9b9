"""The native search against brute force, the integer program, dynamic programs, and itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frozen
import oracles
import strategies
from checks import check_optimum, check_search
from smiless_core.errors import InvalidInputError
from smiless_core.solver import milp
from smiless_core.solver.exact import ExactSearch
from smiless_core.solver.tables import ModeTable, Status, Work
from strategies import examples

pytestmark = pytest.mark.native

SHAPES = sorted(strategies.SHAPES)
FAMILIES = sorted(strategies.FAMILIES)
EXACT_FAMILIES = sorted(name for name, family in strategies.FAMILIES.items() if family.exact)
MEDIUM = {"most_functions": 14, "most_modes": 9, "most_choices": 10**18}
TIGHT = [Work(labels=1), Work(nodes=1), Work(augmentations=1), Work(labels=1, nodes=1, augmentations=1)]


def search(table, sla, **limits):
    """Ask a fresh search."""
    return ExactSearch(table.edges, functions=table.functions).search(table, sla, **limits)


def facts(answer):
    """Return everything that an answer says, comparable."""
    choice = None if answer.choice is None else tuple(answer.choice.tolist())
    numbers = [answer.cost, answer.bound, answer.gap, answer.latency, answer.shortest_latency]
    return answer.status, choice, [None if math.isnan(number) else number for number in numbers], answer.work


def costs(table, slas, **limits):
    """Return the optimal costs for several SLAs, asked of one search."""
    solver = ExactSearch(table.edges, functions=table.functions)
    return [solver.search(table, sla, **limits).cost for sla in slas]


# -- against independent answers ----------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_brute_force_on_every_shape(shape):
    @examples(100)
    @given(strategies.instances(shape=shape))
    def check(instance):
        answer = search(*instance)
        check_search(*instance, answer)
        check_optimum(instance.table, answer, oracles.brute_force(*instance))

    check()


@pytest.mark.parametrize("family", FAMILIES)
def test_brute_force_on_every_family_of_modes(family):
    @examples(150)
    @given(strategies.instances(family=family))
    def check(instance):
        answer = search(*instance)
        check_search(*instance, answer)
        check_optimum(instance.table, answer, oracles.brute_force(*instance))

    check()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_integer_program_on_medium_instances(shape):
    @examples(10)
    @given(strategies.instances(shape=shape, **MEDIUM))
    def check(instance):
        answer, program = search(*instance), milp.search(*instance, canonical=False)
        check_search(*instance, answer)
        assert answer.status == program.status
        assert math.isclose(answer.cost, program.cost, rel_tol=1e-9, abs_tol=0.0)

    check()


@examples(60)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([0, 0, 0, 5, 40, 90]), st.integers(0, 20), st.integers(0, 2**20)),
            min_size=1,
            max_size=8,
        ),
        min_size=15,
        max_size=40,
    ),
    st.integers(1, 400),
)
def test_long_chains(functions, sla):
    edges = [(v, v + 1) for v in range(len(functions) - 1)]
    table = strategies.table_of(edges, functions)
    answer = search(table, sla)
    check_search(table, sla, answer)
    optimum = oracles.chain_optimum(table, sla)
    assert answer.status is (Status.INFEASIBLE if optimum is None else Status.OPTIMAL)
    assert answer.cost == (math.inf if optimum is None else float(optimum))


@examples(60)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([0, 0, 0, 5, 12]), st.integers(0, 20), st.integers(0, 2**20)),
            min_size=1,
            max_size=8,
        ),
        min_size=15,
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_wide_fork_joins(functions, sla):
    last = len(functions) - 1
    edges = [(0, v) for v in range(1, last)] + [(v, last) for v in range(1, last)]
    table = strategies.table_of(edges, functions)
    answer = search(table, sla)
    check_search(table, sla, answer)
    optimum = oracles.fork_join_optimum(table, sla)
    assert answer.status is (Status.INFEASIBLE if optimum is None else Status.OPTIMAL)
    assert answer.cost == (math.inf if optimum is None else float(optimum))


@pytest.mark.parametrize("name", frozen.NAMES)
def test_frozen_optima(name):
    table, shortest_latency, optima = frozen.read(name)
    solver = ExactSearch(table.edges, functions=table.functions)
    enumerable = math.prod(np.diff(table.offsets).tolist()) <= strategies.BRUTE_FORCE_CHOICES
    for sla, cost, choice in optima:
        answer = solver.search(table, sla)
        check_search(table, sla, answer)
        assert answer.shortest_latency == pytest.approx(shortest_latency, rel=1e-15, abs=0.0)
        assert answer.status is (Status.INFEASIBLE if choice is None else Status.OPTIMAL)
        if cost is not None:
            assert math.isclose(answer.cost, cost, rel_tol=1e-12 if enumerable else 1e-9)
        if enumerable:
            check_optimum(table, answer, oracles.brute_force(table, sla))
            assert (None if answer.choice is None else tuple(answer.choice.tolist())) == choice


# -- along the SLA --------------------------------------------------------------


@examples(100)
@given(strategies.tables(most_choices=4_000))
def test_the_cost_steps_down_exactly_at_the_breakpoints(table):
    points = oracles.frontier(table)
    assert costs(table, [point.sla for point in points]) == pytest.approx(
        [float(point.cost) for point in points], rel=1e-12, abs=0.0
    )
    just_before = [point.sla - 1e-9 for point in points[1:]]
    assert costs(table, just_before) == pytest.approx([float(point.cost) for point in points[:-1]], rel=1e-12, abs=0.0)
    if points and points[0].sla > 1e-9:
        assert search(table, points[0].sla - 1e-9).status is Status.INFEASIBLE


@examples(60)
@given(strategies.tables(**MEDIUM), st.data())
def test_more_time_never_costs_more(table, data):
    slas = sorted(data.draw(st.lists(strategies.slas(table), min_size=2, max_size=6)))
    found = costs(table, slas)
    assert found == sorted(found, reverse=True)


@examples(60)
@given(strategies.tables(**MEDIUM))
def test_the_shortest_latency_is_an_sla_that_can_be_met(table):
    shortest = search(table, 1e6).shortest_latency
    if math.isinf(shortest):
        assert search(table, 1e6).status is Status.INFEASIBLE
    elif shortest > 0:
        answer = search(table, shortest)
        assert answer.status is Status.OPTIMAL
        assert answer.latency == shortest
        if shortest > 1e-9:
            late = search(table, shortest - 1e-9)
            assert (late.status, late.choice, late.shortest_latency) == (Status.INFEASIBLE, None, shortest)


def test_an_sla_beyond_all_latencies_does_not_bind():
    table = frozen.read("one-nanosecond").table
    cheapest = np.minimum.reduceat(table.cost, table.offsets[:-1]).sum()
    assert costs(table, [5.0, 1e6, 9e8]) == [cheapest] * 3


# -- the same question put differently -----------------------------------------


def modes(table, v):
    first, end = table.offsets[v : v + 2]
    return [(table.release[row], table.latency[row], table.cost[row]) for row in range(first, end)]


@examples(80)
@given(strategies.instances(**MEDIUM), st.data())
def test_the_numbering_of_functions_modes_and_edges_changes_no_cost(instance, data):
    table, sla = instance
    number = data.draw(st.permutations(range(table.functions)))
    functions = [[] for _ in number]
    for v, new in enumerate(number):
        functions[new] = data.draw(st.permutations(modes(table, v)))
    edges = data.draw(st.permutations([(number[u], number[v]) for u, v in table.edges.tolist()]))
    other = search(strategies.table_of(edges, functions), sla)
    answer = search(table, sla)
    assert other.status == answer.status
    assert math.isclose(other.cost, answer.cost, rel_tol=1e-12, abs_tol=0.0)


@pytest.mark.parametrize("family", EXACT_FAMILIES)
def test_a_dominated_mode_changes_nothing(family):
    @examples(30)
    @given(strategies.instances(family=family, **MEDIUM), st.data())
    def check(instance, data):
        table, sla = instance
        functions = [modes(table, v) for v in range(table.functions)]
        for rows in functions:
            release, latency, cost = data.draw(st.sampled_from(rows))
            worse = [data.draw(st.sampled_from([0.0, 1.0])) for _ in range(3)]
            rows.append((release + worse[0], latency + worse[1], cost + worse[2]))
        answer, other = search(table, sla), search(strategies.table_of(table.edges.tolist(), functions), sla)
        assert facts(answer)[:3] == facts(other)[:3]

    check()


@examples(60)
@given(strategies.instances(**MEDIUM))
def test_transitive_and_repeated_edges_change_nothing(instance):
    table, sla = instance
    edges = table.edges.tolist()
    implied = [[u, w] for u, v in edges for before, w in edges if before == v]
    more = replace(table, edges=np.array(edges + implied + edges[:1], np.int32).reshape(-1, 2))
    assert facts(search(table, sla))[:3] == facts(search(more, sla))[:3]


@examples(60)
@given(strategies.instances(**MEDIUM), st.integers(2, 1000))
def test_time_has_no_unit(instance, factor):
    table, sla = instance

    def stretched(seconds):
        return np.array([oracles.nanoseconds(s, up=True) * factor for s in seconds.tolist()]) / 1e9

    longer = replace(table, release=stretched(table.release), latency=stretched(table.latency))
    answer = search(table, sla)
    other = search(longer, oracles.nanoseconds(sla, up=False) * factor / 1e9)
    assert facts(answer)[:2] == facts(other)[:2]
    assert other.cost == answer.cost


@examples(60)
@given(strategies.instances(**MEDIUM), st.integers(-40, 40))
def test_cost_has_no_unit(instance, exponent):
    """A power of two changes no digit of a cost, so not even ties may move."""
    table, sla = instance
    answer, other = search(table, sla), search(replace(table, cost=np.ldexp(table.cost, exponent)), sla)
    assert facts(answer)[:2] == facts(other)[:2]
    assert other.cost == math.ldexp(answer.cost, exponent)


# -- budgets ------------------------------------------------------------------


@examples(100)
@given(strategies.instances(**MEDIUM), st.sampled_from(TIGHT))
def test_a_spent_budget_leaves_a_plan_and_a_true_bound(instance, budget):
    table, sla = instance
    optimum = search(table, sla)
    answer = search(table, sla, budget=budget)
    check_search(table, sla, answer)
    if optimum.status is Status.OPTIMAL:
        assert answer.status in (Status.FEASIBLE, Status.OPTIMAL)
        assert answer.bound <= optimum.cost * (1 + 1e-12)
        assert optimum.cost <= answer.cost
    assert facts(answer) == facts(search(table, sla, budget=budget))


def test_budgets_do_bite_and_larger_ones_do_no_harm():
    """On the partition chain the relaxation proves nothing, so that there is work to be cut short."""
    table, _, optima = frozen.read("subset-sum-chain")
    solver = ExactSearch(table.edges, functions=table.functions)
    sla, optimal, _ = optima[0]
    ended = []
    for size in (1, 10, 100, 1_000, 10_000, 100_000, 10_000_000):
        answer = solver.search(table, sla, budget=Work(labels=size, nodes=size, augmentations=size))
        check_search(table, sla, answer)
        assert answer.bound <= optimal <= answer.cost
        ended.append((answer.status, answer.gap))
    assert ended[0][0] is Status.FEASIBLE
    assert ended[0][1] > 0
    assert ended[-1] == (Status.OPTIMAL, 0.0)


def test_a_budget_that_suffices_changes_nothing():
    table, _, optima = frozen.read("layered-12")
    solver = ExactSearch(table.edges, functions=table.functions)
    for sla, _, _ in optima:
        free = solver.search(table, sla)
        assert facts(solver.search(table, sla, budget=Work(*(count + 1 for count in free.work)))) == facts(free)


def test_a_time_limit_leaves_a_plan():
    table, _, optima = frozen.read("layered-10-releases")
    for sla, cost, _ in optima:
        answer = search(table, sla, time_limit=1e-9)
        check_search(table, sla, answer)
        assert answer.bound <= cost * (1 + 1e-9)
        assert cost <= answer.cost * (1 + 1e-9)


# -- nothing is remembered ----------------------------------------------------------


@examples(60)
@given(st.data())
def test_one_search_answers_many_questions_as_fresh_ones_would(data):
    """Different tables, SLAs and budgets in turn, on one application; then all of them again."""
    first = data.draw(strategies.tables(most_functions=9, most_modes=8, most_choices=10**9))
    questions = []
    for _ in range(data.draw(st.integers(2, 5))):
        family = strategies.FAMILIES[data.draw(st.sampled_from(FAMILIES))]
        functions = [data.draw(family.rows(data.draw(st.integers(1, 8)))) for _ in range(first.functions)]
        table = strategies.table_of(first.edges.tolist(), functions, units=family.units)
        budget = data.draw(st.sampled_from([None, None, *TIGHT]))
        questions.append((table, data.draw(strategies.slas(table)), budget))
    questions.append((first, data.draw(strategies.slas(first)), None))
    fresh = [facts(search(table, sla, budget=budget)) for table, sla, budget in questions]
    shared = ExactSearch(first.edges, functions=first.functions)
    for turn in (questions, questions[::-1], questions):
        answers = [facts(shared.search(table, sla, budget=budget)) for table, sla, budget in turn]
        assert answers == (fresh if turn[0] is questions[0] else fresh[::-1])


def test_two_searches_of_one_application_do_not_meet():
    table, _, optima = frozen.read("layered-12")
    one, two = (ExactSearch(table.edges, functions=table.functions) for _ in range(2))
    alone = [facts(search(table, known.sla)) for known in optima]
    mixed = [
        (facts(one.search(table, a.sla)), facts(two.search(table, b.sla)))
        for a, b in zip(optima, optima[::-1], strict=True)
    ]
    assert mixed == list(zip(alone, alone[::-1], strict=True))


def test_the_inputs_are_only_read():
    table, _, optima = frozen.read("disconnected")
    arrays = (table.edges, table.offsets, table.release, table.latency, table.cost)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    search(table, optima[0].sla)
    assert all(np.array_equal(array, copy) for array, copy in zip(arrays, before, strict=True))


# -- wrong questions ------------------------------------------------------------------


@pytest.mark.parametrize("sla", [math.nan, -1.0, math.inf])
def test_a_wrong_sla_is_refused(sla):
    with pytest.raises(InvalidInputError, match="sla"):
        search(frozen.read("tenths").table, sla)


def test_a_cycle_is_refused():
    with pytest.raises(InvalidInputError):
        ExactSearch(np.array([[0, 1], [1, 2], [2, 0]], np.int32), functions=3)


def test_a_table_of_another_application_is_refused():
    table = frozen.read("tenths").table
    with pytest.raises(InvalidInputError):
        ExactSearch(np.zeros((0, 2), np.int32), functions=3).search(table, 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("release", -1.0), ("release", math.nan), ("latency", -1.0), ("latency", math.inf), ("cost", math.nan)],
)
def test_wrong_numbers_in_a_table_are_refused(name, value):
    table: ModeTable = frozen.read("tenths").table
    getattr(table, name)[1] = value
    with pytest.raises(InvalidInputError):
        search(table, 1.0)


def test_a_tie_that_rounding_breaks():
    """2.6e-5 + 3e-6 + 2.2e-5 and 2.6e-5 + 1.4e-5 + 1.1e-5 tie as doubles, and not in integers of 50 bits."""
    table = ModeTable(
        edges=np.array([[1, 2], [1, 3], [1, 4], [1, 5]], np.int32),
        offsets=np.array([0, 1, 7, 8, 11, 12, 13]),
        release=np.zeros(13),
        latency=np.array([0.0] * 6 + [1e-3] + [0.0] * 3 + [1e-3] + [0.0] * 2),
        cost=np.array([2.6e-5] + [1.4e-5] * 5 + [3e-6, 0.0, 2.2e-5, 2.2e-5, 1.1e-5, 0.0, 0.0]),
    )
    answer = ExactSearch(table.edges, functions=table.functions).search(table, 0.001)
    check_search(table, 0.001, answer)
    check_optimum(table, answer, oracles.brute_force(table, 0.001))


def test_a_near_tie_beside_exact_ones():
    """1.8e-5 + 1e-5 costs more than 1.6e-5 + 1.2e-5 by less than doubles tell; the latter can be had three times."""
    table = ModeTable(
        edges=np.array([[0, 1]], np.int32),
        offsets=np.array([0, 4, 8, 9]),
        release=np.zeros(9),
        latency=np.array([0.0, 0.0, 0.0, 0.012, 0.0, 0.0, 0.0, 0.012, 0.0]),
        cost=np.array([1.8e-5, 1.8e-5, 1.8e-5, 1.6e-5, 1.2e-5, 1.2e-5, 1.2e-5, 1e-5, 0.0]),
    )
    answer = ExactSearch(table.edges, functions=table.functions).search(table, 0.012)
    check_search(table, 0.012, answer)
    check_optimum(table, answer, oracles.brute_force(table, 0.012))
