"""Which process carries a run. The edge knows of execution only what is here.

Embedded dispatch: the process that holds the lock file of the data dir carries
all runs. Others only insert and read; it looks for their runs every second.
"""

import os
import secrets

from django.conf import settings
from django.db import IntegrityError, transaction

from ..kinds import Spec
from ..models import HELD, Run, Status
from ..sandboxes.base import SandboxError
from ..streaming import database
from ..streaming.feed import announce
from .backends import make_backend
from .executor import Executor
from .lock import AlreadyExecuting, ExecutorLock

__all__ = [
    "AlreadyExecuting",
    "NotAccepted",
    "SandboxError",
    "cancel",
    "close",
    "describe",
    "describe_sandbox",
    "send_stdin",
    "start",
    "stop",
    "submit",
]

STOPPED = "The server was stopped."

_executor: Executor | None = None
_lock: ExecutorLock | None = None


class NotAccepted(Exception):
    """A running program could not be given what was sent; a sentence for people."""


def submit(owner, spec: Spec, rerun_of: Run | None = None) -> Run:
    """Insert a run and see that it is carried. Called in a thread (ORM)."""
    try:
        with transaction.atomic():
            run = Run.objects.launch(owner, spec, rerun_of)
    except IntegrityError:
        if rerun_of is None:
            raise
        # What it repeats was deleted this moment.
        run = Run.objects.launch(owner, spec)
    transaction.on_commit(lambda: _submitted(run))
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
    announce(Run.objects.get(pk=run.pk))
    return True


async def send_stdin(run: Run, task: int, text: str | None) -> None:
    """Write to a process's stdin, None to close it. Raises NotAccepted."""
    if not run.stdin:
        raise NotAccepted("This run was launched without stdin. Launch it with stdin.")
    carrier = _executor and _executor.carrier(run.pk)
    if carrier is None:
        raise NotAccepted("The run is not running here. Launch it again to send input.")
    try:
        await carrier.send_stdin(task, text)
    except SandboxError as error:
        raise NotAccepted(str(error)) from None


async def start() -> None:
    """Start the executor of this process, in the running event loop.

    Raises SandboxError or AlreadyExecuting.
    """
    global _executor, _lock
    lock = ExecutorLock(settings.DATA_DIR)
    lock.acquire()
    try:
        # A name of its own after every start: a dead executor's runs are then
        # told from ours even if the process id comes again.
        name = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        executor = Executor(make_backend(), name, settings.MAX_RUNS)
        await executor.start()
    except BaseException:
        lock.release()
        raise
    _executor, _lock = executor, lock


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
    """{"executor": "embedded" | "elsewhere" | "none", "running", "queued", "sandbox": {…}}.

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
    if _executor:
        return "embedded"
    held = ExecutorLock(settings.DATA_DIR).held_by_anyone()
    return "elsewhere" if held else "none"


def close() -> None:
    """Close the connections of the database threads, at the end of a process."""
    database.close_connections()
