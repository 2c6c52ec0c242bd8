"""What stands in a session: what was said, remembered and made, and the jobs it handed out."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import StringConstraints

from app.api import conditional
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import JobAccepted
from app.api.jobs import accepted
from app.api.session_shapes import (
    AddedOut,
    DelegateIn,
    MadeOut,
    MadesOut,
    MemoriesOut,
    MemoriesQuery,
    MemoryOut,
    MessagesOut,
    NewestQuery,
    PartsQuery,
    SessionId,
    SessionJobsOut,
    SessionJobsQuery,
)
from app.db import Row
from app.jobs import document
from app.sessions import access, delegating, made, memory, talk
from app.sessions.shapes import AddArtifact, ConversationBatch, StoreMemory

JSON = dict[str, Any]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]


@op(
    "GET",
    "/api/v1/sessions/<session_id>/messages",
    verb="view_session_content",
    out=MessagesOut,
    errors=(404,),
    conditional=True,
)
def list_session_messages(session_id: SessionId, query: PartsQuery) -> Answer:
    """Read what was said behind a place, oldest first."""
    count = access.of(session_id, current_principal())["message_count"]

    def found() -> JSON:
        said = talk.page(session_id, after=query.after, limit=query.limit)
        cursor = said[-1]["place"] if said else query.after
        return {"session_id": session_id, "messages": said, "cursor": cursor, "more": cursor < count}

    return conditional.answer(f'"{count}"', found)


@op(
    "POST",
    "/api/v1/sessions/<session_id>/messages",
    verb="join_session",
    out=AddedOut,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def add_session_messages(session_id: SessionId, body: ConversationBatch) -> JSON:
    """Say something: pieces of a conversation, all of them or none."""
    ids = talk.add(session_id, [chunk.model_dump() for chunk in body.chunks], by=_joined(session_id))
    return {"session_id": session_id, "ids": ids}


@op(
    "GET",
    "/api/v1/sessions/<session_id>/memories",
    verb="view_session_content",
    out=MemoriesOut,
    errors=(404,),
)
def list_session_memories(session_id: SessionId, query: MemoriesQuery) -> JSON:
    """Find memories by words, tags, type and importance."""
    access.of(session_id, current_principal())
    wanted = query.model_dump(exclude={"q"})
    return {"session_id": session_id, "memories": memory.page(session_id, query=query.q, **wanted)}


@op(
    "POST",
    "/api/v1/sessions/<session_id>/memories",
    verb="join_session",
    out=MemoryOut,
    status=201,
    also={200: MemoryOut},
    errors=(404, 409),
    idempotent=True,
)
def store_session_memory(session_id: SessionId, body: StoreMemory) -> Answer:
    """Remember something under a key: 201, or 200 if it takes the place of what was there."""
    row = memory.store(session_id, **body.model_dump(), by=_joined(session_id))
    return Answer(row, status=201 if row["version"] == 1 else 200)


@op(
    "GET",
    "/api/v1/sessions/<session_id>/memories/<path:key>",
    verb="view_session_content",
    out=MemoryOut,
    errors=(404,),
)
def get_session_memory(session_id: SessionId, key: Key) -> Row:
    """Recall what stands under a key."""
    access.of(session_id, current_principal())
    return memory.get(session_id, key)


@op(
    "DELETE",
    "/api/v1/sessions/<session_id>/memories/<path:key>",
    verb="join_session",
    status=204,
    errors=(404, 409),
)
def forget_session_memory(session_id: SessionId, key: Key) -> None:
    """Forget what stands under a key, for good."""
    memory.forget(session_id, key, by=_joined(session_id))


@op(
    "GET",
    "/api/v1/sessions/<session_id>/artifacts",
    verb="view_session_content",
    out=MadesOut,
    errors=(404,),
)
def list_session_artifacts(session_id: SessionId, query: NewestQuery) -> JSON:
    """List what was made in a session, newest first, without the texts."""
    access.of(session_id, current_principal())
    rows = made.page(session_id, limit=query.limit, before=str(query.before) if query.before else None)
    return {
        "session_id": session_id,
        "artifacts": [_made(session_id, row) for row in rows],
        "next_before": rows[-1]["artifact_id"] if len(rows) == query.limit else None,
    }


@op(
    "POST",
    "/api/v1/sessions/<session_id>/artifacts",
    verb="join_session",
    out=MadeOut,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def add_session_artifact(session_id: SessionId, body: AddArtifact) -> Answer:
    """Keep something that was made: its text, or the https address of where it is."""
    shown = _made(session_id, made.add(session_id, **body.model_dump(), by=_joined(session_id)))
    return Answer(shown, headers={"Location": shown["links"]["self"]})


@op(
    "GET",
    "/api/v1/sessions/<session_id>/artifacts/<artifact_id>",
    verb="view_session_content",
    out=MadeOut,
    errors=(404,),
)
def get_session_artifact(session_id: SessionId, artifact_id: UUID) -> JSON:
    """Read one: its text, or where it is; nothing is fetched from there. A job's file is at `links.download`."""
    access.of(session_id, current_principal())
    return _made(session_id, made.get(session_id, str(artifact_id)))


@op(
    "DELETE",
    "/api/v1/sessions/<session_id>/artifacts/<artifact_id>",
    verb="join_session",
    status=204,
    errors=(404, 409),
)
def remove_session_artifact(session_id: SessionId, artifact_id: UUID) -> None:
    """Take one out of the session; the file of a job stays with its job."""
    made.remove(session_id, str(artifact_id), by=_joined(session_id))


@op(
    "GET",
    "/api/v1/sessions/<session_id>/jobs",
    verb="view_session_content",
    out=SessionJobsOut,
    errors=(404,),
)
def list_session_jobs(session_id: SessionId, query: SessionJobsQuery) -> JSON:
    """List the jobs that a session handed out, newest first."""
    who = current_principal()
    access.of(session_id, who)
    before = str(query.before) if query.before else None
    rows = delegating.jobs(session_id, limit=query.limit, before=before, unfinished=query.unfinished)
    return {
        "session_id": session_id,
        "jobs": [document.brief(row, who) for row in rows],
        "next_before": rows[-1]["job_id"] if len(rows) == query.limit else None,
    }


@op(
    "POST",
    "/api/v1/sessions/<session_id>/jobs",
    verb="join_session",
    out=JobAccepted,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def delegate_session_job(session_id: SessionId, body: DelegateIn) -> Answer:
    """Hand out a job for an agent; how it ends comes back as an event of the session, with the files it leaves."""
    wish = body.model_dump(exclude={"title", "tags"})
    row = delegating.delegate(
        session_id, who=current_principal(), task_name=body.title, tags=tuple(body.tags), **wish
    )
    return accepted(row)


def _joined(session_id: str) -> str:
    """Who adds to the session, if they may take part in it."""
    who = current_principal()
    access.of(session_id, who, "join_session")
    return who.user_id


def _made(session_id: str, row: Row) -> Row:
    links = {"self": f"/api/v1/sessions/{session_id}/artifacts/{row['artifact_id']}"}
    if row["job_artifact_id"]:
        links["download"] = f"/api/v1/artifacts/{row['job_artifact_id']}"
    return row | {"links": links}
