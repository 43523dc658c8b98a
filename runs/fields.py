"""A JSON value that is encrypted at rest."""

import base64
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class Unreadable(Exception):
    """The value was sealed with a key that is no longer configured."""


def _fernet() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    # A context of its own: no other signature made with the key opens these.
    digests = (hashlib.sha256(b"streamsite sealed value\0" + key.encode()) for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(d.digest())) for d in digests])


def seal(value) -> str:
    return _fernet().encrypt(json.dumps(value).encode()).decode()


def unseal(sealed: str):
    """The value seal() was given. Raises Unreadable."""
    try:
        return json.loads(_fernet().decrypt(sealed.encode()))
    except InvalidToken:
        raise Unreadable(
            "A stored value cannot be decrypted: the secret key has changed. "
            "Put the old key into STREAMSITE_SECRET_KEY_FALLBACKS."
        ) from None


class SealedField(models.TextField):
    """Holds what seal() made; assign and read with seal() and unseal().

    Kept sealed in Python too, so that a value cannot reach a page, a log or an
    admin form by being an attribute.
    """
