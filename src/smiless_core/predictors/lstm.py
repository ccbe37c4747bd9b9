"""The paper's two LSTM networks: one of the time to the next arrival, one of how many come in the next interval.

They are trained by `train_lstm`, which needs torch. Forecasts need numpy alone.
"""

from typing import Self

import msgspec
import numpy as np

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.errors import InvalidInputError
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.lstm_model import (
    MOST_LATELY,
    REMEMBERED,
    GapInputs,
    LSTMModel,
    Memory,
    arrivals_of,
    count_input,
    counts_of,
    logarithm,
)
from smiless_core.predictors.renewals import IndependentGaps
from smiless_core.predictors.states import array_of, bytes_of, packed, unpacked
from smiless_core.validation import number, whole_number

__all__ = ["LSTMNetworks"]

_KIND, _VERSION = "lstm-networks", 1

_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
_SILENT = 64  # intervals without an arrival, after which one more says nothing new


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
                return counts_of(self._model.counts.probabilities(self._after(ended)))
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
        least, most = logarithm(0.0), logarithm(_LONGEST)
        logarithms = array_of(kept.logarithms, "state.logarithms", at_most=REMEMBERED, least=least, most=most)
        lately = number(kept.lately, "state.lately", at_least=1.0, at_most=MOST_LATELY)
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
        return arrivals_of(shares, level=self._told.level)

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
