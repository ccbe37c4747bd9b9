"""What a forecaster does."""

from typing import Protocol

from smiless_core.arrivals import Arrivals

__all__ = ["Predictor"]


class Predictor(Protocol):
    """Learns from arrivals as they come, and says when the next one is to be expected."""

    def observe(self, t: float) -> None:
        """Learn of an arrival.

        Parameters
        ----------
        t : float
            When it came, seconds; not before the one observed last.
        """
        ...

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the distribution of the time from one arrival to the next.

        Parameters
        ----------
        now : float
            Seconds, not before the last arrival observed.

        Returns
        -------
        Arrivals or None
            None while too little is known.
        """
        ...
