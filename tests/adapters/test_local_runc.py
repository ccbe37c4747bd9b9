"""Containers as they are: what they see, what they may use, and what is left of them."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_nodes import FULL, HALF, PROGRAMS, LocalNode, containers_or_skip, deploy, leftovers, run, until
from smiless_core.adapters import Outcome
from smiless_core.adapters.local.containers import Runc
from smiless_core.adapters.local.runtimes import ended
from smiless_core.adapters.services import Service
from smiless_core.errors import PlatformError
from smiless_core.model import Configuration

QUARTER = Configuration("cpu", 0.25)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with LocalNode(
        tmp_path_factory.mktemp("runc"), ["quota", "inside", "memory"], runtime="runc", memory=64
    ) as started:
        yield started


def inside(node, expression):
    """Return what a Python expression gives in a container."""
    status, body = node.send("inside", f"python {expression}")
    assert status == 200, body
    return body.decode()


def test_cores_are_a_limit_that_bites_and_that_moves_with_a_live_resize(node):
    def fastest(times):
        took = []
        for _ in range(times):
            begun = time.monotonic()
            assert node.send("quota", "burn 0.15")[0] == 200
            took.append(time.monotonic() - begun)
        return min(took)

    deploy(node, "quota", FULL)
    (id,) = [each for each in node.ids() if each.startswith("quota")]
    full = fastest(3)
    assert deploy(node, "quota", QUARTER).outcome is Outcome.READY
    quarter = fastest(2)
    assert deploy(node, "quota", FULL).outcome is Outcome.READY
    again = fastest(3)
    # 0.15 CPU seconds cannot take less than 0.6 s at a quarter of a core, but for the last period.
    assert quarter >= 0.54
    assert full <= 0.8 * quarter
    assert again <= 0.8 * quarter
    assert [each for each in node.ids() if each.startswith("quota")] == [id], "the same instance all the while"
    counts = node.counts("quota")
    assert (counts["starts"], counts["stops"], counts["resizes"]) == (1, 0, 2)
    measured = run(node, lambda platform: platform.statistics())["functions"]["quota"]["configurations"]
    seconds = {each["configuration"]["size"]: each["instance_seconds"]["busy"] for each in measured}
    assert seconds[0.25] >= 2 * 0.54
    assert len(next(each for each in measured if each["configuration"]["size"] == 0.25)["services"]) == 2


def test_an_instance_sees_nothing_but_what_it_needs(node):
    deploy(node, "inside")
    assert inside(node, "(os.getuid(), os.getgid(), os.getpid())") == "(65534, 65534, 1)"
    assert inside(node, "open('/proc/sys/kernel/hostname').read()").startswith("inside-")
    status = inside(node, "open('/proc/self/status').read()")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {int(value, 16) for name, value in fields.items() if re.fullmatch("Cap...", name)} == {0}
    assert fields["NoNewPrivs"] == "1"
    assert inside(node, "[p for p in os.listdir('/proc') if p.isdigit()]") == "['1']"
    usual = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys", "tmp", "usr"}
    on_the_way = {path.parts[1] for path in (PROGRAMS, Path(sys.prefix), Path(sys.base_prefix))}
    assert set(inside(node, "' '.join(os.listdir('/'))").split()) <= usual | on_the_way
    assert inside(node, f"os.listdir({str(PROGRAMS.parent)!r})") == f"[{PROGRAMS.name!r}]" or PROGRAMS.parent in (
        Path(sys.prefix).parent,
        Path(sys.prefix),
    )
    for path in ("/new", "/usr/new", "/etc/new", f"{PROGRAMS}/new", "/proc/sys/kernel/hostname"):
        answer = node.send("inside", f"python open({path!r}, 'w')")
        assert answer[0] == 502, f"{path} can be written"
        # The handler failed and closed the connection; the instance goes on.
    for directory in ("/tmp", "/dev/shm"):
        name = f"{directory}/of-an-instance"
        assert inside(node, f"open({name!r}, 'w').write('x')") == "1"
        assert not Path(name).exists()
    variables = set(inside(node, "' '.join(os.environ)").split())
    assert variables <= {
        "PATH",
        "HOME",
        "LANG",
        "HOST",
        "PORT",
        "BATCH",
        "SMILESS_INSTANCE",
        "SMILESS_TEST",
        "LC_CTYPE",
    }
    assert node.counts("inside")["crashes"] == 0


def test_memory_is_a_limit(node):
    deploy(node, "memory")
    assert node.send("memory", f"allocate {2**24}")[0] == 200
    assert node.send("memory", f"allocate {2**28}")[0] == 502
    until(lambda: node.counts("memory")["crashes"] == 1)
    assert node.send("memory", "sleep 0")[0] == 200


@pytest.fixture
def runtime(tmp_path):
    containers_or_skip()
    environment = {"SMILESS_TEST": str(tmp_path)}
    service = Service(command=("python3", "local_function.py"), environment=environment)
    started = Runc(tmp_path / "kept", {"a": service}, PROGRAMS)
    yield started
    asyncio.run(started.close())
    assert not leftovers(tmp_path)


def used(id):
    """Return the CPU seconds that a container has used."""
    for path, unit in ((f"cpuacct/smiless-{id}/cpuacct.usage", 1e9), (f"smiless-{id}/cpu.stat", 1e6)):
        file = Path("/sys/fs/cgroup", path)
        if file.exists():
            return float(file.read_text().split()[1 if unit == 1e6 else 0]) / unit
    raise AssertionError("no cgroup")


def test_a_paused_instance_uses_no_cores_and_goes_on_where_it_was(runtime, tmp_path):
    async def go():
        await runtime.prepare()
        running = await runtime.start("a-1", "a", HALF, port=21_999)
        burning = await asyncio.create_subprocess_exec(
            "runc", "--root", str(tmp_path / "kept" / "runc"), "exec", "a-1", "/usr/bin/sh", "-c", "while :; do :; done"
        )
        await asyncio.sleep(0.3)
        await runtime.pause("a-1")
        paused = used("a-1")
        assert paused > 0.0
        await asyncio.sleep(0.3)
        assert used("a-1") == pytest.approx(paused, abs=0.005)
        await runtime.resume("a-1")
        await asyncio.sleep(0.3)
        assert used("a-1") > paused + 0.02
        await runtime.pause("a-1")
        begun = time.monotonic()
        await runtime.stop("a-1", grace=5.0)
        assert time.monotonic() - begun < 4.0, "one that is paused cannot end by itself"
        await ended(running.pid)
        await burning.wait()

    asyncio.run(go())


def test_what_fails_says_why_and_leaves_nothing(runtime, tmp_path):
    async def go():
        await runtime.prepare()
        for doing, call in (
            ("resize a-0", runtime.resize("a-0", HALF)),
            ("pause a-0", runtime.pause("a-0")),
        ):
            with pytest.raises(PlatformError, match=rf"runc: {doing}: (there is no such instance|.*does not exist)"):
                await call
        await runtime.stop("a-0", grace=1.0)  # is no error
        runtime._records.command = lambda function: ["/nowhere"]
        with pytest.raises(PlatformError, match=r"runc: run a-1: .*/nowhere"):
            await runtime.start("a-1", "a", HALF, port=21_998)
        assert await runtime.found() == []

    asyncio.run(go())


def test_whatever_is_found_is_taken_over_or_removed(runtime, tmp_path):
    async def go():
        await runtime.prepare()
        good = await runtime.start("a-1", "a", HALF, port=21_997)
        await runtime.start("a-2", "a", HALF, port=21_996)
        (tmp_path / "kept" / "instances" / "a-2" / "record.json").write_text("{")
        await runtime.start("a-3", "a", HALF, port=21_995)
        await runtime.pause("a-3")
        (tmp_path / "kept" / "instances" / "a-4").mkdir()
        dead = await runtime.start("a-5", "a", HALF, port=21_994)
        os.kill(dead.pid, 9)
        await ended(dead.pid)
        created = json.loads((tmp_path / "kept" / "instances" / "a-1" / "config.json").read_text())
        created["linux"]["cgroupsPath"] = "/smiless-a-6"
        (tmp_path / "kept" / "instances" / "a-6").mkdir()
        (tmp_path / "kept" / "instances" / "a-6" / "config.json").write_text(json.dumps(created))
        at = str(tmp_path / "kept" / "runc")
        subprocess.run(
            ["runc", "--root", at, "create", "--bundle", str(tmp_path / "kept" / "instances" / "a-6"), "a-6"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        again = Runc(tmp_path / "kept", runtime._records.services, PROGRAMS)
        assert await again.found() == [good]
        assert sorted(each.name for each in (tmp_path / "kept" / "instances").iterdir()) == ["a-1"]
        assert [each.name for each in (tmp_path / "kept" / "runc").iterdir()] == ["a-1"]
        await again.stop("a-1", grace=1.0)

    asyncio.run(go())


def test_where_containers_cannot_run_a_node_says_so(tmp_path, monkeypatch):
    containers_or_skip()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssertionError, match="error: runc: there is no program runc"):
        LocalNode(tmp_path, ["a"], runtime="runc")
