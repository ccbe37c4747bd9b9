"""Running one command: what it prints, how it fails, and the exit code that says so.

What a command prints is collected and reaches standard output in one piece when the command is done, so one
that fails prints nothing there. Whatever is wrong with the input is one line on standard error.
"""

import contextlib
import errno
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from threading import active_count
from typing import NoReturn, TextIO, cast

import typer

from smiless_core.cli.commands import smiless
from smiless_core.cli.exit_codes import ExitCode
from smiless_core.errors import InvalidInputError, MissingExtraError, PlatformError, SolverError

__all__ = ["main", "run"]

# The root of what typer raises about a command line: of click at first, of typer's own copy of it since 0.26.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])

# Signs on the printed pages, for terminals that cannot show them.
_PLAINER = str.maketrans("▁▂▃▄▅▆▇█µ", "_.-:=+*#u")


def main() -> NoReturn:
    """Run the command line of this process, and end the process with its exit code."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they are for programmers, who say python -W
    code = run(sys.argv[1:])
    if code == ExitCode.INTERRUPTED and active_count() > 1:
        os._exit(code)  # what was abandoned still runs in a thread, and would not survive an orderly end
    raise SystemExit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``smiless`` on the command line.

    Returns
    -------
    int
        The exit code: one of `ExitCode`.
    """
    printed = _Printed(sys.stdout)
    try:
        with contextlib.redirect_stdout(printed):
            command = typer.main.get_command(smiless)
            code = command.main(list(arguments), prog_name="smiless", standalone_mode=False)
        if code == ExitCode.INTERRUPTED:  # typer has caught it
            raise KeyboardInterrupt
        _deliver(printed.getvalue(), sys.stdout)
        return ExitCode(code or ExitCode.DONE)  # no code where only help was asked for
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return ExitCode.INTERRUPTED
    except (InvalidInputError, MissingExtraError, PlatformError) as error:
        _complain(str(error))
    except _UsageError as error:
        _complain(_usage(error))
    except OSError as error:
        _complain(str(InvalidInputError(error.strerror or str(error), file=str(error.filename or ""))))
    except MemoryError:
        _complain("out of memory")
    except Exception as error:
        if not isinstance(error, SolverError):
            traceback.print_exc()
        _complain(f"{error} (a fault in smiless: please report it, with what 'smiless versions' prints)")
        return ExitCode.FAULT
    return ExitCode.BAD_INPUT


class _Printed(io.StringIO):
    """What a command prints, laid out for the stream that it is meant for."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return (self._stream and self._stream.encoding) or "utf-8"


def _deliver(text: str, stream: TextIO | None) -> None:
    """Write text to standard output; where its reader has gone away, that is all it wanted."""
    if not text:
        return
    if stream is None:
        raise OSError(errno.EBADF, "closed", "standard output")
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAINER).encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        _silence(stream)
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, f"cannot be written: {error.strerror}", "standard output") from None


def _complain(message: str) -> None:
    if sys.stderr is not None:
        try:
            print(f"smiless: {message}", file=sys.stderr, flush=True)
        except OSError:  # nowhere left to say so: the exit code has to do
            _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Drop what is left in the buffer of a stream: Python would try to write it once more at the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _usage(error: typer.BadParameter) -> str:
    """Say what is wrong with a command line as other errors do: place and message; and where to read on."""
    message = " ".join(error.format_message().split()).rstrip(".")
    message = re.sub(r"^Invalid value for '(.+?)': (?:Value error, )?", r"\1: ", message)
    command = error.ctx.command_path if error.ctx else "smiless"
    return str(InvalidInputError(f"{message[:1].lower()}{message[1:]} (see '{command} --help')"))
