"""The mode table: what it accepts, and its own re-evaluation of a choice."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
import strategies
from smiless_core.errors import InvalidInputError
from smiless_core.solver.tables import Search, Status, Work, cost_gap


def sound():
    return strategies.table_of([(0, 1)], [[(0, 1, 3), (0, 2, 1)], [(1, 1, math.inf), (0, 2, 2)]])


def test_a_sound_table_passes():
    sound().validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": [[0, 1]]}, "edges: expected a 2-dimensional int32 array, got list"),
        ({"edges": np.array([[0, 1]])}, r"edges: expected a 2-dimensional int32 array, got int64 \(1, 2\)"),
        ({"edges": np.zeros((1, 3), np.int32)}, r"edges: expected pairs, got shape \(1, 3\)"),
        ({"edges": np.array([[0, 1], [1, 2]], np.int32)}, r"edges\[1\]: .* 0 to 1, got \[1, 2\]"),
        ({"edges": np.array([[-1, 1]], np.int32)}, r"edges\[0\]: .* got \[-1, 1\]"),
        ({"edges": np.array([[0, 1], [1, 0]], np.int32)}, r"edges: functions \[0, 1\] wait for each other"),
        ({"edges": np.array([[1, 1]], np.int32)}, r"edges: functions \[1\] wait for each other"),
        ({"offsets": np.array([0])}, "offsets: .* at least one function"),
        ({"offsets": np.array([1, 2, 4])}, "offsets: expected 0, "),
        ({"offsets": np.array([0, 4, 4])}, "offsets: function 1 has no modes"),
        ({"offsets": np.array([0, 5, 4])}, "offsets: function 1 has no modes"),
        ({"offsets": np.array([0, 2, 5])}, "release: expected 5 modes, got 4"),
        ({"release": np.array([0.0, -1.0, 0.0, 0.0])}, r"release\[1\]: .* got -1.0"),
        ({"release": np.array([0.0, 0.0, 0.0, math.inf])}, r"release\[3\]: .* got inf"),
        ({"latency": np.array([math.nan, 0.0, 0.0, 0.0])}, r"latency\[0\]: .* got nan"),
        ({"latency": np.array([1, 2, 1, 2])}, "latency: expected a 1-dimensional float64 array"),
        ({"latency": np.full(4, 4e9)}, "latency: times add up to 8e.09 seconds"),
        ({"cost": np.array([1.0, math.nan, 0.0, 0.0])}, r"cost\[1\]: .* or infinity, got nan"),
        ({"cost": np.array([1.0, 0.0, 0.0, -math.inf])}, r"cost\[3\]: .* got -inf"),
        ({"cost": np.array([1.0, 0.0, -2.0, 0.0])}, r"cost\[2\]: .* got -2.0"),
        ({"cost": np.ones(3)}, "cost: expected 4 modes, got 3"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(changes, message):
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        replace(sound(), **changes).validate()


@given(strategies.tables(), st.data())
def test_evaluate_agrees_with_the_oracle(table, data):
    table.validate()
    choice = [data.draw(st.integers(0, size - 1)) for size in np.diff(table.offsets).tolist()]
    cost, latency = table.evaluate(choice)
    exact, expected = oracles.evaluate(table, choice)
    assert latency == expected
    assert cost == (math.inf if exact is None else float(exact))


@given(strategies.tables())
def test_fastest_is_as_fast_as_brute_force(table):
    choice, shortest = table.fastest()
    assert shortest == oracles.brute_force(table, 1e9).shortest_latency
    if choice is not None:
        cost, latency = table.evaluate(choice)
        assert cost < math.inf
        assert latency / 1e9 == shortest


def test_fastest_has_no_choice_where_a_function_has_no_mode():
    assert strategies.table_of([], [[(0, 1, 1)], [(0, 1, math.inf)]]).fastest() == (None, math.inf)


def test_among_equally_fast_modes_the_cheapest_is_taken():
    choice, _ = strategies.table_of([], [[(0, 1, 5), (0, 1, 2), (1, 0, 2)]]).fastest()
    assert choice.tolist() == [1]


def test_an_infeasible_answer_holds_no_choice():
    search = Search.infeasible(2.5, Work(nodes=1))
    assert search.status is Status.INFEASIBLE
    assert search.choice is None
    assert (search.cost, search.bound, search.shortest_latency) == (math.inf, math.inf, 2.5)
    assert math.isnan(search.gap)
    assert math.isnan(search.latency)
    assert search.work == (0, 0, 1)


@pytest.mark.parametrize(("cost", "bound", "gap"), [(4.0, 3.0, 0.25), (0.0, 0.0, 0.0), (3.0, 3.1, 0.0)])
def test_the_gap_is_relative_to_the_cost(cost, bound, gap):
    assert cost_gap(cost, bound) == gap
