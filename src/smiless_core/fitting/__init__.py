"""From measurements to profiles: constrained, robust to outliers, and open about what they cannot tell."""

from smiless_core.fitting.fits import Fit, HardwareFit, NextMeasurement, fit_profile, fit_profiles
from smiless_core.fitting.measurements import Measurement, read_measurements

__all__ = [
    "Fit",
    "HardwareFit",
    "Measurement",
    "NextMeasurement",
    "fit_profile",
    "fit_profiles",
    "read_measurements",
]
