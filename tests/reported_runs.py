"""Runs to report on: arrivals drawn from a seed, served by small rules of keeping instances, consistent throughout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smiless_core import catalog
from smiless_core.model import Application, Configuration
from smiless_core.simulator.runs import FunctionRun, Instances, Run, Services, Usage

CPU, GPU = Configuration("cpu", 4.0), Configuration("gpu", 0.2)
SPREAD = 0.04  # of latencies and cold starts, relative


class Rule(NamedTuple):
    """Keep instances for so long, after they served; for a share of arrivals, have one ready in time."""

    name: str
    keep: float
    configuration: Configuration
    foreseen: float = 0.0
    fidelity: str = "paper rule"
    settings: str = ""


RULES = (
    Rule("Smiless", 8.0, CPU, foreseen=0.994, settings="predictor mixed, target 0.99"),
    Rule("fixed keep-alive", 600.0, GPU, settings="600 s"),
    Rule("always warm", 1e9, GPU),
    Rule("hybrid histogram", 40.0, CPU, foreseen=0.93, fidelity="simplified: no forecast of rare functions"),
    Rule("on request", 0.0, CPU),
    Rule("Knative KPA", 60.0, GPU, settings="stable 60 s, panic 6 s"),
)


def arrivals(count: int, *, seed: int, mean: float = 30.0) -> np.ndarray:
    """Gaps of a timer now and then, otherwise memoryless, in whole nanoseconds."""
    draw = np.random.default_rng(seed)
    gaps = np.where(draw.random(count) < 0.3, mean, draw.exponential(mean, count))
    return np.rint(np.cumsum(gaps) * 1e9) / 1e9


def served(rule: Rule, application: Application, times: np.ndarray, *, seed: int = 7, timeline: bool = True) -> Run:
    """Serve arrivals by a rule: function by function, since what comes to one depends on those before it only."""
    draw = np.random.default_rng(seed)
    problem_profiles, prices = catalog.profiles(), catalog.prices()
    count = len(times)
    finishes = np.zeros((len(application.functions), count))
    functions, lives, services = [], [], []
    end = 0.0
    for v in application.order:
        profile = problem_profiles[application.functions[v].profile]
        hardware = profile.hardware[rule.configuration.hardware]
        configuration = rule.configuration
        latency = hardware.latency(configuration.batch, configuration.size)
        cold = hardware.cold_start_mean
        price = prices.per_second(configuration)
        before = [finishes[u] for u in application.predecessors[v]]
        comes = np.maximum.reduce(before) if before else times
        there: list[list[float]] = []  # starts, ready, last finish, serial, until
        done: list[list[float]] = []
        initializing = busy = idle = 0.0
        cold_starts = 0
        for k in np.argsort(comes, kind="stable"):
            now = comes[k]
            for each in [each for each in there if each[4] < now]:
                there.remove(each)
                done.append(each)
            free = [each for each in there if each[2] <= now]
            waited = False
            if free:
                chosen = max(free, key=lambda each: each[2])
            else:
                takes = cold * (1.0 + SPREAD * draw.random())
                foreseen = draw.random() < rule.foreseen
                starts = now - takes - draw.random() if foreseen else now
                chosen = [starts, starts + takes, starts + takes, cold_starts, 0.0]
                cold_starts += 1
                initializing += takes
                waited = not foreseen
                there.append(chosen)
            begins = max(now, chosen[1])
            finishes[v, k] = begins + latency * (1.0 + SPREAD * draw.random())
            idle += begins - chosen[2]
            busy += finishes[v, k] - begins
            chosen[2], chosen[4] = finishes[v, k], finishes[v, k] + rule.keep
            services.append((v, k, chosen[3], 1, waited, now, begins, finishes[v, k]))
        end = max([end, *finishes[v]])
        for each in there + done:
            until = min(each[4], times[-1] + 30.0) if count else 0.0
            until = max(until, each[2])
            idle += until - each[2]
            lives.append((v, each[3], 0, each[0], each[1], until))
            end = max(end, until)
        usage = (Usage(configuration, price, latency, initializing, busy, idle),) if count else ()
        functions.append((v, FunctionRun(application.names[v], count, cold_starts, usage)))
    responses = (finishes[list(application.sinks)].max(axis=0) - times) if count else np.empty(0)
    lives.sort(key=lambda life: life[5])
    services.sort(key=lambda service: service[7])
    return Run(
        policy=rule.name,
        settings=rule.settings,
        fidelity=rule.fidelity,
        application=application,
        trace="timers and chance",
        seed=seed,
        arrivals_ns=np.rint(times * 1e9).astype(np.int64),
        responses_ns=np.rint(responses * 1e9).astype(np.int64),
        end=end,
        functions=tuple(function for _, function in sorted(functions, key=lambda each: each[0])),
        clairvoyant=0.0,
        decisions=count,
        decision_time=draw.random(),
        instances=_instances(lives) if timeline else None,
        services=_services(services) if timeline else None,
    )


def runs(application: Application, *, count: int = 600, seed: int = 7, rules: tuple[Rule, ...] = RULES) -> list[Run]:
    """One run for each rule, all on the same arrivals."""
    times = arrivals(count, seed=seed)
    found = [served(rule, application, times, seed=seed) for rule in rules]
    bound = 0.6 * min((run.total_cost for run in found if run.attainment > 0.9), default=0.0)
    return [run.replace(clairvoyant=bound) for run in found]


def applications() -> list[Application]:
    return [each.replace(sla=4.0) for each in catalog.applications().values()]


def _instances(lives: list[tuple[float, ...]]) -> Instances:
    columns = np.array(lives, dtype=np.float64).reshape(-1, 6).T
    return Instances(*(column.astype(np.int64) for column in columns[:3]), *columns[3:])


def _services(services: list[tuple[float, ...]]) -> Services:
    columns = np.array(services, dtype=np.float64).reshape(-1, 8).T
    return Services(*(column.astype(np.int64) for column in columns[:4]), columns[4].astype(np.bool_), *columns[5:])
