"""Branch and bound and the narrow label search, forced by the search's width, against brute force."""

import math

import pytest
from hypothesis import given

import oracles
import strategies
from checks import check_search
from smiless_core.errors import InvalidInputError
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
    opened = []

    @examples(120)
    @given(strategies.instances(shape=shape))
    def check(instance):
        answer = search(*instance, width)
        check_search(*instance, answer)
        optimum = oracles.brute_force(*instance)
        assert (answer.status is Status.OPTIMAL) == optimum.feasible
        if optimum.feasible:
            assert math.isclose(answer.cost, float(optimum.cost), rel_tol=1e-12)
        opened.append(answer.work.nodes)

    check()
    if width == 0 and shape == "crossed":
        assert max(opened) > 0, "no instance reached branch and bound"


@pytest.mark.parametrize("shape", KERNELS)
def test_any_width_finds_the_same_cost(shape):
    @examples(80)
    @given(strategies.instances(shape=shape, **LARGER))
    def check(instance):
        default = search(*instance, None)
        for width in (0, 2, 100_000):
            assert math.isclose(search(*instance, width).cost, default.cost, rel_tol=1e-12)

    check()


@pytest.mark.parametrize("width", [-1, 1_000_001])
def test_a_wrong_width_is_refused(width):
    table = strategies.table_of([], [[(0.0, 1.0, 1.0)]])
    with pytest.raises(InvalidInputError, match="width"):
        search(table, 1.0, width)
