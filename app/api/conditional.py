"""Answering 304 to who has it already.

Tags are weak: the same tag means the same state, not the same bytes. A document says when it was made, and
compression packs it differently for each caller; both are the document that the caller has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import request

from app.api.answers import Answer


def holds(tag: str) -> bool:
    """Whether the caller's If-None-Match names `tag`, which is quoted, weakly or strongly."""
    return tag.strip('"') in request.if_none_match.as_set(include_weak=True)


def answer(tag: str, make: Callable[[], object], headers: Mapping[str, str] | None = None) -> Answer:
    """304 if the caller holds `tag`, else what `make` makes; both with the tag and `headers`."""
    headers = {"ETag": f"W/{tag}", "Cache-Control": "private, no-cache", **(headers or {})}
    return Answer(None, 304, headers) if holds(tag) else Answer(make(), headers=headers)
