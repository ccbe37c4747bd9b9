"""Timing against the enumeration of all paths, and the roundings to whole nanoseconds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application, Function
from smiless_core.model.configuration import Readiness
from smiless_core.timing import (
    cold_response,
    nanoseconds_down,
    nanoseconds_up,
    release_terms,
    response_times,
    warm_response,
)
from strategies import dags

EIGHTHS = st.integers(0, 64).map(lambda count: count / 8)  # their sums and differences are exact
FEW = st.integers(0, 2).map(float)  # makes ties


def application(functions, edges, *, sla=10.0):
    names = [f"f{index}" for index in range(functions)]
    named = [(names[before], names[after]) for before, after in edges]
    return Application([Function(name, "p") for name in names], named, sla=sla)


@st.composite
def graphs(draw):
    """Draw an application, and latencies and releases for it."""
    dag = draw(dags(most=7))
    numbers = draw(st.sampled_from([EIGHTHS, FEW]))
    per_function = st.lists(numbers, min_size=dag.functions, max_size=dag.functions)
    release = draw(st.just([0.0] * dag.functions) | per_function)
    return application(dag.functions, dag.edges), draw(per_function), release


def paths(app):
    """Every path of every length, by first function and on to any later one."""

    def onward(path):
        yield path
        for before, after in app.edges:
            if app.index[before] == path[-1]:
                yield from onward((*path, app.index[after]))

    return [path for first in range(len(app.functions)) for path in onward((first,))]


def length(path, latency, release):
    return release[path[0]] + sum(latency[v] for v in path)


def time_of(app, latency, release, bound=None):
    return response_times(app.predecessors, latency, order=app.order, release=release, bound=bound)


# -- The core --------------------------------------------------------------------------------------------


@given(graphs(), EIGHTHS)
def test_times_are_those_of_the_longest_paths(graph, bound):
    app, latency, release = graph
    found = time_of(app, latency, release, bound)
    every = paths(app)
    assert found.latency == max(length(path, latency, release) for path in every)
    for v in range(len(latency)):
        finish = max(length(path, latency, release) for path in every if path[-1] == v)
        tail = max(sum(latency[u] for u in path[1:]) for path in every if path[0] == v)
        assert found.earliest_finish[v] == finish
        assert found.earliest_start[v] == finish - latency[v]
        assert found.latest_finish[v] == bound - tail
        assert found.latest_start[v] == bound - tail - latency[v]
        assert found.slack[v] == bound - tail - finish


@given(graphs(), EIGHTHS)
def test_slack_is_what_a_latency_can_grow_by(graph, margin):
    app, latency, release = graph
    bound = time_of(app, latency, release).latency + margin
    for v, slack in enumerate(time_of(app, latency, release, bound).slack):
        assert slack >= margin
        grown = latency.copy()
        grown[v] += slack
        assert time_of(app, grown, release).latency <= bound
        grown[v] += 1 / 16
        assert time_of(app, grown, release).latency > bound


@given(graphs())
def test_the_critical_path_is_the_preferred_longest_one(graph):
    app, latency, release = graph
    found = time_of(app, latency, release)
    longest = [path for path in paths(app) if length(path, latency, release) == found.latency]
    # Read from its end: the smallest index first, and a predecessor rather than none.
    assert found.critical_path == min(longest, key=lambda path: (*reversed(path), math.inf))
    assert all(found.slack[v] == 0.0 for v in found.critical_path)


@given(graphs())
def test_the_bound_is_the_latency_unless_given(graph):
    app, latency, release = graph
    found = time_of(app, latency, release)
    assert found == time_of(app, latency, release, found.latency)
    assert min(found.slack) == 0.0


@given(graphs())
def test_releases_default_to_the_arrival(graph):
    app, latency, _ = graph
    found = response_times(app.predecessors, latency, order=app.order)
    assert found == time_of(app, latency, [0.0] * len(latency))


def test_arguments_are_left_alone_and_arrays_do():
    latency, release = [1.0, 2.0], [5.0, 0.0]
    found = response_times([[], [0]], latency, order=[0, 1], release=release)
    assert (latency, release) == ([1.0, 2.0], [5.0, 0.0])
    assert found == response_times([[], [0]], np.array(latency), order=np.arange(2), release=np.array(release))


def test_an_endless_bound_leaves_endless_slack():
    found = response_times([[], [0]], [1.0, 2.0], order=[0, 1], bound=math.inf)
    assert found.slack == found.latest_start == (math.inf, math.inf)


def test_a_release_starts_a_critical_path():
    found = response_times([[], [0], [1]], [1.0, 1.0, 1.0], order=[0, 1, 2], release=[0.0, 4.0, 0.0])
    assert found.latency == 6.0
    assert found.critical_path == (1, 2)
    assert found.slack == (3.0, 0.0, 0.0)


def test_a_predecessor_goes_before_a_release_and_a_small_index_before_a_large_one():
    assert response_times([[], [0]], [2.0, 1.0], order=[0, 1], release=[0.0, 2.0]).critical_path == (0, 1)
    assert response_times([[], [], [0, 1]], [2.0, 2.0, 1.0], order=[0, 1, 2]).critical_path == (0, 2)
    assert response_times([[], []], [2.0, 2.0], order=[0, 1]).critical_path == (0,)


def test_a_thousand_functions():
    found = response_times([[v - 1] if v else [] for v in range(1000)], [0.5] * 1000, order=range(1000))
    assert found.latency == 500.0
    assert found.critical_path == tuple(range(1000))


# -- Responses -------------------------------------------------------------------------------------------

PAIR = Application.chain("a", "b", sla=5.0)
PAIR_TIMES = {"latency": {"a": 1.0, "b": 1.0}, "cold_start": {"a": 2.0, "b": 1.0}}


@pytest.mark.parametrize(
    ("a", "b", "response"),
    [
        ("on_request", "on_arrival", 4.0),
        ("on_request", "prewarmed", 4.0),
        ("prewarmed", "on_arrival", 2.0),
        ("prewarmed", "on_request", 3.0),
        ("prewarmed", "prewarmed", 2.0),
        ("on_request", "on_request", 5.0),
        ("on_arrival", "on_arrival", 4.0),
    ],
)
def test_the_response_of_two_functions_in_a_chain(a, b, response):
    readiness = {"a": Readiness(a), "b": Readiness(b)}
    found = warm_response(PAIR, **PAIR_TIMES, readiness=readiness)
    assert found.latency == response
    assert max(found.latest_finish) == 5.0


def test_a_cold_response_overlaps_cold_starts_only_where_arrivals_are_announced():
    assert cold_response(PAIR, **PAIR_TIMES).latency == 5.0
    assert cold_response(PAIR, **PAIR_TIMES, announces_arrivals=True).latency == 4.0
    slow = {"latency": [1.0, 1.0], "cold_start": [2.0, 9.0]}
    assert cold_response(PAIR, **slow).latency == 13.0
    announced = cold_response(PAIR, **slow, announces_arrivals=True)
    assert announced.latency == 10.0
    assert announced.critical_path == (1,)


@given(graphs(), st.data())
def test_responses_follow_the_three_readinesses(graph, data):
    app, latency, cold_start = graph
    readiness = [data.draw(st.sampled_from(Readiness)) for _ in latency]

    def finish(v, ready):
        reached = max((finish(u, ready) for u in app.predecessors[v]), default=0.0)
        if ready[v] == "on_arrival":
            return max(reached, cold_start[v]) + latency[v]
        return reached + (cold_start[v] if ready[v] == "on_request" else 0.0) + latency[v]

    def finishes(ready):
        return tuple(finish(v, ready) for v in range(len(latency)))

    named = [dict(zip(app.names, values, strict=True)) for values in (latency, cold_start, readiness)]
    found = warm_response(app, named[0], cold_start=named[1], readiness=named[2])
    assert found.earliest_finish == finishes(readiness)
    assert found == warm_response(app, latency, cold_start=cold_start, readiness=readiness, bound=app.sla)
    warm = warm_response(app, latency, cold_start=cold_start)
    assert warm.earliest_finish == finishes(["prewarmed"] * len(latency))
    cold = cold_response(app, latency, cold_start=cold_start, bound=7.0)
    assert cold.earliest_finish == finishes(["on_request"] * len(latency))
    assert max(cold.latest_finish) == 7.0
    announced = cold_response(app, latency, cold_start=cold_start, announces_arrivals=True)
    assert announced.earliest_finish == finishes(["on_arrival"] * len(latency))
    assert warm.latency <= found.latency <= cold.latency
    assert announced.latency <= cold.latency


def test_release_terms():
    assert release_terms(Readiness.PREWARMED, 1.0, cold_start=2.0) == (0.0, 1.0)
    assert release_terms(Readiness.ON_ARRIVAL, 1.0, cold_start=2.0) == (2.0, 1.0)
    assert release_terms(Readiness.ON_REQUEST, 1.0, cold_start=2.0) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latency": {"a": 1.0}}, "latency: no value for function 'b'"),
        ({"latency": {"a": 1.0, "b": 1.0, "bb": 1.0}}, "latency: no function named 'bb' (did you mean 'b'?)"),
        ({"latency": [1.0]}, "latency: expected 2 values, one per function, got 1"),
        ({"latency": [1.0, math.nan]}, "latency['b']: expected a finite number of at least 0, got nan"),
        ({"cold_start": [-1.0, 1.0]}, "cold_start['a']: expected a finite number of at least 0, got -1.0"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(InvalidInputError) as raised:
        cold_response(PAIR, **{**PAIR_TIMES, **changes})
    assert str(raised.value) == message


def test_a_wrong_readiness_is_named():
    with pytest.raises(InvalidInputError, match="readiness: no readiness named 'warm'"):
        warm_response(PAIR, **PAIR_TIMES, readiness=["warm", "prewarmed"])


# -- Whole nanoseconds -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=3))
def test_sums_of_whole_nanoseconds_stay_whole(parts):
    seconds = sum(part / 1e9 for part in parts)
    assert nanoseconds_up(seconds) == nanoseconds_down(seconds) == sum(parts)


@given(st.integers(0, 10**12), st.integers(1, 999))
def test_parts_of_a_nanosecond_are_rounded(whole, thousandths):
    seconds = (whole * 1000 + thousandths) / 1e12
    assert nanoseconds_down(seconds) == whole
    assert nanoseconds_up(seconds) == whole + 1


@given(st.integers(1, 2**50))
def test_four_units_in_the_last_place_are_the_limit(whole):
    for steps in range(-8, 9):
        seconds = whole / 1e9 + steps * math.ulp(whole / 1e9)
        scaled = seconds * 1e9
        snaps = abs(Fraction(scaled) - round(scaled)) <= 4 * Fraction(math.ulp(scaled))
        assert nanoseconds_up(seconds) == (round(scaled) if snaps else math.ceil(scaled))
        assert nanoseconds_down(seconds) == (round(scaled) if snaps else math.floor(scaled))


@given(st.lists(st.floats(-9e9, 9e9) | st.floats(0.0, 1e-6) | st.integers(0, 10**10).map(lambda n: n / 1e9)))
def test_arrays_are_rounded_like_numbers(values):
    array = np.array(values, dtype=np.float64)
    for rounded in (nanoseconds_up, nanoseconds_down):
        found = rounded(array)
        assert found.dtype == np.int64
        assert found.tolist() == [rounded(value) for value in values]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 9.3e9, 1e300])
def test_what_an_int64_cannot_hold_is_refused(seconds):
    for rounded in (nanoseconds_up, nanoseconds_down):
        with pytest.raises(InvalidInputError, match=f"got {seconds:g}".replace("+", r"\+")):
            rounded(seconds)
        with pytest.raises(InvalidInputError, match=f"got {seconds:g}".replace("+", r"\+")):
            rounded(np.array([[1.0, seconds]]))
