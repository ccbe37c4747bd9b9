"""What a function is to OpenFaaS: the document that deploys it, and the text of a ``stack.yaml``."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from smiless_core.adapters.services import Service
from smiless_core.errors import InvalidInputError
from smiless_core.model import Application, Assignment, Configuration, Hardware
from smiless_core.model.documents import Format, render

__all__ = [
    "CONFIGURATION",
    "DEPLOYMENT",
    "ECHO",
    "NAMESPACE",
    "Written",
    "checked_name",
    "deployment_of",
    "manifest",
    "unsupported",
]

NAMESPACE = "openfaas-fn"
CONFIGURATION = "smiless.configuration"
DEPLOYMENT = "smiless.deployment"
ECHO = "X-Smiless-Deployment"

_PORT = 8080  # where the provider sends requests, whatever the image says
_LONGEST_NAME = 63
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Written(msgspec.Struct, frozen=True):
    """A configuration, as it is written on a function."""

    hardware: str
    size: float
    batch: int


def manifest(
    application: Application,
    assignments: Iterable[Assignment],
    services: Mapping[str, Service],
    *,
    gateway: str = "http://127.0.0.1:8080",
    prefix: str = "",
    namespace: str = NAMESPACE,
    gpu_profile: str = "",
) -> str:
    """Write down what would be deployed, for ``faas-cli deploy -f stack.yaml``.

    Parameters
    ----------
    application : Application
        Whose functions.
    assignments : iterable of Assignment
        What they run on: a `Plan`, or some of its assignments.
    services : mapping of str to Service
        What serves each of them.
    gateway, prefix, namespace, gpu_profile : str
        As `OpenFaaS` takes them.

    Returns
    -------
    str
        YAML; the same for the same arguments.

    Raises
    ------
    InvalidInputError
        If a function is unknown, has no service, or cannot run there.
    """
    functions = {}
    for assignment in assignments:
        if assignment.function not in application.names:
            raise InvalidInputError.unknown("function", assignment.function, application.names, place="assignments")
        if assignment.function not in services:
            raise InvalidInputError.unknown("service", assignment.function, services, place="services")
        service = services[assignment.function]
        if reason := unsupported(assignment.configuration, gpu=bool(gpu_profile)):
            raise InvalidInputError(reason, place=f"assignments.{assignment.function}")
        name = checked_name(assignment.function, prefix, service)
        sent = deployment_of(name, service, assignment.configuration, namespace=namespace, gpu_profile=gpu_profile)
        renamed = {"envProcess": "fprocess", "envVars": "environment"}
        functions[name] = {
            "skip_build": True,
            **{renamed.get(key, key): value for key, value in sent.items() if key != "service"},
        }
    document = {"version": "1.0", "provider": {"name": "openfaas", "gateway": gateway}, "functions": functions}
    return render(document, Format.YAML).decode()


def deployment_of(
    name: str, service: Service, configuration: Configuration, *, namespace: str, gpu_profile: str
) -> dict[str, Any]:
    """Return the types.FunctionDeployment of openfaas/faas-provider, without what is empty."""
    resources = {}
    annotations = {
        CONFIGURATION: msgspec.json.encode(
            Written(str(configuration.hardware), configuration.size, configuration.batch)
        ).decode()
    }
    if configuration.hardware is Hardware.CPU:
        resources["cpu"] = f"{max(round(1000.0 * configuration.size), 1)}m"
    else:
        annotations["com.openfaas.profile"] = gpu_profile
    if service.memory is not None:
        resources["memory"] = f"{service.memory}Mi"
    if service.ready:
        annotations["com.openfaas.ready.http.path"] = service.ready
    sent: dict[str, Any] = {
        "service": name,
        "namespace": namespace,
        "image": service.image,
        "envProcess": shlex.join(service.command),
        "envVars": dict(sorted(service.environment.items())),
        "secrets": list(service.secrets),
        "annotations": annotations,
        # As much is set aside as may be used, so that latencies are those that were measured.
        "limits": resources,
        "requests": resources,
    }
    sent = {key: value for key, value in sent.items() if value}
    fingerprint = hashlib.blake2s(msgspec.json.encode(sent), digest_size=8).hexdigest()
    annotations[DEPLOYMENT] = fingerprint
    # An instance that sends it back, in the header `ECHO`, can be told from one of the deployment before.
    return {**sent, "envVars": {**sent.get("envVars", {}), "SMILESS_DEPLOYMENT": fingerprint}}


def unsupported(configuration: Configuration, *, gpu: bool) -> str:
    """Return why functions cannot run on a configuration; empty if they can."""
    if configuration.hardware is not Hardware.GPU:
        return ""
    if not gpu:
        return "there are no GPUs here: they take the Pro edition, and a Profile"
    return "" if configuration.size == 1.0 else f"a GPU is given as a whole, not {configuration.size:g} of it"


def checked_name(function: str, prefix: str, service: Service) -> str:
    """Return what a function is called there, and see that its service can run."""
    name = prefix + function
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InvalidInputError(
            f"expected lower-case letters, digits and '-' only, at most {_LONGEST_NAME}, got {name!r}", place="services"
        )
    if not service.image:
        raise InvalidInputError("functions are images here, and it has none", place=f"services.{function}.image")
    if service.port != _PORT:
        raise InvalidInputError(
            f"functions listen on port {_PORT} here, got {service.port}", place=f"services.{function}.port"
        )
    return name
