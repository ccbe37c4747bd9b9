"""A plan met by a path of arrivals, event by event: what it costs and how many meet the SLA, overlap and all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smiless_core.model.configuration import Readiness
from smiless_core.model.plan import Plan, Stay
from smiless_core.model.problem import Problem
from smiless_core.solver.attainment import Attainment
from smiless_core.timing import nanoseconds_up, warm_response
from smiless_core.windows import Path, Played, Replay, replay

__all__ = ["attainment_in", "replay_of"]

_FAR = 2.3e9  # seconds, 73 years: no path is longer, and replays take no later time
_ROUNDING = 1e-8  # seconds: each function on the way may round to the next nanosecond


def replay_of(plan: Plan, problem: Problem, path: Path) -> Replay:
    """Replay a plan.

    The replay begins in the middle of things: an instance is there at the first arrival if it were ready for the first
    one that it serves, had the path been going on before.

    Parameters
    ----------
    plan : Plan
    problem : Problem
        What it plans.
    path : Path
        The arrivals.
    """
    on_time = warm_response(
        problem.application,
        [assignment.latency for assignment in plan],
        cold_start=[assignment.cold_start for assignment in plan],
        readiness=[assignment.readiness for assignment in plan],
    ).earliest_start
    announced = problem.limits.announces_arrivals
    functions, warm = [], []
    for assignment, start in zip(plan, on_time, strict=True):
        together = -(-problem.concurrency // assignment.configuration.batch)
        prewarmed = assignment.readiness is Readiness.PREWARMED
        levels = (assignment.schedule, *assignment.further) if prewarmed else ()
        schedules = tuple(map(_within_reach, levels))
        functions.append(
            Played(
                price=assignment.price_per_second * together / problem.concurrency,
                latency=nanoseconds_up(assignment.latency) / 1e9,
                cold_start=nanoseconds_up(assignment.cold_start) / 1e9,
                readiness=assignment.readiness,
                schedules=schedules,
            )
        )
        gaps = path.first_gaps(nanoseconds_up(assignment.latency)) if prewarmed else []
        met = [
            _met(
                stays,
                gap / 1e9 + (0.0 if announced else start),
                gap / 1e9 + start,
                cold=assignment.cold_start > 0.0,
            )
            for stays, gap in zip(schedules, gaps, strict=False)
        ]
        kept_up = min(problem.limits.min_replicas // together, len(schedules))
        warm.append(max(met.index(False) if False in met else len(met), kept_up))
    return replay(
        path.times,
        functions,
        edges=problem.application.edge_array,
        sla=plan.application.sla,
        announced=announced,
        warm=warm,
    )


def _within_reach(stays: Sequence[Stay]) -> tuple[Stay, ...]:
    """Return the stays without what is later than any path lasts."""
    return tuple(
        stay if stay.until <= _FAR else Stay(stay.start, stay.ready, math.inf) for stay in stays if stay.ready <= _FAR
    )


def _met(stays: Sequence[Stay], seen: float, comes: float, *, cold: bool) -> bool:
    """Whether an arrival that is seen after so many seconds finds an instance that is ready when its work comes."""
    return any(
        ((stay.start == stay.ready and cold) or stay.ready <= comes + _ROUNDING) and seen <= stay.until + _ROUNDING
        for stay in stays
    )


def attainment_in(happened: Replay, sla: float, *, lost: float = 0.0) -> Attainment:
    """Return the fraction of a replay's invocations that met the SLA, and why the others did not.

    `lost` is the fraction of arrivals that the platform has no instance for. The replay starts further ones for them,
    and they are among those that are late, but for where that was in time.
    """
    late = np.rint(happened.responses * 1e9) > math.floor(sla * 1e9 + 1e-3)
    count = len(happened.responses)
    causes = np.bincount(happened.causes[late], minlength=5) / count
    # What misses without a function that waits (a choice that is too slow) would have no cause: there is none.
    met, (_, early, let_go, overlap, tail) = 1.0 - float(late.mean()), causes.tolist()
    more = max(met - (1.0 - lost), 0.0)
    return Attainment(met - more, early, let_go, overlap + more, tail)
