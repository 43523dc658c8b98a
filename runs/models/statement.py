"""What is signed of a run when it has ended, and stays checkable when it is deleted."""

import hashlib
from datetime import UTC, datetime

from .. import signing

# Of version 1, which held the program itself instead of its digest.
FIRST, VERSION = 1, 2


def digest_of(program) -> str:
    return hashlib.sha256(signing.canonical(program)).hexdigest()


def iso(moment: datetime | None) -> str | None:
    """As run_dict() has it, so that an export says all that is signed."""
    if moment is None:
        return None
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def statement_of(run, program: dict) -> bytes:
    """What it was, when, how it ended, and the chain over all that it printed.

    Canonical JSON. `run`: a Run or the Deletion that tells of one; `program`: how the
    program is named, which is what the versions differ in.
    """
    names = ("kind", "status", "exit_code", "last_seq", "chain", "dropped")
    said = {name: getattr(run, name) for name in names}
    times = {name: iso(getattr(run, name)) for name in ("created_at", "started_at", "finished_at")}
    return signing.canonical(
        {"id": run.public_id, "owner": run.owner_name, **said, **times, **program}
    )
