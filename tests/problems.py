"""Small planning problems, drawn and fixed, for everything that starts from names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hypothesis import strategies as st

import oracles
from smiless_core.arrivals import Arrivals
from smiless_core.model import (
    Application,
    Function,
    Hardware,
    HardwareProfile,
    Limits,
    Prices,
    Problem,
    Profile,
)
from smiless_core.solver.lowering import CompiledProblem
from strategies import dags

MILLISECOND = 1e-3


def hardware_profile(**changes: Any) -> HardwareProfile:
    """Return a profile of 1 s per request on one core, half of it parallel, with a cold start of 3 s."""
    given = {
        "alpha": 0.5,
        "beta": 0.5,
        "gamma": 0.0,
        "cold_start_mean": 3.0,
        "sizes": (1, 2),
        "batches": (1,),
    }
    return HardwareProfile(**{**given, **changes})


def chain(*latencies: float, cold_start: float = 3.0, sla: float = 10.0, **settings: Any) -> Problem:
    """Return a chain of functions f0, f1, ... of these latencies on one core, at a dollar per second."""
    profiles = {
        f"f{v}": Profile(
            f"f{v}",
            {Hardware.CPU: hardware_profile(alpha=0.0, beta=latency, cold_start_mean=cold_start, sizes=(1,))},
        )
        for v, latency in enumerate(latencies)
    }
    return Problem(Application.chain(*profiles, sla=sla), profiles, Prices(cpu=1.0, gpu=1.0), **settings)


def nanoseconds_apart(levels: Iterable[int]) -> Problem:
    """Return one function that takes 1 s and as many nanoseconds as each level, the cheaper the longer.

    Levels are divisors of 840.
    """
    sizes = tuple(840 / level for level in levels)
    profile = Profile("f0", {Hardware.CPU: hardware_profile(alpha=840e-9, beta=1.0, sizes=sizes)})
    return Problem(Application.chain("f0", sla=2.0), {"f0": profile}, Prices(cpu=1.0, gpu=1.0))


def diamond(**settings: Any) -> Problem:
    """Return a fork-join of four functions with a choice of size on both kinds of hardware."""
    profiles = {
        name: Profile(
            name,
            {
                Hardware.CPU: hardware_profile(alpha=work, sizes=(1, 2, 4)),
                Hardware.GPU: hardware_profile(alpha=work / 100, beta=0.05, cold_start_mean=5.0, sizes=(0.1, 0.5, 1.0)),
            },
        )
        for name, work in (("detect", 0.8), ("left", 1.6), ("right", 0.4), ("join", 0.2))
    }
    application = Application(
        tuple(Function(name, name) for name in profiles),
        (("detect", "left"), ("detect", "right"), ("left", "join"), ("right", "join")),
        sla=3.0,
        name="diamond",
    )
    return Problem(application, profiles, Prices.per_hour(cpu=0.034, gpu=3.06), **settings)


@st.composite
def _models(draw: st.DrawFn, hardware: Hardware) -> HardwareProfile:
    milliseconds = st.integers(0, 3000).map(lambda count: count * MILLISECOND)
    sizes = [1, 2, 4, 8] if hardware is Hardware.CPU else [0.1, 0.3, 0.5, 1.0]
    return HardwareProfile(
        alpha=draw(milliseconds) * (1.0 if hardware is Hardware.CPU else 0.1),
        beta=draw(milliseconds),
        gamma=MILLISECOND + draw(milliseconds),
        dispatch=draw(st.integers(0, 90)) * MILLISECOND,
        cold_start_mean=draw(milliseconds) * 3,
        cold_start_std=draw(milliseconds) / 10,
        sizes=tuple(draw(st.lists(st.sampled_from(sizes), min_size=1, max_size=2, unique=True))),
        batches=tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=2, unique=True))),
    )


@st.composite
def problems(draw: st.DrawFn, *, most: int = 4) -> Problem:
    """Draw a problem of at most `most` functions, with those limits that `oracles.offers` understands."""
    dag = draw(dags(most=most))
    kinds = st.lists(st.sampled_from(list(Hardware)), min_size=1, unique=True)
    names = [f"f{v}" for v in range(dag.functions)]
    profiles = {name: Profile(name, {hardware: draw(_models(hardware)) for hardware in draw(kinds)}) for name in names}
    application = Application(
        tuple(Function(name, name) for name in names),
        tuple((names[u], names[v]) for u, v in dag.edges),
        sla=1.0,
    )
    price = st.integers(1, 99)
    return Problem(
        application,
        profiles,
        Prices(cpu=draw(price) * 1e-6, gpu=draw(price) * 1e-5),
        limits=Limits(announces_arrivals=draw(st.booleans())),
        concurrency=draw(st.integers(1, 4)),
        cold_start_quantile=draw(st.sampled_from([None, None, 0.9])),
    )


class Question(NamedTuple):
    """What a solve is asked."""

    problem: Problem
    arrivals: Arrivals
    sla: float


@st.composite
def questions(draw: st.DrawFn, *, most: int = 4) -> Question:
    """Draw a problem, arrivals and an SLA between just too short and loose."""
    problem = draw(problems(most=most))
    arrivals = Arrivals.every(draw(st.integers(1, 30_000)) * MILLISECOND)
    compiled = CompiledProblem(problem)
    low = round(oracles.shortest_latency(compiled.table(arrivals)) * 1e9)
    high = round(compiled.loosest_sla * 1e9)
    sla = low + (high - low) * draw(st.integers(0, 100)) // 100 - draw(st.integers(0, 1))
    return Question(problem, arrivals, sla / 1e9)
