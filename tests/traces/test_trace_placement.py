"""Placement rules: what they keep, and what sets them apart."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from smiless_core.errors import InvalidInputError
from smiless_core.traces import Placement, read_trace, read_traces
from smiless_core.traces.placement import MOST_PER_PERIOD, identity_generator, placed_times

DATA = Path(__file__).parent.parent / "data" / "traces"
MINUTE = 60 * 10**9


@given(
    counts=st.lists(st.integers(0, 30) | st.just(1000), max_size=12),
    period=st.sampled_from([10**9, MINUTE]),
    rule=st.sampled_from(Placement),
    phase=st.none() | st.integers(0, 10**9 - 1),
    seed=st.integers(0, 5),
)
def test_every_arrival_stays_in_its_period(
    counts: list[int], period: int, rule: Placement, phase: int | None, seed: int
) -> None:
    given = np.array(counts, dtype=np.int64)
    phase = phase if rule is Placement.FIXED_PHASE else None
    times = placed_times(given, period, rule, identity_generator(seed, "f"), phase=phase)
    assert times.dtype == np.int64
    assert (np.diff(times) >= 0).all()
    assert np.bincount(times // period, minlength=len(counts)).tolist() == (counts or [])
    again = placed_times(given, period, rule, identity_generator(seed, "f"), phase=phase)
    assert np.array_equal(times, again)


def test_equidistant_arrivals_are_at_middles() -> None:
    counts = np.array([1, 0, 4], dtype=np.int64)
    times = placed_times(counts, MINUTE, Placement.EQUIDISTANT, identity_generator(0, "f"))
    assert (times / 10**9).tolist() == [30.0, 127.5, 142.5, 157.5, 172.5]
    assert 2 * MOST_PER_PERIOD * MINUTE < 2**63  # so no product of a rank and a period overflows


def test_a_timer_keeps_its_phase() -> None:
    counts = np.array([1, 1, 0, 1, 2], dtype=np.int64)
    times = placed_times(counts, MINUTE, Placement.FIXED_PHASE, identity_generator(0, "f"), phase=40 * 10**9)
    assert (times / 10**9).tolist() == [40.0, 100.0, 220.0, 250.0, 280.0]


def test_uniform_offsets_are_uniform() -> None:
    times = placed_times(np.full(200, 50, dtype=np.int64), MINUTE, Placement.UNIFORM, identity_generator(3, "f"))
    assert stats.kstest(times % MINUTE / MINUTE, "uniform").pvalue > 0.001


def test_exponential_gaps_are_exponential() -> None:
    counts = np.full(50, 400, dtype=np.int64)
    times = placed_times(counts, MINUTE, Placement.EXPONENTIAL, identity_generator(3, "f"))
    assert (times[::400] % MINUTE == 0).all()  # the first of each minute
    gaps = np.diff(times.reshape(50, 400), axis=1).ravel() / (MINUTE / 400)
    assert stats.kstest(gaps, "expon").pvalue > 0.001


def test_fixed_phase_is_for_timers_only() -> None:
    fixed = list(read_traces(DATA / "azure2019", placement="fixed-phase").values())
    uniform = list(read_traces(DATA / "azure2019").values())
    timer, http = fixed[0], fixed[1]
    assert set(np.diff(timer.times).tolist()) == {MINUTE}
    assert set(np.diff(fixed[3].times).tolist()) == {MINUTE // 2}
    assert timer.times[0] % MINUTE != fixed[3].times[0] % (MINUTE // 2)
    assert np.array_equal(http.times, uniform[1].times)
    assert http.placement == "fixed-phase"


@pytest.mark.parametrize("rule", Placement)
def test_rows_may_change_places(rule: Placement, tmp_path: Path) -> None:
    header, *rows = (DATA / "azure2019" / "invocations.csv").read_text().splitlines()
    path = tmp_path / "invocations.csv"
    path.write_text("\n".join([header, *rows[::-1]]))
    straight = read_traces(DATA / "azure2019", placement=rule, seed=5)
    turned = read_traces(path, placement=rule, seed=5)
    assert set(straight) == set(turned)
    assert all(np.array_equal(straight[name].times, turned[name].times) for name in straight)
    alone = rows[1].split(",")[2]
    assert np.array_equal(read_trace(path, select=alone, placement=rule, seed=5).times, straight[alone].times)


def test_functions_and_seeds_differ() -> None:
    first = identity_generator(1, "o", "a", "f").integers(0, 2**62)
    assert first != identity_generator(2, "o", "a", "f").integers(0, 2**62)
    assert first != identity_generator(1, "o", "a", "g").integers(0, 2**62)
    assert first == 2784325889908763838  # the same on every machine and in every release


def test_repeated_rows_do_not_repeat_arrivals(tmp_path: Path) -> None:
    path = tmp_path / "invocations.csv"
    path.write_text("HashOwner,HashApp,HashFunction,Trigger,0\no,a,f,http,50\no,a,f,http,50\n")
    trace = read_trace(path)
    assert trace.count == np.unique(trace.times).size == 100
    assert trace.source["functions"] == 1


@pytest.mark.parametrize("rule", [Placement.UNIFORM, Placement.EQUIDISTANT, Placement.EXPONENTIAL])
def test_counts_per_second_are_placed(rule: Placement) -> None:
    trace = read_trace(DATA / "counts.txt", placement=rule, seed=2)
    assert trace.placement == rule
    assert np.bincount(trace.times // 10**9).tolist() == [0, 3, 2, 0, 1, 0, 0, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"placement": "poisson"}, "placement: no placement named 'poisson'"),
        ({"placement": "fixed-phase"}, "placement: 'fixed-phase' needs functions with a trigger"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"seed": 1.5}, "seed: expected a whole number of at least 0, got 1.5"),
        ({"format": "parquet"}, "format: no format named 'parquet'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_trace(DATA / "counts.txt", **arguments)
    assert message in str(caught.value)
