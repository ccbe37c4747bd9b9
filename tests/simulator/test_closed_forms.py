"""The engine against what queueing and renewal theory know in closed form.

Every expectation is compared with a mean over a long run with a fixed seed.  Where what is averaged is independent
its exact standard deviation is used, else that of the means of 40 batches in a row; four standard errors are
allowed, which a right engine exceeds with one seed in 15,000.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from simulation_cases import decide, simulate
from simulation_twin import FOREVER, Application, Decision, Stay
from smiless_core._native.simulation import OBSERVED, SERVED

SECOND = 10**9
ERRORS = 4.0


def poisson(rate: float, *, count: int, seed: int) -> NDArray[np.int64]:
    """Arrivals in nanoseconds, `rate` a second, from 0 on."""
    gaps = np.random.default_rng(seed).exponential(SECOND / rate, count)
    gaps[0] = 0
    return np.rint(np.cumsum(gaps)).astype(np.int64)


class Mean(NamedTuple):
    value: float
    error: float

    def agrees(self, expected: float) -> bool:
        return abs(self.value - expected) <= ERRORS * self.error


def in_batches(values: NDArray[np.float64], *, batches: int = 40) -> Mean:
    """The mean of a stationary series, its error by the means of batches in a row; the first batch warms up."""
    size = len(values) // batches
    means = values[: size * batches].reshape(batches, size).mean(axis=1)[1:]
    return Mean(float(means.mean()), float(means.std(ddof=1) / math.sqrt(len(means))))


def lasting(**changes: object) -> Decision:
    """One configuration, 0.5 s a request, there at once and for ever."""
    decision = Decision(
        configuration=0,
        price=1.0,
        latency=(SECOND // 2,),
        cold_start=0,
        readiness="prewarmed",
        schedules=((Stay(0, 0, FOREVER),),),
        repeat=True,
    )
    return decision._replace(**changes)


class Served(NamedTuple):
    """What the requests of one function met, in the order of invocations, and what was billed."""

    comes: NDArray[np.int64]
    begins: NDArray[np.int64]
    finishes: NDArray[np.int64]
    cold: NDArray[np.bool_]
    cold_starts: int
    busy: int
    idle: int


class Played(NamedTuple):
    arrivals: NDArray[np.int64]
    responses: NDArray[np.int64]
    functions: list[Served]


def serve(
    arrivals: NDArray[np.int64], decisions: Sequence[Decision], *, seed: int, edges: Sequence[tuple[int, int]] = ()
) -> Played:
    """Serve all arrivals of one application, deciding once."""
    simulation = simulate([Application(len(decisions), edges, arrivals)], seed=seed)
    for v, decision in enumerate(decisions):
        decide(simulation, v, decision)
    simulation.finish()
    served, _ = simulation.drain()
    observed, _ = simulation.observe()
    column = {name: served[:, i] for i, name in enumerate(SERVED)}
    functions = []
    for v in range(len(decisions)):
        mine = np.flatnonzero(column["function"] == v)
        mine = mine[np.argsort(column["invocation"][mine])]
        assert np.array_equal(column["invocation"][mine], np.arange(len(arrivals))), "every request is served once"
        comes, begins, finishes, cold = (column[name][mine] for name in ("comes", "begins", "finishes", "cold"))
        ((_, _, busy, idle),) = simulation.bill(v).values()
        cold_starts = int(observed[v, OBSERVED.index("cold_starts")])
        functions.append(Served(comes, begins, finishes, cold.astype(bool), cold_starts, busy, idle))
    return Played(arrivals, simulation.responses, functions)


# --- as many instances as requests ------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_busy_servers_without_a_limit_are_poisson_with_the_offered_load(spread: float):
    """M/G/inf: an arrival meets a Poisson number of busy servers, with mean rate x service, whatever the spread."""
    rate, load = 4.0, 2.0
    played = serve(poisson(rate, count=100_000, seed=1), [lasting(latency_spread=spread)], seed=2)
    (one,) = played.functions
    assert np.array_equal(one.begins, one.comes)
    met = np.arange(len(one.comes)) - np.searchsorted(np.sort(one.finishes), one.comes, side="right")
    assert in_batches(met.astype(float)).agrees(load)
    for busy in range(5):
        expected = math.exp(-load) * load**busy / math.factorial(busy)
        assert in_batches((met == busy).astype(float)).agrees(expected), busy
    # The bill: a mean of independent services.
    takes = SECOND / 2
    assert Mean(one.busy / len(one.comes), takes * spread / math.sqrt(len(one.comes))).agrees(takes)


def test_sampled_services_are_lognormal():
    spread = 0.8
    played = serve(poisson(1.0, count=100_000, seed=3), [lasting(latency_spread=spread)], seed=4)
    (one,) = played.functions
    factors = (one.finishes - one.begins) / (SECOND / 2)
    logs, sigma = np.log(factors), math.sqrt(math.log(1 + spread**2))
    n = len(logs)
    assert Mean(float(factors.mean()), spread / math.sqrt(n)).agrees(1)
    assert Mean(float(logs.mean()), sigma / math.sqrt(n)).agrees(-(sigma**2) / 2)
    assert Mean(float(logs.var()), sigma**2 * math.sqrt(2 / n)).agrees(sigma**2)
    uniforms = np.sort([0.5 * math.erfc(-(x / sigma + sigma / 2) / math.sqrt(2)) for x in logs])
    distance = float(np.max(np.abs(uniforms - (np.arange(n) + 0.5) / n)))
    assert distance < 2.4 / math.sqrt(n), "Kolmogorov-Smirnov, 1 in 50,000"


def test_sampled_cold_starts_are_normal():
    mean, std = 5.0 * SECOND, 1.0 * SECOND
    decision = lasting(readiness="on_request", schedules=(), repeat=False, cold_start=SECOND, cold_mean=mean)
    played = serve(poisson(1.0, count=50_000, seed=5), [decision._replace(cold_std=std)], seed=6)
    (one,) = played.functions
    waits = (one.begins - one.comes).astype(float)
    n = len(waits)
    assert one.cold.all()
    assert Mean(float(waits.mean()), std / math.sqrt(n)).agrees(mean)
    assert Mean(float(waits.var()), std**2 * math.sqrt(2 / n)).agrees(std**2)


# --- one instance, and a line before it -------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.3, 0.6])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_mean_wait_in_line_by_pollaczek_and_khinchine(load: float, spread: float):
    """M/D/1, and M/G/1 with the variance of M/M/1: its mean wait, load x service / (1 - load)."""
    takes = SECOND / 2
    arrivals = poisson(load / 0.5, count=400_000, seed=7)
    played = serve(arrivals, [lasting(max_replicas=1, latency_spread=spread)], seed=8)
    (one,) = played.functions
    waits = (one.begins - one.comes).astype(float)
    assert in_batches(waits).agrees(load * takes * (1 + spread**2) / (2 * (1 - load)))
    assert in_batches((waits > 0).astype(float)).agrees(load)
    assert one.cold_starts == 1


def test_waits_in_line_follow_lindley_to_the_nanosecond():
    """Each request begins when it has come and the one before has finished, in the order of arrival."""
    played = serve(poisson(1.8, count=20_000, seed=9), [lasting(max_replicas=1, latency_spread=0.7)], seed=10)
    (one,) = played.functions
    before = np.concatenate([[0], one.finishes[:-1]])
    assert np.array_equal(one.begins, np.maximum(one.comes, before))


def test_nobody_waits_behind_a_server_that_is_as_quick():
    """After one server with a fixed time the gaps are at least that time, so at the next one there is no line."""
    decision = lasting(max_replicas=1)
    played = serve(poisson(1.5, count=20_000, seed=11), [decision, decision], seed=12, edges=[(0, 1)])
    first, second = played.functions
    assert np.array_equal(second.comes, first.finishes)
    assert np.array_equal(second.begins, second.comes)
    assert np.array_equal(second.finishes - played.arrivals, played.responses)


def test_a_batch_takes_all_that_wait():
    """A service takes all who came during the one before, a Poisson number, or the next one if nobody did."""
    rate, takes = 6.0, SECOND // 2
    played = serve(poisson(rate, count=60_000, seed=13), [lasting(max_replicas=1, latency=(takes,) * 64)], seed=14)
    (one,) = played.functions
    expected, served, free = np.zeros_like(one.begins), 0, 0
    while served < len(expected):
        waiting = max(1, int(np.searchsorted(one.comes, free)) - served)
        begins = max(free, one.comes[served])
        expected[served : served + waiting] = begins
        served, free = served + waiting, begins + takes
    assert np.array_equal(one.begins, expected)
    together = np.unique(one.begins, return_counts=True)[1]
    m = rate * takes / SECOND
    mean = m + math.exp(-m)
    variance = m + m**2 + math.exp(-m) - mean**2
    assert Mean(float(together.mean()), math.sqrt(variance / len(together))).agrees(mean)


# --- keeping instances alive ------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.2, 1.0, 2.5])
def test_cold_starts_under_a_fixed_keep_alive(keep: float):
    """Instant services, exponential gaps X with mean m, kept for K: cold if X > K, with probability exp(-K / m)."""
    n, m = 100_000, SECOND
    until = round(keep * m)
    decision = lasting(latency=(1,), cold_start=1, schedules=((Stay(0, 0, until),),))
    played = serve(poisson(1.0, count=n, seed=15), [decision], seed=16)
    (one,) = played.functions
    cold = math.exp(-keep)
    assert Mean(float(one.cold[1:].mean()), math.sqrt(cold * (1 - cold) / n)).agrees(cold)
    assert one.cold_starts == one.cold.sum()
    # Idle for min(X, K): mean m (1 - exp(-K / m)), second moment 2 m^2 (1 - exp(-K / m) (1 + K / m)).
    idle = m * (1 - cold)
    variance = 2 * m**2 * (1 - cold * (1 + keep)) - idle**2
    assert Mean(one.idle / n, math.sqrt(variance / n)).agrees(idle)


def test_prewarming_within_a_window():
    """Let go at once, started after a, ready after a + T, let go after b; gaps are T + E, E exponential, T < a.

    Warm with P(a + T <= gap <= b); the wait is a + T - gap in between, and T before and after.
    """
    n, m = 100_000, SECOND
    a, takes, b = 0.7, 0.4, 2.0
    gaps = takes * m + 2 + np.random.default_rng(17).exponential(m, n)  # nobody comes while another waits
    arrivals = np.rint(np.cumsum(gaps) - gaps[0]).astype(np.int64)
    stay = Stay(*(round(x * m) for x in (a, a + takes, b)))
    decision = lasting(latency=(1,), cold_start=round(takes * m), schedules=((stay,),), max_replicas=1)
    (one,) = serve(arrivals, [decision], seed=18).functions
    waits = (one.begins - one.comes)[1:] / m
    before, warm, after = -math.expm1(takes - a), math.exp(-a) - math.exp(takes - b), math.exp(takes - b)
    assert Mean(float((waits == 0).mean()), math.sqrt(warm * (1 - warm) / n)).agrees(warm)
    joins = math.exp(takes - a) - math.exp(-a)
    part = (waits > 0) & (waits < takes)
    assert Mean(float(part.mean()), math.sqrt(joins * (1 - joins) / n)).agrees(joins)
    wait = takes * (before + after) + math.exp(-a) - (1 - takes) * math.exp(takes - a)
    assert Mean(float(waits.mean()), float(waits.std()) / math.sqrt(n)).agrees(wait)
    # Every arrival but for the last starts one instance: at a if it does not come before, else itself, and once
    # more if it comes after b.
    again = Mean((one.cold_starts - 1) / (n - 1), math.sqrt(after * (1 - after) / n))
    assert again.agrees(1 + after)
