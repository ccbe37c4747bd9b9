"""Traces: exact nanoseconds inside, seconds outside."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.arrivals import Arrivals
from smiless_core.errors import InvalidInputError
from smiless_core.model import Trace

NAN = float("nan")


@given(st.lists(st.floats(-4e9, 4e9), max_size=30))
def test_seconds_become_sorted_whole_nanoseconds(seconds: list[float]) -> None:
    trace = Trace.from_seconds(seconds, name="drawn")
    exact = sorted(seconds)
    assert trace.count == len(seconds)
    assert trace.times.dtype == np.int64
    assert np.all(np.diff(trace.times) >= 0)
    for time, second in zip(trace.times.tolist(), exact, strict=True):
        numerator, denominator = second.as_integer_ratio()
        assert abs(time * denominator - numerator * 10**9) <= denominator  # within one nanosecond, exactly


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=30))
def test_what_is_told_of_the_gaps(times: list[int]) -> None:
    trace = Trace(np.sort(np.array(times, dtype=np.int64)))
    ordered = sorted(times)
    gaps = [(b - a) / 1e9 for a, b in pairwise(ordered)]
    assert trace.inter_arrivals.tolist() == gaps
    assert trace.span == (ordered[-1] - ordered[0]) / 1e9
    assert trace.interval == trace.span / (len(times) - 1)
    assert trace.seconds.tolist() == [time / 1e9 for time in ordered]
    if trace.span > 0:
        assert trace.arrivals() == Arrivals.smoothed(gaps)
        assert trace.arrivals(exact=True) == Arrivals.empirical(gaps)
        assert trace.rate == 1.0 / trace.interval


def test_seconds_since_1970_keep_their_last_digits() -> None:
    trace = Trace.from_seconds([1_700_000_000.25, 1_700_000_000.5])
    assert trace.times.tolist() == [1_700_000_000_250_000_000, 1_700_000_000_500_000_000]


def test_few_arrivals_have_a_span_but_no_interval() -> None:
    for seconds, message in (
        ([], "quiet: an interval takes two arrivals, got 0"),
        ([3.0], "quiet: an interval takes two arrivals, got 1"),
        ([3.0, 3.0], "quiet: all 2 arrivals are simultaneous"),
    ):
        trace = Trace.from_seconds(seconds, name="quiet")
        assert trace.span == 0.0
        exact = lambda trace=trace: trace.arrivals(exact=True)  # noqa: E731
        for ask in (trace.arrivals, exact, lambda trace=trace: trace.rate):
            with pytest.raises(InvalidInputError) as caught:
                ask()
            assert str(caught.value) == message


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        ([0.0, NAN], "seconds[1]: expected a finite number within 4.61169e+09 s, got nan"),
        ([float("inf")], "seconds[0]: expected a finite number within 4.61169e+09 s, got inf"),
        ([5e9], "seconds[0]: expected a finite number within 4.61169e+09 s, got 5000000000.0"),
        ([[1.0]], "seconds: expected a list of numbers, got an array of float64 with shape (1, 1)"),
        ([[1.0], [1.0, 2.0]], "seconds: expected a list of numbers, got nested lists"),
        (["1"], "seconds: expected a list of numbers, got an array of <U1 with shape (1,)"),
        ([True], "seconds: expected a list of numbers, got an array of bool with shape (1,)"),
        (3.0, "seconds: expected a list of numbers, got an array of float64 with shape ()"),
    ],
)
def test_what_is_refused_as_seconds(seconds: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Trace.from_seconds(seconds)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"times": [1, 2]}, "times: expected a flat int64 array of nanoseconds, got list"),
        (
            {"times": np.zeros(2)},
            "times: expected a flat int64 array of nanoseconds, got float64, shape (2,)",
        ),
        (
            {"times": np.zeros((1, 2), np.int64)},
            "times: expected a flat int64 array of nanoseconds, got int64, shape (1, 2)",
        ),
        ({"times": np.array([0, 5, 3])}, "times[2]: expected ascending times, got 3 after 5"),
        ({"name": ""}, "name: expected printable text that is not blank, got ''"),
        ({"origin": 3}, "origin: expected text, got 3"),
        ({"placement": 3}, "placement: expected text, got 3"),
        ({"source": 3}, "source: expected a mapping, got 3"),
    ],
)
def test_what_is_refused_as_a_trace(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Trace(**{"times": np.zeros(0, np.int64), **fields})
    assert str(caught.value) == message


@given(st.lists(st.integers(0, 10**4), min_size=1, max_size=30), st.integers(0, 12_000), st.floats(0.01, 0.99))
def test_parts_of_a_trace(times: list[int], back: int, fraction: float) -> None:
    trace = Trace(np.sort(np.array(times, dtype=np.int64)) * 10**9, name="whole", origin="2024-05-01T00:00:00Z")
    ordered = sorted(times)
    late = trace.last(back)
    assert late.seconds.tolist() == [time for time in ordered if time >= ordered[-1] - back]
    first, rest = trace.split(fraction)
    moment = ordered[0] + fraction * (ordered[-1] - ordered[0])
    assert first.seconds.tolist() == [time for time in ordered if time <= moment + 1e-9]
    assert first.seconds.tolist() + rest.seconds.tolist() == ordered
    for part in (late, first, rest):
        assert (part.name, part.origin) == (trace.name, trace.origin)


def test_parts_of_few_arrivals() -> None:
    trace = Trace.from_seconds([0.0, 4.0, 10.0, 30.0])
    assert [part.seconds.tolist() for part in trace.split()] == [[0.0, 4.0, 10.0], [30.0]]
    assert trace.last(20.0).seconds.tolist() == [10.0, 30.0]
    assert trace.last(20.0 - 1e-9).seconds.tolist() == [30.0]
    assert trace.last(1e300) is trace
    nothing = Trace.from_seconds([])
    assert [part.count for part in (*nothing.split(), nothing.last(3.0))] == [0, 0, 0]
    for wrong in (0.0, 1.0, NAN, "half"):
        with pytest.raises(InvalidInputError, match=r"^fraction: expected "):
            trace.split(wrong)
    for wrong in (-1.0, NAN, "long"):
        with pytest.raises(InvalidInputError, match=r"^seconds: expected "):
            trace.last(wrong)
    with pytest.raises(InvalidInputError, match=r"^exact: expected "):
        trace.arrivals(exact=1)


def test_times_and_source_are_kept_as_they_were() -> None:
    times = np.array([1, 2, 3])
    source = {"file": "a.csv"}
    trace = Trace(times, source=source)
    times[0] = 100
    source.clear()
    assert trace.times.tolist() == [1, 2, 3]
    assert trace.source == {"file": "a.csv"}
    with pytest.raises(ValueError, match="read-only"):
        trace.times[0] = 5
    assert Trace(trace.times).times is trace.times  # what is read-only already is not copied


def test_traces_travel_and_compare_by_identity() -> None:
    trace = Trace(np.array([1, 2, 3]), origin="2024-05-01T00:00:00Z", name="a", placement="uniform", source={"rows": 3})
    for twin in (pickle.loads(pickle.dumps(trace)), copy.copy(trace), copy.deepcopy(trace)):
        assert twin != trace
        assert np.array_equal(twin.times, trace.times)
        assert not twin.times.flags.writeable
        assert (twin.origin, twin.name, twin.placement, twin.source) == (
            trace.origin,
            trace.name,
            trace.placement,
            trace.source,
        )
    assert trace.replace(name="b").times is trace.times
    assert len({trace, trace}) == 1
