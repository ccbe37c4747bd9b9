"""Knative Serving on the API server for tests: Services, Revisions, PodAutoscalers and the autoscaler's rules.

Time is shorter than in a real one: `tick` stands for the 2 s between its decisions, `window` for the stable window.
"""

from __future__ import annotations

import asyncio
import copy
import math

from fake_kubernetes import PODS, FakeKubernetes, Refused, is_ready

KSVC = ("apis/serving.knative.dev/v1", "services")
REVISIONS = ("apis/serving.knative.dev/v1", "revisions")
AUTOSCALERS = ("apis/autoscaling.internal.knative.dev/v1alpha1", "podautoscalers")

_SCALING = "autoscaling.knative.dev"


class _Load:
    """What the autoscaler knows of a Revision."""

    def __init__(self) -> None:
        self.begun = False  # whether its initial scale was reached
        self.waiting = 0
        self.last = -math.inf  # when there was a request


class FakeKnative(FakeKubernetes):
    def __init__(
        self,
        *,
        serving: tuple[int, int] = (1, 21),
        zero: bool = True,
        tick: float = 0.05,
        window: float = 0.3,
        **options,
    ) -> None:
        super().__init__(**options)
        self.knative = serving
        self.allow_zero_initial_scale = zero
        self.tick, self.window = tick, window
        self.stuck = False  # the autoscaler starts nothing by itself
        self.loads: dict[str, _Load] = {}
        self.poked: list[str] = []

    def kinds(self):
        return [*super().kinds(), KSVC, REVISIONS, AUTOSCALERS]

    async def start(self, context=None):
        await super().start(context)
        self.later(self.tick, self._tick)
        return self

    # --- admission ------------------------------------------------------------------------------------------------

    def validate(self, key, there, changed):
        super().validate(key, there, changed)
        if key == KSVC:
            name, template = changed["metadata"]["name"], changed["spec"]["template"]
            revision = template["metadata"].get("name", "")
            if not revision.startswith(f"{name}-"):
                raise Refused(400, "BadRequest", "validation failed: revision name must be prefixed")
            before = there.get("spec", {}).get("template") if there else None
            if before and before["metadata"]["name"] == revision and before != template:
                raise Refused(400, "BadRequest", "validation failed: the template changes without a name change")
            if sum(each.get("percent", 0) for each in changed["spec"]["traffic"]) != 100:
                raise Refused(400, "BadRequest", "validation failed: traffic targets sum to something else than 100")
            tags = [each["tag"] for each in changed["spec"]["traffic"] if each.get("tag")]
            if len(set(tags)) < len(tags):
                raise Refused(400, "BadRequest", "validation failed: multiple definitions for a tag")
            annotations = template["metadata"].get("annotations", {})
            if annotations.get(f"{_SCALING}/initial-scale") == "0" and not self.allow_zero_initial_scale:
                raise Refused(400, "BadRequest", f"validation failed: invalid value: 0: {_SCALING}/initial-scale")
            window = float(annotations.get(f"{_SCALING}/window", "60s").rstrip("s"))
            if not 6.0 <= window <= 3600.0:
                raise Refused(400, "BadRequest", "validation failed: expected 6s <= window <= 1h0m0s")
        if key == REVISIONS and there and there["spec"] != changed["spec"]:
            raise Refused(400, "BadRequest", "validation failed: Immutable fields changed")

    # --- controllers ----------------------------------------------------------------------------------------------

    def reconcile(self, key, name):
        if key == KSVC:
            self.later(self.lag, self._route, name)
        elif key == REVISIONS:
            self.later(self.lag, self._follow, name)
        elif key == PODS and name.rsplit(".", 1)[0] in self.loads:
            pass
        elif key != AUTOSCALERS:
            super().reconcile(key, name)

    def _route(self, name):
        service = self.objects[KSVC].get(name)
        if service is None:
            return
        template = service["spec"]["template"]
        revision = template["metadata"]["name"]
        if revision not in self.objects[REVISIONS]:
            labels = {**template["metadata"]["labels"], "serving.knative.dev/service": name}
            self.put(
                REVISIONS,
                {
                    "metadata": {**copy.deepcopy(template["metadata"]), "labels": labels},
                    "spec": copy.deepcopy(template["spec"]),
                },
            )
        traffic = [
            {**each, "url": f"http://{each['tag']}-{name}.example"}
            for each in service["spec"]["traffic"]
            if each["revisionName"] in self.objects[REVISIONS]
        ]
        self.status(KSVC, name, {"traffic": traffic, "observedGeneration": service["metadata"]["generation"]})

    def _follow(self, name):
        revision = self.objects[REVISIONS].get(name)
        if revision is None:
            self.objects[AUTOSCALERS].pop(name, None)
            for pod in self.pods_of(name):
                if "deletionTimestamp" not in pod["metadata"]:
                    self.terminate(pod["metadata"]["name"])
            return
        annotations = {
            key: value for key, value in revision["metadata"]["annotations"].items() if key.startswith(_SCALING)
        }
        there = self.objects[AUTOSCALERS].get(name)
        if there is None:
            self.loads[name] = _Load()
            self.put(AUTOSCALERS, {"metadata": {"name": name, "annotations": annotations}, "spec": {}, "status": {}})
        elif self.knative >= (1, 21) and not annotations.items() <= there["metadata"]["annotations"].items():
            changed = copy.deepcopy(there)
            changed["metadata"]["annotations"].update(annotations)  # what was removed stays
            self.put(AUTOSCALERS, changed)

    def reachable(self, revision):
        return any(
            each["revisionName"] == revision
            for service in self.objects[KSVC].values()
            for each in service.get("status", {}).get("traffic", [])
        )

    def _tick(self):
        for name in list(self.objects[AUTOSCALERS]):
            self._decide(name)
        self.later(self.tick, self._tick)

    def _decide(self, name):
        autoscaler, load, now = self.objects[AUTOSCALERS][name], self.loads[name], self.now()
        annotations = autoscaler["metadata"]["annotations"]
        pods = [each for each in self.pods_of(name) if "deletionTimestamp" not in each["metadata"]]
        ready = sum(is_ready(each) for each in pods)
        busy = sum(self.serving[each["metadata"]["name"]] for each in pods) + load.waiting
        if busy:
            load.last = now
        initial = int(annotations.get(f"{_SCALING}/initial-scale", "1"))
        least = int(annotations.get(f"{_SCALING}/min-scale", "0")) if self.reachable(name) else 0
        always = annotations.get(f"{_SCALING}/target-burst-capacity") == "-1" and not self.stuck
        if not load.begun:
            load.begun, wanted = ready >= initial, initial
            load.last = now if initial else load.last
        elif pods or busy:
            # There are instances, or requests at the activator: hence metrics.
            wanted = max(least, busy, 1 if now < load.last + self.window else 0)
        else:
            wanted = least if always else 0
        wanted = min(wanted, int(annotations.get(f"{_SCALING}/max-scale", "0")) or wanted)
        revision = self.objects[REVISIONS].get(name)
        if revision is None:
            return
        for _ in range(wanted - len(pods)):
            self.make_pod(name, {"metadata": revision["metadata"], "spec": revision["spec"]})
        idle = [each for each in pods if not self.serving[each["metadata"]["name"]]]
        for pod in idle[: max(len(pods) - wanted, 0)]:
            self.terminate(pod["metadata"]["name"])
        self.status(AUTOSCALERS, name, {"actualScale": ready, "desiredScale": wanted if pods or wanted else -1})

    # --- requests to functions ------------------------------------------------------------------------------------

    async def invoke(self, name, takes, tag=None):
        """Send a request, which is held until an instance is there for it."""
        (revision,) = [
            each["revisionName"]
            for each in self.objects[KSVC][name]["status"]["traffic"]
            if (each["tag"] == tag if tag else each["percent"] == 100)
        ]
        load = self.loads[revision]
        load.waiting += 1
        try:
            while True:
                room = self.objects[REVISIONS][revision]["spec"]["containerConcurrency"]
                free = [
                    each["metadata"]["name"]
                    for each in self.pods_of(revision)
                    if is_ready(each)
                    and "deletionTimestamp" not in each["metadata"]
                    and self.serving[each["metadata"]["name"]] < room
                ]
                if free:
                    break
                await asyncio.sleep(0.01)
        finally:
            load.waiting -= 1
        return await self.serve(free[0], takes)

    async def poke(self, url):
        """Send a marked request to where a Service says that a Revision is."""
        self.poked.append(url)
        host = url.removeprefix("http://").split("/")[0]
        tag, name = host.removesuffix(".example").split("-", 1)
        await self.invoke(name, 0.01, tag)
