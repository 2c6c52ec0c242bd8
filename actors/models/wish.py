"""What an agent's definition wishes of its conversation with a model, read once and checked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actors.runners.base import JSON
from app.errors import PermanentError

ASKING_TOOL = "AskUserQuestion"
"""Under `tools` of the front matter, as other programs call it: the model may ask a person."""
DELEGATING_TOOLS = frozenset({"delegate", "Task", "Agent"})
"""And here: it may hand jobs to the agents that the definition names under `delegation`."""


class Server(BaseModel):
    """An MCP server: a program of this worker, or an address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: list[str] | None = Field(None, min_length=1)
    url: str | None = None
    url_env: str | None = None
    """The variable of the worker that holds the address, which may carry a key."""
    env: list[str] | dict[str, str] = Field(default_factory=list)
    headers: dict[str, str] = Field(default_factory=dict)
    secrets: list[str] = Field(default_factory=list)
    """Variables of the worker that `{{secret.NAME}}` in a header may name."""
    only: list[str] | None = None
    """The tools that are offered; None means all."""
    optional: bool = False
    """Without it the conversation goes on, with a warning."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Server:
        if sum(way is not None for way in (self.command, self.url, self.url_env)) != 1:
            raise ValueError("give one of command, url and url_env")
        return self


class Person(BaseModel):
    """Whom the model may ask with the tool `ask_person`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approvers: list[str] = Field(default_factory=list)
    """E-mail addresses and roles; none: whoever submitted the job, and admins."""
    deadline_minutes: float | None = Field(None, gt=0, le=366 * 24 * 60)
    """After that the model is told that nobody answered."""


class Wish(BaseModel):
    """The keys under `llm:`; what else a runner's configuration holds is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: str | None = None
    tools: bool = True
    ask: bool | Person = False
    delegate: bool = False
    delegates_to: dict[str, str] = Field(default_factory=dict)
    """The agents it may hand jobs to, with what they do; told by the worker."""
    mcp: dict[str, Server] = Field(default_factory=dict)
    max_turns: int = Field(20, ge=1, le=200)
    max_output_tokens: int = Field(4000, ge=1, le=1_000_000)
    temperature: float | None = Field(None, ge=0, le=2)
    models: dict[str, str] = Field(default_factory=dict)
    """By provider id, or by kind (`openai`, `anthropic`)."""
    structured: bool = True
    """Ask the provider to hold the answer to the agent's output schema; otherwise it is only told and checked."""
    first_byte_seconds: float = Field(180, gt=0)
    """A local model may have to be loaded first."""
    chunk_seconds: float = Field(90, gt=0)
    tool_seconds: float = Field(300, gt=0)
    start_seconds: float = Field(30, gt=0)
    """For an MCP server to be ready."""
    offline: dict[str, Any] | None = None

    @classmethod
    def of(cls, config: JSON) -> Wish:
        """Read a runner's configuration; raises PermanentError with the key that is wrong."""
        known = {name: config[name] for name in cls.model_fields if config.get(name) is not None}
        if not isinstance(known.get("tools"), bool):
            listed = known.pop("tools", None) or ()  # the list that other programs read
            known = {
                "ask": ASKING_TOOL in listed,
                "delegate": not DELEGATING_TOOLS.isdisjoint(listed),
            } | known
        try:
            return cls.model_validate(known)
        except ValidationError as wrong:
            first = wrong.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise PermanentError(f"The definition's llm.{where} cannot be used: {first['msg']}") from wrong

    def model_of(self, provider_id: str, kind: str, default: str) -> str:
        """The model to ask of a provider."""
        return self.models.get(provider_id) or self.models.get(kind) or default

    @property
    def person(self) -> Person | None:
        """Whom the model may ask; None: nobody."""
        return (Person() if self.ask else None) if isinstance(self.ask, bool) else self.ask

    @property
    def agents(self) -> dict[str, str]:
        """The agents the model may hand jobs to; none unless it has the tool and its definition names some."""
        return self.delegates_to if self.delegate else {}

    @property
    def servers(self) -> dict[str, Server]:
        """The MCP servers to start: none where tools are off."""
        return self.mcp if self.tools else {}
