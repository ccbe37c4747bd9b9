"""What a solve returns: plan, proof, reasons, JSON and text."""

import json
import math
import pickle
import re
import subprocess
import sys

import pytest
from hypothesis import given

import oracles
from problems import Question, chain, diamond, hardware_profile, questions
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model import Application, Function, Limits, Prices, Problem, Profile, Readiness, Stay
from smiless_core.solver.formatting import aligned, dollars, exact_seconds, seconds
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.rendering import solution_text
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
        r"diamond: no plan meets an sla of 0\.1 s: the shortest latency that can be reached is (0\.\d+) s,"
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
    "status",
    "sla",
    "attainment_target",
    "cost",
    "bound",
    "gap",
    "latency",
    "cold_latency",
    "attainment",
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
        assert [list(stay) for stay in function["schedule"]] == [["start", "ready", "until"]] * len(
            plan[name].schedule
        )
    if solution.feasible:
        assert written["cost"] == math.fsum(function["cost"] for function in written["functions"].values())
        assert (written["gap"], written["limited_by"]) == (0.0, [])
        assert written["latency"] <= sla
    else:
        assert [written[key] for key in ("cost", "bound", "gap")] == [None] * 3
        assert written["latency"] == written["shortest_latency"] > sla
        assert written["limited_by"] == written["critical_path"]


def test_json_has_no_windows_without_a_schedule():
    compiled = CompiledProblem(chain(1.0, 2.0))
    found = compiled.search(EVERY_10, 10.0)
    on_request = Search(*(getattr(found, name) for name in Search.__slots__))
    object.__setattr__(on_request, "choice", found.choice + 1)
    function = Solution(compiled, EVERY_10, on_request, 10.0, "exact").to_dict()["functions"]["f1"]
    assert function["readiness"] == "on_request"
    assert (function["schedule"], function["prewarm"], function["keep_alive"]) == ([], None, None)


# -- Text ----------------------------------------------------------------------------------------------------


def renamed(names: dict[str, str], **settings) -> Problem:
    problem = diamond(**settings)
    application = problem.application
    return problem.replace(
        application=application.replace(
            functions=tuple(
                Function(names.get(function.name, function.name), function.profile)
                for function in application.functions
            ),
            edges=tuple((names.get(u, u), names.get(v, v)) for u, v in application.edges),
        )
    )


def test_a_plan_worth_reading():
    assert solution_text(solve(chain(1.0, 2.0, sla=4.0), EVERY_10), width=100).splitlines() == [
        "application: proved optimal for an SLA of 4 s and arrivals every 10 s.",
        "",
        "  cost           $9.000 per invocation, $9,000,000.00 per million, $3,240.00 per hour",
        "  bound          $9.000 per invocation, gap 0 %",
        "  latency        3.000 s of 4 s; 9.000 s if nothing is ready",
        "  critical path  f0 -> f1",
        "",
        "function  runs on     latency  readiness                         slack     $/million",
        "------------------------------------------------------------------------------------",
        "f0        cpu 1 core  1.000 s  starts 7.000 s, ready 10.000 s  1.000 s  4,000,000.00",
        "f1        cpu 1 core  2.000 s  starts 8.000 s, ready 11.000 s  1.000 s  5,000,000.00",
        "",
        "Prewarmed instances start, and are ready, at these times after the arrival that they served last;",
        "they are let go after each service.",
        "",
        "10 ms more of SLA would save nothing. No looser SLA is known to allow a cheaper plan.",
    ]


def test_an_infeasible_solution_shows_the_fastest_plan(hopeless):
    text = " ".join(str(hopeless).split())
    assert text.startswith("diamond: infeasible for an SLA of 0.1 s and arrivals every 10 s.")
    shortest = exact_seconds(hopeless.shortest_latency)
    assert f"can be reached is {shortest}, limited by detect, left, join." in text
    assert "This is the fastest plan:" in text
    assert "gpu 100 %" in text
    assert "optimal" not in text
    assert "bound" not in text


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("sla", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("interval", [0.3, 1.0, 100.0])
def test_text_fits_the_width_and_loses_no_name(width, sla, interval):
    long = "a-function-with-a-name-of-some-eighty-characters-which-no-column-of-a-table-could-hold"
    problem = renamed({"left": long, "right": "the right one"})
    text = solution_text(solve(problem, Arrivals.every(interval), sla=sla), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert text.isascii()
    for name in ("detect", "right", "join"):
        assert name in text
    (header,) = [line for line in text.splitlines() if line.startswith("function")]
    first_column = [line[: header.index("runs on")].strip() for line in text.splitlines()]
    assert long in "".join(first_column)


def test_names_are_not_markup():
    names = {"left": "[bold]left[/bold]", "right": "[/]", "join": ":smile: [link=x]"}
    text = solution_text(solve(renamed(names), EVERY_10), width=120)
    for name in names.values():
        assert sum(name in line for line in text.splitlines()) >= 1
        assert any(line.startswith(name) for line in text.splitlines())


def test_wide_names_keep_the_columns_aligned():
    text = solution_text(solve(renamed({"left": "音声認識"}), EVERY_10), width=100)
    (row,) = [line for line in text.splitlines() if line.startswith("音声認識")]
    (rule,) = [line for line in text.splitlines() if set(line) == {"-"}]
    assert len(row) + 4 == len(rule)  # four characters of two cells


def test_every_readiness_has_its_words():
    compiled = CompiledProblem(chain(1.0, 2.0, limits=Limits(announces_arrivals=True)))
    found = compiled.search(EVERY_10, 10.0)
    words = []
    for mode in range(3):
        choice = found.choice.copy()
        choice[1] = mode
        search = Search(Status.FEASIBLE, choice, 9.0, 1.0, 0.8, 3.0, 3.0, Work())
        text = solution_text(Solution(compiled, EVERY_10, search, 10.0, "exact"), width=100)
        (row,) = [line for line in text.splitlines() if line.startswith("f1")]
        words.append(row.split("  ")[6].strip() or row)
    assert "starts 8.000 s, ready 11.000 s" in words[0]
    assert "on arrival, ready 3.000 s later" in words[1]
    assert "on request, ready 3.000 s later" in words[2]


def test_instances_that_stay_have_their_words():
    kept = str(solve(chain(1.0), Arrivals.every(2.0)))
    assert "kept warm" in kept
    assert "let go" not in kept
    stays = str(solve(chain(1.0, limits=Limits(min_keep_alive=2.0)), EVERY_10))
    assert "stays 2.000 s, starts 7.000 s, ready 10.000 s" in stays
    many = str(solve(chain(10.0, cold_start=100.0), Arrivals.every(3.0)))
    assert "4 x cpu 1 core" in many


def test_the_footer_says_what_more_sla_would_save():
    problem = diamond()
    solution = solve(problem, EVERY_10, sla=1.0)
    footer = " ".join(str(solution).split("\n\n")[-1].split())
    assert footer.startswith("10 ms more of SLA would save ")
    assert "The next cheaper plan needs an SLA of " in footer


def test_rich_is_loaded_by_those_who_print():
    code = (
        "import sys; from problems import diamond; from smiless_core.solver.solution import solve;"
        "from smiless_core.arrivals import Arrivals; s = solve(diamond(), Arrivals.every(10.0));"
        "s.plan; s.to_dict();"
        "heavy = {'rich', 'cvxpy', 'scipy'} & set(sys.modules); assert not heavy, heavy; str(s)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_repr_is_short():
    assert repr(solve(chain(1.0), EVERY_10)) == "<Solution of 'application': optimal, 4 $ per invocation>"
    assert repr(solve(chain(1.0), EVERY_10, sla=0.5)) == "<Solution of 'application': infeasible>"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 s"), (12.3456, "12.346 s"), (1234.5, "1,234.500 s"), (0.0123456, "12.3 ms"), (3e-9, "3 ns")],
)
def test_seconds(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2 s"), (0.1 + 0.2, "0.3 s"), (1.043548058, "1.043548058 s"), (1e-12, "1e-12 s")],
)
def test_exact_seconds(value, text):
    assert exact_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "$0"), (1234.567, "$1,234.57"), (0.00059896, "$0.0005990"), (1e-30, "$0.00000000000000000000")],
)
def test_dollars(value, text):
    assert dollars(value) == text


def test_aligned_numbers_share_their_decimals():
    assert aligned([456.8, 0.05]) == ["456.80", "0.05"]
    assert aligned([0.05, 0.0004]) == ["0.05000", "0.00040"]


def test_solve_takes_what_the_compiled_problem_takes():
    problem = diamond()
    direct = solve(problem, EVERY_10, method="exact", sla=1.5, budget=Work(nodes=10**9), time_limit=60.0)
    compiled = CompiledProblem(problem).solve(EVERY_10, sla=1.5)
    assert direct.to_dict() == compiled.to_dict()
    assert (direct.budget, direct.time_limit) == (Work(nodes=10**9), 60.0)
    with pytest.raises(InvalidInputError, match=r"^method: "):
        solve(problem, EVERY_10, method="guess")
