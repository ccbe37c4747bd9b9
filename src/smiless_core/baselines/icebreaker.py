"""IceBreaker: a Fourier forecast of concurrency, and warm-ups on the costlier or the cheaper hardware by utility."""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smiless_core.baselines.offers import CLOCK_ROUNDING, Offer, lingering, within
from smiless_core.model.configuration import Configuration, Hardware
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Limits, Problem
from smiless_core.model.profiles import Profile
from smiless_core.policies import Decide, Decision, Directive, Observation, cheapest_configurations
from smiless_core.predictors import extrapolation_weights
from smiless_core.validation import number, whole_number

__all__ = ["IceBreaker"]


class IceBreaker(Noun, frozen=True, kw_only=True):
    """Warm up as many instances as the next interval is forecast to need, on hardware chosen by a utility.

    The concurrency of a function is the most services at once in an interval. Its next value is forecast from those of
    the last intervals: a parabola, plus the low frequencies of what it leaves over. The utility of warming up is the
    mean of three terms over the last `history` intervals: the share of the concurrency that was not forecast; 1 less
    the share that was forecast and did not come; and 1 less the service time, cold start included, on the costlier
    hardware over that on the cheaper one. High utilities are warmed up on the costlier hardware, middle ones on the
    cheaper one, and low ones not at all: their requests start instances of the cheaper one.

    Parameters
    ----------
    interval : float, default 60
        Seconds.
    window : int, default 60
        Intervals that a forecast goes by, at least 1.
    harmonics : int, default 10
        Frequencies of it that are kept, besides the mean.
    history : int, default 10
        Intervals that the utility goes by; until there are more, all is warmed up on the costlier hardware.
    low, high : float, default 1/3 and 2/3
        Utilities from which on functions are warmed up, and on the costlier hardware.
    residency : float, default 60
        Seconds per invocation that instances are expected to idle, for the choice of sizes on either hardware
        (`cheapest_configurations`): in the paper nodes have one size.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Notes
    -----
    R. B. Roy, T. Patel and D. Tiwari, "IceBreaker: Warming Serverless Functions Better with Heterogeneity", ASPLOS
    2022. The costlier hardware of a function is the gpu, where it has both.
    """

    interval: float = 60.0
    window: int = 60
    harmonics: int = 10
    history: int = 10
    low: float = 1.0 / 3.0
    high: float = 2.0 / 3.0
    residency: float = 60.0

    def __post_init__(self) -> None:
        low = number(self.low, "low", at_least=0.0, at_most=1.0)
        self._set(
            interval=number(self.interval, "interval", above=0.0),
            window=whole_number(self.window, "window", at_least=1, at_most=10_000),
            harmonics=whole_number(self.harmonics, "harmonics", at_least=0),
            history=whole_number(self.history, "history", at_least=1),
            low=low,
            high=number(self.high, "high", at_least=low, at_most=1.0),
            residency=number(self.residency, "residency", at_least=0.0),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "IceBreaker"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return (
            "simplified: no memory footprint in the utility, fixed thresholds instead of the rank among all functions"
            " of a platform, no shared nodes with a capacity; concurrency from arrivals and planned latencies"
        )

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide, with nothing to forecast from."""
        return _Intervals(self, problem, now)


class _Intervals:
    """Forecasts for all functions at the end of each interval, but not while nothing has come in the window."""

    def __init__(self, settings: IceBreaker, problem: Problem, now: float) -> None:
        self._interval = settings.interval
        costly, cheap = (_chosen_on(problem, kind, settings.residency) for kind in (Hardware.GPU, Hardware.CPU))
        self._functions = {
            name: _Function(
                settings,
                problem.limits,
                Offer.of(problem, v, configuration=costly[name]),
                Offer.of(problem, v, configuration=cheap[name]),
            )
            for v, name in enumerate(problem.application.names)
        }
        self._begin = now
        self._passed = 0  # intervals

    def __call__(self, observation: Observation) -> Decision:
        arrivals = observation.arrivals
        ended = math.floor((observation.now - self._begin + CLOCK_ROUNDING) / self._interval)
        changed = {}
        for name, function in self._functions.items():
            before = function.directive
            # It sleeps for more than an interval only after a whole window of zeros, which that many more leave as is.
            for passed in range(max(self._passed, ended - function.longest), ended):
                function.note(self._peak(arrivals, passed, function.latency))
            if ended > self._passed:
                function.follow()
            if function.directive is not before or not ended:
                changed[name] = function.directive
        self._passed = ended
        newest = arrivals[-1] if len(arrivals) else -math.inf
        if newest < self._begin + ended * self._interval and not any(each.alert for each in self._functions.values()):
            return Decision(changed, at_arrivals=True)
        return Decision(changed, wake=self._begin + (ended + 1) * self._interval)

    def _peak(self, arrivals: NDArray[np.float64], passed: int, latency: float) -> int:
        """Return the most services at once that began in an interval."""
        begin = self._begin + passed * self._interval
        first, last = np.searchsorted(arrivals, (begin, begin + self._interval)).tolist()
        if first == last:
            return 0
        over = np.searchsorted(arrivals, arrivals[first:last] - latency, side="right")
        return int((np.arange(first, last) - over).max()) + 1


class _Choice(NamedTuple):
    warm: int
    costly: bool


class _Function:
    """The forecast of one function, and what it is warmed up on."""

    def __init__(self, settings: IceBreaker, limits: Limits, costly: Offer, cheap: Offer) -> None:
        self._settings = settings
        self._limits = limits
        self._costly, self._cheap = costly, cheap
        times = [offer.cold_start + offer.latency for offer in (costly, cheap)]
        self._gain = 1.0 - min(times[0] / times[1], 1.0)
        self._series: deque[int] = deque(maxlen=settings.window)
        self._errors: deque[tuple[int, int]] = deque(maxlen=settings.history)  # what came, what was forecast
        self._compared = 0
        self._forecast = 0
        self._choice = _Choice(within(limits, 0), True)
        self._directives: dict[_Choice, Directive] = {}
        self.longest = settings.window + settings.history

    @property
    def latency(self) -> float:
        """On the hardware that it is on."""
        return (self._costly if self._choice.costly else self._cheap).latency

    @property
    def alert(self) -> bool:
        """Whether anything is there to forecast from, or for."""
        return bool(self._choice.warm > self._limits.min_replicas) or any(self._series)

    @property
    def directive(self) -> Directive:
        """What holds until the next forecast: always the same object."""
        found = self._directives.get(self._choice)
        if found is None:
            offer = self._costly if self._choice.costly else self._cheap
            warm = Directive(configuration=offer.configuration, min_replicas=self._choice.warm)
            found = self._directives[self._choice] = lingering(self._limits, warm)
        return found

    def note(self, concurrency: int) -> None:
        """Compare what came with the forecast."""
        self._errors.append((concurrency, self._forecast))
        self._compared += 1
        self._series.append(concurrency)
        # What was slept through was forecast to be nothing.
        self._forecast = 0

    def follow(self) -> None:
        """Forecast the next interval, and choose."""
        settings = self._settings
        (weights,) = extrapolation_weights(len(self._series), settings.harmonics)
        self._forecast = max(round(float(weights @ np.fromiter(self._series, np.float64))), 0)
        utility = self._utility() if self._compared > settings.history else 1.0
        warm = self._forecast if utility >= settings.low else 0
        self._choice = _Choice(within(self._limits, warm), utility >= settings.high)

    def _utility(self) -> float:
        came = sum(real for real, _ in self._errors)
        if not came:
            return self._gain / 3.0
        missed = sum(max(real - forecast, 0) for real, forecast in self._errors) / came
        wasted = sum(max(forecast - real, 0) for real, forecast in self._errors) / came
        return (min(missed, 1.0) + max(1.0 - wasted, 0.0) + self._gain) / 3.0


def _chosen_on(problem: Problem, kind: Hardware, residency: float) -> dict[str, Configuration]:
    """Choose configurations on one kind of hardware for all functions that have it."""
    profiles: dict[str, Profile] = {}
    for v, function in enumerate(problem.application.functions):
        profile = problem.profile(v)
        if problem.sizes(v, kind):
            profile = Profile(profile.name, {kind: profile.hardware[kind]})
        profiles[function.profile] = profile
    return dict(cheapest_configurations(problem.replace(profiles=profiles), residency=residency))
