"""Published rules, from past gaps to stays, as slow and as plain as they are told.  Nothing is shared with the product.

Services take no time, so that idle times are gaps. Stays are as in `scoring_oracle`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate

from backtests.scoring_oracle import slow_score

Stays = list[tuple[float, float]]


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
