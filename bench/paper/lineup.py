"""Who serves what: applications, arrivals, and the systems that are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smiless_core import (
    Hardware,
    InvalidInputError,
    Policy,
    Problem,
    PublishedSmiless,
    Smiless,
    Trace,
    azure_like,
    baselines,
    catalog,
)
from smiless_core.policies import Decide
from smiless_core.traces import read_traces

SLAS = (2.0, 3.0, 4.0, 5.0, 6.0)  # of the paper
GAPS = (10.0, 30.0, 60.0)  # of arrivals that are forecast without an error, seconds
REGULAR = 240  # arrivals

# Of a sample of the Azure trace: so many functions, of those with so many arrivals.
SAMPLED, LEAST, MOST = 3, 200, 1000

# What a platform's operator would try, to choose with hindsight.
KEEP_ALIVES = (30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, float("inf"))
REPLICAS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Homogeneous:
    """A policy that is offered CPUs only."""

    policy: Policy

    @property
    def name(self) -> str:
        return f"{self.policy.name}, homogeneous"

    @property
    def fidelity(self) -> str:
        return self.policy.fidelity

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        sizes = {size for v in range(len(problem.application.functions)) for size in problem.sizes(v, Hardware.CPU)}
        limits = problem.limits.replace(sizes={Hardware.CPU: tuple(sorted(sizes))})
        return self.policy.start(problem.replace(limits=limits), now=now, seed=seed)


OURS = Smiless()
OURS_HOMOGENEOUS = Homogeneous(OURS)
PUBLISHED = PublishedSmiless()
PUBLISHED_HOMOGENEOUS = PublishedSmiless(homogeneous=True)
PUBLISHED_NO_DAG = PublishedSmiless(windows_follow_dag=False)
ABLATIONS = (
    (OURS, OURS_HOMOGENEOUS, "CPUs only"),
    (PUBLISHED, PUBLISHED_HOMOGENEOUS, "CPUs only"),
    (PUBLISHED, PUBLISHED_NO_DAG, "windows do not follow the DAG"),
)
RIVALS: tuple[Policy, ...] = tuple(getattr(baselines, name)() for name in baselines.__all__)
HINDSIGHT: tuple[Policy, ...] = (
    *(baselines.FixedKeepAlive(seconds=seconds) for seconds in KEEP_ALIVES),
    *(baselines.AlwaysWarm(replicas=replicas) for replicas in REPLICAS),
)
IN_PAPER = ("Orion", "IceBreaker", "GrandSLAm", "Aquatope")


def systems() -> list[Policy]:
    """Return every policy once, but for the ablation of ours, which takes as long as all others together."""
    policies = (OURS, PUBLISHED, PUBLISHED_HOMOGENEOUS, PUBLISHED_NO_DAG, *RIVALS, *HINDSIGHT)
    return list({policy.name: policy for policy in policies}.values())


def problems() -> list[Problem]:
    """Return the three applications of the catalog."""
    return [Problem(each, catalog.profiles(), catalog.prices()) for each in catalog.applications().values()]


def mixed(seeds: int, *, seconds: float) -> list[Trace]:
    """Draw the built-in trace from so many seeds."""
    return [azure_like(seconds=seconds, seed=seed).replace(name=f"mixed {seed}") for seed in range(seeds)]


def bursts(seeds: int, *, seconds: float) -> list[Trace]:
    """Draw as many arrivals, all of them in bursts."""
    return [
        azure_like("bursts", seconds=seconds, rate=0.05, seed=seed).replace(name=f"bursts {seed}")
        for seed in range(seeds)
    ]


def regular() -> list[Trace]:
    """Return arrivals that come at fixed intervals."""
    return [Trace.from_seconds(gap * np.arange(REGULAR), name=f"every {gap:g} s") for gap in GAPS]


def sampled(path: Path) -> list[Trace]:
    """Choose functions of real traces, from one that is invoked rarely to one that is often.

    Parameters
    ----------
    path : Path
        A trace, or a directory of traces; of these, the one with the most functions that have enough arrivals.

    Raises
    ------
    ValueError
        If no function has.
    """
    try:
        found = _eligible(path)
    except InvalidInputError:
        if not path.is_dir():
            raise
        found = max((_eligible(each) for each in sorted(path.iterdir()) if each.suffix != ".md"), key=len, default=[])
    if not found:
        raise ValueError(f"{path}: no function with {LEAST} to {MOST} arrivals")
    places = np.linspace(0, len(found) - 1, min(SAMPLED, len(found))).round().astype(int)
    return [found[place] for place in places]


def _eligible(path: Path) -> list[Trace]:
    """Return the functions whose arrivals are enough, and not too many to be served in seconds, by how many."""
    found = [(trace.count, name, trace) for name, trace in read_traces(path).items() if LEAST <= trace.count <= MOST]
    return [
        trace.replace(name=f"{name.rpartition('/')[2][:8]}, {count} arrivals")
        for count, name, trace in sorted(found, key=lambda each: each[:2])
    ]


def ends(slas: Sequence[float]) -> tuple[float, ...]:
    """Return the shortest and the longest SLA: what is not asked at all of them is asked at these."""
    return tuple(dict.fromkeys((min(slas), max(slas))))
