"""When the next invocation comes, as a distribution of the time from one arrival to the next."""

import msgspec

from smiless_core.errors import InvalidInputError
from smiless_core.validation import number

__all__ = ["Arrivals"]

# Time is a whole number of nanoseconds inside: nothing shorter is an interval, and 2**62 ns (146 years)
# leaves room for sums of two.
_SHORTEST_INTERVAL = 1e-9
_LONGEST_INTERVAL = 4.6e9


class Arrivals(msgspec.Struct, frozen=True):
    """The distribution of X, the time from one arrival of an application to the next.

    Here X is deterministic: every arrival follows the one before it after the same interval.

    Parameters
    ----------
    interval : float
        Seconds from one arrival to the next, at least one nanosecond.

    Raises
    ------
    InvalidInputError
        If the interval is not a finite number in range.

    Examples
    --------
    >>> arrivals = Arrivals.every(10)
    >>> print(arrivals)
    every 10 s
    >>> arrivals.survival(9.5), arrivals.survival(10.0)
    (1.0, 0.0)
    """

    interval: float

    def __post_init__(self) -> None:
        interval = number(self.interval, "interval", at_least=_SHORTEST_INTERVAL, at_most=_LONGEST_INTERVAL)
        msgspec.structs.force_setattr(self, "interval", interval)

    @classmethod
    def every(cls, interval: float) -> "Arrivals":
        """Return arrivals that are always ``interval`` seconds apart.

        Parameters
        ----------
        interval : float
            Seconds from one arrival to the next.

        Returns
        -------
        Arrivals
            The deterministic distribution.

        Raises
        ------
        InvalidInputError
            If the interval is not a finite number of at least one nanosecond.
        """
        return cls(interval)

    @property
    def is_deterministic(self) -> bool:
        """Whether X has one value only."""
        return True

    @property
    def mean(self) -> float:
        """The mean of X, in seconds."""
        return self.interval

    def survival(self, elapsed: float) -> float:
        """Return P(X > elapsed).

        Parameters
        ----------
        elapsed : float
            Seconds since the last arrival.

        Returns
        -------
        float
            The probability that the next arrival is still to come.
        """
        return 1.0 if number(elapsed, "elapsed") < self.interval else 0.0

    def quantile(self, fraction: float) -> float:
        """Return the smallest x with P(X <= x) >= fraction.

        Parameters
        ----------
        fraction : float
            In (0, 1].

        Returns
        -------
        float
            Seconds.

        Raises
        ------
        InvalidInputError
            If the fraction is not in (0, 1].
        """
        if not 0.0 < number(fraction, "fraction") <= 1.0:
            raise InvalidInputError(f"expected a fraction in (0, 1], got {fraction}", place="fraction")
        return self.interval

    def __str__(self) -> str:
        return f"every {self.interval:g} s"
