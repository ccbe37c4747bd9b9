"""Forecasters: from arrivals that have come to the distribution of the next one."""

from smiless_core.predictors.bandwidth_chain import BandwidthChain, Planned
from smiless_core.predictors.clock import Clock
from smiless_core.predictors.exponential_smoothing import ExponentialSmoothing
from smiless_core.predictors.extrapolation import extrapolation_weights
from smiless_core.predictors.fourier import FourierExtrapolation
from smiless_core.predictors.hazard import (
    GradientBoostedHazard,
    HazardModel,
    read_hazard_model,
    train,
    write_hazard_model,
)
from smiless_core.predictors.lstm import LSTMNetworks
from smiless_core.predictors.lstm_model import LSTMModel, read_lstm_model, write_lstm_model
from smiless_core.predictors.lstm_training import train_lstm
from smiless_core.predictors.protocol import Predictor
from smiless_core.predictors.recent import RecentGaps
from smiless_core.predictors.statistical import StatisticalGaps
from smiless_core.predictors.switching import SwitchingPredictor

__all__ = [
    "BandwidthChain",
    "Clock",
    "ExponentialSmoothing",
    "FourierExtrapolation",
    "GradientBoostedHazard",
    "HazardModel",
    "LSTMModel",
    "LSTMNetworks",
    "Planned",
    "Predictor",
    "RecentGaps",
    "StatisticalGaps",
    "SwitchingPredictor",
    "extrapolation_weights",
    "read_hazard_model",
    "read_lstm_model",
    "train",
    "train_lstm",
    "write_hazard_model",
    "write_lstm_model",
]
