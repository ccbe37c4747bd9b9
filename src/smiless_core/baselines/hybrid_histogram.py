"""The hybrid histogram policy: windows that follow the idle times that were seen."""

import math

import numpy as np
from numpy.typing import NDArray

from smiless_core.baselines.offers import Offer, lingering
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Limits, Problem
from smiless_core.policies import Decide, Decision, Directive, Observation, cheapest_configurations
from smiless_core.validation import number, shown

__all__ = ["HybridHistogram"]


class HybridHistogram(Noun, frozen=True, kw_only=True):
    """Let instances go until shortly before the next request is likely, and keep them until it is unlikely.

    Idle times, from the end of a service to the next request, are counted in bins. Where the histogram is
    representative, an instance is let go after its service, starts again at the low percentile of idle times
    (rounded down to a bin, less the margin), and stays until the high one (rounded up, plus the margin); it is not let
    go at all if the low one is in the first bin. Otherwise it is kept for a fixed time (the standard keep-alive).

    Parameters
    ----------
    bin_width : float, default 60
        Seconds.
    span : float, default 14400
        Seconds that the histogram covers: 4 hours. Longer idle times are out of bounds.
    head, tail : float, default 0.05 and 0.99
        The percentiles, as fractions.
    margin : float, default 0.1
        The fraction by which the window is widened on either side.
    variation : float, default 2
        The histogram is representative if the counts in its bins have at least this coefficient of variation.
    out_of_bounds : float, default 0.5
        It is not used where at least this share of idle times is out of bounds.
    fallback : float, optional
        Seconds of the standard keep-alive; by default the span.
    refresh : float, default 60
        Windows are computed anew after an arrival, but no more often than this, seconds; 0: after every arrival, as
        published. They are whole bins in either case.
    residency : float, default 60
        Seconds per invocation that instances are expected to idle, for the choice of configurations
        (`cheapest_configurations`): the paper has no rule for them.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Notes
    -----
    M. Shahrad, R. Fonseca, I. Goiri, G. Chaudhry, P. Batum, J. Cooke, E. Laureano, C. Tresness, M. Russinovich and
    R. Bianchini, "Serverless in the Wild: Characterizing and Optimizing the Serverless Workload at a Large Cloud
    Provider", USENIX ATC 2020, section 4.2. Each function is an application of its own, as each has instances of its
    own; its idle times are the times between arrivals less the latency that is planned.
    """

    bin_width: float = 60.0
    span: float = 14400.0
    head: float = 0.05
    tail: float = 0.99
    margin: float = 0.1
    variation: float = 2.0
    out_of_bounds: float = 0.5
    fallback: float | None = None
    refresh: float = 60.0
    residency: float = 60.0

    def __post_init__(self) -> None:
        width = number(self.bin_width, "bin_width", above=0.0)
        head = number(self.head, "head", at_least=0.0, at_most=1.0)
        fallback = self.fallback
        if fallback is not None and fallback != math.inf:
            fallback = number(fallback, "fallback", at_least=0.0)
        self._set(
            bin_width=width,
            span=number(self.span, "span", at_least=width),
            head=head,
            tail=number(self.tail, "tail", at_least=head, at_most=1.0),
            margin=number(self.margin, "margin", at_least=0.0, at_most=1.0),
            variation=number(self.variation, "variation", at_least=0.0),
            out_of_bounds=number(self.out_of_bounds, "out_of_bounds", above=0.0, at_most=1.0),
            fallback=fallback,
            refresh=number(self.refresh, "refresh", at_least=0.0),
            residency=number(self.residency, "residency", at_least=0.0),
        )
        if self.span / width > 1e6:
            raise InvalidInputError(f"{shown(width)} s are more than a million bins", place="bin_width")

    @property
    def name(self) -> str:
        """What tables call it."""
        return "hybrid histogram"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        often = f", windows follow the histogram every {self.refresh:g} s" if self.refresh else ""
        return (
            "simplified: no ARIMA forecast where most idle times are out of bounds, but the standard keep-alive; one"
            f" histogram per function, of planned ends of services{often}"
        )

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide, with empty histograms."""
        return _Histograms(self, problem)


class _Histograms:
    """The histograms of all functions."""

    def __init__(self, settings: HybridHistogram, problem: Problem) -> None:
        self._settings = settings
        chosen = cheapest_configurations(problem, residency=settings.residency)
        self._functions = {
            name: _Histogram(settings, problem.limits, Offer.of(problem, v, configuration=configuration))
            for v, (name, configuration) in enumerate(chosen.items())
        }
        self._seen = 0

    def __call__(self, observation: Observation) -> Decision:
        arrivals, first = observation.arrivals, not self._seen
        fresh = arrivals[max(self._seen - 1, 0) :]
        came = len(arrivals) > self._seen
        self._seen = len(arrivals)
        changed = {}
        gaps = np.diff(fresh)
        for name, histogram in self._functions.items():
            before = histogram.directive
            if len(gaps):
                histogram.count(gaps)
            if first or histogram.directive is not before:
                changed[name] = histogram.directive
        # After a while without arrivals there is nothing to learn until the next one.
        if came and self._settings.refresh:
            return Decision(changed, wake=observation.now + self._settings.refresh)
        return Decision(changed, at_arrivals=True)


class _Histogram:
    """Idle times of one function, and the windows that follow from them."""

    def __init__(self, settings: HybridHistogram, limits: Limits, offer: Offer) -> None:
        self._settings = settings
        self._offer = offer
        self._counts = np.zeros(math.ceil(settings.span / settings.bin_width - 1e-9), np.int64)
        self._total = self._squares = self._beyond = 0
        self._window: tuple[int, int] | None = None  # first bin, last bin; none: the standard keep-alive
        fallback = settings.span if settings.fallback is None else settings.fallback
        self._limits = limits
        self._standard = lingering(limits, Directive.keep_alive(offer.configuration, fallback))
        self.directive = self._standard

    def count(self, gaps: NDArray[np.float64]) -> None:
        """Count the idle times of so many arrivals apart, and follow them."""
        settings, counts = self._settings, self._counts
        idle = np.maximum(gaps - self._offer.latency, 0.0)
        for place in (idle / settings.bin_width).astype(np.int64).tolist():
            if place < len(counts):
                held = int(counts[place])
                counts[place] = held + 1
                self._squares += 2 * held + 1
                self._total += 1
            else:
                self._beyond += 1
        window = self._representative()
        if window != self._window:
            self._window = window
            self.directive = self._standard if window is None else self._between(*window)

    def _representative(self) -> tuple[int, int] | None:
        settings, total = self._settings, self._total
        if not total or self._beyond >= settings.out_of_bounds * (total + self._beyond):
            return None
        # The variance of the counts over the square of their mean.
        if len(self._counts) * self._squares / total**2 - 1.0 < settings.variation**2:
            return None
        below = self._counts.cumsum()
        # The least bin that so many are not beyond, and that holds something.
        asked = [max(part * total, 1.0) for part in (settings.head, settings.tail)]
        first, last = np.searchsorted(below, asked).tolist()
        return first, last

    def _between(self, first: int, last: int) -> Directive:
        settings = self._settings
        begin = first * settings.bin_width * (1.0 - settings.margin)
        end = (last + 1) * settings.bin_width * (1.0 + settings.margin)
        window = Directive.keep_alive(
            self._offer.configuration, end - begin, prewarm=begin, cold_start=self._offer.cold_start
        )
        return lingering(self._limits, window)
