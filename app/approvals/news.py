"""Who hears that a question was asked, or that nobody answered it: once for all items of a map."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.accounts import queries as accounts
from app.db import Row
from app.notify import outbox
from app.notify.outbox import ADMINS


def of_asked(rows: Iterable[Row]) -> None:
    """Tell those who may answer: people by their inbox and by mail if they are named, admins by theirs."""
    together: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        step = (row["step_id"] or "").partition("[")[0]
        key = (row["workflow_id"], row["job_id"], step, tuple(row["approvers"]))
        together.setdefault(key, []).append(row)
    for asked in together.values():
        _tell("approval.requested", asked[0], more=len(asked) - 1)


def of_expired(row: Row) -> None:
    """Tell whoever's work waited that the time to answer is over."""
    outbox.tell(
        "approval.expired",
        severity="warning",
        title=f"Nobody answered in time: {row['question']}",
        body="It counts as approved." if row["on_timeout"] == "approve" else "It counts as rejected.",
        link=f"/approvals/{row['approval_id']}",
        audience=row["requested_by"],
        owner=row["requested_by"],
        subject=("approval", row["approval_id"]),
        data=_data(row),
    )


def _tell(event: str, row: Row, *, more: int) -> None:
    audiences, strangers = _audiences(row)
    for number, (audience, emails) in enumerate(audiences.items()):
        outbox.tell(
            event,
            severity="warning",
            title=row["question"] + (f" (and {more} more)" if more else ""),
            body="Your answer is needed before the work can go on.",
            link="/approvals" if more else f"/approvals/{row['approval_id']}",
            audience=audience,
            owner=row["requested_by"],
            subject=("approval", row["approval_id"]),
            emails=[*emails, *(strangers if number == 0 else ())],
            data=_data(row),
        )


def _audiences(row: Row) -> tuple[dict[str, list[str]], list[str]]:
    """Whose inboxes, each with the addresses to mail; and named addresses of nobody who is known here."""
    found: dict[str, list[str]] = {}
    strangers: list[str] = []
    for approver in row["approvers"]:
        if "@" not in approver:
            found.setdefault(ADMINS if approver == "admin" else row["requested_by"], [])
        elif user := accounts.user_by_email(approver):
            found.setdefault(str(user["user_id"]), []).append(approver)
        else:
            strangers.append(approver)
    return found or {row["requested_by"]: []}, strangers


def _data(row: Row) -> dict[str, Any]:
    names = ("approval_id", "workflow_id", "step_id", "job_id", "deadline_at")
    return {name: row[name] for name in names}
