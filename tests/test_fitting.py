"""Fitting: parameters are recovered, outliers do no harm, and nothing is claimed that was not measured."""

import functools
import itertools
import math
import os
import pickle

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import linprog, lsq_linear

from smiless_core import fitting
from smiless_core.errors import InvalidInputError
from smiless_core.fitting import Measurement, read_measurements
from smiless_core.model.configuration import Hardware

SIZES = (1.0, 2.0, 4.0, 8.0, 16.0)
BATCHES = (1, 2, 4, 8)
GRID = tuple(itertools.product(SIZES, BATCHES))

# Most of these tests are about the plain least-squares fit, where every measurement counts the same.
fit_profile = functools.partial(fitting.fit_profile, batch_weight=0.0)
fit_profiles = functools.partial(fitting.fit_profiles, batch_weight=0.0)

coefficients = st.one_of(st.just(0.0), st.floats(1e-3, 10.0))
parameters = st.tuples(coefficients, coefficients, coefficients).filter(any)
latencies = st.floats(-3.0, 3.0).map(lambda power: 10.0**power)
cold_starts = [Measurement("f", "cpu", cold_start=2.0), Measurement("f", "cpu", cold_start=3.0)]


def model(truth, size, batch):
    alpha, beta, gamma = truth
    return batch * (alpha / size + beta) + gamma


def measured(table, *, hardware="cpu"):
    """Measurements from (size, batch, latency), after one statement of cold starts."""
    return [
        Measurement("f", hardware, cold_start_mean=2.0, cold_start_std=0.5),
        *(Measurement("f", hardware, size, batch, latency) for size, batch, latency in table),
    ]


def fitted(fit, hardware="cpu"):
    found = fit.profile.hardware[Hardware(hardware)]
    return np.array([found.alpha, found.beta, found.gamma])


def report(fit, hardware="cpu"):
    return fit.reports[Hardware(hardware)]


def rows_of(table):
    size, batch, latency = np.array(table, dtype=float).T
    return np.column_stack([batch / size, batch, np.ones_like(batch)]) / latency[:, None]


@st.composite
def grids(draw):
    """At least two sizes and two batches, all combinations."""
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=2, max_size=5, unique=True))
    batches = draw(st.lists(st.sampled_from(BATCHES), min_size=2, max_size=4, unique=True))
    return list(itertools.product(sizes, batches))


@st.composite
def tables(draw, *, min_size=1, max_size=24, places=GRID):
    """Any latencies at all, at any sizes and batches, repeated or not."""
    some = draw(st.lists(st.sampled_from(places), min_size=min_size, max_size=max_size))
    return [(size, batch, draw(latencies)) for size, batch in some]


# --- recovery ---------------------------------------------------------------------------------------------


@given(truth=parameters, grid=grids(), data=st.data())
def test_noiseless_parameters_are_recovered(truth, grid, data):
    table = data.draw(st.permutations([(s, b, model(truth, s, b)) for s, b in grid]))
    fit = fit_profile(measured(table))
    assert fitted(fit) == pytest.approx(truth, rel=1e-8, abs=1e-8 * max(truth))
    assert report(fit).max_error < 1e-9
    assert report(fit).outliers == ()


@given(truth=parameters, share=st.sampled_from([0.1, 0.25, 0.5]), data=st.data())
def test_gpu_shares_are_recovered(truth, share, data):
    table = [(s, b, model(truth, s, b)) for s in (share, 2 * share) for b in (1, 4)]
    fit = fit_profile(measured(table, hardware="gpu"))
    assert fitted(fit, "gpu") == pytest.approx(truth, rel=1e-8, abs=1e-8 * max(truth))
    assert fit.profile.hardware[Hardware.GPU].sizes == (share, 2 * share)


gross = st.one_of(st.floats(2.0, 50.0), st.floats(0.02, 0.5))


@example(truth=(1.0, 0.0, 0.0), wrong={0: 2.0, 1: 2.0, 8: 2.0, 12: 2.0, 16: 2.0})  # as if gamma were 0.05
@given(truth=parameters, wrong=st.dictionaries(st.integers(0, 19), gross, min_size=1, max_size=5))
def test_a_quarter_of_gross_outliers_changes_nothing(truth, wrong):
    table = [(s, b, model(truth, s, b) * wrong.get(at, 1.0)) for at, (s, b) in enumerate(GRID)]
    fit = fit_profile(measured(table))
    assert fitted(fit) == pytest.approx(truth, rel=1e-8, abs=1e-8 * max(truth))
    assert report(fit).outliers == tuple(sorted(at + 1 for at in wrong))  # measurement 0 is the cold start
    assert report(fit).points == 20 - len(wrong)


@example(truth=(0.0, 0.0, 1.0), seed=230, spread=0.1)  # a free surface gains votes by bending to outliers
@example(truth=(1.0, 0.0, 0.0), seed=461, spread=0.1)
@example(truth=(0.0, 1.0, 1.0), seed=157, spread=0.1)  # a tolerance that may widen ends up accepting all
@given(truth=parameters, seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.01, 0.03, 0.1]))
def test_outliers_among_noise(truth, seed, spread):
    """A quarter of 60 noisy measurements (three at each place) is off by a factor of 5 to 50."""
    draw = np.random.default_rng(seed)
    table = [(s, b, model(truth, s, b) * draw.lognormal(0, spread)) for s, b in GRID for _ in range(3)]
    wrong = draw.choice(60, 15, replace=False)
    for at in wrong:
        s, b, latency = table[at]
        table[at] = (s, b, latency * draw.uniform(5, 50) ** draw.choice([-1, 1]))
    fit = fit_profile(measured(table))
    assert set(wrong + 1) <= set(report(fit).outliers)
    assert len(report(fit).outliers) <= 15 + 3
    predicted = np.array([model(fitted(fit), s, b) / model(truth, s, b) for s, b in GRID])
    assert np.abs(predicted - 1).max() < 4 * spread


@pytest.mark.parametrize("batch", BATCHES)
def test_a_whole_batch_size_that_was_measured_wrongly(batch):
    truth = (2.47, 0.1, 1.69)
    table = [(s, b, model(truth, s, b) * (10 if b == batch else 1)) for s, b in GRID]
    fit = fit_profile(measured(table))
    assert fitted(fit) == pytest.approx(truth)
    assert batch not in fit.profile.hardware[Hardware.CPU].batches
    assert len(report(fit).notes) == len(SIZES)


@given(beta=st.floats(-0.1, 0.0), seed=st.integers(0, 2**32 - 1))
def test_noise_on_what_the_signs_forbid_makes_no_outliers(beta, seed):
    noise = np.random.default_rng(seed).uniform(0.96, 1.04, len(GRID))
    table = [(s, b, model((2.47, beta, 1.69), s, b) * n) for (s, b), n in zip(GRID, noise, strict=True)]
    assert report(fit_profile(measured(table))).outliers == ()


# --- the optimum ------------------------------------------------------------------------------------------


@given(truth=parameters, grid=grids(), seed=st.integers(0, 2**32 - 1))
def test_the_fit_is_the_constrained_optimum(truth, grid, seed):
    """Against scipy's bounded-variable least squares, which shares no code with the fit."""
    noise = np.random.default_rng(seed).uniform(0.98, 1.02, len(grid))
    table = [(s, b, model(truth, s, b) * n) for (s, b), n in zip(grid, noise, strict=True)]
    fit = fit_profile(measured(table))
    assume(not report(fit).outliers)
    rows = rows_of(table)
    scale = np.linalg.norm(rows, axis=0)
    ones = np.ones(len(rows))
    rival = lsq_linear(rows / scale, ones, bounds=(0, np.inf), method="bvls", tol=1e-14).x / scale
    errors = rows @ fitted(fit) - 1
    assert math.sqrt(np.sum(errors**2)) <= math.sqrt(np.sum((rows @ rival - 1) ** 2)) * (1 + 1e-9) + 1e-12
    assert report(fit).median_error == pytest.approx(np.median(np.abs(errors)))
    assert report(fit).max_error == pytest.approx(np.abs(errors).max())
    assert report(fit).rms_error == pytest.approx(math.sqrt(np.mean(errors**2)))


@given(table=tables(min_size=2, max_size=8))
def test_no_step_from_the_fit_is_better(table):
    """Karush-Kuhn-Tucker: no gradient along a positive parameter, none downhill at a zero."""
    fit = fit_profile(measured(table))
    kept = [row for at, row in enumerate(table) if at + 1 not in report(fit).outliers]
    rows = rows_of(kept)
    scale = np.linalg.norm(rows, axis=0)
    gradient = rows.T @ (rows @ fitted(fit) - 1) / scale
    assert gradient.min() > -1e-7
    assert np.abs(gradient[fitted(fit) > 0]).max() < 1e-7


@given(table=tables())
def test_latency_never_rises_with_size_nor_falls_with_batch(table):
    profile = fit_profile(measured(table)).profile.hardware[Hardware.CPU]
    surface = np.array([[profile.latency(b, s) for b in profile.batches] for s in profile.sizes])
    assert (np.diff(surface, axis=0) <= 0).all()
    assert (np.diff(surface, axis=1) >= 0).all()
    assert (surface > 0).all()


def test_what_only_the_signs_forbid_is_an_error_and_no_outlier():
    """Latencies that fit exactly with a negative beta stay in, however large the error."""
    truth = (2.47, -1.44, 1.69)
    table = [(s, 1, model(truth, s, 1)) for s in SIZES] + [(1.0, b, model(truth, 1, b)) for b in (2, 3, 4)]
    fit = fit_profile(measured(table))
    assert report(fit).outliers == ()
    assert report(fit).points == 8
    assert 0.2 < report(fit).max_error < 0.3
    assert report(fit).notes == (
        "beta is held at 0, but the measurements ask for less: "
        "a further request adds less time than a larger size saves",
        "at cpu, 1 core, batch 1 it predicts 27% less than was measured",
    )


def test_a_weight_moves_the_error_to_larger_batches():
    """The published latencies of text-to-speech: the model cannot follow both cores and batch."""
    latency = {1: 1.946892, 2: 1.251679, 4: 0.904072, 8: 0.730269, 16: 0.643367}
    places = [(float(size), 1, seconds) for size, seconds in latency.items()]
    places += [(1.0, 2, 2.098914), (1.0, 3, 2.250936), (1.0, 4, 2.402958)]
    points = measured(places)

    def errors(**options):
        model = fit_profile(points, **options).profile.hardware[Hardware.CPU]
        return [model.latency(batch, size) / seconds - 1 for size, batch, seconds in places]

    assert fitting.fit_profile(points).profile == fit_profile(points, batch_weight=4).profile
    even, weighted = errors(), errors(batch_weight=4)
    assert any("it predicts 35% less than was measured" in note for note in report(fit_profile(points)).notes)
    assert not any("less than was measured" in note for note in report(fitting.fit_profile(points)).notes)
    assert min(even[:5]) < -0.3
    assert max(map(abs, weighted[:5])) < 0.01
    assert min(weighted[5:]) > 0
    with pytest.raises(InvalidInputError, match=r"batch_weight: .*-1"):
        fit_profile(points, batch_weight=-1)


def test_latency_that_rises_with_size_gives_a_flat_curve():
    table = [(tenth / 10, b, 0.1 + 0.01 * tenth + 0.1 * b) for tenth in range(1, 6) for b in (1, 2)]
    fit = fit_profile(measured(table, hardware="gpu"))
    assert fitted(fit, "gpu")[0] == 0.0
    assert report(fit, "gpu").notes == (
        "alpha is held at 0, but the measurements ask for less: latency rises with the size",
        "at gpu, 50 % share, batch 1 it predicts 9% less than was measured",
    )


# --- invariance -------------------------------------------------------------------------------------------


@given(table=tables(), data=st.data())
def test_order_does_not_matter(table, data):
    items = measured(table)
    order = data.draw(st.permutations(range(len(items))))
    straight, shuffled = fit_profile(items), fit_profile([items[at] for at in order])
    assert shuffled.profile == straight.profile
    aside = sorted(items[order[at]].latency for at in report(shuffled).outliers)
    assert aside == sorted(items[at].latency for at in report(straight).outliers)
    assert report(shuffled).notes == report(straight).notes


@given(table=tables(min_size=4), power=st.integers(-8, 8))
def test_the_unit_of_time_does_not_matter(table, power):
    """Powers of two, so that the scaling itself rounds nothing."""
    factor = 2.0**power
    before, after = (fit_profile(measured([(s, b, y * f) for s, b, y in table])) for f in (1.0, factor))
    assert fitted(after) == pytest.approx(fitted(before) * factor, rel=1e-9)
    assert report(after).outliers == report(before).outliers
    assert report(after).max_error == pytest.approx(report(before).max_error, rel=1e-9, abs=1e-12)


@given(truth=parameters, grid=grids(), power=st.integers(-3, 3))
def test_the_unit_of_size_scales_alpha_alone(truth, grid, power):
    factor = 2.0**power
    table = [(s * factor, b, model(truth, s, b)) for s, b in grid]
    alpha, beta, gamma = truth
    wanted = (alpha * factor, beta, gamma)
    assert fitted(fit_profile(measured(table))) == pytest.approx(wanted, rel=1e-8, abs=1e-8 * max(wanted))


@given(table=tables(places=GRID[:6]))
def test_measuring_everything_twice_alike_keeps_an_undisputed_fit(table):
    once, twice = fit_profile(measured(table)), fit_profile(measured(table + table))
    assume(not report(once).outliers and not report(twice).outliers)
    assert fitted(twice) == pytest.approx(fitted(once), rel=1e-7, abs=1e-9)
    assert report(twice).rms_error == pytest.approx(report(once).rms_error, abs=1e-9)


# --- what cannot be told ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "unclear", "reason"),
    [
        ([(1, 1), (2, 1), (4, 1)], ("beta", "gamma"), "every latency has batch 1"),
        ([(4, 1), (4, 2), (4, 8)], ("alpha", "beta"), "every latency has size 4"),
        ([(4, 2), (4, 2)], ("alpha", "beta", "gamma"), "every latency has size 4 and batch 2"),
        ([(1, 1), (2, 2), (4, 4)], ("alpha", "gamma"), "cannot be told apart:"),
        ([(1, 1), (2, 3)], ("alpha", "beta", "gamma"), "cannot be told apart:"),
    ],
)
def test_it_says_what_cannot_be_told_apart(places, unclear, reason):
    fit = fit_profile(measured([(s, b, model((1.0, 0.2, 0.5), s, b)) for s, b in places]))
    assert fit.next_measurement.parameters == unclear
    assert len(report(fit).notes) == 1
    assert reason in report(fit).notes[0]
    assert report(fit).max_error < 1e-9


@given(truth=parameters, places=st.lists(st.sampled_from(GRID), min_size=1, max_size=4))
def test_measuring_what_it_asks_for_settles_every_question(truth, places):
    """Each answer raises the rank, so two more measurements are enough from a single place."""
    for _ in range(3):
        fit = fit_profile(measured([(s, b, model(truth, s, b)) for s, b in places]))
        if fit.next_measurement is None:
            break
        asked = fit.next_measurement.configuration
        assert (asked.size, asked.batch) not in places
        places = [*places, (asked.size, asked.batch)]
    assert fit.next_measurement is None
    assert fitted(fit) == pytest.approx(truth, rel=1e-6, abs=1e-6 * max(truth))


@given(truth=parameters, places=st.lists(st.sampled_from(GRID), min_size=1, max_size=3))
def test_what_is_left_open_is_never_decided_in_favor_of_speed(truth, places):
    """No consistent surface predicts more, summed over what the profile offers (linear programming)."""
    table = [(s, b, model(truth, s, b)) for s, b in places]
    fit = fit_profile(measured(table))
    sizes, batches = zip(*places, strict=True)
    offered = list(itertools.product(set(sizes), set(batches)))
    totals = rows_of([(s, b, 1.0) for s, b in offered]).sum(axis=0)
    rows = rows_of([(s, b, 1.0) for s, b in places])
    best = linprog(-totals, A_eq=rows, b_eq=[latency for *_, latency in table], method="highs")
    assert totals @ fitted(fit) >= -best.fun * (1 - 1e-6)


def test_no_gain_is_credited_that_was_not_measured():
    alone = fit_profile(measured([(4, 1, 0.5)]))
    assert fitted(alone) == pytest.approx([0, 0.5, 0])
    one_batch = fit_profile(measured([(1, 1, 1.5), (2, 1, 1.0)]))
    assert fitted(one_batch) == pytest.approx([1, 0.5, 0])
    one_size = fit_profile(measured([(4, 1, 0.5), (4, 2, 0.8)]))
    assert fitted(one_size) == pytest.approx([0, 0.3, 0.2])


def test_the_profile_offers_what_was_measured_and_nothing_else():
    fit = fit_profile(measured([(s, b, model((1, 1, 1), s, b)) for s in (2, 8) for b in (1, 4)]))
    profile = fit.profile.hardware[Hardware.CPU]
    assert (profile.sizes, profile.batches) == ((2.0, 8.0), (1, 4))
    with pytest.raises(InvalidInputError, match="outside the measured range"):
        profile.latency(8, 2)
    with pytest.raises(InvalidInputError, match="outside the measured range"):
        profile.latency(1, 16)


def test_a_place_where_all_was_set_aside_is_neither_offered_nor_hidden():
    table = [(s, b, model((1, 0.1, 0.5), s, b)) for s, b in GRID] + [(1, 16, 500.0)]
    fit = fit_profile(measured(table))
    assert fit.profile.hardware[Hardware.CPU].batches == BATCHES
    assert report(fit).outliers == (21,)
    assert report(fit).notes == (
        "every latency at cpu, 1 core, batch 16 was set aside: measure it again before relying on it",
    )


@given(table=tables())
def test_more_than_half_is_always_used(table):
    fit = fit_profile(measured(table))
    assert report(fit).points > len(table) / 2
    assert report(fit).points + len(report(fit).outliers) == len(table)


# --- dispatch, cold starts, names -------------------------------------------------------------------------


def test_dispatch_stays_separate():
    table = measured([(s, b, model((1, 0.1, 0.5), s, b)) for s, b in GRID])
    with_dispatch = [item.replace(dispatch=0.25) for item in table]
    profile = fit_profile(with_dispatch).profile.hardware[Hardware.CPU]
    assert profile.dispatch == 0.25
    assert profile.gamma == pytest.approx(0.5)
    assert profile.latency(1, 2) == pytest.approx(0.5 + 0.1 + 0.5 + 0.25)
    assert fit_profile(table).profile.hardware[Hardware.CPU].dispatch == 0.0
    several = [item.replace(dispatch=d) for item, d in zip(table[:3], (0.1, 0.2, 9), strict=True)]
    assert fit_profile(several).profile.hardware[Hardware.CPU].dispatch == 0.2


def test_cold_starts_come_as_samples_or_as_mean_and_deviation():
    points = measured([(1, 1, 1.0)])
    stated = fit_profile(points).profile.hardware[Hardware.CPU]
    assert (stated.cold_start_mean, stated.cold_start_std, stated.cold_start_samples) == (2.0, 0.5, ())
    assert stated.cold_start() == 3.5
    samples = [Measurement("f", "cpu", cold_start=value) for value in (4.0, 1.0, 1.0)]
    sampled = fit_profile(points[1:] + samples).profile.hardware[Hardware.CPU]
    assert sampled.cold_start_samples == (1.0, 1.0, 4.0)
    assert (sampled.cold_start_mean, sampled.cold_start_std) == pytest.approx((2.0, math.sqrt(3)))


def test_an_unknown_spread_of_cold_starts_is_said():
    point = Measurement("f", "cpu", 1, 1, 1.0, cold_start=2.0)
    assert "a single cold start was measured: its spread is counted as 0" in str(fit_profile([point]))
    stated = Measurement("f", "cpu", 1, 1, 1.0, cold_start_mean=2.0)
    assert "the spread of cold starts is not given: counted as 0" in str(fit_profile([stated]))


POINT = Measurement("f", "cpu", 1, 1, 1.0)


@pytest.mark.parametrize(
    ("items", "line"),
    [
        ([], "measurements: expected at least one, got none"),
        ("f,cpu", "measurements: expected a list, got 'f,cpu'"),
        ([("f", "cpu", 1, 1, 1.0)], "measurements[0]: expected a Measurement, got ('f', 'cpu', 1, 1, 1.0)"),
        (
            [POINT, POINT.replace(function="g")],
            "measurements: expected one function, got f and g: fit_profiles fits each",
        ),
        (
            [POINT],
            "f on cpu: no cold start was measured: add cold_start_s, or cold_start_mean_s and cold_start_std_s",
        ),
        (cold_starts, "f on cpu: no latency was measured"),
        (
            [POINT, *cold_starts, Measurement("f", "cpu", cold_start_mean=2.0)],
            "f on cpu: both single cold starts and a mean are given: keep one of the two",
        ),
        (
            [POINT, *(Measurement("f", "cpu", cold_start_mean=mean) for mean in (2.0, 2.0, 3.5))],
            "f on cpu: contradicting cold starts are given: mean 2.0 std None and mean 3.5 std None",
        ),
    ],
)
def test_what_cannot_be_fitted(items, line):
    with pytest.raises(InvalidInputError) as caught:
        fit_profile(items)
    assert str(caught.value) == line


def test_names():
    items = measured([(1, 1, 1.0)])
    assert fit_profile(items).profile.name == "f"
    assert fit_profile(items, name="speech").profile.name == "speech"
    fits = fit_profiles([*(item.replace(function="g") for item in items), *items])
    assert list(fits) == ["f", "g"]
    assert fits["g"].profile.name == "g"
    assert fits["f"].profile == fit_profile(items).profile
    with pytest.raises(InvalidInputError, match=r"^g on gpu: no cold start"):
        fit_profiles([*items, Measurement("g", "gpu", 0.5, 1, 1.0)])


def test_outliers_of_many_functions_are_positions_in_what_was_given():
    table = [(s, b, model((1, 1, 1), s, b) * (100 if (s, b) == (4, 4) else 1)) for s, b in GRID]
    items = measured(table)
    others = [item.replace(function="g") for item in items]
    both = [item for pair in zip(items, others, strict=True) for item in pair]
    wrong = 1 + GRID.index((4, 4))
    fits = fit_profiles(both)
    assert (report(fits["f"]).outliers, report(fits["g"]).outliers) == ((2 * wrong,), (2 * wrong + 1,))
    assert f"set aside: {2 * wrong}" in str(fits["f"])


def test_a_fit_is_a_value():
    fit = fit_profile(measured([(1, 1, 1.0)]) + measured([(0.5, 1, 1.0)], hardware="gpu"))
    assert pickle.loads(pickle.dumps(fit)) == fit
    assert list(fit.reports) == [Hardware.CPU, Hardware.GPU]
    with pytest.raises(TypeError):
        fit.reports[Hardware.CPU] = None


def test_many_measurements():
    truth = (1.0, 0.1, 0.5)
    draw = np.random.default_rng(3)
    table = [(s, b, model(truth, s, b) * draw.lognormal(0, 0.02)) for s, b in GRID for _ in range(500)]
    wrong = set(draw.choice(len(table), 2500, replace=False).tolist())
    table = [(s, b, y * (10 if at in wrong else 1)) for at, (s, b, y) in enumerate(table)]
    fit = fit_profile(measured(table))
    assert {at - 1 for at in report(fit).outliers} == wrong
    assert fitted(fit) == pytest.approx(truth, rel=0.02)


# --- the file ---------------------------------------------------------------------------------------------


def read(tmp_path, content, **options):
    path = tmp_path / "m.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_measurements(path, **options)


def test_one_file_holds_everything(tmp_path):
    text = (
        "hardware,function,latency_s,size,batch,cold_start_s,dispatch_s\n"
        "cpu,asr,0.5,4,2,,0.01\n"
        "\n"
        "gpu, asr ,2.5e-1,.5,1.0,,\n"
        "cpu,asr,,,,3.25,\n"
    )
    assert read(tmp_path, text) == [
        Measurement("asr", Hardware.CPU, 4.0, 2, 0.5, dispatch=0.01),
        Measurement("asr", Hardware.GPU, 0.5, 1, 0.25),
        Measurement("asr", Hardware.CPU, cold_start=3.25),
    ]


def test_aliases_a_byte_order_mark_and_windows_lines(tmp_path):
    text = "\ufefffunction,hardware,cold_start_mean_s,cold_start_std,dispatch_overhead_s\r\n"
    text += "asr,cpu,1.5,0.5,0\r\n"
    assert read(tmp_path, text) == [
        Measurement("asr", Hardware.CPU, dispatch=0.0, cold_start_mean=1.5, cold_start_std=0.5)
    ]
    assert read(tmp_path, 'function,hardware,size,latency\n"a,b",gpu,1,2\n')[0].function == "a,b"


@pytest.mark.parametrize("percent", range(1, 101))
def test_percent_becomes_the_nearest_share(tmp_path, percent):
    text = f"function,hardware,size,latency\nf,gpu,{percent},1\nf,cpu,{percent},1\n"
    gpu, cpu = read(tmp_path, text, gpu_percent=True)
    assert gpu.size == float(f"0.{percent:02d}" if percent < 100 else "1")
    assert cpu.size == percent


TIME = "a finite number of at least 1e-09 and of at most 1e+09"
HEADER = "function,hardware,size,batch,latency_s,cold_start_mean_s,cold_start_std_s\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "expected a line of column names and at least one measurement, got less"),
        (HEADER, "expected a line of column names and at least one measurement, got less"),
        ("function;hardware\n", "line 1: expected columns separated by commas, got ';'"),
        ("function,hardware,latncy_s\n", "line 1: no column named 'latncy_s' (did you mean 'latency_s'?)"),
        ("function,size\nf,1\n", "line 1: no column 'hardware' among 'function', 'size'"),
        ("function,hardware,latency,latency_s\n", "line 1: columns 'latency' and 'latency_s' mean the same"),
        (HEADER + "f,cpu,1,1\n", "line 2: expected 7 fields, got 4"),
        (HEADER + "f,cpu,1,1,x,,\n", "line 2, column latency_s: expected a finite number, got 'x'"),
        (HEADER + "f,cpu,1,1,nan,,\n", "line 2, column latency_s: expected a finite number, got 'nan'"),
        (HEADER + "f,cpu,1,1,1_0,,\n", "line 2, column latency_s: expected a finite number, got '1_0'"),
        (
            HEADER + "f,cpu,1,1,1e999,,\n",
            f"line 2, column latency_s: expected {TIME}, got inf",
        ),
        (
            HEADER + "f,cpu,1,1,1,,\n\nf,cpu,1,1,-1,,\n",
            f"line 4, column latency_s: expected {TIME}, got -1.0",
        ),
        (
            HEADER + "f,cpu,1,0,1,,\n",
            "line 2, column batch: expected a whole number of at least 1 and of at most 1e+06, got 0",
        ),
        (
            HEADER + "f,cpu,1,1.5,1,,\n",
            "line 2, column batch: expected a whole number of at least 1 and of at most 1e+06, got 1.5",
        ),
        (HEADER + "f,cpu,0,1,1,,\n", "line 2, column size: expected a finite number above 0, got 0.0"),
        (
            HEADER + "f,gpu,10,1,1,,\n",
            "line 2, column size: expected a share of one gpu, in (0, 1], got 10 (10 % is 0.1)",
        ),
        (
            HEADER + "f,tpu,1,1,1,,\n",
            "line 2, column hardware: no hardware kind named 'tpu' (did you mean 'gpu'?)",
        ),
        (
            HEADER + ",cpu,1,1,1,,\n",
            "line 2, column function: expected printable text that is not blank, got ''",
        ),
        (
            HEADER + "f,cpu,,1,1,,\n",
            "line 2, column size: expected the size that the latency belongs to, got none",
        ),
        (
            HEADER + "f,cpu,1,1,1,,0.5\n",
            "line 2, column cold_start_mean_s: expected the mean that the deviation is from, got none",
        ),
        (
            HEADER + "f,cpu,1,1,,,\n",
            "line 2, column latency_s: expected one of latency, dispatch, cold_start, cold_start_mean, "
            "cold_start_std, got none",
        ),
        (HEADER + 'f,"cpu\n', "line 2: not comma-separated values: unexpected end of data"),
        (HEADER.encode() + b"\xff\xfe", "line 2: expected text in UTF-8, got byte 0xff"),
        (b"\x00\x01\x02", "line 1: no column named '\\x00\\x01\\x02'"),
    ],
)
def test_every_wrong_file_is_one_line_with_the_place(tmp_path, content, line):
    with pytest.raises(InvalidInputError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'm.csv'}: {line}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.csv", ".", "null\0byte.csv"])
def test_what_is_not_a_file(tmp_path, name):
    with pytest.raises(InvalidInputError, match="cannot be read: "):
        read_measurements(os.path.join(tmp_path, name))


@example(b'"' + b"x" * 200_000 + b'"\n')
@given(st.binary())
def test_noise_is_a_clean_error(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "m.csv"
    path.write_bytes(noise)
    with pytest.raises(InvalidInputError) as caught:
        read_measurements(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"function": ""}, "function"),
        ({"hardware": "tpu"}, "hardware"),
        ({"size": math.nan}, "size"),
        ({"size": None}, "size"),
        ({"size": 1e9}, "size"),
        ({"batch": True}, "batch"),
        ({"batch": 1.5}, "batch"),
        ({"latency": 0.0}, "latency"),
        ({"latency": math.inf}, "latency"),
        ({"latency": "1"}, "latency"),
        ({"latency": None}, "latency"),
        ({"dispatch": -1.0}, "dispatch"),
        ({"cold_start": -1.0}, "cold_start"),
        ({"cold_start_std": 1.0}, "cold_start_mean"),
    ],
)
def test_a_measurement_is_validated(fields, place):
    with pytest.raises(InvalidInputError) as caught:
        POINT.replace(**fields)
    assert caught.value.place == place
