"""What the endpoints of sessions answer; what they take are the shapes of the commands (app/sessions/shapes.py)."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.job_shapes import FARTHEST_SEQ, JobBrief, PollHint
from app.api.reading import Input
from app.api.shapes import FARTHEST_OFFSET, JSON, Commas, When
from app.sessions.shapes import DelegateTask

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
Status = Literal["active", "paused", "completed"]
Words = Annotated[str, StringConstraints(max_length=1000)]
Tag = Annotated[str, StringConstraints(max_length=100)]


class SessionOut(BaseModel):
    """A session; what stands in it is left out for those who may only know that it is there."""

    session_id: str
    title: str
    status: Status
    owner: str = Field(description="A user id.")
    owner_email: str | None = None
    participants: list[str] | None = Field(None, description="An e-mail address of a user lets that user in.")
    metadata: JSON | None = None
    summary: JSON | None = Field(
        None, description="The one that is kept; `…/summary` makes one if there is none."
    )
    callback_url: str | None = Field(None, description="For those who may manage the session.")
    has_callback: bool | None = None
    last_seq: int = Field(description="Of its newest event.")
    message_count: int
    memory_count: int
    artifact_count: int
    job_count: int
    open_job_count: int = Field(description="Of jobs that are not over.")
    created_at: When
    updated_at: When
    completed_at: When | None
    deleted_at: When | None
    deleted_by: str | None
    actions: list[str] = Field(
        description="What you may do now: add, update, pause, resume, complete, reopen, delete, restore."
    )
    links: dict[str, str]


class SessionsOut(BaseModel):
    """A page of sessions, the one that changed last first."""

    sessions: list[SessionOut]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page.")


class SessionsQuery(Input):
    """Which sessions."""

    status: Status | None = None
    q: Words | None = Field(None, description="Words of the title, or a part of the id.")
    deleted: bool = Field(False, description="Those that were deleted and can be restored.")
    limit: int = Field(50, ge=1, le=100)
    cursor: Annotated[str, StringConstraints(max_length=300)] | None = Field(
        None, description="`next_cursor` of the page before."
    )


class PartsQuery(Input):
    """Which part of a list that goes by number."""

    after: int = Field(0, ge=0, le=FARTHEST_SEQ, description="The last number you have.")
    limit: int = Field(100, ge=1, le=500)


class NewestQuery(Input):
    """Which part of a list that begins with the newest."""

    before: UUID | None = Field(None, description="`next_before` of the page before.")
    limit: int = Field(50, ge=1, le=200)


class MessageOut(BaseModel):
    """A piece of the conversation."""

    message_id: str
    place: int = Field(description="1, 2, 3 … without gaps.")
    speaker: str
    text: str
    said_at: When | None = Field(description="As whoever sent it says.")
    metadata: JSON
    added_by: str
    added_at: When


class MessagesOut(BaseModel):
    """What was said, oldest first."""

    session_id: str
    messages: list[MessageOut]
    cursor: int = Field(description="Send it as `after` the next time; nothing is lost or sent twice.")
    more: bool = Field(description="There are further ones right now.")


class AddedOut(BaseModel):
    """What was just said, by its ids."""

    session_id: str
    ids: list[str]


class MemoryOut(BaseModel):
    """Something worth knowing later."""

    memory_id: str
    key: str
    content: str
    type: str
    tags: list[str]
    importance: int
    metadata: JSON
    stored_by: str
    version: int = Field(description="Counts up when it is stored anew under the same key.")
    created_at: When
    updated_at: When


class MemoriesOut(BaseModel):
    """What fits best first; without words the most important first."""

    session_id: str
    memories: list[MemoryOut]


class MemoriesQuery(Input):
    """Which memories."""

    q: Words = Field(
        "", description='As one searches: words, "a phrase", -without, or; or a part of the key.'
    )
    tags: Annotated[list[Tag], Commas] = Field(
        default_factory=list, max_length=20, description="All of them must fit; comma separated."
    )
    type: Tag | None = None
    min_importance: int | None = Field(None, ge=1, le=10)
    limit: int = Field(50, ge=1, le=200)
    offset: int = Field(0, ge=0, le=FARTHEST_OFFSET)


class MadeOut(BaseModel):
    """Something that was made in a session."""

    artifact_id: str
    name: str
    type: str = Field(description="A media type, or a word.")
    url: str | None = Field(description="Where it is; Callboard never looks there.")
    job_id: str | None = Field(description="The job that made it.")
    job_artifact_id: str | None = Field(description="Its file, at `links.download`.")
    size_bytes: int
    metadata: JSON
    added_by: str
    added_at: When
    content: str | None = Field(None, description="Its text, where one of them is asked for.")
    links: dict[str, str]


class MadesOut(BaseModel):
    """What was made, newest first, without the texts."""

    session_id: str
    artifacts: list[MadeOut]
    next_before: str | None = Field(description="Send it as `before` for the next page.")


class SessionJobsOut(BaseModel):
    """The jobs that a session handed out, newest first."""

    session_id: str
    jobs: list[JobBrief]
    next_before: str | None = Field(description="Send it as `before` for the next page.")


class SessionJobsQuery(NewestQuery):
    """Which jobs."""

    unfinished: bool = Field(False, description="Only those that are not over.")


class DelegateIn(DelegateTask):
    """A job for an agent, that the session hands out."""


class EventOut(BaseModel):
    """One thing that happened."""

    seq: int = Field(description="1, 2, 3 … without gaps in a session.")
    type: str
    data: JSON
    by: str = Field(description="The id of a user; empty: Callboard itself.")
    at: When


class SessionEventsOut(BaseModel):
    """What happened, oldest first."""

    session_id: str
    events: list[EventOut]
    cursor: int = Field(description="Send it as `after` the next time; nothing is lost or sent twice.")
    more: bool = Field(description="There are further ones right now.")
    poll: PollHint


class SummaryOut(BaseModel):
    """What the conversation comes to."""

    model_config = ConfigDict(extra="allow")

    session_id: str
    text: str
    action_items: list[JSON]
    decisions: list[JSON]
    questions: list[JSON] = Field(default_factory=list)
    topics: list[str]
    made_by: str
    at: str
    up_to: int = Field(description="The place of the newest message it knows.")
    new_messages: int = Field(description="How many came since.")
    kept: bool = Field(description="false: made for this answer, because nobody has made one yet.")


class CommandOut(BaseModel):
    """What a command came to."""

    ok: bool = Field(description="false: some commands of a batch that is not atomic were refused.")
    command: str = Field(description="By its first name, also if an alias was sent.")
    session_id: str
    ids: list[str] = Field(description="Of what was made, stored, handed out or found.")
    result: JSON
