"""The exact configuration search: the native portfolio of bounds, label merging and branch and bound.

The method, with its bounds and its proofs of optimality, is in ``csrc/src/search.cpp``; this module hands it a
`ModeTable` and reads its answer. It reuses memory and sorted modes between searches of one application.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smiless_core._native import search as native
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.solver.tables import ModeTable, Search, Status, Work, cost_gap

# About ten seconds of work at worst: small applications never come near it, wide ones of a thousand functions
# end with a plan and its gap. Memory stays below a few hundred megabytes.
DEFAULT_BUDGET = Work(augmentations=20_000_000, labels=100_000_000, nodes=100_000)

# The order of smiless_outcome.
_STATUS = (Status.OPTIMAL, Status.FEASIBLE, Status.INFEASIBLE, Status.STOPPED)


class ExactSearch:
    """A compiled application: searches over its mode tables, one at a time.

    Parameters
    ----------
    edges : int32 array, shape (m, 2)
        Pairs (from, to) of function indices.
    functions : int
        Number of functions.

    Raises
    ------
    InvalidInputError
        If there is no function, an edge leads nowhere or the edges form a cycle.
    """

    def __init__(self, edges: NDArray[np.int32], *, functions: int) -> None:
        try:
            self._native = native.Search(functions, np.ascontiguousarray(edges, dtype=np.int32).reshape(-1, 2))
        except ValueError as error:
            raise InvalidInputError(str(error), place="edges") from None
        # The modes that the native side holds: arrays are compared by identity, tables are immutable.
        self._modes: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]] | None = None

    def search(
        self, table: ModeTable, sla: float, *, budget: Work | None = None, time_limit: float | None = None
    ) -> Search:
        """Choose one mode per function, of least summed cost, with the longest path within the SLA.

        Parameters
        ----------
        table : ModeTable
            Its edges must be those of this application.
        sla : float
            Seconds.
        budget : Work, optional
            The work allowed; a field of 0 is unlimited. By default `DEFAULT_BUDGET`.
        time_limit : float, optional
            Seconds, an extra that makes results depend on the machine.

        Returns
        -------
        Search

        Raises
        ------
        InvalidInputError
            If the table or the SLA is out of its domain.
        SolverError
            If a plan failed its re-evaluation, which is a defect.
        KeyboardInterrupt
            On Ctrl-C, within milliseconds.
        """
        limits = DEFAULT_BUDGET if budget is None else budget
        try:
            modes = (table.offsets, table.release, table.latency)
            if self._modes is None or any(a is not b for a, b in zip(self._modes, modes, strict=True)):
                self._modes = None
                self._native.set_modes(*modes)
                self._modes = modes
            outcome, choice, cost, bound, latency, shortest, work = self._native.solve(
                table.cost, sla, *limits, 0.0 if time_limit is None else max(time_limit, 1e-9)
            )
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        except RuntimeError as error:
            raise SolverError(str(error)) from None
        status = _STATUS[outcome]
        if status is Status.INFEASIBLE:
            return Search(status, None, math.inf, math.inf, math.nan, math.nan, shortest, Work(*work))
        return Search(
            status, choice.astype(np.int64), cost, bound, cost_gap(cost, bound), latency, shortest, Work(*work)
        )
