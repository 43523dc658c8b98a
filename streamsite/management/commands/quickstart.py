"""manage.py quickstart: from nothing to a running site with one command."""

import os
import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from runs.access import Action, note
from streamsite.serving import allow_host, serve_site

ADMIN = "admin"


class Command(BaseCommand):
    help = "Migrate, create the first administrator, serve. Run it again: nothing is lost."
    # The database may not be there yet.
    requires_migrations_checks = False

    def add_arguments(self, parser):
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--data-dir", help="Where the database and the secret key are.")

    def handle(self, *args, host, port, **options):
        if settings.IS_SHARED:
            raise CommandError(
                "quickstart is for one machine. With PostgreSQL and Redis run migrate, "
                "createsuperuser, serve and worker; or unset DATABASE_URL."
            )
        settings.QUICKSTART = True
        allow_host(host)
        call_command("migrate", verbosity=0, interactive=False)
        self.create_first_administrator()
        serve_site(host, port, self.say, confined_or_loopback=True)

    def create_first_administrator(self):
        users = get_user_model().objects
        if users.exists():
            return
        given = os.environ.get("STREAMSITE_ADMIN_PASSWORD")
        password = given or secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, password=password)
        note(Action.ADMIN_ADD, subject=ADMIN, what="user", by="quickstart")
        if given:
            self.say(f"Log in as {ADMIN} with the password from STREAMSITE_ADMIN_PASSWORD.")
        else:
            self.say(f"Log in as {ADMIN} with the password {password} (shown only now).")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        # Somebody may be reading through a pipe.
        self.stdout.flush()
