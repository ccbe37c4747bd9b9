"""Delimited tables read in blocks, as text, with the line of everything that is wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smiless_core.errors import InvalidInputError
from smiless_core.traces.text import Block, place, text_blocks

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Table", "table_of"]

_SEPARATORS = ",;\t"


@dataclass(frozen=True, slots=True)
class Table:
    """The shape of a delimited file."""

    path: Path
    columns: tuple[str, ...]
    """The names of the header; one empty name where there is no header."""

    separator: str = ","

    @property
    def headed(self) -> bool:
        """Whether the first line names the columns."""
        return self.columns != ("",)

    def field(self, column: int) -> str:
        """Name a column for an error.

        Parameters
        ----------
        column : int
            Its index.

        Returns
        -------
        str
            Such as ``column time``; nothing where there is no header.
        """
        return f"column {self.columns[column]}" if self.headed else ""

    def frames(self, wanted: Sequence[int]) -> Iterator[tuple[pl.DataFrame, int]]:
        """Read the rows.

        Parameters
        ----------
        wanted : sequence of int
            The indices of the columns that are needed.

        Yields
        ------
        DataFrame
            Some rows: columns of text named by their index in the file, in the order wanted; null if empty.
        int
            The line of the first of them.

        Raises
        ------
        InvalidInputError
            If a row has fewer or more fields than the header, or its quotes do not match within the line.
        """
        for block in text_blocks(self.path):
            if self.headed and block.line == 1:
                block = Block(block.text.partition(b"\n")[2], 2)
                if not block.text:
                    continue
            yield self._frame(block, wanted), block.line

    def _frame(self, block: Block, wanted: Sequence[int]) -> pl.DataFrame:
        import polars as pl

        text, line = block
        quoted = b'"' in text
        lines = self._check(block, quoted)
        try:
            frame = pl.read_csv(
                text,
                has_header=False,
                schema={str(index): pl.String for index in range(len(self.columns))},
                columns=sorted(set(wanted)),
                separator=self.separator,
                quote_char='"' if quoted else None,
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            frame, reason = None, str(error).partition("\n")[0]
        else:
            reason = "its quotes do not match"
        if frame is None or frame.height != lines:
            raise InvalidInputError(f"not a table: {reason}", place=f"lines {line} to {line + lines - 1}")
        return frame.select(map(str, wanted))

    def _check(self, block: Block, quoted: bool) -> int:
        """Count the lines, after seeing that each has as many fields as there are columns."""
        text, line = block
        marks = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(marks == ord("\n"))
        separators = marks == ord(self.separator)
        if quoted:
            inside = np.logical_xor.accumulate(marks == ord('"'))
            unclosed = np.flatnonzero(inside[np.append(ends, marks.size - 1)])
            if unclosed.size:
                message = "expected quotes that close within the line"
                raise InvalidInputError(message, place=place(line + unclosed[0]))
            separators &= ~inside
        starts = np.concatenate(([0], ends + 1))
        fields = np.add.reduceat(separators, starts, dtype=np.int32) + 1
        wrong = np.flatnonzero(fields != len(self.columns))
        if wrong.size:
            at = int(wrong[0])
            blank = not text[starts[at] :].partition(b"\n")[0].strip()
            got = "an empty line" if blank else f"a row of {fields[at]}"
            message = f"expected {len(self.columns)} columns, got {got}"
            raise InvalidInputError(message, place=place(line + at))
        return int(fields.size)


def table_of(path: Path, header: str) -> Table:
    """Read the header of a delimited file.

    Parameters
    ----------
    path : Path
        The file.
    header : str
        Its first line.

    Returns
    -------
    Table
        With the first of comma, semicolon and tab that the header holds as its separator.

    Raises
    ------
    InvalidInputError
        If the line is no row of a table.
    """
    separator = next((mark for mark in _SEPARATORS if mark in header), ",")
    try:
        fields = next(csv.reader([header.rstrip("\r")], delimiter=separator), [])
    except csv.Error as error:
        raise InvalidInputError(f"not a table: {error}", place=place(1)) from None
    return Table(path, tuple(field.strip() for field in fields) or ("",), separator)
