"""What an instance is on a cluster: one container, its resources, and what it was planned to be, in annotations."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Awaitable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import yaml

from smiless_core.adapters.cluster import field, texts
from smiless_core.adapters.protocol import ArrivalsSource, Arrived
from smiless_core.adapters.services import Service
from smiless_core.errors import InvalidInputError, SmilessError
from smiless_core.model import Configuration, Hardware

__all__ = [
    "CONFIGURATION",
    "CONTAINER",
    "DIGEST",
    "GPU",
    "CountsArrivals",
    "arrived",
    "checked_names",
    "container",
    "cores",
    "digest",
    "encoded",
    "labels",
    "planned",
    "runs_on",
    "source_of",
    "volumes",
    "written",
]

CONTAINER = "function"
"""What the container is called; others in a pod are none of ours."""
CONFIGURATION = "smiless.dev/configuration"
"""The annotation with what instances run on."""
DIGEST = "smiless.dev/digest"
"""The annotation that tells whether what is there is what would be sent."""
GPU = "nvidia.com/gpu"
"""The resource of the device plugin: whole devices only."""

_LONGEST = 63  # of a name that is a label in a domain name
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SECRETS = "/var/run/secrets/smiless"
_SUFFIXES = {"": "1", "n": "1e-9", "u": "1e-6", "m": "1e-3", "k": "1e3"}


class CountsArrivals(Protocol):
    """What tells invocations, such as counters in Prometheus."""

    def arrivals(self, function: str, *, since: str) -> Awaitable[Arrived]:
        """See `Platform.arrivals`."""
        ...


def source_of(arrivals: CountsArrivals | None) -> ArrivalsSource:
    """Return how one learns of invocations: counted, unless the source says otherwise of itself."""
    if arrivals is None:
        return ArrivalsSource.NONE
    return ArrivalsSource(getattr(arrivals, "arrivals_source", ArrivalsSource.COUNTED))


async def arrived(arrivals: CountsArrivals | None, function: str, since: str) -> Arrived:
    """Return the invocations that a source tells; none without one."""
    return Arrived((), since) if arrivals is None else await arrivals.arrivals(function, since=since)


def checked_names(services: Mapping[str, Service], prefix: str, longest: int = _LONGEST) -> dict[str, str]:
    """Return the names of objects by function."""
    names = {function: f"{prefix}{function}" for function in services}
    for function, name in names.items():
        if len(name) > longest or not _NAME.fullmatch(name):
            raise InvalidInputError(
                f"expected a name of lower-case letters, digits and '-', at most {longest}, that begins with a letter,"
                f" got {name!r}",
                place=function,
            )
        if not services[function].image:
            raise InvalidInputError("expected an image: a cluster runs nothing else", place=f"{function}.image")
    return names


def labels(name: str, prefix: str) -> dict[str, str]:
    """Return the labels of what belongs to a function."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": prefix.rstrip("-") or "smiless",
        "app.kubernetes.io/managed-by": "smiless",
    }


def cores(configuration: Configuration) -> str:
    """Return cores as a quantity of Kubernetes, rounded up to a thousandth."""
    thousandths = math.ceil(round(configuration.size * 1000, 6))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def container(service: Service, configuration: Configuration, *, probe: bool = True) -> dict[str, Any]:
    """Return the container of an instance: what it may use is what it is given, so that plans hold.

    Parameters
    ----------
    service : Service
    configuration : Configuration
        Cores, or one whole GPU.
    probe : bool, default True
        Whether a service without `ready` is asked whether it listens; Knative does that by itself.

    Returns
    -------
    dict
        Of a pod's ``spec.containers``.
    """
    amounts: dict[str, str] = {}
    if configuration.hardware is Hardware.GPU:
        amounts[GPU] = "1"
    else:
        amounts["cpu"] = cores(configuration)
    if service.memory is not None:
        amounts["memory"] = f"{service.memory}Mi"
    environment = {**service.environment, "SMILESS_BATCH": str(configuration.batch)}
    found: dict[str, Any] = {
        "name": CONTAINER,
        "image": service.image,
        "env": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        "ports": [{"containerPort": service.port}],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if service.command:
        found["command"] = list(service.command)
    if service.ready:
        found["readinessProbe"] = {"httpGet": {"path": service.ready, "port": service.port}, "periodSeconds": 1}
    elif probe:
        found["readinessProbe"] = {"tcpSocket": {"port": service.port}, "periodSeconds": 1}
    if service.secrets:
        found["volumeMounts"] = [
            {"name": f"secret-{k}", "mountPath": f"{_SECRETS}/{secret}", "readOnly": True}
            for k, secret in enumerate(service.secrets)
        ]
    return found


def volumes(service: Service) -> dict[str, Any]:
    """Return where the files of its secrets come from, as part of a pod's ``spec``."""
    found = [{"name": f"secret-{k}", "secret": {"secretName": each}} for k, each in enumerate(service.secrets)]
    return {"volumes": found} if found else {}


def encoded(configuration: Configuration) -> str:
    """Return a configuration as the text of an annotation."""
    return json.dumps(
        {
            "hardware": configuration.hardware.value,
            "size": configuration.size,
            "batch": configuration.batch,
        }
    )


def planned(annotations: Any) -> Configuration | None:
    """Return the configuration in annotations; None if no controller has written one that can be read."""
    try:
        found = json.loads(texts(annotations)[CONFIGURATION])
        return Configuration(found["hardware"], found["size"], batch=found["batch"])
    except (KeyError, TypeError, ValueError, SmilessError):
        return None


def runs_on(containers: Any, configuration: Configuration) -> bool:
    """Tell whether our container, of those of a pod, has the resources of a configuration.

    Others may change them after us; and a node says nothing of them before it runs the pod.
    """
    ours = [each for each in containers if field(each, "name") == CONTAINER] if isinstance(containers, list) else []
    limits = field(ours[0], "resources", "limits") if ours else None
    if configuration.hardware is Hardware.GPU:
        return _quantity(field(limits, GPU)) == 1
    return _quantity(field(limits, "cpu")) == _quantity(cores(configuration))


def _quantity(value: Any) -> Decimal | None:
    text = str(value)
    digits = text.rstrip("numk")
    try:
        return Decimal(digits) * Decimal(_SUFFIXES[text[len(digits) :]])
    except (InvalidOperation, KeyError):
        return None


def digest(body: Mapping[str, Any]) -> str:
    """Return a text that differs where objects do."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def written(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return objects as YAML documents, the same text for the same objects."""
    return "".join(f"---\n{yaml.safe_dump(_plain(each), sort_keys=False, width=120)}" for each in objects)


def _plain(value: Any) -> Any:
    """Copy, so that the text has no references to what occurs twice."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
