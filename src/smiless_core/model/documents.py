"""Text of a file to plain lists, mappings and scalars, and back: YAML, JSON and TOML alike.

Nothing passes silently: a key that is given twice is an error in every format, and YAML is held to its core
schema (``no`` is text, ``1e-3`` is a number) without aliases and tags.
"""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from smiless_core.errors import InvalidInputError
from smiless_core.validation import shown

if TYPE_CHECKING:
    import yaml

__all__ = ["Format", "parse", "render"]

# Application and profile files nest six deep; a parser that recurses must not be led much deeper.
_DEEPEST_NESTING = 32

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FLAGS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TOML_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_TOML_KEY = re.compile(rf"(?<![\w-]){_TOML_PART}(?:[ \t]*+\.[ \t]*+{_TOML_PART}){{{_DEEPEST_NESTING}}}")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


class Format(StrEnum):
    """A way to write a document down."""

    YAML = "yaml"
    JSON = "json"
    TOML = "toml"

    @classmethod
    def of(cls, path: PurePath) -> "Format":
        """Return the format that the suffix of a file name stands for.

        Raises
        ------
        InvalidInputError
            If it stands for none.
        """
        suffix = path.suffix.lower()
        for known, format in (
            (".yaml", cls.YAML),
            (".yml", cls.YAML),
            (".json", cls.JSON),
            (".toml", cls.TOML),
        ):
            if suffix == known:
                return format
        raise InvalidInputError(f"expected a name ending in .yaml, .yml, .json or .toml, got {path.name!r}")


def parse(data: bytes, format: Format) -> object:
    """Parse one document.

    Parameters
    ----------
    data : bytes
        UTF-8 text, with or without a byte order mark.
    format : Format
        How it is written.

    Returns
    -------
    object
        Dictionaries with text keys, lists and scalars.

    Raises
    ------
    InvalidInputError
        Whatever is wrong with it.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {data[error.start]:#04x} at position {error.start}"
        raise InvalidInputError(f"not UTF-8 text: {byte}") from None
    if not text.strip():
        raise InvalidInputError("the file is empty")
    try:
        return {Format.YAML: _parse_yaml, Format.JSON: _parse_json, Format.TOML: _parse_toml}[format](text)
    except RecursionError:
        raise InvalidInputError("the document is nested too deeply") from None


def render(document: dict[str, Any], format: Format) -> bytes:
    """Write a document down so that `parse` returns it unchanged.

    Parameters
    ----------
    document : dict
        Dictionaries with text keys, lists and scalars.
    format : Format
        How to write it.

    Returns
    -------
    bytes
        UTF-8 text.
    """
    if format is Format.JSON:
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    if format is Format.TOML:
        return msgspec.toml.encode(document)
    return _render_yaml(document)


def _parse_json(text: str) -> object:
    # The standard parser rather than msgspec's, which silently keeps the last of two equal keys.
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInputError(f"not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}", place=place) from None
    except InvalidInputError:
        raise
    except ValueError:
        raise InvalidInputError("not valid JSON: a number has too many digits") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping: dict[str, object] = {}
    for key, value in pairs:
        if key in mapping:
            raise _twice(key)
        mapping[key] = value
    return mapping


def _parse_toml(text: str) -> object:
    import tomllib

    if _LONG_TOML_KEY.search(text):  # which takes tomllib quadratic time
        raise InvalidInputError(f"the document is nested more than {_DEEPEST_NESTING} deep")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except ValueError:
        raise InvalidInputError("not valid TOML: a number has too many digits") from None


def _parse_yaml(text: str) -> object:
    # From events rather than from PyYAML's loader, which keeps the last of two equal keys, expands aliases
    # and, in its C half, overruns the stack on deep nesting.
    import yaml

    events: Iterator[yaml.Event] = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        next(events)
        if not isinstance(next(events), yaml.DocumentStartEvent):
            raise InvalidInputError("the file is empty")
        document = _yaml_value(next(events), events, 0)
        next(events)
        if not isinstance(following := next(events), yaml.StreamEndEvent):
            raise _at(following, "expected one document, got another one")
        return document
    except yaml.MarkedYAMLError as error:
        problem = f"not valid YAML: {error.problem or error.context}"
        if "nesting" in problem:  # newer libyaml has a limit of its own, which it meets by reading ahead of ours
            problem = "the document is nested too deeply"
        raise InvalidInputError(problem, place=_position(error.problem_mark or error.context_mark)) from None
    except yaml.reader.ReaderError as error:
        character = f"{error.reason} at position {error.position}"
        raise InvalidInputError(f"not valid YAML: {character}") from None


def _yaml_value(event: "yaml.Event", events: "Iterator[yaml.Event]", depth: int) -> object:
    import yaml

    if isinstance(event, yaml.ScalarEvent):
        return _yaml_scalar(event)
    if not isinstance(event, yaml.CollectionStartEvent):
        raise _at(event, "aliases (*name) are not supported: write the value out")
    if event.tag not in (None, "!"):
        raise _at(event, f"the tag {event.tag} is not supported")
    if depth == _DEEPEST_NESTING:
        raise _at(event, f"the document is nested more than {_DEEPEST_NESTING} deep")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_yaml_value(item, events, depth + 1))
        return items
    mapping: dict[str, object] = {}
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        if not isinstance(key, yaml.ScalarEvent):
            raise _at(key, "expected a key that is text")
        if key.value in mapping:
            raise _twice(key.value).within(place=_position(key.start_mark))
        mapping[key.value] = _yaml_value(next(events), events, depth + 1)
    return mapping


def _yaml_scalar(event: "yaml.ScalarEvent") -> object:
    if event.tag is None and event.implicit[0]:
        try:
            return _plain_scalar(event.value)
        except ValueError:
            raise _at(event, "a number has too many digits") from None
    if event.tag not in (None, *_TEXT_TAGS):
        raise _at(event, f"the tag {event.tag} is not supported")
    return event.value


def _plain_scalar(text: str) -> object:
    """Resolve an unquoted scalar by the core schema of YAML 1.2."""
    if text in _NULLS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _twice(key: str) -> InvalidInputError:
    return InvalidInputError(f"the key {shown(key)} is given twice")


def _at(event: "yaml.Event", message: str) -> InvalidInputError:
    return InvalidInputError(message, place=_position(event.start_mark))


def _position(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _render_yaml(document: dict[str, Any]) -> bytes:
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Writes what `parse` reads: no aliases, and quotes where the core schema sees more than text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def represent(dumper: Any, text: str) -> Any:
        quoted = '"' if _plain_scalar(text) != text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)

    Dumper.add_representer(str, represent)
    options: dict[str, Any] = {"allow_unicode": True, "sort_keys": False, "encoding": "utf-8", "width": 110}
    rendered: bytes = yaml.dump(document, Dumper=Dumper, default_flow_style=None, **options)
    return rendered
