"""Configurations as a node and its client write them."""

from __future__ import annotations

from typing import Any

from smiless_core.errors import InvalidInputError
from smiless_core.model import Configuration
from smiless_core.validation import mapping, shown

__all__ = ["configuration_of", "plain_configuration"]


def plain_configuration(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration as plain data."""
    return {"hardware": configuration.hardware, "size": configuration.size, "batch": configuration.batch}


def configuration_of(plain: object) -> Configuration:
    """Return the configuration that plain data stand for.

    Parameters
    ----------
    plain : object
        What has come over the wire, or was read from a file.

    Returns
    -------
    Configuration

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    fields: dict[Any, Any] = dict(mapping(plain, "configuration"))
    if set(fields) != {"hardware", "size", "batch"}:
        raise InvalidInputError(f"expected hardware, size and batch, got {shown(fields)}", place="configuration")
    try:
        return Configuration(**fields)
    except InvalidInputError as error:
        raise error.within(place="configuration") from None
