"""The arrivals of a file gathered in memory, at eight bytes each."""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.traces.members import Members, Source
from smiless_core.validation import text

__all__ = ["Recording", "check_count", "collected", "is_instant", "wanted_members"]

_EPOCH_FROM = 10**8 * 10**9


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The arrivals of some functions of a file."""

    times: NDArray[np.int64]
    """Nanoseconds after `zero`, shape (count,), in the order of the file."""

    codes: NDArray[np.int32]
    """The index of the function of each, shape (count,); or empty."""

    zero: int | None
    """The first arrival of the file, whichever function's, in nanoseconds since 1970, where it tells."""

    members: Members


class _Column:
    """An array that grows in place, with an eighth to spare."""

    def __init__(self, kind: type[Any]) -> None:
        self._array = np.empty(2**12, dtype=kind)
        self._size = 0

    def extend(self, values: NDArray[Any]) -> None:
        needed = self._size + values.size
        if needed > self._array.size:
            self._grow(max(needed, self._array.size + self._array.size // 8))
        self._array[self._size : needed] = values
        self._size = needed

    def taken(self) -> NDArray[Any]:
        self._array.resize(self._size, refcheck=False)
        return self._array

    def _grow(self, size: int) -> None:
        # A list of arrays, joined at the end, would take twice the memory; realloc moves pages, not bytes.
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        try:
            if size * self._array.itemsize > memory:
                raise MemoryError
            self._array.resize(size, refcheck=False)
        except MemoryError:
            message = f"{size} arrivals or more do not fit into memory: select one function"
            raise InvalidInputError(message) from None


def is_instant(time: int, absolute: bool) -> bool:
    """Tell an instant from a time after the start of a recording.

    Parameters
    ----------
    time : int
        The first arrival, in nanoseconds.
    absolute : bool
        Whether it was given as an instant.

    Returns
    -------
    bool
        Numbers of at least 1e8 seconds (1973) are instants too.
    """
    return absolute or time >= _EPOCH_FROM


def check_count(count: int, wanted: Set[int] | None) -> None:
    """See that there are arrivals.

    Parameters
    ----------
    count : int
        How many.
    wanted : set of int or None
        The functions that were read; None for all.

    Raises
    ------
    InvalidInputError
        If there are none.
    """
    if not count:
        of = "" if wanted is None else " of what is selected"
        raise InvalidInputError(f"expected arrivals{of}, got none")


def collected(source: Source, wanted: Set[int] | None, *, by_member: bool = False) -> Recording:
    """Read all arrivals of some functions.

    Parameters
    ----------
    source : Source
        The file.
    wanted : set of int or None
        The functions; None for all.
    by_member : bool, default False
        Whether to keep the function of each arrival, for four bytes more.

    Returns
    -------
    Recording
        With at least one arrival.

    Raises
    ------
    InvalidInputError
        If the file is wrong, the functions have no arrivals, or the arrivals do not fit into memory.
    """
    members = Members()
    times, codes = _Column(np.int64), _Column(np.int32)
    earliest = 2**63
    absolute = False
    for batch in source.batches(members, wanted):
        if batch.times.size:
            earliest = min(earliest, int(batch.times.min()))
            absolute |= batch.absolute
            times.extend(batch.only(wanted))
            if by_member and batch.members is not None:
                codes.extend(batch.members)
    found: NDArray[np.int64] = times.taken()
    check_count(found.size, wanted)
    zero = earliest if is_instant(earliest, absolute) else None
    if zero is not None:
        found -= zero
    return Recording(found, codes.taken(), zero, members)


def wanted_members(source: Source, select: str | None) -> frozenset[int] | None:
    """Find the functions that are selected, in a first pass through the file.

    Parameters
    ----------
    source : Source
        The file.
    select : str, optional
        As for `read_trace`.

    Returns
    -------
    frozenset of int, or None
        Their indices; None for all, without a pass.

    Raises
    ------
    InvalidInputError
        If the file is wrong, or nothing is selected.
    """
    if select is None:
        return None
    members = Members()
    for _ in source.batches(members, frozenset()):
        pass
    return members.selected(text(select, "select"))
