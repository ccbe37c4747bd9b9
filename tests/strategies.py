"""Hypothesis strategies: DAGs, mode tables and SLAs that lie where the interesting things happen.

Numbers are drawn as whole numbers of some unit (seconds or dollars) and divided last, so that ties are exact
and failures shrink to small whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import oracles
from smiless_core.solver.tables import ModeTable

BRUTE_FORCE_CHOICES = 20_000

Edges = list[tuple[int, int]]


def examples(count: int) -> settings:
    """Return `count` examples in the default profile, and proportionally more or fewer in another."""
    return settings(max_examples=max(1, count * settings.default.max_examples // 100))


# -- the DAG --------------------


class Dag(NamedTuple):
    """Functions 0 to functions - 1, and edges between them; indices need not follow the edges."""

    functions: int
    edges: Edges


def _single() -> st.SearchStrategy[Dag]:
    return st.just(Dag(1, []))


def _chain(most: int) -> st.SearchStrategy[Dag]:
    return st.integers(min(2, most), most).map(lambda n: Dag(n, [(v, v + 1) for v in range(n - 1)]))


def _fork_join(most: int) -> st.SearchStrategy[Dag]:
    def build(branches: int) -> Dag:
        last = branches + 1
        return Dag(last + 1, [(0, v) for v in range(1, last)] + [(v, last) for v in range(1, last)])

    return st.integers(1, max(1, most - 2)).map(build)


@st.composite
def _series_parallel(draw: st.DrawFn, most: int) -> Dag:
    """Nested series and parallel compositions of single functions."""
    edges: Edges = []
    count = 0

    def part(size: int) -> tuple[list[int], list[int]]:
        nonlocal count
        if size == 1:
            count += 1
            return [count - 1], [count - 1]
        left = draw(st.integers(1, size - 1))
        (sources, middle), (entry, sinks) = part(left), part(size - left)
        if draw(st.booleans()):
            edges.extend((u, v) for u in middle for v in entry)
            return sources, sinks
        return sources + entry, middle + sinks

    part(draw(st.integers(1, most)))
    return Dag(count, edges)


@st.composite
def _layered(draw: st.DrawFn, most: int) -> Dag:
    """Draw layers; every function waits for one or more functions of the layer above."""
    layers: list[list[int]] = [[]]
    for v in range(draw(st.integers(1, most))):
        if layers[-1] and draw(st.booleans()):
            layers.append([])
        layers[-1].append(v)
    edges = [
        (u, v)
        for above, layer in pairwise(layers)
        for v in layer
        for u in draw(st.lists(st.sampled_from(above), min_size=1, unique=True))
    ]
    return Dag(sum(map(len, layers)), edges)


@st.composite
def _random(draw: st.DrawFn, most: int) -> Dag:
    """Any DAG: transitive edges, isolated functions and all."""
    n = draw(st.integers(1, most))
    pairs = [(u, v) for u in range(n) for v in range(u + 1, n)]
    return Dag(n, [pair for pair in pairs if draw(st.booleans())])


@st.composite
def _bipartite(draw: st.DrawFn, most: int) -> Dag:
    """Draw K2,2 and larger complete bipartite graphs: one event that all paths cross."""
    above = draw(st.integers(1, max(1, min(3, most - 1))))
    below = draw(st.integers(1, max(1, min(3, most - above))))
    return Dag(above + below, [(u, above + v) for u in range(above) for v in range(below)])


@st.composite
def _crossed(draw: st.DrawFn, most: int) -> Dag:
    """Draw N shapes and longer zigzags: the smallest graphs that are not series-parallel."""
    n = draw(st.integers(min(4, most), most))
    edges = [(v, v + 1) if v % 2 == 0 else (v + 1, v) for v in range(n - 1)]
    return Dag(n, edges)


@st.composite
def _disconnected(draw: st.DrawFn, most: int) -> Dag:
    """Two components that share nothing but the SLA."""
    if most == 1:
        return Dag(1, [])
    first = draw(_random(max(1, most // 2)))
    second = draw(_series_parallel(max(1, most - first.functions)))
    shifted = [(u + first.functions, v + first.functions) for u, v in second.edges]
    return Dag(first.functions + second.functions, first.edges + shifted)


SHAPES: dict[str, Callable[[int], st.SearchStrategy[Dag]]] = {
    "single": lambda most: _single(),
    "chain": _chain,
    "fork-join": _fork_join,
    "series-parallel": _series_parallel,
    "layered": _layered,
    "random": _random,
    "bipartite": _bipartite,
    "crossed": _crossed,
    "disconnected": _disconnected,
}


@st.composite
def dags(draw: st.DrawFn, shape: str | None = None, *, most: int = 6) -> Dag:
    """Draw a DAG of at most `most` functions (a fork-join has at least 3), numbered in any order."""
    kind = draw(st.sampled_from(sorted(SHAPES))) if shape is None else shape
    dag = draw(SHAPES[kind](most))
    number = draw(st.permutations(range(dag.functions)))
    edges = draw(st.permutations([(number[u], number[v]) for u, v in dag.edges]))
    return Dag(dag.functions, list(edges))


# -- modes of one function, as (release, latency, cost) in whole units --------------------

Row = tuple[int, int, int]


class Units(NamedTuple):
    """What one whole unit is worth."""

    second: float  # units of time per second
    dollar: float  # units of cost per dollar


WHOLE = Units(1.0, 1.0)


def _curve(most: int) -> st.SearchStrategy[list[Row]]:
    """Latency falls as cost rises, as it does with size; no releases."""

    def build(drawn: tuple[int, int, list[int], int]) -> list[Row]:
        serial, parallel, sizes, price = drawn
        latencies = [(size, serial + parallel // size) for size in sorted(sizes)]
        return [(0, latency, price * size * latency) for size, latency in latencies]

    return st.tuples(
        st.integers(0, 200_000),
        st.integers(0, 2_000_000),
        st.lists(st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16]), min_size=1, max_size=most, unique=True),
        st.integers(1, 9),
    ).map(build)


def _announced(most: int) -> st.SearchStrategy[list[Row]]:
    """Configurations with all three readinesses: cheap when started late, dear when kept ready."""

    def build(drawn: list[tuple[int, int, int, int]]) -> list[Row]:
        rows: list[Row] = []
        for latency, cold, price, kept in drawn:
            rows.append((0, latency, price * (latency + kept)))
            rows.append((cold, latency, price * (latency + cold)))
            rows.append((0, cold + latency, price * (latency + cold)))
        return rows[: max(1, most)]

    numbers = st.tuples(st.integers(0, 50), st.integers(0, 90), st.integers(1, 20), st.integers(0, 200))
    return st.lists(numbers, min_size=1, max_size=max(1, most // 3)).map(build)


def _arbitrary(most: int, largest: int) -> st.SearchStrategy[list[Row]]:
    """Any releases, latencies and costs: dominated modes and equal modes among them."""
    number = st.integers(0, largest)
    return st.lists(st.tuples(st.one_of(st.just(0), number), number, number), min_size=1, max_size=most)


def _line(most: int, largest: int) -> st.SearchStrategy[list[Row]]:
    """Cost plus latency is the same for every mode: the linear relaxation sees no difference at all.

    Small latencies make a thousand ties of it, large ones a subset-sum problem.
    """
    return st.lists(st.integers(0, largest), min_size=1, max_size=most, unique=True).map(
        lambda latencies: [(0, latency, largest + 3 - latency) for latency in latencies]
    )


def _close(most: int) -> st.SearchStrategy[list[Row]]:
    """Seconds that differ by a few nanoseconds, in units of a nanosecond."""
    second = 1_000_000_000
    wobble = st.integers(-3, 3)
    return st.lists(
        st.tuples(
            st.one_of(st.just(0), wobble.map(lambda w: second + w)),
            st.tuples(st.integers(1, 3), wobble).map(lambda pair: pair[0] * second + pair[1]),
            st.integers(0, 30),
        ),
        min_size=1,
        max_size=most,
    )


class Family(NamedTuple):
    """A kind of mode table."""

    rows: Callable[[int], st.SearchStrategy[list[Row]]]
    units: Units

    @property
    def exact(self) -> bool:
        """Whether costs and all their sums are exact doubles, so that ties are ties to every method."""
        return math.frexp(self.units.dollar)[0] == 0.5


FAMILIES: dict[str, Family] = {
    "profile": Family(_curve, Units(1e6, 3e13)),
    "announced": Family(_announced, Units(1e2, 2.0**20)),
    "arbitrary": Family(lambda most: _arbitrary(most, 40), Units(1e3, 1e6)),
    "ties": Family(lambda most: _arbitrary(most, 3), Units(1.0, 1.0)),
    "line": Family(lambda most: _line(most, 9), Units(1.0, 1.0)),
    "subset-sum": Family(lambda most: _line(most, 997), Units(1e3, 2.0**10)),
    "close": Family(_close, Units(1e9, 2.0**4)),
}


@st.composite
def tables(
    draw: st.DrawFn,
    *,
    shape: str | None = None,
    family: str | None = None,
    most_functions: int = 6,
    most_modes: int = 6,
    most_choices: int = BRUTE_FORCE_CHOICES,
) -> ModeTable:
    """Draw a mode table; the numbers of modes multiply to at most `most_choices`.

    On top of its family's modes, a function may get a copy of a mode, a worse copy, or a mode that is not
    offered, anywhere in its list.
    """
    dag = draw(dags(shape, most=most_functions))
    kind = FAMILIES[draw(st.sampled_from(sorted(FAMILIES))) if family is None else family]
    functions: list[list[tuple[int, int, float]]] = []
    choices = 1
    for _ in range(dag.functions):
        room = max(1, min(most_modes, most_choices // choices))
        rows: list[tuple[int, int, float]] = list(draw(kind.rows(room)))
        if len(rows) < room:
            release, latency, cost = draw(st.sampled_from(rows))
            extra = draw(st.sampled_from(["none", "copy", "worse", "not offered"]))
            if extra == "copy":
                rows.append((release, latency, cost))
            elif extra == "worse":
                rows.append((release + draw(st.integers(0, 1)), latency + 1, cost + draw(st.integers(0, 1))))
            elif extra == "not offered":
                rows.append((release, 0, math.inf))
            rows = draw(st.permutations(rows))
        choices *= len(rows)
        functions.append(rows)
    return table_of(dag.edges, functions, units=kind.units)


def table_of(edges: Edges, functions: list[list[tuple[float, float, float]]], *, units: Units = WHOLE) -> ModeTable:
    """Build a table from modes (release, latency, cost) per function, in whole units."""
    rows = np.array([row for rows in functions for row in rows], dtype=np.float64).reshape(-1, 3)
    return ModeTable(
        edges=np.array(edges, dtype=np.int32).reshape(-1, 2),
        offsets=np.cumsum([0, *(len(rows) for rows in functions)], dtype=np.int64),
        release=rows[:, 0] / units.second,
        latency=rows[:, 1] / units.second,
        cost=rows[:, 2] / units.dollar,
    )


# -- the SLA --------------------


@st.composite
def slas(draw: st.DrawFn, table: ModeTable) -> float:
    """Draw an SLA for a table, in seconds, at least a nanosecond.

    Between the shortest latency and that of the cheapest modes; at the latency of some choice, or one
    nanosecond below it; below the shortest; or beyond everything.
    """
    functions = oracles.modes_of(table)
    shortest = oracles.shortest_latency(table)
    if math.isinf(shortest):
        return 1.0
    offered = [[mode for mode in modes if mode.cost is not None] for modes in functions]
    cheapest = [min(modes, key=lambda mode: mode.cost or Fraction(0)).index for modes in offered]
    low = round(shortest * 1e9)
    high = oracles.evaluate(table, cheapest)[1]
    kind = draw(st.sampled_from(["between", "attained", "just missed", "shortest", "too short", "loose"]))
    if kind == "between":
        span = max(high - low, 0)
        nanoseconds = low + span * draw(st.integers(0, 100)) // 100
    elif kind in ("attained", "just missed"):
        choice = [draw(st.sampled_from(modes)).index for modes in offered]
        nanoseconds = oracles.evaluate(table, choice)[1] - (kind == "just missed")
    elif kind == "shortest":
        nanoseconds = low
    elif kind == "too short":
        nanoseconds = draw(st.sampled_from([low - 1, low // 2]))
    else:
        nanoseconds = 3 * max(low, high) + 1
    return max(1, nanoseconds) / 1e9


class Instance(NamedTuple):
    """A question for a search."""

    table: ModeTable
    sla: float


@st.composite
def instances(draw: st.DrawFn, **limits: object) -> Instance:
    """Draw a table (see `tables` for the keywords) and an SLA for it."""
    table = draw(tables(**limits))
    return Instance(table, draw(slas(table)))
