"""A Kubernetes API server for tests: one namespace, the rules that adapters run into, and the controllers behind it.

It keeps objects with resource versions and generations, tells watches what changed (with bookmarks, and 410 for what it
has forgotten), merges patches, applies them for field managers, and checks who may do what. A deployment controller
makes pods that become ready after a while, replaces them when their template changes, and lets them finish what they
serve. Of several pods it lets go the busiest first, which a real one may do too.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import yaml
from aiohttp import web

DEPLOYMENTS = ("apis/apps/v1", "deployments")
SERVICES = ("api/v1", "services")
PODS = ("api/v1", "pods")
LEASES = ("apis/coordination.k8s.io/v1", "leases")

NAMESPACE = "default"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str, causes: list[dict] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": status,
            "details": {"causes": causes or []},
        }


def not_found(plural: str, name: str) -> Refused:
    return Refused(404, "NotFound", f'{plural} "{name}" not found')


# --- field managers ---------------------------------------------------------------------------------------------------

_UNOWNED = {
    ("apiVersion",),
    ("kind",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "resourceVersion"),
}


def leaves(value: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """Fields by path; sequences count as one field."""
    if isinstance(value, dict) and value:
        found: dict[tuple[str, ...], object] = {}
        for key, each in value.items():
            found.update(leaves(each, (*path, key)))
        return found
    return {path: value}


def owned(value: dict) -> dict[tuple[str, ...], object]:
    return {
        path: each
        for path, each in leaves(value).items()
        if path not in _UNOWNED and path[:1] != ("status",) and path[:2] != ("metadata", "managedFields")
    }


def remove(value: dict, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        value = value.get(key, {})
    value.pop(path[-1], None)


def merged(value: object, patch: object, *, by_name: bool = False) -> object:
    """RFC 7396; with `by_name`, lists of containers are merged by the name of each."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for key, each in patch.items():
        if each is None:
            result.pop(key, None)
        elif by_name and key == "containers":
            changes = {one["name"]: one for one in each}
            result[key] = [merged(one, changes.get(one["name"], {}), by_name=True) for one in result.get(key, [])]
        else:
            result[key] = merged(result.get(key), each, by_name=by_name)
    return result


# --- the server -------------------------------------------------------------------------------------------------------


class FakeKubernetes:
    def __init__(
        self,
        *,
        version: tuple[int, int] = (1, 33),
        resize: bool = True,
        cold_start: float = 0.1,
        lag: float = 0.02,
        quota: int | None = None,
        node_cores: float = 8.0,
        bookmarks: float = 0.05,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.version = version
        self.resize = resize
        self.cold_start = cold_start
        self.lag = lag
        self.quota = quota
        self.node_cores = node_cores
        self.bookmarks = bookmarks
        self.now = now
        self.token = "a-token-that-is-secret"
        self.objects: dict[tuple[str, str], dict[str, dict]] = {key: {} for key in self.kinds()}
        self.events: list[tuple[int, tuple[str, str], str, dict]] = []
        self.forgotten = 0  # the last version that is not known any more
        self.revision = 0
        self.used: set[tuple[str, str, str]] = set()
        self.allowed: set[tuple[str, str, str]] | None = None
        self.sent: list[tuple[str, str]] = []  # writes that changed something
        self.requests: list[tuple[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.faults: list[Callable[[web.Request], Awaitable[web.StreamResponse | None]]] = []
        self.idle_watches = False
        self.dropped_watches = False
        self.serving: dict[str, int] = {}
        self.killed: dict[str, asyncio.Event] = {}
        self.lists: dict[str, int] = {}
        self._changed: set[asyncio.Event] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self.errors: list[Exception] = []  # of the controllers
        self._runner: web.AppRunner | None = None
        self.url = ""

    def kinds(self) -> list[tuple[str, str]]:
        return [DEPLOYMENTS, SERVICES, PODS, LEASES]

    async def start(self, context: ssl.SSLContext | None = None) -> FakeKubernetes:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{port}"
        return self

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for event in self._changed:
            event.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> FakeKubernetes:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        assert not self.errors, self.errors

    def kubeconfig(self, path, *, authority: str | None = None, token: str | None = None, **cluster: object) -> str:
        """Write credentials of this server to a file, and return its name."""
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "contexts": [
                        {"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": NAMESPACE}}
                    ],
                    "clusters": [
                        {
                            "name": "fake",
                            "cluster": {
                                "server": self.url,
                                **({"certificate-authority": authority} if authority else {}),
                                **cluster,
                            },
                        }
                    ],
                    "users": [{"name": "me", "user": {"token": token or self.token}}],
                }
            )
        )
        return str(path)

    # --- HTTP -----------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.requests.append((request.method, path))
        self.queries.append(dict(request.query))
        if self.faults:
            found = await self.faults.pop(0)(request)
            if found is not None:
                return found
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token != self.token:
            return web.json_response(Refused(401, "Unauthorized", "Unauthorized").body, status=401)
        text = await request.text()
        try:
            if request.query.get("watch") == "true":
                return await self._serve_watch(request, path)
            body = self.handle(
                request.method,
                path,
                dict(request.query),
                json.loads(text) if text else None,
                request.headers.get("Content-Type", ""),
            )
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        return web.json_response(body)

    async def _serve_watch(self, request: web.Request, path: str) -> web.StreamResponse:
        key, _, _ = self._parse(path)
        self._authorize("watch", key, "")
        one = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if self.dropped_watches:
            request.transport.abort()
            return response
        version = int(request.query.get("resourceVersion") or -1)
        told = asyncio.Event()
        self._changed.add(told)

        async def tell(kind: str, item: dict) -> None:
            await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")

        try:
            if version < 0:
                version = self.revision
                for each in list(self.objects[key].values()):
                    if one in ("", each["metadata"]["name"]) and not self.idle_watches:
                        await tell("ADDED", each)
            end = asyncio.get_running_loop().time() + float(request.query["timeoutSeconds"])
            while (left := end - asyncio.get_running_loop().time()) > 0:
                if version < self.forgotten:
                    await tell("ERROR", Refused(410, "Expired", f"too old resource version: {version}").body)
                    break
                for at, of, kind, item in list(self.events):
                    if at > version and of == key and one in ("", item["metadata"]["name"]) and not self.idle_watches:
                        await tell(kind, item)
                version = max(version, self.revision)
                told.clear()
                try:
                    async with asyncio.timeout(min(self.bookmarks, left)):
                        await told.wait()
                except TimeoutError:
                    if request.query.get("allowWatchBookmarks") == "true" and not self.idle_watches:
                        await tell("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision)}})
                if self._runner is None or request.transport is None:
                    break
        except (ConnectionError, OSError):
            pass
        finally:
            self._changed.discard(told)
        return response

    # --- the rules ------------------------------------------------------------------------------------------------

    def _parse(self, path: str) -> tuple[tuple[str, str], str, str]:
        parts = path.split("/")
        if "namespaces" not in parts:
            raise not_found("path", path)
        at = parts.index("namespaces")
        api, namespace, plural, *rest = "/".join(parts[:at]), parts[at + 1], parts[at + 2], *parts[at + 3 :]
        if (api, plural) not in self.objects or namespace != NAMESPACE:
            raise not_found(plural, path)
        name, subresource = (*rest, "", "")[:2]
        return (api, plural), name, subresource

    def _authorize(self, verb: str, key: tuple[str, str], subresource: str) -> None:
        group = key[0].split("/")[1] if key[0].startswith("apis/") else ""
        what = (verb, group, key[1] + (f"/{subresource}" if subresource else ""))
        self.used.add(what)
        if self.allowed is not None and what not in self.allowed:
            raise Refused(403, "Forbidden", f'{key[1]} is forbidden: User "me" cannot {verb} resource "{what[2]}"')

    def handle(self, method: str, path: str, query: dict[str, str], body: dict | None, kind: str) -> dict:
        if path == "version":
            return {"major": str(self.version[0]), "minor": f"{self.version[1]}+", "gitVersion": "v1"}
        if path == "api/v1":
            return {"resources": [{"name": "pods"}, *([{"name": "pods/resize"}] if self.resize else [])]}
        key, name, subresource = self._parse(path)
        verb = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "PATCH": "patch"}.get(
            method, method.lower()
        )
        self._authorize(verb, key, subresource)
        manager = query.get("fieldManager", "unknown")
        there = self.objects[key].get(name)
        if verb == "list":
            return self._list(key, query)
        if verb == "create":
            assert body is not None
            if body["metadata"]["name"] in self.objects[key]:
                raise Refused(409, "AlreadyExists", f'{key[1]} "{body["metadata"]["name"]}" already exists')
            return self._write(key, {}, body, manager, "Update")
        if kind == APPLY:
            assert body is not None
            assert body["metadata"]["name"] == name
            if there is None:
                self._authorize("create", key, "")
            return self._apply(key, there or {}, body, manager, force=query.get("force") == "true")
        if there is None:
            raise not_found(key[1], name)
        if verb == "get":
            return self._scale_of(there) if subresource == "scale" else copy.deepcopy(there)
        if verb == "delete":
            self.remove(key, name)
            self.sent.append(("delete", f"{key[1]}/{name}"))
            return {"kind": "Status", "status": "Success"}
        assert body is not None
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in (None, there["metadata"]["resourceVersion"]):
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {key[1]} "{name}": it has been modified')
        if verb == "update":
            if version is None and key == LEASES:
                raise Refused(422, "Invalid", "metadata.resourceVersion: must be specified for an update")
            return self._write(key, there, body, manager, "Update")
        if subresource == "scale":
            changed = copy.deepcopy(there)
            changed["spec"]["replicas"] = body["spec"]["replicas"]
            return self._scale_of(self._write(key, there, changed, manager, "Update", "scale"))
        if subresource == "resize":
            return self._resize(there, body)
        if key == PODS and "containers" in body.get("spec", {}):
            raise Refused(422, "Invalid", "spec: Forbidden: pod updates may not change fields other than the image")
        changed = merged(there, body, by_name=kind == STRATEGIC)
        assert isinstance(changed, dict)
        return self._write(key, there, changed, manager, "Update")

    def _scale_of(self, deployment: dict) -> dict:
        return {
            "kind": "Scale",
            "metadata": {
                key: value for key, value in deployment["metadata"].items() if key in ("name", "resourceVersion")
            },
            "spec": {"replicas": deployment["spec"]["replicas"]},
            "status": {"replicas": deployment.get("status", {}).get("replicas", 0)},
        }

    def _list(self, key: tuple[str, str], query: dict[str, str]) -> dict:
        wanted = dict(each.split("=") for each in query.get("labelSelector", "").split(",") if each)
        found = [
            copy.deepcopy(each)
            for _, each in sorted(self.objects[key].items())
            if wanted.items() <= each["metadata"].get("labels", {}).items()
        ]
        begin, version = 0, self.revision
        if token := query.get("continue"):
            begin, version = (int(part) for part in token.split("-"))
            if version < self.forgotten:
                raise Refused(410, "Expired", "The provided continue parameter is too old")
        end = begin + int(query.get("limit") or len(found) or 1)
        metadata = {"resourceVersion": str(version)}
        if end < len(found):
            metadata["continue"] = f"{end}-{version}"
        return {"kind": "List", "metadata": metadata, "items": found[begin:end]}

    def _apply(self, key: tuple[str, str], there: dict, body: dict, manager: str, *, force: bool) -> dict:
        mine = (manager, "Apply", "")
        owners = self._owners(there)
        fields, present = owned(body), owned(there)
        causes = [
            {"field": ".".join(path), "message": f'conflict with "{owner[0]}"'}
            for path, value in fields.items()
            for owner, paths in owners.items()
            if owner != mine and path in paths and present.get(path) != value
        ]
        if causes and not force:
            raise Refused(409, "Conflict", f"Apply failed with {len(causes)} conflicts", causes)
        changed = copy.deepcopy(there)
        for path in owners.get(mine, set()) - set(fields):
            if not any(path in paths for owner, paths in owners.items() if owner != mine):
                remove(changed, path)
        changed = merged(changed, body)
        assert isinstance(changed, dict)
        for owner, paths in owners.items():
            if owner != mine:
                paths -= {path for path in fields if present.get(path) != fields[path]}
        owners[mine] = set(fields)
        return self._write(key, there, changed, manager, "Apply", owners=owners)

    def _owners(self, item: dict) -> dict[tuple[str, str, str], set[tuple[str, ...]]]:
        return {
            (each["manager"], each["operation"], each["subresource"]): {tuple(path) for path in each["fields"]}
            for each in item.get("metadata", {}).get("managedFields", [])
        }

    def _write(
        self,
        key: tuple[str, str],
        there: dict,
        changed: dict,
        manager: str,
        operation: str,
        subresource: str = "",
        owners: dict | None = None,
    ) -> dict:
        changed = copy.deepcopy(changed)
        if key == DEPLOYMENTS:
            changed["spec"].setdefault("replicas", 1)
        self.validate(key, there, changed)
        if owners is None:
            owners = self._owners(there)
            before, after = owned(there), owned(changed)
            fields = {path for path, value in after.items() if before.get(path, ...) != value}
            for paths in owners.values():
                paths -= fields
            owners.setdefault((manager, operation, subresource), set()).update(fields)
        changed["metadata"]["managedFields"] = [
            {"manager": who, "operation": how, "subresource": what, "fields": sorted(paths)}
            for (who, how, what), paths in owners.items()
            if paths
        ]
        if there and _without_versions(changed) == _without_versions(there):
            return copy.deepcopy(there)
        self.sent.append((operation.lower(), f"{key[1]}/{changed['metadata']['name']}"))
        return self.put(key, changed)

    def validate(self, key: tuple[str, str], there: dict, changed: dict) -> None:
        if key == DEPLOYMENTS:
            if there and there["spec"]["selector"] != changed["spec"]["selector"]:
                raise Refused(422, "Invalid", "spec.selector: field is immutable")
            for one in changed["spec"]["template"]["spec"]["containers"]:
                gpu = one["resources"]["limits"].get("nvidia.com/gpu", "0")
                if not str(gpu).isdigit():
                    raise Refused(422, "Invalid", "nvidia.com/gpu: must be an integer")
                if self.version < (1, 30) and "sleep" in one.get("lifecycle", {}).get("preStop", {}):
                    raise Refused(422, "Invalid", "lifecycle.preStop: must specify a handler type")

    # --- the store ------------------------------------------------------------------------------------------------

    def put(self, key: tuple[str, str], item: dict) -> dict:
        """Keep an object, and tell of it."""
        name = item["metadata"]["name"]
        there = self.objects[key].get(name)
        self.revision += 1
        metadata = item["metadata"]
        metadata["resourceVersion"] = str(self.revision)
        metadata["generation"] = metadata.get("generation", 0) + (
            there is None or there.get("spec") != item.get("spec")
        )
        metadata.setdefault("uid", str(self.revision))
        self.objects[key][name] = copy.deepcopy(item)
        self._tell(key, "MODIFIED" if there else "ADDED", item)
        self.reconcile(key, name)
        return copy.deepcopy(item)

    def remove(self, key: tuple[str, str], name: str) -> None:
        item = self.objects[key].pop(name)
        self.revision += 1
        item["metadata"]["resourceVersion"] = str(self.revision)
        self._tell(key, "DELETED", item)
        self.reconcile(key, name)

    def _tell(self, key: tuple[str, str], kind: str, item: dict) -> None:
        self.events.append((self.revision, key, kind, copy.deepcopy(item)))
        for event in self._changed:
            event.set()

    def forget(self) -> None:
        """Compact: what watches and parts of lists go on from is not known any more."""
        self.revision += 1
        self.forgotten = self.revision
        self.events.clear()

    def later(self, seconds: float, call: Callable[..., object], *values: object) -> None:
        def run() -> None:
            try:
                call(*values)
            except Exception as error:
                self.errors.append(error)

        with suppress(RuntimeError):
            self._timers.append(asyncio.get_running_loop().call_later(seconds, run))

    def status(self, key: tuple[str, str], name: str, status: dict) -> None:
        item = copy.deepcopy(self.objects[key][name])
        if item.get("status") != status:
            item["status"] = status
            self.put(key, item)

    # --- controllers ----------------------------------------------------------------------------------------------

    def reconcile(self, key: tuple[str, str], name: str) -> None:
        if key == DEPLOYMENTS:
            self.later(self.lag, self._roll, name)
        if key == PODS:
            owner = name.rsplit(".", 1)[0]
            self.later(self.lag, self._roll, owner)

    def pods_of(self, owner: str) -> list[dict]:
        return [each for name, each in self.objects[PODS].items() if name.rsplit(".", 1)[0] == owner]

    def _roll(self, name: str) -> None:
        deployment = self.objects[DEPLOYMENTS].get(name)
        template = deployment["spec"]["template"] if deployment else None
        wanted = deployment["spec"]["replicas"] if deployment else 0
        pods = [each for each in self.pods_of(name) if "deletionTimestamp" not in each["metadata"]]
        new = [each for each in pods if each["template"] == template]
        old = [each for each in pods if each["template"] != template]
        message = ""
        for _ in range(wanted - len(new)):
            if self.quota is not None and len(self.objects[PODS]) >= self.quota:
                message = f"pods is forbidden: exceeded quota: used {self.quota}"
                break
            new.append(self.make_pod(name, template))
        spare = self._expendable(new)[: len(new) - wanted] if len(new) > wanted else []
        ready = sum(is_ready(each) for each in new)
        still = wanted - ready  # so many of the old are needed
        spare += self._expendable(old)[: max(len(old) - max(still, 0), 0)]
        for pod in spare:
            self.terminate(pod["metadata"]["name"], template)
        if deployment is None:
            return
        left = [each for each in [*new, *old] if each not in spare]
        updated = [each for each in new if each not in spare]
        count = sum(is_ready(each) for each in left)
        conditions = [{"type": "ReplicaFailure", "status": "True", "message": message}] if message else []
        self.status(
            DEPLOYMENTS,
            name,
            {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": len(left),
                "updatedReplicas": len(updated),
                "readyReplicas": count,
                "availableReplicas": count,
                "conditions": conditions,
            },
        )

    def _expendable(self, pods: list[dict]) -> list[dict]:
        return sorted(pods, key=lambda pod: (is_ready(pod), -self.serving[pod["metadata"]["name"]]))

    def make_pod(self, owner: str, template: dict) -> dict:
        name = f"{owner}.{self.revision}-{random.randrange(1 << 30)}"
        self.serving[name] = 0
        self.killed[name] = asyncio.Event()
        pod = self.put(
            PODS,
            {
                "metadata": {
                    **{key: copy.deepcopy(template["metadata"].get(key, {})) for key in ("labels", "annotations")},
                    "name": name,
                },
                "spec": copy.deepcopy(template["spec"]),
                "template": copy.deepcopy(template),
                "status": {"phase": "Pending"},
            },
        )
        self.later(self.cold_start, self._become_ready, name)
        return pod

    def _become_ready(self, name: str) -> None:
        pod = self.objects[PODS].get(name)
        if pod is not None and "deletionTimestamp" not in pod["metadata"]:
            self.status(
                PODS,
                name,
                {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": _statuses(pod),
                },
            )

    def terminate(self, name: str, template: dict | None = None) -> None:
        pod = copy.deepcopy(self.objects[PODS][name])
        pod["metadata"]["deletionTimestamp"] = "now"
        self.put(PODS, pod)
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        self._finish(name, self.now() + grace)

    def _finish(self, name: str, end: float) -> None:
        if name not in self.objects[PODS]:
            return
        if self.serving[name] == 0 or self.now() >= end:
            self.killed[name].set()
            self.remove(PODS, name)
        else:
            self.later(0.02, self._finish, name, end)

    def _resize(self, pod: dict, body: dict) -> dict:
        if not self.resize:
            raise not_found("pods/resize", pod["metadata"]["name"])
        changed = merged(pod, body, by_name=True)
        assert isinstance(changed, dict)
        name = pod["metadata"]["name"]
        if [_but_resources(each) for each in changed["spec"]["containers"]] != [
            _but_resources(each) for each in pod["spec"]["containers"]
        ]:
            raise Refused(422, "Invalid", "spec: Forbidden: only resources can be resized")
        if set(changed["spec"]["containers"][0]["resources"]["limits"]) != set(
            pod["spec"]["containers"][0]["resources"]["limits"]
        ):
            raise Refused(422, "Invalid", "resource limits cannot be added or removed")
        self.sent.append(("resize", f"pods/{name}"))
        result = self.put(PODS, changed)
        self.later(self.lag, self._resized, name)
        return result

    def _resized(self, name: str) -> None:
        pod = self.objects[PODS].get(name)
        if pod is None or pod["status"]["phase"] != "Running":
            return
        status = copy.deepcopy(pod["status"])
        cpu = pod["spec"]["containers"][0]["resources"]["limits"]["cpu"]
        if (float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)) > self.node_cores:
            pending = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
            status["conditions"] = [*status["conditions"], pending]
        else:
            status["containerStatuses"] = _statuses(pod)
        self.status(PODS, name, status)

    # --- requests to functions ------------------------------------------------------------------------------------

    async def invoke(self, name: str, takes: float) -> str:
        """Send a request to a Service, and wait for the answer; return the pod that gave it."""
        assert name in self.objects[SERVICES], f"there is no Service {name}"
        chosen = self.objects[SERVICES][name]["spec"]["selector"]
        free = [
            each["metadata"]["name"]
            for each in self.objects[PODS].values()
            if chosen.items() <= each["metadata"]["labels"].items()
            and is_ready(each)
            and "deletionTimestamp" not in each["metadata"]
        ]
        assert free, f"{name}: connection refused"
        return await self.serve(min(free, key=lambda each: self.serving[each]), takes)

    async def serve(self, pod: str, takes: float) -> str:
        self.serving[pod] += 1
        killed = self.killed[pod]
        try:
            async with asyncio.timeout(takes):
                await killed.wait()
            raise AssertionError(f"{pod} was killed while it served")
        except TimeoutError:
            return pod
        finally:
            self.serving[pod] -= 1


def is_ready(pod: dict) -> bool:
    return any(each["type"] == "Ready" for each in pod["status"].get("conditions", []))


def _statuses(pod: dict) -> list[dict]:
    return [{"name": each["name"], "resources": copy.deepcopy(each["resources"])} for each in pod["spec"]["containers"]]


def _but_resources(container: dict) -> dict:
    return {key: value for key, value in container.items() if key != "resources"}


def _without_versions(item: dict) -> dict:
    metadata = {
        key: value
        for key, value in item["metadata"].items()
        if key not in ("resourceVersion", "generation", "managedFields", "uid")
    }
    return {**item, "metadata": metadata}


# --- faults -----------------------------------------------------------------------------------------------------------


def answers(status: int, body: object = None, **headers: str):
    """The next request is answered so, whatever it was."""

    async def fault(request: web.Request) -> web.StreamResponse:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        text = body if isinstance(body, str) else json.dumps(body or {})
        return web.Response(status=status, text=text, headers=named, content_type="application/json")

    return fault


async def resets(request: web.Request) -> web.StreamResponse:
    request.transport.abort()
    return web.Response()


async def hangs(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5.0)
    return web.Response()


async def never_ends(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError, OSError):
        while True:
            await response.write(b" " * 65536)
    return response


async def passes(request: web.Request) -> None:
    return None
