"""The executor: carries many runs at once in one event loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from django.conf import settings

from ..models import Run, Status
from ..sandboxes.base import Backend
from ..streaming import database
from ..streaming.feed import announce, feeds
from ..streaming.recorder import Recorder
from .carrier import Carrier
from .recovery import take_over_runs

log = logging.getLogger(__name__)

# How long it takes at most until runs and cancels of other processes are noticed.
LOOK_SECONDS = 1.0
STOP_SECONDS = 8.0
SWEEP_SECONDS = 60.0


class Executor:
    """Claims queued runs while it has room and carries each to its end.

    All methods but wake_from_thread() and end_from_thread() belong to the event
    loop that start() was called in. `name` tells this executor from all others.
    """

    def __init__(self, backend: Backend, name: str, limit: int):
        self.backend = backend
        self.name = name
        self._limit = limit
        self._recorder = Recorder(feeds.deliver)
        self._carriers: dict[int, Carrier] = {}
        self._carrying: set[asyncio.Task] = set()
        self._side_tasks: list[asyncio.Task] = []
        self._wakeup = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._served: dict[int | None, int] = {}

    @property
    def running(self) -> int:
        return len(self._carriers)

    async def start(self) -> None:
        """Raises SandboxError if no program could run here."""
        await self.backend.start()
        self._recorder.start()
        for run in await take_over_runs(self._recorder, self.name, self.backend):
            self._carry(run)
        if not self.backend.can_attach:
            # Nothing of ours is older than this moment.
            await self.backend.sweep(set())
        self._side_tasks = [
            asyncio.create_task(_forever(what, seconds), name=what.__name__)
            for what, seconds in (
                (self._claim_all, LOOK_SECONDS),
                (self._notice_cancels, LOOK_SECONDS),
                (self._renew, settings.LEASE_SECONDS / 3),
                (self._check_stalls, max(settings.STALL_SECONDS / 3, 0.05)),
                (self._sweep, SWEEP_SECONDS),
            )
        ]
        self._side_tasks.append(asyncio.create_task(self._claim_when_woken(), name="claim"))

    async def stop(self, error: str) -> None:
        """End every run as cancelled with `error`, then everything else."""
        self._stopping = True
        for carrier in self._carriers.values():
            carrier.end(Status.CANCELLED, error)
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=STOP_SECONDS)
        for task in [*self._side_tasks, *self._carrying]:
            task.cancel()
        await asyncio.gather(*self._side_tasks, *self._carrying, return_exceptions=True)
        await self._recorder.close()
        await self.backend.close()

    def wake_from_thread(self) -> None:
        """There is a new queued run."""
        self._loop.call_soon_threadsafe(self._wakeup.set)

    def end_from_thread(self, run_pk: int) -> None:
        """Somebody cancelled a run that we may hold."""
        self._loop.call_soon_threadsafe(self._cancel, run_pk)

    def carrier(self, run_pk: int) -> Carrier | None:
        return self._carriers.get(run_pk)

    # --- side tasks ------------------------------------------------------------

    async def _claim_when_woken(self) -> None:
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            try:
                await self._claim_all()
            except Exception:
                log.exception("Claiming failed; the look each second goes on")

    async def _claim_all(self) -> None:
        while not self._stopping and len(self._carriers) < self._limit:
            run = await database.write(
                Run.objects.claim_next, self.name, settings.LEASE_SECONDS, self._served
            )
            if run is None or run.pk in self._carriers:
                return
            self._carry(run)

    def _carry(self, run: Run) -> None:
        carrier = self._carriers[run.pk] = Carrier(run, self.backend, self._recorder)
        announce(run)
        task = asyncio.create_task(carrier.carry(), name=f"run {run.public_id}")
        self._carrying.add(task)
        task.add_done_callback(lambda task: self._carried(task, run.pk))

    def _carried(self, task: asyncio.Task, run_pk: int) -> None:
        self._carrying.discard(task)
        self._carriers.pop(run_pk, None)
        self._wakeup.set()

    async def _notice_cancels(self) -> None:
        """Cancels that came through another process."""
        if self._carriers:
            for run_pk in await database.read(Run.objects.cancels_asked_of, self.name):
                self._cancel(run_pk)

    def _cancel(self, run_pk: int) -> None:
        if carrier := self._carriers.get(run_pk):
            carrier.end(Status.CANCELLED, "The run was cancelled.")

    async def _renew(self) -> None:
        if self._carriers:
            await database.write(Run.objects.renew, self.name, settings.LEASE_SECONDS)

    async def _sweep(self) -> None:
        """Kill sandboxes that outlived their run, wherever it was carried."""
        if self.backend.can_attach:
            living = await database.read(Run.objects.held_ids)
            if killed := await self.backend.sweep(living):
                log.warning("%d sandboxes had outlived their runs.", killed)

    async def _check_stalls(self) -> None:
        for carrier in list(self._carriers.values()):
            await carrier.check_stall()


async def _forever(what: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do `what` every so often; a failure is logged and the next time comes anyway."""
    while True:
        try:
            await what()
        except Exception:
            log.exception("%s failed, trying again in %g s", what.__name__, seconds)
        await asyncio.sleep(seconds)
