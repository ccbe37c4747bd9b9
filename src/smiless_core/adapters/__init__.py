"""Where plans run: one adapter per platform, each in its module, behind the `Platform` protocol.

`openfaas`, `knative`, `kubernetes` and `local` are platforms; `testing` is one in memory, with the checks that every
adapter has to pass, yours too. Their dependencies are imported when they are used.
"""

from smiless_core.adapters.protocol import (
    ArrivalsSource,
    Arrived,
    Capabilities,
    Observed,
    Outcome,
    Platform,
    Warmth,
)
from smiless_core.adapters.services import Service, read_services

__all__ = [
    "ArrivalsSource",
    "Arrived",
    "Capabilities",
    "Observed",
    "Outcome",
    "Platform",
    "Service",
    "Warmth",
    "read_services",
]
