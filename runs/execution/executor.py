"""The executor: carries many runs at once in one event loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from django.conf import settings

from .. import metrics
from ..models import ACTIVE, Limit, Run, Status, Usage
from ..sandboxes.base import Backend
from ..streaming import database
from ..streaming.feed import announce, announce_stored, feeds
from ..streaming.hints import hints
from ..streaming.recorder import Recorder
from ..streaming.retention import retain
from .carrier import Carrier
from .recovery import Contact, take_over_expired, take_over_runs
from .webhooks import Deliverer

log = logging.getLogger(__name__)

# The group of the channel layer that all workers listen to.
WORKERS = "executors"
# How long it takes at most until runs and cancels of other processes are noticed.
LOOK_SECONDS = 1.0
# Where jobs tell of runs this finds those whose job was lost.
SHARED_LOOK_SECONDS = 3.0
STOP_SECONDS = 8.0
# What is printed beyond a limit until the next look is kept all the same.
LIMIT_SECONDS = 2.0
# How often it is counted, by the minute, while nobody's output is limited.
COUNT_SECONDS = 60.0
FORGET_SECONDS = 600.0
SWEEP_SECONDS = 60.0
RETAIN_SECONDS = 3600.0


class Executor:
    """Claims queued runs while it has room and carries each to its end.

    All methods but wake_from_thread() and end_from_thread() belong to the event
    loop that start() was called in. `name` tells this executor from all others.
    With `is_shared` there may be others: then leases alone say which runs are whose.
    """

    def __init__(self, backend: Backend, name: str, limit: int, is_shared: bool = False):
        self.backend = backend
        self.name = name
        self._limit = limit
        self._is_shared = is_shared
        # One user leaves a tenth of the places to the others.
        self._most_of_one = limit - limit // 10
        self._contact = Contact(settings.LEASE_SECONDS)
        self._count_at = 0.0
        self._strays: set[int] = set()
        self._deliverer = Deliverer()
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
        self._expose()
        if not self._is_shared:
            for run in await take_over_runs(self._recorder, self.name, self.backend):
                self._carry(run)
        if not self.backend.can_attach:
            # Nothing that this machine has for other runs is of any use.
            await self.backend.sweep(await self._living() if self._is_shared else {})
        look = SHARED_LOOK_SECONDS if self._is_shared else LOOK_SECONDS
        repeated = [
            (self._claim_all, look),
            (self._notice_cancels, LOOK_SECONDS),
            (self._renew, settings.LEASE_SECONDS / 4),
            (self._check_stalls, max(settings.STALL_SECONDS / 3, 0.05)),
            (self._sweep, SWEEP_SECONDS),
            (self._keep_limits, LIMIT_SECONDS),
            (self._forget_usage, FORGET_SECONDS),
            (self._deliverer.look, LOOK_SECONDS),
        ]
        if self._is_shared:
            repeated.append((self._take_over_expired, LOOK_SECONDS))
        else:
            repeated.append((retain, RETAIN_SECONDS))
        self._side_tasks = [
            asyncio.create_task(_forever(what, seconds), name=what.__name__)
            for what, seconds in repeated
        ]
        self._side_tasks.append(asyncio.create_task(self._claim_when_woken(), name="claim"))

    async def stop(self, error: str) -> None:
        """End every run as cancelled with `error`, then everything else."""
        self.claim_no_more()
        for carrier in self._carriers.values():
            carrier.end(Status.CANCELLED, error)
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=STOP_SECONDS)
        for task in [*self._side_tasks, *self._carrying]:
            task.cancel()
        await asyncio.gather(*self._side_tasks, *self._carrying, return_exceptions=True)
        await self._deliverer.stop()
        await self._recorder.close()
        await self.backend.close()
        await _at_most(STOP_SECONDS, self._release_uncarried())

    def claim_no_more(self) -> None:
        """What is queued is for others from here on."""
        self._stopping = True

    async def drain(self, seconds: float, error: str) -> None:
        """Claim nothing more, hand over what another executor can go on with, let the
        rest end for so long, then stop()."""
        self.claim_no_more()
        await _at_most(STOP_SECONDS, self._release_uncarried())
        if self.backend.can_attach:
            handing_over = asyncio.gather(*map(self._hand_over, list(self._carriers.values())))
            await _at_most(2 * STOP_SECONDS, handing_over)
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=seconds)
        await self.stop(error)

    async def _hand_over(self, carrier: Carrier) -> None:
        if carrier.run.mode == "notebook":
            return
        carrier.lose()
        tasks = [task for task in self._carrying if task.get_name() == _task_name(carrier.run)]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        await self._release(carrier.run.pk)

    async def _release_uncarried(self) -> None:
        """Let go of what was claimed for somebody who had stopped waiting for it."""
        # Through the writer: a claim that is under way is done before.
        for run_pk in await database.insist(Run.objects.starting_at, self.name):
            if run_pk not in self._carriers:
                await self._release(run_pk)

    async def _release(self, run_pk: int) -> None:
        if await database.insist(Run.objects.release, run_pk, self.name):
            # Others look by themselves, but later.
            hints.post(WORKERS, {"type": "released"})
            await announce_stored(run_pk)

    async def carry_next(self) -> None:
        """Claim the run whose turn it is, if there is one, and carry it to its end."""
        run = await self._claim_next()
        if run is not None:
            await asyncio.wait({self._carry(run)})

    def wake_from_thread(self) -> None:
        """There is a new queued run."""
        self._loop.call_soon_threadsafe(self._wakeup.set)

    def end_from_thread(self, run_pk: int) -> None:
        """Somebody cancelled a run that we may hold."""
        self._loop.call_soon_threadsafe(self._cancel, run_pk)

    def carrier(self, run_pk: int) -> Carrier | None:
        return self._carriers.get(run_pk)

    def _expose(self) -> None:
        """Let the metrics look at us whenever somebody asks for them, from any thread."""
        metrics.RUNS_CARRIED.set_function(lambda: len(self._carriers))
        metrics.SANDBOXES_OPEN.labels(self.backend.name).set_function(
            lambda: self.backend.open_count
        )
        metrics.WAITING_RUNS.set_function(lambda: len(self._recorder.waiting()))
        metrics.WAITING_BYTES.set_function(lambda: sum(self._recorder.waiting()))
        for status in Status:
            if status not in ACTIVE:
                metrics.RUNS_ENDED.labels(status)  # from zero on, so that a first one shows

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
        while run := await self._claim_next():
            self._carry(run)

    async def _claim_next(self) -> Run | None:
        if self._stopping or len(self._carriers) >= self._limit:
            return None
        run = await database.write(
            Run.objects.claim_next, self.name, settings.LEASE_SECONDS, self._served,
            self._most_of_one,
        )  # fmt: skip
        if run is None or run.pk in self._carriers:
            return None
        return run if await self._may_begin(run) else None

    async def _may_begin(self, run: Run) -> bool:
        """Whether we may still carry what was ours when the claim was made."""
        if self._stopping:
            await self._release(run.pk)
            return False
        return True

    def _carry(self, run: Run) -> asyncio.Task:
        carrier = self._carriers[run.pk] = Carrier(run, self.backend, self._recorder)
        if run.cancel_requested_at:
            self._cancel(run.pk)  # before another executor let go of it
        announce(run)
        task = asyncio.create_task(carrier.carry(), name=_task_name(run))
        self._carrying.add(task)
        task.add_done_callback(lambda task: self._carried(task, carrier))
        return task

    async def _take_over_expired(self) -> None:
        """Runs whose executor is dead, frozen or without its database."""
        if self._stopping or not self._contact.may_judge:
            return
        for run in await take_over_expired(self._recorder, self.name, self.backend, self._may_take):
            if await self._may_begin(run):
                self._carry(run)

    def _may_take(self, run_pk: int) -> bool:
        """Not what we carry: it was ours, and we have not let go of it yet."""
        return self._contact.may_judge and not self._stopping and run_pk not in self._carriers

    def _carried(self, task: asyncio.Task, carrier: Carrier) -> None:
        self._carrying.discard(task)
        del self._carriers[carrier.run.pk]
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
        if not (self._carriers or self._is_shared):
            return
        carried = dict(self._carriers)
        held = await database.insist(Run.objects.renew, self.name, settings.LEASE_SECONDS)
        self._contact.made()
        await self._release_strays(held)
        for run_pk, carrier in carried.items():
            # One that has ended meanwhile is not lost.
            is_ours = run_pk in held or self._carriers.get(run_pk) is not carrier
            if not is_ours and await database.read(Run.objects.is_elsewhere, carrier.run):
                carrier.lose()

    async def _release_strays(self, held: set[int]) -> None:
        """Runs that are ours by a claim whose answer was lost: for whoever takes them."""
        strays = held - self._carriers.keys()
        # Once is no proof: it may be about to be carried, or to be ended as lost.
        for run_pk in strays & self._strays:
            run_id = await database.read(_public_id, run_pk)
            log.warning(
                "Run %s is ours and nobody carries it: let go of.", run_id, extra={"run": run_id}
            )
            await self._release(run_pk)
        self._strays = strays

    async def _living(self) -> dict[str, str]:
        return await database.read(Run.objects.held_sandboxes)

    async def _sweep(self) -> None:
        """Kill sandboxes that outlived their run, wherever it was carried."""
        if self.backend.can_attach and (killed := await self.backend.sweep(await self._living())):
            log.warning("%d sandboxes had outlived their runs.", killed)

    async def _keep_limits(self) -> None:
        """Count what is printed; end runs that go on although their owner's limit is reached."""
        if not self._carriers:
            return
        # It holds up what is being stored, so without a need it is done now and then.
        is_due = time.monotonic() >= self._count_at
        if not is_due and not await database.read(Limit.objects.speak_of_output):
            return
        self._count_at = time.monotonic() + COUNT_SECONDS
        # Runs that print nothing use nothing, and may go on.
        printed = await database.write(Run.objects.count_output, self.name)
        if not printed:
            return
        over = await database.read(Run.objects.beyond_limits, printed)
        for run_pk, sentence in over.items():
            if carrier := self._carriers.get(run_pk):
                carrier.end(Status.FAILED, f"The run was ended. {sentence}")

    async def _forget_usage(self) -> None:
        await database.write(Usage.objects.forget)

    async def _check_stalls(self) -> None:
        for carrier in list(self._carriers.values()):
            await carrier.check_stall()


def _public_id(run_pk: int) -> str:
    return Run.objects.values_list("public_id", flat=True).filter(pk=run_pk).first()


def _task_name(run: Run) -> str:
    return f"run {run.public_id}"


async def _at_most(seconds: float, work: Awaitable) -> None:
    """What a stop can wait for: where the database is away the leases have to do."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


async def _forever(what: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do `what` every so often; a failure is logged and the next time comes anyway."""
    while True:
        try:
            await what()
        except database.AWAY as error:
            log.warning("%s failed, trying again in %g s: %s", what.__name__, seconds, error)
        except Exception:
            log.exception("%s failed, trying again in %g s", what.__name__, seconds)
        await asyncio.sleep(seconds)
