"""Policies by their names on the command line, with settings, and those that users bring along in files."""

import hashlib
import importlib.util
import pickle
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import msgspec

from smiless_core.errors import InvalidInputError
from smiless_core.placing import reason_of
from smiless_core.policies import Policy
from smiless_core.solver.formatting import fitting_width, wrapped
from smiless_core.validation import shown

__all__ = ["Chosen", "choose", "known_policies", "load", "policies_page"]

_OPTION = "--policy"
_OWN = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)", re.DOTALL)
_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


class _Known(NamedTuple):
    """A policy of the library: its kind, and the settings that its name stands for."""

    kind: type[msgspec.Struct]
    fixed: Mapping[str, object]

    @property
    def fields(self) -> dict[str, msgspec.structs.FieldInfo]:
        """The settings that can be given."""
        return {field.name: field for field in msgspec.structs.fields(self.kind) if field.name not in self.fixed}


class Chosen(NamedTuple):
    """A policy, and the file that it comes from."""

    policy: Policy
    given: str
    file: str | None

    @property
    def why_not_sent(self) -> str | None:
        """Why it cannot be sent to another process; None if it can."""
        try:
            pickle.dumps(self.policy)
        except Exception as error:
            return _line(error)
        return None


def known_policies() -> dict[str, _Known]:
    """Return the policies of the library by their names on the command line, in the order of a comparison."""
    from smiless_core import baselines
    from smiless_core.policies import PublishedSmiless, Smiless

    return {
        "smiless": _Known(Smiless, {}),
        "smiless-published": _Known(PublishedSmiless, {}),
        "smiless-homogeneous": _Known(PublishedSmiless, {"homogeneous": True}),
        "smiless-no-dag": _Known(PublishedSmiless, {"windows_follow_dag": False}),
        "always-warm": _Known(baselines.AlwaysWarm, {}),
        "fixed-keep-alive": _Known(baselines.FixedKeepAlive, {}),
        "knative": _Known(baselines.KnativeAutoscaler, {}),
        "hybrid-histogram": _Known(baselines.HybridHistogram, {}),
        "icebreaker": _Known(baselines.IceBreaker, {}),
        "orion": _Known(baselines.Orion, {}),
        "grandslam": _Known(baselines.GrandSLAm, {}),
    }


def choose(given: Sequence[str]) -> list[Chosen]:
    """Return the policies that were asked for, each once.

    Parameters
    ----------
    given : sequence of str
        ``NAME``, ``NAME:FIELD=VALUE,...`` or ``FILE.py:NAME``.

    Raises
    ------
    InvalidInputError
        If one is not known, its settings make no sense, or it cannot be loaded; it names option, policy and value.
    """
    loaded = cache(load)  # for policies of one file to share their classes
    return [
        Chosen(_own(own["file"], own["name"], loaded), each, own["file"])
        if (own := _OWN.fullmatch(each))
        else Chosen(_built_in(each), each, None)
        for each in dict.fromkeys(given)
    ]


# -- Those of the library ------------------------------------------------------------------------------------


def _built_in(given: str) -> Policy:
    name, colon, settings = given.partition(":")
    known = known_policies()
    if name not in known:
        if name.endswith(".py"):
            raise InvalidInputError(f"which policy in this file: {name}:NAME?", place=f"{_OPTION} {given}")
        raise InvalidInputError.unknown("policy", name, known, place=_OPTION)
    place = f"{_OPTION} {name}"
    values = _settings(settings, known[name].fields, place) if colon else {}
    try:
        return cast(Policy, known[name].kind(**known[name].fixed, **values))  # the table holds policies only
    except InvalidInputError as error:
        raise InvalidInputError(error.message, place=f"{place}:{error.place}") from None


def _settings(given: str, fields: Mapping[str, msgspec.structs.FieldInfo], place: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for setting in given.split(","):
        field, equals, value = setting.partition("=")
        field = field.strip().replace("-", "_")
        if not equals:
            raise InvalidInputError(f"expected FIELD=VALUE, got {shown(setting)}", place=place)
        if field not in fields:
            raise InvalidInputError.unknown("setting", field, fields, place=place)
        if field in values:
            raise InvalidInputError("given twice", place=f"{place}:{field}")
        try:
            values[field] = msgspec.convert(value.strip(), fields[field].type, strict=False)
        except msgspec.ValidationError:
            kinds = get_args(fields[field].type) or (fields[field].type,)
            wanted = " or ".join(_WORDS.get(kind, "nothing") for kind in kinds)
            raise InvalidInputError(f"expected {wanted}, got {shown(value)}", place=f"{place}:{field}") from None
    return values


def policies_page() -> str:
    """List the policies of the library: what they do, how near they are to their sources, what can be set."""
    columns = fitting_width(None)
    return "\n\n".join(
        "\n".join([name, *(_indented(line, columns) for line in _described(known))])
        for name, known in known_policies().items()
    )


def _described(known: _Known) -> Iterator[str]:
    policy: Any = known.kind(**known.fixed)
    fixed = ", ".join(f"{name}={_written(value)}" for name, value in known.fixed.items())
    yield (known.kind.__doc__ or "").partition("\n")[0] + (f" With {fixed}." if fixed else "")
    yield f"{policy.fidelity[:1].upper()}{policy.fidelity[1:]}."
    yield f"Settings: {', '.join(f'{name}={_written(getattr(policy, name))}' for name in known.fields)}."


def _indented(text: str, columns: int) -> str:
    return "\n".join(f"  {line}" for line in wrapped(text, columns - 2).splitlines())


def _written(value: object) -> str:
    """Write a value as it can be given."""
    return f"{value:g}" if isinstance(value, float) else "null" if value is None else str(value).lower()


# -- Those of users ------------------------------------------------------------------------------------------


def load(file: str) -> types.ModuleType:
    """Load a Python file, under the same name in every process."""
    path = Path(file).resolve()
    name = f"{path.stem}_{hashlib.blake2b(bytes(path), digest_size=4).hexdigest()}"
    if (directory := str(path.parent)) not in sys.path:
        sys.path.append(directory)  # for what it imports from files beside it
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where instances of its classes look for these when they are sent
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _own(file: str, name: str, load: Callable[[str], types.ModuleType]) -> Policy:
    """Return the policy of this name in a file: an instance, or what a class or a function gives without arguments."""
    place = f"{_OPTION} {file}:{name}"
    try:
        Path(file).open("rb").close()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot be read: {reason_of(error)}", place=place) from None
    try:
        module = load(file)
        if name not in vars(module):
            raise InvalidInputError.unknown("policy", name, _candidates(module))
        policy = getattr(module, name)
        if isinstance(policy, type) or (callable(policy) and not hasattr(policy, "start")):
            policy = policy()
        for attribute in ("name", "fidelity", "start"):
            if not hasattr(policy, attribute):
                raise InvalidInputError(
                    f"a policy has name, fidelity and start, and {shown(policy)} has no {attribute}"
                )
    except InvalidInputError as error:
        raise error.within(place=place) from None
    except (Exception, SystemExit) as error:
        raise InvalidInputError(_line(error, module_file=file), place=place) from None
    return cast(Policy, policy)  # what its decisions are is checked as it makes them


def _candidates(module: types.ModuleType) -> list[str]:
    """Return the names in a module that may be policies."""
    return [name for name, value in vars(module).items() if hasattr(value, "start") and not name.startswith("_")]


def _line(error: BaseException, *, module_file: str = "") -> str:
    """Sum up an error in code of others, and say where in their file it is."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if module_file and Path(frame.filename) == Path(module_file).resolve()]
    return f"line {own[-1]}: {said}" if own else said
