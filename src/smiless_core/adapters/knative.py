"""Knative Serving: for each function one Service, for each of its configurations one Revision with a tag of its own.

Knative's autoscaler stays in charge of how many instances there are; what is set is the least of them (``min-scale``).
Requests that find no instance are held until there is one. Cores, GPUs and batches need another Revision: it is made
without instances, warmed beside the one that serves, and gets the traffic once it is ready. Facts and their versions:
docs/platforms/knative.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from typing import Any, NamedTuple

from smiless_core.adapters.cluster import Cluster, Resource, field, texts
from smiless_core.adapters.protocol import Arrived, Capabilities, Observed, Outcome, Warmth
from smiless_core.adapters.services import Service
from smiless_core.adapters.workloads import (
    CONFIGURATION,
    CountsArrivals,
    arrived,
    checked_names,
    container,
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
from smiless_core.validation import flag, number, whole_number

__all__ = ["Knative", "manifest"]

_SERVICES = Resource("apis/serving.knative.dev/v1", "services")
_REVISIONS = Resource("apis/serving.knative.dev/v1", "revisions")
_AUTOSCALERS = Resource("apis/autoscaling.internal.knative.dev/v1alpha1", "podautoscalers")

_SCALING = "autoscaling.knative.dev"
_MIN_SCALE = f"{_SCALING}/min-scale"
_LONGEST = 50  # of a name: a Revision adds to it, and what belongs to a Revision adds more
_FOLLOWS = (1, 21)  # from when on a PodAutoscaler follows the annotations of its Revision
_PROPAGATION = 2.0  # seconds within which it does
_ATTEMPTS = 8
_GPU_SHARES = "a share of a gpu: Knative gives whole devices"
_MARK = "X-Smiless-Warming"


class _Variant(NamedTuple):
    """A Revision that the Service sends requests to, or could.

    Attributes
    ----------
    revision : str
    percent : int
        Of the requests without a tag.
    tag : str
    url : str
        Where requests for it alone go.
    """

    revision: str
    percent: int
    tag: str
    url: str = ""


class _Scale(NamedTuple):
    """What is there of a Revision."""

    revision: Mapping[str, Any]
    autoscaler: Mapping[str, Any]

    @property
    def ready(self) -> int:
        found = field(self.autoscaler, "status", "actualScale")
        return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0

    @property
    def configuration(self) -> Configuration | None:
        found = planned(field(self.revision, "metadata", "annotations"))
        if found is None or not runs_on(field(self.revision, "spec", "containers"), found):
            return None
        return found

    @property
    def failure(self) -> str:
        """Why it cannot serve, such as an image that is not there."""
        for condition in field(self.revision, "status", "conditions") or ():
            if field(condition, "type") == "Ready" and field(condition, "status") == "False":
                return str(field(condition, "message") or field(condition, "reason") or "it is not ready")[:200]
        return ""


class Knative:
    """Functions on Knative Serving.

    Parameters
    ----------
    services : mapping of str to Service
        By function; all have images.
    cluster : Cluster
        Closed with the platform.
    prefix : str, default ""
        What the names of objects begin with, such as that of the application.
    version : (int, int), optional
        Of Knative Serving; found out by what it does if not given.
    window : float, default 6
        Seconds that an instance is idle before the autoscaler lets it go, 6 to 3600.
    max_replicas : int, optional
        The most instances of one function.
    gpu : bool, default True
        Whether there are nodes with GPUs.
    variants : int, default 4
        So many Revisions of a function are kept, so that one can go back to their configurations at once.
    patience : float, default 4
        Seconds after which an autoscaler that does nothing is sent a request, marked by the header
        ``X-Smiless-Warming``.
    arrivals : object, optional
        What tells invocations: ``async arrivals(function, *, since)``.
    in_flight : callable, optional
        ``async in_flight(function)``: how many requests are under way, or None.
    request : callable, optional
        ``async request(url)``: sends a marked request, if not one by HTTP to where the Service says that it is.

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
        version: tuple[int, int] | None = None,
        window: float = 6.0,
        max_replicas: int | None = None,
        gpu: bool = True,
        variants: int = 4,
        patience: float = 4.0,
        arrivals: CountsArrivals | None = None,
        in_flight: Callable[[str], Awaitable[int | None]] | None = None,
        request: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._services = dict(services)
        self._names = checked_names(services, prefix, _LONGEST)
        self._cluster = cluster
        self._prefix = prefix
        self._window = number(window, "window", at_least=6.0, at_most=3600.0)
        self._max_replicas = None if max_replicas is None else whole_number(max_replicas, "max_replicas", at_least=1)
        self._gpu = flag(gpu, "gpu")
        self._variants = whole_number(variants, "variants", at_least=1)
        self._patience = number(patience, "patience", at_least=0.0)
        self._arrivals = arrivals
        self._in_flight = in_flight
        self._request = request or _marked_request
        # Where min-scale is set; None as long as that is not known.
        self._scaled_by = None if version is None else _REVISIONS if version >= _FOLLOWS else _AUTOSCALERS

    @property
    def name(self) -> str:
        """What messages call it."""
        return "knative"

    async def capabilities(self) -> Capabilities:
        """See `Platform.capabilities`."""
        return Capabilities(
            max_replicas=self._max_replicas,
            gpu=self._gpu,
            arrivals_source=source_of(self._arrivals),
            min_keep_alive=self._window,
        )

    async def apply(self, function: str, configuration: Configuration, *, replicas: int, by: float) -> Warmth:
        """See `Platform.apply`. If it comes late, requests go where they went; called again, it goes on."""
        name = self._name(function)
        if configuration.hardware is Hardware.GPU and (configuration.size != 1.0 or not self._gpu):
            detail = _GPU_SHARES if self._gpu else "a gpu: there are no nodes with one"
            return Warmth(Outcome.UNSUPPORTED, 0, detail)
        template = _template(
            name, self._prefix, self._services[function], configuration, window=self._window, most=self._max_replicas
        )
        revision = str(template["metadata"]["name"])
        service = await self._read(name)
        if service is None or not any(each.revision == revision for each in _variants(service, "spec")):
            await self._offer(name, service, template)
        if not await self._routed(name, by, lambda each: each.revision == revision):
            return Warmth(Outcome.LATE, 0, "it is not routed yet")
        warmth = await self._warmed(name, function, revision, replicas, by)
        if warmth.outcome in (Outcome.READY, Outcome.CLAMPED):
            await self._switch(name, revision)
            if not await self._routed(name, by, lambda each: each.revision == revision and each.percent == 100):
                return Warmth(Outcome.LATE, warmth.ready, "requests do not go to it yet")
        return warmth

    async def warm(self, function: str, *, replicas: int, by: float) -> Warmth:
        """See `Platform.warm`."""
        name = self._name(function)
        revision = await self._serving_revision(name)
        if revision is None:
            raise PlatformError("nothing is deployed", self.name, f"warm {function}", retryable=False)
        return await self._warmed(name, function, revision, replicas, by)

    async def retire(self, function: str, *, replicas: int) -> Warmth:
        """See `Platform.retire`. Knative lets an instance go once nothing was served for the window."""
        name = self._name(function)
        revision = await self._serving_revision(name)
        if revision is None:
            return Warmth(Outcome.READY, 0)
        busy = 0 if self._in_flight is None else await self._in_flight(function) or 0
        await self._keep(function, revision, lambda now: min(now, max(replicas, busy)))
        scale = await self._scale(revision)
        idle = f"those above {replicas} go once they have been idle for {self._window:g} s"
        ready = scale.ready if scale else 0
        return Warmth(Outcome.READY, ready, idle if ready > replicas else "")

    async def observe(self, function: str) -> Observed:
        """See `Platform.observe`."""
        revision = await self._serving_revision(self._name(function))
        scale = await self._scale(revision) if revision else None
        if scale is None:
            return Observed(None)
        busy = None if self._in_flight is None else await self._in_flight(function)
        return Observed(scale.configuration, self._least(scale), scale.ready, busy)

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

    async def _read(self, name: str) -> Mapping[str, Any] | None:
        body = await self._cluster.read(_SERVICES, name)
        if body is not None and texts(body, "metadata", "labels").get("app.kubernetes.io/managed-by") != "smiless":
            raise PlatformError(
                f"there is a Service {name!r} without our label app.kubernetes.io/managed-by=smiless",
                self.name,
                retryable=False,
            )
        return body

    async def _serving_revision(self, name: str) -> str | None:
        """Return where requests go, as the server says, not as it was told."""
        for each in _variants(await self._read(name), "status"):
            if each.percent == 100:
                return each.revision
        return None

    async def _scale(self, revision: str) -> _Scale | None:
        found = await self._cluster.read(_REVISIONS, revision)
        return None if found is None else _Scale(found, await self._cluster.read(_AUTOSCALERS, revision) or {})

    def _least(self, scale: _Scale) -> int:
        """Return how many are kept whatever comes: what the autoscaler knows counts, not what it is to learn."""
        where = scale.revision if self._scaled_by is _REVISIONS else scale.autoscaler
        return _whole(texts(where, "metadata", "annotations").get(_MIN_SCALE))

    # --- Revisions and their traffic ------------------------------------------------------------------------------

    async def _offer(self, name: str, service: Mapping[str, Any] | None, template: Mapping[str, Any]) -> None:
        """Have a Revision, with a tag: without one it would not be reachable, and then not be kept warm either."""
        new = _Variant(template["metadata"]["name"], 100 if service is None else 0, _tag(template["metadata"]["name"]))
        variants = [*(_variants(service, "spec") if service else ()), new]
        there = None if service is None else await self._cluster.read(_REVISIONS, new.revision)
        if service is not None and there is not None:
            version = str(field(service, "metadata", "resourceVersion"))
            await self._route(name, variants, version)
            return
        body = _object(name, self._prefix, template, variants)
        answer = await self._cluster.apply(_SERVICES, body, accept=(400,))
        if answer.status == 400:
            # Clusters may not allow to begin without an instance (allow-zero-initial-scale): then one comes, and goes.
            annotations = {
                key: value
                for key, value in template["metadata"]["annotations"].items()
                if key != f"{_SCALING}/initial-scale"
            }
            with_one = {**template, "metadata": {**template["metadata"], "annotations": annotations}}
            await self._cluster.apply(_SERVICES, _object(name, self._prefix, with_one, variants))

    async def _route(self, name: str, variants: Iterable[_Variant], version: str) -> bool:
        traffic = [_entry(each) for each in variants]
        changes = {"metadata": {"resourceVersion": version}, "spec": {"traffic": traffic}}
        return await self._cluster.merge(_SERVICES, name, changes) is not None

    async def _routed(self, name: str, by: float, is_it: Callable[[_Variant], bool]) -> bool:
        """Wait until the server says that requests go somewhere."""
        async with aclosing(self._cluster.changes(_SERVICES, name, by=by)) as changes:
            async for _ in changes:
                if any(is_it(each) for each in _variants(await self._read(name), "status")):
                    return True
        return False

    async def _switch(self, name: str, revision: str) -> None:
        """Send all requests to a Revision, let the others cool, and remove those that are too many."""
        for attempt in range(_ATTEMPTS):
            service = await self._read(name)
            variants = _variants(service, "spec")
            new = next((each for each in variants if each.revision == revision), None)
            old = [each for each in variants if each.revision != revision]
            if service is None or new is None:
                return
            if new.percent == 100:
                break
            # In the order in which they had the traffic last: the first are those that have waited longest.
            kept = old[max(len(old) - self._variants + 1, 0) :]
            wanted = [*(each._replace(percent=0) for each in kept), new._replace(percent=100)]
            if await self._route(name, wanted, str(field(service, "metadata", "resourceVersion"))):
                break
            await asyncio.sleep(0.02 * (attempt + self._cluster.jitter()))
        else:
            raise PlatformError("it changes too often to be changed (409)", self.name, f"switch {name}")
        await self._clean(name)

    async def _clean(self, name: str) -> None:
        """Let variants that do not serve have no instances, and remove Revisions of ours that are none any more."""
        service = await self._read(name)
        variants = {each.revision: each for each in _variants(service, "spec")}
        of_template = field(service, "spec", "template", "metadata", "name")
        selector = f"serving.knative.dev/service={name},app.kubernetes.io/managed-by=smiless"
        for revision in await self._cluster.list(_REVISIONS, selector):
            called = str(field(revision, "metadata", "name"))
            if called not in variants and called != of_template:
                await self._cluster.delete(_REVISIONS, called)
            elif called in variants and variants[called].percent == 0:
                await self._keep(called, called, lambda now: 0)

    # --- how many -------------------------------------------------------------------------------------------------

    async def _warmed(self, name: str, function: str, revision: str, replicas: int, by: float) -> Warmth:
        """Have as many kept, wait until they can serve, and send a request if nothing else helps."""
        wanted = replicas if self._max_replicas is None else min(replicas, self._max_replicas)
        scale: _Scale | None = None
        kept, poked = False, False
        begun = self._cluster.now()
        poking: asyncio.Future[None] | None = None
        try:
            async with aclosing(self._cluster.changes(_AUTOSCALERS, revision, by=by)) as changes:
                async for _ in changes:
                    scale = await self._scale(revision)
                    if scale is None or not scale.autoscaler:
                        continue  # the Revision was asked for a moment ago
                    if not kept:
                        await self._keep(function, revision, lambda now: max(now, wanted))
                        kept, begun = True, self._cluster.now()
                    if scale.ready >= wanted:
                        if wanted < replicas:
                            return Warmth(Outcome.CLAMPED, scale.ready, f"it keeps {wanted}")
                        return Warmth(Outcome.READY, scale.ready)
                    if not scale.ready and not poked and self._cluster.now() - begun >= self._patience:
                        poked, poking = True, asyncio.ensure_future(self._poke(name, function, revision))
        finally:
            if poking is not None:
                poking.cancel()
                await asyncio.gather(poking, return_exceptions=True)
        ready = scale.ready if scale else 0
        if wanted < replicas:
            return Warmth(Outcome.CLAMPED, ready, f"it keeps {wanted}")
        return Warmth(Outcome.LATE, ready, scale.failure if scale else "")

    async def _keep(self, function: str, revision: str, least: Callable[[int], int]) -> None:
        """Set min-scale, from what it is now, where this version of Knative reads it; nothing if it is the same."""
        scale = await self._scale(revision)
        if scale is None:
            return
        now = self._least(scale)
        aim = least(now)
        if aim == now:
            return
        # "0" instead of nothing: where annotations are copied, one that is removed stays behind in the copy.
        changes = {"metadata": {"annotations": {_MIN_SCALE: str(aim)}}}
        where = self._scaled_by or _REVISIONS
        if await self._cluster.merge(where, revision, changes) is None:
            return
        if self._scaled_by is None:
            if await self._follows(revision, aim):
                self._scaled_by = _REVISIONS
            else:
                self._scaled_by = _AUTOSCALERS
                await self._cluster.merge(_AUTOSCALERS, revision, changes)

    async def _follows(self, revision: str, aim: int) -> bool:
        """Tell whether the autoscaler learns of what its Revision says: that tells versions apart."""
        end = time.monotonic() + _PROPAGATION
        while time.monotonic() < end:
            autoscaler = await self._cluster.read(_AUTOSCALERS, revision)
            if _whole(texts(autoscaler, "metadata", "annotations").get(_MIN_SCALE)) == aim:
                return True
            await asyncio.sleep(0.1)
        return False

    async def _poke(self, name: str, function: str, revision: str) -> None:
        service = self._services[function]
        for each in _variants(await self._read(name), "status"):
            if each.revision == revision and each.url:
                with suppress(Exception):  # whether it helped is seen in what is there
                    await self._request(each.url + (service.ready or service.path))
                return


async def _marked_request(url: str) -> None:
    """Send a request that functions can tell from others, and not care for the answer."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, headers={_MARK: "1"}, allow_redirects=False),
    ):
        return


def manifest(
    application: Application,
    assignments: Iterable[Assignment],
    services: Mapping[str, Service],
    *,
    namespace: str = "",
    prefix: str = "",
    window: float = 6.0,
    max_replicas: int | None = None,
) -> str:
    """Return what `Knative` would have on a cluster for a plan.

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
    window : float, default 6
    max_replicas : int, optional
        See `Knative`.

    Returns
    -------
    str
        YAML documents for ``kubectl apply --server-side --field-manager smiless -f -``: the same for the same plan.

    Raises
    ------
    InvalidInputError
        If a function is unknown, has no service, or a configuration cannot be had on Knative.
    """
    names = checked_names(services, prefix, _LONGEST)
    objects = []
    for each in assignments:
        if each.function not in application.names:
            raise InvalidInputError.unknown("function", each.function, application.names, place="assignments")
        if each.function not in services:
            raise InvalidInputError.unknown("service", each.function, services, place="services")
        if each.configuration.hardware is Hardware.GPU and each.configuration.size != 1.0:
            raise InvalidInputError(f"Knative has not {_GPU_SHARES}", place=f"assignments.{each.function}")
        template = _template(
            names[each.function],
            prefix,
            services[each.function],
            each.configuration,
            window=window,
            most=max_replicas,
        )
        revision = str(template["metadata"]["name"])
        variant = _Variant(revision, 100, _tag(revision))
        objects.append(_object(names[each.function], prefix, template, [variant], namespace))
    return written(objects)


def _template(
    name: str, prefix: str, service: Service, configuration: Configuration, *, window: float, most: int | None
) -> dict[str, Any]:
    """Return the template of a Revision, whose name tells it from all others."""
    annotations = {
        CONFIGURATION: encoded(configuration),
        f"{_SCALING}/initial-scale": "0",
        _MIN_SCALE: "0",
        # Else min-scale is not looked at when there are no instances, hence no metrics.
        f"{_SCALING}/target-burst-capacity": "-1",
        f"{_SCALING}/target-utilization-percentage": "100",
        f"{_SCALING}/window": f"{window:g}s",
        **({f"{_SCALING}/max-scale": str(most)} if most is not None else {}),
    }
    spec = {
        "containerConcurrency": configuration.batch,
        "containers": [_container(service, configuration)],
        **volumes(service),
    }
    metadata = {"labels": labels(name, prefix), "annotations": annotations}
    return {
        "metadata": {"name": f"{name}-{digest({'metadata': metadata, 'spec': spec})[:8]}", **metadata},
        "spec": spec,
    }


def _container(service: Service, configuration: Configuration) -> dict[str, Any]:
    found = container(service, configuration, probe=False)
    if "readinessProbe" in found:  # Knative asks more often by itself, and knows the port
        found["readinessProbe"] = {"httpGet": {"path": service.ready}}
    return found


def _object(
    name: str, prefix: str, template: Mapping[str, Any], variants: Iterable[_Variant], namespace: str = ""
) -> dict[str, Any]:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), "labels": labels(name, prefix)},
        "spec": {"template": template, "traffic": [_entry(each) for each in variants]},
    }


def _entry(variant: _Variant) -> dict[str, Any]:
    return {"revisionName": variant.revision, "percent": variant.percent, "tag": variant.tag}


def _tag(revision: str) -> str:
    """Return the tag of a Revision: tags are part of host names, and begin with a letter."""
    return f"v{revision.rsplit('-', 1)[-1]}"


def _variants(service: Mapping[str, Any] | None, part: str) -> list[_Variant]:
    """Return where requests are to go (`spec`), or go (`status`)."""
    found = field(service, part, "traffic")
    variants = []
    for each in found if isinstance(found, list) else ():
        revision, percent, tag, url = (field(each, key) for key in ("revisionName", "percent", "tag", "url"))
        if isinstance(revision, str):
            share = percent if isinstance(percent, int) and not isinstance(percent, bool) else 0
            variants.append(_Variant(revision, share, str(tag or ""), str(url or "")))
    return variants


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
