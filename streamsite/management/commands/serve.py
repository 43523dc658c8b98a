from django.core.management.base import BaseCommand
from django.db import connection

from streamsite.serving import serve_site


class Command(BaseCommand):
    help = "Serve the site and carry its runs, for production. Run migrate first."

    def add_arguments(self, parser):
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--data-dir", help="Where the database and the secret key are.")

    def handle(self, *args, host, port, **options):
        self.check_migrations()
        connection.close()  # this thread needs none any more
        serve_site(host, port, self.stdout.write)
