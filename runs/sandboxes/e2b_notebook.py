"""Notebook mode in an E2B sandbox: a cell in the sandbox's own kernel."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from .base import Launch, OutputQueue, SandboxError
from .e2b_errors import explained, turned_away, will_pass
from .e2b_life import Life
from .e2b_reader import room
from .rich import put_error, put_result, storable

KILL_SECONDS = 0.6
CONTEXT_SECONDS = 60.0
# How long a cell that E2B turns away is sent again.
PATIENCE_SECONDS = 30.0
RETRY_FIRST = 0.2
RETRY_CAP = 5.0

RATE = "IOPub message rate exceeded"
GAP = (
    "Output is missing here: the program wrote more than the 1,000 messages a second that a "
    "notebook passes on. Write less often, or launch it in script mode, which loses nothing."
)
LOST = (
    "The connection to the notebook broke, and E2B stops a cell whose client has left. "
    "Launch the run again; script mode survives this."
)
NOT_YET = "E2B does not take the cell yet; it is sent again."
UNREADABLE = (
    "The notebook sent an answer that cannot be read, and what the cell still does is lost. "
    "Launch the run again in script mode."
)
# What the sandbox reports as an exception, though it was none of the program's.
KERNEL_ENDED = ("ContextRestarting", "UnexpectedEndOfExecution")
DIED = "The kernel died, perhaps out of memory. What the program did is lost."

# The SDK keeps what a cell prints in our memory until the cell ends.
KEPT_CHARS = 32 * 1024**2
MUCH = (
    "The cell printed more than the {:,} characters that a notebook cell in E2B may. "
    "Print less, or launch it in script mode, which has no such limit."
)

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
    "data": "data",
}


class E2BNotebook:
    """One cell in a sandbox of its own."""

    def __init__(self, launch: Launch, life: Life):
        self.id = life.sandbox.sandbox_id
        self._launch = launch
        self._life = life
        self._work: asyncio.Task | None = None
        self._killed = False

    async def run(
        self, output: OutputQueue, on_exit: Callable[[int, int | None], None]
    ) -> list[int | None]:
        if self._killed:
            return [None]
        self._work = asyncio.ensure_future(self._run(output))
        code: int | None = None
        try:
            code = await self._work
        except (SandboxError, asyncio.CancelledError):
            if not self._killed:
                raise
        on_exit(0, code)
        return [code]

    async def _run(self, output: OutputQueue) -> int:
        import httpx

        cell = CellOutput(output)

        async def execute():
            return await self._life.sandbox.run_code(
                self._launch.cell.program,
                **where,
                envs=self._launch.env,
                timeout=0,  # the executor's clock decides
                on_stdout=cell.on_stdout,
                on_stderr=cell.on_stderr,
                on_result=cell.on_result,
                on_error=cell.on_error,
            )

        try:
            where = await patiently(self._where, will_pass, output)
            # It must not be run twice: only what has not begun is sent again.
            execution = await patiently(execute, turned_away, output)
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise SandboxError(LOST) from error
        except json.JSONDecodeError as error:
            raise SandboxError(UNREADABLE) from error
        except Exception as error:
            raise explained(error) or error from error
        if cell.kernel_ended:
            raise SandboxError(DIED)
        return 1 if execution.error else 0

    async def _where(self) -> dict:
        """In which language, and in which context if it has a directory of its own."""
        language = self._launch.cell.language
        if not self._launch.cwd:
            return {} if language == "python" else {"language": language}
        sandbox = self._life.sandbox
        found = await sandbox.commands.run("pwd", cwd=self._launch.cwd)
        # Its login shell may have said something before, or have left early.
        directory = (found.stdout.splitlines() or [self._launch.cwd])[-1]
        context = await sandbox.create_code_context(
            cwd=directory, language=language, request_timeout=CONTEXT_SECONDS
        )
        return {"context": context}

    async def send_stdin(self, task: int, text: str | None) -> None:
        raise SandboxError(
            "Notebook mode takes no input; launch in script mode with stdin instead."
        )

    async def kill(self) -> None:
        self._killed = True
        ending = asyncio.ensure_future(self._life.end())
        await asyncio.wait({ending}, timeout=KILL_SECONDS)
        if self._work:
            self._work.cancel()

    async def close(self) -> None:
        self._killed = True
        if self._work:
            self._work.cancel()
        await self._life.end()

    # A cell ends with the client that sent it.
    leave = close


async def patiently(call: Callable[[], Awaitable], passes, output: OutputQueue):
    """What `call` returns; called again, for a while, as long as its error `passes`."""
    until, delay = time.monotonic() + PATIENCE_SECONDS, RETRY_FIRST
    while True:
        try:
            return await call()
        except Exception as error:
            if not passes(error) or time.monotonic() + delay > until:
                raise
            if delay == RETRY_FIRST:
                output.put(0, "system", f"{NOT_YET}\n")
        await asyncio.sleep(delay)
        delay = min(delay * 2, RETRY_CAP)


class CellOutput:
    """What a cell says, as output pieces; waits while the queue is full."""

    def __init__(self, output: OutputQueue):
        self._output = output
        self._kept = 0
        self.kernel_ended = False

    async def on_stdout(self, message) -> None:
        await self._put("stdout", message.line)

    async def on_stderr(self, message) -> None:
        if RATE in message.line:
            self._output.put(0, "system", f"{GAP}\n")
        else:
            await self._put("stderr", message.line)

    async def _put(self, stream: str, text: str) -> None:
        if text:
            self._output.put(0, stream, storable(text))
            await room(self._output)
            self._kept += len(text)
            if self._kept > KEPT_CHARS:
                raise SandboxError(MUCH.format(KEPT_CHARS))

    async def on_result(self, result) -> None:
        bundle = {mime: value for name, mime in MIME.items() if (value := result[name]) is not None}
        if result.chart is not None:
            bundle["chart"] = result.chart.to_dict()
        bundle |= result.extra or {}
        put_result(self._output, {"data": bundle})
        # The SDK would keep it, too, until the cell ends.
        vars(result).clear()
        await room(self._output)

    async def on_error(self, error) -> None:
        if error.name in KERNEL_ENDED:
            self.kernel_ended = True
            return
        content = {"ename": error.name, "evalue": error.value}
        put_error(self._output, {**content, "traceback": [error.traceback]})
