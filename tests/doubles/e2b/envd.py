"""The process service of a sandbox (Connect protocol, JSON) and its files."""

import asyncio
import base64
import json
import signal

from .exchange import Exchange, Gone
from .faults import Fault
from .processes import FakeProcess
from .sandboxes import USERS, FakeSandbox

STREAM = {"content-type": "application/connect+json"}
STATUS = {"not_found": 404, "invalid_argument": 400, "unauthenticated": 401, "internal": 500}
SIGNALS = {"SIGNAL_SIGKILL": signal.SIGKILL, "SIGNAL_SIGTERM": signal.SIGTERM}


class Refused(Exception):
    """An error of the process service."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.error = {"code": code, "message": message}


def frame(message: dict, end: bool = False) -> bytes:
    body = json.dumps(message).encode()
    return bytes([2 if end else 0]) + len(body).to_bytes(4, "big") + body


class Frames:
    """The frames of one answer; a fault may end them."""

    def __init__(self, exchange: Exchange, sandbox: FakeSandbox, fault: Fault | None):
        self._exchange = exchange
        self._sandbox = sandbox
        self._fault = fault if fault and fault.frames >= 0 else None
        self._left = fault.frames if fault else 0
        self._silent = False
        self.stuck = False

    async def event(self, event: dict) -> None:
        if self._fault and not self._silent:
            if not self._left:
                await self._go_wrong(self._fault.then)
            self._left -= 1
        if not self._silent:
            await self._exchange.send(frame({"event": event}))

    async def end(self, error: dict | None = None) -> None:
        if self._silent:
            await self._exchange.left()
            raise Gone
        await self._exchange.send(frame({"error": error} if error else {}, end=True))
        await self._exchange.end()

    async def _go_wrong(self, how) -> None:
        if how == "silent":
            self._silent = True
            return
        if how == "stuck":
            self.stuck = True
            await asyncio.shield(self._sandbox.ended)
        elif how == "cut":
            self._exchange.cut()
        elif how == "die":
            self._sandbox.end()
        else:
            await self.end(None if how == "end" else how)
        raise Gone


class Envd:
    def __init__(self, double):
        self._double = double

    async def handle(
        self, call: str, exchange: Exchange, sandbox: FakeSandbox, fault: Fault | None
    ) -> None:
        if call in ("Start", "Connect"):
            await self._stream(call, exchange, sandbox, fault)
            return
        try:
            answer = await getattr(self, f"_{call}")(exchange, sandbox)
        except Refused as error:
            await exchange.answer(STATUS[error.error["code"]], error.error)
        else:
            await exchange.answer(200, answer or {})

    async def _stream(self, call, exchange, sandbox, fault) -> None:
        message = json.loads(exchange.body[5:])
        frames = Frames(exchange, sandbox, fault)
        await exchange.begin(200, STREAM)
        sandbox.streams.add(exchange)
        try:
            if call == "Start":
                process = await self._start(message, exchange, sandbox)
            else:
                process = find(sandbox, message)
            await self._follow(process, frames, exchange)
        except Refused as error:
            await frames.end(error.error)
        finally:
            sandbox.streams.discard(exchange)

    async def _start(self, message: dict, exchange: Exchange, sandbox: FakeSandbox):
        config = message["process"]
        user = user_of(exchange)
        if user not in USERS:
            raise Refused("unauthenticated", f"invalid username: '{user}'")
        cwd = sandbox.path(config.get("cwd") or "")
        if not cwd.is_dir():
            raise Refused("invalid_argument", f"cwd '{config['cwd']}' does not exist")
        timeout = exchange.headers.get("connect-timeout-ms")
        process = FakeProcess(config, self._double.settings["chunk_bytes"])
        env = sandbox.environment(config.get("envs") or {})
        seconds = int(timeout) / 1000 if timeout else None
        await process.start(env, str(cwd), bool(message.get("stdin")), seconds)
        sandbox.add(process)
        return process

    async def _follow(self, process: FakeProcess, frames: Frames, exchange: Exchange) -> None:
        subscriber = process.subscribe()
        left = asyncio.ensure_future(exchange.left())
        events = asyncio.ensure_future(self._events(process, subscriber, frames, exchange))
        try:
            await asyncio.wait({left, events}, return_when=asyncio.FIRST_COMPLETED)
            if frames.stuck:  # it does not even notice that the client has left
                await asyncio.wait({events})
            if not events.done():
                raise Gone
            events.result()
        finally:
            process.subscribers.remove(subscriber)
            subscriber.leave()
            for task in (left, events):
                task.cancel()
            await asyncio.gather(left, events, return_exceptions=True)

    async def _events(self, process, subscriber, frames, exchange) -> None:
        await frames.event({"start": {"pid": process.pid}})
        if process.end:
            await subscriber.put({"end": process.end})
        interval = self._double.settings["keepalive_seconds"] or float(
            exchange.headers.get("keepalive-ping-interval", 90)
        )
        while True:
            try:
                async with asyncio.timeout(interval):
                    event = await subscriber.events.get()
            except TimeoutError:
                event = {"keepalive": {}}
            if "end" in event and process.timed_out:
                raise Refused("deadline_exceeded", "context deadline exceeded")
            await frames.event(event)
            if "end" in event:
                await frames.end()
                return

    async def _List(self, exchange: Exchange, sandbox: FakeSandbox) -> dict:
        listed = [
            {"pid": process.pid, "config": process.config}
            for process in sandbox.processes.values()
            if not process.end
        ]
        return {"processes": listed} if listed else {}

    async def _SendSignal(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        message = exchange.json()
        find(sandbox, message).kill(SIGNALS[message["signal"]])

    async def _SendInput(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        message = exchange.json()
        process = find(sandbox, message)
        try:
            await process.write(base64.b64decode(message["input"]["stdin"]))
        except ValueError as error:
            raise Refused("internal", str(error)) from error

    async def _CloseStdin(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        try:
            find(sandbox, exchange.json()).close_stdin()
        except ValueError as error:
            raise Refused("internal", str(error)) from error


def find(sandbox: FakeSandbox, message: dict) -> FakeProcess:
    pid = message["process"]["pid"]
    if process := sandbox.processes.get(pid):
        return process
    raise Refused("not_found", f"process with pid {pid} not found")


def user_of(exchange: Exchange) -> str:
    given = exchange.headers.get("authorization", "")
    if not given.startswith("Basic "):
        return "user"
    return base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")[0]
