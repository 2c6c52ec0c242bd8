"""The summary of a session: what its conversation comes to, kept with it and replaced as it goes on."""

from __future__ import annotations

from typing import Any

from app import clock
from app.accounts.permissions import Principal
from app.db import Row, as_json, db
from app.sessions import access, events, gist

JSON = dict[str, Any]

OFFLINE = "callboard"
"""`made_by` of a summary that no model wrote."""
MOST_READ, MOST_CHARACTERS, LONGEST_READ = 1_000, 300_000, 20_000
"""Newest messages that are read, characters of them together, and of one."""
LISTS = ("action_items", "decisions", "questions")
MOST_LISTED = 100


def of(session_id: str, who: Principal) -> Row:
    """The summary {text, action_items, decisions, questions, topics, made_by, at, up_to, new_messages, kept}.

    `up_to` is the place of the newest message it knows, `new_messages` how many came after it. Where nobody has made
    one yet, it is made for this answer and not kept. NotFound where `who` may not read the session.
    """
    session = access.of(session_id, who)
    kept = session["summary"]
    told = kept or made(session_id)
    return told | {"kept": kept is not None, "new_messages": session["message_count"] - int(told["up_to"])}


def make(session_id: str, *, by: str) -> Row:
    """Make the summary anew, without a model, and keep it: always the same for the same conversation.

    NotFound if there is no such session; what `by` (the id of a user) may do is for the caller to ask.
    """
    access.living(session_id)
    return keep(session_id, made(session_id), by=by)


def made(session_id: str) -> JSON:
    """The summary as it would be, without keeping it."""
    messages = read(session_id)
    return gist.document(gist.of(messages)) | {
        "made_by": OFFLINE,
        "at": clock.iso(clock.now()),
        "up_to": messages[-1]["place"] if messages else 0,
    }


def keep(session_id: str, summary: JSON, *, by: str, job_id: str | None = None) -> Row:
    """Put a summary in the place of the one before, with one event; a job that did so already changes nothing.

    Answers the summary that is kept now.
    """
    session = access.living(session_id)
    before: JSON = session["summary"] or {}
    if job_id is not None and before.get("job_id") == job_id:
        return before
    kept = summary | ({"job_id": job_id} if job_id else {})
    db.run(
        "UPDATE sessions SET summary = %(summary)s WHERE session_id = %(id)s",
        id=session_id,
        summary=as_json(kept),
    )
    told = {name: len(kept[name]) for name in LISTS} | {"made_by": kept["made_by"], "up_to": kept["up_to"]}
    events.append(session_id, "summary.made", told, by)
    return kept


def read(session_id: str, since: int = 0) -> list[Row]:
    """The newest messages behind the place `since`, oldest first: {place, speaker, text}, as many as are read at once."""
    rows = db.rows(
        """SELECT place, speaker, left(text, %(longest)s) AS text FROM session_messages
           WHERE session_id = %(id)s AND place > %(since)s ORDER BY place DESC LIMIT %(most)s""",
        id=session_id,
        since=since,
        longest=LONGEST_READ,
        most=MOST_READ,
    )
    room, kept = MOST_CHARACTERS, list[Row]()
    for row in rows:
        room -= len(row["text"])
        if room < 0 and kept:
            break
        kept.append(row)
    return kept[::-1]


def joined(before: JSON, new: JSON, since: int) -> JSON:
    """The lists of `new`, with what the summary before had of messages up to `since`; each text once."""
    lists = {}
    for name in LISTS:
        old = [each for each in before.get(name, []) if int(each.get("place") or 0) <= since]
        by_text = {str(each["text"]).casefold(): each for each in [*old, *new[name]]}
        lists[name] = list(by_text.values())[-MOST_LISTED:]
    return new | lists
