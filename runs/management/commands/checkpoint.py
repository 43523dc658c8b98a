import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.core.management.base import BaseCommand, CommandError

from ... import signing
from ...models import ACTIVE, Deletion, Run


class Command(BaseCommand):
    help = (
        "Write the chain heads of all runs that ended on a day, signed, to be kept elsewhere: "
        "`verify --against` then tells of runs that were deleted or cut since."
    )

    def add_arguments(self, parser):
        parser.add_argument("--day", metavar="YYYY-MM-DD", help="in UTC; the day before today")

    def handle(self, *args, day, **options):
        first = midnight(day)
        lines = [json.dumps(head) for head in heads(first).values()]
        signature = signing.sign("\n".join(lines).encode())
        end = {"day": f"{first:%Y-%m-%d}", "runs": len(lines), "signature": signature}
        self.stdout.write("\n".join([*lines, json.dumps(end)]))


def heads(first: datetime) -> dict[str, dict]:
    """What a day's runs ended with, by their ids; of those that were deleted since, too."""
    names = ("public_id", "last_seq", "chain", "signature")
    day = {"finished_at__gte": first, "finished_at__lt": first + timedelta(days=1)}
    ended = Run.objects.exclude(status__in=ACTIVE).filter(**day).order_by("pk")
    deleted = Deletion.objects.filter(**day, what=Deletion.RECORD).order_by("pk")
    # Runs last: one that is being deleted is in both.
    rows = [*_rows(deleted, names), *_rows(ended, names)]
    return {row[0]: dict(zip(("id", *names[1:]), row, strict=True)) for row in rows}


def _rows(found, names) -> Iterator[tuple]:
    return found.values_list(*names).iterator()


def midnight(day: str | None) -> datetime:
    try:
        chosen = date.fromisoformat(day) if day else datetime.now(UTC).date() - timedelta(days=1)
    except ValueError:
        raise CommandError(f"{day!r} is no day. Give it as 2026-01-31.") from None
    return datetime.combine(chosen, time(), UTC)
