"""What a schedule costs, arrival by arrival, and the best schedule for a forecast: obvious, slow, and sharing nothing
with the product.

A stay is (ready, until), seconds after the last arrival; until may be infinite. Its instance starts a cold start before
it is ready, unless it is ready at 0: that one goes on from the service. Services take no time. Both ends are closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

Stays = Sequence[tuple[float, float]]


class Met(NamedTuple):
    """What one arrival costs in seconds of residency since the one before, and how long it waits."""

    paid: Fraction
    wait: Fraction


def spans(stays: Stays, cold_start: float) -> list[tuple[Fraction, Fraction, Fraction | float]]:
    """Start, ready and until of each stay; an error where they overlap or begin before the last arrival."""
    found: list[tuple[Fraction, Fraction, Fraction | float]] = []
    free: Fraction | float = Fraction(0)
    for ready, until in stays:
        start = Fraction(0) if ready == 0 else Fraction(ready) - Fraction(cold_start)
        # Doubles: a start that is to be the end of the stay before may be a few ulp off.
        if start < free and free - start <= 4 * math.ulp(ready):
            start = Fraction(free)
        if start < free or until < ready:
            raise ValueError(f"stays {list(stays)} are not in order with cold starts of {cold_start} s")
        free = until if until == math.inf else Fraction(until)
        found.append((start, Fraction(ready), free))
    return found


def meet(gap: float, stays: Stays, *, cold_start: float) -> Met:
    """What becomes of an arrival so long after the last one."""
    x, cold, paid = Fraction(gap), Fraction(cold_start), Fraction(0)
    if not x:  # the service before ends at this very instant
        return Met(paid, x)
    for start, ready, until in spans(stays, cold_start):
        if ready <= x <= until:
            return Met(paid + x - start, Fraction(0))
        if start < x < ready:
            return Met(paid + ready - start, ready - x)
        if until < x:
            paid += until - start
    return Met(paid + cold, cold)


def resident(end: float, stays: Stays, *, cold_start: float) -> Fraction:
    """Seconds of residency until the end of the observation, if nothing comes."""
    last = Fraction(end)
    return sum((min(until, last) - start for start, _, until in spans(stays, cold_start) if start < last), Fraction(0))


def slow_score(
    gaps: Sequence[float],
    stays_per_gap: Sequence[Stays],
    *,
    cold_start: float,
    tolerated: float = 0.0,
    end: float = 0.0,
) -> tuple[float, int]:
    """Seconds of residency, and arrivals that waited for longer than tolerated.

    The first arrival is not scored. There is one schedule per gap, planned before it, and one more for the time after
    the last arrival, until `end` seconds after it; that one may be left out if `end` is 0.
    """
    if len(stays_per_gap) != len(gaps) + 1 and (end or len(stays_per_gap) != len(gaps)):
        raise ValueError(f"{len(stays_per_gap)} schedules for {len(gaps)} gaps and what comes after them")
    met = [meet(gap, stays, cold_start=cold_start) for gap, stays in zip(gaps, stays_per_gap, strict=False)]
    paid = sum((each.paid for each in met), Fraction(0))
    if len(stays_per_gap) > len(gaps):
        paid += resident(end, stays_per_gap[-1], cold_start=cold_start)
    return float(paid), sum(each.wait > Fraction(tolerated) for each in met)


def clairvoyant(gaps: Sequence[float], *, cold_start: float) -> float:
    """The least that these arrivals cost: to stay or to start just in time."""
    return float(sum((min(Fraction(gap), Fraction(cold_start)) for gap in gaps), Fraction(0)))


# -- expectations --------------------
#
# The density is even within a bin; what is beyond the last edge comes so late that every stay is over by then.


class Expected(NamedTuple):
    residency: float
    misses: float


def expected(
    edges: Sequence[float], probabilities: Sequence[float], stays: Stays, *, cold_start: float, tolerated: float = 0.0
) -> Expected:
    """Integrate `meet` over the distribution.

    What is paid is linear in X between edges and the ends of stays, and a miss or not between these and the moments
    from which on the rest of an initialization is tolerated: the value in the middle of each piece is its mean.
    """
    cold, far = cold_start, max(edges[-1], *(until for _, until in stays), 0.0) + 1.0
    if far == math.inf:
        raise ValueError("beyond the last edge an instance that is never let go costs without end")
    slack = Fraction(tolerated)
    ends = [end for start, ready, until in spans(stays, cold) for end in (start, ready, ready - slack, until)]
    residency = misses = 0.0
    for low, high, mass in zip(edges, edges[1:], probabilities, strict=False):
        cuts = sorted({Fraction(low), Fraction(high), *(end for end in ends if low < end < high)})
        for left, right in pairwise(cuts):
            share = mass * float((right - left) / (Fraction(high) - Fraction(low)))
            met = meet(float((left + right) / 2), stays, cold_start=cold)
            residency += share * float(met.paid)
            misses += share * (met.wait > slack)
    beyond = meet(far, stays, cold_start=cold)
    return Expected(
        residency + probabilities[len(edges) - 1] * float(beyond.paid),
        misses + probabilities[len(edges) - 1] * (beyond.wait > slack),
    )


class Best(NamedTuple):
    """Expected residency and priced misses of the best schedule, and that schedule."""

    value: float
    stays: tuple[tuple[float, float], ...]


def openings(edges: Sequence[float], *, cold_start: float, start_on_edges: bool) -> list[tuple[float, float]]:
    """Start and ready of all instances that may be started: one of the two is an edge, and both are on the grid."""
    if start_on_edges:
        found = [(edge, edge + cold_start) for edge in edges]
    else:
        found = [(edge - cold_start, edge) for edge in edges]
    return [(start, ready) for start, ready in found if start >= 0.0 < ready <= edges[-1]]


def schedules(
    edges: Sequence[float], *, cold_start: float, start_on_edges: bool = False
) -> Iterator[tuple[tuple[float, float], ...]]:
    """All schedules whose instances are ready (or start) at edges and are let go at edges, or as soon as ready."""
    starts = openings(edges, cold_start=cold_start, start_on_edges=start_on_edges)

    def further(free: float) -> Iterator[tuple[tuple[float, float], ...]]:
        yield ()
        for start, ready in starts:
            if start >= free:
                for until in sorted({ready, *(edge for edge in edges if edge >= ready)}):
                    for rest in further(max(until, math.nextafter(start, math.inf))):
                        yield ((ready, until), *rest)

    yield from further(0.0)
    for until in edges[1:]:
        for rest in further(until):
            yield ((0.0, until), *rest)


def exhaustive(
    edges: Sequence[float],
    probabilities: Sequence[float],
    *,
    cold_start: float,
    miss_price: float,
    tolerated: float = 0.0,
    start_on_edges: bool = False,
) -> Best:
    """The best of all schedules, each evaluated: up to five edges or so."""

    def value(stays: Stays) -> float:
        residency, misses = expected(edges, probabilities, stays, cold_start=cold_start, tolerated=tolerated)
        return residency + miss_price * misses

    return min(
        (Best(value(stays), stays) for stays in schedules(edges, cold_start=cold_start, start_on_edges=start_on_edges)),
        key=lambda best: best.value,
    )


def best_stays(
    edges: Sequence[float],
    probabilities: Sequence[float],
    *,
    cold_start: float,
    miss_price: float,
    tolerated: float = 0.0,
    start_on_edges: bool = False,
) -> Best:
    """The same by dynamic programming over where an instance is let go, cubic in the edges.

    What is paid by arrivals after a stay for its whole life is booked with the stay, so that the cost of a schedule is
    the sum over its stays and over the times between them, whatever else is in it.
    """
    total = sum(probabilities)

    def below(x: float) -> float:
        """P(X <= x)."""
        return sum(
            mass * min(max((x - low) / (high - low), 0.0), 1.0)
            for low, high, mass in zip(edges, edges[1:], probabilities, strict=False)
        )

    def area(low: float, high: float) -> float:
        """The integral of P(X > x): exact by trapezoids between edges, as the density is even there."""
        cuts = sorted({low, high, *(edge for edge in edges if low < edge < high)})
        return sum((right - left) * (2 * total - below(left) - below(right)) / 2 for left, right in pairwise(cuts))

    absent_cost = cold_start + miss_price * (cold_start > tolerated)

    def absent(low: float, high: float) -> float:
        """All that comes from `low` to `high` finds nothing there."""
        return absent_cost * (below(high) - below(low))

    def stay(start: float, ready: float, until: float) -> float:
        """E[min(X, until) - start; X > start], but all of the initialization, and misses during it."""
        late = max(below(max(ready - tolerated, start)) - below(start), 0.0) if ready > start else 0.0
        return (ready - start) * (total - below(start)) + area(ready, until) + miss_price * late

    starts = openings(edges, cold_start=cold_start, start_on_edges=start_on_edges)
    # Moments at which an instance may be let go, the last first.
    moments = sorted({0.0, *edges, *(ready for _, ready in starts)}, reverse=True)
    from_here: dict[float, Best] = {}

    def choices(free: float, known: Callable[[float], Best]) -> Iterator[Best]:
        yield Best(absent_cost * (total - below(free)), ())
        for start, ready in starts:
            if start >= free and ready > free:
                for until in [ready, *(edge for edge in edges if edge > ready)]:
                    rest = known(until)
                    value = absent(free, start) + stay(start, ready, until) + rest.value
                    yield Best(value, ((ready, until), *rest.stays))

    for moment in moments:
        from_here[moment] = min(choices(moment, from_here.__getitem__), key=lambda best: best.value)
    kept = [
        Best(stay(0.0, 0.0, until) + from_here[until].value, ((0.0, until), *from_here[until].stays))
        for until in edges[1:]
    ]
    return min([from_here[0.0], *kept], key=lambda best: best.value)
