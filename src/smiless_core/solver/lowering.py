"""From names to arrays: one problem, compiled once and solved for many arrivals.

Every mode of a function (`solver.modes`) is one row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.model.configuration import Readiness
from smiless_core.model.plan import Plan
from smiless_core.model.problem import Problem
from smiless_core.solver import milp
from smiless_core.solver.exact import ExactSearch
from smiless_core.solver.joint import Aimed, JointSearch
from smiless_core.solver.modes import LONGEST, Mode, modes_of
from smiless_core.solver.pricing import Pricing, Terms
from smiless_core.solver.solution import Solution
from smiless_core.solver.tables import ModeTable, Search, Status, Work, cost_gap
from smiless_core.solver.writing import deterministic_plan, scheduled_plan
from smiless_core.timing import (
    Timing,
    nanoseconds_down,
    nanoseconds_up,
    release_terms,
    response_times,
)
from smiless_core.validation import number, shown
from smiless_core.windows import ALWAYS, Wanted, deterministic_costs

__all__ = ["CompiledProblem"]

METHODS = ("exact", "milp")

# Costs that differ by a smaller fraction are the same: it is rounding, not money.
COST_TOLERANCE = 1e-12


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
    function : int64 array, shape (modes,)
        The function of each row.
    offsets : int64 array, shape (n + 1,)
        The rows of each function, as in `ModeTable`.

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
        functions = [list(modes_of(problem, v)) for v in range(len(application.functions))]
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
        self._terms = Terms(
            self._price,
            nanoseconds_up(self._latency),
            nanoseconds_up(self._cold_start),
            self._prewarmed,
            -(-problem.concurrency // self._batch),
            problem.concurrency,
        )

        # What the re-evaluation of a plan reads: lists, because it picks a dozen entries.
        self._offsets: list[int] = self._free.offsets.tolist()
        self._release_ns: list[int] = nanoseconds_up(self._free.release).tolist()
        self._latency_ns: list[int] = nanoseconds_up(self._free.latency).tolist()
        self.offsets = self._free.offsets
        self._counts: list[int] = np.diff(self.offsets).tolist()
        self.function = np.repeat(np.arange(len(functions)), np.diff(self._free.offsets))
        longest = (max(r + L for r, L in self._times(v)) for v in range(len(functions)))
        self.loosest_sla = sum(longest) / 1e9

        self._exact = ExactSearch(application.edge_array, functions=len(functions))
        self._drawn: tuple[Arrivals, ModeTable] | None = None
        self._pricing: Pricing | None = None

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
            raise _no_arrivals(arrivals)
        if not arrivals.is_deterministic:
            raise InvalidInputError(f"expected deterministic arrivals, got {arrivals}", place="arrivals")
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
        table = self.priced(cost)
        self._drawn = arrivals, table
        return table

    def priced(self, cost: NDArray[np.float64]) -> ModeTable:
        """Return the modes with these costs, shape (modes,)."""
        free = self._free
        return ModeTable(free.edges, free.offsets, free.release, free.latency, cost)

    def pricing(self, arrivals: Arrivals) -> Pricing:
        """Return what modes cost under a distribution of arrivals; the last one is kept."""
        known = self._pricing
        if known is None or known.arrivals != arrivals:
            known = self._pricing = Pricing(self._terms, arrivals, self.problem.limits)
        return known

    def solve(
        self,
        arrivals: Arrivals,
        *,
        method: str = "exact",
        sla: float | None = None,
        target: float | None = None,
        budget: Work | None = None,
        time_limit: float | None = None,
        start: Solution | None = None,
        prove: bool = True,
    ) -> Solution:
        """Find the cheapest plan that meets the SLA, as `solve` does.

        Parameters
        ----------
        arrivals, method, sla, target, budget, time_limit
            As for `solve`.
        start : Solution, optional
            A solution for arrivals that were much the same. The search starts from it, which takes a fraction of the
            time; it makes no difference where arrivals are deterministic.
        prove : bool, default True
            Whether to look for a good bound where arrivals are not deterministic. Without it, the bound is that of
            plans without any misses in mind, which takes no time.
        """
        application = self.problem.application
        seconds = number(application.sla if sla is None else sla, "sla", above=0.0, at_most=LONGEST)
        fraction = application.attainment_target if target is None else number(target, "target", above=0.0, at_most=1.0)
        if not isinstance(arrivals, Arrivals):
            raise _no_arrivals(arrivals)
        given: object = start
        if given is not None and not (isinstance(given, Solution) and given.problem == self.problem):
            raise InvalidInputError(f"expected a Solution of the same problem, got {shown(given)}", place="start")
        if arrivals.is_deterministic:
            search = self.search(arrivals, seconds, method=method, budget=budget, time_limit=time_limit)
            return Solution(self, arrivals, search, seconds, fraction, method, budget, time_limit)

        joint = self.joint(arrivals, seconds, target=fraction, method=method, budget=budget, time_limit=time_limit)
        aimed, search = joint.best(None if start is None else start.aimed, prove=prove)
        return Solution(self, arrivals, search, seconds, fraction, method, budget, time_limit, aimed)

    def search(
        self,
        arrivals: Arrivals,
        sla: float,
        *,
        method: str = "exact",
        budget: Work | None = None,
        time_limit: float | None = None,
        wanted: Wanted = ALWAYS,
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
        wanted : Wanted, optional
            What schedules are for, where arrivals are not deterministic; by default, to be ready always.

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
        if not isinstance(arrivals, Arrivals):
            raise _no_arrivals(arrivals)
        if not arrivals.is_deterministic:
            return self.joint(arrivals, sla, target=0.0, method=method, budget=budget, time_limit=time_limit).modes(
                wanted
            )
        return self._searched(self.table(arrivals), sla, method, budget, time_limit)

    def joint(
        self,
        arrivals: Arrivals,
        sla: float,
        *,
        target: float,
        method: str = "exact",
        budget: Work | None = None,
        time_limit: float | None = None,
    ) -> JointSearch:
        """Return the joint search for arrivals that are not deterministic; the arguments are those of `solve`."""

        def find(table: ModeTable, bound: float) -> Search:
            return self._searched(table, bound, method, budget, time_limit)

        return JointSearch(self, arrivals, find, sla=sla, target=target)

    def cheapest(self, cost: NDArray[np.float64], *, sla: float) -> Search:
        """Choose one mode per function of least summed cost, whatever costs are given.

        Parameters
        ----------
        cost : float64 array, shape (modes,)
            Of each row, at least 0; infinity where a mode is not to be taken.
        sla : float
            The bound on the warm response, seconds.

        Returns
        -------
        Search
            By the exact search.
        """
        return self._searched(self.priced(cost), sla, "exact", None, None)

    def _searched(
        self, table: ModeTable, sla: float, method: str, budget: Work | None, time_limit: float | None
    ) -> Search:
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

    def plan(self, choice: Sequence[int], arrivals: Arrivals, *, sla: float, aimed: Aimed | None = None) -> Plan:
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
        aimed : Aimed, optional
            What the schedules are for, where arrivals are not deterministic.

        Returns
        -------
        Plan
            With the schedules that cost what the search says.

        Raises
        ------
        InvalidInputError
            If there is no such choice.
        """
        if not self._exist(choice):
            raise InvalidInputError(f"expected a mode of each function, got {shown(choice)}", place="choice")
        if arrivals.is_deterministic:
            return deterministic_plan(self, choice, arrivals, sla=sla)
        assert aimed is not None, "a distribution is planned for by the joint search"
        return scheduled_plan(self, choice, arrivals, sla=sla, aimed=aimed)

    def not_offered(self, arrivals: Arrivals) -> tuple[str, ...]:
        """Return the functions that the limits leave no mode at all under these arrivals."""
        cost = self.table(arrivals).cost if arrivals.is_deterministic else self.pricing(arrivals).free
        least = np.minimum.reduceat(cost, self._free.offsets[:-1])
        return tuple(self.problem.application.names[v] for v in np.flatnonzero(np.isinf(least)))

    def _times(self, v: int) -> Iterator[tuple[int, int]]:
        """Yield release and latency (nanoseconds) of every mode of a function."""
        modes = slice(self._offsets[v], self._offsets[v + 1])
        return zip(self._release_ns[modes], self._latency_ns[modes], strict=True)

    def rows(self, choice: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each chosen mode, shape (n,)."""
        return self._free.offsets[:-1] + np.asarray(choice, dtype=np.int64)

    def mode(self, row: int) -> Mode:
        """Return what a row stands for."""
        return self._modes[row]

    def timing(self, rows: Sequence[int], *, bound: int | None = None) -> Timing:
        """Time chosen rows, everything ready, in whole nanoseconds."""
        application = self.problem.application
        return response_times(
            application.predecessors,
            [self._latency_ns[row] for row in rows],
            order=application.order,
            release=[self._release_ns[row] for row in rows],
            bound=bound,
        )

    def absorbed(self, sla: int) -> NDArray[np.int64]:
        """Return the longest wait of each mode that an SLA can absorb in any plan, nanoseconds; negative: none.

        Where arrivals are announced, a wait is the time from the arrival until the work begins.
        """
        application = self.problem.application
        offsets = self._free.offsets
        latency = self._terms.latency
        fastest = np.minimum.reduceat(latency, offsets[:-1]).tolist()
        timed = response_times(application.predecessors, fastest, order=application.order)
        total = timed.latency
        heads = np.array(timed.earliest_start)
        tails = total - np.array(timed.latest_finish)
        if self.problem.limits.announces_arrivals:
            heads = np.zeros(len(fastest))
        left = sla - (heads + tails).astype(np.int64)
        return np.repeat(left, np.diff(offsets)) - latency

    def _checked(self, found: Search, choice: Sequence[int], table: ModeTable, sla: float, shortest: float) -> Search:
        """Evaluate an answer again from the table alone, in O(functions + edges)."""
        if not self._exist(choice):
            raise SolverError(f"the search chose modes that do not exist: {choice}")
        rows = self.rows(choice).tolist()
        cost = math.fsum(table.cost[rows].tolist())
        latency_ns = self.timing(rows).latency
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

    def _exist(self, choice: Sequence[int]) -> bool:
        """Whether there is one mode for each function, among its own."""
        return len(choice) == len(self._counts) and all(
            0 <= mode < count for mode, count in zip(choice, self._counts, strict=True)
        )


def _no_arrivals(given: object) -> InvalidInputError:
    return InvalidInputError(f"expected Arrivals, such as Arrivals.every(10.0), got {shown(given)}", place="arrivals")
