"""Certificates: what must hold of every answer, whoever gives it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

import oracles


def check_search(table: Any, sla: float, search: Any) -> None:
    """Check an answer against its table by recomputation alone; optimality is left to the oracles."""
    bound_ns = oracles.nanoseconds(sla, up=False)
    shortest = oracles.shortest_latency(table)
    if math.isinf(shortest):
        assert math.isinf(search.shortest_latency)
    else:
        assert round(search.shortest_latency * 1e9) == round(shortest * 1e9)
    feasible = not math.isinf(shortest) and round(shortest * 1e9) <= bound_ns
    assert (search.status.value == "infeasible") == (not feasible)
    assert all(count >= 0 for count in search.work)
    if not feasible:
        assert search.choice is None
        assert math.isinf(search.cost)
        return

    choice = search.choice
    assert isinstance(choice, np.ndarray)
    assert choice.dtype == np.int64
    sizes = np.diff(table.offsets)
    assert choice.shape == sizes.shape
    assert np.all((choice >= 0) & (choice < sizes))
    cost, latency = oracles.evaluate(table, choice.tolist())
    assert cost is not None, "a chosen mode is not offered"
    assert latency <= bound_ns
    assert math.isclose(search.cost, cost, rel_tol=1e-12, abs_tol=0.0)
    assert round(search.latency * 1e9) == latency

    # A bound below zero is true but silly: costs are not negative.
    assert 0.0 <= search.bound <= search.cost
    if search.status.value == "optimal":
        assert search.bound == search.cost
    gap = (search.cost - search.bound) / search.cost if search.cost > 0 else 0.0
    assert math.isclose(search.gap, gap, rel_tol=1e-9, abs_tol=1e-15)


def check_optimum(table: Any, search: Any, optimum: oracles.Optimum, *, tolerance: float = 1e-12) -> None:
    """Check an answer that claims to be optimal against brute force; then `check_search` for the rest.

    Of choices that cost exactly the same it must be the canonical one, or one that is cheaper as the search
    rounds costs. One that costs more by less than `tolerance` is as good: doubles cannot tell.
    """
    if not optimum.feasible:
        assert search.status.value == "infeasible"
        return
    assert optimum.cost is not None
    assert search.status.value == "optimal"
    assert math.isclose(search.cost, optimum.cost, rel_tol=tolerance, abs_tol=0.0)
    choice = tuple(search.choice.tolist())
    if exact_cost(table, choice) == optimum.cost:
        assert choice == optimum.choice or rounded_cheaper(table, choice, optimum.choice)


def exact_cost(table: Any, choice: tuple[int, ...]) -> Fraction:
    """Return what a choice costs, without rounding."""
    return sum((Fraction(cost) for cost in mode_costs(table, choice)), Fraction(0))


def mode_costs(table: Any, choice: tuple[int, ...]) -> list[float]:
    return [float(table.cost[table.offsets[v] + mode]) for v, mode in enumerate(choice)]


def rounded_cheaper(table: Any, choice: tuple[int, ...], canonical: tuple[int, ...]) -> bool:
    """Whether a choice costs less than another one, which costs as much, in integers of 40 to 50 bits.

    The search knows costs in integers of 50 bits relative to a plan at hand, which may cost up to 2**10 times as much.
    """
    cost = exact_cost(table, choice)
    if not cost:
        return False
    least = math.frexp(float(cost))[1]
    for bits in range(40, 51):
        rounded = [
            sum(round(math.ldexp(part, bits - least)) for part in mode_costs(table, each))
            for each in (choice, canonical)
        ]
        if rounded[0] < rounded[1]:
            return True
    return False
