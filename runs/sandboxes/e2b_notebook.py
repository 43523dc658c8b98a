"""Notebook mode in an E2B sandbox: a cell in the sandbox's own kernel."""

import asyncio
from collections.abc import Callable

from .base import Launch, OutputQueue, SandboxError
from .e2b_errors import explained
from .e2b_life import Life
from .e2b_reader import room
from .rich import put_error, put_result, storable

KILL_SECONDS = 0.6
LAST_SECONDS = 0.3
CONTEXT_SECONDS = 60.0

RATE = "IOPub message rate exceeded"
GAP = (
    "Output is missing here: the program wrote more than the 1,000 messages a second that a "
    "notebook passes on. Write less often, or launch it in script mode, which loses nothing."
)
LOST = (
    "The connection to the notebook broke, and E2B stops a cell whose client has left. "
    "Launch the run again; script mode survives this."
)
# What the sandbox reports as an exception, though it was none of the program's.
KERNEL_ENDED = ("ContextRestarting", "UnexpectedEndOfExecution")
DIED = "The kernel died, perhaps out of memory. What the program did is lost."

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
        finally:
            self._work.cancel()
        on_exit(0, code)
        return [code]

    async def _run(self, output: OutputQueue) -> int:
        import httpx

        cell = CellOutput(output)
        try:
            execution = await self._life.sandbox.run_code(
                self._launch.cell.program,
                **await self._where(),
                envs=self._launch.env or None,
                timeout=0,  # the executor's clock decides
                on_stdout=cell.on_stdout,
                on_stderr=cell.on_stderr,
                on_result=cell.on_result,
                on_error=cell.on_error,
            )
        except SandboxError:
            raise
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise SandboxError(LOST) from error
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
        directory = found.stdout.splitlines()[-1]
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
            await asyncio.wait({self._work}, timeout=LAST_SECONDS)
            self._work.cancel()

    async def close(self) -> None:
        self._killed = True
        if self._work:
            self._work.cancel()
            await asyncio.wait({self._work})
        await self._life.end()

    # A cell ends with the client that sent it.
    leave = close


class CellOutput:
    """What a cell says, as output pieces; waits while the queue is full."""

    def __init__(self, output: OutputQueue):
        self._output = output
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

    async def on_result(self, result) -> None:
        bundle = {mime: value for name, mime in MIME.items() if (value := result[name]) is not None}
        if result.chart is not None:
            bundle["chart"] = result.chart.to_dict()
        put_result(self._output, {"data": {**bundle, **(result.extra or {})}})
        await room(self._output)

    async def on_error(self, error) -> None:
        if error.name in KERNEL_ENDED:
            self.kernel_ended = True
            return
        content = {"ename": error.name, "evalue": error.value}
        put_error(self._output, {**content, "traceback": [error.traceback]})
