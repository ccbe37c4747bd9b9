"""What the commands print, for people and as JSON, where things do not print themselves."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InfeasibleError
from smiless_core.fitting import Fit, HardwareFit, Measurement
from smiless_core.model import (
    Application,
    Configuration,
    Hardware,
    HardwareProfile,
    Prices,
    Problem,
    Profile,
    Trace,
)
from smiless_core.simulator import Run
from smiless_core.solver.formatting import (
    aligned,
    exact_seconds,
    fitting_width,
    percent,
    seconds,
    table,
    wrapped,
)

__all__ = [
    "catalog_page",
    "catalog_payload",
    "fit_notes",
    "fit_page",
    "fit_payload",
    "no_frontier",
    "price_note",
    "print_result",
    "run_page",
    "trace_note",
]

_COEFFICIENTS = ("alpha", "beta", "gamma", "dispatch", "cold_start_mean", "cold_start_std")

_STATES = ("initializing", "busy", "idle")
_SPLIT_NOTE = "Dollars per million invocations: for instances that initialize, serve or wait, and in all."
_PROFILE_NOTE = "Latency: smallest batch, from the smallest to the largest size. Cold start: mean + 3 std."
_COEFFICIENT_NOTE = (
    "Latency = batch * (alpha / size + beta) + gamma + dispatch; mean and std: of the cold start. In seconds."
)


def print_result(result: str | Mapping[str, Any]) -> None:
    """Print a page as it is, anything else as JSON."""
    print(result if isinstance(result, str) else json.dumps(result, indent=2, allow_nan=False))


def price_note(prices: Prices, *, of_catalog: bool) -> str:
    """Say what hardware costs, and who says so."""
    source = " (from the catalog)" if of_catalog else ""
    cpu, gpu = 3600 * prices.cpu, 3600 * prices.gpu
    note = f"Prices: ${cpu:.6g} per core-hour, ${gpu:.6g} per GPU-hour{source}."
    return wrapped(note, fitting_width(None))


def trace_note(recorded: Trace, used: Trace, arrivals: Arrivals) -> str:
    """Say what of a trace is planned for.

    Parameters
    ----------
    recorded, used : Trace
        The trace, and the part of it that counts.
    arrivals : Arrivals
        What it is taken for.
    """
    merged = recorded.source.get("merged", 0)
    of_whom = f" of {merged:,} functions together (--select takes one)" if merged > 1 else ""
    placed = f", placed by the rule {recorded.placement}" if recorded.placement else ""
    part = "" if used is recorded else f"the last {used.count:,} of "
    if arrivals.is_deterministic:
        law = f"all gaps are {exact_seconds(arrivals.interval)}"
    elif arrivals.law.smooth:
        law = "planned for the distribution of their gaps, smoothed (--exact does without)"
    else:
        law = "planned for exactly their gaps"
    note = f"Arrivals: {part}{recorded.count:,} within {recorded.span:,.0f} s{of_whom}{placed}; {law}."
    return wrapped(note, fitting_width(None))


def no_frontier(problem: Problem, error: InfeasibleError, over: str) -> dict[str, Any]:
    """Return the frontier of a range of SLAs none of which can be met, ready for JSON."""
    return {
        "schema": 1,
        "application": problem.application.name,
        "over": str(over),
        "shortest_latency": error.shortest_latency if math.isfinite(error.shortest_latency) else None,
        "truncated": False,
        "points": [],
    }


# -- Runs ----------------------------------------------------------------------------------------------------


def run_page(run: Run) -> str:
    """Write out what the cost of a run is made of, by function."""
    headers = ["function", "mostly on", "cold", "initializing", "serving", "waiting", "in all"]
    per = 1e6 / run.count
    costs = [
        [per * math.fsum(each.price * getattr(each, state) for each in function.usage) for state in _STATES]
        for function in run.functions
    ]
    costs.append([per * run.cost_split[state] for state in _STATES])
    written = iter(aligned([cost for row in costs for cost in (*row, math.fsum(row))]))
    titles = [(each.name, str(each.mostly.configuration), each.cold_starts) for each in run.functions]
    rows = [
        [name, configuration, f"{cold:,}", *itertools.islice(written, len(_STATES) + 1)]
        for name, configuration, cold in [*titles, ("all", "", run.cold_starts)]
    ]
    grid = table(headers, rows, width=fitting_width(None), right=headers[2:], whole=headers[2:])
    return f"{grid}\n{wrapped(_SPLIT_NOTE, fitting_width(None))}"


# -- The catalog ---------------------------------------------------------------------------------------------


def catalog_payload(
    applications: Mapping[str, Application], profiles: Mapping[str, Profile], prices: Prices
) -> dict[str, Any]:
    """Return the catalog, or some of it, ready for JSON."""
    return {
        "schema": 1,
        "prices": {str(hardware): prices[hardware] for hardware in Hardware},
        "profiles": {name: _profile_payload(profile) for name, profile in profiles.items()},
        "applications": {
            name: {
                "edges": [list(edge) for edge in application.edges],
                "sla": application.sla,
                "attainment_target": application.attainment_target,
            }
            for name, application in applications.items()
        },
    }


def catalog_page(applications: Mapping[str, Application], profiles: Mapping[str, Profile], prices: Prices) -> str:
    """Write the catalog out, or some of it; a single application or profile in detail."""
    columns = fitting_width(None)
    paragraphs = [_application_table(applications, columns)] if applications else []
    if len(applications) == 1:
        (application,) = applications.values()
        paragraphs.append("\n".join(f"  {source} -> {target}" for source, target in application.edges))
    paragraphs += [_profile_table(profiles, columns), wrapped(_PROFILE_NOTE, columns)]
    if len(applications) <= 1:
        paragraphs += [_coefficient_table(profiles, columns), wrapped(_COEFFICIENT_NOTE, columns)]
    return "\n\n".join([*paragraphs, price_note(prices, of_catalog=False)])


def _application_table(applications: Mapping[str, Application], columns: int) -> str:
    headers = ["application", "SLA", "target", "functions"]
    rows = [
        [name, exact_seconds(each.sla), percent(each.attainment_target), ", ".join(each.names)]
        for name, each in applications.items()
    ]
    return table(headers, rows, width=columns, right=headers[1:3], whole=headers[:3])


def _profile_table(profiles: Mapping[str, Profile], columns: int) -> str:
    headers = ["profile", "hardware", "batches", "latency", "cold start"]
    rows = []
    for name, hardware, model in _models(profiles):
        batch, (smallest, *_, largest) = model.batches[0], (*model.sizes, model.sizes[-1])
        slowest, fastest = model.latency(batch, smallest), model.latency(batch, largest)
        rows.append(
            [
                name,
                f"{hardware} {_sizes(hardware, model)}",
                _range(model.batches),
                f"{seconds(slowest).removesuffix(' s')} to {seconds(fastest)}",
                seconds(model.cold_start()),
            ]
        )
    return table(headers, rows, width=columns, right=headers[4:], whole=headers[3:])


def _coefficient_table(profiles: Mapping[str, Profile], columns: int) -> str:
    headers = ["profile", "", *(name.removeprefix("cold_start_") for name in _COEFFICIENTS)]
    rows = [
        [name, str(hardware), *(f"{getattr(model, coefficient):.4g}" for coefficient in _COEFFICIENTS)]
        for name, hardware, model in _models(profiles)
    ]
    return table(headers, rows, width=columns, right=headers[2:], whole=headers[1:])


def _models(profiles: Mapping[str, Profile]) -> Iterator[tuple[str, Hardware, HardwareProfile]]:
    """Yield the models of all profiles; the name of a profile only once."""
    for name, profile in profiles.items():
        for hardware, model in profile.hardware.items():
            yield name, hardware, model
            name = ""


def _sizes(hardware: Hardware, model: HardwareProfile) -> str:
    if hardware is Hardware.GPU:
        return f"{_range([100 * size for size in model.sizes])} %"
    return f"{_range(model.sizes)} core{'s' * (model.sizes != (1.0,))}"


def _range(values: Sequence[float]) -> str:
    return f"{values[0]:g}-{values[-1]:g}" if len(values) > 1 else f"{values[0]:g}"


def _profile_payload(profile: Profile) -> dict[str, Any]:
    return {
        "hardware": {
            str(hardware): {
                **{name: getattr(model, name) for name in _COEFFICIENTS},
                "sizes": list(model.sizes),
                "batches": list(model.batches),
            }
            for hardware, model in profile.hardware.items()
        }
    }


# -- Fits ----------------------------------------------------------------------------------------------------


def fit_payload(fits: Mapping[str, Fit], measurements: Sequence[Measurement], output: str | None) -> dict[str, Any]:
    """Return fitted profiles, and how well they fit, ready for JSON."""
    return {
        "schema": 1,
        "output": output,
        "profiles": {name: _profile_payload(fitted.profile) for name, fitted in fits.items()},
        "fits": {
            name: {str(hardware): _report_payload(report, measurements) for hardware, report in fitted.reports.items()}
            for name, fitted in fits.items()
        },
    }


def _report_payload(report: HardwareFit, measurements: Sequence[Measurement]) -> dict[str, Any]:
    suggested = report.next_measurement
    return {
        "points": report.points,
        "outliers": [
            {"size": each.size, "batch": each.batch, "latency": each.latency}
            for each in _outliers(report, measurements)
        ],
        "median_error": report.median_error,
        "max_error": report.max_error,
        "rms_error": report.rms_error,
        "notes": list(report.notes),
        "next_measurement": suggested
        and {
            "size": suggested.configuration.size,
            "batch": suggested.configuration.batch,
            "parameters": list(suggested.parameters),
        },
    }


def fit_page(fits: Mapping[str, Fit], measurements: Sequence[Measurement], output: str | None) -> str:
    """Write out how well profiles fit, what was set aside, and what to measure next."""
    columns = fitting_width(None)
    headers = ["function", "hardware", "points", "set aside", "median error", "largest error"]
    rows = [
        [
            name,
            str(hardware),
            str(report.points),
            str(len(report.outliers)),
            f"{report.median_error:.2%}",
            f"{report.max_error:.2%}",
        ]
        for name, hardware, report in _reports(fits)
    ]
    places: dict[str, list[str]] = {}  # what is said of many fits is said once
    for place, remark in _remarks(fits, measurements):
        places.setdefault(remark, []).append(place)
    remarks = [wrapped(f"{', '.join(where)}: {remark}.", columns) for remark, where in places.items()]
    ending = f"Written to {output}." if output is not None else "Not written: --output FILE keeps the profiles."
    return "\n\n".join([table(headers, rows, width=columns, right=headers[2:]), *remarks, ending])


def fit_notes(fits: Mapping[str, Fit]) -> list[str]:
    """Return what a reader of fitted profiles should know."""
    return [
        f"{name} on {hardware}: error {report.median_error:.2%} in the median of {report.points} points,"
        f" {report.max_error:.2%} at most{''.join(f'; {note}' for note in report.notes)}"
        for name, hardware, report in _reports(fits)
    ]


def _remarks(fits: Mapping[str, Fit], measurements: Sequence[Measurement]) -> Iterator[tuple[str, str]]:
    """Yield what a remark is about, and the remark."""
    for name, hardware, report in _reports(fits):
        model = fits[name].profile.hardware[hardware]
        for each in _outliers(report, measurements):
            if each.size is not None and each.latency is not None:  # as in every outlier
                expected = model.latency(each.batch, each.size, extrapolate=True) - model.dispatch
                place = f"{name} on {Configuration(hardware, each.size, each.batch)}"
                yield place, f"set aside {seconds(each.latency)}, where {seconds(expected)} is expected"
        for note in report.notes:
            yield f"{name} on {hardware}", note
        if report.next_measurement is not None:
            yield name, f"next, {report.next_measurement}"


def _reports(fits: Mapping[str, Fit]) -> Iterator[tuple[str, Hardware, HardwareFit]]:
    for name, fitted in fits.items():
        for hardware, report in fitted.reports.items():
            yield name, hardware, report


def _outliers(report: HardwareFit, measurements: Sequence[Measurement]) -> list[Measurement]:
    return [measurements[index] for index in report.outliers]
