"""Telling people what happened: written down here, in the caller's transaction; delivered by the courier, after it.

News of one group counts the first notification up for a while (NOTIFY_GROUP_MINUTES, from the first one on) and
sends nothing more; what was counted stands in the inbox, and no summary follows when the time is over. A callback
is asked for by one job or workflow and always sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import uuid_utils.compat

from app import clock
from app.db import Row, as_json, db, storable
from app.notify import deliveries, events, messages, setup
from app.notify.messages import JSON, News

ADMINS = "admins"
# Mail that one person asks for, to anybody: more is not sent, so that nobody can flood others through this server.
MOST_MAILS_AN_HOUR = 200
TOO_MANY = f"more than {MOST_MAILS_AN_HOUR} mails in an hour were asked for by the same person"
NO_TARGET = "not configured: set ALERT_EMAILS and SMTP_HOST, or SLACK_WEBHOOK_URL"


def tell(
    event: str,
    *,
    title: str,
    body: str = "",
    severity: str = "info",
    link: str | None = None,
    audience: str,
    subject: tuple[str, str] | None = None,
    data: JSON | None = None,
    group_key: str | None = None,
    group_minutes: float | None = None,
    emails: Sequence[str] = (),
    callback_url: str | None = None,
    callback_payload: JSON | None = None,
    owner: str | None = None,
    agent_id: str | None = None,
) -> str:
    """Write down a notification and everything that is to be sent of it; answers the notification's id.

    Call it inside a transaction: only there two of one group at once become one. `audience` is a user's id or
    `admins`. It goes to `emails`, to the callback, to every rule and endpoint that asks for it, and, if it is an
    alert, to the alert addresses of the admins. `owner` signs the callback and may look at the deliveries; left
    out it is the audience. After the commit the courier is woken. Raises ValueError for an unknown event.
    """
    news = News(
        event=events.named(event),
        title=title[:300],
        body=body[:10_000],
        severity=severity,
        link=link,
        audience=audience,
        subject=subject,
        data=data or {},
        owner=owner or (None if audience == ADMINS else audience),
        agent_id=agent_id,
        notification_id=str(uuid_utils.compat.uuid7()),
    )
    minutes = setup.present().group_minutes if group_minutes is None else group_minutes
    counted = _counted_up(audience, group_key, minutes) if group_key is not None else None
    if counted is not None:
        news, drafts = replace(news, notification_id=counted), list[Row]()
    else:
        _record(news, group_key)
        drafts = _drafts(news, emails)
    if callback_url:
        drafts.append(messages.callback(news, callback_url, callback_payload or {}))
    deliveries.add(drafts, news.notification_id)
    return str(news.notification_id)


def _counted_up(audience: str, group_key: str, minutes: float) -> str | None:
    """The open notification of the group, counted up; None if there is none. Others of the group wait meanwhile."""
    db.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(group)s, 4))", group=f"notify {audience} {group_key}"
    )
    return db.value(  # type: ignore[no-any-return]
        """UPDATE notifications SET count = count + 1, updated_at = clock_timestamp()
           WHERE notification_id = (
               SELECT notification_id FROM notifications
               WHERE audience = %(audience)s AND group_key = %(group_key)s
                 AND created_at > now() - %(minutes)s * interval '1 minute'
               ORDER BY created_at DESC LIMIT 1)
           RETURNING notification_id::text""",
        audience=audience,
        group_key=group_key,
        minutes=minutes,
    )


def _record(news: News, group_key: str | None) -> None:
    db.run(
        """INSERT INTO notifications (notification_id, event, severity, title, body, link, audience, subject_type,
               subject_id, group_key, data, created_at, updated_at)
           VALUES (%(id)s, %(event)s, %(severity)s, %(title)s, %(body)s, %(link)s, %(audience)s, %(subject_type)s,
               %(subject_id)s, %(group_key)s, %(data)s, clock_timestamp(), clock_timestamp())""",
        id=news.notification_id,
        event=news.event.name,
        severity=news.severity,
        title=storable(news.title),
        body=storable(news.body),
        link=news.link,
        audience=news.audience,
        subject_type=news.subject and news.subject[0],
        subject_id=news.subject and news.subject[1],
        group_key=group_key,
        data=as_json(news.data),
    )


def _drafts(news: News, emails: Sequence[str]) -> list[Row]:
    """A delivery for each address, chat and endpoint that is to hear of it; none gets it twice."""
    mails: dict[str, str | None] = dict.fromkeys(filter(None, emails), news.owner)
    chats: list[str] = []
    for rule in _rules(news):
        if rule["channel"] == "email":
            mails.setdefault(rule["target"], None)
        else:
            chats.append(rule["target"])
    alert = news.event.alert
    if alert:
        mails = dict.fromkeys(setup.present().alert_emails) | mails
        chats.extend(setup.present().alert_channels)
    left = _mails_left(news.owner) if any(mails.values()) else 0
    asked = [to for to, who in mails.items() if who]
    refused = set(asked[left:])
    found = [
        messages.mail(news, to, owner=who, skipped=TOO_MANY if to in refused else None)
        for to, who in mails.items()
    ]
    found += [messages.chat(news, channel) for channel in dict.fromkeys(chats)]
    if alert and not found:
        found = [messages.mail(news, ADMINS, skipped=NO_TARGET)]
    return found + [messages.webhook(news, endpoint) for endpoint in _endpoints(news)]


def _mails_left(owner: str | None) -> int:
    """How many mails somebody may ask for in this hour; an id begins with the time it was made at."""
    asked = db.value(
        """SELECT count(*) FROM (SELECT 1 FROM deliveries
               WHERE owner = %(owner)s AND delivery_id > %(since)s::uuid AND channel = 'email' AND status <> 'skipped'
               LIMIT %(most)s) AS found""",
        owner=owner,
        since=clock.least_id(clock.now() - timedelta(hours=1)),
        most=MOST_MAILS_AN_HOUR,
    )
    return MOST_MAILS_AN_HOUR - int(asked)


def _rules(news: News) -> list[Row]:
    return db.rows(
        """SELECT DISTINCT channel, target FROM notify_rules
           WHERE enabled AND event = ANY(%(patterns)s) AND (agent_id IS NULL OR agent_id = %(agent_id)s)
           ORDER BY channel, target""",
        patterns=events.patterns(news.event.name),
        agent_id=news.agent_id,
    )


def _endpoints(news: News) -> list[Row]:
    """An admin's endpoint hears of everything, anybody else's of what its owner is told."""
    return db.rows(
        """SELECT e.endpoint_id::text, e.url, e.owner FROM webhook_endpoints e
           JOIN users u ON u.user_id::text = e.owner
           WHERE e.enabled AND u.enabled AND (u.role = 'admin' OR e.owner = %(audience)s)
             AND (e.events && %(patterns)s::text[] OR e.events = '{}' AND %(event)s <> 'test')
           ORDER BY e.endpoint_id""",
        audience=news.audience,
        event=news.event.name,
        patterns=events.patterns(news.event.name),
    )
