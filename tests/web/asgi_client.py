"""Clients that speak ASGI to the application, in the same process and event loop."""

import asyncio
import json

from django.conf import settings
from django.test import Client

from runs.models import ApiToken
from streamsite.asgi import application
from tests.sse_parser import SseParser

SECONDS = 5
HOST = [(b"host", b"localhost:8000")]
OUR_ORIGIN = [(b"origin", b"http://localhost:8000")]
FOREIGN_ORIGIN = [(b"origin", b"http://evil.example")]


def session_of(user) -> list:
    client = Client()
    client.force_login(user)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    return [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={key}".encode())]


def token_of(user) -> list:
    return [(b"authorization", f"Bearer {ApiToken.objects.make(user, 'test')[1]}".encode())]


class Connection:
    """One connection: `sent` holds what the application sent and nobody took yet.

    With `takes` the client takes that many messages; send() then waits, as it does
    on our server, until take_all().
    """

    def __init__(self, scope: dict, first: dict, takes: int | None = None):
        self.scope = {"asgi": {"version": "3.0"}, "query_string": b"", **scope}
        self.sent: asyncio.Queue = asyncio.Queue()
        self.inbox: asyncio.Queue = asyncio.Queue()
        self.inbox.put_nowait(first)
        self._takes = takes
        self._taking = asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(application(self.scope, self.inbox.get, self._send))
        return self

    async def __aexit__(self, *error):
        self.inbox.put_nowait({"type": self.scope["type"] + ".disconnect", "code": 1001})
        await asyncio.wait({self.task}, timeout=SECONDS)
        self.task.cancel()

    async def _send(self, message: dict) -> None:
        if self._takes == 0:
            await self._taking.wait()
        elif self._takes is not None:
            self._takes -= 1
        self.sent.put_nowait(message)

    def take_all(self) -> None:
        self._takes = None
        self._taking.set()

    async def next(self) -> dict:
        """The next message. Raises what the application raised, should it end before."""
        getting = asyncio.create_task(self.sent.get())
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done() and self.task.done() and self.sent.empty():
                getting.cancel()
                self.task.result()
                raise AssertionError("the application has ended")
            return await getting


class Socket(Connection):
    def __init__(self, path: str, headers=(), query: str = ""):
        super().__init__(
            {
                "type": "websocket",
                "path": path,
                "headers": [*HOST, *headers],
                "query_string": query.encode(),
            },
            {"type": "websocket.connect"},
        )

    async def json(self) -> dict:
        """The next frame; the close code as {"closed": code}."""
        message = await self.next()
        if message["type"] == "websocket.accept":
            return await self.json()
        if message["type"] == "websocket.close":
            return {"closed": message["code"]}
        return json.loads(message["text"])

    async def until(self, type: str) -> dict:
        while (frame := await self.json()).get("type") != type:
            assert "closed" not in frame, frame
        return frame

    async def closed(self) -> int:
        while "closed" not in (frame := await self.json()):
            pass
        return frame["closed"]

    def say(self, message) -> None:
        if isinstance(message, bytes):
            self.inbox.put_nowait({"type": "websocket.receive", "bytes": message})
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            self.inbox.put_nowait({"type": "websocket.receive", "text": text})


class Call(Connection):
    """An HTTP request; `async with` gives it once the response has begun."""

    def __init__(
        self, path: str, headers=(), query: str = "", method: str = "GET", body=b"", takes=None
    ):
        super().__init__(
            {
                "type": "http",
                "method": method,
                "path": path,
                "headers": [*HOST, *headers],
                "query_string": query.encode(),
                "scheme": "http",
                "http_version": "1.1",
            },
            {"type": "http.request", "body": body, "more_body": False},
            takes,
        )
        self.parser = SseParser()
        self._events = []
        self.ended = False

    async def __aenter__(self):
        await super().__aenter__()
        start = await self.next()
        assert start["type"] == "http.response.start", start
        self.status = start["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in start["headers"]}
        return self

    async def piece(self) -> bytes:
        message = await self.next()
        self.ended = not message.get("more_body", False)
        return message.get("body", b"")

    async def body(self) -> bytes:
        parts = []
        while not self.ended:
            parts.append(await self.piece())
        return b"".join(parts)

    async def json(self):
        return json.loads(await self.body())

    async def event(self):
        """The next Server-Sent Event; None at the end."""
        while not self._events and not self.ended:
            self._events += self.parser.feed(await self.piece())
        return self._events.pop(0) if self._events else None

    async def events(self) -> list:
        found = []
        while event := await self.event():
            found.append(event)
        return found


async def fetch(path: str, headers=(), **request):
    """(status, headers, body) of a whole response."""
    async with Call(path, headers, **request) as call:
        return call.status, call.headers, await call.body()


async def refusal(path: str, headers=(), **request) -> tuple[int, str]:
    """(status, error code) of a call that is refused."""
    status, sent, body = await fetch(path, headers, **request)
    assert sent["content-type"] == "application/json", sent
    error = json.loads(body)["error"]
    assert error["message"].endswith((".", "…", ")")), error
    return status, error["code"]
