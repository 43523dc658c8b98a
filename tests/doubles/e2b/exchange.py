"""Just enough of an HTTP/1.1 server, with every byte and every connection in our hands."""

import asyncio
import json
from urllib.parse import parse_qs, unquote, urlsplit

HEAD_BYTES = 64 * 1024


class Gone(Exception):
    """The client has left, or a fault cuts the connection."""


class Exchange:
    """One request and its answer."""

    def __init__(self, connection, reader, writer, method, target, headers):
        self._connection = connection
        self._reader = reader
        self._writer = writer
        self.method = method
        split = urlsplit(target)
        self.path = unquote(split.path)
        self.query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        self.headers = headers
        self.body = b""
        self._lost = False
        self._ended = False

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
        if status != 204:
            headers["content-length"] = str(len(body))
        await self._send(self._head(status, headers) + body)

    async def begin(self, status: int, headers: dict) -> None:
        """Begin an answer whose parts follow by send(), until end()."""
        await self._send(self._head(status, {**headers, "transfer-encoding": "chunked"}))

    async def send(self, part: bytes) -> None:
        """Waits while the client does not read."""
        await self._send(b"%x\r\n%b\r\n" % (len(part), part))

    async def end(self) -> None:
        # From here on the connection is the client's next request's.
        self._ended = True
        await self._send(b"0\r\n\r\n")

    async def left(self) -> None:
        """Returns when the client has closed its connection."""
        await self._connection.left.wait()

    def lose_answer(self) -> None:
        """Carry on, but let nothing of the answer arrive."""
        self._lost = True

    def cut(self) -> None:
        """Break the connection off at once, unless the answer is over."""
        if not self._ended:
            self._writer.transport.abort()

    async def _send(self, data: bytes) -> None:
        if self._lost:
            self.cut()
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


class Connection(asyncio.StreamReaderProtocol):
    """A client's connection; `handle` answers its requests, one after the other."""

    def __init__(self, handle):
        self.left = asyncio.Event()
        self._handle = handle
        loop = asyncio.get_running_loop()
        super().__init__(asyncio.StreamReader(HEAD_BYTES, loop), self._begin, loop)

    def _begin(self, reader, writer) -> None:
        self._task = asyncio.ensure_future(self._serve(reader, writer))

    async def _serve(self, reader, writer) -> None:
        try:
            while exchange := await self._next(reader, writer):
                await exchange.read_body()
                await self._handle(exchange)
        except (Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    async def _next(self, reader, writer) -> Exchange | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.split(":", 1) for line in rest if ":" in line)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        return Exchange(self, reader, writer, method, target, headers)

    def eof_received(self) -> bool:
        self.left.set()
        return super().eof_received()

    def connection_lost(self, error) -> None:
        self.left.set()
        super().connection_lost(error)
