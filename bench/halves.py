"""Two halves of a trace: what is planned on the first one and replayed on the second one.

A replay begins with the first half, which only sets the scene: its responses do not count, and what it costs by itself
is taken off. So instances are where they would be, n gaps and n services are paid for n invocations, and beginnings and
ends cancel.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core import Plan, Problem, Readiness, Stay, Trace
from smiless_core.timing import nanoseconds_down, nanoseconds_up
from smiless_core.traces import read_traces
from smiless_core.windows import Played, replay
from tests import twin

LEAST_GAPS = 20

Times = NDArray[np.int64]


class Halves(NamedTuple):
    """The two halves of a trace, neither with more arrivals than were asked for: those nearest to its middle."""

    source: str
    name: str
    first: Trace
    second: Trace

    @property
    def again(self) -> Times:
        """The arrivals of the first half once more, a mean gap after its last one: what was planned for."""
        times = self.first.times
        return times + (times[-1] - times[0]) + round(self.first.interval * 1e9)


class Fleet(NamedTuple):
    """What the functions of an application do, and how many instances of each are there to begin with."""

    functions: tuple[Played, ...]
    warm: tuple[int, ...]


class Outcome(NamedTuple):
    """What a replay says: the fraction of invocations within the SLA, and dollars per invocation."""

    attainment: float
    cost: float


def halves(directory: Path, *, cap: int, placement: str, seed: int) -> Iterator[Halves]:
    """Read the traces of a directory, one per function, and split those with enough gaps in either half."""
    for path in sorted(directory.iterdir()):
        if path.suffix == ".md":
            continue
        source = path.name.partition(".")[0]
        for name, trace in read_traces(path, placement=placement, seed=seed).items():
            if trace.count < 2 * LEAST_GAPS:
                continue
            first, second = trace.split()
            if min(first.count, second.count) > LEAST_GAPS:
                yield Halves(
                    source,
                    name,
                    first.replace(times=first.times[-cap:]),
                    second.replace(times=second.times[:cap]),
                )


def fleet_of(plan: Plan) -> Fleet:
    """Return what a plan lets its functions do."""
    functions, warm = [], []
    for assignment in plan:
        prewarmed = assignment.readiness is Readiness.PREWARMED
        levels = (assignment.schedule, *assignment.further) if prewarmed else ()
        functions.append(
            Played(
                price=assignment.price_per_second,
                latency=assignment.latency,
                cold_start=assignment.cold_start,
                readiness=assignment.readiness,
                schedules=levels,
            )
        )
        warm.append(prewarmed + sum(bool(stays) and math.isinf(stays[-1].until) for stays in levels[1:]))
    return Fleet(tuple(functions), tuple(warm))


def _whole(played: Played) -> Played:
    """Return what a function does in whole nanoseconds: what takes a part of one takes all of it, as in plans."""

    def whole(time: float) -> float:
        return time if math.isinf(time) else round(time * 1e9) / 1e9

    return played.replace(
        latency=nanoseconds_up(played.latency) / 1e9,
        cold_start=nanoseconds_up(played.cold_start) / 1e9,
        schedules=tuple(
            tuple(Stay(whole(stay.start), whole(stay.ready), whole(stay.until)) for stay in stays)
            for stays in played.schedules
        ),
    )


def outcome(scene: Times, times: Times, fleet: Fleet, problem: Problem, sla: float, *, slowly: bool = False) -> Outcome:
    """Replay a fleet.

    Parameters
    ----------
    scene, times : int64 array
        Arrivals, nanoseconds, ascending: those that set the scene, and those that count.
    fleet : Fleet
    problem : Problem
        What the fleet is for.
    sla : float
        Seconds.
    slowly : bool, default False
        Whether the slow twin of the tests replays it too. Both have to tell the same, response by response.
    """
    edges = problem.application.edge_array
    announced = problem.limits.announces_arrivals
    fleet = fleet._replace(functions=tuple(map(_whole, fleet.functions)))

    def told(arrivals: Times) -> tuple[NDArray[np.int64], float]:
        found = replay(arrivals, fleet.functions, edges=edges, announced=announced, warm=fleet.warm)
        responses = np.rint(found.responses * 1e9).astype(np.int64)
        if slowly:
            twins, cost = _told_slowly(arrivals, fleet, edges.tolist(), announced=announced)
            assert np.array_equal(responses, twins), "the native replay and the slow twin differ in a response"
            assert math.isclose(found.total_cost, cost, rel_tol=1e-9), (
                f"the native replay costs {found.total_cost!r} $, that of the slow twin {cost!r} $"
            )
        return responses, found.total_cost

    _, before = told(scene)
    responses, cost = told(np.concatenate((scene, times)))
    met = responses[len(scene) :] <= nanoseconds_down(sla)
    return Outcome(float(np.mean(met)), (cost - before) / len(times))


def _told_slowly(
    times: Times, fleet: Fleet, edges: list[tuple[int, int]], *, announced: bool
) -> tuple[NDArray[np.int64], float]:
    """Responses (nanoseconds) and dollars as the slow twin tells them."""
    plans = [
        twin.FunctionPlan(
            price=Fraction(played.price),
            latency=played.latency,
            cold_start=played.cold_start,
            readiness=str(played.readiness),
            schedules=tuple(
                tuple(twin.Stay(stay.start, stay.ready, stay.until) for stay in level) for level in played.schedules
            ),
        )
        for played in fleet.functions
    ]
    happened = twin.replay(times.tolist(), plans, edges=edges, announced=announced, clock="latest", warm=fleet.warm)
    return np.array(happened.responses, dtype=np.int64), float(happened.total_cost)
