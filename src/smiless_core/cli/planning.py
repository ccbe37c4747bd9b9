"""The commands that plan: what is to be planned, and how the answer is shown."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from enum import StrEnum
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from smiless_core.arrivals import Arrivals
from smiless_core.cli.exit_codes import ExitCode
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
    Target,
    TraceFile,
    naming_files,
    naming_options,
    seconds,
    whole_number_from,
)
from smiless_core.cli.printing import (
    no_frontier,
    price_note,
    print_result,
    trace_note,
)
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model import Application, Limits, Problem
from smiless_core.solver.formatting import fitting_width, wrapped

__all__ = ["frontier", "plan"]

_Result = TypeVar("_Result")

_APPLICATION_SUFFIXES = {".yaml", ".yml", ".json", ".toml"}


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
    limits = _limits(min_replicas, max_replicas, min_keep_alive, announced)
    problem, prices = _problem(app, profiles, limits=limits, concurrency=concurrency or 1)
    source = {"source": trace, "history": history}
    return _Question(problem, arrivals, source, [*notes, prices], (app, profiles))


def _asking(command: Callable[..., int]) -> Callable[..., int]:
    """Let a command take the options of `_question` besides its own, and hand it the question."""
    own = list(signature(command).parameters.values())[1:]
    shared = list(signature(_question).parameters.values())
    first = [parameter.name for parameter in shared].index("profiles") + 1

    @wraps(command)
    def asked(**given: Any) -> int:
        settings = {parameter.name: given.pop(parameter.name) for parameter in own}
        return command(_question(**given), **settings)

    parameters = [*shared[:first], *own[:-1], *shared[first:], own[-1]]
    asked.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what typer makes options of
    asked.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return asked


@_asking
def plan(
    question: _Question,
    sla: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds, help="The SLA; the application's by default."),
    ] = None,
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
        page, feasible = _abandonable(solved)
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
        with naming_files(*question.files), of_options, _progress_bar(what) as progress:
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


def _limits(
    min_replicas: int | None, max_replicas: int | None, min_keep_alive: float | None, announced: bool
) -> Limits:
    """Return what the platform can do."""
    with naming_options("min_replicas", "max_replicas", "min_keep_alive"):
        return Limits(
            min_replicas=min_replicas or 0,
            max_replicas=max_replicas,
            min_keep_alive=min_keep_alive or 0.0,
            announces_arrivals=announced,
        )


def _problem(app: str, profiles_file: str | None, *, limits: Limits, concurrency: int) -> tuple[Problem, str]:
    """Return the problem, and a note on its prices."""
    from smiless_core import catalog
    from smiless_core.model.files import read_profile_file

    application = _application(app)
    if profiles_file is None:
        profiles, prices = catalog.profiles(), None
    else:
        profiles, prices = read_profile_file(profiles_file)
    try:
        problem = Problem(application, profiles, prices or catalog.prices(), limits=limits, concurrency=concurrency)
    except InvalidInputError as error:
        hint = "; --profiles FILE gives others" if profiles_file is None else ""
        raise InvalidInputError(f"{error.message}{hint}", place=error.place, file=app) from None
    return problem, price_note(problem.prices, of_catalog=prices is None)


def _application(app: str) -> Application:
    from smiless_core import catalog
    from smiless_core.model.files import read_application

    built_in = catalog.applications()
    if app in built_in:
        return built_in[app]
    if os.path.lexists(app) or os.sep in app or Path(app).suffix in _APPLICATION_SUFFIXES:
        return read_application(app)
    raise InvalidInputError.unknown("file or built-in application", app, built_in)


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
    given = {name: value for name, value in trace_options.items() if value is not None}
    if trace_file is None:
        for name, value in {"history": history, "exact": exact or None, **given}.items():
            if value is not None:
                got = "" if value is True else f"{value:g} " if isinstance(value, float) else f"{value} "
                raise InvalidInputError(f"{got}needs --trace FILE", place=f"--{name}")
        if every is not None:
            return Arrivals.every(every), []
        if poisson is not None:
            return Arrivals.exponential(poisson), []
        raise InvalidInputError("say when invocations come: --trace FILE, --poisson SECONDS or --every SECONDS")
    from smiless_core.traces import read_trace

    with naming_files(trace_file), naming_options(*given):
        recorded = read_trace(trace_file, **given)
        if recorded.count == 1:
            ways = "record at least two, or give --poisson SECONDS or --every SECONDS instead"
            raise InvalidInputError(f"a single arrival has no gap to the next one to plan for: {ways}")
        used = recorded if history is None else recorded.last(history)
        if used.count < 2 <= recorded.count:
            message = f"expected at least two arrivals in the last {history:g} s, got {used.count}"
            raise InvalidInputError(message, place="--history", file=trace_file)
        arrivals = used.arrivals(exact=exact)
    return arrivals, [trace_note(recorded, used, arrivals)]


def _abandonable(work: Callable[[], _Result]) -> _Result:
    """Do work in a thread of its own: HiGHS would not answer to Ctrl-C in the main one."""
    done: Future[_Result] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=do, daemon=True).start()
    return done.result()


@contextlib.contextmanager
def _progress_bar(what: str) -> Iterator[Callable[[int, float], object] | None]:
    """Show progress on standard error, where somebody may be looking."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda points, done: progress.update(task, completed=done, description=f"{points} {what}")
