"""Small planning problems, drawn and fixed, for everything that starts from names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
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


# -- problems given by their numbers --------------------


class Made(NamedTuple):
    """A configuration that nobody measured: dollars per second of an instance, seconds."""

    price: Fraction
    latency: Fraction
    cold_start: Fraction


def made_up(functions: Sequence[Sequence[Made]], edges: Sequence[tuple[int, int]] = (), **settings: Any) -> Problem:
    """Return a problem in which every function has these configurations, one or two of them."""
    names = [f"f{v}" for v in range(len(functions))]
    share = 64.0  # of a GPU for a dollar per second: powers of two keep prices what they are
    profiles = {}
    for name, configurations in zip(names, functions, strict=True):
        models = {}
        for hardware, (price, latency, cold_start) in zip(Hardware, configurations, strict=False):
            size = float(price) / (share if hardware is Hardware.GPU else 1.0)
            models[hardware] = hardware_profile(
                alpha=0.0, beta=0.0, gamma=float(latency), cold_start_mean=float(cold_start), sizes=(size,)
            )
        profiles[name] = Profile(name, models)
    application = Application(
        tuple(Function(name, name) for name in names),
        tuple((names[u], names[v]) for u, v in edges),
        sla=1.0,
    )
    return Problem(application, profiles, Prices(cpu=1.0, gpu=share), **settings)


class Tiny(NamedTuple):
    """A question small enough to try all answers; halves of seconds, every gap equally probable."""

    functions: tuple[tuple[Made, ...], ...]
    edges: tuple[tuple[int, int], ...]
    gaps: tuple[Fraction, ...]
    announced: bool
    sla: Fraction
    target: Fraction

    @property
    def atoms(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """The distribution of X."""
        return tuple((x, Fraction(self.gaps.count(x), len(self.gaps))) for x in sorted(set(self.gaps)))

    @property
    def arrivals(self) -> Arrivals:
        """The same for the product."""
        return Arrivals.empirical([float(x) for x in self.gaps])

    def problem(self, **limits: Any) -> Problem:
        """Return what is to be planned."""
        return made_up(self.functions, self.edges, limits=Limits(announces_arrivals=self.announced, **limits))


halves = st.integers(0, 12).map(lambda count: Fraction(count, 2))


@st.composite
def tiny(draw: st.DrawFn, *, most: int = 3, apart: bool = True) -> Tiny:
    """Draw a tiny question.

    apart: no gap is shorter than any cold start and latency together, so that the planning cost is exact and nothing
    overlaps; otherwise gaps are of any length.
    """
    n = draw(st.integers(1, most))
    pairs = [(u, v) for u in range(n) for v in range(u + 1, n)]
    edges = tuple(pair for pair in pairs if draw(st.sampled_from([True, True, False])))
    one = st.builds(Made, st.integers(1, 4).map(Fraction), halves.map(lambda x: x + Fraction(1, 2)), halves)
    functions = tuple(tuple(draw(st.lists(one, min_size=1, max_size=2))) for _ in range(n))
    least = max(each.latency + each.cold_start for made in functions for each in made) if apart else Fraction(1, 2)
    distinct = draw(st.lists(st.integers(0, 40), min_size=2, max_size=3 if n > 1 else 4, unique=True))
    gaps = [least + Fraction(x, 2) for x in distinct]
    gaps += draw(st.lists(st.sampled_from(gaps), max_size=6))

    def longest(seconds: Callable[[Made], Fraction], pick: Callable[..., Fraction]) -> Fraction:
        ends: list[Fraction] = []
        for v, made in enumerate(functions):
            ends.append(max((ends[u] for u, w in edges if w == v), default=Fraction(0)) + pick(map(seconds, made)))
        return max(ends)

    low = longest(lambda made: made.latency, min)
    high = longest(lambda made: made.latency + made.cold_start, max)
    sla = low + Fraction(draw(st.integers(0, int(2 * (high - low)))), 2)
    missed = draw(st.sampled_from([0, 0, 0, 1, 2]))
    target = Fraction(max(len(gaps) - missed, 1), len(gaps))
    return Tiny(functions, edges, tuple(gaps), draw(st.booleans()), sla, target)
