import asyncio
import signal

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from runs.execution import dispatch
from streamsite.server import prepare_process


class Command(BaseCommand):
    help = (
        "Carry runs beside other workers, with PostgreSQL and Redis. SIGTERM hands over "
        "what another worker can go on with and lets the rest end."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--concurrency", type=int, default=settings.MAX_RUNS, help="How many runs at once."
        )
        parser.add_argument("--data-dir", help="Where working directories and the secret key are.")

    def handle(self, *args, concurrency, **options):
        if not settings.IS_SHARED:
            raise CommandError(
                "A worker needs PostgreSQL and Redis: set DATABASE_URL and REDIS_URL. "
                "Without them serve and quickstart carry the runs themselves."
            )
        if concurrency < 1:
            raise CommandError("--concurrency must be 1 or more.")
        self.check_migrations()
        prepare_process()
        try:
            asyncio.run(self.work(concurrency))
        except dispatch.SandboxError as error:
            raise CommandError(str(error)) from None
        finally:
            dispatch.close()

    async def work(self, concurrency: int) -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await dispatch.work(concurrency, stopping, lambda: self.say(concurrency))

    def say(self, concurrency: int) -> None:
        sandbox = dispatch.describe_sandbox()
        self.stdout.write(f"Worker for {concurrency} runs. Sandbox: {sandbox['name']}.")
        self.stdout.flush()
