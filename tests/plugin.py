"""Loaded by pytest before the settings are: tests keep to a data dir of their own."""

import atexit
import os
import tempfile

# Removed when the process ends.
_directory = tempfile.TemporaryDirectory(prefix="streamsite-tests-")
os.environ["STREAMSITE_DATA_DIR"] = _directory.name
_on_postgresql = os.environ.get("STREAMSITE_TEST_DATABASE") == "postgresql"
for name in ("DATABASE_URL", "REDIS_URL", "E2B_API_KEY", "ANTHROPIC_API_KEY", "STREAMSITE_SANDBOX"):
    os.environ.pop(name, None)
if _on_postgresql:
    from tests.servers import PostgreSQL, Redis

    for name, _server in (("DATABASE_URL", PostgreSQL()), ("REDIS_URL", Redis())):
        atexit.register(_server.close)
        _server.start()
        os.environ[name] = _server.url
