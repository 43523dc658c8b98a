"""After a crash: runs that nobody carries any more go on, or get their end."""

import asyncio
import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.db.models import DateTimeField
from django.db.models.functions import Now

from .. import metrics
from ..models import Run, Status
from ..sandboxes.base import Backend
from ..streaming import database
from ..streaming.feed import announce_stored
from ..streaming.recorder import LeaseLost, Recorder
from .outcome import task_states

log = logging.getLogger(__name__)

LOST = (
    "The server ended without ending this run; "
    "what the program printed after this point is not known."
)

# Not by a timeout: PostgreSQL has none for a COPY that waits for its rows.
_END_FROZEN = """
SELECT pg_terminate_backend(pid)
FROM runs_run
JOIN pg_locks ON locktype = 'transactionid' AND granted AND transactionid = runs_run.xmax
JOIN pg_stat_activity USING (pid)
WHERE runs_run.id = ANY(%s)
  AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - interval '1 second'
"""


async def take_over_runs(recorder: Recorder, executor: str, backend: Backend) -> list[Run]:
    """Take what a dead executor left: what can go on is returned, the rest ends as `lost`.

    For the one executor of a SQLite file: every run held by another name has lost
    its executor, whatever its lease says.
    """
    runs = await database.write(_claim_left_behind, executor)
    goes_on, lost = [], {}
    for run in runs:
        if why := _why_lost(run, backend):
            lost[run] = why
        else:
            goes_on.append(run)
    await _end_all(recorder, lost)
    if runs:
        log.warning("Of an earlier server's runs %d go on, %d are lost.", len(goes_on), len(lost))
    return goes_on


def _claim_left_behind(executor: str) -> list[Run]:
    held = Run.objects.held_ones().exclude(executor=executor)
    pks = list(held.order_by("pk").values_list("pk", flat=True))
    taken = (Run.objects.take_over(pk, executor, settings.LEASE_SECONDS) for pk in pks)
    return [run for run in taken if run]


async def take_over_expired(
    recorder: Recorder, executor: str, backend: Backend, may_take: Callable[[int], bool]
) -> list[Run]:
    """The same for runs whose lease has run out, where there are several executors.

    `may_take` is asked for each, from another thread, at the last moment: the list may
    have been as long in coming as the heartbeats of those who are judged by it.
    """
    runs = await database.write(_claim_expired, executor, may_take)
    goes_on, lost = [], {}
    for run in runs:
        # What was starting has run nothing yet: its sandbox stands on the row before
        # anything runs in it.
        has_begun = run.status == Status.RUNNING or run.sandbox != backend.name
        if has_begun and (why := _why_lost(run, backend)):
            lost[run] = why
        else:
            goes_on.append(run)
    for what, some in (("goes on here", goes_on), ("is lost", lost)):
        for run in some:
            log.warning(
                "Run %s %s: its worker let its lease run out.", run.public_id, what,
                extra={"run": run.public_id},
            )  # fmt: skip
    await _end_all(recorder, lost)
    return goes_on


def _claim_expired(executor: str, may_take: Callable[[int], bool]) -> list[Run]:
    pks, locked = Run.objects.expired(executor)
    if locked:
        _end_frozen_transactions(locked)
    taken = (Run.objects.claim(pk, executor, settings.LEASE_SECONDS) for pk in pks if may_take(pk))
    return [run for run in taken if run]


def _end_frozen_transactions(pks: list[int]) -> None:
    """Whoever froze in mid-transaction, or lost its machine, keeps its rows locked, and a
    claim of them would wait for as long, our own heartbeats behind it."""
    with connection.cursor() as cursor:
        cursor.execute(_END_FROZEN, [pks])
        if cursor.rowcount:
            log.warning("Transactions of a worker that is silent were ended: %d.", cursor.rowcount)


def _why_lost(run: Run, backend: Backend) -> str:
    if run.sandbox != backend.name or not backend.can_attach:
        return LOST
    if run.mode == "notebook" and run.status == Status.RUNNING:
        return (
            "The server ended without ending this run; a notebook cell "
            "cannot be gone on with by another one."
        )
    return ""


def started_at(run_pk: int) -> float:
    """When the run started, by the database's clock, as time.monotonic()."""
    row = Run.objects.annotate(now=Now(output_field=DateTimeField())).get(pk=run_pk)
    return time.monotonic() - (row.now - row.started_at).total_seconds()


class Contact:
    """Whether we may judge others by their leases.

    Only while our own heartbeats succeed in time, and not for one lease after they did
    not: the same database, or the same machine, may have kept others from theirs.
    """

    def __init__(self, lease_seconds: float):
        self._lease = lease_seconds
        self._last = time.monotonic()
        self._judges_from = self._last

    def made(self) -> None:
        """A heartbeat of ours was stored."""
        if not self._is_fresh():
            self._judges_from = time.monotonic() + self._lease
        self._last = time.monotonic()

    @property
    def may_judge(self) -> bool:
        return self._is_fresh() and time.monotonic() >= self._judges_from

    def _is_fresh(self) -> bool:
        # Heartbeats are a quarter of a lease apart. Whoever missed one beside us in an
        # outage shorter than this has another before its lease is over.
        return time.monotonic() - self._last <= self._lease / 2


async def _end_all(recorder: Recorder, lost: dict[Run, str]) -> None:
    await asyncio.gather(*(_end(recorder, run, why) for run, why in lost.items()))


async def _end(recorder: Recorder, run: Run, why: str) -> None:
    recording = await recorder.open(run)
    try:
        await recording.remark(why)
        await recording.flush()
    except LeaseLost:
        return
    await database.insist(_finish, run, why)
    await announce_stored(run.pk)


def _finish(run: Run, why: str) -> None:
    tasks = task_states(run.tasks, {}, Status.LOST)
    if Run.objects.finish(run, Status.LOST, error=why, tasks=tasks):
        metrics.RUNS_ENDED.labels(Status.LOST).inc()
