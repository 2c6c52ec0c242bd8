"""The last part of a post's address."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 80
MARK = 10


def slug(title: str, key: str) -> str:
    """The title in small letters and hyphens, and a mark of the post's key: two posts never share one."""
    plain = unicodedata.normalize("NFKD", title.casefold())
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    words = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    if len(words) > LONGEST:
        words = words[: LONGEST + 1].rpartition("-")[0] or words[:LONGEST]
    return f"{words or 'post'}{ending(key)}"


def ending(key: str) -> str:
    """How every slug of the post with this key ends."""
    return f"-{hashlib.sha256(key.encode()).hexdigest()[:MARK]}"
