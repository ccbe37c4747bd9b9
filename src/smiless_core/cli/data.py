"""The commands about the data that plans are made from: measurements, traces, the catalog; and versions."""

import os
from typing import Annotated, Any

import typer

from smiless_core.cli.exit_codes import ExitCode
from smiless_core.cli.options import (
    AsJson,
    FormatOption,
    PlacementOption,
    Seed,
    Select,
    naming_files,
    naming_options,
)
from smiless_core.cli.printing import (
    catalog_page,
    catalog_payload,
    fit_notes,
    fit_page,
    fit_payload,
    print_result,
)
from smiless_core.errors import InvalidInputError

__all__ = ["catalog", "describe", "fit", "versions"]


def fit(
    measurements: Annotated[
        list[str],
        typer.Argument(
            metavar="MEASUREMENTS",
            show_default=False,
            help="CSV with the columns function, hardware, size, batch, latency_s, dispatch_s, and either"
            " cold_start_s or cold_start_mean_s and cold_start_std_s. Several are read as one.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PROFILES.yaml", help="Where to write the profiles."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file if it exists.")] = False,
    gpu_percent: Annotated[
        bool, typer.Option("--gpu-percent", help="GPU sizes are percentages, not shares in (0, 1].")
    ] = False,
    batch_weight: Annotated[
        float,
        typer.Option(
            metavar="EXPONENT",
            help="Errors at a batch of b count b ** -EXPONENT: above 0 the fit is best for single requests.",
        ),
    ] = 4.0,
    as_json: AsJson = False,
) -> int:
    """Fit profiles to measured latencies and cold starts.

    For each function and kind of hardware you see the error of the fit, the measurements that contradict the
    others and were set aside, and which measurement to take next where the data cannot tell parameters
    apart. A profile offers the sizes and batches that were measured, and no others.
    """
    from smiless_core.fitting import fit_profiles, read_measurements
    from smiless_core.model.files import write_profiles

    if output is not None and os.path.lexists(output) and not force:
        raise InvalidInputError("this file exists: --force replaces it", file=output)
    rows = [row for file in measurements for row in read_measurements(file, gpu_percent=gpu_percent)]
    with naming_files(*measurements), naming_options("batch_weight"):
        fits = fit_profiles(rows, batch_weight=batch_weight)
    if output is not None:
        write_profiles({name: each.profile for name, each in fits.items()}, output, notes=fit_notes(fits))
    print_result(fit_payload(fits, rows, output) if as_json else fit_page(fits, rows, output))
    return ExitCode.DONE


def describe(
    file: Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="The trace; it may be compressed.")],
    format: FormatOption = None,
    select: Select = None,
    placement: PlacementOption = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> int:
    """Describe a trace.

    You see how many arrivals it has, how often and how regularly they come, and how that changes over time.
    This reads Azure Functions 2019 and 2021, Azure LLM inference, counts per second, and tables or JSON
    lines with a timestamp. Large files are streamed.
    """
    from smiless_core.traces import describe as description_of

    options = {"format": format, "select": select, "placement": placement, "seed": seed}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    with naming_options(*given):
        description = description_of(file, **given)
    print_result({"schema": 1, **description.to_dict()} if as_json else str(description))
    return ExitCode.DONE


def catalog(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", show_default=False, help="Only this application or profile."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show the built-in applications, profiles and prices."""
    from smiless_core import catalog as built_in

    applications, profiles = dict(built_in.applications()), dict(built_in.profiles())
    if name is not None:
        if name not in applications.keys() | profiles.keys():
            raise InvalidInputError.unknown("application or profile", name, [*applications, *profiles])
        applications = {each: value for each, value in applications.items() if each == name}
        shown = {function.profile for value in applications.values() for function in value.functions} | {name}
        profiles = {each: value for each, value in profiles.items() if each in shown}
    show = catalog_payload if as_json else catalog_page
    print_result(show(applications, profiles, built_in.prices()))
    return ExitCode.DONE


def versions(as_json: AsJson = False) -> int:
    """Show what is installed here, for a bug report."""
    from smiless_core.versions import show_versions, version_report

    if as_json:
        print_result(version_report())
    else:
        show_versions()
    return ExitCode.DONE
