"""Whoever holds a shared link: a reader of one run, without an account."""

import orjson
from django.contrib.auth.models import AnonymousUser

from ..models import Run, Share

# What of a run is told to them: neither its environment, with the names of secrets, nor
# where it is carried.
TOLD = frozenset(
    ("id", "kind", "mode", "language", "cwd", "status", "title", "owner", "program", "tasks",
     "sandbox", "timeout", "created_at", "started_at", "finished_at", "duration", "exit_code",
     "exit_codes", "error", "last_seq", "lines", "last_line", "masked", "stalled", "dropped")
)  # fmt: skip


class Guest(AnonymousUser):
    """Nobody, for every rule that does not ask for the share itself."""

    def __init__(self, share: Share | None):
        """`share`: a usable one, or None if it is over."""
        super().__init__()
        self.share = share
        self.username = str(share) if share else ""

    def run(self, public_id: str) -> Run | None:
        """The run of the link, if that is the one asked for."""
        run = self.share and self.share.run
        return run if run and run.public_id == public_id else None


def told(run: dict, share: Share) -> dict:
    """The run object as guests see it, with addresses that the link opens."""
    api = f"/api/shared/{share.token}"
    urls = {
        "page": share.path,
        "events": f"{api}/events",
        "websocket": f"/ws/shared/{share.token}/",
        "chunks": f"{api}/chunks",
    }
    return {name: value for name, value in run.items() if name in TOLD} | {"urls": urls}


def told_to(user, run: bytes) -> bytes:
    """An encoded run object as this user sees it."""
    if not isinstance(user, Guest):
        return run
    return orjson.dumps(told(orjson.loads(run), user.share))
