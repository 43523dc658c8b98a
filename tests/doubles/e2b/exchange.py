"""Just enough of an HTTP/1.1 server, with every byte and every connection in our hands."""

import asyncio
import contextlib
import json
from urllib.parse import parse_qs, unquote, urlsplit

HEAD_BYTES = 64 * 1024


class Gone(Exception):
    """The client has left, or a fault cuts the connection."""


class Exchange:
    """One request and its answer."""

    def __init__(self, reader, writer, method, target, headers):
        self._reader = reader
        self._writer = writer
        self.method = method
        split = urlsplit(target)
        self.path = unquote(split.path)
        self.query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        self.headers = headers
        self.body = b""
        self.streaming = False
        self.answered = False

    async def read_body(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            parts = [part async for part in self.chunks()]
            self.body = b"".join(parts)
        elif length := int(self.headers.get("content-length") or 0):
            self.body = await self._reader.readexactly(length)

    async def chunks(self):
        """A chunked body as it arrives."""
        while True:
            size = int((await self._reader.readline()).split(b";")[0], 16)
            part = await self._reader.readexactly(size)
            await self._reader.readline()
            if not size:
                return
            yield part

    def json(self):
        return json.loads(self.body or b"{}")

    async def answer(self, status: int, body=b"", headers: dict | None = None) -> None:
        """`body`: bytes, text, or what becomes JSON."""
        headers = {**(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("content-type", "application/json")
        self.answered = True
        if status != 204:
            headers["content-length"] = str(len(body))
        await self._send(self._head(status, headers) + body)

    async def begin(self, status: int, headers: dict) -> None:
        """Begin an answer whose parts follow by send(), until end()."""
        self.streaming = self.answered = True
        await self._send(self._head(status, {**headers, "transfer-encoding": "chunked"}))

    async def send(self, part: bytes) -> None:
        """Waits while the client does not read."""
        await self._send(b"%x\r\n%b\r\n" % (len(part), part))

    async def end(self) -> None:
        await self._send(b"0\r\n\r\n")

    async def left(self) -> None:
        """Returns when the client closes its connection (it sends nothing more)."""
        with contextlib.suppress(ConnectionError):
            await self._reader.read(1)

    def cut(self) -> None:
        """Break the connection off at once."""
        self._writer.transport.abort()

    async def _send(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            raise Gone
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise Gone from error

    @staticmethod
    def _head(status: int, headers: dict) -> bytes:
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {v}" for name, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()


async def serve_connection(reader, writer, handle) -> None:
    """Answer the requests of one connection, one after the other, by `handle`."""
    try:
        while exchange := await read_exchange(reader, writer):
            if "StreamInput" not in exchange.path:
                await exchange.read_body()
            await handle(exchange)
    except (Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.transport.abort()


async def read_exchange(reader, writer) -> Exchange | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in rest if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    return Exchange(reader, writer, method, target, headers)
