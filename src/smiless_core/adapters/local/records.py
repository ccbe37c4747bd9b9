"""What is written down of instances, so that a node that was killed finds them again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from smiless_core.adapters.local.bundles import program, search_path
from smiless_core.adapters.local.runtimes import Running
from smiless_core.adapters.local.wire import configuration_of, plain_configuration
from smiless_core.adapters.services import Service
from smiless_core.errors import InvalidInputError
from smiless_core.placing import replace_file

__all__ = ["INSTANCE", "Records"]

INSTANCE = "SMILESS_INSTANCE"
"""The variable that tells an instance its name."""

_LARGEST_OUTPUT = 2**20


class Records:
    """The directories of instances: a record of each, what it writes, and what its runtime needs.

    Parameters
    ----------
    directory : Path
        Where they are.
    services : mapping of str to Service
        What instances run.
    programs : Path
        Where they run it.

    Raises
    ------
    InvalidInputError
        If a program is not there.
    """

    def __init__(self, directory: Path, services: Mapping[str, Service], programs: Path) -> None:
        self.directory = directory
        self.services = services
        self.programs = programs
        for function, service in services.items():
            try:
                program(service.command[0], programs)
            except InvalidInputError as error:
                raise error.within(place=f"services.{function}") from None

    def __getitem__(self, id: str) -> Path:
        return self.directory / id

    def ids(self) -> list[str]:
        """Return the instances that there are records of."""
        return sorted(each.name for each in self.directory.iterdir()) if self.directory.exists() else []

    def write(self, running: Running) -> None:
        """Write a record down before its instance is started."""
        self[running.id].mkdir(mode=0o700, parents=True, exist_ok=True)
        record = {
            "function": running.function,
            "service": self._digest(running.function),
            "configuration": plain_configuration(running.configuration),
            "port": running.port,
        }
        replace_file(self[running.id] / "record.json", json.dumps(record).encode())

    def read(self, id: str, pid: int) -> Running | None:
        """Return what was written down, unless it is of a function that is another one now."""
        try:
            record = json.loads((self[id] / "record.json").read_bytes())
            if record["service"] != self._digest(record["function"]):
                return None
            return Running(id, record["function"], configuration_of(record["configuration"]), int(record["port"]), pid)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def remove(self, id: str) -> None:
        """Remove all that is kept of an instance."""
        shutil.rmtree(self[id], ignore_errors=True)  # there are no mounts below it

    def output(self, id: str) -> int:
        """Open what an instance writes."""
        return os.open(self[id] / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def last_line(self, id: str, file: str = "output") -> str:
        """Return the last line of a file that has something in it, empty if there is none."""
        with suppress(OSError), (self[id] / file).open("rb") as lines:
            lines.seek(max(0, lines.seek(0, os.SEEK_END) - 8192))
            said = lines.read().decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(said) if line.strip()), "")
        return ""

    def shorten_output(self) -> None:
        """Drop what instances have written where that is more than 1 MiB."""
        for id in self.ids():
            with suppress(OSError):
                if (self[id] / "output").stat().st_size > _LARGEST_OUTPUT:
                    os.truncate(self[id] / "output", 0)

    def command(self, function: str) -> list[str]:
        """Return what is run for a function, the program with its whole path."""
        first, *rest = self.services[function].command
        return [str(program(first, self.programs)), *rest]

    def environment(self, running: Running) -> dict[str, str]:
        """Return all the variables of an instance; none of the node's own get there."""
        return {
            "PATH": search_path(),
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            **self.services[running.function].environment,
            "HOST": "127.0.0.1",
            "PORT": str(running.port),
            "BATCH": str(running.configuration.batch),
            INSTANCE: running.id,
        }

    def _digest(self, function: str) -> str:
        told = repr((self.services[function], self.programs)) if function in self.services else ""
        return hashlib.sha256(told.encode()).hexdigest()
