"""What is still to be expected when nothing has come for some time."""

from smiless_core.arrivals import Arrivals

__all__ = ["conditioned"]

# What is left of a distribution is divided by its probability, which below this holds too few digits.
_LEAST = 1e-290


def conditioned(arrivals: Arrivals, elapsed: float) -> Arrivals:
    """Return the distribution given that no arrival has come for some time.

    Parameters
    ----------
    arrivals : Arrivals
        Of the time from the last arrival to the next.
    elapsed : float
        Seconds since the last arrival.

    Returns
    -------
    Arrivals
        As it was where one should have come by then: what was thought impossible tells nothing about what comes next.
    """
    return arrivals.after(elapsed) if elapsed > 0.0 and arrivals.survival(elapsed) > _LEAST else arrivals
