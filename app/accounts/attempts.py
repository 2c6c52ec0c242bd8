"""Attempts to sign in that were refused before anybody looked at the password, because there were too many."""

from __future__ import annotations

import time
from threading import Lock

from app import audit

# Once a minute of each address: whoever goes on trying must not be able to fill the audit log.
EVERY_SECONDS = 60.0
MOST_ADDRESSES = 10_000

_lock = Lock()
_noted: dict[str, float] = {}


def limited(address: str | None, *, request_id: str | None = None) -> bool:
    """Write into the audit log that `address` is refused for now; answers False if that was said a moment ago."""
    now, key = time.monotonic(), address or "nowhere"
    with _lock:
        if now - _noted.get(key, float("-inf")) < EVERY_SECONDS:
            return False
        if len(_noted) >= MOST_ADDRESSES:
            _noted.clear()
        _noted[key] = now
    audit.record("auth.limited", actor="", correlation_id=request_id, details={"ip": address})
    return True


def forget() -> None:
    """Nobody was refused yet."""
    with _lock:
        _noted.clear()
