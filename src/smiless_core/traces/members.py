"""The functions that a trace file tells apart, and how a few letters select some of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.traces.text import place
from smiless_core.validation import shown

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Batch", "Member", "Members", "Source", "check_ids"]

_IDS_LISTED = 5
_IDS_COMPARED = 1000
_CHARACTERS_LISTED = 16


class Member(NamedTuple):
    """A function of a trace file."""

    function: str
    app: str = ""
    """The application that it belongs to, where the file tells."""


def check_ids(ids: pl.Series, line: int, field: str) -> None:
    """See that every row has an id.

    Parameters
    ----------
    ids : Series of str
        Null where there is none.
    line : int
        The line of the first of them.
    field : str
        What to call them in an error.

    Raises
    ------
    InvalidInputError
        If one is missing, or is not text that can be printed.
    """
    wrong = [name for name in ids.unique() if not (name and name.strip() and name.isprintable())]
    if wrong:
        at = min(int(ids.index_of(name) or 0) for name in wrong)
        got = shown(ids[at]) if ids[at] else "nothing"
        raise InvalidInputError(f"expected an id to print, got {got}", place=place(line + at, field))


@dataclass(slots=True)
class Members:
    """The functions of one file in the order of their first row, and their arrivals so far."""

    index: dict[Member, int] = dataclasses.field(default_factory=dict)
    counts: list[int] = dataclasses.field(default_factory=list)

    def add(self, member: Member, count: int) -> int:
        """Count arrivals of a function.

        Parameters
        ----------
        member : Member
            The function, known or new.
        count : int
            Its arrivals.

        Returns
        -------
        int
            Its index.
        """
        at = self.index.setdefault(member, len(self.counts))
        if at == len(self.counts):
            self.counts.append(0)
        self.counts[at] += count
        return at

    def add_rows(self, ids: Sequence[pl.Series], line: int, fields: Sequence[str]) -> NDArray[np.int32] | None:
        """Count one arrival per row.

        Parameters
        ----------
        ids : sequence of Series of str, each of length rows
            The ids of the functions and perhaps of their applications; or nothing.
        line : int
            The line of the first row.
        fields : sequence of str
            What to call each series in an error.

        Returns
        -------
        ndarray of int32, shape (rows,), or None
            The index of the function of each row; None without ids.

        Raises
        ------
        InvalidInputError
            If an id is missing, or is not text that can be printed.
        """
        import polars as pl

        if not ids:
            return None
        for names, field in zip(ids, fields, strict=True):
            check_ids(names, line, field)
        rows = pl.DataFrame(dict(zip(("function", "app"), ids, strict=False)))
        kinds = rows.group_by(rows.columns, maintain_order=True).len()
        codes = [self.add(Member(*key), count) for *key, count in kinds.iter_rows()]
        coded = kinds.select(*rows.columns, pl.Series("code", codes, dtype=pl.Int32))
        return rows.join(coded, on=rows.columns, how="left", maintain_order="left")["code"].to_numpy()

    @property
    def total(self) -> int:
        """How many functions there are; a file that tells none apart is of one."""
        return max(1, len(self.counts))

    def labels(self) -> list[str]:
        """Return a name for each function, unique in the file.

        Returns
        -------
        list of str
            The function's own id, or ``app/function`` where two applications have a function of that id.
        """
        seen: dict[str, int] = {}
        for function, _ in self.index:
            seen[function] = seen.get(function, 0) + 1
        return [function if seen[function] == 1 else f"{app}/{function}" for function, app in self.index]

    def selected(self, select: str) -> frozenset[int]:
        """Find functions by the start of their name.

        Parameters
        ----------
        select : str
            The id of a function or an application, ``app/function``, or the start of an id that no other id
            shares. A function goes before an application of the same id.

        Returns
        -------
        frozenset of int
            Their indices; all functions of an application.

        Raises
        ------
        InvalidInputError
            If there is none, or several ids start so.
        """
        ids: dict[str, set[int]] = {}
        for (function, _), at in self.index.items():
            ids.setdefault(function, set()).add(at)
        functions = set(ids)
        for (function, app), at in self.index.items():
            if app:
                ids.setdefault(f"{app}/{function}", set()).add(at)
                if app not in functions:
                    ids.setdefault(app, set()).add(at)
        if select in ids:
            return frozenset(ids[select])
        starts = [name for name in ids if name.startswith(select) and ("/" in select or "/" not in name)]
        found = {frozenset(ids[name]) for name in starts}
        if not self.index:
            raise InvalidInputError(f"the file names no functions, got {select!r}", place="select")
        if not found:
            known = [name for name in ids if "/" not in name][:_IDS_COMPARED]
            raise InvalidInputError.unknown("function or application", select, known, place="select")
        if len(found) > 1:
            listed = ", ".join(f"{name[:_CHARACTERS_LISTED]!r}" for name in starts[:_IDS_LISTED])
            more = ", ..." * (len(starts) > _IDS_LISTED)
            raise InvalidInputError(f"{select!r} starts {len(starts)} ids: {listed}{more}", place="select")
        return found.pop()


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some arrivals of a file."""

    times: NDArray[np.int64]
    """Nanoseconds after the zero of the file, shape (count,)."""

    members: NDArray[np.int32] | None = None
    """The index of the function of each; None where the file tells no functions apart."""

    absolute: bool = False
    """Whether the zero of the file is 1970-01-01, UTC."""

    def only(self, wanted: Set[int] | None) -> NDArray[np.int64]:
        """Return the arrivals of some functions.

        Parameters
        ----------
        wanted : set of int or None
            Indices of functions; None for all.

        Returns
        -------
        ndarray of int64
            Their times.
        """
        if wanted is None or self.members is None:
            return self.times
        return self.times[np.isin(self.members, np.fromiter(wanted, np.int32, len(wanted)))]


class Source(Protocol):
    """A trace file of a known format."""

    @property
    def format(self) -> str:
        """The name of the format."""

    @property
    def placement(self) -> str | None:
        """The rule that places counted arrivals; None where the file has times."""

    @property
    def ordered(self) -> bool:
        """Whether such files are meant to hold their arrivals in ascending order."""

    def batches(self, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        """Read the file from its start.

        Parameters
        ----------
        members : Members
            Empty; gathers all functions of the file.
        wanted : set of int or None
            The functions whose arrivals are needed; the batches may hold others too. None: all.

        Yields
        ------
        Batch
            The arrivals, in the order of the file.

        Raises
        ------
        InvalidInputError
            If the file is wrong, naming line, column and value.
        """
        ...
