"""Access events from the event loop: written soon, together, and never waited for.

Five hundred viewers who come back at once cost one transaction, not five hundred.
"""

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass

from ..access import AccessEvent, Action, add, event_of
from ..streaming.database import write


@dataclass
class Seen:
    """The last chunk that a viewer was given."""

    seq: int


@contextmanager
def watching(user, address: str, run, after: int, **detail):
    """Who watches is noted: when they come, and when they leave what they were given, as
    the Seen says that this yields. Of a run that has ended it is a replay."""
    actions = (Action.REPLAY, Action.REPLAYED) if run.is_final else (Action.WATCH, Action.WATCHED)
    seen = Seen(after)
    note_soon(actions[0], user, address, run, after=after, **detail)
    try:
        yield seen
    finally:
        note_soon(actions[1], user, address, run, after=after, to=seen.seq, **detail)


_waiting: list[AccessEvent] = []
_tasks: set[asyncio.Task] = set()


def note_soon(action: Action, user, address: str, run, **detail) -> None:
    """As access.note(), on the event loop."""
    _waiting.append(event_of(action, user, address, run, **detail))
    if len(_waiting) == 1:
        task = asyncio.ensure_future(_write())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


async def _write() -> None:
    events = _waiting.copy()
    _waiting.clear()
    await write(add, events)
