"""What was measured, and the file that it is read from."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Hardware
from smiless_core.model.noun import Noun
from smiless_core.validation import choice, number, shown, text, whole_number

__all__ = ["Measurement", "read_measurements"]

_LARGEST_FILE = 64 * 2**20

# A nanosecond is the finest time that planning knows; the other limits keep every product within the range of
# floats.  Nothing that can be measured lies beyond them.
_SHORTEST_LATENCY, _LONGEST_TIME = 1e-9, 1e9
_SMALLEST_SIZE, _LARGEST_SIZE = 1e-6, 1e6
_MOST_REQUESTS = 10**6

_COLUMNS = {
    "function": "function",
    "hardware": "hardware",
    "size": "size",
    "batch": "batch",
    "latency_s": "latency",
    "latency": "latency",
    "dispatch_s": "dispatch",
    "dispatch": "dispatch",
    "dispatch_overhead_s": "dispatch",
    "cold_start_s": "cold_start",
    "cold_start": "cold_start",
    "cold_start_mean_s": "cold_start_mean",
    "cold_start_mean": "cold_start_mean",
    "cold_start_std_s": "cold_start_std",
    "cold_start_std": "cold_start_std",
}
_TIMES = ("latency", "dispatch", "cold_start", "cold_start_mean", "cold_start_std")
_TEXT_FIELDS = ("function", "hardware")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Measurement(Noun, frozen=True):
    """One run of one function on one kind of hardware, or a summary of its cold starts.

    Parameters
    ----------
    function : str
        The function that ran.
    hardware : Hardware or str
        What it ran on.
    size : float, optional
        Cores, or a share of one gpu in (0, 1]. Needed where there is a latency.
    batch : int, default 1
        Requests served together.
    latency : float, optional
        Seconds of inference on a warm instance, *without* dispatch.
    dispatch : float, optional
        Seconds to hand the batch over; counted on top of the latency.
    cold_start : float, optional
        Seconds of one observed cold start.
    cold_start_mean, cold_start_std : float, optional
        Mean and standard deviation of cold starts, in seconds, where the single ones are not known.

    Raises
    ------
    InvalidInputError
        If a value is out of range, a latency has no size, a standard deviation has no mean, or nothing
        at all was measured.
    """

    function: str
    hardware: Hardware
    size: float | None = None
    batch: int = 1
    latency: float | None = None
    dispatch: float | None = None
    cold_start: float | None = None
    cold_start_mean: float | None = None
    cold_start_std: float | None = None

    def __post_init__(self) -> None:
        hardware = choice(self.hardware, Hardware, place="hardware", what="hardware kind")
        self._set(
            function=text(self.function, "function"),
            hardware=hardware,
            batch=whole_number(self.batch, "batch", at_least=1, at_most=_MOST_REQUESTS),
        )
        if self.size is not None:
            size = hardware.checked_size(self.size, "size")
            self._set(size=number(size, "size", at_least=_SMALLEST_SIZE, at_most=_LARGEST_SIZE))
        measured = {name: value for name in _TIMES if (value := getattr(self, name)) is not None}
        for name, value in measured.items():
            shortest = _SHORTEST_LATENCY if name == "latency" else 0.0
            self._set(**{name: number(value, name, at_least=shortest, at_most=_LONGEST_TIME)})
        if "latency" in measured and self.size is None:
            raise InvalidInputError("expected the size that the latency belongs to, got none", place="size")
        if "cold_start_std" in measured and "cold_start_mean" not in measured:
            raise InvalidInputError("expected the mean that the deviation is from, got none", place="cold_start_mean")
        if not measured:
            raise InvalidInputError(f"expected one of {', '.join(_TIMES)}, got none", place="latency")


def read_measurements(path: str | PathLike[str], *, gpu_percent: bool = False) -> list[Measurement]:
    """Read measurements from a CSV file.

    The first line names the columns, in any order; ``function`` and ``hardware`` are needed. The others are
    ``size`` (cores, or a gpu share in (0, 1]), ``batch`` (1 where there is none), and times in seconds:
    ``latency_s`` without dispatch, ``dispatch_s``, ``cold_start_s`` (one observed cold start a row), or
    ``cold_start_mean_s`` and ``cold_start_std_s``. The suffix ``_s`` may be left out, and
    ``dispatch_overhead_s`` is taken for ``dispatch_s``. Fields may be empty, so that latencies and cold
    starts can share a file, and rows may repeat. Lists read from several files can be joined.

    Parameters
    ----------
    path : str or path
        The file, in UTF-8.
    gpu_percent : bool, default False
        Whether gpu sizes are given in percent of one gpu, rather than as shares.

    Returns
    -------
    list of Measurement
        In the order of the file; at least one.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or holds anything else. The line names the file, the line, the column and
        the value.
    """
    file = fspath(path)
    try:
        return list(_rows(csv.reader(io.StringIO(_text(Path(path)), newline=""), strict=True), gpu_percent))
    except InvalidInputError as error:
        raise error.within(file=file) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # a ValueError is a name with a null byte in it
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InvalidInputError(f"cannot be read: {reason[:1].lower()}{reason[1:]}") from None
    if len(data) > _LARGEST_FILE:
        raise InvalidInputError(f"the file is larger than {_LARGEST_FILE // 2**20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidInputError(
            f"expected text in UTF-8, got byte 0x{data[error.start]:02x}", place=f"line {line}"
        ) from None


def _rows(reader: Iterator[list[str]], gpu_percent: bool) -> Iterator[Measurement]:
    """Measurements of a table, with the place of whatever is wrong in it."""
    columns: list[str] = []
    empty = True
    line = 1
    try:
        # A quoted field may span lines: the line that is named is the one where the row begins.
        for row in reader:
            if any(field.strip() for field in row):
                if not columns:
                    columns = _header(row, line)
                else:
                    empty = False
                    yield _measurement(columns, row, line, gpu_percent)
            line = reader.line_num + 1  # type: ignore[attr-defined]
    except csv.Error as error:
        raise InvalidInputError(f"not comma-separated values: {error}", place=f"line {line}") from None
    if empty:
        raise InvalidInputError("expected a line of column names and at least one measurement, got less")


def _header(row: list[str], line: int) -> list[str]:
    columns = [field.strip() for field in row]
    if len(columns) == 1 and (other := next((mark for mark in ";\t|" if mark in columns[0]), None)):
        raise InvalidInputError(f"expected columns separated by commas, got {other!r}", place=f"line {line}")
    seen: dict[str, str] = {}
    for column in columns:
        if column not in _COLUMNS:
            raise InvalidInputError.unknown("column", column, _COLUMNS, place=f"line {line}")
        if other := seen.get(_COLUMNS[column]):
            raise InvalidInputError(f"columns {other!r} and {column!r} mean the same", place=f"line {line}")
        seen[_COLUMNS[column]] = column
    for needed in _TEXT_FIELDS:
        if needed not in seen:
            raise InvalidInputError(f"no column {needed!r} among {', '.join(map(repr, columns))}", place=f"line {line}")
    return columns


def _measurement(columns: list[str], row: list[str], line: int, gpu_percent: bool) -> Measurement:
    if len(row) != len(columns):
        raise InvalidInputError(f"expected {len(columns)} fields, got {len(row)}", place=f"line {line}")
    fields: dict[str, Any] = {}  # `Measurement` checks them
    for column, raw in zip(columns, row, strict=True):
        field, value = _COLUMNS[column], raw.strip()
        if field in _TEXT_FIELDS:
            fields[field] = value
        elif value:
            if not _NUMBER.fullmatch(value):
                raise InvalidInputError(
                    f"expected a finite number, got {shown(value)}", place=f"line {line}, column {column}"
                )
            fields[field] = float(value)
    if gpu_percent and fields["hardware"] == Hardware.GPU and "size" in fields:
        fields["size"] = float(fields["size"]) / 100.0
    if "batch" in fields and float(fields["batch"]).is_integer():
        fields["batch"] = int(fields["batch"])
    try:
        return Measurement(**fields)
    except InvalidInputError as error:
        column = next((column for column in columns if _COLUMNS[column] == error.place), error.place)
        raise InvalidInputError(error.message, place=f"line {line}, column {column}") from None
