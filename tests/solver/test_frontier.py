"""Cost against SLA: every breakpoint, and nothing but breakpoints."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from problems import Question, chain, diamond, nanoseconds_apart, questions
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError, InvalidInputError, SolverError
from smiless_core.model import Limits
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.pareto import Frontier, frontier
from smiless_core.solver.rendering import frontier_text
from smiless_core.solver.solution import solve
from smiless_core.solver.tables import Status, Work
from strategies import examples

EVERY_10 = Arrivals.every(10.0)
TOLERANCE = 1e-12


def staircase(problem, arrivals) -> list[tuple[float, float]]:
    """Every breakpoint (sla, cost) by enumeration; costs that differ by rounding only are one."""
    steps: list[tuple[float, float]] = []
    level = 0.0
    for step in reversed(oracles.frontier(CompiledProblem(problem).table(arrivals))):
        cost = float(step.cost)
        if steps and cost <= level * (1 + TOLERANCE):
            steps.pop()
        else:
            level = cost
        steps.append((step.sla, cost))
    return steps[::-1]


@pytest.fixture(scope="module")
def curve() -> Frontier:
    return frontier(diamond(), EVERY_10)


@pytest.mark.native
@examples(60)
@given(questions(most=3))
def test_every_breakpoint_is_that_of_an_enumeration(question: Question):
    problem, arrivals, _ = question
    found = frontier(problem, arrivals)
    expected = staircase(problem, arrivals)
    assert [point.sla for point in found] == [sla for sla, _ in expected]
    assert [point.cost for point in found] == pytest.approx([cost for _, cost in expected], rel=1e-12)
    assert found.shortest_latency == found.points[0].sla
    assert not found.truncated


@pytest.mark.native
@pytest.mark.parametrize("interval", [0.2, 1.0, 10.0])
def test_the_staircase_of_a_diamond_by_enumeration(interval):
    arrivals = Arrivals.every(interval)
    found, expected = frontier(diamond(), arrivals), staircase(diamond(), arrivals)
    assert len(expected) > 10
    assert [point.sla for point in found] == [sla for sla, _ in expected]
    assert [point.cost for point in found] == pytest.approx([cost for _, cost in expected], rel=1e-12)


@pytest.mark.native
@examples(40)
@given(st.sets(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 10, 12]), min_size=1))
def test_breakpoints_may_be_a_nanosecond_apart(levels: set[int]):
    found = frontier(nanoseconds_apart(levels), EVERY_10)
    assert [point.sla for point in found] == [(10**9 + level) / 1e9 for level in sorted(levels)]


def test_costs_fall_and_plans_take_as_long_as_they_may(curve):
    for here, there in pairwise(curve):
        assert here.sla < there.sla
        assert here.cost > there.cost
    for point in curve:
        assert point.solution.status is Status.OPTIMAL
        assert point.solution.plan.latency == point.sla == point.solution.sla
        assert point.solution.plan.cost == point.cost


def test_each_point_is_what_a_solve_at_its_sla_gives(curve):
    compiled = CompiledProblem(diamond())
    for point in curve:
        assert compiled.solve(EVERY_10, sla=point.sla).plan == point.solution.plan
        below = compiled.solve(EVERY_10, sla=point.sla - 1e-9)
        assert below.cost > point.cost * (1 + TOLERANCE)


def test_plans_are_written_out_when_they_are_read():
    assert not any("plan" in vars(point.solution) for point in frontier(diamond(), EVERY_10))


def test_at_gives_the_point_that_holds(curve):
    compiled = CompiledProblem(diamond())
    for here, there in pairwise(curve):
        between = (here.sla + there.sla) / 2
        assert curve.at(here.sla) is here
        assert curve.at(between) is here
        assert curve.at(there.sla - 1e-9) is here
        assert compiled.solve(EVERY_10, sla=between).cost == pytest.approx(here.cost, rel=1e-12)
    assert curve.at(1e6) is curve.points[-1]


def test_at_says_what_is_not_there(curve):
    with pytest.raises(InfeasibleError) as caught:
        curve.at(curve.shortest_latency - 1e-9)
    assert caught.value.shortest_latency == curve.shortest_latency
    with pytest.raises(InvalidInputError, match=r"^sla: "):
        curve.at(float("nan"))


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (None, 1.0), (1.0, None), (0.01, 100.0)])
def test_a_range_gives_the_points_that_hold_in_it(curve, low, high):
    part = frontier(diamond(), EVERY_10, min_sla=low, max_sla=high)
    first = 0 if low is None or low < curve.shortest_latency else curve.points.index(curve.at(low))
    last = len(curve) - 1 if high is None else curve.points.index(curve.at(high))
    expected = curve.points[first : last + 1]
    assert [(point.sla, point.cost) for point in part] == [(point.sla, point.cost) for point in expected]
    assert not part.truncated
    if low == 0.5:
        with pytest.raises(InvalidInputError, match=r"below .* where this frontier begins"):
            part.at(part.points[0].sla - 1e-9)
        with pytest.raises(InvalidInputError, match=r"beyond 2 s, where this frontier ends"):
            part.at(2.1)


@pytest.mark.parametrize("most", [1, 2, 7])
def test_truncation_is_admitted(curve, most):
    part = frontier(diamond(), EVERY_10, max_points=most)
    assert [(point.sla, point.cost) for point in part] == [(point.sla, point.cost) for point in curve.points[-most:]]
    assert part.truncated
    assert "Truncated" in str(part)
    assert part.at(curve.points[-1].sla).cost == curve.points[-1].cost
    with pytest.raises(InvalidInputError, match="where this frontier begins"):
        part.at(part.points[0].sla - 1e-9)


def test_enough_points_are_no_truncation(curve):
    for most in (len(curve), len(curve) + 1):
        part = frontier(diamond(), EVERY_10, max_points=most)
        assert len(part) == len(curve)
        assert not part.truncated
        assert "Truncated" not in str(part)


def test_equal_costs_collapse_to_the_smallest_sla():
    problem = diamond()
    free = problem.replace(prices=problem.prices.replace(cpu=0.0, gpu=0.0))
    (only,) = frontier(free, EVERY_10)
    assert only.cost == 0.0
    assert only.sla == solve(free, EVERY_10).shortest_latency


def test_one_plan_is_one_point():
    (only,) = curve = frontier(chain(1.0, 2.0), EVERY_10)
    assert (only.sla, only.cost) == (3.0, 9.0)
    text = str(curve)
    assert "1 breakpoint, each exact" in text
    assert "*" in text


def test_progress_rises_to_one():
    for settings in ({}, {"min_sla": 1.0}, {"max_sla": 1.5}, {"max_points": 3}):
        seen = []
        found = frontier(diamond(), EVERY_10, progress=lambda *step, seen=seen: seen.append(step), **settings)
        assert seen
        counts, fractions = zip(*seen, strict=True)
        assert counts[-1] == len(found)
        assert list(counts) == sorted(counts)
        assert list(fractions) == sorted(fractions)
        assert all(0.0 < fraction <= 1.0 for fraction in fractions)
        if not found.truncated and "min_sla" not in settings:
            assert fractions[-1] == 1.0


def test_no_sla_in_the_range_can_be_met():
    with pytest.raises(InfeasibleError, match="the shortest latency that can be reached"):
        frontier(diamond(), EVERY_10, max_sla=0.1)
    with pytest.raises(InfeasibleError, match="leaves no mode for f0"):
        frontier(chain(1.0, limits=Limits(max_replicas=1)), Arrivals.every(0.5))


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"min_sla": -1.0}, "min_sla"),
        ({"max_sla": 0.0}, "max_sla"),
        ({"max_sla": float("inf")}, "max_sla"),
        ({"min_sla": 2.0, "max_sla": 1.0}, "max_sla"),
        ({"max_points": 0}, "max_points"),
        ({"max_points": 1.5}, "max_points"),
    ],
)
def test_wrong_arguments_are_named(settings, place):
    with pytest.raises(InvalidInputError) as caught:
        frontier(diamond(), EVERY_10, **settings)
    assert caught.value.place == place


def test_a_budget_that_ends_before_the_proof_is_an_error(monkeypatch):
    import smiless_core.solver.pareto as module

    class Hasty(CompiledProblem):
        def search(self, *arguments, budget=None, **settings):
            found = super().search(*arguments, **settings)
            if budget is not None:
                object.__setattr__(found, "status", Status.FEASIBLE)
            return found

    monkeypatch.setattr(module, "CompiledProblem", Hasty)
    with pytest.raises(SolverError, match=r"no plan was proved optimal for an sla of .* within the budget"):
        frontier(diamond(), EVERY_10, budget=Work(nodes=1))


def test_json_holds_every_point(curve):
    written = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert list(written) == ["schema", "application", "shortest_latency", "truncated", "points"]
    assert [(point["sla"], point["cost"]) for point in written["points"]] == [
        (point.sla, point.cost) for point in curve
    ]
    for point, solved in zip(written["points"], curve, strict=True):
        for name, function in point["functions"].items():
            configuration = solved.solution.plan[name].configuration
            assert function == {
                "hardware": configuration.hardware.value,
                "size": configuration.size,
                "batch": configuration.batch,
                "readiness": solved.solution.plan[name].readiness.value,
            }


@pytest.mark.parametrize("width", [60, 80, 120])
def test_text_fits_the_width(curve, width):
    text = frontier_text(curve, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii()
    assert f"{len(curve)} breakpoints, each exact" in " ".join(text.split())
    for end in (curve.points[0], curve.points[-1]):
        assert f"{end.sla:.9f}" in text
        assert f"{1e6 * end.cost:,.2f}" in text
    listed = re.findall(r"^\d+\.\d{9} ", text, re.MULTILINE)
    assert f"{len(curve) - len(listed)} breakpoints between these rows are not shown." in text
    assert 12 < len(listed) <= 24


def test_rows_say_what_changes():
    text = " ".join(frontier_text(frontier(diamond(), EVERY_10, max_points=2), width=120).split())
    solutions = [point.solution.plan for point in frontier(diamond(), EVERY_10, max_points=2)]
    (changed,) = [new.function for old, new in zip(*solutions, strict=True) if old.configuration != new.configuration]
    assert f"{changed} to cpu 1 core" in text


def test_the_plot_falls_from_left_to_right(curve):
    lines = [line for line in frontier_text(curve, width=100).splitlines() if "|" in line]
    drawn = [line.split("|")[1] for line in lines]
    columns = [[row for row, cells in enumerate(drawn) if cells[at : at + 1] == "*"] for at in range(len(drawn[-1]))]
    assert all(len(rows) == 1 for rows in columns)
    heights = [row for (row,) in columns]
    assert heights[0] == 0
    assert heights[-1] == len(drawn) - 1
    assert heights == sorted(heights)


def test_repr_is_short(curve):
    assert repr(curve) == f"<Frontier of 'diamond': {len(curve)} breakpoints>"
