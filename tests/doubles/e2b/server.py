"""The double as one HTTP server: control plane, sandboxes and its own switches."""

import asyncio
from collections import Counter

from . import files
from .control import ControlPlane, refuse
from .envd import Envd
from .exchange import Connection, Exchange
from .faults import Fault, Faults, answer_wrongly
from .kernels import Kernels
from .sandboxes import FakeSandbox

ENVD_PORT, JUPYTER_PORT = "49983", "49999"
# Answered without the sandbox's token.
OPEN_CALLS = ("health", "files")

SETTINGS = {
    "chunk_bytes": 32 * 1024,  # what is read from a pipe at once
    "keepalive_seconds": 0.0,  # 0: as the client asks
    "iopub_limit": 1000.0,  # messages a second
    "ascii": True,  # whether cells answer in ASCII, as E2B was seen to
    "profile": "",  # what login shells of new sandboxes run
    "page": 100,  # sandboxes in one answer of list
}


class Double:
    """`api_key` is the one that is accepted."""

    def __init__(self, api_key: str):
        self.api_key = api_key
        self.settings = dict(SETTINGS)
        self.sandboxes: dict[str, FakeSandbox] = {}
        self.by_key: dict[str, FakeSandbox] = {}
        self.calls: Counter[str] = Counter()
        self.asked: list[dict] = []  # of the code interpreters
        self.faults = Faults()
        self._control = ControlPlane(self)
        self._envd = Envd(self)
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle), "127.0.0.1", port, backlog=1024
        )
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for sandbox in self.sandboxes.values():
            await sandbox.close()

    def living(self, sandbox_id: str) -> FakeSandbox | None:
        sandbox = self.sandboxes.get(sandbox_id)
        return sandbox if sandbox and not sandbox.ended.done() else None

    async def _handle(self, exchange: Exchange) -> None:
        if exchange.path.startswith("/_double/"):
            await self._switch(exchange)
        elif "e2b-sandbox-id" in exchange.headers:
            await self._in_sandbox(exchange)
        elif called := self._control.call(exchange):
            fault = self._count(called[0])
            if not (fault and await answer_wrongly(fault, exchange)):
                await self._control.handle(*called, exchange)
        else:
            await refuse(exchange, 404, "no such call")

    def _count(self, call: str) -> Fault | None:
        self.calls[call] += 1
        return self.faults.take(call)

    async def _in_sandbox(self, exchange: Exchange) -> None:
        sandbox = self.living(exchange.headers["e2b-sandbox-id"])
        port = exchange.headers.get("e2b-sandbox-port", ENVD_PORT)
        call = call_of(exchange)
        fault = self._count(call)
        if fault and await answer_wrongly(fault, exchange):
            return
        if sandbox is None:
            gone = {
                "sandboxId": exchange.headers["e2b-sandbox-id"],
                "message": "The sandbox was not found",
                "code": 502,
            }
            await exchange.answer(502, gone)
        elif port == JUPYTER_PORT:
            self.asked.append({"call": call, **exchange.json()})
            sandbox.kernels = sandbox.kernels or Kernels(sandbox, self.settings)
            await sandbox.kernels.handle(call, exchange, fault)
        elif call not in OPEN_CALLS and exchange.headers.get("x-access-token") != sandbox.token:
            await refuse(exchange, 401, "unauthorized access, please provide a valid token")
        elif call == "health":
            await exchange.answer(204)
        elif call == "files":
            await files.handle(exchange, sandbox)
        elif exchange.path.startswith("/process.Process/"):
            await self._envd.handle(call, exchange, sandbox, fault)
        else:
            await refuse(exchange, 404, "no such call")

    async def _switch(self, exchange: Exchange) -> None:
        """The tests' own calls."""
        given = exchange.json()
        answer: object = {}
        match exchange.path.removeprefix("/_double/"):
            case "fault":
                self.faults.add(**given)
            case "settings":
                self.settings.update(given)
            case "reset":
                self.faults.clear()
                self.calls.clear()
                self.asked.clear()
                self.settings = dict(SETTINGS)
                for sandbox in list(self.sandboxes.values()):
                    await sandbox.close()
                self.sandboxes.clear()
            case "die":
                self.sandboxes[given["id"]].end()
            case "drop":
                for exchange_ in list(self.sandboxes[given["id"]].streams):
                    exchange_.cut()
            case "state":
                answer = self.state()
        await exchange.answer(200, answer)

    def state(self) -> dict:
        living = [sandbox for sandbox in self.sandboxes.values() if not sandbox.ended.done()]
        return {
            "calls": dict(self.calls),
            "asked": self.asked,
            "sandboxes": [
                {
                    **sandbox.info(),
                    "options": sandbox.options,
                    "home": str(sandbox.home),
                    "pids": [pid for pid, one in sandbox.processes.items() if not one.end],
                    "streams": len(sandbox.streams),
                }
                for sandbox in living
            ],
        }


def call_of(exchange: Exchange) -> str:
    """The last part of the path: Start, health, files, execute, contexts …"""
    return exchange.path.rsplit("/", 1)[-1]
