"""The joint search: modes and ready set together, for arrivals that are a distribution.

Minimize the planning cost over one mode per function and the ready set W, such that the warm response is within the SLA
and the attainment reaches its target. For a given W the configuration search is exact. For given modes W is found as
if the prewarmed functions were one, with their prices added and their mean cold start: the optimal switching policy at
the lowest price of a miss that reaches the target. The two alternate until nothing improves. Where the price jumps over
the target, ready sets in between are candidates, too, and so are those that leave it to an arrival to wait for as long
as the SLA absorbs. Candidates besides: no function relies on its schedule (every response is within the SLA, come what
may), all of them do, and all are always ready.

Where arrivals overlap, several instances serve a function, and what one arrival finds depends on those before. There a
candidate is a family of plans, the same modes at any price of a miss, with further instances that are prewarmed, or
that start on request; the price is the least one at which the native replay of a drawn path reaches the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import SolverError
from smiless_core.model.configuration import Readiness
from smiless_core.solver.attainment import Attainment, Step, attainment_of
from smiless_core.solver.composite import FINE, Composite
from smiless_core.solver.lagrange import Bounds, searched_lazily
from smiless_core.solver.pricing import RARE
from smiless_core.solver.replaying import attainment_in, replay_of
from smiless_core.solver.tables import ModeTable, Search
from smiless_core.timing import nanoseconds_down
from smiless_core.windows import ALWAYS, Replay, Wanted

if TYPE_CHECKING:
    from smiless_core.solver.lowering import CompiledProblem

__all__ = ["Aimed", "JointSearch"]

Floats = NDArray[np.float64]

_ROUNDS = 4  # of modes and ready set; more have not been seen to help
_WORTH = 0.02  # of a cold start: shorter waits are not worth a ready set of their own
_REPLAYED = 20  # plans that differ in the price of a miss alone, where arrivals overlap
_CLOSED_IN = 3  # kinds of plans whose price of a miss is found by replay
_USED_UP = 0.98  # of the misses that are allowed
_ROUNDING = 1e-12  # of probabilities that add up to the target
_CLOSE = 1e-9  # of the bound: what sums of policies may differ by
_DEFECT = 1e-3  # of the cost: what finding out where in a cell the SLA begins to be met may be wrong by


class Aimed(NamedTuple):
    """Modes, and what their schedules are for.

    Attributes
    ----------
    search : Search
        The modes; its cost is the planning cost.
    wanted : Wanted
    attainment : Attainment
        Of the plan: from the distribution where arrivals do not overlap, else from the replay.
    price : float
        What a miss is worth, in seconds of residency of all prewarmed functions.
    replayed : Replay or None
        What a path of arrivals makes of the plan, where they overlap.
    planned : bool
        Whether a plan that reaches the target in a replay does as planned, too: bounds are about such plans. Where
        several instances serve a function, that is to say that no function is late more often than allowed.
    lost : float
        The fraction of arrivals that the platform has no instance for. The replay starts further ones for them.
    """

    search: Search
    wanted: Wanted
    attainment: Attainment
    price: float
    replayed: Replay | None = None
    planned: bool = True
    lost: float = 0.0

    @property
    def expense(self) -> float:
        """What plans are compared by, dollars per invocation: as replayed where arrivals overlap."""
        return self.search.cost if self.replayed is None or self.lost else self.replayed.cost


Find = Callable[[ModeTable, float], Search]


class JointSearch:
    """The search for one distribution, SLA and target.

    Parameters
    ----------
    compiled : CompiledProblem
    arrivals : Arrivals
    find : callable
        The configuration search: a table and an SLA in seconds.
    sla : float
        Seconds.
    target : float
        The attainment asked for.
    """

    def __init__(self, compiled: CompiledProblem, arrivals: Arrivals, find: Find, *, sla: float, target: float) -> None:
        self._compiled = compiled
        self._arrivals = arrivals
        self._pricing = compiled.pricing(arrivals)
        self._find = find
        self._sla = sla
        self._target = target
        self._free = self._pricing.free
        self._found: list[Aimed] = []
        self._seen: set[tuple[int, ...]] = set()
        self._allowed = 1.0 - target + _ROUNDING
        self._families: dict[tuple[int, ...], _Family] = {}
        # Modes that leave too many arrivals without an instance, within the limits, whatever their schedule.
        self._barred = self._pricing.lost > self._allowed
        self._absorbed = np.maximum(compiled.absorbed(nanoseconds_down(sla)), 0)

    def best(self, start: Aimed | None = None, *, prove: bool = True) -> tuple[Aimed | None, Search]:
        """Find the cheapest plan known, and bound the cost of all.

        Parameters
        ----------
        start : Aimed, optional
            A plan for arrivals that were much the same, to start from.
        prove : bool, default True
            Whether to look for a bound that is better than the cost without misses.

        Returns
        -------
        Aimed or None
            The plan; where none reaches the target, that of the highest attainment; None if none meets the SLA even
            when everything is ready.
        Search
            The same with the bound; infeasible if the target is not reached.
        """
        prewarmed = self._pricing.terms.prewarmed
        shortest = self._find(self._compiled.priced(self._free), self._sla).shortest_latency
        self._consider(self._search(np.where(prewarmed, np.inf, self._free)), Wanted(), 0.0)
        if start is not None and start.search.choice is not None:
            self._alternate(start.search.choice, near=start.price)
        if start is None or not (self._families or any(map(self._may_reach, self._found))):
            always = self.modes(ALWAYS)
            if always.choice is None and self._barred.any():
                # No plan reaches the target: that of the highest attainment is still there to look at.
                self._barred[:] = False
                always = self.modes(ALWAYS)
            if always.choice is None:
                return None, always
            self._consider(always, ALWAYS, math.inf)
            self._alternate(always.choice)
            self._alternate(self.modes(Wanted()).choice)
            # Of modes that all rely on their schedules, the slack is left for waits.
            relied_on = self._search(np.where(prewarmed, self._free, np.inf))
            if relied_on.choice is not None:
                self._wait(self.aimed(relied_on, ALWAYS, math.inf))
        best = self._verified()
        if best is None:
            sure = [each for each in self._found if each.replayed is not None or not self._overlaps(each)]
            most = max(sure or self._found, key=lambda each: each.attainment.fraction)
            return most, Search.infeasible(shortest, most.search.work)
        bound = self._bound(best, prove=prove)
        if bound > best.search.cost * (1 + _DEFECT):
            raise SolverError(
                f"a bound of {bound!r} $ is above the cost of a plan that it is about, {best.search.cost!r} $"
            )
        proved = bound >= best.search.cost * (1 - _CLOSE)
        search = best.search.bounded(best.search.cost if proved else bound, proved=proved, shortest_latency=shortest)
        return best._replace(search=search), search

    def _reaches(self, plan: Aimed) -> bool:
        return plan.planned and 1.0 - plan.attainment.fraction <= self._allowed

    def _may_reach(self, plan: Aimed) -> bool:
        """Whether a plan reaches the target, or a replay is to tell."""
        if plan.replayed is not None or not self._overlaps(plan):
            return self._reaches(plan)
        return 1.0 - plan.attainment.fraction <= 1.2 * self._allowed

    def _verified(self) -> Aimed | None:
        """Return the cheapest plan that reaches the target, replayed where arrivals overlap."""
        for family in sorted(self._families.values(), key=lambda family: family.plan.search.cost)[:_CLOSED_IN]:
            self._close_in(family)
        for at, each in enumerate(self._found):
            if each.replayed is None and self._may_reach(each) and self._overlaps(each):
                self._found[at] = self._replayed(each)
        sure = [each for each in self._found if self._reaches(each) and (each.replayed or not self._overlaps(each))]
        return min(sure, key=lambda each: (each.expense, each.price), default=None)

    def _close_in(self, family: _Family) -> None:
        """Find the least price of a miss at which the replay of a plan reaches the target, and keep what was replayed.

        Replays meet more misses than plans are made for, or fewer.
        """
        composite, search = family.composite, family.plan.search
        price = min(max(family.plan.price, composite.floor), composite.ceiling)
        short, enough, step = None, None, 2.0
        for _ in range(_REPLAYED):
            wanted = composite.wanted(price)
            plan = self._replayed(self.aimed(self._priced(search, wanted), wanted, price))
            self._found.append(plan)
            if self._reaches(plan):
                enough = price
                if price == composite.floor or 1.0 - plan.attainment.fraction >= _USED_UP * self._allowed:
                    return
            else:
                short = price
                if price == composite.ceiling:
                    return
            if short is not None and enough is not None:
                if enough < short * FINE:
                    return
                price = math.sqrt(short * enough)
            else:
                price = max(price / step, composite.floor) if short is None else min(price * step, composite.ceiling)
                step *= step

    def _overlaps(self, plan: Aimed) -> bool:
        """Whether arrivals may come while an instance that the plan relies on is still at work, or starts."""
        assert plan.search.choice is not None
        rows = self._compiled.rows(plan.search.choice)
        terms = self._pricing.terms
        stays = terms.prewarmed[rows] | self._pricing.stays[rows]
        if not stays.any():
            return False
        waits = plan.attainment.fraction < 1.0 - 1e-9 or not terms.prewarmed[rows[stays]].all()
        busy = terms.latency[rows] + (terms.cold_start[rows] if waits else 0)
        if self._pricing.one_step:
            return False  # of the gaps after this one nothing is known
        return 1.0 - float(self._arrivals.at_least(int(busy[stays].max()) / 1e9)) > RARE

    def _replayed(self, plan: Aimed) -> Aimed:
        """Return a plan with what a path of arrivals makes of it."""
        choice = plan.search.choice
        assert choice is not None
        written = self._compiled.plan(choice.tolist(), self._arrivals, sla=self._sla, aimed=plan)
        happened = replay_of(written, self._compiled.problem, self._pricing.other_path)
        rows = self._compiled.rows(choice)
        lost = float(self._pricing.lost[rows].max())
        attainment = attainment_in(happened, self._sla, lost=lost)
        replayed = plan._replace(attainment=attainment, replayed=happened, lost=lost)
        if not self._reaches(replayed):
            return replayed
        if self._pricing.single[rows].all():
            planned = self._reaches(plan)
        else:
            planned = all(
                self._pricing.planned_late(row, plan.wanted, tolerated=int(self._absorbed[row])) <= self._allowed
                for row in rows.tolist()
            )
        return replayed._replace(planned=planned)

    def _alternate(self, choice: NDArray[np.int64] | None, *, near: float | None = None) -> None:
        """Alternate between the ready set for given modes and the modes for a given ready set.

        `near` is what a miss may be worth, if that is known from somewhere.
        """
        for _ in range(_ROUNDS):
            if choice is None or tuple(choice.tolist()) in self._seen:
                return
            self._seen.add(tuple(choice.tolist()))
            rows = self._compiled.rows(choice)
            if not self._pricing.terms.prewarmed[rows].any():
                return
            allowed = self._allowed
            for _ in range(_ROUNDS):
                composite = Composite(self._pricing, rows)
                wanted, price = composite.ready_set(allowed, near=near)
                plan = self._propose(self.modes(wanted), composite, wanted, price)
                if plan is None or self._may_reach(plan) or price == math.inf:
                    break
                # The functions together are late more often than one with their mean cold start.
                short = self._target - plan.attainment.fraction
                allowed = max(allowed - 1.1 * short, 0.5 * allowed if allowed > 1e-6 else 0.0)
            for ready in composite.between(allowed):
                aimed = Wanted(wanted.price, ready)
                self._consider(self.modes(aimed), aimed, price)
            if plan is not None:
                self._wait(plan, near=price)
                if composite.levels > 1:
                    self._take_time(rows, near=near)
            near = price
            choice = None if plan is None else plan.search.choice

    def _wait(self, plan: Aimed, *, near: float | None = None) -> None:
        """Consider the ready set of the same modes when arrivals may wait as long as the SLA absorbs."""
        search, terms = plan.search, self._pricing.terms
        assert search.choice is not None
        rows = self._compiled.rows(search.choice)
        relied_on = terms.prewarmed[rows]
        if not relied_on.any():
            return
        timed = self._compiled.timing(rows.tolist(), bound=nanoseconds_down(self._sla))
        # Waits for instances that are late together do not add up, but those for all of a cold start do.
        cold = terms.cold_start[rows[relied_on]]
        slack = min(int(slack) for slack, relies in zip(timed.slack, relied_on, strict=True) if relies)
        slack = min(slack, int(cold.min()) - 1)
        if slack < _WORTH * int(cold.max()):
            return
        composite = Composite(self._pricing, rows, tolerated=slack)
        wanted, price = composite.ready_set(self._allowed, near=near)
        self._propose(self._priced(search, wanted), composite, wanted, price)

    def _take_time(self, rows: NDArray[np.int64], *, near: float | None) -> None:
        """Consider to start further instances on request: where there is room for a cold start they have the time.

        Modes that reckon with a cold start anyhow would use that room up, so that plans without any are considered too.
        """
        composite = Composite(self._pricing, rows, first=True)
        wanted, price = composite.ready_set(self._allowed, near=near)
        for relied_on in (False, True):
            self._propose(self.modes(wanted, relied_on=relied_on), composite, wanted, price)

    def modes(self, wanted: Wanted, *, relied_on: bool = False) -> Search:
        """Return the cheapest modes for a ready set, or the cheapest of those that all rely on it."""
        costs, known = self._pricing.costs(wanted)
        if relied_on:
            costs[~self._pricing.terms.prewarmed] = np.inf
        return searched_lazily(
            self._search, self._compiled, costs, ~known, lambda row: self._pricing.priced(row, wanted)
        )

    def _search(self, costs: Floats) -> Search:
        offered = np.where(self._barred, np.inf, costs) if self._barred.any() else costs
        return self._find(self._compiled.priced(offered), self._sla)

    def _consider(self, search: Search, wanted: Wanted, price: float) -> Aimed | None:
        """Evaluate a plan, keep and return it."""
        if search.choice is None:
            return None
        for known in self._found:
            assert known.search.choice is not None
            if np.array_equal(known.search.choice, search.choice) and _same(known.wanted, wanted):
                return known
        plan = self.aimed(search, wanted, price)
        self._found.append(plan)
        return plan

    def _propose(self, search: Search, composite: Composite, wanted: Wanted, price: float) -> Aimed | None:
        """Evaluate a plan that relies on its schedules; where arrivals overlap, its price is still to be found."""
        if search.choice is None:
            return None
        plan = self.aimed(search, wanted, price)
        rows = self._compiled.rows(search.choice)
        if not self._pricing.terms.prewarmed[rows].any() or not self._overlaps(plan):
            return self._consider(search, wanted, price)
        again = Composite(self._pricing, rows, tolerated=composite.tolerated, first=composite.first)
        self._families[*search.choice.tolist(), composite.tolerated, composite.first] = _Family(plan, again)
        return plan

    def aimed(self, search: Search, wanted: Wanted, price: float) -> Aimed:
        """Return a plan with its attainment, which is not replayed."""
        assert search.choice is not None
        return Aimed(search, wanted, self._attainment(search.choice, wanted), price)

    def _priced(self, search: Search, wanted: Wanted) -> Search:
        """Return the same modes with other schedules."""
        assert search.choice is not None
        cost = math.fsum(self._pricing.priced(row, wanted) for row in self._compiled.rows(search.choice).tolist())
        return Search(
            search.status, search.choice, cost, 0.0, 1.0, search.latency, search.shortest_latency, search.work
        )

    def _attainment(self, choice: NDArray[np.int64], wanted: Wanted) -> Attainment:
        """Return the attainment of a plan when each arrival comes after one that was served on time.

        Where there are several levels: that every function is in time but for the least punctual one.
        """
        compiled, terms = self._compiled, self._pricing.terms
        rows = compiled.rows(choice)
        timed = compiled.timing(rows.tolist())
        if timed.latency > nanoseconds_down(self._sla):
            return Attainment(0.0, 0.0, 0.0, 0.0, 0.0)
        if any(len(self._pricing.laws(int(busy))) > 1 for busy in terms.latency[rows]):
            late = max(self._pricing.late(row, wanted) for row in rows.tolist())
            return Attainment(1.0 - late, 0.0, 0.0, late, 0.0)
        application = compiled.problem.application
        comes = [max((timed.earliest_finish[u] for u in before), default=0) for before in application.predecessors]
        steps = [
            Step(
                int(terms.latency[row]),
                int(terms.cold_start[row]),
                compiled.mode(row).readiness if not len(stays[0]) else Readiness.PREWARMED,
                int(start),
                stays[0],
            )
            for row, start in zip(rows.tolist(), comes, strict=True)
            for stays in [self._pricing.schedules(row, wanted)]
        ]
        prewarmed = terms.latency[rows[terms.prewarmed[rows]]]
        met = attainment_of(
            self._pricing.law.cells,
            steps,
            predecessors=application.predecessors,
            order=application.order,
            announced=compiled.problem.limits.announces_arrivals,
            sla=nanoseconds_down(self._sla),
            busy=int(prewarmed.max(initial=0)),
        )
        return met

    def _bound(self, best: Aimed, *, prove: bool) -> float:
        """Bound the cost of all plans."""
        bounds = Bounds(self._compiled, self._pricing, self._search, sla=self._sla, target=self._target)
        bound = bounds.free()
        priced = [each for each in self._found if 0.0 < each.price < math.inf]
        if not prove or best.search.cost <= bound * (1 + _CLOSE) or not priced:
            return bound
        # Of plans of equal cost, that with the lowest price of a miss: the others are ready where nothing comes.
        guide = min(priced, key=lambda each: (abs(each.search.cost - best.search.cost), each.price))
        assert guide.search.choice is not None
        rows = self._compiled.rows(guide.search.choice)
        return max(bound, bounds.around(rows, guide.wanted, guide.price, enough=best.search.cost * (1 - _CLOSE)))


class _Family(NamedTuple):
    """Plans that differ in the price of a miss alone."""

    plan: Aimed
    composite: Composite


def _same(a: Wanted, b: Wanted) -> bool:
    """Whether schedules are for the same."""
    if a.ready is None or b.ready is None:
        return a.price == b.price and a.ready is b.ready
    return a.price == b.price and np.array_equal(a.ready, b.ready)
