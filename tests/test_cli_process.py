"""The command line among other programs: pipes, full disks, plain terminals, interruptions."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from commandline import COMMAND, Outcome, environment, smiless, smiless_process, write_inputs

STREET = ("app.yaml", "--profiles", "profiles.yaml", "--every", "10")
TRACED = ("app.yaml", "--profiles", "profiles.yaml", "--trace", "arrivals.csv")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- Streams -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["catalog"], ["catalog", "--json"], ["plan", *STREET], ["plan", "--help"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert smiless_process(*arguments, stdout=writing) == Outcome(0, "", "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("arguments", [["catalog", "--json"], ["plan", *STREET], ["--help"]])
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        refused = smiless_process(*arguments, stdout=full)
    assert refused.code == 2
    assert refused.err == "smiless: standard output: cannot be written: No space left on device\n"


def test_nowhere_to_complain_leaves_the_exit_code() -> None:
    with open("/dev/full", "wb") as full:
        assert smiless_process("plan", "nowhere.yaml", "--every", "10", stderr=full).code == 2


@pytest.mark.parametrize(("closed", "code"), [(1, 2), (2, 0)])
def test_closed_streams(closed: int, code: int) -> None:
    outcome = smiless_process("catalog", preexec_fn=lambda: os.close(closed))
    assert outcome.code == code
    assert outcome.err == ("smiless: standard output: closed\n" if closed == 1 else "")


def _small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


@pytest.mark.parametrize("force", [False, True])
def test_an_output_without_room_leaves_nothing_behind(here: Path, force: bool) -> None:
    output = "profiles.yaml" if force else "fitted.yaml"
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    options = ["--force"] if force else []
    # Python would leave half a module behind in its own cache.
    uncached = {"PYTHONDONTWRITEBYTECODE": "1"}
    refused = smiless_process(
        "fit", "measurements.csv", "-o", output, *options, env=uncached, preexec_fn=_small_files_only
    )
    assert refused == Outcome(2, "", f"smiless: {output}: cannot be written: file too large\n")
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize(
    "plain",
    [
        {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "LANG": "C"},
        {"PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
    ],
)
def test_plain_terminals(plain: dict[str, str]) -> None:
    Path("größe.yaml").write_text(
        "name: größe\nsla: 4\nfunctions: [{name: détecter, profile: detect}]\n", encoding="utf-8"
    )
    for command in ("plan", "frontier"):
        outcome = smiless_process(command, "größe.yaml", *STREET[1:], env=plain)
        assert (outcome.code, outcome.err) == (0, "")
        assert "tecter" in outcome.out
    described = smiless_process("trace", "describe", "arrivals.csv", env=plain)
    assert (described.code, described.err) == (0, "")
    assert "\\u" not in described.out, "a sign of the page has no plainer one"
    payload = smiless_process("plan", "größe.yaml", *STREET[1:], "--json", env=plain)
    assert list(json.loads(payload.out)["functions"]) == ["détecter"]


def _in_terminal(*arguments: str, env: dict[str, str] | None = None) -> str:
    """Run a command with both streams on a terminal, and return all that appears there."""
    terminal, side = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, *arguments], stdout=side, stderr=side, stdin=side, env=environment(**(env or {}))
    )
    os.close(side)
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:  # how Linux ends a terminal
        pass
    finally:
        os.close(terminal)
    assert child.wait(timeout=60) == 0
    return shown.decode()


def test_a_long_search_shows_progress_on_a_terminal_only() -> None:
    shown = _in_terminal("frontier", *STREET, env={"TERM": "xterm"})
    assert "breakpoints" in shown.partition("street: ")[0]
    assert smiless_process("frontier", *STREET).err == ""
    shown = _in_terminal("frontier", *TRACED, "--over", "both", "--max-points", "2", env={"TERM": "xterm"})
    assert " points" in shown.partition("street: ")[0]


def test_no_color_is_respected() -> None:
    colored = re.compile(r"\x1b\[([0-9;]*;)?[34][0-9]")
    for no_color, expected in (("", True), ("1", False)):
        shown = _in_terminal("frontier", *STREET, env={"TERM": "xterm-256color", "NO_COLOR": no_color})
        assert bool(colored.search(shown)) == expected
    assert "\x1b" not in smiless_process("frontier", *STREET, env={"TERM": "xterm-256color"}).out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_pages_fit_the_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    pages = [
        ["plan", "amber-alert", "--every", "10"],
        ["plan", "amber-alert", "--poisson", "20"],
        ["plan", *TRACED],
        ["frontier", *STREET],
        ["frontier", *TRACED, "--over", "attainment", "--max-points", "4"],
        ["frontier", *TRACED, "--over", "both", "--max-points", "3"],
        ["fit", "measurements.csv"],
        ["catalog"],
    ]
    for arguments in pages:
        assert max(map(len, smiless(*arguments).out.splitlines())) <= columns, arguments


# -- Interruptions -------------------------------------------------------------------------------------------


def _big_problem() -> None:
    """Write a problem that keeps a general solver busy for minutes."""
    draw = np.random.default_rng(5)
    names = [f"f{v}" for v in range(60)]
    model = {"gamma": 0.05, "dispatch": 0.01, "cold_start_std": 0.1, "batches": [1]}
    profiles = {
        name: {
            "hardware": {
                "cpu": {
                    **model,
                    "alpha": draw.uniform(0.2, 4.0),
                    "beta": draw.uniform(0.0, 0.1),
                    "cold_start_mean": draw.uniform(1.0, 4.0),
                    "sizes": [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16],
                }
            }
        }
        for name in names
    }
    edges = [[names[u], names[v]] for u in range(60) for v in range(u + 1, min(60, u + 9)) if draw.random() < 0.35]
    Path("big-profiles.json").write_text(json.dumps({"profiles": profiles}))
    Path("big.json").write_text(json.dumps({"sla": 8.0, "functions": names, "edges": edges}))


def _busy(seconds: float) -> Callable[[subprocess.Popen], bool]:
    """Tell when a process has used this much processor time."""
    tick = os.sysconf("SC_CLK_TCK")

    def reached(child: subprocess.Popen) -> bool:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / tick >= seconds

    return reached


@pytest.mark.parametrize(
    "arguments",
    [["plan", "--method", "milp", "--every"], ["frontier", "--every"], ["frontier", "--over", "both", "--poisson"]],
    ids=["milp", "frontier", "joint"],
)
def test_an_interruption_is_answered_at_once(arguments: list[str]) -> None:
    _big_problem()
    child = subprocess.Popen(
        [*COMMAND, *arguments, "10", "big.json", "--profiles", "big-profiles.json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Shells start background jobs with interruptions ignored, and so may whatever runs this test.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        started = _busy(4.0)
        while not started(child):
            assert child.poll() is None, "it was done before it could be interrupted"
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert (child.returncode, out, err) == (130, b"", b"smiless: interrupted\n")


def test_an_interruption_while_writing_leaves_nothing_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(here.iterdir())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert smiless("fit", "measurements.csv", "-o", "fitted.yaml") == Outcome(130, "", "smiless: interrupted\n")
    assert sorted(here.iterdir()) == before


# -- Faults --------------------------------------------------------------------------------------------------


def test_a_fault_is_not_taken_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a planted fault")

    monkeypatch.setattr("smiless_core.solver.solution.solve", fail)
    outcome = smiless("plan", *STREET)
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("Traceback")
    assert outcome.err.endswith("please report it, with what 'smiless versions' prints)\n")


def test_planning_loads_nothing_that_it_does_not_need() -> None:
    script = (
        "import sys; from smiless_core.cli import run; code = run(sys.argv[1:]);"
        "loaded = [m for m in ('cvxpy', 'polars', 'numba', 'scipy.optimize') if m in sys.modules];"
        "sys.exit(str(loaded) if code == 0 else 9)"
    )
    command = [sys.executable, "-c", script, "plan", *STREET]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"
