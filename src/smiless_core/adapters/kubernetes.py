"""Plain Kubernetes: for each function one Deployment, whose ``scale`` is set, and one Service.

It reaches the furthest and keeps the least: nothing holds a request for which there is no instance, so a function that
is let go entirely is started before requests come, not by them. What is serving is not cut off: an instance that is let
go gets no new requests, and has `grace` seconds to answer those it has.

What is deployed is set by server-side apply as field manager ``smiless``, and read back from annotations
(``smiless.dev/...``) and from what the containers then have. Only objects that carry our label are touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

from smiless_core.adapters.cluster import Cluster, Resource, field, texts
from smiless_core.adapters.protocol import Arrived, Capabilities, Observed, Outcome, Warmth
from smiless_core.adapters.services import Service
from smiless_core.adapters.workloads import (
    CONFIGURATION,
    CONTAINER,
    DIGEST,
    CountsArrivals,
    arrived,
    checked_names,
    container,
    cores,
    digest,
    encoded,
    labels,
    planned,
    runs_on,
    source_of,
    volumes,
    written,
)
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.model import Application, Assignment, Configuration, Hardware
from smiless_core.validation import flag, whole_number

__all__ = ["Kubernetes", "manifest"]

_DEPLOYMENTS = Resource("apis/apps/v1", "deployments")
_SERVICES = Resource("api/v1", "services")
_PODS = Resource("api/v1", "pods")

_PRESTOP_SLEEP = (1, 30)  # from when on a pod may sleep before it is stopped without a shell in its image
_ATTEMPTS = 8  # to change what others change at the same time
_PORT = 80
_GPU_SHARES = "a share of a gpu: Kubernetes gives whole devices"


class _State(NamedTuple):
    """What is there, as far as the server has seen it itself."""

    body: Mapping[str, Any]

    @property
    def wanted(self) -> int:
        return _count(self.body, "spec", "replicas")

    @property
    def seen(self) -> bool:
        """Whether the status is about what was asked for last."""
        return _count(self.body, "status", "observedGeneration") >= _count(self.body, "metadata", "generation")

    @property
    def ready(self) -> int:
        """Instances of the present template that can serve, at least: some of the others may be those not ready."""
        if not self.seen:
            return 0
        others = _count(self.body, "status", "replicas") - _count(self.body, "status", "updatedReplicas")
        return max(_count(self.body, "status", "readyReplicas") - max(others, 0), 0)

    @property
    def pods(self) -> int:
        return _count(self.body, "status", "replicas")

    @property
    def refused(self) -> str:
        """Why the server does not make more of them, such as a quota."""
        for condition in field(self.body, "status", "conditions") or ():
            if field(condition, "type") == "ReplicaFailure" and field(condition, "status") == "True":
                return str(field(condition, "message") or "it makes no more")[:200]
        return ""

    @property
    def configuration(self) -> Configuration | None:
        """What instances run on: as we have written it, and as the template or their resize has it."""
        annotations = field(self.body, "metadata", "annotations")
        found = planned(annotations)
        if found is None:
            return None
        template = field(self.body, "spec", "template")
        if self.of_template is None or not runs_on(field(template, "spec", "containers"), self.of_template):
            return None
        return found

    @property
    def of_template(self) -> Configuration | None:
        """What new instances begin with."""
        return planned(field(self.body, "spec", "template", "metadata", "annotations"))

    @property
    def resized(self) -> bool:
        """Whether instances have been given other cores than their template has."""
        return self.configuration is not None and self.configuration != self.of_template


class Kubernetes:
    """Functions on a Kubernetes cluster.

    Parameters
    ----------
    services : mapping of str to Service
        By function; all have images.
    cluster : Cluster
        Closed with the platform.
    prefix : str, default ""
        What the names of objects begin with, such as that of the application.
    max_replicas : int, optional
        The most instances of one function.
    gpu : bool, default True
        Whether there are nodes with GPUs.
    resize : bool, default True
        Whether to give running instances more or fewer cores where the cluster can do that, instead of replacing them.
    grace : int, default 30
        Seconds that an instance has to answer what it has been sent, once it is let go.
    linger : int, default 3
        Seconds for which it goes on taking requests then, until all proxies have learned of it.
    arrivals : object, optional
        What tells invocations: ``async arrivals(function, *, since)``.
    in_flight : callable, optional
        ``async in_flight(function)``: how many requests are under way, or None.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        cluster: Cluster,
        *,
        prefix: str = "",
        max_replicas: int | None = None,
        gpu: bool = True,
        resize: bool = True,
        grace: int = 30,
        linger: int = 3,
        arrivals: CountsArrivals | None = None,
        in_flight: Callable[[str], Awaitable[int | None]] | None = None,
    ) -> None:
        self._services = dict(services)
        self._names = checked_names(services, prefix)
        self._cluster = cluster
        self._prefix = prefix
        self._max_replicas = None if max_replicas is None else whole_number(max_replicas, "max_replicas", at_least=1)
        self._gpu = flag(gpu, "gpu")
        self._resize = flag(resize, "resize")
        self._grace = whole_number(grace, "grace", at_least=0)
        self._linger = whole_number(linger, "linger", at_least=0, at_most=self._grace)
        self._arrivals = arrivals
        self._in_flight = in_flight
        self._resizes: bool | None = None
        self._sleeps: bool | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "kubernetes"

    async def capabilities(self) -> Capabilities:
        """See `Platform.capabilities`."""
        return Capabilities(
            max_replicas=self._max_replicas,
            gpu=self._gpu,
            in_place_resize=await self._can_resize(),
            arrivals_source=source_of(self._arrivals),
        )

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """See `Platform.apply`.

        Pods are replaced one by one as new ones become ready. Where only cores change and the cluster can do that,
        those that run are resized instead; the template follows once there are none.
        """
        name = self._name(function)
        if configuration.hardware is Hardware.GPU and (configuration.size != 1.0 or not self._gpu):
            seen = await self._read(name)
            detail = _GPU_SHARES if self._gpu else "a gpu: there are no nodes with one"
            return Warmth(Outcome.UNSUPPORTED, seen.ready if seen else 0, detail)
        state = await self._read(name)
        wanted = self._within(replicas)
        linger = self._linger if await self._can_sleep() else 0
        deployment, service = _objects(
            name,
            self._prefix,
            self._services[function],
            configuration,
            replicas=wanted,
            grace=self._grace,
            linger=linger,
        )
        if state is not None and self._is_there(state, deployment, configuration):
            return await self.warm(function, replicas=replicas, by=by)
        if state is None or not await self._resized(name, state, deployment, configuration, by):
            await self._cluster.apply(_SERVICES, service)
            await self._cluster.apply(_DEPLOYMENTS, deployment)
        else:
            await self._scaled(name, function, lambda now: max(now, wanted))
        return await self._settled(name, replicas, wanted, by)

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """See `Platform.warm`."""
        name = self._name(function)
        wanted = self._within(replicas)
        state = await self._scaled(name, function, lambda now: max(now, wanted))
        if state.resized and state.pods == 0 and state.configuration is not None:
            # Nothing runs that could be replaced by it: the template may have the cores that instances are to have.
            return await self.apply(function, state.configuration, replicas=replicas, by=by)
        return await self._settled(name, replicas, wanted, by)

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """See `Platform.retire`.

        Kubernetes chooses which pods go, and lets each finish what it serves, for `grace` seconds at most. As many
        stay as there are requests under way, where that is known.
        """
        name = self._name(function)
        serving = await self._serving(function)
        least = max(replicas, serving or 0)
        if await self._read(name) is None:
            return Warmth(Outcome.READY, 0)
        state = await self._scaled(name, function, lambda now: min(now, least))
        if state.wanted > replicas and serving:
            return Warmth(Outcome.READY, state.ready, f"{state.wanted} stay: {serving} requests are under way")
        return Warmth(Outcome.READY, state.ready)

    async def observe(self, function: str) -> Observed:
        """See `Platform.observe`."""
        state = await self._read(self._name(function))
        if state is None:
            return Observed(None)
        # The server needs a moment to see what it was asked itself; what it says before that is about something else.
        for _ in range(3):
            if state is None or state.seen:
                break
            await asyncio.sleep(0.05)
            state = await self._read(self._name(function))
        if state is None:
            return Observed(None)
        return Observed(state.configuration, state.wanted, state.ready, await self._serving(function))

    async def arrivals(self, function: str, *, since: str) -> Arrived:
        """See `Platform.arrivals`."""
        self._name(function)
        return await arrived(self._arrivals, function, since)

    async def close(self) -> None:
        """See `Platform.close`."""
        await self._cluster.close()

    # --- what is there --------------------------------------------------------------------------------------------

    def _name(self, function: str) -> str:
        if function not in self._names:
            raise InvalidInputError.unknown("function", function, self._names)
        return self._names[function]

    def _within(self, replicas: int) -> int:
        return replicas if self._max_replicas is None else min(replicas, self._max_replicas)

    async def _serving(self, function: str) -> int | None:
        return None if self._in_flight is None else await self._in_flight(function)

    async def _can_resize(self) -> bool:
        """Tell whether the server resizes pods: 1.33 and later do, unless told not to, and others list it too."""
        if self._resize and self._resizes is None:
            self._resizes = await self._cluster.serves("api/v1", "pods/resize")
        return self._resize and bool(self._resizes)

    async def _can_sleep(self) -> bool:
        if self._sleeps is None:
            self._sleeps = await self._cluster.version() >= _PRESTOP_SLEEP
        return self._sleeps

    async def _read(self, name: str) -> _State | None:
        body = await self._cluster.read(_DEPLOYMENTS, name)
        if body is None:
            return None
        if texts(body, "metadata", "labels").get("app.kubernetes.io/managed-by") != "smiless":
            raise PlatformError(
                f"there is a Deployment {name!r} without our label app.kubernetes.io/managed-by=smiless",
                self.name,
                retryable=False,
            )
        return _State(body)

    def _is_there(self, state: _State, deployment: Mapping[str, Any], configuration: Configuration) -> bool:
        if state.configuration != configuration:
            return False
        there = texts(state.body, "metadata", "annotations").get(DIGEST)
        if state.resized:  # then the digest is that of the template, whose cores are others
            return state.pods > 0 and there == _digest_at(deployment, state.of_template)
        return there == texts(deployment, "metadata", "annotations")[DIGEST]

    # --- changing it ----------------------------------------------------------------------------------------------

    async def _scaled(self, name: str, function: str, wanted: Callable[[int], int]) -> _State:
        """Set how many there are to be, from how many there are to be now; nothing is sent if that is the same."""
        for attempt in range(_ATTEMPTS):
            state = await self._read(name)
            if state is None:
                raise PlatformError("nothing is deployed", self.name, f"scale {function}", retryable=False)
            aim = wanted(state.wanted)
            if aim == state.wanted:
                return state
            version = str(field(state.body, "metadata", "resourceVersion"))
            scale = {"metadata": {"resourceVersion": version}, "spec": {"replicas": aim}}
            if await self._cluster.merge(_DEPLOYMENTS, name, scale, "scale") is not None:
                return await self._read(name) or state
            # Someone has changed it since it was read, its own controller most likely: look again.
            await asyncio.sleep(0.02 * (attempt + self._cluster.jitter()))
        raise PlatformError("it changes too often to be changed (409)", self.name, f"scale {function}")

    async def _settled(self, name: str, replicas: int, wanted: int, by: float) -> Warmth:
        """Wait until as many can serve as are wanted, and say what came of it."""
        state: _State | None = None
        async with aclosing(self._cluster.changes(_DEPLOYMENTS, name, by=by)) as changes:
            async for _ in changes:
                state = await self._read(name)
                if state is None:
                    return Warmth(Outcome.LATE, 0, "it is gone")
                if state.ready >= wanted and await self._all_sized(name, state):
                    if wanted < replicas:
                        return Warmth(Outcome.CLAMPED, state.ready, f"it keeps {wanted}")
                    return Warmth(Outcome.READY, state.ready)
        if state is None:
            return Warmth(Outcome.LATE, 0)
        if state.refused:
            return Warmth(Outcome.CLAMPED, state.ready, state.refused)
        if wanted < replicas or state.wanted < wanted:
            return Warmth(Outcome.CLAMPED, state.ready, f"it keeps {min(wanted, state.wanted)}")
        return Warmth(Outcome.LATE, state.ready)

    # --- other cores for what runs --------------------------------------------------------------------------------

    async def _resized(
        self, name: str, state: _State, deployment: Mapping[str, Any], configuration: Configuration, by: float
    ) -> bool:
        """Resize what runs, if that is all that it takes; false if it has to be replaced."""
        of_template = state.of_template
        if (
            state.pods == 0
            or state.configuration is None
            or of_template is None
            or {configuration.hardware, of_template.hardware} != {Hardware.CPU}
            or configuration.batch != of_template.batch
            or texts(state.body, "metadata", "annotations").get(DIGEST) != _digest_at(deployment, of_template)
            or not await self._can_resize()
        ):
            return False
        annotations = {"metadata": {"annotations": {CONFIGURATION: encoded(configuration)}}}
        if await self._cluster.merge(_DEPLOYMENTS, name, annotations) is None:
            return False
        after = await self._read(name)
        if after is None:
            return False
        async with aclosing(self._cluster.changes(_DEPLOYMENTS, name, by=by)) as changes:
            async for _ in changes:
                if await self._all_sized(name, after):
                    break
                if any(_is_refused(each) for each in await self._pods(name, after)):
                    return False  # the node has not that much: new instances find another
        return True

    async def _all_sized(self, name: str, state: _State) -> bool:
        """Tell whether instances have the cores that they are to have, and see to those that do not."""
        configuration = state.configuration
        if configuration is None or configuration.hardware is not Hardware.CPU or not await self._can_resize():
            return True
        amounts = {"cpu": cores(configuration)}
        ours = {"name": CONTAINER, "resources": {"requests": amounts, "limits": amounts}}
        pods = await self._pods(name, state)
        for pod in pods:
            if not runs_on(field(pod, "spec", "containers"), configuration):
                changes = {"spec": {"containers": [ours]}}
                await self._cluster.merge(_PODS, str(field(pod, "metadata", "name")), changes, "resize")
        return all(_has(each, configuration) for each in pods)

    async def _pods(self, name: str, state: _State) -> list[Mapping[str, Any]]:
        """Return those of the present template that stay."""
        found = await self._cluster.list(_PODS, f"app.kubernetes.io/name={name},app.kubernetes.io/managed-by=smiless")
        return [
            each
            for each in found
            if field(each, "metadata", "deletionTimestamp") is None
            and planned(field(each, "metadata", "annotations")) == state.of_template
        ]


def manifest(
    application: Application,
    assignments: Iterable[Assignment],
    services: Mapping[str, Service],
    *,
    namespace: str = "",
    prefix: str = "",
    grace: int = 30,
    linger: int = 3,
) -> str:
    """Return what `Kubernetes` would have on a cluster for a plan.

    Parameters
    ----------
    application : Application
        Whose functions.
    assignments : iterable of Assignment
        What they run on: a `Plan`, or some of its assignments.
    services : mapping of str to Service
        By function.
    namespace : str, optional
        Where; by default what is applied to.
    prefix : str, default ""
        What the names of objects begin with.
    grace, linger : int, default 30 and 3
        See `Kubernetes`.

    Returns
    -------
    str
        YAML documents for ``kubectl apply --server-side --field-manager smiless -f -``: the same for the same plan.

    Raises
    ------
    InvalidInputError
        If a function is unknown, has no service, or a configuration cannot be had on Kubernetes.
    """
    names = checked_names(services, prefix)
    objects: list[dict[str, Any]] = []
    for each in assignments:
        if each.function not in application.names:
            raise InvalidInputError.unknown("function", each.function, application.names, place="assignments")
        if each.function not in services:
            raise InvalidInputError.unknown("service", each.function, services, place="services")
        if each.configuration.hardware is Hardware.GPU and each.configuration.size != 1.0:
            raise InvalidInputError(f"Kubernetes has not {_GPU_SHARES}", place=f"assignments.{each.function}")
        objects += _objects(
            names[each.function],
            prefix,
            services[each.function],
            each.configuration,
            replicas=each.replicas,
            grace=grace,
            linger=linger,
            namespace=namespace,
        )
    return written(objects)


def _objects(
    name: str,
    prefix: str,
    service: Service,
    configuration: Configuration,
    *,
    replicas: int,
    grace: int,
    linger: int,
    namespace: str = "",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the Deployment and the Service of a function."""
    own = labels(name, prefix)
    chosen = {key: own[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/managed-by")}
    where = {"namespace": namespace} if namespace else {}
    one = container(service, configuration)
    if linger:
        one["lifecycle"] = {"preStop": {"sleep": {"seconds": linger}}}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": chosen},
        "revisionHistoryLimit": 2,
        # As many are there at any time as were before: new ones come first, then old ones go.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": own, "annotations": {CONFIGURATION: encoded(configuration)}},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": grace,
                "containers": [one],
                **volumes(service),
            },
        },
    }
    annotations = {CONFIGURATION: encoded(configuration), DIGEST: digest({"spec": spec, "port": service.port})}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **where, "labels": own, "annotations": annotations},
        "spec": {"replicas": replicas, **spec},
    }
    exposed = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, **where, "labels": own},
        "spec": {"selector": chosen, "ports": [{"name": "http", "port": _PORT, "targetPort": service.port}]},
    }
    return deployment, exposed


def _digest_at(deployment: Mapping[str, Any], configuration: Configuration | None) -> str | None:
    """Return what the digest of a Deployment would be if its template had other cores."""
    if configuration is None:
        return None
    template = deployment["spec"]["template"]
    (one,) = template["spec"]["containers"]
    resources = _merged(one["resources"], {key: {"cpu": cores(configuration)} for key in ("requests", "limits")})
    spec = {
        **{key: value for key, value in deployment["spec"].items() if key != "replicas"},
        "template": {
            "metadata": {**template["metadata"], "annotations": {CONFIGURATION: encoded(configuration)}},
            "spec": {**template["spec"], "containers": [{**one, "resources": resources}]},
        },
    }
    return digest({"spec": spec, "port": one["ports"][0]["containerPort"]})


def _merged(resources: Any, changes: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    return {**(resources or {}), **{key: {**texts(resources, key), **value} for key, value in changes.items()}}


def _has(pod: Mapping[str, Any], configuration: Configuration) -> bool:
    """Tell whether a pod has the cores that it is to have, as its node says, unless that says nothing of it."""
    statuses = field(pod, "status", "containerStatuses")
    told = any(field(each, "resources", "limits", "cpu") for each in statuses or ())
    return runs_on(field(pod, "spec", "containers"), configuration) and (not told or runs_on(statuses, configuration))


def _is_refused(pod: Mapping[str, Any]) -> bool:
    return any(
        field(each, "type") == "PodResizePending" and field(each, "reason") == "Infeasible"
        for each in field(pod, "status", "conditions") or ()
    )


def _count(value: Any, *path: str) -> int:
    found = field(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else 0
