"""Recorded arrivals."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import flag, mapping, number, open_fraction, text

__all__ = ["Trace"]

_NANOSECONDS = 1_000_000_000
# 2**62 ns is 146 years: differences of two such times still fit into 64 bits.
_FURTHEST_SECONDS = float(2**62 // _NANOSECONDS)


class Trace(Noun, frozen=True, eq=False):
    """The arrivals of one application, as recorded.

    Traces compare by identity.

    Parameters
    ----------
    times : ndarray of int64, shape (count,)
        Nanoseconds after the origin, ascending; equal times are simultaneous arrivals. Kept read-only; copied
        unless it already is.
    origin : str, optional
        The instant that times count from, as ISO 8601 text, where the source tells it.
    name : str, default "trace"
        What to call it.
    placement : str, optional
        The rule that placed arrivals within the counted periods of the source, where it holds counts only.
    source : mapping, optional
        What is known about where it comes from. Kept as a read-only copy.

    Raises
    ------
    InvalidInputError
        If the times are not such an array.

    Examples
    --------
    >>> trace = Trace.from_seconds([0.0, 4.0, 10.0, 30.0])
    >>> trace.count, trace.span, trace.interval
    (4, 30.0, 10.0)
    >>> print(trace.arrivals())
    smoothed, 3 gaps, mean 10 s
    """

    times: NDArray[np.int64]
    origin: str | None = None
    name: str = "trace"
    placement: str | None = None
    source: Mapping[str, Any] = MappingProxyType({})

    def __post_init__(self) -> None:
        self._set(
            times=_checked_times(self.times),
            origin=None if self.origin is None else text(self.origin, "origin"),
            name=text(self.name, "name"),
            placement=None if self.placement is None else text(self.placement, "placement"),
            source=MappingProxyType(dict(mapping(self.source, "source"))),
        )

    @classmethod
    def from_seconds(cls, seconds: ArrayLike, *, name: str = "trace", origin: str | None = None) -> Self:
        """Return a trace of arrivals given in seconds.

        Parameters
        ----------
        seconds : array_like of float, shape (count,)
            Seconds after the origin, in any order. Rounded to whole nanoseconds.
        name : str, default "trace"
            What to call it.
        origin : str, optional
            The instant that the seconds count from, as ISO 8601 text.

        Returns
        -------
        Trace
            The trace, in ascending order.

        Raises
        ------
        InvalidInputError
            If a value is not a finite number, or is further than 146 years from the origin.
        """
        try:
            given = np.asarray(seconds)
        except ValueError:  # nested lists of unequal length
            raise InvalidInputError("expected a list of numbers, got nested lists", place="seconds") from None
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iuf"):
            described = f"an array of {given.dtype} with shape {given.shape}"
            raise InvalidInputError(f"expected a list of numbers, got {described}", place="seconds")
        values = given.astype(np.float64)
        wrong = np.flatnonzero(~(np.abs(values) <= _FURTHEST_SECONDS))
        if wrong.size:
            limit = f"a finite number within {_FURTHEST_SECONDS:g} s"
            raise InvalidInputError(f"expected {limit}, got {values[wrong[0]]}", place=f"seconds[{wrong[0]}]")
        # In one product, seconds since 1970 would lose digits that the float still holds.
        whole = np.floor(values)
        rest = np.rint((values - whole) * _NANOSECONDS)
        times = whole.astype(np.int64) * _NANOSECONDS + rest.astype(np.int64)
        times.sort()
        times.flags.writeable = False
        return cls(times, origin=origin, name=name)

    @property
    def count(self) -> int:
        """The number of arrivals."""
        return int(self.times.size)

    @property
    def span(self) -> float:
        """Seconds from the first arrival to the last; 0 with fewer than two."""
        return int(self.times[-1] - self.times[0]) / _NANOSECONDS if self.count else 0.0

    @property
    def seconds(self) -> NDArray[np.float64]:
        """The arrivals in seconds after the origin, float64, shape (count,)."""
        return self.times / _NANOSECONDS

    @property
    def inter_arrivals(self) -> NDArray[np.float64]:
        """Seconds from each arrival to the next, float64, shape (count - 1,)."""
        return np.diff(self.times) / _NANOSECONDS

    @property
    def interval(self) -> float:
        """The mean of the inter-arrival times, in seconds.

        Raises
        ------
        InvalidInputError
            With fewer than two arrivals.
        """
        if self.count < 2:
            raise InvalidInputError(f"an interval takes two arrivals, got {self.count}", place=self.name)
        return self.span / (self.count - 1)

    @property
    def rate(self) -> float:
        """Arrivals per second: one over the interval.

        Raises
        ------
        InvalidInputError
            With fewer than two arrivals, or if all of them are simultaneous.
        """
        return 1.0 / self._positive_interval()

    def arrivals(self, *, exact: bool = False) -> Arrivals:
        """Return the distribution to plan for, estimated from the recorded gaps.

        Parameters
        ----------
        exact : bool, default False
            Whether to take only the recorded gaps for possible, each as probable as the others. Otherwise they
            are smoothed, so that gaps near those recorded are possible too.

        Returns
        -------
        Arrivals
            ``Arrivals.smoothed`` or ``Arrivals.empirical`` of the gaps.

        Raises
        ------
        InvalidInputError
            With fewer than two arrivals, or if all of them are simultaneous.
        """
        self._positive_interval()
        estimated = Arrivals.empirical if flag(exact, "exact") else Arrivals.smoothed
        return estimated(self.inter_arrivals)

    def last(self, seconds: float) -> Self:
        """Return the arrivals of the time before the final one.

        Parameters
        ----------
        seconds : float
            How long that time is; at least 0.

        Returns
        -------
        Self
            The arrivals no more than so long before the final one, and that one.

        Raises
        ------
        InvalidInputError
            If it is not such a number.
        """
        back = number(seconds, "seconds", at_least=0.0)
        if back >= self.span:
            return self
        whole = int(back)
        since = self.times[-1] - (whole * _NANOSECONDS + round((back - whole) * _NANOSECONDS))
        return self.replace(times=self.times[np.searchsorted(self.times, since) :])

    def split(self, fraction: float = 0.5) -> tuple[Self, Self]:
        """Return the arrivals before and after a moment, to learn from the ones and to judge by the others.

        Parameters
        ----------
        fraction : float, default 0.5
            Which moment, in parts of the time from the first arrival to the last; above 0 and below 1.

        Returns
        -------
        tuple of Self
            The arrivals up to that moment, and those after it.

        Raises
        ------
        InvalidInputError
            If it is not such a number.
        """
        part = open_fraction(fraction, "fraction")
        moment = self.times[0] + np.int64(part * float(self.times[-1] - self.times[0])) if self.count else 0
        later = np.searchsorted(self.times, moment, "right")
        return self.replace(times=self.times[:later]), self.replace(times=self.times[later:])

    def _positive_interval(self) -> float:
        interval = self.interval
        if interval == 0.0:
            raise InvalidInputError(f"all {self.count} arrivals are simultaneous", place=self.name)
        return interval


def _checked_times(times: object) -> NDArray[np.int64]:
    if not isinstance(times, np.ndarray) or times.dtype != np.int64 or times.ndim != 1:
        got = f"{times.dtype}, shape {times.shape}" if isinstance(times, np.ndarray) else type(times).__name__
        raise InvalidInputError(f"expected a flat int64 array of nanoseconds, got {got}", place="times")
    falling = np.flatnonzero(times[1:] < times[:-1])
    if falling.size:
        at = int(falling[0]) + 1
        drop = f"{times[at]} after {times[at - 1]}"
        raise InvalidInputError(f"expected ascending times, got {drop}", place=f"times[{at}]")
    if times.flags.writeable:
        times = times.copy()
        times.flags.writeable = False
    return times
