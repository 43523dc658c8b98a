"""Notebook mode: a cell in a kernel, and the spare kernel that waits for the next one."""

import asyncio
import logging
import secrets
from collections.abc import Callable

from .base import Launch, OutputQueue, SandboxError
from .kernel import Kernel, make_context
from .places import Place

logger = logging.getLogger(__name__)

# The next spare starts when the run that took the last one is well under way.
REFILL_SECONDS = 0.3
RETRY_SECONDS = 5.0
# Read when Python starts: a kernel that is running already cannot be given them.
AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "OMP_", "OPENBLAS_", "MKL_", "LC_", "LANG")


class Kernels:
    """Starts kernels, one ahead of its use."""

    def __init__(self, make_place: Callable[[str | None], Place], keep_spare: bool):
        self._make_place = make_place
        self._keep_spare = keep_spare
        self._context = None
        self._starting = asyncio.Lock()
        self._spare: asyncio.Task[Kernel] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task] = set()
        self._closed = False

    def warm_up(self) -> None:
        """Have a spare soon; returns at once."""
        if self._keep_spare and not self._closed and self._spare is None:
            self._spare = asyncio.ensure_future(self._start(None, {}))
            self._spare.add_done_callback(self._spare_started)

    def _spare_started(self, task: asyncio.Task) -> None:
        if task.cancelled() or task is not self._spare:
            return
        if task.exception() is None:
            task.result().child.ended.add_done_callback(lambda _: self._spare_died(task))
        else:
            logger.warning("No spare kernel: %s", task.exception())
            self._spare = None
            self._later(RETRY_SECONDS)

    def _spare_died(self, task: asyncio.Task) -> None:
        if task is self._spare and not self._closed:
            logger.warning("The spare kernel ended; another one is started.")
            self._spare = None
            self._later(RETRY_SECONDS)
            self._discard(task)

    def _discard(self, spare: asyncio.Task) -> None:
        """Close a spare that nobody will use, or that is just about to be ready."""
        spare.cancel()
        if spare.done() and not spare.cancelled() and spare.exception() is None:
            closing = asyncio.ensure_future(spare.result().close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _later(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.warm_up)

    async def take(self, run_id: str, env: dict[str, str]) -> Kernel:
        """A kernel that is ready, given to this run. Raises SandboxError."""
        at_start = any(name.startswith(AT_START) for name in env)
        if not self._keep_spare or at_start:
            return await self._start(run_id, env if at_start else {})
        self.warm_up()
        spare, self._spare = self._spare, None
        self._later(REFILL_SECONDS)
        try:
            kernel = await spare
        except asyncio.CancelledError:
            self._discard(spare)
            raise
        if not kernel.alive:
            await kernel.close()
            return await self._start(run_id, {})
        kernel.place.give_to(run_id)
        return kernel

    async def _start(self, run_id: str | None, env: dict[str, str]) -> Kernel:
        async with self._starting:
            if self._context is None:
                # In a thread, because importing takes longer than a loop should stand still.
                self._context = await asyncio.to_thread(make_context)
        kernel = Kernel(self._make_place(run_id))
        try:
            await kernel.start(self._context, env)
        except BaseException:
            await kernel.close()
            raise
        return kernel

    async def close(self) -> None:
        self._closed = True
        if self._timer:
            self._timer.cancel()
        if self._spare:
            spare, self._spare = self._spare, None
            self._discard(spare)
            await asyncio.wait({spare})
        if self._closing:
            await asyncio.wait(self._closing)
        if self._context is not None:
            self._context.destroy(linger=0)


class NotebookSandbox:
    """One cell in a kernel of its own."""

    def __init__(self, launch: Launch, kernels: Kernels):
        self.id = f"local-{secrets.token_hex(6)}"
        self._launch = launch
        self._kernels = kernels
        self._kernel: Kernel | None = None
        self._running: asyncio.Task | None = None
        self._killed = False

    async def run(
        self, output: OutputQueue, on_exit: Callable[[int, int | None], None]
    ) -> list[int | None]:
        if self._killed:
            return [None]
        self._running = asyncio.ensure_future(self._run(output))
        try:
            code = await self._running
        except asyncio.CancelledError:
            if not self._killed:
                raise
            code = None
        except SandboxError:
            if not self._killed:
                raise
            code = self._kernel.child.ended.result() if self._kernel else None
        finally:
            self._running.cancel()
        on_exit(0, code)
        return [code]

    async def _run(self, output: OutputQueue) -> int:
        self._kernel = kernel = await self._kernels.take(self._launch.run_id, self._launch.env)
        place = kernel.place
        env = {**self._launch.env, **place.marks(0)}
        await kernel.prepare(env, place.cwd(self._launch.cwd))
        return await kernel.execute(self._launch.cell.program, output)

    async def send_stdin(self, task: int, text: str | None) -> None:
        raise SandboxError(
            "Notebook mode takes no input; launch in script mode with stdin instead."
        )

    async def kill(self) -> None:
        self._killed = True
        if self._kernel:
            await self._kernel.place.kill()
        elif self._running:
            self._running.cancel()

    async def close(self) -> None:
        self._killed = True
        if self._running and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running})
        if self._kernel:
            await self._kernel.close()

    # A cell ends with the server that sent it.
    leave = close
