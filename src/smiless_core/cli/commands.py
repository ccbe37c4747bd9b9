"""The commands, put together."""

from typing import Annotated

import typer

from smiless_core.cli.backtesting import backtest, train
from smiless_core.cli.controlling import control
from smiless_core.cli.data import catalog, describe, fit, versions
from smiless_core.cli.planning import frontier, plan
from smiless_core.cli.simulating import compare, report, simulate

__all__ = ["smiless"]


def _examples(*lines: str) -> str:
    """Return what stands below the help of a command; its first sign asks for the lines to be kept apart."""
    return "\b\n" + "\n  ".join(["For example:", *lines])


smiless = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # plain help: it stays readable in any terminal, file and log
    help="Plan serverless inference applications: what each function runs on, and when its instances exist,"
    " so that invocations meet their SLA at the lowest cost.\n\n"
    "Exit codes: 0 done, 1 the SLA is not met (often enough), 2 bad input.",
    epilog=_examples("smiless plan amber-alert --every 10", "smiless compare --policies", "smiless plan --help"),
)
_trace = typer.Typer(rich_markup_mode=None, help="Look at recorded arrivals: see describe.")


def _version(asked: bool) -> None:
    if asked:
        from smiless_core import __version__

        print(f"smiless {__version__}")
        raise typer.Exit


@_trace.callback(invoke_without_command=True)
def _help_unless_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@smiless.callback(invoke_without_command=True)
def _smiless(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    _help_unless_command(context)


smiless.command(
    epilog=_examples(
        "smiless plan amber-alert --every 10",
        "smiless plan voice-assistant --every 3 --sla 4 --json",
        "smiless plan image-query --poisson 20 --sla 1.5 --target 0.95",
        "smiless plan app.yaml --profiles profiles.yaml --trace arrivals.csv",
    )
)(plan)
smiless.command(
    epilog=_examples(
        "smiless frontier image-query --every 10",
        "smiless frontier app.yaml --profiles profiles.yaml --every 10 --max-sla 5",
        "smiless frontier image-query --poisson 20 --sla 1.5 --over attainment",
    )
)(frontier)
smiless.command(
    epilog=_examples(
        "smiless simulate image-query",
        "smiless simulate image-query --policy fixed-keep-alive:seconds=60 --seed 7",
        "smiless simulate app.yaml --profiles profiles.yaml --trace arrivals.csv",
        "smiless simulate image-query --policy policy.py:Mine -o report.html",
    )
)(simulate)
smiless.command(
    epilog=_examples(
        "smiless compare",
        "smiless compare app.yaml --profiles profiles.yaml --trace arrivals.csv",
        "smiless compare image-query --policy orion --policy policy.py:Mine",
        "smiless compare amber-alert --sla 4 --runs runs.json -o report.html",
        "smiless compare --policies",
    )
)(compare)
smiless.command(
    epilog=_examples(
        "smiless backtest invocations.csv",
        "smiless backtest invocations.csv --part second-half --placement fixed-phase -o report.html",
        "smiless backtest arrivals.csv --predictor recent-gaps --policy hybrid-histogram --target 0.99",
    )
)(backtest)
smiless.command(
    epilog=_examples(
        "smiless train invocations.csv --part first-half -o hazards.model",
        "smiless backtest invocations.csv --part second-half --predictor hazard:hazards.model",
    )
)(train)
smiless.command(
    epilog=_examples(
        "smiless control app.yaml --profiles profiles.yaml --platform local --address http://127.0.0.1:8080",
        "smiless control app.yaml --profiles profiles.yaml --services services.yaml --platform kubernetes --dry-run",
        "smiless control app.yaml --profiles profiles.yaml --services services.yaml --platform openfaas"
        " --address https://gateway.example --password-file password",
    )
)(control)
smiless.command(epilog=_examples("smiless report runs.json -o report.html"))(report)
smiless.command(
    epilog=_examples(
        "smiless fit measurements.csv",
        "smiless fit measurements.csv -o profiles.yaml",
        "smiless plan app.yaml --profiles profiles.yaml --every 10",
    )
)(fit)
_trace.command(
    epilog=_examples(
        "smiless trace describe arrivals.csv",
        "smiless trace describe invocations.csv --select 0f18b823 --seed 7",
    )
)(describe)
smiless.add_typer(_trace, name="trace")
smiless.command(epilog=_examples("smiless catalog", "smiless catalog amber-alert", "smiless catalog --json"))(catalog)
smiless.command()(versions)
