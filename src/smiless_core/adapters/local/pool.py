"""The instances of one function: which of them serves, when one is started, and when one ends."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from smiless_core.adapters.local.ledger import Doing, Ledger, elapsed
from smiless_core.adapters.local.runtimes import Running, Runtime, ended
from smiless_core.errors import PlatformError, SmilessError
from smiless_core.model import Configuration

__all__ = ["Instance", "Limits", "Pool", "UnservedError"]

_LOGGER = logging.getLogger(__name__)

_PORTS = range(20_000, 32_000)  # below those that the kernel gives to connections


class Limits(NamedTuple):
    """What a node keeps to.

    Attributes
    ----------
    replicas : int
        The most instances of one function and configuration.
    waiting : int
        The most requests of one function that wait for an instance.
    patience : float
        Seconds that a request waits for an instance.
    start : float
        Seconds within which an instance is ready, or it has failed.
    grace : float
        Seconds that an instance is given to end by itself.
    """

    replicas: int = 16
    waiting: int = 1000
    patience: float = 60.0
    start: float = 120.0
    grace: float = 2.0


class UnservedError(Exception):
    """A request that gets no answer of an instance.

    Parameters
    ----------
    status : int
        What HTTP calls it.
    reason : str
        One line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


class Instance:
    """One instance, from before its start to after its end."""

    __slots__ = (
        "begun",
        "configuration",
        "ending",
        "fixed",
        "id",
        "port",
        "ready",
        "resizing",
        "serving",
        "since",
        "started",
        "used",
        "watch",
    )

    def __init__(self, id: str, configuration: Configuration, port: int, now: float) -> None:
        self.id = id
        self.configuration = configuration
        self.port = port
        self.begun = self.since = now
        self.used = 0  # when it was ready or finished last: the greater, the later
        self.serving = 0
        self.ready = self.ending = self.resizing = False
        self.fixed = False  # whether a resize has failed
        self.started: asyncio.Task[Running] | None = None
        self.watch: asyncio.Task[None] | None = None

    @property
    def doing(self) -> Doing:
        """What it is doing."""
        if not self.ready:
            return Doing.INITIALIZING
        return Doing.BUSY if self.serving else Doing.IDLE


class Pool:
    """The instances of one function.

    A request takes the idle instance that served last; else it waits, first in first out. There are instances
    initializing for all that wait, within the limit. An instance with a batch above 1 takes so many that wait at once,
    and none while it serves. After a change of the configuration, instances are resized where the runtime can do that:
    one that serves only after its service, if it is to shrink. Where it cannot, those of the old configuration serve
    until enough of the new one are ready, and end when they are idle.

    Parameters
    ----------
    name : str
        The function.
    runtime : Runtime
    limits : Limits
    answers : callable
        Tells whether the instance at a port is ready.
    ports : set of int
        Those of all instances of the node; this pool puts its own there.
    """

    def __init__(
        self,
        name: str,
        *,
        runtime: Runtime,
        limits: Limits,
        answers: Callable[[str, int], Awaitable[bool]],
        ports: set[int],
    ) -> None:
        self.name = name
        self.configuration: Configuration | None = None
        self.ledger = Ledger()
        self.trouble = ""
        self._runtime = runtime
        self._limits = limits
        self._answers = answers
        self._ports = ports
        self._instances: dict[str, Instance] = {}
        self._waiting: deque[asyncio.Future[Instance]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._needed = 0  # instances of the configuration, before those of earlier ones end
        self._uses = 0
        self._closing = False

    # --- what is there --------------------------------------------------------------------------------------------

    @property
    def kept(self) -> int:
        """Instances of the configuration, and those that become such by a resize."""
        return len(self._kept())

    @property
    def ready(self) -> int:
        """Instances of the configuration that can serve."""
        return sum(each.ready for each in self._current())

    @property
    def in_flight(self) -> int:
        """Requests that wait or are served."""
        return len(self._waiting) + sum(each.serving for each in self._instances.values())

    @property
    def ids(self) -> set[str]:
        """All instances that are there in any way."""
        return set(self._instances)

    def running(self) -> list[tuple[Configuration, Doing, float]]:
        """Return what each instance has been doing since the ledger was told last."""
        now = elapsed()
        return [(each.configuration, each.doing, now - each.since) for each in self._instances.values()]

    # --- what is wanted -------------------------------------------------------------------------------------------

    def deploy(self, configuration: Configuration, *, replicas: int) -> None:
        """Have instances run on a configuration, with so many before those of others end."""
        if configuration != self.configuration:
            self.configuration = configuration
            self._needed = min(replicas, self._limits.replicas)
        self.warm(replicas)

    def warm(self, replicas: int) -> None:
        """Have at least so many instances, within the limit."""
        for _ in range(min(replicas, self._limits.replicas) - self.kept):
            self._start()
        self._settle()

    def retire(self, replicas: int) -> None:
        """Let instances go until so many are left, but none that serves, or that a request waits for."""
        self._needed = min(self._needed, replicas)
        kept = self._kept()
        starting = [each for each in kept if not each.ready]
        spared = -(-len(self._waiting) // self.configuration.batch) if self.configuration else 0
        # The last first: the others are ready sooner.
        spare = sorted(starting, key=lambda each: each.begun, reverse=True)[: max(len(starting) - spared, 0)]
        spare += sorted((each for each in kept if each.ready and not each.serving), key=lambda each: each.used)
        for each in spare[: max(len(kept) - replicas, 0)]:
            self._end(each)
        self._settle()

    def adopt(self, running: Running) -> None:
        """Take over an instance that an earlier node has started."""

        async def there() -> Running:
            return running

        instance = Instance(running.id, running.configuration, running.port, elapsed())
        self._begin(instance, asyncio.ensure_future(there()), cold=False)

    async def close(self) -> None:
        """Let all instances go; nothing is to be served any more."""
        self._closing = True
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(UnservedError(503, f"{self.name}: the node is ending"))
        self._waiting.clear()
        for each in list(self._instances.values()):
            self._end(each)
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    # --- requests -------------------------------------------------------------------------------------------------

    def give_up(self, instance: Instance, reason: str) -> None:
        """End an instance that serves, since it is not going to answer."""
        self._failed(instance, PlatformError(reason, self._runtime.name))

    async def take(self) -> Instance:
        """Return an instance that can serve one request, once there is one; it is to be released.

        Raises
        ------
        UnservedError
            If there will be none.
        """
        if self.configuration is None:
            raise UnservedError(503, f"{self.name}: nothing is deployed")
        if self._closing or len(self._waiting) >= self._limits.waiting:
            raise UnservedError(503, f"{self.name}: {len(self._waiting)} requests wait already")
        turn: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._settle()
        try:
            async with asyncio.timeout(self._limits.patience):
                return await turn
        except BaseException as error:
            with suppress(ValueError):
                self._waiting.remove(turn)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            if isinstance(error, TimeoutError):
                raise UnservedError(504, f"{self.name}: no instance within {self._limits.patience:g} s") from None
            raise

    def release(self, instance: Instance) -> None:
        """Give it back: it has served the request."""
        self._note(instance)
        instance.serving -= 1
        self._uses += 1
        instance.used = self._uses
        self._settle()

    # --- deciding -------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Do what follows from what is there and what is wanted; called after every change."""
        if self._closing:
            return
        for each in [each for each in self._instances.values() if self._to_resize(each)]:
            self._resize(each)
        if self.ready >= self._needed:
            self._needed = 0
        while self._waiting and (free := self._free()):
            for _ in range(min(free.configuration.batch, len(self._waiting))):
                turn = self._waiting.popleft()
                if not turn.done():
                    self._note(free)
                    free.serving += 1
                    turn.set_result(free)
        room = sum(each.configuration.batch for each in self._kept() if not each.ready)
        while room < len(self._waiting) and self.kept < self._limits.replicas and self.configuration:
            self.ledger.count("cold_starts")
            self._start()
            room += self.configuration.batch
        if not self._needed:
            for each in [each for each in self._instances.values() if not each.serving and not self._wanted(each)]:
                self._end(each)

    def _free(self) -> Instance | None:
        able = [
            each
            for each in self._instances.values()
            if each.ready and not each.serving and not each.ending and (self._needed or self._wanted(each))
        ]
        return max(able, key=lambda each: (each.configuration == self.configuration, each.used), default=None)

    def _wanted(self, instance: Instance) -> bool:
        """Tell whether an instance is of the configuration, or becomes so by a resize."""
        wanted, has = self.configuration, instance.configuration
        if has == wanted:
            return True
        resizable = self._runtime.in_place_resize and not instance.fixed
        return wanted is not None and resizable and (has.hardware, has.batch) == (wanted.hardware, wanted.batch)

    def _to_resize(self, instance: Instance) -> bool:
        wanted, has = self.configuration, instance.configuration
        if wanted is None or has == wanted or instance.resizing or instance.ending or not self._wanted(instance):
            return False
        if instance.started is None or not instance.started.done():
            return False
        return has.size < wanted.size or not instance.serving

    def _kept(self) -> list[Instance]:
        return [each for each in self._instances.values() if not each.ending and self._wanted(each)]

    def _current(self) -> list[Instance]:
        return [
            each for each in self._instances.values() if not each.ending and each.configuration == self.configuration
        ]

    # --- doing ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.configuration is None or self._closing:
            return
        instance = Instance(f"{self.name}-{secrets.token_hex(4)}", self.configuration, self._free_port(), elapsed())
        self.ledger.count("starts")
        start = self._runtime.start(instance.id, self.name, instance.configuration, port=instance.port)
        self._begin(instance, asyncio.ensure_future(start), cold=True)

    def _begin(self, instance: Instance, started: asyncio.Task[Running], *, cold: bool) -> None:
        self._instances[instance.id] = instance
        self._ports.add(instance.port)
        instance.started = started
        instance.watch = asyncio.ensure_future(self._watch(instance, cold=cold))
        self._keep(instance.watch)

    async def _watch(self, instance: Instance, *, cold: bool) -> None:
        """See an instance through its life, until it ends by itself or is ended."""
        assert instance.started is not None
        try:
            running = await asyncio.shield(instance.started)
            gone = asyncio.ensure_future(ended(running.pid))
            try:
                begins = asyncio.ensure_future(self._until_ready(instance))
                try:
                    await asyncio.wait((gone, begins), return_when=asyncio.FIRST_COMPLETED)
                    if begins.done():
                        begins.result()
                    else:
                        raise PlatformError("it ended before it was ready", self._runtime.name)
                finally:
                    begins.cancel()
                self._note(instance)
                instance.ready = True
                if cold:
                    self.ledger.cold_start(instance.configuration, elapsed() - instance.begun)
                self._uses += 1
                instance.used = self._uses
                self._settle()
                await gone
                raise PlatformError("it ended by itself", self._runtime.name)
            finally:
                gone.cancel()
        except SmilessError as error:
            self._failed(instance, error)

    async def _until_ready(self, instance: Instance) -> None:
        pause, deadline = 0.005, instance.begun + self._limits.start
        while not await self._answers(self.name, instance.port):
            if elapsed() > deadline:
                raise PlatformError(f"it was not ready within {self._limits.start:g} s", self._runtime.name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _failed(self, instance: Instance, error: SmilessError) -> None:
        if instance.ending or self._closing:
            return
        words = self._runtime.last_words(instance.id)
        self._complain(f"{instance.id}: {error}{f': {words}' if words else ''}")
        self.ledger.count("crashes")
        served = instance.ready
        self._end(instance)
        if not served:
            # Those that would have got it are told, or a program that cannot start would be started for ever.
            for _ in range(min(instance.configuration.batch, len(self._waiting))):
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_exception(UnservedError(502, f"{self.name}: {self.trouble}"))
        self._settle()

    def _end(self, instance: Instance) -> None:
        if not instance.ending:
            instance.ending = True
            self.ledger.count("stops")
            self._keep(asyncio.ensure_future(self._stop(instance)))

    async def _stop(self, instance: Instance) -> None:
        if instance.watch:
            instance.watch.cancel()
        if instance.started:  # what is being started cannot be stopped yet
            await asyncio.gather(instance.started, return_exceptions=True)
        for pause in (0.1, 1.0, 0.0):
            try:
                await self._runtime.stop(instance.id, grace=self._limits.grace)
                break
            except PlatformError as error:
                self._complain(f"{instance.id}: {error}")
                await asyncio.sleep(pause)
        self._note(instance)
        del self._instances[instance.id]
        self._ports.discard(instance.port)
        self._settle()

    def _resize(self, instance: Instance) -> None:
        assert self.configuration is not None
        instance.resizing = True
        self._keep(asyncio.ensure_future(self._become(instance, self.configuration)))

    async def _become(self, instance: Instance, configuration: Configuration) -> None:
        try:
            await self._runtime.resize(instance.id, configuration)
            self.ledger.count("resizes")
            self._note(instance)
            instance.configuration = configuration
        except PlatformError as error:
            if not instance.ending:
                self._complain(f"{instance.id}: {error}")
                instance.fixed = True
        finally:
            instance.resizing = False
        self._settle()

    def _note(self, instance: Instance) -> None:
        """Tell the ledger what an instance did until now; before anything of it changes."""
        if instance.id not in self._instances:  # it has ended before its request did
            return
        now = elapsed()
        self.ledger.spent(instance.configuration, instance.doing, now - instance.since)
        instance.since = now

    def _free_port(self) -> int:
        for _ in range(100):
            port = random.choice(_PORTS)
            with suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                if port not in self._ports:
                    return port
        return 0  # such an instance will not be ready, and says so

    def _complain(self, trouble: str) -> None:
        self.trouble = trouble
        _LOGGER.warning("%s", trouble)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
