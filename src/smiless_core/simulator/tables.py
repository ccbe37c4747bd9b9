"""Runs as text: one table per application, SLA, trace and seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from smiless_core.simulator.runs import Run
from smiless_core.solver.formatting import exact_seconds, fitting_width, per_million, reached, share, table, wrapped

if TYPE_CHECKING:
    from smiless_core.simulator.comparison import Comparison

__all__ = ["comparison_text"]

_NUMBERS = ("$/million", "x least", "in time", "p50", "p95", "p99", "cold", "inst.-h", "deciding")


def comparison_text(comparison: Comparison, *, width: int | None = None, timings: bool = True) -> str:
    """Write runs out, side by side.

    Parameters
    ----------
    comparison : Comparison
        What to show.
    width : int, optional
        Columns to stay within; those of the terminal by default.
    timings : bool, default True
        Whether to say how long policies took to decide: it differs from run to run.

    Returns
    -------
    str
        Lines without a newline at the end.
    """
    columns = fitting_width(width)
    parts = []
    for runs in _groups(comparison.runs):
        parts += [_headline(runs, columns), "", _table(runs, columns, timings=timings), ""]
        parts += [*_notes(runs, columns), ""]
    for title, why in comparison.failed.items():
        parts.append(wrapped(f"Failed: {title}: {why}", columns))
    return "\n".join(parts).rstrip("\n")


def _groups(runs: Sequence[Run]) -> Iterator[list[Run]]:
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        key = (run.application.name, run.sla, run.target, run.trace, run.count, run.seed)
        groups.setdefault(key, []).append(run)
    yield from groups.values()


def _headline(runs: Sequence[Run], columns: int) -> str:
    run = runs[0]
    asked = f"{run.application.name}: {run.count:,} invocations of {run.trace} in {_duration(run.end)}"
    asked += f", {share(run.target)} of them to be answered within {exact_seconds(run.sla)}."
    whole = [each for each in runs if not each.fidelity.startswith("simplified")]
    meeting = [each for each in whole if each.meets_target]
    among = "" if len(whole) == len(runs) else " of those that are not simplified"
    if meeting:
        best = min(meeting, key=lambda each: each.cost)
        verdict = f"Cheapest that meets the target{among}: {best.policy}, {per_million(best.cost)} per million."
    elif whole:
        best = max(whole, key=lambda each: each.attainment)
        verdict = f"No policy{among} meets the target; {best.policy} comes closest, {reached(best.attainment)} in time."
    else:
        verdict = "All policies are simplified."
    return wrapped(f"{asked} {verdict}", columns)


def _table(runs: Sequence[Run], columns: int, *, timings: bool) -> str:
    headers = ["policy", *(_NUMBERS if timings else _NUMBERS[:-1])]
    rows = []
    for run in sorted(runs, key=lambda each: (not each.meets_target, each.cost)):
        cells = [
            run.policy + (" *" if run.fidelity.startswith("simplified") else ""),
            f"{1e6 * run.cost:,.0f}",
            "-" if math.isnan(run.cost_ratio) else f"{run.cost_ratio:.1f}",
            f"{reached(run.attainment)}{'' if run.meets_target else ' !'}",
            *(f"{run.percentile(percent):.2f} s" for percent in (50, 95, 99)),
            f"{run.cold_starts:,}",
            f"{run.instance_hours:,.1f}",
        ]
        rows.append([*cells, f"{run.decision_time:.2f} s"] if timings else cells)
    return table(headers, rows, width=columns, right=_NUMBERS, whole=_NUMBERS)


def _notes(runs: Sequence[Run], columns: int) -> list[str]:
    notes = []
    if any(not run.meets_target for run in runs):
        notes.append("! misses the target.")
    if any(run.fidelity.startswith("simplified") for run in runs):
        notes.append("* simplified: not all of the published rule; what is missing is in the report and in --json.")
    least = runs[0].clairvoyant
    if not math.isnan(least):
        per = per_million(least / runs[0].count)
        notes.append(
            f"x least: times the clairvoyant bound, {per} per million: what a policy pays at least that knows the"
            " future and meets every SLA."
        )
    return [wrapped(note, columns) for note in notes]


def _duration(seconds: float) -> str:
    if seconds < 180.0:
        return f"{seconds:.3g} s"
    return f"{seconds / 60.0:.3g} min" if seconds < 10800.0 else f"{seconds / 3600.0:.3g} h"
