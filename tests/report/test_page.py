"""What is on the page, read without a browser."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("plotly", reason="reports need plotly")

import reported_runs
from reported_runs import RULES, Rule
from smiless_core import catalog
from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.model import Application, Problem
from smiless_core.report import report_page, write_report
from smiless_core.report.markup import embedded
from smiless_core.simulator.runs import Run
from smiless_core.solver.formatting import per_million, reached
from smiless_core.solver.pareto import frontier

HOSTILE = "</script><script>alert('&amp;')</script>%{x}<b>"


class Page(HTMLParser):
    """The parts of a page: headings, cells, embedded figures, and every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("meta", "link"):
            return
        self._open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            attributes, so_far = self.scripts[-1]
            self.scripts[-1] = (attributes, so_far + data)
            return
        self.text += data
        if any(tag in self._open for tag in ("h1", "h2", "h3")):
            self.headings[-1] += data
        if any(tag in self._open for tag in ("td", "th")):
            self.rows[-1][-1] += data

    @property
    def charts(self) -> dict[str, dict[str, Any]]:
        """Figures by the id of their element."""

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is no JSON")

        found = {
            attributes["data-plot"]: json.loads(text, parse_constant=refuse)
            for attributes, text in self.scripts
            if "data-plot" in attributes
        }
        return {str(name).removesuffix("-plot"): content for name, content in found.items()}

    def row(self, *cells: str) -> bool:
        """Whether some row holds these cells, one after the other."""
        return any(list(cells) == row[at : at + len(cells)] for row in self.rows for at in range(len(row)))


@pytest.fixture(scope="module")
def applications() -> list[Application]:
    return reported_runs.applications()


@pytest.fixture(scope="module")
def runs(applications: list[Application]) -> list[Run]:
    return [run for application in applications for run in reported_runs.runs(application, count=700)]


@pytest.fixture(scope="module")
def page(runs: list[Run]) -> Page:
    return Page(report_page(runs, command="smiless compare --seed 7"))


def of(runs: list[Run], application: Application) -> list[Run]:
    return [run for run in runs if run.application == application]


# -- figures --------------------


def test_every_run_has_its_row(page: Page, runs: list[Run]) -> None:
    for run in runs:
        verdict = "✓ met" if run.meets_target else "✗ missed"
        cost, ratio = per_million(run.cost), f"{run.cost_ratio:.2f}\N{MULTIPLICATION SIGN}"
        assert page.row(verdict, reached(run.attainment), cost, ratio)
        assert page.row(f"{run.cold_starts:,}", f"{run.instance_hours:,.2f}")
    assert sum(kind.get("class") == "missed" for tag, kind in page.elements if tag == "tr") == sum(
        not run.meets_target for run in runs
    )


def test_the_overview_has_all_policies_on_all_applications(page: Page, runs: list[Run]) -> None:
    for at, rule in enumerate(RULES):
        cells = next(row for row in page.rows if row[0].startswith(str(at + 1)) and len(row) == 7)
        assert rule.name in cells[0]
        for k, run in enumerate(run for run in runs if run.policy == rule.name):
            assert cells[1 + 2 * k] == f"{run.cost_ratio:.2f}\N{MULTIPLICATION SIGN}"
            missed = "" if run.meets_target else " target missed"
            assert cells[2 + 2 * k] == reached(run.attainment) + missed


def test_costs_and_attainments_are_marked_where_they_are(
    page: Page, runs: list[Run], applications: list[Application]
) -> None:
    for at, application in enumerate(applications, 1):
        chart = page.charts[f"application-{at}-attainment"]
        data, axis = chart["data"], chart["layout"]["yaxis"]
        mine = of(runs, application)
        assert [trace["x"] for trace in data] == [[pytest.approx(1e6 * run.cost)] for run in mine]
        heights = [trace["y"][0] for trace in data]
        order = np.argsort([run.attainment for run in mine], kind="stable")
        assert np.all(np.diff(np.array(heights)[order]) >= 0.0)
        low, high = axis["range"]
        assert all(low < height < high for height in heights)
        # The line of the target parts those that meet it from those that do not.
        line = next(shape["y0"] for shape in chart["layout"]["shapes"] if "target" in shape["label"]["text"])
        assert [height >= line for height in heights] == [run.meets_target for run in mine]


def test_curves_are_exact_at_quantiles_and_short(page: Page, runs: list[Run], applications: list[Application]) -> None:
    for at, application in enumerate(applications, 1):
        data = page.charts[f"application-{at}-responses"]["data"]
        for run, trace in zip(of(runs, application), data, strict=True):
            assert 300 < len(trace["x"]) <= 502
            assert trace["x"][-1] == run.responses.max()
            assert trace["y"][-1] == 100.0
            assert (trace["x"][0], trace["y"][0]) == (run.responses.min(), 0.0)
            within = (run.responses[:, None] <= np.array(trace["x"][1:])).mean(axis=0)
            np.testing.assert_allclose(trace["y"][1:], 100.0 * within, rtol=1e-12)


def test_bars_add_up_to_the_cost(page: Page, runs: list[Run], applications: list[Application]) -> None:
    for at, application in enumerate(applications, 1):
        chart = page.charts[f"application-{at}-split"]
        notes = [note["text"] for note in chart["layout"]["annotations"]]
        lengths = np.array([trace["x"] for trace in chart["data"]])
        np.testing.assert_allclose(lengths.sum(axis=0), 100.0)  # far apart: parts of each
        for run in of(runs, application):
            place = next(k for k, note in enumerate(notes) if run.policy in note)
            assert notes[place].endswith(per_million(run.cost))
            parts = [100 * run.cost_split[trace["name"]] / run.total_cost for trace in chart["data"]]
            np.testing.assert_allclose(lengths[:, place], parts)
        functions = page.charts[f"application-{at}-functions"]["data"]
        for run, trace in zip(of(runs, application), functions, strict=True):
            assert math.fsum(trace["x"]) == pytest.approx(1e6 * run.cost)


def test_bars_are_dollars_where_costs_are_near_each_other(applications: list[Application]) -> None:
    near = reported_runs.runs(applications[2], rules=RULES[1:3])
    chart = Page(report_page(near)).charts["application-1-split"]
    lengths = np.array([trace["x"] for trace in chart["data"]])
    costs = sorted(1e6 * run.cost for run in near)
    np.testing.assert_allclose(sorted(lengths.sum(axis=0)), costs)
    assert chart["layout"]["xaxis"]["tickprefix"] == "$"


def test_each_chart_speaks_for_itself(page: Page) -> None:
    figures = [kind["id"] for tag, kind in page.elements if tag == "figure"]
    drawn = [kind for tag, kind in page.elements if tag == "div" and kind.get("class") == "plot"]
    # Per application: four charts, a graph for each of six policies, and two moments of three policies.
    assert len(figures) == len(set(figures)) >= 3 * (4 + 6 + 4)
    for tag in ("figcaption", "details", "summary"):
        assert sum(other == tag for other, _ in page.elements) == len(figures)
    assert all(len(str(kind["aria-label"])) > 20 for kind in drawn)
    for name, content in page.charts.items():
        axes = content["layout"]["xaxis"], content["layout"]["yaxis"]
        assert axes[0]["title"]["text"], name
        assert axes[1]["title"]["text"] or not axes[1]["showticklabels"], name


def test_how_to_get_it_again(page: Page, runs: list[Run]) -> None:
    assert "smiless compare --seed 7" in page.text
    assert page.row("voice-assistant", "timers and chance", "700", "7")
    assert page.row("numpy", np.__version__)
    assert "<pre>" not in report_page(runs[:1])  # no command was given


# -- headlines --------------------


def test_headlines_follow_from_the_data(applications: list[Application]) -> None:
    runs = reported_runs.runs(applications[2])
    meeting = sorted(
        (run for run in runs if run.meets_target and "simplified" not in run.fidelity), key=lambda r: r.cost
    )
    best, second = meeting[0], meeting[1]
    headline = next(h for h in Page(report_page(runs)).headings if h.startswith("Cost against"))
    assert f"{best.policy} is the cheapest" in headline
    assert f"{second.policy}, the next, costs {second.cost / best.cost:.1f} times as much" in headline
    dear = [run if run is not best else _dearer(run, 100.0) for run in runs]
    headline = next(h for h in Page(report_page(dear)).headings if h.startswith("Cost against"))
    assert f"{second.policy} is the cheapest" in headline


def _dearer(run: Run, times: float) -> Run:
    functions = tuple(
        function._replace(usage=tuple(use._replace(price=times * use.price) for use in function.usage))
        for function in run.functions
    )
    return run.replace(functions=functions)


def test_no_headline_names_a_simplified_policy(page: Page, applications: list[Application]) -> None:
    assert "hybrid histogram †" in page.text
    assert not [heading for heading in page.headings if "hybrid histogram" in heading]
    lead = page.text.split("The policies")[0].split("†")[0]
    assert "hybrid histogram" not in lead.split("Policy")[0]
    only = Page(report_page(reported_runs.runs(applications[0], rules=RULES[3:4])))
    assert any("none is singled out" in heading for heading in only.headings)


def test_who_meets_no_target_is_said_to_come_closest(applications: list[Application]) -> None:
    runs = reported_runs.runs(applications[2], rules=(RULES[1], RULES[4], RULES[5]))
    headline = next(h for h in Page(report_page(runs)).headings if h.startswith("Cost against"))
    assert "No policy meets the target of 99" in headline
    assert "fixed keep-alive comes closest" in headline


# -- whoever is compared --------------------


def test_runs_without_invocations(applications: list[Application]) -> None:
    runs = reported_runs.runs(applications[0], count=0, rules=RULES[:2])
    read = Page(report_page(runs))
    assert "There were no invocations." in read.text
    assert "nan" not in read.text
    assert "timeline" not in "".join(read.charts)


def test_one_invocation_and_one_policy(applications: list[Application]) -> None:
    read = Page(report_page(reported_runs.runs(applications[1], count=1, rules=RULES[:1])))
    assert sum("timeline" in name for name in read.charts) == 1


def test_without_a_timeline_there_is_none(applications: list[Application]) -> None:
    times = reported_runs.arrivals(50, seed=1)
    run = reported_runs.served(RULES[0], applications[0], times, timeline=False)
    assert not [name for name in Page(report_page([run])).charts if "timeline" in name]


def test_twenty_policies_look_different(applications: list[Application]) -> None:
    rules = tuple(Rule(f"keep {k}", 10.0 * k, reported_runs.CPU) for k in range(1, 21))
    chart = Page(report_page(reported_runs.runs(applications[2], count=60, rules=rules))).charts
    marks = {(t["marker"]["color"], t["marker"]["symbol"]) for t in chart["application-1-attainment"]["data"]}
    lines = {(t["line"]["color"], t["line"]["dash"]) for t in chart["application-1-responses"]["data"]}
    assert len(marks) == len(lines) == 20


def test_a_policy_looks_the_same_everywhere(page: Page) -> None:
    looks: dict[str, set[str]] = {}
    for name, content in page.charts.items():
        if name.endswith(("attainment", "functions", "responses")):
            for trace in content["data"]:
                looks.setdefault(trace["name"], set()).add(trace.get("marker", trace.get("line"))["color"])
    assert len(looks) == len(RULES)
    assert all(len(colors) == 1 for colors in looks.values())


def test_policies_of_one_name_are_told_apart(applications: list[Application]) -> None:
    rules = (RULES[0], RULES[0]._replace(settings="other"), RULES[1], RULES[1])
    read = Page(report_page(reported_runs.runs(applications[2], count=40, rules=rules)))
    names = [trace["name"] for trace in read.charts["application-1-attainment"]["data"]]
    assert names == [
        "Smiless (predictor mixed, target 0.99)",
        "Smiless (other)",
        "fixed keep-alive (600 s) #1",
        "fixed keep-alive (600 s) #2",
    ]


def test_an_application_under_two_slas_has_two_sections(applications: list[Application]) -> None:
    runs = reported_runs.runs(applications[2], count=40, rules=RULES[:2])
    runs += reported_runs.runs(applications[2].replace(sla=2.0), count=40, rules=RULES[:2])
    headings = Page(report_page(runs)).headings
    assert [h for h in headings if h.startswith("image-query")] == [
        "image-query, 4 s, timers and chance, seed 7",
        "image-query, 2 s, timers and chance, seed 7",
    ]


@pytest.mark.parametrize("over", ["sla", "attainment"])
def test_the_frontier(applications: list[Application], over: Any) -> None:
    application = applications[2]
    problem = Problem(application, catalog.profiles(), catalog.prices())
    found = frontier(problem, Arrivals.exponential(30.0), over=over, max_points=6)
    runs = reported_runs.runs(application, count=40, rules=RULES[:2])
    read = Page(report_page(runs, frontiers={application.name: found}))
    plans, *policies = read.charts["application-1-frontier"]["data"]
    assert plans["y"] == [pytest.approx(1e6 * point.cost) for point in found]
    if over == "sla":
        assert plans["x"] == [point.sla for point in found]
        assert [trace["x"] for trace in policies] == [[4.0], [4.0]]
    assert [trace["y"] for trace in policies] == [[pytest.approx(1e6 * run.cost)] for run in runs]
    assert all(page_row in [row[1] for row in read.rows if len(row) > 1] for page_row in map(_cost, found))


def _cost(point: Any) -> str:
    return per_million(point.cost)


# -- harmless, complete and the same again --------------------


def test_names_are_harmless(applications: list[Application]) -> None:
    def report(name: str) -> Page:
        rules = tuple(Rule(f"{name}{k}", 9.0 + k, reported_runs.CPU, settings=name) for k in range(3))
        runs = reported_runs.runs(applications[2].replace(name=name), count=30, rules=rules)
        return Page(report_page([run.replace(trace=name) for run in runs], command=name))

    read, plain = report(HOSTILE), report("plain")
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in plain.elements]
    executed = [text for attributes, text in read.scripts if attributes.get("type") != "application/json"]
    assert len(executed) == 2
    assert HOSTILE not in "".join(executed)
    assert read.text.count(f"{HOSTILE}0") >= 3
    # In charts, text is escaped once more, since plotly.js takes tags in it for markup.
    trace = read.charts["application-1-attainment"]["data"][0]
    assert "<" not in trace["name"]


def test_nothing_in_json_ends_its_script() -> None:
    text = embedded({HOSTILE: [HOSTILE, "<!--"]})
    assert not set(text) & set("<>&")
    assert json.loads(text) == {HOSTILE: [HOSTILE, "<!--"]}


def test_the_page_fetches_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
        assert not [name for name in attributes if name.startswith("on")], tag
    policy = next(str(a["content"]) for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("script-src")[1]
    anchors = {attributes["id"] for _, attributes in page.elements if attributes.get("id")}
    links = {str(attributes["href"])[1:] for tag, attributes in page.elements if tag == "a"}
    assert links <= anchors


def test_the_same_runs_give_the_same_bytes(runs: list[Run], tmp_path: Path) -> None:
    again = [run.replace(decision_time=run.decision_time + 1.0) for run in runs]
    write_report(tmp_path / "a.html", runs)
    write_report(tmp_path / "b.html", again)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.html", "b.html"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failure_leaves_the_old_file(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise failure

    monkeypatch.setattr(os, step, fail)
    with pytest.raises((InvalidInputError, KeyboardInterrupt)) as caught:
        write_report(path, runs[:1])
    if isinstance(failure, OSError):
        assert str(caught.value) == f"{path}: cannot be written: no space left on device"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["report.html"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", **options: Any) -> Any:
        return opened(Path("/dev/full"), "wb") if "x" in mode else opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(InvalidInputError, match=r"report\.html: cannot be written: no space left on device"):
        write_report(tmp_path / "report.html", runs[:1])
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there(runs: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "no" / "report.html"
    with pytest.raises(InvalidInputError) as caught:
        write_report(path, runs[:1])
    assert str(caught.value) == f"{path}: cannot be written: no such file or directory"


def test_without_plotly(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"writing a report needs .*smiless-core\[report\]"):
        write_report(tmp_path / "report.html", runs[:1])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda runs: {"runs": []}, "runs: expected at least one run, got none"),
        (lambda runs: {"runs": [runs[0], 3]}, "runs[1]: expected a Run, got 3"),
        (lambda runs: {"runs": runs[0]}, "runs: expected a list, got <Run of 'Smiless'"),
        (
            lambda runs: {"runs": [runs[0], runs[1].replace(arrivals_ns=runs[1].arrivals_ns + 1)]},
            "runs[1].arrivals: other arrivals than those of runs[0]",
        ),
        (lambda runs: {"runs": runs, "command": "a\nb"}, "command: expected printable text"),
        (lambda runs: {"runs": runs, "frontiers": {"image-quary": 1}}, "frontiers: no application named 'image-quary'"),
        (lambda runs: {"runs": runs, "frontiers": {"image-query": 1}}, "frontiers['image-query']: expected a Frontier"),
    ],
)
def test_bad_arguments(runs: list[Run], change: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        report_page(**change(runs))
