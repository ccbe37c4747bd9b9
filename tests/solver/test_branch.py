"""Branch and bound and the narrow label search, forced by the search's width, against brute force."""

import math
import threading

import pytest
from hypothesis import given

import oracles
import strategies
from checks import check_search
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.solver.exact import ExactSearch
from smiless_core.solver.tables import Status
from strategies import examples

pytestmark = pytest.mark.native

KERNELS = ["crossed", "layered", "random"]  # shapes that series and parallel joins do not reduce to one part
LARGER = {"most_functions": 12, "most_modes": 8, "most_choices": 10**18}


def search(table, sla, width):
    return ExactSearch(table.edges, functions=table.functions, width=width).search(table, sla)


@pytest.mark.parametrize("width", [0, 1, 3])
@pytest.mark.parametrize("shape", KERNELS)
def test_brute_force_at_every_width(shape, width):
    @examples(120)
    @given(strategies.instances(shape=shape))
    def check(instance):
        answer = search(*instance, width)
        check_search(*instance, answer)
        optimum = oracles.brute_force(*instance)
        assert (answer.status is Status.OPTIMAL) == optimum.feasible
        if optimum.feasible:
            assert math.isclose(answer.cost, float(optimum.cost), rel_tol=1e-12)

    check()


@pytest.mark.parametrize("shape", KERNELS)
def test_any_width_finds_the_same_cost(shape):
    @examples(80)
    @given(strategies.instances(shape=shape, **LARGER))
    def check(instance):
        default = search(*instance, None)
        for width in (0, 2, 100_000):
            assert math.isclose(search(*instance, width).cost, default.cost, rel_tol=1e-12)

    check()


# Two applications where a node is left with one mode everywhere only after its last labels were dropped. Times are
# nanoseconds; the third number of a mode is its cost.
LAST_LABELS = [
    (
        [
            *[(0, 2), (0, 3), (1, 4), (1, 10), (2, 6), (2, 8), (3, 9), (3, 11), (4, 6), (4, 12), (6, 14), (7, 11)],
            *[(8, 9), (9, 15), (11, 12), (12, 14), (14, 15)],
        ],
        [
            [(0, 3, 10), (17, 2, 7), (17, 3, 5)],
            [(0, 3, 2), (0, 2, 3)],
            [(16, 7, 8), (28, 1, 2)],
            [(0, 2, 3)],
            [(0, 8, 5), (25, 5, 3)],
            [(0, 1, 3)],
            [(0, 3, 9), (0, 7, 1)],
            [(17, 10, 3), (11, 9, 4)],
            [(0, 1, 5), (0, 5, 1)],
            [(19, 9, 2), (23, 6, 3), (0, 2, 8)],
            [(20, 1, 9)],
            [(11, 2, 1)],
            [(4, 5, 7)],
            [(20, 3, 10)],
            [(0, 2, 2)],
            [(0, 5, 4)],
        ],
        42,
    ),
    (
        [(0, 3), (1, 3), (1, 4), (2, 7), (3, 7), (4, 5), (5, 7), (7, 9)],
        [
            [(0, 870, 57)],
            [(0, 115, 224), (245, 797, 80)],
            [(1478, 563, 548), (0, 605, 894)],
            [(2072, 216, 105), (1065, 728, 294)],
            [(0, 713, 161)],
            [(675, 190, 26)],
            [(0, 312, 802)],
            [(1950, 71, 689), (0, 413, 139)],
            [(0, 113, 156)],
            [(1130, 103, 869), (0, 335, 590)],
        ],
        2742,
    ),
]


@pytest.mark.parametrize("width", [0, 16, None, 100_000])
@pytest.mark.parametrize(("edges", "functions", "horizon"), LAST_LABELS)
def test_a_node_with_one_mode_everywhere_is_not_lost(edges, functions, horizon, width):
    modes = [[(release / 1e9, latency / 1e9, float(cost)) for release, latency, cost in each] for each in functions]
    table = strategies.table_of(edges, modes)
    optimum = oracles.brute_force(table, horizon / 1e9)
    answer = search(table, horizon / 1e9, width)
    assert answer.cost == optimum.cost
    if width == 0:
        assert answer.work.nodes > 0, "this is to be about branch and bound"


@pytest.mark.parametrize("dear", [1e4, 1e10, 1e30, 1e300])
def test_costs_of_very_different_size(dear):
    """The resolution of costs follows the answer, not the dearest mode or the fastest plan."""
    table = strategies.table_of([], [[(0.0, 1.0, dear), (0.0, 6.0, 1e-7)], [(0.0, 3.0, 2e-12), (0.0, 0.0, 3e-7)]])
    for width in (0, None):
        answer = search(table, 10.0, width)
        assert (answer.status, answer.cost) == (Status.OPTIMAL, 1e-7 + 2e-12)


def test_costs_that_do_not_add_up_are_refused():
    table = strategies.table_of([], [[(0.0, 1.0, 1e308)]] * 3)
    with pytest.raises(InvalidInputError, match="more than a double holds"):
        search(table, 1.0, None)


def test_one_search_is_not_for_two_threads():
    """A second caller is turned away, whatever the first one is doing."""
    shape = [(u, v) for layer in range(0, 36, 4) for u in range(layer, layer + 4) for v in range(layer + 4, layer + 8)]
    functions = [[(0.0, 1.0 / (i + 1), float(i * (v % 7 + 3))) for i in range(20)] for v in range(44)]
    edges = [edge for i, edge in enumerate(shape) if i % 5]
    table = strategies.table_of(edges, functions)
    solver = ExactSearch(table.edges, functions=table.functions)
    outcomes = []

    def ask():
        try:
            outcomes.append(solver.search(table, 4.0, time_limit=0.3).status)
        except SolverError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [outcome for outcome in outcomes if "in use" in outcome]
    assert len(refused) < len(outcomes) == 4
    assert solver.search(table, 4.0, time_limit=0.3).cost < math.inf


@pytest.mark.parametrize("width", [-1, 1_000_001])
def test_a_wrong_width_is_refused(width):
    table = strategies.table_of([], [[(0.0, 1.0, 1.0)]])
    with pytest.raises(InvalidInputError, match="width"):
        search(table, 1.0, width)
