"""Sealed values: what stands in the database in the place of a secret, and who may open it.

A sealed value is a text inside of the same JSON as before, so that everything around it can still be read and asked:

    callboard-sealed:1:KEY:OWNER:DATA:     DATA = base64url(nonce, AES-256-GCM(JSON of [pointer, value]))

OWNER is the row that it belongs to (`jobs/<id>`); key, owner and form are authenticated with it, and the place inside
of the row is sealed along. So whoever can write to the database, but has no key, cannot put the password of one job
into another one, nor one field into another. (Fernet cannot bind a value to its place, and shows when it was made.)

Nothing that people send may look like this (app/agents/params.py refuses it), so what looks like it was made here.
Rooms seal with the keys that `use` was given; the first is for new values, all are for old ones.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.db import dumps
from app.errors import PermanentError
from app.secrets.keys import Key

PREFIX = "callboard-sealed:"
_NONCE = 12
_INSIDE = re.compile(r"callboard-sealed:1:([0-9a-f]{8}):([^:\s]{1,300}):([A-Za-z0-9_-]+={0,2}):")

May = Callable[[str], bool]
"""Whether values of an owner may be opened."""


class KeyMissing(PermanentError):
    """The key of a sealed value is not among ENCRYPTION_KEYS."""

    code = "key_missing"
    status = 409


class NotOurs(PermanentError):
    """A sealed value stands where it was not sealed for, or was changed."""

    code = "sealed_elsewhere"
    status = 422


_keys: dict[str, Key] = {}


def use(keys: Iterable[Key]) -> None:
    """Seal with the first of `keys` from now on in this process, and open with all of them."""
    found = {key.key_id: key for key in keys}
    if not found:
        msg = "sealing needs a key"
        raise ValueError(msg)
    _keys.clear()
    _keys.update(found)


def in_use() -> tuple[Key, ...]:
    """The keys in use, the newest first."""
    return tuple(_keys.values())


def is_sealed(value: Any) -> bool:
    """Whether a value is a sealed one."""
    return isinstance(value, str) and value.startswith(PREFIX)


def holds_sealed(value: Any) -> bool:
    """Whether a text is a sealed value or has one in it."""
    return isinstance(value, str) and PREFIX in value and _INSIDE.search(value) is not None


def places(value: Any, pointer: str = "") -> Iterator[str]:
    """The JSON pointers of everything sealed in some JSON."""
    if holds_sealed(value):
        yield pointer
    for step, inner in _parts(value):
        yield from places(inner, f"{pointer}/{step}")


def seal_one(value: Any, owner: str, pointer: str, *, by: Key | None = None) -> str:
    """One value, sealed for a place of `owner`, by the newest key or another one."""
    key = by or next(iter(_keys.values()), None)
    if key is None:
        msg = "sealing.use(keys) was not called in this process"
        raise RuntimeError(msg)
    nonce, text = os.urandom(_NONCE), dumps([pointer, value]).encode()
    data = nonce + AESGCM(key.secret).encrypt(nonce, text, _bound(key.key_id, owner))
    return f"{PREFIX}1:{key.key_id}:{owner}:{base64.urlsafe_b64encode(data).decode()}:"


def seal(value: Any, where: Iterable[str], owner: str, within: str = "") -> Any:
    """The same JSON with what stands at the pointers `where` sealed; what is sealed, and null, stays as it is."""
    wanted = frozenset(where)
    return _seal(value, wanted, owner, within, "") if wanted else value


def open_one(text: str, owner: str, pointer: str) -> Any:
    """The value of a sealed text; one that is not sealed is the value. Raises KeyMissing, NotOurs."""
    return _open(text, lambda told: told == owner, pointer) if is_sealed(text) else text


def opened(value: Any, owner: str, within: str = "") -> Any:
    """The same JSON with everything opened that was sealed for its place in `owner`. Raises KeyMissing, NotOurs."""
    return _opened(value, lambda told: told == owner, within)


def opened_anywhere(value: Any, may: May) -> Any:
    """The same JSON with everything opened whose owner `may` says, wherever it stands now, also inside of texts."""
    return _opened(value, may, None)


def resealed(text: str) -> str:
    """A text, or JSON as text, with everything sealed in it under the newest key; raises KeyMissing, NotOurs."""
    newest = next(iter(_keys))

    def again(found: re.Match[str]) -> str:
        if found[1] == newest:
            return found[0]
        pointer, value = _decrypted(*found.groups())
        return seal_one(value, found[2], pointer)

    return _INSIDE.sub(again, text)


def key_ids(text: str) -> list[str]:
    """The key of each sealed value in a text, or in JSON as text."""
    return [found[1] for found in _INSIDE.finditer(text)]


def _seal(value: Any, where: frozenset[str], owner: str, within: str, pointer: str) -> Any:
    if pointer in where:
        return value if value is None or is_sealed(value) else seal_one(value, owner, within + pointer)
    if isinstance(value, dict):
        return {k: _seal(v, where, owner, within, f"{pointer}/{escaped(k)}") for k, v in value.items()}
    if isinstance(value, list):
        return [_seal(v, where, owner, within, f"{pointer}/{n}") for n, v in enumerate(value)]
    return value


def _opened(value: Any, may: May, pointer: str | None) -> Any:
    if is_sealed(value):
        return _open(value, may, pointer)
    if pointer is None and holds_sealed(value):
        return _INSIDE.sub(lambda found: _as_text(_open(found[0], may, None)), value)
    if isinstance(value, dict):
        return {k: _opened(v, may, _below(pointer, escaped(k))) for k, v in value.items()}
    if isinstance(value, list):
        return [_opened(v, may, _below(pointer, str(n))) for n, v in enumerate(value)]
    return value


def _open(text: str, may: May, pointer: str | None) -> Any:
    found = _INSIDE.fullmatch(text)
    if found is None:
        if pointer is None and holds_sealed(text):  # it begins with one, and goes on
            return _INSIDE.sub(lambda one: _as_text(_open(one[0], may, None)), text)
        raise NotOurs("a value looks sealed and is not; set it anew")
    key_id, owner, data = found.groups()
    if not may(owner):
        raise NotOurs("a sealed value stands where it was not sealed for; set it anew")
    told, value = _decrypted(key_id, owner, data)
    if pointer is not None and told != pointer:
        raise NotOurs("a sealed value stands where it was not sealed for; set it anew")
    return value


def _decrypted(key_id: str, owner: str, data: str) -> tuple[str, Any]:
    """The place that a value was sealed for, and the value."""
    key = _keys.get(key_id)
    if key is None:
        raise KeyMissing(
            f"the key {key_id} of a secret is not among ENCRYPTION_KEYS and not made from SECRET_KEY; "
            "put it back, or set the secret anew"
        )
    try:
        raw = base64.urlsafe_b64decode(data)
        told, value = orjson.loads(
            AESGCM(key.secret).decrypt(raw[:_NONCE], raw[_NONCE:], _bound(key_id, owner))
        )
    except (InvalidTag, ValueError) as wrong:
        raise NotOurs("a sealed value was changed; set it anew") from wrong
    return told, value


def _bound(key_id: str, owner: str) -> bytes:
    return f"callboard/1/{key_id}/{owner}".encode()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _below(pointer: str | None, step: str) -> str | None:
    return None if pointer is None else f"{pointer}/{step}"


def escaped(step: object) -> str:
    """One step of a JSON pointer."""
    return str(step).replace("~", "~0").replace("/", "~1")


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((escaped(k), v) for k, v in value.items())
    elif isinstance(value, list):
        yield from ((str(n), v) for n, v in enumerate(value))
