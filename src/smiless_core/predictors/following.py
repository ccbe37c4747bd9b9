"""How many arrivals come next, from what followed in the recent past."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from smiless_core.arrivals import Counts
from smiless_core.validation import number, whole_number

__all__ = ["RecentArrivals"]

_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to
_MOST = 1e12  # arrivals that can be meant


class RecentArrivals:
    """Remembers inter-arrival times, and counts what came in the time after moments like the present one.

    Moments are alike that lie as long after an arrival: after every remembered gap that was longer than what has passed
    since the last arrival, the arrivals of the horizon are counted. So bursts are seen as they are, and not as if every
    gap were drawn anew. Moments whose horizon is not over yet are left out.

    Parameters
    ----------
    count : int, default 256
        How many gaps are remembered.
    gaps : array_like of float, shape (g,), optional
        Seconds, from 0 to 4.6e9; those remembered to begin with.

    Raises
    ------
    InvalidInputError
        If the number or a gap is out of range.
    """

    __slots__ = ("_gaps",)

    def __init__(self, count: int = 256, gaps: NDArray[np.float64] | tuple[float, ...] = ()) -> None:
        most = whole_number(count, "count", at_least=1)
        self._gaps: deque[float] = deque(maxlen=most)
        for index, gap in enumerate(gaps):
            self._gaps.append(number(float(gap), f"gaps[{index}]", at_least=0.0, at_most=_LONGEST))

    def add(self, gap: float) -> None:
        """Remember one more, seconds."""
        self._gaps.append(gap)

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Those remembered, in their order, seconds; shape (g,)."""
        return np.array(self._gaps)

    def counts(self, *, elapsed: float, horizon: float) -> Counts:
        """Return the distribution of how many come next.

        Parameters
        ----------
        elapsed : float
            Seconds since the last arrival.
        horizon : float
            Seconds from now on, above 0.
        """
        passed = number(elapsed, "elapsed", at_least=0.0)
        length = number(horizon, "horizon", above=0.0)
        at = np.cumsum([0.0, *self._gaps])
        longer = np.flatnonzero(np.diff(at) > passed)
        begins = at[longer] + passed
        over = begins + length <= at[-1]
        if not over.any():
            # Nothing is known of such moments: those of a Poisson process with the mean rate, if there is one. It is
            # lower after a silence that is longer than any gap.
            seen = float(at[-1]) + (0.0 if longer.size else passed)
            rate = (at.size - 1) / seen if at[-1] > 0.0 else 0.0
            return Counts.poisson(min(min(length, _LONGEST) * rate, _MOST))
        begins, after = begins[over], longer[over] + 1
        return Counts((np.searchsorted(at, begins + length, "right") - after).tolist())
