"""Every format, to the nanosecond."""

import gzip
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.traces import Format, describe, read_trace, read_traces

DATA = Path(__file__).parent.parent / "data" / "traces"


def write(directory: Path, text: str, name: str = "trace.csv") -> Path:
    path = directory / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "kind", "times", "origin"),
    [
        (
            "azure2021.csv",
            "azure2021",
            [1_490_900, 3_860_041, 100_000_000, 59_250_000_000, 61_000_000_000],
            None,
        ),
        ("llm2023.csv", "azure-llm", [0, 4_314_579_100, 4_541_877_000], "2023-11-16T18:15:46.680590000Z"),
        ("llm2024.csv", "azure-llm", [0, 7_405_000, 990_070_000], "2024-05-10T00:00:00.009930000Z"),
        ("llm2025.csv", "azure-llm", [0, 37_770_000], "2024-10-15T05:00:06.139230000Z"),
        (
            "requests.csv",
            "csv",
            [0, 249_999_999, 499_999_999, 1_999_999_999],
            "2023-11-14T22:13:20.000000001Z",
        ),
        ("requests.jsonl", "jsonl", [0, 249_999_999, 999_999_999], "2023-11-14T22:13:20.000000001Z"),
    ],
)
def test_timestamps_are_exact(name: str, kind: str, times: list[int], origin: str | None) -> None:
    trace = read_trace(DATA / name)
    assert trace.times.tolist() == times
    assert trace.origin == origin
    assert trace.placement is None
    assert trace.name == name.partition(".")[0]
    assert trace.source["format"] == kind
    assert read_trace(DATA / name, format=kind).times.tolist() == times
    assert "seed" not in trace.source


def test_counts_are_of_the_right_seconds() -> None:
    trace = read_trace(DATA / "counts.txt")
    assert trace.source["format"] == "counts-per-second"
    assert trace.placement == "uniform"
    assert trace.source["seed"] == 0
    assert np.bincount(trace.times // 10**9).tolist() == [0, 3, 2, 0, 1, 0, 0, 4]


@pytest.mark.parametrize("path", ["azure2019", "azure2019/invocations.csv"])
def test_counts_are_of_the_right_minutes(path: str) -> None:
    trace = read_trace(DATA / path)
    assert trace.source["format"] == "azure2019"
    assert (trace.source["functions"], trace.source["merged"], trace.count) == (5, 5, 99)
    assert np.bincount(trace.times // (60 * 10**9)).tolist() == [43, 6, 5, 28, 10, 7]


def test_official_days_follow_one_another(tmp_path: Path) -> None:
    header = "HashOwner,HashApp,HashFunction,Trigger," + ",".join(map(str, range(1, 1441)))
    for day, minute in ((2, 3), (4, 0)):
        counts = ["0"] * 1440
        counts[minute] = "1"
        name = f"invocations_per_function_md.anon.d{day:02d}.csv"
        write(tmp_path, f"{header}\no,a,f,http,{','.join(counts)}\n", name)
    assert (read_trace(tmp_path).times // (60 * 10**9)).tolist() == [3, 2 * 1440]
    assert read_trace(tmp_path, select="f").source["functions"] == 1


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("time\n1.5\n0.25\n", [250_000_000, 1_500_000_000]),
        ("TS\r\n0\r\n1\r\n", [0, 10**9]),
        ("timestamp_ms\n1.0000005\n", [1_000_000]),  # half a nanosecond goes to the even one
        ("start_us;x\n7;a\n9.5;b\n", [7_000, 9_500]),
        ("a\tarrival_ns\nx\t12\nx\t13\n", [12, 13]),
        ("\ufefftimestamp\n-1\n1\n\n\n", [-(10**9), 10**9]),
        ('"timestamp","x"\n" 2.5 ","a,b"\n', [2_500_000_000]),
        ("time,timestamp\n9,1\n", [10**9]),
        ("timestamp\n0.1\n4.56e2\n1e-9\n", [1, 100_000_000, 456_000_000_000]),
        ("1.5\n0.5\n", [500_000_000, 1_500_000_000]),
        ("2023-11-16T18:15:46Z\n2023-11-16T18:15:45Z\n", [0, 10**9]),
    ],
)
def test_tables_of_many_shapes(tmp_path: Path, text: str, times: list[int]) -> None:
    trace = read_trace(write(tmp_path, text))
    assert trace.source["format"] == "csv"
    assert trace.times.tolist() == times


@given(seconds=st.decimals(-(10**9), 10**9 - 1, allow_nan=False, places=9))
def test_decimal_text_loses_nothing(tmp_path_factory: pytest.TempPathFactory, seconds: Decimal) -> None:
    path = write(tmp_path_factory.getbasetemp(), f"timestamp\n{seconds:f}\n", "decimal.csv")
    trace = read_trace(path)
    expected = int(Fraction(seconds) * 10**9)
    start = 0 if trace.origin is None else expected
    assert trace.times.tolist() == [expected - start]


@given(
    moment=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    nanoseconds=st.integers(0, 999),
    minutes=st.none() | st.integers(-14 * 60, 14 * 60),
    mark=st.sampled_from("T "),
)
def test_instants_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    moment: datetime,
    nanoseconds: int,
    minutes: int | None,
    mark: str,
) -> None:
    sign = "-" if minutes is not None and minutes < 0 else "+"
    offset = "" if minutes is None else f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    text = f"{moment:%Y-%m-%d}{mark}{moment:%H:%M:%S.%f}{nanoseconds:03d}{offset}"
    path = write(tmp_path_factory.getbasetemp(), f"timestamp\n{text}\n", "instant.csv")
    trace = read_trace(path)
    utc = moment - timedelta(minutes=minutes or 0)
    assert trace.origin == f"{utc:%Y-%m-%dT%H:%M:%S.%f}{nanoseconds:03d}Z"
    assert trace.times.tolist() == [0]


def compressed(path: Path, directory: Path) -> list[Path]:
    """Write a file again under names that say nothing: with gzip, and with Zstandard through polars."""
    import polars as pl

    gz, zst = directory / "one", directory / "two"
    gz.write_bytes(gzip.compress(path.read_bytes()))
    lines = path.read_text().splitlines()
    pl.DataFrame({lines[0]: lines[1:]}).lazy().sink_csv(zst, compression="zstd", quote_style="never")
    return [gz, zst]


@pytest.mark.parametrize("name", ["requests.jsonl", "counts.txt", "llm2024.csv", "azure2019/invocations.csv"])
def test_compressed_files_read_the_same(name: str, tmp_path: Path) -> None:
    plain = read_trace(DATA / name)
    for path in compressed(DATA / name, tmp_path):
        trace = read_trace(path)
        assert trace.times.tolist() == plain.times.tolist()
        assert trace.origin == plain.origin


def test_many_blocks_read_as_one(tmp_path: Path) -> None:
    # More than two blocks of the reader, with lines across their ends.
    seconds = np.arange(900_000) * 17
    text = "timestamp,function\n" + "".join(f"{second}.5,{'ab'[second % 2]}\n" for second in seconds)
    path = write(tmp_path, text)
    assert path.stat().st_size > 9 * 2**20
    assert np.array_equal(read_trace(path).times, seconds * 10**9 + 5 * 10**8)
    traces = read_traces(path)
    assert list(traces) == ["a", "b"]
    assert np.array_equal(traces["b"].times, seconds[1::2] * 10**9 + 5 * 10**8)
    broken = write(tmp_path, text.replace(f"\n{17 * 700_001}.5,b\n", "\n1\n"), "broken.csv")
    line = 700_001 + 2
    with pytest.raises(InvalidInputError, match=rf"\.csv: line {line}: expected 2 columns, got a row of 1$"):
        read_trace(broken)


def test_counts_on_one_long_line(tmp_path: Path) -> None:
    path = write(tmp_path, "1 0 2 " * 1_000_000)
    description = describe(path)
    assert (description.format, description.count) == ("counts-per-second", 3_000_000)
    assert description.peak_rate <= 3


@pytest.mark.parametrize("kind", Format)
def test_formats_can_be_told(kind: Format, tmp_path: Path) -> None:
    # A file of whole numbers could be two of them, and is read as what it is said to be.
    path = write(tmp_path, "1\n2\n3\n")
    with pytest.raises(InvalidInputError, match="say which, with the format 'counts-per-second' or 'csv'"):
        read_trace(path)
    if kind is Format.COUNTS_PER_SECOND:
        assert read_trace(path, format=kind).count == 6
    elif kind in (Format.CSV, Format.AZURE_LLM):
        assert read_trace(path, format=kind).times.tolist() == [10**9, 2 * 10**9, 3 * 10**9]
    else:
        with pytest.raises(InvalidInputError, match=r"trace\.csv: line 1: "):
            read_trace(path, format=kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3\n0\n2\n", Format.COUNTS_PER_SECOND),
        ("1 2 3\n", Format.COUNTS_PER_SECOND),
        ("1\n2\n0", Format.COUNTS_PER_SECOND),
        ("1.0\n2\n", Format.CSV),
        ("1\n2.5", Format.CSV),
        ("1e3\n", Format.CSV),
        ('  {"time": 1}\n', Format.JSONL),
    ],
)
def test_numbers_without_a_name(tmp_path: Path, text: str, kind: Format) -> None:
    assert describe(write(tmp_path, text)).format == kind


def test_json_times_are_milliseconds_unless_told(tmp_path: Path) -> None:
    assert read_trace(write(tmp_path, '{"ts": 1.5}\n{"ts": 2}\n')).times.tolist() == [1_500_000, 2_000_000]
    assert read_trace(write(tmp_path, '{"ts_s": 1.5}')).times.tolist() == [1_500_000_000]
    instants = '{"time": "2020-01-01T00:00:00Z"}\n{"time": "2020-01-01T00:00:00.5Z"}\n'
    assert read_trace(write(tmp_path, instants)).times.tolist() == [0, 500_000_000]
    named = '{"timestamp": 1, "model": 7}\n{"timestamp": 2, "model": "x"}\n'
    assert list(read_traces(write(tmp_path, named))) == ["7", "x"]


def test_importing_does_not_import_polars() -> None:
    import subprocess
    import sys

    code = "import sys, smiless_core.traces; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
