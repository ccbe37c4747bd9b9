"""Requests to instances, over HTTP on 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import aiohttp

from smiless_core.adapters.local.pool import UnservedError
from smiless_core.adapters.services import Service

__all__ = ["Calls", "Content"]

# What tells what a body is, and whose request it belongs to; all else is between two ends of one connection.
_CARRIED = ("Accept", "Content-Type", "Traceparent", "Tracestate", "X-Request-Id")


class Content(NamedTuple):
    """What is sent to a function, or what it answers.

    Attributes
    ----------
    body : bytes
    headers : mapping of str to str
        Those that are carried along.
    status : int
        That of an answer.
    """

    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    status: int = 200

    @classmethod
    def of(cls, body: bytes, headers: Mapping[str, str], status: int = 200) -> Content:
        """Return a content with what is carried along of the headers."""
        return cls(body, {name: headers[name] for name in _CARRIED if name in headers}, status)


class Calls:
    """A client for all instances of a node.

    Parameters
    ----------
    timeout : float
        Seconds that an answer may take.
    largest : int
        Bytes that an answer may have.
    """

    def __init__(self, *, timeout: float, largest: int) -> None:
        self._timeout = timeout
        self._largest = largest
        # A connection for each request: one that was kept may be closed from the other side just when it is used.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )

    async def ready(self, service: Service, port: int) -> bool:
        """Tell whether an instance can serve."""
        try:
            if not service.ready:
                _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1.0)
                writer.close()
                return True
            async with self._session.get(
                f"http://127.0.0.1:{port}{service.ready}",
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=1.0),
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def send(self, service: Service, port: int, content: Content) -> Content:
        """Send a request to an instance.

        Raises
        ------
        UnservedError
            If it does not answer, or with too much; with status 504 if it may still be at it.
        """
        try:
            async with self._session.post(
                f"http://127.0.0.1:{port}{service.path}",
                data=content.body,
                headers=content.headers,
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_chunked(65_536):
                    body += piece
                    if len(body) > self._largest:
                        raise UnservedError(502, f"the answer has more than {self._largest} bytes")
                return Content.of(bytes(body), response.headers, response.status)
        except TimeoutError:
            raise UnservedError(504, f"no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UnservedError(502, f"the instance did not answer: {reason}") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
