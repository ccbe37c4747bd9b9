"""`smiless control` as a command: what it refuses, what a dry run prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import COMMAND, environment, smiless, write_inputs

LIVE = Path(__file__).parents[1] / "examples" / "live"
STREET = ("app.yaml", "--profiles", "profiles.yaml")
CLUSTER = ("--platform", "kubernetes", "--services", "services.yaml")
SERVICES = "services:\n  detect: {image: detect}\n  read: {image: read}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path)
    (tmp_path / "services.yaml").write_text(SERVICES)
    (tmp_path / "half.yaml").write_text("services:\n  detect: {image: detect}\n")
    (tmp_path / "wrong.yaml").write_text("services:\n  detect: {image: detect, port: 0}\n")
    (tmp_path / "odd.yaml").write_text("services:\n  Detect: {image: detect}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--platform", "local"], "--address: needed: what the node has printed"),
        (["--platform", "local", "--address", "http://example.com:80"], "http://127.0.0.1:<port>"),
        (["--platform", "local", "--services", "services.yaml"], "--services: local has no use for it"),
        (["--platform", "kubernetes", "--address", "x"], "--address: kubernetes has no use for it"),
        (["--platform", "kubernetes"], "--services: needed"),
        (["--platform", "openfaas", "--services", "services.yaml"], "--address: needed: the gateway"),
        (["--platform", "kubernetes", "--services", "nothing.yaml"], "nothing.yaml: cannot be read"),
        (["--platform", "kubernetes", "--services", "half.yaml"], "half.yaml: services: no service named 'read'"),
        (["--platform", "kubernetes", "--services", "wrong.yaml"], "wrong.yaml: services.detect.port: "),
        (["--platform", "kubernetes", "--services", "odd.yaml"], "odd.yaml: services: expected lower-case letters"),
        ([*CLUSTER], "--prometheus: needed"),
        ([*CLUSTER, "--prometheus", "http://127.0.0.1:9"], "--counter: needed"),
        ([*CLUSTER, "--prometheus", "http://127.0.0.1:9", "--counter", "hits"], "--counter: expected {function}"),
        (["--platform", "clouds"], "clouds"),
        (["--platform", "local", "--address", "http://127.0.0.1:9", "--policy", "smilesss"], "no policy named"),
        (["--platform", "local", "--address", "http://127.0.0.1:9", "--stale", "-1"], "--stale"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str, here: Path) -> None:
    before = sorted(here.iterdir())
    refused = smiless("control", *STREET, *arguments)
    assert refused.code == 2
    assert refused.out == ""
    assert says in refused.err
    assert refused.err.count("\n") == 1
    assert sorted(here.iterdir()) == before


def test_a_platform_that_is_not_there_is_one_line(here: Path) -> None:
    refused = smiless("control", *STREET, "--platform", "local", "--address", "http://127.0.0.1:9", "--stale", "0.3")
    assert (refused.code, refused.out) == (2, "")
    assert "local" in refused.err
    assert refused.err.count("\n") == 1
    assert not (here / "smiless-state.db").exists()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """Run a node with plain processes, and yield its address."""
    command = [sys.executable, "-m", "smiless_core.adapters.local", "--application", str(LIVE / "application.yaml")]
    command += ["--services", str(LIVE / "services.yaml"), "--runtime", "processes", "--directory", str(tmp_path / "n")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=30)


def live(address: str, *more: str) -> list[str]:
    given = [str(LIVE / "application.yaml"), "--profiles", str(LIVE / "profiles.yaml"), "--platform", "local"]
    return ["control", *given, "--address", address, *more]


@pytest.mark.repository
def test_a_dry_run_prints_what_it_would_do(node: str, here: Path) -> None:
    shown = smiless(*live(node, "--dry-run"))
    assert shown.code == 0, shown.err
    for name in ("detect", "recognize", "caption"):
        assert name in shown.out
    assert "would send" in shown.out
    assert "apply" in shown.out
    assert "0 on nothing" in shown.out
    assert shown.err == ""
    assert not (here / "smiless-state.db").exists()
    again = smiless(*live(node, "--dry-run"))
    assert again.out == shown.out  # nothing was sent


@pytest.mark.repository
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_an_interrupt_ends_it_and_leaves_what_runs(node: str, here: Path, number: int, code: int) -> None:
    process = subprocess.Popen(
        [*COMMAND, *live(node, "--status", "127.0.0.1:0")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    told = []
    actions = 0
    try:
        while actions < 3:
            line = process.stderr.readline()
            assert line, told
            told.append(json.loads(line))
            actions += told[-1]["event"] == "action"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code
    assert "Traceback" not in err
    assert out == ""
    assert {each["function"] for each in told if each["event"] == "action"} == {"detect", "recognize", "caption"}
    assert (here / "smiless-state.db").exists()
    time.sleep(0.2)
    shown = smiless(*live(node, "--dry-run"))
    assert "apply" not in shown.out  # it is deployed, and stays


@pytest.mark.repository
def test_it_ends_in_time_and_goes_on_later(node: str, here: Path) -> None:
    first = smiless(*live(node, "--for", "1"))
    again = smiless(*live(node, "--for", "1"))
    assert (first.code, again.code) == (0, 0)
    assert '"resumed":false' in first.err
    assert '"resumed":true' in again.err
    os.truncate(here / "smiless-state.db", 100)
    damaged = smiless(*live(node, "--for", "1"))
    assert damaged.code == 2
    assert "smiless-state.db" in damaged.err.splitlines()[-1]
