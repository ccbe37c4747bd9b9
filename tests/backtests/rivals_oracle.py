"""Published rules, from past gaps to stays, as slow and as plain as they are told.  Nothing is shared with the product.

Services take no time, so that idle times are gaps. Stays are as in `scoring_oracle`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

from backtests.scoring_oracle import meet, slow_score

Stays = list[tuple[float | Fraction, float | Fraction]]


def decimal(value: float) -> Fraction:
    """.05 is a twentieth, as a person who writes .05 means it: 7 of 140 are 5 %."""
    return Fraction(str(value))


def fixed_keep_alive(past_gaps: Sequence[float], *, seconds: float) -> Stays:
    """The same whatever has been."""
    return [(0.0, seconds)]


def hybrid_histogram(
    past_gaps: Sequence[float],
    *,
    cold_start: float,
    bin_width: float = 60.0,
    span: float = 14400.0,
    head: float = 0.05,
    tail: float = 0.99,
    margin: float = 0.1,
    variation: float = 2.0,
    out_of_bounds: float = 0.5,
    share_is_too_much: bool = True,
    least: int = 1,
    fallback: float = 600.0,
    start_at_head: bool = True,
) -> Stays:
    """Shahrad et al., "Serverless in the Wild", ATC 2020, section 4.2, without the forecast for what is out of bounds.

    The instance is loaded at the end of the pre-warming window (`start_at_head`), or so that it is ready then. The
    histogram is not used with fewer gaps than `least`, if the share out of bounds is `out_of_bounds` or more (without
    `share_is_too_much`: more than that), or if the coefficient of variation of its counts is below `variation`.
    """
    standard = [(0.0, fallback)]
    bins = round(span / bin_width)
    inside = [int(gap // bin_width) for gap in past_gaps if gap < span]
    beyond = Fraction(len(past_gaps) - len(inside), max(len(past_gaps), 1))
    if not inside or len(past_gaps) < least:
        return standard
    if beyond > decimal(out_of_bounds) or (share_is_too_much and beyond == decimal(out_of_bounds)):
        return standard
    counts = [0] * bins
    for k in inside:
        counts[k] += 1
    # Deviations from the mean, times the number of bins: whole numbers.
    squares = sum((bins * count - len(inside)) ** 2 for count in counts)
    if Fraction(squares, bins) < (decimal(variation) * len(inside)) ** 2:
        return standard

    def percentile(part: float) -> int:
        """The least bin up to which there are so many, and one at least."""
        wanted = max(decimal(part) * len(inside), 1)
        return next(k for k, up_to in enumerate(accumulate(counts)) if up_to >= wanted)

    # The low percentile is rounded down to a bin, and the high one up; 0 % is before all of them.
    begin = float(percentile(head) * decimal(bin_width) * (1 - decimal(margin))) if head > 0.0 else 0.0
    end = float((percentile(tail) + 1) * decimal(bin_width) * (1 + decimal(margin)))
    if begin == 0.0 or (not start_at_head and begin <= cold_start):
        return [(0.0, end)]
    ready = begin + cold_start if start_at_head else begin
    return [(ready, max(end, ready))]


def forecaster_switching(
    gaps: Sequence[float],
    *,
    cold_start: float,
    tolerated: float,
    price: float,
    block: int,
    memory: float,
    beginning: float,
) -> list[Stays]:
    """Follow the rule that has cost least so far: what `ForecasterSwitching` does, decision by decision.

    Nanoseconds are whole, as everywhere in the product; that alone is shared with it.
    """

    def window(low: int, high: int, margin: int) -> Stays:
        ready, until = low // 100 * (100 - margin), high + high // 100 * margin
        if ready <= cold_start * 10**9:
            ready = 0
        return [(Fraction(ready, 10**9), Fraction(max(until, ready), 10**9))]

    def between(known: Sequence[int], low: int | None, high: int, margin: int) -> Stays:
        if not known:
            return [(0.0, 0.0)]
        ordered = sorted(known)

        def at(percent: int) -> int:
            return next(x for k, x in enumerate(ordered, 1) if 100 * k >= percent * len(ordered))

        return window(0 if low is None else at(low), at(high), margin)

    quantiles = [(None, 90), (None, 99), (None, 100), (0, 100), (2, 99), (5, 95), (10, 90), (25, 75)]

    def plans(past: Sequence[int]) -> list[Stays]:
        keeps = [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400]
        found: list[Stays] = [[(0.0, float(seconds))] for seconds in (beginning, *keeps)]

        def class_of(gap: int) -> int:
            return sum(gap >= end * 10**9 for end in (5, 60, 600))

        alike = [after for one, after in pairwise(past) if class_of(one) == class_of(past[-1])]
        for known in (past[-32:], past[-128:], alike[-32:]):
            found += [between(known, low, high, margin) for low, high in quantiles for margin in (0, 5, 20)]
        smoothed = float(past[0]) if past else 0.0
        for gap in past[1:]:
            smoothed = smoothed + 0.2 * (gap - smoothed)
        for forecast in (past[-1] if past else 0, int(smoothed)):
            found += [window(forecast, forecast, margin) for margin in (2, 10, 30, 100)]
        return found

    whole = [round(gap * 10**9) for gap in gaps]
    every = [plans(whole[:known]) for known in range(len(gaps) + 1)]
    costs = [Fraction(0)] * len(every[0])
    chosen, followed = 0, []
    for k, options in enumerate(every):
        if k and k % block == 0:
            passed = range(k - block, k)
            for rule, cost in enumerate(costs):
                met = [meet(gaps[i], every[i][rule], cold_start=cold_start) for i in passed]
                late = sum(each.wait > Fraction(tolerated) for each in met)
                spent = sum((each.paid for each in met), Fraction(0))
                costs[rule] = Fraction(memory) * cost + spent + Fraction(price) * Fraction(cold_start) * late
            chosen = costs.index(min(costs))
        followed.append(options[chosen])
    return followed


def scored(
    gaps: Sequence[float],
    rule: Callable[[Sequence[float]], Stays],
    *,
    cold_start: float,
    tolerated: float = 0.0,
    end: float = 0.0,
) -> tuple[float, int]:
    """Seconds of residency and misses of a rule that knows the gaps before each arrival, and nothing after it."""
    plans = [rule(gaps[:known]) for known in range(len(gaps) + 1)]
    return slow_score(gaps, plans, cold_start=cold_start, tolerated=tolerated, end=end)
