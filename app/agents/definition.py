"""An agent's definition: one markdown file with YAML front matter, in the format of Claude Code's sub-agents.

    ---
    name: security-auditor
    description: Looks for insecure code.
    tools: Read, Grep                  # kept for others; not ours
    x-callboard:                       # ours, all optional
      title, team, pool, runner, python | command | http: {...}
      parameters: {JSON Schema}        output: {JSON Schema}      example: {...}
      max_concurrent: 5   rate_limit: 10/minute   timeout: 600
      retry: {max_retries: 3, strategy: exponential, base_seconds: 1}
    ---
    The body: instructions, or documentation for people.

The file's stem is the agent's id; unknown keys are kept.
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonschema import Draft202012Validator, SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.errors import Invalid

AGENT_ID = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
RATE = re.compile(r"^(\d+)/(s|second|m|minute|h|hour|d|day)$")
SECONDS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
LARGEST_FILE = 200_000
ANY_TEXT = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 20000, "description": "What to do."}
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


class Retry(BaseModel):
    """How failures of this agent are retried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_retries: int = Field(3, ge=0, le=10)
    strategy: Literal["exponential", "linear", "fixed"] = "exponential"
    base_seconds: float | None = Field(None, gt=0, le=3600)


class Ours(BaseModel):
    """The keys under `x-callboard`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    title: str | None = Field(None, max_length=255)
    team: str = Field("SYSTEM", max_length=50)
    pool: Literal["marketing", "testing", "engineering", "general"] = "general"
    runner: Literal["python", "command", "http"]
    python: dict[str, Any] | None = None
    command: dict[str, Any] | None = None
    http: dict[str, Any] | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: dict(ANY_TEXT))
    output: dict[str, Any] | None = None
    example: dict[str, Any] | None = None
    max_concurrent: int | None = Field(5, ge=1, le=1000)
    rate_limit: str | None = None
    timeout: int | None = Field(None, ge=1, le=86400)
    retry: Retry = Retry()

    @field_validator("parameters", "output")
    @classmethod
    def _a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as wrong:
                raise ValueError(f"not a JSON Schema: {wrong.message}") from wrong
        return schema

    @field_validator("rate_limit")
    @classmethod
    def _a_rate(cls, rate: str | None) -> str | None:
        if rate is not None and not (RATE.match(rate) and int(RATE.match(rate).group(1)) > 0):  # type: ignore[union-attr]
            raise ValueError("write a rate like 10/minute")
        return rate

    @model_validator(mode="after")
    def _runner_configured(self) -> Ours:
        if getattr(self, self.runner) is None:
            raise ValueError(f"runner {self.runner} needs its settings under the key {self.runner}:")
        return self


class Definition(BaseModel):
    """One agent as its file says."""

    model_config = ConfigDict(frozen=True)

    agent_id: str
    description: str
    instructions: str
    ours: Ours
    extra: dict[str, Any]
    text: str

    @property
    def title(self) -> str:
        """The name for people."""
        return self.ours.title or self.agent_id.replace("-", " ").capitalize()

    @property
    def runner_config(self) -> dict[str, Any]:
        """The settings of its runner."""
        return getattr(self.ours, self.ours.runner) or {}

    @cached_property
    def version(self) -> str:
        """The first 16 hex digits of the file's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def parse(agent_id: str, text: str) -> Definition:
    """Read a definition; Invalid names what is wrong with it and where."""
    if not AGENT_ID.match(agent_id) or len(agent_id) > 100:
        raise Invalid(f"{agent_id!r} is no agent id: lower-case letters, digits and single hyphens")
    if len(text) > LARGEST_FILE:
        raise Invalid(f"the definition of {agent_id} is larger than {LARGEST_FILE} characters")
    front, body = _split(agent_id, text)
    try:
        return Definition(
            agent_id=agent_id,
            description=str(front.get("description") or "").strip() or agent_id,
            instructions=body.strip(),
            ours=Ours.model_validate(front.get("x-callboard") or {}),
            extra={k: v for k, v in front.items() if k not in {"description", "x-callboard"}},
            text=text,
        )
    except ValidationError as wrong:
        fields = [("/x-callboard/" + "/".join(map(str, e["loc"])), e["msg"]) for e in wrong.errors()]
        raise Invalid(f"{agent_id}: {fields[0][0]}: {fields[0][1]}", fields) from wrong


def _split(agent_id: str, text: str) -> tuple[dict[str, Any], str]:
    parts = re.split(r"^---[ \t]*\r?$", text, maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        raise Invalid(f"{agent_id}: the file must begin with front matter between two lines of ---")
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError as wrong:
        raise Invalid(f"{agent_id}: the front matter is not YAML: {wrong}") from wrong
    if not isinstance(front, dict):
        raise Invalid(f"{agent_id}: the front matter must be a mapping")
    return front, parts[2]


def read_folder(folder: Path) -> list[Definition]:
    """Every `*.md` of a folder, sorted by id; the first broken file raises Invalid with its name."""
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.md"))]


def per_second(rate: str) -> tuple[float, float]:
    """(tokens a second, burst) of a rate like 10/minute: the burst is one period's worth."""
    found = RATE.match(rate)
    if found is None:
        raise Invalid(f"write a rate like 10/minute, not {rate!r}")
    amount, unit = float(found.group(1)), SECONDS[found.group(2)]
    return amount / unit, amount
