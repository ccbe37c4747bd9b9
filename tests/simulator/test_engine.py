"""The native simulation: its rules by hand, its kinship with the replay, and the laws that no decision can break."""

from __future__ import annotations

import math
import os
import signal
import threading
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from smiless_core._native import replay as native
from smiless_core._native.simulation import ENDED, OBSERVED, SERVED, Simulation
from strategies import examples

pytestmark = pytest.mark.native

FOREVER = np.iinfo(np.int64).max
PREWARMED, ON_ARRIVAL, ON_REQUEST = 0, 1, 2


def begin(*arrivals, functions=None, edges=(), **options) -> Simulation:
    """Begin with one application per list of arrivals, of one function each unless `functions` counts them."""
    functions = functions or [1] * len(arrivals)
    return Simulation(
        np.cumsum([0, *functions], dtype=np.int32),
        np.array(edges, np.int32).reshape(-1, 2),
        np.cumsum([0, *map(len, arrivals)], dtype=np.int64),
        np.array([at for own in arrivals for at in own], np.int64),
        **{"note_requests": True, "note_instances": True, **options},
    )


def decide(simulation, function=0, *, latency=(10,), schedules=None, starts=None, **fields) -> None:
    """Decide; without schedules `on_request`, and with a configuration of its own for every latency."""
    if schedules is not None:
        stays = [stay for schedule in schedules for stay in schedule]
        fields |= {
            "stay_offsets": np.cumsum([0, *map(len, schedules)], dtype=np.int64),
            "stays": np.array(stays, np.int64).reshape(-1, 3),
        }
    if starts is not None:
        fields["starts"] = np.array(starts, np.int64).reshape(-1, 3)
    usual = {
        "configuration": sum(latency) % 1000,
        "price": 1.0,
        "cold_start": 100,
        "readiness": ON_REQUEST if schedules is None else PREWARMED,
    }
    simulation.decide(function, latency=np.array(latency, np.int64), **{**usual, **fields})


def kept(until, latency=10) -> list[list[tuple[int, int, int]]]:
    return [[(latency, latency, until)]]


def bill(simulation, function=0) -> tuple[int, int, int]:
    """Return nanoseconds initializing, busy and idle, of all configurations."""
    rows = [row[1:] for row in simulation.bill(function).values()]
    return tuple(map(sum, zip(*rows, strict=True)))


def seen(simulation, function=0) -> dict[str, int]:
    return dict(zip(OBSERVED, simulation.observe()[0][function].tolist(), strict=True))


def notes(simulation) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    requests, instances = simulation.drain()
    return (
        [dict(zip(SERVED, row, strict=True)) for row in requests.tolist()],
        [dict(zip(ENDED, row, strict=True)) for row in instances.tolist()],
    )


# --- one rule at a time, by hand --------------------------------------------------------------------


def test_on_request_starts_and_ends_with_its_request():
    simulation = begin([0, 50, 110])
    decide(simulation)
    assert simulation.finish() == 220
    assert simulation.responses.tolist() == [110, 110, 110]
    assert bill(simulation) == (300, 30, 0)
    # The third comes as the first is done: it needs a new one all the same, in the level that was left.
    assert [(i["level"], i["starts"], i["ends"]) for i in notes(simulation)[1]] == [
        (0, 0, 110),
        (1, 50, 160),
        (0, 110, 220),
    ]


def test_a_kept_instance_serves_up_to_the_end_of_its_stay_and_no_longer():
    simulation = begin([0, 300, 601])
    decide(simulation, schedules=kept(200))  # stays until 300: the first service counts from the latest arrival, 0
    simulation.finish()
    assert simulation.responses.tolist() == [110, 110, 110]
    simulation = begin([0, 200, 401])
    decide(simulation, schedules=kept(200))
    simulation.finish()
    assert simulation.responses.tolist() == [110, 10, 110]
    assert bill(simulation) == (200, 30, 90 + 190)


def test_a_scheduled_start_is_ready_in_time_and_let_go_in_vain():
    simulation = begin([0, 500])
    decide(simulation, schedules=[[(400, 500, 600)]])
    simulation.finish(2000)
    assert simulation.responses.tolist() == [110, 10]
    assert bill(simulation) == (100 + 100 + 100, 20, 0 + 100)  # the last one is there from 1000 to 1100


def test_schedules_count_from_the_end_of_a_service_where_the_decision_says_so():
    simulation = begin([0, 311])
    decide(simulation, schedules=kept(200), from_finish=True)  # idle from 110 to 310, not to 200
    simulation.finish()
    assert simulation.responses.tolist() == [110, 110]
    assert bill(simulation) == (200, 20, 200)
    simulation = begin([0, 500])
    decide(simulation, schedules=[[(280, 380, 400)]], from_finish=True)  # starts at 390
    simulation.finish(2000)
    assert simulation.responses.tolist() == [110, 10]
    assert bill(simulation) == (100 + 100 + 100, 20, 10 + 20)


def test_the_lowest_idle_level_serves():
    simulation = begin([0, 0, 200, 205])
    decide(simulation, schedules=kept(FOREVER), repeats=True)
    simulation.finish()
    assert [r["serial"] for r in notes(simulation)[0]] == [0, 1, 0, 1]


def test_only_the_last_schedule_repeats_for_further_levels():
    for repeats, idle in ((False, 90), (True, 90 + 90)):
        simulation = begin([0, 0])
        decide(simulation, schedules=kept(200), repeats=repeats)
        simulation.finish(1000)
        assert bill(simulation) == (200, 20, idle)


def test_at_the_limit_requests_queue_first_in_first_out():
    simulation = begin([0, 1, 2])
    decide(simulation, most_replicas=1)
    simulation.advance(105)
    assert seen(simulation) == {
        "initializing": 0,
        "idle": 0,
        "busy": 1,
        "queued": 2,
        "under_way": 3,
        "requests": 3,
        "cold_starts": 1,
        "concurrency": 105 + 104 + 103,
    }
    simulation.finish()
    assert simulation.responses.tolist() == [110, 119, 128]
    assert bill(simulation) == (100, 30, 0)
    assert seen(simulation)["concurrency"] == 5 + 15 + 25


def test_a_batch_forms_while_an_instance_initializes_and_in_the_queue():
    simulation = begin([0, 1, 2, 3, 4, 5])
    decide(simulation, latency=(10, 14), most_replicas=1)
    simulation.finish()
    assert simulation.responses.tolist() == [114, 113, 126, 125, 138, 137]
    assert [(r["batch"], r["cold"]) for r in notes(simulation)[0]] == [(2, 1)] * 2 + [(2, 0)] * 4
    assert bill(simulation) == (100, 42, 0)


def test_a_request_joins_what_is_planned_to_be_ready_first():
    """The timed one started at 50 is ready at 150; a request at 60 could have its own at 160."""
    simulation = begin([60, 70], start=0)
    decide(simulation, starts=[(50, 1000, 1)])
    simulation.finish()
    assert simulation.responses.tolist() == [100, 110]


def test_a_longer_actual_initialization_is_not_foreseen():
    """Planned to be ready at 150, and then at 250 in fact: whoever joins by the plan waits for it."""
    simulation = begin([60], start=0)
    decide(simulation, starts=[(50, 1000, 1)], cold_mean=200.0)
    simulation.finish()
    assert simulation.responses.tolist() == [200]
    assert bill(simulation) == (200, 10, 0)


def test_timed_starts_count_what_is_there_and_are_let_go():
    simulation = begin([], start=0)
    decide(simulation, starts=[(50, 400, 2), (200, 300, 3), (250, 260, 3)])
    simulation.finish(1000)
    _, instances = notes(simulation)
    assert [(i["level"], i["starts"], i["ends"]) for i in instances] == [(2, 200, 300), (0, 50, 400), (1, 50, 400)]
    assert bill(simulation) == (300, 0, 250 + 250 + 0)


def test_a_timed_start_in_the_past_begins_with_the_decision():
    simulation = begin([], start=0)
    decide(simulation)
    simulation.advance(100)
    decide(simulation, starts=[(50, 400, 1), (20, 100, 2)])
    simulation.finish(1000)
    assert [(i["starts"], i["ends"]) for i in notes(simulation)[1]] == [(100, 400)]


def test_the_floor_is_there_from_the_decision_and_stays():
    simulation = begin([500, 500, 500], start=0)
    decide(simulation, replicas=2)
    simulation.finish(1000)
    assert simulation.responses.tolist() == [10, 10, 110]
    # As the first is done there are three, and it ends; the other two stay.
    assert bill(simulation) == (300, 30, 400 + 400 + 490 + 390)
    assert seen(simulation)["idle"] == 2


def test_a_lower_floor_lets_go_and_a_higher_one_starts():
    simulation = begin([], start=0)
    for now, replicas in ((0, 1), (200, 3), (500, 0)):
        simulation.advance(now)
        decide(simulation, replicas=replicas)
    simulation.finish(1000)
    assert [(i["starts"], i["ends"]) for i in notes(simulation)[1]] == [(0, 500), (200, 500), (200, 500)]


@pytest.mark.parametrize(("granted", "response"), [(None, 105), (10, 10)])
def test_an_older_instance_serves_while_its_latency_is_granted(granted, response):
    simulation = begin([0, 200, 400])
    decide(simulation, schedules=kept(1000))
    simulation.advance(150)
    decide(simulation, latency=(5,), granted=granted, schedules=kept(1000, 5))
    simulation.finish(1000)
    assert simulation.responses.tolist() == [110, response, 10 if granted else 5]
    _, instances = notes(simulation)
    # Not granted it drains at once.
    assert instances[0]["ends"] == (1000 if granted else 150)
    assert simulation.bill(0).keys() == {10, 5}


def test_the_current_configuration_comes_before_an_older_one():
    simulation = begin([0, 300])
    decide(simulation, schedules=kept(1000))
    simulation.advance(150)
    decide(simulation, latency=(5,), granted=10, replicas=1, schedules=kept(1000, 5))
    simulation.finish()
    assert simulation.responses.tolist() == [110, 5]


def test_a_busy_instance_of_an_older_configuration_works_off_the_queue_and_ends():
    simulation = begin([0, 0, 0], start=0)
    decide(simulation, most_replicas=1)
    simulation.advance(105)
    decide(simulation, latency=(5,), most_replicas=1, schedules=kept(1000, 5))
    simulation.finish(200)
    assert simulation.responses.tolist() == [110, 120, 130]
    assert notes(simulation)[1][0]["ends"] == 130


def test_a_raised_limit_is_for_those_who_wait_before_those_who_come():
    simulation = begin([0, 0, 50], start=0)
    decide(simulation, most_replicas=1)
    simulation.advance(50)
    decide(simulation, most_replicas=2)
    simulation.finish()
    # The second begins a cold start at 50 and stays with it; the third takes what is done before that.
    assert simulation.responses.tolist() == [110, 160, 70]
    assert [(r["invocation"], r["serial"]) for r in notes(simulation)[0]] == [(0, 0), (2, 0), (1, 1)]


def test_a_decision_holds_for_all_of_its_instant():
    """The service that ends as it is decided is let go by the new schedule."""
    simulation = begin([0])
    decide(simulation, schedules=kept(1000))
    simulation.advance(110)
    decide(simulation)
    simulation.finish(500)
    assert bill(simulation) == (100, 10, 0)


def test_a_new_schedule_counts_from_the_old_arrival():
    simulation = begin([0])
    decide(simulation, schedules=kept(1000))
    simulation.advance(300)
    decide(simulation, schedules=kept(500))
    simulation.advance(400)
    decide(simulation, schedules=[[(350, 450, 600), (700, 800, 900)]])  # it is there, so it needs no start at 350
    simulation.advance(650)
    assert bill(simulation) == (100, 10, 490)
    decide(simulation, schedules=[[(620, 720, 800)]])  # 620 is over: at once
    simulation.finish(2000)
    assert bill(simulation) == (200, 10, 490 + 50)


def test_what_a_new_schedule_does_not_cover_is_let_go_and_started_again():
    simulation = begin([0, 300])
    decide(simulation, schedules=kept(1000))
    simulation.advance(300)
    decide(simulation, schedules=[[(700, 800, 900)]])  # let go at 300, but after the request that comes then
    simulation.advance(1050)
    assert simulation.responses.tolist() == [110, 10]
    assert bill(simulation) == (150, 20, 190)  # started again at 1000
    decide(simulation, schedules=[[(900, 1000, 1100)]])
    simulation.finish(2000)
    assert bill(simulation) == (250, 20, 190 + 100)  # at once let go, and again there from 1200


def test_the_same_decision_again_changes_nothing():
    ends = []
    for every in (10**6, 7):
        simulation = begin([0, 150, 150, 600, 800])
        for now in range(0, 1500, every):
            simulation.advance(now)
            schedules = [[(10, 10, 160), (300, 400, 500)], [(10, 10, 30), (250, 350, 400)]]
            decide(simulation, schedules=schedules)
        simulation.finish(1500)
        ends.append((simulation.responses.tolist(), bill(simulation), notes(simulation)))
    assert ends[0] == ends[1]


def test_a_function_waits_for_all_before_it():
    simulation = begin([0, 5], functions=[4], edges=[(0, 1), (0, 2), (1, 3), (2, 3)])
    for function, latency in enumerate([10, 20, 30, 40]):
        decide(simulation, function, latency=(latency,), cold_start=0)
    simulation.finish()
    assert simulation.responses.tolist() == [80, 80]
    comes = [(r["function"], r["comes"]) for r in notes(simulation)[0]]
    assert sorted(comes) == [(0, 0), (0, 5), (1, 10), (1, 15), (2, 10), (2, 15), (3, 40), (3, 45)]


def test_applications_do_not_know_of_each_other():
    both = begin([0, 30], [7], functions=[2, 1], edges=[(0, 1)])
    for function in range(3):
        decide(both, function, schedules=kept(50))
    both.advance(40)
    assert both.observe()[1].tolist() == [2, 1]
    both.finish(1000)
    for own, arrivals, functions, edges in (((0, 1), [0, 30], 2, [(0, 1)]), ((2,), [7], 1, [])):
        alone = begin(arrivals, functions=[functions], edges=edges)
        for function in range(functions):
            decide(alone, function, schedules=kept(50))
        alone.finish(1000)
        assert [bill(both, f) for f in own] == [bill(alone, f) for f in range(functions)]


def test_announced_work_finds_an_instance_that_starts_just_early_enough():
    simulation = begin([0, 1000], functions=[2], edges=[(0, 1)], announced=np.ones(1, np.uint8))
    decide(simulation, 0, latency=(150,), cold_start=0)
    decide(simulation, 1, readiness=ON_ARRIVAL)
    simulation.finish()
    assert simulation.responses.tolist() == [160, 160]
    assert bill(simulation, 1) == (200, 20, 0)
    assert [i["starts"] for i in notes(simulation)[1] if i["function"] == 1] == [50, 1050]


def test_announced_work_holds_what_is_there():
    simulation = begin([0, 300], functions=[2], edges=[(0, 1)], announced=np.ones(1, np.uint8))
    decide(simulation, 0, latency=(50,), cold_start=0)
    decide(simulation, 1, schedules=kept(300))
    simulation.finish(1000)
    assert simulation.responses.tolist() == [110, 60]  # let go at 300, but for the arrival then


# --- sampled times ----------------------------------------------------------------------------------


def mixed(state: int) -> int:
    mask = 2**64 - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
    return state ^ state >> 31


def normal(seed: int, function: int, kind: int, index: int) -> float:
    bits = mixed(mixed(mixed(mixed(seed) ^ function) ^ kind) ^ index)
    return float(norm.ppf(((bits >> 11) + 0.5) * 2.0**-53))


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_sampled_times_are_those_of_their_numbers(seed):
    second, count = 10**9, 500
    simulation = begin(range(0, 100 * count * second, 100 * second), functions=[2], seed=seed)
    for function in range(2):
        spread = {"cold_mean": 2.0 * second, "cold_deviation": 0.8 * second, "latency_spread": 0.5}
        decide(simulation, function, latency=(second,), cold_start=3 * second, **spread)
    simulation.finish()
    requests, instances = simulation.drain()
    sigma = math.sqrt(math.log(1.25))
    for function in range(2):
        services = requests[requests[:, 0] == function]
        served = services[:, 4] - services[:, 3]
        z = np.array([normal(seed, function, 0, i) for i in services[:, 1].tolist()])
        assert np.abs(served - second * np.exp(sigma * z - sigma**2 / 2)).max() <= 2
        own = instances[instances[:, 0] == function]
        z = np.array([normal(seed, function, 1, j) for j in own[:, 1].tolist()])
        assert np.abs(own[:, 5] - own[:, 4] - np.maximum(0, 2 * second + 0.8 * second * z)).max() <= 2
        assert served.mean() / second == pytest.approx(1.0, abs=4 * 0.5 / math.sqrt(count))
        assert (own[:, 5] == own[:, 4]).any()  # of two and a half deviations below the mean nothing is left


# --- what the replay can do too ---------------------------------------------------------------------


@st.composite
def stays(draw, latency, cold_start):
    """Draw a level's stays: some go on from what came before, some are a cold start long, some never end."""
    drawn, edge = [], latency
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["started", "started", "kept", "bridged"]))
        start = edge + (0 if kind == "bridged" else draw(st.integers(0, 12)))
        ready = start + (cold_start if kind == "started" else 0)
        edge = ready + draw(st.integers(0, 12))
        drawn.append((start, ready, edge))
    if drawn and draw(st.integers(0, 4)) == 0:
        drawn[-1] = (*drawn[-1][:2], FOREVER)
    return drawn


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 4))
    number = draw(st.permutations(range(n)))
    edges = [(number[u], number[v]) for v in range(n) for u in range(v) if draw(st.booleans())]
    return n, edges


arrival_times = st.lists(st.one_of(st.just(0), st.integers(0, 12)), min_size=1, max_size=16).map(
    lambda gaps: (np.cumsum(gaps) - 20).tolist()
)


@st.composite
def replays(draw):
    n, edges = draw(graphs())
    plans = []
    for _ in range(n):
        latency, cold_start = draw(st.integers(1, 12)), draw(st.integers(0, 12))
        schedules = draw(st.none() | st.lists(stays(latency, cold_start), max_size=3))
        plans.append({"latency": (latency,), "cold_start": cold_start, "schedules": schedules})
    return draw(arrival_times), n, edges, plans


def replayed(arrivals, edges, plans, horizon) -> tuple:
    levels = [level for plan in plans for level in plan["schedules"] or []]
    initializing, busy, idle, responses, _, cold_starts, *_, end = native.run(
        np.array(arrivals, np.int64),
        np.array([plan["latency"][0] for plan in plans], np.int64),
        np.array([plan["cold_start"] for plan in plans], np.int64),
        np.array([ON_REQUEST if plan["schedules"] is None else PREWARMED for plan in plans], np.int8),
        np.array(edges, np.int32).reshape(-1, 2),
        np.cumsum([0, *(len(plan["schedules"] or []) for plan in plans)], dtype=np.int64),
        np.cumsum([0, *map(len, levels)], dtype=np.int64),
        np.array([stay for level in levels for stay in level], np.int64).reshape(-1, 3),
        False,
        horizon=horizon,
    )
    return responses.tolist(), np.transpose([initializing, busy, idle]).tolist(), cold_starts.tolist(), end


def simulated(arrivals, n, edges, plans, horizon) -> tuple:
    simulation = begin(arrivals, functions=[n], edges=edges)
    for function, plan in enumerate(plans):
        decide(simulation, function, **plan)
    end = simulation.finish(horizon)
    bills = [list(bill(simulation, function)) for function in range(n)]
    return simulation.responses.tolist(), bills, [seen(simulation, f)["cold_starts"] for f in range(n)], end


@examples(600)
@given(replays(), st.integers(0, 30))
def test_as_the_replay(case, extra):
    arrivals, n, edges, plans = case
    said = replayed(arrivals, edges, plans, None)
    assert simulated(arrivals, n, edges, plans, None) == said
    horizon = said[-1] + extra
    assert simulated(arrivals, n, edges, plans, horizon) == replayed(arrivals, edges, plans, horizon)


@pytest.mark.parametrize("seed", range(4))
def test_crowds_as_the_replay(seed):
    """Bursts far closer than the cold starts, and more arrivals than are passed on at a time."""
    draw = np.random.default_rng(seed)
    arrivals = np.cumsum(draw.choice([0, 1, 3, 40], size=10_000, p=[0.2, 0.4, 0.35, 0.05])).tolist()
    plans = []
    for _ in range(5):
        latency, cold_start = int(draw.integers(1, 30)), int(draw.integers(1, 60))
        until = latency + int(draw.integers(0, 40))
        level = [(latency, latency, until), (until + 30, until + 30 + cold_start, until + 40 + cold_start)]
        plans.append({"latency": (latency,), "cold_start": cold_start, "schedules": [level] * int(draw.integers(40))})
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]
    assert simulated(arrivals, 5, edges, plans, None) == replayed(arrivals, edges, plans, None)


# --- whatever is decided ----------------------------------------------------------------------------


@st.composite
def decisions(draw, now):
    """Draw a decision for now; the configuration's number stands for what it means."""
    number = draw(st.integers(0, 2))
    latency = [(7,), (3, 5, 6), (10, 11)][number]
    cold_start = [20, 9, 0][number]
    schedules = draw(st.none() | st.lists(stays(latency[0], cold_start), max_size=2))
    replicas = draw(st.sampled_from([0, 0, 1, 3]))
    timed = st.tuples(st.integers(-20, 60), st.integers(0, 60), st.integers(0, 4))
    return {
        "configuration": number,
        "price": 1.0 + number,
        "latency": latency,
        "cold_start": cold_start,
        "cold_mean": [0.0, 12.0, 0.0][number],
        "cold_deviation": [0.0, 8.0, 0.0][number],
        "latency_spread": [0.0, 0.7, 0.0][number],
        "granted": draw(st.none() | st.integers(0, 12)),
        "replicas": replicas,
        "most_replicas": draw(st.none() | st.integers(max(1, replicas), 5)),
        "schedules": schedules,
        "repeats": draw(st.booleans()),
        "starts": [(now + at, now + at + stay, count) for at, stay, count in draw(st.lists(timed, max_size=3))],
    }


@st.composite
def courses(draw):
    """Draw arrivals, and at some times decisions of some functions; all are decided at the beginning."""
    n, edges = draw(graphs())
    arrivals = draw(arrival_times)
    times = sorted(draw(st.lists(st.integers(-19, 150), max_size=4, unique=True)))
    plan = [(-20, [(f, draw(decisions(-20))) for f in range(n)])]
    plan += [(now, [(f, draw(decisions(now))) for f in range(n) if draw(st.booleans())]) for now in times]
    return arrivals, n, edges, plan, draw(st.booleans())


def follow(case, steps=(), *, horizon=None):
    arrivals, n, edges, plan, announced = case
    options = {"seed": 5, "start": -20, "announced": np.array([announced], np.uint8)}
    simulation = begin(arrivals, functions=[n], edges=edges, **options)
    drained = []
    for now in sorted({*steps, *dict(plan)}):
        simulation.advance(now)
        drained.append(simulation.drain())
        for function, decision in dict(plan).get(now, ()):
            decide(simulation, function, **decision)
    end = simulation.finish(horizon)
    drained.append(simulation.drain())
    requests, instances = map(np.concatenate, zip(*drained, strict=True))
    return simulation, requests, instances, end


@examples(400)
@given(courses())
def test_conservation(case):
    arrivals, n, edges, plan, _ = case
    simulation, requests, instances, end = follow(case)
    served = {(r[0], r[1]): dict(zip(SERVED, r, strict=True)) for r in requests.tolist()}
    assert len(requests) == len(served) == n * len(arrivals)
    for (function, i), request in served.items():
        before = [served[u, i]["finishes"] for u, v in edges if v == function]
        assert request["comes"] == max(before, default=arrivals[i])
        assert request["comes"] <= request["begins"] < request["finishes"] <= end
    last = [max(served[f, i]["finishes"] for f in range(n)) for i in range(len(arrivals))]
    assert simulation.responses.tolist() == [done - at for done, at in zip(last, arrivals, strict=True)]
    assert seen(simulation)["concurrency"] == sum(r["finishes"] - r["comes"] for (f, _), r in served.items() if f == 0)
    for function in range(n):
        own = [dict(zip(ENDED, row, strict=True)) for row in instances[instances[:, 0] == function].tolist()]
        assert sorted(i["serial"] for i in own) == list(range(seen(simulation, function)["cold_starts"]))
        for number, (price, *spent) in simulation.bill(function).items():
            assert price == 1.0 + number
            assert sum(spent) == sum(i["ends"] - i["starts"] for i in own if i["configuration"] == number)
            assert spent[0] == sum(
                min(i["ready"], i["ends"]) - i["starts"] for i in own if i["configuration"] == number
            )
        assert bill(simulation, function)[1] == sum(
            finishes - begins
            for _, begins, finishes in {
                (r["serial"], r["begins"], r["finishes"]) for r in served.values() if r["function"] == function
            }
        )
        for instance in own:
            work = [r for r in served.values() if (r["function"], r["serial"]) == (function, instance["serial"])]
            batches = [
                list(batch) for _, batch in groupby(sorted(work, key=lambda r: r["begins"]), lambda r: r["begins"])
            ]
            assert all(len(batch) == r["batch"] for batch in batches for r in batch)
            times = [instance["ready"], *(t for batch in batches for t in (batch[0]["begins"], batch[0]["finishes"]))]
            assert not work or all(a <= b for a, b in pairwise([*times, instance["ends"]]))
        most = max(decision["most_replicas"] or 10**9 for _, some in plan for f, decision in some if f == function)
        changes = sorted((t, d) for i in own for t, d in ((i["starts"], 1), (i["ends"], -1)))
        assert max(np.cumsum([d for _, d in changes]), default=0) <= most


@examples(300)
@given(courses(), st.sets(st.integers(-20, 200)), st.none() | st.integers(201, 300))
def test_many_small_steps_are_one_big_one(case, steps, horizon):
    def all_of(steps):
        simulation, requests, instances, end = follow(case, steps, horizon=horizon)
        bills = [simulation.bill(f) for f in range(case[1])]
        return simulation.responses.tobytes(), requests.tobytes(), instances.tobytes(), bills, end

    at_once = all_of(())
    if horizon is None:  # then it ends with the last finish, if time has not gone on
        steps = {step for step in steps if step <= at_once[-1]}
    assert all_of(steps) == at_once


def test_steps_of_any_size_pass_on_the_same():
    draw = np.random.default_rng(0)
    arrivals = np.cumsum(draw.exponential(5.0, size=20_000)).astype(np.int64)
    edges = [(0, 1), (0, 2), (1, 3), (2, 3)]
    results = []
    for every in (None, 977):
        simulation = begin(arrivals, functions=[4], edges=edges, seed=3)
        for function in range(4):
            spread = {"latency_spread": 0.5, "cold_mean": 100.0, "cold_deviation": 30.0}
            decide(simulation, function, latency=(10, 14), most_replicas=4 + function, schedules=kept(40), **spread)
        for now in range(0, int(arrivals[-1]), every or 10**9):
            if now >= arrivals[0]:
                simulation.advance(now)
        simulation.finish()
        bills = [simulation.bill(f) for f in range(4)]
        results.append((simulation.responses.tobytes(), *(a.tobytes() for a in simulation.drain()), bills))
    assert results[0] == results[1]


def test_the_future_is_not_shown():
    simulation = begin([0, 500])
    decide(simulation)
    simulation.advance(110)
    assert simulation.responses.tolist() == [-1, -1]
    assert simulation.observe()[1].tolist() == [1]
    simulation.advance(111)
    assert simulation.responses.tolist() == [110, -1]
    simulation.advance(500)
    assert simulation.observe()[1].tolist() == [1]
    assert not simulation.responses.flags.writeable


# --- what does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"functions": np.array([0], np.int32)}, "at least one application"),
        ({"functions": np.array([0, 0], np.int32)}, "at least one function"),
        ({"functions": np.array([1, 2], np.int32)}, "begin with 0"),
        ({"edges": np.array([[0, 1], [1, 0]], np.int32)}, "cycle"),
        ({"edges": np.array([[0, 2]], np.int32)}, "no function 2"),
        ({"edges": np.zeros((1, 3), np.int32)}, "shape"),
        ({"arrivals": np.array([0, 1])}, "end with 2"),
        ({"arrivals": np.array([0, 3])}, "0 to 2"),
        ({"arrivals": np.array([0])}, "rows"),
        ({"at": np.array([1, 0])}, "ascending"),
        ({"at": np.array([0, 2**62])}, "73 years"),
        ({"announced": np.zeros(2, np.uint8)}, "announced"),
        ({"start": 1}, "start"),
    ],
)
def test_a_beginning_that_makes_no_sense_is_refused(change, complaint):
    good = {
        "functions": np.array([0, 2], np.int32),
        "edges": np.array([[0, 1]], np.int32),
        "arrivals": np.array([0, 2]),
        "at": np.array([0, 1]),
    }
    Simulation(**good)
    with pytest.raises(ValueError, match=complaint):
        Simulation(**(good | change))


def test_edges_stay_within_an_application():
    with pytest.raises(ValueError, match="leaves its application"):
        begin([0], [0], edges=[(0, 1)])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"function": 1}, "no function 1"),
        ({"function": -1}, "no function -1"),
        ({"price": -1.0}, "price"),
        ({"price": math.nan}, "price"),
        ({"latency": (0,)}, r"latency\[0\]"),
        ({"latency": (1, 2**62)}, r"latency\[1\]"),
        ({"latency": ()}, "latency"),
        ({"cold_start": -1}, "cold_start"),
        ({"cold_mean": math.inf}, "cold_mean"),
        ({"cold_deviation": 1.0}, "cold_deviation"),
        ({"latency_spread": math.nan}, "latency_spread"),
        ({"granted": -1}, "granted"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": 2, "most_replicas": 1}, "replicas"),
        ({"most_replicas": 0}, "most_replicas"),
        ({"readiness": 3}, "readiness"),
        ({"readiness": ON_ARRIVAL}, "announced"),
        ({"readiness": ON_REQUEST, "schedules": [[]]}, "schedules"),
        ({"schedules": [[(3, 2, 4)]]}, "stay 0"),
        ({"schedules": [[(5, 5, 6), (4, 5, 7)]]}, "stay 1"),
        ({"schedules": [], "stay_offsets": np.array([0, 1])}, "stay_offsets"),
        ({"starts": [(5, 4, 1)]}, "timed_starts"),
        ({"starts": [(5, 6, -1)]}, "timed_starts"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(change, complaint):
    simulation = begin([0])
    if "stay_offsets" in change:
        change = {"stay_offsets": change["stay_offsets"], "stays": np.zeros((0, 3), np.int64), "readiness": PREWARMED}
    with pytest.raises(ValueError, match=complaint):
        decide(simulation, **change)
    decide(simulation)
    assert simulation.finish() == 110


def test_a_configuration_means_one_thing():
    simulation = begin([0])
    decide(simulation)
    with pytest.raises(ValueError, match="configuration 10 already means something else"):
        decide(simulation, price=2.0)
    assert simulation.finish() == 110


def test_what_comes_out_of_turn_is_refused():
    simulation = begin([0])
    with pytest.raises(ValueError, match="function 0 has no decision"):
        simulation.advance(5)
    decide(simulation)
    simulation.advance(5)
    with pytest.raises(ValueError, match="time goes on"):
        simulation.advance(4)
    with pytest.raises(ValueError, match="begun already"):
        simulation.__init__(np.array([0, 1], np.int32), np.zeros((0, 2), np.int32), np.array([0, 0]), np.zeros(0, int))
    with pytest.raises(ValueError, match="146 years"):
        simulation.advance(2**62)
    simulation.finish()
    for late in (lambda: simulation.advance(1000), lambda: decide(simulation), simulation.finish):
        with pytest.raises(ValueError, match="over"):
            late()


def test_times_do_not_overflow():
    long = 2**61 - 1
    simulation = begin([0] * 8)
    decide(simulation, latency=(long,), cold_start=0, most_replicas=1)
    with pytest.raises(ValueError, match="292 years"):
        simulation.finish()
    with pytest.raises(ValueError, match="over"):
        simulation.finish()


def test_control_c_stops_it_and_it_can_go_on():
    arrivals = np.arange(0, 3_000_000 * 7, 7)
    edges = [(0, 1), (1, 2), (2, 3)]
    results = []
    for interrupted in (False, True):
        simulation = begin(arrivals, functions=[4], edges=edges, note_requests=False, note_instances=False)
        for function in range(4):
            decide(simulation, function, schedules=kept(15, 10))
        if interrupted:
            timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
            # What runs in the background of a shell ignores the signal.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                timer.start()
                with pytest.raises(KeyboardInterrupt):
                    simulation.finish()
            finally:
                timer.join()
                signal.signal(signal.SIGINT, before)
            with pytest.raises(ValueError, match="finished first"):
                decide(simulation)
        simulation.finish()
        results.append((simulation.responses.tobytes(), [simulation.bill(f) for f in range(4)]))
    assert results[0] == results[1]
