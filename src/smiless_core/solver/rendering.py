"""Solutions and explanations as text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from smiless_core.model.configuration import Hardware, Readiness
from smiless_core.model.plan import Assignment
from smiless_core.solver.drawing import timeline
from smiless_core.solver.formatting import (
    aligned,
    arrivals_in_words,
    brief_seconds,
    dollars,
    exact_seconds,
    fact,
    fitting_width,
    per_million,
    percent,
    reached,
    seconds,
    share,
    shown_end,
    table,
    time_spans,
    usual_gap,
    wrapped,
)
from smiless_core.solver.tables import Status

if TYPE_CHECKING:
    from smiless_core.solver.attainment import Attainment
    from smiless_core.solver.explanation import Explanation
    from smiless_core.solver.solution import Solution
    from smiless_core.windows import Replay

__all__ = ["explanation_text", "hardware_of", "in_words", "reckoned_with", "runs_on", "solution_text"]

_QUICK_FUNCTIONS = 12  # up to here the dozens of searches behind a breakpoint take milliseconds
_ROOMY = 28  # columns for words about a schedule

_PREWARMED = (
    "Prewarmed instances start, and are ready, at these times after the arrival that they served last;"
    " they are let go after each service."
)
_STAYS = "Ready: at these times after the arrival that an instance served last. Kept: after the end of each service."
_FURTHER = (
    " Further instances serve when those before them are busy, and follow schedules of their own (levels in JSON):"
    " they need not be there when the first one is."
)

_MISSES = {
    "too_early": "come too early (before the next instance is ready)",
    "too_late": "come too late (after one is let go, before the next is there)",
    "overlap": "overlap (while the instances that are there still serve others)",
    "cold_tail": "come in the cold tail (after the last instance is let go)",
}
_FEW = 30  # arrivals whose replay says little
_TELLING = 5  # recorded gaps that a target has to leave to miss, to rest on more than chance
_EXACT = 5e-4  # of the cost: a replay that differs by less needs no explanation


def solution_text(solution: Solution, *, width: int | None = None) -> str:
    """Write a solution out: the verdict, the cost, one row per function, and what more SLA would save.

    Where arrivals are not deterministic: also how many invocations meet the SLA and why the others do not, what a
    replay costs, and a timeline of the schedules.

    Parameters
    ----------
    solution : Solution
        What to show.
    width : int, optional
        Columns to stay within; those of the terminal by default, from 60 to 120, or 100 without a terminal.

    Returns
    -------
    str
        Lines, without a newline at the end.
    """
    from smiless_core.solver.explanation import explain

    columns = fitting_width(width)
    verdict = _verdict(solution)
    if math.isinf(solution.shortest_latency):
        return wrapped(verdict, columns)
    plan = solution.closest
    if not solution.feasible:
        verdict += f" This is {'the fastest' if solution.aimed is None else 'that'} plan:"
    blocks = [wrapped(verdict, columns), "\n".join(fact(label, text, columns) for label, text in _facts(solution))]
    if solution.aimed is not None:
        blocks.append(timeline(solution, solution.aimed, width=columns))
    blocks.append(_assignments(solution, columns))
    if any(assignment.schedule for assignment in plan) and not solution.arrivals.is_deterministic:
        blocks.append(wrapped(_STAYS + _FURTHER * any(assignment.further for assignment in plan), columns))
    elif any(stay.start < stay.ready for assignment in plan for stay in assignment.schedule):
        blocks.append(wrapped(_PREWARMED, columns))
    if solution.status is Status.OPTIMAL and solution.arrivals.is_deterministic:
        quick = solution.method == "exact" and len(plan) <= _QUICK_FUNCTIONS
        sentences = _savings(explain(solution)) if quick else [_saving(explain(solution))]
        blocks.append(wrapped(" ".join(sentences), columns))
    return "\n\n".join(blocks)


def _facts(solution: Solution) -> Iterator[tuple[str, str]]:
    """Yield what is known of the plan as a whole, with labels."""
    plan, replay, attainment = solution.closest, solution.replay, solution.attainment
    per_hour = dollars(plan.cost * 3600 / solution.arrivals.mean)
    yield "cost", f"{dollars(plan.cost)} per invocation, {per_million(plan.cost)} per million, {per_hour} per hour"
    if solution.feasible:
        distance = f", gap {percent(solution.gap)}" if attainment is None or solution.status is Status.OPTIMAL else ""
        apart = "; it is about the cost, not about what is replayed" * _tells(solution, replay)
        yield "bound", f"{dollars(solution.bound)} per invocation{distance}{apart}"
    if replay is not None and _tells(solution, replay):
        yield "replayed", _replayed(solution, replay)
    latency = seconds(plan.latency) + f" of {exact_seconds(solution.sla)}" * (plan.latency <= solution.sla)
    yield "latency", f"{latency}; {seconds(plan.cold_latency)} if nothing is ready"
    if attainment is not None:
        yield (
            "attainment",
            f"{_met(solution, attainment)} of invocations meet the SLA; the target is {share(solution.target)}",
        )
        if attainment.fraction < 1.0 - 1e-9:
            yield "misses", _misses(attainment)
        yield "ready set", _ready_set(solution)
    yield "critical path", " -> ".join(plan.critical_path)
    if attainment is not None and (gaps := solution.arrivals.sequence) is not None:
        left = gaps.size * (1.0 - solution.target) + 1e-9
        if left < _TELLING:
            missed = f"{share(solution.target)} of {gaps.size:,} gaps leaves {int(left) or 'none'} to miss"
            yield "note", f"{missed}: the recorded arrivals say little about so high a target"


def _tells(solution: Solution, replay: Replay | None) -> bool:
    """Whether what a replay costs says more than the plan does."""
    return replay is not None and len(replay.responses) > _FEW and solution.replay_cost is not None


def _met(solution: Solution, attainment: Attainment) -> str:
    """Say what is attained, and what that rests on where no arrival of a replay has missed the SLA."""
    assert solution.aimed is not None
    happened = solution.aimed.replayed
    if happened is None or attainment.fraction < 1.0:
        return reached(attainment.fraction)
    return f"100 % (none of {len(happened.responses):,} missed)"


def _replayed(solution: Solution, replay: Replay) -> str:
    """Say what the replay costs, and why that is not the planning cost."""
    more = replay.cost / solution.cost - 1.0 if solution.cost else 0.0
    count = len(replay.responses)
    gaps = solution.arrivals.sequence
    recorded = gaps is not None and not solution.arrivals.law.smooth
    which = f"{count:,} {'recorded' if recorded else 'drawn'} arrivals"
    if gaps is not None and gaps.size >= count:
        which = f"the last {which}" if recorded else f"{which}, as the last ones recorded"
    text = f"{dollars(replay.cost)} per invocation over {which}"
    if abs(more) < _EXACT:
        return text
    text += f", {percent(abs(more))} {'more' if more > 0 else 'less'}: "
    if any(assignment.further for assignment in solution.plan) or int(replay.met_busy.sum()) > 0.01 * count:
        return text + "arrivals overlap, and the cost reckons with services that begin on time"
    if int(replay.waited.sum()):
        return text + "after a wait, schedules begin later than the cost reckons with"
    if recorded:
        return text + "the first and the last arrival of a record are not like the others"
    return text + "these arrivals are one sample of the distribution"


def _misses(attainment: Attainment) -> str:
    """Say why invocations miss the SLA, most of them first."""
    causes = sorted(((getattr(attainment, name), words) for name, words in _MISSES.items()), reverse=True)
    stated = [f"{percent(fraction)} {words}" for fraction, words in causes if fraction >= 5e-6]
    return "; ".join(stated) or f"{percent(1.0 - attainment.fraction)}, of no single cause"


def _ready_set(solution: Solution) -> str:
    """Say when everything is ready."""
    plan = solution.closest
    if plan.cold_latency <= solution.sla:
        return "none needed: cold starts fit into the SLA"
    spans = plan.ready_set
    if not spans:
        return "never"
    after = " after the invocation before" * (spans != ((0.0, math.inf),))
    return time_spans(spans, usual=usual_gap(solution.arrivals)) + after


def explanation_text(explanation: Explanation, *, width: int | None = None) -> str:
    """Write an explanation out; the parameters are those of `solution_text`."""
    columns = fitting_width(width)
    solution = explanation.solution
    blocks = [wrapped(_verdict(solution), columns)]
    if math.isinf(solution.shortest_latency):
        return blocks[0]
    within = f"slack within {exact_seconds(max(solution.sla, solution.shortest_latency))}"
    slack = sorted(explanation.slack.items(), key=lambda item: item[1])
    rows = [(name, seconds(room)) for name, room in slack]
    blocks.append(table(["function", within], rows, width=columns, right=[within]))
    if solution.feasible and not solution.arrivals.is_deterministic:
        blocks.append(wrapped("What more SLA would save is what a frontier finds: its plans are not proved.", columns))
    elif solution.status is Status.OPTIMAL:
        blocks.append(wrapped(" ".join(_savings(explanation)), columns))
    elif solution.feasible:
        blocks.append(wrapped("What more SLA would save is known only of a plan that is proved optimal.", columns))
    return "\n\n".join(blocks)


def _verdict(solution: Solution) -> str:
    """Return the first sentence: what was asked for, and what is known of the answer."""
    name = solution.problem.application.name
    target = "" if solution.arrivals.is_deterministic else f", a target of {share(solution.target)}"
    asked = f"an SLA of {exact_seconds(solution.sla)}{target} and arrivals {arrivals_in_words(solution.arrivals)}"
    if solution.status is Status.OPTIMAL:
        return f"{name}: proved optimal for {asked}."
    if solution.feasible and target:
        return f"{name}: {_at_most(solution)}, for {asked}."
    if solution.feasible:
        saving = f"a plan that costs up to {percent(solution.gap)} less may exist"
        return f"{name}: feasible for {asked}. The search ended before the proof: {saving}."
    if math.isinf(solution.shortest_latency):
        return str(solution.infeasible())
    if solution.aimed is not None:
        return f"{name}: infeasible for {asked}. {_out_of_reach(solution, solution.aimed.attainment)}"
    return (
        f"{name}: infeasible for {asked}. The shortest latency that can be reached is"
        f" {exact_seconds(solution.shortest_latency)}, limited by {', '.join(solution.limited_by)}."
    )


def _at_most(solution: Solution) -> str:
    """Say how far from the bound a plan is."""
    if not solution.bound:
        return "costs more than a bound of nothing"
    times = solution.cost / solution.bound
    if times < 2.0:
        return f"costs at most {percent(times - 1.0)} more than any plan must"
    return f"costs at most {times:.3g} times what any plan must"


def _out_of_reach(solution: Solution, attainment: Attainment) -> str:
    """Say why a target is not reached."""
    most, functions = solution.problem.limits.max_replicas, ", ".join(solution.limited_by)
    limit = "" if most is None else f" with max_replicas = {most}"
    return f"The highest attainment found{limit} is {share(attainment.fraction)}, limited by {functions}."


def _assignments(solution: Solution, columns: int) -> str:
    plan = solution.closest
    scheduled = solution.aimed is not None
    stays = "first instance" if scheduled and any(assignment.replicas > 1 for assignment in plan) else "readiness"
    headers = ["function", "runs on", "latency", stays, "slack", "$/million"]
    numbers = ["latency", "slack", "$/million"]
    costs = aligned([1e6 * assignment.cost for assignment in plan])
    if scheduled:
        usual = usual_gap(solution.arrivals) + plan.latency
        readiness = [
            _stays(each, reckoned, usual) for each, reckoned in zip(plan, reckoned_with(solution), strict=True)
        ]
    else:
        readiness = list(map(_readiness, plan))
    rows = [
        (
            assignment.function,
            "up to " * (scheduled and assignment.replicas > 1) + runs_on(assignment),
            seconds(assignment.latency),
            words,
            seconds(assignment.slack),
            cost,
        )
        for assignment, words, cost in zip(plan, readiness, costs, strict=True)
    ]
    # Names stay in one piece, unless they leave too little room for the rest.
    names = ["function"] if max(map(len, plan.application.names)) <= columns // 3 else []
    longest = max(map(len, readiness))
    others = sum(
        max(len(header), *map(len, cells)) + 2 for header, cells in zip(headers, zip(*rows, strict=True), strict=True)
    )
    if scheduled and columns - others + longest + 2 < min(longest, _ROOMY):
        # Words about schedules can be long: they get a table of their own.
        left = [header for header in headers if header != stays]
        numeric = table(left, [row[:3] + row[4:] for row in rows], width=columns, right=numbers, whole=names + numbers)
        words = table(["function", stays], [(row[0], row[3]) for row in rows], width=columns, whole=names)
        return f"{numeric}\n\n{words}"
    return table(headers, rows, width=columns, right=numbers, whole=names + numbers)


def runs_on(assignment: Assignment) -> str:
    """Say what a function runs on, in fewer words than `Configuration` does."""
    count = f"{assignment.replicas} x " if assignment.replicas != 1 else ""
    return count + hardware_of(assignment)


def hardware_of(assignment: Assignment) -> str:
    """Say what one instance runs on."""
    configuration = assignment.configuration
    if configuration.hardware is Hardware.GPU:
        size = f"gpu {100 * configuration.size:g} %"
    else:
        size = f"cpu {configuration.size:g} core{'s' * (configuration.size != 1)}"
    batch = f", batch {configuration.batch}" if configuration.batch != 1 else ""
    return size + batch


def _readiness(assignment: Assignment) -> str:
    """Say in words when the instances of a function exist."""
    if assignment.readiness is not Readiness.PREWARMED:
        return f"{in_words(assignment.readiness)}, ready {seconds(assignment.cold_start)} later"
    first, *others = assignment.schedule
    if first.start < first.ready:
        return f"starts {seconds(first.start)}, ready {seconds(first.ready)}"
    if not others:
        return "kept warm"
    idle, coming = first.until - first.ready, others[0]
    return f"stays {seconds(idle)}, starts {seconds(coming.start)}, ready {seconds(coming.ready)}"


def _stays(assignment: Assignment, reckoned: Readiness, usual: float) -> str:
    """Say in words when the first instance exists, where arrivals are not deterministic.

    What the plan reckons with may be a cold start although the instance stays for a while. After `usual` seconds there
    is hardly any work for it.
    """
    stays = [stay for stay in assignment.schedule if stay.until > stay.start]
    spans = [(stay.ready, stay.until) for stay in stays]
    if not stays:
        reckoned = Readiness.ON_REQUEST if reckoned is Readiness.PREWARMED else reckoned
        return f"{in_words(reckoned)}, ready {seconds(assignment.cold_start)} later"
    begin, end = spans[0]
    if stays[0].start < begin:
        words = f"ready {time_spans(spans, usual=usual)}"
    elif end == math.inf:
        words = "kept warm"
    else:
        near = shown_end(end, usual)
        words = f"kept {brief_seconds(near - begin)}" + f" and longer, up to {brief_seconds(end - begin)}" * (
            near < end
        )
        words += f", ready {time_spans(spans[1:], usual=usual)}" if spans[1:] else ""
    return words if reckoned is Readiness.PREWARMED else f"{in_words(reckoned)}; {words}"


def in_words(readiness: Readiness) -> str:
    """Return a readiness without its underscore."""
    return readiness.replace("_", " ")


def _saving(explanation: Explanation) -> str:
    more, saving = seconds(explanation.extra), explanation.saving
    if saving is None:
        return f"What {more} more of SLA would save was not proved within the same limits."
    if saving == 0.0:
        return f"{more} more of SLA would save nothing."
    return f"{more} more of SLA would save {_amount(saving, explanation.solution)}."


def _savings(explanation: Explanation) -> Iterator[str]:
    yield _saving(explanation)
    if explanation.saving is None:
        return
    if explanation.next_sla is None or explanation.next_saving is None:
        yield "No looser SLA is known to allow a cheaper plan."
    else:
        amount = _amount(explanation.next_saving, explanation.solution)
        needed = exact_seconds(explanation.next_sla)
        yield f"The next cheaper plan needs an SLA of {needed} and saves {amount}."


def _amount(saving: float, solution: Solution) -> str:
    return f"{per_million(saving)} per million invocations ({percent(saving / solution.cost)})"


def reckoned_with(solution: Solution) -> Iterator[Readiness]:
    """Yield the readiness of every function that the latency of a plan reckons with; it may come for less."""
    search = solution.search if solution.aimed is None else solution.aimed.search
    assert search.choice is not None
    for row in solution.compiled.rows(search.choice).tolist():
        yield solution.compiled.mode(row).readiness
