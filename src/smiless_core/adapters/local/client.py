"""The platform of this machine, as a controller sees it: a client of a node, and how to start one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec

from smiless_core.adapters.local.wire import configuration_of, plain_configuration
from smiless_core.adapters.protocol import ArrivalsSource, Arrived, Capabilities, Observed, Outcome, Warmth
from smiless_core.adapters.services import Service
from smiless_core.errors import InvalidInputError, MissingExtraError, PlatformError
from smiless_core.model import Application, Configuration
from smiless_core.placing import place_file
from smiless_core.validation import flag, numbers, text, whole_number

try:
    import aiohttp
except ImportError:
    raise MissingExtraError("local", "running functions on this machine") from None

__all__ = ["Local", "running_node"]

_LARGEST_ANSWER = 2**20
_LARGEST_STATISTICS = 64 * 2**20
_POLL = 0.02  # seconds
_CONNECT = 2.0  # seconds
_READ = 10.0  # seconds


class Local:
    """A node on this machine.

    Parameters
    ----------
    address : str
        What the node has printed: ``http://127.0.0.1:<port>`` or ``unix:<path>``.
    now : callable, default `time.time`
        What time it is, seconds since 1970.

    Raises
    ------
    InvalidInputError
        If it is no such address.
    """

    def __init__(self, address: str, *, now: Callable[[], float] = time.time) -> None:
        self.address = address
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        if address.startswith("unix:/"):
            self._base = "http://node"
        elif address.startswith(("http://127.0.0.1:", "http://[::1]:")) and address.rpartition(":")[2].isdigit():
            self._base = address
        else:
            raise InvalidInputError(
                f"expected http://127.0.0.1:<port> or unix:<path>, got {address!r}", place="address"
            )

    @property
    def name(self) -> str:
        """What messages call it."""
        return "local"

    async def capabilities(self) -> Capabilities:
        """See `Platform.capabilities`."""
        told = await self._ask("GET", "/capabilities", "capabilities")
        with _sense("capabilities"):
            return Capabilities(
                max_replicas=whole_number(told["max_replicas"], "max_replicas", at_least=1),
                in_place_resize=flag(told["in_place_resize"], "in_place_resize"),
                arrivals_source=ArrivalsSource.ANNOUNCED,
            )

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """See `Platform.apply`."""
        doing = f"apply {function}"
        asked = {
            "function": function,
            "configuration": plain_configuration(configuration),
            "replicas": replicas,
        }
        told = await self._ask("POST", "/apply", doing, given=asked)
        return await self._wait(function, told, replicas, by, doing)

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """See `Platform.warm`."""
        doing = f"warm {function}"
        told = await self._ask("POST", "/warm", doing, given={"function": function, "replicas": replicas})
        return await self._wait(function, told, replicas, by, doing)

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """See `Platform.retire`."""
        doing = f"retire {function}"
        told = await self._ask("POST", "/retire", doing, given={"function": function, "replicas": replicas})
        return Warmth(Outcome.READY, _observed(told, doing).ready)

    async def observe(self, function: str) -> Observed:
        """See `Platform.observe`."""
        doing = f"observe {function}"
        return _observed(await self._ask("GET", "/observe", doing, query={"function": function}), doing)

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """See `Platform.arrivals`."""
        doing = f"arrivals {function}"
        told = await self._ask("GET", "/arrivals", doing, query={"function": function, "since": since})
        with _sense(doing):
            times = numbers(told["times"], "times")
            if any(later < sooner for sooner, later in pairwise(times)):
                raise InvalidInputError("they do not ascend", place="times")
            return Arrived(times, text(told["cursor"], "cursor"), whole_number(told["lost"], "lost", at_least=0))

    async def close(self) -> None:
        """See `Platform.close`."""
        if self._session:
            await self._session.close()
            self._session = None

    # --- beyond the protocol --------------------------------------------------------------------------------------

    async def announce(self) -> str:
        """Tell that an invocation begins, whose requests may come later.

        Returns
        -------
        str
            What its requests are to carry in the header ``Smiless-Announced``, so that they do not count again.
        """
        told = await self._ask("POST", "/announce", "announce", given={})
        with _sense("announce"):
            return text(told["announced"], "announced")

    async def statistics(self) -> dict[str, Any]:
        """Return what the node has measured since it was started.

        Returns
        -------
        dict
            ``invocations``: ``answered``, ``failed``, ``within_sla`` and ``responses`` in seconds. ``functions``: of
            each the ``counts``, the ``responses``, and by configuration the ``instance_seconds`` (initializing, busy,
            idle), the ``cold_starts`` and the ``services`` in seconds.
        """
        return dict(await self._ask("GET", "/statistics", "statistics", largest=_LARGEST_STATISTICS))

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _wait(self, function: str, told: Mapping[str, Any], replicas: int, by: float, doing: str) -> Warmth:
        """Look until so many are ready, or will not be."""
        with _sense(doing):
            crashes = whole_number(told["crashes"], "crashes", at_least=0)
        while True:
            seen = _observed(told, doing)
            with _sense(doing):
                most = whole_number(told["most"], "most", at_least=1)
                failed = whole_number(told["crashes"], "crashes", at_least=0) > crashes
                trouble = str(told["trouble"])
                if reason := str(told.get("unsupported") or ""):
                    return Warmth(Outcome.UNSUPPORTED, seen.ready, reason)
            if most < replicas:
                return Warmth(Outcome.CLAMPED, seen.ready, f"it keeps at most {most}")
            if seen.ready >= replicas:
                return Warmth(Outcome.READY, seen.ready)
            if (left := by - self._now()) <= 0.0 or (failed and seen.wanted < replicas):
                return Warmth(Outcome.LATE, seen.ready, trouble if failed else "")
            await asyncio.sleep(min(_POLL, left))
            told = await self._ask("GET", "/observe", doing, query={"function": function})

    async def _ask(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        query: Mapping[str, str] | None = None,
        given: Mapping[str, object] | None = None,
        largest: int = _LARGEST_ANSWER,
    ) -> Mapping[str, Any]:
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(self.address.removeprefix("unix:"), force_close=True)
                if self.address.startswith("unix:")
                else aiohttp.TCPConnector(force_close=True)
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=_READ, connect=_CONNECT),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._session.request(
                method,
                self._base + path,
                params=query,
                json=given,
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_chunked(65_536):
                    body += piece
                    if len(body) > largest:
                        raise PlatformError(f"it answers more than {largest} bytes", self.name, doing)
                status = response.status
        except TimeoutError:
            raise PlatformError("it does not answer in time", self.name, doing) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise PlatformError(f"it cannot be reached: {reason}", self.name, doing) from None
        try:
            told = json.loads(bytes(body))
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise PlatformError(f"it answers {status} and something else than a JSON object", self.name, doing)
        if status < 300:
            return told
        reason = str(told.get("error", f"it answers {status}"))[:500]
        if status in (400, 404):
            raise InvalidInputError(reason)
        raise PlatformError(reason, self.name, doing, retryable=status != 409)


@asynccontextmanager
async def running_node(
    application: Application,
    services: Mapping[str, Service],
    *,
    directory: str | os.PathLike[str],
    runtime: Literal["runc", "processes"] = "runc",
    programs: str | os.PathLike[str] = ".",
    listen: str = "127.0.0.1:0",
    options: Sequence[str] = (),
) -> AsyncIterator[str]:
    """Run a node in a process of its own, and stop it at the end.

    Parameters
    ----------
    application : Application
    services : mapping of str to Service
        What its functions are: programs.
    directory : path-like
        Where the node keeps what a restart needs; of this node alone.
    runtime : {"runc", "processes"}, default "runc"
        What instances are.
    programs : path-like, default "."
        The directory of the programs.
    listen : str, default "127.0.0.1:0"
        Where it listens: an address of this machine, or ``unix:<path>``.
    options : sequence of str, optional
        Further options of ``python -m smiless_core.adapters.local``.

    Yields
    ------
    str
        Its address, for `Local`.

    Raises
    ------
    PlatformError
        If it does not start; the error says why.
    """
    place = Path(directory).absolute()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {"application": msgspec.to_builtins(application), "services": {"services": _plain(services)}}
    for name, document in files.items():
        place_file(place / f"{name}.json", msgspec.json.encode(document))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "smiless_core.adapters.local"),
        *("--application", str(place / "application.json"), "--services", str(place / "services.json")),
        *("--programs", str(Path(programs).absolute()), "--directory", str(place)),
        *("--runtime", runtime, "--listen", listen, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, who stop it
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if not (address := (await process.stdout.readline()).decode().strip()):
            said = (await process.stderr.read(4096)).decode(errors="replace").strip().splitlines()
            reason = said[-1].removeprefix("error: ") if said else "it ends without a word"
            raise PlatformError(reason, "local", "start a node", retryable=False)
        telling = asyncio.ensure_future(_tell(process.stderr))
        try:
            yield address
        finally:
            telling.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.shield(asyncio.ensure_future(_ended(process)))


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.communicate(), 60.0)
    except TimeoutError:
        process.kill()
        await process.communicate()


async def _tell(lines: asyncio.StreamReader) -> None:
    """Pass on what a node says, so that it never waits for a reader."""
    while line := await lines.readline():
        sys.stderr.write(line.decode(errors="replace"))


def _plain(services: Mapping[str, Service]) -> dict[str, Any]:
    return {
        name: {**{key: getattr(each, key) for key in each.__struct_fields__}, "environment": dict(each.environment)}
        for name, each in services.items()
    }


def _observed(told: Mapping[str, Any], doing: str) -> Observed:
    with _sense(doing):
        fields = told["configuration"]
        configuration = None
        if fields is not None:
            configuration = configuration_of(fields)
        wanted, ready, in_flight = (
            whole_number(told[each], each, at_least=0) for each in ("wanted", "ready", "in_flight")
        )
        return Observed(configuration, wanted, ready, in_flight)


@contextmanager
def _sense(doing: str) -> Iterator[None]:
    """Say that an answer makes no sense where it does not."""
    try:
        yield
    except InvalidInputError as error:
        raise PlatformError(f"its answer makes no sense: {error}", "local", doing) from None
    except KeyError as error:
        raise PlatformError(f"its answer lacks {error.args[0]!r}", "local", doing) from None
