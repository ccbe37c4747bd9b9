"""The page: what the paper claims, what was measured here, and why it differs where it does."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.paper.evaluation import BEST, Experiment, Place, Result, ours
from bench.paper.lineup import (
    ABLATIONS,
    GAPS,
    HINDSIGHT,
    IN_PAPER,
    KEEP_ALIVES,
    LEAST,
    MOST,
    OURS,
    PUBLISHED,
    REPLICAS,
    RIVALS,
)
from bench.paper.planning import INTERVALS, SECONDS, SLA_OF_ONE, Optimum, Overhead
from bench.rows import shown
from bench.summary import table

CLAIMED = 5.73
FIGURES = ("paper-systems.svg", "paper-bursts.svg", "paper-planning.svg")
LISTED = tuple(dict.fromkeys([OURS.name, PUBLISHED.name, BEST, *(policy.name for policy in RIVALS)]))
AS_THEY_COME = frozenset(policy.name for policy in RIVALS)


class Findings(NamedTuple):
    """All that was measured.

    Attributes
    ----------
    command : str
    where : str
        On which machine, at which commit, when.
    mixed, bursts : Experiment
        All traces of a kind together.
    regular, sampled : dict of str to Experiment
        By trace.
    traces : sequence of str
        What the traces of `mixed` hold.
    optimum : Optimum
    overheads : sequence of Overhead
    """

    command: str
    where: str
    mixed: Experiment
    bursts: Experiment
    regular: Mapping[str, Experiment]
    sampled: Mapping[str, Experiment]
    traces: Sequence[str]
    optimum: Optimum
    overheads: Sequence[Overhead]

    @property
    def named(self) -> Iterator[tuple[str, Experiment]]:
        """Every experiment, and what it is called."""
        yield "mixed", self.mixed
        yield "bursts", self.bursts
        yield from self.regular.items()
        yield from ((f"Azure {name}", each) for name, each in self.sampled.items())

    @property
    def failed(self) -> dict[str, str]:
        """What was to be run and was not, and why."""
        return {title: why for _, experiment in self.named for title, why in experiment.failed.items()}


def page(findings: Findings) -> str:
    """Write the page."""
    parts = [
        "# The evaluation of the paper, in the simulator",
        _introduction(findings),
        "## Claims",
        _claims(findings),
        "## Cost and attainment",
        _systems(findings.mixed),
        "## Wins and losses",
        _wins(findings.mixed),
        _losses(findings),
        "## Ablations",
        _ablations(findings.mixed),
        "## Distance to the optimum",
        _optimum(findings),
        "## Bursts",
        f"![Cost against attainment under bursts]({FIGURES[1]})",
        _table(findings.bursts),
        "## Arrivals that can be forecast",
        _regular(findings),
    ]
    if findings.sampled:
        parts += ["## Functions of the Azure trace of 2019", _sampled(findings)]
    parts += ["## Planning time", _planning(findings), "## What is not the same", _differences(findings)]
    failed = findings.failed
    if failed:
        parts.insert(1, f"**{len(failed)} runs failed** and are missing in what follows: see the end of the page.")
        parts += ["## Failed", "\n".join(f"* {title}: {why}" for title, why in failed.items())]
    return "\n\n".join(parts) + "\n"


def _introduction(findings: Findings) -> str:
    return (
        'Lu, Xu, Li, Chen, Ye, Xu: "SMIless: Serving DAG-based Inference with Dynamic Invocations under Serverless'
        ' Computing", SC 2024, doi 10.1109/SC41406.2024.00044. The three applications of its evaluation, its SLAs, its'
        f" profiles and prices, served by `smiless_core.simulate`. Written by `{findings.command}`. Everything but the"
        " section on planning time, its figure and one row of the claims, which are marked (timing), is the same in"
        f" every run.\n\nArrivals: {', '.join(findings.traces)} of `azure_like()`, taken together: dollars and late"
        " invocations are added up. Systems are asked for an attainment of"
        f" {_percent(_results(findings.mixed)[0].target)}; **!** marks one that misses it, † one whose `fidelity` is"
        ' "simplified": no claim rests on these.'
    )


# --- claims ------------------------------------------------------------------------------------------------------


def _claims(findings: Findings) -> str:
    rows = [
        ["in the paper", "measured here", "why it differs"],
        [
            f"up to {CLAIMED}x lower cost than the systems it is compared with",
            _cost_measured(findings.mixed),
            _cost_reasons(findings.mixed),
        ],
        ["the SLA is met for all requests", _sla_measured(findings), _sla_reasons(findings)],
        [
            "the ablations SMIless-Homo (one kind of hardware) and SMIless-No-DAG (windows that do not follow the DAG)",
            _ablations_measured(findings.mixed),
            "One window per function and one point forecast, as published; where the cheapest configurations are CPUs"
            " anyway, CPUs only is the same system.",
        ],
        [
            "beside the optimum of an exhaustive search (OPT)",
            f"The search here is exact: the cost of the best of all choices in {findings.optimum.same} of"
            f" {findings.optimum.questions} questions.",
            "Its top-K heuristic is not rebuilt here, so its distance is not measured; SMIless runs on exact plans,"
            " which favors it.",
        ],
        [
            "plans are made online",
            f"(timing) {shown('median', findings.overheads[-1].solve)} for a plan of a chain of"
            f" {findings.overheads[-1].functions} at a fixed interval;"
            f" {shown('median', findings.overheads[-1].longest)} for the longest decision of {OURS.name}.",
            f"{OURS.name} tries candidate plans out on recent arrivals; `solve` is one plan for one forecast.",
        ],
    ]
    return table(rows[0], rows[1:])


def _cost_measured(experiment: Experiment) -> str:
    counted = len(experiment.results)
    meeting = [place for place, results in experiment.results.items() if ours(results).met]
    if not meeting:
        return f"No saving to speak of: {OURS.name} misses the target at all of the {counted} places."
    told = [f"{OURS.name} meets the target at {len(meeting)} of {counted} places."]
    fixed = _savings(experiment, lambda result: not result.simplified and result.met and result.system in AS_THEY_COME)
    told.append(
        f"There, rivals that are not simplified and meet it too, as they come, cost {_range(fixed.values())} as much."
        if fixed
        else "There, no rival that is not simplified meets it too, as it comes."
    )
    best = _savings(experiment, lambda result: result.system == BEST and result.met)
    if best:
        told.append(f"The best of {len(HINDSIGHT)} fixed settings, chosen with hindsight: {_range(best.values())}.")
    named = _savings(experiment, lambda result: result.system in IN_PAPER and result.met)
    if named:
        systems = _and(sorted({each for _, each in named}))
        told.append(f"Of the paper's systems, simplified here and no headline, {systems}: {_range(named.values())}.")
    return " ".join(told)


def _savings(experiment: Experiment, wanted: Callable[[Result], bool]) -> dict[tuple[Place, str], float]:
    """Return how many times as much others cost where we meet the target."""
    return {
        (place, result.system): result.cost / ours(results).cost
        for place, results in experiment.results.items()
        if ours(results).met
        for result in results.values()
        if wanted(result) and not result.system.startswith(OURS.name)
    }


def _cost_reasons(experiment: Experiment) -> str:
    missing = _missing(experiment)
    cheaper = [
        name
        for name in IN_PAPER
        if any(
            name in results and results[name].cost < ours(results).cost and not results[name].met
            for results in experiment.results.values()
        )
    ]
    told = [
        "The paper compared implementations; here systems are rules in a simulator, with the same profiles and prices"
        + (f", and {_and(missing)} is not rebuilt." if missing else ".")
    ]
    if cheaper:
        told.append(
            f"{_and(cheaper)} cost{'s' * (len(cheaper) == 1)} less than {OURS.name} at some places, but too late."
        )
    told.append(
        "What can be saved depends on the arrivals: those here are sparse, and whoever is to answer nearly all of them"
        " in time has to keep instances through long gaps."
    )
    return " ".join(told)


def _sla_measured(findings: Findings) -> str:
    told = [_attained(findings.mixed, OURS.name), _attained(findings.mixed, PUBLISHED.name)]
    regular = [
        results[PUBLISHED.name].attainment
        for each in findings.regular.values()
        for results in each.results.values()
        if PUBLISHED.name in results
    ]
    if regular:
        told.append(
            f"At fixed intervals, which it forecasts without an error, {PUBLISHED.name}† reaches {_percents(regular)}."
        )
    return " ".join(told)


def _attained(experiment: Experiment, name: str) -> str:
    found = [results[name] for results in experiment.results.values() if name in results]
    if not found:
        return f"{name}: no runs."
    all_in_time, met = sum(not each.late for each in found), sum(each.met for each in found)
    mark = "†" * found[0].simplified
    return (
        f"{name}{mark}: {_percents(each.attainment for each in found)} in time; the target met at {met} of"
        f" {len(found)} places, all requests in time at {all_in_time}."
    )


def _sla_reasons(findings: Findings) -> str:
    told = ["There are no instances at first, so the first requests are cold and late in any system without foresight."]
    if any(
        PUBLISHED.name in results and results[PUBLISHED.name].attainment < 0.9
        for results in findings.mixed.results.values()
    ):
        told.append(
            "SMIless is in time if its forecast is: instances are let go and come back when the next arrival is"
            " expected, and here arrivals come before and after that. Its LSTM may forecast better than the median of"
            " recent gaps, but no point forecast tells when a Poisson arrival comes."
        )
    if not all(ours(results).met for results in findings.mixed.results.values()):
        told.append(
            f"{OURS.name} plans for a target, not for all requests, and falls short of it where the arrivals to come"
            " are not like those before, and while it knows few of them."
        )
    return " ".join(told)


def _ablations_measured(experiment: Experiment) -> str:
    told = []
    for full, reduced, how in ABLATIONS:
        if full is not PUBLISHED:
            continue
        ratios = [
            results[reduced.name].cost / results[full.name].cost
            for results in experiment.results.values()
            if full.name in results and reduced.name in results
        ]
        if ratios:
            told.append(f"{reduced.name}† ({how}): {_range(ratios)} the cost of {full.name}†.")
    return " ".join(told)


# --- tables ------------------------------------------------------------------------------------------------------


def _systems(experiment: Experiment) -> str:
    return (
        f"![Cost and attainment of all systems by SLA]({FIGURES[0]})\n\n{_table(experiment)}\n\n"
        f"*{BEST}*: the cheapest of {len(KEEP_ALIVES)} keep-alive rules and {len(REPLICAS)} numbers of instances kept"
        " up that meets the target on these very arrivals, else the one that comes closest to it."
    )


def _table(experiment: Experiment) -> str:
    """Dollars per million and attainment of all systems, a table for each application."""
    told = []
    applications = dict.fromkeys(place.application for place in experiment.results)
    for application in applications:
        places = [place for place in experiment.results if place.application == application]
        names = [name for name in LISTED if any(name in experiment.results[place] for place in places)]
        lines = [
            [_name(name, experiment), *(_cell(experiment.results[place].get(name)) for place in places)]
            for name in names
        ]
        least = ["*clairvoyant bound*", *(_dollars(ours(experiment.results[place]).least) for place in places)]
        told.append(
            f"**{application}**: $ per million invocations, and how many are in time\n\n"
            + table(["", *(f"{place.sla:g} s" for place in places)], [*lines, least])
        )
    return "\n\n".join(told)


def _cell(result: Result | None) -> str:
    if result is None:
        return "failed"
    return f"{_dollars(result.cost)}, {_percent(result.attainment)}{'' if result.met else ' **!**'}"


def _wins(experiment: Experiment) -> str:
    rows = []
    for place, results in experiment.results.items():
        mine = ours(results)
        fixed = sorted(
            (each for each in results.values() if each.met and not each.simplified and each.system in AS_THEY_COME),
            key=lambda each: each.cost,
        )
        hindsight = results.get(BEST)
        rows.append(
            [
                str(place),
                f"{_percent(mine.attainment)}{'' if mine.met else ' **!**'}",
                f"{mine.ratio:.1f}x",
                f"{fixed[0].system}: {fixed[0].cost / mine.cost:.2f}x" if fixed else "none meets the target",
                f"{hindsight.setting}: {hindsight.cost / mine.cost:.2f}x" + ("" if hindsight.met else " **!**")
                if hindsight
                else "",
            ]
        )
    header = [
        "",
        f"{OURS.name}: in time",
        "its cost over the clairvoyant bound",
        "cheapest rival, as it comes, that meets the target: cost over ours",
        "best fixed setting, with hindsight: cost over ours",
    ]
    return f"Rivals that are not simplified; above 1x, {OURS.name} is cheaper.\n\n{table(header, rows)}"


def _missing(experiment: Experiment) -> list[str]:
    """Return the systems of the paper that are not here."""
    return [name for name in IN_PAPER if name not in experiment.fidelity]


def _losses(findings: Findings) -> str:
    """List where another system is the better choice, simplified or not."""
    rows, counted = [], 0
    for name, experiment in findings.named:
        for place, results in experiment.results.items():
            counted += 1
            mine = ours(results)
            better = sorted(
                (each for each in results.values() if each.system in LISTED and _better(each, mine)),
                key=lambda each: each.cost,
            )
            if better:
                told = (
                    f"{each.system}{'†' * each.simplified}{f' ({each.setting})' if each.setting else ''}:"
                    f" {_cell(each)}, {each.cost / mine.cost:.2f}x"
                    for each in better
                )
                rows.append([f"{name}: {place}", _cell(mine), "; ".join(told)])
    if not rows:
        return f"**Losses**: none at {counted} places."
    return (
        f"**Losses**: at {len(rows)} of {counted} places another system, simplified or not, is the better choice: it"
        f" meets the target where {OURS.name} does not or costs more, or, where neither does, it answers as many in"
        f" time for less.\n\n{table(['', 'ours', 'better: cost, attainment, cost over ours'], rows)}"
    )


def _better(other: Result, mine: Result) -> bool:
    if other.met != mine.met:
        return other.met
    if mine.met:
        return other.cost < mine.cost * (1 - 1e-9)
    return other.cost < mine.cost and other.attainment >= mine.attainment


def _ablations(experiment: Experiment) -> str:
    rows = []
    for full, reduced, how in ABLATIONS:
        for application in dict.fromkeys(place.application for place in experiment.results):
            pairs = [
                (results[full.name], results[reduced.name])
                for place, results in experiment.results.items()
                if place.application == application and full.name in results and reduced.name in results
            ]
            if pairs:
                rows.append(
                    [
                        _name(full.name, experiment),
                        how,
                        application,
                        _range(without.cost / complete.cost for complete, without in pairs),
                        f"{100 * min(w.attainment - c.attainment for c, w in pairs):+.1f} to"
                        f" {100 * max(w.attainment - c.attainment for c, w in pairs):+.1f}",
                    ]
                )
    return table(["", "without", "application", "cost, over all SLAs", "attainment, points"], rows)


def _optimum(findings: Findings) -> str:
    optimum = findings.optimum
    rows = []
    for name in LISTED:
        found = [results[name] for results in findings.mixed.results.values() if name in results]
        if not found:
            continue
        met = [each.ratio for each in found if each.met]
        rows.append([_name(name, findings.mixed), _range(each.ratio for each in found), _range(met) if met else "-"])
    return (
        "**Plans.** For arrivals at a fixed interval the best plan can be found by trying out all choices, as OPT does."
        f" For three applications, the SLAs above and intervals of {_and(f'{each:g}' for each in INTERVALS)} s (up to"
        f" {optimum.choices:,} choices, without modes that another one beats), `CompiledProblem.search` finds one of"
        f" the same cost in {optimum.same} of {optimum.questions} questions"
        + (f", {optimum.unanswerable} of which have no answer." if optimum.unanswerable else ".")
        + " The published heuristic (the best K plans of each path, merged over the functions that paths share) is not"
        " rebuilt here: how far it is from the optimum is not measured.\n\n"
        "**Costs.** Times the clairvoyant bound, which no policy that meets every SLA can go below; policies that miss"
        " some can.\n\n" + table(["", "all places", "where the target is met"], rows)
    )


def _regular(findings: Findings) -> str:
    names = [OURS.name, PUBLISHED.name, *(reduced.name for _, reduced, _ in ABLATIONS if reduced.name != OURS.name)]
    return (
        f"Arrivals every {_and(f'{gap:g}' for gap in GAPS)} s: whoever forecasts the next one by those before makes no"
        " error, and windows do what they are meant to. The first request is late in all systems.\n\n"
        + _by_trace(findings.regular, [*dict.fromkeys(names), BEST])
    )


def _sampled(findings: Findings) -> str:
    return (
        f"Whole traces of {len(findings.sampled)} functions with {LEAST} to {MOST:,} arrivals: counted by the minute,"
        " and placed at random within it. An application is served as if it were invoked like the function.\n\n"
        + _by_trace(findings.sampled, LISTED)
    )


def _by_trace(experiments: Mapping[str, Experiment], names: Iterable[str]) -> str:
    rows = []
    listed = list(names)
    for trace, experiment in experiments.items():
        for place, results in experiment.results.items():
            rows.append([trace, str(place), *(_cell(results.get(name)) for name in listed)])
    first = next(iter(experiments.values()))
    return table(["arrivals", "", *(_name(name, first) for name in listed)], rows)


# --- planning ----------------------------------------------------------------------------------------------------


def _planning(findings: Findings) -> str:
    rows = [
        [
            str(each.functions),
            shown("median", each.solve),
            f"{each.plans} of {each.decisions}",
            shown("median", each.mean),
            shown("median", each.plan),
            shown("median", each.longest),
        ]
        for each in findings.overheads
    ]
    header = [
        "functions",
        "`CompiledProblem.solve`",
        "decisions with a change",
        "a decision, mean",
        "one with a change, median",
        "the longest",
    ]
    return (
        f"**(timing)** {findings.where} Chains of functions of the catalog at an SLA of {SLA_OF_ONE:g} s for each:"
        " `solve` for arrivals at a fixed interval, median of 5 x 7 calls; decisions of"
        f" {OURS.name} on {SECONDS:,.0f} s of `azure_like()`, one after every arrival.\n\n"
        f"![Planning time by the number of functions]({FIGURES[2]})\n\n{table(header, rows)}"
    )


def _differences(findings: Findings) -> str:
    points = [
        "Services take the times of the published profiles, and cold starts are drawn from their means and standard"
        " deviations. There is no network, no contention, and room for as many instances as are asked for.",
        "The arrivals are not those of the paper: a built-in trace in the manner of Azure Functions"
        + (", and functions of the Azure trace of 2019." if findings.sampled else " (no recorded trace was given)."),
        "Costs are billed instance-seconds, initialization included, at the published prices.",
        *(f"{name} is not rebuilt." for name in _missing(findings.mixed)),
    ]
    fidelity = {
        name: told for _, experiment in findings.named for name, told in experiment.fidelity.items() if name in LISTED
    }
    lines = [[name, told] for name, told in fidelity.items()]
    return "\n".join(f"* {point}" for point in points) + "\n\n" + table(["system", "fidelity"], lines)


# --- writing -----------------------------------------------------------------------------------------------------


def _results(experiment: Experiment) -> list[Result]:
    return [result for results in experiment.results.values() for result in results.values()]


def _name(name: str, experiment: Experiment) -> str:
    return name + "†" * experiment.fidelity.get(name, "").startswith("simplified")


def _dollars(cost: float) -> str:
    return f"{1e6 * cost:,.0f}"


def _percent(share: float) -> str:
    # Rounded down, so that 100 % is all of them.
    return f"{int(share * 1000 + 1e-9) / 10:g} %"


def _percents(shares: Iterable[float]) -> str:
    known = sorted(shares)
    ends = dict.fromkeys([_percent(known[0]), _percent(known[-1])])
    return " to ".join(ends)


def _range(ratios: Iterable[float]) -> str:
    known = sorted(ratios)
    ends = dict.fromkeys(f"{each:.2f}x" for each in (known[0], known[-1]))
    middle = f" (median {statistics.median(known):.2f}x)" if len(known) > 2 and len(ends) > 1 else ""
    return " to ".join(ends) + middle


def _and(words: Iterable[object]) -> str:
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last
