"""The commands that let policies serve recorded arrivals, and show what came of it."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from smiless_core.cli.exit_codes import ExitCode
from smiless_core.cli.loading import limits_of, problem_of, recorded_trace, refuse_without_trace
from smiless_core.cli.options import (
    Announced,
    App,
    AsJson,
    FormatOption,
    MaxReplicas,
    MinKeepAlive,
    MinReplicas,
    PlacementOption,
    ProfilesFile,
    Select,
    Sla,
    Target,
    naming_files,
    naming_options,
    seconds,
    sharing,
    whole_number_from,
)
from smiless_core.cli.places import command_line, require_places, require_plotly
from smiless_core.cli.printing import print_result, run_page
from smiless_core.cli.waiting import counting_bar
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model import Limits, Problem, Trace
from smiless_core.simulator import Comparison, read_runs, write_runs
from smiless_core.solver import Frontier

__all__ = ["compare", "report", "simulate"]

_REPORT = "smiless-report.html"
_FRONTIER_POINTS = 8
_TIMELINE = 20_000  # services: of longer runs no timeline is kept, as in a comparison

Replayed = Annotated[
    str | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="The arrivals; by default the built-in ones, four hours as on Azure Functions.",
    ),
]
RunSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        parser=whole_number_from(0, most=2**64 - 1),
        help="Of cold starts, of policies, of the built-in trace and of a random placement; 0 by default.",
    ),
]
RunsOutput = Annotated[
    str | None,
    typer.Option("--runs", metavar="FILE.json", help="Where to write the runs, to make another report of them."),
]


class _Scenario(NamedTuple):
    """What is to be served: what the options that simulations share say about it."""

    trace_file: str | None
    profiles: str | None
    sla: float | None
    target: float | None
    format: str | None
    select: str | None
    placement: str | None
    given_seed: int | None
    limits: Limits

    @property
    def seed(self) -> int:
        return self.given_seed or 0

    def trace(self) -> Trace:
        """Return the arrivals."""
        options = {"format": self.format, "select": self.select, "placement": self.placement}
        if self.trace_file is not None:
            return recorded_trace(self.trace_file, **options, seed=self.given_seed)
        from smiless_core.traces import azure_like

        refuse_without_trace(**options)
        return azure_like(seed=self.seed)

    def problem(self, app: str) -> Problem:
        """Return an application, with what it runs on."""
        problem, _ = problem_of(app, self.profiles, limits=self.limits)
        changes: dict[str, Any] = {"sla": self.sla, "attainment_target": self.target}
        changes = {name: value for name, value in changes.items() if value is not None}
        return problem.replace(application=problem.application.replace(**changes)) if changes else problem


def _scenario(
    trace: Replayed = None,
    profiles: ProfilesFile = None,
    sla: Sla = None,
    target: Target = None,
    format: FormatOption = None,
    select: Select = None,
    placement: PlacementOption = None,
    seed: RunSeed = None,
    min_replicas: MinReplicas = None,
    max_replicas: MaxReplicas = None,
    min_keep_alive: MinKeepAlive = None,
    announced: Announced = False,
) -> _Scenario:
    """Return what the options that simulations share ask for."""
    limits = limits_of(min_replicas, max_replicas, min_keep_alive, announced)
    return _Scenario(trace, profiles, sla, target, format, select, placement, seed, limits)


_serving = sharing(_scenario, after="target")


@_serving
def simulate(
    scenario: _Scenario,
    context: typer.Context,
    app: App,
    policy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What decides: a policy that 'smiless compare --policies' lists, perhaps with settings as in"
            " fixed-keep-alive:seconds=60, or your own in FILE.py:NAME.",
        ),
    ] = "smiless",
    until: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", parser=seconds, help="Where time and billing end; by default with the last response."
        ),
    ] = None,
    records: Annotated[
        str | None, typer.Option(metavar="FILE.parquet", help="Where to write every service, one row each.")
    ] = None,
    runs: RunsOutput = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE.html", help="Where to write a report.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Let one policy serve recorded arrivals.

    You see what it costs, how many invocations meet the SLA and how long they take, and what the cost is made of:
    instances that initialize, serve or wait. Cold starts are drawn from a seed, and the same seed gives the same
    figures. Where fewer invocations meet the SLA than have to, the exit code is 1.
    """
    from smiless_core.cli.policies import choose
    from smiless_core.simulator import simulate as served

    require_places(records, runs, output)
    require_plotly(output)
    problem = scenario.problem(app)
    with _prints_aside():
        (chosen,) = choose([policy])
        trace = scenario.trace()
        shown = (runs or output) is not None and trace.count * len(problem.application.functions) < _TIMELINE
        with counting_bar("arrivals") as progress, naming_options("until"):
            run = served(
                problem,
                trace,
                chosen.policy,
                seed=scenario.seed,
                until=until,
                timeline=shown,
                records=records,
                progress=progress,
            )
    found = Comparison((run,))
    _write(found, runs, output, f"{command_line(context)} -o {_REPORT}", [problem], trace)
    print_result(found.to_dict() if as_json else _page(f"{found}\n\n{run_page(run)}", runs, output))
    return ExitCode.DONE if run.meets_target else ExitCode.INFEASIBLE


def _list_policies(asked: bool) -> None:
    if asked:
        from smiless_core.cli.policies import policies_page

        print(policies_page())
        raise typer.Exit


@_serving
def compare(
    scenario: _Scenario,
    context: typer.Context,
    app: Annotated[
        str | None,
        typer.Argument(
            metavar="APP",
            show_default=False,
            help="An application file (.yaml, .json, .toml), or a built-in one; all of these by default.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="A policy, perhaps with settings as in fixed-keep-alive:seconds=60, or your own in FILE.py:NAME."
            " May be repeated; by default all that --policies lists.",
        ),
    ] = None,
    policies: Annotated[
        bool,
        typer.Option("--policies", callback=_list_policies, is_eager=True, help="List the policies, and do nothing."),
    ] = False,
    worker_count: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            parser=whole_number_from(1),
            help="So many processes at work; by default up to 4, as there are cores.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE.html", help=f"Where to write the report; {_REPORT} by default."),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write none.")] = False,
    no_frontier: Annotated[
        bool, typer.Option("--no-frontier", help="Leave out of it what plans cost at other SLAs.")
    ] = False,
    runs: RunsOutput = None,
    as_json: AsJson = False,
) -> int:
    """Let policies serve the same arrivals, and report on it.

    Without arguments, all policies serve the three built-in applications, on built-in arrivals. You see what each
    costs, also as a multiple of what is needed at least, and how many invocations meet the SLA. The report is a page
    that any browser opens. The same seed gives the same figures, with any number of workers.
    """
    from smiless_core import catalog
    from smiless_core.cli.policies import choose, known_policies
    from smiless_core.cli.processes import usual_workers, workers
    from smiless_core.simulator import compare as compared

    if no_report and output is not None:
        raise InvalidInputError("give --output or --no-report, not both")
    if output is None and not (no_report or as_json):
        output = _REPORT
    require_places(runs, output)
    require_plotly(output)
    problems = [scenario.problem(each) for each in ([app] if app is not None else catalog.applications())]
    with _prints_aside():
        chosen = choose(policy or list(known_policies()))
        trace = scenario.trace()
        count = min(worker_count or usual_workers(), len(problems) * len(chosen))
        if count > 1 and (unsent := next((each for each in chosen if each.why_not_sent), None)):
            if worker_count is not None:
                message = f"it cannot be sent to a worker ({unsent.why_not_sent}): --workers 1 does without"
                raise InvalidInputError(message, place=f"--policy {unsent.given}")
            count = 1
        files = [each.file for each in chosen if each.file is not None]
        with counting_bar("runs") as progress, workers(count, files) as executor:
            if progress is not None:
                progress(0, len(problems) * len(chosen))
            found = compared(
                problems,
                trace,
                [each.policy for each in chosen],
                seed=scenario.seed,
                executor=executor,
                progress=progress,
            )
    _write(found, runs, output, command_line(context), [] if no_frontier else problems, trace)
    print_result(found.to_dict() if as_json else _page(str(found), runs, output))
    return ExitCode.DONE


def report(
    context: typer.Context,
    kept: Annotated[
        str, typer.Argument(metavar="RUNS.json", show_default=False, help="What --runs of other commands wrote.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE.html", help="Where to write the report.")
    ] = _REPORT,
) -> int:
    """Make a report of runs that were kept.

    It shows what the report of the command that wrote them shows, but for what plans cost at other SLAs.
    """
    from smiless_core.report import write_report

    require_places(output)
    require_plotly(output)
    runs = read_runs(kept)
    with naming_files(kept):
        write_report(output, runs, command=command_line(context))
    print_result(_page("", None, output))
    return ExitCode.DONE


def _page(text: str, runs: str | None, output: str | None) -> str:
    """Return what is printed for people: an answer, and where the rest of it is."""
    written = {"Runs": runs, "Report": output}
    places = "\n".join(f"{what}: {path}" for what, path in written.items() if path is not None)
    return "\n\n".join(filter(None, [text, places]))


def _write(
    found: Comparison, runs: str | None, output: str | None, command: str, problems: Sequence[Problem], trace: Trace
) -> None:
    """Write what was asked for: the runs, and the report, with the frontiers of these problems."""
    from smiless_core.report import write_report

    if runs is not None:
        # How long policies took is no part of what a seed gives, byte for byte.
        write_runs(runs, [run.replace(decision_time=0.0) for run in found])
    if output is not None:
        write_report(output, found.runs, command=command, frontiers=dict(_frontiers(problems, trace)))


def _frontiers(problems: Sequence[Problem], trace: Trace) -> Iterator[tuple[str, Frontier]]:
    """Yield what plans cost by SLA, by application; where there is no plan, or nothing to plan for, nothing."""
    from smiless_core.solver.pareto import frontier

    with counting_bar("frontiers") as progress:
        for number, problem in enumerate(problems):
            if progress is not None:
                progress(number, len(problems))
            with contextlib.suppress(InfeasibleError, InvalidInputError):
                yield problem.application.name, frontier(problem, trace.arrivals(), max_points=_FRONTIER_POINTS)


def _prints_aside() -> contextlib.AbstractContextManager[object]:
    """Let what policies print go where it does not mix with the answer."""
    return contextlib.redirect_stdout(sys.stderr)
