"""Links by which people without an account see one run."""

from datetime import timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from .run import Run, new_public_id

# Tokens begin so: whoever finds one in a text knows what it is, see logs.py.
PREFIX = "sss_"
LABEL_CHARS = 80


def _signer() -> Signer:
    return Signer(salt="runs.share", sep=".")


class ShareQuerySet(models.QuerySet):
    def make(self, run: Run, user, seconds: int, label: str):
        made = self.create(
            run=run,
            made_by=user,
            made_by_name=user.get_username(),
            expires_at=Now() + timedelta(seconds=seconds),
            label=label,
        )
        made.refresh_from_db()
        return made

    def usable(self):
        """Those that are over for no reason the database knows; see also Share.holds()."""
        return self.filter(
            revoked_at=None, expires_at__gt=Now(), made_by__is_active=True
        ).select_related("run", "made_by")

    def of_token(self, token: str):
        """The share of a token, with its run; None if it is made up, or over."""
        if not token.startswith(PREFIX):
            return None
        try:
            public_id = _signer().unsign(token.removeprefix(PREFIX))
        except BadSignature:
            return None
        share = self.usable().filter(public_id=public_id).first()
        return share if share and share.holds() else None

    def renewed(self, share):
        """The share read again; None if it is over."""
        now = self.usable().filter(pk=share.pk).first()
        return now if now and now.holds() else None

    def count_use(self, share) -> None:
        self.filter(pk=share.pk).update(uses=F("uses") + 1, used_at=Now())

    def revoke(self, share) -> bool:
        """False if it was revoked already."""
        return self.filter(pk=share.pk, revoked_at=None).update(revoked_at=Now()) == 1


class Share(models.Model):
    """A read-only link to a run. It ends when it expires or is revoked, and when whoever
    made it is deactivated or may no longer change the run.

    Its token is the id, signed: not stored, so whoever reads the database has no links.
    """

    public_id = models.CharField(max_length=40, unique=True, default=new_public_id, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="shares")
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_by_name = models.CharField("made by", max_length=150)
    label = models.CharField(max_length=LABEL_CHARS, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    uses = models.IntegerField(default=0, help_text="How often its page was opened.")

    objects = ShareQuerySet.as_manager()

    def __str__(self):
        return f"link {self.pk}" + (f" ({self.label})" if self.label else "")

    def holds(self) -> bool:
        return (
            settings.SHARE_DAYS > 0
            and self.made_by is not None
            and self.run.may_be_changed_by(self.made_by)
        )

    @property
    def is_over(self) -> bool:
        ended = self.revoked_at is not None or self.expires_at <= timezone.now()
        return ended or not self.holds()

    @property
    def token(self) -> str:
        return PREFIX + _signer().sign(self.public_id)

    @property
    def path(self) -> str:
        return f"/shared/{self.token}/"
