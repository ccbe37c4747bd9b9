"""What goes on while a command takes its time: progress, and work that can be left behind."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from time import monotonic
from typing import TypeVar

__all__ = ["abandonable", "counting_bar", "progress_bar"]

_Result = TypeVar("_Result")

_BETWEEN = 0.05  # seconds: work that reports every arrival is not to wait for the screen


def abandonable(work: Callable[[], _Result]) -> _Result:
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
def progress_bar(what: str) -> Iterator[Callable[[int, float], None] | None]:
    """Show how many were found, and the fraction of the work that is done; None where nobody may be looking."""
    with _bar() as show:
        yield None if show is None else lambda found, done: show(f"{found} {what}", done)


@contextlib.contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many are done, of how many; None where nobody may be looking."""
    with _bar() as show:
        yield None if show is None else lambda done, of: show(f"{done:,} of {of:,} {what}", done / of)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, float], None] | None]:
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
        shown = -_BETWEEN

        def show(description: str, done: float) -> None:
            nonlocal shown
            if (now := monotonic()) - shown >= _BETWEEN or done >= 1.0:
                shown = now
                progress.update(task, completed=done, description=description)

        yield show
