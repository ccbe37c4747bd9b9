"""Problems and limits."""

import copy
import pickle

import pytest

from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Hardware, HardwareProfile, Limits, Prices, Problem, Profile

CPU = HardwareProfile(alpha=1.0, beta=0.0, gamma=0.0, cold_start_mean=1.0, sizes=(1.0, 2.0, 4.0, 8.0), batches=(1,))
GPU = CPU.replace(sizes=(0.1, 0.5))
PROFILES = {
    "detect": Profile("detect", {Hardware.CPU: CPU, Hardware.GPU: GPU}),
    "recognize": Profile("recognize", {Hardware.CPU: CPU.replace(sizes=(4.0, 8.0))}),
}
PRICES = Prices.per_hour(cpu=0.034, gpu=3.06)
APP = Application.chain("detect", "recognize", sla=1.0)


def problem(**fields: object) -> Problem:
    return Problem(**{"application": APP, "profiles": PROFILES, "prices": PRICES, **fields})


def test_a_problem_takes_application_profiles_and_prices_in_order() -> None:
    plain = Problem(APP, PROFILES, PRICES)
    assert plain == problem()
    assert (plain.limits, plain.concurrency, plain.std_multiple, plain.cold_start_quantile) == (
        Limits(),
        1,
        3.0,
        None,
    )
    assert plain.profile(1) is PROFILES["recognize"]
    with pytest.raises(TypeError):
        Problem(APP, PROFILES, PRICES, Limits())


def test_profiles_are_a_read_only_copy() -> None:
    given = dict(PROFILES)
    kept = problem(profiles=given)
    given.clear()
    assert kept.profiles == PROFILES
    with pytest.raises(TypeError):
        kept.profiles["other"] = PROFILES["detect"]


def test_sizes_are_those_on_offer_within_what_was_measured() -> None:
    free = problem()
    assert free.sizes(0, Hardware.CPU) == (1.0, 2.0, 4.0, 8.0)
    assert free.sizes(0, Hardware.GPU) == (0.1, 0.5)
    assert free.sizes(1, Hardware.GPU) == ()
    tight = problem(limits=Limits(sizes={"cpu": [16, 6, 2]}))
    assert tight.sizes(0, Hardware.CPU) == (2.0, 6.0)
    assert tight.sizes(1, Hardware.CPU) == (6.0,)
    assert tight.sizes(0, Hardware.GPU) == ()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: problem(application=Application.chain("detect", "recognise", sla=1)),
            "functions[1].profile: no profile named 'recognise' (did you mean 'recognize'?)",
        ),
        (lambda: problem(profiles={}), "functions[0].profile: no profile named 'detect'"),
        (lambda: problem(application="app"), "application: expected an instance of Application, got 'app'"),
        (lambda: problem(prices=3), "prices: expected an instance of Prices, got 3"),
        (lambda: problem(limits=None), "limits: expected an instance of Limits, got nothing"),
        (lambda: problem(profiles=[1]), "profiles: expected a mapping, got [1]"),
        (lambda: problem(profiles={"detect": 3}), "profiles['detect']: expected a Profile, got 3"),
        (lambda: problem(concurrency=0), "concurrency: expected a whole number of at least 1, got 0"),
        (lambda: problem(std_multiple=-1), "std_multiple: expected a finite number of at least 0, got -1"),
        (
            lambda: problem(cold_start_quantile=1.0),
            "cold_start_quantile: expected a fraction between 0 and 1, got 1.0",
        ),
        (
            lambda: problem(limits=Limits(sizes={"cpu": (1.0,)})),
            "functions[1]: the limits leave no size that profile 'recognize' has measured",
        ),
        (
            lambda: problem(limits=Limits(sizes={"gpu": (0.1,)})),
            "functions[1]: the limits leave no size that profile 'recognize' has measured",
        ),
        (lambda: Limits(min_replicas=-1), "min_replicas: expected a whole number of at least 0, got -1"),
        (lambda: Limits(max_replicas=0), "max_replicas: expected a whole number of at least 1, got 0"),
        (
            lambda: Limits(min_replicas=3, max_replicas=2),
            "max_replicas: expected a whole number of at least 3, got 2",
        ),
        (
            lambda: Limits(min_keep_alive=float("nan")),
            "min_keep_alive: expected a finite number of at least 0, got nan",
        ),
        (lambda: Limits(announces_arrivals=1), "announces_arrivals: expected true or false, got 1"),
        (lambda: Limits(sizes={}), "sizes: expected at least one kind of hardware, got none"),
        (lambda: Limits(sizes={"cpu": []}), "sizes.cpu: expected at least one size, got none"),
        (lambda: Limits(sizes={"cpu": [1, 0]}), "sizes.cpu[1]: expected a finite number above 0, got 0"),
        (
            lambda: Limits(sizes={"gpu": [2.0]}),
            "sizes.gpu[0]: expected a share of one gpu, in (0, 1], got 2 (2 % is 0.02)",
        ),
        (lambda: Limits(sizes={"npu": [1]}), "sizes: no hardware kind named 'npu' (did you mean 'gpu'?)"),
        (lambda: Limits(sizes=[1]), "sizes: expected a mapping, got [1]"),
    ],
)
def test_what_is_refused_and_how(build: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build()
    assert str(caught.value) == message


def test_problems_and_limits_are_values() -> None:
    limits = Limits(sizes={Hardware.GPU: (0.5, 0.1), Hardware.CPU: (8.0,)}, max_replicas=5)
    for value in (limits, problem(limits=limits, concurrency=4)):
        for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert twin == value
    assert problem().replace(concurrency=2).concurrency == 2
    with pytest.raises(InvalidInputError):
        problem().replace(profiles={})
