"""Which process carries a run. The edge knows of execution only what is here.

Embedded dispatch, on SQLite: the process that holds the lock file of the data dir
carries all runs. Others only insert and read; it looks for their runs every second.

Shared dispatch, on PostgreSQL and Redis: any number of workers carry them. A job is
deferred in the transaction that creates a run; cancels and stdin go over Redis to the
worker that holds it. What a job or a message says may get lost: the run's row decides.
"""

import asyncio
import os
import secrets

from django.conf import settings
from django.db import IntegrityError, transaction

from .. import metrics
from ..kinds import Spec
from ..models import HELD, Run, Status
from ..sandboxes.base import SandboxError
from ..streaming import database
from ..streaming.feed import announce, feeds
from ..streaming.hints import hints
from .backends import make_backend
from .executor import WORKERS, Executor
from .lock import AlreadyExecuting, ExecutorLock

if settings.IS_SHARED:
    from . import jobs

__all__ = [
    "AlreadyExecuting",
    "NotAccepted",
    "SandboxError",
    "attach",
    "cancel",
    "close",
    "describe",
    "describe_sandbox",
    "send_stdin",
    "start",
    "stop",
    "submit",
    "work",
]

STOPPED = "The server was stopped."
STDIN_SECONDS = 5.0
CANCEL_AGAIN_SECONDS = 3.0

_executor: Executor | None = None
_lock: ExecutorLock | None = None


class NotAccepted(Exception):
    """A running program could not be given what was sent; a sentence for people."""


def submit(owner, spec: Spec, rerun_of: Run | None = None) -> Run:
    """Insert a run and see that it is carried. Called in a thread (ORM)."""
    try:
        run = _insert(owner, spec, rerun_of)
    except IntegrityError:
        if rerun_of is None:
            raise
        # What it repeats was deleted this moment.
        run = _insert(owner, spec)
    transaction.on_commit(lambda: _submitted(run))
    return run


def _insert(owner, spec: Spec, rerun_of: Run | None = None) -> Run:
    with transaction.atomic():
        run = Run.objects.launch(owner, spec, rerun_of)
        if settings.IS_SHARED:
            jobs.defer(run.pk)
    return run


def _submitted(run: Run) -> None:
    announce(run)
    if _executor:
        _executor.wake_from_thread()


def cancel(run: Run) -> bool:
    """Ask for a run's end; False if it is final already. Called in a thread (ORM)."""
    if not Run.objects.request_cancel(run):
        return False
    if _executor:
        _executor.end_from_thread(run.pk)
    hints.post(WORKERS, {"type": "cancel", "run": run.pk})
    run = Run.objects.get(pk=run.pk)
    if run.is_final and not run.executor:
        metrics.RUNS_ENDED.labels(run.status).inc()  # nobody had claimed it
    announce(run)
    return True


async def send_stdin(run: Run, task: int, text: str | None) -> None:
    """Write to a process's stdin, None to close it. Raises NotAccepted."""
    if not run.stdin:
        raise NotAccepted("This run was launched without stdin. Launch it with stdin.")
    if settings.IS_SHARED and not (_executor and _executor.carrier(run.pk)):
        await _send_stdin_elsewhere(run, task, text)
    elif error := await _send_stdin_here(run.pk, task, text):
        raise NotAccepted(error)


async def _send_stdin_here(run_pk: int, task: int, text: str | None) -> str:
    """Why it was not accepted, "" if it was."""
    carrier = _executor and _executor.carrier(run_pk)
    if not carrier:
        return "The run is not running here. Launch it again to send input."
    try:
        await carrier.send_stdin(task, text)
    except SandboxError as error:
        return str(error)
    return ""


async def _send_stdin_elsewhere(run: Run, task: int, text: str | None) -> None:
    run = await database.read(_as_stored, run.pk)
    if run.is_final:
        raise NotAccepted("The run is not running any more. Launch it again to send input.")
    if not run.executor:
        raise NotAccepted("The program has not started yet. Try again in a moment.")
    message = {"type": "stdin", "run": run.pk, "task": task, "text": text}
    try:
        answer = await hints.ask(_group(run.executor), message, STDIN_SECONDS)
    except Exception:
        raise NotAccepted(
            "The worker that carries this run does not answer. Try again in a moment."
        ) from None
    if answer["error"]:
        raise NotAccepted(answer["error"])


def _group(executor: str) -> str:
    # Names of groups hold no colon.
    return "executor." + executor.rpartition(":")[2]


def _as_stored(run_pk: int) -> Run:
    return Run.objects.get(pk=run_pk)


async def start() -> None:
    """Start the executor of this process, in the running event loop.

    Raises SandboxError or AlreadyExecuting.
    """
    global _executor, _lock
    lock = ExecutorLock(settings.DATA_DIR)
    lock.acquire()
    try:
        executor = Executor(make_backend(), _new_name(), settings.MAX_RUNS)
        await executor.start()
    except BaseException:
        lock.release()
        raise
    _executor, _lock = executor, lock


def _new_name() -> str:
    # One of its own after every start: a dead executor's runs are then told from
    # ours even if the process id comes again.
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"


async def attach() -> None:
    """Begin to tell other processes what this one changes, in the running event loop."""
    feeds.attach()


async def work(concurrency: int, stopping: asyncio.Event, ready) -> None:
    """Carry runs beside other workers until `stopping`, then hand over or let them end.

    `ready` is called when runs are taken. Raises SandboxError if none could run here.
    """
    global _executor
    feeds.attach()
    executor = Executor(make_backend(), _new_name(), concurrency, is_shared=True)
    await executor.start()
    _executor = executor
    side_tasks = [
        asyncio.create_task(hints.listen(group, _hear), name=group)
        for group in (WORKERS, _group(executor.name))
    ]
    fetching = asyncio.create_task(jobs.work(executor, concurrency), name="jobs")
    try:
        ready()
        await stopping.wait()
        executor.claim_no_more()
        await _cancelled([fetching])
        # Still heard meanwhile: cancels and stdin of what goes on.
        await executor.drain(settings.GRACE_SECONDS, STOPPED)
    finally:
        await _cancelled([fetching, *side_tasks])
        _executor = None


async def _cancelled(tasks: list[asyncio.Task]) -> None:
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        # Again if need be: a pool that waits for its database swallows it and goes on.
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


_answering: set[asyncio.Task] = set()


def _hear(message: dict) -> None:
    """What another process wants of this worker."""
    if _executor is None:
        return
    if message["type"] == "released":
        _executor.wake_from_thread()
    elif message["type"] == "cancel":
        _executor.end_from_thread(message["run"])
    elif message["type"] == "stdin":
        task = asyncio.ensure_future(_answer_stdin(message))
        _answering.add(task)
        task.add_done_callback(_answering.discard)


async def _answer_stdin(message: dict) -> None:
    error = await _send_stdin_here(message["run"], message["task"], message["text"])
    hints.answer(message, {"error": error})


async def stop() -> None:
    """End this process's runs as cancelled, with the reason, and its executor."""
    global _executor, _lock
    if _executor is None:
        return
    executor, _executor = _executor, None
    await executor.stop(STOPPED)
    if _lock:
        _lock.release()
        _lock = None


def describe() -> dict:
    """{"executor": "embedded" | "worker" | "workers" | "elsewhere" | "none", "running",
    "queued", "sandbox": {…}}.

    `sandbox` is {"name", "confined", "sentence", "open", …}, where `open` counts the
    sandboxes there are now; of an executor elsewhere only the name is known.
    """
    counts = Run.objects.active().values_list("status", flat=True)
    statuses = list(counts)
    return {
        "executor": _where(),
        "running": sum(status in HELD for status in statuses),
        "queued": statuses.count(Status.QUEUED),
        "sandbox": describe_sandbox(),
    }


def describe_sandbox() -> dict:
    if not _executor:
        return {"name": settings.SANDBOX}
    backend = _executor.backend
    return {**backend.describe(), "open": backend.open_count}


def _where() -> str:
    if settings.IS_SHARED:
        return "worker" if _executor else jobs.where()
    if _executor:
        return "embedded"
    held = ExecutorLock(settings.DATA_DIR).held_by_anyone()
    return "elsewhere" if held else "none"


def close() -> None:
    """Close the connections of the database threads, at the end of a process."""
    database.close_connections()
