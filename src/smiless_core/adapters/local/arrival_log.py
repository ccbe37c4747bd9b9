"""When requests came: the last ones of a function, on disk, so that a restart of the node forgets none."""

from __future__ import annotations

import os
import struct
from array import array
from pathlib import Path

from smiless_core.adapters.protocol import Arrived
from smiless_core.errors import InvalidInputError
from smiless_core.placing import replace_file
from smiless_core.validation import shown

__all__ = ["ArrivalLog"]

_HEADER = struct.Struct("<8sQ")  # which log it is, and how many arrivals were cut off its front
_TIME = struct.Struct("<d")


class ArrivalLog:
    """The last arrivals of one function, numbered from 0.

    Every arrival is written before it is served: what a process has written survives its end, though not that of the
    machine.

    Parameters
    ----------
    path : Path
        The file, made if it is not there.
    keep : int, default 65536
        How many are kept at least; twice as many at most.
    """

    def __init__(self, path: Path, *, keep: int = 65_536) -> None:
        self._path, self._keep = path, keep
        data = path.read_bytes() if path.exists() else b""
        if len(data) < _HEADER.size:
            data = _HEADER.pack(os.urandom(4).hex().encode(), 0)
            replace_file(path, data)
        self._name: bytes
        self._cut: int
        self._name, self._cut = _HEADER.unpack_from(data)
        whole = len(data) - (len(data) - _HEADER.size) % _TIME.size
        self._times = array("d", [each for (each,) in _TIME.iter_unpack(data[_HEADER.size : whole])])
        if whole < len(data):
            os.truncate(path, whole)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def __len__(self) -> int:
        """Return how many arrivals there have been."""
        return self._cut + len(self._times)

    def add(self, time: float) -> float:
        """Write down an arrival.

        Parameters
        ----------
        time : float
            When it came; taken for that of the last one if a clock was set back.

        Returns
        -------
        float
            What is written down.
        """
        if self._times and time < self._times[-1]:
            time = self._times[-1]
        os.write(self._file, _TIME.pack(time))
        self._times.append(time)
        if len(self._times) >= 2 * self._keep:
            self._shorten()
        return time

    def since(self, cursor: str, *, most: int = 10_000) -> Arrived:
        """Return the arrivals since a cursor.

        Parameters
        ----------
        cursor : str
            The one of the last answer; empty to begin now. That of another log stands for the beginning of this one.
        most : int, default 10000
            How many to return at once; the rest comes with the next cursor.

        Returns
        -------
        Arrived
            Those that were cut off are lost.

        Raises
        ------
        InvalidInputError
            If it is no cursor.
        """
        if not cursor:
            return Arrived((), self._cursor(len(self)))
        name, dash, text = cursor.partition("-")
        if not dash or not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise InvalidInputError(f"expected the cursor of an earlier answer, got {shown(cursor)}", place="since")
        begin = min(int(text), len(self)) if name == self._name.decode() else 0
        first = max(begin, self._cut)
        times = self._times[first - self._cut : first - self._cut + most]
        return Arrived(tuple(times), self._cursor(first + len(times)), first - begin)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _cursor(self, at: int) -> str:
        return f"{self._name.decode()}-{at}"

    def _shorten(self) -> None:
        drop = len(self._times) - self._keep
        del self._times[:drop]
        self._cut += drop
        replace_file(
            self._path,
            _HEADER.pack(self._name, self._cut) + b"".join(_TIME.pack(each) for each in self._times),
        )
        os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
