"""Leases: one holder at a time, and none that is dead."""

import asyncio
import fcntl
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from commandline import SOURCES
from smiless_core.controller.leases import FileLease, SoleLease
from smiless_core.errors import InvalidInputError, PlatformError

HOLDER = """
import asyncio, os, subprocess, sys
from smiless_core.controller.leases import FileLease

lease = FileLease(sys.argv[1])
print(asyncio.run(lease.hold()), flush=True)
child = subprocess.Popen(["sleep", "60"], close_fds=False)  # inherits all that can be inherited
print(child.pid, flush=True)
sys.stdin.readline()
print(asyncio.run(lease.hold()), flush=True)
asyncio.run(lease.release())
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lease"


def hold(lease):
    return asyncio.run(lease.hold())


def holds_soon(lease):
    """Tell whether it gets free: a program that was started closes what it inherits a moment later."""
    end = time.monotonic() + 10.0
    while not (held := hold(lease)) and time.monotonic() < end:
        time.sleep(0.01)
    return held


def release(lease):
    asyncio.run(lease.release())


@contextmanager
def another(path):
    """Run another process that takes the lease, and has a child of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={"PYTHONPATH": SOURCES, "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        child = None
        try:
            process.held = process.stdout.readline().strip() == "True"
            child = int(process.stdout.readline())
            yield process
        finally:
            process.kill()
            if child is not None:
                os.kill(child, 9)


def test_who_is_alone_holds_it_always():
    lease = SoleLease()
    assert hold(lease)
    release(lease)
    assert hold(lease)


def test_one_holds_it_until_it_is_released(path):
    one, two = FileLease(path), FileLease(path)
    assert hold(one)
    assert hold(one)
    assert not hold(two)
    release(two)  # what it does not hold
    assert hold(one)
    assert not hold(two)
    release(one)
    release(one)
    assert hold(two)
    assert not hold(one)
    release(two)


def test_a_process_keeps_it_from_another(path):
    ours = FileLease(path)
    with another(path) as process:
        assert process.held
        assert not hold(ours)
        process.stdin.write("\n")
        assert process.stdout.readline() == "True\n"
        assert process.stdout.readline() == "released\n"
        assert holds_soon(ours)
        with another(path) as third:
            assert not third.held
    release(ours)


def test_it_is_free_when_its_holder_is_killed_though_what_that_started_lives(path):
    ours = FileLease(path)
    with another(path) as process:
        assert not hold(ours)
        process.kill()
        process.wait()
        assert holds_soon(ours)
        assert hold(ours)
    release(ours)


def test_it_is_lost_with_its_file(path):
    one, two = FileLease(path), FileLease(path)
    assert hold(one)
    path.unlink()
    assert hold(two)
    assert not hold(one)
    assert not hold(one)
    release(two)
    assert hold(one)
    assert not hold(two)
    release(one)


def test_it_is_lost_when_its_file_is_removed_though_no_one_else_took_it(path):
    lease = FileLease(path)
    assert hold(lease)
    path.unlink()
    assert not hold(lease), "meanwhile another may have held it"
    assert hold(lease)
    release(lease)


def test_the_file_stays_and_is_not_written(path):
    path.write_text("of someone")
    lease = FileLease(path)
    assert hold(lease)
    release(lease)
    assert path.read_text() == "of someone"


def test_a_failing_file_system_is_an_error_and_the_lease_is_not_held(path, monkeypatch):
    def fails(*_):
        raise OSError(5, "Input/output error")

    one, two = FileLease(path), FileLease(path)
    assert hold(one)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", fails)
        with pytest.raises(PlatformError, match=r"^lease: hold: .*lease: input/output error$") as caught:
            hold(one)
        assert caught.value.retryable
    assert hold(two), "it was let go"
    release(two)
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", fails)
        with pytest.raises(PlatformError):
            hold(one)
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", fails)
        for _ in range(3):
            with pytest.raises(PlatformError):
                hold(one)
    assert len(os.listdir("/proc/self/fd")) == before


def test_places_where_there_can_be_none(tmp_path):
    for wrong in (tmp_path, tmp_path / "no" / "lease", tmp_path / "nul\0"):
        with pytest.raises(InvalidInputError, match="cannot be opened"):
            FileLease(wrong)
