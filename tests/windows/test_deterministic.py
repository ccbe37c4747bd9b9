"""Deterministic windows against an event-by-event replay, and examples worked by hand."""

from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from renewal import OnArrival, OnRequest, Prewarmed
from smiless_core.model.plan import Stay
from smiless_core.model.problem import Limits
from smiless_core.windows import Decision, deterministic_costs, deterministic_schedule
from strategies import examples

TICK = 0.125  # seconds: whole nanoseconds, and a power of 2, so that sums of ticks have no rounding


def cost(latency, cold_start, *, prewarmed=True, price=1.0, **circumstances):
    """The cost of one mode."""
    costs = deterministic_costs(
        np.array([latency]),
        np.array([cold_start]),
        price=np.array([price]),
        prewarmed=np.array([prewarmed]),
        **circumstances,
    )
    return float(costs[0])


class Case(NamedTuple):
    """One mode and what it runs in; times in ticks."""

    period: int
    latency: int
    cold_start: int
    earliest_start: int = 0
    concurrency: int = 1
    batch: int = 1
    keep: int = 0
    floor: int = 0

    @property
    def together(self):
        return -(-self.concurrency // self.batch)

    @property
    def seconds(self):
        return self.latency * TICK, self.cold_start * TICK

    def circumstances(self, **limits):
        return {
            "interval": self.period * TICK,
            "batch": self.batch,
            "concurrency": self.concurrency,
            "limits": Limits(min_keep_alive=self.keep * TICK, min_replicas=self.floor, **limits),
        }

    def cost(self, *, prewarmed, **limits):
        return cost(*self.seconds, prewarmed=prewarmed, **self.circumstances(**limits))

    def decision(self, *, prewarmed) -> Decision:
        start = self.earliest_start * TICK
        around = self.circumstances()
        return deterministic_schedule(*self.seconds, prewarmed=prewarmed, earliest_start=start, **around)

    def billed(self, *, prewarmed):
        """Ticks per arrival that the cost stands for."""
        return self.cost(prewarmed=prewarmed) * self.concurrency / TICK

    def replay(self, kind, *schedule):
        return kind(
            *schedule,
            period=self.period,
            latency=self.latency,
            cold_start=self.cold_start,
            earliest_start=self.earliest_start,
            together=self.together,
            keep=self.keep,
            floor=self.floor,
        ).replay()

    def replay_prewarmed(self):
        schedule = self.decision(prewarmed=True).schedule
        stays = [(stay.start / TICK, stay.ready / TICK, stay.until / TICK) for stay in schedule]
        assert all(ticks.is_integer() for stay in stays for ticks in stay)
        return self.replay(Prewarmed, [tuple(map(int, stay)) for stay in stays])


@st.composite
def cases(draw, *, most_cold=3):
    """Draw a case: multiples of the interval often, limits half of the time, rotations of at most 6."""
    period = draw(st.integers(1, 8))
    concurrency, batch = draw(st.sampled_from([(1, 1), (1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (5, 2)]))
    return Case(
        period,
        latency=draw(st.integers(0, 3).map(lambda k: k * period) | st.integers(0, 3 * period)),
        cold_start=draw(st.integers(0, most_cold).map(lambda k: k * period) | st.integers(0, 3 * period)),
        earliest_start=draw(st.integers(0, 3 * period)),
        concurrency=concurrency,
        batch=batch,
        keep=draw(st.just(0) | st.integers(0, 3 * period)),
        floor=draw(st.just(0) | st.integers(0, 8)),
    )


# -- Examples worked by hand ----------------------------------------------------------------------------


def test_equal_sums_of_cold_starts_do_not_cost_the_same():
    assert cost(0.0, 5.0, interval=8.0) + cost(0.0, 5.0, interval=8.0) == 10.0
    assert cost(0.0, 0.0, interval=8.0) + cost(0.0, 10.0, interval=8.0) == 8.0


def test_staying_beats_a_cold_start_that_is_longer_than_the_gap():
    assert cost(0.5, 20.0, interval=10.0) == 10.0
    assert deterministic_schedule(0.5, 20.0, prewarmed=True, interval=10.0) == (
        (Stay(0.5, 0.5, 10.0),),
        0.0,
        9.5,
        1,
    )


def test_overlapping_services_take_turns():
    assert cost(10.0, 100.0, interval=3.0) == 12.0
    assert deterministic_schedule(10.0, 100.0, prewarmed=True, interval=3.0, earliest_start=2.0) == (
        (Stay(12.0, 12.0, 14.0),),
        0.0,
        2.0,
        4,
    )


def test_schedules_do_not_alternate_between_cold_and_warm():
    assert cost(0.05, 0.9, interval=1.0) == pytest.approx(0.95)
    assert cost(0.05, 0.9, interval=1.0, prewarmed=False) == pytest.approx(0.95)


def test_the_published_rule_lets_go_where_a_cold_start_is_cheaper():
    assert cost(1.0, 2.0, interval=10.0, price=0.25) == 0.75
    assert deterministic_schedule(1.0, 2.0, prewarmed=True, interval=10.0, earliest_start=0.5) == (
        (Stay(8.5, 10.5, 10.5),),
        7.0,
        0.0,
        1,
    )


def test_a_tie_stays():
    assert deterministic_schedule(1.0, 2.0, prewarmed=True, interval=3.0).schedule == (Stay(1.0, 1.0, 3.0),)


def test_the_platform_may_delay_letting_go():
    limits = Limits(min_keep_alive=3.0)
    assert cost(1.0, 2.0, interval=10.0, limits=limits) == 6.0
    decision = deterministic_schedule(1.0, 2.0, prewarmed=True, interval=10.0, limits=limits)
    assert decision == ((Stay(1.0, 1.0, 4.0), Stay(8.0, 10.0, 10.0)), 0.0, 3.0, 1)
    assert cost(1.0, 2.0, interval=5.0, limits=limits) == 5.0
    assert cost(1.0, 2.0, interval=3.0, limits=limits, prewarmed=False) == 3.0


def test_a_batch_serves_requests_that_come_together():
    around = {"interval": 10.0, "concurrency": 5}
    assert cost(1.0, 2.0, batch=5, **around) == pytest.approx(3.0 / 5)
    assert cost(1.0, 2.0, batch=2, **around) == pytest.approx(3.0 * 3 / 5)
    assert cost(1.0, 2.0, batch=8, **around) == pytest.approx(3.0 / 5)
    assert deterministic_schedule(1.0, 2.0, prewarmed=True, batch=2, **around).replicas == 3


@pytest.mark.parametrize(
    ("latency", "cold_start", "prewarmed", "floor", "most", "offered"),
    [
        (3.0, 9.0, True, 0, 1, True),
        (3.0 + 1e-9, 9.0, True, 0, 1, False),
        (3.0 + 1e-9, 9.0, True, 0, 2, True),
        (3.0, 9.0, False, 0, 3, False),
        (3.0, 9.0, False, 0, 4, True),
        (3.0, 9.0, False, 1, 1, True),
        (3.0 + 1e-9, 9.0, False, 1, 2, False),
        (3.0 + 1e-9, 9.0, True, 2, 2, True),
    ],
)
def test_a_mode_that_takes_too_many_instances_is_not_offered(latency, cold_start, prewarmed, floor, most, offered):
    mode = {"latency": latency, "cold_start": cold_start, "prewarmed": prewarmed, "interval": 3.0}
    limits = Limits(min_replicas=floor, max_replicas=most)
    assert np.isfinite(cost(**mode, limits=limits)) == offered
    assert (deterministic_schedule(**mode, limits=Limits(min_replicas=floor)).replicas <= most) == offered


# -- Rounding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latency", "interval", "rotation"),
    [
        (0.1 + 0.2, 0.1, 3),  # 3.0000000000000004 as a quotient of seconds
        (1.1 + 2.2, 0.3, 11),
        (0.3 + 1e-9, 0.1, 4),
        (0.3 + 4e-10, 0.1, 3),
        (0.0, 0.1, 1),
        (1e-9, 1e-9, 1),
        (2e-9, 1e-9, 2),
    ],
)
def test_whole_nanoseconds_are_what_divides(latency, interval, rotation):
    assert cost(latency, 1e9, interval=interval) == rotation * interval
    decision = deterministic_schedule(latency, 1e9, prewarmed=True, interval=interval)
    assert decision.replicas == rotation
    assert decision.keep_alive == pytest.approx(rotation * interval - latency, abs=1e-9)


@given(st.integers(1, 2**30), st.integers(1, 2**20), st.integers(-1, 1), st.floats(0.0, 1e3))
@example(2**49, 1, 1, 0.0)
@example(2**49 - 1, 2, 0, 0.0)
def test_one_nanosecond_decides(period, quotient, beside, earliest_start):
    busy = period * quotient + beside
    rotation = max(1, -(-busy // period))
    seconds = {"latency": busy / 1e9, "cold_start": 1e9, "interval": period / 1e9}
    assert cost(**seconds) == rotation * (period / 1e9)
    decision = deterministic_schedule(**seconds, prewarmed=True, earliest_start=earliest_start)
    assert decision.replicas == rotation
    assert decision.keep_alive >= 0.0


@given(st.floats(0.0, 10.0), st.floats(0.0, 10.0), st.floats(1e-3, 10.0), st.floats(0.0, 10.0))
@example(0.4999e-9, 1.4999e-9, 1.5e-9, 0.0)  # 0 + 1 < 2 in whole nanoseconds, but T + L > X
def test_a_schedule_adds_up_to_its_cost(latency, cold_start, interval, earliest_start):
    decision = deterministic_schedule(
        latency, cold_start, prewarmed=True, interval=interval, earliest_start=earliest_start
    )
    (stay,) = decision.schedule
    billed = latency + stay.until - stay.start
    assert billed == pytest.approx(cost(latency, cold_start, interval=interval), abs=2e-9)
    assert stay.start >= earliest_start + latency
    assert stay.start == earliest_start + latency + decision.prewarm or decision.prewarm > 0.0
    assert decision.keep_alive == stay.until - stay.ready


# -- Against the replay ---------------------------------------------------------------------------------


@examples(400)
@given(cases(most_cold=20))
def test_prewarmed_instances_are_ready_and_billed_as_said(case):
    replay, decision = case.replay_prewarmed(), case.decision(prewarmed=True)
    assert replay.late == 0
    assert float(replay.billed) == pytest.approx(case.billed(prewarmed=True), rel=1e-12)
    assert replay.fewest >= case.floor
    if case.latency + case.cold_start + case.keep > 0:  # else they last no time at all
        assert replay.replicas == decision.replicas
    stays, needed = decision.schedule, max(1, -(-case.latency // case.period)) * case.together
    assert all(stay.until < later.start for stay, later in pairwise(stays))
    if case.floor == 0 or case.floor == needed:  # else only some live by the schedule
        service = case.latency * TICK + sum(stay.until - stay.start for stay in stays)
        assert service * case.together == pytest.approx(case.billed(prewarmed=True) * TICK)


@examples(300)
@given(cases())
def test_on_request_costs_what_is_said_or_less(case):
    replay, decision = case.replay(OnRequest), case.decision(prewarmed=False)
    assert decision[:3] == ((), None, None)
    said, rotation = case.billed(prewarmed=False), max(1, -(-case.latency // case.period))
    resident = case.keep >= rotation * case.period or case.floor >= rotation * case.together
    if resident or (case.keep == 0 and (case.floor == 0 or case.together == 1)):
        assert float(replay.billed) == pytest.approx(said, rel=1e-12)
    assert replay.billed <= said * (1 + 1e-12)
    assert replay.replicas <= decision.replicas
    assert resident <= (replay.late == 0)
    assert case.cost(prewarmed=True) <= case.cost(prewarmed=False)


@examples(200)
@given(cases())
def test_on_arrival_costs_what_is_said_or_less(case):
    replay = case.replay(OnArrival)
    assert replay.billed <= case.billed(prewarmed=False) * (1 + 1e-12)
    assert replay.replicas <= case.decision(prewarmed=False).replicas


@pytest.mark.parametrize(
    ("kind", "case", "billed", "replicas"),
    [
        (OnRequest, Case(period=10, latency=2, cold_start=5), 7, 1),
        (OnRequest, Case(period=10, latency=5, cold_start=20), 25, 3),  # bridging takes a prewarmed mode
        (OnRequest, Case(period=10, latency=5, cold_start=5), 10, 1),  # ends as the next arrival comes
        (OnArrival, Case(period=10, latency=2, cold_start=5, earliest_start=3), 7, 1),
        (OnArrival, Case(period=10, latency=2, cold_start=5, earliest_start=8), 7, 1),
    ],
)
def test_cold_instances_are_billed_for_their_whole_life(kind, case, billed, replicas):
    assert case.billed(prewarmed=False) == billed == case.replay(kind).billed
    assert case.decision(prewarmed=False).replicas == replicas == case.replay(kind).replicas


@examples(30)
@given(st.integers(1, 4), st.integers(0, 6), st.integers(0, 8))
def test_no_schedule_of_one_stay_costs_less(period, latency, cold_start):
    case = Case(period, latency, cold_start)
    last = latency + 2 * period
    replays = [
        case.replay(Prewarmed, [(start, ready, until)])
        for start, until in product(range(latency, last + 1), repeat=2)
        for ready in {start + cold_start, start if start == latency else start + cold_start}
        if ready <= until
    ]
    least = min((replay.billed for replay in replays if replay.late == 0), default=None)
    if cold_start <= period:  # else a later start cannot be ready
        assert least is not None
    assert least is None or float(least) == pytest.approx(case.billed(prewarmed=True))


# -- Many modes at once ---------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(cases(), st.booleans(), st.integers(0, 9)), min_size=1, max_size=9),
    cases(),
    st.none() | st.integers(8, 12),
)
def test_modes_do_not_disturb_each_other(modes, around, most):
    circumstances = around.circumstances(max_replicas=most)
    del circumstances["batch"]
    costs = deterministic_costs(
        np.array([case.latency * TICK for case, _, _ in modes]),
        np.array([case.cold_start * TICK for case, _, _ in modes]),
        price=np.array([float(price) for _, _, price in modes]),
        prewarmed=np.array([prewarmed for _, prewarmed, _ in modes]),
        batch=np.array([case.batch for case, _, _ in modes]),
        **circumstances,
    )
    for found, (case, prewarmed, price) in zip(costs, modes, strict=True):
        mode = {"prewarmed": prewarmed, "batch": case.batch}
        assert found == cost(*case.seconds, price=float(price), **mode, **circumstances)
        unlimited = {**circumstances, "limits": circumstances["limits"].replace(max_replicas=None)}
        replicas = deterministic_schedule(*case.seconds, **mode, **unlimited).replicas
        assert np.isinf(found) == (most is not None and replicas > most)


def test_arguments_are_left_alone():
    arrays = {name: np.full(3, 2.0) for name in ("latency", "cold_start", "price")}
    prewarmed, batch = np.array([True, False, True]), np.array([1, 2, 4])
    for array in (*arrays.values(), prewarmed, batch):
        array.flags.writeable = False
    limits = Limits(min_replicas=1, max_replicas=2, min_keep_alive=1.0)
    circumstances = {"interval": 3.0, "concurrency": 4, "limits": limits}
    costs = deterministic_costs(**arrays, prewarmed=prewarmed, batch=batch, **circumstances)
    assert costs.tolist() == [np.inf, np.inf, 1.5]
