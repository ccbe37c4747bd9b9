"""The optimal switching policy on 1,000 breakpoints: the native kernel, and the whole call in Python."""

import numpy as np
import pytest

from bench.measuring import measured, record, spread
from smiless_core import Arrivals, switching_policy
from smiless_core._native.windows import Windows

BREAKPOINTS = 1000


@pytest.mark.parametrize("kind", ["lognormal", "two-scale", "timer"])
def test_policy(benchmark, kind):
    drawn = np.random.default_rng(2024)
    gaps = {
        "lognormal": drawn.lognormal(3.0, 1.5, BREAKPOINTS),
        "two-scale": np.where(
            drawn.random(BREAKPOINTS) < 0.8, drawn.exponential(2.0, BREAKPOINTS), drawn.exponential(600.0, BREAKPOINTS)
        ),
        "timer": 60.0 + drawn.normal(0.0, 0.5, BREAKPOINTS),
    }[kind]
    arrivals = Arrivals.empirical(gaps)
    atoms = arrivals.atoms()
    assert len(atoms.times) == BREAKPOINTS
    windows = Windows(atoms.times, atoms.mass, np.zeros(BREAKPOINTS), atoms.tail_mass, atoms.tail_excess)
    # Cold starts of 1 to 6 s at prices of a miss from nothing to a thousand seconds of residency.
    cases = [(cold_start, price) for cold_start in (1.0, 3.0, 6.0) for price in (0.0, 10.0, 100.0, 1000.0)]
    prices = {price: np.full(BREAKPOINTS, price) for _, price in cases}

    def kernel(cold_start, price):
        return lambda: windows.solve(round(cold_start * 1e9), prices[price], prices[price], price, 0)

    def whole(cold_start, price):
        return lambda: switching_policy(arrivals, latency=0.0, cold_start=cold_start, miss_price=price)

    def sweep():
        return measured([kernel(*case) for case in cases]), measured([whole(*case) for case in cases])

    alone, called = benchmark.pedantic(sweep)
    for result, (cold_start, price) in zip(called, cases, strict=True):
        never = cold_start + price  # what it costs never to be ready
        assert result.answer.residency + price * result.answer.misses <= never * (1 + 1e-12)
    record(
        benchmark,
        "windows",
        kind,
        **spread(result.seconds for result in alone),
        in_python_median=spread(result.seconds for result in called)["median"],
    )
