"""The platforms of the command line: what their options stand for."""

import os
import time
from collections.abc import Mapping

from smiless_core.adapters import Platform, Service, read_services
from smiless_core.cli.options import naming_options
from smiless_core.controller.leases import FileLease, Lease
from smiless_core.errors import InvalidInputError
from smiless_core.model import Application

__all__ = ["lease_of", "platform_of"]

_PASSWORD = "OPENFAAS_PASSWORD"
_NAMESPACE = "openfaas-fn"


def platform_of(
    name: str,
    application: Application,
    *,
    address: str | None,
    services: str | None,
    namespace: str | None,
    prometheus: str | None,
    counter: str | None,
    user: str,
    password_file: str | None,
    ca_file: str | None,
) -> Platform:
    """Return the platform of this name; options that it has no use for are refused."""
    given = {
        "services": services,
        "address": address,
        "namespace": namespace,
        "prometheus": prometheus,
        "counter": counter,
        "password_file": password_file,
        "ca_file": ca_file,
    }
    used = {
        "local": ("address",),
        "openfaas": ("address", "services", "namespace", "prometheus", "password_file", "ca_file"),
        "kubernetes": ("services", "namespace", "prometheus", "counter", "ca_file"),
        "knative": ("services", "namespace", "prometheus", "ca_file"),
    }[name]
    for option, value in given.items():
        if value is not None and option not in used:
            raise InvalidInputError(f"{name} has no use for it", place=f"--{option.replace('_', '-')}")
    if name == "local":
        from smiless_core.adapters.local import Local

        return Local(_needed(address, "--address", "what the node has printed"))
    known = _services(services, application)
    if name == "openfaas":
        from smiless_core.adapters.openfaas import OpenFaaS

        return OpenFaaS(
            _needed(address, "--address", "the gateway"),
            known,
            namespace=namespace or _NAMESPACE,
            user=user,
            password_file=password_file,
            password_variable=_PASSWORD if password_file is None and _PASSWORD in os.environ else None,
            ca_file=ca_file,
            prometheus=prometheus,
        )
    from smiless_core.adapters.cluster import Cluster
    from smiless_core.adapters.counting import CountedInvocations
    from smiless_core.adapters.prometheus import Prometheus

    cluster = Cluster(namespace=namespace)
    counts = Prometheus(
        _needed(prometheus, "--prometheus", "where invocations are counted"), now=time.time, ca_file=ca_file
    )
    if name == "kubernetes":
        from smiless_core.adapters.kubernetes import Kubernetes

        wanted = _needed(counter, "--counter", "such as requests_total{service='{function}'}")
        with naming_options("counter"):
            return Kubernetes(known, cluster, arrivals=CountedInvocations.of_counter(counts, wanted))
    from smiless_core.adapters.knative import Knative

    return Knative(known, cluster, arrivals=CountedInvocations.of_knative(counts, cluster.namespace))


def lease_of(platform: str, name: str, *, namespace: str | None) -> Lease:
    """Return the lease of this name: of the cluster where there is one, of a file elsewhere."""
    if platform in ("kubernetes", "knative"):
        from smiless_core.adapters.cluster import Cluster
        from smiless_core.adapters.lease import KubernetesLease

        return KubernetesLease(Cluster(namespace=namespace), name)
    return FileLease(name)


def _services(file: str | None, application: Application) -> Mapping[str, Service]:
    known = read_services(_needed(file, "--services", "what the functions are"))
    for function in application.names:
        if function not in known:
            raise InvalidInputError.unknown("service", function, known, place="services").within(file=file or "")
    return {function: known[function] for function in application.names}


def _needed(value: str | None, option: str, what: str) -> str:
    if value is None:
        raise InvalidInputError(f"needed: {what}", place=option)
    return value
