"""Solutions as text: plain, within its width, and worth reading."""

import subprocess
import sys

import pytest

from problems import chain, diamond
from smiless_core.arrivals import Arrivals
from smiless_core.model import Function, Limits, Problem
from smiless_core.solver.formatting import aligned, dollars, exact_seconds, seconds
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.rendering import solution_text
from smiless_core.solver.solution import Solution, solve
from smiless_core.solver.tables import Search, Status, Work

EVERY_10 = Arrivals.every(10.0)


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


def test_an_infeasible_solution_shows_the_fastest_plan():
    hopeless = solve(diamond(), EVERY_10, sla=0.1)
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
