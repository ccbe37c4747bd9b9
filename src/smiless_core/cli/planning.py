"""The commands that plan: what is to be planned, and how the answer is shown."""

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer

from smiless_core.arrivals import Arrivals
from smiless_core.cli.exit_codes import ExitCode
from smiless_core.cli.loading import limits_of, problem_of, recorded_trace, refuse_without_trace
from smiless_core.cli.options import (
    Announced,
    App,
    AsJson,
    Concurrency,
    Every,
    Exact,
    FormatOption,
    History,
    MaxReplicas,
    MinKeepAlive,
    MinReplicas,
    PlacementOption,
    Poisson,
    ProfilesFile,
    Seed,
    Select,
    Sla,
    Target,
    TraceFile,
    naming_files,
    naming_options,
    seconds,
    sharing,
    whole_number_from,
)
from smiless_core.cli.printing import no_frontier, print_result, trace_note
from smiless_core.cli.waiting import abandonable, progress_bar
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model import Problem
from smiless_core.solver.formatting import fitting_width, wrapped

__all__ = ["frontier", "plan"]


class Over(StrEnum):
    """What a frontier is against."""

    SLA = "sla"
    ATTAINMENT = "attainment"
    BOTH = "both"


class Method(StrEnum):
    """How to search."""

    EXACT = "exact"
    MILP = "milp"


class _Question(NamedTuple):
    """What is to be planned: the problem, when invocations come and who says so, and notes on these for people."""

    problem: Problem
    arrivals: Arrivals
    source: dict[str, str | float | None]
    notes: list[str]
    files: tuple[str | None, ...]


def _question(
    app: App,
    every: Every = None,
    poisson: Poisson = None,
    trace: TraceFile = None,
    history: History = None,
    exact: Exact = False,
    profiles: ProfilesFile = None,
    format: FormatOption = None,
    select: Select = None,
    placement: PlacementOption = None,
    seed: Seed = None,
    concurrency: Concurrency = None,
    min_replicas: MinReplicas = None,
    max_replicas: MaxReplicas = None,
    min_keep_alive: MinKeepAlive = None,
    announced: Announced = False,
) -> _Question:
    """Return what the options that all planning commands share ask for."""
    arrivals, notes = _arrivals(
        every,
        poisson,
        trace,
        history=history,
        exact=exact,
        format=format,
        select=select,
        placement=placement,
        seed=seed,
    )
    limits = limits_of(min_replicas, max_replicas, min_keep_alive, announced)
    problem, prices = problem_of(app, profiles, limits=limits, concurrency=concurrency or 1)
    source = {"source": trace, "history": history}
    return _Question(problem, arrivals, source, [*notes, prices], (app, profiles))


_asking = sharing(_question, after="profiles")


@_asking
def plan(
    question: _Question,
    sla: Sla = None,
    target: Target = None,
    method: Annotated[
        Method, typer.Option(help="The native search; or, to compare, the same question put to HiGHS.")
    ] = Method.EXACT,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds, help="Settle for the best plan found by then."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Find the cheapest plan that meets the SLA, and prove it.

    A plan says for each function what it runs on (CPU cores or a share of a GPU, batch, replicas) and when
    its instances start, are ready and are let go. What is cheapest depends on when invocations come: say it
    with --trace, --poisson or --every. Unless they come at an interval, the plan says what fraction of them
    will meet the SLA, and why the others do not. Where no plan meets the SLA, or no plan for enough of them,
    you see what comes closest and what limits it, and the exit code is 1.
    """
    from smiless_core.solver.solution import solve

    def solved() -> tuple[str | dict[str, Any], bool]:
        solution = solve(
            question.problem, question.arrivals, method=method, sla=sla, target=target, time_limit=time_limit
        )
        if not as_json:
            return "\n".join([str(solution), "", *question.notes]), solution.feasible
        page = solution.to_dict()
        page["arrivals"] |= question.source
        return page, solution.feasible

    with naming_files(*question.files):
        page, feasible = abandonable(solved)
    print_result(page)
    return ExitCode.DONE if feasible else ExitCode.INFEASIBLE


@_asking
def frontier(
    question: _Question,
    over: Annotated[
        Over, typer.Option(help="The cost against SLAs, against attainment at one SLA, or both in a table.")
    ] = Over.SLA,
    sla: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds, help="The one SLA; the application's by default."),
    ] = None,
    target: Target = None,
    min_sla: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds, help="Leave out tighter SLAs; none by default."),
    ] = None,
    max_sla: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds, help="Leave out looser SLAs; none by default."),
    ] = None,
    max_points: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number_from(1),
            help="No more points than these. At an interval, counted from the loosest SLA, all by default;"
            " otherwise 24, in a table 10 rows.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Find what every SLA costs.

    As the SLA gets looser, the cost falls in steps: these are all of them, exactly, where invocations come
    at an interval, and otherwise two dozen that the joint search finds, where the cost changes most. An SLA
    worth promising is one where a step begins: up to the next one, a looser SLA saves nothing. With --over
    attainment you see what it costs that more invocations meet one SLA. Where no SLA in the range can be
    met, the exit code is 1.
    """
    from smiless_core.solver.pareto import frontier as all_points

    of_options = naming_options("over", "sla", "target", "min_sla", "max_sla")
    what = "breakpoints" if question.arrivals.is_deterministic else "points"
    try:
        with naming_files(*question.files), of_options, progress_bar(what) as progress:
            found = all_points(
                question.problem,
                question.arrivals,
                over=over.value,
                sla=sla,
                target=target,
                min_sla=min_sla,
                max_sla=max_sla,
                max_points=max_points,
                progress=progress,
            )
    except InfeasibleError as error:
        nothing = wrapped(f"{error}.", fitting_width(None))
        print_result(no_frontier(question.problem, error, over) if as_json else nothing)
        return ExitCode.INFEASIBLE
    print_result(found.to_dict() if as_json else "\n".join([str(found), "", *question.notes]))
    return ExitCode.DONE


def _arrivals(
    every: float | None,
    poisson: float | None,
    trace_file: str | None,
    *,
    history: float | None,
    exact: bool,
    **trace_options: Any,
) -> tuple[Arrivals, list[str]]:
    """Return the arrivals, and a note on them where they come from a trace."""
    sources = {"--every": every, "--poisson": poisson, "--trace": trace_file}
    named = [option for option, value in sources.items() if value is not None]
    if len(named) > 1:
        raise InvalidInputError(f"give {' or '.join(named)}, not {'both' if len(named) == 2 else 'all'}")
    if trace_file is None:
        refuse_without_trace(history=history, exact=exact or None, **trace_options)
        if every is not None:
            return Arrivals.every(every), []
        if poisson is not None:
            return Arrivals.exponential(poisson), []
        raise InvalidInputError("say when invocations come: --trace FILE, --poisson SECONDS or --every SECONDS")
    recorded = recorded_trace(trace_file, **trace_options)
    with naming_files(trace_file):
        if recorded.count == 1:
            ways = "record at least two, or give --poisson SECONDS or --every SECONDS instead"
            raise InvalidInputError(f"a single arrival has no gap to the next one to plan for: {ways}")
        used = recorded if history is None else recorded.last(history)
        if used.count < 2 <= recorded.count:
            message = f"expected at least two arrivals in the last {history:g} s, got {used.count}"
            raise InvalidInputError(message, place="--history", file=trace_file)
        arrivals = used.arrivals(exact=exact)
    return arrivals, [trace_note(recorded, used, arrivals)]
