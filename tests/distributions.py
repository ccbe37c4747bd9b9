"""Hypothesis strategies for distributions of gaps, and slow readings of some of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from smiless_core.arrivals import Arrivals

# Tenths of a second tie, and a few nanoseconds are at the edge of what time resolves.
gaps = st.one_of(st.integers(0, 50).map(lambda tenths: tenths / 10), st.integers(0, 9).map(lambda ns: ns * 1e-9))
gap_lists = st.lists(gaps, min_size=1, max_size=30).filter(any)
means = st.floats(1e-3, 1e4)


def _weights(parts: int) -> st.SearchStrategy[list[float]]:
    shares = st.lists(st.integers(1, 20), min_size=parts, max_size=parts)
    return shares.map(lambda counts: [count / sum(counts) for count in counts])


@st.composite
def survival_points(draw: st.DrawFn) -> tuple[list[float], list[float], float]:
    """Return times, survival and tail excess, with jumps and flat stretches."""
    count = draw(st.integers(1, 8))
    times = sorted(draw(st.lists(st.integers(0, 12), min_size=count, max_size=count)))
    left = sorted(draw(st.lists(st.integers(0, 10), min_size=count, max_size=count)), reverse=True)
    excess = draw(st.integers(1, 30)) / 10
    left = [max(share, time == 0) for time, share in zip(times, left, strict=True)]  # not all gaps are 0
    return [time / 4 for time in times], [share / 10 for share in left], excess


@st.composite
def grids(draw: st.DrawFn) -> Arrivals:
    times, left, excess = draw(survival_points())
    return Arrivals.from_survival(times=times, survival=left, tail_excess=excess)


@st.composite
def _mixtures(draw: st.DrawFn, parts: st.SearchStrategy[Arrivals]) -> Arrivals:
    components = draw(st.lists(parts, min_size=1, max_size=3))
    return Arrivals.mixture(weights=draw(_weights(len(components))), components=components)


simple = st.one_of(
    means.map(Arrivals.every),
    gap_lists.map(Arrivals.empirical),
    means.map(Arrivals.exponential),
    st.builds(lambda mean, shape: Arrivals.gamma(mean=mean, shape=shape), means, st.floats(0.05, 500.0)),
    grids(),
)
unconditional = st.one_of(simple, _mixtures(simple), _mixtures(_mixtures(simple)))


@st.composite
def conditioned(draw: st.DrawFn) -> Arrivals:
    """Return what remains of a distribution after a time that it may well last."""
    whole = draw(unconditional)
    elapsed = whole.quantile(draw(st.floats(0.01, 0.99))) * draw(st.sampled_from([0.5, 1.0, 1.5]))
    # Probabilities below 1e-290 hold too few digits to be a condition.
    return whole.after(elapsed) if whole.survival(elapsed) > 1e-290 else whole


any_arrivals = st.one_of(unconditional, conditioned())

smoothed = gap_lists.map(Arrivals.smoothed)


@st.composite
def _smoothed_with_others(draw: st.DrawFn) -> Arrivals:
    """Return smoothed arrivals, or what remains of them, or a mixture with something else."""
    arrivals = draw(smoothed)
    if draw(st.booleans()):
        elapsed = arrivals.quantile(draw(st.floats(0.01, 0.99)))
        return arrivals.after(elapsed) if arrivals.survival(elapsed) > 0.0 else arrivals
    return Arrivals.mixture(weights=[0.25, 0.75], components=[arrivals, draw(simple)])


all_arrivals = st.one_of(any_arrivals, smoothed, _smoothed_with_others())


def places(arrivals: Arrivals) -> np.ndarray:
    """Return times at which something may happen, and times around and between them."""
    quantiles = arrivals.quantile(np.linspace(0.01, 0.999, 40))
    jumps = arrivals.law.jumps()[0]
    at = np.concatenate((quantiles, jumps, [0.0, arrivals.mean, 3 * arrivals.mean]))
    return np.unique(np.concatenate((at, np.nextafter(at, 0.0), np.nextafter(at, np.inf), at * 0.7, at * 1.3)))
