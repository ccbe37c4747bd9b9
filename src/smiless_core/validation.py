"""Checks of single values, shared by every room, so that a wrong value is described in one way.

Each check returns the value in its canonical type, or raises `InvalidInputError` naming place and value.
``bool`` is never taken for a number, and NaN and infinities are never taken for finite ones.
"""

import math
import reprlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from numbers import Integral, Real
from typing import TypeVar

from smiless_core.errors import InvalidInputError

__all__ = [
    "choice",
    "flag",
    "mapping",
    "number",
    "numbers",
    "open_fraction",
    "sequence",
    "shown",
    "text",
    "whole_number",
]

_Choice = TypeVar("_Choice", bound=StrEnum)

# Values come from files of strangers: their text is cut in depth and in length.
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = 60


def shown(value: object) -> str:
    """Return a short text for any value, on one line.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        Its shortened ``repr``.
    """
    if value is None:
        return "nothing"
    if isinstance(value, float | StrEnum):  # as plain 0.5 and 'cpu', whatever the subclass
        value = float(value) if isinstance(value, float) else str(value)
    try:
        return " ".join(_SHORT.repr(value).split())
    except ValueError:  # Python refuses to write out integers of thousands of digits
        return f"a {type(value).__name__} too long to show"


def number(
    value: object,
    place: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> float:
    """Check a finite real number.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.
    above, at_least, at_most : float, optional
        Exclusive lower, inclusive lower and inclusive upper limit.

    Returns
    -------
    float
        The number.

    Raises
    ------
    InvalidInputError
        If it is not a number, not finite or out of the limits.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            result = float(value)
        except OverflowError:  # an integer beyond the range of floats
            result = math.inf
        if (
            math.isfinite(result)
            and (above is None or result > above)
            and (at_least is None or result >= at_least)
            and (at_most is None or result <= at_most)
        ):
            return result
    wanted = "a finite number" + _limits(above, at_least, at_most)
    raise InvalidInputError(f"expected {wanted}, got {shown(value)}", place=place)


def whole_number(value: object, place: str, *, at_least: int, at_most: int | None = None) -> int:
    """Check a whole number, given as any integer type.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.
    at_least, at_most : int
        Inclusive limits; there may be no upper one.

    Returns
    -------
    int
        The number.

    Raises
    ------
    InvalidInputError
        If it is not an integer or out of the limits.
    """
    if not isinstance(value, bool) and isinstance(value, Integral):
        result = int(value)
        if result >= at_least and (at_most is None or result <= at_most):
            return result
    wanted = "a whole number" + _limits(None, at_least, at_most)
    raise InvalidInputError(f"expected {wanted}, got {shown(value)}", place=place)


def open_fraction(value: object, place: str) -> float:
    """Check a fraction strictly between 0 and 1.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.

    Returns
    -------
    float
        The fraction.

    Raises
    ------
    InvalidInputError
        If it is not a number between 0 and 1.
    """
    fraction = number(value, place)
    if not 0.0 < fraction < 1.0:
        raise InvalidInputError(f"expected a fraction between 0 and 1, got {shown(value)}", place=place)
    return fraction


def text(value: object, place: str) -> str:
    """Check a name: printable text with something in it.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.

    Returns
    -------
    str
        The text.

    Raises
    ------
    InvalidInputError
        If it is not text, is blank or holds characters that do not print.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"expected text, got {shown(value)}", place=place)
    if not value.isprintable() or not value.strip():
        raise InvalidInputError(f"expected printable text that is not blank, got {shown(value)}", place=place)
    return str(value)


def flag(value: object, place: str) -> bool:
    """Check a truth value.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.

    Returns
    -------
    bool
        The value.

    Raises
    ------
    InvalidInputError
        If it is anything but true or false.
    """
    if not isinstance(value, bool):
        raise InvalidInputError(f"expected true or false, got {shown(value)}", place=place)
    return value


def mapping(value: object, place: str) -> Mapping[object, object]:
    """Check a mapping.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.

    Returns
    -------
    mapping
        The value.

    Raises
    ------
    InvalidInputError
        If it is not a mapping.
    """
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"expected a mapping, got {shown(value)}", place=place)
    return value


def sequence(value: object, place: str) -> tuple[object, ...]:
    """Check a sequence: any iterable that is neither text nor a mapping.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error.

    Returns
    -------
    tuple
        Its items.

    Raises
    ------
    InvalidInputError
        If it is not such an iterable.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidInputError(f"expected a list, got {shown(value)}", place=place)
    return tuple(value)


def numbers(
    value: object, place: str, *, above: float | None = None, at_least: float | None = None
) -> tuple[float, ...]:
    """Check a sequence of finite numbers.

    Parameters
    ----------
    value : object
        The value to check.
    place : str
        The place to name in an error; items are named ``place[index]``.
    above, at_least : float, optional
        Exclusive and inclusive lower limit of every item.

    Returns
    -------
    tuple of float
        The numbers.

    Raises
    ------
    InvalidInputError
        If it is not a sequence of numbers within the limits.
    """
    items = sequence(value, place)
    return tuple(number(item, f"{place}[{index}]", above=above, at_least=at_least) for index, item in enumerate(items))


def choice(value: object, kind: type[_Choice], *, place: str, what: str) -> _Choice:
    """Check one of a closed set of words.

    Parameters
    ----------
    value : object
        The word, or the member itself.
    kind : type
        The set.
    place : str
        The place to name in an error.
    what : str
        What the set holds, such as ``hardware kind``.

    Returns
    -------
    StrEnum
        The member.

    Raises
    ------
    InvalidInputError
        If it is not in the set.
    """
    for member in kind:
        if member == value:
            return member
    raise InvalidInputError.unknown(what, value, [str(member) for member in kind], place=place)


def _limits(above: float | None, at_least: float | None, at_most: float | None) -> str:
    limits = (("above", above), ("of at least", at_least), ("of at most", at_most))
    stated = " and ".join(f"{words} {limit:g}" for words, limit in limits if limit is not None)
    return f" {stated}" if stated else ""
