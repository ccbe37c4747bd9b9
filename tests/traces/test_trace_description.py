"""Descriptions: exact or to the stated resolution, and the same in one pass as in memory."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smiless_core.traces import Description, describe, read_trace
from smiless_core.traces.running import GAP_RESOLUTION, RunningStatistics, UnorderedError

DATA = Path(__file__).parent.parent / "data" / "traces"
SECOND = 10**9


def written(directory: Path, times: NDArray[np.int64], name: str = "trace.csv") -> Path:
    path = directory / name
    path.write_text("timestamp\n" + "".join(f"{time // SECOND}.{time % SECOND:09d}\n" for time in times.tolist()))
    return path


def poisson(rate: float, count: int, seed: int = 0) -> NDArray[np.int64]:
    gaps = np.random.default_rng(seed).exponential(SECOND / rate, count)
    return np.cumsum(gaps.astype(np.int64))


def check_against_memory(description: Description, times: NDArray[np.int64]) -> None:
    """Compare with the textbook formulas over the whole array."""
    gaps = np.diff(times) / SECOND
    assert description.count == times.size
    assert description.span == (times[-1] - times[0]) / SECOND
    assert description.simultaneous == np.count_nonzero(gaps == 0) / times.size
    seconds = (times - times[0]) // SECOND
    assert description.peak_rate == np.unique(seconds, return_counts=True)[1].max()
    if not gaps.size:
        assert (description.gaps, description.rate, description.variation) == (None, None, None)
        return
    found = description.gaps
    assert found is not None
    assert (found.minimum, found.maximum) == (gaps.min(), gaps.max())
    assert found.mean == pytest.approx(gaps.mean(), rel=1e-12)
    for value, fraction in ((found.median, 0.5), (found.p95, 0.95), (found.p99, 0.99)):
        assert value == pytest.approx(np.quantile(gaps, fraction, method="inverted_cdf"), rel=0.005, abs=0)
    if times[-1] == times[0]:
        assert (description.rate, description.variation, description.burstiness) == (None, None, None)
        return
    variation = gaps.std() / gaps.mean()
    assert description.rate == pytest.approx(1 / gaps.mean(), rel=1e-12)
    assert description.variation == pytest.approx(variation, rel=1e-9, abs=1e-12)
    assert description.burstiness == pytest.approx((variation - 1) / (variation + 1), rel=1e-9, abs=1e-9)
    if description.dispersion is not None and description.dispersion_window is not None:
        window = round(description.dispersion_window * SECOND)
        whole = int(times[-1] - times[0]) // window
        counts = np.bincount((times - times[0]) // window, minlength=whole)[:whole]
        assert whole >= 16
        assert description.dispersion == pytest.approx(counts.var(ddof=1) / counts.mean(), rel=1e-9)


@given(
    gaps=st.lists(st.integers(0, 5) | st.integers(0, 10**6) | st.integers(0, 10**13), min_size=0, max_size=300),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)
def test_parts_add_up_to_the_whole(gaps: list[int], cuts: list[int]) -> None:
    times = np.cumsum([10**9, *gaps]).astype(np.int64)
    whole, parts = RunningStatistics(), RunningStatistics()
    whole.add(times)
    for part in np.split(times, sorted(cuts)):
        parts.add(part)
    for name in ("count", "first", "last", "shortest_gap", "longest_gap", "simultaneous", "busiest_second"):
        assert getattr(whole, name) == getattr(parts, name)
    assert parts.mean_gap == whole.mean_gap
    assert (parts.variation or 0.0) == pytest.approx(whole.variation or 0.0, rel=1e-9, abs=1e-9)
    assert parts.dispersion() == whole.dispersion()
    assert np.array_equal(parts.profile(40), whole.profile(40))
    for fraction in (0.01, 0.5, 0.95, 1.0):
        if gaps:
            exact = np.quantile(gaps, fraction, method="inverted_cdf")
            for seen in (whole, parts):
                assert seen.gap_quantile(fraction) == pytest.approx(exact, rel=GAP_RESOLUTION, abs=1e-9)


def test_statistics_refuse_to_go_back() -> None:
    statistics = RunningStatistics()
    statistics.add(np.array([5, 7]))
    with pytest.raises(UnorderedError):
        statistics.add(np.array([6]))


@pytest.mark.parametrize(
    "times",
    [
        poisson(25.0, 300_000),
        np.arange(1000, dtype=np.int64) * 60 * SECOND,
        np.repeat(np.arange(40, dtype=np.int64) * 7 * SECOND, 5),
        np.cumsum(np.random.default_rng(1).pareto(0.8, 5000) * 1e6).astype(np.int64),
        np.zeros(30, dtype=np.int64),
        np.array([5 * SECOND]),
    ],
    ids=["poisson", "periodic", "batches", "heavy tail", "one instant", "one arrival"],
)
def test_one_pass_agrees_with_memory(tmp_path: Path, times: NDArray[np.int64]) -> None:
    streamed = describe(written(tmp_path, times))
    assert streamed.notes == ()
    check_against_memory(streamed, times)
    shuffled = np.random.default_rng(2).permutation(times)
    in_memory = describe(written(tmp_path, shuffled))
    check_against_memory(in_memory, times)
    if (np.diff(shuffled) < 0).any():
        assert in_memory.notes == ("not in ascending order of time: sorted in memory",)
        assert "sorted in memory" in str(in_memory)
    assert (in_memory.sparkline, in_memory.verdict) == (streamed.sparkline, streamed.verdict)


@pytest.mark.parametrize(
    "name", ["azure2019", "azure2021.csv", "llm2023.csv", "requests.csv", "requests.jsonl", "counts.txt"]
)
def test_descriptions_describe_the_trace(name: str) -> None:
    description = describe(DATA / name)
    trace = read_trace(DATA / name)
    check_against_memory(description, trace.times)
    assert (description.start is None) == (trace.origin is None)
    assert description.placement == trace.placement
    assert (description.functions, description.merged) == (trace.source["functions"], trace.source["merged"])
    plain = json.loads(json.dumps(description.to_dict(), allow_nan=False))
    assert plain["count"] == trace.count
    assert set(plain) == set(Description.__struct_fields__)
    page = str(description).splitlines()
    assert page[0].startswith("trace ")
    assert any(line.startswith("verdict    " + description.verdict) for line in page)


def test_where_the_first_arrival_is_told() -> None:
    assert describe(DATA / "llm2023.csv").start == "2023-11-16T18:15:46.680590000Z"
    assert describe(DATA / "requests.jsonl", select="resize").start == "2023-11-14T22:13:20.250000000Z"


def bursts() -> NDArray[np.int64]:
    return np.concatenate([start * 600 * SECOND + np.arange(20) * SECOND // 10 for start in range(30)])


def jittered() -> NDArray[np.int64]:
    jitter = np.random.default_rng(3).uniform(0.0, 0.9, 400)
    return ((np.arange(400) + jitter) * 10 * SECOND).astype(np.int64)


def drifting() -> NDArray[np.int64]:
    """A Poisson process whose rate rises from 2 to 6 per second."""
    counts = np.random.default_rng(4).poisson(np.linspace(2.0, 6.0, 2000))
    offsets = np.random.default_rng(5).uniform(0, SECOND, counts.sum()).astype(np.int64)
    return np.sort(np.repeat(np.arange(2000, dtype=np.int64) * SECOND, counts) + offsets)


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        (np.arange(9, dtype=np.int64) * SECOND, "sparse"),
        (np.arange(200, dtype=np.int64) * 60 * SECOND, "periodic"),
        (jittered(), "regular"),
        (poisson(0.2, 3000), "poisson-like"),
        (drifting(), "varying"),
        (bursts(), "bursty"),
        (np.zeros(12, dtype=np.int64), "bursty"),
    ],
)
def test_verdicts(tmp_path: Path, times: NDArray[np.int64], verdict: str) -> None:
    description = describe(written(tmp_path, times))
    assert description.verdict == verdict, str(description)
    assert description.rule in str(description)


@pytest.mark.parametrize("seed", range(20))
def test_poisson_processes_are_not_taken_for_changing(tmp_path: Path, seed: int) -> None:
    assert describe(written(tmp_path, poisson(3.0, 800, seed))).verdict == "poisson-like"


def test_periodic_arrivals_are_described_exactly(tmp_path: Path) -> None:
    description = describe(written(tmp_path, np.arange(500, dtype=np.int64) * 90 * SECOND))
    assert description.gaps is not None
    assert set(msgspec.structs.astuple(description.gaps)) == {90.0}
    assert (description.variation, description.burstiness) == (0.0, -1.0)


def test_sparkline_shows_quiet_and_busy_times(tmp_path: Path) -> None:
    # 60 columns of a minute: one arrival per second in the last ten, one at the start, none between.
    times = np.concatenate([[0], np.arange(3000, 3601)]).astype(np.int64) * SECOND
    line = describe(written(tmp_path, times)).sparkline
    assert len(line) == 60
    assert line[0] == "▁"
    assert set(line[1:49]) == {" "}
    assert set(line[51:]) == {"█"}


def peak_memory(path: Path) -> int:
    """Describe a file in a process of its own, and return the most bytes that it took."""
    # Not ru_maxrss: a new process inherits that from the one that started it.
    code = (
        "import re, sys; from smiless_core.traces import describe; describe(sys.argv[1]);"
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    row = f",{'x' * 50}\n"
    for path, count in ((small, 200_000), (large, 1_000_000)):
        path.write_text("time,payload\n" + "".join(f"{time}{row}" for time in range(count)))
    assert peak_memory(large) - peak_memory(small) < large.stat().st_size * 0.6


def test_memory_does_not_grow_with_the_arrivals(tmp_path: Path) -> None:
    few, many = tmp_path / "few.txt", tmp_path / "many.txt"
    few.write_text("1000 " * 2_000)
    many.write_text("1000 " * 12_000)
    assert peak_memory(many) - peak_memory(few) < 40_000_000  # the times alone would take 80 MB more
