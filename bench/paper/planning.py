"""Plans as such: how near they are to the optimum, and how long they take to make."""

import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bench.measuring import measured
from bench.paper.lineup import OURS
from smiless_core import (
    Application,
    Arrivals,
    CompiledProblem,
    Decision,
    Function,
    Observation,
    Policy,
    Problem,
    azure_like,
    catalog,
    simulate,
)
from smiless_core.policies import Decide
from smiless_core.solver.tables import ModeTable
from smiless_core.timing import nanoseconds_down, nanoseconds_up

INTERVALS = (1.0, 3.0, 10.0, 60.0, 600.0)
LENGTHS = tuple(range(2, 13))
SLA_OF_ONE = 0.8  # seconds of the SLA for each function of a chain
SECONDS = 4000.0  # of arrivals for the policy
MOST_CHOICES = 20_000_000


class Optimum(NamedTuple):
    """The search against trying out every choice of modes.

    Attributes
    ----------
    questions, same, unanswerable : int
        How many there were; those with the same cost on both sides, and those that neither has a plan for.
    choices : int
        The most that were tried out for one question.
    """

    questions: int
    same: int
    unanswerable: int
    choices: int


def enumerated(problems: Iterable[Problem], slas: Iterable[float]) -> Optimum:
    """Try out every choice of the modes that no other mode of the function beats, for arrivals at fixed intervals."""
    slas = list(slas)
    questions = same = unanswerable = most = 0
    for problem in problems:
        compiled = CompiledProblem(problem)
        for interval in INTERVALS:
            arrivals = Arrivals.every(interval)
            costs, latencies = _all_choices(compiled.table(arrivals))
            most = max(most, len(costs))
            for sla in slas:
                questions += 1
                least = costs[latencies <= nanoseconds_down(sla)].min(initial=np.inf)
                found = compiled.search(arrivals, sla)
                if found.choice is None:
                    unanswerable += bool(np.isinf(least))
                    same += bool(np.isinf(least))
                else:
                    same += bool(abs(found.cost - least) <= 1e-9 * least)
    return Optimum(questions, same, unanswerable, most)


def _all_choices(table: ModeTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost and the latency (nanoseconds) of every choice."""
    functions = [_unbeaten(table, start, end) for start, end in pairwise(table.offsets.tolist())]
    shape = [len(rows) for rows in functions]
    assert np.prod(shape) <= MOST_CHOICES, "few enough to try them all out"
    release, latency = nanoseconds_up(table.release), nanoseconds_up(table.latency)
    grids = np.meshgrid(*functions, indexing="ij", sparse=True)
    finish: dict[int, np.ndarray] = {}
    for v in table.order():
        begin = np.zeros((), np.int64)
        for u in table.predecessors()[v]:
            begin = np.maximum(begin, finish[u])
        finish[v] = np.maximum(begin, release[grids[v]]) + latency[grids[v]]
    last = np.zeros((), np.int64)
    for times in finish.values():
        last = np.maximum(last, times)
    cost = sum(table.cost[grid] for grid in grids)
    return np.broadcast_to(cost, shape).ravel(), np.broadcast_to(last, shape).ravel()


def _unbeaten(table: ModeTable, start: int, end: int) -> np.ndarray:
    """Return the rows of a function that no other row is as good as in everything (of equal ones, the first)."""
    rows = [row for row in range(start, end) if np.isfinite(table.cost[row])]
    terms = {row: (table.release[row], table.latency[row], table.cost[row]) for row in rows}

    def beaten(row: int) -> bool:
        mine = terms[row]
        return any(
            all(a <= b for a, b in zip(theirs, mine, strict=True)) and (theirs != mine or other < row)
            for other, theirs in terms.items()
            if other != row
        )

    return np.array([row for row in rows if not beaten(row)])


class Overhead(NamedTuple):
    """How long planning takes for a chain.

    Attributes
    ----------
    functions : int
    solve : float
        Median seconds of `CompiledProblem.solve` for arrivals at a fixed interval.
    decisions, plans : int
        How often the policy was asked, and how often it answered with something else than before.
    mean, plan, longest : float
        Seconds of a decision: on average, the median of those that changed something, and the longest.
    """

    functions: int
    solve: float
    decisions: int
    plans: int
    mean: float
    plan: float
    longest: float


def chain(functions: int) -> Problem:
    """Return a chain of functions of the catalog, in alphabetical order."""
    profiles = catalog.profiles()
    names = sorted(profiles)[:functions]
    application = Application(
        tuple(Function(name, name) for name in names), tuple(pairwise(names)), sla=SLA_OF_ONE * functions
    )
    return Problem(application, profiles, catalog.prices())


def overhead(functions: int) -> Overhead:
    """Time plans for a chain, in this process."""
    problem = chain(functions)
    compiled = CompiledProblem(problem)
    # Every call has an interval of its own, so that costs are computed anew.
    intervals = iter(10.0 + 0.001 * at for at in range(1000))
    solves = measured([lambda: compiled.solve(Arrivals.every(next(intervals)))] * 5)
    clock = _Clock(OURS)
    run = simulate(problem, azure_like(seconds=SECONDS), clock)
    assert run.decisions == len(clock.taken)
    taken = [seconds for seconds, _ in clock.taken]
    plans = [seconds for seconds, changed in clock.taken if changed]
    return Overhead(
        functions,
        statistics.median(each.seconds for each in solves),
        len(taken),
        len(plans),
        statistics.fmean(taken),
        statistics.median(plans),
        max(taken),
    )


class _Clock:
    """A policy, and how long each of its decisions takes."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name, self.fidelity = policy.name, policy.fidelity
        self.taken: list[tuple[float, bool]] = []

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        return partial(self._timed, self._policy.start(problem, now=now, seed=seed))

    def _timed(self, decide: Callable[[Observation], Decision], seen: Observation) -> Decision:
        begun = time.perf_counter_ns()
        decision = decide(seen)
        self.taken.append(((time.perf_counter_ns() - begun) / 1e9, bool(decision.directives)))
        return decision
