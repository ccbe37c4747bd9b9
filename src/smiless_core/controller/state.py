"""What a controller remembers over a restart, or a kill: one SQLite file."""

from __future__ import annotations

import itertools
import json
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from smiless_core.controller.database import explained, opened
from smiless_core.controller.lines import JsonLines
from smiless_core.errors import InvalidInputError
from smiless_core.model import Application
from smiless_core.validation import number, shown, whole_number

__all__ = ["Begun", "Decided", "Store"]

_DECISIONS: Final = 1000
_SCALARS: Final = (str, int, type(None))


class Begun(NamedTuple):
    """An entry of the schedule that has been begun.

    Attributes
    ----------
    key : str
        What it is called.
    due : float
        When it was due, seconds since 1970.
    """

    key: str
    due: float


class Decided(NamedTuple):
    """A decision.

    Attributes
    ----------
    time : float
        When, seconds since 1970.
    payload : dict of str to Any
        What was written of it.
    """

    time: float
    payload: dict[str, Any]


class Store:
    """The memory of one controller of one application: `Store.open` it, and `close` it or use it as a context.

    What a call has returned from is on disk: it survives the death of the process and of the machine. A call that
    raises has changed nothing. The file belongs to one open store at a time, which keeps two controllers apart, and
    the kernel lets it go when its process dies. All calls are short, and are made from one thread.

    All calls raise `PlatformError` if the disk is full or fails, and `InvalidInputError` if the file turns out to be
    damaged, or an argument is wrong.
    """

    def __init__(self, connection: sqlite3.Connection, path: str, *, keep: int, lines: JsonLines) -> None:
        self._connection = connection
        self._path = path
        self._keep = keep
        self._lines = lines
        self._kept = int(self._one("SELECT count(*) FROM arrivals"))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        application: Application,
        keep: int = 100_000,
        patience: float = 5.0,
        lines: JsonLines | None = None,
    ) -> Self:
        """Open the state of an application, or begin one.

        Parameters
        ----------
        path : path-like
            The file; made if there is none. What SQLite keeps beside it, ``-wal`` and ``-shm``, belongs to it.
        application : Application
            Whose it is: its name, its functions and their edges. What else changes of it leaves the state valid.
        keep : int, default 100000
            How many arrivals to remember, the latest.
        patience : float, default 5
            Seconds to wait for another process that has the file open.
        lines : JsonLines, optional
            How decisions are written, and without which secrets.

        Returns
        -------
        Store
            As it was left.

        Raises
        ------
        InvalidInputError
            If the file cannot be had, is damaged, or is the state of another application or a newer version. It is
            left as it was.
        PlatformError
            If another process has it open, or the disk fails.
        """
        keep = whole_number(keep, "keep", at_least=1)
        patience = number(patience, "patience", at_least=0.0)
        connection = opened(os.fspath(path), application, patience=patience)
        try:
            with explained(os.fspath(path), "open"):
                return cls(connection, os.fspath(path), keep=keep, lines=lines or JsonLines())
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Let go of the file. A store that is closed stays so."""
        with explained(self._path, "close"):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- arrivals -----------------------------------------------------------------------------------------------

    def ingest(self, function: str, times: object, cursor: str, lost: int = 0) -> None:
        """Append arrivals and move the cursor behind them, both or neither.

        Parameters
        ----------
        function : str
            Where they arrived.
        times : array_like of float
            When, seconds since 1970, in any order.
        cursor : str
            Where to go on.
        lost : int, default 0
            Arrivals whose time is not known.
        """
        came = np.sort(_times(times))
        lost = whole_number(lost, "lost", at_least=0, at_most=2**53)
        if not came.size and not lost and cursor == self.cursor(function):
            return
        latest = came[-self._keep :]  # the earlier ones would be forgotten at once
        kept = self._kept + latest.size
        with self._changing("ingest") as connection:
            count = self._count("count")
            connection.execute(
                "INSERT INTO sources VALUES (:function, :cursor, :count, :lost) ON CONFLICT (function) DO UPDATE"
                " SET cursor = :cursor, count = count + :count, lost = lost + :lost",
                {
                    "function": _storable(function, "function"),
                    "cursor": _storable(cursor, "cursor"),
                    "count": came.size,
                    "lost": lost,
                },
            )
            connection.executemany(
                "INSERT INTO arrivals VALUES (?, ?)", zip(latest.tolist(), itertools.count(count), strict=False)
            )
            if kept > self._keep + max(self._keep // 10, 1):
                kept -= connection.execute(
                    "DELETE FROM arrivals WHERE (time, number) < (SELECT time, number FROM arrivals"
                    " ORDER BY time DESC, number DESC LIMIT 1 OFFSET ?)",
                    (self._keep - 1,),
                ).rowcount
        self._kept = kept

    def cursor(self, function: str) -> str:
        """Return where to go on with a function; empty if nothing was ever ingested of it."""
        with explained(self._path, "cursor"):
            row = self._connection.execute(
                "SELECT cursor FROM sources WHERE function = ?", (_storable(function, "function"),)
            ).fetchone()
        return str(row[0]) if row else ""

    def history(self, most: int | None = None) -> NDArray[np.float64]:
        """Return the latest arrivals.

        Parameters
        ----------
        most : int, optional
            How many at most; all that are remembered by default.

        Returns
        -------
        ndarray of float64, shape (n,)
            Seconds since 1970, ascending.
        """
        count = self._keep if most is None else min(whole_number(most, "most", at_least=0), self._keep)
        with explained(self._path, "history"):
            rows = self._connection.execute(
                "SELECT time FROM arrivals ORDER BY time DESC, number DESC LIMIT ?", (count,)
            ).fetchall()
        try:
            return np.array([time for (time,) in reversed(rows)], dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidInputError("is damaged: what came is not a time", file=self._path) from None

    @property
    def count(self) -> int:
        """Arrivals ingested ever, with those that are not remembered any more, without those lost."""
        return self._count("count")

    @property
    def lost(self) -> int:
        """Arrivals ever whose time was not known."""
        return self._count("lost")

    # --- the schedule -------------------------------------------------------------------------------------------

    def begin(self, key: str, due: float) -> bool:
        """Say that an entry of the schedule is about to be executed.

        Parameters
        ----------
        key : str
            What it is called.
        due : float
            When it is due, seconds since 1970.

        Returns
        -------
        bool
            True the first time, False ever after until it is forgotten: it may have been executed.
        """
        row = (_storable(key, "key"), number(due, "due"))
        with self._changing("begin") as connection:
            return connection.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, NULL)", row).rowcount == 1

    def finish(self, key: str, outcome: str) -> None:
        """Say what came of an entry that was begun. What is said first stays.

        Raises
        ------
        InvalidInputError
            If it was not begun, or is forgotten.
        """
        row = (_storable(outcome, "outcome"), _storable(key, "key"))
        with self._changing("finish") as connection:
            if not connection.execute("UPDATE entries SET outcome = coalesce(outcome, ?) WHERE key = ?", row).rowcount:
                raise InvalidInputError.unknown("entry that was begun", key, ())

    def outcome(self, key: str) -> str | None:
        """Return what came of an entry; None if it is not finished, not begun, or forgotten."""
        with explained(self._path, "outcome"):
            row = self._connection.execute(
                "SELECT outcome FROM entries WHERE key = ?", (_storable(key, "key"),)
            ).fetchone()
        return row[0] if row else None

    def unfinished(self) -> list[Begun]:
        """Return entries that were begun and not finished, in the order in which they were due."""
        with explained(self._path, "unfinished"):
            rows = self._connection.execute(
                "SELECT key, due FROM entries WHERE outcome IS NULL ORDER BY due, key"
            ).fetchall()
        return [Begun(*row) for row in rows]

    def forget(self, before: float) -> int:
        """Forget entries that were due before some time, finished or not.

        Parameters
        ----------
        before : float
            Seconds since 1970.

        Returns
        -------
        int
            How many.
        """
        before = number(before, "before")
        with explained(self._path, "forget"):
            if self._one("SELECT min(due) FROM entries", default=math.inf) >= before:
                return 0
        with self._changing("forget") as connection:
            return connection.execute("DELETE FROM entries WHERE due < ?", (before,)).rowcount

    # --- notes --------------------------------------------------------------------------------------------------

    def decision(self, now: float, payload: Mapping[str, Any]) -> None:
        """Write down a decision; the last 1,000 are kept.

        Parameters
        ----------
        now : float
            When, seconds since 1970.
        payload : mapping of str to Any
            What was decided, and why: written as `JsonLines` does.
        """
        row = (number(now, "now"), self._lines.line(payload))
        with self._changing("decision") as connection:
            last = connection.execute("INSERT INTO decisions (time, payload) VALUES (?, ?)", row).lastrowid or 0
            connection.execute("DELETE FROM decisions WHERE number <= ?", (last - _DECISIONS,))

    def decisions(self, most: int = _DECISIONS) -> list[Decided]:
        """Return the last decisions, in the order in which they were made."""
        count = whole_number(most, "most", at_least=0)
        with explained(self._path, "decisions"):
            rows = self._connection.execute(
                "SELECT time, payload FROM decisions ORDER BY number DESC LIMIT ?", (min(count, _DECISIONS),)
            ).fetchall()
        return [Decided(time, self._parsed(payload)) for time, payload in reversed(rows)]

    def meta(self, key: str, default: Any = None) -> Any:
        """Return what was noted under a key, or the default."""
        with explained(self._path, "meta"):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (_noted(key),)).fetchone()
        return self._parsed(row[0]) if row else default

    def set_meta(self, key: str, value: str | int | float | bool | None) -> None:
        """Note a single value under a key, such as when a session began; it comes back as it was.

        Raises
        ------
        InvalidInputError
            If it is not a text, a truth value or a finite number.
        """
        if isinstance(value, float):
            number(value, key)
        elif not isinstance(value, _SCALARS):
            raise InvalidInputError(f"expected text or a finite number, got {shown(value)}", place=key)
        with self._changing("set_meta") as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_noted(key), json.dumps(value)))

    # --- inside -------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self, doing: str) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        with explained(self._path, doing):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may have taken it back already
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise

    def _one(self, query: str, default: Any = 0) -> Any:
        (value,) = self._connection.execute(query).fetchone()
        return default if value is None else value

    def _count(self, column: str) -> int:
        with explained(self._path, column):
            return int(self._one(f"SELECT sum({column}) FROM sources"))

    def _parsed(self, payload: str) -> Any:
        try:
            return json.loads(payload)
        except (TypeError, ValueError):
            raise InvalidInputError("is damaged: what was noted is not JSON", file=self._path) from None


def _times(times: object) -> NDArray[np.float64]:
    try:
        checked = np.array(times, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInputError(f"expected numbers, got {shown(times)}", place="times") from None
    if checked.ndim != 1 or not np.isfinite(checked).all():
        raise InvalidInputError(f"expected a list of finite numbers, got {shown(times)}", place="times")
    return checked


def _storable(value: object, place: str) -> str:
    if isinstance(value, str):
        with suppress(UnicodeEncodeError):
            value.encode()
            return str(value)
    raise InvalidInputError(f"expected text, got {shown(value)}", place=place)


def _noted(key: object) -> str:
    return "." + _storable(key, "key")  # no key of ours begins so
