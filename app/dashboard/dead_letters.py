"""GET /dead-letters: what ended failed, by what went wrong; sending it in again after a look; and calling it dealt with."""

from __future__ import annotations

from typing import Any

from flask import flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand
from app.agents import registry, secrecy
from app.dashboard import actions, bulk_actions, forms
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking
from app.dashboard.words import Look, many, pretty
from app.db import Row, db
from app.errors import Conflict, Invalid, Malformed
from app.jobs import bulk, dead_letters, error_groups, queries
from app.jobs.bulk_choice import Choice
from app.jobs.states import PRIORITIES, Priority

REFRESH_MS = 10_000
PAGE_SIZE = 50
MOST_AT_ONCE = 500
USUAL_WINDOW = "24h"
# What a window is called in a sentence: "failed in the last 24 h".
WINDOWS = {
    "1h": "last hour",
    "3h": "last 3 h",
    "24h": "last 24 h",
    "3d": "last 3 days",
    "7d": "last 7 days",
    "30d": "last 30 days",
    "all": "all time",
}
STATES = {
    "open": Look("Open", "warn", "red"),
    "resolved": Look("Resolved", "check", "green"),
    "ignored": Look("Ignored", "eye", "grey"),
}
SAID = {"resolve": "resolved", "ignore": "ignored", "reopen": "open"}
TOLD = {
    "resolved": "Called resolved. If it comes back, it is open again by itself.",
    "ignored": "Ignored from now on, until somebody opens it again.",
    "open": "Open again.",
}


def page() -> str:
    """GET /dead-letters; with `?group=` one kind of failure alone."""
    demand(asking(), "view_dlq")
    query = _query()
    if group := query.get("group"):
        return _group_page(group, query)
    return render_template(
        "dead_letters/page.html",
        at=_where(),
        windows=WINDOWS,
        groups=GROUPS.embed({name: query[name] for name in ("state", "all") if name in query}),
        letters=LETTERS.embed(query),
    )


def _group_page(group: str, query: dict[str, str]) -> str:
    return render_template(
        "dead_letters/group.html",
        found=error_groups.get(group),
        at=_where(),
        windows=WINDOWS,
        head=GROUP.embed({"group": group}),
        letters=LETTERS.embed(query),
        longest_note=error_groups.LONGEST_NOTE,
    )


def _query() -> dict[str, str]:
    names = ("window", "group", "agent", "state", "all", "page")
    return {name: asked()[name] for name in names if asked().get(name)}


def _where() -> dict[str, Any]:
    """What of the letters is shown; unknown words are ignored, so that old links still show something."""
    group = asked().get("group", "")
    window, state = asked().get("window", ""), asked().get("state", "")
    return {
        "group": group,
        "agent": asked().get("agent", "")[:100],
        "window": window if window in WINDOWS else "all" if group else USUAL_WINDOW,
        # Of one kind all letters are shown, whatever was said of it.
        "state": "" if group else state if state in STATES else "open",
        "all": "1" if asked().get("all") == "1" else "",
    }


def _groups() -> Context:
    demand(asking(), "view_dlq")
    at = _where()
    table = error_groups.table(at["state"], sent_again=bool(at["all"]))
    return {
        "table": table,
        "columns": (*error_groups.COLUMNS, "all"),
        "windows": WINDOWS,
        "at": at,
        "states": STATES,
        "counts": error_groups.counts(),
        "share": dead_letters.share(),
        "share_asked": dead_letters.SHARE_ASKED,
        "poll": every(REFRESH_MS),
    }


def _group() -> Context:
    demand(asking(), "view_dlq")
    found = error_groups.get(asked().get("group", ""))
    return {
        "found": found,
        "look": STATES[found["status"]],
        "came_back": found["status"] == "open" and found["changed_at"] is not None,
        "days": error_groups.TREND_DAYS,
        "poll": every(REFRESH_MS),
    }


def _letters() -> Context:
    demand(asking(), "view_dlq")
    at = _where()
    window = dead_letters.WINDOWS.get(at["window"])
    chosen: dict[str, Any] = {
        "since": clock.now() - window if window else None,
        "group_key": at["group"] or None,
        "agent_id": at["agent"] or None,
        "state": at["state"] or None,
        "resubmitted": None if at["all"] else False,
    }
    number = _page_number()
    found = dead_letters.page(**chosen, limit=PAGE_SIZE + 1, offset=PAGE_SIZE * number)
    return {
        "letters": [_shown(letter) for letter in found[:PAGE_SIZE]],
        "count": dead_letters.count(**chosen),
        "at": at,
        "query": {name: value for name, value in at.items() if value},
        "window_words": WINDOWS[at["window"]],
        "number": number,
        "more": len(found) > PAGE_SIZE,
        "poll": every(REFRESH_MS),
    }


def _page_number() -> int:
    text = asked().get("page", "0")
    return min(int(text), 10_000) if text.isdecimal() else 0


def _shown(letter: Row) -> Row:
    return letter | {"priority": Priority(letter["priority_rank"]).word}


def detail(dlq_id: str) -> str:
    """GET /dead-letters/<dlq_id>: everything that is known of one failure."""
    demand(asking(), "view_dlq")
    return render_template(
        "dead_letters/detail.html", letter=_masked(_shown(dead_letters.get(actions.checked_id(dlq_id))))
    )


def say() -> AnyResponse:
    """POST /dead-letters/groups: call a kind of failure resolved, ignored or open, with a note."""
    demand(asking(), "resubmit_dlq")
    group, status = request.form.get("group", ""), SAID.get(request.form.get("verb", ""))
    if status is None:
        raise Malformed("Choose what to say of it.")
    error_groups.say(group, status, by=asking().user_id, note=request.form.get("note"))
    actions.noted(f"dead_letter_group.{'reopened' if status == 'open' else status}", group[:300])
    db.session.commit()
    flash(TOLD[status], "green")
    return redirect(url_for("dashboard.dead_letters", group=group), 303)


def review() -> str:
    """GET or POST /dead-letters/review: look at what would be sent in again, and change it where needed."""
    demand(asking(), "resubmit_dlq")
    return _review({})


def _ids() -> list[str]:
    """The ticked letters; none where a whole kind is meant."""
    if request.values.get("group"):
        return []
    ids = [actions.checked_id(text) for text in request.values.getlist("id")][:MOST_AT_ONCE]
    if not ids:
        raise Malformed("Tick some dead letters first.")
    return list(dict.fromkeys(ids))


def _kind(options: dict[str, Any] | None = None) -> bulk.Wish:
    """All letters of one kind that were not sent in again."""
    group = request.values.get("group", "")
    choice = Choice(
        subject="dead_letters",
        verb="resubmit",
        only=dead_letters.Filter(group_key=group),
        upto=request.form.get("upto") or None,
        query={"group": group},
    )
    return bulk.Wish(choice=choice, options=options or {}, words=f"group:{group}")


def _review(wrong: dict[str, str], *, grew: bool = False) -> str:
    ids, upto = _ids(), None
    count = len(ids)
    if ids:
        first = [dead_letters.get(dlq_id) for dlq_id in ids[:20]]
    else:
        found = bulk.look(_kind(), asking())
        count, upto = found.count, found.upto
        first = dead_letters.page(group_key=request.values["group"], resubmitted=False, limit=20)
    if count == 1 and first:
        ids = [first[0]["dlq_id"]]
    single = first[0] if ids and count == 1 else None
    return render_template(
        "dead_letters/review.html",
        ids=ids,
        count=count,
        upto=upto,
        grew=grew,
        letters=[_shown(letter) for letter in first],
        single=single,
        group=request.values.get("group", ""),
        parameters=request.form.get("parameters")
        or (pretty(_masked(single)["parameters"]) if single else ""),
        priorities=PRIORITIES,
        form=request.form,
        wrong=wrong,
    )


def resubmit() -> AnyResponse:
    """POST /dead-letters/resubmit: send in again what was reviewed; many, or a whole kind, as a bulk action."""
    demand(asking(), "resubmit_dlq")
    ids = _ids()
    try:
        changes = _changes(ids)
        if len(ids) > bulk_actions.FEW or not ids:
            return _many(ids, changes)
        new_ids, skipped = _resubmit(ids, changes)
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_review(forms.complaints(wrong)), 422)
    db.session.commit()
    if skipped:
        flash(f"{many(skipped, 'dead letter')} had been sent in again already.", "amber")
    if len(new_ids) == 1:
        flash("Sent in again as this new job.", "green")
        return redirect(url_for("dashboard.job", job_id=new_ids[0]), 303)
    if new_ids:
        flash(f"{many(len(new_ids), 'job')} sent in again.", "green")
    return redirect(url_for("dashboard.dead_letters"), 303)


def _many(ids: list[str], changes: dict[str, Any]) -> AnyResponse:
    options = {"priority": request.form.get("priority") or None, "override_parameters": changes or None}
    wish = _kind(options)
    if ids:
        choice = Choice(subject="dead_letters", verb="resubmit", ids=tuple(ids))
        wish = bulk.Wish(
            choice=choice, options=options, words=f"{many(len(ids), 'dead letter')}, ticked one by one"
        )
    shown = request.form.get("count", "")
    try:
        row = bulk.create(
            wish,
            asking(),
            at_most=int(shown) if shown.isdecimal() else None,
            correlation_id=g.get("request_id"),
        )
    except Conflict:
        db.session.rollback()
        return make_response(_review({}, grew=True))
    return bulk_actions.begun(row, url_for("dashboard.dead_letters"))


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
        letter = dead_letters.get(ids[0])
        changes = _differing(letter, secrecy.restored(changes, letter["parameters"]))
    if secrecy.is_masked(changes):
        why = f"{secrecy.MASK} hides a secret that is not known here; leave it out, or type it anew"
        raise Invalid("A secret is missing.", [("/json", why)])
    seconds = request.form.get("timeout", "").strip()
    if seconds and not seconds.isdecimal():
        raise Invalid("The time limit cannot be read.", [("/timeout", "must be a number of seconds")])
    return changes | ({"timeout": int(seconds)} if seconds else {})


def _masked(letter: Row) -> Row:
    """The letter with masks in the place of what its agent calls secret."""
    job = queries.some([letter["job_id"]]).get(letter["job_id"], {})
    shown = secrecy.parameters(letter["agent_id"], job.get("agent_version"), letter["parameters"])
    return letter | {"parameters": shown}


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
GROUP = Panel(name="dead_group", template="dead_letters/_group.html", read=_group)
LETTERS = Panel(name="dead_letters_list", template="dead_letters/_letters.html", read=_letters)
