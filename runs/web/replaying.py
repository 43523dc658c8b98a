"""Replays by a page: what it reads of a recording is noted, from which chunk to which."""

import threading
import time

from ..access import MOST_REMEMBERED, READ_AGAIN_SECONDS, Action, address_of, note

# (user or shared link, run) -> when that was begun, and what has been noted since: [(from, to)].
_noted: dict[tuple, tuple[float, list[tuple[int, int]]]] = {}
_lock = threading.Lock()


def note_replay(request, user, run, first: int, last: int) -> None:
    """Note that chunks `first` to `last` were read, unless that is noted already."""
    if _is_new((user.pk or user.get_username(), run.pk), first, last):
        note(Action.REPLAYED, user, address_of(request), run, after=first - 1, to=last)


def _is_new(key: tuple, first: int, last: int) -> bool:
    now = time.monotonic()
    with _lock:
        begun, ranges = _noted.get(key, (now, []))
        if now - begun > READ_AGAIN_SECONDS:
            begun, ranges = now, []
        if any(low <= first and last <= high for low, high in ranges):
            return False
        if len(_noted) >= MOST_REMEMBERED:
            _noted.clear()
        _noted[key] = begun, _joined([*ranges, (first, last)])
        return True


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined
