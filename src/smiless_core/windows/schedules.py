"""Schedules of one function for a distribution of X, the time from one arrival to the next.

An instance is billed from the start of its initialization until it is let go. Its *schedule* says when, after the
arrival that it served last, it starts, is ready and is let go again; an arrival outside every stay finds it absent
and pays a cold start T, one during an initialization waits for the rest of it. With L the latency, a stay from s
that is ready at a and ends at b, and b' the end of the stay before (L after the arrival for the first one), the
expected residency per invocation is

    L + sum over stays of E[max(T, min(X, b) - s); X > s]   if it initialized,
                          E[min(X, b) - b'; X > b']         if it went on from the stay before,
      + T * P(X finds it absent)

This is exact when no arrival comes before the instance is free again after a cold response (X >= L + T, or every
arrival is met ready and X >= L); X below L is counted as absent. Fixed keep-alive, the hybrid histogram's window
(Shahrad et al., "Serverless in the Wild", ATC 2020) and the published window (Lu et al., SC 2024) are schedules of
this form; `switching_policy` finds the best one, by backward recursion over the cells of X in ``csrc``.

Schedules are evaluated from the distribution itself. The best one is sought among those that begin and end at the edges
of `Arrivals.cells`. Where X has atoms only that is the best of all; elsewhere the edges are half a percent apart, and
the best one between them may be a little cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.model.plan import Stay
from smiless_core.validation import number
from smiless_core.windows.levels import GapLaw, Wanted, cut

__all__ = [
    "Schedule",
    "evaluate_schedule",
    "fixed_keep_alive",
    "hybrid_histogram",
    "published_window",
    "switching_policy",
]

_FOREVER = np.iinfo(np.int64).max
_LONGEST = 4.6e9
_RESOLUTION = 0.005  # relative width of cells


class Schedule(Noun, frozen=True, kw_only=True):
    """When an instance of one function exists, and what that means.

    Parameters
    ----------
    stays : tuple of Stay
        Seconds after the arrival that the instance served last. `until` is infinite where it is never let go; a
        stay that goes on from the service has ``start == ready``.
    residency : float
        Expected seconds of residency per invocation: times the price per second, the cost.
    misses : float
        Probability that an arrival waits for longer than `tolerated_wait`.
    mean_wait : float
        Expected wait per invocation, seconds.
    latency, cold_start, tolerated_wait : float
        What it was made for, seconds.
    """

    stays: tuple[Stay, ...]
    residency: float
    misses: float
    mean_wait: float
    latency: float
    cold_start: float
    tolerated_wait: float

    @property
    def ready_set(self) -> tuple[tuple[float, float], ...]:
        """The closed intervals of X at which an arrival finds the instance ready, seconds."""
        return tuple((stay.ready, stay.until) for stay in self.stays)

    def __str__(self) -> str:
        parts = [
            f"ready from {stay.ready:g} s" + ("" if math.isinf(stay.until) else f" to {stay.until:g} s")
            for stay in self.stays
        ]
        return (
            f"{', '.join(parts) or 'never ready'}: {self.residency:g} s of residency per invocation,"
            f" {self.misses:.3g} of arrivals wait for longer than {self.tolerated_wait:g} s"
        )


def switching_policy(
    arrivals: Arrivals,
    *,
    latency: float,
    cold_start: float,
    miss_price: float = 0.0,
    tolerated_wait: float = 0.0,
    min_keep_alive: float = 0.0,
) -> Schedule:
    """Find the schedule of least expected residency and priced misses.

    Parameters
    ----------
    arrivals : Arrivals
        The distribution of X.
    latency, cold_start : float
        L and T, seconds.
    miss_price : float, optional
        What an arrival costs that waits for longer than `tolerated_wait`, in seconds of residency.
    tolerated_wait : float, optional
        Seconds.
    min_keep_alive : float, optional
        Seconds that the instance stays after each service at least.

    Returns
    -------
    Schedule
        Of all schedules with ends at edges of cells, one of the least ``residency + miss_price * misses``; ties stay
        as they are (a warm instance stays, an absent one waits).

    Raises
    ------
    InvalidInputError
        If a number is out of its domain.

    Notes
    -----
    A backward recursion over elapsed time, linear in the number of cells: just after each edge a warm instance stays
    or is let go, an absent one waits or starts to be ready at a later edge. With a tolerated wait, being ready that
    much after an edge may be better still; edges of the wait are therefore added.

    Examples
    --------
    >>> from smiless_core import Arrivals
    >>> print(switching_policy(Arrivals.every(10.0), latency=1.0, cold_start=2.0, miss_price=1.0))
    ready from 10 s to 10 s: 3 s of residency per invocation, 0 of arrivals wait for longer than 0 s
    """
    busy = number(latency, "latency", at_least=0.0, at_most=_LONGEST)
    cold = number(cold_start, "cold_start", at_least=0.0, at_most=_LONGEST)
    price = number(miss_price, "miss_price", at_least=0.0, at_most=1e12)
    tolerated = number(tolerated_wait, "tolerated_wait", at_least=0.0, at_most=_LONGEST)
    keep = number(min_keep_alive, "min_keep_alive", at_least=0.0, at_most=_LONGEST)
    cells = arrivals.cells(_RESOLUTION)
    if tolerated > 0.0 and price > 0.0:
        cells = cut(cells, cells.times + _ns(tolerated))
    law = GapLaw(1.0, cells)
    law.solve(Wanted(price), _ns(cold), tolerated=_ns(tolerated))
    stays = law.stays(_ns(busy), keep=_ns(keep))
    return _evaluated(arrivals, stays.tolist(), busy, cold, tolerated)


def evaluate_schedule(
    arrivals: Arrivals,
    stays: Iterable[Stay],
    *,
    latency: float,
    cold_start: float,
    tolerated_wait: float = 0.0,
) -> Schedule:
    """Evaluate given stays.

    Parameters
    ----------
    arrivals : Arrivals
        The distribution of X.
    stays : iterable of Stay
        In ascending order, none before `latency` (the end of the service). A stay initializes for `cold_start`
        before it is ready, unless it has ``start == ready``: then it goes on from the service or the stay before.
    latency, cold_start, tolerated_wait : float
        Seconds.

    Returns
    -------
    Schedule

    Raises
    ------
    InvalidInputError
        If the stays overlap, begin before the service ends, or initialize for another time than the cold start.
    """
    busy = number(latency, "latency", at_least=0.0, at_most=_LONGEST)
    cold = number(cold_start, "cold_start", at_least=0.0, at_most=_LONGEST)
    tolerated = number(tolerated_wait, "tolerated_wait", at_least=0.0, at_most=_LONGEST)
    rows: list[list[int]] = []
    end = _ns(busy)
    for i, stay in enumerate(stays):
        start, ready = _ns(stay.start), _ns(stay.ready)
        until = _FOREVER if math.isinf(stay.until) else _ns(stay.until)
        place = f"stays[{i}]"
        if start < end or ready < start or until < ready:
            raise InvalidInputError(
                f"expected times in order from {end / 1e9:g} s on, got {stay.start:g} s, {stay.ready:g} s and"
                f" {stay.until:g} s",
                place=place,
            )
        if start == ready:
            if start != end and cold > 0.0:
                raise InvalidInputError(
                    f"ready at once at {stay.ready:g} s, but nothing stays until then from {end / 1e9:g} s on",
                    place=place,
                )
        elif ready - start != _ns(cold):
            raise InvalidInputError(
                f"expected a cold start of {cold:g} s, got {(ready - start) / 1e9:g} s", place=place
            )
        rows.append([start, ready, until])
        end = until
    return _evaluated(arrivals, rows, busy, cold, tolerated)


def fixed_keep_alive(
    arrivals: Arrivals, *, seconds: float, latency: float, cold_start: float, tolerated_wait: float = 0.0
) -> Schedule:
    """Keep the instance for the same time after every service: what platforms do by themselves.

    Parameters
    ----------
    arrivals : Arrivals
        The distribution of X.
    seconds : float
        How long it stays, counted from the end of the service; may be infinite.
    latency, cold_start, tolerated_wait : float
        Seconds.
    """
    kept = seconds if seconds == math.inf else number(seconds, "seconds", at_least=0.0, at_most=_LONGEST)
    stays = (Stay(latency, latency, latency + kept),) if kept > 0.0 else ()
    return evaluate_schedule(arrivals, stays, latency=latency, cold_start=cold_start, tolerated_wait=tolerated_wait)


def hybrid_histogram(
    arrivals: Arrivals,
    *,
    latency: float,
    cold_start: float,
    head: float = 0.05,
    tail: float = 0.99,
    margin: float = 0.1,
    tolerated_wait: float = 0.0,
) -> Schedule:
    """Be ready from a low to a high quantile of X: the window of the hybrid histogram policy.

    The instance is ready from the `head` quantile, less the margin, to the `tail` quantile, plus the margin (Shahrad
    et al., ATC 2020, section 4.2: 5th and 99th percentile, 10 %). It is started a cold start before; where that is
    before the end of the service, it stays. The policy's fallbacks for functions without a usable histogram are not
    part of the window.

    Parameters
    ----------
    arrivals : Arrivals
        The distribution of X.
    latency, cold_start : float
        Seconds.
    head, tail, margin : float, optional
        The quantiles, and the fraction by which the window is widened on either side.
    tolerated_wait : float, optional
        Seconds.
    """
    low = number(head, "head", at_least=0.0, at_most=1.0)
    high = number(tail, "tail", at_least=low, at_most=1.0)
    wide = number(margin, "margin", at_least=0.0, at_most=1.0)
    first = float(arrivals.quantile(low)) * (1 - wide)
    last = float(arrivals.quantile(high)) * (1 + wide)
    return _window(arrivals, first, last, latency, cold_start, tolerated_wait)


def published_window(arrivals: Arrivals, *, latency: float, cold_start: float, tolerated_wait: float = 0.0) -> Schedule:
    """Be ready at the mean of X and not before, or stay: the published window for a point forecast.

    With X as forecast the cheaper of `T + L` and X is paid (Lu et al., SC 2024). An arrival before the window waits
    for the rest of the initialization, or for all of it; one after it finds the instance gone.

    Parameters
    ----------
    arrivals : Arrivals
        The distribution of X; the forecast is its mean.
    latency, cold_start, tolerated_wait : float
        Seconds.
    """
    forecast = float(arrivals.mean)
    return _window(arrivals, forecast, forecast, latency, cold_start, tolerated_wait)


def _window(
    arrivals: Arrivals, first: float, last: float, latency: float, cold_start: float, tolerated_wait: float
) -> Schedule:
    """Be ready from `first` to `last`, staying where there is no time to start anew."""
    begin = first - cold_start
    if last <= latency:
        stays: tuple[Stay, ...] = ()
    elif begin <= latency:
        stays = (Stay(latency, latency, last),)
    else:
        stays = (Stay(begin, begin + cold_start, max(last, begin + cold_start)),)
    return evaluate_schedule(arrivals, stays, latency=latency, cold_start=cold_start, tolerated_wait=tolerated_wait)


def _evaluated(
    arrivals: Arrivals, stays: Sequence[Sequence[int]], latency: float, cold_start: float, tolerated: float
) -> Schedule:
    """Residency, waits and misses of stays (nanoseconds), from the distribution itself and not from its atoms.

    With S the survival function, E[max(T, min(X, b) - s); X > s] is T S(s) and the area under S from a = s + T to b.
    """
    rows = np.array(stays, dtype=np.int64).reshape(-1, 3)
    forever = rows[:, 2] == _FOREVER
    start, ready, last = rows[:, 0] / 1e9, rows[:, 1] / 1e9, np.where(forever, 0, rows[:, 2]) / 1e9
    anew = rows[:, 1] > rows[:, 0]

    # A stay that goes on covers what comes after the one before; the first one also the end of the service itself.
    met = arrivals.at_least(ready)
    begun = arrivals.survival(start)
    if len(rows) and not anew[0]:
        begun[0] = met[0]
    ended = np.where(forever, 0.0, arrivals.survival(last))
    until_last = np.where(forever, arrivals.mean, arrivals.expected_minimum(last))
    resident = np.maximum(until_last - arrivals.expected_minimum(ready), 0.0) + np.where(anew, cold_start * begun, 0.0)
    # Those that come during an initialization, at s < X < a, wait for the rest of it.
    moments = arrivals.partial_expectation(ready) - arrivals.partial_expectation(start)
    early = ready * (begun - met) - (moments - ready * (met - arrivals.survival(ready)))
    late = np.maximum(begun - arrivals.at_least(np.maximum(ready - tolerated, 0.0)), 0.0)

    absent = min(max(1.0 - float((begun - ended).sum()), 0.0), 1.0)
    misses = float(late[anew].sum()) + absent if cold_start > tolerated else 0.0
    until = np.where(forever, np.inf, last)
    return Schedule(
        stays=tuple(map(Stay, start.tolist(), ready.tolist(), until.tolist())),
        residency=latency + float(resident.sum()) + cold_start * absent,
        misses=min(misses, 1.0),
        mean_wait=max(float(early[anew].sum()), 0.0) + cold_start * absent,
        latency=latency,
        cold_start=cold_start,
        tolerated_wait=tolerated,
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
