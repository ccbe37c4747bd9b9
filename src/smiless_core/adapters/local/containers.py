"""Instances that are containers under `runc`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from smiless_core.adapters.local.bundles import Root, bundle, cpu_resources, program
from smiless_core.adapters.local.records import Records
from smiless_core.adapters.local.runtimes import Running, ended, failure, refusal
from smiless_core.adapters.services import Service
from smiless_core.errors import PlatformError
from smiless_core.model import Configuration

__all__ = ["Runc"]

_PATIENCE = 30.0  # seconds for one command of runc


class Runc:
    """Containers under `runc`: own processes, mounts and names, the host's network; cores and memory are limits.

    Parameters
    ----------
    directory : Path
        Where they are kept, of this node alone.
    services : mapping of str to Service
        What instances run.
    programs : Path
        The directory of the programs; instances run in it, and can read it.
    readable : iterable of Path, optional
        Further directories that instances may read.

    Raises
    ------
    InvalidInputError
        If a program is not there.
    """

    name = "runc"
    in_place_resize = True

    def __init__(
        self, directory: Path, services: Mapping[str, Service], programs: Path, readable: Collection[Path] = ()
    ) -> None:
        self._records = Records(directory / "instances", services, programs)
        self._state = directory / "runc"
        files = [program(service.command[0], programs) for service in services.values()]
        self._root = Root(directory / "root", files, (programs, *readable))

    async def prepare(self) -> None:
        """See `Runtime.prepare`."""
        self._records.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() != 0:
            raise PlatformError("containers need the rights of root here", self.name, retryable=False)
        if shutil.which(self.name) is None:
            raise PlatformError("there is no program runc", self.name, retryable=False)
        try:
            self._root.make()
        except OSError as error:
            raise PlatformError(f"no root can be made: {error.strerror}", self.name, retryable=False) from None

    def refuses(self, configuration: Configuration) -> str:
        """See `Runtime.refuses`."""
        return refusal(configuration)

    async def start(self, id: str, function: str, configuration: Configuration, *, port: int) -> Running:
        """See `Runtime.start`."""
        records = self._records
        running = Running(id, function, configuration, port, 0)
        service = records.services[function]
        try:
            records.write(running)
            config = bundle(
                self._root,
                id=id,
                command=records.command(function),
                environment=records.environment(running),
                directory=records.programs,
                configuration=configuration,
                memory=service.memory,
            )
            (records[id] / "config.json").write_text(json.dumps(config))
            output = records.output(id)
            try:
                pid_file = str(records[id] / "pid")
                await self._runc(
                    "run", "--detach", "--bundle", str(records[id]), "--pid-file", pid_file, id, output=output
                )
            finally:
                os.close(output)
            return running._replace(pid=int(Path(pid_file).read_text()))
        except BaseException as error:
            await self._remove(id)
            raise failure(error, self.name, f"start {id}") from None

    async def stop(self, id: str, *, grace: float) -> None:
        """See `Runtime.stop`."""
        state = await self._look(id)
        pid = state.get("pid", 0) if state.get("status") in ("running", "paused") else 0
        # Watched all the while: a container's first process may be left to us, and is there until we have looked.
        gone = asyncio.ensure_future(ended(pid)) if pid else None
        try:
            if gone and state["status"] == "running" and grace > 0.0:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                await asyncio.wait((gone,), timeout=grace)
            await self._remove(id)
            if gone:
                await asyncio.wait((gone,), timeout=_PATIENCE)
        finally:
            if gone:
                gone.cancel()

    async def resize(self, id: str, configuration: Configuration) -> None:
        """See `Runtime.resize`."""
        running = self._records.read(id, 0)
        if running is None:
            raise PlatformError("there is no such instance", self.name, f"resize {id}", retryable=False)
        said = json.dumps({"cpu": cpu_resources(configuration)}).encode()
        # First the record: after a crash in between, the instance is known as what it was to become.
        self._records.write(running._replace(configuration=configuration))
        await self._runc("update", "--resources", "-", id, given=said)

    async def pause(self, id: str) -> None:
        """See `Runtime.pause`."""
        await self._runc("pause", id)

    async def resume(self, id: str) -> None:
        """See `Runtime.resume`."""
        await self._runc("resume", id)

    async def found(self) -> list[Running]:
        """See `Runtime.found`."""
        kept = []
        for id in self._left():
            state = await self._look(id)
            running = self._records.read(id, state.get("pid", 0)) if state.get("status") == "running" else None
            try:
                if running is not None:
                    # A node may have been killed between the record of a resize and the resize.
                    await self.resize(id, running.configuration)
                    kept.append(running)
                    continue
            except PlatformError:  # it has ended meanwhile
                pass
            await self._remove(id)
        return kept

    async def remove_others(self, known: Collection[str]) -> None:
        """See `Runtime.remove_others`."""
        for id in self._left():
            if id not in known:
                await self._remove(id)

    def last_words(self, id: str) -> str:
        """See `Runtime.last_words`."""
        return self._records.last_line(id)[:200]

    def shorten_output(self) -> None:
        """See `Runtime.shorten_output`."""
        self._records.shorten_output()

    async def close(self) -> None:
        """See `Runtime.close`."""
        self._root.remove()
        for directory in (self._state, self._records.directory):
            with suppress(OSError):
                directory.rmdir()

    def _left(self) -> list[str]:
        containers = sorted(each.name for each in self._state.iterdir()) if self._state.exists() else []
        return list(dict.fromkeys((*self._records.ids(), *containers)))

    async def _look(self, id: str) -> dict[str, Any]:
        try:
            state = json.loads(await self._runc("state", id))
        except (PlatformError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    async def _remove(self, id: str) -> None:
        # Ends it if it runs, even if it is paused; one that is not there is no error.
        await self._runc("delete", "--force", id)
        self._records.remove(id)

    async def _runc(self, *arguments: str, output: int | None = None, given: bytes = b"") -> bytes:
        """Run one of its commands, and return what it says; `output` is for what goes on running."""
        command, id = arguments[0], arguments[-1]
        log = self._records[id] / "runc.log"
        options = ["--root", str(self._state)]
        if output is not None:  # which is the instance's
            options += ["--log", str(log), "--log-format", "json"]
        process = await asyncio.create_subprocess_exec(
            self.name,
            *options,
            *arguments,
            stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if output is None else output,
            stderr=asyncio.subprocess.PIPE if output is None else output,
            start_new_session=True,  # Ctrl-C at the node is not for instances
        )
        try:
            said, complaint = await asyncio.wait_for(process.communicate(given or None), _PATIENCE)
        except BaseException as error:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise failure(error, self.name, f"{command} {id}") from None
        if process.returncode:
            lines = (complaint or b"").decode(errors="replace").split("\n")
            line = next((line for line in reversed(lines) if line.strip()), "")
            if output is not None:
                with suppress(ValueError, TypeError, KeyError):
                    line = str(json.loads(self._records.last_line(id, "runc.log"))["msg"])
            raise PlatformError(line[:500] or f"runc ended with {process.returncode}", self.name, f"{command} {id}")
        return said or b""
