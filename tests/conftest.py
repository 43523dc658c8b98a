import pytest
from django.conf import settings
from django.db import connection

from runs.streaming import database

# Otherwise WhiteNoise looks for all static files once per test client.
settings.WHITENOISE_AUTOREFRESH = True


def pytest_itemcollected(item):
    """For `-n 2`: what keeps a processor busy by itself in one process, the rest beside it."""
    heavy = item.get_closest_marker("browser") or "tests/scale/" in item.nodeid
    group = "heavy" if heavy else item.nodeid.partition("::")[0]
    item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    # It takes longest, so it begins first.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group").args != ("heavy",))


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
