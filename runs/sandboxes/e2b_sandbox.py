"""Commands and scripts in an E2B sandbox."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from .base import Launch, Offsets, OutputQueue, Process, SandboxError
from .e2b_errors import explained, is_gone
from .e2b_life import Life
from .e2b_reader import TaskReader

# After the kill, for what is on its way.
LAST_SECONDS = 0.3
KILL_SECONDS = 0.6
STDIN_SECONDS = 10.0
# A pipe takes as much; more would wait for the program within one call.
STDIN_BYTES = 32 * 1024


class E2BSandbox:
    """One run's processes in a sandbox of its own."""

    def __init__(self, launch: Launch, life: Life, offsets: Offsets, patience: float, beat: float):
        self.id = life.sandbox.sandbox_id
        self._launch = launch
        self._life = life
        self._offsets = offsets
        self._patience = patience
        self._beat = beat
        self._readers: dict[int, asyncio.Future[TaskReader]] = {
            part.task: asyncio.get_running_loop().create_future() for part in launch.processes
        }
        self._turns = {part.task: asyncio.Lock() for part in launch.processes}
        self._work: set[asyncio.Task] = set()
        self._killed = False

    async def run(
        self, output: OutputQueue, on_exit: Callable[[int, int | None], None]
    ) -> list[int | None]:
        if self._killed:
            return [None] * len(self._launch.processes)
        work = [
            asyncio.ensure_future(self._carry(part, output, on_exit))
            for part in self._launch.processes
        ]
        self._work = set(work)
        try:
            await asyncio.gather(*work)
        except (SandboxError, asyncio.CancelledError):
            if not self._killed:
                raise
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work)
        return [self._code_of(task) for task in work]

    async def _carry(self, process: Process, output: OutputQueue, on_exit) -> int:
        reader = TaskReader(
            self._life.sandbox, self._launch, process, self._offsets, output,
            self._patience, self._beat,
        )  # fmt: skip
        self._readers[process.task].set_result(reader)
        code = await reader.read()
        on_exit(process.task, code)
        return code

    @staticmethod
    def _code_of(task: asyncio.Task) -> int | None:
        return None if task.cancelled() or task.exception() else task.result()

    async def send_stdin(self, task: int, text: str | None) -> None:
        if not self._launch.stdin:
            raise SandboxError("This run was launched without stdin; launch it with stdin.")
        if task not in self._readers:
            raise SandboxError(f"This run has no task {task}.")
        async with self._turns[task]:
            await self._send(task, text)

    async def _send(self, task: int, text: str | None) -> None:
        try:
            async with asyncio.timeout(STDIN_SECONDS):
                reader = await asyncio.shield(self._readers[task])
                pid = await asyncio.shield(reader.pid)
                commands = reader.sandbox.commands
                if text is None:
                    await commands.close_stdin(pid)
                    return
                sent = text.encode(errors="replace")
                for start in range(0, len(sent), STDIN_BYTES):
                    await commands.send_stdin(pid, sent[start : start + STDIN_BYTES])
        except TimeoutError:
            raise SandboxError("The program does not read its input; try again later.") from None
        except Exception as error:
            closed = "stdin" in str(error) or "not found" in str(error)
            if closed and not is_gone(error):
                raise SandboxError("The program's input is closed already.") from error
            raise explained(error) or error from error

    async def kill(self) -> None:
        self._killed = True
        ending = asyncio.ensure_future(self._life.end())
        await asyncio.wait({ending}, timeout=KILL_SECONDS)
        if self._work:
            await asyncio.wait(self._work, timeout=LAST_SECONDS)
        for task in self._work:
            task.cancel()

    async def leave(self) -> None:
        await self._stop_reading()
        self._life.leave()

    async def close(self) -> None:
        await self._stop_reading()
        await self._life.end()

    async def _stop_reading(self) -> None:
        self._killed = True
        for task in self._work:
            task.cancel()
        if self._work:
            with suppress(asyncio.CancelledError):
                await asyncio.wait(self._work)
