"""A controller with all that belongs to it: its state, its guard, what it tells and where it is asked how it is."""

from __future__ import annotations

import math
import os
import time
from contextlib import AsyncExitStack
from typing import TextIO

from smiless_core.adapters import Capabilities, Platform
from smiless_core.controller.guards import CircuitBreaker, Guard, GuardedPlatform, RateLimit
from smiless_core.controller.leases import Lease, SoleLease
from smiless_core.controller.loop import Controller
from smiless_core.controller.state import Store
from smiless_core.controller.telemetry import Metrics, Pulse, StatusServer, Telemetry
from smiless_core.errors import InvalidInputError
from smiless_core.model import Hardware, Problem, Profile
from smiless_core.policies import Policy

__all__ = ["control"]


async def control(
    problem: Problem,
    policy: Policy,
    platform: Platform,
    *,
    state: str | os.PathLike[str],
    lease: Lease | None = None,
    log: TextIO | None = None,
    status: str | None = None,
    rate: float = 20.0,
    poll: float = 0.5,
    stale: float = 30.0,
    seed: int = 0,
    dry_run: bool = False,
    until: float = math.inf,
) -> None:
    """Run one application on a platform, by a policy, until cancelled; what runs then goes on.

    Parameters
    ----------
    problem : Problem
        The application, its profiles and prices. What the platform cannot do narrows its limits.
    policy : Policy
        What decides; the same that the simulator drives.
    platform : Platform
        Where the functions run.
    state : path-like
        Where arrivals and the schedule are kept, so that a restart goes on: an SQLite file.
    lease : Lease, optional
        Whether it may act, where there is more than one controller.
    log : text stream, optional
        Where decisions and actions go, one line of JSON each.
    status : str, optional
        Where to answer ``/metrics`` and ``/healthz``: ``HOST:PORT``.
    rate : float, default 20
        Calls of the platform per second, at most.
    poll : float, default 0.5
        Seconds between two looks at the platform, at most.
    stale : float, default 30
        Seconds after which arrivals that could not be read are out of date, and it stops acting.
    seed : int, default 0
        For the policy.
    dry_run : bool, default False
        Whether it only tells what it would do.
    until : float, default infinity
        When to end, seconds since 1970.

    Raises
    ------
    InvalidInputError
        If an argument is out of range, the state is of another application or damaged, or the application does not
        fit the platform.
    PlatformError
        If the platform cannot be reached to begin with, or the state cannot be written.
    MissingExtraError
        If status is asked for and what serves it is not installed.
    """
    breaker = CircuitBreaker()
    pulse = Pulse(patience=max(stale, 4.0 * poll))
    metrics = Metrics(breaker=breaker) if status is not None else None
    telemetry = Telemetry(log, metrics=metrics, pulse=pulse)
    burst = max(round(rate), 1)
    guard = Guard(
        platform.name,
        limit=RateLimit(rate, burst=burst),
        breaker=breaker,
        timeout=stale / 3.0,
        deadline=stale,
    )
    guarded = GuardedPlatform(platform, guard)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(platform.close)
        able = await guarded.capabilities()
        functions = len(problem.application.names)
        if able.max_functions is not None and functions > able.max_functions:
            raise InvalidInputError(f"{platform.name} takes {able.max_functions} functions, and it has {functions}")
        store = stack.enter_context(Store.open(state, application=problem.application))
        if metrics is not None and status is not None:
            server = await stack.enter_async_context(StatusServer(metrics, pulse, address=status))
            telemetry("status", url=server.url)
        controller = Controller(
            problem.replace(limits=able.narrowed(problem.limits), profiles=_offered(problem, able, platform.name)),
            policy,
            guarded,
            store=store,
            lease=lease or SoleLease(),
            now=time.time,
            journal=telemetry,
            poll=poll,
            stale=stale,
            seed=seed,
            dry_run=dry_run,
        )
        await controller.run(until=until)


def _offered(problem: Problem, able: Capabilities, platform: str) -> dict[str, Profile]:
    """Return the profiles of the functions without the hardware that the platform lacks."""
    offered = {}
    for name in {function.profile for function in problem.application.functions}:
        hardware = dict(problem.profiles[name].hardware)
        if (gpu := hardware.pop(Hardware.GPU, None)) is not None:
            sizes = tuple(size for size in gpu.sizes if able.gpu and (able.fractional_gpu or size == 1.0))
            if sizes:
                hardware[Hardware.GPU] = gpu.replace(sizes=sizes)
        if not hardware:
            raise InvalidInputError(f"{platform} offers nothing that profile {name!r} has measured")
        offered[name] = problem.profiles[name].replace(hardware=hardware)
    return offered
