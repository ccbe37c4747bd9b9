"""The nouns: frozen, validated values that every other room speaks in."""

from smiless_core.model.application import Application, Function
from smiless_core.model.configuration import Configuration, Hardware, Readiness
from smiless_core.model.plan import Assignment, Plan, Stay
from smiless_core.model.prices import Prices
from smiless_core.model.problem import Limits, Problem
from smiless_core.model.profiles import HardwareProfile, Profile, Profiles
from smiless_core.model.trace import Trace

__all__ = [
    "Application",
    "Assignment",
    "Configuration",
    "Function",
    "Hardware",
    "HardwareProfile",
    "Limits",
    "Plan",
    "Prices",
    "Problem",
    "Profile",
    "Profiles",
    "Readiness",
    "Stay",
    "Trace",
]
