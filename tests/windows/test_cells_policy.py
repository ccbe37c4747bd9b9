"""The switching policy on distributions with density: what it values is what it does, and nothing is better."""

from __future__ import annotations

import math
from fractions import Fraction as F
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedule_oracle as oracle
from schedule_oracle import Held
from smiless_core.arrivals import Arrivals, Cells
from smiless_core.model import Stay
from smiless_core.windows import GapLaw, Wanted, evaluate_schedule
from strategies import examples

pytestmark = pytest.mark.native

SECOND = 10**9
FOREVER = np.iinfo(np.int64).max


class Grid(NamedTuple):
    """A survival that is straight between whole seconds, in fractions and as the product has it."""

    edges: tuple[int | F, ...]
    atoms: tuple[tuple[F, F], ...]
    cells: tuple[tuple[F, F, F], ...]
    tail: F
    excess: float

    @property
    def arrivals(self) -> Arrivals:
        times, left = [], []
        above = F(1)
        mass = dict(self.atoms)
        spread = {right: p for _, right, p in self.cells}
        for edge in map(F, self.edges):
            above -= spread.get(edge, 0)
            times.append(float(edge))
            left.append(float(above))
            if edge in mass:
                above -= mass[edge]
                times.append(float(edge))
                left.append(float(above))
        left[-1] = float(self.tail)
        return Arrivals.from_survival(times=times, survival=left, tail_excess=self.excess)

    @property
    def law(self) -> GapLaw:
        mass, right = dict(self.atoms), {b: p for _, b, p in self.cells}
        return GapLaw(
            1.0,
            Cells(
                np.array([int(edge * SECOND) for edge in self.edges], np.int64),
                np.array([float(mass.get(F(edge), 0)) for edge in self.edges]),
                np.array([float(right.get(F(edge), 0)) for edge in self.edges]),
                float(self.tail),
                self.excess if self.tail else 0.0,
                0.0,
            ),
        )


@st.composite
def grids(draw, *, edges=(3, 6), tail=True, holes=True):
    """Draw a distribution from its first edge on."""
    at = sorted(draw(st.lists(st.integers(1, 20), min_size=edges[0], max_size=edges[1], unique=True)))
    share = st.integers(0 if holes else 1, 4)
    cells = [(F(a), F(b), draw(share)) for a, b in pairwise(at)]
    atoms = [(F(a), draw(st.integers(0, 3))) for a in at]
    beyond = draw(st.integers(0, 3)) if tail else 0
    total = sum(w for *_, w in cells) + sum(w for _, w in atoms) + beyond
    if total == 0:
        atoms[-1], total = (atoms[-1][0], 1), 1
    return Grid(
        tuple(at),
        tuple((x, F(w, total)) for x, w in atoms if w),
        tuple((a, b, F(w, total)) for a, b, w in cells if w),
        F(beyond, total),
        draw(st.sampled_from([0.5, 2.0, 30.0])),
    )


class Terms(NamedTuple):
    """What a policy is asked for, seconds."""

    busy: float
    cold_start: int
    price: float
    tolerated: float


def terms(grid: Grid, draw) -> Terms:
    return Terms(
        busy=draw(st.integers(0, 2 * grid.edges[0])) / 2,
        cold_start=draw(st.sampled_from([1, 2, 3, 5, 8, 25])),
        price=draw(st.sampled_from([0, 1, 4, 20, 1000])),
        tolerated=draw(st.sampled_from([0, 0, 0.5, 1, 2])),
    )


def solved(law: GapLaw, asked: Terms, wanted: Wanted | None = None) -> tuple[float, float, np.ndarray]:
    """The value, the fraction of misses, and the stays."""
    busy = round(asked.busy * SECOND)
    law.solve(
        wanted or Wanted(asked.price),
        asked.cold_start * SECOND,
        tolerated=round(asked.tolerated * SECOND),
    )
    (value,), (misses,) = law.values(np.array([busy]))
    return float(value), float(misses), law.stays(busy)


def seconds(stays) -> list[Stay]:
    return [Stay(a / 1e9, b / 1e9, math.inf if c == FOREVER else c / 1e9) for a, b, c in stays.tolist()]


@given(st.data(), grids())
@examples(200)
def test_the_value_is_that_of_the_stays(data, grid):
    asked = terms(grid, data.draw)
    law = grid.law
    value, misses, stays = solved(law, asked)
    found = evaluate_schedule(
        grid.arrivals,
        seconds(stays),
        latency=asked.busy,
        cold_start=asked.cold_start,
        tolerated_wait=asked.tolerated,
    )
    expected = found.residency + asked.price * found.misses
    assert asked.busy + value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert misses == pytest.approx(found.misses, abs=1e-9)
    tolerated = round(asked.tolerated * SECOND)
    assert law.late(stays, asked.cold_start * SECOND, tolerated=tolerated) == pytest.approx(found.misses, abs=1e-6)


def valued(grid: Grid, stays, asked: Terms) -> tuple[F, F]:
    """Residency, misses and mean wait, in fractions."""
    atoms = [*grid.atoms, *oracle.pieces(grid.cells, stays, tolerated_wait=F(asked.tolerated))]
    cold_start = F(asked.cold_start)
    found = oracle.evaluate(atoms, stays, price=F(1), latency=F(asked.busy), cold_start=cold_start)
    late = sum((p for (_, p), wait in zip(atoms, found.waits, strict=True) if wait > F(asked.tolerated)), F(0))
    return found.cost, late


@given(st.data(), grids(edges=(3, 4), tail=False))
@examples(50)
def test_no_schedule_that_ends_on_the_edges_is_better(data, grid):
    asked = terms(grid, data.draw)
    value, _, stays = solved(grid.law, asked)

    def worth(stays) -> F:
        residency, late = valued(grid, stays, asked)
        return residency + F(asked.price) * late

    points = [F(edge) for edge in grid.edges]
    best = min(map(worth, oracle.every_schedule(points, latency=F(asked.busy), cold_start=F(asked.cold_start))))
    assert asked.busy + value == pytest.approx(float(best), rel=1e-9)
    held = tuple(Held(F(a, SECOND), F(b, SECOND), F(c, SECOND), a == b) for a, b, c in stays.tolist())
    assert asked.busy + value == pytest.approx(float(worth(held)), rel=1e-9)


@given(st.data(), grids(edges=(3, 4), tail=False, holes=False))
@examples(50)
def test_the_ready_set_is_covered_as_cheaply_as_can_be(data, grid):
    asked = terms(grid, data.draw)._replace(price=0, tolerated=0)
    ends = sorted(data.draw(st.lists(st.sampled_from(grid.edges), min_size=2, max_size=4, unique=True)))
    ready_set = list(zip(ends[::2], ends[1::2], strict=False))
    alone = [int(x) for x, _ in grid.atoms if not any(a <= x <= b for a, b in ready_set)]
    if alone and data.draw(st.booleans()):
        ready_set = sorted([*ready_set, (alone[0], alone[0])])
    ready = np.array(ready_set, np.int64) * SECOND
    value, misses, stays = solved(grid.law, asked, Wanted(ready=ready))
    held = tuple(Held(F(a, SECOND), F(b, SECOND), F(c, SECOND), a == b) for a, b, c in stays.tolist())
    wanted = [(F(a), F(b)) for a, b in ready_set]
    assert oracle.contains(held, wanted)

    cold_start, busy = F(asked.cold_start), F(asked.busy)
    points = [F(edge) for edge in grid.edges]
    every = oracle.every_schedule(points, latency=busy, cold_start=cold_start)
    best = min(valued(grid, stays, asked)[0] for stays in every if oracle.contains(stays, wanted))
    residency, late = valued(grid, held, asked)
    assert asked.busy + value == pytest.approx(float(best), rel=1e-9)
    assert residency == best
    assert misses == pytest.approx(float(late), abs=1e-12)


@given(st.data(), grids(tail=False), st.integers(1, 24))
@examples(100)
def test_an_instance_stays_for_as_long_as_it_has_to(data, grid, keep):
    asked = terms(grid, data.draw)._replace(tolerated=0)
    law = grid.law
    busy = round(asked.busy * SECOND)
    law.solve(Wanted(asked.price), asked.cold_start * SECOND)
    (value,), (misses,) = law.values(np.array([busy]), keep=keep * SECOND)
    stays = law.stays(busy, keep=keep * SECOND)
    assert stays[0, 0] == stays[0, 1] == busy
    assert stays[0, 2] >= busy + keep * SECOND
    found = evaluate_schedule(grid.arrivals, seconds(stays), latency=asked.busy, cold_start=asked.cold_start)
    assert asked.busy + value == pytest.approx(found.residency + asked.price * found.misses, rel=1e-9)
    assert misses == pytest.approx(found.misses, abs=1e-9)


@given(st.data(), grids(edges=(4, 6), tail=False))
@examples(60)
def test_finer_cells_are_never_worse(data, grid):
    """Cutting cells in two changes nothing about X and lets stays end at more times."""
    asked = terms(grid, data.draw)
    cells = []
    for a, b, p in grid.cells:
        cells += [(a, (a + b) / 2, p / 2), ((a + b) / 2, b, p / 2)]
    edges = sorted({*grid.edges, *(b for _, b, _ in cells)})
    finer = grid._replace(edges=tuple(edges), cells=tuple(cells))
    coarse, _, _ = solved(grid.law, asked)
    fine, _, _ = solved(finer.law, asked)
    assert fine <= coarse + 1e-9 * max(1.0, coarse)


def test_a_stay_beyond_the_last_edge_is_paid_for_as_far_as_arrivals_come():
    """All of X in a tail, 5 s beyond an edge at 1 s on average: it has come after 6 s, however long one has to stay."""
    nothing = np.zeros(1)
    law = GapLaw(1.0, Cells(np.array([SECOND]), nothing, nothing, 1.0, 5.0, 0.0))
    law.solve(Wanted(), SECOND)
    (forever,), _ = law.values(np.array([0]), keep=100 * SECOND)
    assert forever == pytest.approx(6.0, rel=1e-6)
    values = [float(law.values(np.array([0]), keep=keep * SECOND)[0][0]) for keep in (1, 2, 4, 10, 40)]
    assert values == sorted(values)
    assert all(value <= 6.0 * (1 + 1e-9) for value in values)


def test_a_stay_that_ends_in_the_tail_of_exponential_gaps():
    """Kept for k, then a cold start if it was in vain: E[min(X, k)] + T P(X > k), also beyond the last edge."""
    law = GapLaw(1.0, Arrivals.exponential(10.0).cells())
    law.solve(Wanted(), SECOND)
    last = int(law.cells.times[-1])
    for keep in (last // 2, last + SECOND, last + 10 * SECOND, last + 1000 * SECOND):
        (value,), _ = law.values(np.array([0]), keep=keep)
        assert value == pytest.approx(10.0, rel=3e-3)
