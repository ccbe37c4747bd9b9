"""The pod autoscaler, tick by tick, by the numbers that its source gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from observations import names_all, seen
from problems import chain
from smiless_core.baselines import KnativeAutoscaler
from smiless_core.errors import InvalidInputError
from smiless_core.model import Limits, Problem
from smiless_core.policies import Decide, Decision, FunctionState, Policy

NOTHING = FunctionState()


class Service:
    """One function of which the autoscaler sees what a test says."""

    def __init__(self, problem: Problem | None = None, **settings: float) -> None:
        self.problem = problem or chain(1.0)
        self.now = 0.0
        self.scale = 0
        self.decide: Decide = KnativeAutoscaler(**settings).start(self.problem, now=0.0, seed=0)
        self.decision = self.ask()

    def ask(self, state: FunctionState = NOTHING) -> Decision:
        self.decision = self.decide(seen(self.problem, self.now, f0=state))
        if "f0" in self.decision.directives:
            self.scale = self.decision.directives["f0"].min_replicas
        return self.decision

    def poke(self, now: float) -> int:
        """A request has come at zero, and an instance initializes for it."""
        self.now = now
        self.ask(FunctionState(initializing=1, under_way=1))
        return self.scale

    def tick(self, concurrency: float, *, ready: int | None = None) -> int:
        """The next tick: with so many requests on the average, and as many instances ready as were wanted."""
        assert self.decision.wake is not None
        self.now = self.decision.wake
        self.ask(FunctionState(idle=self.scale if ready is None else ready, concurrency=concurrency))
        return self.scale


def test_it_begins_at_zero_and_sleeps_until_a_request_comes() -> None:
    service = Service()
    assert names_all(service.problem, service.decision)
    assert (service.decision.wake, service.decision.at_arrivals) == (None, True)
    directive = service.decision.directives["f0"]
    assert (directive.min_replicas, directive.max_replicas) == (0, 1)
    # What the activator starts outlives the time until the tick that decides on it.
    assert directive.schedules[0][0].until > 2.0


def test_the_first_request_panics_and_asks_for_two() -> None:
    # ceil(1 / .7) = 2 instances: twice as many as there are (0 count as 1), which is the threshold.
    service = Service()
    assert service.poke(5.0) == 2
    assert service.decision.wake == 7.0
    assert service.decision.directives["f0"].max_replicas == 2
    # In panic nothing is taken away for a stable window: ticks until 5 + 60 s ...
    scales = [service.tick(0.0) for _ in range(30)]
    assert service.now == 65.0
    assert scales == [2] * 30
    # ... and after it, the windows being empty, half of them go at each tick, the last one at the next.
    assert [service.tick(0.0) for _ in range(2)] == [1, 0]
    assert (service.decision.wake, service.decision.at_arrivals) == (None, True)


def test_a_request_soon_after_zero_is_averaged_over_the_time_since_the_first() -> None:
    service = Service()
    service.poke(0.0)
    while service.scale:
        service.tick(0.0)
    asleep = service.now
    # The window still holds zeros: the request counts for 1 / 30 of it, and for 1 / 3 of the panic window.
    assert service.poke(asleep + 2.0) == 1
    while service.scale:
        service.tick(0.0)
    # After a window of nothing it starts anew.
    assert service.poke(service.now + 60.0) == 2


def test_stable_mode_follows_the_mean_of_the_window() -> None:
    service = Service(panic_threshold=1000.0)
    service.poke(0.0)
    # Samples: 1, then 3.5 n times. ceil(mean / .7), at least half of what is ready.
    for n in range(1, 30):
        assert service.tick(3.5) == math.ceil((1.0 + 3.5 * n) / (n + 1) / 0.7)
    # The poke has left the window: all 3.5, 5 instances.
    assert service.tick(3.5) == 5
    # From then on the window falls by 3.5 / 30 at each tick.
    assert [service.tick(0.0) for _ in range(7)] == [math.ceil(3.5 * (30 - k) / 30 / 0.7) for k in range(1, 8)]


def test_the_panic_window_spans_six_seconds_and_outlasts_its_cause() -> None:
    service = Service()
    service.poke(0.0)
    for _ in range(40):
        service.tick(0.7)
    assert service.scale == 1
    # 5 in one tick. Panic window: (.7 + .7 + 5) / 3 = 2.13, 4 instances where 1 is: panic. Stable one: .84, 2.
    assert service.tick(5.0) == 4
    assert service.tick(5.0) == 6  # (.7 + 5 + 5) / 3 = 3.57
    assert service.tick(0.0) == 6  # 10 / 3 / .7 = 5, but nothing is taken away
    began = 2.0 * 41  # the last tick that asked for twice as many as there were ready
    while service.tick(0.0) == 6:
        pass
    assert service.now > began + 60.0
    assert service.now <= began + 62.0 + 2.0


def test_rates_of_change_are_limited() -> None:
    service = Service(max_scale_up_rate=3.0, panic_threshold=1000.0)
    assert service.poke(0.0) == 2
    assert service.tick(100.0) == 6  # 2 ready
    assert service.tick(100.0) == 18
    falls = Service(panic_threshold=1000.0, max_scale_down_rate=4.0, stable_window=4.0)
    falls.poke(0.0)
    falls.tick(7.0)
    assert falls.tick(7.0) == 10
    assert falls.tick(0.0) == 5  # of the window, 3.5
    assert falls.tick(0.0, ready=10) == 2  # at least 10 / 4


def test_zero_waits_for_the_activator_to_be_in_the_path() -> None:
    """With no burst capacity to keep free it is so at zero only, and the grace period begins when the windows empty."""

    def at_zero(**settings: float) -> float:
        service = Service(panic_threshold=1000.0, **settings)
        service.poke(0.0)
        service.tick(1.0)
        while service.scale:
            service.tick(0.0)
        return service.now

    assert at_zero() == 62.0
    assert at_zero(target_burst_capacity=-1.0) == 62.0
    assert at_zero(target_burst_capacity=0.0) == 92.0
    assert at_zero(target_burst_capacity=0.0, scale_to_zero_grace=7.0) == 70.0


def test_containers_take_a_batch_at_once() -> None:
    problem = chain(1.0)
    model = problem.profiles["f0"].hardware["cpu"].replace(batches=(4,))
    profile = problem.profiles["f0"].replace(hardware={"cpu": model})
    service = Service(problem.replace(profiles={"f0": profile}, concurrency=4), panic_threshold=1000.0)
    service.poke(0.0)
    for _ in range(30):
        service.tick(14.0)
    assert service.scale == 5  # 14 / 2.8


def test_limits_are_kept() -> None:
    assert Service(chain(1.0, limits=Limits(max_replicas=1))).poke(0.0) == 1
    floor = Service(chain(1.0, limits=Limits(min_replicas=3)))
    assert floor.scale == 3
    assert (floor.decision.wake, floor.decision.at_arrivals) == (None, True)
    floor.now = 10.0
    floor.ask(FunctionState(idle=2, busy=1, under_way=1))
    assert floor.tick(30.0) == 15  # in panic: the windows are full of zeros, 30 / 3 / .7
    assert floor.decision.at_arrivals is False


def test_functions_scale_on_their_own() -> None:
    problem = chain(1.0, 1.0)
    decide = KnativeAutoscaler().start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    cold = FunctionState(initializing=1, under_way=1)
    poked = decide(seen(problem, 1.0, [1.0], f0=cold))
    assert {name: each.min_replicas for name, each in poked.directives.items()} == {"f0": 2, "f1": 0}
    # The second one has been asked for during half of the tick.
    half = FunctionState(initializing=1, under_way=1, concurrency=0.5)
    ticked = decide(seen(problem, 3.0, [1.0], f0=FunctionState(idle=2, concurrency=0.5), f1=half))
    assert {name: each.min_replicas for name, each in ticked.directives.items()} == {"f1": 1}


def test_arrivals_between_ticks_are_noted_only_where_the_entry_is_at_zero() -> None:
    problem = chain(1.0, 1.0)
    decide = KnativeAutoscaler().start(problem, now=0.0, seed=0)
    decide(seen(problem, 0.0))
    # The first one is at zero, the second one still has work: it ticks, and hears of arrivals.
    working = FunctionState(busy=1, under_way=1, concurrency=1.0)
    assert decide(seen(problem, 1.0, f1=working)).at_arrivals is True
    assert decide(seen(problem, 3.0, f1=working)).at_arrivals is True
    poked = decide(seen(problem, 3.5, [3.5], f0=FunctionState(initializing=1, under_way=1), f1=working))
    assert list(poked.directives) == ["f0"]
    assert (poked.wake, poked.at_arrivals) == (5.0, False)
    # The tick is one, whatever was seen within: .5 s and 1.5 s of the 2 s.
    last = decide(seen(problem, 5.0, [3.5], f0=FunctionState(idle=2), f1=working))
    assert last.wake == 7.0


def test_the_clock_may_be_far_from_zero() -> None:
    service = Service()
    service.poke(1.7e9)
    for _ in range(100):
        service.tick(0.7)
    assert service.scale == 1
    assert service.now == pytest.approx(1.7e9 + 200.0)


def test_what_it_says_of_itself() -> None:
    policy: Policy = KnativeAutoscaler(tick=1.0)
    assert policy.name == "Knative"
    assert policy.fidelity.startswith("simplified: ")
    assert "tick=1.0" in repr(policy)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: KnativeAutoscaler(tick=0.0), "tick"),
        (lambda: KnativeAutoscaler(stable_window=1.0), "stable_window"),
        (lambda: KnativeAutoscaler(target_utilization=0.0), "target_utilization"),
        (lambda: KnativeAutoscaler(panic_window=1.5), "panic_window"),
        (lambda: KnativeAutoscaler(panic_threshold=1.0), "panic_threshold"),
        (lambda: KnativeAutoscaler(max_scale_up_rate=1.0), "max_scale_up_rate"),
        (lambda: KnativeAutoscaler(max_scale_down_rate=1.0), "max_scale_down_rate"),
        (lambda: KnativeAutoscaler(scale_to_zero_grace=-1.0), "scale_to_zero_grace"),
        (lambda: KnativeAutoscaler(target_burst_capacity=-2.0), "target_burst_capacity"),
    ],
)
def test_a_bad_setting_is_named(make: Callable[[], KnativeAutoscaler], place: str) -> None:
    with pytest.raises(InvalidInputError, match=place):
        make()
