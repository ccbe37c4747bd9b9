"""Instances that are plain processes."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from smiless_core.adapters.local.records import INSTANCE, Records
from smiless_core.adapters.local.runtimes import Running, failure, refusal
from smiless_core.adapters.services import Service
from smiless_core.errors import PlatformError
from smiless_core.model import Configuration

__all__ = ["Processes"]

_PATIENCE = 30.0  # seconds for a process to end that was killed


class Processes:
    """Plain processes, for where containers cannot run: cores are a hint to the scheduler, and not a limit.

    An instance is bound to as many processors as its size, rounded up, and those below one core are nicer to others.
    Memory is a limit of the data of each of its processes.

    Parameters
    ----------
    directory : Path
        Where they are kept, of this node alone.
    services : mapping of str to Service
        What instances run.
    programs : Path
        The directory of the programs; instances run in it.

    Raises
    ------
    InvalidInputError
        If a program is not there.
    """

    name = "processes"
    in_place_resize = False

    def __init__(
        self, directory: Path, services: Mapping[str, Service], programs: Path, readable: Collection[Path] = ()
    ) -> None:
        self._records = Records(directory / "instances", services, programs)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._bound: dict[str, set[int]] = {}

    async def prepare(self) -> None:
        """See `Runtime.prepare`."""
        self._records.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def refuses(self, configuration: Configuration) -> str:
        """See `Runtime.refuses`."""
        return refusal(configuration)

    async def start(self, id: str, function: str, configuration: Configuration, *, port: int) -> Running:
        """See `Runtime.start`."""
        running = Running(id, function, configuration, port, 0)
        try:
            self._records.write(running)
            output = self._records.output(id)
            try:
                child = subprocess.Popen(
                    self._records.command(function),
                    cwd=self._records.programs,
                    env=self._records.environment(running),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            finally:
                os.close(output)
            self._children[id] = child
            with suppress(ProcessLookupError):  # if it has ended, that is seen soon enough
                self._limit(id, child.pid, configuration, self._records.services[function].memory)
            return running._replace(pid=child.pid)
        except BaseException as error:
            await self.stop(id, grace=0.0)
            raise failure(error, self.name, f"start {id}") from None

    async def stop(self, id: str, *, grace: float) -> None:
        """See `Runtime.stop`."""
        deadline = time.monotonic() + grace
        for each in (signal.SIGCONT, signal.SIGTERM) if grace > 0.0 else ():
            _signal(_processes_of(id), each)
        while grace > 0.0 and self._left(id) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        deadline = time.monotonic() + _PATIENCE
        while left := self._left(id):
            if time.monotonic() >= deadline:
                raise PlatformError(f"processes {left} do not end", self.name, f"stop {id}")
            _signal(left, signal.SIGKILL)
            await asyncio.sleep(0.01)
        self._children.pop(id, None)
        self._bound.pop(id, None)
        self._records.remove(id)

    async def resize(self, id: str, configuration: Configuration) -> None:
        """See `Runtime.resize`."""
        raise PlatformError("a process keeps its cores", self.name, f"resize {id}", retryable=False)

    async def pause(self, id: str) -> None:
        """See `Runtime.pause`."""
        _signal(_processes_of(id), signal.SIGSTOP)

    async def resume(self, id: str) -> None:
        """See `Runtime.resume`."""
        _signal(_processes_of(id), signal.SIGCONT)

    async def found(self) -> list[Running]:
        """See `Runtime.found`."""
        kept = []
        for id in self._records.ids():
            pids = sorted(_processes_of(id))
            # The first process leads the session that was made for it.
            leader = next((pid for pid in pids if _is_leader(pid)), None)
            running = self._records.read(id, leader) if leader is not None else None
            if running is None:
                await self.stop(id, grace=0.0)
            else:
                _signal(set(pids), signal.SIGCONT)
                with suppress(ProcessLookupError):
                    self._bound[id] = os.sched_getaffinity(running.pid)
                kept.append(running)
        return kept

    async def remove_others(self, known: Collection[str]) -> None:
        """See `Runtime.remove_others`."""
        for id in self._records.ids():
            if id not in known:
                await self.stop(id, grace=0.0)

    def last_words(self, id: str) -> str:
        """See `Runtime.last_words`."""
        return self._records.last_line(id)[:200]

    def shorten_output(self) -> None:
        """See `Runtime.shorten_output`."""
        self._records.shorten_output()

    async def close(self) -> None:
        """See `Runtime.close`."""
        with suppress(OSError):
            self._records.directory.rmdir()

    def _limit(self, id: str, pid: int, configuration: Configuration, memory: int | None) -> None:
        processors = sorted(os.sched_getaffinity(0))
        used = {each: sum(each in bound for bound in self._bound.values()) for each in processors}
        least = sorted(processors, key=lambda each: used[each])[: math.ceil(configuration.size)]
        self._bound[id] = set(least)
        os.sched_setaffinity(pid, least)
        if configuration.size < 1.0:
            # One step of niceness is a quarter more or less of the time when processes compete.
            os.setpriority(os.PRIO_PROCESS, pid, min(19, round(-math.log(configuration.size, 1.25))))
        if memory is not None:
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory * 2**20, memory * 2**20))

    def _left(self, id: str) -> set[int]:
        pids = _processes_of(id)
        # A child that has ended has no variables any more, but is there until its parent has looked.
        if (child := self._children.get(id)) and child.poll() is None:
            pids.add(child.pid)
        return pids


def _processes_of(id: str) -> set[int]:
    """Return the processes of an instance: it and its children were given its id, which no others have."""
    mark = f"{INSTANCE}={id}".encode()
    return {pid for pid in _processes() if mark in _file(f"/proc/{pid}/environ").split(b"\0")}


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _is_leader(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
