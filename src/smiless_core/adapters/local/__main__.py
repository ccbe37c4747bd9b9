"""``python -m smiless_core.adapters.local``: run a node until SIGTERM or SIGINT; the first line it prints is where."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from aiohttp import web

from smiless_core.adapters.local.calls import Calls
from smiless_core.adapters.local.containers import Runc
from smiless_core.adapters.local.ingress import Ingress
from smiless_core.adapters.local.node import Node
from smiless_core.adapters.local.pool import Limits
from smiless_core.adapters.local.processes import Processes
from smiless_core.adapters.local.runtimes import Runtime
from smiless_core.adapters.services import Service, read_services
from smiless_core.errors import InvalidInputError, SmilessError
from smiless_core.model import Application
from smiless_core.model.files import read_application
from smiless_core.placing import reason_of

_PR_SET_CHILD_SUBREAPER = 36


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInputError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the command line.

    Returns
    -------
    int
        0 once it has ended as it was told; 2 if something is wrong, which is said in one line.
    """
    try:
        given = _parser().parse_args(arguments)
        application = read_application(given.application)
        services = _programs(application, read_services(given.services), given.services)
        asyncio.run(_serve(given, application, services))
    except SmilessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(given: argparse.Namespace, application: Application, services: Mapping[str, Service]) -> None:
    directory = Path(given.directory).absolute()
    programs = Path(given.programs or Path(given.services).absolute().parent).absolute()
    kind = Runc if given.runtime == "runc" else Processes
    runtime: Runtime = kind(directory, services, programs, [Path(each).absolute() for each in given.read])
    if given.runtime == "runc":
        # So that the ends of containers are seen at once: their first processes are given to us.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    calls = Calls(timeout=given.request_timeout, largest=given.largest_body * 2**20)
    try:
        limits = Limits(replicas=given.max_replicas, start=given.start_timeout, patience=given.request_timeout)
        node = Node(application, services, runtime=runtime, directory=directory, calls=calls, limits=limits)
        try:
            await node.open()
            ingress = Ingress(node, largest=given.largest_body * 2**20)
            runner = web.AppRunner(
                ingress.application,
                access_log=None,
                handler_cancellation=True,
                shutdown_timeout=given.drain,
            )
            await runner.setup()
            try:
                print(await _listen(runner, given.listen), flush=True)
                await stop.wait()
            finally:
                await runner.cleanup()
        finally:
            await node.close(patience=given.drain)
    finally:
        await calls.close()


async def _listen(runner: web.AppRunner, where: str) -> str:
    """Listen, and return the address."""
    try:
        if where.startswith("unix:"):
            path = where.removeprefix("unix:")
            with suppress(FileNotFoundError):
                os.unlink(path)  # of an earlier node: this one has the directory
            before = os.umask(0o177)
            try:
                await web.UnixSite(runner, path).start()
            finally:
                os.umask(before)
            return f"unix:{os.path.abspath(path)}"
        host, _, port = where.rpartition(":")
        bare = host.strip("[]")
        await web.TCPSite(runner, bare, int(port)).start()
        return f"http://{host}:{runner.addresses[0][1]}"
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot listen at {where}: {reason_of(error)}", place="--listen") from None


def _programs(application: Application, services: Mapping[str, Service], file: str) -> Mapping[str, Service]:
    """Check that every function has a program that can be run here."""
    for name in application.names:
        if name not in services:
            raise InvalidInputError.unknown("service", name, services).within(file=file)
        if not services[name].command:
            raise InvalidInputError("expected a command: images are not run here", place=f"services.{name}", file=file)
        if services[name].secrets:
            raise InvalidInputError("secrets are not handed out here", place=f"services.{name}.secrets", file=file)
    return {name: services[name] for name in application.names}


def _here(where: str) -> str:
    host, _, port = where.rpartition(":")
    if where.startswith("unix:/") or (host in ("127.0.0.1", "[::1]") and port.isdigit()):
        return where
    raise argparse.ArgumentTypeError(f"expected 127.0.0.1:<port>, [::1]:<port> or unix:<path>, got {where!r}")


def _count(value: str) -> int:
    if value.isdigit() and 1 <= int(value) <= 1000:
        return int(value)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1000, got {value!r}")


def _seconds(value: str) -> float:
    with suppress(ValueError):
        if 0.0 < float(value) <= 86_400.0:
            return float(value)
    raise argparse.ArgumentTypeError(f"expected seconds above 0, at most a day, got {value!r}")


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m smiless_core.adapters.local",
        description="Run the functions of an application on this machine; print the address, and end at SIGTERM.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--application", required=True, metavar="FILE", help="its functions and edges")
    add("--services", required=True, metavar="FILE", help="the programs that serve them")
    add("--runtime", required=True, choices=("runc", "processes"), help="what instances are")
    add("--directory", required=True, metavar="DIR", help="where to keep what a restart needs; of this node alone")
    add("--listen", default="127.0.0.1:0", type=_here, metavar="WHERE", help="127.0.0.1:<port> or unix:<path>")
    add("--programs", metavar="DIR", help="where the programs are; by default where the services file is")
    add("--read", action="append", default=[], metavar="DIR", help="a further directory that containers may read")
    add("--max-replicas", default=16, type=_count, metavar="N", help="the most instances of a function (16)")
    add("--start-timeout", default=120.0, type=_seconds, metavar="S", help="until an instance is ready (120)")
    add("--request-timeout", default=60.0, type=_seconds, metavar="S", help="to wait, and to be answered (60)")
    add("--largest-body", default=8, type=_count, metavar="MIB", help="of a request, or an answer (8)")
    add("--drain", default=10.0, type=_seconds, metavar="S", help="to finish requests in, at the end (10)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
