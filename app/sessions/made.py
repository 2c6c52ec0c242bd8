"""What is made in a session: a text that is kept here, a place on the web, or a file that a job left."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import uuid_utils.compat

from app.db import Row, as_json, db
from app.errors import NotFound
from app.jobs import artifacts
from app.sessions import access, events, shapes

JSON = dict[str, Any]
_BRIEF = """artifact_id::text, name, type, url, job_id::text, job_artifact_id::text, size_bytes, metadata, added_by,
    added_at"""
MOST_OF_A_JOB = 100


def add(
    session_id: str,
    *,
    name: str,
    type: str = "text/markdown",  # noqa: A002 - as the command has it
    content: str | None = None,
    url: str | None = None,
    metadata: JSON | None = None,
    by: str,
    job_id: str | None = None,
) -> Row:
    """Keep a text, or where something is (an https URL); `job_id` is the job that made it.

    A paused or completed session is a Conflict.
    """
    given = {"name": name, "type": type, "content": content, "url": url, "metadata": metadata or {}}
    new = shapes.read(shapes.AddArtifact, given)
    access.open_to_content(session_id)
    size = len((new.content or "").encode())
    row = db.row(
        f"""INSERT INTO session_artifacts
                (artifact_id, session_id, name, type, content, url, job_id, size_bytes, metadata, added_by, added_at)
            VALUES (%(artifact_id)s, %(id)s, %(name)s, %(type)s, %(content)s, %(url)s, %(job_id)s, %(size)s,
                %(metadata)s, %(by)s, clock_timestamp())
            RETURNING {_BRIEF}""",
        artifact_id=str(uuid_utils.compat.uuid7()),
        id=session_id,
        name=new.name,
        type=new.type,
        content=new.content,
        url=new.url,
        job_id=job_id,
        size=size,
        metadata=as_json(new.metadata),
        by=by,
    )
    assert row is not None
    _tell(session_id, row, by)
    return row


def take_from_job(session_id: str, job_id: str, *, by: str) -> list[Row]:
    """Show the files that a job left as made in the session; those that are already shown are left alone.

    Also in a session that is paused or completed: the job was handed out before.
    """
    taken = []
    for file in artifacts.listing(job_id)[:MOST_OF_A_JOB]:
        row = db.row(
            f"""INSERT INTO session_artifacts
                    (artifact_id, session_id, name, type, job_id, job_artifact_id, size_bytes, added_by, added_at)
                VALUES (%(artifact_id)s, %(id)s, %(name)s, %(type)s, %(job_id)s, %(file)s, %(size)s, %(by)s,
                    clock_timestamp())
                ON CONFLICT (session_id, job_artifact_id) WHERE job_artifact_id IS NOT NULL DO NOTHING
                RETURNING {_BRIEF}""",
            artifact_id=str(uuid_utils.compat.uuid7()),
            id=session_id,
            name=file["name"],
            type=file["media_type"],
            job_id=job_id,
            file=file["artifact_id"],
            size=file["size_bytes"],
            by=by,
        )
        if row:
            taken.append(row)
            _tell(session_id, row, by)
    return taken


def page(session_id: str, *, limit: int = 50, before: str | None = None, texts: bool = False) -> list[Row]:
    """What was made, newest first, with the `texts` if asked; `before` is the id of the last one of the page before."""
    return db.rows(
        f"""SELECT {_BRIEF}{", content" if texts else ""} FROM session_artifacts
            WHERE session_id = %(id)s AND (%(before)s::uuid IS NULL OR artifact_id < %(before)s::uuid)
            ORDER BY artifact_id DESC LIMIT %(limit)s""",
        id=session_id,
        before=before,
        limit=limit,
    )


def get(session_id: str, artifact_id: str) -> Row:
    """One, with its text if it is kept here; NotFound if the session has none of this id.

    The bytes of a job's file are served where artifacts of jobs are, by `job_artifact_id`.
    """
    row = db.row(
        f"""SELECT {_BRIEF}, content FROM session_artifacts
            WHERE session_id = %(id)s AND artifact_id = %(artifact_id)s""",
        id=session_id,
        artifact_id=_known(session_id, artifact_id),
    )
    if row is None:
        raise _nothing(session_id, artifact_id)
    return row


def remove(session_id: str, artifact_id: str, *, by: str) -> None:
    """Take one out of the session; a job's file stays with its job. NotFound if there is none."""
    access.open_to_content(session_id)
    row = db.row(
        """DELETE FROM session_artifacts WHERE session_id = %(id)s AND artifact_id = %(artifact_id)s
           RETURNING artifact_id::text, name""",
        id=session_id,
        artifact_id=_known(session_id, artifact_id),
    )
    if row is None:
        raise _nothing(session_id, artifact_id)
    events.append(session_id, "artifact.removed", row, by)


def _known(session_id: str, artifact_id: str) -> str:
    try:
        return str(UUID(artifact_id))
    except ValueError:
        raise _nothing(session_id, artifact_id) from None


def _nothing(session_id: str, artifact_id: str) -> NotFound:
    return NotFound(f"the session {session_id} has no artifact {artifact_id[:100]}")


def _tell(session_id: str, row: Row, by: str) -> None:
    names = ("artifact_id", "name", "type", "url", "job_id", "job_artifact_id", "size_bytes")
    events.append(session_id, "artifact.added", {name: row[name] for name in names}, by)
