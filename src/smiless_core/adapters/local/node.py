"""The node: the functions of one application on this machine, and its invocations."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from smiless_core.adapters.local.arrival_log import ArrivalLog
from smiless_core.adapters.local.calls import Calls, Content
from smiless_core.adapters.local.ledger import elapsed
from smiless_core.adapters.local.pool import Instance, Limits, Pool, UnservedError
from smiless_core.adapters.local.runtimes import Runtime
from smiless_core.adapters.local.wire import configuration_of, plain_configuration
from smiless_core.adapters.protocol import Arrived
from smiless_core.adapters.services import Service
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Application, Configuration
from smiless_core.placing import reason_of, replace_file

__all__ = ["Node"]

_LOGGER = logging.getLogger(__name__)

_BETWEEN_LOOKS = 10.0  # seconds
_ANNOUNCEMENTS = 10_000
_SAMPLES = 10_000


class Node:
    """The functions of one application, their instances, and what is known of their requests.

    Parameters
    ----------
    application : Application
    services : mapping of str to Service
        What its functions are: programs.
    runtime : Runtime
        What starts and stops instances.
    directory : Path
        Where it keeps what a restart needs; of this node alone.
    calls : Calls
        How instances are asked.
    limits : Limits, optional
    now : callable, default `time.time`
        What time it is, seconds since 1970.

    Raises
    ------
    InvalidInputError
        If a function has no program, or needs what there is not here; if another node has the directory.
    """

    def __init__(
        self,
        application: Application,
        services: Mapping[str, Service],
        *,
        runtime: Runtime,
        directory: Path,
        calls: Calls,
        limits: Limits | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.application = application
        self.limits = limits or Limits()
        self.runtime = runtime
        self.begun = now()
        self.invocations = {"answered": 0, "failed": 0, "within_sla": 0}
        self._responses: deque[float] = deque(maxlen=_SAMPLES)
        self._services = {name: services[name] for name in application.names}
        self._directory = directory
        self._calls = calls
        self._now = now
        self._serving: set[asyncio.Task[Content]] = set()
        self._announced: OrderedDict[str, set[str]] = OrderedDict()
        self._housekeeping: asyncio.Task[None] | None = None
        self._lock = _locked(directory)
        (directory / "arrivals").mkdir(mode=0o700, exist_ok=True)
        self._logs = {name: ArrivalLog(directory / "arrivals" / name) for name in application.names}
        ports: set[int] = set()
        self.pools = {
            name: Pool(name, runtime=runtime, limits=self.limits, answers=self._ready, ports=ports)
            for name in application.names
        }

    async def open(self) -> None:
        """Make ready, and take over what an earlier node of this directory has left: it removes what it cannot use."""
        await self.runtime.prepare()
        for name, configuration in self._deployed().items():
            self.pools[name].configuration = configuration
        for running in await self.runtime.found():
            self.pools[running.function].adopt(running)
        self._housekeeping = asyncio.ensure_future(self._keep_house())

    async def close(self, *, patience: float) -> None:
        """Finish what is being served, within `patience` seconds, and stop all instances."""
        deadline = elapsed() + patience
        while any(pool.in_flight for pool in self.pools.values()) and elapsed() < deadline:
            await asyncio.sleep(0.02)
        if self._housekeeping:
            self._housekeeping.cancel()
        await asyncio.gather(*(pool.close() for pool in self.pools.values()))
        await self.runtime.close()
        for log in self._logs.values():
            log.close()
        os.close(self._lock)

    # --- what a controller asks for -------------------------------------------------------------------------------

    def pool(self, function: str) -> Pool:
        """Return the instances of a function.

        Raises
        ------
        InvalidInputError
            If there is no such function.
        """
        try:
            return self.pools[function]
        except KeyError:
            raise InvalidInputError.unknown("function", function, self.pools) from None

    def deploy(self, function: str, configuration: Configuration, *, replicas: int) -> str:
        """Have a function run on a configuration; return why it cannot, empty if it can."""
        pool = self.pool(function)
        if reason := self.runtime.refuses(configuration):
            return reason
        changed = configuration != pool.configuration
        pool.deploy(configuration, replicas=replicas)
        if changed:
            self._write_deployed()
        return ""

    def arrivals(self, function: str, *, since: str) -> Arrived:
        """Return the requests of a function since a cursor."""
        self.pool(function)
        return self._logs[function].since(since)

    def statistics(self) -> dict[str, Any]:
        """Return all that was measured, as plain data."""
        return {
            "begun": self.begun,
            "invocations": {**self.invocations, "responses": list(self._responses)},
            "functions": {name: pool.ledger.statistics(pool.running()) for name, pool in self.pools.items()},
        }

    # --- requests -------------------------------------------------------------------------------------------------

    def announce(self) -> str:
        """Note that an invocation begins, whose requests may come later; return what they are to carry."""
        token = secrets.token_hex(8)
        names = {self.application.names[index] for index in self.application.sources}
        for name in names:
            self._arrived(name)
        self._announced[token] = names
        while len(self._announced) > _ANNOUNCEMENTS:
            self._announced.popitem(last=False)
        return token

    async def call(self, function: str, content: Content, *, announced: str = "") -> Content:
        """Have a function serve one request.

        Parameters
        ----------
        function : str
        content : Content
            What it is sent.
        announced : str, optional
            What `announce` returned, if that was called for this invocation.

        Returns
        -------
        Content
            What it answers.

        Raises
        ------
        UnservedError
            If it does not.
        """
        pool, begun = self.pool(function), elapsed()
        names = self._announced.get(announced, set())
        if function in names:
            names.remove(function)  # its next request is another one
            if not names:
                del self._announced[announced]
        else:
            self._arrived(function)
        try:
            instance = await pool.take()
        except UnservedError:
            pool.ledger.count("failed")
            raise
        except asyncio.CancelledError:
            pool.ledger.count("cancelled")
            raise
        # What it was sent an instance goes on with, whether or not anybody waits for the answer, and is busy meanwhile.
        serving = asyncio.ensure_future(self._serve(pool, instance, content, begun))
        self._serving.add(serving)
        serving.add_done_callback(self._served)
        return await asyncio.shield(serving)

    async def invoke(self, content: Content, *, announced: str = "") -> Content:
        """Have the whole application serve one invocation.

        Each function is sent its request when all its predecessors have answered: what its only predecessor answered,
        or a JSON object of the answers by function if there are several. Those without predecessors are sent the
        content. The answer is that of the last function, or such an object of those of the last ones.

        Raises
        ------
        UnservedError
            If a function does not serve it.
        """
        begun, graph = elapsed(), self.application
        steps: dict[int, asyncio.Task[Content]] = {}
        for index in graph.order:
            before = {graph.names[each]: steps[each] for each in graph.predecessors[index]}
            steps[index] = asyncio.ensure_future(self._step(graph.names[index], before, content, announced))
        answers = dict(zip(steps, await asyncio.gather(*steps.values(), return_exceptions=True), strict=True))
        for answer in answers.values():
            if isinstance(answer, BaseException):
                self.invocations["failed"] += 1
                raise answer
        response = elapsed() - begun
        self.invocations["answered"] += 1
        self.invocations["within_sla"] += response <= graph.sla
        self._responses.append(response)
        return _joined({graph.names[index]: steps[index].result() for index in graph.sinks})

    async def _serve(self, pool: Pool, instance: Instance, content: Content, begun: float) -> Content:
        configuration, taken = instance.configuration, elapsed()
        try:
            answer = await self._calls.send(self._services[pool.name], instance.port, content)
            if answer.status >= 500:
                pool.ledger.count("failed")
            else:
                end = elapsed()
                pool.ledger.answered(configuration, service=end - taken, response=end - begun)
            return answer
        except UnservedError as error:
            pool.ledger.count("failed")
            if error.status == 504:
                pool.give_up(instance, error.reason)
            raise UnservedError(error.status, f"{pool.name}: {error.reason}") from None
        finally:
            pool.release(instance)

    def _served(self, serving: asyncio.Task[Content]) -> None:
        self._serving.discard(serving)
        if not serving.cancelled():
            serving.exception()  # seen, even if nobody waits for it any more

    async def _step(
        self, function: str, before: Mapping[str, asyncio.Task[Content]], content: Content, announced: str
    ) -> Content:
        given = {name: await task for name, task in before.items()}
        answer = await self.call(function, _joined(given) if given else content, announced=announced)
        if answer.status >= 400:
            raise UnservedError(502, f"{function} answered {answer.status}")
        return answer

    def _arrived(self, function: str) -> None:
        self._logs[function].add(self._now())
        self.pools[function].ledger.count("arrivals")

    # --- what a restart needs -------------------------------------------------------------------------------------

    def _deployed(self) -> dict[str, Configuration]:
        try:
            data = json.loads((self._directory / "deployed.json").read_bytes())
            return {name: configuration_of(data[name]) for name in self.pools if name in data}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError):
            raise PlatformError(f"{self._directory / 'deployed.json'} cannot be read", "local") from None

    def _write_deployed(self) -> None:
        data = {
            name: plain_configuration(pool.configuration) for name, pool in self.pools.items() if pool.configuration
        }
        try:
            replace_file(self._directory / "deployed.json", json.dumps(data).encode())
        except OSError as error:
            raise PlatformError(f"{self._directory} cannot be written: {reason_of(error)}", "local") from None

    async def _ready(self, function: str, port: int) -> bool:
        return await self._calls.ready(self._services[function], port)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_BETWEEN_LOOKS)
            self.runtime.shorten_output()
            try:
                await self.runtime.remove_others(set[str]().union(*(pool.ids for pool in self.pools.values())))
            except PlatformError as error:
                _LOGGER.warning("%s", error)


def _joined(answers: Mapping[str, Content]) -> Content:
    """Return the only content, or a JSON object of several: JSON as it is, other text as text."""
    contents: Sequence[Content] = tuple(answers.values())
    if len(contents) == 1:
        return contents[0]
    values = {}
    for name, each in answers.items():
        try:
            text = each.body.decode()
        except UnicodeDecodeError:
            raise UnservedError(502, f"{name} answered neither JSON nor text, which cannot be joined") from None
        values[name] = text
        if "json" in each.headers.get("Content-Type", ""):
            with suppress(ValueError):
                values[name] = json.loads(text)
    return Content(json.dumps(values).encode(), {"Content-Type": "application/json"})


def _locked(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInputError(f"cannot be used: {reason_of(error)}", file=str(directory)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InvalidInputError("another node runs here", file=str(directory)) from None
    return lock
