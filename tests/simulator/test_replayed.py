"""A policy that decides once does in the simulation what a replay says of the same schedules, to the nanosecond."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from problems import hardware_profile
from small_policies import always
from smiless_core.windows import Played, replay
from strategies import dags, examples

pytestmark = pytest.mark.native


class Case(NamedTuple):
    problem: sc.Problem
    played: list[Played]
    edges: list[tuple[int, int]]
    times: np.ndarray


@st.composite
def schedules(draw: st.DrawFn, unit: float) -> tuple[sc.Stay, ...]:
    stays, edge = [], 0
    for _ in range(draw(st.integers(0, 3))):
        start = edge + draw(st.integers(0, 9))
        ready = start + draw(st.sampled_from([0, 0, 1, 4]))
        edge = ready + draw(st.integers(0, 9))
        stays.append((start, ready, edge))
    last = draw(st.booleans())
    return tuple(
        sc.Stay(a * unit, b * unit, math.inf if last and k == len(stays) - 1 else c * unit)
        for k, (a, b, c) in enumerate(stays)
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    unit_ns = draw(st.sampled_from([1, 1_000, 100_000_000, 1_300_000_007]))
    unit = unit_ns / 1e9
    dag = draw(dags(most=3))
    names = [f"f{v}" for v in range(dag.functions)]
    played, profiles = [], {}
    for name in names:
        latency, cold_start = (draw(st.integers(low, 6)) * unit_ns / 1e9 for low in (1, 0))
        readiness = draw(st.sampled_from([sc.Readiness.PREWARMED, sc.Readiness.PREWARMED, sc.Readiness.ON_REQUEST]))
        levels = draw(st.lists(schedules(unit), max_size=3)) if readiness is sc.Readiness.PREWARMED else []
        price = draw(st.integers(1, 3))
        played.append(
            Played(
                price=float(price),
                latency=latency,
                cold_start=cold_start,
                readiness=readiness,
                schedules=tuple(levels),
            )
        )
        model = hardware_profile(alpha=0.0, beta=latency, cold_start_mean=cold_start, sizes=(price,))
        profiles[name] = sc.Profile(name, {"cpu": model})
    application = sc.Application(
        tuple(sc.Function(name, name) for name in names),
        tuple((names[u], names[v]) for u, v in dag.edges),
        sla=max(5 * unit, 1e-9),
    )
    problem = sc.Problem(application, profiles, sc.Prices(cpu=1.0, gpu=1.0))
    gaps = draw(st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 40]), max_size=12))
    return Case(problem, played, dag.edges, np.cumsum([0, *gaps]) * unit_ns)


@examples(400)
@given(cases(), st.sampled_from([None, 0, 1, 17]), st.integers(0, 10**18))
def test_the_same_schedules_are_served_alike(case, after, origin):
    problem, played, edges, times = case
    until = None
    said = replay(times, played, edges=edges, sla=problem.application.sla)
    if after is not None:
        until = (said.horizon + after) / 1e9
        said = replay(times, played, edges=edges, sla=problem.application.sla, horizon=said.horizon + after)
    told = always(
        {
            name: sc.Directive(
                configuration=sc.Configuration("cpu", each.price), readiness=each.readiness, schedules=each.schedules
            )
            for name, each in zip(problem.application.names, played, strict=True)
        }
    )
    run = sc.simulate(problem, sc.Trace(times + origin), told, sampled=False, until=until)
    assert run.responses_ns.tolist() == np.rint(said.responses * 1e9).astype(np.int64).tolist()
    assert round(run.end * 1e9) == said.horizon
    assert [function.cold_starts for function in run.functions] == said.cold_starts.tolist()
    assert [function.cost for function in run.functions] == pytest.approx(said.costs.tolist(), rel=1e-12)
    assert run.cost_split == pytest.approx(
        {"initializing": said.init_cost, "busy": said.busy_cost, "idle": said.idle_cost}, rel=1e-12
    )
    assert run.attainment == pytest.approx(said.attainment)
    assert run.decisions == 1
