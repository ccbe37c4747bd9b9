"""Slack, and what more SLA would save."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from problems import Question, chain, diamond, nanoseconds_apart, questions
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model import Limits
from smiless_core.solver.explanation import Explanation, explain
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.rendering import explanation_text
from smiless_core.solver.solution import Solution, solve
from smiless_core.solver.tables import Search, Status
from strategies import examples

EVERY_10 = Arrivals.every(10.0)
TOLERANCE = 1e-12


@pytest.mark.native
@examples(60)
@given(questions(most=3), st.sampled_from([0.01, 0.5, 5.0]))
def test_savings_are_those_of_an_enumeration(question: Question, extra: float):
    problem, arrivals, sla = question
    compiled = CompiledProblem(problem)
    solution = compiled.solve(arrivals, sla=sla)
    explanation = explain(solution, extra=extra)
    if not solution.feasible:
        assert explanation.saving is None
        assert explanation.next_sla is None
        assert explanation.next_saving is None
        return
    steps = oracles.frontier(compiled.table(arrivals))
    cost = solution.cost
    later = [step for step in steps if float(step.cost) < cost * (1 - TOLERANCE)]
    reach = oracles.nanoseconds(sla + extra, up=False)
    within = [float(step.cost) for step in later if round(step.sla * 1e9) <= reach]
    assert explanation.saving == pytest.approx(cost - min(within, default=cost), rel=1e-9, abs=1e-18)
    if not later:
        assert explanation.next_sla is None
        assert explanation.next_saving is None
    else:
        assert explanation.next_sla == later[0].sla
        assert explanation.next_saving == pytest.approx(cost - float(later[0].cost), rel=1e-9)


def test_the_next_breakpoint_is_exact_to_the_nanosecond():
    compiled = CompiledProblem(diamond())
    solution = compiled.solve(EVERY_10, sla=1.0)
    explanation = explain(solution)
    at = compiled.solve(EVERY_10, sla=explanation.next_sla)
    before = compiled.solve(EVERY_10, sla=explanation.next_sla - 1e-9)
    assert explanation.next_saving == solution.cost - at.cost > 0.0
    assert before.cost == solution.cost


@pytest.mark.native
@examples(100)
@given(st.sets(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 10, 12]), min_size=2), st.integers(1, 12))
def test_the_next_breakpoint_may_be_a_nanosecond_away(levels: set[int], at: int):
    explanation = explain(solve(nanoseconds_apart(levels), EVERY_10, sla=(10**9 + at) / 1e9))
    later = [level for level in levels if level > at] if explanation.solution.feasible else []
    assert explanation.next_sla == ((10**9 + min(later)) / 1e9 if later else None)


def test_more_sla_may_save_nothing():
    explanation = explain(solve(chain(1.0, 2.0, sla=3.0), EVERY_10))
    assert (explanation.saving, explanation.next_sla, explanation.next_saving) == (0.0, None, None)
    assert "10 ms more of SLA would save nothing. No looser SLA is known" in str(explanation)


def test_the_extra_is_a_parameter():
    solution = solve(diamond(), EVERY_10, sla=1.0)
    far = explain(solution, extra=100.0)
    assert far.saving == pytest.approx(solution.cost - solve(diamond(), EVERY_10, sla=101.0).cost)
    assert "100.000 s more of SLA would save $" in str(far)
    assert far.next_sla == explain(solution).next_sla
    for extra in (0.0, -1.0, math.nan):
        with pytest.raises(InvalidInputError, match=r"^extra: "):
            explain(solution, extra=extra)


def test_slack_is_that_of_the_plan():
    solution = solve(diamond(), EVERY_10)
    explanation = explain(solution)
    assert explanation.slack == {planned.function: planned.slack for planned in solution.plan}
    assert min(explanation.slack.values()) == pytest.approx(3.0 - solution.plan.latency, abs=1e-9)
    rows = [line for line in str(explanation).splitlines() if line.startswith(("detect", "left", "right", "join"))]
    assert len(rows) == 4


class Counted:
    """A search that counts how often it is asked."""

    def __init__(self, search):
        self._search = search
        self.asked = 0

    def search(self, *arguments, **settings) -> Search:
        self.asked += 1
        return self._search.search(*arguments, **settings)


def test_searches_are_made_when_they_are_needed_and_once():
    compiled = CompiledProblem(diamond())
    counted = compiled._exact = Counted(compiled._exact)
    explanation = explain(compiled.solve(EVERY_10, sla=1.0))
    _ = explanation.slack, repr(explanation)
    assert counted.asked == 1
    _ = explanation.saving
    assert counted.asked == 2
    _ = explanation.next_sla
    asked = counted.asked
    assert 2 < asked < 50
    _ = explanation.next_saving, explanation.saving, str(explanation)
    assert counted.asked == asked


def test_an_infeasible_solution_is_explained_by_its_fastest_plan():
    solution = solve(diamond(), EVERY_10, sla=0.1)
    explanation = explain(solution)
    assert explanation.limited_by == ("detect", "left", "join")
    assert explanation.shortest_latency == solution.shortest_latency
    assert [explanation.slack[name] for name in explanation.limited_by] == [0.0] * 3
    assert explanation.slack["right"] > 0.0
    text = " ".join(str(explanation).split())
    assert "diamond: infeasible for an SLA of 0.1 s" in text
    assert "limited by detect, left, join." in text
    assert "would save" not in text


def test_nothing_to_serve_with_is_explained_too():
    solution = solve(chain(1.0, limits=Limits(max_replicas=1)), Arrivals.every(0.5))
    assert str(explain(solution)) == str(solution)
    assert explain(solution).limited_by == ("f0",)


def test_without_a_proof_nothing_is_claimed():
    compiled = CompiledProblem(diamond())
    found = compiled.search(EVERY_10, 1.0)
    unproved = Search(
        Status.FEASIBLE, found.choice, found.cost, 0.0, 1.0, found.latency, found.shortest_latency, found.work
    )
    explanation = explain(Solution(compiled, EVERY_10, unproved, 1.0, 0.99, "exact"))
    assert (explanation.saving, explanation.next_sla, explanation.next_saving) == (None, None, None)
    assert "known only of a plan that is proved optimal" in " ".join(str(explanation).split())


class Tiring:
    """A search that proves its first answers, and then none."""

    def __init__(self, search, proofs):
        self._search = search
        self._proofs = proofs

    def search(self, *arguments, **settings) -> Search:
        found = self._search.search(*arguments, **settings)
        self._proofs -= 1
        if self._proofs < 0:
            object.__setattr__(found, "status", Status.FEASIBLE)
        return found


def test_a_saving_that_cannot_be_proved_is_not_claimed():
    compiled = CompiledProblem(diamond())
    compiled._exact = Tiring(compiled._exact, 1)
    explanation = explain(compiled.solve(EVERY_10, sla=1.0))
    assert explanation.saving is None
    assert explanation.next_sla is None
    assert "was not proved" in str(explanation)

    compiled = CompiledProblem(diamond())
    compiled._exact = Tiring(compiled._exact, 5)
    explanation = explain(compiled.solve(EVERY_10, sla=1.0))
    assert explanation.saving is not None
    assert explanation.next_sla is None


def test_of_a_distribution_nothing_is_claimed():
    solution = solve(diamond(), Arrivals.empirical([10.0, 100.0]), sla=1.0)
    explanation = explain(solution)
    assert (explanation.saving, explanation.next_sla, explanation.next_saving) == (None, None, None)
    assert explanation.slack == {planned.function: planned.slack for planned in solution.plan}
    assert "would save is what a frontier finds" in " ".join(str(explanation).split())
    short = explain(solve(chain(1.0, limits=Limits(max_replicas=1)), Arrivals.exponential(2.0)))
    assert "infeasible" in str(short)
    assert list(short.slack) == ["f0"]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("sla", [0.1, 1.0, 3.0])
def test_text_fits_the_width(width, sla):
    text = explanation_text(Explanation(solve(diamond(), EVERY_10, sla=sla)), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii()


def test_repr_is_short():
    assert repr(explain(solve(chain(1.0), EVERY_10))) == (
        "<Explanation of <Solution of 'application': optimal, 4 $ per invocation>>"
    )
