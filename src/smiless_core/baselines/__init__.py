"""Published rivals: one policy per file, with its source and how near it is to it."""

from smiless_core.baselines.always_warm import AlwaysWarm
from smiless_core.baselines.grandslam import GrandSLAm
from smiless_core.baselines.hybrid_histogram import HybridHistogram
from smiless_core.baselines.icebreaker import IceBreaker
from smiless_core.baselines.keep_alive import FixedKeepAlive
from smiless_core.baselines.knative import KnativeAutoscaler
from smiless_core.baselines.orion import Orion

__all__ = [
    "AlwaysWarm",
    "FixedKeepAlive",
    "GrandSLAm",
    "HybridHistogram",
    "IceBreaker",
    "KnativeAutoscaler",
    "Orion",
]
