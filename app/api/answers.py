"""What leaves the API: JSON with ids as text and times in ISO 8601 UTC to the millisecond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from flask import Response
from pydantic import BaseModel

from app import clock

_AS_TEXT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True)
class Answer:
    """A body with a status or headers of its own, where a view needs more than the operation's default."""

    body: object = None
    """A model, dict or list; None for no body at all."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def dumps(value: object) -> bytes:
    """`value` as JSON."""
    return orjson.dumps(value, default=_plain, option=_AS_TEXT)


def respond(returned: object, status: int) -> Response:
    """The HTTP response for what a view returned; `status` unless it brings its own."""
    if isinstance(returned, Response):
        return returned
    answer = as_answer(returned, status)
    body = b"" if answer.body is None else dumps(answer.body)
    response = Response(body, answer.status, mimetype="application/json")
    if answer.body is None:
        del response.headers["Content-Type"]
    response.headers.update(answer.headers)
    return response


def as_answer(returned: object, status: int) -> Answer:
    """What a view returned, as an Answer that has a status."""
    answer = returned if isinstance(returned, Answer) else Answer(returned)
    return answer if answer.status else replace(answer, status=status)


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return clock.iso(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
