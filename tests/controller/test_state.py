"""The store against a model of it, against kills, full disks, other processes and damaged files."""

import math
import random
import shutil
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from commandline import SOURCES
from smiless_core.controller.lines import JsonLines
from smiless_core.controller.state import Begun, Store
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Application

STREET = Application.chain("detect", "read", sla=3.0, name="street")

TIMES = st.floats(-1e10, 1e10)
KEYS = st.sampled_from(["a", "b", "c", "", "ü\0'\""])
NOTES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def opened(path, **changes):
    return Store.open(path, **{"application": STREET, "patience": 0.0, **changes})


def files(path):
    """Return what is on disk; of an open store this drops its lock, as POSIX has it."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}


# --- what it does ----------------------------------------------------------------------------------------------------


class Model(RuleBasedStateMachine):
    """A store does what lists and dictionaries do, also when it is opened again, and after a kill at any moment."""

    directory = None
    keep = 20

    @initialize()
    def begin_anew(self):
        self.path = self.directory / uuid.uuid4().hex / "state.db"
        self.path.parent.mkdir()
        self.store = opened(self.path, keep=self.keep)
        self.times, self.cursors, self.lost = [], {}, 0
        self.entries, self.notes, self.decided = {}, {}, []

    @rule(function=KEYS, times=st.lists(TIMES, max_size=30), cursor=st.text(), lost=st.integers(0, 5))
    def ingest(self, function, times, cursor, lost):
        self.store.ingest(function, times, cursor, lost)
        self.times += times
        self.cursors[function] = cursor
        self.lost += lost

    @rule(function=KEYS, times=st.lists(TIMES, max_size=3), wrong=st.sampled_from([math.nan, math.inf, "x", None, []]))
    def ingest_what_is_wrong(self, function, times, wrong):
        with pytest.raises(InvalidInputError):
            self.store.ingest(function, [*times, wrong], "moved")

    @rule(key=KEYS, due=TIMES)
    def begin(self, key, due):
        assert self.store.begin(key, due) == (key not in self.entries)
        self.entries.setdefault(key, (due, None))

    @rule(key=KEYS, outcome=st.text())
    def finish(self, key, outcome):
        if key in self.entries:
            self.store.finish(key, outcome)
            due, before = self.entries[key]
            self.entries[key] = (due, outcome if before is None else before)
        else:
            with pytest.raises(InvalidInputError, match="no entry that was begun"):
                self.store.finish(key, outcome)

    @rule(before=TIMES)
    def forget(self, before):
        left = {key: entry for key, entry in self.entries.items() if entry[0] >= before}
        assert self.store.forget(before) == len(self.entries) - len(left)
        self.entries = left

    @rule(key=KEYS, value=NOTES)
    def note(self, key, value):
        self.store.set_meta(key, value)
        self.notes[key] = value

    @rule(now=TIMES)
    def decide(self, now):
        self.store.decision(now, {"count": len(self.decided)})
        self.decided.append((now, {"count": len(self.decided)}))

    @rule()
    def open_again(self):
        self.store.close()
        self.store = opened(self.path, keep=self.keep)

    @rule()
    def be_killed(self):
        """What is on disk at this moment is all that is left."""
        self.path = self.path.parent.with_name(uuid.uuid4().hex) / "state.db"
        held = self.store
        shutil.copytree(self.directory / held_name(held), self.path.parent)
        self.store = opened(self.path, keep=self.keep)
        held.close()

    @invariant()
    def it_tells_what_the_model_tells(self):
        store, latest = self.store, sorted(self.times)[-self.keep :]
        assert store.history().dtype == np.float64
        assert store.history().tolist() == store.history(10**9).tolist() == latest
        assert store.history(3).tolist() == latest[-3:]
        assert store.history(0).size == 0
        assert store.count == len(self.times)
        assert store.lost == self.lost
        assert {key: store.cursor(key) for key in self.cursors} == self.cursors
        assert store.cursor("never") == ""
        unfinished = sorted((due, key) for key, (due, outcome) in self.entries.items() if outcome is None)
        assert store.unfinished() == [Begun(key, due) for due, key in unfinished]
        assert {key: store.outcome(key) for key in self.entries} == {key: out for key, (_, out) in self.entries.items()}
        assert {key: repr(store.meta(key)) for key in self.notes} == {key: repr(x) for key, x in self.notes.items()}
        assert store.meta("never", "default") == "default"
        assert store.decisions() == self.decided

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()


def held_name(store):
    return store._path.rsplit("/", 2)[1]


def test_it_does_what_its_model_does(tmp_path):
    class Here(Model):
        directory = tmp_path

    run_state_machine_as_test(Here, settings=settings(max_examples=50, stateful_step_count=25))


def test_the_file_is_bounded(path):
    with opened(path, keep=100) as store:
        for begin in range(0, 20_000, 500):
            store.ingest("detect", np.arange(begin, begin + 500.0), str(begin))
            store.ingest("detect", [begin + 0.5], "x")
        assert store.count == 20_040
        assert store.history().tolist() == list(range(19_900, 20_000))
        for at in range(1500):
            store.decision(at, {"at": at, "infinite": math.inf, "password": "hunter2"})
        decided = store.decisions()
        assert [each.time for each in decided] == list(range(500, 1500))
        assert decided[-1].payload == {"at": 1499, "infinite": None, "password": "[hidden]"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM arrivals").fetchone()[0] <= 111
        assert connection.execute("SELECT count(*) FROM decisions").fetchone()[0] == 1000


def test_the_first_outcome_stays(path):
    with opened(path) as store:
        assert store.begin("a", 1.0)
        assert store.outcome("a") is None
        store.finish("a", "late")
        store.finish("a", "ready")
        assert store.outcome("a") == "late"
        assert store.unfinished() == []


def test_what_was_due_at_that_moment_is_not_forgotten(path):
    with opened(path) as store:
        for key, due in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
            store.begin(key, due)
        store.finish("c", "ready")
        assert store.forget(2.0) == 1
        assert store.unfinished() == [Begun("b", 2.0)]
        assert [store.begin(key, 4.0) for key in "abc"] == [True, False, False]
        assert store.forget(100.0) == 3


def test_what_is_interrupted_is_taken_back(path):
    with opened(path) as store:
        change = store._changing("test")
        change.__enter__().execute("INSERT INTO entries VALUES ('a', 1.0, NULL)")
        assert not change.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert store.begin("a", 1.0)


def test_a_hundred_thousand_at_once_and_as_many_again(path):
    with opened(path) as store:
        store.ingest("detect", np.arange(150_000.0)[::-1], "1")
        store.ingest("detect", np.arange(150_000.0, 160_000.0), "2")
        assert store.count == 160_000
        assert store.history().tolist() == list(range(60_000, 160_000))


def test_what_is_committed_is_synchronized(path):
    """No test sees a power cut; what SQLite promises about one hangs on these."""
    with opened(path) as store:
        told = {
            each: store._connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("journal_mode", "synchronous")
        }
        assert told == {"journal_mode": "wal", "synchronous": 2}


def test_nothing_is_written_when_there_is_nothing_new(path):
    with opened(path) as store:
        store.ingest("detect", [1.0], "1")
        size = path.with_name("state.db-wal").stat().st_size
        store.ingest("detect", [], "1")
        store.forget(5.0)
        assert path.with_name("state.db-wal").stat().st_size == size


def test_decisions_are_without_the_secrets_it_is_told(path):
    with opened(path, lines=JsonLines(["hunter2"])) as store:
        store.decision(0.0, {"error": "cannot log in with hunter2"})
    assert not any(b"hunter2" in content for content in files(path).values())


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.ingest("detect", [[1.0]], "1"),
        lambda store: store.ingest("detect", 1.0, "1"),
        lambda store: store.ingest("detect", [1.0], "1", lost=-1),
        lambda store: store.ingest("detect", [1.0], "\ud800"),
        lambda store: store.ingest("\ud800", [1.0], "1"),
        lambda store: store.ingest("detect", [1.0], None),
        lambda store: store.begin("a", math.nan),
        lambda store: store.begin(1, 1.0),
        lambda store: store.finish("a", None),
        lambda store: store.forget(math.nan),
        lambda store: store.history(-1),
        lambda store: store.decision(math.inf, {}),
        lambda store: store.set_meta("a", math.nan),
        lambda store: store.set_meta("a", [1]),
        lambda store: store.set_meta("a", b"1"),
    ],
)
def test_what_is_wrong_changes_nothing(path, call):
    with opened(path) as store:
        with pytest.raises(InvalidInputError):
            call(store)
        assert store.count == 0
        assert store.unfinished() == store.decisions() == []
        assert store.cursor("detect") == ""
        assert store.begin("a", 1.0)


# --- kills -----------------------------------------------------------------------------------------------------------

CONTROLLER = """
import os, sys
from smiless_core.controller.state import Store
from smiless_core.model import Application

store = Store.open(sys.argv[1], application=Application.chain("detect", "read", sla=3.0, name="street"), keep=200)
at = int(store.cursor("detect") or 0)
while True:
    if store.begin(f"start {at}", at):
        os.write(1, b"executed %d\\n" % at)
    store.finish(f"start {at}", "ready")
    store.ingest("detect", [at, at + 0.25, at + 0.5], str(at + 1), lost=1)
    at += 1
    os.write(1, b"acknowledged %d\\n" % at)
"""


def controlling(path, **changes):
    return subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(path)], env={"PYTHONPATH": SOURCES}, stdout=subprocess.PIPE, **changes
    )


def test_what_was_acknowledged_before_a_kill_is_there_and_nothing_twice(path):
    moments, executed, acknowledged = random.Random(6), [], 0
    for _ in range(20):
        with controlling(path) as process:
            try:
                told = process.stdout.readline()
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(moments.uniform(0.0, 0.05))
            finally:
                process.kill()
            told += process.stdout.read()
        for word, at in (line.split() for line in told.splitlines()):
            if word == b"executed":
                executed.append(int(at))
            else:
                acknowledged = int(at)
        # The kernel has let go of the file: there is no wait.
        with opened(path, keep=200) as store:
            reached = int(store.cursor("detect"))
            assert acknowledged <= reached <= acknowledged + 1
            assert store.count == 3 * reached
            assert store.lost == reached
            every = [at + part for at in range(reached) for part in (0.0, 0.25, 0.5)]
            assert store.history().tolist() == every[-200:]
            assert {key for key, _ in store.unfinished()} <= {f"start {at}" for at in range(reached + 1)}
            assert all(not store.begin(f"start {at}", at) for at in executed)
    assert len(executed) == len(set(executed))
    assert reached > 20


# --- others ----------------------------------------------------------------------------------------------------------


def test_the_file_belongs_to_one(path):
    with controlling(path) as process:
        try:
            process.stdout.readline()
            with pytest.raises(PlatformError, match=r"^state: open: .*state\.db: in use by another process$") as caught:
                opened(path)
            assert caught.value.retryable
        finally:
            process.kill()
    with opened(path), pytest.raises(PlatformError, match="in use"):
        opened(path)
    opened(path).close()


def test_one_waits_for_the_other(path):
    with controlling(path) as process:
        process.stdout.readline()
        stopper = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.2; kill -9 {process.pid}"])
        with opened(path, patience=20.0) as store:
            assert store.count > 0
        assert stopper.wait() == 0


def test_a_transaction_of_a_stranger_is_said(path):
    opened(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(PlatformError, match="in use by another process"):
            opened(path)
    opened(path).close()


# --- disks -----------------------------------------------------------------------------------------------------------

FULL = """
import resource, sys
from pathlib import Path
from smiless_core.controller.state import Store
from smiless_core.errors import PlatformError
from smiless_core.model import Application

path = Path(sys.argv[1])
store = Store.open(path, application=Application.chain("detect", "read", sla=3.0, name="street"))
store.ingest("detect", [1.0], "1")
store.begin("a", 1.0)
size = path.with_name("state.db-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, resource.RLIM_INFINITY))  # a write beyond it fails
calls = {
    "ingest": lambda: store.ingest("detect", range(100_000), "2"),
    "begin": lambda: store.begin("b" * 100_000, 2.0),
    "finish": lambda: store.finish("a", "x" * 100_000),
    "decision": lambda: store.decision(0.0, {str(at): "x" * 3000 for at in range(50)}),
    "set_meta": lambda: store.set_meta("a", "x" * 100_000),
}
for doing, call in calls.items():
    try:
        call()
    except PlatformError as error:
        assert error.retryable, error
        assert str(error).startswith(f"state: {doing}: {path}: "), error
    else:
        raise AssertionError(doing)
assert store.history().tolist() == [1.0] and store.cursor("detect") == "1" and store.count == 1
assert store.unfinished() == [("a", 1.0)] and store.decisions() == [] and store.meta("a") is None
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.ingest("detect", [2.0], "2")  # there is space again
store.close()
print("done")
"""


def test_nothing_is_half_written_where_a_write_fails(path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "done\n", done.stderr
    with opened(path) as store:
        assert store.history().tolist() == [1.0, 2.0]


def test_a_full_disk_is_said_and_can_be_emptied(path):
    with opened(path) as store:
        store.ingest("detect", [1.0], "1")
        store._connection.execute("PRAGMA max_page_count = 12")  # what SQLite answers then is what a full disk makes it
        with pytest.raises(PlatformError, match="database or disk is full"):
            store.ingest("detect", np.arange(10_000.0), "2")
        assert store.history().tolist() == [1.0]
        assert store.cursor("detect") == "1"
        store._connection.execute("PRAGMA max_page_count = 100000")
        store.ingest("detect", [2.0], "2")
        assert store.history().tolist() == [1.0, 2.0]


# --- files that are not what they should be --------------------------------------------------------------------------


def refused(path, **changes):
    before = files(path)[path.name]
    with pytest.raises(InvalidInputError) as caught:
        opened(path, **changes).close()
    assert files(path)[path.name] == before, "a file that is refused is left as it was"
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)[len(f"{path}: ") :]


def filled(path, count=5000):
    with opened(path) as store:
        store.ingest("detect", np.arange(float(count)), "1")
        for at in range(300):
            store.begin(f"start {at}", at)


@pytest.mark.parametrize(
    "other",
    [
        STREET.replace(name="avenue"),
        Application.chain("detect", "write", sla=3.0, name="street"),
        Application.chain("read", "detect", sla=3.0, name="street"),
        Application(functions=STREET.functions, sla=3.0, name="street"),
    ],
    ids=["name", "functions", "order", "edges"],
)
def test_the_state_of_another_application_is_refused(path, other):
    with opened(path, application=other):
        pass
    message = refused(path)
    assert message.startswith("application: expected the state of 'street' (")
    assert f"got that of {other.name!r} (" in message


def test_the_state_outlives_another_sla(path):
    filled(path)
    with opened(path, application=STREET.replace(sla=1.0, attainment_target=0.5)) as store:
        assert store.count == 5000


def test_a_refused_file_keeps_what_is_in_its_log(path):
    """A crash leaves the log: it is not played into a file that is refused."""
    with controlling(path) as process:
        process.stdout.readline()
        process.kill()
    before = files(path)
    assert before["state.db-wal"]
    refused(path, application=STREET.replace(name="avenue"))
    after = files(path)
    assert {name: after[name] for name in before} == before
    with opened(path) as store:
        assert not store.begin("start 0", 0.0)


def test_a_newer_version_is_refused(path):
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert refused(path) == "version: expected 1, got 2: written by another version of this library"


@pytest.mark.parametrize("content", [b"hello", b"x" * 10_000, b"SQLite format 3\0" + b"\0" * 5000], ids=len)
def test_what_is_no_database_is_refused(path, content):
    path.write_bytes(content)
    assert refused(path).startswith(("is damaged: ", "is not the state"))


def test_another_database_is_refused(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE entries (key TEXT)")
    assert refused(path) == "is not the state of a controller"


def test_an_empty_file_is_refused(path):
    path.touch()
    assert refused(path) == "is empty: remove it to begin anew"


def test_the_log_of_a_file_that_was_removed_is_not_played_into_a_new_one(path):
    with controlling(path) as process:
        process.stdout.readline()
        process.kill()
    path.unlink()
    with pytest.raises(InvalidInputError, match=r"state\.db: is not there, but its state\.db-wal is"):
        opened(path)
    path.with_name("state.db-wal").unlink()
    with opened(path) as store:
        assert store.count == 0


def test_truncated_files_are_refused(path):
    filled(path)
    whole = path.read_bytes()
    assert len(whole) > 100_000
    for size in [1, 15, 16, 99, 100, 511, 4095, 4096, *range(8192, len(whole), len(whole) // 25)]:
        path.write_bytes(whole[:size])
        assert refused(path).startswith(("is damaged: ", "is not the state"))
    path.write_bytes(whole)
    opened(path).close()


def test_a_page_that_is_lost_is_found_before_it_is_needed(path):
    filled(path)
    with path.open("r+b") as file:
        file.seek(-4096, 2)
        file.write(b"\0" * 4096)
    assert refused(path).startswith("is damaged: ")


def test_damaged_files_are_refused_or_work(path):
    """Not every byte matters; those that do are told of, and nothing else is raised."""
    filled(path, 500)
    whole = path.read_bytes()
    noise, outcomes = random.Random(6), []
    for _ in range(150):
        damaged = bytearray(whole)
        begin = noise.choice([noise.randrange(100), noise.randrange(len(whole))])
        damaged[begin : begin + 8] = noise.randbytes(8)
        path.write_bytes(damaged[: len(whole)])
        try:
            with opened(path) as store:
                store.ingest("detect", [1e6], "2")
                store.begin("news", 1.0)
                store.finish("news", "ready")
                store.history()
                store.decisions()
                store.unfinished()
            outcomes.append(True)
        except (InvalidInputError, PlatformError):
            outcomes.append(False)
        for left in ("state.db-wal", "state.db-shm"):
            path.with_name(left).unlink(missing_ok=True)
    assert set(outcomes) == {True, False}


def test_places_where_there_can_be_none(tmp_path):
    for wrong in (tmp_path, tmp_path / "no" / "state.db", tmp_path / "nul\0", "/proc/state.db", "/dev/null/state.db"):
        with pytest.raises(InvalidInputError, match="cannot be"):
            opened(wrong)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(InvalidInputError):
        opened(loop)
    assert list(tmp_path.iterdir()) == [loop]


def test_odd_names_and_links(tmp_path):
    file = tmp_path / "a ?#%41'.db"
    (link := tmp_path / "link").symlink_to(file)
    with opened(link) as store:
        store.ingest("detect", [1.0], "1")
    with opened(file) as store:
        assert store.count == 1
    assert {each.name.removeprefix(file.name) for each in tmp_path.iterdir()} == {"", "-shm", "link"}


def test_a_closed_store_is_a_mistake(path):
    store = opened(path)
    store.close()
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.begin("a", 1.0)
