"""Answering 304 to who has it already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import request

from app.api.answers import Answer


def holds(tag: str) -> bool:
    """Whether the caller's If-None-Match names `tag`, which is quoted.

    Compression writes its algorithm behind a tag (`"7.ca:gzip"`): it is the same document.
    """
    known = request.if_none_match.as_set(include_weak=True)
    return tag.strip('"') in {each.partition(":")[0] for each in known if each}


def answer(tag: str, make: Callable[[], object], headers: Mapping[str, str] | None = None) -> Answer:
    """304 if the caller holds `tag`, else what `make` makes, with the tag."""
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", **(headers or {})}
    return Answer(None, 304, headers) if holds(tag) else Answer(make(), headers=headers)
