"""Why a plan costs what it costs: slack per function, and what a little more SLA would save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from smiless_core.solver.lowering import COST_TOLERANCE
from smiless_core.solver.solution import Solution
from smiless_core.solver.tables import Search, Status
from smiless_core.timing import nanoseconds_down
from smiless_core.validation import number

__all__ = ["Explanation", "explain"]


def explain(solution: Solution, *, extra: float = 0.01) -> Explanation:
    """Explain a solution.

    Parameters
    ----------
    solution : Solution
        What to explain.
    extra : float, default 0.01
        The seconds of additional SLA whose worth is of interest.

    Returns
    -------
    Explanation
        It prints itself; what needs further searches is found when it is first read.

    Raises
    ------
    InvalidInputError
        If `extra` is not a finite number above 0.
    """
    return Explanation(solution, number(extra, "extra", above=0.0))


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What a solution depends on. Print it.

    Attributes
    ----------
    solution : Solution
        What is explained.
    extra : float
        The seconds of additional SLA whose worth is `saving`.
    """

    solution: Solution
    extra: float = 0.01

    @property
    def shortest_latency(self) -> float:
        """The smallest SLA that can be met, seconds."""
        return self.solution.shortest_latency

    @property
    def limited_by(self) -> tuple[str, ...]:
        """The functions that keep the SLA from being met; none if it is."""
        return self.solution.limited_by

    @cached_property
    def slack(self) -> Mapping[str, float]:
        """How much the latency of each function alone could grow within the SLA, seconds.

        Without a plan: in `Solution.closest`; where that is the fastest one, within its own latency.
        """
        return {assignment.function: assignment.slack for assignment in self.solution.closest}

    @cached_property
    def saving(self) -> float | None:
        """Dollars per invocation that `extra` seconds more of SLA would save.

        None without a plan, or where a budget or a time limit keeps either cost from being proved, or where arrivals
        are not deterministic: `frontier` says then what other SLAs are found to cost.
        """
        return self._saving(self._relaxed)

    @cached_property
    def next_sla(self) -> float | None:
        """The smallest SLA beyond this one at which the plan gets cheaper, seconds, to the nanosecond.

        None if none does, or where `saving` would be None.
        """
        return None if self._next is None else self._next.latency

    @cached_property
    def next_saving(self) -> float | None:
        """Dollars per invocation that `next_sla` would save; None without one."""
        return self._saving(self._next)

    @cached_property
    def _relaxed(self) -> Search | None:
        return self._search(nanoseconds_down(self.solution.sla + self.extra))

    @cached_property
    def _next(self) -> Search | None:
        """Bisect for the breakpoint: the optimal cost never rises with the SLA."""
        low = nanoseconds_down(self.solution.sla)
        cheaper = self._relaxed
        if cheaper is not None and not self._is_cheaper(cheaper):
            low = nanoseconds_down(self.solution.sla + self.extra)
            loosest = max(self.solution.sla, self.solution.compiled.loosest_sla)
            cheaper = self._search(nanoseconds_down(loosest))
        if cheaper is None or not self._is_cheaper(cheaper):
            return None
        while (high := round(cheaper.latency * 1e9)) - low > 1:
            middle = (low + high) // 2
            found = self._search(middle)
            if found is None:
                return None
            if self._is_cheaper(found):
                cheaper = found
            else:
                low = middle
        return cheaper

    def _search(self, sla_ns: int) -> Search | None:
        """Return the proved answer for another SLA; None where nothing is proved."""
        if self.solution.status is not Status.OPTIMAL or not self.solution.arrivals.is_deterministic:
            return None
        found = self.solution.again(sla_ns / 1e9)
        return found if found.status is Status.OPTIMAL else None

    def _is_cheaper(self, search: Search) -> bool:
        return search.cost < self.solution.cost * (1 - COST_TOLERANCE)

    def _saving(self, search: Search | None) -> float | None:
        if search is None:
            return None
        return self.solution.cost - search.cost if self._is_cheaper(search) else 0.0

    def __repr__(self) -> str:
        return f"<Explanation of {self.solution!r}>"

    def __str__(self) -> str:
        from smiless_core.solver.rendering import explanation_text  # late: rich is loaded by those who print

        return explanation_text(self)
