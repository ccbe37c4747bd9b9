"""The built-in trace: arrivals as applications on Azure Functions see them, drawn from a seed.

What is drawn is the same on every machine: all of it comes from uniform doubles by comparisons and by the four
operations that IEEE 754 rounds alike everywhere. There is no logarithm and no cosine, whose last digits differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import count

import numpy as np

from smiless_core.errors import InvalidInputError
from smiless_core.model.trace import Trace
from smiless_core.traces.placement import identity_generator
from smiless_core.validation import choice, number, whole_number

__all__ = ["Pattern", "azure_like"]

_Uniform = Callable[[], float]

_NANOSECONDS = 1e9
_DAY = 86_400.0
_HOURS = 4.0
_MOST_ARRIVALS = 10_000_000
_LONGEST = 2.0**53 / _NANOSECONDS  # to here doubles count every nanosecond: 104 days

_LOWEST_RATE = 1e-9

# Arrivals per second of the mix, and the parameters; what they are is told in `azure_like`. Gaps and periods of
# timers and of sparse arrivals are in mean gaps.
_RATE = 0.05
_SWING = 5 / 9
_BURST_SIZE = 8.0
_BURST_GAP = 0.5
_PERIODS = (1.5, 3.0)
_LATE = 1e-3
_LONG_SHARE = 0.2
_SHORT_GAP, _LONG_GAP = 0.25, 4.0


class Pattern(StrEnum):
    """What arrivals of an application are like.

    * ``diurnal``: people: a Poisson process whose rate goes up and down over a day.
    * ``bursts``: queues and events: groups of arrivals shortly after one another, the groups at random.
    * ``timers``: two timers, one with twice the period of the other.
    * ``sparse``: few arrivals, with gaps that are mostly short and sometimes very long.
    * ``mixed``: all of these at once.
    """

    MIXED = "mixed"
    DIURNAL = "diurnal"
    BURSTS = "bursts"
    TIMERS = "timers"
    SPARSE = "sparse"


_SHARES = {Pattern.DIURNAL: 0.60, Pattern.BURSTS: 0.25, Pattern.TIMERS: 0.10, Pattern.SPARSE: 0.05}

_PARAMETERS: dict[Pattern, dict[str, object]] = {
    Pattern.DIURNAL: {"swing": _SWING},
    Pattern.BURSTS: {"burst_size": _BURST_SIZE, "burst_gap": _BURST_GAP},
    Pattern.TIMERS: {"periods": list(_PERIODS), "late": _LATE},
    Pattern.SPARSE: {"short_gap": _SHORT_GAP, "long_gap": _LONG_GAP, "long_share": _LONG_SHARE},
}


def azure_like(
    kind: str = "mixed", *, seconds: float = _HOURS * 3600.0, rate: float | None = None, seed: int = 0
) -> Trace:
    """Draw the arrivals of an application as on Azure Functions.

    Parameters
    ----------
    kind : str, default "mixed"
        A `Pattern`.
    seconds : float, default 14400
        How much time the trace covers; above 0, at most 9e6.
    rate : float, optional
        Arrivals per second on average. By default 0.05 for ``mixed``, and for the others what they are of it:
        ``mixed`` is then all of the others, of the same seed, taken together.
    seed : int, default 0
        Of all that is random.

    Returns
    -------
    Trace
        The same for the same arguments, on every machine. `Trace.source` holds the arguments and the parameters.

    Raises
    ------
    InvalidInputError
        If an argument is not of its kind, or more than ten million arrivals are to be expected.

    Notes
    -----
    Shahrad et al. ("Serverless in the Wild", USENIX ATC 2020, section 3) saw on all of Azure Functions, in two
    weeks of July 2019, that

    * 45 % of the applications are invoked at most once per hour on average, and 81 % at most once per minute; the
      others, 18.6 %, get 99.6 % of all invocations;
    * 40 % of the applications have gaps with a coefficient of variation (CV) above 1;
    * 29 % of the applications have a timer, and most of these have other triggers too; 95 % of the functions with
      a timer are invoked at most once per minute; timers trigger 2 %, queues 33.5 % and events 24.7 % of all
      invocations;
    * the load has diurnal and weekly patterns over a constant baseline of roughly 50 %.

    From this follows what is drawn, but the paper gives no generator, and all other numbers are ours:

    * ``mixed``: an application with several triggers, on the busy side: three arrivals per minute, of which 60 %
      are diurnal, 25 % in bursts, 10 % of timers and 5 % sparse. Four hours hold about 720 arrivals, whose gaps
      have a CV of about 1.3.
    * ``diurnal``: the rate is ``r (1 + 5/9 w(t))``, with a wave ``w`` of two parabolas, -1 after a quarter of the
      day and 1 after three quarters; by thinning (Lewis and Shedler, Naval Research Logistics 26, 1979). In the
      mix, the lowest rate of the day is then half the highest. Where the trace is shorter than a day, it holds
      one day in less time.
    * ``bursts``: a Poisson process of bursts, of a geometric number of arrivals with mean 8, exponential gaps of
      0.5 s on average within them. The gaps have a CV of 3.9.
    * ``timers``: periods of ``1.5 / r`` and ``3 / r`` (in the mix by default 5 and 10 minutes) with random phases;
      each arrival is late by up to 0.1 % of the period.
    * ``sparse``: a stationary renewal process with hyper-exponential gaps: 80 % with mean ``0.25 / r``, 20 % with
      mean ``4 / r``, a CV of 2.3; by default one arrival in 400 s, a rate between the two of the paper.

    Exponential variates are drawn by von Neumann's method (Applied Mathematics Series 12, 1951).

    Examples
    --------
    >>> trace = azure_like()
    >>> trace.name, trace.count
    ('azure-like-mixed', 731)
    >>> trace.times[:3].tolist()
    [4967730203, 16808416353, 32454630411]
    """
    pattern = choice(kind, Pattern, place="kind", what="kind of arrivals")
    seconds = number(seconds, "seconds", above=0.0, at_most=_LONGEST)
    rate = _RATE * _SHARES.get(pattern, 1.0) if rate is None else number(rate, "rate", at_least=_LOWEST_RATE)
    seed = whole_number(seed, "seed", at_least=0)
    if rate * seconds > _MOST_ARRIVALS:
        got = f"{rate:g} per second for {seconds:g} s"
        raise InvalidInputError(f"expected at most {_MOST_ARRIVALS:,} arrivals, got {got}", place="rate")
    parts = {part: rate * share for part, share in _SHARES.items()} if pattern is Pattern.MIXED else {pattern: rate}
    times = np.array(
        sorted(
            round(moment * _NANOSECONDS)
            for part, part_rate in parts.items()
            for moment in _MOMENTS[part](identity_generator(seed, "azure-like", part).random, seconds, part_rate)
        ),
        dtype=np.int64,
    )
    times.flags.writeable = False
    facts = {"format": "azure-like", "kind": str(pattern), "seconds": seconds, "rate": rate, "seed": seed}
    shares = {"shares": {str(part): share for part, share in _SHARES.items()}} if pattern is Pattern.MIXED else {}
    parameters = {name: value for part in parts for name, value in _PARAMETERS[part].items()}
    return Trace(times, name=f"azure-like-{pattern}", source=facts | shares | parameters)


def _diurnal(uniform: _Uniform, seconds: float, rate: float) -> Iterator[float]:
    """Thin a Poisson process of the highest rate."""
    day = min(_DAY, seconds)
    highest = 1.0 + _SWING
    moment = _exponential(uniform) / (rate * highest)
    while moment < seconds:
        side = 2.0 * (moment / day % 1.0) - 1.0
        wave = 4.0 * side * (1.0 - abs(side))
        if uniform() * highest < 1.0 + _SWING * wave:
            yield moment
        moment += _exponential(uniform) / (rate * highest)


def _bursts(uniform: _Uniform, seconds: float, rate: float) -> Iterator[float]:
    between = _BURST_SIZE / rate
    start = _exponential(uniform) * between
    while start < seconds:
        moment = start
        while moment < seconds:
            yield moment
            if uniform() * _BURST_SIZE < 1.0:
                break
            moment += _exponential(uniform) * _BURST_GAP
        start += _exponential(uniform) * between


def _timers(uniform: _Uniform, seconds: float, rate: float) -> Iterator[float]:
    for period in (gaps / rate for gaps in _PERIODS):
        phase = uniform() * period
        for turn in count():
            moment = phase + turn * period
            if moment >= seconds:
                break
            moment += uniform() * _LATE * period
            if moment < seconds:
                yield moment


def _sparse(uniform: _Uniform, seconds: float, rate: float) -> Iterator[float]:
    # From a random moment on, the first gap is a long one as often as long gaps take up time: this is stationary.
    long_share = _LONG_SHARE * _LONG_GAP
    moment = 0.0
    while True:
        gap = _LONG_GAP if uniform() < long_share else _SHORT_GAP
        moment += _exponential(uniform) * gap / rate
        if moment >= seconds:
            return
        yield moment
        long_share = _LONG_SHARE


_MOMENTS: dict[Pattern, Callable[[_Uniform, float, float], Iterator[float]]] = {
    Pattern.DIURNAL: _diurnal,
    Pattern.BURSTS: _bursts,
    Pattern.TIMERS: _timers,
    Pattern.SPARSE: _sparse,
}


def _exponential(uniform: _Uniform) -> float:
    """Draw an exponential variate of mean 1.

    Uniform variates are drawn as long as they fall. The first of a run of odd length has the density of the
    fractional part, and the number of runs of even length before it the law of the whole part.
    """
    whole = 0.0
    while True:
        first = last = uniform()
        odd = True
        while (following := uniform()) < last:
            last = following
            odd = not odd
        if odd:
            return whole + first
        whole += 1.0
