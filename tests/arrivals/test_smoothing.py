"""Smoothed gaps: the weights of the kernels, the survival and its mean, against direct sums."""

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize

from distributions import gap_lists
from smiless_core.arrivals import Arrivals

BETAS = np.array([1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])

# Gaps of a few sizes, some of them close to each other and some equal.
close = st.tuples(st.sampled_from([1.0, 1.0, 7.0, 60.0, 3600.0]), st.integers(0, 300).map(lambda x: 1 + x / 1000))
records = st.lists(close.map(lambda pair: pair[0] * pair[1]), min_size=2, max_size=25)


def triangle(x: np.ndarray, gaps: np.ndarray, beta: float) -> np.ndarray:
    """Return the density at each x (rows) of the kernel of each gap (columns)."""
    return np.maximum(1.0 - np.abs(x[:, None] - gaps) / (beta * gaps), 0.0) / (beta * gaps)


def left_out(gaps: np.ndarray) -> np.ndarray:
    """Return the density of each gap under the kernels of the others, one column for each beta, pair by pair."""
    pairs = [triangle(gaps, gaps, beta) * (1.0 - np.eye(gaps.size)) for beta in BETAS]
    density = np.stack([pair.sum(axis=1) / (gaps.size - 1) for pair in pairs], axis=1)
    density[~density.any(axis=1), 0] = 1.0  # out of reach for all: the widest
    return density


def log_likelihood(density: np.ndarray, weights: np.ndarray) -> float:
    """Return it with the prior, which is one more gap for the widest kernel."""
    with np.errstate(divide="ignore"):
        return float(np.log(density @ weights).sum() + np.log(weights[0]))


def kernel_survival(x: np.ndarray, gaps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros(x.size)
    for beta, weight in zip(BETAS, weights, strict=True):
        u = np.clip((x[:, None] - gaps) / (beta * gaps), -1.0, 1.0)
        total += weight * np.where(u < 0.0, 1.0 - (1.0 + u) ** 2 / 2.0, (1.0 - u) ** 2 / 2.0).mean(axis=1)
    return total


def density_of(arrivals: Arrivals, x: np.ndarray) -> np.ndarray:
    cells = arrivals.cells()
    ends = cells.times / 1e9
    k = np.minimum(np.searchsorted(ends, x), ends.size - 1)
    return np.where(x <= ends[-1], cells.spread[k] / np.diff(ends, prepend=0.0)[k], 0.0)


@given(records)
def test_no_weights_predict_better_what_was_left_out(seen: list[float]) -> None:
    gaps = np.rint(np.array(seen) * 1e9) / 1e9
    assume(np.unique(gaps).size > 1)
    density = left_out(gaps)
    density /= density.max(axis=1, keepdims=True)
    found = Arrivals.smoothed(gaps).law.weights
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.all(found >= 0.0)

    def loss(free: np.ndarray) -> float:
        shares = np.exp(free - free.max()) + 1e-12
        return -log_likelihood(density, shares / shares.sum())

    starts = (np.zeros(7), 8.0 * np.eye(7)[0] + 4.0 * np.eye(7)[6])
    best = -min(optimize.minimize(loss, start, method="L-BFGS-B").fun for start in starts)
    assert log_likelihood(density, found) >= best - 1e-3


@given(st.one_of(records, gap_lists), st.integers(0, 3))
def test_survival_is_the_sum_of_the_kernels(seen: list[float], zeros: int) -> None:
    arrivals = Arrivals.smoothed([*seen, *[0.0] * zeros])
    assume(not arrivals.is_deterministic)
    gaps = np.rint(np.array(seen) * 1e9) / 1e9
    apart = gaps[gaps > 0.0]
    knots = arrivals.law.knots()
    direct = kernel_survival(knots, apart, arrivals.law.weights) * apart.size / (gaps.size + zeros)
    assert arrivals.survival(knots) == pytest.approx(direct, abs=1e-9)
    assert 1.0 - arrivals.survival(0.0) == pytest.approx(1.0 - apart.size / (gaps.size + zeros), abs=1e-15)
    assert arrivals.survival(knots[-1]) == 0.0
    assert knots.size <= 801


@given(st.one_of(records, gap_lists), st.randoms(use_true_random=False))
def test_the_mean_stays_and_order_does_not_matter(seen: list[float], random: Random) -> None:
    arrivals = Arrivals.smoothed(seen)
    assert arrivals.mean == pytest.approx(np.mean(seen), rel=1e-3, abs=0.5e-9)
    shuffled = seen.copy()
    random.shuffle(shuffled)
    other = Arrivals.smoothed(shuffled)
    if not arrivals.is_deterministic:
        assert np.array_equal(arrivals.law.weights, other.law.weights)
        assert np.array_equal(arrivals.law.knots(), other.law.knots())
        assert other.sequence.tolist() == np.rint(np.array(shuffled) * 1e9).tolist()


@pytest.mark.parametrize(
    "seen",
    [
        np.random.default_rng(1).exponential(3.0, 2000),
        np.random.default_rng(2).pareto(1.5, 2000) + 1e-3,
        np.random.default_rng(3).lognormal(0.0, 3.0, 2000),
        np.random.default_rng(4).choice([1.0, 5.0, 60.0, 3600.0], 2000)
        * np.random.default_rng(5).normal(1, 1e-3, 2000),
        60.0 + 0.1 * np.random.default_rng(6).standard_normal(2000),
        np.append(np.full(100, 60.0), 86400.0),
    ],
    ids=["poisson", "pareto", "lognormal", "timers", "timer", "outlier"],
)
def test_the_line_between_knots_is_close(seen: np.ndarray) -> None:
    arrivals = Arrivals.smoothed(seen)
    assert arrivals.mean == pytest.approx(seen.mean(), rel=3e-4)
    knots = np.append(0.0, arrivals.law.knots())
    between = (knots[1:] + knots[:-1]) / 2
    gaps = np.rint(seen * 1e9) / 1e9
    direct = kernel_survival(between, gaps, arrivals.law.weights)
    assert np.abs(arrivals.survival(between) - direct).max() <= 1.5e-3
    assert np.max(-np.diff(arrivals.survival(knots)), initial=0.0) <= 0.02


def test_timers_are_spread_narrowly_and_random_arrivals_widely() -> None:
    generator = np.random.default_rng(7)
    timer = Arrivals.smoothed(60.0 + 0.02 * generator.standard_normal(500))
    poisson = Arrivals.smoothed(generator.exponential(60.0, 500))
    assert timer.law.weights[-2:].sum() > 0.99
    assert poisson.law.weights[:2].sum() > 0.9
    # Both at once: each kind of gap gets the kernel that suits it.
    both = Arrivals.smoothed(
        np.where(
            generator.random(4000) < 0.5, 60 + 0.02 * generator.standard_normal(4000), generator.exponential(600, 4000)
        )
    )
    assert both.law.weights[-2:].sum() == pytest.approx(0.5, abs=0.3)
    assert both.law.weights[0] > 0.1


def test_what_comes_later_is_predicted_better_than_by_any_one_bandwidth() -> None:
    generator = np.random.default_rng(8)
    made = {
        "timer": lambda: 60.0 + 0.3 * generator.standard_normal(600),
        "poisson": lambda: generator.exponential(60.0, 600),
        "both": lambda: np.where(
            generator.random(600) < 0.5, 60 + 0.02 * generator.standard_normal(600), generator.exponential(600.0, 600)
        ),
    }
    gained = []
    for make in made.values():
        seen, later = make(), make()
        ours = np.log(np.maximum(density_of(Arrivals.smoothed(seen), later), 1e-9)).mean()
        fixed = [np.log(np.maximum(triangle(later, seen, beta).mean(axis=1), 1e-9)).mean() for beta in BETAS]
        assert ours >= max(fixed) - 0.02  # as good as the bandwidth that hindsight would choose
        gained.append(ours - np.array(fixed))
    assert np.all(np.array(gained).max(axis=0) > 0.3)  # and every one of these fails somewhere


def test_few_gaps_are_spread_widely() -> None:
    alone = Arrivals.smoothed([5.0])
    assert alone.law.weights.tolist() == [1.0, 0, 0, 0, 0, 0, 0]
    assert alone.survival(5.0) == pytest.approx(0.5, abs=1e-4)
    assert (alone.law.floor, alone.law.ceiling) == (0.0, 10.0)
    assert Arrivals.smoothed([5.0, 20.0]).law.weights[0] == 1.0  # neither tells anything of the other
    few = [Arrivals.smoothed(np.tile([60.0, 60.01], repeats)).law.weights[0] for repeats in (1, 2, 10, 100)]
    assert few == sorted(few, reverse=True)
    assert few[0] >= 1 / 3 > 0.01 > few[-1]


def test_equal_gaps_are_a_timer() -> None:
    assert Arrivals.smoothed([2.5, 2.5, 2.5]) == Arrivals.every(2.5)


def test_repeated_gaps_speak_for_the_narrowest_kernel() -> None:
    seen = np.random.default_rng(9).integers(1, 50, 2000) * 1.0  # a clock of whole seconds
    assert Arrivals.smoothed(seen).law.weights[-1] > 0.98


def test_simultaneous_arrivals_stay_an_atom() -> None:
    arrivals = Arrivals.smoothed([0.0, 0.0, 0.0, 4.0, 8.0])
    assert arrivals.law.jumps()[0].tolist() == [0.0]
    assert arrivals.law.jumps()[1] == pytest.approx([0.6])
    assert arrivals.mean == pytest.approx(2.4, rel=1e-3)


def test_many_gaps_of_very_different_length() -> None:
    generator = np.random.default_rng(10)
    # Twelve decades: rounding in the sums of 1 / g**2 must not look like a kernel.
    seen = np.rint(10.0 ** generator.uniform(-6.0, 6.0, 20_000) * 1e9) / 1e9
    law = Arrivals.smoothed(seen).law
    knots = law.knots()[::40]
    assert law.survival(knots) == pytest.approx(kernel_survival(knots, seen, law.weights), abs=1e-9)
    # For the weights, what some of them say of each other is what they say of all.
    few = generator.choice(seen, 1000, replace=False)
    density = np.stack([triangle(few, seen, beta).sum(axis=1) - 1.0 / (beta * few) for beta in BETAS], axis=1)
    density /= density.max(axis=1, keepdims=True)
    ours = log_likelihood(density, law.weights)
    for other in np.eye(7) * 0.02 + law.weights * 0.98:
        assert ours >= log_likelihood(density, other / other.sum()) - 2.0


def test_as_it_prints() -> None:
    assert str(Arrivals.smoothed([3.0, 4.0] * 617)) == "smoothed, 1,234 gaps, mean 3.5 s"
    assert str(Arrivals.smoothed([4.0])) == "smoothed, 1 gap, mean 4 s"


def test_the_longest_gaps_are_cut_where_time_ends() -> None:
    arrivals = Arrivals.smoothed([4.0e9, 4.5e9])
    assert arrivals.law.ceiling == 4.6e9
    assert arrivals.path(1000).max() <= 4_600_000_000_000_000_000
    assert arrivals.path(1000).min() >= 0
