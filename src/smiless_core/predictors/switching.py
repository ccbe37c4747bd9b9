"""Switching between forecasters: the one that would have forecast the recent past best speaks."""

import math
from collections.abc import Callable, Iterable
from typing import Self, cast

import msgspec
import numpy as np

from smiless_core.arrivals import Arrivals, Counts
from smiless_core.errors import InvalidInputError
from smiless_core.predictors.bandwidth_chain import BandwidthChain
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.exponential_smoothing import ExponentialSmoothing
from smiless_core.predictors.fourier import FourierExtrapolation
from smiless_core.predictors.hazard import GradientBoostedHazard
from smiless_core.predictors.lstm import LSTMNetworks
from smiless_core.predictors.protocol import Predictor
from smiless_core.predictors.recent import RecentGaps
from smiless_core.predictors.states import array_of, bytes_of, packed, unpacked
from smiless_core.predictors.statistical import StatisticalGaps
from smiless_core.validation import number, sequence, whole_number

__all__ = ["SwitchingPredictor"]

_KIND, _VERSION = "switching", 1

# A gap counts as forecast by what is within 5 % of it, or half a second, which no plan tells apart.
_RELATIVE, _ABSOLUTE = 0.05, 0.5
_LEAST = 1e-4  # of a probability: a single surprise is not remembered longer than nine gaps that were forecast well
_MOST = 64  # forecasters


class _State(msgspec.Struct):
    block: int
    decay: float
    last: float | None
    chosen: int
    seen: int
    scores: bytes
    members: list[tuple[str, bytes]]


class SwitchingPredictor:
    """Runs several forecasters, and says what the best of them does.

    Each is scored by the logarithm of the probability that it gave to the gap that came, within 5 % or half a second.
    After every block of gaps the one with the highest sum is chosen for the next block, and what is in the sums is
    discounted.

    Parameters
    ----------
    members : iterable of Predictor, or of callables that return one
        At least one, at most 64. They are told of arrivals through this object alone.
    block : int, default 16
        Gaps from one choice to the next: fewer would choose by chance.
    decay : float, default 0.5
        What part of the sums is kept after each block, from 0 to 1: at 0.5, two blocks count.

    Raises
    ------
    InvalidInputError
        If there is no forecaster, or too many, or a setting is out of range.

    Notes
    -----
    Multiplexing forecasters from block to block is the idea of FeMux, which chooses by the features of the last block;
    here it is by likelihood. R. Joosen et al., How does it function? Characterizing long-term trends in production
    serverless workloads, SoCC 2023, show why no one forecaster fits all functions. Every arrival costs a forecast of
    each member.
    """

    def __init__(
        self, members: Iterable[Predictor | Callable[[], Predictor]], *, block: int = 16, decay: float = 0.5
    ) -> None:
        self._members: list[Predictor] = []
        for index, given in enumerate(sequence(members, "members")):
            made = given if hasattr(given, "observe") and not isinstance(given, type) else _made(given, index)
            if not all(callable(getattr(made, name, None)) for name in ("observe", "arrivals", "demand", "state")):
                got = type(made).__name__
                raise InvalidInputError(f"expected a forecaster, got {got}", place=f"members[{index}]")
            if any(made is other for other in self._members):
                raise InvalidInputError("this forecaster is there twice", place=f"members[{index}]")
            self._members.append(cast(Predictor, made))  # it has what a forecaster has
        whole_number(len(self._members), "the number of members", at_least=1, at_most=_MOST)
        self._block = whole_number(block, "block", at_least=1)
        self._decay = number(decay, "decay", at_least=0.0, at_most=1.0)
        self._clock = Clock()
        self._scores = np.zeros(len(self._members))
        self._chosen = 0
        self._seen = 0  # gaps in this block

    @property
    def chosen(self) -> Predictor:
        """The forecaster that speaks at present."""
        return self._members[self._chosen]

    def observe(self, t: float) -> None:
        """Learn of an arrival, and tell the others; see `Predictor.observe`."""
        last = self._clock.last
        gap = self._clock.gap(t)
        if gap is not None and last is not None:
            self._score(last, gap)
        for member in self._members:
            member.observe(t)

    def arrivals(self, now: float) -> Arrivals | None:
        """Return what the chosen one says, or who else knows anything, the best first."""
        for index in self._ranked():
            found = self._members[index].arrivals(now)
            if found is not None:
                return found
        return None

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return what the chosen one says, or who else knows anything; see `Predictor.demand`."""
        ranked = self._ranked()
        best = next((index for index in ranked if self._members[index].arrivals(now) is not None), ranked[0])
        return self._members[best].demand(now, horizon=horizon)

    def state(self) -> bytes:
        """Return all that it and the others know; see `Predictor.state`."""
        fields = _State(
            block=self._block,
            decay=self._decay,
            last=self._clock.last,
            chosen=self._chosen,
            seen=self._seen,
            scores=bytes_of(self._scores),
            members=[(type(member).__name__, member.state()) for member in self._members],
        )
        return packed(_KIND, _VERSION, fields)

    @classmethod
    def from_state(cls, state: bytes, *, kinds: Iterable[type[Predictor]] = ()) -> Self:
        """Return one that goes on from there; see `Predictor.from_state`.

        Parameters
        ----------
        state : bytes
            From `state`.
        kinds : iterable of type, optional
            The classes of its members that are not from this package.

        Raises
        ------
        InvalidInputError
            If it is no such state, or a member is of no class that is known.
        """
        kept = unpacked(state, _KIND, _VERSION, _State)
        known = {kind.__name__: kind for kind in (*_kinds(), *kinds)}
        members = []
        for index, (name, inner) in enumerate(kept.members):
            if name not in known:
                raise InvalidInputError.unknown("forecaster", name, known, place=f"state.members[{index}]")
            try:
                members.append(known[name].from_state(inner))
            except InvalidInputError as error:
                raise error.within(place=f"state.members[{index}]") from None
            except RecursionError:
                raise InvalidInputError("states within states without end", place="state.members") from None
        made = cls(members, block=kept.block, decay=kept.decay)
        made._clock = Clock(kept.last)
        made._chosen = whole_number(kept.chosen, "state.chosen", at_least=0, at_most=len(members) - 1)
        made._seen = whole_number(kept.seen, "state.seen", at_least=0, at_most=made._block)
        made._scores = array_of(kept.scores, "state.scores", at_most=len(members), most=0.0)
        if made._scores.size != len(members):
            got = f"expected {len(members)} numbers, got {made._scores.size}"
            raise InvalidInputError(got, place="state.scores")
        return made

    def _score(self, last: float, gap: float) -> None:
        near = max(_RELATIVE * gap, _ABSOLUTE)
        for index, member in enumerate(self._members):
            forecast = member.arrivals(last)
            given = 0.0
            if forecast is not None:
                given = forecast.at_least(gap - near) - forecast.survival(gap + near)
            self._scores[index] += math.log(max(given, _LEAST))
        self._seen += 1
        if self._seen >= self._block:
            self._chosen = int(self._scores.argmax())
            self._scores *= self._decay
            self._seen = 0

    def _ranked(self) -> list[int]:
        order = np.argsort(-self._scores, kind="stable").tolist()
        return [self._chosen, *(index for index in order if index != self._chosen)]


def _made(factory: object, index: int) -> object:
    if not callable(factory):
        got = type(factory).__name__
        raise InvalidInputError(f"expected a forecaster, got {got}", place=f"members[{index}]")
    return factory()


def _kinds() -> tuple[type[Predictor], ...]:
    return (
        BandwidthChain,
        ExponentialSmoothing,
        FourierExtrapolation,
        GradientBoostedHazard,
        LSTMNetworks,
        RecentGaps,
        StatisticalGaps,
        SwitchingPredictor,
    )
