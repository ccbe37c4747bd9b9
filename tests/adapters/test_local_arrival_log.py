"""When requests came, across restarts, cuts and wrong clocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.adapters.local.arrival_log import ArrivalLog
from smiless_core.errors import InvalidInputError


def reopened(log, path, **options):
    log.close()
    return ArrivalLog(path, **options)


def test_arrivals_are_told_since_a_cursor(tmp_path):
    log = ArrivalLog(tmp_path / "log")
    begin = log.since("")
    assert begin.times == ()
    log.add(1.0)
    log.add(2.0)
    told = log.since(begin.cursor)
    assert (told.times, told.lost) == ((1.0, 2.0), 0)
    assert log.since(told.cursor).times == ()
    assert log.since("").times == (), "an empty cursor begins now"
    log = reopened(log, tmp_path / "log")
    log.add(3.0)
    assert log.since(told.cursor).times == (3.0,)
    assert log.since(begin.cursor).times == (1.0, 2.0, 3.0)
    assert log.since(begin.cursor, most=2).times == (1.0, 2.0)
    assert log.since(log.since(begin.cursor, most=2).cursor).times == (3.0,)
    log.close()


def test_a_clock_that_is_set_back_does_not_break_the_order(tmp_path):
    log = ArrivalLog(tmp_path / "log")
    begin = log.since("").cursor
    for each in (5.0, 4.0, 6.0):
        log.add(each)
    assert log.since(begin).times == (5.0, 5.0, 6.0)
    log.close()


def test_what_is_cut_off_is_lost_and_counted(tmp_path):
    log = ArrivalLog(tmp_path / "log", keep=4)
    begin = log.since("").cursor
    for each in range(11):
        log.add(float(each))
    for _ in range(2):
        told = log.since(begin)
        assert len(log) == 11
        assert len(told.times) + told.lost == 11
        assert 4 <= len(told.times) < 8
        assert told.times[-1] == 10.0
        log = reopened(log, tmp_path / "log", keep=4)
    assert (tmp_path / "log").stat().st_size <= 16 + 8 * 8
    log.close()


def test_half_an_entry_is_dropped(tmp_path):
    log = ArrivalLog(tmp_path / "log")
    begin = log.since("").cursor
    log.add(1.0)
    with (tmp_path / "log").open("ab") as file:
        file.write(b"abc")
    log = reopened(log, tmp_path / "log")
    log.add(2.0)
    log = reopened(log, tmp_path / "log")
    assert log.since(begin).times == (1.0, 2.0)
    log.close()


def test_the_cursor_of_another_log_begins_at_the_beginning(tmp_path):
    first, second = ArrivalLog(tmp_path / "a"), ArrivalLog(tmp_path / "b")
    for _ in range(3):
        first.add(1.0)
    second.add(2.0)
    assert second.since(first.since("").cursor).times == (2.0,)
    first.close()
    second.close()


@pytest.mark.parametrize("cursor", ["0", "x-", "x-y", "x--1", "x-1.0", "x-\u0661", "x-" + "9" * 30, "-"])
def test_no_cursor(tmp_path, cursor):
    log = ArrivalLog(tmp_path / "log")
    with pytest.raises(InvalidInputError, match="since: expected the cursor of an earlier answer"):
        log.since(cursor)
    log.close()


@given(
    steps=st.lists(st.one_of(st.floats(0.0, 1e10), st.just("read"), st.just("reopen")), max_size=60),
    keep=st.integers(1, 5),
)
def test_everything_is_told_or_lost_once(tmp_path_factory, steps, keep):
    path = tmp_path_factory.mktemp("log") / "log"
    log = ArrivalLog(path, keep=keep)
    cursor, told, lost, added = log.since("").cursor, [], 0, []
    for step in [*steps, "read"]:
        if step == "read":
            more = log.since(cursor)
            cursor, told, lost = more.cursor, told + list(more.times), lost + more.lost
        elif step == "reopen":
            log = reopened(log, path, keep=keep)
        else:
            added.append(log.add(step))
    log.close()
    assert len(told) + lost == len(added)
    assert told == sorted(told)
    assert not told or set(told) <= set(added)
