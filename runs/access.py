"""Who did what, and when: events that are added and never changed.

What they tell of has happened already, so an event that cannot be written is logged
and stops nobody.
"""

import logging
import time
from datetime import UTC, datetime
from hashlib import sha256

from django.conf import settings
from django.db import DatabaseError, IntegrityError, models, transaction
from django.db.models.functions import Now
from django.utils import timezone

from . import metrics, signing

log = logging.getLogger(__name__)

# Whoever reads the same run again within so many seconds is noted once.
READ_AGAIN_SECONDS = 600
MOST_REMEMBERED = 10_000


class Action(models.TextChoices):
    LOGIN = "login", "Logged in"
    LOGOUT = "logout", "Logged out"
    LOGIN_FAILED = "login_failed", "Failed to log in"
    LAUNCH = "launch", "Launched"
    RERUN = "rerun", "Launched again"
    VIEW = "view", "Opened the page"
    READ = "read", "Read by the API"
    WATCH = "watch", "Began to watch"
    WATCHED = "watched", "Stopped watching"
    REPLAY = "replay", "Began to replay"
    REPLAYED = "replayed", "Replayed"
    EXPORT = "export", "Exported"
    CANCEL = "cancel", "Cancelled"
    DELETE = "delete", "Deleted"
    RETENTION = "retention", "Deleted what was due"
    RULE_CHANGED = "rule_changed", "Changed a retention rule"
    HOLD_PLACED = "hold_placed", "Placed a legal hold"
    HOLD_RELEASED = "hold_released", "Released a legal hold"
    TOKEN_MADE = "token_made", "Made a token"
    TOKEN_USED = "token_used", "Used a token"
    TOKEN_REVOKED = "token_revoked", "Revoked a token"
    SECRET_SAVED = "secret_saved", "Saved a secret"
    SECRET_DELETED = "secret_deleted", "Deleted a secret"
    PASSWORD = "password", "Changed a password"
    ADMIN_ADD = "admin_add", "Added in the admin"
    ADMIN_CHANGE = "admin_change", "Changed in the admin"
    ADMIN_DELETE = "admin_delete", "Deleted in the admin"
    SHARE_MADE = "share_made", "Made a shared link"
    SHARE_USED = "share_used", "Opened a shared link"
    SHARE_REVOKED = "share_revoked", "Revoked a shared link"
    WEBHOOK_SAVED = "webhook_saved", "Saved a webhook"
    WEBHOOK_DELETED = "webhook_deleted", "Deleted a webhook"


class AccessEvent(models.Model):
    """One thing that somebody did. Names and ids are copied: they outlive what they name."""

    at = models.DateTimeField(db_default=Now(), db_index=True)
    action = models.CharField(max_length=16, choices=Action.choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    actor_name = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45, blank=True, help_text="Where the request came from.")
    run = models.CharField("run", max_length=40, blank=True, help_text="Its id.")
    subject = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["run", "-id"], name="access_of_run")]

    def __str__(self):
        return f"{self.actor_name or 'nobody'}: {self.get_action_display()}"


def event_of(
    action: Action, user=None, address: str = "", run=None, subject: str = "", **detail
) -> AccessEvent:
    """An event that is not added yet. `run`: a Run or None; `subject`: what else it was done to."""
    known = user if user is not None and user.pk else None
    title = run.title if run is not None else ""
    return AccessEvent(
        # Events may wait to be added together.
        at=timezone.now(),
        action=action,
        # By key: the account may be gone when it is added.
        actor_id=known.pk if known else None,
        # Whoever holds a shared link has a name and no account.
        actor_name=user.get_username()[:150] if user is not None else "",
        address=(address or "")[:45],
        run=run.public_id if run is not None else "",
        # A name that somebody typed may hold what PostgreSQL refuses.
        subject=(subject or title).replace("\0", "\N{SYMBOL FOR NULL}")[:200],
        detail=detail,
    )


def add(events: list[AccessEvent]) -> None:
    """Add them all. Raises nothing that the database raises."""
    try:
        _insert(events)
    except DatabaseError:
        metrics.ACCESS_FAILURES.inc(len(events))
        log.exception("Not noted: %s", ", ".join(map(str, events[:20])))


def _insert(events: list[AccessEvent]) -> None:
    try:
        with transaction.atomic():
            AccessEvent.objects.bulk_create(events)
    except IntegrityError:
        # An account was deleted in this moment; the names stay.
        for event in events:
            event.pk, event.actor_id = None, None
        with transaction.atomic():
            AccessEvent.objects.bulk_create(events)


def note(action: Action, user=None, address: str = "", run=None, subject: str = "", **detail):
    """Add an event; see event_of()."""
    add([event_of(action, user, address, run, subject, **detail)])


def note_launch(run, user, address: str = "") -> None:
    """With the names of the secrets that it was given."""
    detail = {"kind": run.kind, "env": run.env_names, "secrets": run.saved_secrets}
    if run.rerun_of_id:
        note(Action.RERUN, user, address, run, of=run.rerun_of.public_id, **detail)
    else:
        note(Action.LAUNCH, user, address, run, **detail)


# (action, user, run's id or token) -> when it was noted last. Of this process only: with
# several of them an event may be there more than once, which hides nothing.
_noted: dict[tuple, float] = {}


def note_once(action: Action, user, address: str = "", run=None, subject: str = "", **detail):
    """Add an event unless the same one was added within the last minutes."""
    key = (action, user.pk or user.get_username(), run.pk if run is not None else subject)
    now = time.monotonic()
    if now - _noted.get(key, -READ_AGAIN_SECONDS) < READ_AGAIN_SECONDS:
        return
    if len(_noted) >= MOST_REMEMBERED:
        _noted.clear()
    _noted[key] = now
    note(action, user, address, run, subject, **detail)


# --- that it is whole -------------------------------------------------------------


def last_key() -> int:
    return AccessEvent.objects.aggregate(last=models.Max("pk"))["last"] or 0


def digest_between(start: datetime, end: datetime, last: int) -> tuple[int, str]:
    """How many events there are from `start` to before `end` up to key `last`, and the
    SHA-256 of them all. The account is left out: it may go, its name stays."""
    names = ("pk", "at", "action", "actor_name", "address", "run", "subject", "detail")
    found = AccessEvent.objects.filter(at__gte=start, at__lt=end, pk__lte=last).order_by("pk")
    count, digest = 0, sha256()
    for pk, at, *values in found.values_list(*names).iterator(chunk_size=2000):
        count += 1
        digest.update(signing.canonical([pk, at.astimezone(UTC).isoformat(), *values]) + b"\n")
    return count, digest.hexdigest()


# --- logging in and out: Django tells of it by signals ----------------------------


def logged_in(sender, request, user, **kwargs):
    note(Action.LOGIN, user, address_of(request))


def logged_out(sender, request, user, **kwargs):
    if user is not None:
        note(Action.LOGOUT, user, address_of(request))


def login_failed(sender, credentials, request=None, **kwargs):
    note(Action.LOGIN_FAILED, None, address_of(request), subject=credentials.get("username", ""))


def address_of(request) -> str:
    """Where a request came from; as a proxy says, if the settings trust one."""
    return request.META.get("REMOTE_ADDR", "") if request is not None else ""
