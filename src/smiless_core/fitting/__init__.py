"""From measurements to profiles: constrained, robust to outliers, and open about what they cannot tell."""

from smiless_core.fitting.fits import BATCH_WEIGHT, Fit, HardwareFit, NextMeasurement, fit_profile, fit_profiles
from smiless_core.fitting.measurements import Measurement, read_measurements

__all__ = [
    "BATCH_WEIGHT",
    "Fit",
    "HardwareFit",
    "Measurement",
    "NextMeasurement",
    "fit_profile",
    "fit_profiles",
    "read_measurements",
]
