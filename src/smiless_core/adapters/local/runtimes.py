"""What a node asks of whatever runs its instances: containers under `runc`, or plain processes.

Both keep a record of every instance on disk, written before it is started: a node that was killed finds what it had
started, by these records, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple, Protocol

from smiless_core.adapters.local.bundles import cpu_resources
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Configuration, Hardware

__all__ = ["Running", "Runtime", "ended", "failure", "refusal"]


class Running(NamedTuple):
    """One instance that has been started.

    Attributes
    ----------
    id, function : str
    configuration : Configuration
        What it runs on.
    port : int
        Where it listens, or will, on 127.0.0.1.
    pid : int
        Its first process, as the node sees it.
    """

    id: str
    function: str
    configuration: Configuration
    port: int
    pid: int


class Runtime(Protocol):
    """What starts and stops instances. All calls raise `PlatformError` when they fail."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def in_place_resize(self) -> bool:
        """Whether a running instance can be given more or fewer cores."""
        ...

    async def prepare(self) -> None:
        """Make what all instances share, and see that they can be run here at all."""
        ...

    def refuses(self, configuration: Configuration) -> str:
        """Return why no instance can run on this, empty if one can."""
        ...

    async def start(self, id: str, function: str, configuration: Configuration, *, port: int) -> Running:
        """Start an instance. It is not ready yet; if that fails, nothing is left of it."""
        ...

    async def stop(self, id: str, *, grace: float) -> None:
        """Ask an instance to end, end it after `grace` seconds, and leave nothing of it. It may have ended already."""
        ...

    async def resize(self, id: str, configuration: Configuration) -> None:
        """Give a running instance more or fewer cores."""
        ...

    async def pause(self, id: str) -> None:
        """Have an instance use no cores until it is resumed; it keeps its memory."""
        ...

    async def resume(self, id: str) -> None:
        """Let it go on."""
        ...

    async def found(self) -> list[Running]:
        """Return what is left of an earlier node and runs; what is left otherwise is removed."""
        ...

    async def remove_others(self, known: Collection[str]) -> None:
        """Remove what is left of instances that are not known: of starts and stops that were interrupted."""
        ...

    def last_words(self, id: str) -> str:
        """Return the last line that an instance has written, empty if there is none."""
        ...

    def shorten_output(self) -> None:
        """Drop what instances have written where that is more than 1 MiB."""
        ...

    async def close(self) -> None:
        """Remove what all instances shared."""
        ...


async def ended(pid: int) -> None:
    """Wait until a process has ended, be it a child or not; if it was a child, nothing is left of it."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    done = loop.create_future()
    try:
        loop.add_reader(descriptor, done.cancel)
        await asyncio.wait((done,))
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def refusal(configuration: Configuration) -> str:
    """Return why no instance can run on a configuration on this machine, empty if one can."""
    if configuration.hardware is not Hardware.CPU:
        return "local instances have no gpu"
    cores = len(os.sched_getaffinity(0))
    if configuration.size > cores:
        return f"this machine has {cores} core{'s' * (cores != 1)}"
    try:
        cpu_resources(configuration)
    except InvalidInputError as error:
        return str(error)
    return ""


def failure(error: BaseException, platform: str, doing: str) -> BaseException:
    """Return what to raise for something that went wrong: cancellation and our own errors as they are."""
    if isinstance(error, TimeoutError):
        return PlatformError("it took too long", platform, doing)
    if isinstance(error, OSError | ValueError) and not isinstance(error, InvalidInputError):
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return PlatformError(reason, platform, doing)
    return error
