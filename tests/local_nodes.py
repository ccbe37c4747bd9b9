"""Nodes for the tests of the local platform: each a process of its own, and nothing of it is left."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from smiless_core.adapters.local import Local
from smiless_core.model import Application, Configuration

PROGRAMS = Path(__file__).parent
PATIENCE = 20.0
FULL, HALF = Configuration("cpu", 1), Configuration("cpu", 0.5)
ALLOWED_WITHOUT = os.environ.get("SMILESS_ALLOW_NO_CONTAINERS") == "1"
RUNTIMES = ("processes", "runc")


def containers_or_skip():
    """Skip where containers cannot run, if that is allowed; elsewhere the test fails by itself."""
    able = os.geteuid() == 0 and any(
        os.access(Path(each, "runc"), os.X_OK) for each in os.environ["PATH"].split(os.pathsep)
    )
    if ALLOWED_WITHOUT and not able:
        pytest.skip("runc cannot run here, and SMILESS_ALLOW_NO_CONTAINERS=1")


class LocalNode:
    """A node that serves `functions`, a sequence of names or an Application."""

    def __init__(self, directory, functions, *, runtime, environment=None, options=(), **service):
        if runtime == "runc":
            containers_or_skip()
        self.directory = Path(directory)
        self.directory.mkdir(exist_ok=True, parents=True)
        names = functions.names if isinstance(functions, Application) else functions
        edges = functions.edges if isinstance(functions, Application) else ()
        environment = environment or {}
        application = {"functions": list(names), "edges": [list(each) for each in edges], "sla": 1.0}
        services = {
            name: {
                "command": ["python3", "local_function.py"],
                "ready": "/healthz",
                "environment": {"SMILESS_TEST": str(self.directory), **environment.get(name, {})},
                **service,
            }
            for name in names
        }
        (self.directory / "a.json").write_text(json.dumps(application))
        (self.directory / "s.json").write_text(json.dumps({"services": services}))
        self.runtime = runtime
        self.options = [
            *("--application", str(self.directory / "a.json"), "--services", str(self.directory / "s.json")),
            *("--runtime", runtime, "--directory", str(self.directory / "kept"), "--programs", str(PROGRAMS)),
            *options,
        ]
        self.start()

    def start(self):
        with (self.directory / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "smiless_core.adapters.local", *self.options],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            self.process.wait()
            self.process.stdout.close()
            raise AssertionError((self.directory / "said").read_text())

    def kill(self):
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """End it as it should end, and look what is left."""
        if self.process.returncode is None:
            self.process.terminate()
            code = self.process.wait(30)
            self.process.stdout.close()
            assert code == 0, (self.directory / "said").read_text()
            said = (self.directory / "said").read_text()
            assert not [each for each in ("Traceback", "never retrieved", "Unclosed") if each in said], said
        left = leftovers(self.directory)
        assert not left

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if exception[0] is None:
            self.stop()
            return
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()

    # --- talking to it ------------------------------------------------------------------------------------------

    def ask(self, path, data=None, headers=()):
        """Return the status and the body; `data` makes it a POST."""
        content = data if isinstance(data, bytes | None) else json.dumps(data).encode()
        request = urllib.request.Request(self.address + path, data=content, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def send(self, function, what):
        return self.ask(f"/function/{function}", what.encode())

    def counts(self, function):
        return json.loads(self.ask("/statistics")[1])["functions"][function]["counts"]

    def ids(self):
        """Return the instances that are there."""
        return sorted(each.name for each in (self.directory / "kept" / "instances").iterdir())


def leftovers(directory):
    """Return what a node in this directory has left on the machine: processes, mounts, cgroups, files."""
    kept = Path(directory) / "kept"
    left = [str(each) for each in (kept / "instances", kept / "runc", kept / "root") if each.exists()]
    left += [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line]
    # Those of other nodes have processes in them, but for moments.
    if empty := _empty_cgroups():
        time.sleep(0.5)
        left += sorted(map(str, empty & _empty_cgroups()))
    mark = f"SMILESS_TEST={directory}".encode()
    for pid in (each for each in os.listdir("/proc") if each.isdigit()):
        with contextlib.suppress(OSError):
            if mark in Path("/proc", pid, "environ").read_bytes().split(b"\0"):
                left.append(f"process {pid}")
    return left


def _empty_cgroups():
    empty = set()
    for pattern in ("smiless-*", "*/smiless-*"):
        for each in Path("/sys/fs/cgroup").glob(pattern):
            with contextlib.suppress(OSError):
                if not (each / "cgroup.procs").read_text().strip():
                    empty.add(each)
    return empty


def run(node, main):
    """Run a coroutine function with a client of a node."""

    async def with_client():
        platform = Local(node.address)
        try:
            return await main(platform)
        finally:
            await platform.close()

    return asyncio.run(with_client())


def deploy(node, function, configuration=FULL, replicas=1):
    """Have instances, and return what the platform says."""
    return run(
        node,
        lambda platform: platform.apply(function, configuration, replicas=replicas, by=time.time() + PATIENCE),
    )


def until(condition, patience=PATIENCE):
    """Wait until something is true."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)
    return found


__all__ = ["FULL", "HALF", "PATIENCE", "RUNTIMES", "LocalNode", "deploy", "leftovers", "run", "until"]
