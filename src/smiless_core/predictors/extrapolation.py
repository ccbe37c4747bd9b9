"""A series goes on as a parabola and its lowest frequencies do."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["extrapolation_weights"]


@lru_cache(maxsize=256)
def extrapolation_weights(count: int, harmonics: int, ahead: int = 1) -> NDArray[np.float64]:
    """Return what each of so many values counts for in the forecast of those that follow: the forecast is linear.

    A parabola is fitted to the values, and extended by one; it stays there, for further on it soon leaves all that was
    ever seen. What it leaves over is cut to its lowest frequencies k / count, which repeat after `count` values: the
    next one is that of the first.

    Parameters
    ----------
    count : int
        How many values there are, at least 1.
    harmonics : int
        How many frequencies are kept, besides the mean.
    ahead : int, default 1
        How many values are forecast, at least 1.

    Returns
    -------
    float64 array, shape (ahead, count)
        Read-only.

    Notes
    -----
    R. B. Roy, T. Patel and D. Tiwari, "IceBreaker: Warming Serverless Functions Better with Heterogeneity", ASPLOS
    2022, section 3: the Fourier transform based invocation predictor.
    """
    times = np.arange(count, dtype=np.float64)
    powers = np.vander(times, min(2, count - 1) + 1)
    fit = np.linalg.pinv(powers)
    order = np.argsort(np.abs(np.fft.fftfreq(count)), kind="stable")[: 1 + 2 * harmonics]
    places = np.arange(ahead) % count
    kernel = np.cos(2.0 * np.pi * (places[:, None] - times) / count * order[:, None, None]).sum(axis=0) / count
    trend = np.vander([float(count)], powers.shape[1])[0] @ fit
    weights: NDArray[np.float64] = trend + kernel - (kernel @ powers) @ fit
    weights.flags.writeable = False
    return weights
