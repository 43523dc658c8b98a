"""Field types of our own: a JSON value encrypted at rest, and the key of a chunk."""

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


def reseal(sealed: str) -> str:
    """The same value, sealed with the first of the keys. Raises Unreadable."""
    return seal(unseal(sealed))


class SealedField(models.TextField):
    """Holds what seal() made; assign and read with seal() and unseal().

    Kept sealed in Python too, so that a value cannot reach a page, a log or an
    admin form by being an attribute.
    """


# A chunk's key holds its run's key above these bits and its seq in them: 134 million
# runs, and more chunks in each than one could print in a week.
SEQ_BITS = 36


def chunk_key(run_pk: int, seq: int) -> int:
    """Chunks of a run stand together, in seq order, and are found without an index."""
    return (run_pk << SEQ_BITS) | seq


class ChunkKeyField(models.BigIntegerField):
    """The primary key that chunk_key() makes of an instance's `run` and `seq`.

    The rows of a log then are the table itself, in order: measured on SQLite, half
    again as many inserts a second as with a key that counts up and an index.
    """

    def db_type(self, connection):
        # Only a column of this very type is SQLite's own row id.
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)

    def get_pk_value_on_save(self, instance):
        return chunk_key(instance.run_id, instance.seq)
