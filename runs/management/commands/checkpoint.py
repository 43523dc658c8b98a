import json
from datetime import UTC, date, datetime, time, timedelta

from django.core.management.base import BaseCommand, CommandError

from ... import signing
from ...models import ACTIVE, Run


class Command(BaseCommand):
    help = (
        "Write the chain heads of all runs that ended on a day, signed, to be kept elsewhere: "
        "`verify --against` then tells of runs that were deleted or cut since."
    )

    def add_arguments(self, parser):
        parser.add_argument("--day", metavar="YYYY-MM-DD", help="in UTC; the day before today")

    def handle(self, *args, day, **options):
        first = midnight(day)
        ended = Run.objects.exclude(status__in=ACTIVE).order_by("pk")
        ended = ended.filter(finished_at__gte=first, finished_at__lt=first + timedelta(days=1))
        names = ("public_id", "last_seq", "chain", "signature")
        lines = [
            json.dumps(dict(zip(("id", *names[1:]), values, strict=True)))
            for values in ended.values_list(*names).iterator()
        ]
        signature = signing.sign("\n".join(lines).encode())
        end = {"day": f"{first:%Y-%m-%d}", "runs": len(lines), "signature": signature}
        self.stdout.write("\n".join([*lines, json.dumps(end)]))


def midnight(day: str | None) -> datetime:
    try:
        chosen = date.fromisoformat(day) if day else datetime.now(UTC).date() - timedelta(days=1)
    except ValueError:
        raise CommandError(f"{day!r} is no day. Give it as 2026-01-31.") from None
    return datetime.combine(chosen, time(), UTC)
