"""Gradient-boosted hazards: how probable an arrival is in the next moment, learnt from many sequences of gaps."""

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.placing import place_file
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.renewals import IndependentGaps
from smiless_core.predictors.states import array_of, bytes_of, packed, unpacked
from smiless_core.predictors.trained import gap_arrays, read_model_file
from smiless_core.validation import whole_number

__all__ = ["GradientBoostedHazard", "HazardModel", "read_hazard_model", "train", "write_hazard_model"]

Floats = NDArray[np.float64]

_KIND, _VERSION = "gradient-boosted-hazard", 1
_FORMAT, _FORMAT_VERSION = "smiless hazard model", 1

_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
_REMEMBERED = 32  # gaps: what is longer ago says little more
_FEWEST = 2  # gaps that are known before there is a forecast, and in training
# Bins are half a second wide, which no plan tells apart, and from 3.3 s on 15 % of where they begin: up to a day.
_NARROWEST, _GROWTH, _DAY = 0.5, 0.15, 86_400.0

# Small trees, and few: a forecast of all bins takes a tenth of a millisecond, and a model about 120 KB.
_ROUNDS = 64
_SETTINGS = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_data_in_leaf": 50,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_MOST_GAPS = 50_000  # that are learnt from: about 2 million moments, in some ten seconds


def _edges() -> Floats:
    edges = [0.0]
    while edges[-1] < _DAY:
        edges.append(edges[-1] + max(_NARROWEST, _GROWTH * edges[-1]))
    return np.array(edges)


_EDGES = _edges()
_MIDDLES = (_EDGES[:-1] + _EDGES[1:]) / 2.0
_BINS = _MIDDLES.size


class _Header(msgspec.Struct):
    format: str
    version: int
    bins: int
    features: int
    bytes: int
    sha256: str


class HazardModel:
    """What `train` has learnt: the probability of an arrival in each bin of time, given that none came before.

    Parameters
    ----------
    text : bytes
        A LightGBM model, as `Booster.model_to_string` writes it.

    Notes
    -----
    LightGBM ends the whole process over a damaged text, so that texts are only read behind a digest: `from_bytes`.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text

    @cached_property
    def _booster(self) -> Any:
        return _library().Booster(model_str=self._text.decode())

    def hazards(self, gaps: ArrayLike) -> Floats:
        """Return the hazards that follow these gaps.

        Parameters
        ----------
        gaps : array_like of float, shape (count,)
            Seconds, in the order in which they came, at least two; the last 32 of them matter.

        Returns
        -------
        float64 array, shape (bins,)
            From 1e-6 to 1 - 1e-6: nothing is certain.
        """
        rows = _features(np.asarray(gaps, dtype=np.float64)[-_REMEMBERED:], np.arange(_BINS))
        found = np.asarray(self._booster.predict(rows, num_threads=1), dtype=np.float64)
        return np.clip(found, 1e-6, 1.0 - 1e-6)

    def to_bytes(self) -> bytes:
        """Return the model as it is in a file: one line of JSON, then LightGBM's text."""
        digest = hashlib.sha256(self._text).hexdigest()
        header = _Header(_FORMAT, _FORMAT_VERSION, _BINS, _feature_count(), len(self._text), digest)
        return msgspec.json.encode(header) + b"\n" + self._text

    @classmethod
    def from_bytes(cls, data: bytes) -> "HazardModel":
        """Return the model that such bytes are of.

        Raises
        ------
        InvalidInputError
            If they are not a whole model of a version that is known here.
        """
        line, _, text = bytes(data).partition(b"\n")
        try:
            header = msgspec.json.decode(line, type=_Header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidInputError("expected a hazard model: its first line is no header") from None
        if header.format != _FORMAT:
            raise InvalidInputError(f"expected a {_FORMAT}, got {header.format!r}", place="format")
        if header.version != _FORMAT_VERSION:
            raise InvalidInputError(f"expected version {_FORMAT_VERSION}, got {header.version}", place="version")
        if (header.bins, header.features) != (_BINS, _feature_count()):
            got = f"{header.bins} bins and {header.features} features"
            raise InvalidInputError(f"expected {_BINS} bins and {_feature_count()} features, got {got}", place="bins")
        if len(text) != header.bytes:
            raise InvalidInputError(f"expected {header.bytes} bytes after the header, got {len(text)}", place="bytes")
        if hashlib.sha256(text).hexdigest() != header.sha256:
            raise InvalidInputError("the model is damaged: it is not what was written", place="sha256")
        return _known_model(text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, HazardModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self._text,)


@lru_cache(maxsize=8)
def _known_model(text: bytes) -> HazardModel:
    """Return one model for the forecasters of many applications."""
    return HazardModel(text)


def read_hazard_model(path: str | os.PathLike[str]) -> HazardModel:
    """Read a model.

    Parameters
    ----------
    path : path-like
        A file from `write_hazard_model`.

    Returns
    -------
    HazardModel
        The model.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or is truncated, damaged or something else; the error names it.
    """
    return read_model_file(path, HazardModel.from_bytes)


def write_hazard_model(model: HazardModel, path: str | os.PathLike[str]) -> None:
    """Write a model; the file appears whole or not at all.

    Parameters
    ----------
    model : HazardModel
        From `train`.
    path : path-like
        An existing file is replaced.

    Raises
    ------
    InvalidInputError
        If it cannot be written; the error names the file.
    """
    place_file(path, model.to_bytes())


def train(
    gap_sequences: Iterable[ArrayLike], *, seed: int, progress: Callable[[int, int], None] | None = None
) -> HazardModel:
    """Learn hazards from the gaps of many functions.

    Every bin that a gap reached is a moment: an arrival came in it, or none. Where there are more than 50,000 gaps, as
    many are drawn from them, so that functions count by their gaps.

    Parameters
    ----------
    gap_sequences : iterable of array_like of float
        Seconds from each arrival to the next, in their order, from 0 to 4.6e9; one sequence per function.
    seed : int
        The same seed and sequences give the same model on one machine, at least 0.
    progress : callable, optional
        Called with the number of trees that are done and of all of them.

    Returns
    -------
    HazardModel
        The model.

    Raises
    ------
    InvalidInputError
        If a gap is out of range, or fewer than 100 are preceded by two others.
    MissingExtraError
        If LightGBM is not installed.

    Notes
    -----
    J. D. Singer and J. B. Willett, It's about time: using discrete-time survival analysis to study duration and the
    timing of events, J. Educ. Stat. 18, 1993; G. Ke et al., LightGBM: a highly efficient gradient boosting decision
    tree, NIPS 2017.
    """
    lightgbm = _library()
    start = whole_number(seed, "seed", at_least=0, at_most=2**31 - 1)
    rows, came = _moments(gap_arrays(gap_sequences), start)

    def report(environment: Any) -> None:
        if progress is not None:
            progress(environment.iteration + 1, _ROUNDS)

    data = lightgbm.Dataset(rows, came, free_raw_data=True, params={"verbosity": -1})
    settings = {**_SETTINGS, "seed": start}
    booster = lightgbm.train(settings, data, num_boost_round=_ROUNDS, callbacks=[report])
    return HazardModel(booster.model_to_string().encode())


class GradientBoostedHazard(IndependentGaps):
    """Forecasts by a model that was trained on other functions: what followed gaps like the last ones.

    Parameters
    ----------
    model : HazardModel
        From `train` or `read_hazard_model`. Forecasters may share it.

    Raises
    ------
    InvalidInputError
        If it is no such model.
    MissingExtraError
        If LightGBM is not installed.

    Notes
    -----
    Within a bin, arrivals are spread evenly; beyond the last one, after about a day, the time is exponential. A state
    holds the whole model, about 120 KB. Demand is that of independent gaps of the distribution forecast.
    """

    def __init__(self, model: HazardModel) -> None:
        given: object = model
        if not isinstance(given, HazardModel):
            raise InvalidInputError(f"expected a HazardModel, got {type(given).__name__}", place="model")
        _library()
        self._model = model
        self._clock = Clock()
        self._gaps: deque[float] = deque(maxlen=_REMEMBERED)

    def observe(self, t: float) -> None:
        """Learn of an arrival; see `Predictor.observe`."""
        gap = self._clock.gap(t)
        if gap is not None:
            self._gaps.append(gap)

    def state(self) -> bytes:
        """Return all that it knows, and the model; see `Predictor.state`."""
        fields = _State(self._model.to_bytes(), self._clock.last, bytes_of(np.array(self._gaps)))
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        kept = unpacked(state, _KIND, _VERSION, _State)
        try:
            made = cls(HazardModel.from_bytes(kept.model))
        except InvalidInputError as error:
            raise error.within(place="state.model") from None
        made._clock = Clock(kept.last)
        made._gaps.extend(array_of(kept.gaps, "state.gaps", at_most=_REMEMBERED, least=0.0, most=_LONGEST).tolist())
        return made

    def _next(self) -> Arrivals | None:
        if len(self._gaps) < _FEWEST:
            return None
        hazards = self._model.hazards(list(self._gaps))
        left = np.cumprod(1.0 - hazards)
        # The last bin goes on for ever: at the same rate, and for its width at least.
        width = float(_EDGES[-1] - _EDGES[-2])
        excess = max(width / -math.log1p(-float(hazards[-1])), width)
        return Arrivals.from_survival(times=_EDGES[1:], survival=left, tail_excess=min(excess, _LONGEST))


class _State(msgspec.Struct):
    model: bytes
    last: float | None
    gaps: bytes


def _library() -> Any:
    try:
        import lightgbm  # late: it is an extra, and slow to import
    except ImportError:
        raise MissingExtraError("forecast", "forecasting by gradient-boosted hazards") from None
    return lightgbm


def _moments(sequences: list[Floats], seed: int) -> tuple[NDArray[np.float32], Floats]:
    """Return the features of every bin that a gap reached, and whether an arrival came in it."""
    counts = [max(gaps.size - _FEWEST, 0) for gaps in sequences]
    total = sum(counts)
    if total < 100:  # of which LightGBM makes no tree
        raise InvalidInputError(f"expected at least 100 gaps after two others, got {total}", place="gap_sequences")
    kept = np.arange(total)
    if total > _MOST_GAPS:
        kept = np.sort(np.random.default_rng(seed).choice(total, _MOST_GAPS, replace=False))
    rows, came = [], []
    begin = 0
    for gaps, count in zip(sequences, counts, strict=True):
        first, last = np.searchsorted(kept, (begin, begin + count))
        for at in (kept[first:last] - begin + _FEWEST).tolist():
            # A gap on an edge ended with the bin before it; beyond the last bin, none saw an arrival.
            bin = int(np.searchsorted(_EDGES[1:], gaps[at]))
            rows.append(_features(gaps[max(at - _REMEMBERED, 0) : at], np.arange(min(bin + 1, _BINS))))
            seen = np.zeros(len(rows[-1]))
            seen[bin:] = 1.0
            came.append(seen)
        begin += count
    return np.concatenate(rows), np.concatenate(came)


_NEAREST = 4  # of the last gaps, each on its own


def _feature_count() -> int:
    return 2 * _NEAREST + 7


def _features(gaps: Floats, bins: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return what the hazard of bins depends on, after these gaps: times by their logarithm, and relative to the bin.

    Relative to the bin a timer of a minute looks as one of an hour does.
    """
    logarithms = np.log(gaps + _NARROWEST)
    nearest = np.full(_NEAREST, np.nan)  # which LightGBM takes for unknown
    some = logarithms[: -1 - _NEAREST : -1]
    nearest[: some.size] = some
    here = np.log(_MIDDLES[bins] + _NARROWEST)
    rows = np.empty((bins.size, _feature_count()), dtype=np.float32)  # millions of rows in training
    rows[:, 0] = here
    rows[:, 1 : 1 + _NEAREST] = nearest
    rows[:, 1 + _NEAREST : 1 + 2 * _NEAREST] = here[:, None] - nearest
    at = 1 + 2 * _NEAREST
    rows[:, at] = logarithms.mean()
    rows[:, at + 1] = logarithms.std()
    rows[:, at + 2] = here - np.median(logarithms)
    # The hazard of the last gaps themselves: of those that reached the bin, the part that ended in it.
    ordered = np.sort(gaps)
    before = np.where(bins > 0, np.searchsorted(ordered, _EDGES[bins], "right"), 0)  # gaps of 0 are in the first bin
    reached = gaps.size - before
    ended = np.searchsorted(ordered, _EDGES[bins + 1], "right") - before
    rows[:, at + 3] = reached
    rows[:, at + 4] = (ended + 0.1) / (reached + 1.0)
    rows[:, at + 5] = gaps.size
    return rows
