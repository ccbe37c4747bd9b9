"""Distributions as finitely many atoms, with a bound on what that changes.

Jumps of the distribution are atoms already. The rest is cut into cells, and each becomes an atom at its
conditional mean, so that probability and mean stay what they are. How far off is E[min(X, c)] then? A cell
(a, b) of mass w and mean m has the same part in it for c outside the cell. For c inside, atom minus cell is

    w (min(m, c) - E[min(X, c) | a < X < b]),

which is at least 0 (min is concave), rises up to c = m and falls from there. At c = m it is

    w E[(m - X)+ | a < X < b]  <=  w (m - a)(b - m) / (b - a),

with equality if X there is only ever a or b. Every c lies in one cell at most, so the worst cell bounds the
whole. The tail is one more cell, b infinite, with the bound w (m - a) = E[(X - a)+]. Moving atoms to whole
nanoseconds adds at most the mean distance that they move.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals.inputs import LONGEST, SHORTEST, nanoseconds
from smiless_core.arrivals.laws import Law

__all__ = ["Atoms", "discretized", "geometric_edges"]

Floats = NDArray[np.float64]

# The cells start at this part of the mean and end where this probability is left; as much may lie below them.
_FINEST = 1e-6
_OUTSIDE = 1e-9


class Atoms(msgspec.Struct, frozen=True, eq=False):
    """A distribution of X as atoms and a tail.

    Parameters
    ----------
    times : ndarray of int64, shape (count,)
        Where the atoms are: nanoseconds, ascending, all different; at least one.
    mass : ndarray of float64, shape (count,)
        Their probabilities. Together with `tail_mass` they add up to 1.
    tail_mass : float
        P(X is in the tail), which lies beyond the last atom.
    tail_excess : float
        Mean of X in the tail minus the last of the times, in seconds; 0 where there is no tail.
    error : float
        Seconds. For no c does E[min(X, c)] differ by more between X and its atoms, the tail taken for an atom
        at its mean. Where this is not 0, P(X <= c) may differ by up to the mass of one atom.

    Notes
    -----
    The mean of X is preserved but for the rounding of times, at most half a nanosecond.
    """

    times: NDArray[np.int64]
    mass: Floats
    tail_mass: float
    tail_excess: float
    error: float


def discretized(law: Law, resolution: float) -> Atoms:
    """Return the atoms of a distribution.

    Parameters
    ----------
    law : Law
        The distribution.
    resolution : float
        The most that a cell may span: in probability, and relative to how far it is from the smallest X.

    Returns
    -------
    Atoms
        Exact where the law has nothing but jumps.
    """
    position, mass = law.jumps()
    error = end = beyond = tail_mass = 0.0
    if law.smooth:
        edges = _edges(law, position, resolution)
        end = float(edges[-1])
        cells, weight, error = _cells(law, edges, jumps=position.size > 0)
        position, mass = np.concatenate((position, cells)), np.concatenate((mass, weight))
        tail_mass, beyond = float(law.survival(edges[-1])), float(law.excess(edges[-1]))
        error = max(error, beyond)
    order = np.argsort(position, kind="stable")
    position, mass = position[order], mass[order]
    rounded = nanoseconds(position)
    error += float(mass @ np.abs(rounded / 1e9 - position))
    first = np.flatnonzero(np.diff(rounded, prepend=-1))
    times, mass = rounded[first], np.add.reduceat(mass, first)
    tail_excess = end - times[-1] / 1e9 + beyond / tail_mass if tail_mass > 0.0 else 0.0
    times.flags.writeable = mass.flags.writeable = False
    return Atoms(times, mass, tail_mass, float(tail_excess), error)


def _edges(law: Law, jumps: Floats, resolution: float) -> Floats:
    """Return the ends of the cells: geometric from the floor on, and where enough probability has passed."""
    edges = geometric_edges(law, jumps, resolution, finest=_FINEST, outside=_OUTSIDE)
    passed = law.inverse(np.arange(1.0 - resolution, 0.0, -resolution))
    return np.union1d(edges, passed[(passed >= edges[0]) & (passed <= edges[-1])])


def geometric_edges(law: Law, jumps: Floats, resolution: float, *, finest: float, outside: float) -> Floats:
    """Return the ends of cells that grow with their distance from the smallest X.

    Parameters
    ----------
    law : Law
        The distribution.
    jumps : float64 array
        Where it jumps, which are edges too.
    resolution : float
        How much further each edge is than the one before.
    finest : float
        Where the first edge after the smallest X is, in parts of the mean distance from it.
    outside : float
        The probability that may be left beyond the last edge, and before the one after the first.

    Returns
    -------
    float64 array
        Ascending and all different, in seconds; at least one.
    """
    floor, end = law.floor, law.ceiling
    if not math.isfinite(end):
        end = max(float(law.inverse(np.asarray(outside))), float(jumps.max(initial=0.0)))
    end = min(end, LONGEST)
    below = float(law.inverse(np.asarray(1.0 - outside))) - floor
    start = max(finest * (law.mean - floor), below, SHORTEST)
    steps = max(math.log(max(end - floor, start) / start) / math.log1p(resolution), 0.0)
    geometric = floor + start * (1.0 + resolution) ** np.arange(math.ceil(steps))
    edges = np.unique(np.concatenate(([floor], geometric, jumps, [end])))
    return edges[(edges >= floor) & (edges <= max(floor, end))]


def _cells(law: Law, edges: Floats, *, jumps: bool) -> tuple[Floats, Floats, float]:
    """Return the means and masses of the open cells between edges, and the bound on their error.

    Cells without probability are left out; if all are, there is one atom without any at the first edge.
    """
    survival, excess = law.survival(edges), law.excess(edges)
    at_least = law.at_least(edges) if jumps else survival
    left, right = edges[:-1], edges[1:]
    width = right - left
    mass = np.maximum(survival[:-1] - at_least[1:], 0.0)
    # E[X - left; left < X < right]: the area under S above the level P(X >= right).
    area = excess[:-1] - excess[1:] - width * at_least[1:]
    offset = np.divide(area, mass, out=np.zeros_like(mass), where=mass > 0.0)
    offset = np.clip(offset, 0.0, width)  # where hardly any mass is, rounding may leave the cell
    error = float(np.max(mass * offset * (1.0 - offset / width), initial=0.0))
    kept = mass > 0.0
    if not kept.any():
        return edges[:1], np.zeros(1), 0.0
    return (left + offset)[kept], mass[kept], error
