"""Deleting a run for somebody, and what is still said of one that was deleted."""

from ..access import Action, note
from ..models import Deletion, Run
from ..streaming.deletion import delete_run
from .errors import NO_SUCH_RUN

REASON_CHARS = 250


def delete_for(user, run: Run, address: str, reason: str | None = None) -> None:
    """Delete a run that the user may change. Raises deletion.Refused."""
    given = " ".join((reason or "").replace("\0", " ").split())[:REASON_CHARS]
    mine = run.owner_id == user.pk
    deletion = delete_run(
        run, user.get_username(),
        given or ("Its owner wanted it." if mine else "An administrator wanted it."),
    )  # fmt: skip
    note(Action.DELETE, user, address, run, reason=deletion.reason)


def deletion_for(user, public_id: str) -> Deletion | None:
    """How a run was deleted, for its owner and auditors; None for others."""
    if "\0" in public_id or not user.is_active:
        return None
    known = Deletion.objects.filter(public_id=public_id, what=Deletion.RECORD)
    if not user.has_perm("runs.view_run"):
        known = known.filter(owner=user.pk)
    return known.first()


def no_such_run(user, public_id: str) -> str:
    """Why the user cannot see a run: it was deleted, or they may not know that it is there."""
    deletion = deletion_for(user, public_id)
    return deletion.sentence if deletion else NO_SUCH_RUN
