"""The exact configuration search: the native portfolio of bounds, label merging and branch and bound.

The method, with its bounds and its proofs of optimality, is in ``csrc/src/search.cpp``; this module hands it
a `ModeTable` and reads its answer. It reuses memory and sorted modes between searches of one application.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smiless_core._native import search as native
from smiless_core.errors import InvalidInputError, SolverError
from smiless_core.solver.tables import ModeTable, Search, Status, Work, cost_gap


def default_budget(functions: int) -> Work:
    """Work after which a search settles for its best plan and its bound: a few seconds, whatever the size.

    An application of a dozen functions never comes near it. An augmentation crosses the whole application, and labels
    are made anew in every pass over it, so fewer of either are allowed where it is large. Memory stays below a few
    hundred megabytes.
    """
    return Work(
        augmentations=20_000 + 30_000_000 // functions,
        labels=min(10_000_000, 2_000_000_000 // functions),
        nodes=min(200_000, 20_000_000 // functions),
    )


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
    width : int, optional
        Partial plans side by side, where the application is not series-parallel, before branch and bound
        takes over. Any width gives the same cost; it decides how much work that is.

    Raises
    ------
    InvalidInputError
        If there is no function, an edge leads nowhere or the edges form a cycle.
    """

    def __init__(self, edges: NDArray[np.int32], *, functions: int, width: int | None = None) -> None:
        try:
            self._native = native.Search(functions, np.ascontiguousarray(edges, dtype=np.int32).reshape(-1, 2))
            if width is not None:
                self._native.set_width(width)
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        self._budget = default_budget(functions)
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
            The work allowed; a field of 0 is unlimited. By default `default_budget`.
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
        limits = self._budget if budget is None else budget
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
            status,
            choice.astype(np.int64),
            cost,
            bound,
            cost_gap(cost, bound),
            latency,
            shortest,
            Work(*work),
        )
