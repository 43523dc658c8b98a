"""The threads that talk to the database on behalf of the event loop.

One writer, because SQLite has one, and because stores, status changes and
heartbeats of a process then never wait for each other's locks; two readers.
Each thread keeps its own connection, so a viewer costs neither.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from django.db import InterfaceError, OperationalError, connections

log = logging.getLogger(__name__)

READERS = 2
RETRY_FIRST = 0.05
RETRY_CAP = 1.0
# A connection that was good so short a while ago is not tried out again: that is a way to
# the server and back, as much as storing a line.
TRUSTED_SECONDS = 1.0
# What the database says of its own state; trying again helps.
AWAY = (OperationalError, InterfaceError)

_writer = ThreadPoolExecutor(1, "database-writer")
_used = threading.local()
_readers = ThreadPoolExecutor(READERS, "database-reader")


def _call(function: Callable, args: tuple):
    for connection in connections.all(initialized_only=True):
        # Django's limit is for requests; here it would mean a new connection, with
        # its PRAGMAs, for every call.
        connection.close_at = None
        # A PostgreSQL connection may have died since the last call; free on SQLite.
        if connection.errors_occurred or time.monotonic() > getattr(_used, "trusted_until", 0):
            connection.close_if_unusable_or_obsolete()
    try:
        return function(*args)
    finally:
        _used.trusted_until = time.monotonic() + TRUSTED_SECONDS


async def write(function: Callable, *args):
    """Run `function` on the writer thread."""
    return await asyncio.get_running_loop().run_in_executor(_writer, _call, function, args)


async def read(function: Callable, *args):
    """Run `function` on a reader thread. It must not write."""
    return await asyncio.get_running_loop().run_in_executor(_readers, _call, function, args)


async def insist(function: Callable, *args, through: Callable = write):
    """write() or read(), tried again until the database answers.

    A try whose answer was lost may have been done, so `function` must bear being
    done twice.
    """
    delay = RETRY_FIRST
    while True:
        try:
            return await through(function, *args)
        except AWAY as error:
            name = getattr(function, "__name__", function)
            log.warning("The database does not do %s, trying again: %s", name, _first_line(error))
        await asyncio.sleep(delay)
        delay = min(delay * 2, RETRY_CAP)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def close_connections() -> None:
    """Close the threads' connections; they open again when used."""
    wait([_writer.submit(connections.close_all)])
    # Both readers have to take one each, so neither may finish first.
    from_each = _readers._max_workers
    wait([_readers.submit(connections.close_all) for _ in range(from_each)])
