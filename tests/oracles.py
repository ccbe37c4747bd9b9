"""Slow, obvious answers to compare with.  Nothing here shares code with the product.

Times are Python integers of nanoseconds, costs are exact: a double is a fraction, and fractions add without
rounding.  What the product calls a tie is therefore a tie here, and nothing else is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np

BILLION = 10**9


def nanoseconds(seconds: float, *, up: bool) -> int:
    """Whole nanoseconds of a double: within 4 ulp of a whole one it is that one, else up or down."""
    exact = Fraction(seconds) * BILLION
    nearest = round(exact)
    if abs(exact - nearest) <= 4 * Fraction(math.ulp(seconds * 1e9)):
        return nearest
    return math.ceil(exact) if up else math.floor(exact)


class Mode(NamedTuple):
    """One row of a table: exact times and cost; `index` is its position within its function."""

    release: int
    latency: int
    cost: Fraction | None  # None: not offered
    index: int


def modes_of(table: Any) -> list[list[Mode]]:
    """Return the modes of every function, in canonical rank order: (latency, release, index)."""
    functions = []
    for first, end in itertools.pairwise(table.offsets.tolist()):
        rows = [
            Mode(
                release=nanoseconds(float(table.release[row]), up=True),
                latency=nanoseconds(float(table.latency[row]), up=True),
                cost=None if math.isinf(table.cost[row]) else Fraction(float(table.cost[row])),
                index=row - first,
            )
            for row in range(first, end)
        ]
        functions.append(sorted(rows, key=lambda mode: (mode.latency, mode.release, mode.index)))
    return functions


def longest_path(edges: Sequence[Sequence[int]], release: Sequence[Any], latency: Sequence[Any]) -> Any:
    """Return the last finish when every function starts after its predecessors and its release.

    The entries of `release` and `latency` are numbers, or arrays of one number per choice.
    """
    predecessors: list[list[int]] = [[] for _ in latency]
    for before, after in edges:
        predecessors[after].append(before)

    @cache
    def finish(v: int) -> Any:
        start = release[v]
        for u in predecessors[v]:
            start = np.maximum(start, finish(u))
        return start + latency[v]

    last = finish(0)
    for v in range(1, len(latency)):
        last = np.maximum(last, finish(v))
    return last


def evaluate(table: Any, choice: Sequence[int]) -> tuple[Fraction | None, int]:
    """Exact cost (None when a chosen mode is not offered) and latency in nanoseconds of a choice."""
    chosen = [
        next(mode for mode in modes if mode.index == index)
        for modes, index in zip(modes_of(table), choice, strict=True)
    ]
    latency = longest_path(table.edges.tolist(), [mode.release for mode in chosen], [mode.latency for mode in chosen])
    costs = [mode.cost for mode in chosen]
    return (None if None in costs else sum(costs, Fraction(0))), int(latency)


def shortest_latency(table: Any) -> float:
    """Return the smallest latency in seconds by recursion, for tables too large to enumerate."""
    functions, edges = modes_of(table), table.edges.tolist()

    @cache
    def earliest(v: int) -> float:
        start = max((earliest(before) for before, after in edges if after == v), default=0)
        return min(
            (max(start, mode.release) + mode.latency for mode in functions[v] if mode.cost is not None),
            default=math.inf,
        )

    return max(earliest(v) for v in range(len(functions))) / BILLION


class Enumeration(NamedTuple):
    """Every choice of a table, one row each, in lexicographic order of rank vectors."""

    ranks: np.ndarray  # (choices, n)
    latency: np.ndarray  # (choices,) int64 nanoseconds
    cost: np.ndarray  # (choices,) integers, in units of `unit`
    unit: Fraction
    functions: list[list[Mode]]

    def choice(self, row: int) -> tuple[int, ...]:
        """Return a row as indices within each function."""
        return tuple(modes[rank].index for modes, rank in zip(self.functions, self.ranks[row].tolist(), strict=True))

    def exact_cost(self, row: int) -> Fraction:
        """Return the cost of a row in dollars."""
        return int(self.cost[row]) * self.unit


def enumerate_choices(table: Any) -> Enumeration | None:
    """Enumerate every offered choice; None when some function is offered no mode."""
    functions = [[mode for mode in modes if mode.cost is not None] for modes in modes_of(table)]
    if not all(functions):
        return None
    costs = [mode.cost for modes in functions for mode in modes if mode.cost is not None]
    unit = Fraction(1, math.lcm(*(cost.denominator for cost in costs)))
    # Integers of any size where the exact sum needs more than an int64.
    dtype = np.int64 if max(costs) / unit * len(functions) < 2**62 else object
    ranks = np.indices([len(modes) for modes in functions]).reshape(len(functions), -1)

    def column(v: int, values: list[int], dtype: Any = np.int64) -> np.ndarray:
        return np.array(values, dtype=dtype)[ranks[v]]

    release = [column(v, [mode.release for mode in modes]) for v, modes in enumerate(functions)]
    latency = [column(v, [mode.latency for mode in modes]) for v, modes in enumerate(functions)]
    cost = sum(
        column(v, [int(mode.cost / unit) for mode in modes if mode.cost is not None], dtype)
        for v, modes in enumerate(functions)
    )
    total = longest_path(table.edges.tolist(), release, latency)
    return Enumeration(ranks.T, total, np.asarray(cost), unit, functions)


class Optimum(NamedTuple):
    """What brute force finds."""

    feasible: bool
    cost: Fraction | None
    choice: tuple[int, ...] | None  # canonical
    latency: int | None  # nanoseconds of `choice`
    shortest_latency: float  # seconds


def brute_force(table: Any, sla: float) -> Optimum:
    """Return the cheapest choice that meets the SLA, by looking at every choice."""
    everything = enumerate_choices(table)
    if everything is None:
        return Optimum(False, None, None, None, math.inf)
    shortest = int(everything.latency.min()) / BILLION
    punctual = np.flatnonzero(everything.latency <= nanoseconds(sla, up=False))
    if len(punctual) == 0:
        return Optimum(False, None, None, None, shortest)
    cost = everything.cost[punctual]
    best = int(np.argmin(cost))  # the first of equals: lexicographically smallest
    row = int(punctual[best])
    return Optimum(
        feasible=True,
        cost=everything.exact_cost(row),
        choice=everything.choice(row),
        latency=int(everything.latency[row]),
        shortest_latency=shortest,
    )


class Breakpoint(NamedTuple):
    """From this SLA on, until the next breakpoint, this is the optimal cost."""

    sla: float  # seconds
    cost: Fraction
    choice: tuple[int, ...]  # canonical at `sla` itself


def frontier(table: Any) -> list[Breakpoint]:
    """Return the cost-against-SLA staircase of a table: every SLA at which the optimal cost falls."""
    everything = enumerate_choices(table)
    if everything is None:
        return []
    order = sorted(range(len(everything.cost)), key=lambda row: (everything.latency[row], everything.cost[row], row))
    points: list[Breakpoint] = []
    lowest = None
    for row in order:
        if lowest is None or everything.cost[row] < lowest:
            lowest = everything.cost[row]
            sla = int(everything.latency[row]) / BILLION
            points.append(Breakpoint(sla, everything.exact_cost(row), everything.choice(row)))
    return points


class Offer(NamedTuple):
    """One mode of one function of a `Problem`, in the words of the problem."""

    hardware: str
    size: float
    batch: int
    readiness: str
    release: float
    latency: float  # of the work, cold start included for on_request
    cold_start: float
    cost: float


def offers(problem: Any, function: int, interval: float) -> Iterator[Offer]:
    """Yield every mode of a function for arrivals exactly `interval` seconds apart, straight from the definitions.

    Of the limits only `sizes` and `announces_arrivals` are understood; the others must be at their defaults.
    """
    limits, crowd = problem.limits, problem.concurrency
    assert (limits.min_replicas, limits.max_replicas, limits.min_keep_alive) == (0, None, 0.0)
    gap = round(Fraction(interval) * BILLION)
    profile = problem.profiles[problem.application.functions[function].profile]
    for hardware, curve in profile.hardware.items():
        sizes = curve.sizes if limits.sizes is None else limits.sizes.get(hardware, ())
        sizes = [size for size in sizes if min(curve.sizes) <= size <= max(curve.sizes)]  # no extrapolation
        if problem.cold_start_quantile is None:
            cold = curve.cold_start_mean + problem.std_multiple * curve.cold_start_std
        else:
            cold = curve.cold_start(quantile=problem.cold_start_quantile)
        rate = {"cpu": problem.prices.cpu, "gpu": problem.prices.gpu}[str(hardware.value)]
        for size, batch in itertools.product(sizes, curve.batches):
            warm = batch * (curve.alpha / size + curve.beta) + curve.gamma + curve.dispatch
            # Every X seconds an instance is needed again; one that is busy for longer needs k of its kind.
            needed = max(1, -(-round(Fraction(warm) * BILLION) // gap))
            share = rate * size * math.ceil(crowd / batch) / crowd
            name = (str(hardware.value), size, batch)
            yield Offer(*name, "prewarmed", 0.0, warm, cold, share * min(cold + warm, needed * gap / BILLION))
            yield Offer(*name, "on_request", 0.0, cold + warm, cold, share * (cold + warm))
            if limits.announces_arrivals:
                yield Offer(*name, "on_arrival", cold, warm, cold, share * (cold + warm))


class _Rows(NamedTuple):
    edges: np.ndarray
    offsets: np.ndarray
    release: np.ndarray
    latency: np.ndarray
    cost: np.ndarray


class CheapestPlan(NamedTuple):
    """The optimum of a whole problem, named."""

    optimum: Optimum
    offers: tuple[Offer, ...] | None  # one per function


def cheapest_plan(problem: Any, interval: float, *, sla: float | None = None) -> CheapestPlan:
    """Return the optimum of a problem under deterministic arrivals, by looking at every plan.

    Modes that another mode of the same function beats in release, latency and cost at once are left out: they
    change no optimal cost, and keep the number of plans within reach.
    """
    application = problem.application
    names = [function.name for function in application.functions]
    kept = []
    for v in range(len(names)):
        everything = sorted(offers(problem, v, interval), key=lambda offer: (offer.cost, offer.latency, offer.release))
        useful: list[Offer] = []
        for offer in everything:
            if not any(o.latency <= offer.latency and o.release <= offer.release for o in useful):
                useful.append(offer)
        kept.append(useful)
    flat = [offer for useful in kept for offer in useful]
    table = _Rows(
        edges=np.array([[names.index(u), names.index(v)] for u, v in application.edges]).reshape(-1, 2),
        offsets=np.cumsum([0, *map(len, kept)]),
        release=np.array([offer.release for offer in flat]),
        latency=np.array([offer.latency for offer in flat]),
        cost=np.array([offer.cost for offer in flat]),
    )
    optimum = brute_force(table, application.sla if sla is None else sla)
    chosen = None
    if optimum.choice is not None:
        chosen = tuple(useful[index] for useful, index in zip(kept, optimum.choice, strict=True))
    return CheapestPlan(optimum, chosen)


def chain_optimum(table: Any, sla: float) -> Fraction | None:
    """Return the optimal cost of a chain 0 -> 1 -> ..., from the cheapest way to finish at each instant."""
    cheapest: dict[int, Fraction] = {0: Fraction(0)}
    deadline = nanoseconds(sla, up=False)
    for modes in modes_of(table):
        following: dict[int, Fraction] = {}
        for start, spent in cheapest.items():
            for mode in modes:
                finish = max(start, mode.release) + mode.latency
                if mode.cost is None or finish > deadline:
                    continue
                cost = spent + mode.cost
                if cost < following.get(finish, cost + 1):
                    following[finish] = cost
        cheapest = following
    return min(cheapest.values(), default=None)


def fork_join_optimum(table: Any, sla: float) -> Fraction | None:
    """Return the optimal cost of a wide fork-join: function 0, then all between, then the last.

    Once the modes of both ends are fixed, the functions between them choose alone.
    """
    head, *branches, tail = modes_of(table)
    deadline = nanoseconds(sla, up=False)
    best = None
    for first, last in itertools.product(head, tail):
        start, latest = first.release + first.latency, deadline - last.latency
        if first.cost is None or last.cost is None or max(start, last.release) > latest:
            continue
        total = first.cost + last.cost
        for modes in branches:
            punctual = [
                mode.cost
                for mode in modes
                if mode.cost is not None and max(start, mode.release) + mode.latency <= latest
            ]
            if not punctual:
                break
            total += min(punctual)
        else:
            best = total if best is None else min(best, total)
    return best
