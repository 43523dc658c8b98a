"""Access events from the event loop: written soon, together, and never waited for.

Five hundred viewers who come back at once cost one transaction, not five hundred.
"""

import asyncio

from ..access import AccessEvent, Action, add, event_of
from ..streaming.database import write

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
