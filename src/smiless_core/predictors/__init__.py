"""Forecasters: from arrivals that have come to the distribution of the next one."""

from smiless_core.predictors.protocol import Predictor
from smiless_core.predictors.recent import RecentGaps

__all__ = ["Predictor", "RecentGaps"]
