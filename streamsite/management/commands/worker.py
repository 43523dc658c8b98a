import asyncio
import signal

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from runs.execution import dispatch
from streamsite.monitoring import serve_monitoring
from streamsite.process import prepare_process
from streamsite.server import CannotListen
from streamsite.serving import shown


class Command(BaseCommand):
    help = (
        "Carry runs beside other workers, with PostgreSQL and Redis. SIGTERM hands over "
        "what another worker can go on with and lets the rest end."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--concurrency", type=int, default=settings.MAX_RUNS, help="How many runs at once."
        )
        parser.add_argument(
            "--metrics",
            default=settings.WORKER_METRICS,
            metavar="[HOST:]PORT",
            help="Serve /metrics and /health there; 0 takes a free port.",
        )
        parser.add_argument("--data-dir", help="Where working directories and the secret key are.")

    def handle(self, *args, concurrency, metrics, **options):
        if not settings.IS_SHARED:
            raise CommandError(
                "A worker needs PostgreSQL and Redis: set DATABASE_URL and REDIS_URL. "
                "Without them serve and quickstart carry the runs themselves."
            )
        if concurrency < 1:
            raise CommandError("--concurrency must be 1 or more.")
        address = metrics and parse_address(metrics)
        self.check_migrations()
        connection.close()  # this thread needs none any more
        prepare_process()
        try:
            if address:
                self.serve_metrics(*address)
            asyncio.run(self.work(concurrency))
        except (CannotListen, dispatch.SandboxError) as error:
            raise CommandError(str(error)) from None
        finally:
            dispatch.close()

    async def work(self, concurrency: int) -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await dispatch.work(concurrency, stopping, lambda: self.say(concurrency))

    def serve_metrics(self, host: str, port: int) -> None:
        host, port = serve_monitoring(host, port)
        self.stdout.write(f"Metrics: http://{shown(host)}:{port}/metrics")

    def say(self, concurrency: int) -> None:
        sandbox = dispatch.describe_sandbox()
        self.stdout.write(f"Worker for {concurrency} runs. Sandbox: {sandbox['name']}.")
        self.stdout.flush()


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) of `[host:]port`. Raises CommandError."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise CommandError("--metrics takes a port, or host:port: 9100, or 10.0.0.5:9100.")
    return host.strip("[]") or "127.0.0.1", int(port)
