"""Comparing two runs on behalf of somebody who may see both."""

from contextlib import contextmanager
from threading import BoundedSemaphore

from ..access import Action, address_of, note
from ..models import Run
from ..streaming.comparing import compare

# At the same time, in this process: they take a core each, and a thread of the requests.
AT_ONCE = 2
# Whoever waits has a thread of the requests, too: more of them would hold up everything.
MOST_WAITING = 2
WAIT_SECONDS = 5.0

_free = BoundedSemaphore(AT_ONCE)
_room = BoundedSemaphore(AT_ONCE + MOST_WAITING)


class Busy(Exception):
    """Others are comparing; the message is a sentence."""


def compared(request, user, a: Run, b: Run, exact: bool) -> dict:
    """As streaming.comparing.compare(); that both were read is noted. Raises Busy."""
    with _turn():
        for run, other in ((a, b), (b, a)):
            note(Action.READ, user, address_of(request), run, compared_with=other.public_id)
        return compare(a, b, exact)


@contextmanager
def _turn():
    with _held(_room, 0), _held(_free, WAIT_SECONDS):
        yield


@contextmanager
def _held(semaphore: BoundedSemaphore, seconds: float):
    if not semaphore.acquire(timeout=seconds):
        raise Busy("Other runs are being compared. Try again in a moment.")
    try:
        yield
    finally:
        semaphore.release()
