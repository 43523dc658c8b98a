"""Signatures of what this site has recorded: Ed25519, by a key made of the secret key."""

import base64
import hashlib
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings


def sign(statement: bytes) -> str:
    return base64.b64encode(_private_key(settings.SECRET_KEY).sign(statement)).decode()


def public_keys() -> list[str]:
    """Ours, in base64: the one that signs now, then those of the keys before it."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    raw = (_private_key(key).public_key().public_bytes_raw() for key in keys)
    return [base64.b64encode(key).decode() for key in raw]


def is_signed(statement: bytes, signature: str, keys: list[str] | None = None) -> bool:
    """Whether one of the keys (ours, if none are given) made the signature."""
    for key in public_keys() if keys is None else keys:
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
            public.verify(base64.b64decode(signature), statement)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def canonical(value) -> bytes:
    """JSON with sorted names, without spaces, in UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _private_key(secret: str) -> Ed25519PrivateKey:
    # A context of its own: nothing else is made of the secret key in this way.
    seed = hashlib.sha256(b"streamsite signing key\0" + secret.encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)
