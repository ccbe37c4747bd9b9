"""Timestamps as text to whole nanoseconds, without a float on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.traces.text import place
from smiless_core.validation import shown

if TYPE_CHECKING:
    import polars as pl

__all__ = ["UNITS", "iso_text", "looks_like_instant", "looks_like_number", "nanoseconds"]

UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
"""Units of numeric timestamps, by the suffix that names them."""

_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
# 2**62 ns is 146 years: the difference of two such times still fits into 64 bits.
_FURTHEST = 2**62
_INSTANT = (
    r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:[0-5]\d(?:[.,]\d{1,30})?"
    r" ?(?:[+-](?:[01]\d|2[0-3]):?[0-5]\d|[Zz])?$"
)
_OFFSET = r"([+-])(\d\d):?(\d\d)$"
_TO_THE_SECOND = len("2023-11-16 18:15:46")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_STARTS_LIKE_INSTANT = re.compile(r"\s*\d{4}-\d\d-\d\d")


def looks_like_instant(text: str) -> bool:
    """Tell an ISO 8601 instant from a number by its start.

    Parameters
    ----------
    text : str
        A timestamp.

    Returns
    -------
    bool
        Whether it begins with a date.
    """
    return _STARTS_LIKE_INSTANT.match(text) is not None


def looks_like_number(text: str) -> bool:
    """Tell a decimal number from anything else.

    Parameters
    ----------
    text : str
        Perhaps a number.

    Returns
    -------
    bool
        Whether it is one, with or without an exponent.
    """
    return _NUMBER.fullmatch(text) is not None


def iso_text(time: int) -> str:
    """Write an instant.

    Parameters
    ----------
    time : int
        Nanoseconds since 1970-01-01, UTC.

    Returns
    -------
    str
        ISO 8601 text.
    """
    return str(np.datetime_as_string(np.datetime64(time, "ns"), timezone="UTC"))


def nanoseconds(texts: pl.Series, unit: str, *, instants: bool, line: int, field: str) -> NDArray[np.int64]:
    """Convert timestamps to nanoseconds.

    Digits past the nanosecond are rounded, ties to even. An instant without an offset is taken as UTC.

    Parameters
    ----------
    texts : Series of str, length count
        Numbers in the unit, or ISO 8601 instants.
    unit : str
        A key of `UNITS`.
    instants : bool
        Whether they are instants rather than numbers.
    line : int
        The line of the first of them.
    field : str
        What to call them in an error, such as ``column time``.

    Returns
    -------
    ndarray of int64, shape (count,)
        Nanoseconds; since 1970 for instants.

    Raises
    ------
    InvalidInputError
        If one of them is neither, is missing or is more than 146 years from zero.
    """
    texts = texts.str.strip_chars()
    times = _instants(texts) if instants else _scaled(texts, _DIGITS[unit])
    if times.null_count():
        at = int(times.is_null().arg_true()[0])
        value = texts[at]
        wanted = "an ISO 8601 instant" if instants else f"a number of {UNITS[unit]}"
        hint = ""
        if not instants and value and looks_like_number(value):
            wanted += f" within 146 years ({_FURTHEST / 10 ** _DIGITS[unit]:.2g})"
            hint = "; a column of milliseconds is to be named with the suffix _ms" if unit == "s" else ""
        got = shown(value) if value else "nothing"
        raise InvalidInputError(f"expected {wanted}, got {got}{hint}", place=place(line + at, field))
    return times.to_numpy()


def _scaled(texts: pl.Series, digits: int) -> pl.Series:
    """Decimal numbers times 10**digits as int64, null where that is wrong."""
    import polars as pl

    return _within_range(texts.cast(pl.Decimal(38, digits), strict=False).to_physical())


def _instants(texts: pl.Series) -> pl.Series:
    """Nanoseconds since 1970, null where the text is not an instant."""
    import polars as pl

    texts = texts.set(~texts.str.contains(_INSTANT), None)
    clock = texts.str.slice(0, _TO_THE_SECOND).str.replace_all("[Tt]", " ")
    seconds = clock.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False)
    times = _within_range(seconds.to_physical(), _FURTHEST // 10**6) * 10**6
    rest = texts.str.slice(_TO_THE_SECOND)
    fraction = rest.str.extract(r"^[.,](\d+)")
    if fraction.null_count() < len(fraction):
        times += ("0." + fraction.fill_null("0")).cast(pl.Decimal(38, 9)).to_physical().cast(pl.Int64)
    if rest.str.contains("[+-]").any():
        sign, hours, minutes = rest.str.extract_groups(_OFFSET).struct.unnest().get_columns()
        offset = hours.cast(pl.Int64) * 60 + minutes.cast(pl.Int64)
        east = sign.replace_strict({"+": 1, "-": -1}, default=0, return_dtype=pl.Int64)
        times -= (offset * east).fill_null(0) * 60_000_000_000
    return _within_range(times)


def _within_range(times: pl.Series, furthest: int = _FURTHEST) -> pl.Series:
    import polars as pl

    narrow = times.cast(pl.Int64, strict=False)
    return narrow.set(~narrow.is_between(-furthest, furthest), None)
