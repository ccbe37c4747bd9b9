"""Running `smiless`: within this process, which is quick, and as a process of its own, as users do."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import smiless_core
from smiless_core.cli import run

SOURCES = str(Path(smiless_core.__file__).parents[1])
COMMAND = [sys.executable, "-m", "smiless_core"]

APPLICATION = """\
name: street
sla: 3
functions: [detect, {name: read, profile: caption}]
edges: [[detect, read]]
"""

PROFILES = """\
profiles:
  detect:
    hardware:
      cpu: {alpha: 1.6, beta: 0.1, gamma: 0.2, dispatch: 0.01, cold_start_mean: 2.0, cold_start_std: 0.2,
            sizes: [1, 2, 4, 8], batches: [1, 2]}
      gpu: {alpha: 0.02, beta: 0.01, gamma: 0.05, dispatch: 0.002, cold_start_mean: 5.0, cold_start_std: 0.3,
            sizes: [0.1, 0.5, 1.0], batches: [1]}
  caption:
    hardware:
      cpu: {alpha: 0.8, beta: 0.2, gamma: 0.1, dispatch: 0.01, cold_start_mean: 1.5,
            sizes: [1, 2, 4], batches: [1]}
prices: {cpu: 1.0e-5, gpu: 8.0e-4}
"""

MEASUREMENTS = """\
function,hardware,size,batch,latency_s,cold_start_s
detect,cpu,1,1,1.10,
detect,cpu,2,1,0.60,
detect,cpu,4,1,0.35,
detect,cpu,1,2,2.10,
detect,cpu,2,2,1.10,
detect,cpu,4,2,0.60,
detect,cpu,8,1,9.99,
detect,cpu,,,,2.0
detect,cpu,,,,2.2
caption,cpu,1,1,0.9,
caption,cpu,2,1,0.5,
caption,cpu,,,,1.5
"""

ARRIVALS = "timestamp\n" + "".join(f"{second}\n" for second in (0.0, 4.5, 10.0, 16.0, 20.0))


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def smiless(*arguments: object) -> Outcome:
    """Run a command within this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


def smiless_process(*arguments: object, env: dict[str, str] | None = None, **settings: Any) -> Outcome:
    """Run a command as a process of its own; the settings are those of `subprocess.run`."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        timeout=120,
        **settings,
    )
    out, err = ((printed or b"").decode(errors="replace") for printed in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err)


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process that finds this library, whether it is installed or not."""
    usual = {"PYTHONPATH": SOURCES, "COLUMNS": "100", "PYTHONUTF8": "1"}
    # Python would read its own switches as ours.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | usual | changes


def write_inputs(directory: Path) -> None:
    """Write one right file of every kind."""
    (directory / "app.yaml").write_text(APPLICATION, encoding="utf-8")
    (directory / "profiles.yaml").write_text(PROFILES, encoding="utf-8")
    (directory / "measurements.csv").write_text(MEASUREMENTS, encoding="utf-8")
    (directory / "arrivals.csv").write_text(ARRIVALS, encoding="utf-8")


def assert_refused(outcome: Outcome, *named: str) -> None:
    """Check for exit code 2 and a single line that names all these."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    line, end, rest = outcome.err.partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.startswith("smiless: ")
    assert line.isprintable()
    assert [each for each in named if each not in line] == [], line
