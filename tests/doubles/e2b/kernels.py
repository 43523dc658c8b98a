"""The code interpreter of a sandbox: /execute, with real kernels behind it."""

import asyncio
import contextlib
import json
import secrets
import shutil
import time
from collections import deque

from .exchange import Exchange, Gone
from .faults import Fault
from .sandboxes import FakeSandbox

# Run by an interpreter where there is one; the rest say which language was asked for.
SHELLS = {"bash": ["bash", "-c"], "javascript": ["node", "-e"]}
LANGUAGES = ("python", "javascript", "typescript", "r", "java", "bash")
MIME = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
    "data": "e2b/data",
    "chart": "e2b/chart",
}
RATE_EXCEEDED = (
    "IOPub message rate exceeded.\n"
    "The Jupyter server will temporarily stop sending output\n"
    "to the client in order to avoid crashing it.\n"
    "To change this limit, set the config variable\n"
    "`--ServerApp.iopub_msg_rate_limit`.\n\n"
    "Current values:\nServerApp.iopub_msg_rate_limit=1000.0 (msgs/sec)\n"
    "ServerApp.rate_limit_window=3.0 (secs)\n\n"
)


class Kernels:
    """The contexts of one sandbox, each a kernel that runs one thing at a time."""

    def __init__(self, sandbox: FakeSandbox, settings: dict):
        self._sandbox = sandbox
        self._settings = settings
        self._contexts: dict[str, Context] = {}
        self._default: Context | None = None

    async def handle(self, call: str, exchange: Exchange, fault: Fault | None) -> None:
        wanted = exchange.json()
        if call == "contexts":
            context = await self._make(wanted.get("language") or "python", wanted.get("cwd"))
            answer = {"id": context.id, "language": context.language, "cwd": context.cwd}
            await exchange.answer(200, answer)
            return
        if wanted["context_id"] and wanted["language"]:
            await exchange.answer(400, "Only one of context_id or language can be provided")
            return
        if wanted["context_id"]:
            context = self._contexts.get(wanted["context_id"])
            if context is None:
                await exchange.answer(404, f"Context {wanted['context_id']} not found")
                return
        elif wanted["language"] in (None, "python"):
            context = self._default = self._default or await self._make("python", None)
        else:
            context = await self._make(wanted["language"], None)
        await self._execute(context, wanted, exchange, fault)

    async def _make(self, language: str, cwd: str | None) -> "Context":
        context = Context(self._sandbox, self._settings, language, cwd)
        self._contexts[context.id] = context
        await context.start()
        return context

    async def _execute(self, context, wanted: dict, exchange: Exchange, fault) -> None:
        left = fault.frames if fault and fault.frames >= 0 else None
        await exchange.begin(200, {})
        self._sandbox.streams.add(exchange)
        gone = asyncio.ensure_future(exchange.left())
        lines = context.execute(wanted["code"], wanted["env_vars"] or {})
        try:
            while True:
                if left == 0:
                    await self._go_wrong(fault.then, exchange)
                line = asyncio.ensure_future(anext(lines, None))
                await asyncio.wait({line, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not line.done():
                    line.cancel()
                    await context.interrupt()
                    raise Gone
                if line.result() is None:
                    break
                left = None if left is None else left - 1
                await self._send(exchange, line.result())
            await exchange.end()
        finally:
            gone.cancel()
            self._sandbox.streams.discard(exchange)

    async def _send(self, exchange: Exchange, line: dict) -> None:
        text = json.dumps(line, ensure_ascii=self._settings["ascii"])
        await exchange.send(text.encode() + b"\n")

    async def _go_wrong(self, how, exchange: Exchange) -> None:
        if how == "die":
            self._sandbox.end()
        elif how == "cut":
            exchange.cut()
        else:  # the cell ends with an error that is none of the program's
            await self._send(exchange, error(how["code"], how["message"], ""))
            await exchange.end()
        raise Gone

    async def close(self) -> None:
        for context in self._contexts.values():
            await context.close()


class Context:
    def __init__(self, sandbox: FakeSandbox, settings: dict, language: str, cwd: str | None):
        self.id = secrets.token_hex(8)
        self.language = language
        self.cwd = str(sandbox.path(cwd or ""))
        self._sandbox = sandbox
        self._settings = settings
        self._manager = None
        self._client = None
        self._turn = asyncio.Lock()
        self._count = 0

    async def start(self) -> None:
        if self.language != "python":
            return
        from jupyter_client.manager import AsyncKernelManager

        self._manager = AsyncKernelManager(kernel_name="python3")
        env = self._sandbox.environment({})
        extra = ["--HistoryManager.enabled=False", "--InteractiveShell.colors=NoColor"]
        await self._manager.start_kernel(
            cwd=self.cwd, env=env, extra_arguments=extra, stderr=asyncio.subprocess.DEVNULL
        )
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=30)

    async def execute(self, code: str, env: dict):
        """The lines of an answer, as objects."""
        async with self._turn:
            self._count += 1
            yield {"type": "number_of_executions", "execution_count": self._count}
            lines = self._run_kernel(code, env) if self._manager else self._run_shell(code, env)
            async for line in lines:
                yield line
            yield {"type": "end_of_execution"}

    async def _run_kernel(self, code: str, env: dict):
        if env:
            await self._client.execute_interactive(
                f"__import__('os').environ.update({env!r})",
                silent=True, store_history=False, output_hook=lambda message: None,
            )  # fmt: skip
        asked = self._client.execute(code, allow_stdin=False)
        limit, raised = RateLimit(self._settings["iopub_limit"]), False
        while True:
            try:
                message = await self._client.get_iopub_msg(timeout=0.2)
            except Exception:  # queue.Empty; the kernel may have died
                if not await self._manager.is_alive():
                    yield error("ContextRestarting", "Context was restarted", "")
                    return
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            raised = raised or kind == "error"
            if kind == "status" and content["execution_state"] == "idle":
                break
            for line in limit.passed(line_of(kind, content)):
                yield line

        # The reply alone tells of some errors, SystemExit for one.
        reply = {"parent_header": {}}
        while reply["parent_header"].get("msg_id") != asked:
            reply = await self._client.get_shell_msg()
        if reply["content"]["status"] == "error" and not raised:
            yield line_of("error", reply["content"])

    async def _run_shell(self, code: str, env: dict):
        shell = SHELLS.get(self.language)
        if self.language not in LANGUAGES:
            yield error("UnknownLanguage", f"no kernel for {self.language}", "")
            return
        if shell is None or not shutil.which(shell[0]):
            yield stream_line("stdout", f"{self.language} was asked to run: {code}\n")
            return
        process = await asyncio.create_subprocess_exec(
            *shell, code, cwd=self.cwd, env=self._sandbox.environment(env),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        yield stream_line("stdout", out.decode(errors="replace"))
        if process.returncode:
            yield error("Error", f"exit status {process.returncode}", "")

    async def interrupt(self) -> None:
        if self._manager:
            await self._manager.interrupt_kernel()

    async def close(self) -> None:
        if self._manager:
            self._client.stop_channels()
            with contextlib.suppress(Exception):
                await self._manager.shutdown_kernel(now=True)


class RateLimit:
    """Jupyter's limit on messages: beyond it output is dropped, with a word on stderr."""

    def __init__(self, per_second: float):
        self._most = per_second * 3
        self._times: deque[float] = deque()
        self._dropping = False

    def passed(self, line: dict | None):
        if line is None:
            return []
        if line["type"] not in ("stdout", "stderr"):
            return [line]
        now = time.monotonic()
        while self._times and self._times[0] < now - 3:
            self._times.popleft()
        if len(self._times) < self._most * (0.8 if self._dropping else 1):
            self._times.append(now)
            self._dropping = False
            return [line]
        if self._dropping:
            return []
        self._dropping = True
        return [stream_line("stderr", RATE_EXCEEDED)]


def line_of(kind: str, content: dict) -> dict | None:
    if kind == "stream":
        return stream_line(content["name"], content["text"])
    if kind in ("execute_result", "display_data"):
        bundle = dict(content["data"])
        named = {name: bundle.pop(mime, None) for name, mime in MIME.items()}
        main = kind == "execute_result"
        return {"type": "result", **named, "extra": bundle, "is_main_result": main}
    if kind == "error":
        return error(content["ename"], content["evalue"], "\n".join(content["traceback"]))
    return None


def stream_line(name: str, text: str) -> dict:
    return {"type": name, "text": text, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ")}


def error(name: str, value: str, traceback: str) -> dict:
    return {"type": "error", "name": name, "value": value, "traceback": traceback}
