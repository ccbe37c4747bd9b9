"""Training of the two LSTM networks, by torch."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.errors import InvalidInputError, MissingExtraError
from smiless_core.predictors.lstm_model import (
    BINS,
    BUCKETS,
    MOST_UNITS,
    GapInputs,
    LSTMModel,
    bins_of,
    buckets_of,
    count_input,
    logarithm,
)
from smiless_core.predictors.trained import gap_arrays
from smiless_core.validation import number, whole_number

__all__ = ["train_lstm"]

Floats = NDArray[np.float64]

_PIECE = 256  # steps that are learnt from at once, as if a function began with them
_MOST_PIECES = 1000  # of gaps, and of intervals: 256,000 of each
_BATCH = 8  # pieces
_FEWEST = 100  # gaps after another one: of fewer, no more could be learnt than their distribution
_RATE = 1e-2  # of learning, at first; it falls to 0
_STEEPEST = 1.0  # norm of a gradient


class _Piece(NamedTuple):
    """What a network is told at each step, shape (steps, inputs), and the class that comes next, shape (steps,)."""

    told: NDArray[np.float32]
    next_one: NDArray[np.int64]


def train_lstm(
    gap_sequences: Iterable[ArrayLike],
    *,
    seed: int,
    interval: float = 60.0,
    units: int = 32,
    epochs: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> LSTMModel:
    """Train the two LSTM networks on the gaps of many functions.

    Sequences are cut into pieces of 256 gaps, and of 256 intervals for the network of counts, each of which is learnt
    from as if its function began there. Where there are more than 1,000 pieces, as many are drawn from them.

    Parameters
    ----------
    gap_sequences : iterable of array_like of float
        Seconds from each arrival to the next, in their order, from 0 to 4.6e9; one sequence per function.
    seed : int
        The same seed and sequences give the same model on one machine, at least 0.
    interval : float, default 60
        Seconds, in which arrivals are counted; from 0.001 to 1e6.
    units : int, default 32
        Hidden units of each network, at most 512.
    epochs : int, default 40
        How often every piece is learnt from.
    progress : callable, optional
        Called with the number of batches that are done and of all of them.

    Returns
    -------
    LSTMModel
        The model.

    Raises
    ------
    InvalidInputError
        If a value is out of range, fewer than 100 gaps follow another one, or no function lasts for three intervals.
    MissingExtraError
        If torch is not installed.

    Notes
    -----
    By the likelihood of the class that came, with Adam (D. P. Kingma and J. Ba, ICLR 2015) and back-propagation through
    all of a piece; on one thread.
    """
    torch = _library()
    start = whole_number(seed, "seed", at_least=0, at_most=2**31 - 1)
    length = number(interval, "interval", at_least=1e-3, at_most=1e6)
    width = whole_number(units, "units", at_least=1, at_most=MOST_UNITS)
    rounds = whole_number(epochs, "epochs", at_least=1)
    sequences = gap_arrays(gap_sequences)
    generator = np.random.default_rng(start)
    of_gaps = _gap_pieces(sequences, length, generator)
    of_counts = _count_pieces(sequences, length, generator)
    batches = rounds * (math.ceil(len(of_gaps) / _BATCH) + math.ceil(len(of_counts) / _BATCH))
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, batches)

    with _one_thread(torch):
        fitted = [
            _fitted(torch, pieces, units=width, classes=classes, epochs=rounds, generator=generator, report=report)
            for pieces, classes in ((of_gaps, BINS), (of_counts, BUCKETS))
        ]
    return LSTMModel(np.concatenate(fitted), interval=length, units=width)


def _library() -> Any:
    try:
        return import_module("torch")  # late: it is an extra, and slow to import
    except ImportError:
        raise MissingExtraError("torch", "training LSTM networks") from None


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    # Sums of several threads differ from run to run; and networks this small are not faster with them.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _drawn(total: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return which pieces are learnt from."""
    if total <= _MOST_PIECES:
        return np.arange(total)
    return np.sort(generator.choice(total, _MOST_PIECES, replace=False))


def _gap_pieces(sequences: list[Floats], interval: float, generator: np.random.Generator) -> list[_Piece]:
    found = sum(max(gaps.size - 1, 0) for gaps in sequences)
    if found < _FEWEST:
        got = f"expected at least {_FEWEST} gaps that follow another one, got {found}"
        raise InvalidInputError(got, place="gap_sequences")
    cuts = [gaps[begin : begin + _PIECE] for gaps in sequences for begin in range(0, gaps.size - 1, _PIECE)]
    pieces = []
    for index in _drawn(len(cuts), generator).tolist():
        inputs = GapInputs(interval)
        told, levels = [], []
        for gap in cuts[index].tolist():
            told.append(inputs.add(gap))
            levels.append(inputs.level)
        came = np.array([logarithm(gap) for gap in cuts[index][1:].tolist()])
        pieces.append(_Piece(np.array(told[:-1], np.float32), bins_of(came - levels[:-1])))
    return pieces


def _count_pieces(sequences: list[Floats], interval: float, generator: np.random.Generator) -> list[_Piece]:
    """Return pieces that an arrival came in; of others, there may be any number between two arrivals."""
    cuts: list[tuple[NDArray[np.int64], int]] = []  # in which of its intervals arrivals came, and how many it has
    for gaps in sequences:
        at = np.append(0, np.minimum(np.cumsum(gaps) / interval, 2.0**62).astype(np.int64))
        last = int(at[-1])  # which is not over yet
        at = at[at < last]
        for inside in np.split(at, np.flatnonzero(np.diff(at // _PIECE)) + 1):
            begin = int(inside[0]) // _PIECE * _PIECE if inside.size else last
            if last - begin > 1:
                cuts.append((inside - begin, min(last - begin, _PIECE)))
    if not cuts:
        raise InvalidInputError(
            f"expected a function that lasts for three intervals of {interval:g} s", place="interval"
        )
    pieces = []
    for index in _drawn(len(cuts), generator).tolist():
        inside, steps = cuts[index]
        counts = np.bincount(inside, minlength=steps)
        told = np.array([count_input(count) for count in counts[:-1].tolist()], np.float32)
        pieces.append(_Piece(told, buckets_of(counts[1:])))
    return pieces


def _fitted(
    torch: Any,
    pieces: list[_Piece],
    *,
    units: int,
    classes: int,
    epochs: int,
    generator: np.random.Generator,
    report: Callable[[], None],
) -> NDArray[np.float32]:
    """Return the parameters of a network, as `Network` takes them."""
    with torch.random.fork_rng(devices=[]):  # they draw from the generator that everyone shares
        layer = torch.nn.LSTM(pieces[0].told.shape[1], units)
        head = torch.nn.Linear(units, classes)
    parameters = [*layer.parameters(), *head.parameters()]
    with torch.no_grad():
        for each in parameters:
            drawn = generator.uniform(-1.0, 1.0, tuple(each.shape)) / math.sqrt(units)
            each.copy_(torch.from_numpy(drawn.astype(np.float32)))
        layer.bias_ih_l0[units : 2 * units] += 1.0  # what is remembered is not forgotten at first
        # Classes that never came are improbable from the start: training alone says that where it has been.
        seen = np.bincount(np.concatenate([piece.next_one for piece in pieces]), minlength=classes)
        head.bias[torch.from_numpy(seen == 0)] -= math.log(10.0 * seen.sum())
    optimizer = torch.optim.Adam(parameters, lr=_RATE)
    steps = epochs * math.ceil(len(pieces) / _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(1.0 - step / steps, 0.0))
    for _ in range(epochs):
        order = generator.permutation(len(pieces))
        for begin in range(0, len(pieces), _BATCH):
            told, next_one = _batch([pieces[index] for index in order[begin : begin + _BATCH]])
            hidden, _ = layer(torch.from_numpy(told))
            scores = head(hidden).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(next_one).flatten(), ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, _STEEPEST)
            optimizer.step()
            schedule.step()
            report()
    kernels = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0 + layer.bias_hh_l0, head.weight, head.bias]
    return np.concatenate([each.detach().numpy().ravel() for each in kernels])


def _batch(pieces: list[_Piece]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return what networks are told, shape (steps, pieces, inputs), and what comes next; -1 where a piece is over."""
    longest = max(piece.next_one.size for piece in pieces)
    told = np.zeros((longest, len(pieces), pieces[0].told.shape[1]), np.float32)
    next_one = np.full((longest, len(pieces)), -1, np.int64)
    for index, piece in enumerate(pieces):
        told[: piece.next_one.size, index] = piece.told
        next_one[: piece.next_one.size, index] = piece.next_one
    return told, next_one
