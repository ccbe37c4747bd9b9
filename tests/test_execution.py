"""Cells on any executor: in order, retried, kept on disk, and never computed twice."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import execution_cells
from execution_cells import decode, encode, slow_mark, slow_process, square, square_or_die, third_time
from smiless_core.errors import InvalidInputError
from smiless_core.execution import key_of, run_cells

CELLS = {f"cell {number}": number for number in range(10)}
SQUARES = {key: number * number for key, number in CELLS.items()}


class Tried:
    """Squares numbers, and knows which; some fail as often as they are told to."""

    def __init__(self, **failing: int) -> None:
        self.numbers: list[int] = []
        self.failing = {int(name.removeprefix("_")): times for name, times in failing.items()}

    def __call__(self, number: int) -> int:
        self.numbers.append(number)
        if self.failing.get(number, 0) > 0:
            self.failing[number] -= 1
            raise ValueError(f"no square\nof \x1b[31m{number}")
        return number * number


def run(work: Callable[[Any], int], cells: dict[str, Any], **options: Any) -> tuple[dict[str, int], dict[str, str]]:
    return run_cells(work, cells, encode=encode, decode=decode, **options)


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@contextmanager
def python_handles_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# Results


def test_in_this_process() -> None:
    assert run(square, CELLS) == (SQUARES, {})
    assert run(square, {}) == ({}, {})


@pytest.mark.parametrize("at_once", [1, 3, 256])
def test_in_threads(at_once: int) -> None:
    with ThreadPoolExecutor(3) as executor:
        results, failures = run(square, CELLS, executor=executor, at_once=at_once)
    assert list(results.items()) == list(SQUARES.items())
    assert failures == {}


def test_in_processes(processes: ProcessPoolExecutor, tmp_path: Path) -> None:
    assert run(square, CELLS, executor=processes, directory=tmp_path) == (SQUARES, {})
    assert len(names(tmp_path)) == len(CELLS)
    ran_in, _ = run(slow_process, {"a": 0.2, "b": 0.2}, executor=processes)
    assert os.getpid() not in ran_in.values()


def test_the_order_is_that_of_the_cells_and_not_of_their_completion() -> None:
    finished = {number: threading.Event() for number in range(4)}
    completed: list[int] = []

    def after_the_next(number: int) -> int:
        assert number == 3 or finished[number + 1].wait(30)
        completed.append(number)
        finished[number].set()
        if number % 2:
            raise ValueError(str(number))
        return number

    with ThreadPoolExecutor(4) as executor:
        results, failures = run(after_the_next, {str(n): n for n in range(4)}, executor=executor, retries=0)
    assert completed == [3, 2, 1, 0]
    assert list(results.items()) == [("0", 0), ("2", 2)]
    assert list(failures) == ["1", "3"]


def test_a_result_is_what_its_bytes_say_wherever_it_comes_from(tmp_path: Path) -> None:
    def rounded(directory: Path | None) -> dict[str, float]:
        results, _ = run_cells(
            lambda value: value / 3.0,
            {"x": 1.0},
            encode=lambda x: f"{x:.2f}".encode(),
            decode=float,
            directory=directory,
        )
        return results

    assert rounded(None) == rounded(tmp_path) == rounded(tmp_path) == {"x": 0.33}


class Counting(ThreadPoolExecutor):
    """Knows the largest number of cells that were submitted and not done."""

    def __init__(self) -> None:
        super().__init__(2)
        self.open: set[Future[Any]] = set()
        self.most = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self.open = {each for each in self.open if not each.done()} | {future}
        self.most = max(self.most, len(self.open))
        return future


def test_no_more_are_submitted_at_a_time_than_allowed() -> None:
    with Counting() as executor:
        results, _ = run(lambda _: slow_process(0.002), {str(n): n for n in range(40)}, executor=executor, at_once=5)
    assert len(results) == 40
    assert 2 <= executor.most <= 5


def test_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    run(square, dict(list(CELLS.items())[:4]), directory=tmp_path)
    work = Tried(_6=5)
    run(work, CELLS, directory=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(1, 11)]


# A cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    directory = tmp_path_factory.mktemp("dask")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=directory
        ) as started,
        distributed.Client(started) as client,
    ):
        yield client.get_executor()
    assert multiprocessing.active_children() == []


def test_on_a_cluster(cluster: Executor, tmp_path: Path) -> None:
    assert run(square, CELLS, executor=cluster, directory=tmp_path) == (SQUARES, {})
    assert run(square_or_die, dict.fromkeys(CELLS, -1), executor=cluster, directory=tmp_path) == (SQUARES, {})
    ran_in, _ = run(slow_process, {str(n): 0.1 + n / 1000 for n in range(8)}, executor=cluster)
    assert len(set(ran_in.values())) == 2
    assert os.getpid() not in ran_in.values()


def test_a_cluster_gives_the_same_as_this_process(cluster: Executor, tmp_path: Path) -> None:
    run(square, CELLS, executor=cluster, directory=tmp_path / "there")
    run(square, CELLS, directory=tmp_path / "here")
    there, here = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("there", "here"))
    assert there == here


def test_a_cluster_tries_again(cluster: Executor, tmp_path: Path) -> None:
    """Dask would give the error of the first try again, were the second one the same call."""
    cells = {"a": str(tmp_path / "a"), "b": str(tmp_path / "b")}
    assert run(third_time, cells, executor=cluster, retries=2) == ({"a": 3, "b": 3}, {})
    cells = {"c": str(tmp_path / "c"), "gone": str(tmp_path / "no" / "where")}
    _, failures = run(third_time, cells, executor=cluster)
    assert failures["c"] == "cell: try 2 failed"
    assert failures["gone"].startswith("FileNotFoundError: ")


def test_an_interrupt_cancels_what_waits_in_a_cluster(cluster: Executor, tmp_path: Path) -> None:
    def enough(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    cells = {str(number): str(tmp_path / str(number)) for number in range(100)}
    with pytest.raises(KeyboardInterrupt):
        run(slow_mark, cells, executor=cluster, progress=enough)
    assert run(square, {"x": 12}, executor=cluster) == ({"x": 144}, {})
    assert len(names(tmp_path)) < 20


# Failures


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_cell_that_fails_is_tried_again(retries: int) -> None:
    work = Tried(_2=1, _5=3, _7=100)
    results, failures = run(work, CELLS, retries=retries)
    lost = [number for number, times in [(2, 1), (5, 3), (7, 100)] if times > retries]
    assert list(failures) == [f"cell {number}" for number in lost]
    assert results == {key: value for key, value in SQUARES.items() if key not in failures}
    assert failures["cell 7"] == r"ValueError: no square of \x1b[31m7"
    assert work.numbers.count(7) == retries + 1
    assert work.numbers.count(2) == min(2, retries + 1)
    assert work.numbers[:10] == list(range(10))  # what failed waits for the others


def test_errors_of_processes_are_reported(processes: ProcessPoolExecutor, tmp_path: Path) -> None:
    cells = {"a": str(tmp_path / "a"), "gone": str(tmp_path / "no" / "where")}
    assert run(third_time, cells, executor=processes) == (
        {},
        {
            "a": "cell: try 2 failed",
            "gone": f"FileNotFoundError: [Errno 2] No such file or directory: '{cells['gone']}'",
        },
    )
    assert run(third_time, {"a": cells["a"]}, executor=processes)[0] == {"a": 3}


def test_an_error_without_a_text() -> None:
    def silent(_: int) -> int:
        raise NotImplementedError

    assert run(silent, {"x": 1}) == ({}, {"x": "NotImplementedError"})


def test_results_that_do_not_encode_or_decode_are_failures(tmp_path: Path) -> None:
    def refused(_: object) -> Any:
        raise TypeError("no")

    for codec in ({"encode": refused, "decode": decode}, {"encode": encode, "decode": refused}):
        assert run_cells(square, {"x": 1}, directory=tmp_path, **codec) == ({}, {"x": "TypeError: no"})
        assert names(tmp_path) == []


def test_a_cell_that_does_not_pickle_fails_alone(processes: ProcessPoolExecutor) -> None:
    cells = {"odd": execution_cells.Unpicklable(), "good": 3}
    results, failures = run(square, cells, executor=processes)
    assert results == {"good": 9}
    assert failures == {"odd": "ValueError: this does not pickle"}


@pytest.mark.parametrize("retries", [0, 2])
def test_a_process_that_dies_breaks_its_pool(retries: int, tmp_path: Path) -> None:
    cells = {"first": 2, "deadly": -1, "late": 3, "later": 4}
    options = {"directory": tmp_path, "retries": retries, "at_once": 1}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        results, failures = run(square_or_die, cells, executor=executor, **options)
    assert results == {"first": 4}
    assert list(failures) == ["deadly", "late", "later"]
    assert all(failure.startswith("the executor broke: A ") for failure in failures.values())
    assert run(square, cells, directory=tmp_path)[0] == {"first": 4, "deadly": 1, "late": 9, "later": 16}


def test_an_executor_that_was_shut_down() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    assert run(square, {"x": 1}, executor=executor) == (
        {},
        {"x": "RuntimeError: cannot schedule new futures after shutdown"},
    )


def test_cells_that_the_executor_cancels_are_failures() -> None:
    class Canceling(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    assert run(square, {"x": 1}, executor=Canceling()) == ({}, {"x": "CancelledError"})


# The directory


def test_finished_cells_are_never_computed_again(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "cells"
    first = Tried(_4=100)
    results, _ = run(first, CELLS, directory=directory, retries=0)
    assert len(results) == 9
    assert len(names(directory)) == 9

    second = Tried()
    assert run(second, CELLS | {"more": 20}, directory=directory) == (SQUARES | {"more": 400}, {})
    assert second.numbers == [4, 20]
    kept = {name: (directory / name).read_bytes() for name in names(directory)}
    assert run(square_or_die, dict.fromkeys(CELLS, -1), directory=directory) == (SQUARES, {})
    assert {name: (directory / name).read_bytes() for name in names(directory)} == kept


def test_any_text_is_a_key(tmp_path: Path) -> None:
    keys = ["", "../x", "a/b", "\0", "x" * 5000, "sp\udcffot", "é", "e\u0301"]
    cells = {key: number for number, key in enumerate(keys)}
    run(square, cells, directory=tmp_path)
    assert len(names(tmp_path)) == len(keys)
    assert run(Tried(**{f"_{n}": 9 for n in range(9)}), cells, directory=tmp_path)[1] == {}


@given(data=st.data())
def test_a_damaged_file_is_replaced(data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        run(square, {"x": 12, "y": 13}, directory=name)
        before = {path: path.read_bytes() for path in Path(name).iterdir()}
        path = data.draw(st.sampled_from(sorted(before)))
        whole = before[path]
        at = data.draw(st.integers(0, len(whole) - 1))
        kind = data.draw(st.sampled_from(["cut", "changed", "longer", "another's"]))
        path.write_bytes(
            {
                "cut": whole[:at],
                "changed": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
                "longer": whole + b"4",
                "another's": next(other for there, other in before.items() if there != path),
            }[kind]
        )
        again = Tried()
        assert run(again, {"x": 12, "y": 13}, directory=name) == ({"x": 144, "y": 169}, {})
        assert len(again.numbers) == 1
        assert {path: path.read_bytes() for path in Path(name).iterdir()} == before


def test_what_no_longer_decodes_is_computed_again(tmp_path: Path) -> None:
    run_cells(square, {"x": 3}, encode=lambda _: b"in another way", decode=len, directory=tmp_path)
    assert run(square, {"x": 3}, directory=tmp_path) == ({"x": 9}, {})
    assert run(square_or_die, {"x": -3}, directory=tmp_path) == ({"x": 9}, {})


FULL = OSError(errno.ENOSPC, "No space left on device")


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_no_failure_leaves_half_a_file(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(square, {"x": 3}, directory=tmp_path)
    before = names(tmp_path)
    with monkeypatch.context() as patched:
        failing(patched, step, error)
        with pytest.raises(type(error)) as caught:
            run(square, {"x": 3, "y": 4}, directory=tmp_path)
    assert names(tmp_path) == before
    if isinstance(error, OSError):
        assert isinstance(caught.value, OSError)
        assert (caught.value.errno, caught.value.strerror) == (errno.ENOSPC, "No space left on device")
        named = Path(caught.value.filename)
        run(square, {"x": 3, "y": 4}, directory=tmp_path)
        assert {named.name} == set(names(tmp_path)) - set(before)
        assert named.parent == tmp_path


def test_a_file_that_grows_too_large_is_removed(tmp_path: Path) -> None:
    """As on a full disk, `write` itself fails, with part of the file written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    cells = {"large": 200_000, "small": 20}
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            run_cells(bytes, dict(reversed(cells.items())), encode=bytes, decode=bytes, directory=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path) in str(caught.value)
    assert len(names(tmp_path)) == 1  # the small one was finished, and stays
    assert [len(result) for result in run_cells(bytes, cells, encode=bytes, decode=bytes)[0].values()] == [200_000, 20]


def test_a_disk_that_fails_cancels_what_has_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "replace", OSError(errno.EIO, "Input/output error"))
    begun = Tried()
    go_on = threading.Event()

    def work(number: int) -> int:
        assert number == 0 or go_on.wait(30)
        return begun(number)

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(OSError, match="Input/output error"):
            run(work, CELLS, executor=executor, directory=tmp_path)
        go_on.set()
    assert len(begun.numbers) <= 2


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        work = Tried()
        with pytest.raises(OSError, match="file") as caught:
            run(work, CELLS, directory=wrong)
        assert caught.value.filename
        assert work.numbers == []
    run(square, {"x": 1}, directory=tmp_path / "cells")
    (kept,) = (tmp_path / "cells").iterdir()
    kept.unlink()
    kept.mkdir()
    with pytest.raises(IsADirectoryError, match=kept.name):
        run(square, {"x": 1}, directory=tmp_path / "cells")


# Interrupts


def test_an_interrupt_cancels_what_has_not_begun(tmp_path: Path) -> None:
    begun = Tried()
    two_kept, go_on = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 2:
            assert two_kept.wait(30)
            os.kill(os.getpid(), signal.SIGINT)
            assert go_on.wait(30)
        return begun(number)

    def progress(done: int, _: int) -> None:
        if done == 2:
            two_kept.set()

    with python_handles_interrupts(), ThreadPoolExecutor(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            run(work, CELLS, executor=executor, directory=tmp_path, progress=progress)
        go_on.set()
    assert begun.numbers == [0, 1, 2]
    assert len(names(tmp_path)) == 2

    again = Tried()
    assert run(again, CELLS, directory=tmp_path) == (SQUARES, {})
    assert again.numbers == list(range(2, 10))


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_cell_is_no_failure_of_the_cell(
    threads: int, interrupt: type[BaseException], tmp_path: Path
) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise interrupt
        return number

    executor = ThreadPoolExecutor(threads) if threads else None
    with pytest.raises(interrupt):
        run(work, CELLS, executor=executor, directory=tmp_path)
    if executor is not None:
        executor.shutdown()
    assert all(name.endswith(".cell") for name in names(tmp_path))


def test_progress_may_end_it(tmp_path: Path) -> None:
    def enough(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(square, CELLS, directory=tmp_path, progress=enough)
    assert len(names(tmp_path)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": ThreadPoolExecutor}, "executor: expected a concurrent.futures.Executor, got <class "),
        ({"retries": -1}, "retries: expected a whole number of at least 0, got -1"),
        ({"retries": 0.5}, "retries: expected a whole number"),
        ({"at_once": 0}, "at_once: expected a whole number of at least 1, got 0"),
        ({"directory": "a\0b"}, "directory: expected a path, got 'a\\x00b': embedded null byte"),
        ({"directory": 3}, "directory: expected a path, got 3: "),
    ],
)
def test_wrong_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        run(square, CELLS, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("cells", "message"),
    [([1, 2], "cells: expected a mapping, got [1, 2]"), ({1: 2}, "cells: expected texts for keys, got 1")],
)
def test_wrong_cells(cells: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        run(square, cells)
    assert str(caught.value) == message


def test_keys_tell_versions_and_parts_apart(monkeypatch):
    keys = [key_of("a", b"x", 1), key_of("a", b"x1"), key_of("a", b"x", "1"), key_of("b", b"x", 1)]
    assert len(set(keys)) == 4
    assert key_of("a", b"x", 1) == keys[0]
    monkeypatch.setattr("smiless_core.execution.version_report", lambda: {"smiless_core": "another"})
    assert key_of("a", b"x", 1) not in keys
