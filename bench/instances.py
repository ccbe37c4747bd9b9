"""Instances to measure on: applications with profiles like those of the published functions.

Everything is drawn from seeds, so that anyone can draw the same again. README.md tells what is drawn and why.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from smiless_core import (
    Application,
    Arrivals,
    Configuration,
    Function,
    Hardware,
    HardwareProfile,
    Prices,
    Problem,
    Profile,
)
from smiless_core.solver.tables import ModeTable
from smiless_core.windows import deterministic_costs

SEED = 2024
SERIES_PARALLEL = ("chain", "fork-join", "series-parallel")
GENERAL = ("layered", "random")
TOPOLOGIES = SERIES_PARALLEL + GENERAL

# Where an SLA lies between the shortest latency (0) and that of the cheapest choice (1).
QUANTILES = (0.05, 0.2, 0.4, 0.6, 0.8)

CORES = tuple(range(1, 17))
SHARES = tuple(tenths / 10 for tenths in range(1, 11))
PRICES = Prices.per_hour(cpu=0.034, gpu=3.06)
INTERVALS = (1.0, 3.0, 10.0, 60.0)

Edges = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Instance:
    """One drawn application, the modes of its functions, and the SLAs that it is asked to meet."""

    name: str
    problem: Problem
    arrivals: Arrivals
    table: ModeTable
    slas: tuple[float, ...]

    @property
    def functions(self) -> int:
        """The number of functions."""
        return self.table.functions


def instances(
    topology: str,
    functions: int,
    *,
    count: int,
    readiness: bool = False,
    quantiles: Sequence[float] = QUANTILES,
    seed: int = SEED,
) -> Iterator[Instance]:
    """Draw applications of one topology and size; the first ones do not depend on how many are drawn.

    With `readiness` every configuration comes prewarmed and not, with a release where it can have one.
    """
    for number in range(count):
        name = f"{topology}, n = {functions}, {seed}.{number}"
        rng = random.Random(name)
        problem = draw_problem(topology, functions, rng)
        arrivals = Arrivals.every(rng.choice(INTERVALS))
        table = readiness_table(problem, rng) if readiness else prewarmed_table(problem, arrivals)
        yield Instance(name, problem, arrivals, table, slas_between(table, quantiles))


def slas_between(table: ModeTable, quantiles: Sequence[float]) -> tuple[float, ...]:
    """SLAs at these quantiles between the shortest latency and that of the cheapest choice, seconds."""
    cheapest = [int(np.argmin(table.cost[start:end])) for start, end in pairwise(table.offsets)]
    shortest, longest = table.fastest()[1], table.evaluate(cheapest)[1] / 1e9
    return tuple(shortest + quantile * (longest - shortest) for quantile in quantiles)


# --- applications ------------------------------------------------------------------------------------


def draw_problem(topology: str, functions: int, rng: random.Random) -> Problem:
    """Draw the edges of an application and a profile for each of its functions."""
    edges = _TOPOLOGIES[topology](functions, rng)
    names = [f"f{v}" for v in range(functions)]
    application = Application(
        tuple(Function(name, name) for name in names),
        tuple((names[before], names[after]) for before, after in edges),
        sla=1.0,
    )
    return Problem(application, {name: draw_profile(name, rng) for name in names}, PRICES)


def draw_profile(name: str, rng: random.Random) -> Profile:
    """Draw a function with latencies and cold starts in the ranges of the published ones."""
    work = 0.5 * rng.lognormvariate(0.0, 0.8)
    cpu = _hardware_profile(work, rng.uniform(0.05, 0.3), rng.uniform(1.3, 3.5), CORES)
    gpu = _hardware_profile(work * rng.uniform(0.01, 0.1), rng.uniform(0.05, 0.25), rng.uniform(3.2, 6.5), SHARES)
    return Profile(name, {Hardware.CPU: cpu, Hardware.GPU: gpu})


def _hardware_profile(alpha: float, gamma: float, cold_start: float, sizes: tuple[float, ...]) -> HardwareProfile:
    return HardwareProfile(
        alpha=alpha,
        beta=0.0,
        gamma=gamma,
        cold_start_mean=cold_start,
        cold_start_std=cold_start / 10,
        sizes=sizes,
        batches=(1,),
    )


def _chain(functions: int, rng: random.Random) -> Edges:
    return [(v, v + 1) for v in range(functions - 1)]


def _fork_join(functions: int, rng: random.Random) -> Edges:
    last = functions - 1
    return [edge for v in range(1, last) for edge in ((0, v), (v, last))]


def _series_parallel(functions: int, rng: random.Random) -> Edges:
    """Split at random into two parts, side by side or one after the other, down to single functions."""
    edges: Edges = []

    def build(start: int, end: int) -> tuple[list[int], list[int]]:
        """Return the sources and the sinks of functions `start` to `end` (exclusive)."""
        if end - start == 1:
            return [start], [start]
        middle = rng.randint(start + 1, end - 1)
        (sources, inner_sinks), (inner_sources, sinks) = build(start, middle), build(middle, end)
        if rng.random() < 0.5:
            return sources + inner_sources, inner_sinks + sinks
        edges.extend((before, after) for before in inner_sinks for after in inner_sources)
        return sources, sinks

    build(0, functions)
    return edges


def _layered(functions: int, rng: random.Random) -> Edges:
    """Layers of up to 4 functions (6 beyond n = 12), each waiting for about half of the layer before it."""
    width = 4 if functions <= 12 else 6
    layers: list[list[int]] = []
    start = 0
    while start < functions:
        end = min(functions, start + rng.randint(1, width))
        layers.append(list(range(start, end)))
        start = end
    edges: Edges = []
    for before, after in pairwise(layers):
        for v in after:
            waits_for = [u for u in before if rng.random() < 0.5] or [rng.choice(before)]
            edges.extend((u, v) for u in waits_for)
    return edges


def _random(functions: int, rng: random.Random) -> Edges:
    """Every pair with the same probability, for about three edges a function where there are many."""
    probability = min(0.5, 3 / functions)
    return [(u, v) for u in range(functions) for v in range(u + 1, functions) if rng.random() < probability]


_TOPOLOGIES: dict[str, Callable[[int, random.Random], Edges]] = {
    "chain": _chain,
    "fork-join": _fork_join,
    "series-parallel": _series_parallel,
    "layered": _layered,
    "random": _random,
}


# --- mode tables -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Configurations:
    """All configurations of all functions, flattened as in `ModeTable`."""

    offsets: np.ndarray
    price: np.ndarray  # dollars per second
    latency: np.ndarray  # seconds
    cold_start: np.ndarray  # seconds

    @classmethod
    def of(cls, problem: Problem) -> "_Configurations":
        offsets, rows = [0], []
        for v in range(len(problem.application.functions)):
            for hardware, model in problem.profile(v).hardware.items():
                for size in model.sizes:
                    price = problem.prices.per_second(Configuration(hardware, size))
                    rows.append((price, model.latency(1, size), model.cold_start()))
            offsets.append(len(rows))
        return cls(np.array(offsets, dtype=np.int64), *np.array(rows).T.copy())


def prewarmed_table(problem: Problem, arrivals: Arrivals) -> ModeTable:
    """Every configuration prewarmed, at its cost under deterministic arrivals; all releases are zero."""
    given = _Configurations.of(problem)
    cost = deterministic_costs(
        given.latency,
        given.cold_start,
        price=given.price,
        prewarmed=np.ones(len(given.price), dtype=bool),
        interval=arrivals.interval,
    )
    release = np.zeros(len(given.price))
    return ModeTable(problem.application.edge_array, given.offsets, release, given.latency, cost)


def readiness_table(problem: Problem, rng: random.Random) -> ModeTable:
    """Every configuration twice: prewarmed, and begun when the invocation arrives.

    Where arrivals vary, a prewarmed instance waits for them: it is paid for 1.1 to 3 times its cold start,
    drawn for each function. The other instance is paid for its cold start once, and its function cannot begin
    before that is over: `on_arrival`, and `on_request` where a function waits for no other.
    """
    given = _Configurations.of(problem)
    modes = np.diff(given.offsets)
    waiting = np.repeat([rng.uniform(1.1, 3.0) for _ in modes], modes)
    source = np.repeat([not waits_for for waits_for in problem.application.predecessors], modes)
    cold_start, latency, price = given.cold_start, given.latency, given.price

    def paired(prewarmed: np.ndarray, started: np.ndarray) -> np.ndarray:
        return np.column_stack([prewarmed, started]).ravel()

    return ModeTable(
        problem.application.edge_array,
        2 * given.offsets,
        paired(np.zeros(len(price)), np.where(source, 0.0, cold_start)),
        paired(latency, np.where(source, cold_start + latency, latency)),
        paired(price * (latency + waiting * cold_start), price * (latency + cold_start)),
    )
