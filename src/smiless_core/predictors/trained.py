"""What forecasters that are trained have in common: what they learn from, and files of what they have learnt."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.arrivals.inputs import finite
from smiless_core.errors import InvalidInputError
from smiless_core.placing import reason_of
from smiless_core.validation import number, numbers, shown

__all__ = ["gap_arrays", "read_model_file"]

_Model = TypeVar("_Model")

_LARGEST_FILE = 64 * 2**20
_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to


def gap_arrays(gap_sequences: Iterable[ArrayLike]) -> list[NDArray[np.float64]]:
    """Check the gaps of many functions.

    Parameters
    ----------
    gap_sequences : iterable of array_like of float
        Seconds from each arrival to the next, in their order, from 0 to 4.6e9; one sequence per function.

    Returns
    -------
    list of float64 array, shape (g,)
        The same.

    Raises
    ------
    InvalidInputError
        If they are no such sequences.
    """
    place = "gap_sequences"
    if isinstance(gap_sequences, str | bytes) or not isinstance(gap_sequences, Iterable):
        raise InvalidInputError(f"expected sequences of gaps, got {shown(gap_sequences)}", place=place)
    return [_checked(gaps, f"{place}[{i}]") for i, gaps in enumerate(gap_sequences)]


def _checked(gaps: ArrayLike, place: str) -> NDArray[np.float64]:
    # Callers may hand over anything: what is no array has to be a list of numbers.
    values = finite(gaps if isinstance(gaps, np.ndarray) else np.array(numbers(gaps, place)), place)
    if values.ndim != 1:
        raise InvalidInputError(f"expected a list of numbers, got shape {values.shape}", place=place)
    for index in np.flatnonzero((values < 0.0) | (values > _LONGEST))[:1].tolist():
        number(float(values[index]), f"{place}[{index}]", at_least=0.0, at_most=_LONGEST)
    return values


def read_model_file(path: str | os.PathLike[str], from_bytes: Callable[[bytes], _Model]) -> _Model:
    """Read a model.

    Parameters
    ----------
    path : path-like
        A regular file of at most 64 MiB.
    from_bytes : callable
        Returns the model that bytes are of.

    Returns
    -------
    model
        What it returns.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or `from_bytes` raises it; the error names the file.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():  # before opening: to open a pipe would wait for its writer
            raise InvalidInputError("this is not a regular file")
        with target.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise InvalidInputError(f"the file is larger than {_LARGEST_FILE // 2**20} MiB")
        return from_bytes(data)
    except InvalidInputError as error:
        raise error.within(file=os.fspath(path)) from None
    except (OSError, ValueError) as error:  # a ValueError comes from a name with a null byte in it
        raise InvalidInputError(f"cannot be read: {reason_of(error)}", file=os.fspath(path)) from None
