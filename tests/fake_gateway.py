"""A gateway of OpenFaaS with its provider and its Prometheus, over real sockets; what it does is that of the documents
named in docs/platforms/openfaas.md, with shorter times, and with faults on demand.

It is as unkind as Kubernetes may be: when instances have to go, those that serve go first.
"""

import asyncio
import base64
import contextlib
import json
import re
import time

from aiohttp import web

PRO_PROVIDER, COMMUNITY_PROVIDER = "faas-netes", "faas-netes-ce"
MOST_REPLICAS, MOST_FUNCTIONS = 5, 15


class Instance:
    def __init__(self, document: dict, available_at: float, loaded_at: float) -> None:
        self.document = document
        self.available_at = available_at
        self.loaded_at = loaded_at
        self.serving = 0
        self.killed = False


class Function:
    def __init__(self, document: dict) -> None:
        self.document = document
        self.replicas = 1
        self.instances: list[Instance] = []
        self.old: list[Instance] = []
        self.rolled = 0
        self.turn = 0


class FakeGateway:
    def __init__(
        self,
        *,
        pro: bool = False,
        provider: str | None = None,
        gateway_clamps: bool = True,
        password: str = "",
        quantum: float = 0.02,
        loads: float = 0.0,
        takes: float = 0.3,
        echoes: bool = False,
        namespace: str = "openfaas-fn",
        tls=None,
    ) -> None:
        self.pro = pro
        self.provider = provider or (PRO_PROVIDER if pro else COMMUNITY_PROVIDER)
        self.gateway_clamps = gateway_clamps and not pro
        self.password = password
        self.quantum, self.loads, self.takes = quantum, loads, takes
        self.echoes = echoes
        self.namespace = namespace
        self.tls = tls
        self.functions: dict[str, Function] = {}
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[tuple[str, str, object]] = []
        self.faults: list[list] = []
        self.cut = 0  # requests that were under way in an instance that was let go
        self.leaked: list[str] = []  # requests to functions that brought a password along
        self.readings: dict[tuple, list[tuple[float, float]]] = {}
        self.counts_updates = True

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "FakeGateway":
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    def fail(self, kind: str, *, method: str = "", path: str = "", times: int = 1) -> None:
        """Let the next requests of a kind go wrong."""
        self.faults.append([kind, method, path, times])

    def changes(self) -> int:
        return len(self.bodies)

    # --- requests -----------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        for fault in self.faults:
            kind, method, path, times = fault
            if times and request.method.startswith(method) and request.path.startswith(path):
                fault[3] -= 1
                if (answer := await self._fault(kind, request)) is not None:
                    return answer
        path = request.path
        if path == "/api/v1/query":
            return self._query(request)
        if path.startswith("/function/"):
            return await self._invoke(request)
        if self.password:
            wanted = base64.b64encode(f"admin:{self.password}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {wanted}":
                return web.Response(status=401, text="invalid credentials")
        for function in self.functions.values():
            self._refresh(function)
        if request.method in ("POST", "PUT", "DELETE"):
            body = await request.json()
            self.bodies.append((request.method, request.path_qs, body))
            if path == "/system/functions" and request.method == "DELETE":
                return web.Response(status=202 if self.functions.pop(body["functionName"], None) else 404)
            if path == "/system/functions":
                return self._deploy(body) if request.method == "POST" else self._update(body)
            if path.startswith("/system/scale-function/"):
                return self._scale(path.rsplit("/", 1)[1], request.query.get("namespace", ""), body)
        elif path == "/system/info":
            version = {"sha": "0", "release": "0.27.0"}
            provider = {"provider": self.provider, "orchestration": "kubernetes", "version": version}
            return web.json_response({"provider": provider, "version": version, "arch": "x86_64"})
        elif path == "/system/functions":
            return web.json_response([self._status(name, counted=True) for name in self.functions])
        elif path.startswith("/system/function/"):
            name = path.rsplit("/", 1)[1]
            if name not in self.functions or request.query.get("namespace", self.namespace) != self.namespace:
                return web.Response(status=404)
            return web.json_response(self._status(name, counted=False))
        return web.Response(status=404, text="page not found")

    def _deploy(self, body: dict) -> web.Response:
        name = body["service"]
        if not self.pro:
            if body.get("namespace", self.namespace) != self.namespace:
                return web.Response(status=400, text=f"namespace must be: {self.namespace}")
            if len(self.functions) + 1 > MOST_FUNCTIONS:
                return web.Response(status=400, text=f"unable to create function, maximum: {MOST_FUNCTIONS}")
        if name in self.functions:
            return web.Response(status=500, text=f'unable create Deployment: deployments.apps "{name}" already exists')
        self.functions[name] = Function(self._kept(body))
        self._start(self.functions[name], 1)
        return web.Response(status=202)

    def _update(self, body: dict) -> web.Response:
        if body["service"] not in self.functions:
            return web.Response(status=404, text="unable update Deployment: not found")
        function = self.functions[body["service"]]
        # Also where nothing changes: a label, "uid", is different each time.
        function.rolled += 1
        function.document = self._kept(body)
        function.old += function.instances
        function.instances = []
        self._start(function, function.replicas)
        return web.Response(status=202)

    def _kept(self, body: dict) -> dict:
        if self.pro:
            return body
        # The Community Edition takes cpu and memory, and knows nothing else of resources.
        limits = {key: value for key, value in body.get("limits", {}).items() if key in ("cpu", "memory")}
        return {**body, "limits": limits}

    def _scale(self, name: str, namespace: str, body: dict) -> web.Response:
        replicas = body["replicas"]
        # The gateway goes by what is in the body, the provider by the query.
        if self.gateway_clamps:
            replicas = min(max(replicas, 1), MOST_REPLICAS)
        if not self.pro:
            if namespace not in ("", self.namespace):
                return web.Response(status=400, text=f"namespace must be: {self.namespace}")
            if replicas == 0:
                return web.Response(status=400, text="replicas cannot be set to 0 in OpenFaaS CE")
            replicas = min(replicas, MOST_REPLICAS)
        if name not in self.functions:
            return web.Response(status=500, text=f"Unable to lookup function deployment {name}")
        function = self.functions[name]
        function.replicas = replicas
        self._start(function, replicas - len(function.instances))
        while len(function.instances) > replicas:
            gone = max(function.instances, key=lambda each: each.serving)
            self.cut += gone.serving
            gone.killed = True
            function.instances.remove(gone)
        return web.Response(status=202)

    def _start(self, function: Function, count: int) -> None:
        available = time.time() + 2 * self.quantum
        function.instances += [
            Instance(function.document, available, available + self.loads) for _ in range(max(count, 0))
        ]

    def _refresh(self, function: Function) -> None:
        ready = sum(each.available_at <= time.time() for each in function.instances)
        if function.old and ready >= function.replicas:
            function.old = [each for each in function.old if each.serving]  # stopped gracefully, by a rolling update

    def _status(self, name: str, *, counted: bool) -> dict:
        function = self.functions[name]
        self._refresh(function)
        available = sum(each.available_at <= time.time() for each in [*function.old, *function.instances])
        status = {
            "name": name,
            "image": function.document["image"],
            "namespace": self.namespace,
            "replicas": function.replicas,
            "availableReplicas": available,
            "labels": {"faas_function": name, "uid": str(function.rolled)},
            "annotations": {**function.document.get("annotations", {}), "prometheus.io.scrape": "false"},
            "limits": function.document.get("limits"),
            "createdAt": "2026-01-01T00:00:00Z",
        }
        if counted:  # by the gateway, from its Prometheus, and only in the list
            count = sum(
                each[-1][1]
                for (metric, labels), each in self.readings.items()
                if metric == "gateway_function_invocation_total"
                and dict(labels)["function_name"] == f"{name}.{self.namespace}"
            )
            status["invocationCount"] = count if self.counts_updates else 0
        return status

    async def _invoke(self, request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            self.leaked.append(request.path)
        name, _, rest = request.path.removeprefix("/function/").partition("/")
        function = self.functions.get(name.removesuffix(f".{self.namespace}"))
        label = name if "." in name else f"{name}.{self.namespace}"
        self.count("gateway_function_invocation_started", function_name=label)
        status, headers = 404, {}
        if function:
            status, headers = await self._serve(function, request, rest)
        self.count("gateway_function_invocation_total", function_name=label, code=str(status))
        return web.Response(status=status, headers=headers)

    async def _serve(self, function: Function, request: web.Request, rest: str) -> tuple[int, dict]:
        self._refresh(function)
        able = [each for each in [*function.old, *function.instances] if each.available_at <= time.time()]
        if not able:
            return 503, {}
        function.turn += 1
        instance = able[function.turn % len(able)]
        echo = {"X-Smiless-Deployment": instance.document["envVars"]["SMILESS_DEPLOYMENT"]} if self.echoes else {}
        if instance.loaded_at > time.time():
            return 503, echo
        if "X-Smiless-Warming" in request.headers:
            return 200, echo
        instance.serving += 1
        try:
            await asyncio.sleep(self.takes)
        finally:
            instance.serving -= 1
        return (502 if instance.killed else 200), echo

    # --- Prometheus ---------------------------------------------------------------------------------------------

    def count(self, metric: str, **labels: str) -> None:
        series = self.readings.setdefault((metric, tuple(sorted(labels.items()))), [])
        series.append((time.time(), series[-1][1] + 1.0 if series else 1.0))

    def _query(self, request: web.Request) -> web.Response:
        expression, at = request.query["query"], float(request.query["time"])
        selectors = re.findall(r'\{((?:"(?:[^"\\]|\\.)*"|[^}])*)\}(?:\[(\d+)ms\])?', expression)
        found = [self._select(labels) for labels, _ in selectors]
        if selectors[0][1]:
            begin = at - int(selectors[0][1]) / 1000.0
            result = []
            for (metric, labels), readings in found[0]:
                values = [[when, str(value)] for when, value in readings if begin < when]
                values.append([time.time(), str(readings[-1][1])])
                result.append({"metric": {"__name__": metric, **dict(labels)}, "values": values})
            return self._success("matrix", result)
        sums = [sum(readings[-1][1] for _, readings in each) for each in found]
        # sum() of nothing is nothing, not 0.
        result = [{"metric": {}, "value": [at, str(sums[0] - sum(sums[1:]))]}] if found[0] else []
        return self._success("vector", result)

    def _success(self, kind: str, result: list) -> web.Response:
        return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})

    def _select(self, labels: str) -> list:
        matchers = [
            (label, sign, json.loads(f'"{value}"'))
            for label, sign, value in re.findall(r'(\w+)(=~|=)"((?:[^"\\]|\\.)*)"', labels)
        ]
        return [
            ((metric, names), readings)
            for (metric, names), readings in self.readings.items()
            if all(
                (re.fullmatch(value, {"__name__": metric, **dict(names)}.get(label, "")) is not None)
                if sign == "=~"
                else {"__name__": metric, **dict(names)}.get(label) == value
                for label, sign, value in matchers
            )
        ]

    # --- faults -------------------------------------------------------------------------------------------------

    async def _fault(self, kind: str, request: web.Request) -> web.StreamResponse | None:
        if kind == "reset":
            request.transport.abort()
            return web.Response()
        if kind == "slow":
            await asyncio.sleep(30.0)
        if kind == "slow body" or kind == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await response.write(b" " * (1 if kind == "slow body" else 2**16))
                    await asyncio.sleep(0.05 if kind == "slow body" else 0.0)
            return response
        if kind == "silent":  # what a provider does that has logged an error and returned
            return web.Response(status=200)
        if kind == "busy":
            return web.Response(status=429, headers={"Retry-After": "7"}, text="slow down")
        if kind == "echo":  # an error page that repeats what it was sent
            return web.Response(status=500, text=str(dict(request.headers)))
        if kind.startswith("elsewhere "):
            return web.Response(status=307, headers={"Location": kind.removeprefix("elsewhere ")})
        if kind.isdigit():
            return web.Response(status=int(kind), text=f"error {kind}\nwith a second line")
        return web.Response(status=200, text=kind, content_type="application/json")
