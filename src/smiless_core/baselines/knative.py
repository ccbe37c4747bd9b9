"""Knative's pod autoscaler (KPA): concurrency over two windows, decided on every two seconds."""

import math
from collections import deque

from smiless_core.baselines.offers import CLOCK_ROUNDING, lingering, within
from smiless_core.model.configuration import Configuration
from smiless_core.model.noun import Noun
from smiless_core.model.problem import Limits, Problem
from smiless_core.policies import Decide, Decision, Directive, FunctionState, Observation, cheapest_configurations
from smiless_core.validation import number

__all__ = ["KnativeAutoscaler"]

_DIGITS = 1e6  # averages are rounded down to six digits, as Knative does


class KnativeAutoscaler(Noun, frozen=True, kw_only=True):
    """Run each function as a Knative service of its own, scaled by its concurrency.

    Every tick the mean concurrency over the stable window, and that over the panic window, are divided by the target
    per instance. The number of instances is that of the stable window, or while it panics the greatest of either since
    it began to; it panics when the panic window asks for `panic_threshold` times the instances that are ready, until a
    stable window after the last time. Instances serve no more requests at once than their batch; others queue.
    At zero, a request starts one instance (the activator), and the autoscaler is asked at once.

    Parameters
    ----------
    target_utilization : float, default 0.7
        The share of what an instance can serve at once that is aimed for.
    stable_window : float, default 60
        Seconds.
    panic_window : float, default 0.1
        The share of the stable window that the panic window is; in seconds it is rounded to whole ones.
    panic_threshold : float, default 2
        Above 1.
    tick : float, default 2
        Seconds between decisions.
    max_scale_up_rate, max_scale_down_rate : float, default 1000 and 2
        The greatest ratio of the instances wanted to those that are ready, and the reverse; above 1.
    scale_to_zero_grace : float, default 30
        Seconds for which the activator must have been in the path before the last instance is let go.
    target_burst_capacity : float, default 200
        The activator is in the path while the instances have less room than this; -1: always; 0: at zero only. With
        fewer than so many instances the grace period has thus always passed.
    residency : float, default 60
        Seconds per invocation that instances are expected to idle, for the choice of configurations
        (`cheapest_configurations`): Knative has no rule for them.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Notes
    -----
    Knative Serving (Apache-2.0), `pkg/autoscaler/scaling/autoscaler.go` (the rule), `multiscaler.go` (ticks, and being
    asked at zero), `pkg/autoscaler/aggregation/bucketing.go` (windows that are not full yet, or have gaps),
    `pkg/reconciler/autoscaling/kpa/scaler.go` (zero), and `config/core/configmaps/autoscaler.yaml` (the defaults).
    The concurrency of a tick is one sample of the windows; where Knative is asked at once, that is one more.
    """

    target_utilization: float = 0.7
    stable_window: float = 60.0
    panic_window: float = 0.1
    panic_threshold: float = 2.0
    tick: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_to_zero_grace: float = 30.0
    target_burst_capacity: float = 200.0
    residency: float = 60.0

    def __post_init__(self) -> None:
        tick = number(self.tick, "tick", above=0.0)
        stable = number(self.stable_window, "stable_window", at_least=tick)
        self._set(
            target_utilization=number(self.target_utilization, "target_utilization", at_least=0.01, at_most=1.0),
            tick=tick,
            stable_window=stable,
            panic_window=number(self.panic_window, "panic_window", above=0.0, at_most=1.0),
            panic_threshold=number(self.panic_threshold, "panic_threshold", above=1.0),
            max_scale_up_rate=number(self.max_scale_up_rate, "max_scale_up_rate", above=1.0),
            max_scale_down_rate=number(self.max_scale_down_rate, "max_scale_down_rate", above=1.0),
            scale_to_zero_grace=number(self.scale_to_zero_grace, "scale_to_zero_grace", at_least=0.0),
            target_burst_capacity=number(self.target_burst_capacity, "target_burst_capacity", at_least=-1.0),
            residency=number(self.residency, "residency", at_least=0.0),
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return "Knative"

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return (
            "simplified: a request that finds a function further down at zero starts one instance at once, but the"
            " autoscaler is asked about it at the next tick only"
        )

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide, with all functions at zero or at the least that the platform keeps up."""
        return _Ticks(self, problem)


class _Ticks:
    """Asks the autoscaler of each function when it is due, and never while nothing is there and nothing comes."""

    def __init__(self, settings: KnativeAutoscaler, problem: Problem) -> None:
        chosen = cheapest_configurations(problem, residency=settings.residency)
        self._tick = settings.tick
        self._revisions = {name: _Revision(settings, problem.limits, chosen[name]) for name in chosen}
        self._entries = [self._revisions[problem.application.names[v]] for v in problem.application.sources]
        self._began: float | None = None  # the tick; none while all sleep
        self._seen = 0.0

    def __call__(self, observation: Observation) -> Decision:
        now = observation.now
        first = self._began is None
        if self._began is None:
            self._began = self._seen = now
        elapsed, lasted = now - self._seen, now - self._began
        due = lasted >= self._tick - CLOCK_ROUNDING
        changed = {}
        asleep = True
        for name, revision in self._revisions.items():
            state = observation.functions[name]
            revision.area += 0.0 if first else state.concurrency * elapsed
            before = revision.directive
            if due:
                revision.on_tick(now, state, lasted)
            elif state.under_way and not revision.scale:
                revision.on_poke(now, state)
            if revision.directive is not before or first:
                changed[name] = revision.directive
            asleep = asleep and revision.rests and not state.under_way
        self._seen = now
        if due:
            self._began = now
        if asleep:
            self._began = None
            for revision in self._revisions.values():
                revision.area = 0.0
            return Decision(changed, at_arrivals=True)
        pokes = any(not entry.scale for entry in self._entries)
        return Decision(changed, wake=self._began + self._tick, at_arrivals=pokes)


class _Revision:
    """The autoscaler of one function."""

    def __init__(self, settings: KnativeAutoscaler, limits: Limits, configuration: Configuration) -> None:
        self._settings = settings
        self._limits = limits
        self._configuration = configuration
        self._capacity = configuration.batch
        self._target = configuration.batch * settings.target_utilization
        panic = max(float(round(settings.panic_window * settings.stable_window)), settings.tick)
        self._windows = [math.ceil(window / settings.tick) for window in (settings.stable_window, panic)]
        self._samples: deque[tuple[float, float]] = deque()  # when, and the mean concurrency
        self._first = 0.0
        self._panics: float | None = None  # since when at the latest
        self._most = 0
        self._proxied: float | None = None  # since when the activator is in the path
        self._directives: dict[int, Directive] = {}
        self._floor = within(limits, 0)
        self._quiet = True  # whether the windows hold nothing
        self.area = 0.0  # request-seconds since the tick began
        self.scale = self._floor

    @property
    def rests(self) -> bool:
        """Whether ticks change nothing until a request comes."""
        return self._quiet and self.scale == self._floor

    @property
    def directive(self) -> Directive:
        """What holds at this scale: always the same object."""
        found = self._directives.get(self.scale)
        if found is None:
            if self.scale:
                found = Directive(configuration=self._configuration, min_replicas=self.scale, max_replicas=self.scale)
            else:  # what the activator started is there until the tick that decides on it
                kept = Directive.keep_alive(self._configuration, 2.0 * self._settings.tick)
                found = kept.replace(max_replicas=1)
            found = self._directives[self.scale] = lingering(self._limits, found)
        return found

    def on_tick(self, now: float, state: FunctionState, lasted: float) -> None:
        """Note what the tick saw, and scale. Where nothing is there, nothing is seen."""
        if self.scale or state.under_way or self.area:
            self._note(now, self.area / lasted)
            self._rescale(now, state)
        self.area = 0.0

    def on_poke(self, now: float, state: FunctionState) -> None:
        """Note what the activator saw, and scale."""
        self._note(now, float(state.under_way))
        self._rescale(now, state)

    def _note(self, now: float, concurrency: float) -> None:
        samples, window = self._samples, self._settings.stable_window
        if not samples or now - samples[-1][0] >= window - CLOCK_ROUNDING:
            samples.clear()
            # Instances that are always there have been seen to do nothing meanwhile.
            self._first = now - window if self._floor else now
        samples.append((now, concurrency))
        while samples[0][0] <= now - window + CLOCK_ROUNDING:
            samples.popleft()

    def _average(self, now: float, ticks: int) -> float:
        """Return the mean over the last ticks, or over those since the first sample if they are fewer."""
        tick = self._settings.tick
        since = now - ticks * tick + CLOCK_ROUNDING
        total = 0.0
        for when, concurrency in reversed(self._samples):
            if when <= since:
                break
            total += concurrency
        spanned = min(round((now - self._first) / tick) + 1, ticks)
        return math.floor(total / spanned * _DIGITS) / _DIGITS

    def _rescale(self, now: float, state: FunctionState) -> None:
        settings = self._settings
        up = state.idle + state.busy
        ready = max(up, 1)
        most = math.ceil(settings.max_scale_up_rate * ready)
        least = math.floor(ready / settings.max_scale_down_rate)
        stable, panic = (self._average(now, ticks) for ticks in self._windows)
        asked = math.ceil(panic / self._target)
        wanted = min(max(math.ceil(stable / self._target), least), most)
        if asked / ready >= settings.panic_threshold:
            self._panics = now
        elif self._panics is not None and self._panics + settings.stable_window < now:
            self._panics, self._most = None, 0
        if self._panics is not None:
            wanted = self._most = max(wanted, min(max(asked, least), most), self._most)
        wanted = within(self._limits, wanted)
        self._quiet = stable == 0.0 and self._panics is None

        burst = settings.target_burst_capacity
        spare = -1 if burst < 0.0 else 0 if burst == 0.0 else math.floor(up * self._capacity - burst - panic)
        if wanted and spare >= 0:
            self._proxied = None
        elif self._proxied is None:
            self._proxied = now
        if wanted or (
            self._proxied is not None and now - self._proxied >= settings.scale_to_zero_grace - CLOCK_ROUNDING
        ):
            self.scale = wanted
