"""Hypothesis strategies: what the simulation engine and its slow twin must play alike, event by event.

Times are small whole numbers of a unit, so that events collide all the time and failures shrink to numbers one
can follow by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import strategies
from simulation_twin import FOREVER, Application, Decision, Life, Observation, Request, Start, Stay, Twin
from smiless_core._native.simulation import OBSERVED, Simulation

UNITS = [1, 1, 10**6, 10**9]
GAPS = [0, 0, 0, 1, 1, 2, 3, 4, 6, 9, 15, 40]


class Case(NamedTuple):
    """`decisions` are (time, what is decided then), the first one at the start and for all functions."""

    applications: tuple[Application, ...]
    decisions: tuple[tuple[int, tuple[tuple[int, Decision], ...]], ...]
    seed: int
    start: int | None
    horizon: int | None


class Outcome(NamedTuple):
    observed: list[tuple[int, list[int], list[Observation]]]  # time, arrivals so far, functions; the last at the end
    responses: list[list[int]]
    requests: list[Request]
    lives: list[Life]


class Configuration(NamedTuple):
    identity: int
    price: float
    latency: tuple[int, ...]
    cold_start: int
    latency_spread: float
    cold_mean: float | None
    cold_std: float


@st.composite
def _configurations(draw: st.DrawFn, identity: int, unit: int, sampled: bool) -> Configuration:
    batch = draw(st.sampled_from([1, 1, 2, 3]))
    latency, each = [], 0
    for _ in range(batch):
        each += draw(st.integers(0 if latency else 1, 3))
        latency.append(each * unit)
    cold_start = draw(st.integers(0, 5)) * unit
    spread, mean, std = 0.0, None, 0.0
    if sampled:
        spread = draw(st.sampled_from([0.0, 0.25, 1.0]))
        if draw(st.booleans()):
            mean = float(draw(st.integers(1, 6)) * unit)
            std = draw(st.sampled_from([0.0, 0.5, 1.0])) * mean
    return Configuration(identity, float(draw(st.integers(1, 3))), tuple(latency), cold_start, spread, mean, std)


@st.composite
def _schedules(draw: st.DrawFn, cold_start: int, unit: int) -> tuple[Stay, ...]:
    stays: list[Stay] = []
    at = draw(st.integers(0, 6)) * unit
    for _ in range(draw(st.integers(0, 2))):
        ready = at + draw(st.sampled_from([0, cold_start]))
        until = ready + draw(st.integers(0, 6)) * unit
        stays.append(Stay(at, ready, until))
        at = until + draw(st.integers(0, 4)) * unit
    if stays and draw(st.integers(0, 4)) == 0:
        stays[-1] = stays[-1]._replace(until=FOREVER)
    return tuple(stays)


@st.composite
def _decisions(draw: st.DrawFn, configuration: Configuration, unit: int, now: int, announced: bool) -> Decision:
    c = configuration
    readiness = draw(st.sampled_from(["prewarmed", "prewarmed", "on_request"] + ["on_arrival"] * announced))
    schedules = ()
    if readiness == "prewarmed":
        schedules = tuple(draw(st.lists(_schedules(c.cold_start, unit), max_size=3)))
    most = draw(st.sampled_from([None, None, 1, 2, 3]))
    starts = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = now + draw(st.integers(-2, 20)) * unit
        until = at + draw(st.integers(1, 12)) * unit
        starts.append(Start(at, FOREVER if draw(st.integers(0, 5)) == 0 else until, draw(st.integers(1, 3))))
    return Decision(
        configuration=c.identity,
        price=c.price,
        latency=c.latency,
        cold_start=c.cold_start,
        readiness=readiness,
        schedules=schedules,
        repeat=bool(schedules) and draw(st.booleans()),
        from_finish=bool(schedules) and draw(st.booleans()),
        max_replicas=most,
        replicas=draw(st.integers(0, min(2, most or 2))) if draw(st.booleans()) else 0,
        granted=draw(st.sampled_from([None, None, 1, 2, 4, 8])),
        starts=tuple(sorted(starts)),
        latency_spread=c.latency_spread,
        cold_mean=c.cold_mean,
        cold_std=c.cold_std,
    )


@st.composite
def _dags(draw: st.DrawFn, most: int) -> strategies.Dag:
    if most >= 4 and draw(st.booleans()):
        return draw(strategies.dags(most=most).filter(lambda dag: dag.functions <= most))
    size = draw(st.integers(1, most))
    return strategies.Dag(size, [(u, v) for v in range(size) for u in range(v) if draw(st.booleans())])


@st.composite
def cases(draw: st.DrawFn, *, most_functions: int = 5, most_arrivals: int = 14, most_decisions: int = 5) -> Case:
    """Some applications, and functions whose decisions are replaced now and then."""
    unit = draw(st.sampled_from(UNITS))
    sampled = draw(st.booleans())
    start = draw(st.sampled_from([None, 0]))
    applications: list[Application] = []
    left = most_functions
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        if left == 0:
            break
        dag = draw(_dags(left))
        left -= dag.functions
        at = draw(st.integers(0, 6)) * unit
        arrivals = [at]
        for gap in draw(st.lists(st.sampled_from(GAPS), max_size=most_arrivals - 1)):
            at += gap * unit
            arrivals.append(at)
        applications.append(Application(dag.functions, dag.edges, arrivals, draw(st.booleans())))
    configurations = [
        [draw(_configurations(i, unit, sampled)) for i in range(draw(st.integers(1, 3)))]
        for a in applications
        for _ in range(a.functions)
    ]
    announced = [a.announced for a in applications for _ in range(a.functions)]

    def decide(v: int, now: int) -> tuple[int, Decision]:
        decision = draw(_decisions(draw(st.sampled_from(configurations[v])), unit, now, announced[v]))
        granted = decision.granted
        return v, decision._replace(granted=None if granted is None else granted * unit)

    functions = range(len(configurations))
    now = min(a.arrivals[0] for a in applications) if start is None else start
    decisions = [(now, tuple(decide(v, now) for v in functions))]
    for gap in draw(st.lists(st.sampled_from(GAPS), max_size=most_decisions)):
        now += gap * unit
        again = draw(st.lists(st.sampled_from(functions), unique=True, max_size=3))
        decisions.append((now, tuple(decide(v, now) for v in again)))
    horizon = None
    if draw(st.booleans()):
        horizon = now + draw(st.integers(0, 60)) * unit
    return Case(tuple(applications), tuple(decisions), draw(st.integers(0, 2**64 - 1)), start, horizon)


# -- played, by the twin and by the engine ----------


def play_slowly(case: Case) -> Outcome:
    """What happens, by the slow twin."""
    twin = Twin(case.applications, seed=case.seed, start=case.start)
    observed = []

    def observe() -> None:
        observed.append((twin.now, list(twin.arrived), [twin.observe(v) for v in range(len(twin.functions))]))

    for i, (time, decisions) in enumerate(case.decisions):
        twin.advance(time)
        if i:
            observe()
        for v, decision in decisions:
            twin.decide(v, decision)
    twin.finish(case.horizon)
    observe()
    responses = [twin.responses(a) for a in range(len(case.applications))]
    return Outcome(observed, responses, sorted(twin.records), twin.instances())


def play(case: Case) -> Outcome:
    """What happens, by the engine."""
    simulation = simulate(case.applications, seed=case.seed, start=case.start)
    observed, requests, lives = [], [], []

    def observe(now: int) -> None:
        rows, arrived = simulation.observe()
        seen = []
        for v, row in enumerate(rows.tolist()):
            named = dict(zip(OBSERVED, row, strict=True))
            named["queue"] = named.pop("queued")
            billed = {c: tuple(rest) for c, (_, *rest) in simulation.bill(v).items() if any(rest)}
            seen.append(Observation(**named, billed=billed))
        observed.append((now, arrived.tolist(), seen))
        served, ended = simulation.drain()
        requests.extend(Request(*row) for row in served.tolist())
        lives.extend(Life(*row) for row in ended.tolist())

    for i, (time, decisions) in enumerate(case.decisions):
        if i:
            simulation.advance(time)
            observe(time)
        for v, decision in decisions:
            decide(simulation, v, decision)
    observe(simulation.finish(case.horizon))
    bounds = np.cumsum([0] + [len(a.arrivals) for a in case.applications])
    responses = [simulation.responses[i:j].tolist() for i, j in pairwise(bounds)]
    return Outcome(observed, responses, sorted(requests), sorted(lives))


def simulate(applications: Sequence[Application], *, seed: int, start: int | None = None) -> Simulation:
    """The engine with these applications, before the first decisions; it notes everything."""
    functions = np.cumsum([0] + [a.functions for a in applications]).astype(np.int32)
    edges = [(first + u, first + v) for first, a in zip(functions, applications, strict=False) for u, v in a.edges]
    return Simulation(
        functions,
        np.array(edges, dtype=np.int32).reshape(-1, 2),
        np.cumsum([0] + [len(a.arrivals) for a in applications]),
        np.concatenate([np.asarray(a.arrivals, dtype=np.int64) for a in applications]),
        announced=np.array([a.announced for a in applications], dtype=np.uint8),
        seed=seed,
        start=start,
        note_requests=True,
        note_instances=True,
    )


def decide(simulation: Simulation, v: int, decision: Decision) -> None:
    """Hand a decision to the engine."""
    d = decision
    stays = [_whole(stay) for schedule in d.schedules for stay in schedule]
    simulation.decide(
        v,
        configuration=d.configuration,
        price=d.price,
        latency=np.array(d.latency, dtype=np.int64),
        cold_start=d.cold_start,
        readiness=["prewarmed", "on_arrival", "on_request"].index(d.readiness),
        cold_mean=0.0 if d.cold_mean is None else d.cold_mean,
        cold_deviation=d.cold_std,
        latency_spread=d.latency_spread,
        granted=d.granted,
        replicas=d.replicas,
        most_replicas=d.max_replicas,
        stay_offsets=np.cumsum([0] + [len(schedule) for schedule in d.schedules]) if d.schedules else None,
        stays=np.array(stays, dtype=np.int64).reshape(-1, 3) if d.schedules else None,
        repeats=d.repeat,
        from_finish=d.from_finish,
        starts=np.array([_whole(start) for start in d.starts], dtype=np.int64) if d.starts else None,
    )


def _whole(times: Iterable[float]) -> list[int]:
    return [np.iinfo(np.int64).max if t == FOREVER else int(t) for t in times]
