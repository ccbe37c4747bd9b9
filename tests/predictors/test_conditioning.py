"""What remains after a time without an arrival."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributions import unconditional
from smiless_core.arrivals import Arrivals
from smiless_core.predictors.conditioning import conditioned
from strategies import examples


@examples(60)
@given(unconditional, st.floats(0.0, 1.0), st.floats(0.0, 3.0))
def test_bayes(arrivals, fraction, more):
    elapsed = arrivals.quantile(max(fraction, 1e-6) * 0.999) * more
    found = conditioned(arrivals, elapsed)
    left = arrivals.survival(elapsed)
    if left <= 1e-290 or elapsed == 0.0:  # others may still come at the same instant
        assert found is arrivals
        return
    x = elapsed + np.linspace(0.0, 3.0, 7) * arrivals.mean
    assert found.survival(x) == pytest.approx(arrivals.survival(x) / left, rel=1e-9, abs=1e-12)
    assert found.at_least(elapsed * 0.999) == 1.0


def test_what_was_thought_impossible_tells_nothing():
    timer = Arrivals.every(60.0)
    assert conditioned(timer, 61.0) is timer
    random = Arrivals.exponential(1.0)
    assert conditioned(random, 720.0) is random  # 1e-313 holds too few digits
    assert conditioned(random, 600.0).mean == pytest.approx(601.0)
    assert conditioned(random, 0.0) is random
