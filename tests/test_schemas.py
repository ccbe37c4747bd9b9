"""What every ``--json`` prints is what its schema says, and the schemas refuse anything else."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from commandline import smiless, write_inputs
from problems import Question, chain, hardware_profile, questions
from smiless_core.arrivals import Arrivals
from smiless_core.cli.commands import smiless as commands
from smiless_core.fitting import Measurement, fit_profiles
from smiless_core.model import Hardware, Limits, Profile
from smiless_core.model.files import write_profiles
from smiless_core.solver.pareto import frontier
from smiless_core.solver.solution import solve
from strategies import examples

NAMES = ["backtest", "catalog", "compare", "fit", "frontier", "plan", "simulate", "trace", "versions"]
WITHOUT_JSON = ["control", "report", "train"]  # lines of JSON while it runs; a file and nothing else
STREET = "app.yaml --profiles profiles.yaml --every 10"
TRACED = "app.yaml --profiles profiles.yaml --trace arrivals.csv"

# One command line for every shape of every output, with its exit code.
COMMAND_LINES = [
    ("backtest", "backtest arrivals.csv --workers 1", 0),
    ("backtest", "backtest counts.csv --predictor recent-gaps --policy fixed-keep-alive --wait 0.5 --workers 1", 0),
    ("catalog", "catalog", 0),
    ("catalog", "catalog image-query", 0),
    ("catalog", "catalog distilbert", 0),
    ("compare", f"compare {TRACED} --policy smiless --policy orion --policy always-warm --workers 1", 0),
    ("compare", "compare --trace arrivals.csv --policy knative --workers 1", 0),
    ("fit", "fit measurements.csv", 0),
    ("fit", "fit measurements.csv -o fitted.yaml", 0),
    ("frontier", f"frontier {STREET}", 0),
    ("frontier", f"frontier {STREET} --max-points 2", 0),
    ("frontier", f"frontier {STREET} --max-sla 0.1", 1),
    ("frontier", f"frontier {TRACED} --max-points 2", 0),
    ("frontier", f"frontier {TRACED} --over attainment --max-points 2", 0),
    ("frontier", f"frontier {TRACED} --over both --max-points 2", 0),
    ("frontier", "frontier image-query --poisson 0.1 --max-replicas 1 --over both", 1),
    ("plan", f"plan {STREET}", 0),
    ("plan", f"plan {STREET} --method milp", 0),
    ("plan", f"plan {STREET} --sla 0.1", 1),
    ("plan", "plan voice-assistant --every 0.1 --time-limit 1e-9", 0),
    ("plan", "plan image-query --poisson 20", 0),
    ("plan", f"plan {TRACED}", 0),
    ("plan", f"plan {TRACED} --exact --announced", 0),
    ("plan", f"plan {TRACED} --sla 0.1", 1),
    ("plan", "plan image-query --poisson 1 --max-replicas 1", 1),
    ("simulate", f"simulate {TRACED} --policy smiless-homogeneous --target 0.1", 0),
    ("simulate", f"simulate {TRACED} --policy always-warm --sla 0.1", 1),
    ("simulate", "simulate image-query --policy hybrid-histogram --until 20000", 1),
    ("trace", "trace describe arrivals.csv", 0),
    ("trace", "trace describe once.csv", 0),
    ("trace", "trace describe counts.csv", 0),
    ("versions", "versions", 0),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path)
    (tmp_path / "once.csv").write_text("timestamp\n2024-01-01T00:00:00Z\n")
    (tmp_path / "counts.csv").write_text("HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,timer,30,40\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def schema(name: str) -> dict[str, Any]:
    return json.loads(files("smiless_core").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8"))


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def assert_valid(name: str, payload: object) -> None:
    wrong = next(validator(name).iter_errors(payload), None)
    assert wrong is None, f"{wrong.json_path}: {wrong.message}"


def printed(arguments: str, code: int) -> dict[str, Any]:
    """Run a command with ``--json``, and take what it prints for strict JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    outcome = smiless(*arguments.split(), "--json")
    assert (outcome.code, outcome.err) == (code, "")
    return json.loads(outcome.out, parse_constant=refuse)


# -- The schemas ---------------------------------------------------------------------------------------------


def test_there_is_a_schema_for_every_output() -> None:
    shipped = [Path(str(path)).name for path in files("smiless_core").joinpath("schemas").iterdir()]
    assert sorted(shipped) == [f"{name}.json" for name in NAMES]
    registered = {command.callback.__name__ for command in commands.registered_commands}
    registered |= {group.name for group in commands.registered_groups}
    assert sorted(registered) == sorted([*NAMES, *WITHOUT_JSON])
    assert {name for name, _, _ in COMMAND_LINES} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema(name)["$id"] == f"urn:smiless:schema:{name}:1"
    assert schema(name)["properties"]["schema"] == {"const": 1}
    for place, part in _parts(schema(name)):
        if part.get("type") == "object":
            assert "additionalProperties" in part, place
            if "properties" in part:
                assert part["required"] == list(part["properties"]), place
                assert part["additionalProperties"] is False, place


@pytest.mark.parametrize("name", NAMES)
def test_every_definition_is_used_and_the_same_everywhere(name: str) -> None:
    text = json.dumps(schema(name))
    for definition, body in schema(name).get("$defs", {}).items():
        assert f'"#/$defs/{definition}"' in text, definition
        for other in NAMES:
            assert schema(other).get("$defs", {}).get(definition, body) == body, (definition, other)


def _parts(part: object, place: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        yield place, part
        for key, value in part.items():
            yield from _parts(value, f"{place}.{key}")
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _parts(value, f"{place}[{index}]")


# -- What is printed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments", "code"), COMMAND_LINES)
def test_what_is_printed_is_valid(name: str, arguments: str, code: int) -> None:
    assert_valid(name, printed(arguments, code))


@pytest.mark.parametrize("application", ["amber-alert", "image-query", "voice-assistant"])
@pytest.mark.parametrize("every", [0.01, 1, 3, 10, 60, 86400])
def test_plans_of_the_built_in_applications_are_valid(application: str, every: float) -> None:
    statuses = set()
    for sla, code in ((0.1, 1), (2, 0), (6, 0), (1e6, 0)):
        plan = printed(f"plan {application} --every {every} --sla {sla}", code)
        assert_valid("plan", plan)
        statuses.add(plan["status"])
    assert statuses == {"infeasible", "optimal"}
    assert_valid("frontier", printed(f"frontier {application} --every {every} --max-points 5", 0))


@given(question=questions())
@examples(150)
def test_plans_of_drawn_problems_are_valid(question: Question) -> None:
    problem, arrivals, sla = question
    if sla > 0:
        assert_valid("plan", solve(problem, arrivals, sla=sla).to_dict())
    assert_valid("frontier", frontier(problem, arrivals, max_points=5).to_dict())


@given(
    question=questions(most=3),
    gaps=st.lists(st.floats(0.0, 60.0), min_size=1, max_size=6).filter(lambda gaps: max(gaps) > 1e-3),
    smooth=st.booleans(),
    target=st.sampled_from([0.5, 0.9, 1.0]),
    most=st.sampled_from([None, None, 4, 8]),
)
@examples(60)
def test_plans_for_drawn_distributions_are_valid(
    question: Question, gaps: list[float], smooth: bool, target: float, most: int | None
) -> None:
    arrivals = (Arrivals.smoothed if smooth else Arrivals.empirical)(gaps)
    problem = question.problem.replace(limits=question.problem.limits.replace(max_replicas=most))
    solution = solve(problem, arrivals, sla=max(question.sla, 1e-3), target=target)
    written = json.loads(json.dumps(solution.to_dict(), allow_nan=False))
    assert_valid("plan", written)
    if solution.feasible:
        assert written["attainment"] >= target - 1e-9
    if written["misses"] is not None:
        assert written["attainment"] + sum(written["misses"].values()) == pytest.approx(1.0)


@given(
    least=st.integers(0, 3),
    most=st.integers(1, 3),
    kept=st.sampled_from([0.0, 0.5, 30.0]),
    announced=st.booleans(),
    every=st.sampled_from([0.25, 1.0, 3.0, 10.0, 100.0]),
)
@examples(60)
def test_plans_within_limits_are_valid(least: int, most: int, kept: float, announced: bool, every: float) -> None:
    limits = Limits(
        min_replicas=min(least, most),
        max_replicas=most,
        min_keep_alive=kept,
        announces_arrivals=announced,
    )
    solution = solve(chain(1.0, 2.0, limits=limits), Arrivals.every(every))
    assert_valid("plan", solution.to_dict())
    if every < 1.0 / most:  # each serves one request at a time
        assert solution.to_dict()["shortest_latency"] is None


@given(
    st.lists(
        st.builds(
            Measurement,
            st.sampled_from(["a", "b"]),
            st.sampled_from(["cpu", "gpu"]),
            st.sampled_from([0.1, 0.5, 1.0]),
            st.integers(1, 4),
            st.floats(0.001, 10.0),
            cold_start=st.floats(0.0, 10.0),
        ),
        min_size=1,
        max_size=12,
    )
)
@examples(40)
def test_fits_of_drawn_measurements_are_valid(measurements: list[Measurement]) -> None:
    rows = "".join(
        f"{each.function},{each.hardware},{each.size!r},{each.batch},{each.latency!r},{each.cold_start!r}\n"
        for each in measurements
    )
    Path("drawn.csv").write_text(f"function,hardware,size,batch,latency_s,cold_start_s\n{rows}")
    found = printed("fit drawn.csv", 0)
    assert_valid("fit", found)
    assert list(found["fits"]) == list(fit_profiles(measurements))


def test_floats_come_out_as_they_are(here: Path) -> None:
    exact = 0.1 + 0.2
    model = hardware_profile(alpha=exact, beta=1 / 3, cold_start_mean=math.pi)
    write_profiles({"detect": Profile("detect", {Hardware.CPU: model})}, here / "exact.json")
    (here / "one.json").write_text('{"sla": 30, "functions": ["detect"]}')
    plan = printed("plan one.json --profiles exact.json --every 7.3", 0)
    detect = plan["functions"]["detect"]
    assert detect["cold_start"] == math.pi
    assert detect["latency"] == model.latency(1, detect["size"])


# -- What is refused -----------------------------------------------------------------------------------------

BY_NAME = {"functions", "profiles", "applications", "hardware", "fits", "packages", "instance_seconds", "failed"}


def _changed(payload: object, changes: Callable[[str, Any], list[Any]]) -> Iterator[tuple[str, Any]]:
    """Yield copies of a payload in each of which one part is replaced by one of its `changes`."""

    def walk(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield path
        entries = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, value in entries:
            yield from walk(value, (*path, key))

    for path in list(walk(payload, ())):
        part = payload
        for key in path:
            part = part[key]
        for change in changes(path[-1] if path else "", part):
            whole = {"": copy.deepcopy(payload)}
            parent: Any = whole
            for before in ("", *path)[:-1]:
                parent = parent[before]
            parent[("", *path)[-1]] = change
            yield f"{list(path)} = {change!r}", whole[""]


def _refused(name: str, payload: object, changes: Callable[[str, Any], list[Any]]) -> int:
    accepted, count = [], 0
    for place, wrong in _changed(payload, changes):
        count += 1
        if validator(name).is_valid(wrong):
            accepted.append(place)
    assert accepted == []
    return count


@pytest.mark.parametrize(("name", "arguments", "code"), COMMAND_LINES[1:])  # the whole catalog takes too long
def test_nothing_more_nothing_less_and_no_nan(name: str, arguments: str, code: int) -> None:
    payload = printed(arguments, code)

    def extra(_: str, part: Any) -> list[Any]:
        return [{**part, "extra": 0}] if isinstance(part, dict) else []

    def missing(key: str, part: Any) -> list[Any]:
        if not isinstance(part, dict) or key in BY_NAME or (name == "fit" and key in payload["fits"]):
            return []
        return [{other: part[other] for other in part if other != gone} for gone in part]

    def not_finite(_: str, part: Any) -> list[Any]:
        number = isinstance(part, (int, float)) and not isinstance(part, bool)
        return [math.nan, math.inf, -math.inf, "1", True] if number else []

    def other_type(_: str, part: Any) -> list[Any]:
        return [[part], {"": part}] if isinstance(part, (str, int, float, bool)) or part is None else [0]

    assert _refused(name, payload, extra) > 0
    assert _refused(name, payload, missing) > 0
    assert _refused(name, payload, not_finite) > 0
    assert _refused(name, payload, other_type) > 0


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("status", "best"),
        ("status", "infeasible"),
        ("cost", None),
        ("cost", -1e-9),
        ("gap", 1.5),
        ("attainment", 1.01),
        ("attainment", None),
        ("replay_cost", -1e-9),
        ("misses", {"too_early": 0.0}),
        ("ready_set", [[0.0]]),
        ("ready_set", [[None, 1.0]]),
        ("ready_set", [[0.0, 1.0, 2.0]]),
        ("limited_by", ["detect"]),
        ("critical_path", []),
        ("functions", {}),
        ("latency", None),
        ("sla", 0),
        ("schema", 2),
        ("method", {"search": "guess", "joint": False}),
        ("method", "exact"),
        ("arrivals", {"kind": "deterministic", "mean": 0.0, "gaps": None, "source": None, "history": None}),
        ("arrivals", {"kind": "usual", "mean": 1.0, "gaps": None, "source": None, "history": None}),
        ("arrivals", {"kind": "smoothed", "mean": 1.0, "gaps": 0, "source": None, "history": None}),
        ("arrivals", {"kind": "smoothed", "mean": 1.0, "gaps": 1, "source": "", "history": None}),
        ("prices", {"cpu": -1.0, "gpu": 0.0}),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change: str, value: object) -> None:
    plan = printed(f"plan {STREET}", 0)
    assert not validator("plan").is_valid(plan | {change: value})


@pytest.mark.parametrize(
    ("change", "value"),
    [("cost", 1.0), ("replay_cost", 1.0), ("bound", 0.0), ("gap", 0.0), ("limited_by", []), ("status", "optimal")],
)
def test_a_missing_plan_that_contradicts_itself_is_refused(change: str, value: object) -> None:
    plan = printed(f"plan {STREET} --sla 0.1", 1)
    assert not validator("plan").is_valid(plan | {change: value})


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("policy", ""),
        ("seed", -1),
        ("invocations", 0),
        ("cost", None),
        ("total_cost", -1e-9),
        ("clairvoyant_cost", -1.0),
        ("attainment", 1.01),
        ("attainment", None),
        ("latency", {"p50": 1.0}),
        ("meets_target", 1),
        ("instance_seconds", {"tpu": 1.0}),
        ("decisions", 0),
        ("functions", {}),
    ],
)
def test_a_run_that_cannot_be_is_refused(change: str, value: object) -> None:
    found = printed(f"simulate {TRACED} --policy always-warm --target 0.1", 0)
    (run,) = found["runs"]
    for name in ("simulate", "compare"):
        assert_valid(name, found)
        assert not validator(name).is_valid(found | {"runs": [run | {change: value}]})
        assert not validator(name).is_valid(found | {"runs": []})
    assert not validator("simulate").is_valid(found | {"runs": [run, run]})
    assert_valid("compare", found | {"runs": [run, run], "failed": {"Orion, street": "a reason"}})
