"""Processes that work for a command, and do not outlive it."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from threading import enumerate as enumerate_threads

from smiless_core.cli.policies import load

__all__ = ["usual_workers", "workers"]

_MOST = 4
_PATIENCE = 5.0  # seconds


def usual_workers() -> int:
    """Return how many processes to use: as many as there are cores for this one, up to a few."""
    return min(_MOST, len(os.sched_getaffinity(0)))


@contextlib.contextmanager
def workers(count: int, files: Sequence[str]) -> Iterator[Executor | None]:
    """Keep so many processes at work; of one, this process does the work itself.

    Parameters
    ----------
    count : int
        How many.
    files : sequence of str
        Python files that they have to load before anything that comes from these can be sent to them.
    """
    if count == 1:
        yield None
        return
    # Not forks of this process: it may have threads, which would be missing there, with their locks held.
    context = get_context("forkserver")
    context.set_forkserver_preload(["smiless_core"])
    before, threads = set(active_children()), set(enumerate_threads())
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(tuple(files),)) as executor:
        # The processes inherit this: an interruption is for the command alone, which then ends them.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            executor.submit(os.getpid)  # for there to be a first one
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        try:
            yield executor
        except BaseException:
            # In this order: the executor is to forget what was canceled before it sees that processes have ended.
            executor.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()) - before:
                process.terminate()
            for thread in set(enumerate_threads()) - threads:
                thread.join(_PATIENCE)
            raise


def _begin(files: Sequence[str]) -> None:
    """Prepare a process for work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr  # what policies print is no part of the answer
    Thread(target=_end_with_parent, daemon=True).start()
    for file in files:
        load(file)


def _end_with_parent() -> None:
    """End this process when the command has ended, by whatever means: nobody else would tell."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)
