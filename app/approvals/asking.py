"""A question to a person: what it says, whom it is for, and what was said to it. Answering it: app/approvals/answering.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import uuid_utils.compat

from app import clock
from app.accounts import permissions
from app.accounts.permissions import Answering
from app.approvals import news
from app.db import Row, as_json, db, storable
from app.errors import Invalid
from app.jobs.claims import Claim
from app.notify import addresses

Decision = Literal["approve", "reject", "edit", "ask_back"]
STATUS_OF: dict[str, str] = {
    "approve": "approved",
    "edit": "approved",
    "reject": "rejected",
    "ask_back": "sent_back",
}
DECISION_OF = {"approved": "approve", "rejected": "reject", "sent_back": "ask_back"}
LONGEST_QUESTION = 10_000
LONGEST_EMAIL = 254
# They have letters read backwards, so that one question looks like another; no language needs them.
_OVERRIDES = dict.fromkeys(map(ord, "\u202d\u202e"))
ROLES = ("admin", "user")
"""Whose everybody may be asked; viewers only look."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, and of whom."""

    question: str
    requested_by: str
    """The user id of whoever's work waits for it."""
    workflow_id: str | None = None
    step_id: str | None = None
    job_id: str | None = None
    shown: Any = None
    form: dict[str, Any] | None = None
    """JSON Schema of what they fill in."""
    approvers: tuple[str, ...] = ()
    """E-mail addresses and roles; (): whoever requested it, and admins."""
    deadline_at: datetime | None = None
    on_timeout: str = "reject"
    """What silence means: approve or reject."""
    kind: str = "step"
    """Who asks: a workflow's step, an agent, its gate, or a policy."""
    fence: int | None = None
    """The attempt of the job that asks."""
    digest: str | None = None
    """Of all that is asked: the answer holds for nothing else."""
    draft_number: int | None = None
    policy_id: str | None = None
    options: tuple[str, ...] = ("approve", "reject")
    """What they may do: approve, reject, edit (and approve), ask_back."""
    editable: dict[str, Any] | None = None
    """{text} or {value}: what `edit` begins with."""
    escalate_at: datetime | None = None
    escalate_to: tuple[str, ...] = ()
    """Who else may answer from then on."""


def ask(question: Question) -> str:
    """Put a question to those who may answer it; answers its id."""
    return ask_many([question])[0]


def ask_many(questions: Sequence[Question]) -> list[str]:
    """Put several questions by one statement; ids come back in the given order."""
    ids = [str(uuid_utils.compat.uuid7()) for _ in questions]
    rows = [_row(each, approval_id) for each, approval_id in zip(questions, ids, strict=True)]
    db.run(_ASK, rows=as_json(rows))
    news.of_asked(rows)
    return ids


_ASK = """
    INSERT INTO approvals (approval_id, workflow_id, step_id, job_id, question, shown, form, approvers, requested_by,
                           deadline_at, on_timeout, kind, fence, digest, draft_number, policy_id, options, editable,
                           escalate_at, escalate_to)
    SELECT n.approval_id, n.workflow_id, n.step_id, n.job_id, n.question, nullif(n.shown, 'null'::jsonb),
           nullif(n.form, 'null'::jsonb), n.approvers, n.requested_by, n.deadline_at, n.on_timeout, n.kind, n.fence,
           n.digest, n.draft_number, n.policy_id, n.options, nullif(n.editable, 'null'::jsonb), n.escalate_at,
           n.escalate_to
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(approval_id uuid, workflow_id uuid, step_id text, job_id uuid,
         question text, shown jsonb, form jsonb, approvers text[], requested_by text, deadline_at timestamptz,
         on_timeout text, kind text, fence bigint, digest text, draft_number integer, policy_id uuid, options text[],
         editable jsonb, escalate_at timestamptz, escalate_to text[])"""


def _row(question: Question, approval_id: str) -> Row:
    return {
        "approval_id": approval_id,
        "workflow_id": question.workflow_id,
        "step_id": question.step_id,
        "job_id": question.job_id,
        "question": storable(question.question[:LONGEST_QUESTION]).translate(_OVERRIDES),
        "shown": question.shown,
        "form": question.form,
        "approvers": named(question.approvers),
        "requested_by": question.requested_by,
        "deadline_at": question.deadline_at,
        "on_timeout": question.on_timeout,
        "kind": question.kind,
        "fence": question.fence,
        "digest": question.digest,
        "draft_number": question.draft_number,
        "policy_id": question.policy_id,
        "options": list(question.options),
        "editable": question.editable,
        "escalate_at": question.escalate_at,
        "escalate_to": named(question.escalate_to),
    }


def ask_for_job(claim: Claim, wanted: dict[str, Any]) -> str:
    """Put the question of an attempt that ends with it; answers its id.

    `wanted` has the keys of Context.ask, times in seconds from now. Its job is locked and waits already.
    """
    now, given = clock.now(), dict(wanted)
    for seconds, moment in (("deadline_seconds", "deadline_at"), ("escalate_seconds", "escalate_at")):
        wait = given.pop(seconds, None)
        given[moment] = now + timedelta(seconds=wait) if wait else None
    facts = {"job_id": claim.job_id, "fence": claim.fence, "requested_by": claim.submitted_by}
    return ask(Question(**{"kind": "agent", **given, **facts}))


def digest(*parts: Any) -> str:
    """What tells one question from another: the same for the same text, things shown, form and draft."""
    written = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()


def answer_to(job_id: str, question: str) -> dict[str, Any] | None:
    """What people said to a question of a job, by its digest: the fields of an Answer; None: nothing yet."""
    row = db.row(
        """SELECT approval_id::text, status, answer, edited, comment, answered_by, on_timeout FROM approvals
           WHERE job_id = %(job)s AND digest = %(digest)s AND status IN ('approved','rejected','sent_back','expired')
           ORDER BY approvals.approval_id DESC LIMIT 1""",
        job=job_id,
        digest=question,
    )
    if row is None:
        return None
    decision = row["on_timeout"] if row["status"] == "expired" else DECISION_OF[row["status"]]
    return {
        "decision": decision,
        "answer": row["answer"],
        "edited": row["edited"],
        "comment": row["comment"],
        "by": row["answered_by"],
        "approval_id": row["approval_id"],
    }


def named(approvers: Iterable[str]) -> list[str]:
    """A list of approvers as it is kept; Invalid for what is neither an e-mail address nor a role."""
    kept = [str(each).strip().lower() for each in approvers]
    for each in kept:
        if each not in ROLES and (len(each) > LONGEST_EMAIL or addresses.check_email(each)):
            said = f"{each[:LONGEST_EMAIL]!r} is neither an e-mail address nor a role ({', '.join(ROLES)})"
            raise Invalid(said)
    return kept


def may_answer(approval: Row, who: Answering) -> bool:
    """Whether they may: see accounts.permissions.may_answer."""
    return permissions.may_answer(approval, who)


def cancel(approval_ids: Sequence[str]) -> int:
    """Nobody needs an answer any more; closed ones stay as they are. Answers how many were open."""
    return db.run(
        """UPDATE approvals SET status = 'cancelled', answered_at = clock_timestamp()
           WHERE approval_id = ANY(%(ids)s::uuid[]) AND status = 'open'""",
        ids=list(approval_ids),
    )


def forget(workflow_ids: Sequence[str]) -> int:
    """Remove the questions of runs that are removed; answers how many."""
    return db.run("DELETE FROM approvals WHERE workflow_id = ANY(%(ids)s::uuid[])", ids=list(workflow_ids))
