"""What a run may be doing."""

from django.db import models
from django.db.models.expressions import RawSQL


class Status(models.TextChoices):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out", "Timed out"
    LOST = "lost"


HELD = (Status.STARTING, Status.RUNNING)
ACTIVE = (Status.QUEUED, *HELD)
_WORDS = ", ".join(f"'{status.value}'" for status in ACTIVE)
# Written out, because SQLite uses a partial index only where it can see that the
# condition is the index's own: 1 ms instead of 400 with 1,000,000 runs.
IS_ACTIVE = RawSQL(f"status IN ({_WORDS})", (), output_field=models.BooleanField())
