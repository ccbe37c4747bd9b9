"""Cost against SLA: every breakpoint, and nothing but breakpoints."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from problems import Question, chain, diamond, nanoseconds_apart, questions
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError, InvalidInputError, SolverError
from smiless_core.model import Limits
from smiless_core.solver.charts import frontier_table_text, frontier_text
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.pareto import Frontier, FrontierTable, frontier
from smiless_core.solver.rendering import reckoned_with
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
    with pytest.raises(SolverError, match=r"no plan was proved optimal for an SLA of .* within the budget"):
        frontier(diamond(), EVERY_10, budget=Work(nodes=1))


def test_json_holds_every_point(curve):
    written = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert list(written) == ["schema", "application", "over", "shortest_latency", "truncated", "points"]
    assert [(point["sla"], point["cost"]) for point in written["points"]] == [
        (point.sla, point.cost) for point in curve
    ]
    assert written["over"] == "sla"
    for point, solved in zip(written["points"], curve, strict=True):
        assert list(point) == ["sla", "target", "attainment", "cost", "gap", "functions"]
        assert (point["target"], point["attainment"], point["gap"]) == (0.99, 1.0, 0.0)
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


# -- Arrivals that are a distribution ------------------------------------------------------------------------

TWO_HUMPS = Arrivals.empirical([10.0, 100.0] * 8)
AT_RANDOM = Arrivals.exponential(20.0)


@pytest.fixture(scope="module")
def walked() -> Frontier:
    return frontier(diamond(), AT_RANDOM)


@pytest.fixture(scope="module")
def by_attainment() -> Frontier:
    return frontier(diamond(), AT_RANDOM, over="attainment", max_points=12)


@pytest.fixture(scope="module")
def both() -> FrontierTable:
    return frontier(diamond(), AT_RANDOM, over="both", max_points=6)


def test_a_plan_that_waits_meets_an_sla_beyond_its_warm_latency():
    # L = 2, T = 4, X = 9 (3/4) or 10. Ready at both: 2 + 4 + 1/4; ready at 10 alone 6, and those at 9 wait for 1 s.
    arrivals = Arrivals.empirical([9.0, 9.0, 9.0, 10.0])
    found = frontier(chain(2.0, cold_start=4.0), arrivals, target=1.0)
    assert [(point.sla, point.cost) for point in found] == [(2.0, 6.25), (3.0, 6.0)]
    late = found.points[-1].solution
    assert (late.plan.latency, late.sla, late.attainment.fraction) == (2.0, 3.0, 1.0)
    assert late.plan.application.sla == 3.0


def test_costs_of_the_joint_search_fall_and_the_target_is_reached(walked):
    assert len(walked) > 5
    for here, there in pairwise(walked):
        assert here.sla < there.sla
        assert here.cost > there.cost
    for point in walked:
        assert (point.target, point.solution.target) == (0.99, 0.99)
        assert 0.99 <= point.attainment == point.solution.attainment.fraction
        assert point.solution.sla == point.sla
        assert point.solution.plan.latency <= point.sla
        assert point.solution.plan.cost == pytest.approx(point.cost, rel=1e-12)
    assert walked.gap == max(point.solution.gap for point in walked) < 1.0
    assert walked.shortest_latency == walked.points[0].sla


def test_a_point_begins_where_its_plan_reaches_the_target(walked):
    judged = 0
    for point in walked:
        if point.solution.aimed.replayed is None:  # nothing overlaps: the fraction is not counted
            continue
        judged += 1
        responses = np.rint(1e9 * point.solution.replay.responses)
        met, before = (np.mean(responses <= round(1e9 * point.sla) - less) for less in (0, 1))
        assert met == pytest.approx(point.attainment)
        assert before < 0.99 or point.sla == point.solution.plan.latency
    assert judged > 0


def test_a_range_is_searched_from_end_to_end():
    part = frontier(diamond(), AT_RANDOM, min_sla=0.5, max_sla=2.0)
    assert part.points[0].sla <= 0.5 < part.points[1].sla
    assert part.points[-1].sla <= 2.0
    for point, sla in ((part.points[0], 0.5), (part.points[-1], 2.0)):
        assert point.cost == pytest.approx(solve(diamond(), AT_RANDOM, sla=sla).cost, rel=1e-12)
    with pytest.raises(InvalidInputError, match=r"beyond 2 s, where this frontier ends"):
        part.at(2.1)


@pytest.mark.parametrize("most", [None, 2, 6])
def test_points_of_the_joint_search_take_few_searches(walked, most):
    """A walk from one plan to the next finds a hundred points, a second each."""
    asked: list[tuple[int, float]] = []
    arrivals = Arrivals.smoothed(np.random.default_rng(5).lognormal(1.0, 1.5, 60))
    found = frontier(diamond(), arrivals, max_points=most, progress=lambda *step: asked.append(step))
    assert not found.truncated
    assert len(found) <= (most or 24)
    assert len(asked) <= 1.5 * (most or 24) + 2
    assert found.points[0].sla == found.shortest_latency, "the tightest is among them,"
    loosest = solve(diamond(), arrivals, sla=CompiledProblem(diamond()).loosest_sla)
    assert found.points[-1].cost == pytest.approx(loosest.cost, rel=1e-12), "and the loosest"


def test_one_point_is_that_of_the_loosest_sla(walked):
    part = frontier(diamond(), AT_RANDOM, max_points=1)
    assert [(point.sla, point.cost) for point in part] == [(walked.points[-1].sla, walked.points[-1].cost)]
    assert part.truncated


def test_more_points_leave_less_room_for_others():
    def room(found: Frontier) -> float:
        steps = pairwise(found)
        return max(np.log(here.cost / there.cost) * np.log(there.sla / here.sla) for here, there in steps)

    rooms = [room(frontier(diamond(), AT_RANDOM, max_points=most)) for most in (2, 5, 12)]
    assert rooms == sorted(rooms, reverse=True)
    assert rooms[-1] < 0.2 * rooms[0]


def test_where_only_schedules_change_that_is_what_rows_say():
    walked = frontier(chain(1.0, sla=1.0), AT_RANDOM, over="attainment", max_points=6)
    rows = re.findall(r" %  (\D.*)$", frontier_text(walked, width=120), re.MULTILINE)
    same = [
        [each.configuration for each in here.solution.plan] == [each.configuration for each in there.solution.plan]
        and list(reckoned_with(here.solution)) == list(reckoned_with(there.solution))
        for here, there in pairwise(walked)
    ]
    assert len(rows) >= len(walked) - 1
    assert sum(row.startswith("only when instances are there: same hardware") for row in rows) == sum(same) > 0


def test_costs_rise_with_attainment(by_attainment):
    assert 4 < len(by_attainment) <= 12
    for here, there in pairwise(by_attainment):
        assert here.attainment < there.attainment
        assert here.cost < there.cost
    for point in by_attainment:
        assert point.sla == point.solution.sla == 3.0
        assert point.target <= point.attainment + 1e-12
        assert point.solution.cost == point.cost
    for target in (0.5, 0.9, 0.99):
        found = by_attainment.at(target)
        assert found.attainment >= target
        assert found.cost <= solve(diamond(), AT_RANDOM, target=target).cost * (1 + 1e-12)
    tight = frontier(diamond(), AT_RANDOM, over="attainment", sla=1.0, max_points=3)
    assert {point.sla for point in tight} == {1.0}
    assert len(tight) <= 3
    assert tight.points[-1].cost > by_attainment.points[-1].cost


def test_in_a_table_costs_never_rise_with_less_to_do(both):
    assert len(both.slas) <= 6
    assert list(both.slas) == sorted(both.slas)
    for row, sla in zip(both.cells, both.slas, strict=True):
        for point, target in zip(row, both.targets, strict=True):
            assert (point.sla, point.target) == (sla, target)
            assert point.attainment >= target - 1e-12
            assert point.solution.sla <= sla
            assert point.solution.plan.latency <= sla
            assert point.cost <= solve(both.problem, AT_RANDOM, sla=sla, target=target).cost * (1 + 1e-12)
    costs = np.array(both.costs)
    assert (np.diff(costs, axis=0) <= 0.0).all()
    assert (np.diff(costs, axis=1) >= 0.0).all()
    assert (costs[0] > costs[-1]).all()
    assert len(both.points) == costs.size
    assert repr(both) == f"<FrontierTable of 'diamond': {len(both.slas)} x 5>"


def test_targets_out_of_reach_are_no_cells():
    problem = chain(1.0, sla=2.0, limits=Limits(max_replicas=1))
    # A third finds the instance busy; with less than half of it served on time, there is nothing to tabulate.
    with pytest.raises(InfeasibleError, match="the highest attainment found with max_replicas = 1"):
        frontier(problem, Arrivals.exponential(2.0), over="both")
    partly = frontier(problem, Arrivals.exponential(8.0), over="both")
    assert np.isinf(partly.costs[0][-1])
    assert np.isfinite(partly.costs[0][0])
    assert "No plan that was found reaches" in str(partly)
    reached = frontier(problem, Arrivals.exponential(8.0), over="attainment")
    with pytest.raises(InvalidInputError, match=r"^attainment: 0\.99 is beyond 0\.8.*, where this frontier ends"):
        reached.at(0.99)
    with pytest.raises(InfeasibleError, match="no plan reaches a target of 99 %"):
        frontier(problem, Arrivals.exponential(8.0))
    assert frontier(problem, Arrivals.exponential(8.0), target=0.8).points[-1].attainment >= 0.8


@pytest.mark.parametrize("over", ["sla", "attainment", "both"])
def test_progress_of_the_joint_search_rises(over):
    seen = []
    found = frontier(diamond(), TWO_HUMPS, over=over, max_points=5, progress=lambda *step: seen.append(step))
    counts, fractions = zip(*seen, strict=True)
    assert list(fractions) == sorted(fractions)
    assert 0.0 < fractions[0] <= fractions[-1] <= 1.0
    assert counts[-1] >= len(found.points) > 0
    if over != "sla":
        assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"over": "time"}, "over"),
        ({"over": "attainment", "min_sla": 1.0}, "min_sla"),
        ({"over": "attainment", "max_sla": 1.0}, "max_sla"),
        ({"over": "attainment", "target": 0.5}, "target"),
        ({"over": "attainment", "sla": -1.0}, "sla"),
        ({"over": "both", "sla": 1.0}, "sla"),
        ({"over": "both", "target": 0.5}, "target"),
        ({"sla": 1.0}, "sla"),
        ({"target": 0.0}, "target"),
        ({"target": 1.5}, "target"),
    ],
)
def test_wrong_arguments_of_a_distribution_are_named(settings, place):
    with pytest.raises(InvalidInputError) as caught:
        frontier(diamond(), TWO_HUMPS, **settings)
    assert caught.value.place == place


@pytest.mark.parametrize("over", ["attainment", "both"])
def test_only_a_distribution_has_an_attainment_to_choose(over):
    with pytest.raises(InvalidInputError, match=r"^over: .* meet an SLA always or never"):
        frontier(diamond(), EVERY_10, over=over)
    with pytest.raises(InvalidInputError, match=r"^arrivals: expected Arrivals"):
        frontier(diamond(), 10.0, over=over)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_texts_of_a_distribution_fit_the_width(walked, by_attainment, both, width):
    texts = [frontier_text(walked, width=width), frontier_text(by_attainment, width=width)]
    texts.append(frontier_table_text(both, width=width))
    for text in texts:
        assert max(map(len, text.splitlines())) <= width
        assert text.isascii()
        assert "joint search; the largest gap to a proved bound is" in " ".join(text.split())
        assert "exact" not in text
    assert f"{walked.points[0].sla:.9f}" in texts[0]
    for point in (by_attainment.points[0], by_attainment.points[-1]):
        assert f"{1e6 * point.cost:,.2f}" in texts[1]
    for sla in both.slas:
        assert f"{sla:.3f}" in texts[2]


def test_the_plot_rises_with_attainment(by_attainment):
    lines = [line for line in frontier_text(by_attainment, width=100).splitlines() if "|" in line]
    drawn = [line.split("|")[1] for line in lines]
    columns = [[row for row, cells in enumerate(drawn) if cells[at : at + 1] == "*"] for at in range(len(drawn[0]))]
    assert all(len(rows) == 1 for rows in columns)
    heights = [row for (row,) in columns]
    assert (heights[0], heights[-1]) == (len(drawn) - 1, 0)
    assert heights == sorted(heights, reverse=True)


def test_repr_is_short(curve):
    assert repr(curve) == f"<Frontier of 'diamond': {len(curve)} breakpoints>"
