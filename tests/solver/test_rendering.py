"""Solutions as text: plain, within its width, and worth reading."""

import math
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from problems import chain, diamond
from smiless_core.arrivals import Arrivals
from smiless_core.model import Function, Limits, Problem
from smiless_core.solver.attainment import Attainment
from smiless_core.solver.drawing import _Bar, _drawn
from smiless_core.solver.formatting import (
    aligned,
    arrivals_in_words,
    brief_seconds,
    dollars,
    exact_seconds,
    seconds,
    share,
    time_spans,
)
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.rendering import _misses, solution_text
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
        text = solution_text(Solution(compiled, EVERY_10, search, 10.0, 0.99, "exact"), width=100)
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


# -- Arrivals that are a distribution ------------------------------------------------------------------------

TWO_HUMPS = Arrivals.empirical([10.0, 100.0] * 8)
RARELY_SCATTERED = Arrivals.mixture(
    weights=[0.9, 0.1],
    components=[Arrivals.every(2.0), Arrivals.from_survival(times=[1000.0, 10000.0], survival=[1.0, 0.0])],
)


def bars_of(text: str) -> dict[str, str]:
    """Return what is between the bars of each row of the timeline."""
    rows = [line for line in text.splitlines() if line.count("|") == 2 and line.endswith("|")]
    return {line.partition("|")[0].strip(): line.split("|")[1] for line in rows}


def test_a_distribution_worth_reading():
    solution = solve(chain(1.0, 2.0, sla=3.0), TWO_HUMPS, target=1.0)
    lines = solution_text(solution, width=80).splitlines()
    assert lines[0].startswith("application: ")
    assert " for an SLA of 3 s, a target of 100 % and arrivals" in " ".join(lines[:2])
    page = " ".join(" ".join(lines).split())
    assert "100 % of invocations meet the SLA; the target is 100 %" in page
    assert "misses" not in page
    assert "ready set 10.00 s, 100.0 s after the invocation before" in page
    assert "replayed" not in page, "17 arrivals say nothing that the plan does not say exactly"
    assert "ready 10.00 s, 100.0 s" in page, "f0"
    assert "ready 11.00 s, 101.0 s" in page, "f1, whose work comes a second later"
    assert "would save" not in page


def test_the_timeline_shows_what_an_invocation_finds():
    text = solution_text(solve(chain(1.0, 2.0, cold_start=6.0, sla=3.0), TWO_HUMPS, target=1.0), width=120)
    bars = bars_of(text)
    assert list(bars) == ["invocations", "ready set", "f0", "f1"]
    assert len({len(cells) for cells in bars.values()}) == 1
    met = [at for at, cells in enumerate(bars["invocations"]) if cells != " "]
    assert len(met) == 2, "two atoms"
    for name in ("ready set", "f0", "f1"):
        assert [at for at, cells in enumerate(bars[name]) if cells == "="] == met
    # Six seconds of initialization before each.
    assert bars["f0"][met[0] - 1] == ">"
    assert bars["f0"][met[1] - 1] == ">"
    assert bars["f0"][met[1] - len(bars["f0"]) // 10] == " "


def test_bars_agree_with_a_count_of_moments():
    """Against a look at many moments of every column."""
    generator = np.random.default_rng(3)
    for _ in range(200):
        times = np.sort(generator.uniform(1.0, 100.0, 6)).reshape(2, 3)
        if generator.random() < 0.3:
            times[0, 1] = times[0, 0]
        if generator.random() < 0.3:
            times[1, 2] = math.inf
        edges = np.geomspace(0.5, 120.0, 60) if generator.random() < 0.5 else np.linspace(0.0, 120.0, 60)
        serving = float(generator.uniform(0.0, times[0, 0]))
        drawn = _drawn(_Bar("f", 1, times, serving), edges)
        for at, (low, high) in enumerate(pairwise(edges)):
            moments = np.linspace(low, high, 4000, endpoint=False)[:, None]
            ready = ((times[:, 1] <= moments) & (moments <= times[:, 2])).any()
            starting = ((times[:, 0] <= moments) & (moments < times[:, 1])).any()
            expected = "=" if ready else ">" if starting else "#" if high <= serving else " "
            narrow = np.abs(times - np.array([[low], [high]])[:, None]).min() < 2 * (high - low) / 4000
            assert drawn[at] == expected or narrow


def test_the_likely_is_marked_stronger():
    arrivals = Arrivals.mixture(
        weights=[0.8, 0.2], components=[Arrivals.gamma(mean=10.0, shape=30.0), Arrivals.gamma(mean=200.0, shape=30.0)]
    )
    text = solution_text(solve(chain(1.0, sla=1.0), arrivals, target=0.9), width=120)
    cells = bars_of(text)["invocations"]
    ranks = [" .:-+*%@".index(mark) for mark in cells]
    first, second = max(ranks[: len(ranks) // 2]), max(ranks[len(ranks) // 2 :])
    assert first == 7
    assert 0 < second < first
    assert "time since the one before, logarithmic" in text
    narrow = solution_text(solve(chain(1.0, sla=1.0), Arrivals.gamma(mean=10.0, shape=30.0), target=0.9), width=120)
    assert "logarithmic" not in narrow


def test_further_instances_have_rows_of_their_own():
    solution = solve(chain(2.0, sla=2.0), Arrivals.exponential(2.0), target=0.99)
    text = solution_text(solution, width=100)
    bars = bars_of(text)
    assert list(bars)[:3] == ["invocations", "f0", "2nd"]
    assert len(bars) <= 4, "no more than three"
    with_schedule = sum(bool(stays) for stays in solution.plan["f0"].further)
    assert with_schedule > 2
    assert f"Further instances ({with_schedule + 2 - len(bars)} are not drawn)" in " ".join(text.split())
    assert f"up to {solution.plan['f0'].replicas} x cpu 1 core" in text
    assert "first instance" in text
    assert "Further instances serve when those before them are busy, and follow schedules" in " ".join(text.split())
    alone = solution_text(solve(chain(1.0, sla=1.0), TWO_HUMPS, target=0.9), width=100)
    assert "up to 1 x" not in alone
    assert "first instance" not in alone
    assert "urther instances" not in alone


@pytest.mark.parametrize(
    ("arrivals", "words"),
    [
        (Arrivals.every(10.0), "every 10 s"),
        (Arrivals.exponential(20.0), "at random, 20 s apart on average"),
        (Arrivals.empirical([4.0, 6.0]), "just as in 3 recorded ones, 5 s apart on average"),
        (Arrivals.smoothed([4.0, 6.0] * 999), "much as in 1,999 recorded ones, 5 s apart on average"),
        (Arrivals.empirical([5.0, 5.0]), "empirical, 2 gaps, mean 5 s"),
        (Arrivals.exponential(2).after(5.0), "exponential, mean 2 s; 5 s have passed"),
    ],
)
def test_arrivals_in_words(arrivals, words):
    assert arrivals_in_words(arrivals) == words


@pytest.mark.parametrize(
    ("gaps", "target", "left"),
    [(16, 1.0, "none"), (120, 0.99, "1"), (99, 0.99, "none"), (40, 0.9, "4"), (50, 0.9, None), (16, 0.5, None)],
)
def test_a_target_that_rests_on_a_handful_of_gaps_is_noted(gaps, target, left):
    arrivals = Arrivals.empirical(([10.0, 100.0] * gaps)[:gaps])
    text = " ".join(str(solve(chain(1.0, sla=1.0), arrivals, target=target)).split())
    noted = re.findall(r"note (.*?) of (\d+) gaps leaves (\w+) to miss: the recorded arrivals say little", text)
    assert noted == ([] if left is None else [(share(target), str(gaps), left)])
    assert "note " not in str(solve(chain(1.0, sla=1.0), Arrivals.exponential(100.0), target=0.9999))


def test_what_hardly_any_arrival_meets_does_not_stretch_the_page():
    usual = Arrivals.gamma(mean=60.0, shape=20.0)
    rarely = Arrivals.mixture(weights=[1 - 5e-7, 5e-7], components=[usual, Arrivals.every(259_200.0)])
    solution = solve(chain(1.0, 1.0, sla=2.0), rarely)
    assert solution.to_dict()["ready_set"][-1] == [259_200.0, 259_200.0], "JSON holds all"
    text = solution_text(solution, width=100)
    flat = " ".join(text.split())
    assert re.search(r"ready set \d+-\d+ s and later, up to 259,000 s after the invocation before", flat)
    assert "Stays go on beyond the axis, up to 259,000 s, where hardly any invocation comes." in flat
    assert text.count("and later, up to 259,000 s") >= 2, "in the table, too"
    assert "logarithmic" not in flat
    bars = bars_of(text)
    assert bars["invocations"].count(" ") < 0.3 * len(bars["invocations"])


def test_the_axis_begins_where_arrivals_do():
    arrivals = Arrivals.smoothed([8.0] * 30 + [12.0] * 31 + [259_000.0])
    bars = bars_of(solution_text(solve(chain(1.0, sla=1.0), arrivals, target=0.9), width=100))
    assert "@" in bars["invocations"][:3], "not long before"
    assert "=" in bars["f0"][:10]


@pytest.mark.parametrize("smooth", [False, True])
def test_a_replay_of_the_end_of_a_record_says_so(smooth):
    gaps = np.tile([9.0, 11.0], 16_400)
    arrivals = Arrivals.smoothed(gaps) if smooth else Arrivals.empirical(gaps)
    text = " ".join(str(solve(chain(1.0, sla=1.0), arrivals, target=0.9)).split())
    which = "32,769 drawn arrivals, as the last ones recorded" if smooth else "the last 32,769 recorded arrivals"
    assert f"per invocation over {which}" in text
    fewer = Arrivals.smoothed(gaps[:1000]) if smooth else Arrivals.empirical(gaps[:1000])
    assert not re.search(r"the last (ones|\d)", str(solve(chain(1.0, sla=1.0), fewer, target=0.9)))


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize(
    ("arrivals", "settings"),
    [
        (Arrivals.exponential(20.0), {}),
        (Arrivals.exponential(0.3), {"sla": 1.0}),
        (Arrivals.exponential(20.0), {"limits": Limits(announces_arrivals=True), "target": 0.9}),
        (Arrivals.exponential(2.0), {"limits": Limits(max_replicas=1)}),
        (TWO_HUMPS, {"sla": 1.0}),
        (TWO_HUMPS, {"sla": 0.1}),
        (Arrivals.smoothed([60.0, 61.0, 59.0, 60.0, 300.0]), {"sla": 30.0}),
    ],
)
def test_a_distribution_fits_the_width_and_loses_no_name(width, arrivals, settings):
    long = "a-function-with-a-name-of-some-eighty-characters-which-no-column-of-a-table-could-hold"
    asked = {name: value for name, value in settings.items() if name != "limits"}
    limits = {name: value for name, value in settings.items() if name == "limits"}
    solution = solve(renamed({"left": long, "right": "[/] the right one"}, **limits), arrivals, **asked)
    text = solution_text(solution, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert text.isascii()
    bars = bars_of(text)
    assert bool(bars) == (solution.aimed is not None)
    assert len({len(cells) for cells in bars.values()}) <= 1
    for name in ("detect", "right", "join"):
        assert name in text
    headers = [line for line in text.splitlines() if line.startswith("function")]
    first_column = [line[: headers[0].index("runs on")].strip() for line in text.splitlines()]
    assert long in "".join(first_column)


def test_misses_are_told_in_words_and_add_up():
    solution = solve(chain(1.0, 2.0, sla=3.0), Arrivals.exponential(40.0), target=0.8)
    flat = " ".join(str(solution).split())
    (told,) = re.findall(r"misses (.*?) ready set", flat)
    fractions = [float(part) for part in re.findall(r"([\d.e-]+) %", told)]
    assert fractions == sorted(fractions, reverse=True)
    assert sum(fractions) == pytest.approx(100 * (1 - solution.attainment.fraction), rel=0.02)
    assert "overlap (while the instances that are there still serve others)" in told
    early = solve(chain(1.0, sla=1.0), Arrivals.empirical([5.0] * 1 + [50.0] * 9), target=0.85)
    assert "10 % come too early (before the next instance is ready)" in " ".join(str(early).split())
    every = _misses(Attainment(0.9, too_early=0.01, too_late=0.03, overlap=0.02, cold_tail=0.04))
    assert [part.split(" (")[0] for part in every.split("; ")] == [
        "4 % come in the cold tail",
        "3 % come too late",
        "2 % overlap",
        "1 % come too early",
    ]


def test_what_a_replay_costs_is_explained_where_it_differs():
    overlapping = " ".join(str(solve(chain(2.0, sla=2.0), Arrivals.exponential(2.0))).split())
    assert re.search(r"replayed \$[\d.,]+ per invocation over [\d,]+ drawn arrivals", overlapping)
    apart = solve(chain(1.0, sla=1.0), Arrivals.empirical([9.0, 11.0] * 50), target=1.0)
    assert apart.replay_cost == pytest.approx(apart.cost, rel=0.05)
    differs = abs(apart.replay_cost / apart.cost - 1) >= 5e-4
    assert (re.search(r"recorded arrivals, .* %", " ".join(str(apart).split())) is not None) == differs


def test_what_stays_has_its_words():
    kept = str(solve(chain(1.0, sla=1.0), Arrivals.empirical([2.0, 4.0, 6.0]), target=1.0))
    assert re.search(r"kept 5\.?0* s", kept)
    cold = str(solve(chain(1.0, cold_start=3.0, sla=4.0), Arrivals.exponential(1000.0)))
    assert "on request, ready 3.000 s later" in cold
    assert "none needed: cold starts fit into the SLA" in cold
    tolerant = str(solve(chain(1.0, cold_start=3.0, sla=9.0), RARELY_SCATTERED))
    assert "on request; kept 1 s" in tolerant


def test_a_target_out_of_reach_shows_what_comes_closest():
    solution = solve(chain(1.0, sla=2.0, limits=Limits(max_replicas=1)), Arrivals.exponential(2.0))
    text = " ".join(str(solution).split())
    assert text.startswith("application: infeasible for an SLA of 2 s, a target of 99 % and arrivals at random,")
    assert "The highest attainment found with max_replicas = 1 is" in text
    assert "limited by f0. This is that plan:" in text
    assert "bound" not in text
    assert "replayed" not in text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.99, "99 %"),
        (0.9953, "99.53 %"),
        (0.99995, "99.995 %"),
        (0.9, "90 %"),
        (0.333333, "33 %"),
        (1 - 1e-12, "100 %"),
    ],
)
def test_share(fraction, text):
    assert share(fraction) == text


@pytest.mark.parametrize(
    ("spans", "text"),
    [
        ([(0.0, math.inf)], "always"),
        ([(0.0, 74.005)], "up to 74 s"),
        ([(8.12, 12.04), (95.0, 101.3)], "8.1-12.0 s, 95.0-101.3 s"),
        ([(10.0, 10.0)], "10.00 s"),
        ([(5.25, math.inf)], "from 5.2 s on"),
        (
            [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0)],
            "1.0-2.0 s, 3.0-4.0 s, 5.0-6.0 s, 2 more, up to 10 s",
        ),
        (
            [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, math.inf)],
            "1.0-2.0 s, 3.0-4.0 s, 5.0-6.0 s, 1 more, from 7 s on the last",
        ),
        ([(0.0, 0.0)], "up to 0 s"),
        ([(1000.0, 2500.0)], "1,000-2,500 s"),
        ([(0.0021, 0.0034)], "0.0021-0.0034 s"),
    ],
)
def test_time_spans(spans, text):
    assert time_spans(spans) == text
    assert time_spans(spans, usual=1e4) == text


@pytest.mark.parametrize(
    ("spans", "text"),
    [
        ([(1.0, 2.0), (5.0, 259_200.0)], "1.0-2.0 s, 5.0-10.0 s and later, up to 259,000 s"),
        ([(1.0, 2.0), (5000.0, 6000.0), (7000.0, 259_200.0)], "1.0-2.0 s and later, up to 259,000 s"),
        ([(1.0, 2.0), (5000.0, math.inf)], "1.0-2.0 s and later"),
        ([(0.0, 30.0)], "up to 30 s"),
        ([(0.0, 41.0)], "up to 10 s and later, up to 41 s"),
        ([(5.0, math.inf)], "from 5.0 s on"),
        ([(5000.0, 6000.0)], "5,000-6,000 s"),
    ],
)
def test_time_spans_far_beyond_the_usual(spans, text):
    assert time_spans(spans, usual=10.0) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 s"), (74.005, "74 s"), (1234.0, "1,230 s"), (0.05, "50 ms"), (0.000176, "0.176 ms"), (3e-9, "3 ns")],
)
def test_brief_seconds(value, text):
    assert brief_seconds(value) == text


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
