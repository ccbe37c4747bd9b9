"""Calls to an HTTP service that may fail, lie or never end: what comes back is whole, or a `PlatformError` of one line.

Passwords come from a file or from an environment variable, are read when they are needed, and go nowhere but into the
header of a request to the address that they were given for: no redirect is followed.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable, Collection, Mapping
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from smiless_core.errors import InvalidInputError, MissingExtraError, PlatformError
from smiless_core.placing import reason_of
from smiless_core.validation import flag, number, text

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Answer", "Site"]

T = TypeVar("T")

_CHUNK = 64 * 2**10
_LARGEST_SECRET = 64 * 2**10
_MOST_CHARACTERS_SHOWN = 200
_BUSY = (429, 503)


class Answer(NamedTuple):
    """What a service has answered.

    Attributes
    ----------
    status : int
    headers : mapping of str to str
        Without regard to upper and lower case.
    body : bytes
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Site:
    """One HTTP service at one address.

    Parameters
    ----------
    url : str
        Its address: scheme, host and perhaps a path, without a password.
    platform : str
        What errors call it.
    now : callable
        What time it is, seconds since 1970: only for answers that say when to come back.
    user : str, default ""
        The user of basic authentication; none without a password.
    password_file : path-like, optional
        The file that holds the password.
    password_variable : str, optional
        The environment variable that holds it.
    ca_file : path-like, optional
        Certificates to trust instead of those of the system.
    verify : bool, default True
        Whether certificates are checked at all.
    timeout : float, default 10
        Seconds within which a call has to be over.
    largest : int, default 1 MiB
        The longest body that is read, in bytes.

    Raises
    ------
    InvalidInputError
        If a value makes no sense, or a file cannot be read.
    MissingExtraError
        If aiohttp is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        platform: str,
        now: Callable[[], float],
        user: str = "",
        password_file: str | os.PathLike[str] | None = None,
        password_variable: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        verify: bool = True,
        timeout: float = 10.0,
        largest: int = 2**20,
    ) -> None:
        if find_spec("aiohttp") is None:
            raise MissingExtraError("openfaas", f"talking to {platform}")
        self._url = _checked_address(url)
        self._platform = platform
        self._now = now
        self._user = text(user, "user") if user else ""
        if password_file is not None and password_variable is not None:
            raise InvalidInputError("expected a password_file or a password_variable, not both", place="password_file")
        if ":" in self._user:
            raise InvalidInputError("a user of basic authentication has no ':'", place="user")
        self._password_file = password_file
        self._password_variable = password_variable
        self._timeout = number(timeout, "timeout", above=0.0)
        self._largest = largest
        self._tls = _tls(self._url, ca_file, flag(verify, "verify"))
        self._session: aiohttp.ClientSession | None = None
        self._secrets: tuple[str, ...] = ()
        self._authorization()  # a password that is not there is found out now

    async def call(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        accepted: Collection[int] = (),
        authorize: bool = True,
        timeout: float | None = None,
    ) -> Answer:
        """Send a request and read the answer to its end.

        Parameters
        ----------
        method, path : str
            The path begins with ``/`` and is quoted where it has to be.
        doing : str
            What for: it goes into errors.
        query : mapping of str to str, optional
            Goes behind the path.
        body : object, optional
            Goes as JSON.
        headers : mapping of str to str, optional
            Go along.
        accepted : collection of int, optional
            Answers that are no errors, beside those of 200 to 299.
        authorize : bool, default True
            Whether the password goes along.
        timeout : float, optional
            Seconds within which it has to be over.

        Returns
        -------
        Answer
            Its status is one of 200 to 299, or accepted.

        Raises
        ------
        PlatformError
            If there is no answer, or another one.
        """
        import aiohttp

        sent = {"Accept": "application/json", **(headers or {})}
        if authorize:
            try:
                authorization = self._authorization()
            except InvalidInputError as error:  # it was there at first
                raise self.error(f"no password: {error}", doing) from None
            if authorization:
                sent["Authorization"] = authorization
        if body is not None:
            sent["Content-Type"] = "application/json"
        limit = self._timeout if timeout is None else max(timeout, 0.001)
        # Their own errors hold the request with its headers: nothing of them goes on, and nothing is chained.
        try:
            async with self._opened().request(
                method,
                self._url + path,
                params=dict(query or {}),
                data=None if body is None else msgspec.json.encode(body),
                headers=sent,
                allow_redirects=False,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=limit),
            ) as response:
                answer = Answer(response.status, response.headers, await self._read(response, doing))
        except TimeoutError:
            raise self.error(f"no whole answer within {limit:g} s", doing) from None
        except aiohttp.ClientConnectorCertificateError:
            raise self.error("its certificate is not trusted", doing, retryable=False) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self.error(f"the connection failed ({type(error).__name__})", doing) from None
        if 200 <= answer.status < 300 or answer.status in accepted:
            return answer
        raise self._refusal(answer, doing)

    def decoded(self, answer: Answer, kind: type[T], doing: str) -> T:
        """Return the JSON of an answer as a type that `msgspec` checks.

        Raises
        ------
        PlatformError
            If it is none, or not of that type.
        """
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = "an empty body" if not answer.body.strip() else self.shown(str(error))
            raise self.error(f"it answers what makes no sense: {what}", doing) from None

    def error(
        self, message: str, doing: str, *, retryable: bool = True, retry_after: float | None = None
    ) -> PlatformError:
        """Return an error of this service."""
        return PlatformError(message, self._platform, doing, retryable, retry_after)

    def shown(self, told: str) -> str:
        """Return what a service has told on one short line, without the passwords that it may have been told."""
        for secret in self._secrets:
            told = told.replace(secret, "***")
        told = " ".join(told.split())
        return told if len(told) <= _MOST_CHARACTERS_SHOWN else told[: _MOST_CHARACTERS_SHOWN - 3] + "..."

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None or self._session.closed:
            # No cookies, no proxies and no passwords from elsewhere (.netrc).
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self._session

    def _authorization(self) -> str:
        """Return the header, read afresh: passwords change while controllers run."""
        if self._password_file is not None:
            try:
                with open(self._password_file, encoding="utf-8") as file:
                    password = file.read(_LARGEST_SECRET).strip("\r\n")
            except (OSError, ValueError) as error:
                why = reason_of(error) if isinstance(error, OSError) else "not UTF-8 text"
                raise InvalidInputError(why, place="password_file", file=os.fspath(self._password_file)) from None
        elif self._password_variable is not None:
            found = os.environ.get(self._password_variable)
            if found is None:
                raise InvalidInputError(
                    f"the environment has no variable {self._password_variable!r}", place="password_variable"
                )
            password = found
        else:
            return ""
        encoded = base64.b64encode(f"{self._user}:{password}".encode()).decode()
        self._secrets = tuple(each for each in (encoded, password) if each)
        return f"Basic {encoded}"

    async def _read(self, response: aiohttp.ClientResponse, doing: str) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self._largest:
                raise self.error(f"it answers more than {self._largest:,} bytes", doing)
        return bytes(body)

    def _refusal(self, answer: Answer, doing: str) -> PlatformError:
        told = self.shown(answer.body.decode("utf-8", "replace"))
        if answer.status in (401, 403):
            return self.error(f"it refuses the user or the password ({answer.status})", doing, retryable=False)
        if 300 <= answer.status < 400:
            return self.error(
                f"it sends to another address ({answer.status}), which is not followed", doing, retryable=False
            )
        return self.error(
            f"it answers {answer.status}{': ' if told else ''}{told}",
            doing,
            retryable=answer.status >= 500 or answer.status in (408, *_BUSY),
            retry_after=self._pause(answer.headers.get("Retry-After", "")) if answer.status in _BUSY else None,
        )

    def _pause(self, told: str) -> float | None:
        """Read a number of seconds or a date (RFC 9110, 10.2.3); what is neither says nothing."""
        try:
            if told.strip().isdecimal():
                return float(told)
            return max(parsedate_to_datetime(told).timestamp() - self._now(), 0.0)
        except (ValueError, OverflowError):
            return None


def _checked_address(url: object) -> str:
    try:
        parts = urlsplit(text(url, "url"))
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        raise InvalidInputError("expected an address such as https://gateway.example:8080", place="url") from None
    if parts.username is not None or parts.password is not None:
        # Not shown: it holds what should not be read.
        raise InvalidInputError("passwords do not belong into an address", place="url")
    if not known or parts.query or parts.fragment:
        raise InvalidInputError(f"expected an address such as https://gateway.example:8080, got {url!r}", place="url")
    return str(url).rstrip("/")


def _tls(url: str, ca_file: str | os.PathLike[str] | None, verify: bool) -> ssl.SSLContext | bool:
    if not verify:
        if ca_file is not None:
            raise InvalidInputError("certificates to trust, and verify=False", place="ca_file")
        return False
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=os.fspath(ca_file))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = "no certificates in it" if isinstance(error, ssl.SSLError) else reason_of(error)
        raise InvalidInputError(why, place="ca_file", file=os.fspath(ca_file)) from None
