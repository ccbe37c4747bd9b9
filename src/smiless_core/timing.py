"""When the functions of one application start and finish, for every readiness.

In release terms a mode is a pair (release, latency): work starts when all predecessors have finished, and
not before the release; then it takes the latency:

    finish[v] = max(max over predecessors u of finish[u], release[v]) + latency[v]

============  =======  ======================
readiness     release  latency
============  =======  ======================
`prewarmed`   0        latency
`on_arrival`  T        latency
`on_request`  0        T + latency
============  =======  ======================

with T the cold start. `response_times` is the core, on indices; `warm_response` and `cold_response` speak
for an application.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application
from smiless_core.model.configuration import Readiness
from smiless_core.validation import choice, number

__all__ = [
    "Timing",
    "cold_response",
    "nanoseconds_down",
    "nanoseconds_up",
    "release_terms",
    "response_times",
    "warm_response",
]

PerFunction: TypeAlias = Mapping[str, float] | Sequence[float]
"""Seconds for each function: by name, or in the order of the functions."""

_Value = TypeVar("_Value")

_SNAP_ULPS = 4
_SECONDS_BELOW = 9.2e9  # what an int64 of nanoseconds holds


class Timing(NamedTuple):
    """When each function starts and finishes, in seconds after the arrival; positions are function indices.

    Attributes
    ----------
    latency : float
        End-to-end latency: the latest of the earliest finishes.
    critical_path : tuple of int
        A longest path, from a function that only its release or the arrival holds up, to one that finishes
        last. Where several are longest: the smallest index that finishes last, then, backward, the smallest
        predecessor; a predecessor is preferred to a release.
    earliest_start, earliest_finish : tuple of float
        When work starts and ends if every function starts as soon as it may.
    latest_start, latest_finish : tuple of float
        When it must, for the latency to stay within the bound.
    slack : tuple of float
        ``latest_finish - earliest_finish``: how much one latency could grow alone with the longest path
        through its function still within the bound. Negative where that path is too long already.
    """

    latency: float
    critical_path: tuple[int, ...]
    earliest_start: tuple[float, ...]
    earliest_finish: tuple[float, ...]
    latest_start: tuple[float, ...]
    latest_finish: tuple[float, ...]
    slack: tuple[float, ...]


def response_times(
    predecessors: Sequence[Sequence[int]],
    latency: Sequence[float],
    *,
    order: Sequence[int],
    release: Sequence[float] | None = None,
    bound: float | None = None,
) -> Timing:
    """Time one choice of modes in O(functions + edges), unchecked.

    Parameters
    ----------
    predecessors : sequence of n sequences of int
        The functions that each one waits for, ascending; see `Application.predecessors`.
    latency : sequence of n floats
        Release terms, seconds. Whole numbers of any unit, up to 2**53 in sum, come out exact. Lists are
        faster than arrays.
    order : sequence of n ints
        A topological order; see `Application.order`.
    release : sequence of n floats, optional
        Release terms, seconds; 0 everywhere by default.
    bound : float, optional
        What slack and latest times refer to, seconds: the SLA. The latency itself by default.

    Returns
    -------
    Timing
        The earliest and latest times, and what they add up to.
    """
    n = len(latency)
    # Plain lists: at a dozen functions one numpy call costs as much as the whole loop.
    earliest_start = [0.0] * n if release is None else list(release)
    earliest_finish = [0.0] * n
    held_up_by = [-1] * n
    for v in order:
        start, last = earliest_start[v], -1
        for u in predecessors[v]:
            finish = earliest_finish[u]
            if finish > start or (finish == start and last < 0):
                start, last = finish, u
        earliest_start[v], held_up_by[v] = start, last
        earliest_finish[v] = start + latency[v]
    total = max(earliest_finish)

    latest_finish = [total if bound is None else bound] * n
    latest_start = [0.0] * n
    for v in reversed(order):
        latest_start[v] = start = latest_finish[v] - latency[v]
        for u in predecessors[v]:
            if start < latest_finish[u]:
                latest_finish[u] = start

    v = earliest_finish.index(total)
    path = []
    while v >= 0:
        path.append(v)
        v = held_up_by[v]
    return Timing(
        total,
        tuple(reversed(path)),
        tuple(earliest_start),
        tuple(earliest_finish),
        tuple(latest_start),
        tuple(latest_finish),
        tuple([late - early for late, early in zip(latest_finish, earliest_finish, strict=True)]),
    )


def release_terms(readiness: Readiness, latency: float, *, cold_start: float) -> tuple[float, float]:
    """Return the release and the latency by which a mode enters `response_times`.

    Parameters
    ----------
    readiness : Readiness
        When an instance begins to initialize.
    latency : float
        Inference time on a warm instance, seconds.
    cold_start : float
        T, seconds.

    Returns
    -------
    release, latency : float
        Seconds.
    """
    if readiness is Readiness.PREWARMED:
        return 0.0, latency
    if readiness is Readiness.ON_ARRIVAL:
        return cold_start, latency
    return 0.0, cold_start + latency


def warm_response(
    application: Application,
    latency: PerFunction,
    *,
    cold_start: PerFunction,
    readiness: Mapping[str, Readiness] | Sequence[Readiness] | None = None,
    bound: float | None = None,
) -> Timing:
    """Time an invocation that finds every prewarmed function ready.

    Parameters
    ----------
    application : Application
        The graph.
    latency, cold_start : mapping of str to float, or sequence of n floats
        Inference time on a warm instance and T of each function, seconds, at least 0.
    readiness : mapping of str to Readiness, or sequence of n Readiness, optional
        When each function's instances begin to initialize; `prewarmed` everywhere by default.
    bound : float, optional
        What slack and latest times refer to, seconds; the SLA of the application by default.

    Returns
    -------
    Timing
        The warm response.

    Raises
    ------
    InvalidInputError
        If a function has no value, a value has no function, or a value is not a finite number of at least 0.
    """
    if readiness is None:
        ready = [Readiness.PREWARMED] * len(application.functions)
    else:
        words = _in_order(application, readiness, "readiness")
        ready = [choice(word, Readiness, place="readiness", what="readiness") for word in words]
    return _response(application, ready, latency, cold_start, bound)


def cold_response(
    application: Application,
    latency: PerFunction,
    *,
    cold_start: PerFunction,
    announces_arrivals: bool = False,
    bound: float | None = None,
) -> Timing:
    """Time an invocation that finds nothing ready: every function in its fallback.

    The fallback is `on_arrival` where the platform announces arrivals to the controller, else `on_request`.
    For a function that waits for none the two are the same.

    Parameters
    ----------
    application : Application
        The graph.
    latency, cold_start : mapping of str to float, or sequence of n floats
        Inference time on a warm instance and T of each function, seconds, at least 0.
    announces_arrivals : bool, default False
        Whether the controller learns of an invocation when it arrives.
    bound : float, optional
        What slack and latest times refer to, seconds; the SLA of the application by default.

    Returns
    -------
    Timing
        The cold response. If its latency is within the SLA, so is that of every invocation.

    Raises
    ------
    InvalidInputError
        If a function has no value, a value has no function, or a value is not a finite number of at least 0.
    """
    fallback = Readiness.ON_ARRIVAL if announces_arrivals else Readiness.ON_REQUEST
    ready = [fallback if before else Readiness.ON_REQUEST for before in application.predecessors]
    return _response(application, ready, latency, cold_start, bound)


def _response(
    application: Application,
    readiness: Sequence[Readiness],
    latency: PerFunction,
    cold_start: PerFunction,
    bound: float | None,
) -> Timing:
    warm = _seconds(application, latency, "latency")
    cold = _seconds(application, cold_start, "cold_start")
    terms = [release_terms(ready, L, cold_start=T) for ready, L, T in zip(readiness, warm, cold, strict=True)]
    return response_times(
        application.predecessors,
        [duration for _, duration in terms],
        order=application.order,
        release=[release for release, _ in terms],
        bound=application.sla if bound is None else bound,
    )


def _seconds(application: Application, values: PerFunction, place: str) -> list[float]:
    in_order = _in_order(application, values, place)
    return [
        number(value, f"{place}[{name!r}]", at_least=0.0)
        for name, value in zip(application.names, in_order, strict=True)
    ]


def _in_order(
    application: Application, values: Mapping[str, _Value] | Sequence[_Value], place: str
) -> Sequence[_Value]:
    """Return one value per function, in the order of the functions."""
    names = application.names
    if isinstance(values, Mapping):
        for name in values:
            if name not in application.index:
                raise InvalidInputError.unknown("function", name, names, place=place)
        for name in names:
            if name not in values:
                raise InvalidInputError(f"no value for function {name!r}", place=place)
        return [values[name] for name in names]
    if len(values) != len(names):
        wanted = f"expected {len(names)} values, one per function"
        raise InvalidInputError(f"{wanted}, got {len(values)}", place=place)
    return values


@overload
def nanoseconds_up(seconds: float) -> int: ...
@overload
def nanoseconds_up(seconds: NDArray[np.float64]) -> NDArray[np.int64]: ...
def nanoseconds_up(seconds: float | NDArray[np.float64]) -> int | NDArray[np.int64]:
    """Return whole nanoseconds, rounded up: for latencies and releases.

    A value within 4 units in the last place of a whole nanosecond is taken for that nanosecond, so that sums
    such as 0.1 + 0.2 do not gain one from their rounding.

    Parameters
    ----------
    seconds : float or float64 array
        Seconds.

    Returns
    -------
    int or int64 array
        Nanoseconds.

    Raises
    ------
    InvalidInputError
        If a value is not a number, or beyond 291 years.

    Examples
    --------
    >>> nanoseconds_up(0.1 + 0.2), nanoseconds_up(0.3000000001)
    (300000000, 300000001)
    """
    return _nanoseconds(seconds, up=True)


@overload
def nanoseconds_down(seconds: float) -> int: ...
@overload
def nanoseconds_down(seconds: NDArray[np.float64]) -> NDArray[np.int64]: ...
def nanoseconds_down(seconds: float | NDArray[np.float64]) -> int | NDArray[np.int64]:
    """Return whole nanoseconds, rounded down: for bounds. Otherwise as `nanoseconds_up`.

    Parameters
    ----------
    seconds : float or float64 array
        Seconds.

    Returns
    -------
    int or int64 array
        Nanoseconds.

    Raises
    ------
    InvalidInputError
        If a value is not a number, or beyond 291 years.

    Examples
    --------
    >>> nanoseconds_down(1.1 - 0.8), nanoseconds_down(0.2999999999)
    (300000000, 299999999)
    """
    return _nanoseconds(seconds, up=False)


def _nanoseconds(seconds: float | NDArray[np.float64], *, up: bool) -> int | NDArray[np.int64]:
    if isinstance(seconds, np.ndarray):
        if not np.all(np.abs(seconds) < _SECONDS_BELOW):
            raise _out_of_range(seconds[~(np.abs(seconds) < _SECONDS_BELOW)].flat[0])
        scaled = seconds * 1e9
        nearest = np.rint(scaled)
        snaps = np.abs(scaled - nearest) <= _SNAP_ULPS * np.spacing(np.abs(scaled))
        rounded: NDArray[np.float64] = np.where(snaps, nearest, np.ceil(scaled) if up else np.floor(scaled))
        return rounded.astype(np.int64)
    # The same on one number, ten times as fast.
    if not abs(seconds) < _SECONDS_BELOW:
        raise _out_of_range(seconds)
    value = seconds * 1e9
    whole = round(value)
    if abs(value - whole) <= _SNAP_ULPS * math.ulp(value):
        return whole
    return math.ceil(value) if up else math.floor(value)


def _out_of_range(seconds: float) -> InvalidInputError:
    return InvalidInputError(f"expected seconds below {_SECONDS_BELOW:g} (291 years), got {seconds:g}")
