"""The API server of a Kubernetes cluster: what the adapters and the lease on it ask, and how it may fail.

Credentials come from a kubeconfig or from the service account of the pod, as the official client reads them; they are
in headers only, never in a message. The server's answers are read up to a limit and checked before they are believed.
Watches are hints: what is there is always read.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smiless_core.errors import InvalidInputError, MissingExtraError, PlatformError
from smiless_core.validation import number, shown

if TYPE_CHECKING:
    import aiohttp

__all__ = ["FIELD_MANAGER", "Answer", "Cluster", "Resource", "field", "texts", "timestamp"]

FIELD_MANAGER = "smiless"
"""In whose name fields are set: server-side apply knows by it what is ours."""

_MOST_READ = 1 << 20  # bytes of one answer, or of one event
_MOST_SAID = 300  # characters of what the server says that are repeated
_MOST_WAIT = 3600.0  # seconds that a server may ask to wait
_PAGE = 50  # objects in a part of a list
_ATTEMPTS = 5  # at a list whose parts expire while they are read

_NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_JSON, _APPLY = "application/json", "application/apply-patch+yaml"
_MERGE, _STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"


class Resource(NamedTuple):
    """A kind of object in a namespace.

    Attributes
    ----------
    api : str
        Where it is served, such as ``apis/apps/v1``.
    plural : str
        Such as ``deployments``.
    """

    api: str
    plural: str


class Answer(NamedTuple):
    """What the server says.

    Attributes
    ----------
    status : int
        Of HTTP.
    body : mapping
        An object; empty if it said nothing.
    """

    status: int
    body: Mapping[str, Any]


class Cluster:
    """A connection to the API server of a cluster, made when it is first needed.

    Parameters
    ----------
    kubeconfig : path-like, optional
        A file with credentials. By default what ``KUBECONFIG`` names, else ``~/.kube/config``, else the service account
        of the pod that this runs in.
    context : str, optional
        Which of its contexts; by default the current one.
    namespace : str, optional
        Where the objects are; by default that of the context or the pod.
    connect_timeout, read_timeout : float, default 5 and 10
        Seconds to wait for a connection, and for each part of an answer.
    watch_timeout : float, default 240
        Seconds after which the server ends a watch, 60 to 300 where it is a real one; it is begun again.
    resync : float, default 1
        Seconds after which one looks again, whatever a watch says.
    now : callable, default `time.time`
        What time it is, seconds.
    jitter : callable, default `random.random`
        Draws from [0, 1), so that many do not come back at once.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    def __init__(
        self,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        *,
        namespace: str | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        watch_timeout: float = 240.0,
        resync: float = 1.0,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kubeconfig = None if kubeconfig is None else os.fspath(kubeconfig)
        self._context = context
        self._namespace = namespace
        self._connect_timeout = number(connect_timeout, "connect_timeout", above=0.0)
        self._read_timeout = number(read_timeout, "read_timeout", above=0.0)
        self._watch_timeout = number(watch_timeout, "watch_timeout", at_least=1.0)
        self._resync = number(resync, "resync", above=0.0)
        self.now = now
        self.jitter = jitter
        self._client: Any = None  # the official client is typed only in parts
        self._refused: list[Any] = []
        self._connecting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Cluster(kubeconfig={self._kubeconfig!r}, context={self._context!r}, namespace={self._namespace!r})"

    # --- objects --------------------------------------------------------------------------------------------------

    async def read(self, resource: Resource, name: str, subresource: str = "") -> Mapping[str, Any] | None:
        """Return an object, or None if there is none of this name."""
        answer = await self._ask("GET", resource, name, subresource, accept=(404,))
        return None if answer.status == 404 else answer.body

    async def list(self, resource: Resource, selector: str) -> Sequence[Mapping[str, Any]]:
        """Return all objects with certain labels.

        A list is read in parts; if it has changed so much meanwhile that the server has forgotten what it was (410),
        it is read again.
        """
        for attempt in range(_ATTEMPTS):
            found: list[Mapping[str, Any]] = []
            more: dict[str, str] = {}
            while True:
                query = {"labelSelector": selector, "limit": str(_PAGE), **more}
                answer = await self._ask("GET", resource, query=query, accept=(410,))
                if answer.status == 410:
                    break
                found += [each for each in _sequence(answer.body.get("items")) if isinstance(each, Mapping)]
                token = field(answer.body, "metadata", "continue")
                if not token:
                    return found
                more = {"continue": str(token)}
            await self._pause(attempt)
        raise self._error("a list expired again and again while it was read (410)", f"list {resource.plural}")

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Make an object; None if there is one of that name already."""
        answer = await self._ask("POST", resource, body=body, query=_MANAGER, accept=(409,))
        return None if answer.status == 409 else answer.body

    async def replace(self, resource: Resource, name: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Put an object in the place of the one it was read as; None if that has changed or gone meanwhile."""
        answer = await self._ask("PUT", resource, name, body=body, query=_MANAGER, accept=(404, 409))
        return answer.body if answer.status < 300 else None

    async def merge(
        self, resource: Resource, name: str, changes: Mapping[str, Any], subresource: str = ""
    ) -> Mapping[str, Any] | None:
        """Change some fields; None if the object has gone, or is no longer of the version that is named.

        The containers of a pod are merged by name, other sequences are replaced.
        """
        kind = _STRATEGIC if resource.plural == "pods" else _MERGE
        answer = await self._ask(
            "PATCH", resource, name, subresource, body=changes, query=_MANAGER, kind=kind, accept=(404, 409)
        )
        return answer.body if answer.status < 300 else None

    async def apply(self, resource: Resource, body: Mapping[str, Any], accept: Iterable[int] = ()) -> Answer:
        """Have an object with these fields, and own them: server-side apply, made if there is none.

        Fields that others have set to something else are taken over, as Kubernetes recommends to controllers for
        objects that are theirs.
        """
        name = str(field(body, "metadata", "name"))
        query = {**_MANAGER, "force": "true"}
        return await self._ask("PATCH", resource, name, body=body, query=query, kind=_APPLY, accept=tuple(accept))

    async def delete(self, resource: Resource, name: str) -> None:
        """Remove an object if it is there."""
        await self._ask("DELETE", resource, name, accept=(404,))

    async def serves(self, api: str, name: str) -> bool:
        """Return whether the server has a resource, such as ``pods/resize`` of ``api/v1``."""
        answer = await self._ask("GET", Resource(api, ""), accept=(404,))
        return any(field(each, "name") == name for each in _sequence(answer.body.get("resources")))

    async def version(self) -> tuple[int, int]:
        """Return major and minor version of the server."""
        body = (await self._request("GET", "/version", doing="read the version")).body
        digits = ["".join(mark for mark in str(body.get(key)) if mark.isdigit()) for key in ("major", "minor")]
        if not all(digits):
            raise self._error(f"expected a version, got {shown(body)}", "read the version")
        return int(digits[0]), int(digits[1])

    async def namespace(self) -> str:
        """Return where objects are."""
        await self._connected()
        return self._namespace or "default"

    async def close(self) -> None:
        """Let go of connections; they are made again when they are needed."""
        clients = [*self._refused, self._client]
        self._refused, self._client = [], None
        for client in clients:
            if client is not None:
                await client.close()

    # --- waiting --------------------------------------------------------------------------------------------------

    async def changes(self, resource: Resource, name: str, *, by: float) -> AsyncGenerator[None, None]:
        """Yield at once, whenever an object may have changed, now and then in any case, and a last time at the end.

        Parameters
        ----------
        resource : Resource
        name : str
        by : float
            When to end.

        Yields
        ------
        None
            Time to look.
        """
        yield
        if self.now() >= by:
            return
        told = asyncio.Event()
        watching = asyncio.ensure_future(self._watch(resource, name, told))
        try:
            while (left := by - self.now()) > 0.0:
                try:
                    async with asyncio.timeout(min(self._resync * (0.75 + 0.5 * self.jitter()), left)):
                        await told.wait()
                except TimeoutError:
                    pass
                told.clear()
                yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, resource: Resource, name: str, told: asyncio.Event) -> None:
        """Set an event whenever an object may have changed. Failures only mean that it is not told."""
        failures = 0
        version = ""
        while True:
            begun = self.now()
            try:
                async with aclosing(self._events(resource, name, version)) as events:
                    async for event in events:
                        if event.get("type") == "ERROR":  # 410, mostly: begin with what is there now
                            version = ""
                            told.set()
                            break
                        version = str(field(event, "object", "metadata", "resourceVersion") or version)
                        if event.get("type") != "BOOKMARK":
                            told.set()
            except PlatformError:
                version = ""
            # Something may have been missed; a watch that ends at once is not begun again at once.
            told.set()
            failures = failures + 1 if self.now() - begun < 1.0 else 0
            await self._pause(failures)

    async def _events(self, resource: Resource, name: str, version: str) -> AsyncGenerator[Mapping[str, Any], None]:
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(self._watch_timeout * (0.8 + 0.2 * self.jitter())))),
        }
        if version:
            query["resourceVersion"] = version
        path = await self._path(resource)
        # The server ends it first, unless it is gone.
        async with self._open("GET", path, query=query, silence=self._watch_timeout + self._read_timeout) as response:
            if response.status != 200:
                raise self._error(f"a watch was refused ({response.status})", f"watch {resource.plural}")
            try:
                while line := await response.content.readline():
                    yield _object(line, lambda problem: self._error(problem, f"watch {resource.plural}"))
            except ValueError:
                raise self._error("an event is longer than can be", f"watch {resource.plural}") from None

    async def _pause(self, failures: int) -> None:
        """Wait longer the more has failed, and not all at the same time."""
        await asyncio.sleep(min(0.1 * 2.0 ** min(failures, 10), 30.0) * (0.5 + self.jitter()))

    # --- transport ------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        resource: Resource,
        name: str = "",
        subresource: str = "",
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        kind: str = _JSON,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        doing = " ".join(filter(None, (method.lower(), resource.plural or resource.api, name, subresource)))
        path = await self._path(resource, name, subresource)
        return await self._request(method, path, body=body, query=query, kind=kind, accept=accept, doing=doing)

    async def _path(self, resource: Resource, name: str = "", subresource: str = "") -> str:
        namespace = await self.namespace()
        where = ("namespaces", namespace, resource.plural) if resource.plural else ()
        return "/" + "/".join(filter(None, (resource.api, *where, name, subresource)))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        kind: str = _JSON,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """Send a request and read the answer.

        Raises
        ------
        PlatformError
            If there is none, or one that is not among those that are accepted, or one that makes no sense.
        """
        try:
            async with self._open(method, path, query=query, body=body, kind=kind, doing=doing) as response:
                content = bytearray()
                async for part in response.content.iter_any():
                    content += part
                    if len(content) > _MOST_READ:
                        raise self._error(f"an answer of more than {_MOST_READ} bytes", doing)
                status, after = response.status, response.headers.get("Retry-After")
        except PlatformError as error:
            if not error.doing:
                raise PlatformError(error.message, error.platform, doing, error.retryable, error.retry_after) from None
            raise
        if status < 300 or status in accept:
            if status in accept:  # then what it says besides does not matter
                return Answer(status, {})
            return Answer(status, _object(bytes(content), lambda problem: self._error(problem, doing)))
        if status == 401 and self._client is not None:
            # What a token was may have changed: credentials are read again. What else is under way goes on.
            self._refused.append(self._client)
            self._client = None
        if 300 <= status < 400:
            raise self._error(f"it redirects ({status}), which an API server does not", doing, retryable=False)
        raise self._error(
            f"{_said(bytes(content))} ({status})",
            doing,
            retryable=status in (401, 408, 409, 410, 425, 429) or status >= 500,
            retry_after=_wait(after, self.now()),
        )

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = _JSON,
        silence: float | None = None,
        doing: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        client = await self._connected()
        import aiohttp

        try:
            parameters = list((query or {}).items())
            method, url, headers, content, _ = await client.param_serialize(
                method,
                path,
                query_params=parameters,
                header_params={"Accept": _JSON, "Content-Type": kind},
                body=body,
                auth_settings=["BearerToken"],
            )
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_timeout, sock_read=silence or self._read_timeout
            )
            # Without a body of its own a DELETE would be sent the text "null".
            got = await client.rest_client.request(method, url, headers=headers, body=content, _request_timeout=timeout)
            async with got.response as response:
                yield response
        except _Redirected as error:
            raise self._error(
                f"it redirects ({error.status}), which an API server does not", doing, retryable=False
            ) from None
        except TimeoutError:
            raise self._error("no answer in time", doing) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._error(f"its certificate is not trusted: {_brief(error)}", doing, retryable=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._error(_brief(error), doing) from None

    def _error(
        self, message: str, doing: str = "", *, retryable: bool = True, retry_after: float | None = None
    ) -> PlatformError:
        return PlatformError(message, "kubernetes", doing, retryable, retry_after)

    # --- credentials ----------------------------------------------------------------------------------------------

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> Any:
        try:
            import aiohttp
            import yaml
            from kubernetes.aio import client, config
        except ImportError:
            raise MissingExtraError("kubernetes", "talking to a cluster") from None

        credentials: Any = config
        configuration: Any = client.Configuration()
        default = os.environ.get("KUBECONFIG", os.path.expanduser("~/.kube/config"))
        path = self._kubeconfig or (default if os.path.exists(default.split(os.pathsep)[0]) else None)
        try:
            if path is not None:
                loader = await credentials.load_kube_config(
                    path, self._context, client_configuration=configuration, persist_config=False
                )
                self._namespace = self._namespace or field(loader.current_context, "context", "namespace")
                if getattr(loader, "_user", None) and "exec" in loader._user:
                    configuration.refresh_api_key_hook = _refreshing(loader)
            else:
                credentials.load_incluster_config(configuration)
                if self._namespace is None:
                    self._namespace = await asyncio.to_thread(Path(_NAMESPACE_FILE).read_text, "utf-8")
        except (config.ConfigException, OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            # What is in it is not repeated: there are secrets among it.
            what = path or "the service account of this pod"
            raise InvalidInputError("no credentials of a cluster can be read from it", file=what) from None

        redirects = aiohttp.TraceConfig()
        redirects.on_request_redirect.append(_refuse_redirect)
        configuration.trace_configs = [redirects]
        made: Any = client.ApiClient(configuration)
        made.user_agent = FIELD_MANAGER
        return made


_MANAGER: Mapping[str, str] = {"fieldManager": FIELD_MANAGER}


class _Redirected(Exception):
    """Credentials do not follow a redirect to who knows where."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def _refuse_redirect(session: object, context: object, parameters: aiohttp.TraceRequestRedirectParams) -> None:
    parameters.response.close()
    raise _Redirected(parameters.response.status)


def _refreshing(loader: Any) -> Callable[[Any], Any]:
    """Have a credential plugin run again once its token has expired; the loader knows when."""

    async def refresh(configuration: Any) -> None:
        await loader.load_from_exec_plugin()
        if token := getattr(loader, "token", None):
            configuration.api_key["BearerToken"] = token

    return refresh


def field(value: Any, *path: str) -> Any:
    """Return what is at a place in an object of the server, or None: nothing in it can be relied on."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def texts(value: Any, *path: str) -> dict[str, str]:
    """Return a mapping of texts, such as annotations, at a place in an object of the server."""
    found = field(value, *path)
    return {str(key): str(each) for key, each in found.items()} if isinstance(found, Mapping) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _object(content: bytes, error: Callable[[str], PlatformError]) -> Mapping[str, Any]:
    if not content.strip():
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise error("the answer is not JSON") from None
    if not isinstance(found, dict):
        raise error(f"expected an object, got {shown(found)}")
    return found


def _said(content: bytes) -> str:
    """Return the message of a failure, if there is one that can be read."""
    try:
        message = field(json.loads(content), "message")
    except (ValueError, RecursionError):
        message = None
    return message[:_MOST_SAID] if isinstance(message, str) and message else "it refuses without a reason"


def _wait(value: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After header: a number, or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), _MOST_WAIT) if math.isfinite(seconds) else None


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:_MOST_SAID]


def timestamp(seconds: float) -> str:
    """Return a time as Kubernetes writes it, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
