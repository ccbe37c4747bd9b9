"""Policies: what decides, from the past alone, how an application is served."""

from smiless_core.model.directive import Directive, TimedStart
from smiless_core.policies.composed import Smiless
from smiless_core.policies.protocol import Decide, Decision, Observation, Policy, checked_decision
from smiless_core.policies.published import PublishedSmiless
from smiless_core.policies.sizing import cheapest_configurations
from smiless_core.serving import FunctionState

__all__ = [
    "Decide",
    "Decision",
    "Directive",
    "FunctionState",
    "Observation",
    "Policy",
    "PublishedSmiless",
    "Smiless",
    "TimedStart",
    "cheapest_configurations",
    "checked_decision",
]
