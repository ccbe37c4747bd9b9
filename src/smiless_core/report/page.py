"""The page: an overview, a section for each application, and how to get the same figures again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from smiless_core.placing import place_file
from smiless_core.report.charts import (
    by_function,
    cost_split,
    distribution,
    frontier_chart,
    tradeoff,
)
from smiless_core.report.graphs import diagram
from smiless_core.report.headlines import cost, ratio, standing, verdict
from smiless_core.report.lineup import DAGGER, Chapter, Entry, Look, chapters
from smiless_core.report.markup import Chart, Html, Table, figure, sentence, swatch, table, words
from smiless_core.report.shell import command_block, versions_table, whole_page
from smiless_core.report.timelines import moments, shown_runs, timeline
from smiless_core.simulator.runs import Run
from smiless_core.solver.formatting import brief_seconds, percent, reached
from smiless_core.solver.pareto import Frontier
from smiless_core.validation import text

__all__ = ["report_page", "write_report"]

_NONE: Mapping[str, Frontier] = MappingProxyType({})


def write_report(
    path: str | os.PathLike[str],
    runs: Sequence[Run],
    *,
    command: str | None = None,
    frontiers: Mapping[str, Frontier] = _NONE,
) -> None:
    """Write runs as one HTML page that holds all it needs; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        The file; an existing one is replaced.
    runs : sequence of Run
        At least one: several policies, on one or more applications. Those on one application and trace share its
        arrivals.
    command : str, optional
        What to run to get them again.
    frontiers : mapping of str to Frontier, optional
        What plans cost, by the name of the application.

    Raises
    ------
    InvalidInputError
        If an argument is wrong, or the file cannot be written.
    MissingExtraError
        If plotly is not installed.
    """
    place_file(path, report_page(runs, command=command, frontiers=frontiers).encode("utf-8"))


def report_page(
    runs: Sequence[Run],
    *,
    command: str | None = None,
    frontiers: Mapping[str, Frontier] = _NONE,
) -> str:
    """Return runs as one HTML page that holds all it needs.

    Parameters
    ----------
    runs : sequence of Run
        At least one: several policies, on one or more applications. Those on one application and trace share its
        arrivals.
    command : str, optional
        What to run to get them again.
    frontiers : mapping of str to Frontier, optional
        What plans cost, by the name of the application.

    Returns
    -------
    str
        The same for the same runs: nothing in it tells when it was made, or how long policies took to decide.

    Raises
    ------
    InvalidInputError
        If an argument is wrong.
    MissingExtraError
        If plotly is not installed.
    """
    found = chapters(runs, frontiers)
    asked = None if command is None else text(command, "command")
    links = [("overview", "Overview"), *((each.anchor, each.title) for each in found), ("again", "How to reproduce")]
    body = "\n".join([_overview(found), *map(_section, found), _again(found, asked)])
    return whole_page(_title(found), links, body)


def _title(found: Sequence[Chapter]) -> str:
    policies = len(_looks(found))
    what = found[0].title if len(found) == 1 else f"{len(found)} applications"
    return f"{policies} {'policy' if policies == 1 else 'policies'} on {what}"


def _looks(found: Sequence[Chapter]) -> list[Look]:
    looks = {entry.look.number: entry.look for chapter in found for entry in chapter.entries}
    return [looks[number] for number in sorted(looks)]


# -- the overview --------------------


def _overview(found: Sequence[Chapter]) -> str:
    parts = ['<section id="overview">', "<h2>Overview</h2>", f'<p class="lead">{sentence(_summary(found))}</p>']
    if len(found) > 1:
        parts.append(_matrix(found))
    parts += ["<h3>The policies</h3>", _policies(found), "</section>"]
    return "\n".join(parts)


def _summary(found: Sequence[Chapter]) -> str:
    """Say who is cheapest, over all applications; one application says it itself."""
    if len(found) == 1:
        return standing(found[0])
    wins: dict[str, list[float]] = {}
    for chapter in found:
        best = chapter.best
        if best is not None and best.run.meets_target and chapter.first.count:
            wins.setdefault(best.look.label, []).append(best.run.cost_ratio)
    if not wins:
        return f"On none of the {len(found)} applications a policy that can be named here meets the target."
    name, ratios = max(wins.items(), key=lambda each: len(each[1]))
    low, high = ratio(min(ratios)), ratio(max(ratios))
    times = low if low == high else f"{low} to {high}"
    where = f"all {len(found)}" if len(ratios) == len(found) else f"{len(ratios)} of {len(found)}"
    simplified = any(look.simplified for look in _looks(found))
    scope = "Of the policies that are not simplified, " if simplified else ""
    return (
        f"{scope}{name} is the cheapest to meet the target on {where} applications, at {times} "
        "the cost of the clairvoyant bound."
    )


def _matrix(found: Sequence[Chapter]) -> Html:
    """Return a table of all policies on all applications."""
    head = "".join(
        f'<th scope="colgroup" colspan="2"><a href="#{chapter.anchor}">{words(chapter.title)}</a></th>'
        for chapter in found
    )
    below = '<th scope="col">Cost / clairvoyant</th><th scope="col">Attainment</th>' * len(found)
    rows = []
    for look in _looks(found):
        cells = []
        for chapter in found:
            run = next((entry.run for entry in chapter.entries if entry.look == look), None)
            if run is None:
                cells.append("<td>-</td><td>-</td>")
                continue
            missed = "" if run.meets_target else ' class="missed"'
            fact = "" if run.meets_target else " <small>target missed</small>"
            cells.append(f"<td{missed}>{ratio(run.cost_ratio)}</td><td{missed}>{reached(run.attainment)}{fact}</td>")
        rows.append(f'<tr><th scope="row" class="text">{_named(look)}</th>{"".join(cells)}</tr>')
    lines = "\n".join(rows)
    return Html(
        '<div class="scroll" role="region" tabindex="0" aria-label="All policies on all applications">'
        f'<table class="matrix"><thead><tr><th scope="col" rowspan="2" class="text">Policy</th>{head}</tr>'
        f"<tr>{below}</tr></thead><tbody>\n{lines}\n</tbody></table></div>"
    )


def _policies(found: Sequence[Chapter]) -> str:
    items = []
    for look in _looks(found):
        ran = [entry.run for chapter in found for entry in chapter.entries if entry.look == look]
        told = "; ".join(dict.fromkeys(run.fidelity for run in ran))
        made = "".join(f"<code>{words(each)}</code>" for each in dict.fromkeys(run.settings for run in ran) if each)
        items.append(f"<li>{_named(look)}<span>{words(told)}</span>{made}</li>")
    note = ""
    if any(look.simplified for look in _looks(found)):
        note = f"<p>{DAGGER} Simplified: it lacks something of its source, as told beside it. No headline names it.</p>"
    return f'<ul class="policies">{"".join(items)}</ul>{note}'


def _named(look: Look) -> Html:
    return Html(f'<span class="policy">{swatch(look)}<b>{look.number}</b> {words(look.marked)}</span>')


# -- one application --------------------


def _section(chapter: Chapter) -> str:
    anchor, title, run = chapter.anchor, chapter.title, chapter.first
    facts = [
        f"SLA {brief_seconds(run.sla)}",
        f"target {percent(run.target)}",
        f"{run.count:,} invocations in {_span(run.end)}",
        f"trace {run.trace}",
    ]
    parts = [
        f'<section id="{anchor}">',
        f"<h2>{words(title)}</h2>",
        f'<p class="facts">{" &middot; ".join(words(fact) for fact in facts)}</p>',
        _table(chapter),
    ]
    charts = [tradeoff(chapter), distribution(chapter), cost_split(chapter), by_function(chapter)]
    names = ["attainment", "responses", "split", "functions"]
    drawn = [figure(f"{anchor}-{name}", chart, subject=title) for name, chart in zip(names, charts, strict=True)]
    parts += [drawn[0], drawn[1], f'<div class="pair">{drawn[2]}{drawn[3]}</div>']
    parts.append(_views(chapter, "graph", [(entry, "", diagram(entry)) for entry in chapter.featured]))
    moving = [
        (entry, f", {each.name}", timeline(entry, each)) for entry in shown_runs(chapter) for each in moments(entry.run)
    ]
    parts.append(_views(chapter, "timeline", moving))
    if chapter.frontier is not None:
        parts.append(figure(f"{anchor}-frontier", frontier_chart(chapter, chapter.frontier), subject=title))
    return "\n".join([*(part for part in parts if part), "</section>"])


def _views(chapter: Chapter, name: str, views: Sequence[tuple[Entry, str, Chart]]) -> str:
    """Return figures of which one at a time is seen."""
    if not views:
        return ""
    group = f"{chapter.anchor}-{name}"
    options, figures = [], []
    for number, (entry, which, chart) in enumerate(views, 1):
        anchor = f"{group}-{number}"
        options.append(f'<option value="{anchor}">{words(f"{entry.look.number} {entry.look.marked}{which}")}</option>')
        subject = f"{entry.look.label} on {chapter.title}{which}"
        under = f'<p class="under">{_named(entry.look)}{words(which)}</p>'
        figures.append(
            f'<div class="view" id="{anchor}">{under}{figure(f"{anchor}-figure", chart, subject=subject)}</div>'
        )
    return (
        f'<div class="views"><label class="choice" hidden>Show <select data-views="{group}">{"".join(options)}</select>'
        f"</label>{''.join(figures)}</div>"
    )


def _table(chapter: Chapter) -> str:
    entries = chapter.ranked
    rows: list[list[str]] = []
    for look, run in entries:
        met = run.meets_target
        mark = "\N{CHECK MARK}" if met else "\N{BALLOT X}"
        rows.append(
            [
                _named(look),
                Html(f'<span class="verdict">{mark} {verdict(Entry(look, run))}</span>'),
                reached(run.attainment),
                cost(run.cost),
                ratio(run.cost_ratio),
                *(brief_seconds(run.percentile(each)) if run.count else "-" for each in (50, 95, 99)),
                f"{run.cold_starts:,}",
                f"{run.instance_hours:,.2f}",
                "simplified" if look.simplified else run.fidelity,
            ]
        )
    headers = ["Policy", "Target", "Attainment", "Cost per million", "Cost / clairvoyant", "p50", "p95", "p99"]
    headers += ["Cold starts", "Instance-hours", "Fidelity"]
    classes = ["met" if entry.run.meets_target else "missed" for entry in entries]
    content = table(Table(headers, rows, (0, 1, 10)), f"Policies on {chapter.title}", rows=classes)
    if any(entry.look.simplified for entry in entries):
        content = Html(
            content
            + f'<p class="footnote">{DAGGER} Simplified, as told in <a href="#overview">the list of policies</a>.</p>'
        )
    return content


def _span(duration: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if duration >= 2.0 * length:
            return f"{duration / length:.3g} {unit}"
    return brief_seconds(duration)


# -- the same again --------------------


def _again(found: Sequence[Chapter], command: str | None) -> str:
    parts = ['<section id="again">', "<h2>How to reproduce</h2>"]
    if command is not None:
        parts.append(command_block(command))
    rows = [
        [chapter.title, chapter.first.trace, f"{chapter.first.count:,}", str(chapter.first.seed)] for chapter in found
    ]
    parts.append(table(Table(["Application", "Trace", "Invocations", "Seed"], rows, (0, 1)), "Traces and seeds"))
    parts.append("<p>The same seed, trace and versions give the same figures, and this file byte for byte.</p>")
    parts.append(versions_table())
    return "\n".join([*parts, "</section>"])
