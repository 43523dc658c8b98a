"""Whom to tell when a run has ended, and how telling them went."""

import base64
import secrets
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from ..fields import SealedField, seal, unseal
from .status import ACTIVE, Status

FINAL = tuple(status.value for status in Status if status not in ACTIVE)
# After a failed attempt it is tried again so much later; after the last one given up.
RETRY_SECONDS = (5, 30, 300, 1800, 7200, 21_600)
# Whoever attempts a delivery has so long; then others may.
LEASE_SECONDS = 30
KEPT_DAYS = 30
# Looked through for those whose turn it is.
MOST_DUE = 200


# As in the index's own condition, written out: SQLite uses it for nothing else.
IS_WAITING = RawSQL("state = 'waiting'", (), output_field=models.BooleanField())


def new_secret() -> str:
    # As "Standard Webhooks" 1.0 has it: 24 to 64 random bytes in base64.
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def new_message_id() -> str:
    return "msg_" + secrets.token_urlsafe(18).replace("-", "_")


class WebhookQuerySet(models.QuerySet):
    def save_target(self, user, url: str, statuses: list[str]) -> str:
        """Make or change the user's webhook; its secret if it is new, else ""."""
        secret = new_secret()
        values = {"url": url, "statuses": statuses}
        hook, is_new = self.get_or_create(user=user, defaults=values | {"sealed": seal(secret)})
        if is_new:
            return secret
        self.filter(pk=hook.pk).update(**values, changed_at=Now())
        return ""

    def renew_secret(self, hook) -> str:
        secret = new_secret()
        self.filter(pk=hook.pk).update(sealed=seal(secret), changed_at=Now())
        return secret


class Webhook(models.Model):
    """Where a user wants to be told of the ends of their runs."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook"
    )
    url = models.CharField(max_length=500)
    statuses = models.JSONField(default=list, help_text="Of those ends.")
    # Needed to sign with, so not only a digest.
    sealed = SealedField(editable=False)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    objects = WebhookQuerySet.as_manager()

    def __str__(self):
        return self.host

    @property
    def host(self) -> str:
        """Without the path, in which some services have a secret."""
        return urlsplit(self.url).netloc

    def key(self) -> bytes:
        """What is signed with. Raises fields.Unreadable."""
        return base64.b64decode(unseal(self.sealed).removeprefix("whsec_"))


class DeliveryQuerySet(models.QuerySet):
    def of_end(self, run) -> None:
        """Add what tells of a run's end, in the transaction that ends it."""
        hook = Webhook.objects.filter(user=run.owner_id, user__is_active=True).first()
        if hook and run.status in hook.statuses:
            self.create(webhook=hook, event="run.ended", run=run.public_id, title=run.title)

    def test(self, hook) -> None:
        """Add a message without a run, to see whether it arrives."""
        self.create(webhook=hook, event="test")

    def any_due(self) -> bool:
        return self.filter(IS_WAITING, next_at__lte=Now()).exists()

    def due(self, count: int, busy=()) -> list["Delivery"]:
        """Take deliveries whose turn it is: one of each webhook that is not busy."""
        waiting = self.filter(IS_WAITING, next_at__lte=Now()).exclude(webhook__in=list(busy))
        taken: dict[int, Delivery] = {}
        for delivery in waiting.order_by("next_at", "pk").select_related("webhook__user")[
            :MOST_DUE
        ]:
            if len(taken) == count:
                break
            if delivery.webhook_id not in taken and self._take(delivery):
                taken[delivery.webhook_id] = delivery
        return list(taken.values())

    def _take(self, delivery) -> bool:
        # Two processes may pick the same row here; only one update below succeeds.
        ours = (
            self._held(delivery)
            .filter(next_at__lte=Now())
            .update(
                attempts=F("attempts") + 1,
                next_at=Now() + timedelta(seconds=LEASE_SECONDS),
                tried_at=Now(),
            )
        )
        delivery.attempts += ours
        return ours == 1

    def _held(self, delivery):
        """The row if nobody has attempted it since."""
        return self.filter(IS_WAITING, pk=delivery.pk, attempts=delivery.attempts)

    def delivered(self, delivery, status_code: int) -> bool:
        outcome = {"state": Delivery.State.DELIVERED, "status_code": status_code, "error": ""}
        return self._held(delivery).update(**outcome) == 1

    def failed(self, delivery, error: str, status_code: int | None, for_good: bool = False) -> bool:
        """Try again later, or give up after the last attempt or `for_good`."""
        outcome = {"error": error[:300], "status_code": status_code}
        if for_good or delivery.attempts > len(RETRY_SECONDS):
            outcome["state"] = Delivery.State.GIVEN_UP
        else:
            later = timedelta(seconds=RETRY_SECONDS[delivery.attempts - 1])
            outcome["next_at"] = Now() + later
        return self._held(delivery).update(**outcome) == 1

    def prune(self) -> None:
        """Delete old ones that are over, and those whose webhook was deleted meanwhile."""
        old = Q(created_at__lt=Now() - timedelta(days=KEPT_DAYS)) & ~Q(state="waiting")
        orphaned = ~models.Exists(Webhook.objects.filter(pk=models.OuterRef("webhook")))
        some = self.filter(old | orphaned).order_by("pk").values_list("pk", flat=True)
        self.filter(pk__in=list(some[:1000])).delete()


class Delivery(models.Model):
    """One message to a webhook. Kept for a while after it was delivered or given up.

    `run` is an id and no key: what was told stays known when the run is deleted.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        GIVEN_UP = "given_up", "Given up"

    public_id = models.CharField(max_length=40, unique=True, default=new_message_id, editable=False)
    # Without a constraint: it must not keep a run from ending that its owner deletes
    # the webhook in the same moment.
    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", db_constraint=False
    )
    event = models.CharField(max_length=16)
    run = models.CharField(max_length=40, blank=True, help_text="Its id.")
    title = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.SmallIntegerField(default=0)
    status_code = models.SmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    tried_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(db_default=Now())

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["next_at"], name="delivery_due", condition=Q(state="waiting")),
        ]

    def __str__(self):
        return self.public_id

    @property
    def is_waiting(self) -> bool:
        return self.state == self.State.WAITING
