"""The audit log: what was done, whether it is as it was written, and who called what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from app import clock
from app.api.errors import Unreadable
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import JSON, Moment, When
from app.audit import access, chain, queries, verify
from app.audit.queries import Mark

Words = Annotated[str, StringConstraints(max_length=200)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_LINKS = 10_000


class AuditEntryOut(BaseModel):
    """One thing that was done."""

    id: int
    timestamp: When
    event_type: str
    user_id: str | None = Field(
        description="null: Callboard by itself. For failed sign-ins: the name that was tried."
    )
    subject: str | None = Field(description="To what it was done.")
    task_id: str | None
    agent_id: str | None
    priority: str | None
    ip_address: str | None = Field(description="null: not over HTTP.")
    user_agent: str | None
    correlation_id: str | None
    details: JSON
    position: int | None = Field(description="Of its link in the chain; null: not sealed yet.")
    digest: str | None = Field(description="SHA-256, hexadecimal.")


class AuditOut(BaseModel):
    """Entries, newest first."""

    entries: list[AuditEntryOut]
    total: int = Field(description=f"How many fit, counted to {queries.CAP:,}.")
    next_cursor: str | None


class AuditQuery(Input):
    """Which entries; what is left out is any."""

    actor: Words | None = Field(None, description="A user's id.")
    action: Words | None = Field(None, description="`job.submitted`, or its beginning with a star: `job.*`.")
    subject: Words | None = None
    since: Moment | None = None
    until: Moment | None = Field(None, description="Before this.")
    correlation_id: Words | None = None
    q: Words | None = Field(None, description="Words anywhere in it.")
    cursor: Words | None = Field(None, description="next_cursor of the page before.")
    limit: int = Field(50, ge=1, le=queries.MOST)


class BreakOut(BaseModel):
    """One place where the log is not as it was sealed."""

    kind: str = Field(description="changed, deleted, missing, reordered, inserted, cut or anchor.")
    position: int | None
    entry: int | None
    message: str


class LastVerificationOut(BaseModel):
    """The last time that the whole chain was computed anew."""

    at: When
    ok: bool
    checked: int = Field(description="How many links.")
    position: int


class VerificationOut(BaseModel):
    """Whether the newest part of the chain is sound, and what the last whole verification found."""

    ok: bool
    checked: int = Field(description="How many links were computed now.")
    first: int = Field(description="The first of them.")
    head: int = Field(description="The newest position; 0: nothing is sealed yet.")
    anchor: str = Field(
        description="Note it elsewhere: `callboard audit verify --anchor` proves later that nothing was cut off."
    )
    sealed_at: When | None
    waiting: int = Field(description="Entries that are not sealed yet; some seconds' worth.")
    breaks: list[BreakOut]
    last_whole: LastVerificationOut | None = Field(description="By the scheduler, once a day; null: not yet.")


class VerifyQuery(Input):
    """How much is computed now."""

    links: int = Field(
        1_000, ge=1, le=MOST_LINKS, description="The newest so many; the command line does all."
    )


class AccessOut(BaseModel):
    """How often somebody called an endpoint, with one answer."""

    user_id: str | None = Field(description="null: nobody we know.")
    method: str
    endpoint: str = Field(description="With <names> where ids were; `(others)`: too many to be told apart.")
    status: int
    ip_address: str | None
    count: int
    first_at: When = Field(description="The minute.")
    last_at: When


class AccessesOut(BaseModel):
    """Who called what, most first."""

    access: list[AccessOut]
    total: int = Field(description="How many are in this answer.")


class AccessQuery(Input):
    """Of which time and whose; without times the last hour."""

    since: Moment | None = None
    until: Moment | None = None
    actor: Words | None = Field(None, description="A user's id; empty: those nobody knows.")
    status: int | None = Field(None, ge=100, le=599)
    limit: int = Field(100, ge=1, le=500)


@op("GET", "/api/v1/audit", verb="view_audit", out=AuditOut)
def list_audit(query: AuditQuery) -> dict[str, Any]:
    """List who did what, newest first."""
    wanted = queries.Filter(**query.model_dump(exclude={"cursor", "limit"}))
    rows = queries.page(wanted, before=_mark(query.cursor) if query.cursor else None, limit=query.limit)
    return {
        "entries": [queries.told(row) for row in rows],
        "total": queries.count(wanted),
        "next_cursor": _cursor(rows[-1]) if len(rows) == query.limit else None,
    }


def _cursor(row: dict[str, Any]) -> str:
    return f"{(row['at'] - _EPOCH) // timedelta(microseconds=1)}.{row['id']}"


def _mark(cursor: str) -> Mark:
    micros, _, id_ = cursor.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 18 for part in (micros, id_)):
        raise Unreadable("The cursor is not one of ours.", [("/cursor", "take next_cursor as it is")])
    return Mark(_EPOCH + timedelta(microseconds=int(micros)), int(id_))


@op("GET", "/api/v1/audit/verify", verb="view_audit", out=VerificationOut)
def verify_audit(query: VerifyQuery) -> dict[str, Any]:
    """Compute the newest links of the chain anew, and tell what the last whole verification found."""
    found, state = verify.verify(newest=query.links), chain.state()
    return {
        "ok": found.ok,
        "checked": found.checked,
        "first": found.first,
        "head": found.head.position,
        "anchor": str(found.head),
        "sealed_at": state["sealed_at"],
        "waiting": state["waiting"],
        "breaks": [
            {"kind": each.kind, "position": each.position, "entry": each.audit_id, "message": each.words}
            for each in found.breaks
        ],
        "last_whole": verify.last_noted(),
    }


@op("GET", "/api/v1/audit/access", verb="view_audit", out=AccessesOut)
def list_access(query: AccessQuery) -> dict[str, Any]:
    """List who called which endpoint how often, summed over a time; kept for 30 days, a minute is written after it is over."""
    until = query.until or clock.now()
    rows = access.used(
        since=query.since or until - timedelta(hours=1),
        until=until,
        actor=query.actor,
        status=query.status,
        limit=query.limit,
    )
    found = [
        {"user_id": row["actor"] or None, "ip_address": row["ip"] or None}
        | {name: row[name] for name in ("method", "endpoint", "status", "count", "first_at", "last_at")}
        for row in rows
    ]
    return {"access": found, "total": len(found)}
