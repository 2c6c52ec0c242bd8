"""GET /dead-letters: what ended failed, by what went wrong, and sending it in again after a look."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand
from app.agents import registry
from app.dashboard import actions, forms
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import many, pretty
from app.db import Row, db
from app.errors import Conflict, Invalid, Malformed
from app.jobs import dead_letters
from app.jobs.states import PRIORITIES, Priority

REFRESH_MS = 10_000
PAGE_SIZE = 50
MOST_AT_ONCE = 500
USUAL_WINDOW = "24h"


def page() -> str:
    """GET /dead-letters."""
    demand(asking(), "view_dlq")
    query = {
        name: request.args[name] for name in ("window", "group", "all", "page") if request.args.get(name)
    }
    return render_template(
        "dead_letters/page.html",
        window=_window(),
        windows=tuple(dead_letters.WINDOWS),
        group=request.args.get("group", ""),
        everything=_everything(),
        groups=GROUPS.embed(query) if not request.args.get("group") else "",
        letters=LETTERS.embed(query),
    )


def _window() -> str:
    asked = request.args.get("window", USUAL_WINDOW)
    return asked if asked in dead_letters.WINDOWS else USUAL_WINDOW


def _everything() -> bool:
    """Also those that were sent in again already."""
    return request.args.get("all") == "1"


def _groups() -> Context:
    demand(asking(), "view_dlq")
    found = dead_letters.groups(dead_letters.WINDOWS[_window()], open_only=not _everything())
    return {"groups": found, "window": _window(), "everything": _everything(), "poll": every(REFRESH_MS)}


def _letters() -> Context:
    demand(asking(), "view_dlq")
    chosen: dict[str, Any] = {
        "since": clock.now() - dead_letters.WINDOWS[_window()],
        "group_key": request.args.get("group") or None,
        "resubmitted": None if _everything() else False,
    }
    at = _page_number()
    found = dead_letters.page(**chosen, limit=PAGE_SIZE + 1, offset=PAGE_SIZE * at)
    return {
        "letters": [_shown(letter) for letter in found[:PAGE_SIZE]],
        "count": dead_letters.count(**chosen),
        "window": _window(),
        "group": chosen["group_key"],
        "everything": _everything(),
        "at": at,
        "more": len(found) > PAGE_SIZE,
        "poll": every(REFRESH_MS),
    }


def _page_number() -> int:
    text = request.args.get("page", "0")
    return min(int(text), 10_000) if text.isdecimal() else 0


def _shown(letter: Row) -> Row:
    return letter | {"priority": Priority(letter["priority_rank"]).word}


def detail(dlq_id: str) -> str:
    """GET /dead-letters/<dlq_id>: everything that is known of one failure."""
    demand(asking(), "view_dlq")
    return render_template(
        "dead_letters/detail.html", letter=_shown(dead_letters.get(actions.checked_id(dlq_id)))
    )


def review() -> str:
    """GET or POST /dead-letters/review: look at what would be sent in again, and change it where needed."""
    demand(asking(), "resubmit_dlq")
    return _review(_chosen(), {})


def _chosen() -> list[str]:
    """The ticked letters, or all open ones of a group."""
    if group := request.values.get("group"):
        return dead_letters.open_in_group(group, MOST_AT_ONCE)
    ids = [actions.checked_id(text) for text in request.values.getlist("id")][:MOST_AT_ONCE]
    if not ids:
        raise Malformed("Tick some dead letters first.")
    return ids


def _review(ids: list[str], wrong: dict[str, str]) -> str:
    first = [dead_letters.get(dlq_id) for dlq_id in ids[:20]]
    single = first[0] if len(ids) == 1 else None
    return render_template(
        "dead_letters/review.html",
        ids=ids,
        letters=[_shown(letter) for letter in first],
        single=single,
        group=request.values.get("group", ""),
        parameters=request.form.get("parameters") or (pretty(single["parameters"]) if single else ""),
        priorities=PRIORITIES,
        form=request.form,
        wrong=wrong,
    )


def resubmit() -> AnyResponse:
    """POST /dead-letters/resubmit: send in again what was reviewed, all of it in one transaction."""
    demand(asking(), "resubmit_dlq")
    ids = _chosen()
    try:
        new_ids, skipped = _resubmit(ids, _changes(ids))
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_review(ids, forms.complaints(wrong)), 422)
    db.session.commit()
    if skipped:
        flash(f"{many(skipped, 'dead letter')} had been sent in again already.", "amber")
    if len(new_ids) == 1:
        flash("Sent in again as this new job.", "green")
        return redirect(url_for("dashboard.job", job_id=new_ids[0]), 303)
    if new_ids:
        flash(f"{many(len(new_ids), 'job')} sent in again.", "green")
    return redirect(url_for("dashboard.dead_letters"), 303)


def _resubmit(ids: list[str], changes: dict[str, Any]) -> tuple[list[str], int]:
    word = request.form.get("priority", "")
    new_ids: list[str] = []
    for dlq_id in ids:
        try:
            with db.session.begin_nested():  # a letter that was sent in again meanwhile leaves no job behind
                new_ids.append(actions.resubmit(dlq_id, priority=word or None, changes=changes))
        except Conflict:
            continue
    return new_ids, len(ids) - len(new_ids)


def _changes(ids: list[str]) -> dict[str, Any]:
    """What the review form changes; Invalid points at its fields."""
    text = request.form.get("parameters", "").strip()
    changes = forms.json_object(text, "/json") if text else {}
    if text and len(ids) == 1:
        changes = _differing(dead_letters.get(ids[0]), changes)
    seconds = request.form.get("timeout", "").strip()
    if seconds and not seconds.isdecimal():
        raise Invalid("The time limit cannot be read.", [("/timeout", "must be a number of seconds")])
    return changes | ({"timeout": int(seconds)} if seconds else {})


def _differing(letter: Row, edited: dict[str, Any]) -> dict[str, Any]:
    """What was edited. A parameter that was taken away gets its default: the old ones are merged in below."""
    schema = registry.demand(letter["agent_id"]).schema.get("properties", {})
    gone = [name for name in letter["parameters"] if name not in edited]
    if stuck := [name for name in gone if "default" not in schema.get(name, {})]:
        why = f"{stuck[0]} cannot be left out here; use the parameters again from the job's page instead"
        raise Invalid("A parameter is missing.", [("/json", why)])
    kept = {name: value for name, value in edited.items() if letter["parameters"].get(name) != value}
    return kept | {name: schema[name]["default"] for name in gone}


GROUPS = Panel(name="dead_groups", template="dead_letters/_groups.html", read=_groups)
LETTERS = Panel(name="dead_letters_list", template="dead_letters/_letters.html", read=_letters)
