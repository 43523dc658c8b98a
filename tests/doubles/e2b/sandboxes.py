"""Fake sandboxes: a private directory, real processes, a lifetime."""

import asyncio
import contextlib
import secrets
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from .exchange import Exchange
from .processes import KEPT_SECONDS, FakeProcess, kill_marked

ENVD_VERSION = "0.6.4"
USERS = ("user", "root")


class FakeSandbox:
    """`ended` is done when it was killed or has reached the end of its life."""

    def __init__(self, options: dict, profile: str):
        self.id = "i" + secrets.token_hex(10)
        self.token = secrets.token_hex(16)
        self.options = options
        self.metadata = options.get("metadata") or {}
        self.envs = options.get("envVars") or {}
        self.started_at = time.time()
        self.end_at = 0.0
        self.top = Path(tempfile.mkdtemp(prefix="sandbox-"))
        self.home = self.top / "user"
        self.home.mkdir()
        # Login shells get this Python first.
        path = f"PATH={Path(sys.executable).parent}:$PATH\n"
        (self.home / ".profile").write_text(path + profile)
        self.processes: dict[int, FakeProcess] = {}
        self.streams: set[Exchange] = set()
        self.kernels = None
        self.ended = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.live_for(options.get("timeout") or 300)

    @property
    def mark(self) -> str:
        return f"E2B_DOUBLE_SANDBOX={self.id}"

    def live_for(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self.end_at = time.time() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end)

    def environment(self, envs: dict) -> dict:
        name, _, value = self.mark.partition("=")
        base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        own = {"HOME": str(self.home), "USER": "user", "LOGNAME": "user"}
        return {**base, **own, **self.envs, **envs, name: value}

    def path(self, wanted: str) -> Path:
        """A path as the files API and cwd take it."""
        if wanted == "~" or wanted.startswith("~/"):
            wanted = wanted[2:]
        return self.home / wanted

    def add(self, process: FakeProcess) -> None:
        self.processes[process.pid] = process

        def forget(_):
            loop = asyncio.get_running_loop()
            loop.call_later(KEPT_SECONDS, self.processes.pop, process.pid, None)

        process.done.add_done_callback(forget)

    def end(self) -> None:
        """Everything in it is killed, every connection to it breaks."""
        if self.ended.done():
            return
        self.ended.set_result(None)
        self._timer.cancel()
        kill_marked(self.mark)
        for exchange in list(self.streams):
            exchange.cut()

    async def close(self) -> None:
        self.end()
        if self.kernels:
            await self.kernels.close()
        for process in self.processes.values():
            process.done.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await process.done
        shutil.rmtree(self.top, ignore_errors=True)

    def info(self) -> dict:
        return {
            "templateID": self.options.get("templateID", ""),
            "sandboxID": self.id,
            "clientID": "double",
            "startedAt": iso(self.started_at),
            "endAt": iso(self.end_at),
            "envdVersion": ENVD_VERSION,
            "cpuCount": 2,
            "memoryMB": 512,
            "diskSizeMB": 1024,
            "state": "running",
            "metadata": self.metadata,
        }

    def created(self) -> dict:
        return {
            "templateID": self.options.get("templateID", ""),
            "sandboxID": self.id,
            "clientID": "double",
            "envdVersion": ENVD_VERSION,
            "envdAccessToken": self.token,
        }


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
