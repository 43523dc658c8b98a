"""What people have used: launches and output, counted by the minute.

Counted here and not on the runs, so that deleting a run gives nothing of it back.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection, models
from django.db.models import F, Sum
from django.db.models.functions import Coalesce
from django.utils.dateparse import parse_datetime

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
_ADD = (
    "INSERT INTO runs_usage (owner, minute, launches, output_bytes) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (owner, minute) DO UPDATE SET launches = runs_usage.launches + excluded.launches, "
    "output_bytes = runs_usage.output_bytes + excluded.output_bytes"
)


def database_now() -> datetime:
    """By the database's clock, which all processes share."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT statement_timestamp()")
            return cursor.fetchone()[0]
        cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
        return parse_datetime(cursor.fetchone()[0]).replace(tzinfo=UTC)


def minute_of(moment: datetime) -> int:
    return int(moment.timestamp() // MINUTE)


class UsageQuerySet(models.QuerySet):
    def add(self, owner: int, launches: int = 0, output_bytes: int = 0) -> None:
        """Count it in this minute. Last in its transaction: whoever else counts waits for it."""
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [owner, minute_of(database_now()), launches, output_bytes])

    def within(self, owner: int, seconds: int, now: datetime):
        """What was used in the last so many seconds; a minute counts until all of it is over."""
        since = minute_of(now - timedelta(seconds=seconds))
        return self.filter(owner=owner, minute__gte=since)

    def used(self, owner: int, what: str, seconds: int, now: datetime) -> int:
        """How many launches or output_bytes in the last so many seconds."""
        return self.within(owner, seconds, now).aggregate(sum=Coalesce(Sum(what), 0))["sum"]

    def room_at(
        self, owner: int, what: str, seconds: int, now: datetime, most: int, pending: int = 0
    ) -> datetime | None:
        """When less than `most` will have been used; None for never. `pending`: used and
        not counted yet."""
        minutes = list(
            self.within(owner, seconds, now).order_by("minute").values_list("minute", what)
        )
        minutes.append((minute_of(now), pending))
        left = sum(used for _, used in minutes)
        for minute, used in minutes:
            left -= used
            if left < most:
                return datetime.fromtimestamp((minute + 1) * MINUTE + seconds, UTC)
        return None

    def forget(self) -> None:
        """Remove what no limit looks at any more."""
        self.filter(minute__lt=minute_of(database_now()) - DAY // MINUTE - 60).delete()


class Usage(models.Model):
    """What a user has launched and their runs have printed in one minute."""

    # A number and no reference: accounts are deleted while their runs are still being counted.
    owner = models.BigIntegerField()
    minute = models.BigIntegerField(help_text="Since 1970.")
    launches = models.IntegerField(default=0)
    output_bytes = models.BigIntegerField(default=0)

    objects = UsageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "minute"], name="usage_of_owner"),
        ]

    def __str__(self):
        return f"{self.launches} launches, {self.output_bytes} bytes in minute {self.minute}"


def count_output_of(run) -> None:
    """Count what an ended run has printed since the last look at it. In the caller's
    transaction, which keeps output_counted with it."""
    if run.owner_id is not None and (size := run.output_bytes - (run.output_counted or 0)):
        Usage.objects.add(run.owner_id, output_bytes=size)


def count_output(grown) -> dict[int, int | None]:
    """Count what runs that have printed something printed since the last look; their keys,
    with their owners'. In the caller's transaction.
    """
    grown = grown.order_by("pk")
    if connection.vendor == "postgresql":
        # In id order, as every other statement that locks several runs.
        grown = grown.select_for_update()
    sizes: dict[int, int] = {}
    owners = {}
    for pk, owner, printed, counted in grown.values_list(
        "pk", "owner", "output_bytes", "output_counted"
    ):
        owners[pk] = owner
        if owner is not None:
            sizes[owner] = sizes.get(owner, 0) + printed - (counted or 0)
    grown.model.objects.filter(pk__in=owners).update(output_counted=F("output_bytes"))
    for owner in sorted(sizes):
        Usage.objects.add(owner, output_bytes=sizes[owner])
    return owners
