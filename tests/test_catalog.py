"""The catalog holds the published figures, soundly fitted, and cannot be changed by those who read it.

``SMILESS_REFERENCE`` may name the directory of the published figures; all fits are then compared, and the
file of profiles is rebuilt and must come out the same to the byte.
"""

import csv
import os
import pickle
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from smiless_core import catalog
from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Hardware
from smiless_core.model.problem import Problem

FUNCTIONS = [
    "distilbert",
    "face-detection",
    "face-recognition",
    "human-activity-pose",
    "human-segmentation",
    "image-recognition",
    "named-entity-recognition",
    "object-detection",
    "part-of-speech",
    "question-answering",
    "speech-recognition",
    "text-generation",
    "text-to-speech",
    "topic-modeling",
    "translation",
    "word-chunking",
]

EDGES = {
    "voice-assistant": {
        ("speech-recognition", "topic-modeling"),
        ("speech-recognition", "named-entity-recognition"),
        ("topic-modeling", "text-generation"),
        ("named-entity-recognition", "text-generation"),
        ("text-generation", "text-to-speech"),
    },
    "amber-alert": {
        ("object-detection", "human-activity-pose"),
        ("human-activity-pose", "face-recognition"),
        ("face-recognition", "image-recognition"),
        ("object-detection", "image-recognition"),
        ("image-recognition", "translation"),
    },
    "image-query": {("image-recognition", "distilbert"), ("distilbert", "question-answering")},
}

# Published latencies in seconds by (size, batch). The first asks for a negative beta, the second is followed
# exactly, the third rises with the share and becomes flat, the fourth is doubtful below a share of 0.2.
CORES = [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (1, 2), (1, 3), (1, 4)]
SHARES = [(tenth / 10, 1) for tenth in range(1, 11)]
LATENCIES = {
    ("face-detection", Hardware.CPU): (
        CORES,
        "2.717417 1.481686 0.863821 0.554888 0.400422 3.748604 4.77979 5.810977",
    ),
    ("face-detection", Hardware.GPU): (
        [*SHARES, *((0.1, batch) for batch in (2, 4, 8, 16))],
        "0.342072 0.308441 0.29723 0.291625 0.288262 0.28602 0.284418 0.283217 0.282283 0.281535 "
        "0.449196 0.663444 1.09194 1.948931",
    ),
    ("text-to-speech", Hardware.GPU): (
        SHARES,
        "0.317896 0.322999 0.3247 0.325551 0.326061 0.326401 0.326644 0.326826 0.326968 0.327081",
    ),
    ("part-of-speech", Hardware.GPU): (
        SHARES[1:],
        "0.139075 0.143106 0.145121 0.14633 0.147137 0.147712 0.148144 0.14848 0.148749",
    ),
}
PUBLISHED = {
    key: dict(zip(places, map(float, latencies.split()), strict=True)) for key, (places, latencies) in LATENCIES.items()
}


def assert_fitted(name, hardware, points):
    """Hold the stored model against scipy's bounded-variable least squares of the weighted relative error."""
    model = catalog.profiles()[name].hardware[hardware]
    assert model.sizes == tuple(sorted({size for size, _ in points}))
    assert model.batches == tuple(sorted({batch for _, batch in points}))
    size, batch = np.array(list(points), dtype=float).T
    rows = np.column_stack([batch / size, batch, np.ones_like(batch)])
    rows /= np.array(list(points.values()))[:, None]
    weight = batch**-4
    weighted = rows * weight[:, None]
    scale = np.linalg.norm(weighted, axis=0)
    rival = lsq_linear(weighted / scale, weight, bounds=(0, np.inf), method="bvls", tol=1e-14).x
    stored = np.array([model.alpha, model.beta, model.gamma])
    assert rows @ stored == pytest.approx(rows / scale @ rival, rel=1e-5)
    assert (rows @ stored)[batch == 1] == pytest.approx(1.0, abs=0.05)
    assert (rows @ stored >= 0.98).all(), "a plan must not rely on a latency that was not reached"
    for (r, b), _ in points.items():
        assert model.latency(b, r) == pytest.approx(b * (stored[0] / r + stored[1]) + stored[2] + model.dispatch)


@pytest.mark.parametrize(("name", "hardware"), PUBLISHED)
def test_stored_models_are_the_constrained_optimum(name, hardware):
    assert_fitted(name, hardware, PUBLISHED[name, hardware])


def test_known_figures_are_stored():
    """What the figures determine: a model that they follow exactly, a flat one, dispatch, cold starts."""
    exact = catalog.profiles()["face-detection"].hardware[Hardware.GPU]
    assert (exact.alpha, exact.beta, exact.gamma) == pytest.approx((0.0067262969, 0.0398609731, 0.2349482137), rel=1e-5)
    flat = catalog.profiles()["text-to-speech"].hardware[Hardware.GPU]
    assert flat.alpha == 0.0
    assert flat.latency(1, 0.1) == flat.latency(1, 1.0) == pytest.approx(0.325, rel=0.01)
    assert catalog.profiles()["question-answering"].hardware[Hardware.GPU].dispatch == 0.660329
    cold = catalog.profiles()["object-detection"].hardware[Hardware.CPU]
    assert (cold.cold_start_mean, cold.cold_start_std) == (1.850546, 0.542901)
    assert cold.cold_start() == pytest.approx(1.850546 + 3 * 0.542901)


def test_every_published_function_is_there_on_both_kinds_of_hardware():
    assert list(catalog.profiles()) == FUNCTIONS
    for name, profile in catalog.profiles().items():
        assert profile.name == name
        assert list(profile.hardware) == [Hardware.CPU, Hardware.GPU]
        cpu, gpu = profile.hardware.values()
        assert cpu.sizes == (1, 2, 4, 8, 16)
        assert cpu.batches == (1, 2, 3, 4)
        smallest = 2 if name in ("part-of-speech", "word-chunking") else 1
        assert gpu.sizes == tuple(tenth / 10 for tenth in range(smallest, 11))
        assert gpu.batches in ((1,), (1, 2, 4, 8, 16))


def test_latency_never_rises_with_size_nor_falls_with_batch():
    for profile in catalog.profiles().values():
        for model in profile.hardware.values():
            surface = np.array([[model.latency(b, s) for b in model.batches] for s in model.sizes])
            assert (np.diff(surface, axis=0) <= 0).all()
            assert (np.diff(surface, axis=1) >= 0).all()
            assert (surface > 0).all()


def test_the_applications_are_those_of_the_evaluation():
    assert list(catalog.applications()) == list(EDGES)
    for name, application in catalog.applications().items():
        assert application.name == name
        assert set(application.edges) == EDGES[name]
        assert (application.sla, application.attainment_target) == (2.0, 0.99)
        assert [function.profile for function in application.functions] == list(application.names)
        assert catalog.application(name) is application
        Problem(application, catalog.profiles(), catalog.prices())  # every profile exists


def test_prices_are_published_per_hour_and_stored_per_second():
    assert catalog.prices().cpu * 3600 == pytest.approx(0.034)
    assert catalog.prices().gpu * 3600 == pytest.approx(3.06)


def test_an_unknown_application_is_named_with_the_one_that_was_meant():
    with pytest.raises(InvalidInputError) as caught:
        catalog.application("amber-allert")
    assert str(caught.value) == "no application named 'amber-allert' (did you mean 'amber-alert'?)"


@pytest.mark.parametrize("read", [catalog.profiles, catalog.applications])
def test_nobody_can_change_what_others_read(read):
    read()["new"] = None
    assert "new" not in read()
    assert pickle.loads(pickle.dumps(read())) == read()
    with pytest.raises(AttributeError):
        next(iter(read().values())).name = "other"


def test_the_data_cites_its_source():
    package = Path(catalog.__file__).parent
    assert "Lu" in catalog.CITATION
    for file in ("profiles.yaml", *(f"{name}.yaml" for name in EDGES)):
        assert "10.1109/SC41406.2024.00044" in (package / file).read_text()
    assert "10.1109/SC41406.2024.00044" in catalog.CITATION


def test_reading_the_catalog_imports_nothing_heavy():
    script = (
        "import sys; from smiless_core import catalog; catalog.profiles(); catalog.applications();"
        "print({'scipy', 'cvxpy', 'numba', 'polars', 'rich', 'typer'}.intersection(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


# --- against all published figures, where they are at hand ------------------------------------------------


@pytest.fixture
def reference():
    if not (directory := os.environ.get("SMILESS_REFERENCE")):
        pytest.skip("SMILESS_REFERENCE does not name the directory of the published figures")
    return Path(directory)


def test_all_stored_models_are_the_constrained_optimum(reference):
    tables = defaultdict(dict)
    with (reference / "smiless_latency_points.csv").open() as file:
        for row in csv.DictReader(file):
            hardware = Hardware(row["hardware"])
            size = float(row["size"]) / (100 if hardware is Hardware.GPU else 1)
            doubtful = row["function"] in ("part-of-speech", "word-chunking") and size < 0.2
            if not doubtful:
                tables[row["function"], hardware][size, int(row["batch"])] = float(row["latency_s"])
    assert len(tables) == 32
    for (name, hardware), points in tables.items():
        assert_fitted(name, hardware, points)


@pytest.mark.repository
def test_the_profiles_can_be_rebuilt_to_the_byte(reference, tmp_path):
    script = Path(__file__).parents[1] / "bench" / "make_catalog.py"
    rebuilt = tmp_path / "profiles.yaml"
    command = [sys.executable, script, "--reference", reference, "--output", rebuilt]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert rebuilt.read_bytes() == (Path(catalog.__file__).parent / "profiles.yaml").read_bytes()
    assert "face-detection on cpu: -0.1% to +0.1%, +38.2% to +74.1%" in printed
