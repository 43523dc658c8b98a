import pytest
from django.conf import settings
from django.db import connection

from runs.streaming import database

# Otherwise WhiteNoise looks for all static files once per test client.
settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    yield
    database.close_connections()
    if connection.vendor == "postgresql":
        # Threads that ended left theirs to the server, which keeps the database for them.
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
