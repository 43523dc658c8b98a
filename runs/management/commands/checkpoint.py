from django.core.management.base import BaseCommand

from ..checkpoints import lines_of, midnight


class Command(BaseCommand):
    help = (
        "Write the chain heads of all runs that ended on a day and the digest of its access "
        "events, signed, to be kept elsewhere: `verify --against` then tells what was deleted or "
        "changed since."
    )

    def add_arguments(self, parser):
        parser.add_argument("--day", metavar="YYYY-MM-DD", help="in UTC; the day before today")

    def handle(self, *args, day, **options):
        self.stdout.write("\n".join(lines_of(midnight(day))))
