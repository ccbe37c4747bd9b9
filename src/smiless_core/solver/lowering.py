"""From names to arrays: one problem, compiled once and solved for many arrivals.

Every mode of a function is one row, in a fixed order: hardware (cpu before gpu), size, batch, readiness
(prewarmed, on_arrival, on_request). `on_arrival` is there only where the platform announces arrivals, and not
for functions that wait for none: to those it is `on_request`.

Batches beyond the smallest that holds all requests of an arrival have no row: they are slower, cost no less
and come later in the order, so no optimum ever takes one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.model.configuration import Configuration, Hardware, Readiness
from smiless_core.model.plan import Assignment, Plan
from smiless_core.model.problem import Problem
from smiless_core.solver import milp
from smiless_core.solver.exact import ExactSearch
from smiless_core.solver.solution import Solution
from smiless_core.solver.tables import ModeTable, Search, Status, Work, cost_gap
from smiless_core.timing import (
    Timing,
    cold_response,
    nanoseconds_down,
    nanoseconds_up,
    release_terms,
    response_times,
)
from smiless_core.validation import number, shown
from smiless_core.windows import deterministic_costs, deterministic_schedule

__all__ = ["CompiledProblem"]

METHODS = ("exact", "milp")

_LONGEST = 4.6e9  # seconds; more does not fit the whole nanoseconds that plans are judged on
_DEAREST = 1e200  # dollars per second; more does not add up

# Costs that differ by a smaller fraction are the same: it is rounding, not money.
COST_TOLERANCE = 1e-12


class Mode(NamedTuple):
    """One way to run one function; prices and times as in `Assignment`."""

    configuration: Configuration
    readiness: Readiness
    price: float
    latency: float
    cold_start: float


class CompiledProblem:
    """A problem with its names turned into arrays, ready to be solved for any arrivals.

    Parameters
    ----------
    problem : Problem
        What to plan.

    Attributes
    ----------
    problem : Problem
        As given.
    loosest_sla : float
        Seconds within which every choice of modes stays.

    Raises
    ------
    InvalidInputError
        If a time or a price is out of range.

    Notes
    -----
    The search keeps its memory between calls: use one compiled problem from one thread at a time. It pickles
    as its problem.
    """

    def __init__(self, problem: Problem) -> None:
        if not isinstance(problem, Problem):
            raise InvalidInputError(f"expected a Problem, got {shown(problem)}", place="problem")
        application = problem.application
        self.problem = problem
        functions = [list(_modes(problem, v)) for v in range(len(application.functions))]
        self._modes = [mode for modes in functions for mode in modes]
        terms = np.array(
            [release_terms(mode.readiness, mode.latency, cold_start=mode.cold_start) for mode in self._modes]
        )
        self._free = ModeTable(
            edges=application.edge_array,
            offsets=np.cumsum([0, *map(len, functions)], dtype=np.int64),
            release=np.ascontiguousarray(terms[:, 0]),
            latency=np.ascontiguousarray(terms[:, 1]),
            cost=np.zeros(len(terms)),
        )
        self._free.validate()

        self._price = np.array([mode.price for mode in self._modes])
        self._latency = np.array([mode.latency for mode in self._modes])
        self._cold_start = np.array([mode.cold_start for mode in self._modes])
        self._prewarmed = np.array([mode.readiness is Readiness.PREWARMED for mode in self._modes])
        self._batch = np.array([mode.configuration.batch for mode in self._modes], dtype=np.int64)

        # What the re-evaluation of a plan reads: lists, because it picks a dozen entries.
        self._offsets: list[int] = self._free.offsets.tolist()
        self._release_ns: list[int] = nanoseconds_up(self._free.release).tolist()
        self._latency_ns: list[int] = nanoseconds_up(self._free.latency).tolist()
        longest = (max(r + L for r, L in self._times(v)) for v in range(len(functions)))
        self.loosest_sla = sum(longest) / 1e9

        self._exact = ExactSearch(application.edge_array, functions=len(functions))
        self._drawn: tuple[Arrivals, ModeTable] | None = None

    def __reduce__(self) -> tuple[type[CompiledProblem], tuple[Problem]]:
        return CompiledProblem, (self.problem,)

    def table(self, arrivals: Arrivals) -> ModeTable:
        """Return the modes with their costs under these arrivals.

        Parameters
        ----------
        arrivals : Arrivals
            When the next invocation comes.

        Returns
        -------
        ModeTable
            The costs are those of `windows.deterministic_costs`.

        Raises
        ------
        InvalidInputError
            If `arrivals` is something else.
        """
        drawn = self._drawn
        if drawn is not None and drawn[0] == arrivals:
            return drawn[1]
        if not isinstance(arrivals, Arrivals):
            raise InvalidInputError(
                f"expected Arrivals, such as Arrivals.every(10.0), got {shown(arrivals)}", place="arrivals"
            )
        if not arrivals.is_deterministic:
            raise InvalidInputError(
                f"plans are made for arrivals at a fixed interval so far, not {arrivals}: Arrivals.every(arrivals.mean)"
                " plans for their mean",
                place="arrivals",
            )
        cost = deterministic_costs(
            self._latency,
            self._cold_start,
            price=self._price,
            prewarmed=self._prewarmed,
            interval=arrivals.interval,
            batch=self._batch,
            concurrency=self.problem.concurrency,
            limits=self.problem.limits,
        )
        free = self._free
        table = ModeTable(free.edges, free.offsets, free.release, free.latency, cost)
        self._drawn = arrivals, table
        return table

    def solve(
        self,
        arrivals: Arrivals,
        *,
        method: str = "exact",
        sla: float | None = None,
        budget: Work | None = None,
        time_limit: float | None = None,
    ) -> Solution:
        """Find the cheapest plan that meets the SLA; the arguments are those of `solve`."""
        asked = self.problem.application.sla if sla is None else sla
        seconds = number(asked, "sla", above=0.0, at_most=_LONGEST)
        search = self.search(arrivals, seconds, method=method, budget=budget, time_limit=time_limit)
        return Solution(self, arrivals, search, seconds, method, budget, time_limit)

    def search(
        self,
        arrivals: Arrivals,
        sla: float,
        *,
        method: str = "exact",
        budget: Work | None = None,
        time_limit: float | None = None,
    ) -> Search:
        """Search in indices, and evaluate the answer again before it leaves.

        Parameters
        ----------
        arrivals : Arrivals
            When the next invocation comes.
        sla : float
            Bound on the end-to-end latency, seconds.
        method, budget, time_limit
            As for `solve`.

        Returns
        -------
        Search
            Its cost and latency are those of the re-evaluation.

        Raises
        ------
        InvalidInputError
            If an argument is wrong.
        SolverError
            If the search fails, or its answer is not what it says.
        """
        table = self.table(arrivals)
        if budget is not None and not isinstance(budget, Work):
            raise InvalidInputError(f"expected Work, such as Work(nodes=1000), got {shown(budget)}", place="budget")
        if time_limit is not None:
            time_limit = number(time_limit, "time_limit", above=0.0)
        if method == "exact":
            found = self._exact.search(table, sla, budget=budget, time_limit=time_limit)
        elif method == "milp":
            if budget is not None:
                raise InvalidInputError("method 'milp' does not count work: give a time_limit", place="budget")
            found = milp.search(table, sla, time_limit=time_limit)
        else:
            raise InvalidInputError.unknown("method", method, METHODS, place="method")
        shortest = found.shortest_latency
        if shortest < math.inf:
            shortest = round(shortest * 1e9) / 1e9  # the double next to a whole nanosecond
        if found.choice is None:
            return Search.infeasible(shortest, found.work)
        return self._checked(found, found.choice.tolist(), table, sla, shortest)

    def plan(self, choice: Sequence[int], arrivals: Arrivals, *, sla: float) -> Plan:
        """Write a choice out as a plan.

        Parameters
        ----------
        choice : sequence of n ints
            A mode per function, as in `Search.choice`.
        arrivals : Arrivals
            When the next invocation comes.
        sla : float
            What attainment and slack refer to, seconds. Where the plan is slower, slack refers to its own
            latency.

        Returns
        -------
        Plan
            With the schedules that cost what the table says.

        Raises
        ------
        InvalidInputError
            If there is no such choice.
        """
        problem = self.problem
        application = problem.application
        rows = self._rows(choice)
        if not self._exist(rows):
            raise InvalidInputError(f"expected a mode of each function, got {shown(choice)}", place="choice")
        costs = self.table(arrivals).cost[rows].tolist()
        bound = nanoseconds_down(sla)
        timed = self._timing(rows)
        if timed.latency <= bound:
            timed = self._timing(rows, bound=bound)
        chosen = [self._modes[row] for row in rows]
        cold = cold_response(
            application,
            [mode.latency for mode in chosen],
            cold_start=[mode.cold_start for mode in chosen],
            announces_arrivals=problem.limits.announces_arrivals,
        )
        assignments = []
        for v, (mode, cost) in enumerate(zip(chosen, costs, strict=True)):
            decision = deterministic_schedule(
                mode.latency,
                mode.cold_start,
                prewarmed=mode.readiness is Readiness.PREWARMED,
                interval=arrivals.interval,
                earliest_start=timed.earliest_start[v] / 1e9,
                batch=mode.configuration.batch,
                concurrency=problem.concurrency,
                limits=problem.limits,
            )
            assignments.append(
                Assignment(
                    application.names[v],
                    mode.configuration,
                    mode.readiness,
                    decision.replicas,
                    mode.price,
                    mode.latency,
                    mode.cold_start,
                    decision.schedule,
                    cost,
                    timed.slack[v] / 1e9,
                    decision.prewarm,
                    decision.keep_alive,
                )
            )
        return Plan(
            application if sla == application.sla else application.replace(sla=sla),
            tuple(assignments),
            math.fsum(costs),
            timed.latency / 1e9,
            cold.latency,
            1.0 if timed.latency <= bound else 0.0,
            tuple(application.names[v] for v in timed.critical_path),
        )

    def not_offered(self, arrivals: Arrivals) -> tuple[str, ...]:
        """Return the functions that the limits leave no mode at all under these arrivals."""
        table = self.table(arrivals)
        least = np.minimum.reduceat(table.cost, table.offsets[:-1])
        return tuple(self.problem.application.names[v] for v in np.flatnonzero(np.isinf(least)))

    def _times(self, v: int) -> Iterator[tuple[int, int]]:
        """Yield release and latency (nanoseconds) of every mode of a function."""
        modes = slice(self._offsets[v], self._offsets[v + 1])
        return zip(self._release_ns[modes], self._latency_ns[modes], strict=True)

    def _rows(self, choice: Sequence[int]) -> list[int]:
        return [first + mode for first, mode in zip(self._offsets, choice, strict=False)]

    def _timing(self, rows: Sequence[int], *, bound: int | None = None) -> Timing:
        """Time chosen rows in whole nanoseconds."""
        application = self.problem.application
        return response_times(
            application.predecessors,
            [self._latency_ns[row] for row in rows],
            order=application.order,
            release=[self._release_ns[row] for row in rows],
            bound=bound,
        )

    def _checked(self, found: Search, choice: Sequence[int], table: ModeTable, sla: float, shortest: float) -> Search:
        """Evaluate an answer again from the table alone, in O(functions + edges)."""
        rows = self._rows(choice)
        if not self._exist(rows):
            raise SolverError(f"the search chose modes that do not exist: {choice}")
        cost = math.fsum(table.cost[rows].tolist())
        latency_ns = self._timing(rows).latency
        latency = latency_ns / 1e9
        proved = found.status is Status.OPTIMAL
        lowest = cost * (1 - COST_TOLERANCE) if proved else 0.0
        if not (
            latency_ns <= nanoseconds_down(sla)
            and math.isclose(found.latency, latency, rel_tol=COST_TOLERANCE)
            and math.isclose(found.cost, cost, rel_tol=COST_TOLERANCE)
            and lowest <= found.bound <= cost * (1 + COST_TOLERANCE)
        ):
            raise SolverError(
                f"a plan failed its re-evaluation: the search states a cost of {found.cost!r} $, a bound of"
                f" {found.bound!r} $ and a latency of {found.latency!r} s ({found.status}, sla {sla!r} s);"
                f" it costs {cost!r} $ and takes {latency!r} s"
            )
        bound = cost if proved else min(found.bound, cost)
        return Search(
            found.status,
            found.choice,
            cost,
            bound,
            cost_gap(cost, bound),
            latency,
            shortest,
            found.work,
        )

    def _exist(self, rows: Sequence[int]) -> bool:
        """Whether there is one row for each function, among its own."""
        starts, ends = self._offsets, self._offsets[1:]
        return len(rows) == len(ends) and all(
            start <= row < end for start, row, end in zip(starts, rows, ends, strict=False)
        )


def _modes(problem: Problem, v: int) -> Iterator[Mode]:
    """Yield the modes of a function in their fixed order."""
    fallbacks = [Readiness.ON_REQUEST]
    if problem.limits.announces_arrivals and problem.application.predecessors[v]:
        fallbacks.insert(0, Readiness.ON_ARRIVAL)
    for hardware in Hardware:
        model = problem.profile(v).hardware.get(hardware)
        if model is None:
            continue
        cold_start = model.cold_start(std_multiple=problem.std_multiple, quantile=problem.cold_start_quantile)
        batches = model.batches[: bisect_left(model.batches, problem.concurrency) + 1]
        for size in problem.sizes(v, hardware):
            for batch in batches:
                configuration = Configuration(hardware, size, batch)
                price = problem.prices.per_second(configuration)
                latency = model.latency(batch, size)
                if latency + cold_start > _LONGEST or price > _DEAREST:
                    raise InvalidInputError(
                        f"on {configuration} it takes {latency:g} s, starts in {cold_start:g} s and costs"
                        f" {price:g} $ per second: that is out of range",
                        place=f"functions[{v}]",
                    )
                for readiness in (Readiness.PREWARMED, *fallbacks):
                    yield Mode(configuration, readiness, price, latency, cold_start)
