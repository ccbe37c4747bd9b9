"""What is seen in charts, in one sentence each. Simplified policies are not named."""

from __future__ import annotations

import math

from smiless_core.report.lineup import DAGGER, Chapter, Entry
from smiless_core.solver.formatting import brief_seconds, per_million, percent, reached, seconds
from smiless_core.solver.pareto import Frontier

__all__ = [
    "STATES",
    "along",
    "cost",
    "dearest_function",
    "footnote",
    "paid_for",
    "part",
    "ratio",
    "spread",
    "standing",
    "verdict",
]

STATES = ("busy", "initializing", "idle")


def verdict(entry: Entry) -> str:
    """Say whether the target is met."""
    return "met" if entry.run.meets_target else "missed"


def ratio(value: float) -> str:
    """Write how many times as much."""
    return f"{value:.2f}\N{MULTIPLICATION SIGN}" if math.isfinite(value) else "-"


def cost(value: float) -> str:
    """Write dollars per invocation as those of a million."""
    return per_million(value) if math.isfinite(value) else "-"


def footnote(chapter: Chapter) -> str:
    """Explain the dagger, where there is one."""
    simplified = any(entry.look.simplified for entry in chapter.entries)
    return f" {DAGGER} A simplified policy: not named in headlines." if simplified else ""


def standing(chapter: Chapter) -> str:
    """Say who is the cheapest to meet the target, and how far the next is."""
    best, target = chapter.best, percent(chapter.first.target)
    if not chapter.first.count:
        return "There were no invocations."
    if best is None:
        return "All policies here are simplified, so that none is singled out."
    run, scope = best.run, _scope(chapter)
    if not run.meets_target:
        if len(chapter.eligible) == 1:
            return f"{best.look.label} reaches {reached(run.attainment)}, short of the target of {target}."
        closest = f"{best.look.label} comes closest with {reached(run.attainment)}"
        return f"{f'{scope}none' if scope else 'No policy'} meets the target of {target}; {closest}."
    price = f"{per_million(run.cost)} per million invocations, {ratio(run.cost_ratio)} the clairvoyant bound"
    meeting = [entry for entry in chapter.eligible if entry.run.meets_target]
    if len(chapter.eligible) == 1:
        return f"{best.look.label} meets the target of {target} at {price}."
    text = f"{scope}{best.look.label} is the cheapest to meet the target of {target}: {price}"
    if len(meeting) == 1:
        return f"{text}; no other meets it."
    second = meeting[1]
    if not run.cost:
        return f"{text}; {second.look.label} is next."
    more = second.run.cost / run.cost - 1.0
    dearer = f"{100 * more:.0f} % more" if more < 1.0 else f"{1.0 + more:.1f} times as much"
    return f"{text}; {second.look.label}, the next, costs {dearer}."


def spread(chapter: Chapter) -> str:
    """Say how fast the best answers, and how many are too slow."""
    best = chapter.best
    if not chapter.first.count:
        return "There were no invocations."
    late = sum(not entry.run.meets_target for entry in chapter.eligible)
    if best is None:
        late = sum(not entry.run.meets_target for entry in chapter.entries)
        return f"{late} of {len(chapter.entries)} policies answer too few invocations within the SLA."
    run = best.run
    typical, rare = (brief_seconds(run.percentile(each)) for each in (50, 99))
    text = f"{best.look.label} answers half of the invocations within {typical} and 99 % within {rare}"
    if len(chapter.eligible) == 1:
        return f"{text}; the SLA is {brief_seconds(run.sla)}."
    which = " that are not simplified" if _scope(chapter) else ""
    compared = len(chapter.eligible)
    many = f"all {compared}" if late == compared else f"{late or 'none'} of the {compared}"
    short = f"{many} policies{which} answer{'s' * (late == 1)}"
    return f"{text}; {short} too few within the SLA."


def paid_for(chapter: Chapter) -> str:
    """Say what the instances of the best did, and who pays most for idle ones."""
    paid = [entry for entry in chapter.eligible if entry.run.total_cost]
    if not paid:
        return "What each policy pays for."
    best = paid[0]
    split, total = best.run.cost_split, best.run.total_cost
    parts = [f"{_rounded(part(split[name], total))} {name}" for name in STATES]
    text = f"Of what {best.look.label} costs, instances were {parts[0]}, {parts[1]} and {parts[2]}"
    idlest = max(paid, key=lambda entry: part(entry.run.cost_split["idle"], entry.run.total_cost))
    idle = _rounded(part(idlest.run.cost_split["idle"], idlest.run.total_cost))
    if f"{idle} idle" == parts[-1]:
        return f"{text}."
    return f"{text}; {idlest.look.label} has the largest idle part, {idle}."


def dearest_function(chapter: Chapter, costs: dict[int, dict[str, float]]) -> str:
    """Say which function costs most; costs are by the number of the policy and the function."""
    best = chapter.best
    if best is None or not best.run.total_cost:
        return "Costs of the functions, policy by policy."
    paid = costs[best.look.number]
    name = max(paid, key=lambda each: paid[each])
    share = _rounded(part(paid[name], math.fsum(paid.values())))
    agreeing = sum(
        max(costs[entry.look.number], key=lambda each: costs[entry.look.number][each]) == name
        for entry in chapter.eligible
    )
    text = f"{name} costs most under {best.look.label}: {share} of all"
    if len(chapter.eligible) == 1:
        return f"{text}."
    compared = len(chapter.eligible)
    which = f"all {compared}" if agreeing == compared else f"{agreeing} of {compared}"
    return f"{text}; it costs most under {which} policies."


def along(chapter: Chapter, frontier: Frontier, *, over_sla: bool) -> str:
    """Say what the ends of a frontier cost, and how that compares."""
    points, run, best = frontier.points, chapter.first, chapter.best
    fact = f"; {best.look.label} cost {per_million(best.run.cost)}" if best and run.count else ""
    if over_sla:
        ends = f"from {per_million(points[0].cost)} per million invocations at {seconds(points[0].sla)}"
        ends += f" to {per_million(points[-1].cost)} at {seconds(points[-1].sla)}"
        holding = [point for point in points if point.sla <= run.sla]
        here = f"; at the SLA of {brief_seconds(run.sla)} it is {per_million(holding[-1].cost)}" if holding else ""
        return f"A looser SLA lowers the cost of plans {ends}{here}{fact}."
    ends = f"from {per_million(points[0].cost)} per million invocations at {reached(points[0].attainment)}"
    return (
        f"A higher attainment raises the cost of plans {ends} to {per_million(points[-1].cost)} at "
        f"{reached(points[-1].attainment)}{fact}."
    )


def _scope(chapter: Chapter) -> str:
    """Say that not all policies are spoken of, where some are simplified."""
    return "Of the policies that are not simplified, " if len(chapter.eligible) < len(chapter.entries) else ""


def part(value: float, whole: float) -> float:
    """Return the fraction; 0 of nothing."""
    return value / whole if whole else 0.0


def _rounded(fraction: float) -> str:
    """Write whole percents, for sentences."""
    if 0.0 < fraction < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 <= fraction < 1.0 else f"{100.0 * fraction:.0f} %"
