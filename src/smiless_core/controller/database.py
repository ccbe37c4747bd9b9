"""The SQLite file of a controller: begun, checked before anything is written, and held by one process."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Application
from smiless_core.placing import reason_of, replace_file
from smiless_core.validation import shown

__all__ = ["explained", "opened"]

_APPLICATION_ID: Final = int.from_bytes(b"smls", "big")
_VERSION: Final = 1

_SCHEMA: Final = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
    function TEXT PRIMARY KEY, cursor TEXT NOT NULL, count INTEGER NOT NULL, lost INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE arrivals (time REAL NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (time, number)) WITHOUT ROWID;
CREATE TABLE entries (key TEXT PRIMARY KEY, due REAL NOT NULL, outcome TEXT) WITHOUT ROWID;
CREATE INDEX entries_due ON entries (due);
CREATE TABLE decisions (number INTEGER PRIMARY KEY, time REAL NOT NULL, payload TEXT NOT NULL);
"""

# Whose they are is written beside what its users note.
_TITLE: Final = "title"
_DIGEST: Final = "digest"

_NOT_OURS: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def opened(path: str, application: Application, *, patience: float) -> sqlite3.Connection:
    """Open the file of an application for this process alone, and begin it if there is none.

    Parameters
    ----------
    path : str
        The file.
    application : Application
        Whose it is.
    patience : float
        Seconds to wait for another process that has it open.

    Returns
    -------
    sqlite3.Connection
        Without transactions of Python's making. What is committed is on disk.

    Raises
    ------
    InvalidInputError
        If the file cannot be had, is damaged, or is the state of another application or version. It is left as it was.
    PlatformError
        If another process has it open, or the disk fails.
    """
    told = {_TITLE: application.name, _DIGEST: _digest(application)}
    with explained(path, "open"):
        file = _found(path) or _begun(path, _empty(told))
        # Closing a connection that could write would put what is in the log into a file that is refused after.
        with closing(_connect(file, "ro", patience)) as reader:
            _check(reader, told, path)
        connection = _connect(file, "rw", patience)
        try:
            for pragma, wanted in (("locking_mode = EXCLUSIVE", "exclusive"), ("journal_mode = WAL", "wal")):
                (got,) = connection.execute(f"PRAGMA {pragma}").fetchone()
                if got != wanted:
                    raise InvalidInputError(f"cannot be opened: {pragma} gives {got}", file=path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript("BEGIN IMMEDIATE; ROLLBACK")  # from now on, no one else
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def explained(path: str, doing: str) -> Iterator[None]:
    """Say in our words what SQLite has to say.

    Parameters
    ----------
    path : str
        The file.
    doing : str
        What is being done with it.

    Raises
    ------
    InvalidInputError
        If the file is damaged, or cannot be opened.
    PlatformError
        If another process has it open, or the disk is full or fails.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a mistake in a program, such as using what is closed
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # the rest of it is detail
        if code in _NOT_OURS:
            raise InvalidInputError(f"cannot be opened: {error}", file=path) from None
        # Without a schema that we know, or with text that is none, it is not what we wrote.
        if code in _DAMAGED or (doing == "open" and code == sqlite3.SQLITE_ERROR):
            raise InvalidInputError(f"is damaged: {error}", file=path) from None
        busy = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        reason = "in use by another process" if busy else str(error)
        raise PlatformError(f"{path}: {reason}", "state", doing) from None


def _found(name: str) -> Path | None:
    """Return the file through symbolic links, None if there is none."""
    try:
        file = Path(os.path.realpath(name))
        if file.exists():
            if not file.is_file():
                raise InvalidInputError("cannot be opened: it is not a file", file=name)
            if not file.stat().st_size:  # SQLite would take it for a new one; ours are never empty
                raise InvalidInputError("is empty: remove it to begin anew", file=name)
            return file
        # What was left of another one would be played into the new one.
        if (left := file.with_name(f"{file.name}-wal")).exists():
            raise InvalidInputError(f"is not there, but its {left.name} is: remove it to begin anew", file=name)
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot be opened: {reason_of(error)}", file=name) from None
    return None


def _begun(name: str, data: bytes) -> Path:
    """Put a new file in place whole, unless another process was faster."""
    file = Path(os.path.realpath(name))
    draft = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    try:
        replace_file(draft, data)
        try:
            with suppress(FileExistsError):
                os.link(draft, file)
        finally:
            draft.unlink()
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise InvalidInputError(f"cannot be written: {reason_of(error)}", file=name) from None
    return file


def _connect(file: Path, mode: str, patience: float) -> sqlite3.Connection:
    uri = f"{file.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience)


def _empty(told: Mapping[str, str]) -> bytes:
    """Return the content of a new file, so that it can be put in place whole."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", told.items())
        return connection.serialize()


def _check(connection: sqlite3.Connection, told: Mapping[str, str], name: str) -> None:
    """Refuse what is not the state of this application, before anything is written."""
    (identity,), (version,) = (
        connection.execute(f"PRAGMA {pragma}").fetchone() for pragma in ("application_id", "user_version")
    )
    if identity != _APPLICATION_ID:
        raise InvalidInputError("is not the state of a controller", file=name)
    if version != _VERSION:
        raise InvalidInputError(
            f"expected {_VERSION}, got {version}: written by another version of this library",
            place="version",
            file=name,
        )
    # The first row says whether all is well, or what is not.
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise InvalidInputError(f"is damaged: {' '.join(str(verdict).split())}", file=name)
    found = dict(connection.execute("SELECT key, value FROM meta WHERE key IN (?, ?)", (_TITLE, _DIGEST)))
    if found != told:
        raise InvalidInputError(
            f"expected the state of {shown(told[_TITLE])} ({told[_DIGEST]}),"
            f" got that of {shown(found.get(_TITLE))} ({found.get(_DIGEST)})",
            place="application",
            file=name,
        )


def _digest(application: Application) -> str:
    told = [application.name, application.names, application.edges]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()
