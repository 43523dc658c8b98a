"""A process of a fake sandbox and those who are subscribed to its output."""

import asyncio
import base64
import contextlib
import os
import signal
from pathlib import Path

STDIN_LIMIT = 64 * 1024
# How long the end of a process can still be asked for.
KEPT_SECONDS = 30.0


class Subscriber:
    """One stream of events to one client. put() waits until the client took the last."""

    def __init__(self):
        self.events: asyncio.Queue = asyncio.Queue(1)
        self.gone = False

    async def put(self, event: dict) -> None:
        if not self.gone:
            await self.events.put(event)

    def leave(self) -> None:
        self.gone = True
        while not self.events.empty():
            self.events.get_nowait()


class FakeProcess:
    """A real process. Its output goes to whoever is subscribed now and is kept for nobody.

    A slow subscriber holds up the process and all other subscribers.
    """

    def __init__(self, config: dict, chunk_bytes: int):
        self.config = config
        self.pid = 0
        self.subscribers: list[Subscriber] = []
        self.end: dict | None = None
        self.timed_out = False
        self._chunk_bytes = chunk_bytes
        self._process: asyncio.subprocess.Process | None = None
        self._stdin = False
        self.done: asyncio.Task | None = None

    async def start(self, env: dict, cwd: str, stdin: bool, timeout: float | None) -> None:
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        self._stdin = stdin
        self._process = await asyncio.create_subprocess_exec(
            self.config["cmd"], *self.config.get("args", []),
            env=env, cwd=cwd, stdin=pipe if stdin else null, stdout=pipe, stderr=pipe,
            limit=self._chunk_bytes, start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self.done = asyncio.create_task(self._carry(timeout))

    def subscribe(self) -> Subscriber:
        subscriber = Subscriber()
        self.subscribers.append(subscriber)
        return subscriber

    async def _carry(self, timeout: float | None) -> None:
        killer = asyncio.get_running_loop().call_later(timeout, self._time_out) if timeout else None
        await asyncio.gather(
            self._read("stdout", self._process.stdout), self._read("stderr", self._process.stderr)
        )
        code = await self._process.wait()
        if killer:
            killer.cancel()
        self.end = end_event(code)
        for subscriber in list(self.subscribers):
            await subscriber.put({"end": self.end})

    async def _read(self, name: str, pipe: asyncio.StreamReader) -> None:
        while read := await pipe.read(self._chunk_bytes):
            event = {"data": {name: base64.b64encode(read).decode()}}
            for subscriber in list(self.subscribers):
                await subscriber.put(event)

    def _time_out(self) -> None:
        self.timed_out = True
        self.kill()

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def write(self, data: bytes) -> None:
        """Raises ValueError with envd's words if it cannot."""
        if not self._stdin or self._process.stdin.is_closing():
            raise ValueError("error writing to stdin: stdin not enabled or closed")
        self._process.stdin.transport.set_write_buffer_limits(0)
        self._process.stdin.write(data)
        try:
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise ValueError("error writing to stdin: write |1: broken pipe") from error

    def close_stdin(self) -> None:
        if not self._stdin:
            raise ValueError("error closing stdin: stdin not enabled or closed")
        self._process.stdin.close()


def end_event(code: int) -> dict:
    """As proto3 JSON: what is zero or false is left out."""
    if code == 0:
        return {"exited": True, "status": "exit status 0"}
    if code > 0:
        status = f"exit status {code}"
        return {"exitCode": code, "exited": True, "status": status, "error": status}
    names = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}
    status = f"signal: {names.get(-code, -code)}"
    return {"exitCode": -1, "status": status, "error": status}


def kill_marked(mark: str) -> None:
    """Kill every process that was started with this environment entry."""
    for _ in range(100):
        found = [
            pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if has(pid, mark)
        ]
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def has(pid: int, mark: str) -> bool:
    try:
        # A process that was killed and not yet waited for has no environment.
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
