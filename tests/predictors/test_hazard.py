"""Gradient-boosted hazards: training, files, forecasts."""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest

import smiless_core as sc
from forecasters import functions_alike, small_model, told
from smiless_core.predictors import hazard
from smiless_core.predictors.hazard import (
    GradientBoostedHazard,
    HazardModel,
    read_hazard_model,
    train,
    write_hazard_model,
)


def test_training_repeats_and_reports():
    sequences = functions_alike(6, gaps=60)
    steps = []
    first = train(sequences, seed=3, progress=lambda done, total: steps.append((done, total)))
    assert train((list(gaps) for gaps in sequences), seed=3) == first
    assert steps == [(k, 64) for k in range(1, 65)]
    assert train(sequences[:5], seed=3) != first


def test_training_can_be_interrupted():
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(functions_alike(6, gaps=60), seed=3, progress=interrupt)


def test_it_learns_what_follows_gaps_like_these():
    """A timer of a period that it never saw, and a Poisson process, by the likelihood of what comes."""
    model = small_model()
    generator = np.random.default_rng(77)
    gaps = generator.exponential(40.0, 200)
    arrivals = np.cumsum(gaps)
    predictor = GradientBoostedHazard(model)
    likelihood = []
    for at, gap in zip(arrivals, gaps[1:], strict=False):
        predictor.observe(at)
        forecast = predictor.arrivals(at)
        if forecast is not None:
            likelihood.append(math.log(max(forecast.survival(gap * 0.9) - forecast.survival(gap * 1.1), 1e-6)))
    known = sc.Arrivals.exponential(40.0)
    best = np.log(known.survival(gaps * 0.9) - known.survival(gaps * 1.1)).mean()
    assert np.mean(likelihood) > best - 0.25
    timer = told(GradientBoostedHazard(model), np.arange(40) * 333.0).arrivals(39 * 333.0)
    assert timer.quantile(0.5) == pytest.approx(333.0, rel=0.1)
    assert timer.survival(250.0) - timer.survival(420.0) > 0.9


def test_moments_are_the_bins_that_a_gap_reached():
    gaps = np.array([1.0, 2.0, 0.0, 0.5, 0.6, 1e9] * 20)
    rows, came = hazard._moments([gaps], 0)
    bins = np.searchsorted(hazard._EDGES[1:], gaps[2:])
    assert len(rows) == np.minimum(bins + 1, hazard._BINS).sum()
    assert came.sum() == (bins < hazard._BINS).sum()  # those beyond the last bin saw none
    assert bins[:4].tolist() == [0, 0, 1, hazard._BINS]
    # The first moment of a gap is that of the first bin, in which these ended: 0.0 and 0.5.
    assert came[:2].tolist() == [1.0, 1.0]


def test_features_do_not_depend_on_the_scale_alone():
    bins = np.arange(20, 30)
    gaps = np.array([30.0, 60.0, 0.0, 60.0])
    rows = hazard._features(gaps, bins)
    assert rows.shape == (10, hazard._feature_count())
    assert np.isfinite(rows).all()
    few = hazard._features(gaps[:2], bins)
    assert np.isnan(few).sum() == 2 * 2 * 10  # two of the nearest four are not known, and neither is their distance
    # The part of the gaps that ended in a bin, of those that reached it.
    first = hazard._features(gaps, np.array([0]))[0]
    assert first[-3] == 4.0
    assert first[-2] == pytest.approx(1.1 / 5.0)


def test_only_so_many_gaps_are_drawn(monkeypatch):
    monkeypatch.setattr(hazard, "_MOST_GAPS", 150)
    sequences = functions_alike(6, gaps=60)
    rows, came = hazard._moments(sequences, 5)
    assert came.sum() <= 150
    again, _ = hazard._moments(sequences, 5)
    assert np.array_equal(rows, again, equal_nan=True)
    other, _ = hazard._moments(sequences, 6)
    assert not np.array_equal(rows, other, equal_nan=True)


def test_files(tmp_path):
    model = small_model()
    path = tmp_path / "hazard.model"
    write_hazard_model(model, path)
    found = read_hazard_model(path)
    assert found == model
    assert hash(found) == hash(model)
    gaps = [30.0, 31.0, 29.0]
    assert found.hazards(gaps).tolist() == model.hazards(gaps).tolist()
    assert pickle.loads(pickle.dumps(model)).hazards(gaps).tolist() == model.hazards(gaps).tolist()
    assert path.read_bytes().startswith(b'{"format":"smiless hazard model","version":1,')


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:40],
        lambda data: b"",
        lambda data: data + b"\n",
        lambda data: data[:-300] + b"0" + data[-299:],
        lambda data: data.partition(b"\n")[2],
        lambda data: data.replace(b'"version":1', b'"version":2', 1),
        lambda data: data.replace(b"smiless hazard", b"another hazard", 1),
        lambda data: data.replace(b'"bins":', b'"bins":1', 1),
        lambda data: b"[" * 100_000,
        lambda data: b"\xff\xfe\n" + data,
        lambda data: b'{"a": 1}\ntext',
    ],
)
def test_files_that_are_no_model(tmp_path, damage):
    path = tmp_path / "odd.model"
    path.write_bytes(damage(small_model().to_bytes()))
    with pytest.raises(sc.InvalidInputError) as caught:
        read_hazard_model(path)
    assert str(caught.value).startswith(str(path))


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(sc.InvalidInputError) as caught:
            read_hazard_model(path)
        assert caught.value.file == str(path)
    with pytest.raises(sc.InvalidInputError, match="cannot be written"):
        write_hazard_model(small_model(), tmp_path / "none" / "model")


def test_hazards_are_never_certain():
    for gaps in ([0.0, 0.0], [4.6e9, 4.6e9], [60.0] * 100):
        found = small_model().hazards(gaps)
        assert found.shape == (hazard._BINS,)
        assert found.min() >= 1e-6
        assert found.max() <= 1.0 - 1e-6


@pytest.mark.parametrize(
    ("sequences", "place"),
    [
        ([], "gap_sequences"),
        ([[1.0] * 50], "gap_sequences"),
        ([[1.0] * 200, [-1.0]], r"gap_sequences\[1\]\[0\]"),
        ([[1.0, math.nan]], r"gap_sequences\[0\]\[1\]"),
        ([[1.0, 1e10]], r"gap_sequences\[0\]\[1\]"),
        (["text"], r"gap_sequences\[0\]"),
        ([[1.0, "two"]], r"gap_sequences\[0\]\[1\]"),
        ([[[1.0, 2.0]]], r"gap_sequences\[0\]\[0\]"),
        (5, "gap_sequences"),
    ],
)
def test_sequences_that_cannot_be_learnt_from(sequences, place):
    with pytest.raises(sc.InvalidInputError, match=f"^{place}: "):
        train(sequences, seed=0)


def test_seeds_and_models_that_make_no_sense():
    for seed in (-1, 1.5, None):
        with pytest.raises(sc.InvalidInputError, match=r"^seed"):
            train(functions_alike(6), seed=seed)
    with pytest.raises(sc.InvalidInputError, match=r"^model"):
        GradientBoostedHazard(b"model")
    damaged = GradientBoostedHazard(small_model()).state().replace(b"num_leaves=", b"num_leaves:", 1)
    with pytest.raises(sc.InvalidInputError, match=r"^state\.model"):
        GradientBoostedHazard.from_state(damaged)


def test_forecasters_share_a_model():
    state = GradientBoostedHazard(small_model()).state()
    first, second = (GradientBoostedHazard.from_state(state) for _ in range(2))
    assert first._model is second._model
    assert isinstance(first._model, HazardModel)


def test_without_lightgbm(monkeypatch):
    model = small_model()
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(sc.MissingExtraError, match=r"smiless-core\[forecast\]"):
        train(functions_alike(6), seed=0)
    with pytest.raises(sc.MissingExtraError, match=r"smiless-core\[forecast\]"):
        GradientBoostedHazard(model)
