"""After a crash: runs that nobody carries any more go on, or get their end."""

import logging

from django.conf import settings

from ..models import HELD, Run, Status
from ..sandboxes.base import Backend
from ..streaming import database
from ..streaming.feed import announce
from ..streaming.recorder import LeaseLost, Recorder
from .outcome import task_states

log = logging.getLogger(__name__)

LOST = (
    "The server ended without ending this run; "
    "what the program printed after this point is not known."
)


async def take_over_runs(recorder: Recorder, executor: str, backend: Backend) -> list[Run]:
    """Take what a dead executor left: what can go on is returned, the rest ends as `lost`.

    For the one executor of a SQLite file: every run held by another name has lost
    its executor, whatever its lease says. A run that was starting has run nothing
    yet, since its sandbox stands on the row before anything runs in it.
    """
    goes_on, lost = [], 0
    for run_pk in await database.read(_left_behind, executor):
        run = await database.write(Run.objects.take_over, run_pk, executor, settings.LEASE_SECONDS)
        if run is None:
            continue
        why = _why_lost(run, backend)
        if why:
            await _end(recorder, run, why)
            lost += 1
        else:
            goes_on.append(run)
    if goes_on or lost:
        log.warning("Of an earlier server's runs %d go on, %d are lost.", len(goes_on), lost)
    return goes_on


def _why_lost(run: Run, backend: Backend) -> str:
    if run.sandbox != backend.name or not backend.can_attach:
        return LOST
    if run.mode == "notebook" and run.status == Status.RUNNING:
        return (
            "The server ended without ending this run; a notebook cell "
            "cannot be gone on with by another one."
        )
    return ""


async def _end(recorder: Recorder, run: Run, why: str) -> None:
    recording = await recorder.open(run)
    try:
        await recording.remark(why)
        await recording.flush()
    except LeaseLost:
        return
    await database.write(_finish, run, why)
    announce(await database.read(_as_stored, run.pk))


def _left_behind(executor: str) -> list[int]:
    held = Run.objects.filter(status__in=HELD).exclude(executor=executor)
    return list(held.order_by("pk").values_list("pk", flat=True))


def _finish(run: Run, why: str) -> None:
    Run.objects.finish(run, Status.LOST, error=why, tasks=task_states(run.tasks, {}, Status.LOST))


def _as_stored(run_pk: int) -> Run:
    return Run.objects.get(pk=run_pk)
