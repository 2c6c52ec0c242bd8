"""`callboard approvals …`: look at what waits for a person, and answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

from app.cli import telling
from app.cli.agents import database
from app.cli.connected import is_remote, on_behalf, speaker
from app.cli.speaking import as_json, harmless, in_json, record
from app.errors import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from app.accounts.permissions import Principal
    from app.db import Row

STATUSES = click.Choice(["open", "approved", "rejected", "sent_back", "expired", "cancelled", "any"])
KINDS = click.Choice(["step", "agent", "gate", "policy"])
DECISIONS = click.Choice(["approve", "reject", "edit", "ask_back"])


@click.group(name="approvals")
def approvals() -> None:
    """Look at what waits for a person, and answer it."""


@approvals.command(name="list")
@click.option(
    "--status",
    type=STATUSES,
    help="Left out: open ones that may be answered. Else also those that were asked.",
)
@click.option("--kind", type=KINDS, help="Who asks.")
@click.option("--job", "job_id", type=click.UUID, help="Only what this job asked.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@on_behalf
@as_json
def show_all(
    *, status: str | None, kind: str | None, job_id: Any, limit: int, email: str | None, wants_json: bool
) -> None:
    """List questions: the open ones by their deadline, others newest first."""
    if is_remote():
        query = {"status": status, "kind": kind, "job_id": job_id and str(job_id), "limit": min(limit, 100)}
        with speaker(email) as callboard:
            _tell_all(
                callboard.call("GET", "/api/v1/approvals", query=query)["approvals"], wants_json=wants_json
            )
        return
    with database():
        from app.approvals import queries

        who = _person(email)
        only = queries.Filter(
            status=None if status == "any" else status, kind=kind, job_id=str(job_id) if job_id else None
        )
        if status is None:
            rows = queries.open_for(who.user_id, who.email, who.role, only=only, limit=limit)
        else:
            theirs = None if who.is_admin else who.user_id
            rows = queries.page(user_id=theirs, email=who.email, role=who.role, only=only, limit=limit)
    _tell_all(rows, wants_json=wants_json)


@approvals.command()
@click.argument("approval_id", type=click.UUID)
@on_behalf
@as_json
def show(approval_id: Any, *, email: str | None, wants_json: bool) -> None:
    """Show a question, what it is about, and its answer."""
    row, about = _asked(str(approval_id), email)
    if wants_json:
        click.echo(in_json(row | {"context": about}))
        return
    for line in _told(telling.timed(row), about):
        click.echo(harmless(line))


@approvals.command()
@click.argument("approval_id", type=click.UUID)
@click.argument("decision", type=DECISIONS)
@click.option("--comment", help="Why. `ask_back` needs one: what should be different.")
@click.option("--answer", "answer_json", metavar="JSON", help="What the question's form asks for.")
@click.option(
    "--edited",
    type=click.File(encoding="utf-8"),
    help="With `edit`: a file with the text, or with JSON where a value is edited; `-` reads it from stdin.",
)
@on_behalf
@as_json
def answer(
    approval_id: Any,
    decision: Any,
    *,
    comment: str | None,
    answer_json: str | None,
    edited: Any,
    email: str | None,
    wants_json: bool,
) -> None:
    """Answer a question: approve, reject, edit (and approve) or ask_back; what waits goes on at once.

    The question's `options` say which of them it takes. Exit codes: 0 answered, 1 it could not be (any more),
    2 wrong usage.
    """
    if is_remote():
        with speaker(email) as callboard:
            row = callboard.approval(str(approval_id)).plain()
            done = callboard.answer(
                row["approval_id"],
                decision,
                comment=comment,
                answer=None if answer_json is None else _json(answer_json, "--answer"),
                edited=_edited(row, edited.read()) if edited else None,
            ).plain()
        click.echo(in_json(done) if wants_json else f"{done['approval_id']}  {done['status']}")
        return
    with database() as db:
        from app.workflows import asking

        who = _person(email)
        row = _visible(str(approval_id), who)
        done = asking.answer(
            row["approval_id"],
            decision=decision,
            by=who,
            answer=None if answer_json is None else _json(answer_json, "--answer"),
            edited=_edited(row, edited.read()) if edited else None,
            comment=comment,
        )
        record("approval.answered", row["approval_id"], by=who.user_id, decision=decision)
        db.session.commit()
    click.echo(in_json(done) if wants_json else f"{done['approval_id']}  {done['status']}")


def _tell_all(rows: list[Row], *, wants_json: bool) -> None:
    if wants_json:
        click.echo(in_json(rows))
        return
    if not rows:
        click.echo("No questions.", err=True)
    for row in rows:
        click.echo(harmless(_line(telling.timed(row))))


def _asked(approval_id: str, email: str | None) -> tuple[Row, Row | None]:
    """A question and the job that asks it, from the server if one is named."""
    if is_remote():
        with speaker(email) as callboard:
            row = callboard.approval(approval_id).plain()
        return row, row["context"]
    with database():
        from app.approvals import queries

        row = _visible(approval_id, _person(email))
        return row, queries.context(row["job_id"]) if row["job_id"] else None


def _person(email: str | None) -> Principal:
    """On whose behalf; the first admin if nobody is named."""
    from app.accounts import queries
    from app.accounts.permissions import Principal
    from app.cli.configured import settings

    found = queries.user_by_email(email or settings().admin_email)
    if found is None:
        raise NotFound(f"there is no user {email or settings().admin_email}: say with --as on whose behalf")
    if not found["enabled"]:
        raise Forbidden(f"the account of {found['email']} is switched off")
    return Principal(user_id=str(found["user_id"]), email=found["email"], role=found["role"])


def _visible(approval_id: str, who: Principal) -> Row:
    from app.approvals import asking, queries

    row = queries.get(approval_id)
    if row["requested_by"] != who.user_id and not asking.may_answer(row, who):
        raise NotFound(f"there is no approval {approval_id}")
    return row


def _edited(row: Row, written: str) -> Any:
    """A text as it is, without the newline that editors end files with; anything else as JSON."""
    if "value" in (row["editable"] or {}):
        return _json(written, "--edited")
    return written.removesuffix("\n")


def _json(text: str, option: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise Invalid(f"{option} is no JSON: {wrong}") from wrong


def _line(row: Row) -> str:
    until = f"until {row['deadline_at']:%Y-%m-%d %H:%M}" if row["deadline_at"] else "no deadline"
    return f"{row['approval_id']}  {row['status']:9}  {row['kind']:6}  {until:22}  {_brief(row['question'])}"


def _brief(question: str) -> str:
    line = question.split("\n", 1)[0]
    return line if len(line) <= 80 and line == question else line[:79] + "…"


def _told(row: Row, about: Row | None) -> list[str]:
    lines = [
        row["question"],
        f"  {row['status']}; asked {row['created_at']:%Y-%m-%d %H:%M} by {_asker(row, about)}",
    ]
    facts = {
        "draft": row["draft_number"],
        "for": ", ".join(row["approvers"]) or "whoever started the work, and admins",
        "options": ", ".join(row["options"]),
        "until": row["deadline_at"] and f"{row['deadline_at']:%Y-%m-%d %H:%M}, then {row['on_timeout']}",
        "shown": row["shown"] and in_json(row["shown"]),
        "form": row["form"] and in_json(row["form"]),
        "to edit": row["editable"] and _editable(row["editable"]),
        "cost so far": about and about["usage"].get("cost_usd"),
        "answered by": row["answered_by"],
        "answer": row["answer"] and in_json(row["answer"]),
        "edited": _edited_as(row["edited"]),
        "comment": row["comment"],
    }
    return lines + [f"  {name}: {value}" for name, value in facts.items() if value is not None]


def _edited_as(edited: Any) -> str | None:
    return edited if edited is None or isinstance(edited, str) else in_json(edited)


def _editable(editable: Row) -> str:
    return str(editable["text"]) if "text" in editable else in_json(editable.get("value"))


def _asker(row: Row, about: Row | None) -> str:
    if about:
        return f"{about['agent_id']} (job {row['job_id']}, attempt {row['fence']})"
    return (
        f"step {row['step_id']} of run {row['workflow_id']}" if row["workflow_id"] else f"job {row['job_id']}"
    )
