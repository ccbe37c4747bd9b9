"""Traces of one timestamp per line: delimited tables and JSON lines.

Columns, and keys of JSON lines, are found by their names, whatever the case: the first that is there of

* the time: ``timestamp``, ``time``, ``ts``, ``arrival``, ``arrival_time``, ``arrival_timestamp``, ``start``,
  ``start_time``, ``start_timestamp``, ``datetime``, each also with a suffix ``_s``, ``_ms``, ``_us`` or
  ``_ns``;
* the function: ``function``, ``func``, ``function_id``, ``function_name``;
* the application: ``app``, ``application``, ``app_id``, ``model``, ``service``. Where there is no function,
  it stands for one.

A time is ISO 8601 text, or a number. The unit of numbers is that of the suffix; without suffix it is the
second in tables and the millisecond in JSON lines. It is never guessed from the size of the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from smiless_core.errors import InvalidInputError
from smiless_core.traces.members import Batch, Members
from smiless_core.traces.table import Table
from smiless_core.traces.text import Block, first_block, place, text_blocks
from smiless_core.traces.timestamps import UNITS, looks_like_instant, nanoseconds
from smiless_core.validation import shown

__all__ = ["JsonLines", "TimestampTable", "time_column"]

_TIMES = (
    "timestamp",
    "time",
    "ts",
    "arrival",
    "arrival_time",
    "arrival_timestamp",
    "start",
    "start_time",
    "start_timestamp",
    "datetime",
)
_FUNCTIONS = ("function", "func", "function_id", "function_name")
_APPS = ("app", "application", "app_id", "model", "service")


def time_column(names: Sequence[str], default_unit: str) -> tuple[int, str] | None:
    """Find the time among the names of columns.

    Parameters
    ----------
    names : sequence of str
        The names.
    default_unit : str
        The unit where the name has no suffix.

    Returns
    -------
    (int, str) or None
        The index of the column and its unit; None where there is none.
    """
    lower = [name.lower() for name in names]
    for time in _TIMES:
        for name, unit in [(time, default_unit), *((f"{time}_{unit}", unit) for unit in UNITS)]:
            if name in lower:
                return lower.index(name), unit
    return None


def _needed_time(names: Sequence[str], default_unit: str) -> tuple[int, str]:
    if found := time_column(names, default_unit):
        return found
    listed = ", ".join(shown(name) for name in names[:8]) + ", ..." * (len(names) > 8)
    message = f"expected one of the names {', '.join(_TIMES)}, got {listed or 'none'}"
    raise InvalidInputError(message, place=place(1))


def _member_columns(names: Sequence[str]) -> list[int]:
    """Find the function and perhaps the application; nothing where the file names neither."""
    lower = [name.lower() for name in names]
    found = [next((lower.index(name) for name in known if name in lower), None) for known in (_FUNCTIONS, _APPS)]
    return [index for index in found if index is not None]


@dataclass(frozen=True, slots=True)
class TimestampTable:
    """A delimited table with a column of timestamps, or a single column of them without header."""

    table: Table
    format: str = "csv"
    placement: ClassVar[None] = None
    ordered: ClassVar[bool] = True

    def batches(self, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        """Read the file from its start, as `Source.batches` says."""
        table = self.table
        time, unit = _needed_time(table.columns, "s") if table.headed else (0, "s")
        ids = _member_columns(table.columns)
        instants: bool | None = None
        for frame, line in table.frames([time, *ids]):
            texts = frame[str(time)]
            if instants is None:
                instants = looks_like_instant(texts[0] or "")
            times = nanoseconds(texts, unit, instants=instants, line=line, field=table.field(time))
            codes = members.add_rows([frame[str(at)] for at in ids], line, [table.field(at) for at in ids])
            yield Batch(times, codes, instants)


@dataclass(frozen=True, slots=True)
class JsonLines:
    """One JSON object per line."""

    path: Path
    format: ClassVar[str] = "jsonl"
    placement: ClassVar[None] = None
    ordered: ClassVar[bool] = True

    def batches(self, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        """Read the file from its start, as `Source.batches` says."""
        import polars as pl

        keys = self._first_keys()
        time, unit = _needed_time(keys, "ms")
        ids = _member_columns(keys)
        # Raw keeps the digits of a number, which a float would lose.
        fields = [("time", msgspec.Raw), ("function", str | int), ("app", str | int)][: 1 + len(ids)]
        names = dict(zip((name for name, _ in fields), (keys[at] for at in (time, *ids)), strict=True))
        decoder = msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=names, gc=False))
        instants: bool | None = None
        for block in text_blocks(self.path):
            rows = self._decoded(block, decoder)
            texts = pl.Series([bytes(row.time).decode().strip('"') for row in rows], dtype=pl.String)
            if instants is None:
                instants = looks_like_instant(texts[0])
            line = block.line
            times = nanoseconds(texts, unit, instants=instants, line=line, field=f"key {keys[time]}")
            columns = [pl.Series([str(getattr(row, name)) for row in rows]) for name in list(names)[1:]]
            codes = members.add_rows(columns, line, [f"key {keys[at]}" for at in ids])
            yield Batch(times, codes, instants)

    def _first_keys(self) -> list[str]:
        line = first_block(self.path).text.partition(b"\n")[0]
        try:
            first = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"not JSON: {error}", place=place(1)) from None
        if not isinstance(first, dict):
            raise InvalidInputError(f"expected a JSON object, got {shown(first)}", place=place(1))
        return list(first)

    def _decoded(self, block: Block, decoder: msgspec.json.Decoder[Any]) -> list[Any]:
        lines = block.text.count(b"\n") + 1
        try:
            rows = decoder.decode_lines(block.text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            rows = []
        if len(rows) == lines:
            return rows
        # Something is wrong: read line by line to say where.
        for at, line in enumerate(block.text.split(b"\n")):
            try:
                decoder.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                got = shown(line.decode().strip()) if line.strip() else "an empty line"
                message = f"expected a JSON object per line, got {got}: {error}"
                raise InvalidInputError(message, place=place(block.line + at)) from None
        several = f"lines {block.line} to {block.line + lines - 1}"
        raise InvalidInputError("expected one JSON object per line", place=several)
