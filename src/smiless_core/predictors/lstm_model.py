"""Two LSTM networks as they are trained: what they are told, what they say, and the file that they are in."""

import hashlib
import math
import os
from collections import deque
from functools import lru_cache
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.errors import InvalidInputError
from smiless_core.placing import place_file
from smiless_core.predictors.trained import read_model_file
from smiless_core.validation import number, whole_number

__all__ = [
    "BINS",
    "BUCKETS",
    "MOST_LATELY",
    "MOST_UNITS",
    "REMEMBERED",
    "GapInputs",
    "LSTMModel",
    "Memory",
    "Network",
    "arrivals_of",
    "bins_of",
    "buckets_of",
    "count_input",
    "counts_of",
    "logarithm",
    "read_lstm_model",
    "write_lstm_model",
]

Floats = NDArray[np.float64]

_FORMAT, _FORMAT_VERSION = "smiless LSTM model", 1
MOST_UNITS = 512

_SHORTEST = 1e-3  # seconds: gaps are told apart by their logarithm, but not those that are shorter than this by far
_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
REMEMBERED = 32  # gaps, of which the median is taken
MOST_LATELY = 1e9  # arrivals
_LEAST = 1e-4  # of the probability: it is spread over all bins, as nothing is certain

# Bins of a gap by its logarithm relative to that of the median: 0.4 % of the gap wide near the median, and from there
# on 18 % of the distance from it, up to a thousandth and a thousand times the median.
_SHARP, _REACH = 0.02, math.log(1000.0)
_EDGES = _SHARP * np.sinh(np.linspace(-1.0, 1.0, 72) * math.asinh(_REACH / _SHARP))
BINS = _EDGES.size + 1


def _ends() -> NDArray[np.int64]:
    ends = list(range(9))
    while ends[-1] < 1_000_000:
        ends.append(ends[-1] * 5 // 4)
    return np.array(ends)


# Buckets of counts, by their upper ends: one by one up to 8, then a quarter wider each, up to a million.
_ENDS = _ends()
BUCKETS = _ENDS.size


def bins_of(relative: Floats) -> NDArray[np.int64]:
    """Return in which bins gaps are, by their logarithms relative to that of the median."""
    return np.searchsorted(_EDGES, relative)


def buckets_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return in which buckets counts are; those of more than about a million are in the last one."""
    return np.minimum(np.searchsorted(_ENDS, counts), BUCKETS - 1)


def arrivals_of(shares: Floats, *, level: float) -> Arrivals:
    """Return the distribution of a gap, from the probabilities of the bins and the logarithm of the median.

    Within a bin, arrivals are spread evenly; beyond the last one, the time is exponential.
    """
    time = np.exp(np.minimum(level + _EDGES, math.log(_LONGEST))) - _SHORTEST
    time = np.clip(time, 0.0, _LONGEST)
    left = np.clip(1.0 - np.cumsum(shares[:-1]), 0.0, 1.0)
    # What is beyond the last edge is as far beyond it as that is from 0: there is no scale there but this.
    return Arrivals.from_survival(times=time, survival=left, tail_excess=max(time[-1], _SHORTEST))


def counts_of(shares: Floats) -> Counts:
    """Return the distribution of a count, from the probabilities of the buckets: it is taken for their upper ends."""
    return Counts(_ENDS.tolist(), shares.tolist())


def logarithm(gap: float) -> float:
    """Return the logarithm by which gaps are told apart."""
    return math.log(gap + _SHORTEST)


class GapInputs:
    """Turns gaps into what the network of gaps is told: two numbers for each.

    The first is the gap, relative to the median of the last 32 and scaled as the bins are; so a timer of a minute looks
    as one of an hour does. The second is the logarithm of how many arrivals came lately: each counts for one, and fades
    by a factor of e with every interval.

    Parameters
    ----------
    interval : float
        Seconds.
    logarithms : iterable of float, optional
        Of the last gaps, to begin with.
    lately : float, default 1
        How many came lately, to begin with.
    """

    __slots__ = ("_interval", "lately", "logarithms")

    def __init__(self, interval: float, logarithms: ArrayLike = (), lately: float = 1.0) -> None:
        self._interval = interval
        self.logarithms: deque[float] = deque(np.asarray(logarithms, dtype=np.float64).tolist(), REMEMBERED)
        self.lately = lately

    @property
    def level(self) -> float:
        """The median logarithm, to which the next gap will be relative."""
        return median(self.logarithms)

    def add(self, gap: float) -> tuple[float, float]:
        """Learn of one more gap, seconds; return the two numbers."""
        here = logarithm(gap)
        self.logarithms.append(here)
        self.lately = min(self.lately * math.exp(-gap / self._interval) + 1.0, MOST_LATELY)
        relative = min(max(here - self.level, -_REACH), _REACH)
        return 3.0 * math.asinh(relative / _SHARP) / math.asinh(_REACH / _SHARP), math.log(self.lately) / 3.0


def count_input(count: float) -> tuple[float]:
    """Return what the network of counts is told of a finished interval."""
    return (math.log1p(count) / 3.0,)


class Memory(NamedTuple):
    """What an LSTM remembers between two steps."""

    hidden: Floats
    cell: Floats


class Network:
    """An LSTM layer, and a softmax over classes.

    Parameters
    ----------
    parameters : float32 array, shape (`Network.size(...)`,)
        One after the other: the weights of the input, those of the hidden units, and what is added to both, for the
        gates in, forget, cell and out, as in torch; the weights of the classes, and what is added to them.
    inputs, units, classes : int
        How many there are.
    """

    def __init__(self, parameters: NDArray[np.float32], *, inputs: int, units: int, classes: int) -> None:
        values = parameters.astype(np.float64)
        begin, parts = 0, []
        for shape in ((4 * units, inputs), (4 * units, units), (4 * units,), (classes, units), (classes,)):
            parts.append(values[begin : begin + math.prod(shape)].reshape(shape))
            begin += math.prod(shape)
        self._kernel: Floats = np.hstack(parts[:2])
        self._bias, self._head, self._offset = parts[2:]
        self._units = units
        # Sigmoids are taken by tanh as well, which does not overflow: all gates at once.
        self._half = np.full(4 * units, 0.5)
        self._half[2 * units : 3 * units] = 1.0

    @staticmethod
    def size(*, inputs: int, units: int, classes: int) -> int:
        """Return how many parameters there are."""
        return 4 * units * (inputs + units + 1) + classes * (units + 1)

    def fresh(self) -> Memory:
        """Return the memory before the first step."""
        return Memory(np.zeros(self._units), np.zeros(self._units))

    def step(self, memory: Memory, told: tuple[float, ...]) -> Memory:
        """Return the memory after one more step."""
        n, half = self._units, self._half
        gates = np.tanh(half * (self._kernel @ np.concatenate((told, memory.hidden)) + self._bias))
        gates = half * gates + (1.0 - half)
        cell = gates[n : 2 * n] * memory.cell + gates[:n] * gates[2 * n : 3 * n]
        return Memory(gates[3 * n :] * np.tanh(cell), cell)

    def probabilities(self, memory: Memory) -> Floats:
        """Return the probabilities of the classes at the next step."""
        scores = self._head @ memory.hidden + self._offset
        shares = np.exp(scores - scores.max())
        found: Floats = (1.0 - _LEAST) * shares / shares.sum() + _LEAST / shares.size
        return found


class _Header(msgspec.Struct):
    format: str
    version: int
    interval: float
    units: int
    bins: int
    buckets: int
    sha256: str


class LSTMModel:
    """What `train_lstm` has learnt: the two networks.

    Parameters
    ----------
    parameters : float32 array
        Those of the network of gaps, then those of the network of counts; see `Network`.
    interval : float
        Seconds, in which arrivals are counted; from 0.001 to 1e6.
    units : int
        Hidden units of each network, from 1 to 512.

    Raises
    ------
    InvalidInputError
        If a value is out of range, or there are not as many parameters as it takes.
    """

    def __init__(self, parameters: NDArray[np.float32], *, interval: float, units: int) -> None:
        self.interval = number(interval, "interval", at_least=1e-3, at_most=1e6)
        self.units = whole_number(units, "units", at_least=1, at_most=MOST_UNITS)
        gaps = {"inputs": 2, "units": self.units, "classes": BINS}
        counts = {"inputs": 1, "units": self.units, "classes": BUCKETS}
        cut = Network.size(**gaps)
        wanted = cut + Network.size(**counts)
        if parameters.shape != (wanted,):
            got = f"expected {wanted} numbers for {self.units} units, got shape {parameters.shape}"
            raise InvalidInputError(got, place="parameters")
        for index in np.flatnonzero(~np.isfinite(parameters))[:1].tolist():
            number(float(parameters[index]), f"parameters[{index}]")
        self._data = parameters.astype("<f4").tobytes()
        self.gaps = Network(parameters[:cut], **gaps)
        self.counts = Network(parameters[cut:], **counts)

    def to_bytes(self) -> bytes:
        """Return the model as it is in a file: one line of JSON, then the parameters as little-endian floats."""
        digest = hashlib.sha256(self._data).hexdigest()
        header = _Header(_FORMAT, _FORMAT_VERSION, self.interval, self.units, BINS, BUCKETS, digest)
        return msgspec.json.encode(header) + b"\n" + self._data

    @classmethod
    def from_bytes(cls, data: bytes) -> "LSTMModel":
        """Return the model that such bytes are of; forecasters of many applications share it.

        Raises
        ------
        InvalidInputError
            If they are not a whole model of a version that is known here.
        """
        return _known_model(bytes(data))

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if isinstance(other, LSTMModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return LSTMModel.from_bytes, (self.to_bytes(),)


@lru_cache(maxsize=8)
def _known_model(data: bytes) -> LSTMModel:
    line, _, parameters = data.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidInputError("expected an LSTM model: its first line is no header") from None
    if header.format != _FORMAT:
        raise InvalidInputError(f"expected a {_FORMAT}, got {header.format!r}", place="format")
    if header.version != _FORMAT_VERSION:
        raise InvalidInputError(f"expected version {_FORMAT_VERSION}, got {header.version}", place="version")
    if (header.bins, header.buckets) != (BINS, BUCKETS):
        got = f"{header.bins} bins and {header.buckets} buckets"
        raise InvalidInputError(f"expected {BINS} bins and {BUCKETS} buckets, got {got}", place="bins")
    if hashlib.sha256(parameters).hexdigest() != header.sha256:
        raise InvalidInputError("the model is damaged: it is not what was written", place="sha256")
    if len(parameters) % 4:
        raise InvalidInputError(f"expected floats, got {len(parameters)} bytes", place="parameters")
    values = np.frombuffer(parameters, "<f4").astype(np.float32)
    return LSTMModel(values, interval=header.interval, units=header.units)


def read_lstm_model(path: str | os.PathLike[str]) -> LSTMModel:
    """Read a model; nothing in the file is run.

    Parameters
    ----------
    path : path-like
        A file from `write_lstm_model`.

    Returns
    -------
    LSTMModel
        The model.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or is truncated, damaged or something else; the error names it.
    """
    return read_model_file(path, LSTMModel.from_bytes)


def write_lstm_model(model: LSTMModel, path: str | os.PathLike[str]) -> None:
    """Write a model; the file appears whole or not at all.

    Parameters
    ----------
    model : LSTMModel
        From `train_lstm`.
    path : path-like
        An existing file is replaced.

    Raises
    ------
    InvalidInputError
        If it cannot be written; the error names the file.
    """
    place_file(path, model.to_bytes())
