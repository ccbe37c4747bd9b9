"""The published Azure Functions traces.

The LLM inference traces of the same publisher are plain timestamp tables, which `generic` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.traces.members import Batch, Member, Members, check_ids
from smiless_core.traces.placement import MOST_PER_PERIOD, Placement, identity_generator, placed_times
from smiless_core.traces.table import Table, table_of
from smiless_core.traces.text import first_block, place
from smiless_core.traces.timestamps import nanoseconds
from smiless_core.validation import shown

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AzureCounts", "AzureEnds", "invocation_files"]

_MINUTE = 60_000_000_000
_MINUTES_PER_DAY = 1440
_ID_COLUMNS = ("hashowner", "hashapp", "hashfunction", "trigger")
_END_COLUMNS = ("app", "func", "end_timestamp", "duration")
_OFFICIAL_NAME = re.compile(r"invocations_per_function_md\.anon\.d(\d\d)\.csv(\.gz|\.zst)?")
_SAMPLE_NAME = re.compile(r"invocations\.csv(\.gz|\.zst)?")


def invocation_files(directory: Path) -> tuple[Path, ...]:
    """Find the counts of an Azure Functions 2019 directory.

    Parameters
    ----------
    directory : Path
        Holds ``invocations.csv``, or official days, ``invocations_per_function_md.anon.dNN.csv``.

    Returns
    -------
    tuple of Path
        One file, or the official days in their order, one file a day.

    Raises
    ------
    InvalidInputError
        If there are none.
    """
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except OSError as error:
        raise InvalidInputError(f"cannot read it: {error.strerror}") from None
    for known in (_SAMPLE_NAME, _OFFICIAL_NAME):
        if found := {_day(name): directory / name for name in names if known.fullmatch(name)}:
            return tuple(found.values())
    wanted = "invocations.csv or invocations_per_function_md.anon.dNN.csv"
    raise InvalidInputError(f"a directory without a trace: expected {wanted} in it")


@dataclass(frozen=True, slots=True)
class AzureCounts:
    """Azure Functions 2019: for each function, a count of invocations per minute.

    The columns are HashOwner, HashApp, HashFunction, Trigger, and consecutive minutes named by their number.
    Zero is the start of the first of them. Several official days follow one another.
    """

    files: tuple[Path, ...]
    placement: Placement
    seed: int
    format: ClassVar[str] = "azure2019"
    ordered: ClassVar[bool] = False

    def batches(self, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        """Read the file from its start, as `Source.batches` says."""
        first_day = _day(self.files[0].name)
        for file in self.files:
            try:
                yield from self._day(file, (_day(file.name) - first_day) * _MINUTES_PER_DAY, members, wanted)
            except InvalidInputError as error:
                raise error.within(file=str(file)) from None

    def _day(self, file: Path, minute: int, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        table = table_of(file, first_block(file).text.partition(b"\n")[0].decode())
        _check_minutes(table)
        repeats: dict[tuple[str, ...], int] = {}
        for frame, line in table.frames(range(len(table.columns))):
            counts = _counts(frame, table, line)
            for row, identity in enumerate(_identities(frame, table, line)):
                _, app, function, trigger = identity
                repeats[identity] = repeats.get(identity, -1) + 1
                code = members.add(Member(function, app), int(counts[row].sum()))
                if wanted is None or code in wanted:
                    # Rows that repeat an identity must not repeat its arrivals.
                    key = (*identity, str(repeats[identity]))
                    generator = identity_generator(self.seed, *key, f"minute {minute}")
                    phase = None
                    if self.placement is Placement.FIXED_PHASE and trigger == "timer":
                        phase = int(identity_generator(self.seed, *key, "phase").integers(0, _MINUTE))
                    times = placed_times(counts[row], _MINUTE, self.placement, generator, phase=phase)
                    times += minute * _MINUTE
                    yield Batch(times, np.full(times.size, code, dtype=np.int32))


def _day(name: str) -> int:
    official = _OFFICIAL_NAME.fullmatch(name)
    return int(official[1]) if official else 0


def _check_minutes(table: Table) -> None:
    wanted = "HashOwner, HashApp, HashFunction, Trigger and consecutive minutes"
    ids = len(_ID_COLUMNS)
    if tuple(name.lower() for name in table.columns[:ids]) != _ID_COLUMNS or len(table.columns) == ids:
        got = ", ".join(shown(name) for name in table.columns[: ids + 1])
        raise InvalidInputError(f"expected the columns {wanted}, got {got}", place=place(1))
    minutes = table.columns[ids:]
    first = int(minutes[0]) if re.fullmatch(r"\d{1,6}", minutes[0], re.ASCII) else 0
    for at, name in enumerate(minutes):
        if name != str(first + at):
            message = f"expected the columns {wanted}, got {shown(name)} where {first + at} was due"
            raise InvalidInputError(message, place=place(1))


def _identities(frame: pl.DataFrame, table: Table, line: int) -> list[tuple[str, ...]]:
    ids = frame.select(map(str, range(len(_ID_COLUMNS))))
    for column, names in enumerate(ids.get_columns()):
        check_ids(names, line, table.field(column))
    return ids.rows()


def _counts(frame: pl.DataFrame, table: Table, line: int) -> NDArray[np.int64]:
    """Read the counts per row and minute."""
    import polars as pl

    columns = frame.columns[len(_ID_COLUMNS) :]
    whole = frame.select(pl.col(columns).cast(pl.Int64, strict=False).fill_null(-1)).to_numpy()
    wrong = np.argwhere((whole < 0) | (whole > MOST_PER_PERIOD))
    if wrong.size:
        row, minute = map(int, wrong[0])
        value = frame[columns[minute]][row]
        message = f"expected a count from 0 to {MOST_PER_PERIOD}, got {shown(value) if value else 'nothing'}"
        raise InvalidInputError(message, place=place(line + row, table.field(len(_ID_COLUMNS) + minute)))
    return whole


@dataclass(frozen=True, slots=True)
class AzureEnds:
    """Azure Functions 2021: app, func, end_timestamp, duration, in seconds. Arrivals are end - duration."""

    table: Table
    format: ClassVar[str] = "azure2021"
    placement: ClassVar[None] = None
    ordered: ClassVar[bool] = False

    def batches(self, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        """Read the file from its start, as `Source.batches` says."""
        table = self.table
        lower = [name.lower() for name in table.columns]
        if missing := [name for name in _END_COLUMNS if name not in lower]:
            got = ", ".join(shown(name) for name in table.columns[:8])
            raise InvalidInputError(f"expected a column {missing[0]}, got {got}", place=place(1))
        app, func, end, duration = (lower.index(name) for name in _END_COLUMNS)
        for frame, line in table.frames([app, func, end, duration]):
            ends, durations = (
                nanoseconds(frame[str(at)], "s", instants=False, line=line, field=table.field(at))
                for at in (end, duration)
            )
            if (durations < 0).any():
                at = int(np.argmax(durations < 0))
                message = f"expected a duration of at least 0, got {shown(frame[str(duration)][at])}"
                raise InvalidInputError(message, place=place(line + at, table.field(duration)))
            ids = (func, app)
            codes = members.add_rows([frame[str(at)] for at in ids], line, [table.field(at) for at in ids])
            yield Batch(ends - durations, codes)
