"""What comes into a session, as people and models write it: the shapes, their limits, and what is wrong in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from app.db import dumps
from app.errors import Invalid
from app.notify import addresses
from app.workflows.complaints import nearest, pointer

JSON = dict[str, Any]
LARGEST_METADATA = 20_000
"""Characters of one `metadata`, as JSON."""
LONGEST_TEXT = 100_000
"""Characters of what was said at once."""
LONGEST_MEMORY = 50_000
LARGEST_ARTIFACT = 1_000_000
"""Characters of an artifact that is kept here; larger ones stand elsewhere and are named by their URL."""
MOST_CHUNKS = 500
MOST_COMMANDS = 100
MOST_PARTICIPANTS = 100
MOST_TAGS = 20
MOST_COMPLAINTS = 50
_WORDS_OF_IMPORTANCE = {"low": 3, "medium": 5, "normal": 5, "high": 8, "critical": 10}
_YEARS = range(1900, 2300)

_SAID = {
    "missing": "is required",
    "string_type": "must be text",
    "string_too_long": "must be at most {max_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_long": "must be at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


def wrong(words: str) -> PydanticCustomError:
    """What a check says; the words go to whoever sent it, as they are."""
    return PydanticCustomError("wrong", "{said}", {"said": words})


def _small(metadata: JSON) -> JSON:
    if len(dumps(metadata)) > LARGEST_METADATA:
        raise wrong(f"must be at most {LARGEST_METADATA:,} characters of JSON")
    return metadata


def _no_blank(text: str) -> str:
    if not text.strip():
        raise wrong("must not be empty")
    return text


def _callback(url: str | None) -> str | None:
    if url and (complaint := addresses.check_url(url)):
        raise wrong(complaint)
    return url or None


def _link(url: str | None) -> str | None:
    if url is not None and not url.startswith("https://"):
        raise wrong("must begin with https://")
    return _callback(url)


def _moment(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    if at.year not in _YEARS:
        raise wrong("is too far from today")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _importance(given: Any) -> Any:
    return _WORDS_OF_IMPORTANCE.get(given.lower(), given) if isinstance(given, str) else given


def _people(names: list[str]) -> list[str]:
    """Each once; what looks like a mail address in lower case, as users have theirs."""
    plain = (name.strip() for name in names)
    return list(dict.fromkeys(name.lower() if "@" in name else name for name in plain))


SessionId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$", strip_whitespace=True)
]
Title = Annotated[str, StringConstraints(max_length=300, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(_no_blank)]
Word = Annotated[str, StringConstraints(max_length=100), AfterValidator(_no_blank)]
Participants = Annotated[list[Name], Field(max_length=MOST_PARTICIPANTS), AfterValidator(_people)]
Metadata = Annotated[JSON, AfterValidator(_small)]
CallbackUrl = Annotated[str | None, AfterValidator(_callback)]
Tags = Annotated[list[Word], Field(max_length=MOST_TAGS)]
Importance = Annotated[int, Field(ge=1, le=10), BeforeValidator(_importance)]
Status = Literal["active", "paused", "completed"]


class Shape(BaseModel):
    """Unknown keys are mistakes, and say so."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class CreateSession(Shape):
    """A new session; its id is chosen by whoever makes it."""

    id: SessionId | None = Field(
        None, description="The session's id, if it is not said beside the command.", alias="session_id"
    )
    title: Title = ""
    participants: Participants = Field(
        default_factory=list, description="Names; the e-mail address of a user lets that user in."
    )
    metadata: Metadata = Field(default_factory=dict)
    callback_url: CallbackUrl = Field(None, description="Told of every event of the session, signed.")


class Chunk(Shape):
    """A piece of a conversation."""

    speaker: Name
    text: Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_no_blank)]
    timestamp: Annotated[datetime | None, AfterValidator(_moment)] = Field(
        None, description="When it was said; without a zone it is UTC.", alias="said_at"
    )
    metadata: Metadata = Field(default_factory=dict)


class ConversationBatch(Shape):
    """What was said, in its order."""

    chunks: list[Chunk] = Field(min_length=1, max_length=MOST_CHUNKS)


class StoreMemory(Shape):
    """Something worth knowing later; the same key replaces what was there."""

    key: Name
    content: Annotated[str, StringConstraints(max_length=LONGEST_MEMORY), AfterValidator(_no_blank)]
    type: Word = "fact"
    tags: Tags = Field(default_factory=list)
    importance: Importance = Field(5, description="1 (trifle) to 10; or low, medium, high, critical.")
    metadata: Metadata = Field(default_factory=dict)


class QueryMemories(Shape):
    """Which memories are wanted; nothing said: the most important ones."""

    query: Annotated[str, StringConstraints(max_length=1000)] = ""
    tags: Tags = Field(default_factory=list, description="All of them must fit.")
    limit: int = Field(20, ge=1, le=200)
    type: Word | None = None
    min_importance: Importance | None = None


class DelegateTask(Shape):
    """A job for an agent; its result comes back into the session."""

    agent_id: Word = Field(
        validation_alias=AliasChoices("agent_id", "agent_name"), description="Also called agent_name."
    )
    parameters: JSON = Field(
        default_factory=dict,
        validation_alias=AliasChoices("parameters", "input_data"),
        description="Also called input_data.",
    )
    priority: Literal["critical", "high", "normal", "low"] = "normal"
    title: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        None, validation_alias=AliasChoices("title", "task_name"), description="What lists call the job."
    )
    tags: Tags = Field(default_factory=list)
    timeout: int | None = Field(None, ge=1, le=86_400, description="Seconds.")


class AddArtifact(Shape):
    """Something that was made: its text, or where it is."""

    name: Name
    type: Word = "text/markdown"
    content: Annotated[str, StringConstraints(max_length=LARGEST_ARTIFACT)] | None = None
    url: Annotated[str | None, AfterValidator(_link)] = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> AddArtifact:
        if (self.content is None) == (self.url is None):
            raise wrong("needs either content or url, and not both")
        return self


class UpdateSession(Shape):
    """What is to be different; what is left out stays."""

    title: Title | None = None
    participants: Participants | None = None
    metadata: Metadata | None = None
    callback_url: CallbackUrl = Field(None, description="null: nobody is told any more.")
    status: Status | None = Field(None, description="active also reopens a completed session.")


class Nothing(Shape):
    """The command says it all."""


class BatchWorkflow(Shape):
    """Several commands for one session; or the steps of a workflow that is started for it."""

    commands: list[JSON] | None = Field(
        None, min_length=1, max_length=MOST_COMMANDS, description="{command, payload} each, in their order."
    )
    atomic: bool = Field(True, description="All commands or none; false: each by itself.")
    steps: list[JSON] | None = Field(
        None, min_length=1, max_length=200, description="As in a workflow's definition."
    )
    name: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        None, description="Of the workflow."
    )
    inputs: JSON = Field(default_factory=dict, description="Of the workflow.")
    priority: Literal["critical", "high", "normal", "low"] = "normal"

    @model_validator(mode="after")
    def _one_kind(self) -> BatchWorkflow:
        if (self.commands is None) == (self.steps is None):
            raise wrong("needs either commands or steps, and not both")
        return self


class Envelope(Shape):
    """A command with what it needs."""

    command: Annotated[str, StringConstraints(max_length=100)]
    session_id: SessionId | None = None
    request_id: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = Field(
        None, description="The same one again answers what it answered, and does nothing."
    )
    callback_url: CallbackUrl = Field(None, description="Told of what comes of this command, signed.")
    payload: JSON = Field(default_factory=dict)


S = TypeVar("S", bound=BaseModel)


def read(shape: type[S], raw: object, at: str = "") -> S:
    """`raw` as `shape`, or Invalid with the JSON pointer of each wrong place; `at` is put before them.

    What Postgres cannot keep (NUL, lone surrogates, endless nesting) is replaced, as everywhere.
    """
    try:
        return shape.model_validate(orjson.loads(dumps(raw)))
    except ValidationError as error:
        found = [_complaint(each, shape, at) for each in error.errors(include_url=False)[:MOST_COMPLAINTS]]
        where, said = found[0]
        raise Invalid(f"{where or 'the command'}: {said}", found) from error


def _complaint(error: ErrorDetails, shape: type[BaseModel], at: str) -> tuple[str, str]:
    return at + pointer(error["loc"]), _words(error, shape)


def _words(error: ErrorDetails, shape: type[BaseModel]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(str(error["loc"][-1]), shape if len(error["loc"]) == 1 else Chunk)
    if kind in {"string_too_short", "too_short"} and context.get("min_length") == 1:
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return "must be 1 to 100 letters, digits or _ . : - and begin with a letter or digit"
    return _SAID[kind].format(**context) if kind in _SAID else error["msg"]


def _unknown(key: str, shape: type[BaseModel]) -> str:
    known: Iterable[str] = sorted(shape.model_fields)
    near = nearest(key, known)
    return "is not known here; " + (f"did you mean {near}?" if near else f"known: {', '.join(known)}")
