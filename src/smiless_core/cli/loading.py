"""What the arguments of several commands stand for: an application, a problem, a recorded trace."""

import os
from pathlib import Path
from typing import Any

from smiless_core.cli.options import naming_files, naming_options
from smiless_core.cli.printing import price_note
from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Limits, Problem, Trace

__all__ = ["limits_of", "problem_of", "recorded_trace", "refuse_without_trace"]

_APPLICATION_SUFFIXES = {".yaml", ".yml", ".json", ".toml"}


def limits_of(
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


def problem_of(app: str, profiles_file: str | None, *, limits: Limits, concurrency: int = 1) -> tuple[Problem, str]:
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


def recorded_trace(file: str, **options: object) -> Trace:
    """Read a trace with those options that are given, which are not None."""
    from smiless_core.traces import read_trace

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    with naming_files(file), naming_options(*given):
        return read_trace(file, **given)


def refuse_without_trace(**options: object) -> None:
    """Refuse options that are about a trace where there is none; those that are not given are None."""
    for name, value in options.items():
        if value is not None:
            got = "" if value is True else f"{value:g} " if isinstance(value, float) else f"{value} "
            raise InvalidInputError(f"{got}needs --trace FILE", place=f"--{name}")
