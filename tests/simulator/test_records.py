"""The file of records: every service, written on the way, there when the run has ended and only then."""

from __future__ import annotations

import errno
import os
import resource
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import smiless_core as sc
from problems import chain, hardware_profile
from small_policies import Told, Whims, always
from smiless_core.simulator import RECORDED

pytestmark = pytest.mark.native

CPU = sc.Configuration("cpu", 1)


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet")


def diamond() -> sc.Problem:
    model = hardware_profile(alpha=0.0, beta=0.3, gamma=0.2, cold_start_std=0.4, sizes=(1,), batches=(1, 3))
    names = ("one", "left", "right", "two")
    return sc.Problem(
        sc.Application(
            tuple(sc.Function(name, "same") for name in names),
            (("one", "left"), ("one", "right"), ("left", "two"), ("right", "two")),
            sla=9.0,
        ),
        {"same": sc.Profile("same", {"cpu": model})},
        sc.Prices(cpu=1.0, gpu=1.0),
    )


@pytest.mark.parametrize("whim", range(6))
def test_what_is_recorded_is_what_is_in_the_timeline(tmp_path, parquet, whim):
    problem = diamond()
    trace = sc.Trace(np.cumsum(np.random.default_rng(whim).integers(0, 5 * 10**9, 60)))
    path = tmp_path / "records.parquet"
    run = sc.simulate(problem, trace, Whims(whim), seed=4, timeline=True, records=path)
    table = parquet.read_table(path)
    assert tuple(table.column_names) == RECORDED
    rows = [tuple(row.values()) for row in table.to_pylist()]
    there = run.services
    names = problem.application.names
    times = [np.rint(1e9 * each).astype(np.int64).tolist() for each in (there.comes, there.begins, there.finishes)]
    assert rows == list(
        zip(
            [names[v] for v in there.function.tolist()],
            there.invocation.tolist(),
            *times,
            there.serial.tolist(),
            there.batch.tolist(),
            there.cold.tolist(),
            strict=True,
        )
    )
    assert len(rows) == 4 * 60
    assert table.schema.field("comes").type == "int64"
    assert table.schema.field("cold").type == "bool"
    assert os.listdir(tmp_path) == ["records.parquet"]


def test_a_run_is_the_same_with_records_and_without(tmp_path, parquet):
    problem, trace = diamond(), sc.Trace(np.arange(50) * 2_000_000_007)
    without, with_records = (
        sc.simulate(problem, trace, Whims(3), seed=4, records=path) for path in (None, tmp_path / "records.parquet")
    )
    assert with_records.to_dict() == without.to_dict()
    assert with_records.responses_ns.tobytes() == without.responses_ns.tobytes()
    assert with_records.services is None


def test_rows_are_written_in_groups_on_the_way(tmp_path, parquet):
    """Of 700,000 arrivals, in memory for a part of their services; the file grows as time goes by."""
    count = 700_000
    problem = chain(1.0, sla=5.0)
    path = tmp_path / "records.parquet"
    sizes: list[int] = []

    def progress(done: int, total: int) -> None:
        sizes.append(sum(each.stat().st_size for each in tmp_path.iterdir()))
        assert not path.exists(), "it has its name when it is complete"

    kept = always({"f0": sc.Directive.keep_alive(CPU, 600.0)})
    trace = sc.Trace(np.arange(count) * 2_000_000_000)
    tracemalloc.start()
    try:
        sc.simulate(problem, trace, kept, records=path, progress=progress)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All services would be 8 columns of 8 bytes, 45 MB, at the least; a part of them and the responses are less.
    assert peak < 45e6
    assert sorted(sizes) == sizes
    assert len(set(sizes)) >= 3
    file = parquet.ParquetFile(path)
    assert file.metadata.num_rows == count
    assert file.metadata.num_row_groups >= 3
    served = parquet.read_table(path, columns=["invocation"])["invocation"].to_numpy()
    assert np.array_equal(np.sort(served), np.arange(count))  # they are in the order of their finishes


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_run_that_does_not_end_leaves_what_was_there(tmp_path, parquet, error):
    path = tmp_path / "records.parquet"
    path.write_bytes(b"of before")

    def decide(seen):
        if seen.now > 5.0:
            raise error
        return sc.Decision({"f0": sc.Directive(configuration=CPU)} if seen.now == 0.0 else {}, at_arrivals=True)

    with pytest.raises((sc.InvalidInputError, KeyboardInterrupt, SystemExit)):
        sc.simulate(chain(1.0), sc.Trace.from_seconds(range(20)), Told(decide), records=path)
    assert path.read_bytes() == b"of before"
    assert os.listdir(tmp_path) == ["records.parquet"]


def test_an_end_of_progress_leaves_nothing(tmp_path, parquet):
    def progress(done: int, total: int) -> None:
        raise KeyboardInterrupt

    kept = always({"f0": sc.Directive(configuration=CPU)})
    with pytest.raises(KeyboardInterrupt):
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), kept, records=tmp_path / "r.parquet", progress=progress)
    assert os.listdir(tmp_path) == []


def _one_line(error: BaseException, path: Path) -> None:
    assert str(path) in str(error)
    assert "cannot be written" in str(error)
    assert "\n" not in str(error)


def test_a_disk_that_becomes_full_leaves_nothing(tmp_path, parquet):
    path = tmp_path / "records.parquet"
    kept = always({"f0": sc.Directive.keep_alive(CPU, 600.0)})
    trace = sc.Trace(np.cumsum(np.random.default_rng(1).integers(10**8, 10**10, 300_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises((OSError, sc.InvalidInputError)) as caught:
            sc.simulate(chain(1.0, sla=5.0), trace, kept, records=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _one_line(caught.value, path)
    assert getattr(caught.value, "errno", errno.EFBIG) == errno.EFBIG
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path, parquet):
    kept = always({"f0": sc.Directive(configuration=CPU)})
    (tmp_path / "file").write_text("")
    for where in (tmp_path / "nowhere" / "r.parquet", tmp_path / "file" / "r.parquet"):
        with pytest.raises((OSError, sc.InvalidInputError)) as caught:
            sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), kept, records=where)
        _one_line(caught.value, where)
    assert os.listdir(tmp_path) == ["file"]


def test_without_pyarrow_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    kept = always({"f0": sc.Directive(configuration=CPU)})
    with pytest.raises(sc.MissingExtraError, match=r"pip install 'smiless-core\[records\]'"):
        sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), kept, records=tmp_path / "records.parquet")
    assert os.listdir(tmp_path) == []
    assert sc.simulate(chain(1.0), sc.Trace.from_seconds([0.0]), kept, timeline=True).count == 1
