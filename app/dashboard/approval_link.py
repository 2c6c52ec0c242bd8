"""GET /a/<token>: one question for whoever holds its link, without signing in; nothing else can be reached from it.

Looking answers nothing, because mail scanners open every link. The token is a secret that stands in an address:
app/dashboard/headers.py keeps it out of caches, search engines and Referer headers, and loggable() there out of logs.
"""

from __future__ import annotations

from typing import Any

from flask import current_app, g, make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from app import audit
from app.approvals import links
from app.dashboard import approval_card
from app.dashboard.approval_card import Typed
from app.dashboard.session import settings
from app.db import Row, db
from app.errors import CallboardError, Conflict, Forbidden, Invalid, NotFound
from app.limiter import limiter
from app.workflows import asking as workflows

ATTEMPTS = "30 per minute;200 per hour"
"""Looks and answers from one address; a token cannot be guessed, but nobody should be able to try for long."""
REFUSED = (NotFound, Conflict, Forbidden)
TITLES = {403: "This link is not for you any more", 404: "This link leads nowhere", 410: "This link is over"}


def _limit() -> str:
    return str(current_app.config.setdefault("CALLBOARD_LINK_LIMIT", ATTEMPTS))


@limiter.shared_limit(_limit, scope="approval-link")
def page(token: str) -> AnyResponse:
    """GET /a/<token>: the question, or why the link cannot be used."""
    try:
        row = links.read(token, key=settings().signing_keys)
    except REFUSED as refused:
        return _over(refused)
    return make_response(_page(row))


@limiter.shared_limit(_limit, scope="approval-link")
def answering(token: str) -> AnyResponse:
    """POST /a/<token>: a word of thanks, or the question again with what is wrong and what was typed."""
    key = settings().signing_keys
    try:
        row = links.read(token, key=key)
    except REFUSED as refused:
        return _over(refused, approval_card.written_in(request.form))
    typed = approval_card.typed_into(row, request.form)
    if typed.decision == "undo":
        return make_response(_page(row, approval_card.without_edits(typed)))
    try:
        settled = workflows.answer_by_link(token, key=key, **approval_card.meant(row, typed))
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_page(row, typed, approval_card.complaints(wrong)), 422)
    except (Conflict, Forbidden) as refused:
        db.session.rollback()
        return _over(refused, typed)
    _note(settled, row["email"], typed)
    db.session.commit()
    return make_response(
        render_template(
            "approvals/link_over.html",
            title=approval_card.DECISIONS[typed.decision],
            said="Thank you. The work goes on with your answer; this page can be closed.",
            question=settled["question"],
            lost=[],
        )
    )


def _note(settled: Row, email: str, typed: Typed) -> None:
    audit.record(
        "approval.answered",
        actor=email,
        subject=settled["approval_id"],
        correlation_id=g.get("request_id"),
        details={
            "by": "link",
            "decision": typed.decision,
            "job_id": settled["job_id"],
            "workflow_id": settled["workflow_id"],
        },
    )


def _page(row: Row, typed: Typed | None = None, wrong: dict[str, str] | None = None) -> str:
    context: dict[str, Any] = approval_card.card(row, None) | approval_card.form(row, typed, wrong)
    return render_template("approvals/link.html", email=row["email"], **context)


def _over(refused: CallboardError, typed: Typed | None = None) -> AnyResponse:
    """Why the link cannot be used, with what had been written."""
    status = 410 if isinstance(refused, Conflict) else refused.status
    said = refused.message[:1].upper() + refused.message[1:]
    drawn = render_template(
        "approvals/link_over.html",
        title=TITLES[status],
        said=f"{said}.",
        question="",
        lost=typed.words if typed else [],
    )
    return make_response(drawn, status)
