"""What users keep here: tokens of their scripts, and secrets for their runs."""

import hashlib
import secrets

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from .. import kinds
from ..fields import SealedField, seal, unseal


class ApiTokenQuerySet(models.QuerySet):
    def make(self, user, name: str):
        """A new token and its secret, which is kept nowhere: (ApiToken, str)."""
        secret = "sst_" + secrets.token_urlsafe(32)
        token = self.create(user=user, name=name, hint=secret[:8], digest=token_digest(secret))
        return token, secret

    def usable(self, secret: str):
        """The token of a secret, with its user; None if unknown, revoked or inactive."""
        return (
            self.filter(digest=token_digest(secret), revoked_at=None, user__is_active=True)
            .select_related("user")
            .first()
        )


def token_digest(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiToken(models.Model):
    """Lets a script act as a user. The secret is shown once and stored hashed."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=80)
    hint = models.CharField(max_length=12, help_text="How the secret begins.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self):
        return f"{self.name} ({self.hint}…)"


class SavedSecretQuerySet(models.QuerySet):
    def save_value(self, user, name: str, value: str) -> bool:
        """Keep a value, in the place of one of the same name; True if it is new."""
        sealed = {"sealed": seal(value), "changed_at": Now()}
        _, is_new = self.update_or_create(user=user, name=name, defaults=sealed)
        return is_new

    def take(self, user, names) -> dict[str, str]:
        """The values of a user's secrets. Raises kinds.InvalidSpec if one is not there."""
        if not names:
            return {}
        found = {secret.name: secret for secret in self.filter(user=user, name__in=names)}
        if missing := [name for name in names if name not in found]:
            raise kinds.InvalidSpec({
                "secrets": f"You have no saved secret {', '.join(missing)[:200]}. "
                "Save it on your account page, or leave it out."
            })  # fmt: skip
        self.filter(pk__in=[secret.pk for secret in found.values()]).update(used_at=Now())
        return {name: unseal(secret.sealed) for name, secret in found.items()}


class SavedSecret(models.Model):
    """A value that a user's runs may have in their environment, by its name; never shown."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_secrets"
    )
    name = models.CharField(max_length=128)
    sealed = SealedField(editable=False)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    used_at = models.DateTimeField(null=True)

    objects = SavedSecretQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="secret_name_of_user"),
        ]

    def __str__(self):
        return self.name
