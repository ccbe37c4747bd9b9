"""Reading whole traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.model.trace import Trace
from smiless_core.traces.collecting import Recording, collected, wanted_members
from smiless_core.traces.detection import open_source
from smiless_core.traces.members import Source
from smiless_core.traces.timestamps import iso_text

__all__ = ["opened_source", "read_trace", "read_traces", "trace_name"]


@contextmanager
def opened_source(path: str | PathLike[str], *, format: str | None, placement: str, seed: int) -> Iterator[Source]:
    """Tell what a file is, and name the file in the errors of reading it.

    Parameters
    ----------
    path, format, placement, seed
        As for `read_trace`.

    Yields
    ------
    Source
        To read it with.

    Raises
    ------
    InvalidInputError
        As for `read_trace`.
    """
    try:
        yield open_source(Path(path), format=format, placement=placement, seed=seed)
    except InvalidInputError as error:
        raise error.within(file=str(Path(path))) from None


def read_trace(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    select: str | None = None,
    placement: str = "uniform",
    seed: int = 0,
) -> Trace:
    """Read the arrivals of a trace file.

    A file may be compressed with gzip or Zstandard. The module `smiless_core.traces.generic` lists the names
    that columns of tables and keys of JSON lines may have, and the units of their times.

    Parameters
    ----------
    path : str or path
        The file; or a directory that holds Azure Functions 2019 counts.
    format : str, optional
        A `Format`. By default it is told by the first lines of the file.
    select : str, optional
        A function or an application of the file, by its id or the start of it. By default all are merged.
    placement : str, default "uniform"
        The `Placement` of arrivals that the file only counts. Not used where it has times.
    seed : int, default 0
        For random placements. Where a function's arrivals fall depends on the seed, its ids and its counts,
        not on its row in the file.

    Returns
    -------
    Trace
        Exact to the nanosecond. Where the file tells instants (ISO 8601 text, or a number that stands for 1e8
        seconds since 1970 or more), times count from its first arrival, and `Trace.origin` is that instant;
        elsewhere they count from the zero of the file. `Trace.source` holds ``path``, ``format``,
        ``functions`` (how many the file tells apart, at least 1), ``merged`` (how many of them are in the
        trace), ``select``, and ``seed`` where arrivals were placed.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, is none of the formats or holds no arrivals, or if nothing is selected.
        The error names file, line, column and value.
    """
    with opened_source(path, format=format, placement=placement, seed=seed) as source:
        wanted = wanted_members(source, select)
        recording = collected(source, wanted)
        facts: dict[str, object] = {
            "merged": recording.members.total if wanted is None else len(wanted),
            "select": select,
        }
        return _trace(path, source, recording, recording.times, trace_name(path), facts | _seed(source, seed))


def read_traces(
    path: str | PathLike[str], *, format: str | None = None, placement: str = "uniform", seed: int = 0
) -> dict[str, Trace]:
    """Read one trace per function of a trace file.

    Parameters
    ----------
    path, format, placement, seed
        As for `read_trace`.

    Returns
    -------
    dict of str to Trace
        By the id of the function, or ``app/function`` where several applications have a function of that id,
        in the order of the file; a function without arrivals has an empty trace. One trace by the name of the
        file where it tells no functions apart. The times of all count from the same zero.

    Raises
    ------
    InvalidInputError
        As for `read_trace`.
    """
    with opened_source(path, format=format, placement=placement, seed=seed) as source:
        recording = collected(source, None, by_member=True)
        labels = recording.members.labels()
        if not labels:
            labels, parts = [trace_name(path)], [recording.times]
        else:
            order = np.argsort(recording.codes, kind="stable")
            bounds = np.cumsum(recording.members.counts)[:-1]
            parts = np.split(recording.times[order], bounds)
        facts: dict[str, object] = {"merged": 1} | _seed(source, seed)
        return {
            label: _trace(path, source, recording, times, label, facts)
            for label, times in zip(labels, parts, strict=True)
        }


def _trace(
    path: str | PathLike[str],
    source: Source,
    recording: Recording,
    times: NDArray[np.int64],
    name: str,
    facts: Mapping[str, object],
) -> Trace:
    times.sort()
    times.flags.writeable = False
    return Trace(
        times,
        origin=None if recording.zero is None else iso_text(recording.zero),
        name=name,
        placement=source.placement,
        source={
            "path": str(Path(path)),
            "format": str(source.format),
            "functions": recording.members.total,
            **facts,
        },
    )


def _seed(source: Source, seed: int) -> dict[str, object]:
    return {} if source.placement is None else {"seed": seed}


def trace_name(path: str | PathLike[str]) -> str:
    """Return a name for the trace of a file.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    str
        Its name up to the first dot, where that is printable.
    """
    stem = Path(path).name.partition(".")[0]
    return stem if stem.isprintable() and stem.strip() else "trace"
