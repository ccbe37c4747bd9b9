"""The auto-scaler against an enumeration of its own in exact fractions, and scaling in."""

import doctest
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems import hardware_profile
from smiless_core import autoscaler
from smiless_core.autoscaler import Autoscaler, RecentWants, scale, scale_in
from smiless_core.catalog import profiles
from smiless_core.errors import InfeasibleError, InvalidInputError
from smiless_core.model import Configuration, HardwareProfile, Prices, Profile
from strategies import examples

PRICES = Prices(cpu=1.0, gpu=16.0)


def profile(cpu=None, gpu=None):
    """Return a profile of hardware profiles given as changes to the one on a single core."""
    models = {"cpu": cpu, "gpu": gpu}
    return Profile("detect", {kind: hardware_profile(**each) for kind, each in models.items() if each is not None})


# -- the oracle: every number of instances of everything, one request after the other --------------------

EIGHTHS = st.integers(0, 12).map(lambda eighths: eighths / 8)


@st.composite
def models(draw, sizes):
    terms = {name: draw(EIGHTHS) for name in ("alpha", "beta", "gamma", "dispatch")}
    if not any(terms[name] for name in ("alpha", "beta", "gamma")):
        terms["gamma"] = 0.125
    return HardwareProfile(
        **terms,
        cold_start_mean=1.0,
        sizes=draw(st.lists(st.sampled_from(sizes), min_size=1, max_size=3, unique=True)),
        batches=draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True)),
    )


@st.composite
def questions(draw):
    kinds = {"cpu": models((1, 2, 4, 8)), "gpu": models((0.125, 0.25, 0.5, 1.0))}
    offered = draw(st.sampled_from([("cpu",), ("gpu",), ("cpu", "gpu")]))
    return {
        "profile": Profile("detect", {kind: draw(kinds[kind]) for kind in offered}),
        "prices": Prices(cpu=draw(st.sampled_from([0.0, 1.0, 2.0])), gpu=draw(st.sampled_from([1.0, 8.0, 16.0]))),
        "requests": draw(st.integers(0, 60)),
        "granted": draw(st.integers(1, 60)) / 8,
        "interval": draw(st.none() | st.integers(1, 40).map(lambda eighths: eighths / 8)),
        "filling": draw(st.booleans()),
        "max_replicas": draw(st.none() | st.integers(1, 12)),
    }


def enumerated(question):
    """Return all that can be had, with what it is judged by: (cost, latency, replicas, order), configuration, time."""
    found = []
    wanted, interval = question["requests"], question["interval"]
    if not wanted:
        wanted, interval = 1, None
    order = 0
    for kind in ("cpu", "gpu"):
        model = question["profile"].hardware.get(kind)
        for size in model.sizes if model else ():
            for batch in model.batches:
                order += 1
                work = Fraction(model.alpha) / Fraction(size) + Fraction(model.beta)
                latency = batch * work + Fraction(model.gamma) + Fraction(model.dispatch)
                time, replicas = latency, 1
                if interval is None:
                    while replicas * batch < wanted:
                        replicas += 1
                else:
                    # Requests per second that so many instances can serve, against those that come.
                    while replicas * batch * Fraction(interval) < wanted * latency:
                        replicas += 1
                    if question["filling"]:
                        time += (batch - 1) * Fraction(interval) / wanted
                price = Fraction(question["prices"][kind]) * Fraction(size)
                found.append(((replicas * price, latency, replicas, order), Configuration(kind, size, batch), time))
    return found


def allowed(found, question):
    most = question["max_replicas"]
    return [each for each in found if most is None or each[0][2] <= most]


# The wait for a batch to fill need not be whole nanoseconds: what hangs on one is not for the oracle to say.
NANOSECOND = Fraction(1, 10**9)


@examples(200)
@given(questions())
def test_the_cheapest_of_all_there_is(question):
    found = enumerated(question)
    fits = allowed(found, question)
    granted = Fraction(question["granted"])
    if any(0 < time - granted < 2 * NANOSECOND or 0 < granted - time < 2 * NANOSECOND for _, _, time in found):
        return
    within = [each for each in fits if each[2] <= granted]
    if not within:
        with pytest.raises(InfeasibleError) as error:
            scale(**question)
        shortest = min((float(time) for _, _, time in fits), default=math.inf)
        assert error.value.shortest_latency == pytest.approx(shortest, abs=2e-9)
        assert error.value.limited_by == ("detect",)
        return
    (cost, latency, replicas, _), configuration, _ = min(within)
    scaling = scale(**question)
    assert scaling.configuration == configuration
    assert scaling.latency == pytest.approx(float(latency), abs=1e-9)
    if question["requests"]:
        assert scaling.replicas == replicas
        assert scaling.cost_per_second == pytest.approx(float(cost))
    else:
        assert (scaling.replicas, scaling.cost_per_second, scaling.wait) == (0, 0.0, 0.0)


@examples(100)
@given(questions())
def test_the_closest_is_the_cheapest_where_there_is_one(question):
    granted, requests = question.pop("granted"), question.pop("requests")
    interval, filling = question.pop("interval"), question.pop("filling")
    asked = Autoscaler(**question)
    closest = asked.closest(requests, granted, interval=interval, filling=filling)
    most = question["max_replicas"]
    assert most is None or closest.replicas <= most
    try:
        assert closest == asked.scale(requests, granted, interval=interval, filling=filling)
    except InfeasibleError as error:
        shortest = error.shortest_latency
        if closest.replicas != most and shortest < math.inf:  # it is but too slow: to grant it is all it takes
            assert closest == asked.scale(requests, shortest, interval=interval, filling=filling)


@examples(60)
@given(questions())
def test_more_requests_never_cost_less_nor_does_a_tighter_grant(question):
    question.update(filling=False, max_replicas=None)
    question["granted"] += 130.0
    here = scale(**question)
    assert here.cost_per_second <= scale(**{**question, "requests": question["requests"] + 1}).cost_per_second
    try:
        tighter = scale(**{**question, "granted": here.latency * 0.9})
    except InfeasibleError:
        return
    assert tighter.latency < here.latency
    assert tighter.cost_per_second >= here.cost_per_second


# -- what is easily got wrong --------------------


def test_bisection_over_the_batch_misses_the_best_one():
    """Each batch on the smallest size that is fast enough for it: the cost goes up and down."""
    only = profile(
        cpu={"alpha": 0.25, "beta": 0.0, "gamma": 0.25, "sizes": (1, 2, 4, 8), "batches": tuple(range(1, 9))}
    )
    asked = {"requests": 9, "granted": 1.0}
    cost = {batch: scale(only, PRICES, batches=[batch], **asked).cost_per_second for batch in range(1, 9)}
    assert list(cost.values()) == [9.0, 5.0, 3.0, 6.0, 4.0, 4.0, 8.0, 8.0]

    low, high = 1, 8
    while low < high:  # to where the cost begins to rise, if it did so once
        middle = (low + high) // 2
        low, high = (low, middle) if cost[middle] <= cost[middle + 1] else (middle + 1, high)
    assert cost[low] == 4.0
    best = scale(only, PRICES, **asked)
    assert (best.configuration, best.replicas, best.cost_per_second) == (Configuration("cpu", 1, batch=3), 3, 3.0)


def test_whole_instances_are_not_rounded_up_for_rounding():
    # 3 * 0.1 is a little more than 0.3 in floats, and 0.7 * 10 a little less than 7.
    only = profile(cpu={"alpha": 0.0, "beta": 0.1, "sizes": (1,)})
    assert scale(only, PRICES, requests=3, granted=0.1, interval=0.3).replicas == 1
    assert scale(only, PRICES, requests=3, granted=0.1, interval=0.29999).replicas == 2
    only = profile(cpu={"alpha": 0.0, "beta": 0.7, "sizes": (1,)})
    assert scale(only, PRICES, requests=10, granted=0.7, interval=1.0).replicas == 7


def test_of_those_that_cost_the_same_the_fastest_is_taken():
    same = profile(cpu={"alpha": 1.0, "beta": 0.0, "sizes": (1, 4), "batches": (1, 4)})
    # Four instances of one core, or one of four cores, at the same latency: the fewest.
    chosen = scale(same, PRICES, requests=4, granted=1.0)
    assert (chosen.configuration, chosen.replicas) == (Configuration("cpu", 4, batch=4), 1)
    # Where requests are spread, four cores serve one at a time, four times as fast.
    chosen = scale(same, PRICES, requests=4, granted=9.0, interval=1.0)
    assert (chosen.configuration, chosen.replicas) == (Configuration("cpu", 4, batch=1), 1)
    free = scale(same, Prices(cpu=0.0, gpu=0.0), requests=4, granted=9.0)
    assert (free.configuration, free.replicas) == (Configuration("cpu", 4, batch=1), 4)


def test_rounding_does_not_decide_between_costs():
    # 0.1 * 3 is more than 0.3 in floats. Those that cost the same differ in latency, the faster being the rounded one.
    prices = Prices(cpu=0.1, gpu=0.3)
    both = profile(
        cpu={"alpha": 0.0, "beta": 0.5, "sizes": (1,)},
        gpu={"alpha": 0.0, "beta": 0.75, "sizes": (1.0,), "batches": (3,)},
    )
    assert 3 * prices.cpu > prices.gpu
    chosen = scale(both, prices, requests=3, granted=9.0)
    assert (chosen.configuration, chosen.replicas) == (Configuration("cpu", 1), 3)


def test_a_batch_takes_time_to_fill_where_requests_are_spread():
    only = profile(cpu={"alpha": 0.0, "beta": 0.125, "gamma": 0.5, "sizes": (1,), "batches": (1, 2, 4)})
    asked = {"requests": 4, "granted": 1.0, "interval": 2.0}
    begun = scale(only, PRICES, **asked)
    assert (begun.configuration.batch, begun.replicas, begun.latency, begun.wait) == (2, 1, 0.75, 0.5)
    filled = scale(only, PRICES, filling=True, **asked)
    assert (filled.configuration.batch, filled.replicas, filled.latency, filled.wait) == (1, 2, 0.625, 0.0)
    assert scale(only, PRICES, requests=4, granted=1.0, filling=True).wait == 0.0  # all at once


# -- edges --------------------


def test_no_requests_are_always_served():
    only = profile(cpu={})
    assert scale(only, PRICES, requests=0, granted=9.0, interval=0.1, max_replicas=1).replicas == 0
    with pytest.raises(InfeasibleError):
        scale(only, PRICES, requests=1, granted=9.0, interval=0.1, max_replicas=1)  # and another one after that


def test_for_no_requests_there_are_no_instances_of_what_is_best_for_one():
    one, none = (scale(profiles()["distilbert"], PRICES, requests=count, granted=1.0) for count in (1, 0))
    assert one.replicas == 1
    assert none == one.replace(replicas=0, cost_per_second=0.0)


@pytest.mark.parametrize("interval", [None, 1e-9, 1.0, 4.6e9])
def test_very_many_requests(interval):
    only = profile(cpu={"batches": (1, 7)})
    scaling = scale(only, PRICES, requests=10**15, granted=100.0, interval=interval)
    assert math.isfinite(scaling.cost_per_second)
    if interval is None:
        assert (scaling.configuration.batch, scaling.replicas) == (7, -(-(10**15) // 7))
    with pytest.raises(InvalidInputError, match="requests"):
        scale(only, PRICES, requests=10**400, granted=100.0)
    with pytest.raises(InfeasibleError, match="not enough for 1000000000000000 requests") as error:
        scale(only, PRICES, requests=10**15, granted=100.0, interval=interval and 1.0, max_replicas=1000)
    assert error.value.shortest_latency == math.inf


def test_what_is_too_short_names_the_shortest():
    only = profile(cpu={"sizes": (1, 2)}, gpu={"sizes": (0.5, 1.0), "beta": 0.125})
    shortest = r"within 0\.5 s: the shortest latency that can be reached is 0\.625 s"
    with pytest.raises(InfeasibleError, match=shortest) as error:
        scale(only, PRICES, requests=3, granted=0.5)
    assert error.value.shortest_latency == 0.625
    assert scale(only, PRICES, requests=3, granted=0.625).configuration == Configuration("gpu", 1.0)


def test_fewer_instances_take_a_larger_batch_and_then_more_time():
    only = profile(cpu={"alpha": 0.0, "beta": 0.5, "sizes": (1,), "batches": (1, 2, 4)})
    with pytest.raises(InfeasibleError, match="max_replicas = 2") as error:
        scale(only, PRICES, requests=8, granted=1.0, max_replicas=2)
    assert error.value.shortest_latency == 2.0
    assert scale(only, PRICES, requests=8, granted=2.0, max_replicas=2).replicas == 2
    closest = Autoscaler(only, PRICES, max_replicas=2).closest(8, 1.0)
    assert (closest.configuration.batch, closest.replicas) == (2, 2)  # four of the eight in time
    closest = Autoscaler(only, PRICES, max_replicas=2).closest(8, 0.1)
    assert (closest.configuration.batch, closest.replicas, closest.latency) == (1, 2, 0.5)


def test_sizes_and_batches_on_offer():
    both = profile(cpu={"sizes": (1, 4), "batches": (1, 8)}, gpu={"sizes": (0.5, 1.0)})
    on_two = scale(both, PRICES, requests=1, granted=9.0, sizes={"cpu": [2, 64]})
    assert on_two.configuration == Configuration("cpu", 2)
    assert scale(both, PRICES, requests=6, granted=9.0, batches=[3, 9]).configuration == Configuration(
        "cpu", 1, batch=3
    )
    assert scale(both, PRICES, requests=1, granted=9.0, sizes={"gpu": (1.0,)}).configuration == Configuration(
        "gpu", 1.0
    )
    for nothing in ({"sizes": {"cpu": [64]}}, {"sizes": {}}, {"batches": [9]}, {"batches": []}):
        with pytest.raises(InvalidInputError, match="nothing on offer"):
            scale(both, PRICES, requests=1, granted=9.0, **nothing)


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": -1},
        {"requests": 1.5},
        {"granted": 0.0},
        {"granted": math.inf},
        {"interval": 0.0},
        {"interval": math.nan},
        {"filling": 1},
        {"max_replicas": 0},
        {"sizes": {"tpu": [1]}},
        {"sizes": [1]},
        {"sizes": {"gpu": [2.0]}},
        {"batches": [0]},
        {"profile": "distilbert"},
        {"prices": 1.0},
    ],
)
def test_wrong_arguments_are_named(wrong):
    asked = {"profile": profile(cpu={}), "prices": PRICES, "requests": 1, "granted": 1.0, "interval": 1.0}
    with pytest.raises(InvalidInputError) as error:
        scale(**{**asked, **wrong})
    assert error.value.place.startswith(next(iter(wrong)))


def test_the_examples_are_right():
    names = {"Profile": Profile, "HardwareProfile": HardwareProfile, "Prices": Prices}
    assert doctest.testmod(autoscaler, extraglobs=names).failed == 0


# -- scaling in --------------------


@given(st.integers(0, 50), st.integers(0, 60), st.data())
def test_nothing_that_works_is_let_go(replicas, wanted, data):
    busy = data.draw(st.integers(0, replicas))
    going = scale_in(replicas, wanted, busy=busy)
    assert 0 <= going <= replicas - busy
    left = replicas - going
    assert left == max(min(replicas, wanted), busy)


@pytest.mark.parametrize("wrong", [(-1, 0, 0), (1, -1, 0), (1, 0, 2), (1, 0, -1)])
def test_wrong_numbers_of_instances_are_refused(wrong):
    replicas, wanted, busy = wrong
    with pytest.raises(InvalidInputError):
        scale_in(replicas, wanted, busy=busy)


WANTS = st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 5)), min_size=1, max_size=40)


@examples(100)
@given(WANTS, st.sampled_from([0.0, 0.5, 4.0, 10.0]))
def test_the_most_within_the_window(steps, window):
    recent = RecentWants(window)
    noted: list[tuple[float, int]] = []
    now = 0.0
    for step, wanted in steps:
        now += step
        if step < 0:  # set back: all that was remembered is as of now
            noted = [(now, count) for when, count in noted if when >= now - step - window]
        noted.append((now, wanted))
        assert recent.most(now, wanted) == max(count for when, count in noted if when >= now - window)


def test_a_lull_shorter_than_the_window_lets_nothing_go():
    recent = RecentWants(3.0)
    going = [scale_in(4, recent.most(t, wanted), busy=0) for t, wanted in enumerate([4, 0, 0, 0, 0, 0])]
    assert going == [0, 0, 0, 0, 4, 4]


def test_memory_is_bounded_by_what_is_wanted():
    recent = RecentWants(1e9)
    for t in range(5000):
        recent.most(float(t), t % 7)
    assert len(recent._falling) <= 7


@pytest.mark.parametrize("wrong", [-1.0, math.inf, None])
def test_a_wrong_window_is_refused(wrong):
    with pytest.raises(InvalidInputError, match="window"):
        RecentWants(wrong)
