"""The least-squares problem behind a profile: one constrained surface through measured latencies.

The model is `latency = batch * (alpha / size + beta) + gamma` (Lu et al., "SMIless", SC 2024): linear in the
unknowns, which must not be negative.  The *row* of a measurement is `[batch / size, batch, 1] / latency`, so
that `rows @ (alpha, beta, gamma)` is predicted over measured latency and every residual is relative.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

PARAMETERS = ("alpha", "beta", "gamma")

# Below this ratio of singular values (of rows whose columns have unit norm) a direction is rounding error.
_RANK = 1e-9
# A condition number above this cannot tell parameters apart: an error of 1 % in the measurements moves the
# weakest combination of parameters by about its own size.
_CONDITION = 100.0
# Measurements within 10 % of the surface are never outliers, however well the others agree: real functions
# bend away from the model by that much.  Beyond it, an outlier is more than 3.5 standard deviations away.
_TOLERANCE = math.log(1.1)
_DEVIATIONS = 3.5
_GROSS = 0.2  # relative error beyond which a measurement is as wrong as it can be
_MOST_TRIALS, _FINALISTS = 2000, 50
_MOST_REFITS = 20  # sets of equal size could take turns for ever

_SUPPORTS = [list(s) for k in (1, 2, 3) for s in itertools.combinations(range(3), k)]


def design(size: ArrayLike, batch: ArrayLike) -> Floats:
    """Coefficients of (alpha, beta, gamma) in the latency at each size and batch; shape (n, 3)."""
    b, r = np.broadcast_arrays(np.asarray(batch, dtype=np.float64), np.asarray(size, dtype=np.float64))
    return np.stack([b / r, b, np.ones_like(b)], axis=-1)


def fit(rows: Floats, grid: Floats, *, weight: Floats | None = None) -> Floats:
    """Nonnegative (alpha, beta, gamma) with the smallest sum of squared relative errors.

    Exact: three unknowns have seven supports, and the optimum is the plain least-squares solution of its
    support.  Where the rows leave several optima, the one that predicts the largest mean latency over
    `grid` is taken, and among those the one with the largest beta: no gain from batching or from a larger
    size is credited that was not measured.

    Parameters
    ----------
    rows : float64 array, shape (n, 3), n >= 1
        Relative rows (see the module).
    grid : float64 array, shape (m, 3)
        `design` of the sizes and batches at which the fit will be used.
    weight : float64 array, shape (n,), optional
        What the relative error of each row counts, above 0; 1 by default.

    Returns
    -------
    float64 array, shape (3,)
    """
    target = np.ones(len(rows)) if weight is None else weight
    rows = rows * target[:, None]
    scale = np.linalg.norm(rows, axis=0)
    optima: list[tuple[float, Floats]] = []
    for support in _SUPPORTS:
        columns = rows[:, support] / scale[support]
        solution, _, rank, _ = np.linalg.lstsq(columns, target, rcond=_RANK)
        if rank == len(support) and (solution >= 0).all():
            parameters = np.zeros(3)
            parameters[support] = solution / scale[support]
            optima.append((float(np.sum((columns @ solution - target) ** 2)), parameters))
    least = min(loss for loss, _ in optima)
    # With full rank the optimum is unique, and near-ties must not be traded for it.
    slack = 0.0 if _rank(rows / scale) == 3 else 1e-14 * len(rows)
    tied = [parameters for loss, parameters in optima if loss <= least + slack]
    highest = max(float((grid @ parameters).sum()) for parameters in tied)
    tied = [p for p in tied if float((grid @ p).sum()) >= highest * (1 - 1e-9)]
    best = max(tied, key=lambda parameters: float(parameters[1]))
    # A parameter that nowhere contributes 1e-12 of the latency is the rounding error of a zero.
    return np.where((rows * best).max(axis=0) < 1e-12, 0.0, best)


def free_fit(rows: Floats) -> Floats:
    """Return the least-squares (alpha, beta, gamma) of any sign; of least norm where several are equal."""
    scale = np.linalg.norm(rows, axis=0)
    return np.asarray(np.linalg.lstsq(rows / scale, np.ones(len(rows)), rcond=_RANK)[0] / scale)


def outliers(rows: Floats, cells: NDArray[np.int64], grid: Floats) -> NDArray[np.bool_]:
    """Mark the measurements that contradict the surface on which the others agree.

    The surface is sought without the sign constraints, so that a function whose latency the constrained
    model cannot follow keeps all its measurements and shows an error instead.  Surfaces through as many
    cells as there are identifiable parameters are tried (all of them, or a seeded sample); their scatter
    gives a robust standard deviation (least median of squares, Rousseeuw 1984).  Those with which the most
    measurements agree, give or take a tenth, are refitted to them until they settle.  Where one of them agrees
    with all there is no outlier.  Otherwise the one wins whose measurements make the best constrained fit, an
    error, and each measurement set aside, counting as 20 % at most: a surface free of signs can bend to a few
    outliers in a corner, the constrained one cannot.

    More than half of the measurements agree by construction, and at most half of those beyond the number of
    parameters are outliers: with more, the others could be the wrong ones.

    Parameters
    ----------
    rows : float64 array, shape (n, 3)
        Relative rows (see the module), in an order that does not depend on the caller's.
    cells : int64 array, shape (m,)
        For each distinct size and batch, the row that stands for it.
    grid : float64 array, shape (k, 3)
        As in `fit`.

    Returns
    -------
    bool array, shape (n,)
    """
    n = len(rows)
    scaled = rows / np.linalg.norm(rows, axis=0)
    rank = _rank(scaled)
    if n - rank < 2:
        return np.zeros(n, dtype=np.bool_)
    bases = scaled[cells][_subsets(len(cells), rank, most=max(50, min(_MOST_TRIALS, 2**22 // n)))]
    spectrum = np.linalg.svd(bases, compute_uv=False)
    bases = bases[spectrum[:, -1] > _RANK * spectrum[:, 0]]
    trials = np.linalg.pinv(bases, rcond=_RANK).sum(axis=-1)
    apart = _apart(scaled @ trials.T)
    middle = (n + rank + 1) // 2 - 1
    deviation = 1.4826 * (1 + 5 / (n - rank)) * float(np.partition(apart, middle, axis=0)[middle].min())
    tolerance = max(_TOLERANCE, _DEVIATIONS * deviation)
    agree = (apart <= tolerance).T
    votes = agree.sum(axis=1)
    least = max(votes.max() - n // 10, middle + 1)
    finalists = agree[np.argsort(-votes, kind="stable")][: int((votes >= least).sum())]
    distinct = {members.tobytes(): members for members in finalists}
    settled = [
        _settle(rows, members, rank, widest=tolerance) for members in itertools.islice(distinct.values(), _FINALISTS)
    ]
    if any(members.all() for members in settled):
        return np.zeros(n, dtype=np.bool_)
    gross = max(_GROSS, math.expm1(tolerance))

    def loss(members: NDArray[np.bool_]) -> float:
        errors = np.abs(rows[members] @ fit(rows[members], grid) - 1.0)
        return float(np.sum(np.minimum(errors, gross) ** 2)) + int((~members).sum()) * gross**2

    return ~min(settled, key=loss)


def weakness(rows: Floats) -> tuple[str, ...]:
    """Names of the parameters that the rows cannot tell apart; empty when all three are identified."""
    scaled = rows / np.linalg.norm(rows, axis=0)
    # Three rows of zeros, so that there are three directions even where there are fewer measurements.
    _, spectrum, directions = np.linalg.svd(np.vstack([scaled, np.zeros((3, 3))]), full_matrices=False)
    weak = directions[spectrum * _CONDITION < spectrum[0]]
    share = np.abs(weak).max(axis=0, initial=0.0)
    return tuple(name for name, part in zip(PARAMETERS, share, strict=True) if part > 0.1)


def least_certain(rows: Floats, candidates: Floats) -> int:
    """Index of the candidate row that a further measurement would teach the most about.

    The candidate's prediction variance under the present rows is the factor by which measuring it shrinks
    the volume of the parameters' confidence region (D-optimality), so the largest one is measured next.  A
    small ridge stands for the directions that nothing has measured yet.

    Parameters
    ----------
    rows, candidates : float64 arrays, shapes (n, 3) and (m, 3)
        Relative rows; those of the candidates are divided by their predicted latency.
    """
    scale = np.linalg.norm(rows, axis=0)
    scaled, options = rows / scale, candidates / scale
    information = scaled.T @ scaled + 1e-6 * np.eye(3)
    variance = np.einsum("ij,ij->i", options, np.linalg.solve(information, options.T).T)
    # Equal candidates differ by rounding: the first of them is as good, and the same on every machine.
    return int(np.argmax(variance >= variance.max() * (1 - 1e-6)))


def _settle(rows: Floats, members: NDArray[np.bool_], rank: int, *, widest: float) -> NDArray[np.bool_]:
    """Refit the free surface to those that agree with it, within `widest` at most, until they stay the same."""
    for _ in range(_MOST_REFITS):
        apart = _apart(rows @ free_fit(rows[members]))
        deviation = math.sqrt(float(np.sum(apart[members] ** 2)) / (int(members.sum()) - rank))
        again = apart <= min(widest, max(_TOLERANCE, _DEVIATIONS * deviation))
        if 2 * again.sum() < len(rows) + rank or np.array_equal(again, members):
            break
        members = again
    return members


def _rank(scaled: Floats) -> int:
    spectrum = np.linalg.svd(scaled, compute_uv=False)
    return int((spectrum > _RANK * spectrum[0]).sum())


def _apart(ratio: Floats) -> Floats:
    """Return how far predicted over measured latency is from 1; too low and too high weigh the same."""
    return np.abs(np.log(np.maximum(ratio, np.finfo(np.float64).tiny)))


def _subsets(n: int, k: int, *, most: int) -> NDArray[np.int64]:
    """All subsets of size k of range(n), or `most` seeded draws from them; shape (m, k)."""
    if math.comb(n, k) <= most:
        return np.array(list(itertools.combinations(range(n), k)), dtype=np.int64)
    draws = np.random.default_rng(0).random((most, n))
    return np.argpartition(draws, k, axis=1)[:, :k].astype(np.int64)
