"""What forecasters know, as bytes: MessagePack, with a kind and a version before all else."""

from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.validation import number

__all__ = ["array_of", "bytes_of", "packed", "unpacked"]

_Fields = TypeVar("_Fields", bound=msgspec.Struct)


class _Envelope(msgspec.Struct, array_like=True):
    kind: str
    version: int
    fields: msgspec.Raw


def packed(kind: str, version: int, fields: msgspec.Struct) -> bytes:
    """Return the state of a forecaster.

    Parameters
    ----------
    kind : str
        What forecaster it is of.
    version : int
        Of the fields.
    fields : Struct
        What it knows. Arrays as little-endian bytes.
    """
    return msgspec.msgpack.encode(_Envelope(kind, version, msgspec.Raw(msgspec.msgpack.encode(fields))))


def unpacked(state: bytes, kind: str, version: int, fields: type[_Fields]) -> _Fields:
    """Return the fields of a state; it is for the forecaster to check their values.

    Raises
    ------
    InvalidInputError
        If it is not a state of this kind and version.
    """
    try:
        envelope = msgspec.msgpack.decode(state, type=_Envelope)
        if (envelope.kind, envelope.version) != (kind, version):
            got = f"{envelope.kind}, version {envelope.version}"
            raise InvalidInputError(f"expected one of {kind}, version {version}, got {got}", place="state")
        return msgspec.msgpack.decode(envelope.fields, type=fields)
    # Bytes of strangers may also hold text that is none, or nest without end.
    except (msgspec.DecodeError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"expected the state of a forecaster: {error}", place="state") from None


def bytes_of(values: NDArray[np.float64]) -> bytes:
    """Return an array as little-endian bytes, the same on every machine."""
    return values.astype("<f8").tobytes()


def array_of(
    data: bytes, place: str, *, at_most: int, least: float | None = None, most: float | None = None
) -> NDArray[np.float64]:
    """Return the array that bytes in a state are of.

    Parameters
    ----------
    data : bytes
        From `bytes_of`.
    place : str
        The place to name in an error.
    at_most : int
        How many numbers there may be.
    least, most : float, optional
        Inclusive limits of each.

    Returns
    -------
    float64 array, shape (count,)
        A copy that can be written to.

    Raises
    ------
    InvalidInputError
        If it is not such an array.
    """
    if len(data) % 8 or len(data) > 8 * at_most:
        raise InvalidInputError(f"expected at most {at_most} numbers, got {len(data)} bytes", place=place)
    values = np.frombuffer(data, "<f8").astype(np.float64)
    wrong = ~np.isfinite(values)
    if values.size:
        wrong |= values < (-np.inf if least is None else least)
        wrong |= values > (np.inf if most is None else most)
    for index in np.flatnonzero(wrong)[:1].tolist():
        number(float(values[index]), f"{place}[{index}]", at_least=least, at_most=most)
    return values
