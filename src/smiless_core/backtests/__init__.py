"""Backtests: what forecasts and plans would have cost on recorded gaps, and what they would have missed."""

from smiless_core.backtests.femux import ForecasterSwitching
from smiless_core.backtests.fleet import Kept, keep_target
from smiless_core.backtests.methods import Met, Method, Played, Scene
from smiless_core.backtests.results import Backtest, Curve, Point
from smiless_core.backtests.rivals import FixedKeepAlives, HybridHistograms, PointWindows
from smiless_core.backtests.running import MOST_ARRIVALS, backtest, usual_methods, usual_targets
from smiless_core.backtests.switching import ChainSwitching, PredictorSwitching

__all__ = [
    "MOST_ARRIVALS",
    "Backtest",
    "ChainSwitching",
    "Curve",
    "FixedKeepAlives",
    "ForecasterSwitching",
    "HybridHistograms",
    "Kept",
    "Met",
    "Method",
    "Played",
    "Point",
    "PointWindows",
    "PredictorSwitching",
    "Scene",
    "backtest",
    "keep_target",
    "usual_methods",
    "usual_targets",
]
