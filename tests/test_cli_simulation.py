"""`smiless simulate`, `smiless compare` and `smiless report`: what they answer, and how they end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from commandline import COMMAND, Outcome, assert_refused, environment, smiless, smiless_process, write_inputs
from smiless_core import baselines, catalog, compare, read_runs, read_trace, simulate, write_report
from smiless_core.cli import run
from smiless_core.cli.policies import choose, known_policies
from smiless_core.model import Problem, Trace
from smiless_core.model.files import read_application, read_profile_file

STREET = ("app.yaml", "--profiles", "profiles.yaml", "--trace", "arrivals.csv")
UNCACHED = {"PYTHONDONTWRITEBYTECODE": "1"}  # Python would leave a cache of what it loads beside it
TWO = ("--policy", "orion", "--policy", "fixed-keep-alive:seconds=5")

POLICIES = '''\
"""Policies of one's own: good, bad and broken."""

import math
import os
import time
from pathlib import Path

import smiless_core as sc
from beside import KEPT


class Mine:
    name = "mine"
    fidelity = "paper rule"

    def __repr__(self):
        return "Mine()"

    def start(self, problem, *, now, seed):
        print("a line of its own")
        chosen = sc.cheapest_configurations(problem)
        directives = {name: self.directive(each) for name, each in chosen.items()}
        return lambda observation: sc.Decision(self.named(directives))

    def directive(self, configuration):
        return sc.Directive.keep_alive(configuration, KEPT)

    def named(self, directives):
        return directives


class NotANumber(Mine):
    def directive(self, configuration):
        return sc.Directive.keep_alive(configuration, math.nan)


class Negative(Mine):
    def directive(self, configuration):
        return sc.Directive(configuration=configuration, min_replicas=-1)


class Stranger(Mine):
    def named(self, directives):
        return {**directives, "detekt": directives["detect"]}


class Failing(Mine):
    def directive(self, configuration):
        return 1 / 0


class Slow(Mine):
    def start(self, problem, *, now, seed):
        Path(f"started-{os.getpid()}").touch()
        time.sleep(60)


class Unsent(Mine):
    def __init__(self):
        self.rule = lambda: None


class Unready:
    name = "unready"
    fidelity = "paper rule"


def make():
    return Mine()


def fail():
    raise KeyError("nothing")


instance = Mine()
'''


def _line_of(text: str) -> int:
    return POLICIES.partition(text)[0].count("\n") + 1


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path)
    (tmp_path / "policy.py").write_text(POLICIES)
    (tmp_path / "beside.py").write_text("KEPT = 30.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Trace:
    """Make the built-in trace a short one."""
    trace = Trace.from_seconds([0.0, 4.5, 10.0, 16.0, 20.0], name="built-in")
    monkeypatch.setattr("smiless_core.traces.azure_like", lambda *, seed: trace)
    return trace


def street() -> Problem:
    profiles, prices = read_profile_file("profiles.yaml")
    assert prices is not None
    return Problem(read_application("app.yaml"), profiles, prices)


def answer(*arguments: object, code: int = 0) -> str:
    outcome = smiless(*arguments)
    assert (outcome.code, outcome.err) == (code, "")
    return outcome.out


def answer_json(*arguments: object, code: int = 0) -> dict:
    return json.loads(answer(*arguments, "--json", code=code))


# -- Help ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["simulate", "compare", "report"])
def test_help_fits_a_terminal(command: str) -> None:
    page = answer(command, "--help")
    assert page.startswith(f"Usage: smiless {command} ")
    assert page.isascii()
    assert max(map(len, page.splitlines())) <= 80
    assert "..." not in answer().partition("Commands:")[2], "a first sentence is too long for the list of commands"


@pytest.mark.usefixtures("short")
def test_every_example_of_the_help_works() -> None:
    for command in ("simulate", "compare", "report"):  # in this order: the last reads what the second writes
        examples = re.findall(r"^ +(smiless .*)$", answer(command, "--help").partition("For example:")[2], re.M)
        assert examples
        for example in examples:
            outcome = smiless(*example.split()[1:])
            assert outcome.code in ((0, 1) if command == "simulate" else (0,)), outcome
            assert set(outcome.err.split("\n")) <= {"a line of its own", ""}
    assert Path("report.html").exists()


# -- Comparing -----------------------------------------------------------------------------------------------


def test_a_comparison_is_that_of_the_library() -> None:
    found = answer_json("compare", *STREET, *TWO, "--seed", "3")
    expected = compare(
        street(), read_trace("arrivals.csv"), [baselines.Orion(), baselines.FixedKeepAlive(seconds=5.0)], seed=3
    )
    assert found == json.loads(json.dumps(expected.to_dict()))
    assert [run["policy"] for run in found["runs"]] == ["Orion", "keep-alive 5 s"]
    assert {run["seed"] for run in found["runs"]} == {3}
    assert found != answer_json("compare", *STREET, *TWO, "--seed", "4")
    assert not Path("smiless-report.html").exists()


def test_a_comparison_for_people_ends_with_its_report(here: Path) -> None:
    page = answer("compare", *STREET, *TWO)
    assert page.endswith("\n\nReport: smiless-report.html\n")
    assert "Orion" in page
    assert "keep-alive 5 s" in page
    report = Path("smiless-report.html").read_text()
    words = "smiless compare app.yaml --trace arrivals.csv --profiles profiles.yaml " + " ".join(TWO)
    assert f"<code>{words}</code>" in report
    assert str(here) not in report
    assert "keep-alive 5 s" in report


def test_outputs_can_be_chosen() -> None:
    page = answer("compare", *STREET, *TWO, "--runs", "runs.json", "-o", "here.html")
    assert page.endswith("\n\nRuns: runs.json\nReport: here.html\n")
    assert "Report" not in answer("compare", *STREET, *TWO, "--no-report")
    assert answer_json("compare", *STREET, *TWO, "-o", "there.html")["failed"] == {}
    assert Path("here.html").read_text() == Path("there.html").read_text()
    assert not Path("smiless-report.html").exists()


def test_the_sla_and_the_platform_can_be_chosen() -> None:
    usual, *others = (
        answer_json("compare", *STREET, "--policy", "orion", *options)["runs"][0]
        for options in ([], ["--sla", "9"], ["--target", "0.5"], ["--min-replicas", "2"], ["--announced"])
    )
    assert [others[0]["sla"], others[1]["attainment_target"]] == [9.0, 0.5]
    assert others[2]["cold_starts"] > usual["cold_starts"]
    assert len({json.dumps(each) for each in (usual, *others)}) == 5


def test_frontiers_are_left_out_where_they_cannot_be_had() -> None:
    def with_frontiers(*options: str) -> bool:
        answer("compare", *STREET, *TWO, *options, "-o", "report.html")
        return 'id="application-1-frontier"' in Path("report.html").read_text()

    found = [with_frontiers(), with_frontiers("--no-frontier")]
    Path("arrivals.csv").write_text("timestamp\n0\n")
    assert [*found, with_frontiers()] == [True, False, False]


def test_without_arguments_everything_is_compared(short: Trace) -> None:
    runs = answer_json("compare", "--workers", "1")["runs"]
    assert list(dict.fromkeys(run["application"] for run in runs)) == list(catalog.applications())
    assert {run["trace"] for run in runs} == {short.name}
    assert len(runs) == 3 * len(known_policies())
    assert len({(run["application"], run["settings"]) for run in runs}) == len(runs)


def test_the_built_in_trace_is_drawn_from_the_seed() -> None:
    counts = [
        answer_json("compare", "image-query", "--policy", "always-warm", "--seed", seed)["runs"][0]["invocations"]
        for seed in (0, 1, 0)
    ]
    assert counts[0] == counts[2] != counts[1]


def test_outputs_repeat_to_the_byte() -> None:
    files = []
    for number, workers in enumerate((1, 2, 1, 2)):
        outputs = [f"{number}.html", f"{number}.runs.json"]
        done = smiless_process(
            "compare",
            *("--trace", "arrivals.csv", "--policy", "smiless", "--policy", "knative", "--policy", "policy.py:Mine"),
            *("--seed", "5", "--workers", workers, "-o", outputs[0], "--runs", outputs[1], "--json"),
            env=UNCACHED,
        )
        assert (done.code, set(done.err.splitlines())) == (0, {"a line of its own"})
        files.append([done.out.encode(), *(Path(output).read_bytes() for output in outputs)])
    assert files[0] == files[1] == files[2] == files[3]
    assert json.loads(files[0][0])["runs"]


# -- One policy ----------------------------------------------------------------------------------------------


def test_a_simulation_is_that_of_the_library() -> None:
    found = answer_json("simulate", *STREET, "--policy", "knative", "--seed", "3", "--until", "100", code=1)
    run = simulate(street(), read_trace("arrivals.csv"), baselines.KnativeAutoscaler(), seed=3, until=100.0)
    assert found["runs"] == [json.loads(json.dumps(run.to_dict()))]


def test_a_simulation_for_people_says_what_the_cost_is_made_of() -> None:
    page = answer("simulate", *STREET, "--policy", "orion", "--target", "0.1")
    found = answer_json("simulate", *STREET, "--policy", "orion", "--target", "0.1")["runs"][0]
    (line,) = (line for line in page.splitlines() if line.startswith("all "))
    name, cold, *parts, total = line.split()
    assert (name, int(cold)) == ("all", found["cold_starts"])
    assert float(total.replace(",", "")) == pytest.approx(1e6 * found["cost"], rel=1e-3)
    for part, dollars in zip(parts, found["cost_split"].values(), strict=True):
        assert float(part.replace(",", "")) == pytest.approx(1e6 * dollars / 5, abs=0.06)
    assert "detect" in page
    assert "read" in page
    assert "Report" not in page


def test_a_missed_target_is_the_exit_code() -> None:
    assert " !" in answer("simulate", *STREET, "--sla", "0.1", code=1)
    assert " !" not in answer("simulate", *STREET, "--policy", "orion", "--target", "0.1")


def test_a_simulation_can_be_kept() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    outputs = ["--records", "services.parquet", "--runs", "runs.json", "-o", "report.html"]
    page = answer("simulate", *STREET, "--policy", "orion", "--target", "0.1", *outputs)
    assert page.endswith("\n\nRuns: runs.json\nReport: report.html\n")
    assert parquet.read_table("services.parquet").num_rows == 2 * 5
    (kept,) = read_runs("runs.json")
    assert kept.services is not None
    assert kept.decision_time == 0.0
    again = "smiless simulate app.yaml --trace arrivals.csv --profiles profiles.yaml --target 0.1 --policy orion"
    assert f"<code>{again} -o smiless-report.html</code>" in Path("report.html").read_text()


# -- Reports of runs that were kept --------------------------------------------------------------------------


def test_a_report_of_kept_runs() -> None:
    answer("compare", *STREET, *TWO, "--runs", "runs.json", "--no-report")
    assert answer("report", "runs.json", "-o", "later.html") == "Report: later.html\n"
    write_report("expected.html", read_runs("runs.json"), command="smiless report runs.json")
    assert Path("later.html").read_text() == Path("expected.html").read_text()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.json", None, "cannot be read"),
        ("broken.json", "{", "not what runs are written as"),
        ("other.json", '{"schema": 1}', "it has no 'runs'"),
        ("none.json", '{"schema": 1, "runs": []}', "expected at least one run"),
    ],
)
def test_what_are_no_runs_is_refused(name: str, content: str | None, said: str) -> None:
    if content is not None:
        Path(name).write_text(content)
    assert_refused(smiless("report", name), name, said)
    assert not Path("smiless-report.html").exists()


# -- Policies ------------------------------------------------------------------------------------------------


def test_all_policies_have_a_name() -> None:
    kinds = {known.kind.__name__ for known in known_policies().values()}
    assert kinds == {"Smiless", "PublishedSmiless", *baselines.__all__}
    made = [chosen.policy for chosen in choose([*known_policies(), "orion", "orion:share=1"])]
    assert len({repr(policy) for policy in made}) == len(known_policies()) == len(made) - 1
    page = answer("compare", "--policies")
    for name, policy in zip(known_policies(), made, strict=False):
        described = page.partition(f"{name}\n  ")[2].partition("\n\n")[0]
        assert policy.fidelity.split()[-1] in described
        assert "Settings: " in described
    assert max(map(len, page.splitlines())) <= 100


def test_listed_settings_can_be_given_back() -> None:
    for block in answer("compare", "--policies").split("\n\n"):
        name, *lines = block.splitlines()
        settings = " ".join(lines).partition("Settings: ")[2].removesuffix(".")
        given = re.sub(r",\s+", ",", settings)
        (plain,), (full,), (kebab,) = (
            choose([each]) for each in (name, f"{name}:{given}", f"{name}:{given.replace('_', '-')}")
        )
        assert full.policy == kebab.policy
        assert full.policy == plain.policy or name == "icebreaker"  # whose thresholds are thirds


def test_settings_are_read_by_their_kind() -> None:
    chosen = choose(
        [
            "fixed-keep-alive:seconds=inf, residency=6e1",
            "icebreaker:window=20,low=0.1",
            "smiless-published:homogeneous=true,windows-follow-dag=False",
            "smiless:target=0.9",
            "smiless:target=null",
        ]
    )
    shown = [repr(each.policy) for each in chosen]
    for part, text in zip(
        ["seconds=inf", "window=20", "homogeneous=True", "target=0.9", "target=None"], shown, strict=True
    ):
        assert part in text
    assert "windows_follow_dag=False" in shown[2]


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ("knativ", ["--policy", "'knativ'", "did you mean 'knative'?"]),
        ("", ["--policy", "''"]),
        ("policy.py", ["--policy policy.py", "policy.py:NAME"]),
        ("orion:", ["--policy orion", "FIELD=VALUE"]),
        ("orion:share", ["--policy orion", "FIELD=VALUE", "'share'"]),
        ("orion:shares=1", ["--policy orion", "'shares'", "did you mean 'share'?"]),
        ("orion:share=much", ["--policy orion:share", "expected a number", "'much'"]),
        ("orion:share=2", ["--policy orion:share", "at most 1", "2.0"]),
        ("orion:share=nan", ["--policy orion:share", "nan"]),
        ("orion:share=1,share=1", ["--policy orion:share", "given twice"]),
        ("icebreaker:window=2.5", ["--policy icebreaker:window", "expected a whole number", "'2.5'"]),
        ("smiless-published:homogeneous=maybe", ["homogeneous", "expected true or false", "'maybe'"]),
        ("smiless:target=x", ["--policy smiless:target", "expected a number or nothing", "'x'"]),
        ("smiless-no-dag:windows_follow_dag=true", ["--policy smiless-no-dag", "no setting named"]),
        ("nowhere.py:Mine", ["--policy nowhere.py:Mine", "cannot be read: no such file"]),
        ("policy.py:Mime", ["--policy policy.py:Mime", "did you mean 'Mine'?"]),
        ("policy.py:fail", ["--policy policy.py:fail", f"line {_line_of('raise KeyError')}: KeyError: 'nothing'"]),
        ("policy.py:math", ["--policy policy.py:math", "has no name"]),
        ("policy.py:Unready", ["--policy policy.py:Unready", "has no start"]),
        ("syntax.py:Mine", ["--policy syntax.py:Mine", "SyntaxError", "line 1"]),
        ("leaving.py:Mine", ["--policy leaving.py:Mine", "line 2: SystemExit: 3"]),
        ("directory.py:Mine", ["--policy directory.py:Mine", "cannot be read: is a directory"]),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_a_policy_that_is_none_is_refused(command: str, policy: str, named: list[str]) -> None:
    Path("syntax.py").write_text("x = = 1\n")
    Path("leaving.py").write_text("\nraise SystemExit(3)\n")
    Path("directory.py").mkdir()
    assert_refused(smiless(command, *STREET, "--policy", policy), *named)


@pytest.mark.parametrize("name", ["Mine", "make", "instance"])
def test_policies_of_users(name: str) -> None:
    outcome = smiless("compare", *STREET, "--policy", f"policy.py:{name}", "--workers", "1", "--json")
    assert (outcome.code, outcome.err) == (0, "a line of its own\n")
    (found,) = json.loads(outcome.out)["runs"]
    assert (found["policy"], found["settings"]) == ("mine", "Mine()")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("NotANumber", ["'mine' at 0 s", "nan"]),
        ("Negative", ["'mine' at 0 s", "min_replicas", "-1"]),
        ("Stranger", ["'mine' at 0 s", "'detekt'", "did you mean 'detect'?"]),
        ("Failing", ["'mine' at 0 s", "ZeroDivisionError"]),
    ],
)
@pytest.mark.parametrize("command", [["simulate"], ["compare", "--workers", "1"], ["compare", "--workers", "2"]])
def test_nonsense_of_a_policy_is_one_line(here: Path, command: list[str], name: str, named: list[str]) -> None:
    before = sorted(here.iterdir())
    policies = ["--policy", f"policy.py:{name}", *(["--policy", "orion"] if command[0] == "compare" else [])]
    done = smiless_process(*command, *STREET, *policies, "-o", "report.html", "--runs", "runs.json", env=UNCACHED)
    assert_refused(done._replace(err=done.err.removeprefix("a line of its own\n")), *named)
    assert sorted(here.iterdir()) == before


def test_a_policy_that_cannot_be_sent_stays_here() -> None:
    policies = ["--policy", "policy.py:Unsent", "--policy", "orion"]
    assert_refused(smiless("compare", *STREET, *policies, "--workers", "2"), "policy.py:Unsent", "--workers 1")
    outcome = smiless("compare", *STREET, *policies, "--no-report")
    assert (outcome.code, outcome.err) == (0, "a line of its own\n")
    assert "mine" in outcome.out


# -- What else is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--trace", "nowhere.csv"], ["nowhere.csv"]),
        (["--trace", "policy.py"], ["policy.py", "not a known kind of trace"]),
        (["--select", "x"], ["--select", "needs --trace FILE"]),
        (["--trace", "arrivals.csv", "--select", "x"], ["arrivals.csv"]),
        (["--profiles", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--seed", str(2**64)], ["--seed", str(2**64)]),
        (["--seed", "-1"], ["--seed"]),
        (["--sla", "0"], ["--sla"]),
        (["-o", "nowhere/report.html"], ["nowhere/report.html: cannot be written: no such file or directory"]),
        (["-o", "."], [".: cannot be written: this is not a regular file"]),
        (["-o", "/dev/full"], ["/dev/full: cannot be written: this is not a regular file"]),
        (["--runs", "nowhere/runs.json"], ["nowhere/runs.json: cannot be written"]),
        (["--runs", "app.yaml/runs.json"], ["app.yaml/runs.json: cannot be written: not a directory"]),
        (["--runs", "both", "-o", "both"], ["both: this file cannot hold two outputs"]),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_bad_input_is_refused_at_once(
    here: Path, command: str, options: list[str], named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the long work has begun")

    monkeypatch.setattr("smiless_core.simulator.simulate", fail)
    monkeypatch.setattr("smiless_core.simulator.compare", fail)
    before = sorted(here.iterdir())
    assert_refused(smiless(command, "image-query", "--policy", "always-warm", *options), *named)
    assert sorted(here.iterdir()) == before


def test_options_that_contradict_each_other() -> None:
    assert_refused(smiless("compare", "--no-report", "-o", "report.html"), "--output", "--no-report")
    assert_refused(smiless("simulate", *STREET, "--until", "3"), "--until", "3")
    assert_refused(smiless("simulate", *STREET, "--records", "nowhere/x.parquet"), "nowhere/x.parquet")


def test_a_report_needs_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smiless_core.cli.places.find_spec", lambda name: None)
    assert_refused(smiless("compare", *STREET, *TWO), "smiless-core[report]")
    assert answer("compare", *STREET, *TWO, "--no-report")


# -- Among other programs ------------------------------------------------------------------------------------


def _small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["compare", *STREET, *TWO, "--workers", "1"], "smiless-report.html"),
        (["compare", *STREET, *TWO, "--workers", "1", "--no-report", "--runs", "runs.json"], "runs.json"),
        (["simulate", *STREET, "--policy", "orion", "-o", "report.html"], "report.html"),
        (["simulate", *STREET, "--policy", "orion", "--records", "services.parquet"], "services.parquet"),
    ],
)
def test_an_output_without_room_leaves_nothing_behind(here: Path, arguments: list[str], output: str) -> None:
    before = sorted(here.iterdir())
    refused = smiless_process(*arguments, env=UNCACHED, preexec_fn=_small_files_only)
    assert_refused(refused, f"smiless: {output}: cannot be written: ")
    assert "too large" in refused.err
    assert sorted(here.iterdir()) == before


def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        refused = smiless_process("compare", *STREET, *TWO, "--no-report", stdout=full)
    assert refused.code == 2
    assert refused.err == "smiless: standard output: cannot be written: No space left on device\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["compare", *STREET, *TWO, "--workers", "1"], ["2 of 2 runs", "0 of 1 frontiers"]),
        (["simulate", *STREET, "--policy", "orion"], ["5 of 5 arrivals"]),
    ],
)
def test_progress_is_shown_on_a_terminal(
    arguments: list[str], shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = _Terminal()
    with contextlib.redirect_stderr(terminal), contextlib.redirect_stdout(io.StringIO()):
        run(arguments)
    assert [each for each in shown if each not in terminal.getvalue()] == []


def _running(process: int) -> bool:
    """Tell whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("arguments", "signal_number"),
    [
        (["simulate", "-o", "report.html", "--records", "services.parquet"], signal.SIGINT),
        (["compare", "--workers", "1"], signal.SIGINT),
        (["compare", "--workers", "2"], signal.SIGINT),
        (["compare", "--workers", "2"], signal.SIGKILL),
    ],
    ids=["simulate", "one worker", "two workers", "killed"],
)
def test_an_interruption_ends_everything(here: Path, arguments: list[str], signal_number: int) -> None:
    policies = ["--policy", "policy.py:Slow", *(["--policy", "orion"] if arguments[0] == "compare" else [])]
    before = sorted(here.iterdir())
    child = subprocess.Popen(
        [*COMMAND, arguments[0], *STREET, *policies, *arguments[1:]],
        env=environment(**UNCACHED),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Shells start background jobs with interruptions ignored, and so may whatever runs this test.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        while not (started := list(here.glob("started-*"))):
            assert child.poll() is None, "it was done before it could be interrupted"
            time.sleep(0.02)
        (at_work,) = (int(path.name.partition("-")[2]) for path in started)
        assert (at_work == child.pid) == ("2" not in arguments)
        if signal_number == signal.SIGINT:
            os.killpg(child.pid, signal.SIGINT)  # as a terminal does
        else:
            child.kill()
        out, err = child.communicate(timeout=30)
    finally:
        child.kill()
    if signal_number == signal.SIGINT:
        assert (child.returncode, out, err) == (130, b"", b"smiless: interrupted\n")
    deadline = time.monotonic() + 10.0
    while _running(at_work):
        assert time.monotonic() < deadline, "a worker goes on"
        time.sleep(0.02)
    assert sorted(set(here.iterdir()) - set(started)) == before


def test_an_interruption_while_writing_leaves_nothing_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(here.iterdir())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert smiless("compare", *STREET, *TWO, "--workers", "1") == Outcome(130, "", "smiless: interrupted\n")
    assert sorted(here.iterdir()) == before
