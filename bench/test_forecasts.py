"""Forecasts: what the default one takes, what the others take and are worth, and a fleet at work."""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

import smiless_core as sc
from bench.measuring import measured, record, spread
from smiless_core import predictors
from smiless_core.backtests import ChainSwitching, PredictorSwitching, Scene, keep_target
from smiless_core.targets import ApplicationTarget

GAPS = 1000
APPLICATIONS = 10_000
SPAN = 600.0  # seconds that the fleet is watched
MISSES = 0.02


def drawn(kind, seed, count=GAPS):
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.exponential(60.0, count)
    if kind == "timer":
        return np.abs(60.0 + rng.normal(0.0, 0.3, count))
    return np.where(rng.random(count) < 0.8, rng.exponential(2.0, count), rng.exponential(600.0, count))


@pytest.mark.parametrize("kind", ["random", "timer", "bursts"])
def test_one_update_and_plan(benchmark, kind):
    chain = predictors.BandwidthChain()
    now = 0.0
    for gap in drawn(kind, 1):
        now += gap
        chain.observe(now)
    later = iter(np.cumsum(drawn(kind, 2, 20_000)) + now)

    def step():
        chain.observe(next(later))
        return chain.plan(cold_start=5.0, miss_price=250.0)

    results = benchmark.pedantic(lambda: [measured([step] * 100)])[0]
    record(benchmark, "forecast", kind, **spread(each.seconds for each in results), state=len(chain.state()))


def fleet_of(kinds, functions, count, seed):
    """Return the arrivals of functions of all kinds, apart by 10 s to 10 min in the mean."""
    rng = np.random.default_rng(seed)
    traces = {}
    for k in range(functions):
        gaps = drawn(kinds[k % len(kinds)], [seed, k], count) * np.exp(rng.uniform(np.log(1 / 6), np.log(10)))
        traces[f"f{k}"] = sc.Trace.from_seconds(np.cumsum(gaps), name=f"f{k}")
    return traces


@pytest.mark.parametrize("name", ["bandwidth-chain", "recent-gaps", "exponential-smoothing", "fourier",
                                  "autoregressive", "ets", "hazard", "lstm"])  # fmt: skip
def test_what_forecasts_are_worth(benchmark, name):
    kinds = ("random", "timer", "bursts")
    traces = fleet_of(kinds, 12, 150, seed=5)
    training = 0.0
    if name == "bandwidth-chain":
        method = ChainSwitching()
    else:
        made = {
            "recent-gaps": predictors.RecentGaps,
            "exponential-smoothing": predictors.ExponentialSmoothing,
            "fourier": predictors.FourierExtrapolation,
            "autoregressive": predictors.StatisticalGaps,
            "ets": partial(predictors.StatisticalGaps, "ets"),
        }
        if name in ("hazard", "lstm"):
            if name == "lstm":
                pytest.importorskip("torch")
            train, kind = {
                "hazard": (predictors.train, predictors.GradientBoostedHazard),
                "lstm": (predictors.train_lstm, predictors.LSTMNetworks),
            }[name]
            start = time.perf_counter()
            model = train([trace.inter_arrivals for trace in fleet_of(kinds, 60, 150, seed=6).values()], seed=0)
            training = time.perf_counter() - start
            made[name] = partial(kind, model)
        method = PredictorSwitching(predictor=made[name], title=name)

    def run():
        start = time.perf_counter()
        found = sc.backtest(traces, [method])
        return found, time.perf_counter() - start

    found, seconds = benchmark.pedantic(run)
    cost = found.curves[0].cost_at(MISSES)  # NaN: none of its settings misses as few
    record(
        benchmark,
        "forecasters",
        name,
        **({} if np.isnan(cost) else {"clairvoyant_cost": cost}),
        per_gap=seconds / int(found.gaps.sum()),
        training=training,
    )


def part_of_fleet(part):
    """Forecast and plan after every arrival of a part of the fleet; return the arrivals and the seconds that took."""
    rng = np.random.default_rng(part)
    scenes, firsts = {}, []
    for k in range(part, APPLICATIONS, 2):
        mean = np.exp(rng.uniform(0.0, np.log(86_400.0)))  # 0.088 arrivals a second, as in the Azure trace of 2019
        count = rng.poisson(SPAN / mean)
        at = np.sort(rng.uniform(0.0, SPAN, count)) if k % 3 else np.arange(rng.uniform(0.0, mean), SPAN, mean)
        if len(at) > 1:
            gaps = np.diff((at * 1e9).astype(np.int64))
            scenes[f"f{k}"] = Scene(gaps, 0, 5 * 10**9, 0)
            firsts.append(int(at[0] * 1e9))
    start = time.perf_counter()
    keep_target(ApplicationTarget(misses=MISSES), scenes, firsts=firsts)
    return sum(scene.gaps.size for scene in scenes.values()), time.perf_counter() - start


def test_a_fleet(benchmark):
    def run():
        with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as executor:
            return list(executor.map(part_of_fleet, range(2)))

    parts = benchmark.pedantic(run)
    slowest = max(seconds for _, seconds in parts)
    record(
        benchmark,
        "fleet",
        "10,000 applications",
        real_time=SPAN / slowest,
        arrivals_rate=sum(count for count, _ in parts) / slowest,
    )
