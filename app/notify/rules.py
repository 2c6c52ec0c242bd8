"""Rules: which event goes to which mail address or chat besides the inbox. For admins."""

from __future__ import annotations

from typing import Any

import uuid_utils.compat

from app.db import Row, db
from app.errors import Invalid, NotFound
from app.notify import addresses, deliveries, events, messages, setup
from app.notify.messages import News

CHANNELS = ("email", "chat")
COLUMNS = "rule_id::text, event, channel, target, agent_id, enabled, created_by, created_at"


def create(
    *, event: str, channel: str, target: str, by: str, agent_id: str | None = None, enabled: bool = True
) -> Row:
    """A new rule; `event` may be `workflow.*` or `*`, and with `agent_id` it is about that agent only."""
    _check(event, channel, target)
    row = db.row(
        f"""INSERT INTO notify_rules (rule_id, event, channel, target, agent_id, enabled, created_by)
            VALUES (%(id)s, %(event)s, %(channel)s, %(target)s, %(agent_id)s, %(enabled)s, %(by)s)
            RETURNING {COLUMNS}""",
        id=str(uuid_utils.compat.uuid7()),
        event=event,
        channel=channel,
        target=target,
        agent_id=agent_id,
        enabled=enabled,
        by=by,
    )
    assert row is not None
    return row


def change(rule_id: str, **changes: Any) -> Row:
    """Change event, channel, target, agent_id or enabled; raises NotFound, Invalid."""
    after = get(rule_id) | changes
    _check(after["event"], after["channel"], after["target"])
    row = db.row(
        f"""UPDATE notify_rules SET event = %(event)s, channel = %(channel)s, target = %(target)s,
               agent_id = %(agent_id)s, enabled = %(enabled)s
            WHERE rule_id = %(rule_id)s RETURNING {COLUMNS}""",
        **{name: after[name] for name in ("rule_id", "event", "channel", "target", "agent_id", "enabled")},
    )
    assert row is not None
    return row


def remove(rule_id: str) -> None:
    """Forget a rule; raises NotFound."""
    if not db.run("DELETE FROM notify_rules WHERE rule_id = %(id)s", id=rule_id):
        raise NotFound(f"There is no rule {rule_id}.")


def get(rule_id: str) -> Row:
    """One rule; raises NotFound."""
    row = db.row(f"SELECT {COLUMNS} FROM notify_rules WHERE rule_id = %(id)s", id=rule_id)
    if row is None:
        raise NotFound(f"There is no rule {rule_id}.")
    return row


def listing() -> list[Row]:
    """All rules, by event."""
    return db.rows(f"SELECT {COLUMNS} FROM notify_rules ORDER BY event, rule_id")


def test(channel: str, target: str) -> str:
    """Send a test to a mail address or a chat; answers the delivery's id. Raises Invalid."""
    _check("test", channel, target)
    news = News(event=events.named("test"), title="A test of Callboard", body="It works.", audience="admins")
    draft = messages.mail(news, target) if channel == "email" else messages.chat(news, target)
    deliveries.add([draft])
    return str(draft["delivery_id"])


def _check(event: str, channel: str, target: str) -> None:
    wrong = [("/event", said)] if (said := events.complaint(event)) else []
    if channel not in CHANNELS:
        wrong.append(("/channel", f"must be one of {', '.join(CHANNELS)}"))
    elif said := addresses.check_email(target) if channel == "email" else _chat_complaint(target):
        wrong.append(("/target", said))
    if wrong:
        raise Invalid("The rule does not fit.", wrong)


def _chat_complaint(name: str) -> str | None:
    known = setup.present().channels
    if name in known:
        return None
    return f"is no configured chat; there are: {', '.join(known) or 'none, set NOTIFY_CHANNELS'}"
