"""GET /policies: the rules by which jobs ask a person before they go on, and the forms to change them."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.agents import registry
from app.approvals import policies
from app.budgets.amounts import dollars
from app.dashboard import actions, forms
from app.dashboard.session import asking
from app.dashboard.words import many
from app.db import Row, db
from app.errors import Conflict, Invalid

JSON = dict[str, Any]

VERB = "manage_policies"
LISTS = ("agents", "teams")
TEXTS = ("name", "effects", "over_usd", "question", "approvers", "deadline_minutes", "on_timeout",
         "escalate_minutes", "escalate_to", "enabled")  # fmt: skip
MOST_SAID = 6
"""So many agents are named in a line; the rest is counted."""
EXAMPLES: dict[str, tuple[str, JSON]] = {
    "money": (
        "Anything over $5",
        {"name": "Anything over $5", "over_usd": "5", "question": "It has spent over $5. May it go on?"},
    ),
    "publishing": (
        "Anything that publishes",
        {"name": "Anything that publishes", "effects": "publish", "question": "May this be published?"},
    ),
    "one-agent": (
        "Each job of one agent",
        {"name": "Each job of …", "question": "May this job start?"},
    ),
}


def page() -> str:
    """GET /policies."""
    demand(asking(), VERB)
    return render_template(
        "policies/page.html", policies=[shown(row) for row in policies.listing()], examples=EXAMPLES
    )


def shown(row: Row) -> Row:
    """A policy with what it says in words, and the agents that it covers now."""
    covered = covered_by(row)
    return row | {"moment": moment_of(row), "covered": covered, "covers": _covers(row, covered)}


def covered_by(row: JSON) -> list[str]:
    """The agents whose jobs it is about, as they are now."""
    named = {registry.canonical(each) for each in row["agents"]}
    return sorted(
        agent_id
        for agent_id, team in registry.teams().items()
        if (not named or agent_id in named) and (not row["teams"] or team in row["teams"])
    )


def _covers(row: Row, covered: list[str]) -> str:
    if not row["agents"] and not row["teams"]:
        return f"all {many(len(covered), 'agent')}"
    if not covered:
        return "no agent that is there now"
    more = len(covered) - MOST_SAID
    return ", ".join(covered[:MOST_SAID]) + (f" and {more} more" if more > 0 else "")


def moment_of(row: Row) -> str:
    """When it asks, in words."""
    moments = []
    if row["effects"]:
        moments.append(f"before it does what counts as {' or '.join(row['effects'])}")
    if row["over_usd"] is not None:
        moments.append(f"once a job has spent more than {dollars(row['over_usd'])}")
    return ", and ".join(moments) or "before each start"


# -- forms


def new() -> str:
    """GET /policies/new; `?example=money` fills in what such a policy says."""
    demand(asking(), VERB)
    _, example = EXAMPLES.get(request.args.get("example", ""), ("", {}))
    start = {"approvers": "admin", "on_timeout": "reject", "enabled": "on"}
    return _form(None, start | example, {})


def creating() -> AnyResponse:
    """POST /policies/new."""
    demand(asking(), VERB)
    typed = _typed()
    try:
        row = policies.create(by=asking().user_id, **_wish(typed))
    except (Invalid, Conflict) as wrong:
        return _again(None, typed, wrong)
    actions.noted("policy.created", row["policy_id"], name=row["name"])
    return _done(f"The policy {row['name']} asks from now on.")


def edit(policy_id: str) -> str:
    """GET /policies/<policy_id>."""
    demand(asking(), VERB)
    row = policies.get(actions.checked_id(policy_id))
    return _form(row, _as_typed(row), {})


def changing(policy_id: str) -> AnyResponse:
    """POST /policies/<policy_id>."""
    demand(asking(), VERB)
    before, typed = policies.get(actions.checked_id(policy_id)), _typed()
    try:
        row = policies.change(before["policy_id"], **_wish(typed))
    except (Invalid, Conflict) as wrong:
        return _again(before, typed, wrong)
    changed = [name for name in policies.FIELDS if row[name] != before[name]]
    actions.noted("policy.changed", row["policy_id"], name=row["name"], changed=changed)
    return _done(f"The policy {row['name']} is changed.")


def delete(policy_id: str) -> AnyResponse:
    """POST /policies/<policy_id>/delete."""
    demand(asking(), VERB)
    row = policies.remove(actions.checked_id(policy_id))
    actions.noted("policy.deleted", row["policy_id"], name=row["name"])
    return _done(f"The policy {row['name']} is deleted; what it has asked already can still be answered.")


def _done(words: str) -> AnyResponse:
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.policies"), 303)


def _again(row: Row | None, typed: JSON, wrong: Invalid | Conflict) -> AnyResponse:
    db.session.rollback()
    taken = wrong if isinstance(wrong, Invalid) else Invalid(wrong.message, [("/name", wrong.message)])
    return make_response(_form(row, typed, forms.complaints(taken)), wrong.status)


def _typed() -> JSON:
    texts = {name: request.form.get(name, "").strip().replace("\x00", "") for name in TEXTS}
    return texts | {name: request.form.getlist(name) for name in LISTS}


def _as_typed(row: Row) -> JSON:
    """A policy as somebody would have typed it."""
    plain = {name: str(row[name] if row[name] is not None else "") for name in TEXTS}
    lists = {name: ", ".join(row[name]) for name in ("effects", "approvers", "escalate_to")}
    sum_of_money = "" if row["over_usd"] is None else f"{row['over_usd']:g}"
    own = {"over_usd": sum_of_money, "enabled": "on" if row["enabled"] else ""}
    return plain | lists | own | {name: list(row[name]) for name in LISTS}


def _wish(typed: JSON) -> JSON:
    """What is typed as the room takes it; what cannot be read is left for the room to complain about."""
    return {
        **{name: typed[name] for name in ("name", "question", "on_timeout", *LISTS)},
        **{name: _words(typed[name]) for name in ("effects", "approvers", "escalate_to")},
        **{name: _minutes(typed[name]) for name in ("deadline_minutes", "escalate_minutes")},
        "over_usd": _dollars(typed["over_usd"]),
        "enabled": typed["enabled"] == "on",
    }


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").replace(";", " ").split() if word]


def _minutes(text: str) -> int | None:
    if not text:
        return None
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _dollars(text: str) -> float | None:
    plain = text.removeprefix("$").replace(",", "").strip()
    try:
        return float(plain) if plain else None
    except ValueError:
        return 0.0


def _form(row: Row | None, typed: JSON, wrong: dict[str, str]) -> str:
    teams = registry.teams()
    return render_template(
        "policies/form.html",
        policy=shown(row) if row else None,
        typed=dict.fromkeys(TEXTS, "") | {name: [] for name in LISTS} | typed,
        wrong=wrong,
        # Those that are named and gone stay on the form, so that saving does not drop them unseen.
        agents=sorted({*teams, *typed.get("agents", ())}),
        teams=sorted({*teams.values(), *typed.get("teams", ())}),
        examples=EXAMPLES,
    )
