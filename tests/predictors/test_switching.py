"""Switching between forecasters by what they would have forecast."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smiless_core as sc
from forecasters import told
from smiless_core.arrivals import Counts
from smiless_core.predictors.exponential_smoothing import ExponentialSmoothing
from smiless_core.predictors.fourier import FourierExtrapolation
from smiless_core.predictors.recent import RecentGaps
from smiless_core.predictors.states import packed, unpacked
from smiless_core.predictors.switching import SwitchingPredictor, _State


class Always:
    """Says the same at all times: what a user may bring along."""

    def __init__(self, mean: float | None) -> None:
        self.mean = mean
        self.seen: list[float] = []

    def observe(self, t: float) -> None:
        self.seen.append(t)

    def arrivals(self, now: float) -> sc.Arrivals | None:
        return None if self.mean is None else sc.Arrivals.exponential(self.mean)

    def demand(self, now: float, *, horizon: float) -> Counts:
        return Counts.poisson(0.0 if self.mean is None else horizon / self.mean)

    def state(self) -> bytes:
        return str(self.mean).encode()

    @classmethod
    def from_state(cls, state: bytes) -> Always:
        return cls(float(state))


def test_the_likeliest_is_chosen_and_left_again():
    fast, slow = Always(10.0), Always(1000.0)
    switching = SwitchingPredictor([fast, slow], block=8)
    generator = np.random.default_rng(0)
    at, chosen = 0.0, []
    for mean in (1000.0, 10.0, 1000.0):
        for _ in range(64):
            at += generator.exponential(mean)
            switching.observe(at)
        chosen.append(switching.chosen)
    assert chosen == [slow, fast, slow]
    assert fast.seen == slow.seen
    assert len(fast.seen) == 192


def test_scores_are_decayed_logarithms_by_block():
    members = [Always(10.0), Always(20.0), Always(None)]
    switching = SwitchingPredictor(members, block=3, decay=0.25)
    gaps = [5.0, 30.0, 0.0, 12.0, 80.0]
    told(switching, np.cumsum([100.0, *gaps]))
    scores, at_the_end = [], []
    for member in members:
        score = 0.0
        for index, gap in enumerate(gaps):
            given = 0.0
            if member.mean is not None:
                near = max(0.05 * gap, 0.5)
                given = math.exp(-max(gap - near, 0.0) / member.mean) - math.exp(-(gap + near) / member.mean)
            score += math.log(max(given, 1e-4))
            if index == 2:
                at_the_end.append(score)
                score *= 0.25
        scores.append(score)
    assert switching._scores == pytest.approx(scores)
    assert switching.chosen is members[int(np.argmax(at_the_end))]
    assert np.argmax(scores) != np.argmax(at_the_end)  # in the middle of a block nothing changes


def test_it_changes_at_the_end_of_a_block_alone():
    members = [Always(1000.0), Always(10.0)]
    switching = told(SwitchingPredictor(members, block=5), [10.0 * k for k in range(5)])
    assert switching.chosen is members[0]
    switching.observe(50.0)
    assert switching.chosen is members[1]


def test_who_knows_nothing_is_passed_over():
    switching = SwitchingPredictor([lambda: Always(None), Always(7.0)])
    assert switching.arrivals(0.0).mean == 7.0
    assert switching.demand(0.0, horizon=70.0).mean == pytest.approx(10.0)
    assert SwitchingPredictor([Always(None)]).arrivals(0.0) is None


def test_as_good_as_the_best_of_real_ones():
    """On a timer the recent gaps win, and what is said is what they say."""
    recent = RecentGaps()
    switching = SwitchingPredictor([FourierExtrapolation, recent, lambda: ExponentialSmoothing(0.3)])
    gaps = np.tile([60.0, 200.0], 40)
    at = np.cumsum(gaps)
    told(switching, at)
    assert switching.chosen is recent
    assert switching.arrivals(at[-1]).mean == recent.arrivals(at[-1]).mean
    assert switching.demand(at[-1], horizon=500.0) == recent.demand(at[-1], horizon=500.0)


def test_a_clock_that_is_set_back_is_no_surprise():
    switching = told(SwitchingPredictor([Always(10.0)]), [1000.0, 1010.0, 5.0, 15.0])
    assert switching._seen == 2


def test_states_of_any_members():
    switching = told(SwitchingPredictor([Always(10.0), SwitchingPredictor([RecentGaps])]), np.arange(40) * 10.0)
    with pytest.raises(sc.InvalidInputError, match=r"^state\.members\[0\]: no forecaster named 'Always'"):
        SwitchingPredictor.from_state(switching.state())
    again = SwitchingPredictor.from_state(switching.state(), kinds=[Always])
    assert again.state() == switching.state()
    assert again.arrivals(400.0).mean == switching.arrivals(400.0).mean


def test_states_that_do_not_fit():
    switching = told(SwitchingPredictor([RecentGaps, ExponentialSmoothing]), np.arange(40) * 10.0)
    kept = unpacked(switching.state(), "switching", 1, _State)
    for changes in (
        {"chosen": 2},
        {"seen": -1},
        {"seen": 99},
        {"scores": b""},
        {"scores": np.array([1.0, 1.0]).tobytes()},
        {"members": []},
        {"members": [("RecentGaps", b"x"), ("ExponentialSmoothing", b"")]},
        {"members": kept.members[:1]},
        {"block": 0},
        {"decay": 2.0},
        {"last": math.nan},
    ):
        fields = {name: getattr(kept, name) for name in kept.__struct_fields__} | changes
        with pytest.raises(sc.InvalidInputError):
            SwitchingPredictor.from_state(packed("switching", 1, _State(**fields)))
    state = switching.state()
    for _ in range(3_000):  # states within states, deeper than Python can follow
        state = packed("switching", 1, _State(16, 0.5, None, 0, 0, bytes(8), [("SwitchingPredictor", state)]))
    with pytest.raises(sc.InvalidInputError, match=r"state\.members"):
        SwitchingPredictor.from_state(state)


@pytest.mark.parametrize(
    ("members", "settings"),
    [
        ([], {}),
        (5, {}),
        ([5], {}),
        ([lambda: 5], {}),
        (["RecentGaps"], {}),
        ([RecentGaps] * 65, {}),
        ([RecentGaps], {"block": 0}),
        ([RecentGaps], {"decay": 1.5}),
        ([RecentGaps], {"decay": math.nan}),
    ],
)
def test_settings_that_make_no_sense(members, settings):
    with pytest.raises(sc.InvalidInputError):
        SwitchingPredictor(members, **settings)


def test_one_forecaster_cannot_be_there_twice():
    one = RecentGaps()
    with pytest.raises(sc.InvalidInputError, match=r"^members\[1\]: this forecaster is there twice"):
        SwitchingPredictor([one, one])
