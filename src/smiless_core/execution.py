"""Many independent cells of work, on any executor: with retries, and with a directory that keeps what is finished."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from smiless_core.errors import InvalidInputError, SmilessError
from smiless_core.placing import replace_file
from smiless_core.validation import mapping, shown, whole_number
from smiless_core.versions import version_report

__all__ = ["key_of", "pickled", "run_cells"]

_Cell = TypeVar("_Cell")
_Result = TypeVar("_Result")

_AT_ONCE = 256

# An interrupt in the instant before this thread goes to sleep does not wake it, so it wakes up now and then.
_POLL_SECONDS = 0.25

_MAGIC: Final = b"smiless cell 1\n"
_DIGEST_BYTES: Final = 32
_NAME_BYTES: Final = 16


def key_of(title: str, *told: object) -> str:
    """Return the key of a cell that may be kept.

    Parameters
    ----------
    title : str
        What people call it.
    *told : object
        All that its result depends on, besides the version of this library: bytes, or what `repr` tells apart.
    """
    digest = hashlib.blake2b(digest_size=20)
    for part in [version_report()["smiless_core"], *told]:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"{title} {digest.hexdigest()}"


def pickled(value: object, place: str) -> bytes:
    """Return what tells a value from all others, of the same or another process.

    Raises
    ------
    InvalidInputError
        If it does not pickle; it names the place.
    """
    written = io.BytesIO()
    try:
        pickler = pickle.Pickler(written, protocol=4)
        pickler.fast = True  # equal settings give equal bytes, whether or not they share memory
        pickler.dump(value)
    except Exception as error:
        raise InvalidInputError(f"{shown(value)} does not pickle: {error}", place=place) from None
    return written.getvalue()


def run_cells(
    work: Callable[[_Cell], _Result],
    cells: Mapping[str, _Cell],
    *,
    encode: Callable[[_Result], bytes],
    decode: Callable[[bytes], _Result],
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    retries: int = 1,
    at_once: int = _AT_ONCE,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, _Result], dict[str, str]]:
    """Run independent cells of work.

    Every result passes through `encode`, where it was computed, and `decode`, here. So a result is the same
    whether it was computed in this process, in another one, or found in the directory.

    Parameters
    ----------
    work : callable
        Takes a cell, returns its result. For executors of other processes it must pickle, as `encode` must.
    cells : mapping of str to cell
        The cells by key. With a directory a key must say all that its result depends on.
    encode : callable
        Takes a result, returns the bytes that stand for it.
    decode : callable
        Takes such bytes, returns the result.
    executor : concurrent.futures.Executor, optional
        Where to run them; it is not shut down. By default they run in this process, one after the other.
    directory : str or path, optional
        Where to keep finished cells, each in a file that appears whole or not at all as soon as the cell is
        finished; created if need be. What is found there is not computed again, unless it is damaged.
    retries : int, default 1
        How many more times to try a cell that fails.
    at_once : int, default 256
        How many cells to have submitted at a time: at least as many as the executor has workers.
    progress : callable, optional
        Called with the number of cells that are finished or have failed for good, and that of all, whenever
        the former grows.

    Returns
    -------
    results : dict of str to result
        Of the finished cells, in the order of `cells`.
    failures : dict of str to str
        Of the others, in that order: the error of the last try, on one line.

    Raises
    ------
    InvalidInputError
        If an argument is not of its kind.
    OSError
        If the directory cannot be used, or a file in it not be read or written; it names the file. Files of
        other cells stay.
    KeyboardInterrupt
        In this process or in a cell; cells that have not begun are canceled. The same holds of all other
        exceptions that are no `Exception`, and of those of `progress`.
    """
    mapping(cells, "cells")
    for key in cells:
        if not isinstance(key, str):
            raise InvalidInputError(f"expected texts for keys, got {shown(key)}", place="cells")
    if not (executor is None or isinstance(executor, Executor)):
        raise InvalidInputError(f"expected a concurrent.futures.Executor, got {shown(executor)}", place="executor")
    retries = whole_number(retries, "retries", at_least=0)
    at_once = whole_number(at_once, "at_once", at_least=1)
    store = None if directory is None else _Store(directory)
    if executor is None:
        executor, at_once = _Here(), 1

    results: dict[str, _Result] = {}
    failures: dict[str, str] = {}

    def report() -> None:
        if progress is not None:
            progress(len(results) + len(failures), len(cells))

    waiting: deque[tuple[str, int]] = deque()
    for key in cells:
        if store is not None and (found := store.read(key)) is not None:
            with suppress(Exception):  # written by a codec of other days: as good as damaged
                results[key] = decode(found)
        if key in results:
            report()
        else:
            waiting.append((key, 0))

    ours = os.urandom(8).hex()
    running: dict[Future[bytes], tuple[str, int]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                key, attempt = waiting.popleft()
                running[_submitted(executor, work, encode, cells[key], f"{ours} {attempt}")] = key, attempt
            for future in wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                key, attempt = running.pop(future)
                try:
                    data = future.result()
                    result = decode(data)
                except Exception as error:
                    if attempt < retries:
                        waiting.append((key, attempt + 1))  # behind the others: what ails it may have passed by then
                        continue
                    failures[key] = _line(error)
                else:
                    if store is not None:
                        store.write(key, data)
                    results[key] = result
                report()
    finally:
        for future in running:
            future.cancel()
    return (
        {key: results[key] for key in cells if key in results},
        {key: failures[key] for key in cells if key in failures},
    )


class _Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _submitted(
    executor: Executor,
    work: Callable[[_Cell], _Result],
    encode: Callable[[_Result], bytes],
    cell: _Cell,
    attempt: str,
) -> Future[bytes]:
    """Submit a cell; where the executor refuses it, as a broken one does, the cell has failed."""
    try:
        return executor.submit(_encoded, work, encode, cell, attempt)
    except Exception as error:
        refused: Future[bytes] = Future()
        refused.set_exception(error)
        return refused


def _encoded(
    work: Callable[[_Cell], _Result],
    encode: Callable[[_Result], bytes],
    cell: _Cell,
    attempt: str,  # Dask takes calls with equal arguments for one, and would give the error of an earlier try again
) -> bytes:
    return encode(work(cell))


def _line(error: Exception) -> str:
    """Sum an error up in one printable line."""
    said = " ".join(str(error).split())
    if isinstance(error, BrokenExecutor):
        said = f"the executor broke: {said}"
    elif not isinstance(error, SmilessError) or not said:
        said = f"{type(error).__name__}: {said}".removesuffix(": ")
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in said)


class _Store:
    """A directory of finished cells.

    A file holds a magic line, a digest of key and payload, and the payload. The name of the file is a digest
    of the key, and the key is in the other digest too: a file under a wrong name is taken for a damaged one.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        try:
            self._directory = Path(directory)
            self._directory.mkdir(parents=True, exist_ok=True)
        except (TypeError, ValueError) as error:  # no path at all, or one with a null byte in it
            raise InvalidInputError(f"expected a path, got {shown(directory)}: {error}", place="directory") from None

    def read(self, key: str) -> bytes | None:
        """Return the payload of a cell, or None where there is none or a damaged one."""
        path = self._path(key)
        with _naming(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
        payload = data[len(_MAGIC) + _DIGEST_BYTES :]
        return payload if data == _sealed(key, payload) else None

    def write(self, key: str, payload: bytes) -> None:
        """Put the payload of a cell in place in one step, so that no failure leaves half of it."""
        path = self._path(key)
        with _naming(path):
            replace_file(path, _sealed(key, payload))

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.blake2b(_bytes(key), digest_size=_NAME_BYTES).hexdigest()}.cell"


def _sealed(key: str, payload: bytes) -> bytes:
    digest = hashlib.blake2b(payload, digest_size=_DIGEST_BYTES)
    # A digest of fixed length behind the payload, for no other pair to give the same text.
    digest.update(hashlib.blake2b(_bytes(key)).digest())
    return _MAGIC + digest.digest() + payload


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # keys may hold odd names of files


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of the disk name the file that they are about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
