"""OpenFaaS, through its gateway: functions deployed and scaled over HTTP, invocations counted by Prometheus.

Every fact about the gateway that this relies on stands in ``docs/platforms/openfaas.md``, with where it comes from.
"""

from smiless_core.adapters.openfaas.deployment import manifest
from smiless_core.adapters.openfaas.platform import COMMUNITY, WARMING_HEADER, OpenFaaS

__all__ = ["COMMUNITY", "WARMING_HEADER", "OpenFaaS", "manifest"]
