"""The two LSTM networks: training, files, forecasts."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest

import smiless_core as sc
from forecasters import functions_alike, told
from smiless_core.arrivals import Counts
from smiless_core.predictors import RecentGaps, lstm, lstm_model, lstm_training
from smiless_core.predictors.lstm import LSTMNetworks
from smiless_core.predictors.lstm_model import LSTMModel, read_lstm_model, write_lstm_model
from smiless_core.predictors.lstm_training import train_lstm


def random_model(seed: int = 0, *, units: int = 6, interval: float = 60.0, scale: float = 1.0) -> LSTMModel:
    """Return a model that has learnt nothing, which takes no torch."""
    size = sum(
        lstm_model.Network.size(inputs=inputs, units=units, classes=classes)
        for inputs, classes in ((2, lstm_model.BINS), (1, lstm_model.BUCKETS))
    )
    parameters = np.random.default_rng(seed).normal(0.0, scale, size).astype(np.float32)
    return LSTMModel(parameters, interval=interval, units=units)


@lru_cache(maxsize=1)
def alternating_model() -> LSTMModel:
    """Return a model that was trained on gaps that alternate between a short and a long one."""
    return train_lstm([alternating(seed) for seed in range(24)], seed=1, units=16, epochs=160)


def alternating(seed: int, *, gaps: int = 100) -> np.ndarray:
    noise = np.exp(np.random.default_rng(seed).normal(0.0, 0.1, gaps))
    return np.where(np.arange(gaps) % 2, 30.0, 2.0) * noise


def likelihood(predictor, gaps):
    """Return the mean logarithm of the probability that was given to what came, within 10 %, after the first ten."""
    found, now = [], 0.0
    predictor.observe(now)
    for index, gap in enumerate(gaps.tolist()):
        if index >= 10:
            forecast = predictor.arrivals(now)
            found.append(math.log(max(forecast.survival(gap * 0.9) - forecast.survival(gap * 1.1), 1e-6)))
        now += gap
        predictor.observe(now)
    return float(np.mean(found))


# -- training, with torch -------------------------------------------------------------------------------------


def test_it_learns_that_gaps_alternate():
    pytest.importorskip("torch")
    gaps = alternating(99)
    network = likelihood(LSTMNetworks(alternating_model()), gaps)
    window = likelihood(RecentGaps(), gaps)  # which does not know what comes after what
    assert network > window + 0.3
    # Of either kind, 68 % are within 10 %: so much is the best that is possible without knowing which one comes.
    assert network > math.log(0.68 * 0.5)


def test_it_forecasts_in_long_sequences_as_in_short_ones():
    pytest.importorskip("torch")
    predictor = LSTMNetworks(alternating_model())
    early = likelihood(predictor, alternating(7))
    at = predictor._clock.last
    told(predictor, at + np.cumsum(alternating(8, gaps=6_000)))
    gaps, now, late = alternating(9), predictor._clock.last, []
    for gap in gaps.tolist():
        forecast = predictor.arrivals(now)
        late.append(math.log(max(forecast.survival(gap * 0.9) - forecast.survival(gap * 1.1), 1e-6)))
        now += gap
        predictor.observe(now)
    assert np.mean(late) > early - 0.2


def test_it_learns_how_many_come():
    pytest.importorskip("torch")
    # Ten in one minute, none in the next two.
    minutes = np.tile(np.append(np.full(9, 1.0), 171.0), 40)
    model = train_lstm([minutes] * 8, seed=1, units=8, epochs=300)
    predictor = told(LSTMNetworks(model), np.cumsum(np.append(0.0, minutes[:109])))
    last = predictor._clock.last
    demands = [predictor.demand(last + 60.0 * minute, horizon=60.0) for minute in range(4)]
    assert [demand.quantile(0.5) for demand in demands] == [10, 0, 0, 10]
    assert [demand.quantile(0.98) for demand in demands] == [10, 0, 0, 10]
    # Of counts like none that it was trained on it knows little, but not that thousands come.
    predictor.observe(last + 171.0)
    assert predictor.demand(last + 231.0, horizon=60.0).at_most(12) > 0.9


def test_training_repeats_and_reports():
    torch = pytest.importorskip("torch")
    sequences = functions_alike(6, gaps=60)
    threads, drawn = torch.get_num_threads(), torch.random.get_rng_state()
    steps = []
    first = train_lstm(sequences, seed=3, units=4, epochs=2, progress=lambda *step: steps.append(step))
    assert train_lstm((list(gaps) for gaps in sequences), seed=3, units=4, epochs=2) == first
    assert steps == [(k, steps[-1][1]) for k in range(1, steps[-1][1] + 1)]
    assert train_lstm(sequences, seed=4, units=4, epochs=2) != first
    assert train_lstm(sequences[:5], seed=3, units=4, epochs=2) != first
    # What everyone shares is as it was.
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_training_can_be_interrupted():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_lstm(functions_alike(6, gaps=60), seed=3, units=4, epochs=5, progress=interrupt)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("inputs", "classes"), [(2, lstm_model.BINS), (1, lstm_model.BUCKETS)])
def test_steps_are_those_of_torch(inputs, classes):
    torch = pytest.importorskip("torch")
    units, steps = 7, 50
    generator = torch.Generator().manual_seed(5)
    layer = torch.nn.LSTM(inputs, units, dtype=torch.float64)
    head = torch.nn.Linear(units, classes, dtype=torch.float64)
    with torch.no_grad():
        for each in (*layer.parameters(), *head.parameters()):  # numbers that float32 holds, as in a model
            each.copy_(torch.randn(each.shape, generator=generator, dtype=torch.float32))
        layer.bias_hh_l0.zero_()
    flat = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, head.weight, head.bias]
    parameters = np.concatenate([each.detach().numpy().ravel() for each in flat]).astype(np.float32)
    network = lstm_model.Network(parameters, inputs=inputs, units=units, classes=classes)
    rows = torch.randn((steps, inputs), generator=generator, dtype=torch.float64)
    with torch.no_grad():
        hidden, _ = layer(rows)
        wanted = torch.softmax(head(hidden), 1).numpy()
    memory = network.fresh()
    for index, row in enumerate(rows.tolist()):
        memory = network.step(memory, tuple(row))
        assert memory.hidden == pytest.approx(hidden[index].numpy(), abs=1e-6)
        found = network.probabilities(memory)
        assert found == pytest.approx((1.0 - 1e-4) * wanted[index] + 1e-4 / classes, abs=1e-6)


def test_models_are_used_as_they_were_trained():
    """The parameters come out of torch in the order in which they are read: the loss is that of the model."""
    torch = pytest.importorskip("torch")
    pieces = lstm_training._gap_pieces([alternating(3, gaps=120)], 60.0, np.random.default_rng(0))
    losses = []
    original = torch.nn.functional.cross_entropy

    def watched(*arguments, **named):
        found = original(*arguments, **named)
        losses.append(float(found.detach()))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", watched)
        patch.setattr(lstm_training, "_RATE", 1e-12)  # so that the parameters are those of the loss
        parameters = lstm_training._fitted(
            torch,
            pieces,
            units=5,
            classes=lstm_model.BINS,
            epochs=1,
            generator=np.random.default_rng(1),
            report=lambda: None,
        )
    network = lstm_model.Network(parameters, inputs=2, units=5, classes=lstm_model.BINS)
    memory, likelihoods = network.fresh(), []
    for row, bin in zip(pieces[0].told, pieces[0].next_one, strict=True):
        memory = network.step(memory, tuple(row.tolist()))
        likelihoods.append(math.log(network.probabilities(memory)[bin]))
    assert losses == [pytest.approx(-np.mean(likelihoods), abs=1e-3)]


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
        ([np.ones((2, 2))], r"gap_sequences\[0\]"),
        (5, "gap_sequences"),
        ([[0.1] * 1000], "interval"),
    ],
)
def test_sequences_that_cannot_be_learnt_from(sequences, place):
    pytest.importorskip("torch")
    with pytest.raises(sc.InvalidInputError, match=f"^{place}: "):
        train_lstm(sequences, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", -1), ("seed", None), ("interval", 0.0), ("interval", math.nan), ("units", 0), ("units", 513),
     ("epochs", 0), ("epochs", 1.5)],
)  # fmt: skip
def test_settings_that_make_no_sense(name, value):
    pytest.importorskip("torch")
    with pytest.raises(sc.InvalidInputError, match=f"^{name}: "):
        train_lstm(functions_alike(6), **{"seed": 0, name: value})


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(sc.MissingExtraError, match=r"pip install 'smiless-core\[torch\]'"):
        train_lstm(functions_alike(6), seed=0)
    # To forecast takes a model and no torch.
    assert told(LSTMNetworks(random_model()), [0.0, 5.0, 9.0]).arrivals(10.0) is not None


def test_forecasts_do_not_import_torch():
    code = (
        "import sys; from smiless_core.predictors import lstm, lstm_training;"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# -- what is learnt from --------------------------------------------------------------------------------------


def test_pieces_of_gaps_hold_what_comes_next(monkeypatch):
    monkeypatch.setattr(lstm_training, "_PIECE", 50)
    gaps = np.random.default_rng(2).exponential(20.0, 120)
    pieces = lstm_training._gap_pieces([gaps, np.array([5.0])], 60.0, np.random.default_rng(0))
    assert [len(piece.told) for piece in pieces] == [49, 49, 19]
    # In the second one, as a forecaster is told that sees its gaps alone.
    inputs = lstm_model.GapInputs(60.0)
    for index, gap in enumerate(gaps[50:99].tolist()):
        assert pieces[1].told[index] == pytest.approx(inputs.add(gap), abs=1e-6)
        relative = math.log(gaps[51 + index] + 1e-3) - np.median(np.log(gaps[50 : 51 + index][-32:] + 1e-3))
        assert pieces[1].next_one[index] == lstm_model.bins_of(np.array([relative]))[0]


def test_pieces_of_counts_are_whole_intervals(monkeypatch):
    monkeypatch.setattr(lstm_training, "_PIECE", 5)
    # Arrivals in minutes 0, 0, 1, 4, then 12, and 13 which is not over: minutes 5 to 9 are a piece of silence.
    at = np.array([0.0, 10.0, 70.0, 250.0, 725.0, 781.0])
    pieces = lstm_training._count_pieces([np.diff(at)], 60.0, np.random.default_rng(0))
    assert [piece.next_one.tolist() for piece in pieces] == [[1, 0, 0, 1], [0, 1]]
    assert pieces[0].told[:, 0] == pytest.approx(np.log1p([2, 1, 0, 0]) / 3.0)
    assert pieces[1].told[:, 0] == pytest.approx([0.0, 0.0])


def test_only_so_many_pieces_are_drawn(monkeypatch):
    monkeypatch.setattr(lstm_training, "_MOST_PIECES", 3)
    sequences = functions_alike(8, gaps=60)
    for pieces_of in (lstm_training._gap_pieces, lstm_training._count_pieces):
        first, again, other = (pieces_of(sequences, 60.0, np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert len(first) == 3
        assert all(np.array_equal(a.told, b.told) for a, b in zip(first, again, strict=True))
        assert not all(np.array_equal(a.told, b.told) for a, b in zip(first, other, strict=True))


def test_years_between_arrivals_take_no_memory():
    gaps = np.array([1.0, 4.6e9] * 200)
    pieces = lstm_training._count_pieces([gaps], 1e-3, np.random.default_rng(0))
    assert 200 <= len(pieces) <= 401
    assert all(len(piece.told) < lstm_training._PIECE for piece in pieces)


def test_buckets_are_named_by_their_upper_ends():
    ends = lstm_model._ENDS
    assert ends[:11].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    counts = np.arange(3_000)
    upper = ends[lstm_model.buckets_of(counts)]
    assert (upper >= counts).all()
    assert (upper <= np.maximum(counts * 1.25, 1)).all()
    assert (ends[lstm_model.buckets_of(counts) - 1][1:] < counts[1:]).all()
    assert lstm_model.buckets_of(np.array([10**12])).tolist() == [lstm_model.BUCKETS - 1]
    shares = np.where(np.arange(lstm_model.BUCKETS) == lstm_model.buckets_of(np.array([9])), 1.0, 0.0)
    assert lstm_model.counts_of(shares) == Counts([10])


# -- forecasts, of models that have learnt nothing ------------------------------------------------------------


def test_the_future_does_not_matter():
    gaps = np.random.default_rng(4).exponential(30.0, 60)
    first, second = (LSTMNetworks(random_model()) for _ in range(2))
    told(first, np.cumsum(gaps[:40]))
    for at in np.cumsum(gaps[:40]):
        second.observe(at)
        second.arrivals(at + 1e4)  # to be asked changes nothing
        second.demand(at + 1e4, horizon=60.0)
    assert first.state() == second.state()
    before = first.arrivals(first._clock.last).mean
    told(second, [second._clock.last + 1.0])
    assert first.arrivals(first._clock.last).mean == before
    assert second.arrivals(second._clock.last).mean != before


def test_states_go_on_as_they_were():
    gaps = np.random.default_rng(5).exponential(40.0, 120)
    at = np.cumsum(gaps)
    for cut in (0, 1, 2, 50):
        original = told(LSTMNetworks(random_model(interval=50.0)), at[:cut])
        again = LSTMNetworks.from_state(original.state())
        assert again.state() == original.state()
        assert again._model is LSTMNetworks.from_state(original.state())._model  # which forecasters share
        for each in (original, again):
            told(each, at[cut:])
        assert again.state() == original.state()
        for now in (at[-1], at[-1] + 500.0):
            assert again.demand(now, horizon=50.0) == original.demand(now, horizon=50.0)
            assert again.arrivals(now).quantile(0.3) == original.arrivals(now).quantile(0.3)


def test_states_that_are_none():
    original = told(LSTMNetworks(random_model()), np.arange(50) * 7.0)
    from smiless_core.predictors.states import packed, unpacked

    kept = unpacked(original.state(), lstm._KIND, lstm._VERSION, lstm._State)
    for name, value in {
        "model": kept.model[:-4],
        "logarithms": b"\0" * (8 * 33),
        "lately": 0.5,
        "offset": 61.0,
        "current": -1,
        "memories": kept.memories[8:],
    }.items():
        changed = {field: getattr(kept, field) for field in kept.__struct_fields__} | {name: value}
        with pytest.raises(sc.InvalidInputError, match=rf"^state\.{name}"):
            LSTMNetworks.from_state(packed(lstm._KIND, lstm._VERSION, lstm._State(**changed)))


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e30])
def test_distributions_are_whole(scale):
    """Whatever the parameters are."""
    model = random_model(3, scale=scale)
    for gaps in ([30.0] * 40, [0.0] * 40, [0.0, 4.6e9] * 20, np.random.default_rng(6).exponential(60.0, 40)):
        predictor = told(LSTMNetworks(model), np.cumsum([0.0, *gaps]))
        last = predictor._clock.last
        shares = model.gaps.probabilities(predictor._of_gaps)
        assert shares.sum() == pytest.approx(1.0, abs=1e-12)
        assert shares.min() > 0.0
        forecast = predictor.arrivals(last)
        times = np.geomspace(1e-3, 4e9, 60)
        assert forecast.survival(0.0) <= 1.0
        assert (np.diff(forecast.survival(times)) <= 0.0).all()
        assert forecast.survival(1e300) == pytest.approx(0.0, abs=1e-12)
        # What is below an edge is what the network says.
        edges = np.exp(predictor._told.level + lstm_model._EDGES) - 1e-3
        kept = (edges > 1e-9) & (edges < 4.5e9)
        assert forecast.survival(edges[kept]) == pytest.approx(1.0 - np.cumsum(shares[:-1])[kept], abs=1e-9)
        assert predictor.demand(last, horizon=60.0).probabilities.sum() == pytest.approx(1.0)


def test_demand_is_that_of_the_interval_or_of_gaps():
    predictor = LSTMNetworks(random_model())
    assert predictor.demand(0.0, horizon=60.0) == Counts([0])
    told(predictor, [0.0])
    assert predictor.demand(30.0, horizon=60.0) == Counts([0])  # no interval is over, and no gap is known
    memory = predictor._model.counts.step(predictor._model.counts.fresh(), lstm_model.count_input(1))
    wanted = lstm_model.counts_of(predictor._model.counts.probabilities(memory))
    assert predictor.demand(60.0, horizon=60.0) == wanted
    # Two more in the same minute, then one in the fourth: 3, 0, 0, and the present one is not over.
    told(predictor, [10.0, 20.0, 185.0])
    memory = predictor._model.counts.fresh()
    for count in (3, 0, 0):
        memory = predictor._model.counts.step(memory, lstm_model.count_input(count))
    wanted = lstm_model.counts_of(predictor._model.counts.probabilities(memory))
    assert predictor.demand(190.0, horizon=60.0) == wanted
    # Of any other horizon, that of independent gaps.
    other = predictor.demand(190.0, horizon=61.0)
    assert other != wanted
    assert set(other.values.tolist()) <= set(range(1_000))


def test_long_silence_takes_no_time():
    predictor = told(LSTMNetworks(random_model(interval=1e-3)), [0.0, 1.0, 1e9])
    assert predictor.demand(4e9, horizon=1e-3) == predictor.demand(4e9 + 1.0, horizon=1e-3)


# -- files ----------------------------------------------------------------------------------------------------


def test_files(tmp_path):
    model = random_model()
    path = tmp_path / "lstm.model"
    write_lstm_model(model, path)
    found = read_lstm_model(path)
    assert found == model
    assert hash(found) == hash(model)
    assert found != random_model(1)
    assert found != "model"
    assert pickle.loads(pickle.dumps(model)) == model
    assert path.read_bytes().startswith(b'{"format":"smiless LSTM model","version":1,')
    arrivals = np.cumsum([3.0, 8.0, 30.0])
    forecasts = [told(LSTMNetworks(each), arrivals).arrivals(50.0).mean for each in (model, found)]
    assert forecasts[0] == forecasts[1]


def with_digest(data: bytes, parameters: bytes) -> bytes:
    """Return a file whose digest is right and whose parameters are others."""
    import hashlib

    line, _, before = data.partition(b"\n")
    digests = [hashlib.sha256(each).hexdigest().encode() for each in (before, parameters)]
    return line.replace(*digests) + b"\n" + parameters


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda data: data[:-1], "sha256"),
        (lambda data: data[: len(data) // 2], "sha256"),
        (lambda data: data[:40], ""),
        (lambda data: b"", ""),
        (lambda data: data + b"\n", "sha256"),
        (lambda data: data[:-300] + b"0" + data[-299:], "sha256"),
        (lambda data: data.partition(b"\n")[2], ""),
        (lambda data: data.replace(b'"version":1', b'"version":2', 1), "version"),
        (lambda data: data.replace(b"smiless LSTM", b"smiless hazard", 1), "format"),
        (lambda data: data.replace(b'"bins":', b'"bins":1', 1), "bins"),
        (lambda data: data.replace(b'"units":6', b'"units":7', 1), "parameters"),
        (lambda data: data.replace(b'"units":6', b'"units":1000000000', 1), "units"),
        (lambda data: data.replace(b'"interval":60.0', b'"interval":-1.0', 1), "interval"),
        (lambda data: with_digest(data, b"\0" * 7), "parameters"),
        (lambda data: with_digest(data, data.partition(b"\n")[2][:-4] + b"\0\0\xc0\x7f"), r"parameters\["),
        (lambda data: b"[" * 100_000, ""),
        (lambda data: b"\xff\xfe\n" + data, ""),
        (lambda data: b'{"a": 1}\ntext', ""),
        (lambda data: pickle.dumps({"weights": [1.0]}), ""),
    ],
)
def test_files_that_are_no_model(tmp_path, damage, place):
    path = tmp_path / "odd.model"
    path.write_bytes(damage(random_model().to_bytes()))
    with pytest.raises(sc.InvalidInputError, match=rf"odd\.model: {place}") as caught:
        read_lstm_model(path)
    assert caught.value.file == str(path)
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(sc.InvalidInputError) as caught:
            read_lstm_model(path)
        assert caught.value.file == str(path)
    with pytest.raises(sc.InvalidInputError, match="cannot be written"):
        write_lstm_model(random_model(), tmp_path / "none" / "model")


def test_what_is_no_model():
    for wrong in (b"model", None):
        with pytest.raises(sc.InvalidInputError, match=r"^model"):
            LSTMNetworks(wrong)
    with pytest.raises(sc.InvalidInputError, match=r"^parameters"):
        LSTMModel(np.zeros(5, np.float32), interval=60.0, units=4)
