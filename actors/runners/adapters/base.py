"""What the runner needs of each CLI: an argument list, an environment, and a reader of its stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from actors.runners.adapters.heard import Final, Heard, Noise, Other, Spent
from actors.runners.base import JSON
from app.errors import JobError, PermanentError, RateLimitError, StoppedByBudget, TemporaryError

SUMMARY_CHARS = 120
TELLING = (
    "command", "cmd", "file_path", "path", "absolute_path", "pattern", "query", "url", "description", "prompt",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Account:
    """On whose account the CLI works: a key in `given`, a login kept in `folder`, or nobody's."""

    kind: str
    """`api`, `subscription` or `none`."""
    given: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that must not be kept or shown."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One run of a CLI."""

    prompt: str
    instructions: str
    workspace: Path
    """Its current folder."""
    home: Path
    """A folder for what it keeps itself; the same for all attempts of a job on this machine."""
    session_id: str | None
    """The session to go on with if `resume`, else the id for a new one, if this CLI takes one."""
    resume: bool
    config: JSON
    parameters: JSON
    account: Account
    output_schema: JSON | None = None
    budget_usd: float | None = None

    @property
    def program(self) -> str:
        """What to start."""
        return str(self.config["program"])

    @property
    def model(self) -> str | None:
        """The model that was asked for; None: the CLI's own choice."""
        wanted = self.config.get("model")
        return str(wanted) if wanted and wanted != "inherit" else None

    @property
    def extra(self) -> list[str]:
        """Arguments that the agent's definition adds."""
        return [str(element) for element in self.config.get("args") or ()]

    @property
    def whole_prompt(self) -> str:
        """The instructions and the task in one, for CLIs without a place for instructions."""
        if self.resume or not self.instructions:
            return self.prompt
        return f"{self.instructions}\n\n---\n\n{self.prompt}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a CLI wrote down of a session: the model, and what all its runs used until now."""

    model: str | None = None
    totals: JSON | None = None


class Reader:
    """Translates one run's stream, line by line; knows nothing of jobs and does nothing but remember.

    A subclass has a method `on_TYPE` for each type of event; everything unknown is Other.
    """

    def __init__(self, order: Order, counters: JSON | None = None) -> None:
        """`counters`: what the session's run before this one left in its Final."""
        self.order = order
        self.counters = counters or {}
        self.final: Final | None = None

    def read(self, line: str) -> Iterable[Heard]:
        """What `line` says; never raises, whatever is in it."""
        event = self.event_of(line)
        if event is None:
            return [Noise(line)] if line.strip() else []
        kind = str(event.get("type"))
        act = getattr(self, "on_" + kind.replace(".", "_").replace("-", "_"), None)
        try:
            heard = list(act(event)) if act else [Other(kind)]
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):  # no version we know of
            return [Other(kind)]
        self.final = next((said for said in heard if isinstance(said, Final)), self.final)
        return heard

    def read_error(self, line: str) -> Iterable[Heard]:
        """What a line on standard error says."""
        return [Noise(line)] if line.strip() else []

    def spent(self, totals: JSON, model: str | None) -> Spent | None:
        """This run's part of what its session used in all; None for CLIs that keep no such figures."""
        return None

    def end(self, exit_code: int) -> Iterable[Heard]:
        """What the end of the program says: for CLIs whose last word is their exit code."""
        return ()

    def event_of(self, line: str) -> JSON | None:
        """The event in `line`; None if it is none."""
        if not line.lstrip().startswith("{"):
            return None
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return event if isinstance(event, dict) and "type" in event else None


class Adapter:
    """One CLI. Everything is pure but `prepare` and `afterwards`, which touch files in the order's home only."""

    name: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str] = ""
    provider: ClassVar[str] = "other"
    package: ClassVar[str] = ""
    """The npm package it comes in."""
    least_version: ClassVar[tuple[int, ...]] = ()
    keys: ClassVar[tuple[str, ...]] = ()
    """Variables that hold an API key."""
    tokens: ClassVar[tuple[str, ...]] = ()
    """Variables that hold a subscription's token."""
    settings: ClassVar[tuple[str, ...]] = ()
    """Other variables of the worker that the CLI gets if they are set."""
    login_variable: ClassVar[str] = ""
    """The variable that names the folder of a login."""
    login_folder: ClassVar[str] = ""
    """Where that is without the variable, below the worker's home."""
    login_files: ClassVar[tuple[str, ...]] = ()
    way_in: ClassVar[str] = ""
    """What to do to give it an account, in words."""
    names_sessions: ClassVar[bool] = False
    """Whether a new session can be given an id."""
    resumes: ClassVar[bool] = True
    judges_exit_code: ClassVar[bool] = False
    """Whether its reader makes the last word out of the exit code; else only 0 is a success."""
    reader: ClassVar[type[Reader]] = Reader
    lost_session: ClassVar[tuple[str, ...]] = ()
    """What it says when a session cannot be gone on with, or its id is taken."""

    def argv(self, order: Order) -> list[str]:
        """The argument list, program first."""
        raise NotImplementedError

    def stdin(self, order: Order) -> str:
        """What it reads; the prompt, so that no length and no leading dash can do harm."""
        return order.prompt

    def environment(self, order: Order) -> dict[str, str]:
        """Variables besides the usual ones and the account's."""
        return {}

    def billing(self, folder: Path) -> str:
        """What a login in `folder` is charged to: `subscription`, or `api` if it is but a key."""
        return "subscription"

    def prepare(self, order: Order) -> None:
        """Write the files it needs into its home."""

    def afterwards(self, order: Order, session_id: str | None) -> Record:
        """What it wrote down in its own files and did not say."""
        return Record()

    def failure(self, final: Final) -> JobError:
        """The error that a final word of failure means."""
        return failure_of(self, final)


def failure_of(adapter: Adapter, final: Final) -> JobError:
    """The error for `final`, by its reason and the status of the provider's answer."""
    said = final.text.strip()[:1000] or final.reason or "no reason was given"
    message = f"{adapter.title}: {said}"
    details: dict[str, object] = {"reason": final.reason, "status": final.status}
    if final.reason == "error_max_turns":
        return PermanentError(f"{message} It needs more turns, or a smaller task.", details=details)
    if final.reason == "error_max_budget_usd":
        return StoppedByBudget(message, details=details)
    if final.status in {401, 403}:
        return PermanentError(f"{message} {adapter.way_in}", details=details)
    if final.status == 429:
        return RateLimitError(message, retry_after=final.retry_after, details=details)
    if final.status and 400 <= final.status < 500 and final.status not in {408, 409, 425}:
        return PermanentError(message, details=details)
    return TemporaryError(message, retry_after=final.retry_after, details=details)


def summary_of(arguments: Any) -> str:
    """A tool call's arguments in a few words: what tells most, else all of them."""
    if isinstance(arguments, dict):
        telling = next((arguments[key] for key in TELLING if isinstance(arguments.get(key), str)), None)
        arguments = telling or (json.dumps(arguments, ensure_ascii=False) if arguments else "")
    return shortened(str(arguments))


def shortened(text: str, most: int = SUMMARY_CHARS) -> str:
    """`text` on one line, cut after `most` characters."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"
