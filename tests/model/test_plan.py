"""Plans: cheap to build, honest about what they hold."""

import copy
import pickle

import pytest

from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Assignment, Configuration, Plan, Readiness, Stay

NAN = float("nan")
APP = Application.chain("detect", "recognize", sla=1.0)


def assignment(function: str, **changes: object) -> Assignment:
    fields: dict[str, object] = {
        "function": function,
        "configuration": Configuration("cpu", 4),
        "readiness": Readiness.PREWARMED,
        "replicas": 1,
        "price_per_second": 1e-5,
        "latency": 0.3,
        "cold_start": 2.0,
        "schedule": (Stay(8.0, 10.0, 10.0),),
        "cost": 2e-5,
        "prewarm": 7.7,
        "keep_alive": 0.0,
    }
    return Assignment(**{**fields, **changes})


def plan(*functions: str) -> Plan:
    return Plan(
        application=APP,
        assignments=tuple(assignment(function) for function in functions),
        cost=4e-5,
        latency=0.6,
        cold_latency=4.6,
        attainment=1.0,
        critical_path=("detect", "recognize"),
    )


def test_a_plan_answers_by_name_and_in_order() -> None:
    planned = plan("detect", "recognize")
    assert planned["recognize"].function == "recognize"
    assert [each.function for each in planned] == ["detect", "recognize"]
    assert len(planned) == 2
    assert "detect" in planned
    assert planned["detect"] in planned
    assert "other" not in planned
    with pytest.raises(InvalidInputError) as caught:
        planned["recognise"]
    assert str(caught.value) == "no function named 'recognise' (did you mean 'recognize'?)"


@pytest.mark.parametrize("functions", [(), ("detect",), ("recognize", "detect"), ("detect", "recognize", "detect")])
def test_a_plan_has_one_assignment_for_each_function_in_order(functions: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match=r"^assignments: expected one for each of detect, recognize, got "):
        plan(*functions)


@pytest.mark.parametrize("field", ["replicas", "price_per_second", "latency", "cold_start", "cost"])
@pytest.mark.parametrize("value", [-1, NAN])
def test_an_assignment_holds_no_negative_number(field: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=rf"^detect\.{field}: expected a .* of at least 0, got {value}$"):
        assignment("detect", **{field: value})


@pytest.mark.parametrize("times", [(2.0, 1.0, 3.0), (1.0, 3.0, 2.0), (NAN, 1.0, 2.0), (1.0, NAN, 2.0), (1.0, 2.0, NAN)])
def test_a_stay_starts_is_ready_and_ends_in_this_order(times: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidInputError, match=r"^schedule: expected start <= ready <= until, got start "):
        Stay(*times)


def test_plans_are_values() -> None:
    planned = plan("detect", "recognize")
    for twin in (pickle.loads(pickle.dumps(planned)), copy.copy(planned), copy.deepcopy(planned)):
        assert twin == planned
        assert hash(twin) == hash(planned)
    assert planned.replace(cost=1.0) != planned
    assert assignment("a").replace(schedule=(), prewarm=None, keep_alive=None).schedule == ()
    with pytest.raises(AttributeError):
        planned.cost = 0.0
