"""The courier: takes what is to be told to where it is to be told, in threads of its own.

It is no Dramatiq actor, because all threads of a worker may be in agents that run for an hour, and news should leave
within a second. Every worker process has one, woken as soon as its own process has committed something, and looking
once a second for what others wrote (the web process has none). The scheduler has one too: the news that no worker is
left must leave when no worker is left.

Nothing here can fail a job. Whoever dies with a delivery in hand is replaced when its lease ends.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from app import clock
from app.accounts import links as account_links
from app.accounts.links import Purpose
from app.approvals import links
from app.db import AWAY, Row, db
from app.errors import CallboardError, Released
from app.jobs import queries as jobs
from app.notify import deliveries, endpoints, passwords, secrets, setup
from app.notify.deliveries import Outcome
from app.observe import correlation, logs, tracing
from app.workflows import queries as workflows

if TYPE_CHECKING:
    from app.settings import Settings

log = logs.get("courier")

LOOK_SECONDS = 1.0
# Longer than the slowest channel takes: whoever is over it is dead.
LEASE_SECONDS = 90.0
THREADS = 12
# To one host, one chat, or the mail server at once: one that does not answer leaves room for the others.
PER_LANE = 3
# Of what one person owns at once, to however many hosts: the other half is always there for everybody else.
PER_OWNER = THREADS // 2
LAST_WORD_SECONDS = 2.0
# Whoever gets one of these by mail, and is named, may answer by a link in it.
ASKING = ("approval.requested", "approval.escalated")
SETTLE_TRIES = 5


class Courier:
    """Started once per process that delivers."""

    def __init__(
        self, settings: Settings, *, threads: int = THREADS, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        """Nothing runs before `start`."""
        self.settings = settings
        self.threads = threads
        self.lease_seconds = lease_seconds
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._loop_thread = threading.Thread(target=self._loop, name="courier", daemon=True)
        self._lock = threading.Lock()
        self._in_hand: dict[threading.Thread, Row] = {}

    def start(self) -> None:
        """Begin looking, and be woken by this process' own commits."""
        setup.wake_with(self._bell.set)
        self._loop_thread.start()

    def stop(self) -> None:
        """Take nothing more; what is under way gets a moment, and goes back to where others take it."""
        self._stopping.set()
        self._bell.set()
        self._loop_thread.join(timeout=5)
        self._wait(LAST_WORD_SECONDS)
        self._hurry.set()
        self._wait(LAST_WORD_SECONDS / 2)

    def look(self) -> int:
        """One look, stepped by tests: takes what is due as far as there are hands; answers how much that was."""
        with self._lock:
            room = self.threads - len(self._in_hand)
            busy = Counter(each["lane"] for each in self._in_hand.values())
            owners = Counter(each["owner"] for each in self._in_hand.values() if each["owner"])
        if room <= 0:
            return 0
        with db.quick():
            taken = deliveries.take(
                limit=room,
                lease_seconds=self.lease_seconds,
                per_lane=PER_LANE,
                busy=busy,
                per_owner=PER_OWNER,
                owners=owners,
            )
        for delivery in taken:
            self._hand_out(delivery)
        return len(taken)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._bell.wait(LOOK_SECONDS)
            self._bell.clear()
            try:
                while not self._stopping.is_set() and self.look():
                    pass
            except AWAY as away:
                log.warning("look.missed", error=type(away).__name__)
            except Exception:
                log.exception("look.broken")

    def _hand_out(self, delivery: Row) -> None:
        """In daemon threads, one for each: a mail server cannot be interrupted, and must not hold up an exit."""
        thread = threading.Thread(target=self._carry, args=(delivery,), name="delivery", daemon=True)
        with self._lock:
            self._in_hand[thread] = delivery
        thread.start()

    def _carry(self, delivery: Row) -> None:
        began = time.monotonic()
        try:
            outcome = self._sent(delivery)
            taken_ms = max(1, round((time.monotonic() - began) * 1000))
            self._settle(delivery, replace(outcome, duration_ms=taken_ms))
        except Exception:
            log.exception("delivery.unsettled", delivery_id=delivery["delivery_id"])
        finally:
            with self._lock:
                del self._in_hand[threading.current_thread()]
            self._bell.set()

    def _sent(self, delivery: Row) -> Outcome:
        """Send it as a part of what it tells of, whose id and trace go along."""
        origin = _origin(delivery)
        attributes = {
            "messaging.operation.type": "send",
            "callboard.delivery.id": delivery["delivery_id"],
            "callboard.delivery.channel": delivery["channel"],
            "callboard.event": delivery["event"],
            "callboard.correlation_id": origin["correlation_id"],
        }
        name, parent = f"send {delivery['channel']}", origin["traceparent"]
        with (
            correlation.carrying(origin["correlation_id"]),
            tracing.span(name, attributes, kind=SpanKind.PRODUCER, parent=parent) as span,
        ):
            outcome = self._tried(delivery)
            if outcome.error is not None:
                tracing.failed(span, "not_delivered")
            return outcome

    def _tried(self, delivery: Row) -> Outcome:
        try:
            return self._by_channel(delivery)
        except Released:
            return Outcome(interrupted=True, error="Its process was stopped.")
        except AWAY as away:
            return Outcome(interrupted=True, error=f"The database was away: {type(away).__name__}.")
        except Exception as error:
            log.exception("delivery.broken", delivery_id=delivery["delivery_id"], channel=delivery["channel"])
            return Outcome(error=f"Callboard failed: {type(error).__name__}.")

    def _by_channel(self, delivery: Row) -> Outcome:
        """The channels are loaded when one is used: not every process needs a client of HTTP."""
        if delivery["channel"] == "email":
            from actors.channels import email

            purpose = passwords.purpose_of(delivery["event"])
            if purpose:
                return _send_password_link(delivery, purpose, self.settings)
            return email.send(delivery, self.settings, answer_at=_answer_at(delivery, self.settings))
        if delivery["channel"] == "chat":
            from actors.channels import chat

            return chat.send(delivery, self.settings.chats)
        from actors.channels import webhook

        with db.quick():
            why_not, keys = signing(delivery)
        if why_not:
            return Outcome(skipped=why_not)
        return webhook.send(
            delivery, keys, patrol=self._patrol, allow_private=bool(self.settings.http_allow_private)
        )

    def _patrol(self) -> None:
        if self._hurry.is_set():
            raise Released

    def _settle(self, delivery: Row, outcome: Outcome) -> None:
        """Try for a while: what was sent and is not written down is sent again."""
        for again in range(SETTLE_TRIES):
            try:
                with db.transaction():
                    status = deliveries.settle(delivery, outcome)
                break
            except AWAY as away:
                log.warning("settle.waits", delivery_id=delivery["delivery_id"], error=type(away).__name__)
                if self._hurry.wait(2.0**again / 4):
                    return
        else:
            return
        log.info(
            "delivery.settled",
            delivery_id=delivery["delivery_id"],
            channel=delivery["channel"],
            event_told=delivery["event"],
            status=status or "lost",
            code=outcome.status_code,
            duration_ms=outcome.duration_ms,
        )

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._lock:
            threads = list(self._in_hand)
        for thread in threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))


def _origin(delivery: Row) -> Row:
    """{correlation_id, traceparent} of the job or run that is told of; None where there is none, or nobody can say."""
    look = {"job": jobs.origin, "workflow": workflows.origin}.get(delivery["subject_type"] or "")
    try:
        with db.quick():
            found = look(delivery["subject_id"]) if look else None
    except AWAY:
        found = None
    return found or {"correlation_id": None, "traceparent": None}


def _answer_at(delivery: Row, settings: Settings) -> str | None:
    """Where whoever gets this mail answers without signing in; None if it asks them nothing.

    The link is made here and not with the notification, so that it stands in the mail and nowhere else.
    """
    approval_id = delivery["subject_id"]
    if delivery["event"] not in ASKING or not str(delivery["payload"]["link"]).endswith(f"/{approval_id}"):
        return None
    try:
        with db.transaction():
            token = links.make(approval_id, delivery["target"], key=settings.signing_key)
    except CallboardError:  # settled meanwhile, or a rule sends it to somebody who is not asked
        return None
    return links.address(settings.public_url, token)


def _send_password_link(delivery: Row, purpose: Purpose, settings: Settings) -> Outcome:
    """Mail a link by which its reader chooses a password, made now; an earlier one of theirs stops working."""
    from actors.builtin.mail import Server
    from actors.channels import email

    if clock.now() - delivery["created_at"] > account_links.LIVES[purpose]:
        return Outcome(skipped="It could not be sent in time; ask for another link.")
    if Server.from_settings(settings.smtp).missing:  # before a link is made that nobody gets
        return email.send(delivery, settings)
    try:
        with db.transaction():
            token = account_links.make(delivery["subject_id"], purpose)
    except CallboardError as refused:
        return Outcome(skipped=refused.message)
    link = {"link": account_links.address(settings.public_url, token)}
    return email.send(delivery | {"payload": delivery["payload"] | link}, settings)


def signing(delivery: Row) -> tuple[str | None, list[str]]:
    """Why a webhook is not sent at all, else what signs it."""
    if delivery["callback"]:
        return None, secrets.for_callback(delivery["owner"] or "")
    if delivery["endpoint_id"] is None:
        return "The endpoint was deleted.", []
    endpoint = endpoints.get(delivery["endpoint_id"])
    if not endpoint["enabled"]:
        return f"The endpoint is switched off. {endpoint['disabled_reason'] or ''}".rstrip(), []
    return None, secrets.for_endpoint(delivery["endpoint_id"])
