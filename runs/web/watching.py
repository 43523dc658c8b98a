"""What every open stream of the edge needs besides follow()."""

import asyncio
import random
import re
from collections.abc import Callable, Coroutine

from django.conf import settings

from ..streaming.database import read
from ..streaming.wire import Batch
from .identity import Identity, renewed, visible_run

_CURSOR = re.compile(r"\d{1,18}", re.ASCII)


class BadCursor(ValueError):
    """A cursor is no number from 0 up; the message is a sentence."""


def parse_cursor(text: str) -> int:
    """The cursor in `text`, 0 if it is empty. Raises BadCursor."""
    if not text:
        return 0
    if not _CURSOR.fullmatch(text):
        raise BadCursor("after must be the seq of a chunk: 0, 1, 2, …")
    return int(text)


async def first_to_end(*coroutines: Coroutine):
    """Run them at once; when one ends, end the others and return what it returned."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = next(task for task in tasks if task.done())
    finally:
        for task in tasks:
            task.cancel()
        # Theirs are the generators of follow(): closed before anything goes on.
        await asyncio.gather(*tasks, return_exceptions=True)
    return ended.result()


async def until_refused(identity: Identity, run_id: str | None = None) -> int:
    """Look now and then; returns 401 once the identity no longer holds, 404 once the
    run may no longer be seen."""
    while True:
        # Jittered: a thousand viewers of one restart do not ask all at once.
        await asyncio.sleep(settings.VIEWER_RECHECK_SECONDS * random.uniform(0.7, 1))
        if refusal := await read(_refusal, identity, run_id):
            return refusal


def _refusal(identity: Identity, run_id: str | None) -> int | None:
    now = renewed(identity)
    if now is None:
        return 401
    return 404 if run_id is not None and visible_run(now.user, run_id) is None else None


class Shared:
    """An encoding of batches, made once for all viewers that get the same batch.

    They get it within moments of each other, so little has to be kept.
    """

    KEPT_BYTES = 1024 * 1024

    def __init__(self, encode: Callable[[Batch], str | bytes]):
        self._encode = encode
        # The batch is kept too: its id stays its own for as long.
        self._kept: dict[int, tuple[Batch, str | bytes]] = {}
        self._bytes = 0

    def __call__(self, batch: Batch):
        if known := self._kept.get(id(batch)):
            return known[1]
        encoded = self._encode(batch)
        self._kept[id(batch)] = batch, encoded
        self._bytes += len(encoded)
        while self._bytes > self.KEPT_BYTES:
            _, dropped = self._kept.pop(next(iter(self._kept)))
            self._bytes -= len(dropped)
        return encoded
