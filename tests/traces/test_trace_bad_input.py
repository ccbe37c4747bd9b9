"""Wrong files: one line that names the file, the place and the value; never another error."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.traces import Format, Placement, describe, read_trace, read_traces

Result = TypeVar("Result")

AZURE_2019 = "HashOwner,HashApp,HashFunction,Trigger,1,2\n"
AZURE_2021 = "app,func,end_timestamp,duration\n"
LLM = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n\n", "the file is empty"),
        (b"\x00\x01\x02", "line 1: expected text in UTF-8, got byte 0x00"),
        (b"timestamp\n1\n\xff\xfe\n", "line 3: expected text in UTF-8, got byte 0xff"),
        (b"\x89PNG\r\n\x1a\n\x00", "line 1: expected text in UTF-8, got byte 0x89"),
        (gzip.compress(b"timestamp\n1\n2\n")[:-9], "cannot read it: "),
        (b"\x1f\x8bnothing of the kind", "cannot read it: "),
        (b"\x28\xb5\x2f\xfdnothing of the kind", "cannot read it: "),
        (b"timestamp\n", "expected arrivals, got none"),
        (
            b"a,b\n1,2\n",
            "line 1: not a known kind of trace: no time among the columns 'a,b' (known formats:",
        ),
        (b"12,13\n", "line 1: not a known kind of trace"),
        (b"timestamp\n1\nx\n", "line 3, column timestamp: expected a number of seconds, got 'x'"),
        (b"timestamp\n1\nnan\n", "line 3, column timestamp: expected a number of seconds, got 'nan'"),
        (b"timestamp\ninf\n", "line 2, column timestamp: expected a number of seconds, got 'inf'"),
        (b"timestamp,x\n1,2\n,3\n", "line 3, column timestamp: expected a number of seconds, got nothing"),
        (b"timestamp\n1\n\n2\n", "line 3, column timestamp: expected a number of seconds, got nothing"),
        (b"timestamp,x\n1,2\n\n3,4\n", "line 3: expected 2 columns, got an empty line"),
        (b"timestamp,x\n1,2\n3\n", "line 3: expected 2 columns, got a row of 1"),
        (b"timestamp,x\n1,2\n3,4,5\n", "line 3: expected 2 columns, got a row of 3"),
        (b'timestamp,x\n1,"a\nb"\n', "line 2: expected quotes that close within the line"),
        (b"timestamp,function\n1,f\n2, \n3,f\n", "line 3, column function: expected an id to print, got ' '"),
        (b"timestamp,function\n1,f\n2,\n", "line 3, column function: expected an id to print, got nothing"),
        (b"timestamp,app\n1,a\n2,\x1b[1m\n", "line 3, column app: expected an id to print, got '\\x1b[1m'"),
        (
            b"timestamp\n1700000000000\n",
            "line 2, column timestamp: expected a number of seconds within 146 years (4.6e+09), "
            "got '1700000000000'; a column of milliseconds is to be named with the suffix _ms",
        ),
        (
            b"timestamp\n2023-11-16T18:15:46Z\n5\n",
            "line 3, column timestamp: expected an ISO 8601 instant, got '5'",
        ),
        (
            b"timestamp\n2023-11-16\n",
            "line 2, column timestamp: expected an ISO 8601 instant, got '2023-11-16'",
        ),
        (b"timestamp\n2023-13-16 18:15:46\n", "expected an ISO 8601 instant, got '2023-13-16 18:15:46'"),
        (b"timestamp\n2023-02-29 18:15:46\n", "expected an ISO 8601 instant, got '2023-02-29 18:15:46'"),
        (b"timestamp\n1700-01-01 00:00:00\n", "expected an ISO 8601 instant, got '1700-01-01 00:00:00'"),
        (
            LLM.encode() + b"2023-11-16 18:15:46.68,1,2\n2023-11-16 18:1",
            "line 3: expected 3 columns, got a row of 1",
        ),
        (AZURE_2019.encode(), "expected arrivals, got none"),
        (AZURE_2019.encode() + b"o,a,f,http,0,0\n", "expected arrivals, got none"),
        (
            AZURE_2019.encode() + b"o,a,f,http,3,-4\n",
            "line 2, column 2: expected a count from 0 to 10000000, got '-4'",
        ),
        (
            AZURE_2019.encode() + b"o,a,f,http,3,nan\n",
            "line 2, column 2: expected a count from 0 to 10000000, got 'nan'",
        ),
        (
            AZURE_2019.encode() + b"o,a,f,http,,1\n",
            "line 2, column 1: expected a count from 0 to 10000000, got nothing",
        ),
        (AZURE_2019.encode() + b"o,a,f,http,1\n", "line 2: expected 6 columns, got a row of 5"),
        (
            AZURE_2019.encode() + b"o,,f,http,1,1\n",
            "line 2, column HashApp: expected an id to print, got nothing",
        ),
        (b"HashOwner,HashApp,HashFunction,Trigger,1,3\no,a,f,http,1,1\n", "line 1: expected the columns"),
        (b"HashOwner,HashApp,HashFunction,Average,Count\n", "line 1: expected the columns"),
        (
            AZURE_2021.encode() + b"a,f,1.5,x\n",
            "line 2, column duration: expected a number of seconds, got 'x'",
        ),
        (
            AZURE_2021.encode() + b"a,f,1.5,-1\n",
            "line 2, column duration: expected a duration of at least 0, got '-1'",
        ),
        (
            b"func,end_timestamp,duration\nf,1,1\n",
            "line 1: expected a column app, got 'func', 'end_timestamp'",
        ),
        (b"3 -1 2\n", "line 1: expected a count from 0 to 10000000, got '-1'"),
        (b"3 1 2\n4\n5 1.5\n", "line 3: expected a count from 0 to 10000000, got '1.5'"),
        (b"3 1 2\nnan\n", "line 2: expected a count from 0 to 10000000, got 'nan'"),
        (b"3 99999999999\n", "line 1: expected a count from 0 to 10000000, got '99999999999'"),
        (b"0 0\n0 0\n", "expected arrivals, got none"),
        (b"-3\n", "a column of whole numbers without a name can be counts per second or timestamps"),
        (b'{"timestamp": 1}\n{"timestamp": 2', "line 2: expected a JSON object per line, got "),
        (
            b'{"timestamp": 1}\n\n{"timestamp": 2}\n',
            "line 2: expected a JSON object per line, got an empty line",
        ),
        (b'{"timestamp": 1}\n{"time": 2}\n', "line 2: expected a JSON object per line, got "),
        (b'{"timestamp": 1}\n[2]\n', "line 2: expected a JSON object per line, got '[2]'"),
        (
            b'{"timestamp": 1}\n{"timestamp": null}\n',
            "line 2, key timestamp: expected a number of milliseconds, got 'null'",
        ),
        (b'{"timestamp": NaN}\n', "line 1: expected a JSON object per line, got "),
        (b'{"a": 1}\n', "line 1: expected one of the names timestamp, time, "),
        (b'{"timestamp": 1', "line 1: not JSON: "),
        (b'{"timestamp": 1, "function": ""}\n', "line 1, key function: expected an id to print, got nothing"),
        (b"{" * 100_000, "line 1: not JSON: "),
        (b"x" * 5_000_000, "line 1: expected lines of text, got 1048576 bytes without one"),
    ],
)
def test_wrong_files_are_told_in_one_line(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(text)
    for read in (read_trace, read_traces, describe):
        with pytest.raises(InvalidInputError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_wrong_paths(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"missing\.csv: cannot read it: No such file or directory$"):
        read_trace(tmp_path / "missing.csv")
    with pytest.raises(InvalidInputError, match=r": a directory without a trace: expected invocations\.csv or "):
        describe(tmp_path)
    with pytest.raises(InvalidInputError, match=r": cannot read it: Is a directory$"):
        describe(tmp_path, format="csv")
    with pytest.raises(InvalidInputError, match=r"cannot read it: embedded null byte$"):
        read_trace("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="expected a file, got a device or a pipe"):
        read_trace(tmp_path / "pipe")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("timestamp\n1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):  # as root: let the system call refuse
        monkeypatch.setattr(Path, "open", _refuse)
    with pytest.raises(InvalidInputError, match=r"secret\.csv: cannot read it: Permission denied$"):
        read_trace(path)


def _refuse(path: Path, mode: str) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_wrong_day_is_named(tmp_path: Path) -> None:
    day = tmp_path / "invocations_per_function_md.anon.d01.csv"
    day.write_text(AZURE_2019 + "o,a,f,http,1,x\n")
    with pytest.raises(InvalidInputError) as caught:
        read_trace(tmp_path)
    assert str(caught.value) == f"{day}: line 2, column 2: expected a count from 0 to 10000000, got 'x'"


def test_more_arrivals_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "counts.txt"
    path.write_text("1000 1000 1000\n2000")
    assert read_trace(path).count == 5000
    monkeypatch.setattr("os.sysconf", lambda name: 199)  # a machine of 39,601 bytes
    with pytest.raises(InvalidInputError, match="do not fit into memory: select one function"):
        read_trace(path)


_HEADERS = st.sampled_from(
    [
        b"",
        b"timestamp\n",
        b"time_ms;app\n",
        b"timestamp,function\n",
        AZURE_2019.encode(),
        AZURE_2021.encode(),
        LLM.encode(),
    ]
)
_ROWS = st.sampled_from(
    [
        b"1\n",
        b"2.5\n",
        b"0 3 2\n",
        b"1,f\n",
        b"2;a\n",
        b"o,a,f,timer,3,0\n",
        b"a,f,5.5,0.25\n",
        b"2023-11-16 18:15:46.68,3,4\n",
        b"2023-11-16T18:15:46+01:00\n",
        b'{"timestamp": 1.5, "function": "f"}\n',
    ]
)
_NOISE = st.binary(max_size=6) | st.sampled_from(
    [b",", b"\n", b'"', b" ", b"\r\n", b"nan", b"-", b"e9", b"9" * 20, b"\0", b"{", b"\xe2\x80\xa8", b"\xff"]
)
_NEARLY = st.tuples(_HEADERS, st.lists(_ROWS | _NOISE, max_size=8)).map(lambda parts: parts[0] + b"".join(parts[1]))
_PACKED = st.tuples(st.binary(max_size=40), st.integers(0, 60)).map(lambda pair: gzip.compress(pair[0])[: pair[1]])


@given(
    data=st.binary(max_size=300)
    | _NEARLY
    | _PACKED
    | st.binary(max_size=40).map(lambda rest: b"\x28\xb5\x2f\xfd" + rest),
    kind=st.none() | st.sampled_from(Format),
    select=st.sampled_from([None, None, "f", "x"]),
    placement=st.sampled_from(Placement),
)
def test_only_invalid_input_escapes(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    kind: Format | None,
    select: str | None,
    placement: Placement,
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(data)
    trace, refusal = attempt(lambda: read_trace(path, format=kind, select=select, placement=placement))
    description, same = attempt(lambda: describe(path, format=kind, select=select, placement=placement))
    assert (refusal is None) == (same is None)
    if trace is not None and description is not None:
        assert description.count == trace.count > 0
        assert str(description)
        traces = read_traces(path, format=kind, placement=placement)
        assert sum(part.count for part in traces.values()) >= trace.count
    else:
        assert str(refusal).startswith(f"{path}: ")
        assert "\n" not in str(refusal)


def attempt(read: Callable[[], Result]) -> tuple[Result | None, InvalidInputError | None]:
    try:
        return read(), None
    except InvalidInputError as error:
        return None, error
