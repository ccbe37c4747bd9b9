"""From a choice of modes to a plan with names, seconds and schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.model.configuration import Readiness
from smiless_core.model.plan import Assignment, Plan, Stay
from smiless_core.solver.intervals import intersection
from smiless_core.timing import Timing, cold_response, nanoseconds_down, nanoseconds_up
from smiless_core.windows import deterministic_schedule

if TYPE_CHECKING:
    from smiless_core.solver.joint import Aimed
    from smiless_core.solver.lowering import CompiledProblem
    from smiless_core.solver.modes import Mode

__all__ = ["deterministic_plan", "schedule_of", "scheduled_plan"]

Nanoseconds = NDArray[np.int64]

_FOREVER = np.iinfo(np.int64).max


def deterministic_plan(compiled: CompiledProblem, choice: Sequence[int], arrivals: Arrivals, *, sla: float) -> Plan:
    """Return the plan of a choice of modes for arrivals that are always as far apart."""
    problem = compiled.problem
    rows = compiled.rows(choice).tolist()
    chosen = [compiled.mode(row) for row in rows]
    costs = compiled.table(arrivals).cost[rows].tolist()
    timed = _timed(compiled, rows, sla)
    assignments = []
    for v, (mode, cost) in enumerate(zip(chosen, costs, strict=True)):
        decision = deterministic_schedule(
            mode.latency,
            mode.cold_start,
            prewarmed=mode.readiness is Readiness.PREWARMED,
            interval=arrivals.interval,
            earliest_start=timed.earliest_start[v] / 1e9,
            batch=mode.configuration.batch,
            concurrency=problem.concurrency,
            limits=problem.limits,
        )
        assignments.append(
            Assignment(
                problem.application.names[v],
                mode.configuration,
                mode.readiness,
                decision.replicas,
                mode.price,
                mode.latency,
                mode.cold_start,
                decision.schedule,
                cost,
                timed.slack[v] / 1e9,
                decision.prewarm,
                decision.keep_alive,
            )
        )
    attainment = 1.0 if timed.latency <= nanoseconds_down(sla) else 0.0
    return _plan(compiled, chosen, assignments, timed, sla=sla, cost=math.fsum(costs), attainment=attainment)


def scheduled_plan(
    compiled: CompiledProblem, choice: Sequence[int], arrivals: Arrivals, *, sla: float, aimed: Aimed
) -> Plan:
    """Return the plan of a choice of modes and what their schedules are for."""
    problem = compiled.problem
    pricing = compiled.pricing(arrivals)
    rows = compiled.rows(choice).tolist()
    chosen = [compiled.mode(row) for row in rows]
    costs = [pricing.priced(row, aimed.wanted) for row in rows]
    timed = _timed(compiled, rows, sla)
    assignments, ready = [], np.array([[0, _FOREVER]])
    for v, (row, mode, cost) in enumerate(zip(rows, chosen, costs, strict=True)):
        levels = pricing.schedules(row, aimed.wanted)
        relied_on = mode.readiness is Readiness.PREWARMED
        if relied_on:
            ready = intersection(ready, _ready(levels[0], mode.cold_start))
        # When its work comes, which may be before an instance that is started on arrival can be ready.
        start = int(max((timed.earliest_finish[u] for u in problem.application.predecessors[v]), default=0))
        written = [
            schedule_of(stays, start=start, mode=mode, announced=problem.limits.announces_arrivals, keep=pricing.keep)
            for stays in levels
        ]
        while len(written) > 1 and not written[-1]:
            written.pop()
        first = written[0][0] if written[0] else None
        served = start / 1e9 + mode.latency
        assignments.append(
            Assignment(
                problem.application.names[v],
                mode.configuration,
                Readiness.PREWARMED if first is not None else mode.readiness,
                pricing.replicas(row),
                mode.price,
                mode.latency,
                mode.cold_start,
                written[0],
                cost,
                timed.slack[v] / 1e9,
                None if first is None else max(first.start - served, 0.0),
                None if first is None else first.until - first.ready,
                tuple(written[1:]),
            )
        )
    return _plan(
        compiled,
        chosen,
        assignments,
        timed,
        sla=sla,
        cost=math.fsum(costs),
        attainment=aimed.attainment.fraction,
        ready_set=tuple((low / 1e9, math.inf if high == _FOREVER else high / 1e9) for low, high in ready.tolist()),
    )


def schedule_of(stays: Nanoseconds, *, start: int, mode: Mode, announced: bool, keep: int) -> tuple[Stay, ...]:
    """Return the schedule that meets arrivals as planned.

    Parameters
    ----------
    stays : int64 array, shape (s, 3)
        Start, ready and until, nanoseconds after the arrival served last, for work that comes at the arrival itself.
    start : int
        When the work comes if everything is ready, nanoseconds after the arrival.
    mode : Mode
        What the function runs on.
    announced : bool
        Whether arrivals are announced: then what is there at the arrival is held for it, and may be let go as soon as
        no arrival is expected any more.
    keep : int
        Nanoseconds that an instance stays after each service at least.
    """
    written = []
    served = nanoseconds_up(mode.latency)
    for begin, ready, until in stays.tolist():
        end = until if announced or until == _FOREVER else until + start
        if begin == ready == served and (mode.cold_start > 0.0 or keep):
            end = max(end, served + start + keep)
        if begin + start > end:
            continue
        last = math.inf if end == _FOREVER else max(end, ready + start) / 1e9
        written.append(Stay((begin + start) / 1e9, (ready + start) / 1e9, last))
    return tuple(written)


def _ready(stays: Nanoseconds, cold_start: float) -> Nanoseconds:
    """Return at which X an instance is ready; a kept one from the arrival before on."""
    intervals = stays[:, 1:].copy()
    if len(stays) and stays[0, 0] == stays[0, 1] and cold_start > 0.0:
        intervals[0, 0] = 0
    return intervals


def _timed(compiled: CompiledProblem, rows: Sequence[int], sla: float) -> Timing:
    """Time chosen modes, with slack within the SLA, or within their own latency where that is longer."""
    bound = nanoseconds_down(sla)
    timed = compiled.timing(rows)
    return compiled.timing(rows, bound=bound) if timed.latency <= bound else timed


def _plan(
    compiled: CompiledProblem,
    chosen: Sequence[Mode],
    assignments: Sequence[Assignment],
    timed: Timing,
    *,
    sla: float,
    cost: float,
    attainment: float,
    ready_set: tuple[tuple[float, float], ...] = (),
) -> Plan:
    application = compiled.problem.application
    cold = cold_response(
        application,
        [mode.latency for mode in chosen],
        cold_start=[mode.cold_start for mode in chosen],
        announces_arrivals=compiled.problem.limits.announces_arrivals,
    )
    return Plan(
        application if sla == application.sla else application.replace(sla=sla),
        tuple(assignments),
        cost,
        timed.latency / 1e9,
        cold.latency,
        attainment,
        tuple(application.names[v] for v in timed.critical_path),
        ready_set,
    )
