"""Telling the formats of trace files apart by their first lines."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from smiless_core.errors import InvalidInputError
from smiless_core.traces.azure import AzureCounts, AzureEnds, invocation_files
from smiless_core.traces.counts import CountsPerSecond
from smiless_core.traces.generic import JsonLines, TimestampTable, time_column
from smiless_core.traces.members import Source
from smiless_core.traces.placement import Placement
from smiless_core.traces.table import Table, table_of
from smiless_core.traces.text import first_block
from smiless_core.traces.timestamps import looks_like_instant, looks_like_number
from smiless_core.validation import choice, shown, whole_number

__all__ = ["Format", "open_source"]

_LINES_LOOKED_AT = 10_000
# More arrivals in one second than any count so far, and fewer seconds than most timestamps since 1970.
_LARGEST_PLAUSIBLE_COUNT = 1_000_000


class Format(StrEnum):
    """The formats of trace files.

    * ``azure2019``: Azure Functions 2019: HashOwner, HashApp, HashFunction, Trigger, counts per minute.
    * ``azure2021``: Azure Functions 2021: app, func, end_timestamp, duration. Arrivals are end - duration.
    * ``azure-llm``: Azure LLM inference 2023 to 2025: TIMESTAMP, ContextTokens, GeneratedTokens, or more.
    * ``counts-per-second``: whole numbers separated by spaces or line ends.
    * ``csv``: any table with a column of timestamps, or a single column of them without header.
    * ``jsonl``: one JSON object per line with a timestamp.
    """

    AZURE_2019 = "azure2019"
    AZURE_2021 = "azure2021"
    AZURE_LLM = "azure-llm"
    COUNTS_PER_SECOND = "counts-per-second"
    CSV = "csv"
    JSONL = "jsonl"


def open_source(path: Path, *, format: str | None, placement: str, seed: int) -> Source:
    """Tell what a file is.

    Parameters
    ----------
    path : Path
        The file, or a directory of Azure Functions 2019.
    format : str, optional
        A `Format`; by default it is told by the first lines.
    placement : str
        A `Placement`.
    seed : int
        For the random placements; non-negative.

    Returns
    -------
    Source
        To read it with.

    Raises
    ------
    InvalidInputError
        If there is no such file, or it is none of the formats.
    """
    rule = choice(placement, Placement, place="placement", what="placement")
    seed = whole_number(seed, "seed", at_least=0)
    given = None if format is None else choice(format, Format, place="format", what="format")
    if path.is_dir() and given in (None, Format.AZURE_2019):
        return AzureCounts(invocation_files(path), rule, seed)
    lines = first_block(path).text.decode().split("\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]
    match given or _detected(path, lines):
        case Format.AZURE_2019:
            return AzureCounts((path,), rule, seed)
        case Format.COUNTS_PER_SECOND:
            return CountsPerSecond(path, rule, seed)
        case Format.JSONL:
            return JsonLines(path)
        case Format.AZURE_2021:
            return AzureEnds(table_of(path, lines[0]))
        case found:
            headless = _is_time(lines[0])
            return TimestampTable(Table(path, ("",)) if headless else table_of(path, lines[0]), str(found))


def _detected(path: Path, lines: list[str]) -> Format:
    if lines[0].lstrip().startswith("{"):
        return Format.JSONL
    words = lines[0].split()
    if words and all(looks_like_number(word) for word in words):
        return _of_numbers(lines)
    if _is_time(lines[0]):
        return Format.CSV
    columns = table_of(path, lines[0]).columns
    lower = {name.lower() for name in columns}
    if "hashfunction" in lower:
        return Format.AZURE_2019
    if {"end_timestamp", "duration"} <= lower:
        return Format.AZURE_2021
    if time_column(columns, "s") is None:
        message = f"not a known kind of trace: no time among the columns {shown(lines[0])}"
        raise InvalidInputError(f"{message} (known formats: {', '.join(Format)})", place="line 1")
    return Format.AZURE_LLM if lower & {"contexttokens", "generatedtokens"} else Format.CSV


def _of_numbers(lines: list[str]) -> Format:
    """Tell counts per second from timestamps without a header."""
    words = [line.split() for line in lines]
    if any(len(row) > 1 for row in words):
        return Format.COUNTS_PER_SECOND
    texts = [row[0] for row in words if row and looks_like_number(row[0])]
    if not all(text.lstrip("+-").isdigit() for text in texts):
        return Format.CSV
    values = [int(text[:19]) for text in texts]
    if values != sorted(values) and min(values) >= 0 and max(values) <= _LARGEST_PLAUSIBLE_COUNT:
        return Format.COUNTS_PER_SECOND
    raise InvalidInputError(
        "a column of whole numbers without a name can be counts per second or timestamps: "
        f"say which, with the format {str(Format.COUNTS_PER_SECOND)!r} or {str(Format.CSV)!r}"
    )


def _is_time(line: str) -> bool:
    line = line.strip()
    return looks_like_number(line) or (looks_like_instant(line) and not set(line) & set(";\t"))
