"""Selecting functions of a file, and telling them apart."""

from pathlib import Path

import numpy as np
import pytest

from smiless_core.errors import InvalidInputError
from smiless_core.traces import describe, read_trace, read_traces

DATA = Path(__file__).parent.parent / "data" / "traces"
TABLE = """timestamp,function,app
1,resize,shop
2,detect,shop
3,resize,blog
4,detect-faces,blog
5,blog,tools
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "requests.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("select", "seconds", "merged"),
    [
        ("detect", [2], 1),
        ("detect-", [4], 1),
        ("resize", [1, 3], 2),
        ("shop/resize", [1], 1),
        ("blog/", [3, 4], None),
        ("shop", [1, 2], 2),
        ("s", [1, 2], 2),
        ("blog", [5], 1),  # a function goes before an application
        ("tools", [5], 1),
    ],
)
def test_select_takes_ids_and_their_start(table: Path, select: str, seconds: list[int], merged: int | None) -> None:
    if merged is None:
        with pytest.raises(InvalidInputError, match="'blog/' starts 2 ids: 'blog/resize', 'blog/detect-face'"):
            read_trace(table, select=select)
        return
    trace = read_trace(table, select=select)
    assert (trace.times // 10**9).tolist() == seconds
    assert (trace.source["merged"], trace.source["functions"]) == (merged, 5)
    assert trace.source["select"] == select
    description = describe(table, select=select)
    assert (description.count, description.merged, description.functions) == (len(seconds), merged, 5)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("detekt", "select: no function or application named 'detekt' (did you mean 'detect'?)"),
        (
            "zzz",
            "select: no function or application named 'zzz' (known: resize, detect, detect-faces, blog, ",
        ),
        ("d", "select: 'd' starts 2 ids: 'detect', 'detect-faces'"),
        ("", "select: expected printable text"),
    ],
)
def test_select_says_what_there_is(table: Path, select: str, message: str) -> None:
    for read in (read_trace, describe):
        with pytest.raises(InvalidInputError) as caught:
            read(table, select=select)
        assert str(caught.value).startswith(f"{table}: {message}")


def test_select_where_there_are_no_functions(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="select: the file names no functions, got 'x'"):
        read_trace(DATA / "llm2023.csv", select="x")
    quiet = DATA / "azure2019"
    with pytest.raises(InvalidInputError, match="expected arrivals of what is selected, got none"):
        read_trace(quiet, select="d464ecf4")
    assert read_trace(quiet, select="b115a2").count == 6 + 13


def test_read_traces_tells_functions_apart(table: Path) -> None:
    traces = read_traces(table)
    assert {name: (trace.times // 10**9).tolist() for name, trace in traces.items()} == {
        "shop/resize": [1],
        "detect": [2],
        "blog/resize": [3],
        "detect-faces": [4],
        "blog": [5],
    }
    assert all(trace.name == name and trace.source["merged"] == 1 for name, trace in traces.items())


def test_one_trace_where_the_file_names_none() -> None:
    ((name, trace),) = read_traces(DATA / "counts.txt").items()
    assert name == trace.name == "counts"
    assert np.array_equal(trace.times, read_trace(DATA / "counts.txt").times)


@pytest.mark.parametrize("name", ["azure2019", "azure2021.csv", "requests.csv", "requests.jsonl"])
def test_selected_traces_are_parts_of_the_whole(name: str) -> None:
    whole = read_trace(DATA / name)
    traces = read_traces(DATA / name)
    assert whole.source["merged"] == len(traces)
    assert np.array_equal(np.sort(np.concatenate([part.times for part in traces.values()])), whole.times)
    for label, part in traces.items():
        if part.count:
            selected = read_trace(DATA / name, select=label)
            assert np.array_equal(selected.times, part.times)
            assert selected.origin == part.origin == whole.origin
    busiest = describe(DATA / name).top[0]
    assert traces[busiest[0]].count == busiest[1] == max(part.count for part in traces.values())


def test_times_are_read_only_and_pickle() -> None:
    import pickle

    trace = read_traces(DATA / "requests.csv")["detect"]
    assert not trace.times.flags.writeable
    assert np.array_equal(pickle.loads(pickle.dumps(trace)).times, trace.times)
