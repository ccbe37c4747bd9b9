"""The weights of a mixture whose components are known, by maximum likelihood.

log L(w) = sum over i of log(sum over k of w_k f_k(x_i)) is concave, and few components make Newton's method
cheap: each step maximizes the quadratic model over w >= 0 exactly, which also finds the weights that are 0.
Dropping sum(w) = 1 for a term -n sum(w) changes no optimum, since L is homogeneous. Climbing by expectation and
maximization comes to the same weights, after thousands of steps where kernels are alike.

Source: Y. Kim, P. Carbonetto, M. Stephens and M. Anitescu, A fast algorithm for maximum likelihood estimation of
mixture proportions using sequential quadratic programming, J. Comput. Graph. Stat. 29, 2020; the active set is
that of C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["likeliest_weights"]

Floats = NDArray[np.float64]

# The logarithm of the likelihood that may be missing at the end, and how many steps may be taken: ten do.
_MISSING = 1e-4
_STEPS = 100
# Relative to the number of observations, what keeps equal components from making the model singular.
_RIDGE = 1e-12


def likeliest_weights(density: Floats, times: Floats) -> Floats:
    """Return the weights under which what was observed is most probable.

    Parameters
    ----------
    density : float64 array, shape (count, components)
        The density of each component at each observation, in any unit that is the same along a row; no row is
        all zero.
    times : float64 array, shape (count,)
        How often each was observed.

    Returns
    -------
    float64 array, shape (components,)
        Not below 0, adding up to 1.
    """
    total = float(times.sum())
    weights = np.full(density.shape[1], 1.0 / density.shape[1])
    mixed = density @ weights
    for _ in range(_STEPS):
        part = density / mixed[:, None]
        slope = times @ part
        # L is concave and slope @ weights = total: no weights are better by more than this.
        if slope.max() - total < _MISSING:
            break
        curvature = part.T @ (part * times[:, None])
        curvature.flat[:: len(curvature) + 1] += _RIDGE * total
        toward = _highest(curvature, slope - total + curvature @ weights) - weights
        step = 1.0
        while True:
            tried = weights + step * toward
            tried /= tried.sum()
            ratio = (density @ tried) / mixed
            if ratio.min() > 0.0 and times @ np.log(ratio) >= 0.0:
                break
            step /= 2.0
            if step < _RIDGE:  # no better within rounding
                return weights
        weights, mixed = tried, mixed * ratio
    return weights


def _highest(curvature: Floats, slope: Floats) -> Floats:
    """Return the x >= 0 with the highest ``slope @ x - x @ curvature @ x / 2``."""
    x = np.zeros(slope.size)
    free = np.zeros(slope.size, dtype=bool)
    for _ in range(3 * slope.size):
        rise = np.where(free, -np.inf, slope - curvature @ x)
        if rise.max() <= _RIDGE * np.abs(slope).max():
            break
        free[rise.argmax()] = True
        while True:
            aim = np.zeros(slope.size)
            aim[free] = np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
            below = np.flatnonzero(free & (aim <= 0.0))
            if not below.size:
                break
            part = x[below] / (x[below] - aim[below])  # of the way, up to where one of them is 0
            x += part.min() * (aim - x)
            free[below[part == part.min()]] = False
            x[~free] = 0.0
        x = aim
    return x
