"""The node's side of HTTP: requests are forwarded and their arrivals noted, and a controller is answered.

Whoever reaches the address can do all of this: it is on this machine only, and pages in a browser are refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from smiless_core.adapters.local.calls import Content
from smiless_core.adapters.local.node import Node
from smiless_core.adapters.local.pool import UnservedError
from smiless_core.adapters.local.wire import configuration_of, plain_configuration
from smiless_core.errors import InvalidInputError, PlatformError
from smiless_core.validation import mapping, text, whole_number

__all__ = ["ANNOUNCED", "Ingress"]

ANNOUNCED = "Smiless-Announced"
"""The header by which a request says that its invocation was announced."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_READ = 30.0  # seconds
_HERE = ("127.0.0.1", "localhost", "[::1]", "node")


class Ingress:
    """What a node answers.

    Parameters
    ----------
    node : Node
    largest : int
        Bytes that a request may have.
    """

    def __init__(self, node: Node, *, largest: int) -> None:
        self._node = node
        self.application = web.Application(client_max_size=largest, middlewares=[_guarded])
        self.application.add_routes(
            [
                web.post("/function/{name}", self._function),
                web.post("/invoke", self._invoke),
                web.post("/announce", self._announce),
                web.get("/arrivals", self._arrivals),
                web.get("/observe", self._observe),
                web.get("/statistics", self._statistics),
                web.get("/capabilities", self._capabilities),
                web.post("/apply", self._apply),
                web.post("/warm", self._warm),
                web.post("/retire", self._retire),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
            ]
        )

    # --- requests -------------------------------------------------------------------------------------------------

    async def _function(self, request: web.Request) -> web.Response:
        function = request.match_info["name"]
        self._node.pool(function)
        content = Content.of(await _body(request), request.headers)
        announced = request.headers.get(ANNOUNCED, "")
        return _answer(await self._node.call(function, content, announced=announced))

    async def _invoke(self, request: web.Request) -> web.Response:
        content = Content.of(await _body(request), request.headers)
        return _answer(await self._node.invoke(content, announced=request.headers.get(ANNOUNCED, "")))

    async def _announce(self, request: web.Request) -> web.Response:
        return web.json_response({"announced": self._node.announce()}, status=202)

    # --- the controller -------------------------------------------------------------------------------------------

    async def _apply(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        function, replicas = _function(asked), _replicas(asked)
        configuration = configuration_of(asked.get("configuration"))
        reason = self._node.deploy(function, configuration, replicas=replicas)
        return self._seen(function, unsupported=reason)

    async def _warm(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        function, replicas = _function(asked), _replicas(asked)
        pool = self._node.pool(function)
        if pool.configuration is None:
            raise PlatformError("nothing is deployed", "local", f"warm {function}", retryable=False)
        pool.warm(replicas)
        return self._seen(function)

    async def _retire(self, request: web.Request) -> web.Response:
        asked = await _json(request)
        function, replicas = _function(asked), _replicas(asked)
        self._node.pool(function).retire(replicas)
        return self._seen(function)

    async def _observe(self, request: web.Request) -> web.Response:
        return self._seen(request.query.get("function", ""))

    def _seen(self, function: str, *, unsupported: str = "") -> web.Response:
        pool = self._node.pool(function)
        return web.json_response(
            {
                "configuration": pool.configuration and plain_configuration(pool.configuration),
                "wanted": pool.kept,
                "ready": pool.ready,
                "in_flight": pool.in_flight,
                "most": self._node.limits.replicas,
                "crashes": pool.ledger.counts["crashes"],
                "trouble": pool.trouble,
                "unsupported": unsupported,
            }
        )

    async def _arrivals(self, request: web.Request) -> web.Response:
        arrived = self._node.arrivals(request.query.get("function", ""), since=request.query.get("since", ""))
        return web.json_response(arrived._asdict())

    async def _statistics(self, request: web.Request) -> web.Response:
        return web.json_response(self._node.statistics())

    async def _capabilities(self, request: web.Request) -> web.Response:
        node = self._node
        return web.json_response(
            {
                "runtime": node.runtime.name,
                "in_place_resize": node.runtime.in_place_resize,
                "max_replicas": node.limits.replicas,
                "functions": list(node.pools),
            }
        )

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        lines = "\n".join(_exposition(self._node)) + "\n"
        return web.Response(body=lines.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


@web.middleware
async def _guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuse what comes by way of a browser, and turn errors into one line of JSON."""
    host = request.headers.get("Host", "")
    if "Origin" in request.headers or (host.rsplit(":", 1)[0] if not host.endswith("]") else host) not in _HERE:
        return _error(403, "this is for programs on this machine")
    try:
        return await handler(request)
    except UnservedError as error:
        return _error(error.status, error.reason)
    except InvalidInputError as error:
        return _error(404 if error.message.startswith("no function named") else 400, str(error))
    except PlatformError as error:
        return _error(503 if error.retryable else 409, str(error))
    except web.HTTPException as error:
        return _error(error.status, error.reason)


def _answer(content: Content) -> web.Response:
    headers = {name: value for name, value in content.headers.items() if name != "Accept"}
    return web.Response(body=content.body, status=content.status, headers=headers)


def _error(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_READ):
            return await request.read()
    except TimeoutError:
        raise UnservedError(408, f"the request was not sent within {_READ:g} s") from None


async def _json(request: web.Request) -> dict[object, object]:
    try:
        return dict(mapping(json.loads(await _body(request)), "body"))
    except (ValueError, RecursionError):
        raise InvalidInputError("expected a JSON object", place="body") from None


def _function(asked: dict[object, object]) -> str:
    return text(asked.get("function"), "function")


def _replicas(asked: dict[object, object]) -> int:
    return whole_number(asked.get("replicas"), "replicas", at_least=0)


def _exposition(node: Node) -> Iterator[str]:
    """Yield the lines of the text exposition format of Prometheus, version 0.0.4."""
    pools = node.pools.items()
    counts = {
        "arrivals": "Requests that came.",
        "answered": "Requests that an instance answered.",
        "failed": "Requests without an answer, or with a status of 500 and more.",
        "cancelled": "Requests whose callers left before an instance had them.",
        "cold_starts": "Instances started since a request found none.",
        "starts": "Instances started.",
        "stops": "Instances stopped.",
        "resizes": "Instances given more or fewer cores.",
        "crashes": "Instances that failed.",
    }
    for key, help in counts.items():
        yield from (f"# HELP smiless_{key}_total {help}", f"# TYPE smiless_{key}_total counter")
        for name, pool in pools:
            yield f'smiless_{key}_total{{function="{name}"}} {pool.ledger.counts[key]}'
    gauges: dict[str, tuple[str, Callable[[Any], int]]] = {
        "instances": ("Instances of what is deployed.", lambda pool: pool.kept),
        "ready_instances": ("Those of them that can serve.", lambda pool: pool.ready),
        "in_flight": ("Requests that wait or are served.", lambda pool: pool.in_flight),
    }
    for key, (help, value) in gauges.items():
        yield from (f"# HELP smiless_{key} {help}", f"# TYPE smiless_{key} gauge")
        for name, pool in pools:
            yield f'smiless_{key}{{function="{name}"}} {value(pool)}'
    yield "# HELP smiless_instance_seconds_total What instances were doing."
    yield "# TYPE smiless_instance_seconds_total counter"
    for name, pool in pools:
        for (on, doing), seconds in sorted(pool.ledger.seconds(pool.running()).items()):
            where = f'hardware="{on.hardware}",size="{on.size:g}",batch="{on.batch}"'
            yield f'smiless_instance_seconds_total{{function="{name}",{where},doing="{doing}"}} {seconds:.6f}'
    yield "# HELP smiless_invocations_total Invocations of the application, by what came of them."
    yield "# TYPE smiless_invocations_total counter"
    for outcome in ("answered", "failed"):
        yield f'smiless_invocations_total{{outcome="{outcome}"}} {node.invocations[outcome]}'
    yield "# HELP smiless_invocations_within_sla_total Invocations answered within the sla."
    yield "# TYPE smiless_invocations_within_sla_total counter"
    yield f"smiless_invocations_within_sla_total {node.invocations['within_sla']}"
