"""What all nouns of the model have in common: they are values, and they do not change."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

import msgspec

__all__ = ["Noun"]


class Noun(msgspec.Struct, frozen=True):
    """A frozen value that compares by its fields, pickles, copies and can be varied with `replace`."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated again.

        Parameters
        ----------
        **changes
            New values by field name.

        Returns
        -------
        Self
            The varied copy.

        Raises
        ------
        InvalidInputError
            If the new values do not fit.
        TypeError
            If there is no such field.
        """
        return msgspec.structs.replace(self, **changes)

    def _set(self, **fields: Any) -> None:
        """Put fields into their canonical form: only for ``__post_init__``, before anyone sees the value."""
        for name, value in fields.items():
            msgspec.structs.force_setattr(self, name, value)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, Any]]]:
        # Read-only views do not pickle: send the dictionaries behind them, and validation wraps them again.
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        for name, value in fields.items():
            if isinstance(value, MappingProxyType):
                fields[name] = dict(value)
        return _rebuild, (type(self), fields)


def _rebuild(kind: type[Noun], fields: Mapping[str, Any]) -> Any:
    return kind(**fields)
