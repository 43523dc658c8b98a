"""One sandbox's life: made longer while its run lives, and ended for sure."""

import asyncio
import logging

from .e2b_errors import will_pass

logger = logging.getLogger(__name__)

KILL_SECONDS = 10.0
# How long a kill that fails is repeated; afterwards the sweep finds the sandbox.
INSIST_SECONDS = 120.0
# All calls share connections; only this gives a call another one than that on which
# the last has failed.
FRESH = {"http_version": "1.1"}


class Life:
    """Keeps a sandbox of the SDK alive, `seconds` at a time, until end()."""

    def __init__(self, sandbox, seconds: int, graves: "Graves"):
        self.sandbox = sandbox
        self._seconds = seconds
        self._graves = graves
        self._keeper = asyncio.ensure_future(self._keep())
        self._ending: asyncio.Task | None = None
        graves.open_count += 1

    async def _keep(self) -> None:
        """Never less than two thirds of its life lie ahead."""
        import e2b

        wait, how = self._seconds / 3, {}
        while True:
            await asyncio.sleep(wait)
            try:
                await self.sandbox.set_timeout(self._seconds, **how)
                wait, how = self._seconds / 3, {}
            except e2b.SandboxNotFoundException:
                return  # whoever reads from it says so
            except Exception as error:
                logger.warning(
                    "Sandbox %s: not given more time: %s", self.sandbox.sandbox_id, error
                )
                wait, how = min(5.0, self._seconds / 12), FRESH

    def leave(self) -> None:
        """Neither prolong nor end it any more: it is another executor's."""
        if self._ending is None and not self._keeper.cancelled():
            self._keeper.cancel()
            self._graves.open_count -= 1

    async def end(self) -> None:
        """Kill it; what does not work at once is repeated in the background."""
        if self._ending is None:
            self._keeper.cancel()
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.wait({self._ending})

    async def _end(self) -> None:
        try:
            await self.sandbox.kill(request_timeout=KILL_SECONDS)
        except Exception as error:
            self._graves.insist(self.sandbox, error)
        finally:
            self._graves.open_count -= 1


class Graves:
    """Sandboxes that have to die though nobody waits for it."""

    def __init__(self):
        self.open_count = 0
        self._tasks: set[asyncio.Task] = set()

    def insist(self, sandbox, error: BaseException) -> None:
        """Repeat a kill that failed with `error`."""
        logger.warning("Sandbox %s could not be killed: %s", sandbox.sandbox_id, error)
        if will_pass(error):
            self._add(self._kill(sandbox))

    def kill_when_there(self, creating: asyncio.Task) -> None:
        """For a sandbox that nobody wants any more but that may still appear."""
        self._add(self._await_and_kill(creating))

    async def close(self) -> None:
        """Wait a little for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILL_SECONDS)

    def _add(self, work) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await_and_kill(self, creating: asyncio.Task) -> None:
        await asyncio.wait({creating})
        if not creating.cancelled() and creating.exception() is None:
            await self._kill(creating.result())

    async def _kill(self, sandbox) -> None:
        delay, left = 0.2, INSIST_SECONDS
        while left > 0:
            try:
                await sandbox.kill(request_timeout=KILL_SECONDS, **FRESH)
            except Exception as error:
                if not will_pass(error):
                    break
                await asyncio.sleep(delay)
                left -= delay
                delay = min(delay * 2, 10.0)
            else:
                return
        logger.error("Sandbox %s was not killed; the sweep will.", sandbox.sandbox_id)
