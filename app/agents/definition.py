"""An agent's definition: one markdown file with YAML front matter, in the format of Claude Code's sub-agents.

    ---
    name: security-auditor
    description: Looks for insecure code.
    tools: Read, Grep                  # kept for others; not ours
    x-callboard:                       # ours, all optional
      title, team, pool, runner, python | command | http | llm | cli: {...}
      providers: [anthropic, openai]   budget: {usd: 1.00}   watchdog: {mode: enforce, stall_seconds: 120}
      delegation: {to: [researcher]}   # the agents it may hand jobs to
      parameters: {JSON Schema}        output: {JSON Schema}      example: {...}
      produced_by: offline tools, no model
      max_concurrent: 5   rate_limit: 10/minute   timeout: 600    aliases: [auditor]
      retry: {max_retries: 3, strategy: exponential, base_seconds: 1}
    ---
    The body: instructions, or documentation for people.

The file's stem is the agent's id; unknown keys are kept. What is merely odd is read and warned about; what would
make the agent do something else than its author meant is refused, with the line.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

from jsonschema import Draft202012Validator, SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.agents import front_matter
from app.agents.front_matter import Complaint, Unreadable
from app.errors import Invalid
from app.schemas import demand_linear, demand_whole

AGENT_ID = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
EFFECT = re.compile(r"^(?=.{1,50}$)[a-z0-9]+([-_][a-z0-9]+)*$")
RATE = re.compile(r"^(\d+)/(s|second|m|minute|h|hour|d|day)$")
SECONDS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
LARGEST_FILE = 500_000
"""Characters of a whole file: more than any instructions have, little enough to keep each version and compare them."""
OURS = "x-callboard"
ANY_TEXT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 20000, "description": "What to do."}
    },
    "required": ["prompt"],
    "additionalProperties": False,
}
TASK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "title": "Task", "minLength": 1, "maxLength": 20000,
                 "description": "What is to be done."},
        "context": {"type": "string", "title": "Context", "maxLength": 100_000,
                    "description": "What there is already, and what to mind."},
        "files": {"type": "array", "title": "Files", "maxItems": 50,
                  "items": {"type": "string", "minLength": 1, "maxLength": 1000},
                  "description": "Files to look at."},
    },
    "required": ["task"],
    "additionalProperties": False,
}  # fmt: skip


class BrokenDefinition(Invalid):
    """A definition that cannot be used; says where."""

    code = "broken_definition"

    def __init__(self, agent_id: str, complaints: list[Complaint]) -> None:
        """The first complaint is the message; all of them are kept."""
        first = complaints[0]
        where = f"{first.pointer}: " if first.pointer else ""
        line = f"line {first.line}: " if first.line else ""
        super().__init__(
            f"{agent_id}: {line}{where}{first.message}",
            [(c.pointer, c.message) for c in complaints if c.pointer],
        )
        self.complaints = complaints


class Retry(BaseModel):
    """How failures of this agent are retried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_retries: int = Field(3, ge=0, le=10)
    strategy: Literal["exponential", "linear", "fixed"] = "exponential"
    base_seconds: float | None = Field(None, gt=0, le=3600)


class Allowance(BaseModel):
    """What one job may use; None means no limit of that kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: float | None = Field(None, gt=0, le=1_000_000)
    tokens: int | None = Field(None, gt=0, le=10**12)
    minutes: float | None = Field(None, gt=0, le=1440)


class Watch(BaseModel):
    """When a job that runs counts as getting nowhere, and what is done then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["off", "warn", "enforce"] = "warn"
    stall_seconds: float = Field(300, ge=1, le=86400)
    """Without a word, a token or a step for so long; the clock stands still while a tool call is in flight."""
    repeats: int = Field(5, ge=2, le=100)
    """The same tool call with the same arguments so many times among the last ten (or `repeats`, if that is more) means going in circles."""


class Delegation(BaseModel):
    """Which agents it may hand jobs to while it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Their ids or aliases; `*` is any agent."""
    recursive: bool = False
    """It may be handed a job by a job that stands, however far, below one of its own."""
    on_failure: Literal["leave", "cancel"] = "leave"
    """What becomes of jobs it handed out and that still live when its own fails for good."""


class Ours(BaseModel):
    """The keys under `x-callboard`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    title: str | None = Field(None, max_length=255)
    team: str = Field("SYSTEM", min_length=1, max_length=50)
    pool: Literal["marketing", "testing", "engineering", "general"] = "general"
    runner: Literal["python", "command", "http", "llm", "cli", "pipeline"] = "llm"
    python: dict[str, Any] | None = None
    command: dict[str, Any] | None = None
    http: dict[str, Any] | None = None
    llm: dict[str, Any] = Field(default_factory=dict)
    cli: dict[str, Any] | None = None
    pipeline: dict[str, Any] | None = None
    gate: str | dict[str, Any] | None = None
    """What its results must be like: the name of a gate, or one written here (app/quality/definition.py)."""
    effects: tuple[str, ...] = Field((), max_length=20)
    """What it does to the world outside, in words that policies ask about: publish, send, deploy, spend …"""
    permits: tuple[str, ...] = Field((), max_length=20)
    """The effects before which it asks `context.permit` itself; for others people are asked before it starts."""
    providers: list[str] | None = Field(None, min_length=1)
    budget: Allowance | None = None
    watchdog: Watch = Watch()
    delegation: Delegation | None = None
    """None: it hands out no jobs."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Without any: a task, context and files for whoever thinks (llm, cli), one text for others."""
    output: dict[str, Any] | None = None
    example: dict[str, Any] | None = None
    produced_by: str | None = Field(None, min_length=1, max_length=100)
    """What makes its results, said in each of them: for an agent whose name lets people expect a model."""
    max_concurrent: int | None = Field(5, ge=1, le=1000)
    rate_limit: str | None = None
    timeout: int | None = Field(None, ge=1, le=86400)
    retry: Retry = Retry()
    aliases: tuple[str, ...] = Field((), max_length=20)
    """Other names the agent answers to."""

    @model_validator(mode="before")
    @classmethod
    def _takes_something(cls, keys: Any) -> Any:
        if not isinstance(keys, dict) or keys.get("parameters") is not None:
            return keys
        usual = TASK if keys.get("runner", "llm") in ("llm", "cli") else ANY_TEXT
        return {**keys, "parameters": usual}

    @field_validator("parameters", "output")
    @classmethod
    def _a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as wrong:
                raise ValueError(f"not a JSON Schema: {wrong.message}") from wrong
            demand_whole(schema)
            demand_linear(schema)  # what users send is matched by it, in the process that answers everybody
        return schema

    @field_validator("rate_limit")
    @classmethod
    def _a_rate(cls, rate: str | None) -> str | None:
        if rate is not None and not (RATE.match(rate) and int(RATE.match(rate).group(1)) > 0):  # type: ignore[union-attr]
            raise ValueError("write a rate like 10/minute")
        return rate

    @field_validator("aliases", mode="before")
    @classmethod
    def _names(cls, names: Any) -> Any:
        given = [names] if isinstance(names, str) else names or []
        if not isinstance(given, list | tuple):
            raise ValueError("must be a list of names")  # noqa: TRY004 - pydantic takes only this one
        plain = tuple(str(name).strip().lower().replace("_", "-") for name in given)
        if odd := [name for name in plain if not AGENT_ID.match(name) or len(name) > 100]:
            raise ValueError(f"{odd[0]!r} is no name: letters, digits and single hyphens")
        return tuple(dict.fromkeys(plain))

    @field_validator("effects", "permits", mode="before")
    @classmethod
    def _effects(cls, words: Any) -> Any:
        given = [words] if isinstance(words, str) else words or []
        if not isinstance(given, list | tuple):
            raise ValueError("must be a list of words")  # noqa: TRY004 - pydantic takes only this one
        plain = tuple(str(word).strip().lower() for word in given)
        if odd := [word for word in plain if not EFFECT.match(word)]:
            raise ValueError(f"{odd[0]!r} is no effect: lower-case words and digits, joined by hyphens")
        return tuple(dict.fromkeys(plain))

    @model_validator(mode="after")
    def _permits_what_it_does(self) -> Ours:
        if self.permits and self.runner != "python":
            raise ValueError("permits is for agents that call context.permit themselves: runner python")
        if unknown := [effect for effect in self.permits if effect not in self.effects]:
            raise ValueError(f"permits {unknown[0]}, which is none of its effects")
        return self

    @model_validator(mode="after")
    def _runner_configured(self) -> Ours:
        if getattr(self, self.runner) is None:
            raise ValueError(f"runner {self.runner} needs its settings under the key {self.runner}:")
        if self.produced_by and self.runner in ("llm", "cli"):
            raise ValueError(
                f"produced_by is for agents without a model: runner {self.runner} says itself who answered"
            )
        return self


class Definition(BaseModel):
    """One agent as its file says."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    agent_id: str
    description: str
    instructions: str
    ours: Ours
    extra: dict[str, Any]
    """The keys of other tools; `tools` as a list, however it was written."""
    text: str
    overlay: dict[str, Any] | None = None
    warnings: tuple[Complaint, ...] = ()

    @property
    def title(self) -> str:
        """The name for people: ours, else the file's `name`, else made from the id."""
        name = str(self.extra.get("name") or "").strip()[:255]
        if self.ours.title:
            return self.ours.title
        if name and not AGENT_ID.match(name):
            return name
        return (name or self.agent_id).replace("-", " ").capitalize()

    @property
    def runner_config(self) -> dict[str, Any]:
        """The settings of its runner."""
        return getattr(self.ours, self.ours.runner) or {}

    @cached_property
    def version(self) -> str:
        """The first 16 hex digits of the SHA-256 of the file, and of the keys laid over it."""
        over = json.dumps(self.overlay, sort_keys=True, default=str) if self.overlay else ""
        return hashlib.sha256((self.text + over).encode()).hexdigest()[:16]


def parse(agent_id: str, text: str, overlay: dict[str, Any] | None = None) -> Definition:
    """Read a definition, with the keys of a sidecar (`overlay`) on top of its own.

    Raises BrokenDefinition (an Invalid), which says what is wrong with it and where.
    """
    if not AGENT_ID.match(agent_id) or len(agent_id) > 100:
        raise Invalid(f"{agent_id!r} is no agent id: lower-case letters, digits and single hyphens")
    page, own = _opened(agent_id, text)
    over = overlay or {}
    of_gate = [_of_gate(page, over, *fault) for fault in _faults_of_gate((own | over).get("gate"))]
    try:
        ours = Ours.model_validate(own | over)
    except ValidationError as wrong:
        faults = wrong.errors(include_url=False, include_context=False, include_input=False)
        raise BrokenDefinition(
            agent_id, [_fault(page, own, over, fault) for fault in faults] + of_gate
        ) from wrong
    if of_gate:
        raise BrokenDefinition(agent_id, of_gate)
    tools, odd_tools = _tools(page)
    extra = {name: value for name, value in page.keys.items() if name not in {"description", OURS}}
    return Definition(
        agent_id=agent_id,
        description=_line(page.keys.get("description")) or agent_id,
        instructions=page.body.strip(),
        ours=ours,
        extra=extra | ({"tools": tools} if tools is not None else {}),
        text=front_matter.cleaned(text),
        overlay=overlay,
        warnings=(*page.odd, *odd_tools, *_unknown(page, ours), *_unsaid(page)),
    )


def slug(stem: str) -> str:
    """The id that a file's stem means: `Lead Gen Agent` is `lead-gen-agent`; empty if nothing of it is left."""
    plain = unicodedata.normalize("NFKD", stem.casefold().removesuffix(".agent"))
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")


def _opened(agent_id: str, text: str) -> tuple[front_matter.Page, dict[str, Any]]:
    """The file taken apart, and our own keys of it."""
    if len(text) > LARGEST_FILE:
        raise BrokenDefinition(
            agent_id, [Complaint(message=f"the file is larger than {LARGEST_FILE:,} characters")]
        )
    if "\x00" in text:
        raise BrokenDefinition(agent_id, [Complaint(message="the file contains the character NUL")])
    try:
        page = front_matter.read(front_matter.cleaned(text))
    except Unreadable as wrong:
        raise BrokenDefinition(agent_id, [Complaint(message=wrong.message, line=wrong.line)]) from wrong
    own = page.keys.get(OURS)
    if own is None:
        return page, {}
    if not isinstance(own, dict):
        said = Complaint(message="must be a mapping", pointer=f"/{OURS}", line=page.line_of(OURS))
        raise BrokenDefinition(agent_id, [said])
    return page, {str(name): value for name, value in own.items()}


def _fault(page: front_matter.Page, own: dict[str, Any], over: dict[str, Any], fault: Any) -> Complaint:
    """What pydantic found, with the line if it stands in the file and not in a sidecar."""
    path = tuple(fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    if path and path[0] in over:
        return Complaint(message=f"{message} (in the sidecar)", pointer=_pointer(path))
    return Complaint(message=message, pointer=_pointer(path), line=page.line_of(OURS, *path) if own else None)


def _faults_of_gate(gate: Any) -> list[tuple[str, str]]:
    """(pointer below the key, what is wrong) for a gate that is written here, or for a name that can be none.

    Gates are imported late: most agents have none, and reading one takes a tenth of a second to get ready.
    """
    if not isinstance(gate, str | dict):
        return []  # none, or pydantic says it
    from app.quality.definition import NAME, Gate

    if isinstance(gate, str):
        said = "the name of a gate has small letters, digits and hyphens"
        return [] if NAME.fullmatch(gate) else [("", said)]
    try:
        Gate.read(gate)
    except Invalid as wrong:
        return wrong.fields
    return []


def _of_gate(page: front_matter.Page, over: dict[str, Any], below: str, message: str) -> Complaint:
    pointer = f"/{OURS}/gate{below}"
    if "gate" in over:
        return Complaint(message=f"{message} (in the sidecar)", pointer=pointer)
    path = [int(part) if part.isdecimal() else part for part in pointer.split("/")[1:]]
    return Complaint(message=message, pointer=pointer, line=page.line_of(*path))


def _pointer(path: tuple[str | int, ...]) -> str:
    return "/".join(["", OURS, *(str(part).replace("~", "~0").replace("/", "~1") for part in path)])


def _line(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _unknown(page: front_matter.Page, ours: Ours) -> Iterator[Complaint]:
    """Our keys that we do not know: kept, because a newer version may, but hardly meant."""
    known = list(Ours.model_fields)
    for name in ours.model_extra or {}:
        near = get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        yield Complaint(
            message=f"not a known key, and without effect{meant}",
            pointer=_pointer((name,)),
            line=page.line_of(OURS, name) if name in (page.keys.get(OURS) or {}) else None,
        )


def _unsaid(page: front_matter.Page) -> Iterator[Complaint]:
    if not _line(page.keys.get("description")):
        yield Complaint(message="there is no description: the id stands in for it", pointer="/description")


def _tools(page: front_matter.Page) -> tuple[list[str] | None, list[Complaint]]:
    """The tools as a list, and what was odd about how they were written; None if the file names none."""
    value = page.keys.get("tools")
    if value is None:
        return None, []
    if isinstance(value, dict):  # {read: true, bash: false}
        return [str(name) for name, on in value.items() if on], []
    odd: list[str] = []
    names: list[str] = []
    for entry in value if isinstance(value, list) else [value]:
        names += _split_tools(str(entry), odd)
    line = page.line_of("tools")
    kept = list(dict.fromkeys(name for name in names if name))
    return kept, [Complaint(message=said, pointer="/tools", line=line) for said in dict.fromkeys(odd)]


def _split_tools(text: str, odd: list[str]) -> list[str]:
    """`Read, Bash(git log:*, ls)` is two tools; `Read - x - y` was a list that YAML folded into one text."""
    names = []
    for part in re.split(r",(?![^()]*\))|\n", text):
        pieces = [piece.strip() for piece in re.split(r"(?:^|\s+)-\s+", part)]
        if len(pieces) > 1:
            odd.append("a list after a text on the same key: YAML folds them into one; both were read")
        for piece in pieces:
            name = re.sub(r"\s+\(.*\)$", "", piece)
            if name != piece:
                odd.append(f"`{piece}`: what stands in brackets is taken for a remark")
            names.append(name)
    return names


def per_second(rate: str) -> tuple[float, float]:
    """(tokens a second, burst) of a rate like 10/minute: the burst is one period's worth."""
    found = RATE.match(rate)
    if found is None:
        raise Invalid(f"write a rate like 10/minute, not {rate!r}")
    amount, unit = float(found.group(1)), SECONDS[found.group(2)]
    return amount / unit, amount
