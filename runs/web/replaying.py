"""Replays by a page: what it reads of a recording is noted, from which chunk to which."""

import threading
import time

from ..access import MOST_REMEMBERED, READ_AGAIN_SECONDS, Action, address_of, note

# Of one run within READ_AGAIN_SECONDS. Whoever scrolls through a million lines, or asks for one
# chunk after the other, would else leave thousands of events.
MOST_PARTS = 50

# (user or shared link, run) -> when that was begun, how many events it has left since, and
# what they tell of: [(from, to)].
_noted: dict[tuple, tuple[float, int, list[tuple[int, int]]]] = {}
_lock = threading.Lock()


def note_replay(request, user, run, first: int, last: int) -> None:
    """Note that chunks `first` to `last` were read, unless that is noted already."""
    key = user.pk or user.get_username(), run.pk
    part = _count(key, first, last)
    seen: dict = {"after": first - 1, "to": last}
    if part == MOST_PARTS:
        seen = {"after": 0, "to": max(last, run.last_seq), "parts": "too many to list"}
    if part:
        note(Action.REPLAYED, user, address_of(request), run, **seen)


def _count(key: tuple, first: int, last: int) -> int:
    """Which event of this key's it is to be, from 1 to MOST_PARTS; 0 for none."""
    now = time.monotonic()
    with _lock:
        begun, parts, ranges = _noted.get(key, (now, 0, []))
        if now - begun > READ_AGAIN_SECONDS:
            begun, parts, ranges = now, 0, []
        if parts == MOST_PARTS or any(low <= first and last <= high for low, high in ranges):
            return 0
        if len(_noted) >= MOST_REMEMBERED:
            _noted.clear()
        _noted[key] = begun, parts + 1, _joined([*ranges, (first, last)])
        return parts + 1


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined
