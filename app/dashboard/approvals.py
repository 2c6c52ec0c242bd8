"""GET /approvals: what agents, gates, policies and workflows ask before they go on, and the page to answer on."""

from __future__ import annotations

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.approvals import asking as questions
from app.approvals import queries
from app.dashboard import actions, approval_card, links
from app.dashboard.approval_card import KINDS, LOOKS, Typed
from app.dashboard.htmx import STOP, Context, Panel, asked, every
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.workflows import asking as workflows

REFRESH_MS = 5_000
OPEN = 100
PAGE_SIZE = 30


def page() -> str:
    """GET /approvals; `?kind=gate` shows only what quality gates ask."""
    demand(asking(), "view_approvals")
    kind, before = _kind(), links.before_id()
    query = {"kind": kind, "before": before}
    return render_template(
        "approvals/page.html", listing=LISTING.embed({name: value for name, value in query.items() if value})
    )


def _kind() -> str | None:
    wanted = asked().get("kind")
    return wanted if wanted in KINDS else None


def waiting() -> int:
    """How many questions wait for the one who asks."""
    who = asking()
    return queries.count_open(who.user_id, who.email, who.role)


def _listing() -> Context:
    who, kind, before = asking(), _kind(), links.before_id()
    demand(who, "view_approvals")
    only = queries.Filter(kind=kind)
    waiting_ones = queries.open_for(who.user_id, who.email, who.role, only=only, limit=OPEN, brief=True)
    counts = queries.open_by_kind(who.user_id, who.email, who.role)
    count = counts[kind] if kind else sum(counts.values())
    answered, following = _answered(kind, before)
    return {
        "open": approval_card.listed(waiting_ones),
        "count": count,
        "tabs": _tabs(counts),
        "kind": kind,
        "answered": approval_card.listed(answered),
        "before": before,
        "next": following,
        "poll": every(REFRESH_MS),
    }


def _tabs(counts: dict[str, int]) -> list[tuple[str | None, str, int]]:
    """Each kind with how many of it wait; the first is all of them."""
    of_kinds: list[tuple[str | None, str, int]] = [(k, f"{w}s", counts[k]) for k, w in KINDS.items()]
    return [(None, "All", sum(counts.values())), *((k, w.replace("cys", "cies"), n) for k, w, n in of_kinds)]


def _answered(kind: str | None, before: str | None) -> tuple[list[Row], str | None]:
    """Settled questions, the newest first, and the id after which the next page begins."""
    who, most = asking(), PAGE_SIZE + OPEN
    found = queries.page(
        user_id=None if who.is_admin else who.user_id,
        email=who.email,
        role=who.role,
        before=before,
        limit=most,
        only=queries.Filter(kind=kind),
        brief=True,
    )
    settled = [row for row in found if row["status"] != "open"]
    if len(settled) > PAGE_SIZE:
        return settled[:PAGE_SIZE], settled[PAGE_SIZE - 1]["approval_id"]
    return settled, found[-1]["approval_id"] if len(found) == most else None


def detail(approval_id: str) -> str:
    """GET /approvals/<approval_id>."""
    return _page(_visible(approval_id))


def _visible(approval_id: str) -> Row:
    """The question, for those who may answer it and for whoever's work asks it."""
    who = asking()
    demand(who, "view_approvals")
    row = queries.get(actions.checked_id(approval_id))
    if not (questions.may_answer(row, who) or row["requested_by"] == who.user_id):
        raise NotFound
    return row


def answering(approval_id: str) -> AnyResponse:
    """POST /approvals/<approval_id>: back to the list, or the card again with what is wrong and what was typed."""
    row = _visible(approval_id)
    demand(asking(), "answer_approval")
    typed = approval_card.typed_into(row, request.form)
    if typed.decision == "undo":
        return make_response(_page(row, approval_card.without_edits(typed)))
    try:
        workflows.answer(row["approval_id"], by=asking(), **approval_card.meant(row, typed))
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_page(row, typed, approval_card.complaints(wrong)), 422)
    except (Conflict, Forbidden) as refused:
        db.session.rollback()
        return _refused(row["approval_id"], typed, refused)
    actions.noted(
        "approval.answered",
        row["approval_id"],
        workflow_id=row["workflow_id"],
        job_id=row["job_id"],
        decision=typed.decision,
    )
    db.session.commit()
    flash(approval_card.DECISIONS[typed.decision], "green")
    return redirect(url_for("dashboard.approvals"), 303)


def _refused(approval_id: str, typed: Typed, refused: Conflict | Forbidden) -> AnyResponse:
    """The card as it is now, and what had been written, so that nothing of it is lost."""
    row = queries.get(approval_id)
    said = approval_card.settled(row) or f"{refused.message}."
    return make_response(_page(row, typed, refused=f"Not answered: {said}"), refused.status)


def _page(
    row: Row, typed: Typed | None = None, wrong: dict[str, str] | None = None, refused: str = ""
) -> str:
    answerable = row["status"] == "open" and questions.may_answer(row, asking())
    return render_template(
        "approvals/detail.html",
        answerable=answerable,
        refused=refused,
        lost=typed.words if typed and refused and not answerable else [],
        meanwhile=STATE.embed(approval_id=row["approval_id"]) if answerable else "",
        **approval_card.card(row, asking()),
        **approval_card.form(row, typed, wrong),
    )


def _state(approval_id: str) -> Context:
    row = _visible(approval_id)
    return {
        "a": row | {"look": LOOKS.get(row["status"])},
        "settled": approval_card.settled(row),
        "poll": every(REFRESH_MS) if row["status"] == "open" else STOP,
    }


LISTING = Panel(name="approvals", template="approvals/_list.html", read=_listing)
STATE = Panel(name="approval_state", template="approvals/_state.html", read=_state)
