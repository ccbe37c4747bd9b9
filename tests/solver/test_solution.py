"""What a solve returns: plan, proof, reasons, JSON and text."""

import json
import math
import pickle
import re

import pytest
from hypothesis import given

import oracles
from problems import Question, chain, diamond, hardware_profile, questions
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model import Application, Limits, Prices, Problem, Profile, Readiness, Stay
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.solution import Solution, solve
from smiless_core.solver.tables import Search, Status, Work
from strategies import examples

EVERY_10 = Arrivals.every(10.0)


# -- Plans ---------------------------------------------------------------------------------------------------


def test_a_plan_written_out_by_hand():
    # Let go for most of 10 s: billed 3 + 1 s; kept over 2 s: 2 s. Prices are 1 $/s.
    solution = solve(chain(1.0, 2.0, sla=4.0), EVERY_10)
    assert (solution.status, solution.cost, solution.bound, solution.gap) == (Status.OPTIMAL, 9.0, 9.0, 0.0)
    plan = solution.plan
    assert (plan.cost, plan.latency, plan.cold_latency, plan.attainment) == (9.0, 3.0, 9.0, 1.0)
    assert plan.critical_path == ("f0", "f1")
    first, second = plan
    assert first.readiness is Readiness.PREWARMED
    assert first.schedule == (Stay(7.0, 10.0, 10.0),)
    assert (first.prewarm, first.keep_alive, first.replicas) == (6.0, 0.0, 1)
    assert second.schedule == (Stay(8.0, 11.0, 11.0),)
    assert (second.prewarm, second.keep_alive, second.slack) == (5.0, 0.0, 1.0)

    (kept, _) = solve(chain(1.0, 2.0, sla=4.0), Arrivals.every(2.0)).plan
    assert kept.schedule == (Stay(1.0, 1.0, 2.0),)
    assert (kept.prewarm, kept.keep_alive, kept.cost) == (0.0, 1.0, 2.0)


def test_overlapping_requests_take_more_instances():
    (planned,) = solve(chain(10.0, cold_start=100.0), Arrivals.every(3.0)).plan
    assert (planned.replicas, planned.cost) == (4, 12.0)


def test_requests_that_arrive_together_share_a_batch():
    profile = Profile("p", {"cpu": hardware_profile(sizes=(1,), batches=(1, 2, 4))})
    application = Application.chain("p", sla=2.5)
    problem = Problem(application, {"p": profile}, Prices(cpu=1.0, gpu=1.0), concurrency=4)
    solution = solve(problem, EVERY_10)
    (planned,) = solution.plan
    # Two at a time take 2 s; four at a time would take 4 s, too long. Two instances of 3 + 2 s serve four.
    assert (planned.configuration.batch, planned.replicas, planned.cost) == (2, 2, 2.5)
    (planned,) = solve(problem, EVERY_10, sla=4.0).plan
    assert (planned.configuration.batch, planned.replicas, planned.cost) == (4, 1, 1.75)


@pytest.mark.parametrize("announces", [False, True])
def test_the_cold_response_overlaps_where_arrivals_are_announced(announces):
    problem = chain(1.0, 2.0, limits=Limits(announces_arrivals=announces))
    assert solve(problem, EVERY_10).plan.cold_latency == (6.0 if announces else 9.0)


def test_every_readiness_can_be_written_out():
    compiled = CompiledProblem(chain(1.0, 2.0, limits=Limits(announces_arrivals=True)))
    warm, on_arrival, on_request = (compiled.plan([0, mode], EVERY_10, sla=10.0)["f1"] for mode in range(3))
    assert warm.readiness is Readiness.PREWARMED
    assert on_arrival.readiness is Readiness.ON_ARRIVAL
    assert on_request.readiness is Readiness.ON_REQUEST
    for planned in (on_arrival, on_request):
        assert (planned.schedule, planned.prewarm, planned.keep_alive) == ((), None, None)
        assert (planned.cost, planned.replicas) == (5.0, 1)
    # Cold start of 3 s from the arrival on, beside the first second of f0; or after it.
    assert [compiled.plan([0, mode], EVERY_10, sla=10.0).latency for mode in range(3)] == [3.0, 5.0, 6.0]
    assert on_arrival.slack == 5.0
    assert on_request.slack == 4.0


def test_an_instance_is_cheaper_kept_where_it_has_to_stay_anyway():
    free = solve(chain(1.0), EVERY_10)
    least = solve(chain(1.0, limits=Limits(min_keep_alive=2.0)), EVERY_10)
    resident = solve(chain(1.0, limits=Limits(min_replicas=1)), EVERY_10)
    assert [free.cost, least.cost, resident.cost] == [4.0, 6.0, 10.0]


def test_another_sla_is_that_of_the_plan():
    problem = diamond()
    tight = solve(problem, EVERY_10, sla=2.0)
    assert (tight.sla, tight.plan.application.sla) == (2.0, 2.0)
    assert tight.plan.latency <= 2.0 < solve(problem, EVERY_10).plan.latency
    assert solve(problem, EVERY_10).plan.application is problem.application
    assert tight.cost > solve(problem, EVERY_10).cost


def test_a_plan_is_written_out_once_and_only_when_read():
    solution = solve(diamond(), EVERY_10)
    assert "plan" not in vars(solution)
    assert solution.plan is solution.plan
    assert solution.fastest is solution.fastest


def test_a_plan_keeps_its_arrivals_when_others_follow():
    compiled = CompiledProblem(diamond())
    slow = compiled.solve(EVERY_10)
    compiled.solve(Arrivals.every(0.1))
    assert slow.plan.cost == slow.cost


def test_a_solution_pickles():
    solution = solve(diamond(), EVERY_10)
    revived = pickle.loads(pickle.dumps(solution))
    assert revived.plan == solution.plan
    assert str(revived) == str(solution)


# -- Infeasible ----------------------------------------------------------------------------------------------


@pytest.fixture
def hopeless() -> Solution:
    return solve(diamond(), EVERY_10, sla=0.1)


def test_reading_the_plan_of_an_infeasible_solution_says_why(hopeless):
    assert hopeless.status is Status.INFEASIBLE
    assert not hopeless.feasible
    with pytest.raises(InfeasibleError) as caught:
        _ = hopeless.plan
    assert caught.value.shortest_latency == hopeless.shortest_latency == hopeless.fastest.latency
    assert caught.value.limited_by == hopeless.limited_by == ("detect", "left", "join")
    expected = (
        r"diamond: no plan meets an SLA of 0\.1 s: the shortest latency that can be reached is (0\.\d+) s,"
        r" limited by detect, left, join"
    )
    (stated,) = re.fullmatch(expected, str(caught.value)).groups()
    assert float(stated) == hopeless.shortest_latency


def test_infinite_cost_and_no_gap_without_a_plan(hopeless):
    assert math.isinf(hopeless.cost)
    assert math.isinf(hopeless.bound)
    assert math.isnan(hopeless.gap)


@pytest.mark.native
@examples(60)
@given(questions())
def test_the_fastest_plan_is_the_cheapest_of_the_shortest_latency(question: Question):
    problem, arrivals, sla = question
    solution = CompiledProblem(problem).solve(arrivals, sla=sla)
    fastest = solution.fastest
    shortest = solution.shortest_latency
    assert fastest.latency == shortest
    assert fastest.attainment == (1.0 if solution.feasible else 0.0)
    assert fastest.application.sla == sla
    optimum = oracles.cheapest_plan(problem, arrivals.interval, sla=shortest).optimum
    assert fastest.cost == pytest.approx(float(optimum.cost), rel=1e-12)
    assert solution.limited_by == (() if solution.feasible else fastest.critical_path)
    if not solution.feasible:
        assert min(planned.slack for planned in fastest) == 0.0
        on_path = [fastest[name] for name in fastest.critical_path]
        assert all(planned.slack == 0.0 for planned in on_path)


def test_the_sla_may_equal_the_shortest_latency(hopeless):
    tightest = solve(diamond(), EVERY_10, sla=hopeless.shortest_latency)
    assert tightest.status is Status.OPTIMAL
    assert tightest.plan.assignments == hopeless.fastest.assignments
    just_below = math.nextafter(hopeless.shortest_latency, 0.0) - 1e-9
    assert solve(diamond(), EVERY_10, sla=just_below).status is Status.INFEASIBLE


@pytest.fixture
def unserved() -> Solution:
    """Arrivals come faster than any one instance can serve them."""
    return solve(chain(1.0, 0.01, limits=Limits(max_replicas=1)), Arrivals.every(0.5))


def test_limits_may_leave_a_function_nothing(unserved):
    assert unserved.status is Status.INFEASIBLE
    assert math.isinf(unserved.shortest_latency)
    assert unserved.limited_by == ("f0",)
    message = "application: max_replicas = 1 leaves no mode for f0 with arrivals every 0.5 s"
    for read in ("plan", "fastest"):
        with pytest.raises(InfeasibleError, match=message):
            getattr(unserved, read)
    assert str(unserved) == message
    written = unserved.to_dict()
    assert written["functions"] == {}
    assert written["limited_by"] == ["f0"]
    assert [written[key] for key in ("latency", "attainment", "shortest_latency", "cost")] == [None] * 4
    json.dumps(written, allow_nan=False)


# -- Budgets -------------------------------------------------------------------------------------------------


class Unproved:
    """A search that finds the right plan and proves only half its cost."""

    def __init__(self, search, status):
        self._search = search
        self._status = status
        self.asked = []

    def search(self, table, sla, **limits) -> Search:
        self.asked.append(limits)
        found = self._search.search(table, sla)
        return Search(
            self._status,
            found.choice,
            found.cost,
            found.cost / 2,
            0.5,
            found.latency,
            found.shortest_latency,
            found.work,
        )


@pytest.mark.parametrize("status", [Status.FEASIBLE, Status.STOPPED])
def test_without_a_proof_there_is_a_plan_and_a_gap(status):
    compiled = CompiledProblem(diamond())
    compiled._exact = Unproved(compiled._exact, status)
    limits = {"budget": Work(nodes=3), "time_limit": 0.5}
    solution = compiled.solve(EVERY_10, **limits)
    assert solution.status is status
    assert (solution.bound, solution.gap) == (solution.cost / 2, 0.5)
    assert solution.plan.cost == solution.cost
    text = " ".join(str(solution).split())
    assert "ended before the proof: a plan that costs up to 50 % less may exist." in text
    assert "gap 50 %" in text
    assert "optimal" not in text
    assert solution.fastest.latency == solution.shortest_latency
    assert compiled._exact.asked == [limits] * 2


# -- JSON ----------------------------------------------------------------------------------------------------

KEYS = [
    "schema",
    "application",
    "prices",
    "arrivals",
    "method",
    "status",
    "sla",
    "attainment_target",
    "cost",
    "replay_cost",
    "bound",
    "gap",
    "latency",
    "cold_latency",
    "attainment",
    "misses",
    "ready_set",
    "critical_path",
    "shortest_latency",
    "limited_by",
    "work",
    "functions",
]
FUNCTION_KEYS = [
    "hardware",
    "size",
    "batch",
    "replicas",
    "readiness",
    "price_per_second",
    "latency",
    "cold_start",
    "schedule",
    "levels",
    "prewarm",
    "keep_alive",
    "cost",
]


@examples(30)
@given(questions())
def test_json_has_exactly_its_keys_and_finite_numbers(question: Question):
    problem, arrivals, sla = question
    solution = solve(problem, arrivals, sla=sla)
    written = json.loads(json.dumps(solution.to_dict(), allow_nan=False))
    assert list(written) == KEYS
    assert written["schema"] == 1
    assert written["status"] == solution.status.value
    assert list(written["work"]) == ["augmentations", "labels", "nodes"]
    assert list(written["functions"]) == list(problem.application.names)
    plan = solution.plan if solution.feasible else solution.fastest
    for name, function in written["functions"].items():
        assert list(function) == FUNCTION_KEYS
        assert function["cost"] == plan[name].cost
        assert [list(stay) for stay in function["schedule"]] == [["start", "ready", "until"]] * len(plan[name].schedule)
        assert function["levels"] == ([function["schedule"]] if function["schedule"] else [])
    assert (written["misses"], written["ready_set"]) == (None, [])
    if solution.feasible:
        assert written["cost"] == math.fsum(function["cost"] for function in written["functions"].values())
        assert (written["gap"], written["limited_by"]) == (0.0, [])
        assert (written["replay_cost"], written["attainment"]) == (written["cost"], 1.0)
        assert written["latency"] <= sla
    else:
        assert [written[key] for key in ("cost", "replay_cost", "bound", "gap")] == [None] * 4
        assert written["attainment"] == 0.0
        assert written["latency"] == written["shortest_latency"] > sla
        assert written["limited_by"] == written["critical_path"]


def test_json_has_no_windows_without_a_schedule():
    compiled = CompiledProblem(chain(1.0, 2.0))
    found = compiled.search(EVERY_10, 10.0)
    on_request = Search(*(getattr(found, name) for name in Search.__slots__))
    object.__setattr__(on_request, "choice", found.choice + 1)
    function = Solution(compiled, EVERY_10, on_request, 10.0, 0.99, "exact").to_dict()["functions"]["f1"]
    assert function["readiness"] == "on_request"
    assert (function["schedule"], function["levels"]) == ([], [])
    assert (function["prewarm"], function["keep_alive"]) == (None, None)


TWO_HUMPS = Arrivals.empirical([10.0, 100.0] * 8)


def test_json_of_a_distribution_holds_every_level():
    problem = chain(1.0, 2.0, sla=3.0)
    solution = solve(problem, Arrivals.exponential(4.0), target=0.9)
    written = json.loads(json.dumps(solution.to_dict(), allow_nan=False))
    assert list(written) == KEYS
    assert (written["attainment_target"], written["replay_cost"]) == (0.9, solution.replay_cost)
    assert written["replay_cost"] != written["cost"], "one is reckoned, the other happened"
    assert written["attainment"] == solution.attainment.fraction >= 0.9
    assert written["misses"] == {
        name: getattr(solution.attainment, name) for name in ("too_early", "too_late", "overlap", "cold_tail")
    }
    assert [tuple(span) for span in written["ready_set"]] == [
        (begin, None if math.isinf(end) else end) for begin, end in solution.plan.ready_set
    ]
    deep = 0
    for assignment in solution.plan:
        function = written["functions"][assignment.function]
        stays = [
            [
                {"start": stay.start, "ready": stay.ready, "until": None if math.isinf(stay.until) else stay.until}
                for stay in level
            ]
            for level in (assignment.schedule, *assignment.further)
        ]
        assert function["levels"] == stays
        assert function["schedule"] == stays[0]
        deep = max(deep, len(stays))
    assert deep > 1


def test_what_never_ends_is_null():
    arrivals = Arrivals.from_survival(times=[2.0, 5.0], survival=[1.0, 0.5], tail_excess=1.0)
    kept = solve(chain(1.0, sla=1.0), arrivals, target=1.0)
    written = json.loads(json.dumps(kept.to_dict(), allow_nan=False))
    assert written["ready_set"][-1][1] is None
    assert written["functions"]["f0"]["schedule"][-1]["until"] is None
    assert written["functions"]["f0"]["keep_alive"] is None


def test_the_sla_of_a_distribution_may_be_out_of_reach():
    hopeless = solve(chain(1.0, 2.0), TWO_HUMPS, sla=2.0)
    assert (hopeless.status, hopeless.attainment, hopeless.shortest_latency) == (Status.INFEASIBLE, None, 3.0)
    assert hopeless.closest is hopeless.fastest
    assert hopeless.limited_by == ("f0", "f1")
    written = hopeless.to_dict()
    assert (written["attainment"], written["misses"], written["replay_cost"]) == (0.0, None, None)
    with pytest.raises(InfeasibleError, match=r"no plan meets an SLA of 2 s: the shortest latency .* is 3 s"):
        _ = hopeless.plan


def test_the_target_may_be_out_of_reach():
    problem = chain(1.0, 0.01, sla=2.0, limits=Limits(max_replicas=1))
    short = solve(problem, Arrivals.exponential(2.0))
    assert short.status is Status.INFEASIBLE
    assert short.shortest_latency <= 2.0
    # M/D/1/1: of arrivals at half the rate of service, a third find the instance busy.
    assert short.attainment.fraction == pytest.approx(2 / 3, abs=0.02)
    assert short.limited_by == ("f0",)
    assert short.closest.attainment == short.attainment.fraction
    with pytest.raises(InfeasibleError) as caught:
        _ = short.plan
    assert "no plan reaches a target of 99 % within an SLA of 2 s: the highest attainment found" in str(caught.value)
    assert "with max_replicas = 1 is 6" in str(caught.value)
    assert str(caught.value).endswith("limited by f0")
    reached = solve(problem, Arrivals.exponential(2.0), target=0.6)
    assert reached.feasible
    assert reached.closest is reached.plan


def test_solve_takes_what_the_compiled_problem_takes():
    problem = diamond()
    direct = solve(problem, EVERY_10, method="exact", sla=1.5, budget=Work(nodes=10**9), time_limit=60.0)
    compiled = CompiledProblem(problem).solve(EVERY_10, sla=1.5)
    assert direct.to_dict() == compiled.to_dict()
    assert (direct.budget, direct.time_limit) == (Work(nodes=10**9), 60.0)
    with pytest.raises(InvalidInputError, match=r"^method: "):
        solve(problem, EVERY_10, method="guess")


def test_repr_is_short():
    assert repr(solve(chain(1.0), EVERY_10)) == "<Solution of 'application': optimal, 4 $ per invocation>"
    assert repr(solve(chain(1.0), EVERY_10, sla=0.5)) == "<Solution of 'application': infeasible>"
