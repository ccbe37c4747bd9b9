"""Distributions as finitely many cells of even density and atoms between them, with a bound on what that changes.

Where the survival S is a straight line between knots, as for recorded, smoothed and tabulated gaps, the knots
are the edges of the cells, and nothing changes. Elsewhere S is replaced by a line in each cell (a, b), from S(a)
to P(X >= b), which keeps the probability of every cell but not its mean. How far off is E[min(X, c)], the
integral of S up to c, then?

* At the edges it is off by C, the sum of A = (integral of S) - h (S(a) + P(X >= b)) / 2 over the cells below,
  where h = b - a: known exactly.
* Inside a cell of probability w, at c = a + x, let D be the further difference. S falls, so it is at most
  S(a) there, and the line is S(a) - w t / h: D <= w x**2 / (2 h). It is at least P(X >= b), so that what the rest
  of the cell takes back of A is at least -w (h - x)**2 / (2 h): D <= A + w (h - x)**2 / (2 h). The first bound
  rises in x and the second falls; they meet at x = h / 2 + A / w, and there
  D <= w h / 8 * (1 + 2 A / (w h))**2. From below, for the same reasons, D >= -w h / 8 * (1 - 2 A / (w h))**2.
* The tail is an atom at its mean, which adds between 0 and its part of E[(X - end)+] to E[min(X, c)].

So C + D, cell by cell, bounds the whole. Moving edges and atoms to whole nanoseconds adds at most the mean
distance that probability moves.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals.atoms import geometric_edges
from smiless_core.arrivals.inputs import nanoseconds
from smiless_core.arrivals.laws import Law

__all__ = ["Cells", "cells_of"]

Floats = NDArray[np.float64]

# The cells start at this part of the mean and end where this probability is left.
_FINEST = 1e-3
_OUTSIDE = 1e-6


class Cells(msgspec.Struct, frozen=True, eq=False):
    """A distribution of X as atoms, evenly filled cells between them, and a tail.

    Parameters
    ----------
    times : ndarray of int64, shape (count,)
        The ends of the cells: nanoseconds, ascending, all different; at least one. The first cell starts at 0.
    mass : ndarray of float64, shape (count,)
        P(X = times[k]).
    spread : ndarray of float64, shape (count,)
        Probability that is spread evenly over the open interval from times[k - 1], or 0, to times[k]. Together
        with `mass` and `tail_mass` this adds up to 1.
    tail_mass : float
        P(X is in the tail), which lies beyond the last of the times.
    tail_excess : float
        Mean of X in the tail minus the last of the times, in seconds; 0 where there is no tail.
    error : float
        Seconds. For no c does E[min(X, c)] differ by more between X and its cells, the tail taken for an atom
        at its mean.
    """

    times: NDArray[np.int64]
    mass: Floats
    spread: Floats
    tail_mass: float
    tail_excess: float
    error: float


def cells_of(law: Law, resolution: float) -> Cells:
    """Return the cells of a distribution.

    Parameters
    ----------
    law : Law
        The distribution.
    resolution : float
        The most that a cell may span, where the law is not straight anyway: in probability, and relative to how
        far it is from the smallest X.

    Returns
    -------
    Cells
        Exact where the survival is made of straight lines, but for whole nanoseconds.
    """
    at, weight = law.jumps()
    knots = law.knots()
    edges = np.union1d(knots, at) if knots is not None else _edges(law, at, resolution)
    mass, spread = np.zeros(edges.size), np.zeros(edges.size)
    np.add.at(mass, np.searchsorted(edges, at), weight)
    error = tail_mass = beyond = 0.0
    if law.smooth:
        start = np.append(0.0, edges[:-1])
        above, down_to = law.survival(start), law.at_least(edges)
        above[0] = 1.0  # a jump at 0 is an edge, and belongs to it
        spread = np.maximum(above - down_to, 0.0)
        if knots is None:
            tail_mass, beyond = float(law.survival(edges[-1])), float(law.excess(edges[-1]))
            area = law.excess(start) - law.excess(edges) - (edges - start) * (above + down_to) / 2.0
            error = _error(spread * (edges - start), area, beyond)
    times = nanoseconds(edges)
    moved = np.abs(times / 1e9 - edges)
    error += float(mass @ moved + spread @ np.maximum(moved, np.append(0.0, moved[:-1])))
    tail_excess = float(edges[-1] - times[-1] / 1e9 + beyond / tail_mass) if tail_mass > 0.0 else 0.0
    times, mass, spread = _merged(times, mass, spread)
    for array in (times, mass, spread):
        array.flags.writeable = False
    return Cells(times, mass, spread, tail_mass, tail_excess, error)


def _edges(law: Law, jumps: Floats, resolution: float) -> Floats:
    """Return the ends of the cells, on whole nanoseconds but for the jumps."""
    edges = geometric_edges(law, jumps, resolution, finest=_FINEST, outside=_OUTSIDE)
    smallest = np.floor(edges[:1] * 1e9) / 1e9  # else the cell from 0 to it would have to hold what is below
    full = law.survival(edges[:-1]) - law.at_least(edges[1:]) > resolution
    if full.any():
        passed = law.inverse(np.arange(1.0 - resolution, 0.0, -resolution))
        passed = passed[(passed > edges[0]) & (passed < edges[-1])]
        edges = np.append(edges, passed[full[np.searchsorted(edges, passed) - 1]])
    whole = nanoseconds(edges[1:]) / 1e9
    return np.unique(np.concatenate((smallest, whole, jumps[jumps <= edges.max()])))


def _error(moment: Floats, area: Floats, beyond: float) -> float:
    """Return the bound: `moment` is w h and `area` is A for each cell, `beyond` is the tail's part."""
    up_to = np.cumsum(area)
    before = up_to - area
    lean = np.clip(np.divide(2.0 * area, moment, out=np.zeros_like(area), where=moment > 0.0), -1.0, 1.0)
    high = before + moment / 8.0 * (1.0 + lean) ** 2
    low = before - moment / 8.0 * (1.0 - lean) ** 2
    return float(max(high.max(), -low.min(), beyond - up_to[-1]))


def _merged(times: NDArray[np.int64], mass: Floats, spread: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Bring together what is at the same nanosecond; a cell that has shrunk to nothing becomes an atom."""
    shrunk = np.diff(times, prepend=0) == 0
    mass, spread = mass + np.where(shrunk, spread, 0.0), np.where(shrunk, 0.0, spread)
    first = np.flatnonzero(np.diff(times, prepend=-1))
    times, mass, spread = times[first], np.add.reduceat(mass, first), np.add.reduceat(spread, first)
    start = int(times.size > 1 and times[0] == 0 and mass[0] == 0.0)
    return times[start:], mass[start:], spread[start:]
