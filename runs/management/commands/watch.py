import argparse
import asyncio
import math
import sys

from django.core.management.base import BaseCommand

from ...execution import dispatch
from ...models import Run
from ...streaming import database
from ..terminal import Screen, on_interrupt, on_terminate, run_to_exit_code, show_run, stored_run


def speed(text: str) -> float:
    """Times as fast as it was; 0 for at once."""
    if text == "max":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError("give a number such as 2 or 0.5, or max for at once")
    return value


def seq(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("give the number of the last chunk you have, 0 for none")
    return int(text)


class Command(BaseCommand):
    help = (
        "Follow a live run, or replay a finished one at its own pace. Exits as `launch` does. "
        "Ctrl-C leaves; the run goes on."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("run", metavar="RUN", help="the run's id, as in its page's address")
        parser.add_argument("--after", type=seq, default=0, metavar="SEQ")
        parser.add_argument(
            "--speed", type=speed, default=1.0, metavar="X",
            help="replay so many times as fast; 0 or max for at once",
        )  # fmt: skip

    def handle(self, **options):
        run = stored_run(options["run"])
        sys.exit(run_to_exit_code(watch(run, options["after"], options["speed"])))


async def watch(run: Run, after: int, speed: float) -> int:
    leave = asyncio.current_task().cancel
    on_interrupt(leave)
    on_terminate(leave)
    screen = Screen(sys.stdout, sys.stderr, lanes=run.kind == "parallel")
    if not run.is_final and (await database.read(dispatch.describe))["executor"] == "none":
        screen.remark("No server is running here; the run goes on or ends when one is started.")
    # What a live run has printed already is not waited for a second time.
    return await show_run(run, screen, after, speed if run.is_final else 0)
