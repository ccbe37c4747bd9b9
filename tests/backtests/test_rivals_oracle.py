"""The published rules: by hand, and as the simulator's baseline and the backtest's methods follow them."""

from __future__ import annotations

from functools import partial
from itertools import accumulate, product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backtests.rivals_oracle import fixed_keep_alive, forecaster_switching, hybrid_histogram, scored
from backtests.scoring_oracle import slow_score
from observations import seen
from problems import chain
from smiless_core.backtests import FixedKeepAlives, HybridHistograms, Scene
from smiless_core.backtests.femux import ForecasterSwitching
from smiless_core.baselines import HybridHistogram
from strategies import examples

STANDARD = [(0.0, 600.0)]
window = partial(hybrid_histogram, cold_start=5.0)


def test_the_window_by_hand() -> None:
    assert window([]) == STANDARD
    # In the bin from 600 to 660 s: loaded from 540 s on, let go at 726 s.
    assert window([601.0]) == [(545.0, 726.0)]
    assert window([601.0], start_at_head=False) == [(540.0, 726.0)]
    assert window([601.0], least=2) == STANDARD
    # In the first bin: it stays.
    assert window([59.0]) == [(0.0, 66.0)]
    # A head of 54 s: with a cold start of a minute it would have to start before it is let go.
    assert hybrid_histogram([61.0], cold_start=60.0, start_at_head=False) == [(0.0, 132.0)]
    assert hybrid_histogram([61.0], cold_start=60.0) == [(114.0, 132.0)]
    assert hybrid_histogram([61.0], cold_start=100.0) == [(154.0, 154.0)]
    assert window([601.0], head=0.0) == [(0.0, 726.0)]


def test_percentiles_count_whole_gaps() -> None:
    # 1 of 20 and 7 of 140 are 5 %; 1 of 21 and 6 of 140 are less.
    assert window([100.0] + [601.0] * 19) == [(59.0, 726.0)]
    assert window([100.0] + [601.0] * 20) == [(545.0, 726.0)]
    assert window([100.0] * 7 + [601.0] * 133) == [(59.0, 726.0)]
    assert window([100.0] * 6 + [601.0] * 134) == [(545.0, 726.0)]
    # 99 of 100 are 99 %, 98 of 99 are less.
    assert window([601.0] * 99 + [1300.0]) == [(545.0, 726.0)]
    assert window([601.0] * 98 + [1300.0]) == [(545.0, 1452.0)]


def test_when_the_histogram_is_not_used() -> None:
    day = 86400.0
    assert window([601.0, day]) == STANDARD
    assert window([601.0, day], share_is_too_much=False) == [(545.0, 726.0)]
    assert window([601.0, 601.0, day]) == [(545.0, 726.0)]
    assert window([14400.0]) == STANDARD
    assert window([14399.0]) == [(239 * 54 + 5.0, 240 * 66.0)]
    # Counts in four bins: variance over squared mean 3 for one bin, 1 for two and 0 for all.
    four: dict[str, Any] = {"span": 240.0}
    assert window([70.0], **four, variation=1.7) != STANDARD
    assert window([70.0], **four, variation=1.8) == STANDARD
    assert window([70.0, 130.0], **four, variation=1.0) != STANDARD
    assert window([70.0, 130.0], **four, variation=1.01) == STANDARD
    assert window([10.0, 70.0, 130.0, 190.0], **four, variation=0.1) == STANDARD


def test_scores_by_hand() -> None:
    rule = partial(fixed_keep_alive, seconds=10.0)
    assert scored([4.0, 10.0, 11.0], rule, cold_start=5.0, end=3.0) == (4.0 + 10.0 + 15.0 + 3.0, 1)
    # Kept for 600 s at first: missed. Then ready at 545 s and until 726 s; the second is met, the third is too early.
    gaps = [601.0, 601.0, 543.0]
    assert scored(gaps, window, cold_start=5.0, end=100.0) == (605.0 + 61.0 + 5.0, 2)
    # After that 1 of 3 is in the bin from 540 s: it starts at 486 s.
    assert scored(gaps, window, cold_start=5.0, tolerated=2.0, end=542.0) == (605.0 + 61.0 + 5.0 + 56.0, 1)


# Not at the very ends of windows, where a nanosecond decides.
SECONDS = st.one_of(
    st.integers(0, 100), st.integers(0, 2000), st.sampled_from([100, 601]), st.integers(14_000, 20_000)
).map(lambda whole: whole + 0.5)
GAPS = st.one_of(
    st.lists(SECONDS, max_size=12),
    st.lists(st.sampled_from([100.5, 601.5]), min_size=15, max_size=45),
)
TWENTIETH = [100.5] * 7 + [601.5] * 133


@examples(60)
@given(GAPS)
@example(TWENTIETH)
def test_the_baseline_follows_the_rule(gaps: list[float]) -> None:
    problem = chain(1.0)  # 1 s, and 3 s to start: idle times are a second less than gaps
    decide = HybridHistogram(refresh=0.0, fallback=600.0).start(problem, now=0.0, seed=0)
    directive = decide(seen(problem, 0.0)).directives["f0"]
    times = list(accumulate((gap + 1.0 for gap in gaps), initial=0.0))
    directive = decide(seen(problem, times[-1] + 1e-9, times)).directives.get("f0", directive)
    (stays,) = directive.schedules
    got = [(stay.ready, stay.until) for stay in stays]
    assert got == [pytest.approx(stay) for stay in hybrid_histogram(gaps, cold_start=3.0)]


def played(method: Any, gaps: list[float], *, cold: float, tolerated: float, end: float) -> list[tuple[float, int]]:
    scene = Scene(
        np.array([round(gap * 1e9) for gap in gaps], np.int64), *(round(x * 1e9) for x in (end, cold, tolerated))
    )
    result = method.play(scene)
    return list(zip(result.residency.tolist(), result.missed.tolist(), strict=True))


CIRCUMSTANCES = st.fixed_dictionaries(
    {
        "cold": st.sampled_from([0.25, 5.0, 70.0, 700.0]),
        "tolerated": st.sampled_from([0.0, 2.0, 60.0, 1000.0]),
        "end": st.sampled_from([0.0, 7.0, 650.0, 1e6]),
    }
)


@examples(40)
@given(GAPS, CIRCUMSTANCES)
@example(TWENTIETH, {"cold": 5.0, "tolerated": 0.0, "end": 0.0})
def test_the_hybrid_histogram_of_the_backtest(gaps: list[float], given_: dict[str, float]) -> None:
    swept = {
        "heads": (0.0, 0.05),
        "tails": (0.9, 0.99),
        "margins": (0.1,),
        "leads": (0.0, 1.0),
        "fallbacks": (0.0, 600.0),
    }
    got = played(HybridHistograms(**swept), gaps, **given_)
    scene = {"cold_start": given_["cold"], "tolerated": given_["tolerated"], "end": given_["end"]}
    expected = []
    for head, tail, margin, lead, fallback in product(*swept.values()):
        rule = partial(hybrid_histogram, cold_start=given_["cold"], head=head, tail=tail, margin=margin)
        rule = partial(rule, fallback=fallback, start_at_head=not lead)
        expected.append(scored(gaps, rule, **scene))
    assert got == [(pytest.approx(cost, abs=1e-6), misses) for cost, misses in expected]


@examples(40)
@given(GAPS, CIRCUMSTANCES)
def test_fixed_keep_alives_of_the_backtest(gaps: list[float], given_: dict[str, float]) -> None:
    kept = (0.0, 10.0, 100.5, 600.0)
    got = played(FixedKeepAlives(seconds=kept), gaps, **given_)
    scene = {"cold_start": given_["cold"], "tolerated": given_["tolerated"], "end": given_["end"]}
    assert got == [
        (pytest.approx(cost), misses)
        for cost, misses in (scored(gaps, partial(fixed_keep_alive, seconds=seconds), **scene) for seconds in kept)
    ]


# Halves are remembered exactly, so that what ties does so in both.
SWITCHING = st.fixed_dictionaries(
    {
        "block": st.sampled_from([1, 3]),
        "memory": st.sampled_from([0.5, 1.0]),
        "price": st.sampled_from([0.0, 2.0, 20.0]),
        "beginning": st.sampled_from([0.0, 90.0]),
    }
)
EACH = {"block": 1, "memory": 1.0, "price": 20.0, "beginning": 90.0}


@examples(25)
@given(st.lists(SECONDS, max_size=14), CIRCUMSTANCES, SWITCHING)
@example([0.0, 60.5, 0.0, 0.0, 700.5, 30.5], {"cold": 5.0, "tolerated": 0.0, "end": 650.0}, EACH)
@example([601.5, 3.5, 44.5] * 4 + [601.5], {"cold": 5.0, "tolerated": 2.0, "end": 7.0}, EACH)
@example([7.5] * 34 + [2.5, 100.5, 7.5], {"cold": 5.0, "tolerated": 0.0, "end": 7.0}, EACH)
@example([7.5, 1000.5] * 8, {"cold": 5.0, "tolerated": 0.0, "end": 7.0}, {**EACH, "memory": 0.5, "block": 3})
def test_forecasters_are_switched_as_told(
    gaps: list[float], given_: dict[str, float], setting: dict[str, float]
) -> None:
    # The other beginning must not matter.
    swept = {f"{name}s" if name != "memory" else "memories": (value,) for name, value in setting.items()}
    got = played(ForecasterSwitching(**swept | {"beginnings": (setting["beginning"], 6e4)}), gaps, **given_)[0]
    scene = {"cold_start": given_["cold"], "tolerated": given_["tolerated"]}
    plans = forecaster_switching(gaps, **scene, **setting)
    cost, misses = slow_score(gaps, plans, **scene, end=given_["end"])
    assert got == (pytest.approx(cost, abs=1e-6), misses)


def test_forecasters_are_switched_by_hand() -> None:
    """A timer of 100 s: after the first gap the window around it costs least, and is ready at 98 s."""
    method = ForecasterSwitching(prices=(20.0,), blocks=(1,), memories=(1.0,), beginnings=(50.0,))
    got = played(method, [100.0] * 4, cold=5.0, tolerated=0.0, end=0.0)
    # Kept for 50 s, and missed. After one gap all that has stayed until then has cost least, the shortest first: 120 s.
    # After two the window of quantiles without a margin has cost 5 s less than no instance at all, and nothing else
    # less: it is ready at 100 s.
    assert got == [(pytest.approx(55.0 + 100.0 + 5.0 + 5.0), 1)]
