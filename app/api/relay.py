"""What came in, for `callboard relay` and whoever else forwards it: polled by position, never pushed."""

from __future__ import annotations

import base64
from typing import Any

from app.api.auth import current_principal, settings
from app.api.glue import op
from app.api.hook_shapes import RelayOut, RelayQuery
from app.hooks import relay


@op("GET", "/api/v1/relay/events", verb="view_hooks", out=RelayOut)
def list_relay_events(query: RelayQuery) -> dict[str, Any]:
    """List the webhooks behind a position, oldest first, with the very headers and bytes that came.

    Of the hooks that are yours, or of all for admins. Whatever appears later has a higher position.
    """
    who = current_principal()
    # Before the page: what comes in between is news for the next look, and no sign of a restore.
    newest = relay.newest(who, query.hook)
    rows = relay.after(who, query.after, query.limit, query.hook)
    cursor = rows[-1]["position"] if rows else query.after
    return {
        "events": [_event(row) for row in rows],
        "cursor": cursor,
        "newest": max(newest, rows[-1]["position"] if rows else 0),
        "poll": {"next_after_ms": 0 if cursor < newest else settings().poll_running_ms},
    }


def _event(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name != "body"}
    return kept | {"body_base64": base64.b64encode(row["body"]).decode()}
