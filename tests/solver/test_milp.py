"""The integer program against brute force, and where floating point would mislead it."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

import frozen
import oracles
import strategies
from checks import check_optimum, check_search
from smiless_core.errors import InvalidInputError
from smiless_core.solver import milp
from smiless_core.solver.tables import Status
from strategies import examples

TOLERANCE = 1e-9

# Half of the sum of these, to the nanosecond: HiGHS takes far longer than any limit given here.
PARTITION = [1_000_000_000 + 618_033_989 * k % 1_000_000_007 for k in range(30)]


def partition(weights):
    rows = [[(0, 0, weight), (0, weight, 0)] for weight in weights]
    edges = [(v, v + 1) for v in range(len(weights) - 1)]
    return strategies.table_of(edges, rows, units=strategies.Units(1e9, 1e9))


@pytest.mark.parametrize("family", sorted(strategies.FAMILIES))
def test_it_finds_the_canonical_optimum(family):
    @examples(25)
    @given(strategies.instances(family=family))
    def check(instance):
        search = milp.search(*instance)
        check_search(*instance, search)
        check_optimum(instance.table, search, oracles.brute_force(*instance), tolerance=TOLERANCE)

    check()


@pytest.mark.parametrize("shape", sorted(strategies.SHAPES))
def test_it_finds_an_optimum_on_every_shape(shape):
    @examples(12)
    @given(strategies.instances(shape=shape))
    def check(instance):
        search = milp.search(*instance, canonical=False)
        check_search(*instance, search)
        optimum = oracles.brute_force(*instance)
        assert (search.status is Status.OPTIMAL) == optimum.feasible
        if optimum.feasible:
            assert math.isclose(search.cost, optimum.cost, rel_tol=TOLERANCE)

    check()


@pytest.mark.parametrize("name", frozen.NAMES)
def test_frozen_optima(name):
    table, shortest_latency, optima = frozen.read(name)
    few = math.prod(np.diff(table.offsets).tolist()) <= 300
    for sla, cost, choice in optima:
        search = milp.search(table, sla, canonical=few)
        check_search(table, sla, search)
        assert search.shortest_latency == shortest_latency
        assert (search.choice is None) == (choice is None)
        if cost is not None:
            assert search.status is Status.OPTIMAL
            assert math.isclose(search.cost, cost, rel_tol=TOLERANCE)
            if few:
                assert tuple(search.choice.tolist()) == choice


@pytest.mark.parametrize("extension", [1e-4, 500.0])
def test_late_answers_are_cut_off_until_the_cheapest_punctual_one_is_left(monkeypatch, extension):
    """The wider the extension of the SLA, the more late choices look punctual to the program."""
    monkeypatch.setattr(milp, "_SLA_EXTENSION", extension)
    cuts = []
    forbid = milp._Program._forbid
    monkeypatch.setattr(milp._Program, "_forbid", lambda program, *late: cuts.append(late) or forbid(program, *late))
    late_on_purpose = strategies.table_of(
        [(0, 2), (1, 2), (2, 3), (2, 4)],
        [
            [(0, 1_000_000_001, 5), (0, 1_000_000_003, 3), (999_999_999, 7, 2), (0, 1_000_000_009, 1)],
            [(0, 1_000_000_003, 7), (0, 1_000_000_004, 6), (0, 1_000_000_005, 5)],
            [(0, 500_000_001, 4), (2_000_000_001, 1, 3), (0, 500_000_009, 2)],
            [(0, 700_000_001, 9), (0, 700_000_002, 8), (0, 700_000_004, 1)],
            [(0, 700_000_001, 3), (0, 700_000_003, 2), (0, 700_000_005, 1)],
        ],
        units=strategies.Units(1e9, 1.0),
    )
    for sla in (2.200000005, 2.200000012):
        search = milp.search(late_on_purpose, sla, canonical=False)
        check_search(late_on_purpose, sla, search)
        assert search.status is Status.OPTIMAL
        assert search.cost == oracles.brute_force(late_on_purpose, sla).cost
    assert cuts


def test_a_time_limit_leaves_a_plan_and_a_bound():
    table = partition(PARTITION)
    sla = sum(PARTITION) // 2 / 1e9
    for limit in (0.0, 1e-6, 0.05):
        search = milp.search(table, sla, time_limit=limit)
        check_search(table, sla, search)
        assert search.status is Status.FEASIBLE
        assert search.gap > 0


def test_a_relative_gap_ends_the_search_early():
    table, _, optima = frozen.read("layered-12")
    sla, cost, _ = optima[0]
    loose = milp.search(table, sla, relative_gap=0.2)
    check_search(table, sla, loose)
    assert loose.bound <= cost <= loose.cost
    assert loose.gap <= 0.2
    assert (loose.status is Status.OPTIMAL) == (loose.gap == 0)


def test_ties_can_be_left_unsettled():
    table, _, optima = frozen.read("ties-everywhere")
    for sla, cost, choice in optima:
        assert milp.search(table, sla, canonical=False).cost == cost
        assert tuple(milp.search(table, sla).choice.tolist()) == choice


def test_an_sla_beyond_all_latencies_does_not_bind():
    table = frozen.read("one-nanosecond").table
    cheapest = np.minimum.reduceat(table.cost, table.offsets[:-1]).sum()
    for sla in (5.0, 1e6, 1e18, 1e300):
        assert milp.search(table, sla).cost == cheapest


@pytest.mark.parametrize("number", [math.nan, -1.0, math.inf])
@pytest.mark.parametrize("name", ["sla", "time_limit", "relative_gap"])
def test_wrong_numbers_are_refused(name, number):
    arguments = {"sla": 1.0} | {name: number}
    with pytest.raises(InvalidInputError, match=f"^{name}: expected a finite number >= 0, got {number}"):
        milp.search(frozen.read("tenths").table, **arguments)


def test_a_wrong_table_is_refused():
    table = strategies.table_of([(0, 1), (1, 0)], [[(0, 1, 1)], [(0, 1, 1)]])
    with pytest.raises(InvalidInputError, match="wait for each other"):
        milp.search(table, 3.0)


def test_the_solver_is_imported_late_and_says_nothing():
    """In a fresh process, because HiGHS greets once per process and modules load once."""
    script = """
import sys
import numpy as np
from smiless_core.solver import milp
from smiless_core.solver.tables import ModeTable
assert not {"cvxpy", "highspy", "scipy.optimize"} & set(sys.modules)
table = ModeTable(
    np.zeros((0, 2), np.int32), np.array([0, 2]), np.zeros(2), np.array([1.0, 2.0]), np.array([2.0, 1.0])
)
assert milp.search(table, 1.5).choice.tolist() == [0]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_same_answer_every_time():
    table, _, optima = frozen.read("layered-10-releases")
    first, second = (milp.search(table, optima[1].sla) for _ in range(2))
    assert np.array_equal(first.choice, second.choice)
    assert first.work == second.work
