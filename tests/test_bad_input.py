"""Wrong input: exit code 2, one line that names file, place and value, and nothing written."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commandline import (
    APPLICATION,
    ARRIVALS,
    MEASUREMENTS,
    PROFILES,
    assert_refused,
    smiless,
    smiless_process,
    write_inputs,
)
from strategies import examples

NOISE = bytes(range(128, 256)) * 4


class Wrong(NamedTuple):
    """The content of a wrong file, and what the message has to name: the place and the value."""

    content: str | bytes
    named: tuple[str, ...]


def application(**changes: str) -> str:
    """Write an application with some keys changed; an empty text leaves a key out."""
    keys = {"name": "street", "sla": "3", "functions": "[detect, caption]", "edges": "[[detect, caption]]"}
    return "".join(f"{key}: {value}\n" for key, value in (keys | changes).items() if value)


def profiles(**changes: str) -> str:
    """Write a profile with some keys of its one model changed."""
    keys = {
        "alpha": "1.0",
        "beta": "0.1",
        "gamma": "0.2",
        "dispatch": "0.01",
        "cold_start_mean": "2.0",
        "sizes": "[1, 2]",
        "batches": "[1]",
    }
    model = ", ".join(f"{key}: {value}" for key, value in (keys | changes).items() if value)
    return f"profiles:\n  detect: {{hardware: {{cpu: {{{model}}}}}}}\n"


APPLICATIONS = {
    "unknown profile": Wrong(
        application(functions="[detect, {name: read, profile: captoin}]", edges=""),
        ("functions[1].profile", "'captoin'", "did you mean 'caption'"),
    ),
    "cycle": Wrong(
        application(edges="[[detect, caption], [caption, detect]]"), ("edges", "detect -> caption -> detect")
    ),
    "duplicate name": Wrong(application(functions="[detect, detect]", edges=""), ("functions[1].name", "'detect'")),
    "edge to nowhere": Wrong(application(edges="[[detect, captoin]]"), ("edges[0]", "'captoin'", "'caption'")),
    "edge to itself": Wrong(application(edges="[[detect, detect]]"), ("edges[0]", "'detect'")),
    "negative number": Wrong(application(sla="-1.5"), ("sla", "-1.5")),
    "NaN": Wrong(application(sla=".nan"), ("sla", "nan")),
    "infinity": Wrong(application(sla=".inf"), ("sla", "inf")),
    "sla of zero": Wrong(application(sla="0"), ("sla", "0")),
    "sla beyond measure": Wrong(application(sla="1.0e+300"), ("sla", "1e+300")),
    "target above one": Wrong(application(attainment_target="1.5"), ("attainment_target", "1.5")),
    "empty application": Wrong(application(functions="[]", edges=""), ("functions", "none")),
    "no functions": Wrong(application(functions="", edges=""), ("'functions'", "missing")),
    "text for a number": Wrong(application(sla="fast"), ("sla", "'fast'")),
    "truth for a number": Wrong(application(sla="true"), ("sla", "True")),
    "number for a name": Wrong(application(functions="[detect, 3]", edges=""), ("functions[1]", "3")),
    "unknown key": Wrong(application(slo="3"), ("'slo'", "did you mean 'sla'")),
    "two of one key": Wrong(application() + "sla: 4\n", ("sla", "line 5")),
    "list for a file": Wrong("[1, 2]\n", ("mapping", "[1, 2]")),
    "truncated": Wrong("sla: 3\nfunctions: [detect, {name: read", ("line 3",)),
    "empty file": Wrong("", ("empty",)),
    "binary noise": Wrong(NOISE, ("byte 0x80", "position 0")),
}

JSON_APPLICATIONS = {
    "truncated": Wrong('{"sla": 3, "functions": ["detect", ', ("line 1, column 36",)),
    "NaN": Wrong('{"sla": NaN, "functions": ["detect"]}', ("sla", "nan")),
    "binary noise": Wrong(NOISE, ("byte 0x80", "position 0")),
}

PROFILE_FILES = {
    "negative number": Wrong(profiles(alpha="-1"), ("profiles.detect.hardware.cpu", "alpha", "-1")),
    "NaN": Wrong(profiles(cold_start_mean=".nan"), ("profiles.detect.hardware.cpu", "cold_start_mean", "nan")),
    "no latency": Wrong(profiles(alpha="0", beta="0", gamma="0"), ("profiles.detect.hardware.cpu", "0")),
    "no sizes": Wrong(profiles(sizes="[]"), ("profiles.detect.hardware.cpu", "sizes", "none")),
    "missing key": Wrong(profiles(gamma=""), ("profiles.detect.hardware.cpu", "'gamma'", "missing")),
    "unknown key": Wrong(profiles(gama="1"), ("profiles.detect.hardware.cpu", "'gama'", "'gamma'")),
    "wrong type": Wrong(profiles(beta="small"), ("profiles.detect.hardware.cpu", "beta", "'small'")),
    "unknown hardware": Wrong(profiles().replace("cpu", "tpu"), ("profiles.detect", "'tpu'")),
    "share above one": Wrong(profiles().replace("cpu", "gpu"), ("profiles.detect", "sizes", "2")),
    "negative price": Wrong(profiles() + "prices: {cpu: -1, gpu: 1}\n", ("prices.cpu", "-1")),
    "cold start of ages": Wrong(
        profiles(cold_start_mean="1.0e+15").replace("detect", "caption") + PROFILES.partition("  caption:")[0][10:],
        ("functions[1]", "cpu", "1e+15"),
    ),
    "no profiles": Wrong("profiles: {}\n", ("profiles", "none")),
    "truncated": Wrong(profiles()[:60], ("line",)),
    "binary noise": Wrong(NOISE, ("byte 0x80",)),
}

MEASUREMENT_FILES = {
    "unknown column": Wrong(MEASUREMENTS.replace("latency_s", "latncy_s"), ("line 1", "'latncy_s'", "'latency_s'")),
    "negative latency": Wrong(MEASUREMENTS.replace("0.60", "-0.60", 1), ("line 3", "latency", "-0.6")),
    "NaN": Wrong(MEASUREMENTS.replace("0.60", "nan", 1), ("line 3", "latency", "nan")),
    "unknown hardware": Wrong(MEASUREMENTS.replace("cpu,2", "tpu,2", 1), ("line 3", "hardware", "'tpu'")),
    "short row": Wrong(MEASUREMENTS + "caption,cpu\n", ("line 14",)),
    "no cold start": Wrong(
        "function,hardware,size,batch,latency_s\nx,cpu,1,1,0.5\n",
        ("x on cpu", "no cold start", "cold_start_s"),
    ),
    "header only": Wrong("function,hardware,size,batch,latency_s\n", ("at least one measurement",)),
    "empty file": Wrong("", ("at least one measurement",)),
    "binary noise": Wrong(NOISE, ("byte 0x80",)),
}

TRACES = {
    "no time": Wrong("a,b\n1,2\n", ("line 1", "'a,b'")),
    "text for a time": Wrong("timestamp\n1.0\nsoon\n", ("line 3", "'soon'")),
    "NaN": Wrong("timestamp\n1.0\nnan\n", ("line 3", "nan")),
    "empty file": Wrong("", ("empty",)),
    "binary noise": Wrong(b"timestamp\n" + NOISE, ("line 2", "byte 0x80")),
    "one arrival": Wrong("timestamp\n5.0\n", ("a single arrival", "record at least two", "--every SECONDS")),
    "simultaneous arrivals": Wrong("timestamp\n5.0\n5.0\n", ("2 arrivals", "simultaneous")),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in a directory with a right file of every kind, and find it unchanged in the end."""
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    found = {path.name for path in tmp_path.iterdir()}
    assert found <= {"app.yaml", "profiles.yaml", "measurements.csv", "arrivals.csv"} | {
        name for name in found if name.startswith("wrong")
    }, "something was written"


def wrong_file(wrong: Wrong, name: str) -> str:
    content = wrong.content if isinstance(wrong.content, bytes) else wrong.content.encode()
    Path(name).write_bytes(content)
    return name


PLAN = ("plan", "--profiles", "profiles.yaml", "--every", "10")


# -- Wrong files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", APPLICATIONS.values(), ids=APPLICATIONS)
def test_a_wrong_application(wrong: Wrong) -> None:
    file = wrong_file(wrong, "wrong.yaml")
    assert_refused(smiless(*PLAN, file), file, *wrong.named)


@pytest.mark.parametrize("wrong", ["unknown profile", "cycle", "NaN", "binary noise"])
def test_a_wrong_application_for_a_frontier(wrong: str) -> None:
    file = wrong_file(APPLICATIONS[wrong], "wrong.yaml")
    assert_refused(smiless("frontier", file, *PLAN[1:]), f"{file}: ", *APPLICATIONS[wrong].named)


@pytest.mark.parametrize("wrong", JSON_APPLICATIONS.values(), ids=JSON_APPLICATIONS)
def test_a_wrong_application_in_json(wrong: Wrong) -> None:
    file = wrong_file(wrong, "wrong.json")
    assert_refused(smiless(*PLAN, file), f"{file}: ", *wrong.named)


@pytest.mark.parametrize("wrong", PROFILE_FILES.values(), ids=PROFILE_FILES)
def test_wrong_profiles(wrong: Wrong) -> None:
    file = wrong_file(wrong, "wrong.yaml")
    assert_refused(smiless("plan", "app.yaml", "--profiles", file, "--every", 10), f"{file}: ", *wrong.named)


@pytest.mark.parametrize("wrong", MEASUREMENT_FILES.values(), ids=MEASUREMENT_FILES)
def test_wrong_measurements(wrong: Wrong) -> None:
    file = wrong_file(wrong, "wrong.csv")
    assert_refused(smiless("fit", file, "-o", "fitted.yaml"), f"{file}: ", *wrong.named)


@pytest.mark.parametrize("wrong", TRACES.values(), ids=TRACES)
def test_a_wrong_trace(wrong: Wrong) -> None:
    file = wrong_file(wrong, "wrong.csv")
    asked = smiless("plan", "app.yaml", "--profiles", "profiles.yaml", "--trace", file)
    assert_refused(asked, f"{file}: ", *wrong.named)
    if "arrival" not in wrong.named[0]:  # few arrivals can be described, only not planned for
        assert_refused(smiless("trace", "describe", file), f"{file}: ", *wrong.named)


@pytest.mark.parametrize(
    "wrong",
    [
        *("unknown profile", "cycle", "duplicate name", "edge to nowhere", "negative number", "NaN"),
        *("empty application", "sla of zero", "text for a number", "truncated", "binary noise"),
    ],
)
def test_a_wrong_application_as_a_user_meets_it(wrong: str) -> None:
    file = wrong_file(APPLICATIONS[wrong], "wrong.yaml")
    assert_refused(smiless_process(*PLAN, file, "--json"), f"{file}: ", *APPLICATIONS[wrong].named)


# -- Files that cannot be read or written --------------------------------------------------------------------

READING = {
    "application": ("plan", "{}.yaml", *PLAN[1:]),
    "profiles": ("plan", "app.yaml", "--profiles", "{}.yaml", "--every", "10"),
    "trace": ("plan", "app.yaml", "--profiles", "profiles.yaml", "--trace", "{}.csv"),
    "trace to describe": ("trace", "describe", "{}.csv"),
    "measurements": ("fit", "{}.csv", "-o", "fitted.yaml"),
}


def reading(what: str, name: str) -> tuple[str, list[str]]:
    """Return the name of a file with the right suffix, and the command that reads it."""
    arguments = [argument.format(name) for argument in READING[what]]
    return next(argument for argument in arguments if argument.startswith(name)), arguments


@pytest.mark.parametrize("what", READING)
def test_a_missing_file(what: str) -> None:
    file, arguments = reading(what, "nowhere")
    assert_refused(smiless(*arguments), f"{file}: ", "o such file")


@pytest.mark.parametrize("what", READING)
def test_a_directory(what: str) -> None:
    file, arguments = reading(what, "wrong")
    Path(file).mkdir()
    assert_refused(smiless(*arguments), f"{file}: ", "directory")


def test_a_directory_as_a_user_meets_it() -> None:
    Path("wrong.yaml").mkdir()
    assert_refused(smiless_process(*PLAN, "wrong.yaml"), "wrong.yaml: ", "directory")


def _without_privileges() -> None:
    """Give up what lets a superuser read all files; it is gone with the next program."""
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    for capability in (dac_override, dac_read_search):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)


@pytest.mark.parametrize("what", READING)
def test_no_permission(what: str) -> None:
    file, arguments = reading(what, "wrong")
    Path(file).write_text(APPLICATION)
    Path(file).chmod(0)
    if subprocess.run(["cat", file], preexec_fn=_without_privileges, stderr=subprocess.DEVNULL).returncode == 0:
        pytest.skip("a superuser may read everything, and cannot give that up here")
    refused = smiless_process(*arguments, preexec_fn=_without_privileges)
    assert_refused(refused, f"{file}: ", "ermission denied")


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("nowhere/fitted.yaml", "no such file or directory"),
        ("measurements.csv/fitted.yaml", "not a directory"),
        ("fitted.txt", ".yaml"),
        ("fitted", ".yaml"),
        ("profiles.yaml", "--force"),
    ],
)
def test_an_output_that_cannot_be_written(output: str, named: str) -> None:
    assert_refused(smiless("fit", "measurements.csv", "--output", output), f"{output}: ", named)
    assert Path("profiles.yaml").read_text() == PROFILES


def test_force_does_not_replace_a_directory() -> None:
    Path("wrong.yaml").mkdir()
    assert_refused(smiless("fit", "measurements.csv", "-o", "wrong.yaml", "--force"), "wrong.yaml: ", "directory")
    assert list(Path("wrong.yaml").iterdir()) == []


# -- Anything at all -----------------------------------------------------------------------------------------


def mutated(text: str) -> st.SearchStrategy[bytes]:
    """Cut pieces out of a right file and put others in."""
    pieces = st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [
                b"-1",
                b"1e999",
                b"[",
                b"}",
                b"*a",
                b"&a",
                b"<<:",
                b"null",
                b"~",
                b"!!python/name:x",
                b"\n",
                b"'",
            ]
        ),
    )
    edits = st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, 12), pieces), min_size=1, max_size=4)

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = text.encode()
        for start, length, piece in edits:
            data = data[:start] + piece + data[start + length :]
        return data

    return edits.map(apply)


KINDS = {
    "application": ("wrong.yaml", APPLICATION, ("plan", "wrong.yaml", *PLAN[1:])),
    "profiles": ("wrong.yaml", PROFILES, ("plan", "app.yaml", "--profiles", "wrong.yaml", "--every", "10")),
    "measurements": ("wrong.csv", MEASUREMENTS, ("fit", "wrong.csv")),
    "trace": ("wrong.csv", ARRIVALS, ("trace", "describe", "wrong.csv")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_is_answered_by_a_traceback(kind: str) -> None:
    file, text, arguments = KINDS[kind]

    @given(content=mutated(text))
    @examples(100)
    @example(content=b"a: &a [*a]\n")
    @example(content=b"timestamp\n1e400\n2\n")
    def check(content: bytes) -> None:
        Path(file).write_bytes(content)
        outcome = smiless(*arguments)
        if outcome.code == 2:
            assert_refused(outcome, file)
        else:
            assert (outcome.code in (0, 1), outcome.err) == (True, "")

    check()
