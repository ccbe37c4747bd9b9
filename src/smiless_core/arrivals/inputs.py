"""Checks of arrays, and the whole nanoseconds that time is counted in."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.validation import number

__all__ = ["LONGEST", "SHORTEST", "finite", "nanoseconds", "sequence_of"]

Floats = NDArray[np.float64]

# Time is a whole number of nanoseconds inside: nothing shorter is an interval, and 2**62 ns (146 years)
# leaves room for sums of two.
SHORTEST = 1e-9
LONGEST = 4.6e9

_NANOSECONDS = 1_000_000_000


def finite(values: ArrayLike, place: str) -> Floats:
    """Check a number or an array of numbers: no NaN, no infinity.

    Parameters
    ----------
    values : array_like
        A number, or numbers in any shape.
    place : str
        The place to name in an error.

    Returns
    -------
    float64 array
        Of the same shape.

    Raises
    ------
    InvalidInputError
        If something is not a finite number.
    """
    try:
        given = np.asarray(values)
    except ValueError:  # nested lists of unequal length
        raise InvalidInputError("expected a list of numbers, got nested lists", place=place) from None
    if given.ndim == 0:
        return np.asarray(number(given.item() if isinstance(values, np.ndarray) else values, place))
    if given.size and given.dtype.kind not in "iuf":
        raise InvalidInputError(f"expected numbers, got an array of {given.dtype}", place=place)
    checked = given.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(checked))
    if wrong.size:
        at = tuple(wrong[0].tolist())
        inside = f"{place}[{', '.join(map(str, at))}]"
        raise InvalidInputError(f"expected a finite number, got {given[at]}", place=inside)
    return checked


def sequence_of(
    values: ArrayLike, place: str, *, at_least: float | None = None, at_most: float | None = None
) -> Floats:
    """Check a flat array with at least one number, all of them within limits.

    Parameters
    ----------
    values : array_like, shape (count,)
        The numbers.
    place : str
        The place to name in an error.
    at_least, at_most : float, optional
        Inclusive limits.

    Returns
    -------
    float64 array, shape (count,)
        The numbers.

    Raises
    ------
    InvalidInputError
        If it is not such an array.
    """
    checked = finite(values, place)
    if checked.ndim != 1 or not checked.size:
        raise InvalidInputError(f"expected a list of at least one number, got shape {checked.shape}", place=place)
    low, high = checked.argmin(), checked.argmax()
    for worst in (low, high):
        number(float(checked[worst]), f"{place}[{worst}]", at_least=at_least, at_most=at_most)
    return checked


def nanoseconds(seconds: Floats) -> NDArray[np.int64]:
    """Round to whole nanoseconds.

    Parameters
    ----------
    seconds : float64 array
        Seconds, within 292 years.

    Returns
    -------
    int64 array
        The nearest nanoseconds, of the same shape.
    """
    # In one product, long times would lose digits that the float still holds.
    whole = np.floor(seconds)
    rest = np.rint((seconds - whole) * _NANOSECONDS)
    return whole.astype(np.int64) * _NANOSECONDS + rest.astype(np.int64)
