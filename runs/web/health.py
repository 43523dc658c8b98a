"""GET /health: whether this server can work. No login, so no secrets and no names."""

import functools
import importlib.metadata
import os
import tomllib
from datetime import UTC, datetime

import orjson
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpResponse

from ..execution import dispatch
from .errors import HEADERS, method_not_allowed


def health(request):
    if request.method not in ("GET", "HEAD"):
        return method_not_allowed("GET")
    reachable, execution = True, {}
    try:
        look_at_database()
        execution = dispatch.describe()
    except DatabaseError:
        reachable = False
    body = {
        "status": "ok" if reachable else "unavailable",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "e2b_configured": bool(os.environ.get("E2B_API_KEY")),
        "claude_configured": bool(settings.ANTHROPIC_API_KEY),
        "database": "ok" if reachable else "unreachable",
        "channel_layer": "redis" if settings.REDIS_URL else "memory",
        "executor": execution.get("executor"),
        "sandbox": execution.get("sandbox"),
        "version": version(),
    }
    return HttpResponse(orjson.dumps(body), status=200 if reachable else 503, headers=HEADERS)


def look_at_database() -> None:
    with connection.cursor() as cursor:
        # A table of ours: a bare SELECT 1 never opens an SQLite file.
        cursor.execute("SELECT 1 FROM runs_run LIMIT 1")


@functools.cache
def version() -> str:
    try:
        with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
            return tomllib.load(file)["project"]["version"]
    except FileNotFoundError:
        return importlib.metadata.version("streamsite")
