"""One question as people see it before they answer, and what they typed as the room takes it.

Both its page and its one-time link draw the same card; only the page leads on to other pages.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from werkzeug.datastructures import MultiDict

from app import clock
from app.accounts.permissions import Answering, Principal, may, may_answer
from app.approvals import queries
from app.approvals.links import Holder
from app.dashboard import forms, links
from app.dashboard.prose import rendered
from app.dashboard.words import Look, look, money, pretty
from app.db import Row
from app.errors import Invalid, NotFound
from app.jobs import queries as jobs
from app.workflows import queries as runs

JSON = dict[str, Any]

SOON = timedelta(hours=1)
DECISIONS = {
    "approve": "Approved.",
    "reject": "Rejected.",
    "edit": "Approved as you edited it.",
    "ask_back": "Sent back with your comment.",
}
LOOKS = {
    "open": Look("Waiting", "hand", "violet"),
    "approved": Look("Approved", "check", "green"),
    "rejected": Look("Rejected", "cross", "red"),
    "sent_back": Look("Sent back", "again", "amber"),
    "expired": Look("Nobody answered", "clock", "amber"),
    "cancelled": Look("Not needed any more", "slash", "grey"),
}
KINDS = {"step": "Workflow step", "agent": "Agent", "gate": "Quality gate", "policy": "Policy"}
# A form that is no object of its own is asked for as one value.
VALUE = "answer"
_TEXTS = ("text", "content", "report", "result", "body", "markdown")
"""Under these names a result has what is to be read."""
_PLACES = {
    "gate": ("input", "draft", "quality", "used"),
    "policy": ("parameters", "draft", "quality", "used"),
}
_LONG_INPUT = 1200
MOST_EARLIER = 10
MOST_LINES = 2000
"""Of each version; the rest is not compared, which takes time that grows with the square."""
CHANGED = "You changed the draft. Approve it as edited, or press “Undo my changes” to decide on the draft as it was."


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What somebody put into the answer's form."""

    decision: str = ""
    fields: dict[str, str]
    comment: str = ""
    edited: str | None = None
    """None: it was not theirs to edit, or the form had no such field."""

    @property
    def words(self) -> list[tuple[str, str]]:
        """All that they wrote, to give it back where it could not be used."""
        written = [*self.fields.items(), ("Comment", self.comment), ("Your version", self.edited or "")]
        return [(name.replace("_", " ").capitalize(), text) for name, text in written if text.strip()]


# -- what is shown


def listed(rows: list[Row]) -> list[Row]:
    """Questions as lists show them."""
    names = runs.names([row["workflow_id"] for row in rows if row["workflow_id"]])
    asking_jobs = jobs.some([row["job_id"] for row in rows if row["job_id"]])
    return [_line(row, names, asking_jobs.get(row["job_id"] or "")) for row in rows]


def _line(row: Row, names: dict[str, str], job: Row | None) -> Row:
    deadline = row["deadline_at"]
    return row | {
        "look": look(row["status"], LOOKS),
        "kind_words": KINDS.get(row["kind"], row["kind"]),
        "soon": deadline is not None and deadline - clock.now() < SOON,
        "of": _asker(row, names, job),
        "by": row["answered_by"],
        "agent_id": job["agent_id"] if job else None,
        "score": _score(row),
    }


def _asker(row: Row, names: dict[str, str], job: Row | None) -> Row:
    """The workflow, or the job, that waits for the answer."""
    if row["workflow_id"]:
        words = names.get(row["workflow_id"]) or f"workflow {row['workflow_id'][-8:]}"
        return {"words": words, "href": links.to("workflow", row["workflow_id"])}
    named = (job["task_name"] or job["agent_id"]) if job else f"job {row['job_id'][-8:]}"
    return {"words": named, "href": links.to("job", row["job_id"])}


def card(row: Row, who: Principal | None) -> JSON:
    """All that somebody must know before they answer; without `who` nothing leads to another page.

    Without `who`, `row` is that of a link and has the `email` of whoever holds it.
    """
    (line,) = listed([row])
    job = _job(row["job_id"])
    parts, rest = _parts(row)
    told = parts.get("input") or parts.get("parameters") or (job or {}).get("parameters") or None
    sees_job = bool(job and who and may(who, "view_task", job["submitted_by"]))
    return {
        "a": line | {"requester": _requester(row, who)},
        "job": job,
        "leads_to": {
            "job": sees_job,
            "drafts": bool(
                sees_job and who and may(who, "view_task_content", (job or {}).get("submitted_by"))
            ),
            "workflow": bool(who and row["workflow_id"]),
        },
        "rest": rest,
        "input": told,
        "folds": is_long(told),
        "draft": _draft(row, parts.get("draft")),
        "report": parts.get("quality"),
        "cost": money(job["usage"]) if job else "",
        "earlier": _earlier(row, who or Holder(email=row["email"])),
        "changes": _changes(row),
        "edited": _readable(row["edited"]) if row["edited"] is not None else None,
    }


def _parts(row: Row) -> tuple[JSON, Any]:
    """What of the things shown has a place of its own on the card, and the rest; a workflow's words mean nothing here."""
    shown = row["shown"]
    if not isinstance(shown, dict) or row["kind"] == "step":
        return {}, shown
    if row["kind"] == "policy":
        shown = _of_policy(shown)
    own = _PLACES.get(row["kind"], ("input", "draft", "quality"))
    parts = {n: v for n, v in shown.items() if n in own and (n != "quality" or _is_report(v))}
    return parts, {name: value for name, value in shown.items() if name not in parts}


def _of_policy(shown: JSON) -> JSON:
    """What a policy's question shows, and what the agent shows of what it is about to do, side by side."""
    what = shown.get("what")
    known = {name: value for name, value in shown.items() if name not in ("what", "agent")}
    if isinstance(what, dict):
        twice = ("score", "passed") if _is_report(what.get("quality")) else ()
        return known | {
            name: value for name, value in what.items() if name not in twice and name not in known
        }
    return known if what is None else known | {"what": what}


def _is_report(value: Any) -> bool:
    """Whether it is drawn as a gate's report; what an agent calls `quality` may be anything."""
    if not isinstance(value, dict):
        return False
    checks, issues = value.get("checks") or [], value.get("issues") or []
    return (
        _are_numbers(value, "score", "threshold")
        and isinstance(value.get("feedback") or "", str)
        and isinstance(issues, list)
        and all(isinstance(issue, str | dict) for issue in issues)
        and isinstance(checks, list)
        and all(isinstance(each, dict) and _are_numbers(each, "score") for each in checks)
    )


def _are_numbers(value: JSON, *names: str) -> bool:
    """What has one of these names is a number, or nothing."""
    given = [value.get(name) for name in names]
    return all(each is None or type(each) in (int, float) for each in given)


def _earlier(row: Row, who: Answering) -> list[Row]:
    """What the same job asked before, the newest first: its owner sees all of it, others what they were asked."""
    if not row["job_id"]:
        return []
    found = queries.page(
        only=queries.Filter(job_id=row["job_id"]), before=row["approval_id"], limit=MOST_EARLIER, brief=True
    )
    theirs = [each for each in found if each["requested_by"] == who.user_id or may_answer(each, who)]
    return [each | {"look": look(each["status"], LOOKS)} for each in theirs]


def _job(job_id: str | None) -> Row | None:
    try:
        return jobs.get(job_id, full=True) if job_id else None
    except NotFound:  # removed by retention
        return None


def _requester(row: Row, who: Principal | None) -> str:
    return links.person(row["requested_by"]) if who else ""


def _draft(row: Row, shown: Any) -> JSON | None:
    """What is to be decided on: as text for reading with its source, else as a value.

    A gate shows {number, of, text} of its draft, a long text cut; what may be edited is the whole.
    """
    editable, told = row["editable"] or {}, shown if isinstance(shown, dict) else {}
    whole = editable.get("text") or editable.get("value")
    value = whole if whole is not None and (told.get("number") or shown is None) else shown
    if value is None:
        return None
    return _readable(value) | {"number": row["draft_number"], "of": told.get("of") or 1}


def _readable(value: Any) -> JSON:
    text = value if isinstance(value, str) else _text_in(value)
    return {"html": rendered(text), "source": text or "", "value": None if text else value}


def _text_in(value: Any) -> str | None:
    """What of a result is to be read, if it is one that has such a thing."""
    if not isinstance(value, dict):
        return None
    found = (value.get(name) for name in _TEXTS)
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def _score(row: Row) -> float | None:
    score = _parts(row)[0].get("quality", {}).get("score")
    return score if isinstance(score, int | float) else None


def is_long(value: Any) -> bool:
    """Whether something is better folded."""
    return len(pretty(value)) > _LONG_INPUT


def _changes(row: Row) -> str:
    """What a person changed before they approved, line by line."""
    if row["edited"] is None or not row["editable"]:
        return ""
    before, after = start_of(row).split("\n"), _as_text(row["edited"]).split("\n")
    told = difflib.unified_diff(
        before[:MOST_LINES], after[:MOST_LINES], "as it was", "as approved", lineterm=""
    )
    rest = max(len(before), len(after)) - MOST_LINES
    return "\n".join([*told, f"@@ {rest} more lines are not compared @@"] if rest > 0 else told)


def settled(row: Row) -> str:
    """How a question ended, as a sentence; empty while it is open."""
    who, word = row["answered_by"] or "Somebody", approved_or_not(row["on_timeout"])
    said = {
        "approved": f"{who} approved it" + (" with changes" if row["edited"] is not None else ""),
        "rejected": f"{who} rejected it",
        "sent_back": f"{who} asked back",
        "expired": f"Nobody answered in time, so it counts as {word}",
        "cancelled": "The answer is not needed any more",
    }.get(row["status"])
    return f"{said}." if said else ""


def approved_or_not(decision: str) -> str:
    """The word for what silence means."""
    return "approved" if decision == "approve" else "rejected"


# -- the form


def schema_of(form: JSON | None) -> JSON:
    """The form's schema as one with properties."""
    if not form:
        return {}
    return form if form.get("properties") else {"properties": {VALUE: form}}


def start_of(row: Row) -> str:
    """What editing begins with."""
    editable = row["editable"] or {}
    return _as_text(editable["text"] if "text" in editable else editable.get("value"))


def _as_text(value: Any) -> str:
    return (value if isinstance(value, str) else pretty(value)).replace("\r\n", "\n")


def typed_into(row: Row, form: MultiDict[str, str]) -> Typed:
    """What was sent in."""
    has_edit = "edit" in row["options"] and bool(row["editable"])
    edited = form.get("edited") if has_edit else None
    return Typed(
        decision=form.get("decision", ""),
        fields=forms.typed(schema_of(row["form"]), form),
        comment=form.get("comment", "").strip(),
        edited=None if edited is None else edited.replace("\r\n", "\n"),
    )


def written_in(form: MultiDict[str, str]) -> Typed:
    """What was sent in for a question that cannot be shown any more."""
    return Typed(
        fields={n.removeprefix(forms.PREFIX): v for n, v in form.items() if n.startswith(forms.PREFIX)},
        comment=form.get("comment", "").strip(),
        edited=form.get("edited"),
    )


def without_edits(typed: Typed) -> Typed:
    """The same with the draft as it was."""
    return replace(typed, edited=None)


def meant(row: Row, typed: Typed) -> JSON:
    """What was typed as the room takes it: decision, answer, edited, comment.

    NotFound for a decision that this question does not offer; Invalid for what cannot be read, and for changes to
    the draft under a button that would drop them.
    """
    if typed.decision not in DECISIONS or typed.decision not in row["options"]:
        raise NotFound
    if typed.decision in ("approve", "ask_back") and _differs(row, typed.edited):
        raise Invalid(CHANGED, [("/edited", CHANGED)])
    if typed.decision == "ask_back" and not typed.comment:
        said = "say what should be different"
        raise Invalid(said, [("/comment", said)])
    answer = {"decision": typed.decision, "answer": _answer(row, typed), "comment": typed.comment or None}
    return answer | ({"edited": _edited(row, typed.edited or "")} if typed.decision == "edit" else {})


def _differs(row: Row, edited: str | None) -> bool:
    return edited is not None and edited.strip() != start_of(row).strip()


def _answer(row: Row, typed: Typed) -> Any:
    """What was filled in; what is not approved may leave out what an approval needs, and what cannot be read."""
    if not row["form"]:
        return None
    is_yes = typed.decision in ("approve", "edit")
    try:
        read = forms.parameters(schema_of(row["form"]), typed.fields)
    except Invalid:
        if is_yes:
            raise
        return None
    if not row["form"].get("properties"):
        return read.get(VALUE)
    return read if is_yes or any(typed.fields.values()) else None


def _edited(row: Row, text: str) -> Any:
    if "text" in (row["editable"] or {}):
        return text
    try:
        return forms.json_value(text)
    except ValueError as unreadable:
        raise Invalid("Your version cannot be read.", [("/edited", str(unreadable))]) from None


def complaints(wrong: Invalid) -> dict[str, str]:
    """Each complaint by the name of its field; what belongs to no field under ""."""
    fields = [(pointer.replace("/answer", "/parameters", 1), said) for pointer, said in wrong.fields]
    return forms.complaints(Invalid(wrong.message, fields))


def form(row: Row, typed: Typed | None = None, wrong: dict[str, str] | None = None) -> JSON:
    """What the form's template needs, filled with what was typed."""
    given = typed or Typed(fields={})
    fields = forms.fields(schema_of(row["form"]), given.fields, wrong)
    named = {"comment", "edited"} | {field.name for field in fields}
    return {
        "fields": fields,
        "wrong": wrong or {},
        "strays": [name for name in wrong or {} if name not in named],
        "comment": given.comment,
        "can_edit": "edit" in row["options"] and bool(row["editable"]),
        "edits_text": "text" in (row["editable"] or {}),
        "version": given.edited if given.edited is not None else start_of(row),
        "is_edited": _differs(row, given.edited),
    }
