"""Deleting what was recorded: decided in one transaction, then done in short steps.

The decision is a Deletion, which stays, and the run says from then on that its output is
deleted. Whoever was stopped half-way is gone on with by the next retention.
"""

import time
from collections.abc import Iterator

from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ..models import Chunk, Deletion, Hold, Run
from ..models.statement import iso
from .feed import announce

# A step deletes as many rows as it can in about so long: others wait for no more.
STEP_SECONDS = 0.02
# At least SMALLEST_STEP: where a step takes long whatever its size, as on a busy machine, many
# small ones would never end.
SMALLEST_STEP, LARGEST_STEP = 500, 20_000
# How long a step is tried again while somebody has locked what it needs.
LOCKED_SECONDS = 10.0


class Refused(Exception):
    """It is not deleted, or no further; a sentence for people."""


def delete_run(run: Run, by: str, reason: str) -> Deletion:
    """Delete a final run with its output. Called in a thread (ORM). Raises Refused."""
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            deletion = decide(run, Deletion.RECORD, by, reason)
            break
        except OperationalError:
            if _is_hopeless(until):
                raise
        time.sleep(STEP_SECONDS)
    for seconds in steps(deletion):
        time.sleep(seconds)
    return deletion


def decide(run: Run, what: str, by: str, reason: str) -> Deletion:
    """Decide that a run's output or record goes; nothing of it has gone yet. Raises Refused.

    If somebody has decided it before, that is what is returned. Raises OperationalError
    while somebody has locked the run.
    """
    with transaction.atomic():
        known = Deletion.objects.filter(public_id=run.public_id, what=what)
        run = _locked(run.public_id)
        if deletion := known.first():
            return deletion
        if run is None:
            raise Refused("This run is deleted already.")
        if not run.is_final:
            raise Refused("This run is still active. Cancel it, then delete it.")
        deletion = Deletion.of(run, what, by, reason, timezone.now())
        deletion.save(force_insert=True)
        if run.output_deleted is None:
            run.output_deleted = {"at": iso(deletion.at), "by": by, "reason": deletion.reason}
            # It is a part of the output.
            run.last_line = ""
            run.stored_bytes = 0
            run.save(update_fields=["output_deleted", "last_line", "stored_bytes"])
    announce(run)
    return deletion


def steps(deletion: Deletion) -> Iterator[float]:
    """Carry it out; between two steps nothing is locked, and others should have their turn.

    Each yields for how many seconds. Raises Refused when a hold has been placed, and what
    the database raises; either way it can be gone on with.
    """
    size, before, until = SMALLEST_STEP, None, time.monotonic() + LOCKED_SECONDS
    while True:
        began = time.monotonic()
        try:
            before = _delete_some(deletion, size, before)
            if before is None:
                _end(deletion)
                return
        except OperationalError:
            if _is_hopeless(until):
                raise
            yield STEP_SECONDS
            continue
        took = time.monotonic() - began
        if took > STEP_SECONDS:
            size = max(SMALLEST_STEP, size // 2)
        elif took < STEP_SECONDS / 3:
            size = min(LARGEST_STEP, size * 2)
        until = time.monotonic() + LOCKED_SECONDS
        yield took


def _delete_some(deletion: Deletion, size: int, before: int | None) -> int | None:
    """Delete the last `size` chunks: what is left meanwhile is a log without a gap.

    `before`: what the step before returned, the least key that it deleted; PostgreSQL
    would otherwise walk over all that is deleted again and again. None: nothing is left.
    """
    with transaction.atomic():
        run = _locked(deletion.public_id)
        if run is None:
            return None
        left = Chunk.objects.of(run.pk)
        if before is not None:
            left = left.filter(pk__lt=before)
        first = left.reverse().values_list("pk", flat=True)[size - 1 : size]
        least = next(iter(first), None)
        (left if least is None else left.filter(pk__gte=least)).order_by().delete()
        return least


def _end(deletion: Deletion) -> None:
    with transaction.atomic():
        run = _locked(deletion.public_id)
        if run and deletion.what == Deletion.RECORD:
            run.delete()
        Deletion.objects.filter(pk=deletion.pk, done_at=None).update(done_at=Now())


def _locked(public_id: str) -> Run | None:
    """The run, so that nobody else deletes it and nobody places a hold meanwhile.

    In a transaction. Raises Refused if it is held. Waits for nobody, as the recorder may
    be waiting for us.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Of a user's hold the run's row knows nothing.
            cursor.execute(f"LOCK TABLE {Hold._meta.db_table} IN SHARE MODE NOWAIT")
    run = Run.objects.select_for_update(nowait=True).filter(public_id=public_id).first()
    if run and Hold.objects.of(run).exists():
        raise Refused(
            "This run is under a legal hold and cannot be deleted. "
            "Ask an administrator to release the hold."
        )
    return run


def _is_hopeless(until: float) -> bool:
    """Whether what somebody has locked is not to be tried again."""
    # In a transaction of somebody else's it would never succeed.
    return connection.in_atomic_block or time.monotonic() > until
