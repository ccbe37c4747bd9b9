"""Fits a profile to measurements and reports how well, and how surely, it describes them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.fitting import surface
from smiless_core.fitting.measurements import Measurement
from smiless_core.fitting.surface import Floats
from smiless_core.model.configuration import Configuration, Hardware
from smiless_core.model.noun import Noun
from smiless_core.model.profiles import HardwareProfile, Profile
from smiless_core.validation import number, sequence, shown

__all__ = ["Fit", "HardwareFit", "NextMeasurement", "fit_profile", "fit_profiles"]

# Sizes and batches at which the next measurement may be taken, beside those measured already.
_SIZES = {Hardware.CPU: (1.0, 2.0, 4.0, 8.0, 16.0), Hardware.GPU: tuple(tenth / 10 for tenth in range(1, 11))}
_BATCHES = (1, 2, 4, 8, 16)

# Plans for requests that come one at a time use batch 1: an error there matters most.
BATCH_WEIGHT = 4.0
# Predictions that are faster than measured by more than this are pointed out: plans would rely on them.
_TOO_FAST = 0.05

_AT_ZERO = {
    "alpha": "latency rises with the size",
    "beta": "a further request adds less time than a larger size saves",
    "gamma": "latency grows more than in proportion to the batch",
}
_Numbered: TypeAlias = tuple[int, Measurement]
_Place: TypeAlias = tuple[float, int]  # a size and a batch


class NextMeasurement(Noun, frozen=True):
    """The measurement that would teach the most about parameters that cannot be told apart.

    Parameters
    ----------
    configuration : Configuration
        Where to measure.
    parameters : tuple of str
        The parameters that cannot be told apart without it.
    """

    configuration: Configuration
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        return f"measure {self.configuration}: it separates {_listed(self.parameters)}"


class HardwareFit(Noun, frozen=True, kw_only=True):
    """How well the profile of one kind of hardware describes its measurements.

    Parameters
    ----------
    points : int
        Measured latencies that were used.
    outliers : tuple of int
        Latencies that were set aside, as positions in the measurements that were given.
    median_error, max_error, rms_error : float
        Median, largest and root mean square of |predicted - measured| / measured over the points used.
    notes : tuple of str
        What a reader should know before trusting the profile.
    next_measurement : NextMeasurement or None
        None where the data identify all parameters.
    """

    points: int
    outliers: tuple[int, ...]
    median_error: float
    max_error: float
    rms_error: float
    notes: tuple[str, ...] = ()
    next_measurement: NextMeasurement | None = None


class Fit(Noun, frozen=True):
    """A fitted profile and its report.

    Parameters
    ----------
    profile : Profile
        The profile; it offers the sizes and batches that were measured and not set aside.
    reports : mapping of Hardware to HardwareFit
        One report for each kind of hardware of the profile.
    """

    profile: Profile
    reports: Mapping[Hardware, HardwareFit]

    def __post_init__(self) -> None:
        self._set(reports=MappingProxyType(dict(self.reports)))

    @property
    def next_measurement(self) -> NextMeasurement | None:
        """The next measurement of the first kind of hardware that needs one."""
        return next((r.next_measurement for r in self.reports.values() if r.next_measurement), None)

    def __str__(self) -> str:
        lines = [self.profile.name]
        for hardware, report in self.reports.items():
            line = (
                f"  {hardware}: {report.points} points, relative error median {report.median_error:.2%}, "
                f"max {report.max_error:.2%}, rms {report.rms_error:.2%}"
            )
            if report.outliers:
                line += f"; set aside: {', '.join(map(str, report.outliers))}"
            lines += [line, *(f"    {note}" for note in report.notes)]
            if report.next_measurement:
                lines.append(f"    next: {report.next_measurement}")
        return "\n".join(lines)


def fit_profile(
    measurements: Iterable[Measurement], *, name: str | None = None, batch_weight: float = BATCH_WEIGHT
) -> Fit:
    """Fit the profile of one function.

    For each kind of hardware, ``latency = batch * (alpha / size + beta) + gamma`` is fitted to the measured
    latencies with no coefficient below 0, by least squares of the relative error, after the measurements that
    contradict the others have been set aside. Dispatch is the median of its measurements, or 0 where there is
    none, and stays separate. Cold starts are the samples with their mean and standard deviation, or the mean
    and standard deviation as stated.

    Parameters
    ----------
    measurements : iterable of Measurement
        All of one function. Their order does not matter.
    name : str, optional
        The name of the profile; the function's unless given.
    batch_weight : float, optional
        The error at a batch of b counts ``b ** -batch_weight``: above 0, the fit is best where requests come one at a
        time, and larger batches get what the model has left. With 0 all count the same.

    Returns
    -------
    Fit
        The profile and its report.

    Raises
    ------
    InvalidInputError
        If there are no measurements, they are of several functions, a kind of hardware has no latency or no
        cold start, or its statements about cold starts contradict each other.

    Notes
    -----
    A measurement is set aside when it is more than 10 %, and more than 3.5 robust standard deviations, away
    from the surface on which most of the measurements agree. That surface is free of the sign
    constraints: what only the constrained model cannot follow is an error, not an outlier. At most
    ``(n - parameters) // 2`` of n measurements are set aside.

    What the measurements leave open is reported, not invented: where parameters cannot be told apart, the fit
    predicts the highest latency that is consistent with them and credits no gain from batching or size.
    """
    items = _numbered(measurements)
    functions = sorted({item.function for _, item in items})
    if len(functions) > 1:
        raise InvalidInputError(
            f"expected one function, got {_listed(functions)}: fit_profiles fits each", place="measurements"
        )
    weight = number(batch_weight, "batch_weight", at_least=0.0)
    return _fit(functions[0] if name is None else name, items, weight)


def fit_profiles(measurements: Iterable[Measurement], *, batch_weight: float = BATCH_WEIGHT) -> dict[str, Fit]:
    """Fit the profile of every function that was measured.

    Parameters
    ----------
    measurements : iterable of Measurement
        Of any number of functions.
    batch_weight : float, optional
        As in `fit_profile`.

    Returns
    -------
    dict of str to Fit
        By function, in alphabetical order. Outliers are positions in `measurements`.

    Raises
    ------
    InvalidInputError
        As `fit_profile`; it names the function.
    """
    weight = number(batch_weight, "batch_weight", at_least=0.0)
    groups: defaultdict[str, list[_Numbered]] = defaultdict(list)
    for index, item in _numbered(measurements):
        groups[item.function].append((index, item))
    return {function: _fit(function, groups[function], weight) for function in sorted(groups)}


def _numbered(measurements: Iterable[Measurement]) -> list[_Numbered]:
    items = list(enumerate(sequence(measurements, "measurements")))
    if not items:
        raise InvalidInputError("expected at least one, got none", place="measurements")
    for index, item in items:
        if not isinstance(item, Measurement):
            place = f"measurements[{index}]"
            raise InvalidInputError(f"expected a Measurement, got {shown(item)}", place=place)
    return cast(list[_Numbered], items)


def _fit(name: str, items: list[_Numbered], batch_weight: float) -> Fit:
    function = items[0][1].function
    profiles: dict[Hardware, HardwareProfile] = {}
    reports: dict[Hardware, HardwareFit] = {}
    for hardware in Hardware:
        mine = [(index, item) for index, item in items if item.hardware is hardware]
        if not mine:
            continue
        try:
            profiles[hardware], reports[hardware] = _fit_hardware(hardware, mine, batch_weight)
        except InvalidInputError as error:
            raise error.within(place=f"{function} on {hardware}") from None
    return Fit(Profile(name, profiles), reports)


def _fit_hardware(
    hardware: Hardware, items: list[_Numbered], batch_weight: float
) -> tuple[HardwareProfile, HardwareFit]:
    # Sorted, so that rounding and the choice among equals do not depend on the order that was given.
    timed = sorted(
        (item.size, item.batch, item.latency, index)
        for index, item in items
        if item.size is not None and item.latency is not None
    )
    if not timed:
        raise InvalidInputError("no latency was measured")
    cold_start, notes = _cold_start([item for _, item in items])
    dispatch = [item.dispatch for _, item in items if item.dispatch is not None]

    places = [(size, batch) for size, batch, _, _ in timed]
    rows = _design(places) / np.array([[latency] for _, _, latency, _ in timed])
    aside = surface.outliers(rows, _representatives(places), _design(_grid(places)))
    kept = [place for place, out in zip(places, aside, strict=True) if not out]
    rows = rows[~aside]
    weight = np.array([float(batch) ** -batch_weight for _, batch in kept])
    parameters = surface.fit(rows, _design(_grid(kept)), weight=weight)
    errors = np.abs(rows @ parameters - 1.0)
    notes += _remarks(rows, parameters, kept)
    fastest = int(np.argmin(rows @ parameters))
    if float(rows[fastest] @ parameters) < 1 - _TOO_FAST:
        place = Configuration(hardware, *kept[fastest])
        notes.append(f"at {place} it predicts {1 - float(rows[fastest] @ parameters):.0%} less than was measured")
    for size, batch in sorted(set(places) - set(kept)):
        place = Configuration(hardware, size, batch)
        notes.append(f"every latency at {place} was set aside: measure it again before relying on it")
    unclear = surface.weakness(rows)

    profile = HardwareProfile(
        alpha=float(parameters[0]),
        beta=float(parameters[1]),
        gamma=float(parameters[2]),
        dispatch=float(np.median(dispatch)) if dispatch else 0.0,
        sizes=tuple(sorted({size for size, _ in kept})),
        batches=tuple(sorted({batch for _, batch in kept})),
        **cold_start,
    )
    return profile, HardwareFit(
        points=len(kept),
        outliers=tuple(sorted(t[3] for t, out in zip(timed, aside, strict=True) if out)),
        median_error=float(np.median(errors)),
        max_error=float(errors.max()),
        rms_error=_rms(errors),
        notes=tuple(notes),
        next_measurement=(NextMeasurement(_next(hardware, kept, rows, parameters), unclear) if unclear else None),
    )


def _cold_start(items: Sequence[Measurement]) -> tuple[dict[str, Any], list[str]]:
    """Fields of the profile that describe cold starts, and what is to be said about them."""
    samples = sorted(item.cold_start for item in items if item.cold_start is not None)
    stated = {(item.cold_start_mean, item.cold_start_std) for item in items if item.cold_start_mean is not None}
    if samples and stated:
        raise InvalidInputError("both single cold starts and a mean are given: keep one of the two")
    if len(stated) > 1:
        several = _listed(sorted(f"mean {mean} std {std}" for mean, std in stated))
        raise InvalidInputError(f"contradicting cold starts are given: {several}")
    if stated:
        mean, std = next(iter(stated))
        notes = ["the spread of cold starts is not given: counted as 0"] if std is None else []
        return {"cold_start_mean": mean, "cold_start_std": std or 0.0}, notes
    if not samples:
        raise InvalidInputError(
            "no cold start was measured: add cold_start_s, or cold_start_mean_s and cold_start_std_s"
        )
    spread = float(np.std(samples, ddof=1)) if len(samples) > 1 else 0.0
    notes = ["a single cold start was measured: its spread is counted as 0"] if len(samples) == 1 else []
    return {
        "cold_start_mean": math.fsum(samples) / len(samples),
        "cold_start_std": spread,
        "cold_start_samples": tuple(samples),
    }, notes


def _representatives(places: Sequence[_Place]) -> NDArray[np.int64]:
    """For each distinct place, the row of its lower median latency; rows are sorted by place and latency."""
    runs = [len(list(run)) for _, run in itertools.groupby(places)]
    starts = np.cumsum([0, *runs[:-1]])
    return np.asarray(starts + (np.array(runs) - 1) // 2, dtype=np.int64)


def _design(places: Iterable[_Place]) -> Floats:
    sizes, batches = zip(*places, strict=True)
    return surface.design(sizes, batches)


def _grid(places: Iterable[_Place]) -> list[_Place]:
    """Every measured size with every measured batch: what the profile will offer."""
    sizes, batches = map(set, zip(*places, strict=True))
    return sorted(itertools.product(sizes, batches))


def _next(hardware: Hardware, places: Sequence[_Place], rows: Floats, parameters: Floats) -> Configuration:
    """Where a further measurement would reduce the uncertainty of the parameters most."""
    usual = [(size, batch) for size in _SIZES[hardware] for batch in _BATCHES]
    candidates = _grid([*places, *usual])
    coefficients = _design(candidates)
    best = surface.least_certain(rows, coefficients / (coefficients @ parameters)[:, None])
    return Configuration(hardware, *candidates[best])


def _remarks(rows: Floats, parameters: Floats, places: Sequence[_Place]) -> list[str]:
    """Say what the form of the model, or the choice of places, keeps the fit from following."""
    remarks = []
    free = surface.free_fit(rows)
    if _rms(rows @ parameters - 1.0) > 1.5 * _rms(rows @ free - 1.0) + 0.001:  # more than noise would do
        for name, fitted, unconstrained in zip(surface.PARAMETERS, parameters, free, strict=True):
            if fitted == 0.0 and unconstrained < 0.0:
                remarks.append(f"{name} is held at 0, but the measurements ask for less: {_AT_ZERO[name]}")
    if unclear := surface.weakness(rows):
        remarks.append(
            f"{_listed(unclear)} cannot be told apart{_reason(places)}: the profile credits no gain from "
            "batching or size that was not measured"
        )
    return remarks


def _reason(places: Iterable[_Place]) -> str:
    """Say why parameters cannot be told apart, where there is one plain reason."""
    sizes, batches = map(set, zip(*places, strict=True))
    same = [f"size {size:g}" for size in sizes if len(sizes) == 1]
    same += [f"batch {batch}" for batch in batches if len(batches) == 1]
    return f" (every latency has {_listed(same)})" if same else ""


def _rms(errors: Floats) -> float:
    return math.sqrt(float(np.mean(errors**2)))


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
