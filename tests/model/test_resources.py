"""Configurations, prices and profiles."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core.errors import InvalidInputError
from smiless_core.model import Configuration, Hardware, HardwareProfile, Prices, Profile, Readiness

NAN = float("nan")
coefficients = st.floats(0.0, 100.0)


def model(**changes: object) -> HardwareProfile:
    fields: dict[str, object] = {
        "alpha": 1.0,
        "beta": 0.1,
        "gamma": 0.02,
        "dispatch": 0.005,
        "cold_start_mean": 2.0,
        "cold_start_std": 0.5,
        "sizes": (1, 2, 4),
        "batches": (1, 2, 8),
    }
    return HardwareProfile(**{**fields, **changes})


def test_words_are_the_published_ones() -> None:
    assert [str(kind) for kind in Hardware] == ["cpu", "gpu"]
    assert [kind.unit for kind in Hardware] == ["core", "share"]
    assert [str(readiness) for readiness in Readiness] == ["prewarmed", "on_arrival", "on_request"]


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        (Configuration("cpu", 4), "cpu, 4 cores, batch 1"),
        (Configuration(Hardware.CPU, 1), "cpu, 1 core, batch 1"),
        (Configuration("cpu", 0.5, 2), "cpu, 0.5 cores, batch 2"),
        (Configuration("gpu", 0.3), "gpu, 30 % share, batch 1"),
        (Configuration("gpu", 1.0, 16), "gpu, 100 % share, batch 16"),
    ],
)
def test_a_configuration_reads_well(configuration: Configuration, text: str) -> None:
    assert str(configuration) == text


def test_configurations_sort_by_kind_then_size_then_batch() -> None:
    ordered = [
        Configuration("cpu", 1),
        Configuration("cpu", 1, 2),
        Configuration("cpu", 16),
        Configuration("gpu", 0.1),
    ]
    assert sorted([ordered[2], ordered[0], ordered[3], ordered[1]]) == ordered


def test_prices_are_per_unit_second() -> None:
    prices = Prices.per_hour(cpu=0.034, gpu=3.06)
    assert prices == Prices(cpu=0.034 / 3600, gpu=3.06 / 3600)
    assert prices["cpu"] == prices[Hardware.CPU] == prices.cpu
    assert prices.per_second(Configuration("gpu", 0.1)) == prices.gpu * 0.1
    assert prices.per_second(Configuration("cpu", 16, 8)) == prices.cpu * 16


@given(coefficients, coefficients, coefficients, coefficients, st.integers(1, 8), st.floats(1.0, 4.0))
def test_latency_is_the_formula_and_monotone(
    alpha: float, beta: float, gamma: float, dispatch: float, batch: int, size: float
) -> None:
    if alpha + beta + gamma == 0.0:
        return
    profile = model(alpha=alpha, beta=beta, gamma=gamma, dispatch=dispatch)
    latency = profile.latency(batch, size)
    assert latency == pytest.approx(batch * (alpha / size + beta) + gamma + dispatch, rel=1e-12)
    assert profile.latency(min(8, batch + 1), size) >= latency
    assert profile.latency(batch, 4.0) <= latency


def test_latency_is_answered_outside_what_was_measured_only_on_demand() -> None:
    profile = model()
    for batch, size, message in (
        (9, 1.0, "batch: 9 is outside the measured range, 1 to 8"),
        (1, 0.5, "size: 0.5 is outside the measured range, 1 to 4"),
        (1, 4.5, "size: 4.5 is outside the measured range, 1 to 4"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            profile.latency(batch, size)
        assert str(caught.value) == message
        assert profile.latency(batch, size, extrapolate=True) > 0.0
    assert profile.latency(3, 1.5) > 0.0  # between measured values there is nothing to extrapolate
    for batch, size in ((0, 1.0), (1, 0.0), (1, -2.0), (1, NAN), (1.5, 1.0)):
        with pytest.raises(InvalidInputError):
            profile.latency(batch, size, extrapolate=True)


def test_a_cold_start_is_mean_plus_deviations_or_a_quantile() -> None:
    assert model().cold_start() == 3.5
    assert model().cold_start(std_multiple=0) == 2.0
    assert model().cold_start(quantile=0.5) == pytest.approx(2.0)
    # The 97.5 % point of the standard normal distribution.
    assert model().cold_start(quantile=0.975) == pytest.approx(2.0 + 0.5 * 1.959963984540054)
    assert model(cold_start_std=10.0).cold_start(quantile=0.01) == 0.0
    assert model(cold_start_std=0.0).cold_start(quantile=0.99) == 2.0
    for wrong in ({"std_multiple": -1.0}, {"std_multiple": NAN}, {"quantile": 0.0}, {"quantile": 1.0}):
        with pytest.raises(InvalidInputError):
            model().cold_start(**wrong)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=120), st.integers(1, 99))
def test_a_quantile_of_samples_is_the_smallest_that_enough_do_not_exceed(samples: list[float], percent: int) -> None:
    quantile = model(cold_start_samples=samples).cold_start(quantile=percent / 100)
    assert quantile in samples
    enough = percent * len(samples)
    assert 100 * sum(sample <= quantile for sample in samples) >= enough
    assert 100 * sum(sample < quantile for sample in samples) < enough


def test_a_quantile_is_not_thrown_off_by_rounding() -> None:
    assert 0.07 * 100 > 7.0
    assert model(cold_start_samples=range(1, 101)).cold_start(quantile=0.07) == 7.0


def test_sizes_and_batches_are_kept_ascending() -> None:
    profile = model(sizes=[4, 1.5], batches=[8, 1])
    assert profile.sizes == (1.5, 4.0)
    assert profile.batches == (1, 8)


def test_a_profile_orders_its_hardware_and_keeps_it_read_only() -> None:
    kinds = {"gpu": model(sizes=(0.1, 1.0)), "cpu": model()}
    profile = Profile("ocr", kinds)
    assert list(profile.hardware) == [Hardware.CPU, Hardware.GPU]
    kinds.clear()
    assert len(profile.hardware) == 2
    with pytest.raises(TypeError):
        profile.hardware[Hardware.CPU] = model()
    assert profile.hardware["cpu"] is profile.hardware[Hardware.CPU]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Configuration("tpu", 1), "hardware: no hardware kind named 'tpu' (did you mean 'gpu'?)"),
        (lambda: Configuration(None, 1), "hardware: no hardware kind named None (known: cpu, gpu)"),
        (lambda: Configuration("cpu", 0), "size: expected a finite number above 0, got 0"),
        (lambda: Configuration("cpu", NAN), "size: expected a finite number above 0, got nan"),
        (
            lambda: Configuration("gpu", 30),
            "size: expected a share of one gpu, in (0, 1], got 30 (30 % is 0.3)",
        ),
        (lambda: Configuration("gpu", 300), "size: expected a share of one gpu, in (0, 1], got 300"),
        (lambda: Configuration("cpu", 1, 0), "batch: expected a whole number of at least 1, got 0"),
        (lambda: Configuration("cpu", 1, True), "batch: expected a whole number of at least 1, got True"),
        (lambda: Prices(cpu=-1, gpu=0), "cpu: expected a finite number of at least 0, got -1"),
        (lambda: Prices.per_hour(cpu=0, gpu=NAN), "gpu: expected a finite number of at least 0, got nan"),
        (lambda: Prices(cpu=0, gpu=0)["tpu"], "hardware: no hardware kind named 'tpu' (did you mean 'gpu'?)"),
        (lambda: model(alpha=-1e-9), "alpha: expected a finite number of at least 0, got -1e-09"),
        (lambda: model(dispatch=NAN), "dispatch: expected a finite number of at least 0, got nan"),
        (
            lambda: model(alpha=0, beta=0, gamma=0),
            "alpha: alpha, beta and gamma are all 0: expected at least one above 0",
        ),
        (
            lambda: model(cold_start_mean="2"),
            "cold_start_mean: expected a finite number of at least 0, got '2'",
        ),
        (lambda: model(cold_start_std=-1), "cold_start_std: expected a finite number of at least 0, got -1"),
        (
            lambda: model(cold_start_samples=[1, -1]),
            "cold_start_samples[1]: expected a finite number of at least 0, got -1",
        ),
        (lambda: model(sizes=()), "sizes: expected at least one value, got none"),
        (lambda: model(sizes=[1, 2, 1]), "sizes: 1 is given twice"),
        (lambda: model(sizes=[1, 0]), "sizes[1]: expected a finite number above 0, got 0"),
        (lambda: model(sizes=4), "sizes: expected a list, got 4"),
        (lambda: model(batches=[1, 2.5]), "batches[1]: expected a whole number of at least 1, got 2.5"),
        (lambda: model(batches=[]), "batches: expected at least one value, got none"),
        (lambda: Profile("", {"cpu": model()}), "name: expected printable text that is not blank, got ''"),
        (lambda: Profile("a", {}), "hardware: a profile needs at least one kind of hardware, got none"),
        (lambda: Profile("a", [model()]), "hardware: expected a mapping, got [HardwarePro"),
        (lambda: Profile("a", {"cpu": 3}), "hardware.cpu: expected a HardwareProfile, got 3"),
        (
            lambda: Profile("a", {"npu": model()}),
            "hardware: no hardware kind named 'npu' (did you mean 'gpu'?)",
        ),
        (
            lambda: Profile("a", {"gpu": model()}),
            "hardware.gpu.sizes[1]: expected a share of one gpu, in (0, 1], got 2 (2 % is 0.02)",
        ),
    ],
)
def test_what_is_refused_and_how(build: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build()
    assert str(caught.value).startswith(message)
    assert message.startswith("hardware: expected a mapping") or str(caught.value) == message


@pytest.mark.parametrize(
    "value",
    [
        Configuration("gpu", 0.3, 4),
        Prices(cpu=1.0, gpu=2.0),
        model(cold_start_samples=(1.0, 2.0)),
        Profile("ocr", {Hardware.GPU: model(sizes=(0.5,)), Hardware.CPU: model()}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_resources_are_values(value: Configuration | Prices | HardwareProfile | Profile) -> None:
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value), value.replace()):
        assert twin == value
        assert str(twin) == str(value)
    with pytest.raises(AttributeError):
        value.name = "other"
