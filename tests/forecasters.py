"""The forecasters that the tests of the protocol run over, and what they learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.util import find_spec

import numpy as np

from smiless_core.predictors.bandwidth_chain import BandwidthChain
from smiless_core.predictors.exponential_smoothing import ExponentialSmoothing
from smiless_core.predictors.fourier import FourierExtrapolation
from smiless_core.predictors.hazard import GradientBoostedHazard, HazardModel, train
from smiless_core.predictors.lstm import LSTMNetworks
from smiless_core.predictors.lstm_model import LSTMModel
from smiless_core.predictors.lstm_training import train_lstm
from smiless_core.predictors.protocol import Predictor
from smiless_core.predictors.recent import RecentGaps
from smiless_core.predictors.statistical import StatisticalGaps
from smiless_core.predictors.switching import SwitchingPredictor


def functions_alike(count: int, *, gaps: int = 120, seed: int = 0) -> list[np.ndarray]:
    """Return gaps of functions: Poisson processes and timers of all scales."""
    generator = np.random.default_rng(seed)
    found = []
    for index in range(count):
        scale = 10.0 ** generator.uniform(0.5, 3.8)
        if index % 2:
            found.append(scale * (1.0 + generator.normal(0.0, 0.003, gaps)))
        else:
            found.append(generator.exponential(scale, gaps))
    return found


@lru_cache(maxsize=1)
def small_model() -> HazardModel:
    return train(functions_alike(24), seed=1)


@lru_cache(maxsize=1)
def small_networks() -> LSTMModel:
    return train_lstm(functions_alike(24), seed=1, units=16, epochs=60)


# What the tests of the protocol run over, by name.
FORECASTERS: dict[str, Callable[[], Predictor]] = {
    "chain": BandwidthChain,
    "recent": RecentGaps,
    "smoothing": ExponentialSmoothing,
    "fourier": FourierExtrapolation,
    "autoregressive": StatisticalGaps,
    "ets": lambda: StatisticalGaps("ets"),
    "hazard": lambda: GradientBoostedHazard(small_model()),
    "lstm": lambda: LSTMNetworks(small_networks()),
    "switching": lambda: SwitchingPredictor([ExponentialSmoothing, FourierExtrapolation, lambda: RecentGaps(16)]),
}
if find_spec("torch") is None:  # gigabytes in some places: CI has it
    del FORECASTERS["lstm"]


def told(predictor: Predictor, arrivals: Iterable[float]) -> Predictor:
    """Return it, after these arrivals."""
    for at in arrivals:
        predictor.observe(float(at))
    return predictor
