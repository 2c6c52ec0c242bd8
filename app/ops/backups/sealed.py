"""Encrypted files: AES-256-GCM in chunks, so that a file of any size costs a megabyte of memory.

    MAGIC, length of the header (4 bytes), header (JSON), then chunks: length (4 bytes), ciphertext

Every file has a key of its own, made from BACKUP_KEY and a random salt. The nonce of a chunk is its number and whether
it is the last one; the hash of the header is authenticated with each. So a chunk that was changed, moved, left out or
taken from another file is refused, and so is a file that ends too early.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import Invalid
from app.secrets.keys import Key

MAGIC = b"CALLBOARD-SEALED-1\n"
CHUNK = 1 << 20
TAG = 16
LONGEST_HEADER = 4 << 20


class Damaged(Invalid):
    """The file was changed or is not whole; nothing of it may be used."""

    code = "backup_damaged"


class WrongKey(Invalid):
    """The key that sealed the file is not among BACKUP_KEY."""

    code = "backup_key_missing"


class Sealing:
    """Writes one sealed file into `target`; `close` writes the last chunk, without which it cannot be opened."""

    def __init__(self, target: IO[bytes], key: Key, about: dict[str, Any]) -> None:
        """`about` can be read without the key, and not be changed."""
        self._target, self._number, self._rest = target, 0, bytearray()
        salt = os.urandom(32)
        header = json.dumps({"key": key.fingerprint, "salt": salt.hex(), "about": about}).encode()
        self._cipher, self._bound = _cipher(key, salt), hashlib.sha256(header).digest()
        target.write(MAGIC + struct.pack(">I", len(header)) + header)

    def write(self, data: bytes) -> int:
        """Seal what fills a chunk; the rest waits for more."""
        self._rest += data
        while len(self._rest) > CHUNK:
            self._chunk(bytes(self._rest[:CHUNK]), last=False)
            del self._rest[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Seal the rest as the last chunk; the target stays open."""
        self._chunk(bytes(self._rest), last=True)

    def _chunk(self, data: bytes, *, last: bool) -> None:
        text = self._cipher.encrypt(_nonce(self._number, last=last), data, self._bound)
        self._target.write(struct.pack(">I", len(text)) + text)
        self._number += 1


def is_sealed(source: IO[bytes]) -> bool:
    """Whether a file begins like a sealed one; it stands at its beginning again afterwards."""
    begin = source.read(len(MAGIC))
    source.seek(0)
    return begin == MAGIC


def header(source: IO[bytes]) -> dict[str, Any]:
    """`{key, salt, about}` of a sealed file; not proved before `opened` went through."""
    return _header(source)[0]


def opened(source: IO[bytes], keys: Sequence[Key]) -> Iterator[bytes]:
    """What was sealed, chunk by chunk. Use nothing of it before the end was reached: raises WrongKey, Damaged."""
    told, raw = _header(source)
    key = next((key for key in keys if key.fingerprint == told["key"]), None)
    if key is None:
        have = ", ".join(key.fingerprint for key in keys) or "none"
        raise WrongKey(f"it was encrypted with the key {told['key']}, and BACKUP_KEY has {have}")
    cipher, bound = _cipher(key, bytes.fromhex(told["salt"])), hashlib.sha256(raw).digest()
    for number, (text, last) in enumerate(_chunks(source)):
        try:
            yield cipher.decrypt(_nonce(number, last=last), text, bound)
        except InvalidTag:
            raise Damaged("the file was altered, or its end is missing; nothing was restored") from None


def _chunks(source: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each with whether nothing comes after it."""
    text = _chunk(source)
    if text is None:
        raise Damaged("the file ends after its header; nothing was restored")
    while text is not None:
        coming = _chunk(source)
        yield text, coming is None
        text = coming


def _chunk(source: IO[bytes]) -> bytes | None:
    size = source.read(4)
    if not size:
        return None
    length = struct.unpack(">I", size)[0] if len(size) == 4 else 0
    text = source.read(length) if TAG <= length <= CHUNK + TAG else b""
    if not text or len(text) != length:
        raise Damaged("the file was altered, or its end is missing; nothing was restored")
    return text


def _header(source: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    begin = source.read(len(MAGIC) + 4)
    whole = len(begin) == len(MAGIC) + 4 and begin.startswith(MAGIC)
    length = struct.unpack(">I", begin[len(MAGIC) :])[0] if whole else 0
    raw = source.read(length) if length <= LONGEST_HEADER else b""
    try:
        told: dict[str, Any] = json.loads(raw)
        bytes.fromhex(told["salt"])
        str(told["key"])
    except (ValueError, KeyError, TypeError):
        raise Damaged("the beginning of the file was altered; nothing was restored") from None
    return told, raw


def _cipher(key: Key, salt: bytes) -> AESGCM:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=b"callboard backup 1")
    return AESGCM(kdf.derive(key.secret))


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">QI", number, int(last))


def poured(chunks: Iterable[bytes], target: IO[bytes]) -> int:
    """Write all of them; answers how many bytes."""
    return sum(target.write(chunk) for chunk in chunks)
