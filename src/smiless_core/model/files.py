"""The only reader and writer of application and profile files.

The suffix of a file is its format: ``.yaml``, ``.yml``, ``.json`` or ``.toml``. An application file holds::

    name: amber-alert                      # optional
    sla: 2.0                               # seconds
    attainment_target: 0.99                # optional
    functions:
      - {name: detect, profile: object-detection}
      - caption                            # short for {name: caption, profile: caption}
    edges: [[detect, caption]]             # optional

and a profile file::

    profiles:
      object-detection:
        hardware:
          cpu: {alpha: 1.2, beta: 0.1, gamma: 0.02, dispatch: 0.01, cold_start_mean: 1.9, cold_start_std: 0.2,
                sizes: [1, 2, 4], batches: [1, 2, 4]}
    prices: {cpu: 9.4e-6, gpu: 8.5e-4}     # optional, dollars per unit-second
    notes: [measured on 2024-05-01]        # optional, for people

Whatever is wrong with a file is an `InvalidInputError` of one line: file, place in it, value.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application, Function
from smiless_core.model.documents import Format, parse, render
from smiless_core.model.noun import Noun
from smiless_core.model.prices import Prices
from smiless_core.model.profiles import HardwareProfile, Profile, Profiles
from smiless_core.placing import place_file, reason_of
from smiless_core.validation import choice, mapping, sequence, text

__all__ = [
    "decode_application",
    "decode_profile_file",
    "read_application",
    "read_nouns",
    "read_profile_file",
    "read_profiles",
    "write_profiles",
]

_LARGEST_FILE = 16 * 2**20

_Noun = TypeVar("_Noun", bound=Noun)


def read_application(path: str | os.PathLike[str]) -> Application:
    """Read an application.

    Parameters
    ----------
    path : path-like
        A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file.

    Returns
    -------
    Application
        What it describes.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or does not describe an application.
    """
    data, format = _read(path)
    return decode_application(data, format, file=os.fspath(path))


def read_profiles(path: str | os.PathLike[str]) -> dict[str, Profile]:
    """Read profiles.

    Parameters
    ----------
    path : path-like
        A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file.

    Returns
    -------
    dict of str to Profile
        The profiles by name, in the order of the file.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or does not describe profiles.
    """
    return read_profile_file(path)[0]


def read_profile_file(path: str | os.PathLike[str]) -> tuple[dict[str, Profile], Prices | None]:
    """Read profiles, and the prices beside them.

    Parameters
    ----------
    path : path-like
        A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file.

    Returns
    -------
    profiles : dict of str to Profile
        The profiles by name, in the order of the file.
    prices : Prices or None
        The prices, if the file has any.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or does not describe profiles.
    """
    data, format = _read(path)
    return decode_profile_file(data, format, file=os.fspath(path))


def read_nouns(path: str | os.PathLike[str], kind: type[_Noun], *, key: str) -> dict[str, _Noun]:
    """Read a file that holds values of one kind, by name, under one key.

    Parameters
    ----------
    path : path-like
        A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file.
    kind : type
        What they are.
    key : str
        The only key at the top, such as ``services``.

    Returns
    -------
    dict of str to `kind`
        In the order of the file.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or is wrong: the error names the file, the place and the value.
    """
    data, format = _read(path)
    try:
        entries = _entries(_keys(_parse(data, format), "", required=(key,))[key], key)
        return {name: _noun(kind, value, _place(key, name)) for name, value in entries}
    except InvalidInputError as error:
        raise error.within(file=os.fspath(path)) from None


def decode_application(data: bytes, format: str, *, file: str = "") -> Application:
    """Decode the content of an application file.

    Parameters
    ----------
    data : bytes
        The content.
    format : {"yaml", "json", "toml"}
        How it is written.
    file : str, optional
        The file to name in an error.

    Returns
    -------
    Application
        What it describes.

    Raises
    ------
    InvalidInputError
        If it does not describe an application.
    """
    try:
        fields = _fields(Application, _parse(data, format), "")
        fields["functions"] = tuple(
            _function(item, f"functions[{index}]")
            for index, item in enumerate(sequence(fields["functions"], "functions"))
        )
        return Application(**fields)
    except InvalidInputError as error:
        raise error.within(file=file) from None


def decode_profile_file(data: bytes, format: str, *, file: str = "") -> tuple[dict[str, Profile], Prices | None]:
    """Decode the content of a profile file.

    Parameters
    ----------
    data : bytes
        The content.
    format : {"yaml", "json", "toml"}
        How it is written.
    file : str, optional
        The file to name in an error.

    Returns
    -------
    profiles : dict of str to Profile
        The profiles by name, in the order of the content.
    prices : Prices or None
        The prices, if there are any.

    Raises
    ------
    InvalidInputError
        If it does not describe profiles.
    """
    try:
        document = _keys(_parse(data, format), "", required=("profiles",), optional=("prices", "notes"))
        profiles = {
            name: _profile(name, value, _place("profiles", name))
            for name, value in _entries(document["profiles"], "profiles")
        }
        if not profiles:
            raise InvalidInputError("expected at least one profile, got none", place="profiles")
        prices = _noun(Prices, document["prices"], "prices") if "prices" in document else None
        return profiles, prices
    except InvalidInputError as error:
        raise error.within(file=file) from None


def write_profiles(
    profiles: Profiles,
    path: str | os.PathLike[str],
    *,
    prices: Prices | None = None,
    notes: Iterable[str] = (),
) -> None:
    """Write profiles; the file appears whole or not at all.

    Parameters
    ----------
    profiles : mapping of str to Profile
        At least one, each under its own name.
    path : path-like
        A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file; an existing one is replaced.
    prices : Prices, optional
        The prices to write beside them.
    notes : iterable of str, optional
        Lines for people; readers skip them.

    Raises
    ------
    InvalidInputError
        If there is no profile, one has another name than its key, a note is not printable text, or the file
        cannot be written.
    """
    document: dict[str, Any] = {}
    if lines := [text(note, f"notes[{index}]") for index, note in enumerate(sequence(notes, "notes"))]:
        document["notes"] = lines
    if not profiles:
        raise InvalidInputError("expected at least one profile, got none", place="profiles")
    for name, profile in profiles.items():
        if profile.name != name:
            raise InvalidInputError(f"this key holds the profile {profile.name!r}", place=_place("profiles", name))
    document["profiles"] = {name: _plain_profile(profile) for name, profile in profiles.items()}
    if prices is not None:
        document["prices"] = msgspec.to_builtins(prices)
    try:
        target = Path(path)
        place_file(target, render(document, Format.of(target)))
    except InvalidInputError as error:
        raise error.within(file=os.fspath(path)) from None


def _parse(data: bytes, format: str) -> object:
    return parse(data, choice(format, Format, place="format", what="format"))


def _function(item: object, place: str) -> Function:
    return _noun(Function, {"name": item, "profile": item} if isinstance(item, str) else item, place)


def _profile(name: str, value: object, place: str) -> Profile:
    entry = _keys(value, place, required=("hardware",))
    hardware: dict[Any, HardwareProfile] = {  # `Profile` checks the kinds
        kind: _noun(HardwareProfile, model, _place(f"{place}.hardware", kind))
        for kind, model in _entries(entry["hardware"], f"{place}.hardware")
    }
    try:
        return Profile(name, hardware)
    except InvalidInputError as error:
        raise error.within(place=place) from None


def _plain_profile(profile: Profile) -> dict[str, Any]:
    plain = {}
    for kind, model in profile.hardware.items():
        fields = msgspec.to_builtins(model)
        if not model.cold_start_samples:
            del fields["cold_start_samples"]
        plain[str(kind)] = fields
    return {"hardware": plain}


def _noun(kind: type[_Noun], value: object, place: str) -> _Noun:
    """Build a noun from the mapping of its fields; the noun itself checks the values."""
    fields = _fields(kind, value, place)
    try:
        return kind(**fields)
    except InvalidInputError as error:
        raise error.within(place=place) from None


def _fields(kind: type[Noun], value: object, place: str) -> dict[str, Any]:
    fields = msgspec.structs.fields(kind)
    required = tuple(field.name for field in fields if field.required)
    return _keys(value, place, required=required, optional=tuple(field.name for field in fields))


def _keys(value: object, place: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Check that a value is a mapping with these keys and no others."""
    keys: dict[str, Any] = dict(_entries(value, place))
    known = dict.fromkeys((*required, *optional))
    for key in keys:
        if key not in known:
            raise InvalidInputError.unknown("key", key, known, place=place)
    for key in required:
        if key not in keys:
            raise InvalidInputError(f"the key {key!r} is missing", place=place)
    return keys


def _entries(value: object, place: str) -> Iterable[tuple[str, object]]:
    """Return the entries of a mapping; the parsers make all keys text."""
    entries: Mapping[Any, object] = mapping(value, place)
    return entries.items()


def _place(outer: str, key: str) -> str:
    return f"{outer}.{key}" if re.fullmatch(r"[\w-]+", key) else f"{outer}[{key!r}]"


def _read(path: str | os.PathLike[str]) -> tuple[bytes, Format]:
    target = Path(path)
    try:
        # Before opening: to open a pipe would wait for its writer.
        mode = target.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InvalidInputError("this is a directory, not a file")
        if not stat.S_ISREG(mode):
            raise InvalidInputError("this is not a regular file")
        format = Format.of(target)
        with target.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise InvalidInputError(f"the file is larger than {_LARGEST_FILE // 2**20} MiB")
        return data, format
    except InvalidInputError as error:
        raise error.within(file=os.fspath(path)) from None
    except (OSError, ValueError) as error:  # a ValueError comes from a name with a null byte in it
        raise InvalidInputError(f"cannot be read: {reason_of(error)}", file=os.fspath(path)) from None
