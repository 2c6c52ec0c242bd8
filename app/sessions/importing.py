"""Taking in sessions from JSON files: a file at a time, all of it or nothing, and read back before it counts.

The file is hashed, its session written, and everything read back from Postgres and compared, by number and by SHA-256 of
the content. The hash of the file stands with the session, so the same file is recognised when it comes again. Nothing
here commits; a caller gives each file a transaction of its own, and archives it when that is committed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import uuid_utils.compat

from app import audit, clock
from app.accounts import permissions
from app.accounts.permissions import Principal
from app.db import Row, as_json, db, dumps
from app.errors import Conflict, Invalid
from app.sessions import access, events, sources
from app.sessions.sources import KEPT, Found

JSON = dict[str, Any]

LARGEST: Final = 50_000_000
"""Bytes of a file."""
MOST_FILES: Final = 10_000
IMPORTED, KNOWN, WOULD, FAILED = "imported", "known", "would import", "failed"


@dataclass(kw_only=True)
class Told:
    """What became of a file."""

    file: str
    status: str
    """One of IMPORTED, KNOWN (it was imported before), WOULD (only looked at) and FAILED."""
    session_id: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    sha256: str | None = None
    why: str | None = None
    """Of a failure."""
    archived_to: str | None = None


def files(folder: Path) -> list[Path]:
    """The JSON files of a folder, by name; Invalid for what is no folder, or has more than MOST_FILES."""
    if not folder.is_dir():
        raise Invalid(f"{folder} is no folder", [("", "is no folder")])
    found = sorted(
        path for path in folder.iterdir() if path.suffix.lower() == ".json" and path.name[0] != "."
    )
    if len(found) > MOST_FILES:
        raise Invalid(f"{folder} holds {len(found):,} files; import at most {MOST_FILES:,} at once")
    return found


def take_in(path: Path, *, who: Principal, dry_run: bool = False) -> Told:
    """Import the session of one file, of which `who` becomes the owner; Invalid or Conflict says why it cannot be.

    A `dry_run` reads and checks, and writes nothing.
    """
    permissions.demand(who, "create_session")
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    found = sources.read(sources.parse(content), name=path.stem)
    found.metadata = _marked(found, path.name, digest)
    told = Told(
        file=path.name, status=IMPORTED, session_id=found.session_id, counts=counts(found), sha256=digest
    )
    before = access.find(found.session_id, hold=not dry_run)
    if before is not None:
        return _recognised(told, before, digest)
    if dry_run:
        told.status = WOULD
        return told
    if not _write(found, who):  # another import, of the same folder perhaps, was quicker
        return _recognised(told, _there(found.session_id), digest)
    _verify(found)
    more = told.counts | {"file": path.name[:200], "sha256": digest}
    events.append(
        found.session_id, "session.created", {"title": found.title, "imported": True} | more, who.user_id
    )
    audit.record("session.imported", actor=who.user_id, subject=found.session_id, details=more)
    return told


def counts(found: Found) -> dict[str, int]:
    """How much there is of what."""
    return {name: len(getattr(found, name)) for name in ("messages", "memories", "artifacts")}


def archive(path: Path, today: date) -> Path:
    """Move an imported file into archived-<date> beside it, and answer where it is; nothing there is overwritten.

    FileNotFoundError if another import has put it away.
    """
    folder = path.parent / f"archived-{today.isoformat()}"
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise Invalid(f"{folder} is a link; files are archived in a folder of this one")
    number, place = 1, folder / path.name
    while True:
        try:
            os.link(path, place, follow_symlinks=False)
        except FileExistsError:
            number += 1
            place = folder / f"{path.stem}-{number}{path.suffix}"
        else:
            try:
                path.unlink()
            except FileNotFoundError:
                place.unlink()
                raise
            return place


def _content(path: Path) -> bytes:
    """The bytes of a regular file of a size that can be read; links are not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = (
            "it is a link; put the file itself here"
            if path.is_symlink()
            else f"it cannot be read: {error.strerror}"
        )
        raise Invalid(why, [("", why)]) from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Invalid("it is no regular file", [("", "is no regular file")])
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        why = f"it is larger than {LARGEST // 1_000_000} MB; split it"
        raise Invalid(why, [("", why)])
    return content


def _marked(found: Found, name: str, digest: str) -> JSON:
    """The metadata with where the session comes from, beside what had no place of its own."""
    kept = found.metadata.get(KEPT)
    rest = kept if isinstance(kept, dict) else {} if kept is None else {KEPT: kept}
    mark = {"file": name[:200], "sha256": digest, "at": clock.iso(clock.now())}
    return found.metadata | {KEPT: {"rest": rest, "from": mark}}


def _recognised(told: Told, before: Row, digest: str) -> Told:
    """The same file again is no mistake; another session of the same id is."""
    kept = before["metadata"].get(KEPT)
    origin = kept.get("from") if isinstance(kept, dict) else None
    if isinstance(origin, dict) and origin.get("sha256") == digest:
        told.status = KNOWN
        return told
    raise Conflict(f"there is another session {told.session_id} already; give this one another id")


def _there(session_id: str) -> Row:
    row = access.find(session_id, hold=True)
    assert row is not None
    return row


def _write(found: Found, who: Principal) -> bool:
    """Whether it could be written: not if somebody made a session of this id meanwhile."""
    now = clock.now()
    if not db.run(
        """INSERT INTO sessions (session_id, title, status, owner, participants, metadata, summary, message_count,
               created_at, updated_at, completed_at)
           VALUES (%(id)s, %(title)s, %(status)s, %(owner)s, %(participants)s, %(metadata)s, %(summary)s, %(messages)s,
               %(created_at)s, %(updated_at)s, %(completed_at)s) ON CONFLICT (session_id) DO NOTHING""",
        id=found.session_id,
        title=found.title,
        status=found.status,
        owner=who.user_id,
        participants=found.participants,
        metadata=as_json(found.metadata),
        summary=None if found.summary is None else as_json(found.summary),
        messages=len(found.messages),
        created_at=found.created_at or now,
        updated_at=found.updated_at or now,
        completed_at=(found.updated_at or now) if found.status == "completed" else None,
    ):
        return False
    db.insert_many(
        """INSERT INTO session_messages
               (message_id, session_id, place, speaker, text, said_at, metadata, added_by) VALUES %s""",
        [
            (_new_id(), found.session_id, place, each["speaker"], each["text"], each["said_at"], as_json(each["metadata"]), who.user_id)
            for place, each in enumerate(found.messages, 1)
        ],
    )  # fmt: skip
    db.insert_many(
        """INSERT INTO memories
               (memory_id, session_id, key, content, type, tags, importance, metadata, stored_by) VALUES %s""",
        [
            (_new_id(), found.session_id, each["key"], each["content"], each["type"], each["tags"], each["importance"],
             as_json(each["metadata"]), who.user_id)
            for each in found.memories
        ],
    )  # fmt: skip
    db.insert_many(
        """INSERT INTO session_artifacts
               (artifact_id, session_id, name, type, content, url, size_bytes, metadata, added_by) VALUES %s""",
        [
            (_new_id(), found.session_id, each["name"], each["type"], each["content"], each["url"],
             len((each["content"] or "").encode()), as_json(each["metadata"]), who.user_id)
            for each in found.artifacts
        ],
    )  # fmt: skip
    return True


def _new_id() -> str:
    return str(uuid_utils.compat.uuid7())


# What is compared, part by part; messages in their order.
_READ = {
    "session": "SELECT title, status, participants, metadata, summary FROM sessions WHERE session_id = %(id)s",
    "messages": """SELECT speaker, text, said_at, metadata FROM session_messages
                   WHERE session_id = %(id)s ORDER BY place""",
    "memories": "SELECT key, content, type, tags, importance, metadata FROM memories WHERE session_id = %(id)s",
    "artifacts": "SELECT name, type, content, url, metadata FROM session_artifacts WHERE session_id = %(id)s",
}


def _verify(found: Found) -> None:
    """That Postgres holds what was in the file; Conflict names the part that differs."""
    session = {
        name: getattr(found, name) for name in ("title", "status", "participants", "metadata", "summary")
    }
    wanted = {name: getattr(found, name) for name in counts(found)} | {"session": [session]}
    for name, statement in _READ.items():
        there = db.rows(statement, id=found.session_id)
        if len(there) != len(wanted[name]):
            raise Conflict(
                f"of {len(wanted[name])} {name} only {len(there)} were there when they were read back"
            )
        in_order = name == "messages"
        if _digest(there, in_order=in_order) != _digest(wanted[name], in_order=in_order):
            raise Conflict(
                f"the {name} were not the same when they were read back; nothing of this file was kept"
            )


def _digest(rows: list[JSON], *, in_order: bool) -> str:
    """SHA-256 of the content of rows, whatever the order of keys; times by their moment."""
    whole = hashlib.sha256()
    texts = [_canonical(row) for row in rows]
    for text in texts if in_order else sorted(texts):
        whole.update(text.encode())
        whole.update(b"\0")
    return whole.hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(key)}:{_canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if hasattr(value, "astimezone"):
        return str(value.timestamp())
    return dumps(value)
