"""Runs as bytes and in files: JSON that says all of a run, its arrays included, to the last digit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError, SmilessError
from smiless_core.model.application import Application, Function
from smiless_core.model.configuration import Configuration
from smiless_core.placing import place_file, reason_of
from smiless_core.simulator.runs import FunctionRun, Instances, Run, Services, Usage

__all__ = ["decode_run", "encode_run", "read_runs", "write_runs"]

_SCHEMA = 1

_Columns = TypeVar("_Columns", Instances, Services)


def encode_run(run: Run) -> bytes:
    """Return a run as JSON."""
    return msgspec.json.encode(_plain(run), enc_hook=_listed)


def decode_run(data: bytes) -> Run:
    """Return the run that `encode_run` made this of.

    Raises
    ------
    InvalidInputError
        If it did not.
    """
    try:
        return _run(msgspec.json.decode(data))
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _no_runs(error) from None


def write_runs(path: str | os.PathLike[str], runs: Iterable[Run]) -> None:
    """Write runs to a JSON file, which appears whole or not at all.

    Parameters
    ----------
    path : path-like
        A file that is there is replaced.
    runs : iterable of Run
        What to write.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    document = {"schema": _SCHEMA, "runs": [_plain(run) for run in runs]}
    place_file(path, msgspec.json.encode(document, enc_hook=_listed))


def read_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Read the runs of a file that `write_runs` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of Run
        As they were written.

    Raises
    ------
    InvalidInputError
        If it cannot be read, or holds something else; the error names the file.
    """
    file = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot be read: {reason_of(error)}", file=file) from None
    try:
        document = msgspec.json.decode(data)
        if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
            raise ValueError(f"expected runs, with a schema of {_SCHEMA}")
        if not isinstance(document["runs"], list):
            raise TypeError("expected a list of runs")
        return [_run(each) for each in document["runs"]]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _no_runs(error, file=file) from None


def _no_runs(error: Exception, *, file: str = "") -> InvalidInputError:
    why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return InvalidInputError(f"not what runs are written as: {why}", file=file)


def _listed(value: object) -> object:
    """Turn what msgspec does not know into what it does."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"no rule for {type(value).__name__}")


def _plain(run: Run) -> dict[str, Any]:
    application = run.application
    return {
        "policy": run.policy,
        "settings": run.settings,
        "fidelity": run.fidelity,
        "application": {
            "name": application.name,
            "sla": application.sla,
            "attainment_target": application.attainment_target,
            "functions": [[each.name, each.profile] for each in application.functions],
            "edges": [list(edge) for edge in application.edges],
        },
        "trace": run.trace,
        "seed": run.seed,
        "arrivals_ns": run.arrivals_ns,
        "responses_ns": run.responses_ns,
        "end": run.end,
        "functions": [
            {
                **function._asdict(),
                "usage": [
                    {**used._asdict(), "configuration": list(msgspec.structs.astuple(used.configuration))}
                    for used in function.usage
                ],
            }
            for function in run.functions
        ],
        "clairvoyant": run.clairvoyant,
        "decisions": run.decisions,
        "decision_time": run.decision_time,
        "instances": None if run.instances is None else run.instances._asdict(),
        "services": None if run.services is None else run.services._asdict(),
    }


def _run(plain: dict[str, Any]) -> Run:
    given = dict(plain)
    application = _application(given.pop("application"))
    bound = given.pop("clairvoyant")
    functions = tuple(
        FunctionRun(**each | {"usage": tuple(_usage(used) for used in each["usage"])}) for each in given["functions"]
    )
    if tuple(each.name for each in functions) != application.names:
        raise ValueError("its functions are not those of the application")
    arrivals, responses = (_array(given[name], int, name) for name in ("arrivals_ns", "responses_ns"))
    if len(arrivals) != len(responses):
        raise ValueError(f"it has {len(arrivals)} arrivals and {len(responses)} responses")
    return Run(
        **given
        | {
            "application": application,
            "clairvoyant": np.nan if bound is None else bound,
            "functions": functions,
            "arrivals_ns": arrivals,
            "responses_ns": responses,
            "instances": _columns(Instances, given["instances"]),
            "services": _columns(Services, given["services"]),
        }
    )


def _application(plain: dict[str, Any]) -> Application:
    try:
        return Application(
            functions=tuple(Function(name, profile) for name, profile in plain["functions"]),
            edges=tuple((one, other) for one, other in plain["edges"]),
            sla=plain["sla"],
            attainment_target=plain["attainment_target"],
            name=plain["name"],
        )
    except SmilessError as error:
        raise ValueError(str(error)) from None


def _usage(plain: dict[str, Any]) -> Usage:
    return Usage(**plain | {"configuration": Configuration(*plain["configuration"])})


def _columns(kind: type[_Columns], plain: dict[str, Any] | None) -> _Columns | None:
    if plain is None:
        return None
    whole = {"function", "invocation", "serial", "usage", "batch"}
    columns = {
        name: _array(values, int if name in whole else bool if name == "cold" else float, name)
        for name, values in plain.items()
    }
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("its columns are not equally long")
    return kind(**columns)


def _array(values: object, kind: type, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.array(values, dtype=kind)
    if not isinstance(values, list) or array.ndim != 1:
        raise TypeError(f"{name}: expected a list of numbers")
    array.flags.writeable = False
    return array
