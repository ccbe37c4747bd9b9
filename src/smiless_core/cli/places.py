"""Where commands write, checked before the long work; and the command line that gives the same again."""

import shlex
import tempfile
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

import typer

from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.placing import reason_of

__all__ = ["command_line", "require_places", "require_plotly"]

# What the command in a report leaves out: where things are written and how fast, which changes nothing in it.
_UNSAID = {"output", "runs", "records", "worker_count", "no_report", "as_json"}


def command_line(context: typer.Context) -> str:
    """Return the command line that gives the same again, without the places that it writes to."""
    options, arguments = [], []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in _UNSAID or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[parameter.name]
        for each in value if isinstance(value, list | tuple) else [value]:
            written = each.value if isinstance(each, Enum) else str(each)
            if isinstance(each, float):
                written = written.removesuffix(".0")
            if parameter.param_type_name == "argument":
                arguments.append(written)
            else:
                options += [parameter.opts[0], *([] if each is True else [written])]
    return shlex.join([*context.command_path.split(), *arguments, *options])


def require_places(*paths: str | None) -> None:
    """Refuse at once what could not be written after the long work."""
    places: set[Path] = set()
    for path in filter(None, paths):
        try:
            target = Path(path).resolve()
            if target.exists() and not target.is_file():
                raise ValueError("this is not a regular file")
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except (OSError, ValueError) as error:
            raise InvalidInputError(f"cannot be written: {reason_of(error)}", file=path) from None
        if target in places:
            raise InvalidInputError("this file cannot hold two outputs", file=path)
        places.add(target)


def require_plotly(output: str | None) -> None:
    """Refuse at once a report that could not be made."""
    if output is not None and find_spec("plotly") is None:
        raise MissingExtraError("report", "writing a report")
