"""Loaded by pytest before the settings are: tests keep to a data dir of their own."""

import os
import tempfile

# Removed when the process ends.
_directory = tempfile.TemporaryDirectory(prefix="streamsite-tests-")
os.environ["STREAMSITE_DATA_DIR"] = _directory.name
for name in ("DATABASE_URL", "REDIS_URL", "E2B_API_KEY", "ANTHROPIC_API_KEY", "STREAMSITE_SANDBOX"):
    os.environ.pop(name, None)
