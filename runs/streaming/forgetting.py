"""Deleting old access events, where a setting says so; else they are kept for ever."""

import asyncio
import time
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists
from django.utils import timezone

from ..access import AccessEvent, Action, add
from ..models import Hold, Run
from . import database

STEP = 2_000


async def forget_access(by: str) -> int:
    """Delete what is older than STREAMSITE_ACCESS_DAYS, step by step; how many there were.

    Nothing of runs that are held, nor of what users did whose runs are. Those that tell
    of earlier deletions of this kind stay, too.
    """
    count, took = 0, 0.0
    while settings.ACCESS_DAYS:
        await asyncio.sleep(took)
        some, took = await database.write(_forget_some)
        count += some
        if some < STEP:
            break
    if count:
        await database.write(_note, by, count)
    return count


def _forget_some() -> tuple[int, float]:
    """How many were deleted, and how many seconds it took."""
    began = time.monotonic()
    old = AccessEvent.objects.filter(at__lt=timezone.now() - timedelta(days=settings.ACCESS_DAYS))
    held_runs = Run.objects.filter(Exists(Hold.objects.of_outer_run())).values("public_id")
    held_users = Hold.objects.active().exclude(user=None).values("user")
    kept = old.exclude(run__in=held_runs).exclude(actor__in=held_users)
    some = kept.exclude(action=Action.RETENTION).order_by("at").values("pk")[:STEP]
    return AccessEvent.objects.filter(pk__in=some).delete()[0], time.monotonic() - began


def _note(by: str, count: int) -> None:
    add([AccessEvent(
        at=timezone.now(), action=Action.RETENTION, actor_name=by, subject="access events",
        detail={"events": count, "days": settings.ACCESS_DAYS},
    )])  # fmt: skip
