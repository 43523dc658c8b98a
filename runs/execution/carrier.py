"""Carrying one run from its sandbox to its final status."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress

from django.conf import settings

from .. import logs, metrics
from ..fields import Unreadable
from ..models import Run, Status
from ..sandboxes.base import Backend, Offset, OutputQueue, Piece, Sandbox, SandboxError
from ..streaming import database
from ..streaming.drafting import Drafting
from ..streaming.feed import announce_stored
from ..streaming.lines import Draft
from ..streaming.masking import Secrets
from ..streaming.recorder import LeaseLost, Recorder, Recording
from .outcome import Outcome, agent_error, ended_early, of_exit_codes, task_states, traceback_end
from .recovery import started_at

log = logging.getLogger(__name__)

# After a kill the sandbox has this long to hand over what the pipes still held.
KILL_SECONDS = 3.0


class Carrier:
    """Carries a run we hold to its end; end() ends it early, from the event loop.

    A run that is `running` already was begun by another executor: its sandbox is
    attached to and its output goes on where the row says it was consumed.
    """

    def __init__(self, run: Run, backend: Backend, recorder: Recorder):
        self.run = run
        self._took_over = run.status == Status.RUNNING
        self._backend = backend
        self._recorder = recorder
        self._queue = OutputQueue()
        self._sandbox: Sandbox | None = None
        self._early: Outcome | None = None
        self._is_lost = False
        self._ending = asyncio.Event()
        self._codes: dict[int, int | None] = {}
        self._raised = ""
        self._side_tasks: set[asyncio.Task] = set()
        self._started_at = self._last_output = time.monotonic()
        self._stalled = run.stalled
        self._recording: Recording | None = None
        self._secrets = Secrets()

    def end(self, status: Status, error: str) -> None:
        """End the run now, whatever its program does; the first call counts."""
        if self._early is None:
            self._early = Outcome(status, error=error)
            self._ending.set()

    def lose(self) -> None:
        """The run is another executor's, or shall be: let go of it, and record nothing more."""
        self._is_lost = True
        self._ending.set()

    async def send_stdin(self, task: int, text: str | None) -> None:
        """Raises SandboxError if the program cannot be given it."""
        if self._sandbox is None:
            raise SandboxError(
                "The program is not running any more. Launch it again to send input."
                if self._codes or self._early
                else "The program has not started yet. Try again in a moment."
            )
        await self._sandbox.send_stdin(task, text)

    async def carry(self) -> None:
        """To the final status; raises nothing but what cancels the task. In a task of its own."""
        logs.RUN.set(self.run.public_id)
        log.info("Run %s is carried here, epoch %d.", self.run.public_id, self.run.epoch)
        try:
            self._recording = await self._recorder.open(self.run, self._backend.can_attach)
            try:
                outcome = await self._execute(self._recording)
                if self._backend.can_attach:
                    # What is not stored yet goes with the sandbox.
                    await self._recording.flush()
                    await self._check_held()
            except LeaseLost:
                await self._leave_sandbox()
                raise
            finally:
                await self._close_sandbox()
            await self._finish(self._recording, outcome)
        except LeaseLost:
            metrics.LEASE_LOSSES.inc()
            log.warning("Run %s was taken over by another executor.", self.run.public_id)
        except Exception:
            log.exception("Run %s failed inside streamsite", self.run.public_id)
            await self._give_up()

    async def _execute(self, recording: Recording) -> Outcome:
        if self._early and not self._took_over:
            return self._early  # nothing has been made for it that would have to be ended
        try:
            self._sandbox = await self._unless_ended(self._open_sandbox())
            if self._sandbox is None:
                return self._early
            if self._took_over:
                await self._go_on(recording)
            else:
                await self._begin(recording, self._sandbox)
            return await self._run_program(recording, self._sandbox)
        except (SandboxError, Unreadable) as error:
            if self._early:
                return self._early  # what broke while it was being ended is no news
            # Part of the log, so a replay or an audit shows it where it happened.
            await recording.remark(str(error))
            return Outcome(Status.FAILED, error=str(error))

    async def _open_sandbox(self) -> Sandbox:
        launch = self.run.to_launch()
        self._secrets = Secrets(launch.secrets)
        if not self._took_over:
            return await self._backend.create(launch, self._say_waiting)
        offsets = {}
        for key, offset in self.run.offsets.items():
            task, _, stream = key.partition(":")
            offsets[int(task), stream] = Offset(*offset)
        return await self._backend.attach(launch, self.run.sandbox_id, offsets)

    async def _unless_ended(self, work: Coroutine) -> Sandbox | None:
        """What `work` gives; None, and `work` is given up, if the run is ended meanwhile."""
        task, ending = asyncio.ensure_future(work), asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self._is_lost:
                raise LeaseLost
            if task.done() or not self._early:
                return await task
            return None
        finally:
            task.cancel()
            ending.cancel()
            await asyncio.gather(task, ending, return_exceptions=True)

    async def _begin(self, recording: Recording, sandbox: Sandbox) -> None:
        begun, self._started_at = await database.insist(self._write_begin, sandbox.id)
        if not begun:
            raise LeaseLost
        recording.start_clock(self._started_at)
        self._last_output = time.monotonic()
        self._aside(self._tell())

    def _write_begin(self, sandbox_id: str) -> tuple[bool, float]:
        """Whether it is ours, and about when its clock started, as time.monotonic()."""
        before = time.monotonic()
        begun = Run.objects.begin(self.run, sandbox_id)
        return begun, (before + time.monotonic()) / 2

    async def _go_on(self, recording: Recording) -> None:
        self._started_at = await database.insist(started_at, self.run.pk)
        recording.start_clock(self._started_at)
        self._last_output = time.monotonic()
        await recording.remark(
            "Another server goes on with this run. Output that was printed in between "
            "follows with the time at which it was read."
        )

    def _say_waiting(self, reason: str) -> None:
        self._aside(self._set_waiting(reason))

    async def _set_waiting(self, reason: str) -> None:
        if await database.insist(Run.objects.set_waiting, self.run, reason):
            await self._tell()

    async def _run_program(self, recording: Recording, sandbox: Sandbox) -> Outcome:
        work = asyncio.ensure_future(sandbox.run(self._queue, self._on_exit))
        pump = asyncio.ensure_future(self._pump(recording))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            timeout = None
            if self.run.timeout:
                timeout = max(0.0, self._started_at + self.run.timeout - time.monotonic())
            done, _ = await asyncio.wait(
                {work, pump, ending}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self.end(
                    Status.TIMED_OUT,
                    f"The run took longer than its timeout of {self.run.timeout:g} s. "
                    "Launch it with a longer one, or with 0 for none.",
                )
            if self._is_lost:
                raise LeaseLost
            if pump in done:
                await pump  # before the program's end only because it failed
            if work not in done:
                await self._check_held()
                await self._kill(sandbox, work)
            self._queue.close()
            await pump
            return self._outcome(work)
        finally:
            for task in (work, pump, ending):
                task.cancel()
            await asyncio.gather(work, pump, ending, return_exceptions=True)

    async def _check_held(self) -> None:
        """Raises LeaseLost if the sandbox is another's, who goes on with it."""
        if self._backend.can_attach and await database.insist(Run.objects.is_elsewhere, self.run):
            raise LeaseLost

    async def _kill(self, sandbox: Sandbox, work: asyncio.Future) -> None:
        await sandbox.kill()
        await asyncio.wait({work}, timeout=KILL_SECONDS)
        if not work.done():
            log.error("Sandbox %s did not end when it was killed.", sandbox.id)
            work.cancel()

    def _outcome(self, work: asyncio.Future) -> Outcome:
        parallel = self.run.kind == "parallel"
        if self._early:
            if work.done() and not work.cancelled() and not work.exception():
                return ended_early(self._early, work.result(), parallel=parallel)
            return self._early
        if work.cancelled():
            return Outcome(Status.FAILED, error="The sandbox did not answer any more.")
        return of_exit_codes(work.result(), parallel=parallel, raised=self._raised)

    # --- output ----------------------------------------------------------------

    async def _pump(self, recording: Recording) -> None:
        """From the sandbox's queue through masks and event lines to the recorder."""
        drafting = Drafting(self._secrets, self.run.offsets)
        recording.maskers, recording.secrets = drafting.maskers, self._secrets
        while True:
            deadline = drafting.deadline
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            pieces = await self._queue.take(wait)
            if pieces is None:
                await recording.append(drafting.end())
                return
            drafts = self._drafts(pieces, drafting)
            now = time.monotonic()
            drafts += drafting.release(now)
            if pieces:
                self._last_output = now
                if self._stalled:
                    self._aside(self._set_stalled(False))
            await recording.append(drafts)
            if recording.cap.reached and settings.OUTPUT_CAP_ENDS_RUN:
                self.end(Status.FAILED, "The run printed more than the output cap allows.")

    def _drafts(self, pieces: list[Piece], drafting: Drafting) -> list[Draft]:
        pieces = [
            piece if piece.data is None else piece._replace(data=piece.data.decode())
            for piece in pieces
        ]
        drafts: list[Draft] = []
        for piece, of_piece in zip(pieces, drafting.feed_all(pieces), strict=True):
            drafts += of_piece
            if piece.stream == "error":
                self._raised = f"The program raised {traceback_end(of_piece[0].text)}."
            elif self.run.kind == "agent":
                self._raised = next(filter(None, map(agent_error, of_piece)), self._raised)
        return drafts

    async def check_stall(self) -> None:
        """Mark a running program that has printed nothing for long."""
        silent = time.monotonic() - self._last_output
        if self._sandbox is None or self._stalled or silent < settings.STALL_SECONDS:
            return
        await self._set_stalled(True)

    async def _set_stalled(self, stalled: bool) -> None:
        self._stalled = stalled
        if await database.insist(Run.objects.set_stalled, self.run, stalled):
            if stalled and self._recording:
                with suppress(LeaseLost):
                    await self._recording.remark(
                        f"No output for {settings.STALL_SECONDS:g} s. The run goes on."
                    )
            await self._tell()

    # --- status ----------------------------------------------------------------

    def _on_exit(self, task: int, code: int | None) -> None:
        self._codes[task] = code
        if self.run.kind == "parallel":
            tasks = task_states(self.run.tasks, self._codes)
            tasks = [
                {**state, "status": "running"} if state["status"] == "queued" else state
                for state in tasks
            ]
            self._aside(self._set_tasks(tasks))

    async def _set_tasks(self, tasks: list[dict]) -> None:
        if await database.insist(Run.objects.set_tasks, self.run, tasks):
            await self._tell()

    async def _tell(self) -> None:
        await announce_stored(self.run.pk)

    async def _finish(self, recording: Recording, outcome: Outcome) -> None:
        await self._settle()
        if self._early:
            await recording.remark(outcome.error)
        if dropped := recording.cap.dropped:
            await recording.remark(
                f"{dropped['bytes']:,} bytes in {dropped['chunks']:,} chunks (seq "
                f"{dropped['from_seq']} to {dropped['to_seq']}) were not kept: "
                "the output passed the cap."
            )
        await recording.flush()
        if not await database.insist(self._write_end, outcome):
            raise LeaseLost
        log.info("Run %s ended as %s.", self.run.public_id, outcome.status)
        await self._tell()

    def _write_end(self, outcome: Outcome) -> bool:
        rest = Status.FAILED if outcome.status == Status.SUCCEEDED else outcome.status
        ended = Run.objects.finish(
            self.run,
            outcome.status,
            exit_code=outcome.exit_code,
            exit_codes=outcome.exit_codes,
            error=outcome.error,
            tasks=task_states(self.run.tasks, self._codes, rest),
        )
        if ended:
            metrics.RUNS_ENDED.labels(outcome.status).inc()
        return ended

    async def _give_up(self) -> None:
        """After a mistake of ours: the run must not stay `running` for it."""
        outcome = Outcome(Status.FAILED, error="streamsite failed. The server's log says why.")
        with suppress(Exception):
            await database.insist(self._write_end, outcome)
            await self._tell()

    # --- housekeeping ----------------------------------------------------------

    async def _leave_sandbox(self) -> None:
        if self._sandbox:
            sandbox, self._sandbox = self._sandbox, None
            await asyncio.shield(sandbox.leave())

    async def _close_sandbox(self) -> None:
        if self._sandbox:
            sandbox, self._sandbox = self._sandbox, None
            await asyncio.shield(sandbox.close())

    def _aside(self, work) -> None:
        task = asyncio.ensure_future(work)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)

    async def _settle(self) -> None:
        while self._side_tasks:
            await asyncio.gather(*self._side_tasks, return_exceptions=True)
