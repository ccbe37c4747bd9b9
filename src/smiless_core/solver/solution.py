"""What a solve returns: the cheapest plan with its proof, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError
from smiless_core.model.plan import Assignment, Plan, Stay
from smiless_core.model.problem import Problem
from smiless_core.solver.attainment import Attainment
from smiless_core.solver.formatting import arrivals_in_words, exact_seconds, share
from smiless_core.solver.replaying import replay_of
from smiless_core.solver.tables import Search, Status, Work
from smiless_core.windows import ALWAYS, Replay, Wanted

if TYPE_CHECKING:
    from smiless_core.solver.joint import Aimed
    from smiless_core.solver.lowering import CompiledProblem

__all__ = ["Solution", "solve"]

SCHEMA = 1


def solve(
    problem: Problem,
    arrivals: Arrivals,
    *,
    method: str = "exact",
    sla: float | None = None,
    target: float | None = None,
    budget: Work | None = None,
    time_limit: float | None = None,
) -> Solution:
    """Find the cheapest plan that meets the SLA, and prove it.

    For arrivals that are always as far apart the plan is proved optimal. For others modes and schedules are searched
    for together, and the solution says what fraction of invocations meets the SLA, at least `target`, and how far its
    cost is from a proved lower bound.

    Parameters
    ----------
    problem : Problem
        What to plan.
    arrivals : Arrivals
        When the next invocation comes.
    method : {"exact", "milp"}, default "exact"
        The native search, or the same question as a mixed-integer program. They return the same plan.
    sla : float, optional
        Bound on the end-to-end latency, seconds; that of the application by default.
    target : float, optional
        The fraction of invocations that has to meet it; that of the application by default.
    budget : Work, optional
        How much work the exact search may do before it returns the best plan so far as ``feasible``. It
        counts steps, so that results repeat. Unlimited by default.
    time_limit : float, optional
        Seconds after which the best plan so far is returned.

    Returns
    -------
    Solution
        An infeasible SLA is a status, not an error.

    Raises
    ------
    InvalidInputError
        If an argument is wrong.
    SolverError
        If the search fails, or its plan does not survive an independent re-evaluation.

    See Also
    --------
    CompiledProblem : Solve one problem many times.
    """
    from smiless_core.solver.lowering import CompiledProblem  # late: it is built on Solution

    return CompiledProblem(problem).solve(
        arrivals, method=method, sla=sla, target=target, budget=budget, time_limit=time_limit
    )


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """The answer to one planning question. Print it for a plan worth reading.

    Attributes
    ----------
    compiled : CompiledProblem
        The problem, ready to be asked again.
    arrivals : Arrivals
        The arrivals that were asked for.
    search : Search
        The answer in indices.
    sla : float
        The bound that was asked for, seconds.
    target : float
        The attainment that was asked for.
    method : str
        How the answer was found.
    budget : Work or None
    time_limit : float or None
        As given; further questions, such as `fastest`, are asked within the same.
    aimed : Aimed or None
        What the schedules are for, where arrivals are not deterministic.
    """

    compiled: CompiledProblem
    arrivals: Arrivals
    search: Search
    sla: float
    target: float
    method: str
    budget: Work | None = None
    time_limit: float | None = None
    aimed: Aimed | None = None

    @property
    def problem(self) -> Problem:
        """The problem that was solved."""
        return self.compiled.problem

    @property
    def status(self) -> Status:
        """Whether there is a plan, and what is proved of it."""
        return self.search.status

    @property
    def feasible(self) -> bool:
        """Whether there is a plan."""
        return self.search.choice is not None

    @property
    def cost(self) -> float:
        """Dollars per invocation; infinity without a plan."""
        return self.search.cost

    @property
    def bound(self) -> float:
        """Proved lower bound on the cost of every plan that meets the SLA; infinity without a plan."""
        return self.search.bound

    @property
    def gap(self) -> float:
        """(cost - bound) / cost; NaN without a plan."""
        return self.search.gap

    @property
    def work(self) -> Work:
        """What the search did, in steps that repeat on every machine."""
        return self.search.work

    @property
    def shortest_latency(self) -> float:
        """The smallest SLA that can be met, seconds; infinity if the limits leave a function no mode."""
        return self.search.shortest_latency

    @cached_property
    def plan(self) -> Plan:
        """The cheapest plan.

        Raises
        ------
        InfeasibleError
            If no plan meets the SLA; it names the shortest latency and the functions that limit it.
        """
        if self.search.choice is None:
            raise self.infeasible()
        return self.compiled.plan(self.search.choice.tolist(), self.arrivals, sla=self.sla, aimed=self.aimed)

    @cached_property
    def fastest(self) -> Plan:
        """The cheapest plan of the shortest latency, whether that meets the SLA or not.

        Raises
        ------
        InfeasibleError
            If the limits leave a function no mode at all.
        """
        if math.isinf(self.shortest_latency):
            raise self.infeasible()
        search = self.again(self.shortest_latency)
        assert search.choice is not None, "the shortest latency can be reached"
        aimed = None
        if not self.arrivals.is_deterministic:
            aimed = self.compiled.joint(self.arrivals, self.sla, target=self.target).aimed(search, self.wanted, 0.0)
        return self.compiled.plan(search.choice.tolist(), self.arrivals, sla=self.sla, aimed=aimed)

    @cached_property
    def closest(self) -> Plan:
        """The plan, or else what comes closest: that of the highest attainment within the SLA, or the fastest.

        Raises
        ------
        InfeasibleError
            If the limits leave a function no mode at all.
        """
        if self.feasible:
            return self.plan
        if self.aimed is None or self.aimed.search.choice is None:
            return self.fastest
        return self.compiled.plan(self.aimed.search.choice.tolist(), self.arrivals, sla=self.sla, aimed=self.aimed)

    @property
    def wanted(self) -> Wanted:
        """What the schedules are for, where arrivals are not deterministic."""
        return ALWAYS if self.aimed is None else self.aimed.wanted

    @property
    def attainment(self) -> Attainment | None:
        """The fraction of invocations that meets the SLA, and why the others do not.

        None where arrivals are deterministic, and without a plan.
        """
        return None if self.aimed is None else self.aimed.attainment

    @cached_property
    def replay(self) -> Replay | None:
        """What a path of arrivals makes of the plan, event by event: the recorded one, or one that is drawn.

        Of a recorded path the last 32,768 gaps (`Path.of`). None where arrivals are deterministic, and without a plan;
        where the distribution is that of a gap that has begun (`Arrivals.after`), which says nothing about the next;
        and where gaps last for decades.
        """
        if self.aimed is None or not self.feasible:
            return None
        if self.aimed.replayed is not None:
            return self.aimed.replayed
        pricing = self.compiled.pricing(self.arrivals)
        if pricing.one_step or pricing.too_long:
            return None
        return replay_of(self.plan, self.problem, pricing.other_path)

    @property
    def replay_cost(self) -> float | None:
        """Dollars per invocation of the schedules as replayed; the cost itself where arrivals are deterministic.

        None where there is no replay, and where it starts more instances than `max_replicas`, which a platform would
        not.
        """
        if self.aimed is None:
            return self.cost
        return None if self.replay is None or self.aimed.lost else self.replay.cost

    @cached_property
    def limited_by(self) -> tuple[str, ...]:
        """The functions that keep the SLA from being met: the critical path of `fastest`.

        Where it is the target that is out of reach, those whose instances are too few for it. Empty where there is a
        plan.
        """
        if self.feasible:
            return ()
        if math.isinf(self.shortest_latency):
            return self.compiled.not_offered(self.arrivals)
        if self.aimed is not None and self.aimed.search.choice is not None:
            lost = self.compiled.pricing(self.arrivals).lost[self.compiled.rows(self.aimed.search.choice)]
            too_many = lost >= min(1.0 - self.target, float(lost.max()))
            return tuple(name for name, short in zip(self.problem.application.names, too_many, strict=True) if short)
        return self.fastest.critical_path

    def again(self, sla: float) -> Search:
        """Ask the same with another SLA (seconds), for the same ready set and within the same limits."""
        return self.compiled.search(
            self.arrivals,
            sla,
            method=self.method,
            budget=self.budget,
            time_limit=self.time_limit,
            wanted=self.wanted,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the solution ready for JSON: what ``smiless plan --json`` prints.

        Returns
        -------
        dict
            Without a plan, cost, replay_cost, bound and gap are None, and the rest tells of `closest`. There are no
            NaN and no infinities: a stay that never ends is until None. Where the arrivals come from is for the caller
            to fill in.
        """
        application = self.problem.application
        plan = None if math.isinf(self.shortest_latency) else self.closest
        met = self.attainment
        return {
            "schema": SCHEMA,
            "application": application.name,
            "prices": {"cpu": self.problem.prices.cpu, "gpu": self.problem.prices.gpu},
            "arrivals": {
                "kind": self.arrivals.kind,
                "mean": self.arrivals.mean,
                "gaps": None if self.arrivals.sequence is None else self.arrivals.sequence.size,
                "source": None,
                "history": None,
            },
            "method": {"search": self.method, "joint": not self.arrivals.is_deterministic},
            "status": str(self.status),
            "sla": self.sla,
            "attainment_target": self.target,
            "cost": _finite(self.cost),
            "replay_cost": None if self.replay_cost is None else _finite(self.replay_cost),
            "bound": _finite(self.bound),
            "gap": _finite(self.gap),
            "latency": plan and plan.latency,
            "cold_latency": plan and plan.cold_latency,
            # A plan that is too slow even with everything ready meets the SLA never.
            "attainment": plan and (met.fraction if met else float(self.feasible)),
            "misses": met and {name: value for name, value in met._asdict().items() if name != "fraction"},
            "ready_set": [[begin, _finite(end)] for begin, end in plan.ready_set] if plan else [],
            "critical_path": list(plan.critical_path) if plan else [],
            "shortest_latency": _finite(self.shortest_latency),
            "limited_by": list(self.limited_by),
            "work": self.work._asdict(),
            "functions": {assignment.function: _assignment(assignment) for assignment in plan or ()},
        }

    def infeasible(self) -> InfeasibleError:
        """Return the error that says why there is no plan."""
        name, limited_by = self.problem.application.name, ", ".join(self.limited_by)
        if math.isinf(self.shortest_latency):
            message = (
                f"{name}: max_replicas = {self.problem.limits.max_replicas} leaves no mode for {limited_by}"
                f" with arrivals {arrivals_in_words(self.arrivals)}"
            )
        elif self.aimed is not None:
            most, reached = self.problem.limits.max_replicas, share(self.aimed.attainment.fraction)
            why = "" if most is None else f" with max_replicas = {most}"
            message = (
                f"{name}: no plan reaches a target of {share(self.target)} within an SLA of {exact_seconds(self.sla)}:"
                f" the highest attainment found{why} is {reached}, limited by {limited_by}"
            )
        else:
            message = (
                f"{name}: no plan meets an SLA of {exact_seconds(self.sla)}: the shortest latency that can be"
                f" reached is {exact_seconds(self.shortest_latency)}, limited by {limited_by}"
            )
        return InfeasibleError(message, self.shortest_latency, self.limited_by)

    def __repr__(self) -> str:
        cost = f", {self.cost:.6g} $ per invocation" if self.feasible else ""
        return f"<Solution of {self.problem.application.name!r}: {self.status}{cost}>"

    def __str__(self) -> str:
        from smiless_core.solver.rendering import solution_text  # late: rich is loaded by those who print

        return solution_text(self)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _stays(schedule: Sequence[Stay]) -> list[dict[str, float | None]]:
    return [{"start": stay.start, "ready": stay.ready, "until": _finite(stay.until)} for stay in schedule]


def _assignment(assignment: Assignment) -> dict[str, Any]:
    configuration = assignment.configuration
    levels = (assignment.schedule, *assignment.further)
    return {
        "hardware": str(configuration.hardware),
        "size": configuration.size,
        "batch": configuration.batch,
        "replicas": assignment.replicas,
        "readiness": str(assignment.readiness),
        "price_per_second": assignment.price_per_second,
        "latency": assignment.latency,
        "cold_start": assignment.cold_start,
        "schedule": _stays(assignment.schedule),
        "levels": [_stays(level) for level in levels] if any(levels) else [],
        "prewarm": assignment.prewarm,
        "keep_alive": _finite(assignment.keep_alive),
        "cost": assignment.cost,
    }
