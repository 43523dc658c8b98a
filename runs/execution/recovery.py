"""After a crash: runs that nobody carries any more get their end."""

import logging

from django.conf import settings

from ..models import HELD, Run, Status
from ..streaming import database
from ..streaming.feed import announce
from ..streaming.recorder import LeaseLost, Recorder
from .outcome import task_states

log = logging.getLogger(__name__)

LOST = (
    "The server ended without ending this run; "
    "what the program printed after this point is not known."
)


async def end_lost_runs(recorder: Recorder, executor: str) -> int:
    """End what a dead executor left as `lost`, with a remark in each recording.

    For the one executor of a SQLite file: every run held by another name has lost
    its executor, whatever its lease says.
    """
    left = await database.read(_left_behind, executor)
    for run_pk in left:
        run = await database.write(Run.objects.take_over, run_pk, executor, settings.LEASE_SECONDS)
        if run:
            await _end(recorder, run)
    if left:
        log.warning("%d runs were lost with an earlier server.", len(left))
    return len(left)


async def _end(recorder: Recorder, run: Run) -> None:
    recording = await recorder.open(run)
    try:
        await recording.remark(LOST)
        await recording.flush()
    except LeaseLost:
        return
    await database.write(_finish, run)
    announce(await database.read(_as_stored, run.pk))


def _left_behind(executor: str) -> list[int]:
    held = Run.objects.filter(status__in=HELD).exclude(executor=executor)
    return list(held.order_by("pk").values_list("pk", flat=True))


def _finish(run: Run) -> None:
    Run.objects.finish(run, Status.LOST, error=LOST, tasks=task_states(run.tasks, {}, Status.LOST))


def _as_stored(run_pk: int) -> Run:
    return Run.objects.get(pk=run_pk)
