"""The same question as a mixed-integer linear program: cvxpy states it, HiGHS solves it.

An independent formulation, for checking the native search and for readers who trust a general solver more.
With a binary x[v, k] for "function v runs in mode k" and a finish time F[v]:

    minimize    sum over v, k of cost[v, k] x[v, k]
    subject to  sum over k of x[v, k] = 1                                      for every function v
                F[v] >= F[u] + sum over k of latency[v, k] x[v, k]             for every edge (u, v)
                sum over k of (release[v, k] + latency[v, k]) x[v, k] <= F[v] <= sla

The program is solved in floating point, the SLA is kept in whole nanoseconds.  Three things bridge them:

* Times are divided by their greatest common divisor and the SLA is extended by half a unit, which is exact:
  no tolerance can confuse a choice on time with one that is late.  Where that leaves more than 10,000 units,
  the SLA becomes 10,000, extended by 0.0001, so that HiGHS never loses a choice that just fits.
* Every answer is re-evaluated in whole nanoseconds.  A late one names a late path; forbidding it, together
  with every choice at least as slow on that path (a cover cut, valid for all punctual choices), and solving
  again leads to an answer that is punctual and still cheapest.
* The fastest choice is known without the program, so infeasibility is decided exactly and an expired time
  limit still leaves a plan.

Costs are shifted per function and scaled to at most 1,000.  The optimum is claimed to 1e-9 of the largest
difference between two modes of one function; HiGHS itself tells costs apart to about 1e-12 of it.
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.solver.tables import ModeTable, Search, Status, Work, cost_gap
from smiless_core.timing import nanoseconds_down, nanoseconds_up

_SLA_UNITS = 1e4
_SLA_EXTENSION = 1e-4
_COST_UNITS = 1e3
_TOLERANCE = 1e-9
_OPTIONS = {
    "mip_abs_gap": 0.0,
    "mip_feasibility_tolerance": _TOLERANCE,
    "primal_feasibility_tolerance": _TOLERANCE,
    "dual_feasibility_tolerance": _TOLERANCE,
    "parallel": "off",
}
_LARGEST_SLA = 2**62 / 1e9


class _Answer(NamedTuple):
    rows: NDArray[np.int64] | None  # chosen row per function; None when the time limit left no incumbent
    bound: float  # lower bound on the objective, in units
    nodes: int


class _Program:
    """The program for one table and SLA: variables, constraints, and the cuts found so far."""

    def __init__(self, table: ModeTable, sla: int) -> None:
        import cvxpy as cp
        from scipy import sparse

        self.table, self.sla = table, sla
        self.release = nanoseconds_up(table.release)
        self.latency = nanoseconds_up(table.latency)
        n = table.functions
        owner = np.repeat(np.arange(n), np.diff(table.offsets))
        usable = np.isfinite(table.cost) & (self.release + self.latency <= sla)
        self.rows = np.flatnonzero(usable)
        self.owner = owner[self.rows]
        release, latency = self.release[self.rows], self.latency[self.rows]

        # Beyond the sum of all largest times the SLA does not bind; a larger one would only harm the scaling.
        reach = np.zeros(n, dtype=np.int64)
        np.maximum.at(reach, self.owner, release + latency)
        unit: float = max(1, math.gcd(*release.tolist(), *latency.tolist()))
        bound: float = min(sla, int(reach.sum())) // unit
        extension = 0.5
        if bound > _SLA_UNITS:
            unit, bound, extension = unit * bound / _SLA_UNITS, _SLA_UNITS, _SLA_EXTENSION

        columns = np.arange(len(self.rows))

        def per_function(values: NDArray[Any]) -> Any:
            return sparse.csr_array((values, (self.owner, columns)), shape=(n, len(columns)))

        self.chosen = cp.Variable(len(self.rows), boolean=True)
        finish = cp.Variable(n)
        work = per_function(latency / unit) @ self.chosen
        self.constraints = [
            per_function(np.ones(len(self.rows))) @ self.chosen == 1,
            finish >= per_function((release + latency) / unit) @ self.chosen,
            finish <= bound + extension,
        ]
        if len(table.edges):
            before, after = table.edges.T
            self.constraints.append(finish[after] >= finish[before] + work[after])

        cost = table.cost[self.rows]
        least = np.full(n, np.inf)
        np.minimum.at(least, self.owner, cost)
        self.shift = math.fsum(least.tolist())
        excess = cost - least[self.owner]
        self.cost_unit = float(excess.max()) / _COST_UNITS or 1.0
        self.excess = excess / self.cost_unit

    def minimize(
        self, objective: NDArray[np.float64], *extra: Any, gap: float = 0.0, ends: float = math.inf
    ) -> _Answer | None:
        """Return the best punctual choice under all constraints and `extra`; None when there is none.

        The clock `ends` is one of `time.monotonic`; once it has passed, rows may be None.
        """
        bound, nodes = -math.inf, 0
        while time.monotonic() < ends:
            answer = self._solve(objective, *extra, gap=gap, seconds=ends - time.monotonic())
            if answer is None:
                return None
            bound, nodes = max(bound, answer.bound), nodes + answer.nodes
            rows = answer.rows
            late = None if rows is None else self._late_path(rows)
            if rows is None or late is None:
                return _Answer(rows, bound, nodes)
            self._forbid(late, rows)
        return _Answer(None, bound, nodes)

    def _solve(self, objective: NDArray[np.float64], *extra: Any, gap: float, seconds: float) -> _Answer | None:
        import cvxpy as cp

        _silence()
        problem = cp.Problem(cp.Minimize(objective @ self.chosen), [*self.constraints, *extra])
        options = {**_OPTIONS, "mip_rel_gap": gap}
        if seconds < math.inf:
            options["time_limit"] = max(seconds, 1e-3)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": answers are checked here
                problem.solve(solver=cp.HIGHS, highs_options=options)
        except cp.error.SolverError as error:
            raise SolverError(f"HiGHS failed: {error}") from error
        if problem.status in (cp.INFEASIBLE, "infeasible_or_unbounded"):
            return None
        info = cast(Any, problem.solver_stats).extra_stats
        return _Answer(self._chosen_rows(), float(info.mip_dual_bound), max(0, int(info.mip_node_count)))

    def _chosen_rows(self) -> NDArray[np.int64] | None:
        value = self.chosen.value
        if value is None:
            return None
        taken = np.flatnonzero(np.asarray(value) > 0.5)
        if not np.array_equal(self.owner[taken], np.arange(self.table.functions)):
            return None
        return np.asarray(self.rows[taken], dtype=np.int64)

    def _late_path(self, rows: NDArray[np.int64]) -> list[int] | None:
        """Return a path of functions that ends after the SLA under the chosen rows; None if none does."""
        predecessors = self.table.predecessors()
        n = self.table.functions
        finish, cause = [0] * n, [-1] * n
        for v in self.table.order():
            ready = int(self.release[rows[v]])
            for u in predecessors[v]:
                if finish[u] > ready:
                    ready, cause[v] = finish[u], u
            finish[v] = ready + int(self.latency[rows[v]])
        last = max(range(n), key=finish.__getitem__)
        if finish[last] <= self.sla:
            return None
        path = []
        while last >= 0:
            path.append(last)
            last = cause[last]
        return path[::-1]

    def _forbid(self, path: list[int], rows: NDArray[np.int64]) -> None:
        """Cut off every choice that is about as slow as `rows`, or slower, in all functions of `path`.

        A path starts at a release, which counts as part of the latency of its first function.  Each function
        in turn gets the shortest time with which the path is still late: the lower, the more is cut off.
        """
        head = path[0]
        taken = {v: int(self.latency[rows[v]]) for v in path}
        taken[head] += int(self.release[rows[head]])
        spare = sum(taken.values()) - self.sla - 1
        cover = np.zeros(len(self.rows))
        for v in path:
            own = np.flatnonzero(self.owner == v)
            times = self.latency[self.rows[own]] + (self.release[self.rows[own]] if v == head else 0)
            least = int(times[times >= taken[v] - spare].min())
            spare -= taken[v] - least
            cover[own[times >= least]] = 1.0
        self.constraints.append(cover @ self.chosen <= len(path) - 1)


@functools.cache
def _silence() -> None:
    """Keep HiGHS from greeting on standard output.

    It does so for the first instance in a process, which cvxpy makes before it passes any option.  So that
    first instance is made here, as the bare base class, which can be told to be quiet in time.
    """
    import highspy

    bare = cast(Any, highspy.Highs.__base__)()
    bare.setOptionValue("log_to_console", False)
    bare.run()


def search(
    table: ModeTable,
    sla: float,
    *,
    time_limit: float | None = None,
    relative_gap: float = 0.0,
    canonical: bool = True,
) -> Search:
    """Find the cheapest choice that meets the SLA by mixed-integer programming.

    Parameters
    ----------
    table : ModeTable
        The modes to choose from.
    sla : float
        Bound on the end-to-end latency, seconds.
    time_limit : float, optional
        Seconds for the whole call; afterwards the best choice found so far is returned as ``feasible``.
    relative_gap : float
        Stop once (cost - bound) / cost is proved to be at most this; the status is ``feasible`` then.
    canonical : bool
        Settle ties as `solver.tables` defines them, with one more program for each function that could still
        take a mode of lower rank.  Without it, or out of time, any of the cheapest choices may be returned.

    Returns
    -------
    Search
        ``work.nodes`` counts the nodes of all programs solved.

    Raises
    ------
    InvalidInputError
        If the table is not valid, or a number is out of range.
    SolverError
        If HiGHS fails.
    """
    table.validate()
    for name, number in (("sla", sla), ("time_limit", time_limit), ("relative_gap", relative_gap)):
        if number is not None and not 0 <= number < math.inf:
            raise InvalidInputError(f"expected a finite number >= 0, got {number}", place=name)
    ends = math.inf if time_limit is None else time.monotonic() + time_limit

    fastest, shortest_latency = table.fastest()
    sla_ns = nanoseconds_down(min(sla, _LARGEST_SLA))
    if fastest is None or table.evaluate(fastest)[1] > sla_ns:
        return Search.infeasible(shortest_latency)

    program = _Program(table, sla_ns)
    answer = program.minimize(program.excess, gap=relative_gap, ends=ends)
    if answer is None:
        raise SolverError("HiGHS finds no plan although one is known")
    choice, bound, nodes = fastest, program.shift, answer.nodes
    if math.isfinite(answer.bound):
        bound = max(bound, program.shift + answer.bound * program.cost_unit)
    if answer.rows is not None:
        choice = min(fastest, answer.rows - table.offsets[:-1], key=lambda choice: table.evaluate(choice)[0])
    proved = table.evaluate(choice)[0] - bound <= _TOLERANCE * _COST_UNITS * program.cost_unit
    if proved and canonical:
        choice, more = _settle_ties(program, choice, ends=ends)
        nodes += more

    cost, latency = table.evaluate(choice)
    bound = cost if proved else min(bound, cost)
    status = Status.OPTIMAL if proved else Status.FEASIBLE
    gap = cost_gap(cost, bound)
    return Search(status, choice, cost, bound, gap, latency / 1e9, shortest_latency, Work(nodes=nodes))


def _settle_ties(program: _Program, choice: NDArray[np.int64], *, ends: float) -> tuple[NDArray[np.int64], int]:
    """Lower the ranks of an optimal choice, function by function, at equal cost; also the nodes it took."""
    table, nodes = program.table, 0
    rank = np.empty(len(program.rows))
    order = np.lexsort((program.rows, program.release[program.rows], program.latency[program.rows]))
    rank[order] = np.arange(len(order))
    budget = program.excess @ program.chosen
    for v in range(table.functions):
        chosen = np.isin(program.rows, table.rows(choice))
        own = program.owner == v
        lower = own & (rank < rank[own & chosen])
        if not lower.any():
            continue
        lowest = np.where(own, np.searchsorted(np.sort(rank[own]), rank), 0.0)  # 0, 1, ... within v
        answer = program.minimize(
            lowest,
            budget <= program.excess[chosen].sum(),
            program.chosen[chosen & (program.owner < v)] == 1,
            ends=ends,
        )
        if answer is None or answer.rows is None:
            continue
        nodes += answer.nodes
        candidate = answer.rows - table.offsets[:-1]
        # The tolerance of the program may admit a choice that costs a hair more: that is no tie.
        if table.evaluate(candidate)[0] <= table.evaluate(choice)[0]:
            choice = candidate
    return choice, nodes
