"""Run the controller against real instances on this machine, and print what was predicted beside what was measured.

    python examples/live/demo.py [--runtime runc|processes] [--seconds 60] [--seed 1]

A node serves the functions of application.yaml; `smiless control` decides; invocations come as drawn from the seed, in
bursts and pauses. Afterwards the simulator serves the same arrivals by the same policy, with the same profiles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np

import smiless_core as sc
from smiless_core.adapters import read_services
from smiless_core.adapters.local import Local
from smiless_core.adapters.local.client import running_node

HERE = Path(__file__).parent
SETTLING = 3.0  # seconds for the first instances, before the first invocation
READING = 3.0  # seconds for the controller to learn of the last one


class Measured(NamedTuple):
    """What came of a replay on real instances."""

    arrivals: list[float]  # seconds from the first
    responses: list[float]  # seconds; infinite for those that failed
    cost: float  # dollars
    cold_starts: dict[str, list[float]]  # seconds, by function
    starts: int  # instances that were begun
    controllers: int  # how often the controller was begun


def drawn(seconds: float, seed: int) -> list[float]:
    """Return when invocations come: every two seconds or so, some in pairs, and now and then a pause."""
    rng = np.random.default_rng(seed)
    times, now = [], 0.0
    while now < seconds:
        times.append(now)
        if rng.uniform() < 0.15:
            times.append(now + 0.05)
        now += float(rng.exponential(1.8) + 0.2) if rng.uniform() < 0.9 else float(rng.uniform(6.0, 9.0))
    return times


async def replay(
    problem: sc.Problem, times: list[float], *, runtime: str, directory: Path, kills: tuple[float, ...] = ()
) -> Measured:
    """Invoke the application at the given times; kill the controller at others, and begin it again."""
    services = read_services(HERE / "services.yaml")
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(
            running_node(problem.application, services, directory=directory / "node", runtime=runtime, programs=HERE)
        )
        node = Local(address)
        stack.push_async_callback(node.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        keeper = _Keeper(address, directory)
        await keeper.begin()
        stack.push_async_callback(keeper.end)
        await asyncio.sleep(SETTLING)
        begun = time.monotonic()

        async def invoke(at: float) -> float:
            await asyncio.sleep(max(begun + at - time.monotonic(), 0.0))
            sent = time.monotonic()
            try:
                async with session.post(f"{address}/invoke", data=b"{}") as answer:
                    await answer.read()
                    return time.monotonic() - sent if answer.status == 200 else float("inf")
            except aiohttp.ClientError:
                return float("inf")

        async def kill(at: float) -> None:
            await asyncio.sleep(max(begun + at - time.monotonic(), 0.0))
            await keeper.kill()

        responses = await asyncio.gather(*(invoke(at) for at in times), *(kill(at) for at in kills))
        statistics = await node.statistics()
        await asyncio.sleep(READING)
    return Measured(
        times,
        [each for each in responses[: len(times)] if each is not None],
        _cost(problem, statistics),
        {name: _cold_starts(each) for name, each in statistics["functions"].items()},
        sum(each["counts"]["starts"] for each in statistics["functions"].values()),
        keeper.begun,
    )


class _Keeper:
    """Keeps a controller running."""

    def __init__(self, address: str, directory: Path) -> None:
        self._address, self._directory = address, directory
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self.begun = 0

    async def begin(self) -> None:
        self.begun += 1
        with (self._directory / "control.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "smiless_core", "control", str(HERE / "application.yaml")),
                *("--profiles", str(HERE / "profiles.yaml"), "--platform", "local", "--address", self._address),
                *("--state", str(self._directory / "state.db")),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )

    async def kill(self) -> None:
        async with self._turn:
            assert self._process is not None
            self._process.kill()
            await self._process.wait()
            await self.begin()

    async def end(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()


def _cost(problem: sc.Problem, statistics: dict[str, Any]) -> float:
    return sum(
        problem.prices.per_second(sc.Configuration(**each["configuration"])) * sum(each["instance_seconds"].values())
        for function in statistics["functions"].values()
        for each in function["configurations"]
    )


def _cold_starts(statistics: dict[str, Any]) -> list[float]:
    return [seconds for each in statistics["configurations"] for seconds in each["cold_starts"]]


def described(problem: sc.Problem, measured: Measured, run: sc.Run) -> str:
    """Return a table of what was predicted and what was measured; the first invocation is left out of both.

    To the simulator it finds nothing there, and here instances had time to settle.
    """
    sla = problem.application.sla
    rows = [("", "predicted", "measured")]
    predicted, real = run.responses[1:], np.array(measured.responses[1:])
    rows.append(("within the SLA", f"{np.mean(predicted <= sla):.1%}", f"{np.mean(real <= sla):.1%}"))
    for percent in (50, 95):
        rows.append(
            (
                f"response, {percent} %",
                f"{np.percentile(predicted, percent):.3f} s",
                f"{np.percentile(real, percent):.3f} s",
            )
        )
    count = len(measured.arrivals)
    rows.append(("cost of a million", f"${1e6 * run.cost:.2f}", f"${1e6 * measured.cost / count:.2f}"))
    rows.append(("instances begun", str(run.cold_starts), str(measured.starts)))
    for name in problem.application.names:
        model = problem.profile(problem.application.index[name]).hardware[sc.Hardware.CPU]
        seen = measured.cold_starts[name]
        rows.append(
            (
                f"cold start of {name}",
                f"{model.cold_start_mean:.2f} s",
                f"{np.mean(seen):.2f} s" if seen else "none",
            )
        )
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def the_problem() -> sc.Problem:
    """Return what runs here."""
    profiles, prices = sc.read_profile_file(HERE / "profiles.yaml")
    limits = sc.Limits(announces_arrivals=True, max_replicas=16)
    return sc.Problem(
        sc.read_application(HERE / "application.yaml"), profiles, prices or sc.catalog.prices(), limits=limits
    )


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runtime", choices=("runc", "processes"), default="runc", help="what instances are")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long invocations come")
    parser.add_argument("--seed", type=int, default=1, help="of when they come")
    given = parser.parse_args()
    problem = the_problem()
    times = drawn(given.seconds, given.seed)
    print(f"{len(times)} invocations in {given.seconds:g} s, each within {problem.application.sla:g} s ...", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        measured = asyncio.run(replay(problem, times, runtime=given.runtime, directory=Path(scratch)))
        if os.environ.get("SMILESS_LOG"):
            sys.stderr.write((Path(scratch) / "control.log").read_text())
    run = sc.simulate(problem, sc.Trace.from_seconds(measured.arrivals), sc.Smiless(), seed=given.seed, until=None)
    print(described(problem, measured, run))


if __name__ == "__main__":
    main()
