"""Arrivals out of counters: exact through resets, gaps and new series, and told again for the same cursor."""

import asyncio
import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_gateway import FakeGateway
from smiless_core import InvalidInputError
from smiless_core.adapters.prometheus import (
    KNATIVE_BEFORE_1_19,
    KNATIVE_SINCE_1_19,
    OPENFAAS,
    CountedArrivals,
    Prometheus,
    Series,
)
from smiless_core.errors import PlatformError


class Readings:
    """A Prometheus that has what is put into it."""

    def __init__(self, **series):
        self.series = {name: list(readings) for name, readings in series.items()}
        self.asked = []

    async def readings(self, selector, *, window, at, doing):
        self.asked.append((at - window, at))
        return tuple(
            Series({"pod": name}, tuple(each for each in readings if at - window < each[0] <= at))
            for name, readings in self.series.items()
        )


class Clock:
    def __init__(self, time):
        self.time = time

    def __call__(self):
        return self.time


def told(source, clock, cursor, **settings):
    own = settings.pop("own", ())
    return asyncio.run(CountedArrivals(source, now=clock, **settings).since("metric", cursor, own=own))


def test_it_begins_now():
    begin = told(Readings(a=[(90.0, 7.0)]), Clock(100.0), "")
    assert (begin.times, begin.lost) == ((), 0)


def test_what_came_between_two_readings_is_spread_evenly():
    source, clock = Readings(a=[(100.0, 7.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["a"] += [(110.0, 7.0), (120.0, 11.0)]
    clock.time = 125.0
    more = told(source, clock, begin.cursor)
    assert more.times == (111.25, 113.75, 116.25, 118.75)
    assert told(source, clock, begin.cursor) == more, "the same again"
    assert told(source, clock, more.cursor).times == ()


def test_series_are_added_up():
    source, clock = Readings(a=[(100.0, 7.0)], b=[(100.0, 70.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["a"].append((110.0, 9.0))
    source.series["b"].append((112.0, 71.0))
    clock.time = 112.0
    more = told(source, clock, begin.cursor)
    assert more.times == (102.5, 106.0, 107.5)


def test_a_counter_that_begins_again_loses_nothing_and_tells_nothing_twice():
    source, clock = Readings(a=[(100.0, 7.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["a"] += [(110.0, 9.0), (120.0, 3.0), (130.0, 3.0), (140.0, 0.0), (150.0, 1.0)]
    clock.time = 150.0
    # 2 before the reset, 3 after it, none at the next, and 1.
    assert len(told(source, clock, begin.cursor).times) == 6
    cursor, steps = begin.cursor, 0
    for clock.time in (110.0, 115.0, 125.0, 135.0, 141.0, 155.0):
        more = told(source, clock, cursor)
        cursor, steps = more.cursor, steps + len(more.times)
    assert steps == 6


def test_a_new_series_has_begun_at_nothing():
    source, clock = Readings(a=[(100.0, 7.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["b"] = [(110.0, 3.0)]  # another code of answers, or another pod: increase() would not see these 3
    clock.time = 110.0
    assert told(source, clock, begin.cursor).times == pytest.approx([100 + 10 / 6, 105.0, 110 - 10 / 6])


def test_readings_may_be_missing():
    source, clock = Readings(a=[(100.0, 7.0)]), Clock(100.0)
    begin = told(source, clock, "")
    for clock.time in (115.0, 1000.0, 2000.0):  # down, and long since forgotten by an instant query
        more = told(source, clock, begin.cursor)
        assert more.times == ()
        begin = more
    source.series["a"].append((2005.0, 9.0))
    clock.time = 2010.0
    more = told(source, clock, begin.cursor)
    assert len(more.times) == 2
    assert 100.0 < more.times[0] < more.times[1] < 2005.0


def test_after_a_long_break_their_number_is_known_and_not_their_times():
    source, clock = Readings(a=[(100.0, 7.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["a"] += [(110.0, 8.0), (90000.0, 20.0), (90010.0, 21.0)]
    clock.time = 90010.0
    more = told(source, clock, begin.cursor)
    assert more.lost == 13
    assert more.times == (90005.0,)
    assert source.asked[-1][0] >= clock.time - 3600.0, "no more is asked for than is looked at"


def test_a_counter_that_leaps_does_not_fill_the_memory():
    source, clock = Readings(a=[(100.0, 7.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["a"].append((110.0, 1e300))
    clock.time = 110.0
    more = told(source, clock, begin.cursor, most=10)
    assert len(more.times) == 10
    assert more.lost == round(1e300 - 7.0) - 10


def test_readings_that_come_late_are_told_after_what_was_told():
    source, clock = Readings(a=[(100.0, 0.0)], b=[(100.0, 0.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series["a"].append((110.0, 1.0))
    clock.time = 111.0
    first = told(source, clock, begin.cursor)
    source.series["b"].append((109.0, 2.0))
    clock.time = 121.0
    second = told(source, clock, first.cursor)
    assert second.times == (110.0, 110.0)


def test_requests_of_our_own_are_taken_out():
    source, clock = Readings(a=[(100.0, 5.0)]), Clock(102.0)
    begin = told(source, clock, "", own=[99.0])
    own = [99.0, 101.0, 118.0]
    source.series["a"].append((110.0, 9.0))
    clock.time = 111.0
    first = told(source, clock, begin.cursor, own=own)
    assert len(first.times) == 3, "of the four one is ours, and one of ours was counted before"
    assert first.times[0] > 102.0, "the nearest one was ours"
    source.series["a"].append((120.0, 9.0))  # ours of 118 has not been counted yet
    clock.time = 121.0
    second = told(source, clock, first.cursor, own=own)
    assert second.times == ()
    source.series["a"].append((130.0, 12.0))
    clock.time = 131.0
    third = told(source, clock, second.cursor, own=own)
    assert len(third.times) == 2
    source.series["a"].append((140.0, 15.0))
    clock.time = 141.0
    assert len(told(source, clock, third.cursor, own=own).times) == 3


def test_requests_of_our_own_that_are_never_counted_do_not_hide_others_for_ever():
    source, clock = Readings(a=[(100.0, 5.0)]), Clock(100.0)
    own = [100.5] * 50
    cursor = told(source, clock, "").cursor
    for clock.time in (110.0, 120.0):
        source.series["a"].append((clock.time, 5.0))
        cursor = told(source, clock, cursor, own=own).cursor
    source.series["a"].append((130.0, 8.0))
    clock.time = 130.0
    assert len(told(source, clock, cursor, own=own).times) == 3


def test_series_that_are_gone_for_a_week_are_forgotten():
    source, clock = Readings(a=[(100.0, 5.0)], b=[(100.0, 5.0)]), Clock(100.0)
    begin = told(source, clock, "")
    source.series = {"a": [(8 * 86400.0, 5.0)]}
    clock.time = 8 * 86400.0
    assert len(json.loads(told(source, clock, begin.cursor).cursor)["counts"]) == 1


@pytest.mark.parametrize(
    "cursor", ["x", "{}", '{"at": 1}', '{"at": "now", "seen": 0, "counts": {}}', "[1, 2]", "\ud800"]
)
def test_cursors_are_checked(cursor):
    with pytest.raises(InvalidInputError, match="since: expected the cursor"):
        told(Readings(), Clock(0.0), cursor)


@st.composite
def histories(draw):
    """Some pods with a counter each, which begin again now and then, and when they were read."""
    pods = {}
    for pod in range(draw(st.integers(1, 3))):
        when, count, seen, readings = draw(st.integers(1, 20)), 0, 0, []
        for _ in range(draw(st.integers(1, 12))):
            gained = draw(st.integers(0, 5))
            if draw(st.booleans()) and readings:
                # What it gained before it ended is read, or nobody could know; and a counter that has more at once
                # than before has not begun again, to anyone who looks at it.
                count = 0
                gained = min(gained, max(readings[-1][1] - 1, 0))
            count += gained
            seen += gained
            readings.append((float(when), count))
            when += draw(st.integers(1, 15))
        pods[f"pod-{pod}"] = (readings, seen)
    return pods


@given(histories(), st.lists(st.integers(1, 200), max_size=8))
def test_however_it_is_asked_the_sum_is_exact(pods, moments):
    end = 260.0
    total = sum(seen for _, seen in pods.values())
    source, clock = Readings(**{name: readings for name, (readings, _) in pods.items()}), Clock(0.0)
    cursor, times = told(source, clock, "").cursor, []
    for clock.time in [*sorted(map(float, moments)), end]:
        more = told(source, clock, cursor)
        assert told(source, clock, cursor) == more
        assert not more.lost
        assert all(each <= clock.time for each in more.times)
        times += more.times
        cursor = more.cursor
    assert len(times) == total
    assert times == sorted(times)


# --- names and the client --------------------------------------------------------------------------------------------


def test_names_are_quoted():
    assert (
        OPENFAAS.counter("a-b", "fn", finished=True)
        == r'{__name__="gateway_function_invocation_total",function_name=~"a\\-b([.]fn)?"}'
    )
    assert KNATIVE_BEFORE_1_19.counter('a"b\\', "n\n") == (
        r'{__name__="revision_request_count",service_name="a\"b\\",namespace_name="n\n"}'
    )
    assert KNATIVE_SINCE_1_19.counter("a", "n") == (
        '{__name__="http_server_request_duration_seconds_count",kn_service_name="a",k8s_namespace_name="n",'
        'container_name="queue-proxy"}'
    )
    assert KNATIVE_SINCE_1_19.in_flight("a", "n") is None


def asked(fault=None, expression='sum({__name__="a"}) - (sum({__name__="b"}) or vector(0))', **settings):
    async def run():
        async with FakeGateway() as fake:
            if fault is not None:
                fake.fail(fault, times=2)
            prometheus = Prometheus(fake.url, now=time.time, timeout=0.5, **settings)
            try:
                return await prometheus.query(expression, at=5.0)
            finally:
                await prometheus.close()

    return asyncio.run(run())


def test_nothing_is_nothing():
    assert asked() == ()


GOOD = '{"status": "success", "data": {"resultType": "vector", "result": %s}}'


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("500", "prometheus: query: it answers 500"),
        ("401", "refuses the user or the password"),
        ("reset", "the connection failed"),
        ("slow body", "no whole answer"),
        ("endless", "it answers more than"),
        ("", "an empty body"),
        ('{"status": "error", "error": "x"}', "makes no sense"),
        ('{"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}', "makes no sense"),
        (GOOD % '[{"metric": {}, "value": [1, "lots"]}]', "makes no sense: 'lots' is no number"),
        (GOOD % '[{"metric": {}, "value": [1, 1]}]', "makes no sense"),
        (GOOD % '[{"metric": 5, "value": [1, "1"]}]', "makes no sense"),
    ],
)
def test_faults_are_errors_of_one_line(fault, complaint):
    with pytest.raises(PlatformError) as caught:
        asked(fault)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_finite_number_is_left_out():
    (series,) = asked(GOOD % '[{"metric": {"a": "b"}, "value": [1, "NaN"]}]')
    assert series == Series({"a": "b"}, ())
    (series,) = asked(
        '{"status": "success", "data": {"resultType": "matrix", "result": '
        '[{"values": [[2, "3"], [1, "+Inf"], [0, "1"]]}]}}'
    )
    assert series.readings == ((0.0, 1.0), (2.0, 3.0))
    assert all(math.isfinite(value) for _, value in series.readings)
