"""Traces that hold a count of arrivals for each second."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.traces.members import Batch, Members
from smiless_core.traces.placement import MOST_PER_PERIOD, Placement, identity_generator, placed_times
from smiless_core.traces.text import Block, place, text_blocks
from smiless_core.validation import shown

__all__ = ["CountsPerSecond"]

_SECOND = 1_000_000_000
_SECONDS_AT_ONCE = 2**14
_ARRIVALS_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class CountsPerSecond:
    """Whole numbers separated by spaces or line ends: the arrivals of one second after the other."""

    path: Path
    placement: Placement
    seed: int
    format: ClassVar[str] = "counts-per-second"
    ordered: ClassVar[bool] = True

    def batches(self, members: Members, wanted: Set[int] | None) -> Iterator[Batch]:
        """Read the file from its start, as `Source.batches` says."""
        if self.placement is Placement.FIXED_PHASE:
            message = f"{self.placement.value!r} needs functions with a trigger: counts per second have none"
            raise InvalidInputError(message, place="placement")
        generator = identity_generator(self.seed)
        start = 0
        for counts in self._pieces():
            yield Batch(start * _SECOND + placed_times(counts, _SECOND, self.placement, generator))
            start += counts.size

    def _pieces(self) -> Iterator[NDArray[np.int64]]:
        """Cut the counts into pieces of bounded arrivals, at the same seconds however the file is stored."""
        for counts in self._seconds():
            arrivals = np.cumsum(counts)
            cuts = np.flatnonzero(np.diff(arrivals // _ARRIVALS_AT_ONCE)) + 1
            yield from np.split(counts, cuts)

    def _seconds(self) -> Iterator[NDArray[np.int64]]:
        pending = np.empty(0, dtype=np.int64)
        for block in text_blocks(self.path, within_lines=True):
            pending = np.concatenate((pending, self._counts(block)))
            whole = pending.size // _SECONDS_AT_ONCE * _SECONDS_AT_ONCE
            for start in range(0, whole, _SECONDS_AT_ONCE):
                yield pending[start : start + _SECONDS_AT_ONCE]
            pending = pending[whole:]
        if pending.size:
            yield pending

    def _counts(self, block: Block) -> NDArray[np.int64]:
        import polars as pl

        words = block.text.split()
        texts = pl.Series(words, dtype=pl.Binary).cast(pl.String)
        # Decimal, so that 3.0 is a count and 3.5 is not.
        exact = texts.cast(pl.Decimal(38, 9), strict=False)
        counts = exact.cast(pl.Int64, strict=False)
        whole = exact == counts.cast(pl.Decimal(38, 9), strict=False)
        wrong = ~(whole & counts.is_between(0, MOST_PER_PERIOD)).fill_null(False)
        if wrong.any():
            at = int(wrong.arg_true()[0])
            message = f"expected a count from 0 to {MOST_PER_PERIOD}, got {shown(texts[at])}"
            raise InvalidInputError(message, place=place(block.line + _line_of_word(block.text, at)))
        return counts.to_numpy()


def _line_of_word(text: bytes, at: int) -> int:
    for line, words in enumerate(text.split(b"\n")):
        at -= len(words.split())
        if at < 0:
            return line
    raise IndexError(at)
