"""Opaque marks in long lists: where the last page ended."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from uuid import UUID

from app.api.errors import Unreadable
from app.db import Row

_FORM = "%Y-%m-%dT%H:%M:%S.%f%z"


def after(rows: list[Row], limit: int, time: str, id_: str) -> str | None:
    """The mark behind the last of `rows` (its columns `time` and `id_`); None if the list ends here."""
    if len(rows) < limit:
        return None
    last = rows[-1]
    mark = f"{last[time].astimezone(UTC).strftime(_FORM)}|{last[id_]}"
    return base64.urlsafe_b64encode(mark.encode()).decode().rstrip("=")


def read(cursor: str) -> tuple[datetime, str]:
    """The time and id in a mark; raises Unreadable for anything else."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, _, id_ = text.partition("|")
        return datetime.strptime(moment, _FORM).astimezone(UTC), str(UUID(id_))
    except (ValueError, binascii.Error, OverflowError) as error:
        raise Unreadable(
            "The cursor is not one of ours.", [("/cursor", "take next_cursor as it is")]
        ) from error
