"""The native replay against the slow twin, event by event, and the surface above it."""

from __future__ import annotations

import math
import os
import random
import signal
import threading
from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import twin
from smiless_core._native import replay as native
from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Readiness
from smiless_core.model.plan import Stay
from smiless_core.windows.replays import CAUSES, Played, replay
from strategies import examples

pytestmark = pytest.mark.native

FOREVER = np.iinfo(np.int64).max
CODES = {"prewarmed": 0, "on_arrival": 1, "on_request": 2}


# --- what the twin says -----------------------------------------------------------------------------


class Explained(twin._Run):
    """The twin, with a note of what level 1 was doing when a request had to wait."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen: dict[tuple[int, int], str] = {}  # (invocation, function) -> what level 1 was doing
        self.late: dict[int, set[int]] = {}  # invocation -> functions that were late

    def doing(self, v: int) -> str:
        f = self.functions[v]
        level = f.levels[0] if f.levels else twin.Level()
        if not f.schedule(0):
            return "cold tail"
        if level.promises or level.state == "busy":
            return "overlap"
        if level.state == "initialising":
            return "too early"
        to_come = [
            rest[1]
            for _, phase, u, key, *rest in self.events
            if (phase, u, key) == (twin.START, v, 0) and rest[0] == level.version
        ]
        if not f.levels or not to_come:
            return "cold tail"
        return "too late" if to_come[0] else "too early"

    def announce(self, invocation, now):
        self.seen |= {(invocation, v): self.doing(v) for v in range(len(self.functions))}
        super().announce(invocation, now)

    def on_assign(self, v, invocation, now):
        self.seen.setdefault((invocation, v), self.doing(v))
        before = self.functions[v].waited
        super().on_assign(v, invocation, now)
        if self.functions[v].waited > before and self.functions[v].readiness == "prewarmed":
            self.late.setdefault(invocation, set()).add(v)

    def cause(self, invocation: int) -> str:
        late = [v for v in self.order if v in self.late.get(invocation, ())]
        return self.seen[invocation, late[0]] if late else "none"


def expected(arrivals, plans, *, edges, announced, warm, horizon) -> dict:
    run = Explained(arrivals, plans, edges, announced=announced, clock="latest", warm=warm, horizon=horizon)
    end = run.run()
    for f in run.functions:
        for level in f.levels:
            if level.state != "absent":
                f.become(level, "absent", end)
    return {
        **{state: [f.spent[state] for f in run.functions] for state in ("initialising", "busy", "idle")},
        "responses": [max(done.values()) - t for t, done in zip(arrivals, run.finished, strict=True)],
        "causes": [run.cause(j) for j in range(len(arrivals))],
        "cold_starts": [f.cold_starts for f in run.functions],
        "waited": [f.waited for f in run.functions],
        "met_busy": [f.met_busy for f in run.functions],
        "replicas": [len(f.levels) for f in run.functions],
        "horizon": end,
    }


# --- what the kernel says ---------------------------------------------------------------------------


def ns(seconds) -> int:
    return FOREVER if math.isinf(seconds) else twin.nanoseconds(seconds)


def arguments(plans, edges=(), announced=False) -> dict:
    levels = [schedule for plan in plans for schedule in plan.schedules]
    return {
        "latency": np.array([ns(plan.latency) for plan in plans], np.int64),
        "cold_start": np.array([ns(plan.cold_start) for plan in plans], np.int64),
        "readiness": np.array([CODES[plan.readiness] for plan in plans], np.int8),
        "edges": np.array(edges, np.int32).reshape(-1, 2),
        "level_offsets": np.cumsum([0, *(len(plan.schedules) for plan in plans)], dtype=np.int64),
        "stay_offsets": np.cumsum([0, *map(len, levels)], dtype=np.int64),
        "stays": np.array([[ns(x) for x in stay] for s in levels for stay in s], np.int64).reshape(-1, 3),
        "announced": announced,
    }


def found(arrivals, plans, *, edges, announced, warm, horizon) -> dict:
    *arrays, end = native.run(
        np.array(arrivals, np.int64),
        **arguments(plans, edges, announced),
        warm=None if warm is None else np.array(warm, np.int64),
        horizon=horizon,
    )
    names = ["initialising", "busy", "idle", "responses", "causes", "cold_starts", "waited", "met_busy", "replicas"]
    said = {name: array.tolist() for name, array in zip(names, arrays, strict=True)}
    return said | {"causes": [CAUSES[code] for code in said["causes"]], "horizon": end}


# --- drawn applications -----------------------------------------------------------------------------

halves = st.integers(0, 16).map(lambda k: F(k, 2))


@st.composite
def schedules(draw, latency, cold_start):
    """Draw a level's stays: some go on from what came before, some are a cold start long, some never end."""
    stays, edge = [], latency
    for _ in range(draw(st.integers(0, 3))):
        start = edge + draw(halves)
        kind = draw(st.sampled_from(["started", "started", "kept", "bridged"]))
        start = edge if kind == "bridged" else start
        ready = start + cold_start if kind == "started" else start
        edge = ready + draw(st.one_of(st.just(F(0)), halves))
        stays.append(twin.Stay(start, ready, edge))
    if stays and draw(st.integers(0, 4)) == 0:
        stays[-1] = stays[-1]._replace(until=math.inf)
    return tuple(stays)


@st.composite
def functions(draw, announced):
    latency, cold_start = draw(halves), draw(halves)
    kinds = ["prewarmed", "prewarmed", "on_request", *(["on_arrival"] if announced else [])]
    readiness = draw(st.sampled_from(kinds))
    levels = ()
    if readiness == "prewarmed":
        levels = draw(st.lists(schedules(latency, cold_start), max_size=3).map(tuple))
    return twin.FunctionPlan(1, latency, cold_start, readiness, levels)


@st.composite
def graphs(draw, n, numbered_along):
    shape = draw(st.sampled_from(["chain", "fork and join", "any"]))
    pairs = [(u, v) for v in range(n) for u in range(v)]
    if shape == "chain":
        edges = list(pairwise(range(n)))
    elif shape == "fork and join":
        edges = [(u, v) for u, v in pairs if (u == 0) != (v == n - 1)]
    else:
        edges = [pair for pair in pairs if draw(st.booleans())]
    number = range(n) if numbered_along else draw(st.permutations(range(n)))
    return [(number[u], number[v]) for u, v in edges]


@st.composite
def cases(draw, announced):
    plans = draw(st.lists(functions(announced), min_size=1, max_size=4))
    # Announced and numbered against the edges, the twin stumbles over instances that start and end in one instant.
    edges = draw(graphs(len(plans), announced))
    gap = st.one_of(
        st.just(0),
        halves.map(twin.nanoseconds),
        st.sampled_from([ns(plan.cold_start) for plan in plans]),
        st.tuples(halves.map(twin.nanoseconds), st.integers(-1, 1)).map(lambda pair: max(0, sum(pair))),
    )
    arrivals = [draw(st.sampled_from([0, -5, 10**18]))]
    for step in draw(st.lists(gap, max_size=16)):
        arrivals.append(arrivals[-1] + step)
    warm = draw(st.none() | st.lists(st.integers(0, 3), min_size=len(plans), max_size=len(plans)))
    return arrivals, plans, {"edges": edges, "announced": announced, "warm": warm}


def agree(arrivals, plans, options, extra) -> None:
    """Compare replays that end with the last finish, and ones that are billed for longer."""
    said = expected(arrivals, plans, **options, horizon=None)
    assert found(arrivals, plans, **options, horizon=None) == said
    horizon = said["horizon"] + extra
    assert found(arrivals, plans, **options, horizon=horizon) == expected(arrivals, plans, **options, horizon=horizon)


@examples(600)
@given(cases(announced=False), halves.map(twin.nanoseconds))
def test_unannounced_as_the_twin(case, extra):
    agree(*case, extra)


@examples(600)
@given(cases(announced=True), halves.map(twin.nanoseconds))
def test_announced_as_the_twin(case, extra):
    agree(*case, extra)


def test_the_last_work_may_be_done_after_a_start_of_the_same_instant():
    """B starts, and is done, as the work comes; A is started again before that, at the same instant."""
    again = (twin.Stay(F(1), F(2), F(3)),)
    plans = [
        twin.FunctionPlan(1, 0, 1, "prewarmed", (again,)),
        twin.FunctionPlan(1, 0, 1, "on_request"),
        twin.FunctionPlan(1, 0, 0, "prewarmed"),
    ]
    options = {"edges": [(0, 1), (1, 2)], "announced": True, "warm": [1, 0, 0]}
    assert expected([0], plans, **options, horizon=None)["cold_starts"] == [1, 1, 1]
    agree([0], plans, options, 0)


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_crowds_as_the_twin(seed, announced):
    """Bursts far closer than the cold starts: many levels, long lateness, requests that overtake each other."""
    draw = random.Random(seed)

    def level(latency, cold_start):
        first = draw.choice([latency, latency + draw.randint(1, 9)])
        ready = first if first == latency else first + cold_start
        stay = twin.Stay(first, ready, ready + draw.randint(0, 9))
        return (stay, twin.Stay(stay.until, stay.until, stay.until + 3), twin.Stay(90, 90 + cold_start, 140))

    plans = []
    for readiness in draw.choices(["prewarmed"] * 4 + ["on_arrival" if announced else "on_request"], k=4):
        latency, cold_start = draw.randint(1, 4), draw.randint(1, 40)
        levels = draw.randint(0, 4) if readiness == "prewarmed" else 0
        schedule = tuple(level(latency, cold_start) for _ in range(levels))
        plans.append(twin.FunctionPlan(1, latency, cold_start, readiness, schedule))
    arrivals = [0]
    for _ in range(400):
        arrivals.append(arrivals[-1] + ns(draw.choice([0, F(1, 3), F(1, 3), F(1, 2), 1, 2, 60, 200])))
    edges = [(0, 1), (0, 2), (1, 3), (2, 3)]
    agree(arrivals, plans, {"edges": edges, "announced": announced, "warm": draw.choice([None, [2, 0, 1, 9]])}, 10**10)


# --- causes, by hand --------------------------------------------------------------------------------


def prewarmed(latency, cold_start, *stays) -> Played:
    schedule = tuple(Stay(float(a), float(b), float(c)) for a, b, c in stays)
    return Played(
        price=1.0, latency=latency, cold_start=cold_start, readiness=Readiness.PREWARMED, schedules=(schedule,)
    )


@pytest.mark.parametrize(
    ("gap", "cause"),
    [
        (0.5, "overlap"),
        (3.0, "too early"),  # let go at its finish, and yet to start at 6
        (6.0, "too early"),  # starts after the arrival of that instant
        (7.0, "too early"),  # initializes
        (8.0, "none"),
        (9.0, "none"),
        (9.5, "too late"),
        (20.0, "too late"),
        (21.0, "too early"),
        (22.0, "none"),
        (30.5, "cold tail"),
    ],
)
def test_cause(gap, cause):
    plan = prewarmed(1.0, 2.0, (6, 8, 9), (20, 22, 30))
    result = replay(np.array([0, round(gap * 1e9)]), [plan], warm=[1])
    assert [CAUSES[code] for code in result.causes] == ["none", cause]
    assert result.waited[0] == (cause != "none")


def test_the_first_late_function_names_the_cause():
    """D is late every time, B before it the last time; A and C are not prewarmed, and their waits are planned."""
    on_request = Played(price=1.0, latency=1.0, cold_start=1.0, readiness=Readiness.ON_REQUEST)
    plans = [on_request, prewarmed(1.0, 2.0, (3, 3, 7), (20, 22, 30)), on_request, prewarmed(1.0, 2.0)]
    result = replay(np.array([0, 5, 11]) * 10**9, plans, edges=[(0, 1), (1, 2), (2, 3)], warm=[0, 1, 0, 0])
    assert [CAUSES[code] for code in result.causes] == ["cold tail", "cold tail", "too late"]
    assert result.waited.tolist() == [3, 1, 3, 3]


# --- the surface ------------------------------------------------------------------------------------


@examples(50)
@given(st.booleans().flatmap(cases), st.lists(st.integers(0, 5), min_size=4, max_size=4), halves)
def test_dollars_and_seconds(case, prices, sla):
    arrivals, plans, options = case
    plans = [plan._replace(price=price) for plan, price in zip(plans, prices, strict=False)]
    said = twin.replay(arrivals, plans, **options, clock="latest", sla=sla)
    played = [
        Played(
            price=plan.price,
            latency=float(plan.latency),
            cold_start=float(plan.cold_start),
            readiness=Readiness(plan.readiness),
            schedules=tuple(tuple(Stay(*map(float, stay)) for stay in schedule) for schedule in plan.schedules),
        )
        for plan in plans
    ]
    result = replay(np.array(arrivals, np.int64), played, **options, sla=float(sla))
    for name in ("total_cost", "init_cost", "busy_cost", "idle_cost", "cost"):
        assert getattr(result, name) == pytest.approx(float(getattr(said, name)), rel=1e-12, abs=1e-12)
    assert result.costs == pytest.approx([float(cost) for cost in said.costs], rel=1e-12)
    assert result.responses.tolist() == [ns / 1e9 for ns in said.responses]
    assert result.attainment == float(said.attainment)
    assert result.horizon == said.horizon


def test_a_response_of_just_the_sla_is_in_time():
    plan = Played(price=1.0, latency=0.2, cold_start=0.1, readiness=Readiness.ON_REQUEST)
    times = np.array([0], np.int64)
    assert replay(times, [plan], sla=0.1 + 0.2).attainment == 1.0
    assert replay(times, [plan], sla=0.3 - 1e-9).attainment == 0.0
    assert replay(times, [plan]).attainment is None


def test_a_stay_may_be_a_nanosecond_off_its_cold_start():
    """As sums of floats are: let go as it becomes ready, and then kept, the instance just stays."""
    plan = prewarmed(1.0, 2.0, (6, 8 - 1e-9, 8 - 1e-9), (8 - 1e-9, 8 - 1e-9, 12))
    result = replay(np.array([0, 10 * 10**9]), [plan], warm=[1])
    assert result.responses.tolist() == [1.0, 1.0]
    assert (result.init_cost, result.idle_cost) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"times": np.array([3, 2])}, "ascending"),
        ({"times": np.array([], np.int64)}, "at least one arrival"),
        ({"times": np.array([0.5])}, "int64"),
        ({"times": np.zeros((2, 2), np.int64)}, "int64"),
        ({"times": np.array([2**62])}, "73 years"),
        ({"functions": []}, "at least one function"),
        ({"edges": [(0, 1), (1, 0)]}, "cycle"),
        ({"edges": [(0, 2)]}, "no function 2"),
        ({"warm": [1]}, "warm"),
        ({"warm": [1, -1]}, "warm"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 2**63 - 1}, "horizon"),
    ],
)
def test_what_does_not_fit_is_refused(change, complaint):
    kept = prewarmed(1.0, 2.0, (1, 1, 9))
    good = {"times": np.array([0, 10**9]), "functions": [kept, kept], "edges": [(0, 1)]}
    assert replay(**good).horizon == 7 * 10**9
    with pytest.raises(InvalidInputError, match=complaint):
        replay(**(good | change))


def test_on_arrival_needs_announcements():
    plan = Played(price=1.0, latency=1.0, cold_start=2.0, readiness=Readiness.ON_ARRIVAL)
    with pytest.raises(InvalidInputError, match="announced"):
        replay(np.array([0]), [plan])
    assert replay(np.array([0]), [plan], announced=True).responses.tolist() == [3.0]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"price": -1.0}, "price"),
        ({"latency": math.nan}, "latency"),
        ({"cold_start": 1e10}, "cold_start"),
        ({"readiness": "sometimes"}, "readiness"),
        ({"readiness": "on_request"}, "schedules"),
        ({"schedules": ((Stay(-1.0, 0.0, 1.0),),)}, "schedules[0][0].start"),
        ({"schedules": ((Stay(1.0, math.inf, math.inf),),)}, "schedules[0][0].ready"),
        ({"schedules": ((), (Stay(5.0, 5.0, 6.0), Stay(1.0, 1.0, 7.0)))}, "schedules[1]"),
    ],
)
def test_a_function_that_makes_no_sense_is_refused(fields, place):
    good = {"price": 1.0, "latency": 1.0, "cold_start": 1.0, "readiness": "prewarmed", "schedules": ((),)}
    Played(**good)
    with pytest.raises(InvalidInputError) as caught:
        Played(**(good | fields))
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"latency": np.array([-1])}, "latency"),
        ({"cold_start": np.array([2**62])}, "73 years"),
        ({"cold_start": np.array([1, 1])}, "cold_start"),
        ({"readiness": np.array([3], np.int8)}, "readiness"),
        ({"readiness": np.array([2], np.int8)}, "schedules"),
        ({"level_offsets": np.array([0, 2])}, "level_offsets"),
        ({"level_offsets": np.array([1, 0])}, "level_offsets"),
        ({"stay_offsets": np.array([0, 3])}, "stay_offsets"),
        ({"stay_offsets": np.array([-1, 1])}, "stay_offsets"),
        ({"stay_offsets": np.array([], np.int64)}, "stay_offsets"),
        ({"stays": np.array([[3, 2, 4], [4, 4, 5]])}, "stay 0"),
        ({"stays": np.array([[1, 1, 4], [3, 3, 3]])}, "stay 1"),
        ({"stays": np.zeros((2, 2), np.int64)}, "shape"),
        ({"edges": np.zeros((1, 3), np.int32)}, "shape"),
    ],
)
def test_the_kernel_trusts_no_index(change, complaint):
    stays = (twin.Stay(F(1), F(1), F(2)), twin.Stay(F(3), F(4), F(5)))
    good = arguments([twin.FunctionPlan(1, 1, 1, "prewarmed", (stays,))])
    native.run(np.array([0]), **good)
    with pytest.raises(ValueError, match=complaint):
        native.run(np.array([0]), **(good | change))


def test_more_than_292_years_cannot_be_billed():
    good = arguments([twin.FunctionPlan(1, 2 * 10**9, 0, "on_request")])
    with pytest.raises(ValueError, match="292 years"):
        native.run(np.zeros(10, np.int64), **good)


def test_control_c_ends_it():
    times = np.arange(20_000_000, dtype=np.int64)
    plan = arguments([twin.FunctionPlan(1, 1, 1, "on_request")] * 9)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    # What runs in the background of a shell ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            native.run(times, **plan)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
