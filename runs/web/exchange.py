"""One HTTP request and its response, for what streams outside Django's request cycle.

A Django view that touched the database keeps a thread and a connection until its
response has ended; a consumer with an Exchange keeps neither.
"""

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from django.core.exceptions import DisallowedHost, RequestAborted
from django.db import OperationalError

from ..models import LimitReached
from ..streaming.database import read
from .errors import ApiError, asgi_error, retry_after
from .identity import Identity, Unauthorized, identify, own_origin

log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]


def address_in(scope: dict) -> str:
    return (scope.get("client") or [""])[0]


class Exchange:
    def __init__(self, scope: dict, receive, send):
        self.scope = scope
        self.started = False
        self._receive = receive
        self._send = send

    @property
    def method(self) -> str:
        return self.scope["method"]

    @property
    def address(self) -> str:
        """Where the request came from; as a proxy says, if the settings trust one."""
        return address_in(self.scope)

    @property
    def has_token(self) -> bool:
        return self.header("authorization") is not None

    def header(self, name: str) -> str | None:
        """All values of a header, joined; None if it was not sent."""
        key = name.encode()
        values = [value for sent, value in self.scope["headers"] if sent.lower() == key]
        return b", ".join(values).decode("latin1") if values else None

    def query(self) -> dict[str, list[str]]:
        """The query's parameters. Raises ApiError."""
        return parse_query(self.scope["query_string"])

    def allow(self, *methods: str) -> None:
        """Raises ApiError if the request's method is not one of these."""
        if self.method not in methods:
            raise MethodNotAllowed(methods)

    async def identify(self) -> Identity:
        """Raises Unauthorized."""
        return await read(identify, self.scope["headers"])

    async def body(self, limit: int) -> bytes:
        """The request's body. Raises ApiError if it is longer than `limit` bytes."""
        parts, size, more = [], 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            size += len(message.get("body", b""))
            if size > limit:
                raise ApiError("too_large", f"The body is too large; at most {limit:,} bytes.")
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(parts)

    async def gone(self) -> None:
        """Return when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: list[Header]) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes) -> None:
        """Send a piece; waits while the client is behind."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, body: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": body})

    async def respond(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        if status != 204:
            headers = [*headers, (b"content-length", str(len(body)).encode())]
        await self.start(status, headers)
        await self.finish(b"" if self.method == "HEAD" else body)


class MethodNotAllowed(ApiError):
    def __init__(self, allowed: tuple[str, ...]):
        self.allowed = ", ".join(allowed)
        super().__init__("method_not_allowed", f"This address takes {self.allowed} only.")


def parse_query(query_string: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(query_string.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise ApiError("bad_request", "The query could not be read; encode it as UTF-8.") from None


Handler = Callable[..., Awaitable[None]]


async def answer(handler: Handler, scope: dict, receive, send, **parameters: str) -> None:
    """Let `handler` answer one request; what it raises becomes a JSON error."""
    exchange = Exchange(scope, receive, send)
    try:
        _check_host(scope)
        await handler(exchange, **parameters)
    except RequestAborted:
        raise  # the client has gone: nobody to tell
    except Exception as error:
        if exchange.started:
            raise  # the server cuts the connection, so that half a response shows as one
        status, headers, body = _as_error(error, scope)
        if isinstance(error, MethodNotAllowed):
            headers = [*headers, (b"allow", error.allowed.encode())]
        await exchange.respond(status, headers, body)


def _check_host(scope: dict) -> None:
    # Django does it where it is asked for the host; here nobody would ask.
    try:
        own_origin(scope)
    except DisallowedHost:
        raise ApiError("bad_request", "This server does not answer to that Host.") from None


def _as_error(error: Exception, scope: dict) -> tuple[int, list[Header], bytes]:
    match error:
        case Unauthorized():
            return asgi_error("unauthorized", str(error))
        case ApiError():
            return asgi_error(error.code, error.message, error.fields)
        case LimitReached():
            return asgi_error("quota", str(error), headers=retry_after(error))
        case OperationalError():
            log.error("No database for %s: %s", scope["path"], error)
            return asgi_error("unavailable", "The database does not answer. Try again soon.")
    log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    return asgi_error(
        "internal", "The server failed to answer. Try again; its log tells an administrator why."
    )
