"""The question that every search answers, in indices (`ModeTable`), and its answer (`Search`).

Names stay outside: a function is a number from 0 to n - 1, a mode is a position within its function.
A search chooses one mode per function so that the summed cost is smallest while

    finish[v] = max(max over predecessors u of finish[u], release[v]) + latency[v]

stays within the SLA for every function v.  Feasibility is judged on whole nanoseconds
(`timing.nanoseconds_up`, `timing.nanoseconds_down`): latencies and releases are rounded up, the SLA is
rounded down, so that no rounding can make a late plan look punctual.  Costs stay doubles and are summed with
one rounding (`math.fsum`).

Among choices of equal cost one is canonical: the lexicographically smallest vector of ranks, functions in
index order, where the rank of a mode is its position within its function when sorted by
(latency, release, index), times in whole nanoseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.timing import nanoseconds_up

_TOTAL_LIMIT_NS = 2**62  # a longest path must fit an int64 with room to add two of them


class Status(StrEnum):
    """How a search ended."""

    OPTIMAL = "optimal"  # the choice is proved cheapest
    FEASIBLE = "feasible"  # a budget or time limit ended the search; the choice meets the SLA
    INFEASIBLE = "infeasible"  # no choice meets the SLA
    STOPPED = "stopped"  # the caller interrupted the search


class Work(NamedTuple):
    """What a search did, in units that repeat exactly on every machine."""

    augmentations: int = 0
    labels: int = 0
    nodes: int = 0


_NO_WORK = Work()


@dataclass(frozen=True, eq=False, slots=True)
class ModeTable:
    """Modes of all functions of one application, flattened; one row per mode.

    Parameters
    ----------
    edges : int32 array, shape (m, 2)
        Pairs (from, to) of function indices.
    offsets : int64 array, shape (n + 1,)
        Rows ``offsets[v]`` to ``offsets[v + 1]`` (exclusive) are the modes of function v.
    release : float64 array, shape (offsets[-1],)
        Earliest start of the work, in seconds after the arrival.
    latency : float64 array, shape (offsets[-1],)
        Seconds of work.
    cost : float64 array, shape (offsets[-1],)
        Dollars per invocation; infinity marks a mode that is not offered.

    Notes
    -----
    Construction checks nothing, so that it costs nothing on the hot path; `validate` checks everything.
    """

    edges: NDArray[np.int32]
    offsets: NDArray[np.int64]
    release: NDArray[np.float64]
    latency: NDArray[np.float64]
    cost: NDArray[np.float64]

    @property
    def functions(self) -> int:
        """The number of functions."""
        return len(self.offsets) - 1

    def rows(self, choice: ArrayLike) -> NDArray[np.int64]:
        """Row of the table for each chosen mode, shape (n,)."""
        return self.offsets[:-1] + np.asarray(choice, dtype=np.int64)

    def predecessors(self) -> list[list[int]]:
        """For each function the functions it waits for, in the order of the edges."""
        lists: list[list[int]] = [[] for _ in range(self.functions)]
        for before, after in self.edges.tolist():
            lists[after].append(before)
        return lists

    def order(self) -> list[int]:
        """Return a topological order of the functions.

        Raises
        ------
        InvalidInputError
            If the edges close a cycle.
        """
        successors: list[list[int]] = [[] for _ in range(self.functions)]
        waits = [0] * self.functions
        for before, after in self.edges.tolist():
            successors[before].append(after)
            waits[after] += 1
        order = [v for v in range(self.functions) if waits[v] == 0]
        for v in order:  # grows while it is walked: this is the queue as well as the result
            for after in successors[v]:
                waits[after] -= 1
                if waits[after] == 0:
                    order.append(after)
        if len(order) < self.functions:
            stuck = [v for v in range(self.functions) if waits[v] > 0]
            raise InvalidInputError(f"functions {stuck} wait for each other: a cycle", place="edges")
        return order

    def evaluate(self, choice: ArrayLike) -> tuple[float, int]:
        """Cost (dollars) and end-to-end latency (whole nanoseconds) of a choice.

        Parameters
        ----------
        choice : array_like of int, shape (n,)
            A mode per function, as an index within the modes of that function.
        """
        rows = self.rows(choice)
        latency = nanoseconds_up(self.latency[rows]).tolist()
        finish = nanoseconds_up(self.release[rows]).tolist()
        predecessors = self.predecessors()
        for v in self.order():
            finish[v] = max([finish[v], *(finish[u] for u in predecessors[v])]) + latency[v]
        return math.fsum(self.cost[rows].tolist()), max(finish)

    def fastest(self) -> tuple[NDArray[np.int64] | None, float]:
        """Return a choice that finishes every function as early as possible, and its latency in seconds.

        A function never finishes later because its work arrives earlier, so taking the earliest finish
        function by function is exact.  Equal finishes are settled by cost, then by index.

        Returns
        -------
        choice : int64 array of shape (n,), or None
            None when some function is offered no mode at all.
        shortest_latency : float
            Seconds; infinity when `choice` is None.
        """
        latency = nanoseconds_up(self.latency).tolist()
        release = nanoseconds_up(self.release).tolist()
        cost, offsets, predecessors = self.cost.tolist(), self.offsets.tolist(), self.predecessors()
        choice = np.zeros(self.functions, dtype=np.int64)
        finish = [0] * self.functions
        for v in self.order():
            start = max((finish[u] for u in predecessors[v]), default=0)
            offered = [
                (max(start, release[row]) + latency[row], cost[row], row)
                for row in range(offsets[v], offsets[v + 1])
                if cost[row] < math.inf
            ]
            if not offered:
                return None, math.inf
            finish[v], _, row = min(offered)
            choice[v] = row - offsets[v]
        return choice, max(finish) / 1e9

    def validate(self) -> None:
        """Check shapes, types, ranges and acyclicity.

        Raises
        ------
        InvalidInputError
            Naming the array, the position and the value.
        """
        for name, dtype, dimensions in _ARRAYS:
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != dimensions:
                wanted = f"{dimensions}-dimensional {np.dtype(dtype)} array"
                raise InvalidInputError(f"expected a {wanted}, got {_kind(array)}", place=name)
        offsets = self.offsets
        if len(offsets) < 2 or offsets[0] != 0:
            raise InvalidInputError("expected 0, ... with at least one function", place="offsets")
        for v in np.flatnonzero(np.diff(offsets) <= 0):
            raise InvalidInputError(f"function {v} has no modes", place="offsets")
        for name in ("release", "latency", "cost"):
            array = getattr(self, name)
            if len(array) != offsets[-1]:
                raise InvalidInputError(f"expected {offsets[-1]} modes, got {len(array)}", place=name)
            allowed = array >= 0 if name == "cost" else np.isfinite(array) & (array >= 0)
            for row in np.flatnonzero(~allowed):
                what = "a number >= 0 or infinity" if name == "cost" else "a finite number >= 0"
                raise InvalidInputError(f"expected {what}, got {array[row]}", place=f"{name}[{row}]")
        if self.edges.shape[1] != 2:
            raise InvalidInputError(f"expected pairs, got shape {self.edges.shape}", place="edges")
        for edge in np.flatnonzero(np.any((self.edges < 0) | (self.edges >= self.functions), axis=1)):
            raise InvalidInputError(
                f"expected functions 0 to {self.functions - 1}, got {self.edges[edge].tolist()}",
                place=f"edges[{edge}]",
            )
        self.order()
        longest = np.maximum.reduceat(self.release + self.latency, offsets[:-1]).sum() * 1e9
        if longest >= _TOTAL_LIMIT_NS:
            message = f"times add up to {longest / 1e9:g} seconds, more than 146 years"
            raise InvalidInputError(message, place="latency")


def _kind(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


_ARRAYS: tuple[tuple[str, type[np.generic], int], ...] = (
    ("edges", np.int32, 2),
    ("offsets", np.int64, 1),
    ("release", np.float64, 1),
    ("latency", np.float64, 1),
    ("cost", np.float64, 1),
)


@dataclass(frozen=True, eq=False, slots=True)
class Search:
    """The answer of a search.

    Attributes
    ----------
    status : Status
    choice : int64 array of shape (n,), or None
        A mode per function, as an index within the modes of that function; None when infeasible.
    cost : float
        Dollars per invocation of `choice`, re-evaluated from the table; infinity when infeasible.
    bound : float
        Proven lower bound on the cost of every choice that meets the SLA; infinity when infeasible.
    gap : float
        (cost - bound) / cost, zero for a free choice; NaN when infeasible.
    latency : float
        Seconds from the arrival to the last finish under `choice`; NaN when infeasible.
    shortest_latency : float
        The smallest SLA (seconds) for which the table has an answer; infinity when some function is
        offered no mode.
    work : Work
    """

    status: Status
    choice: NDArray[np.int64] | None
    cost: float
    bound: float
    gap: float
    latency: float
    shortest_latency: float
    work: Work

    def bounded(self, bound: float, *, proved: bool, shortest_latency: float) -> Search:
        """Return the same answer with another bound, whether that proves it, and the smallest SLA that can be met."""
        status = Status.OPTIMAL if proved else Status.FEASIBLE
        lower = min(max(bound, 0.0), self.cost)
        gap = cost_gap(self.cost, lower)
        return Search(status, self.choice, self.cost, lower, gap, self.latency, shortest_latency, self.work)

    @classmethod
    def infeasible(cls, shortest_latency: float, work: Work = _NO_WORK) -> Search:
        """No choice meets the SLA; the smallest SLA that could be met is `shortest_latency`."""
        return cls(Status.INFEASIBLE, None, math.inf, math.inf, math.nan, math.nan, shortest_latency, work)


def cost_gap(cost: float, bound: float) -> float:
    """(cost - bound) / cost, at least zero; zero for a free choice (cost 0)."""
    return max(0.0, (cost - bound) / cost) if cost > 0 else 0.0
