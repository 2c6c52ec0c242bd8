"""Entering a provider and leaving it: requests and tokens a minute, calls at once, and its breaker.

Exact across all workers: whoever enters or leaves holds the provider's row until the transaction ends, so both
must run in one (`db.transaction()`), and a short one. A pass is one call's place; it expires unless it is
renewed, so that the place of a dead worker comes free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import uuid_utils.compat

from app.db import Row, db, storable
from app.notify import outbox
from app.providers.breaker import Breaker

# What those are told to wait who find the places taken, or another call finding out how the provider is: nobody
# knows how long that takes.
PLACES_PAUSE = timedelta(seconds=2)
PROBE_PAUSE = timedelta(seconds=5)
MINUTE = 60.0
# How long those that are held for a provider are called after it recovered.
LIFT_SECONDS = 15
BREAKER = tuple(Breaker.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A pass, for whoever holds it."""

    pass_id: str
    provider_id: str
    tokens: int
    """The estimate that was taken from the pool."""
    probe: bool
    """This call finds out whether the provider is well again."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a provider takes no call now: open, probing, places, requests, tokens or disabled."""

    reason: str
    message: str
    until: datetime | None = None
    """When to ask again; None: when somebody has done something about it."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What leaving changed."""

    state: str
    opened: bool = False
    open_until: datetime | None = None
    recovered: bool = False
    """It takes calls again: whoever waits for it may be told."""


def enter(provider_id: str, *, tokens: int, job_id: str, fence: int, seconds: float) -> Ticket | Refusal:
    """Take a place and room for about `tokens` for one call of an attempt; the pass expires after `seconds`."""
    row = _locked(provider_id)
    if row is None:
        return Refusal(reason="disabled", message=f"there is no provider {provider_id!r}")
    if not row["enabled"]:
        return Refusal(reason="disabled", message=f"{row['title']} is switched off by an admin")
    inside = _inside(provider_id)
    now, breaker = inside["now"], breaker_of(row)
    probe = breaker.state != "closed"
    refusal = _closed_door(row, breaker, inside) if probe else None
    refusal = refusal or _no_place(row, inside)
    if refusal:
        return refusal
    rooms = Rooms.of(row, now)
    lacking = rooms.lacking(row["title"], tokens, now)
    if lacking:
        return lacking
    ticket = Ticket(
        pass_id=str(uuid_utils.compat.uuid7()), provider_id=provider_id, tokens=tokens, probe=probe
    )
    _keep(provider_id, breaker.probed() if probe else breaker, rooms.taken(1, tokens), now)
    db.run(
        """INSERT INTO provider_passes (pass_id, provider_id, job_id, fence, tokens, probe, entered_at, expires_at)
           VALUES (%(pass)s, %(provider)s, %(job)s, %(fence)s, %(tokens)s, %(probe)s, %(now)s,
                   %(now)s + %(seconds)s * interval '1 s')""",
        **{"pass": ticket.pass_id, "provider": provider_id, "job": job_id, "fence": fence},
        tokens=min(tokens, 2**31 - 1),
        probe=probe,
        now=now,
        seconds=seconds,
    )
    return ticket


def succeeded(ticket: Ticket, *, tokens: int) -> Left:
    """The call was answered and used `tokens`; the estimate in the pool is corrected."""
    return _leave(ticket, lambda breaker, now, probe: breaker.succeeded(now, probe=probe), tokens)


def failed(ticket: Ticket, kind: str, message: str, retry_after: float | None = None) -> Left:
    """The call was not answered, so it used no tokens; `kind` as in the breaker."""
    clean = storable(message)
    return _leave(
        ticket, lambda breaker, now, probe: breaker.failed(now, kind, clean, retry_after, probe=probe), 0
    )


def left(ticket: Ticket) -> Left:
    """The call ended without a verdict, say because the job was cancelled; the estimate counts as used."""
    return _leave(ticket, lambda breaker, _now, _probe: breaker, ticket.tokens)


def renew(pass_ids: list[str], *, seconds: float) -> None:
    """Keep the places of calls that are still under way."""
    db.run(
        """UPDATE provider_passes SET expires_at = clock_timestamp() + %(seconds)s * interval '1 s'
           WHERE pass_id = ANY(%(ids)s::uuid[])""",
        ids=pass_ids,
        seconds=seconds,
    )


def forget_expired() -> int:
    """Remove passes that nobody renewed; answers how many. Expired ones do not count even before."""
    return db.run("DELETE FROM provider_passes WHERE expires_at < clock_timestamp() - interval '10 s'")


def breaker_of(row: Row) -> Breaker:
    """The breaker in a provider's row."""
    kept = {name: row[name] for name in BREAKER}
    return Breaker(**kept | {"recent_failures": tuple(row["recent_failures"])})


def write_breaker(provider_id: str, breaker: Breaker, *, recovered: bool) -> None:
    """Keep a breaker in its provider's row; `recovered` has those told who wait for it."""
    values: dict[str, Any] = asdict(breaker)
    values["recent_failures"] = list(breaker.recent_failures)
    columns = ", ".join(f"{name} = %({name})s" for name in BREAKER if name != "recent_failures")
    db.run(
        f"""UPDATE providers SET {columns}, recent_failures = %(recent_failures)s::timestamptz[],
               lift_until = CASE WHEN %(recovered)s THEN clock_timestamp() + interval '{LIFT_SECONDS} s'
                                 WHEN %(state)s = 'closed' THEN lift_until END
           WHERE provider_id = %(id)s""",
        **values,
        id=provider_id,
        recovered=recovered,
    )


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """How many requests and tokens may be taken at once; None: any number. A minute fills a whole pool."""

    requests: float | None
    tokens: float | None
    requests_per_minute: int | None
    tokens_per_minute: int | None

    @classmethod
    def of(cls, row: Row, now: datetime) -> Rooms:
        """What is in the pools of a provider's row by now."""
        passed = max(0.0, (now - row["refilled_at"]).total_seconds())
        return cls(
            requests=_filled(row["request_room"], row["requests_per_minute"], passed),
            tokens=_filled(row["token_room"], row["tokens_per_minute"], passed),
            requests_per_minute=row["requests_per_minute"],
            tokens_per_minute=row["tokens_per_minute"],
        )

    def lacking(self, title: str, tokens: int, now: datetime) -> Refusal | None:
        """The refusal if there is no room for one request of about `tokens`."""
        for reason, room, most, wanted in (
            ("requests", self.requests, self.requests_per_minute, 1),
            ("tokens", self.tokens, self.tokens_per_minute, tokens),
        ):
            # A call larger than the whole pool waits for a full one, and leaves a debt.
            missing = 0.0 if room is None or most is None else min(wanted, most) - room
            if most is not None and missing > 1e-9:
                message = f"{title} takes {most:,} {reason} a minute; they are used up"
                return Refusal(
                    reason=reason, message=message, until=now + timedelta(seconds=missing * MINUTE / most)
                )
        return None

    def taken(self, requests: int, tokens: int) -> Rooms:
        """The pools after a call took its share, or (less than nothing) gave some back."""
        return replace(
            self,
            requests=None if self.requests is None else self.requests - requests,
            tokens=None
            if self.tokens is None or self.tokens_per_minute is None
            else min(float(self.tokens_per_minute), self.tokens - tokens),
        )


def _filled(room: float | None, most: int | None, passed: float) -> float | None:
    if most is None:
        return None
    return float(most) if room is None else min(float(most), room + passed * most / MINUTE)


def _locked(provider_id: str) -> Row | None:
    # Whoever is frozen in the middle must not hold everybody else up until it wakes.
    return db.row(
        """SET LOCAL idle_in_transaction_session_timeout = '10s';
           SELECT * FROM providers WHERE provider_id = %(id)s FOR UPDATE""",
        id=provider_id,
    )


def _inside(provider_id: str) -> Row:
    """Who is inside, and the time by the database; asked after the lock, so that both are of now."""
    found = db.row(
        """SELECT count(*) AS calls, coalesce(bool_or(probe), false) AS probing, clock_timestamp() AS now
           FROM provider_passes WHERE provider_id = %(id)s AND expires_at > clock_timestamp()""",
        id=provider_id,
    )
    assert found is not None
    return found


def _closed_door(row: Row, breaker: Breaker, inside: Row) -> Refusal | None:
    if not breaker.may_probe(inside["now"]):
        why = f"{row['title']} is left alone after {breaker.error_class or 'failures'}: {breaker.last_error}"
        return Refusal(reason="open", message=why, until=breaker.open_until)
    if inside["probing"]:
        why = f"another call is finding out whether {row['title']} is well again"
        return Refusal(reason="probing", message=why, until=inside["now"] + PROBE_PAUSE)
    return None


def _no_place(row: Row, inside: Row) -> Refusal | None:
    most = row["max_concurrent"]
    if most is None or inside["calls"] < most:
        return None
    why = f"all {most} places of {row['title']} are taken"
    return Refusal(reason="places", message=why, until=inside["now"] + PLACES_PAUSE)


def _keep(provider_id: str, breaker: Breaker, rooms: Rooms, now: datetime) -> None:
    db.run(
        """UPDATE providers SET state = %(state)s, request_room = %(requests)s, token_room = %(tokens)s,
               refilled_at = %(now)s WHERE provider_id = %(id)s""",
        id=provider_id,
        state=breaker.state,
        requests=rooms.requests,
        tokens=rooms.tokens,
        now=now,
    )


def _leave(ticket: Ticket, judge: Callable[[Breaker, datetime, bool], Breaker], used: int) -> Left:
    row = _locked(ticket.provider_id)
    if row is None:
        return Left(state="closed")
    gone = db.row(
        """DELETE FROM provider_passes WHERE pass_id = %(id)s
           RETURNING clock_timestamp() AS now, expires_at > clock_timestamp() AS held""",
        id=ticket.pass_id,
    )
    # Whose pass expired has lost its probe: another call may be finding out by now.
    held = gone is not None and bool(gone["held"])
    now = gone["now"] if gone else db.value("SELECT clock_timestamp()")
    before = breaker_of(row)
    after = judge(before, now, ticket.probe and held)
    recovered = before.state != "closed" and after.state == "closed"
    if after is not before:
        write_breaker(ticket.provider_id, after, recovered=recovered)
    if used != ticket.tokens and row["tokens_per_minute"] is not None:
        _keep(ticket.provider_id, after, Rooms.of(row, now).taken(0, used - ticket.tokens), now)
    opened = after.state == "open" and (before.state != "open" or after.open_until != before.open_until)
    if opened:
        _tell(row, after)
    return Left(state=after.state, opened=opened, open_until=after.open_until, recovered=recovered)


def _tell(row: Row, breaker: Breaker) -> None:
    outbox.tell(
        "provider.down",
        severity="error",
        title=f"{row['title']} is left alone for a while",
        body=f"{breaker.error_class or 'failures'}: {breaker.last_error}",
        link="/providers",
        audience=outbox.ADMINS,
        subject=("provider", row["provider_id"]),
        group_key=f"provider.down:{row['provider_id']}",
        data={"provider_id": row["provider_id"], "open_until": breaker.open_until},
    )
