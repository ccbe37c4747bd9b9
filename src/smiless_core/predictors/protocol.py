"""What a forecaster does."""

from typing import Protocol, Self

from smiless_core.arrivals import Arrivals, Counts

__all__ = ["Predictor"]


class Predictor(Protocol):
    """Learns from arrivals as they come, and says what is to be expected next.

    What it says depends on what it has observed alone, and on its settings. Its memory is bounded.
    """

    def observe(self, t: float) -> None:
        """Learn of an arrival.

        Parameters
        ----------
        t : float
            When it came, seconds. Where clocks are not perfect: one that is a little earlier than the one before
            counts as simultaneous, and after a clock was set back time goes on from there (`predictors.Clock`).
        """
        ...

    def arrivals(self, now: float) -> Arrivals | None:
        """Return the distribution of the time from the last arrival to the next.

        Parameters
        ----------
        now : float
            Seconds. Where it is after the last arrival, the distribution is given that none has come until now.

        Returns
        -------
        Arrivals or None
            Counted from the last arrival. None while too little is known.
        """
        ...

    def demand(self, now: float, *, horizon: float) -> Counts:
        """Return the distribution of how many arrivals come from `now` on, for `horizon` seconds.

        Parameters
        ----------
        now : float
            Seconds, not before the last arrival.
        horizon : float
            Seconds, above 0.

        Returns
        -------
        Counts
            Certainly none while nothing is known.
        """
        ...

    def state(self) -> bytes:
        """Return all that it knows: compact, versioned, the same on every machine."""
        ...

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """Return a forecaster that goes on as the one that `state` is of.

        Raises
        ------
        InvalidInputError
            If it is not such a state, or of a version that is not known here.
        """
        ...
