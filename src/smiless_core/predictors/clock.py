"""Time as it is read in practice: not always forward."""

from smiless_core.validation import number

__all__ = ["Clock"]

_DISORDER = 1.0  # seconds: arrivals may be reported out of order by so much
_LONGEST = 4.6e9  # seconds: what distributions of gaps reach to


class Clock:
    """Turns arrival times into inter-arrival times.

    An arrival up to a second before the last one was reported late, and counts as simultaneous with it. One that is
    earlier still means that the clock was set back: time goes on from there, and the gap is not known.

    Parameters
    ----------
    last : float, optional
        The last arrival, seconds.

    Attributes
    ----------
    last : float or None
        The last arrival, seconds; None before the first.
    """

    __slots__ = ("last",)

    def __init__(self, last: float | None = None) -> None:
        self.last = None if last is None else number(last, "last")

    def gap(self, t: float) -> float | None:
        """Return the time since the last arrival, at least 0 s; None if it is not known.

        Parameters
        ----------
        t : float
            When an arrival came, seconds. It is the last one from now on.
        """
        now, last = number(t, "t"), self.last
        if last is None or now < last - _DISORDER:
            self.last = now
            return None
        self.last = max(now, last)
        return min(self.last - last, _LONGEST)

    def elapsed(self, now: float) -> float:
        """Return the time since the last arrival, at least 0 s, and 0 s before the first one."""
        at = number(now, "now")
        return 0.0 if self.last is None else min(max(at - self.last, 0.0), _LONGEST)
