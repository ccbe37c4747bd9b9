"""The backtest of methods on recorded arrivals of many functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import NamedTuple, cast

import msgspec
import numpy as np

from smiless_core.backtests.femux import ForecasterSwitching
from smiless_core.backtests.fleet import keep_target
from smiless_core.backtests.methods import Method, Played, Scene
from smiless_core.backtests.results import Backtest, curve
from smiless_core.backtests.rivals import FixedKeepAlives, HybridHistograms, PointWindows
from smiless_core.backtests.switching import ChainSwitching
from smiless_core.errors import InvalidInputError
from smiless_core.execution import key_of, pickled, run_cells
from smiless_core.model.trace import Trace
from smiless_core.targets import ApplicationTarget, FleetTarget, FleetTargetWithCeiling, Target
from smiless_core.validation import mapping, number, sequence, shown, whole_number

__all__ = ["MOST_ARRIVALS", "backtest", "usual_methods", "usual_targets"]

MOST_ARRIVALS = 3000
"""Of a function: enough to judge by, and one that is called all the time does not outweigh all others."""


def usual_methods() -> tuple[Method, ...]:
    """Return the default forecaster and all rivals that need no extra."""
    return (ChainSwitching(), ForecasterSwitching(), HybridHistograms.swept(), PointWindows(), FixedKeepAlives())


def usual_targets(misses: float = 0.02) -> tuple[Target, ...]:
    """Return the three kinds of targets for a fraction of misses."""
    return (FleetTarget(misses=misses), FleetTargetWithCeiling(misses=misses), ApplicationTarget(misses=misses))


class _Cell(NamedTuple):
    """One method on one function."""

    method: Method
    function: str
    scene: Scene


class _Steps:
    """Adds up the progress of one part after the other."""

    def __init__(self, progress: Callable[[int, int], None] | None, whole: int) -> None:
        self._progress, self._whole, self._before = progress, whole, 0

    def part(self, done: int, of: int) -> None:
        """So much of a part is done."""
        if self._progress is not None:
            self._progress(self._before + done, self._whole)
        if done == of:
            self._before += of


def backtest(
    traces: Trace | Mapping[str, Trace],
    methods: Iterable[Method] | None = None,
    *,
    targets: Iterable[Target] = (),
    cold_start: float = 5.0,
    tolerated_wait: float = 0.0,
    most_arrivals: int = MOST_ARRIVALS,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Try out how well methods plan, gap by gap, from the past alone.

    Parameters
    ----------
    traces : Trace or mapping of str to Trace
        Arrivals, by function. Functions with fewer than two are left out.
    methods : iterable of Method, optional
        `usual_methods` by default.
    targets : iterable of Target, optional
        To be kept by the default forecaster, without hindsight.
    cold_start : float, default 5
        Seconds.
    tolerated_wait : float, default 0
        Seconds that an arrival may wait and not be missed.
    most_arrivals : int, default 3000
        How many of a function are looked at, from its first on.
    executor, directory, progress
        As for `sweep`: each method on each function is a cell of its own.

    Returns
    -------
    Backtest

    Raises
    ------
    InvalidInputError
        If there is no gap at all, or a value is out of range.
    """
    if isinstance(traces, Trace):
        traces = {traces.name: traces}
    mapping(traces, "traces")
    chosen = usual_methods() if methods is None else _checked_methods(methods)
    wanted = _checked_targets(targets)
    if not chosen and not wanted:
        raise InvalidInputError("expected at least one method or target", place="methods")
    if len({method.name for method in chosen}) < len(chosen):
        raise InvalidInputError("expected methods with different names", place="methods")
    scenes, firsts = _scenes(traces, cold_start, tolerated_wait, most_arrivals)
    cells: dict[str, _Cell] = {}
    for method in chosen:
        kept = None if directory is None else pickled(method, "methods")
        for function, scene in scenes.items():
            key = f"{method.name}, {function}"
            if kept is not None:
                key = key_of(key, kept, scene.gaps.tobytes(), scene[1:])
            cells[key] = _Cell(method, function, scene)
    steps = _Steps(progress, len(cells) + len(wanted) * sum(scene.gaps.size for scene in scenes.values()))
    played, failures = run_cells(
        _play,
        cells,
        encode=_encode,
        decode=_decode,
        executor=executor,
        directory=directory,
        progress=steps.part,
    )
    gaps = np.array([scene.gaps.size for scene in scenes.values()], np.int64)
    clairvoyant = np.array([scene.clairvoyant for scene in scenes.values()])
    curves = []
    for method in chosen:
        of_it = [played.get(key) for key, cell in cells.items() if cell.method is method]
        whole = [each for each in of_it if each is not None]
        if len(whole) == len(of_it):  # what failed for some functions is not comparable with what did for all
            curves.append(curve(method, whole, gaps, clairvoyant))
    kept_targets = [keep_target(target, scenes, firsts=firsts, progress=steps.part) for target in wanted]
    return Backtest(
        tuple(scenes),
        gaps,
        clairvoyant,
        tuple(curves),
        tuple(kept_targets),
        {
            "functions": len(scenes),
            "gaps": int(gaps.sum()),
            "placement": next((trace.placement for trace in traces.values()), None),
            "cold_start": cold_start,
            "tolerated_wait": tolerated_wait,
        },
        _told(failures, cells),
    )


def _checked_methods(methods: object) -> tuple[Method, ...]:
    given = sequence(methods, "methods")
    for at, method in enumerate(given):
        parts = ("name", "fidelity", "settings", "play")
        if isinstance(method, type) or not all(hasattr(method, part) for part in parts):
            message = f"expected a method, such as ChainSwitching(), got {shown(method)}"
            raise InvalidInputError(message, place=f"methods[{at}]")
    return cast(tuple[Method, ...], given)


def _checked_targets(targets: object) -> tuple[Target, ...]:
    given = sequence(targets, "targets")
    for at, target in enumerate(given):
        if not isinstance(target, Target):
            message = f"expected a target, such as FleetTarget(misses=0.01), got {shown(target)}"
            raise InvalidInputError(message, place=f"targets[{at}]")
    return cast(tuple[Target, ...], given)


def _told(failures: Mapping[str, str], cells: Mapping[str, _Cell]) -> dict[str, str]:
    """Return, for each method that failed, on how many functions, and why on the first of them."""
    told: dict[str, list[tuple[str, str]]] = {}
    for key, why in failures.items():
        told.setdefault(cells[key].method.name, []).append((cells[key].function, why))
    return {
        name: f"failed on {len(each)} of {len({cell.function for cell in cells.values()})} functions, on"
        f" {each[0][0]} by {each[0][1]}"
        for name, each in told.items()
    }


def _scenes(
    traces: Mapping[str, Trace], cold_start: float, tolerated_wait: float, most_arrivals: int
) -> tuple[dict[str, Scene], list[int]]:
    cold = round(number(cold_start, "cold_start", above=0.0, at_most=1e6) * 1e9)
    tolerated = round(number(tolerated_wait, "tolerated_wait", at_least=0.0, at_most=1e6) * 1e9)
    most = whole_number(most_arrivals, "most_arrivals", at_least=2)
    for name, trace in traces.items():
        if not isinstance(trace, Trace):
            raise InvalidInputError(f"expected a trace, got {shown(trace)}", place=f"traces[{name!r}]")
    watched = max((int(trace.times[-1]) for trace in traces.values() if trace.count), default=0)
    scenes, firsts = {}, []
    for name, trace in traces.items():
        times = trace.times[:most]
        if len(times) < 2:
            continue
        until = int(trace.times[most]) if trace.count > most else watched
        scenes[name] = Scene(np.diff(times), until - int(times[-1]), cold, tolerated, int(times[0]))
        firsts.append(int(times[0]))
    if not scenes:
        raise InvalidInputError("expected a function with at least two arrivals", place="traces")
    return scenes, firsts


def _play(cell: _Cell) -> Played:
    return cell.method.play(cell.scene)


def _encode(played: Played) -> bytes:
    return msgspec.msgpack.encode([None if each is None else each.tolist() for each in played])


def _decode(data: bytes) -> Played:
    residency, missed, stated, bars = sequence(msgspec.msgpack.decode(data), "cell")
    return Played(
        np.array(residency, np.float64),
        np.array(missed, np.int64),
        None if stated is None else np.array(stated, np.float64),
        None if bars is None else np.array(bars, np.int64),
    )
