"""The threads that talk to the database on behalf of the event loop.

One writer, because SQLite has one, and because stores, status changes and
heartbeats of a process then never wait for each other's locks; two readers.
Each thread keeps its own connection, so a viewer costs neither.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from django.db import connections

READERS = 2

_writer = ThreadPoolExecutor(1, "database-writer")
_readers = ThreadPoolExecutor(READERS, "database-reader")


def _call(function: Callable, args: tuple):
    for connection in connections.all(initialized_only=True):
        # Django's limit is for requests; here it would mean a new connection, with
        # its PRAGMAs, for every call.
        connection.close_at = None
        # A PostgreSQL connection may have died since the last call; free on SQLite.
        connection.close_if_unusable_or_obsolete()
    return function(*args)


async def write(function: Callable, *args):
    """Run `function` on the writer thread."""
    return await asyncio.get_running_loop().run_in_executor(_writer, _call, function, args)


async def read(function: Callable, *args):
    """Run `function` on a reader thread. It must not write."""
    return await asyncio.get_running_loop().run_in_executor(_readers, _call, function, args)


def close_connections() -> None:
    """Close the threads' connections; they open again when used."""
    wait([_writer.submit(connections.close_all)])
    # Both readers have to take one each, so neither may finish first.
    from_each = _readers._max_workers
    wait([_readers.submit(connections.close_all) for _ in range(from_each)])
