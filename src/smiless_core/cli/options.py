"""The arguments and options that several commands share, and how their values are read."""

import contextlib
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from smiless_core.errors import InvalidInputError
from smiless_core.traces import Format, Placement
from smiless_core.validation import shown

__all__ = [
    "Announced",
    "App",
    "AsJson",
    "Concurrency",
    "Every",
    "Exact",
    "FormatOption",
    "History",
    "MaxReplicas",
    "MinKeepAlive",
    "MinReplicas",
    "PlacementOption",
    "Poisson",
    "ProfilesFile",
    "Seed",
    "Select",
    "Sla",
    "Target",
    "TraceFile",
    "fraction",
    "naming_files",
    "naming_options",
    "seconds",
    "sharing",
    "whole_number_from",
]


_SHORTEST, _LONGEST = 1e-9, 4.6e9  # the ends of what `Arrivals` takes


def seconds(given: str) -> float:
    """Read a number of seconds, within what the library can count in nanoseconds."""
    with contextlib.suppress(ValueError):
        if _SHORTEST <= (value := float(given)) <= _LONGEST:
            return value
    raise typer.BadParameter(f"expected seconds from {_SHORTEST:g} to {_LONGEST:g}, got {shown(given)}")


def seconds_or_none(given: str) -> float:
    """Read a number of seconds, or 0."""
    with contextlib.suppress(ValueError):
        if float(given) == 0.0:
            return 0.0
    return seconds(given)


def fraction(given: str) -> float:
    """Read a fraction above 0."""
    with contextlib.suppress(ValueError):
        if 0.0 < (value := float(given)) <= 1.0:
            return value
    raise typer.BadParameter(f"expected a fraction above 0 and at most 1, got {shown(given)}")


def whole_number_from(least: int, *, most: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number of at least `least`, and at most `most`."""
    wanted = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")

    def whole_number(given: str) -> int:
        with contextlib.suppress(ValueError):
            if (value := int(given)) >= least and (most is None or value <= most):
                return value
        raise typer.BadParameter(f"expected {wanted}, got {shown(given)}")

    return whole_number


@contextlib.contextmanager
def naming_options(*arguments: str) -> Iterator[None]:
    """Let an error about one of these arguments of the library name the option of the same name."""
    try:
        yield
    except InvalidInputError as error:
        if error.place not in arguments:
            raise
        option = f"--{error.place.replace('_', '-')}"
        raise InvalidInputError(error.message, place=option, file=error.file) from None


@contextlib.contextmanager
def naming_files(*files: str | None) -> Iterator[None]:
    """Let an error name the files that it can come from, unless it is known to come from elsewhere."""
    try:
        yield
    except InvalidInputError as error:
        if error.place.startswith("--"):
            raise
        raise error.within(file=", ".join(filter(None, files))) from None


def sharing(question: Callable[..., Any], *, after: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return what lets a command take the options of `question` besides its own, and hands it the answer.

    Parameters
    ----------
    question : callable
        Takes the shared options.
    after : str
        The one behind which the command's own are listed, but for the last of these, which is listed last.
    """
    shared = list(signature(question).parameters.values())
    first = [parameter.name for parameter in shared].index(after) + 1

    def shares(command: Callable[..., int]) -> Callable[..., int]:
        own = list(signature(command).parameters.values())[1:]

        @wraps(command)
        def asked(**given: Any) -> int:
            settings = {parameter.name: given.pop(parameter.name) for parameter in own}
            return command(question(**given), **settings)

        listed = [*shared[:first], *own[:-1], *shared[first:], own[-1]]
        parameters = sorted(listed, key=lambda parameter: parameter.default is not Parameter.empty)
        asked.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what typer makes options of
        asked.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return asked

    return shares


App = Annotated[
    str,
    typer.Argument(
        metavar="APP",
        show_default=False,
        help="An application file (.yaml, .json, .toml), or a built-in one.",
    ),
]
ProfilesFile = Annotated[
    str | None,
    typer.Option(
        "--profiles",
        metavar="FILE",
        help="Profiles of the functions, and perhaps prices; those of the catalog by default.",
    ),
]
Every = Annotated[
    float | None,
    typer.Option("--every", metavar="SECONDS", parser=seconds, help="Invocations come at this interval."),
]
Poisson = Annotated[
    float | None,
    typer.Option("--poisson", metavar="SECONDS", parser=seconds, help="They come at random, at this mean interval."),
]
TraceFile = Annotated[
    str | None,
    typer.Option("--trace", metavar="FILE", help="They come as in this trace: its gaps are their distribution."),
]
History = Annotated[
    float | None,
    typer.Option(
        "--history", metavar="SECONDS", parser=seconds, help="Only the end of the trace, so long; all by default."
    ),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Only gaps that were recorded are possible; otherwise those near them, too.")
]
Sla = Annotated[
    float | None,
    typer.Option("--sla", metavar="SECONDS", parser=seconds, help="The SLA; the application's by default."),
]
Target = Annotated[
    float | None,
    typer.Option(
        "--target",
        metavar="FRACTION",
        parser=fraction,
        help="Of invocations that have to meet the SLA; the application's by default.",
    ),
]
FormatOption = Annotated[Format | None, typer.Option("--format", help="Of the trace; its first lines tell by default.")]
Select = Annotated[
    str | None,
    typer.Option(
        "--select",
        metavar="ID",
        help="Only this function or application of the trace; the start of its id will do.",
    ),
]
PlacementOption = Annotated[
    Placement | None,
    typer.Option(
        "--placement",
        help="Where in their minute or second arrivals come that the trace only counts; uniform by default.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", parser=whole_number_from(0), help="Of a random placement; 0 by default."),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="N",
        parser=whole_number_from(1),
        help="So many requests arrive together, and may share a batch; 1 by default.",
    ),
]
MinReplicas = Annotated[
    int | None,
    typer.Option(
        "--min-replicas",
        metavar="N",
        parser=whole_number_from(0),
        help="The platform keeps so many instances of every function up; 0 by default.",
    ),
]
MaxReplicas = Annotated[
    int | None,
    typer.Option(
        "--max-replicas",
        metavar="N",
        parser=whole_number_from(1),
        help="It runs no more than so many; any number by default.",
    ),
]
MinKeepAlive = Annotated[
    float | None,
    typer.Option(
        "--min-keep-alive",
        metavar="SECONDS",
        parser=seconds_or_none,
        help="It keeps an instance so long after each service at least; 0 by default.",
    ),
]
Announced = Annotated[
    bool,
    typer.Option(
        "--announced", help="It tells of an invocation at once, so that functions further down can start then."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
