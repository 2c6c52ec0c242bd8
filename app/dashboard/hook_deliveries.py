"""GET /hook/<id>/deliveries/<id>: one webhook that came in, as it came, and running the rules for it again."""

from __future__ import annotations

import json
from typing import Any

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import may
from app.dashboard import actions, hook_words
from app.dashboard.hooks import MANAGE, found, shown
from app.dashboard.session import asking
from app.db import db
from app.errors import CallboardError
from app.hooks import queries, replaying

LONGEST_BODY = 64_000
"""Characters of a body that stand in the page."""


def page(hook_id: str, incoming_id: str) -> str:
    """GET /hook/<hook_id>/deliveries/<incoming_id>."""
    hook = found(hook_id)
    row = queries.delivery(hook["hook_id"], actions.checked_id(incoming_id))
    body = _text(row["body"])
    return render_template(
        "hooks/delivery.html",
        hook=shown(hook),
        d=hook_words.delivery(row),
        body=body[:LONGEST_BODY],
        is_cut=len(body) > LONGEST_BODY,
        headers=sorted(row["headers"].items()),
        can_replay=hook["provider"] != "session" and may(asking(), MANAGE, hook["owner"]),
    )


def _text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)


def replay(hook_id: str, incoming_id: str) -> AnyResponse:
    """POST /hook/<hook_id>/deliveries/<incoming_id>/replay: by the rules as they are now."""
    hook = found(hook_id, MANAGE)
    old = queries.delivery(hook["hook_id"], actions.checked_id(incoming_id))
    try:
        made = replaying.replay(old["delivery_id"], by=asking().user_id)
    except CallboardError as refused:
        db.session.rollback()
        flash(f"Not replayed: {refused.message}.", "red")
        return _to(hook["hook_id"], old["delivery_id"])
    actions.noted(
        "hook.replayed", hook["hook_id"], delivery_id=old["delivery_id"], new_delivery_id=made["delivery_id"]
    )
    db.session.commit()
    flash("The rules ran again; this is what became of it.", "green")
    return _to(hook["hook_id"], made["delivery_id"])


def _to(hook_id: str, delivery_id: str) -> AnyResponse:
    return redirect(url_for("dashboard.hook_delivery", hook_id=hook_id, incoming_id=delivery_id), 303)
