"""What happened to every request and every instance, kept in memory or streamed to a Parquet file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.placing import reason_of
from smiless_core.serving import ENDED, SERVED, Serving
from smiless_core.simulator.runs import Instances, Services

__all__ = ["RECORDED", "Noted", "RecordsFile"]

RECORDED = ("function", "invocation", "comes", "begins", "finishes", "instance", "batch", "cold")
"""The columns of a file of records: the name of the function, the number of the arrival, when the request came, when
its service began and ended (nanoseconds after the first arrival), the number of the instance within its function, how
many requests shared the service, and whether the instance initialized for it."""

_ROWS = 100_000  # of a group in the file

Integers = NDArray[np.int64]


class RecordsFile:
    """A Parquet file under way: rows are written in groups, and the file takes its name when it is complete."""

    def __init__(self, path: Path, functions: Sequence[str]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtraError("records", "writing records") from None
        self._arrow = pyarrow
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._functions = pyarrow.array(list(functions), pyarrow.string())
        kinds = {"function": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), "cold": pyarrow.bool_()}
        self._schema = pyarrow.schema([(name, kinds.get(name, pyarrow.int64())) for name in RECORDED])
        self._waiting: list[Integers] = []
        with self._naming():
            self._writer = pyarrow.parquet.ParquetWriter(self._partial, self._schema)

    @classmethod
    @contextmanager
    def perhaps(cls, path: str | PathLike[str] | None, functions: Sequence[str]) -> Iterator[RecordsFile | None]:
        """Open a file for the time of a simulation; None without a path. Nothing is left of it if that fails."""
        if path is None:
            yield None
            return
        file = cls(Path(path), functions)
        try:
            yield file
            file.close()
        except BaseException:
            file.abandon()
            raise

    def write(self, served: Integers) -> None:
        """Add rows, columns `SERVED`."""
        if served.size:
            self._waiting.append(served)
            if sum(map(len, self._waiting)) >= _ROWS:
                self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows, self._waiting = np.concatenate(self._waiting), []
        column: dict[str, Any] = dict(zip(SERVED, rows.T, strict=True))
        arrow = self._arrow
        arrays = [
            arrow.DictionaryArray.from_arrays(arrow.array(column["function"].astype(np.int32)), self._functions),
            *(arrow.array(column["serial" if name == "instance" else name]) for name in RECORDED[1:-1]),
            arrow.array(column["cold"] != 0),
        ]
        with self._naming():
            self._writer.write_table(arrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Complete the file and give it its name."""
        self._flush()
        with self._naming():
            self._writer.close()
            os.replace(self._partial, self._path)

    def abandon(self) -> None:
        """Remove what there is of it."""
        with suppress(Exception):
            self._writer.close()
        with suppress(OSError):
            self._partial.unlink()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Let an error of the disk name the file that was asked for."""
        try:
            yield
        except OSError as error:
            raise InvalidInputError(f"cannot be written: {reason_of(error)}", file=str(self._path)) from None


class Noted:
    """What the engine has noted so far.

    Parameters
    ----------
    file : RecordsFile or None
        Where services go as they come.
    keep : bool
        Whether all is kept for a timeline.
    """

    def __init__(self, file: RecordsFile | None, *, keep: bool) -> None:
        self._file = file
        self._keep = keep
        self._served: list[Integers] = []
        self._ended: list[Integers] = []

    @property
    def wanted(self) -> bool:
        """Whether the engine is to take notes at all."""
        return self._keep or self._file is not None

    def take(self, serving: Serving) -> None:
        """Take away what has been noted since the last time."""
        if not self.wanted:
            return
        served, ended = serving.drain()
        if self._file is not None:
            self._file.write(served)
        if self._keep:
            self._served.append(served)
            self._ended.append(ended)

    def timeline(self, numbers: Sequence[Sequence[int]]) -> tuple[Instances, Services]:
        """Return all that was kept; `numbers` are those of each function's usage."""
        ended = dict(zip(ENDED, np.concatenate(self._ended).T, strict=True))
        served = dict(zip(SERVED, np.concatenate(self._served).T, strict=True))
        usage = [
            numbers[v].index(number)
            for v, number in zip(ended["function"].tolist(), ended["configuration"].tolist(), strict=True)
        ]
        return (
            Instances(
                ended["function"],
                ended["serial"],
                np.array(usage, np.int64),
                *(ended[name] / 1e9 for name in ("starts", "ready", "ends")),
            ),
            Services(
                function=served["function"],
                invocation=served["invocation"],
                serial=served["serial"],
                batch=served["batch"],
                cold=served["cold"] != 0,
                comes=served["comes"] / 1e9,
                begins=served["begins"] / 1e9,
                finishes=served["finishes"] / 1e9,
            ),
        )
