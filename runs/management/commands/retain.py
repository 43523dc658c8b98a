import asyncio

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.template.defaultfilters import filesizeformat

from ...execution import dispatch
from ...models import Deletion
from ...streaming import database
from ...streaming.feed import feeds
from ...streaming.retention import Told, days, forecast, retain, rewrite
from ..terminal import require_database

BY = "manage.py retain"


class Command(BaseCommand):
    help = (
        "Delete what the retention rules say, while runs are recorded. May be stopped and asked "
        "again at any time. A server or worker does the same once an hour."
    )

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument(
            "--vacuum", action="store_true",
            help="SQLite: write the file anew afterwards, as small as it can be; no server may run",
        )  # fmt: skip

    def handle(self, *args, dry_run, vacuum, **options):
        require_database()
        if dry_run:
            self.tell(forecast(), "would be deleted")
            return
        if vacuum:
            refuse_vacuum()
        self.tell(asyncio.run(self.retain()), "deleted")
        if vacuum:
            sizes = [filesizeformat(size) for size in rewrite()]
            self.stdout.write("The database took {} and takes {} now.".format(*sizes))

    async def retain(self) -> list[Told]:
        feeds.attach()
        try:
            return await retain(BY)
        finally:
            await asyncio.to_thread(database.close_connections)

    def tell(self, told: list[Told], done: str) -> None:
        for part in told:
            self.stdout.write(sentence(part, done))
        if not told:
            self.stdout.write("Nothing is due.")


def sentence(part: Told, done: str) -> str:
    what = "output" if part.what == Deletion.OUTPUT else "record and output"
    number = "1 run" if part.runs == 1 else f"{part.runs:,} runs"
    text = f"{part.rule}, {what} after {days(part.days)}: {number} {done}"
    text += f", {filesizeformat(part.bytes)} of output"
    if part.held:
        text += f"; {part.held:,} under a legal hold stay" + ("s" if part.held == 1 else "")
    return f"{text}."


def refuse_vacuum() -> None:
    if connection.vendor != "sqlite":
        raise CommandError("--vacuum is for SQLite. PostgreSQL: see README, Retention.")
    if dispatch.describe()["executor"] != "none":
        raise CommandError("A server runs here and could record nothing meanwhile. Stop it first.")
