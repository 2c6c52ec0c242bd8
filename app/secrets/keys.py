"""Keys for values at rest: read from text, made from the product's own key, and known by a fingerprint."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SIZE = 32
WAY_OUT = "make one with `callboard secrets new-key`"


@dataclass(frozen=True)
class Key:
    """One key of AES-256; nothing that shows or logs it shows the key itself."""

    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Tells keys apart and says nothing of them; its first 8 characters stand in every value they seal."""
        return hashlib.sha256(b"callboard encryption key\x00" + self.secret).hexdigest()[:16]

    @property
    def key_id(self) -> str:
        """The start of the fingerprint."""
        return self.fingerprint[:8]


def fresh() -> str:
    """A new key as ENCRYPTION_KEYS takes it."""
    return base64.b64encode(secrets.token_bytes(SIZE)).decode()


def read(texts: Iterable[str]) -> tuple[Key, ...]:
    """Keys from base64, in the given order; ValueError says which one is none, never what it was."""
    return tuple(_read(number, text) for number, text in enumerate(texts, start=1))


def derived(secret_key: str) -> Key:
    """The key of a product that was given none: from the one that signs its sessions."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=SIZE, salt=None, info=b"callboard values at rest 1")
    return Key(kdf.derive(secret_key.encode()))


def _read(number: int, text: str) -> Key:
    try:
        secret = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != SIZE:
        raise ValueError(f"key {number} is not base64 of {SIZE} bytes; {WAY_OUT}")
    return Key(secret)
