"""GET /bulk-actions: what is done to many at once; asked for from the lists, looked at first, watched, and stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand, own_only
from app.dashboard import actions, links
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.job_filter import Wanted
from app.dashboard.session import asking, settings
from app.dashboard.words import Look, many
from app.db import Row, db
from app.errors import Conflict, Malformed
from app.jobs import bulk, dead_letters, idempotency, lifecycle
from app.jobs.bulk_choice import MOST, MOST_IDS, Choice
from app.jobs.document import brief
from app.jobs.states import PRIORITIES

PAGE_SIZE = 50
FEW = 20
"""So many ticked ones need no look first and are done at once."""
POLL_MS = 1_000

STATES = {
    "pending": Look("Waiting", "clock", "grey"),
    "running": Look("Working", "play", "blue"),
    "stopping": Look("Stopping", "hand", "amber"),
    "completed": Look("Done", "check", "green"),
    "aborted": Look("Stopped", "slash", "grey"),
    "failed": Look("Failed", "cross", "red"),
}


@dataclass(frozen=True)
class Words:
    """How a verb is said of one and of many."""

    imperative: str
    did: str
    icon: str
    button: str


VERBS = {
    "cancel": Words("Cancel", "cancelled", "slash", "Cancel"),
    "retry": Words("Retry", "sent in again", "again", "Retry"),
    "priority": Words("Change the priority of", "given another priority", "up", "Change"),
    "resubmit": Words("Retry", "sent in again", "again", "Retry"),
}
THINGS = {"jobs": ("job", "jobs"), "dead_letters": ("dead letter", "dead letters")}
# Why some would be left as they are, where it is no status of a job.
LEFT = {
    "state": "not in a state for this",
    "missing": "not there any more, or not yours",
    "sent in again": "sent in again already",
}


@dataclass(frozen=True)
class Form:
    """What a list, or the page of the look at it, sends."""

    wish: bulk.Wish
    back: str
    """The list it came from, as it was filtered."""
    again: list[tuple[str, str]]
    """What says the same once more."""

    @property
    def is_few(self) -> bool:
        """Somebody ticked them one by one."""
        return 0 < len(self.wish.choice.ids) <= FEW


def page() -> str:
    """GET /bulk-actions."""
    demand(asking(), "view_bulk_actions")
    before = links.before_id()
    return render_template("bulk/page.html", listing=LISTING.embed({"before": before} if before else {}))


def _listing() -> Context:
    owner, before = own_only(asking(), "view_bulk_actions"), links.before_id()
    rows = bulk.page(owner, before=before, limit=PAGE_SIZE + 1)
    busy = any(row["finished_at"] is None for row in rows)
    return {
        "actions": [_shown(row) for row in rows[:PAGE_SIZE]],
        "next": rows[PAGE_SIZE - 1]["bulk_id"] if len(rows) > PAGE_SIZE else None,
        "before": before,
        "everybodys": owner is None,
        "poll": every(settings().poll_running_ms if busy else 2 * settings().stats_refresh_ms),
    }


def _shown(row: Row) -> Row:
    shown = bulk.shown(row)
    one, more = THINGS[row["subject"]]
    return shown | {
        "look": STATES[shown["state"]],
        "verb_words": VERBS[row["verb"]],
        "title": f"{VERBS[row['verb']].imperative} {many(row['matched'], one, more)}",
        "thing": one,
    }


def detail(bulk_id: str) -> str:
    """GET /bulk-actions/<bulk_id>."""
    row = _mine(bulk_id, "view_bulk_actions")
    return render_template(
        "bulk/detail.html", action=_shown(row), status=STATUS.embed(bulk_id=row["bulk_id"])
    )


def _mine(bulk_id: str, verb: str) -> Row:
    return bulk.get(actions.checked_id(bulk_id), own_only(asking(), verb))


def _glance(bulk_id: str) -> tuple[str, str]:
    row = _mine(bulk_id, "view_bulk_actions")
    return bulk.tag(row), _poll(row)


def _poll(row: Row) -> str:
    return STOP if row["finished_at"] else every(POLL_MS)


def _status(bulk_id: str) -> Context:
    row = _mine(bulk_id, "view_bulk_actions")
    return {"action": _shown(row), "back": _list_of(row), "poll": _poll(row)}


def _list_of(row: Row) -> str:
    query: dict[str, Any] = row["chosen"].get("query") or {}
    return url_for("dashboard.jobs" if row["subject"] == "jobs" else "dashboard.dead_letters", **query)


def create() -> AnyResponse | str:
    """POST /bulk-actions: a look at what it would touch; with `sure`, or for a few that were ticked, the action."""
    demand(asking(), "run_bulk_actions")
    form = _form()
    if form.wish.choice.only is None and not form.wish.choice.ids:
        flash("Tick some first.", "amber")
        return redirect(form.back, 303)
    if form.wish.choice.verb == "priority" and "priority" not in form.wish.options:
        return _look(form)
    if form.is_few and not _unasked(form):
        return at_once(form.wish, form.back)
    if request.form.get("sure") != "on":
        return _look(form)
    return _created(form)


def _unasked(form: Form) -> bool:
    """Cancelling is asked about: by a dialog, and where no script runs (then the list says `ask`) by the look."""
    said = request.form
    return form.wish.choice.verb == "cancel" and said.get("ask") == "on" and said.get("sure") != "on"


def _created(form: Form) -> AnyResponse | str:
    """Once for each form: who sends it twice comes to the same action."""
    key = f"form {request.form.get('token', '')[:100]} {hash_of(form)}"
    known = idempotency.begin(asking().user_id, key, "bulk")
    if known is not None:
        return redirect(url_for("dashboard.bulk_action", bulk_id=known["response"]["bulk_id"]), 303)
    at_most = request.form.get("at_most", "")
    try:
        row = bulk.create(
            form.wish,
            asking(),
            at_most=int(at_most) if at_most.isdecimal() else None,
            correlation_id=g.get("request_id"),
        )
    except Conflict:
        db.session.rollback()
        return _look(form, grew=True)
    idempotency.finish(asking().user_id, key, 303, {"bulk_id": row["bulk_id"]})
    db.session.commit()
    return redirect(url_for("dashboard.bulk_action", bulk_id=row["bulk_id"]), 303)


def hash_of(form: Form) -> str:
    """What a form asks for, in short; the same for the same."""
    choice = form.wish.choice
    return bulk.digest([choice.subject, choice.verb, choice.ids, form.again, form.wish.options])


def at_once(wish: bulk.Wish, back: str) -> AnyResponse:
    """Ask for it and begin with it in one transaction; who clicks twice means it once."""
    if before := bulk.just_asked(wish, asking()):
        tell(before)
        return redirect(back, 303)
    return begun(bulk.create(wish, asking(), correlation_id=g.get("request_id")), back)


def begun(row: Row, back: str) -> AnyResponse:
    """On to the action's page; or, if there are so few that they are done now, with its creation, back to the list."""
    done = bulk.step(row["bulk_id"]) if row["matched"] <= FEW else None
    db.session.commit()
    if done is None or done["finished_at"] is None:
        return redirect(url_for("dashboard.bulk_action", bulk_id=row["bulk_id"]), 303)
    tell(done)
    return redirect(back, 303)


def tell(row: Row) -> None:
    """Say on the next page what became of an action."""
    one, more = THINGS[row["subject"]]
    if row["done"]:
        # What is sent in again is a job, whatever it was before.
        flash(f"{many(row['done'], 'job')} {VERBS[row['verb']].did}.", "green")
    if row["refused"]:
        reasons = list(dict.fromkeys(each["reason"] for each in row["refusals"]))
        flash(f"{many(row['refused'], one, more)} left alone: {'; '.join(reasons[:3])}.", "amber")
    if row["error"]:
        flash(row["error"], "red")


def _look(form: Form, *, grew: bool = False) -> str:
    choice, who = form.wish.choice, asking()
    options = form.wish.options or ({"priority": "normal"} if choice.verb == "priority" else {})
    found = bulk.look(bulk.Wish(choice=choice, options=options), who)
    one, more = THINGS[choice.subject]
    return render_template(
        "bulk/review.html",
        form=form,
        found=found,
        most=MOST,
        grew=grew,
        verb=VERBS[choice.verb],
        choice=choice,
        one=one,
        more=more,
        left=[(LEFT.get(state, state.replace("_", " ")), count) for state, count in found.left_alone.items()],
        sample=[brief(row, who) for row in found.sample] if choice.subject == "jobs" else [],
        letters=found.sample if choice.subject == "dead_letters" else [],
        priorities=PRIORITIES,
        priority=form.wish.options.get("priority", ""),
        token=lifecycle.new_id(),
    )


def _form() -> Form:
    subject = request.form.get("subject", "jobs")
    verb, _, value = request.form.get("verb", "").partition(":")
    if subject not in THINGS or verb not in VERBS:
        raise Malformed("Choose what to do.")
    options = _options(verb, value)
    ids = _ids() if request.form.get("whole") != "on" else ()
    made = _of_jobs if subject == "jobs" else _of_letters
    choice, words, query = made(verb, ids)
    again = [("subject", subject), ("verb", verb), *query.items()]
    if ids:
        again += [("id", each) for each in ids]
        words = f"{many(len(ids), *THINGS[subject])}, ticked one by one"
    elif choice.only is not None:
        again.append(("whole", "on"))
    # What the form for another priority asks for anew is not said twice.
    again += [] if verb == "priority" else [(f"new_{name}", value) for name, value in options.items()]
    back = url_for("dashboard.jobs" if subject == "jobs" else "dashboard.dead_letters", **query)
    return Form(bulk.Wish(choice=choice, options=options, words=words), back, again)


def _ids() -> tuple[str, ...]:
    given = request.form.getlist("id")
    if len(given) > MOST_IDS:
        raise Malformed(f"At most {MOST_IDS:,} at once.")
    return tuple(dict.fromkeys(actions.checked_id(text) for text in given))


def _options(verb: str, value: str) -> dict[str, Any]:
    priority = value or request.form.get("new_priority", "")
    if not priority or verb not in ("priority", "resubmit"):
        return {}
    if priority not in PRIORITIES:
        raise Malformed("There is no such priority.")
    return {"priority": priority}


def _of_jobs(verb: str, ids: tuple[str, ...]) -> tuple[Choice, str, dict[str, Any]]:
    wanted = Wanted.of(request.form)
    whole = request.form.get("whole") == "on"
    choice = Choice(
        subject="jobs",
        verb=verb,
        ids=ids,
        only=wanted.filter(asking()) if whole else None,
        upto=(request.form.get("upto") or None) if whole else None,
        query=wanted.query(),
    )
    return choice, wanted.words(), wanted.query()


def _of_letters(verb: str, ids: tuple[str, ...]) -> tuple[Choice, str, dict[str, Any]]:
    demand(asking(), "view_dlq")
    names = ("group", "agent", "window", "state")
    query: dict[str, Any] = {name: request.form[name] for name in names if request.form.get(name)}
    window = dead_letters.WINDOWS.get(query.get("window", ""))
    only = dead_letters.Filter(
        agent_id=query.get("agent"),
        group_key=query.get("group"),
        since=clock.now() - window if window else None,
        state=query["state"] if query.get("state") in dead_letters.STATES else None,
    )
    whole = request.form.get("whole") == "on"
    choice = Choice(
        subject="dead_letters",
        verb=verb,
        ids=ids,
        only=only if whole else None,
        upto=(request.form.get("upto") or None) if whole else None,
        query=query,
    )
    words = " ".join(f"{name}:{value}" for name, value in query.items())
    return choice, words or "all dead letters", query


def abort(bulk_id: str) -> AnyResponse:
    """POST /bulk-actions/<bulk_id>/abort."""
    row = _mine(bulk_id, "run_bulk_actions")
    try:
        bulk.abort(row["bulk_id"], by=asking().user_id)
        db.session.commit()
    except Conflict:
        flash("It was over already.", "amber")
    return redirect(url_for("dashboard.bulk_action", bulk_id=row["bulk_id"]), 303)


LISTING = Panel(name="bulk_list", template="bulk/_list.html", read=_listing)
STATUS = Panel(name="bulk_status", template="bulk/_status.html", read=_status, glance=_glance)
