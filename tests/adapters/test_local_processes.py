"""Plain processes as they are: what they are bound to, and what is left of them."""

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from local_nodes import FULL, HALF, PROGRAMS, leftovers
from smiless_core.adapters.local.processes import Processes
from smiless_core.adapters.services import Service
from smiless_core.errors import PlatformError
from smiless_core.model import Configuration

CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def runtime(tmp_path):
    service = Service(command=("python3", "local_function.py"), environment={"SMILESS_TEST": str(tmp_path)}, memory=256)
    broken = Service(command=("python3", "local_function.py"), environment={"BROKEN": "1"})
    started = Processes(tmp_path / "kept", {"a": service, "broken": broken}, PROGRAMS)
    yield started
    asyncio.run(started.close())
    assert not leftovers(tmp_path)


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_bound_to_its_size_and_limited_in_its_memory(runtime):
    async def go():
        await runtime.prepare()
        half = await runtime.start("a-1", "a", HALF, port=21_001)
        assert len(os.sched_getaffinity(half.pid)) == 1
        assert os.getpriority(os.PRIO_PROCESS, half.pid) == 3
        assert resource.prlimit(half.pid, resource.RLIMIT_DATA) == (2**28, 2**28)
        full = await runtime.start("a-2", "a", FULL, port=21_002)
        assert os.getpriority(os.PRIO_PROCESS, full.pid) == 0
        if CORES > 1:
            assert os.sched_getaffinity(half.pid) != os.sched_getaffinity(full.pid), "others are used less"
            two = await runtime.start("a-3", "a", Configuration("cpu", 2), port=21_003)
            assert len(os.sched_getaffinity(two.pid)) == 2
            await runtime.stop("a-3", grace=2.0)
        with pytest.raises(PlatformError, match="processes: resize a-1: a process keeps its cores") as caught:
            await runtime.resize("a-1", FULL)
        assert not caught.value.retryable
        for each in ("a-1", "a-2"):
            await runtime.stop(each, grace=2.0)
            assert runtime.refuses(Configuration("cpu", CORES + 0.5)).startswith("this machine has")

    asyncio.run(go())


def test_a_paused_process_stands_still_and_is_ended_all_the_same(runtime):
    async def go():
        await runtime.prepare()
        running = await runtime.start("a-1", "a", HALF, port=21_004)
        await runtime.pause("a-1")
        await asyncio.sleep(0.05)
        assert state(running.pid) == "T"
        await runtime.resume("a-1")
        await asyncio.sleep(0.05)
        assert state(running.pid) in "SR"
        await runtime.pause("a-1")
        await runtime.stop("a-1", grace=2.0)
        await runtime.stop("a-1", grace=2.0)

    asyncio.run(go())


def test_what_is_not_known_is_removed_and_what_is_not_ours_is_not_touched(runtime, tmp_path):
    async def go():
        await runtime.prepare()
        kept = await runtime.start("a-1", "a", HALF, port=21_005)
        await runtime.start("a-2", "a", HALF, port=21_006)
        other = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"SMILESS_INSTANCE": "a-3"}
        )
        await asyncio.sleep(0.1)
        try:
            await runtime.remove_others({"a-1"})
            assert [each.name for each in (tmp_path / "kept" / "instances").iterdir()] == ["a-1"]
            again = Processes(tmp_path / "kept", runtime._records.services, PROGRAMS)
            assert await again.found() == [kept]
            assert other.poll() is None
        finally:
            other.communicate(b"\n")
        await runtime.stop("a-1", grace=2.0)

    asyncio.run(go())


def test_last_words_are_kept_and_output_is_bounded(runtime, tmp_path):
    async def go():
        await runtime.prepare()
        running = await runtime.start("broken-1", "broken", HALF, port=21_007)
        while state(running.pid) != "Z":
            await asyncio.sleep(0.02)
        assert runtime.last_words("broken-1") == "there is no such model"
        output = tmp_path / "kept" / "instances" / "broken-1" / "output"
        with output.open("ab") as file:
            file.write(b"x" * (2**20 + 1))
        assert len(runtime.last_words("broken-1")) == 200
        runtime.shorten_output()
        assert output.stat().st_size == 0
        await runtime.stop("broken-1", grace=2.0)

    asyncio.run(go())


def test_without_aiohttp_the_extra_is_named():
    code = "import sys; sys.modules['aiohttp'] = None; import smiless_core.adapters.local"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "MissingExtraError" in done.stderr
    assert "smiless-core[local]" in done.stderr
