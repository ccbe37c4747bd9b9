"""Runs in files: to the last bit, whole or not at all, and never taken from a file of something else."""

from __future__ import annotations

import json
import math
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from problems import problems
from small_policies import Whims
from smiless_core.simulator import Instances, Run, Services
from strategies import examples

pytestmark = pytest.mark.native


def bits(value: object) -> object:
    """Return what tells a value from all others, NaN and the sign of 0 included."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, Instances | Services):
        return [bits(each) for each in value]
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, tuple):
        return [bits(each) for each in value]
    return value


def all_of(run: Run) -> dict[str, object]:
    return {name: bits(getattr(run, name)) for name in Run.__struct_fields__}


@st.composite
def runs(draw: st.DrawFn) -> Run:
    problem = draw(problems())
    text = st.text(max_size=5)
    problem = problem.replace(
        application=problem.application.replace(
            sla=draw(st.sampled_from([1e-9, 0.1 + 0.2, 30.0])), name=draw(st.sampled_from(["größe", "a b", '"', "\\"]))
        )
    )
    gaps = draw(st.lists(st.integers(0, 40_000_000_019), max_size=6))
    run = sc.simulate(
        problem,
        sc.Trace(np.cumsum([0, *gaps])),
        Whims(draw(st.integers(0, 9999))),
        seed=draw(st.sampled_from([0, 2**64 - 1])),
        timeline=draw(st.booleans()),
    )
    changes = {
        "policy": draw(text),
        "settings": draw(text),
        "trace": draw(text),
        "decision_time": draw(st.floats(0.0, allow_infinity=False)),
        "clairvoyant": draw(st.sampled_from([run.clairvoyant, math.nan, 0.1, 5e-324])),
        "end": draw(st.floats(run.end, run.end * (1 + 1e-12))),
    }
    return run.replace(**changes)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "runs.json"


@examples(60)
@given(st.lists(runs(), max_size=3))
def test_runs_come_back_to_the_last_bit(file, given):
    sc.write_runs(file, given)
    back = sc.read_runs(file)
    assert [all_of(each) for each in back] == [all_of(each) for each in given]
    assert [each.to_dict() for each in back] == [each.to_dict() for each in given]
    written = file.read_bytes()
    sc.write_runs(file, back)
    assert file.read_bytes() == written


def _run(**options: object) -> Run:
    problem = sc.Problem(sc.catalog.application("image-query"), sc.catalog.profiles(), sc.catalog.prices())
    trace = sc.Trace.from_seconds([0.0, 30.0, 60.0])
    return sc.simulate(problem, trace, sc.baselines.AlwaysWarm(), timeline=True, **options)


def test_a_file_is_json_that_others_can_read(tmp_path):
    run = _run(seed=2**64 - 1)
    sc.write_runs(tmp_path / "runs.json", [run])
    document = json.loads((tmp_path / "runs.json").read_text(), parse_constant=pytest.fail)
    (plain,) = document["runs"]
    assert plain["seed"] == 2**64 - 1
    assert len(plain["services"]["begins"]) == 3 * len(run.functions)


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "runs.json"
    sc.write_runs(path, [_run()])
    before = path.read_bytes()

    def broken():
        yield _run()
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        sc.write_runs(path, broken())
    with pytest.raises((sc.InvalidInputError, TypeError, AttributeError)):
        sc.write_runs(path, [_run(), "no run"])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["runs.json"]
    sc.write_runs(path, [])
    assert sc.read_runs(path) == []


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "runs.json"
    sc.write_runs(path, [])
    before = path.read_bytes()
    run = _run()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(sc.InvalidInputError) as caught:
            sc.write_runs(path, [run])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == f"{path}: cannot be written: file too large"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["runs.json"]


@pytest.mark.parametrize("where", ["nowhere/runs.json", ".", "a\0b"])
def test_a_place_that_cannot_be_written(tmp_path, where):
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.write_runs(f"{tmp_path}/{where}", [])
    assert "cannot be written: " in str(caught.value)
    assert "\n" not in str(caught.value)


def _refused(path: Path) -> str:
    with pytest.raises(sc.InvalidInputError) as caught:
        sc.read_runs(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: "), said
    assert "\n" not in said
    assert len(said) < 600
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "runs.json"
    sc.write_runs(path, [_run()])
    return path.read_bytes()


@examples(60)
@given(st.data())
def test_part_of_a_file_is_no_file(file, whole, data):
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    _refused(file)


LEFT_OUT = [
    (),
    ("application",),
    ("application", "sla"),
    ("functions",),
    ("functions", 0, "usage"),
    ("functions", 0, "usage", 0, "price"),
    ("arrivals_ns",),
    ("clairvoyant",),
    ("services", "begins"),
    ("instances", "usage"),
    ("decisions",),
]
WRONG = [None, "text", -7.5, [], {}, [[1]], {"other": 1}, True]


@pytest.mark.parametrize("place", LEFT_OUT, ids=str)
def test_what_lacks_something_is_refused(tmp_path, whole, place):
    document = json.loads(whole)
    holder = document if not place else document["runs"][0]
    for key in place[:-1]:
        holder = holder[key]
    del holder[place[-1] if place else "runs"]
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(document))
    _refused(path)


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize(
    "place",
    [
        ("runs",),
        ("runs", 0),
        ("runs", 0, "application"),
        ("runs", 0, "application", "functions"),
        ("runs", 0, "functions"),
        ("runs", 0, "functions", 0),
        ("runs", 0, "functions", 0, "usage", 0, "configuration"),
        ("runs", 0, "arrivals_ns"),
        ("runs", 0, "services"),
        ("runs", 0, "services", "finishes"),
    ],
    ids=str,
)
def test_what_has_something_else_there_is_refused_or_harmless(tmp_path, whole, place, wrong):
    """Never another kind of error, not even later, when a report is made of it."""
    document = json.loads(whole)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = wrong
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(document))
    if place == ("runs",) and wrong == []:
        assert sc.read_runs(path) == []
    elif place == ("runs", 0, "services") and wrong is None:
        assert sc.read_runs(path)[0].services is None
    else:
        _refused(path)


@pytest.mark.parametrize("data", [b"", b"null", b"3", b"[]", b"{}", b"\xff\xfe", b"PAR1", b'{"schema": 1}', b"\x00"])
def test_other_files_are_refused(tmp_path, data):
    path = tmp_path / "other"
    path.write_bytes(data)
    _refused(path)


def test_files_of_another_time_are_refused(tmp_path, whole):
    path = tmp_path / "runs.json"
    for schema in (2, 99, "1", None):
        path.write_text(json.dumps(json.loads(whole) | {"schema": schema}))
        assert "schema" in _refused(path)
    document = json.loads(whole)
    document["runs"][0]["something new"] = 1
    path.write_text(json.dumps(document))
    _refused(path)


def test_what_is_not_there_cannot_be_read(tmp_path):
    assert "no such file" in _refused(tmp_path / "none.json")
    assert "directory" in _refused(tmp_path)
