"""Anything as one line of JSON that every reader of JSON understands, without secrets."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np

from smiless_core.validation import shown

__all__ = ["JsonLines"]

_HIDDEN = "[hidden]"
_DEEPEST = 12
_LONGEST = 4096
_LONGEST_READ = 16 * _LONGEST
_MOST_ITEMS = 4096

# What is called so is hidden whatever it holds.
_SECRET_NAMES = re.compile(r"pass(word|wd|phrase)|secret|token|authori[sz]ation|credential|api[-_]?key", re.IGNORECASE)
# What looks so is hidden whatever it is called: the header of a request, and a user with a password in an address.
_SECRET_LOOKS = re.compile(r"(?P<before>\b(?:[Bb]asic|[Bb]earer)\s+)[\w.~+/=-]{8,}|(?<=://)[^\s/?#@]+(?=@)")


class JsonLines:
    """Writes values as lines of JSON.

    Keys are in alphabetical order, so that equal values are equal lines. What is not finite is null; what JSON has no
    word for is written as text; what is very long or deep is cut.

    Parameters
    ----------
    secrets : iterable of str, optional
        What must never be in a line: neither as it is, nor as in an address or as base64.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # never its secrets

    def line(self, value: Mapping[str, Any]) -> str:
        """Return one line, without its end.

        Parameters
        ----------
        value : mapping
            What to write, with anything in it.
        """
        return json.dumps(self._plain(value, 0), allow_nan=False, sort_keys=True, separators=(",", ":"))

    def text(self, value: object) -> str:
        """Return a text without secrets, cut where it is very long."""
        try:
            written = str(value)[:_LONGEST_READ]
        except Exception:  # the text of an object is its own affair, and may fail
            written = f"a {type(value).__name__}"
        if self._secrets:
            written = self._secrets.sub(_HIDDEN, written)
        written = _SECRET_LOOKS.sub(lambda found: (found["before"] or "") + _HIDDEN, written)
        # After hiding: half a secret is still one.
        return written if len(written) <= _LONGEST else written[:_LONGEST] + "..."

    def _plain(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool | np.bool_):
            return None if value is None else bool(value)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Integral):
            whole = int(value)
            return whole if -(2**63) <= whole < 2**63 else shown(whole)  # further, readers disagree
        if isinstance(value, Real):
            real = float(value)
            return real if math.isfinite(real) else None
        if depth >= _DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {key: self._entry(key, item, depth) for key, item in self._items(value)}
        if isinstance(value, np.ndarray):
            value = value[:_MOST_ITEMS].tolist() if value.ndim else [value.item()]
        if isinstance(value, AbstractSet):
            value = sorted(value, key=str)
        if isinstance(value, list | tuple):
            return [self._plain(item, depth + 1) for item in value[:_MOST_ITEMS]]
        return self.text(value)

    def _items(self, value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
        return [(self.text(key), item) for key, item in list(value.items())[:_MOST_ITEMS]]

    def _entry(self, key: str, item: object, depth: int) -> Any:
        return _HIDDEN if item is not None and _SECRET_NAMES.search(key) else self._plain(item, depth + 1)


def _forms(secret: str) -> set[str]:
    data = secret.encode("utf-8", "surrogatepass")
    escaped = {json.dumps(secret)[1:-1], repr(secret)[1:-1]}  # as in the text of an error
    quoted = {quote(data), quote(data, safe=""), quote_plus(data)}
    return {secret, *escaped, *quoted, b64encode(data).decode("ascii")}
