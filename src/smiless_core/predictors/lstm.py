"""The paper's two LSTM networks: one of the time to the next arrival, one of how many come in the next interval.

They are trained by `train_lstm`, which needs torch. What is here needs numpy alone.
"""

import hashlib
import math
import os
from collections import deque
from functools import lru_cache
from statistics import median
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.errors import InvalidInputError
from smiless_core.placing import place_file
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.renewals import IndependentGaps
from smiless_core.predictors.states import array_of, bytes_of, packed, unpacked
from smiless_core.predictors.trained import read_model_file
from smiless_core.validation import number, whole_number

__all__ = [
    "BINS",
    "BUCKETS",
    "GapInputs",
    "LSTMModel",
    "LSTMNetworks",
    "Memory",
    "Network",
    "bins_of",
    "buckets_of",
    "count_input",
    "logarithm",
    "read_lstm_model",
    "write_lstm_model",
]

Floats = NDArray[np.float64]

_KIND, _VERSION = "lstm-networks", 1
_FORMAT, _FORMAT_VERSION = "smiless LSTM model", 1
_MOST_UNITS = 512

_SHORTEST = 1e-3  # seconds: gaps are told apart by their logarithm, but not those that are shorter than this by far
_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
_REMEMBERED = 32  # gaps, of which the median is taken
_MOST_LATELY = 1e9  # arrivals
_LEAST = 1e-4  # of the probability: it is spread over all bins, as nothing is certain
_SILENT = 64  # intervals without an arrival, after which one more says nothing new

# Bins of a gap by its logarithm relative to that of the median: 0.4 % of the gap wide near the median, and from there
# on 18 % of the distance from it, up to a thousandth and a thousand times the median.
_SHARP, _REACH = 0.02, math.log(1000.0)
_EDGES = _SHARP * np.sinh(np.linspace(-1.0, 1.0, int(__import__("os").environ.get("NB","72"))) * math.asinh(_REACH / _SHARP))
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
        self.logarithms: deque[float] = deque(np.asarray(logarithms, dtype=np.float64).tolist(), _REMEMBERED)
        self.lately = lately

    @property
    def level(self) -> float:
        """The median logarithm, to which the next gap will be relative."""
        return median(self.logarithms)

    def add(self, gap: float) -> tuple[float, float]:
        """Learn of one more gap, seconds; return the two numbers."""
        here = logarithm(gap)
        self.logarithms.append(here)
        self.lately = min(self.lately * math.exp(-gap / self._interval) + 1.0, _MOST_LATELY)
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
        self.units = whole_number(units, "units", at_least=1, at_most=_MOST_UNITS)
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


class _State(msgspec.Struct):
    model: bytes
    last: float | None
    logarithms: bytes
    lately: float
    offset: float
    current: int
    counted: bool
    memories: bytes


class LSTMNetworks(IndependentGaps):
    """Forecasts by two LSTM networks that were trained on other functions.

    The network of gaps makes a step with every gap, told of the gap and of how many arrivals came lately, and gives the
    probabilities of bins for the next one. The network of counts makes a step with every interval, told of how many
    arrivals came in it, and gives the probabilities of buckets for the next one; a count is taken to be the upper end
    of its bucket, so that none is underestimated. Torch is not needed.

    Parameters
    ----------
    model : LSTMModel
        From `train_lstm` or `read_lstm_model`. Forecasters may share it.

    Raises
    ------
    InvalidInputError
        If it is no such model.

    Notes
    -----
    C. Lu et al., SMIless, SC 2024, for the two networks, the two inputs of the first one and the buckets of the second
    one; S. Hochreiter and J. Schmidhuber, Long short-term memory, Neural Computation 9, 1997. In the paper, the first
    network forecasts one number, and the second one bucket: here both forecast all probabilities, because a point says
    nothing about what a miss costs. Networks are those of many functions, and not of each application anew; therefore
    gaps are relative to their median.

    Within a bin, arrivals are spread evenly; beyond a thousand times the median, the time is exponential. Intervals
    begin with the first arrival. Demand is that of the network of counts for its own interval, once one is over: the
    present one is forecast from those before, and counts in full. For any other horizon it is that of independent gaps
    of the distribution forecast. A state holds the whole model, about 50 KB.
    """

    def __init__(self, model: LSTMModel) -> None:
        given: object = model
        if not isinstance(given, LSTMModel):
            raise InvalidInputError(f"expected an LSTMModel, got {type(given).__name__}", place="model")
        self._model = model
        self._clock = Clock()
        self._told = GapInputs(model.interval)
        self._of_gaps = model.gaps.fresh()
        self._offset = 0.0  # of the last arrival in its interval, seconds
        self._current = 0  # arrivals in that interval
        self._counted = False  # whether an interval is over
        self._of_counts = model.counts.fresh()

    def observe(self, t: float) -> None:
        """Learn of an arrival; see `Predictor.observe`."""
        gap = self._clock.gap(t)
        if gap is not None:
            self._of_gaps = self._model.gaps.step(self._of_gaps, self._told.add(gap))
            ended, offset = self._later(gap)
            if ended:
                self._of_counts = self._after(ended)
                self._current, self._counted = 0, True
            self._offset = offset
        self._current = min(self._current + 1, 2**53)

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return what the network of counts says, or that of gaps; see `Predictor.demand`."""
        if number(horizon, "horizon", above=0.0) == self._model.interval:
            ended, _ = self._later(self._clock.elapsed(now))
            if self._current and (self._counted or ended):
                memory = self._after(ended)
                return Counts(_ENDS.tolist(), self._model.counts.probabilities(memory).tolist())
        return super().demand(now, horizon=horizon)

    def state(self) -> bytes:
        """Return all that it knows, and the model; see `Predictor.state`."""
        fields = _State(
            model=self._model.to_bytes(),
            last=self._clock.last,
            logarithms=bytes_of(np.array(self._told.logarithms)),
            lately=self._told.lately,
            offset=self._offset,
            current=self._current,
            counted=self._counted,
            memories=bytes_of(np.concatenate((*self._of_gaps, *self._of_counts))),
        )
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`."""
        kept = unpacked(state, _KIND, _VERSION, _State)
        try:
            made = cls(LSTMModel.from_bytes(kept.model))
        except InvalidInputError as error:
            raise error.within(place="state.model") from None
        interval, units = made._model.interval, made._model.units
        made._clock = Clock(kept.last)
        least, most = math.log(_SHORTEST), math.log(2.0 * _LONGEST)
        logarithms = array_of(kept.logarithms, "state.logarithms", at_most=_REMEMBERED, least=least, most=most)
        lately = number(kept.lately, "state.lately", at_least=1.0, at_most=_MOST_LATELY)
        made._told = GapInputs(interval, logarithms, lately)
        made._offset = number(kept.offset, "state.offset", at_least=0.0, at_most=interval)
        made._current = whole_number(kept.current, "state.current", at_least=0, at_most=2**53)
        made._counted = kept.counted
        memories = array_of(kept.memories, "state.memories", at_most=4 * units)
        if memories.size != 4 * units:
            raise InvalidInputError(f"expected {4 * units} numbers, got {memories.size}", place="state.memories")
        made._of_gaps = Memory(memories[:units], memories[units : 2 * units])
        made._of_counts = Memory(memories[2 * units : 3 * units], memories[3 * units :])
        return made

    def _next(self) -> Arrivals | None:
        if not self._told.logarithms:
            return None
        shares = self._model.gaps.probabilities(self._of_gaps)
        time = np.exp(np.minimum(self._told.level + _EDGES, math.log(_LONGEST))) - _SHORTEST
        time = np.clip(time, 0.0, _LONGEST)
        left = np.minimum(1.0 - np.cumsum(shares[:-1]), 1.0)
        # What is beyond the last bin is as far beyond it as that is from 0: there is no scale there but this.
        return Arrivals.from_survival(times=time, survival=np.maximum(left, 0.0), tail_excess=max(time[-1], _SHORTEST))

    def _later(self, gap: float) -> tuple[int, float]:
        """Return how many intervals end in so many seconds from the last arrival on, and how far the next one is."""
        ended, offset = divmod(self._offset + gap, self._model.interval)
        return int(ended), offset

    def _after(self, ended: int) -> Memory:
        """Return what the network of counts remembers when so many intervals have ended since the last arrival."""
        memory = self._of_counts
        if ended:
            for count in (self._current, *[0] * min(ended - 1, _SILENT)):
                memory = self._model.counts.step(memory, count_input(count))
        return memory
