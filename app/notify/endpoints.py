"""Endpoints: URLs that hear of events. An admin's hear of everything, anybody else's of what their owner is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uuid_utils.compat

from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.notify import addresses, deliveries, events, messages, secrets
from app.notify.messages import News

MOST_PER_OWNER = 20

COLUMNS = """endpoint_id::text, url, description, events, enabled, disabled_reason, failing_since, owner,
    CASE WHEN previous_until > clock_timestamp() THEN previous_until END AS previous_until, created_at, updated_at"""


def create(
    url: str, *, owner: str, wanted: Sequence[str] = (), description: str | None = None, enabled: bool = True
) -> Row:
    """A new endpoint with its `secret`, which is shown this once; without `wanted` it hears of all events."""
    _check(url, wanted)
    _leave_room(owner)
    secret, endpoint_id = secrets.fresh(), str(uuid_utils.compat.uuid7())
    row = db.row(
        f"""INSERT INTO webhook_endpoints (endpoint_id, url, description, events, secret, owner, enabled)
            VALUES (%(id)s, %(url)s, %(description)s, %(events)s, %(secret)s, %(owner)s, %(enabled)s)
            RETURNING {COLUMNS}""",
        id=endpoint_id,
        url=url,
        description=description,
        events=list(wanted),
        secret=secrets.sealed(endpoint_id, secret),
        owner=owner,
        enabled=enabled,
    )
    assert row is not None
    return {**row, "secret": secret}


def change(endpoint_id: str, **changes: Any) -> Row:
    """Change url, events, description or enabled; switching on forgets why it was off. Raises NotFound, Invalid."""
    before = get(endpoint_id)
    after = before | changes
    _check(after["url"], after["events"])
    switched_on = bool(after["enabled"]) and not before["enabled"]
    row = db.row(
        f"""UPDATE webhook_endpoints SET url = %(url)s, description = %(description)s, events = %(events)s,
               enabled = %(enabled)s, updated_at = clock_timestamp(),
               disabled_reason = CASE WHEN %(enabled)s THEN NULL ELSE disabled_reason END,
               failing_since = CASE WHEN %(switched_on)s THEN NULL ELSE failing_since END
            WHERE endpoint_id = %(id)s RETURNING {COLUMNS}""",
        id=endpoint_id,
        url=after["url"],
        description=after["description"],
        events=list(after["events"]),
        enabled=after["enabled"],
        switched_on=switched_on,
    )
    assert row is not None
    return row


def remove(endpoint_id: str) -> None:
    """Forget an endpoint; what was on its way to it is skipped. Raises NotFound."""
    if not db.run("DELETE FROM webhook_endpoints WHERE endpoint_id = %(id)s", id=endpoint_id):
        raise NotFound(f"There is no endpoint {endpoint_id}.")


def rotate(endpoint_id: str) -> Row:
    """Give it a new `secret`, shown this once; the old one signs as well for a day. Raises NotFound."""
    secret = secrets.rotate_endpoint(endpoint_id)
    return get(endpoint_id) | {"secret": secret}


def get(endpoint_id: str) -> Row:
    """One endpoint without its secret; raises NotFound."""
    row = db.row(f"SELECT {COLUMNS} FROM webhook_endpoints WHERE endpoint_id = %(id)s", id=endpoint_id)
    if row is None:
        raise NotFound(f"There is no endpoint {endpoint_id}.")
    return row


def listing(owner: str | None = None) -> list[Row]:
    """All endpoints, or those of one owner, without their secrets."""
    return db.rows(
        f"""SELECT {COLUMNS} FROM webhook_endpoints WHERE %(owner)s::text IS NULL OR owner = %(owner)s
            ORDER BY endpoint_id""",
        owner=owner,
    )


def test(endpoint_id: str) -> str:
    """Send a test to an endpoint; answers the delivery's id. Raises NotFound."""
    endpoint = get(endpoint_id)
    news = News(event=events.named("test"), title="A test", body="It works.", audience=endpoint["owner"])
    draft = messages.webhook(news, endpoint)
    deliveries.add([draft])
    return str(draft["delivery_id"])


def _check(url: str, wanted: Sequence[str]) -> None:
    wrong = [("/url", said)] if (said := addresses.check_url(url)) else []
    for place, pattern in enumerate(wanted):
        if said := events.complaint(pattern):
            wrong.append((f"/events/{place}", said))
    if wrong:
        raise Invalid("The endpoint does not fit.", wrong)


def _leave_room(owner: str) -> None:
    if len(listing(owner)) >= MOST_PER_OWNER:
        raise Conflict(f"There can be {MOST_PER_OWNER} endpoints of one person; delete one first.")
