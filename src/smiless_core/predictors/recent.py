"""The recent past is the future: the smoothed distribution of the last inter-arrival times."""

from collections import deque

from smiless_core.arrivals import Arrivals
from smiless_core.validation import number, whole_number

__all__ = ["RecentGaps"]


class RecentGaps:
    """Forecasts that the next inter-arrival time is like one of the last, or near one (`Arrivals.smoothed`).

    Parameters
    ----------
    count : int, default 256
        How many are remembered; memory and time for a forecast are proportional to it.
    least : int, default 2
        How many have to be known for a forecast; not more than `count`.
    """

    def __init__(self, count: int = 256, *, least: int = 2) -> None:
        self._least = whole_number(least, "least", at_least=1)
        self._gaps: deque[float] = deque(maxlen=whole_number(count, "count", at_least=self._least))
        self._last: float | None = None

    def observe(self, t: float) -> None:
        """Learn of an arrival at `t` seconds."""
        now = number(t, "t", at_least=self._last)
        if self._last is not None:
            self._gaps.append(now - self._last)
        self._last = now

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the smoothed distribution of the gaps remembered; None if there are too few, or all are 0."""
        if len(self._gaps) < self._least or not any(self._gaps):
            return None
        return Arrivals.smoothed(list(self._gaps))
