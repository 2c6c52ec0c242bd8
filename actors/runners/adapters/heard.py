"""The small vocabulary into which every CLI's stream is translated."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from actors.runners.base import JSON


@dataclass(frozen=True, kw_only=True)
class Session:
    """The CLI named its session: it has begun."""

    session_id: str
    model: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Text:
    """The model said something. With `more` it goes on with what was said before."""

    text: str
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolStarted:
    """A tool call is in flight."""

    call_id: str
    name: str
    arguments: JSON | str
    summary: str


@dataclass(frozen=True, kw_only=True)
class ToolEnded:
    """A tool call is over."""

    call_id: str
    ok: bool
    summary: str


@dataclass(frozen=True)
class ProviderRetry:
    """The CLI waits for its provider, or says that something is wrong there."""

    message: str
    data: JSON = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What this run has used of one model until now: cumulative over the run, never over the session.

    `input_tokens` excludes what was read from or written to a cache. `reported`: these are the CLI's own
    figures at the end of the run, not a sum of what was heard.
    """

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None
    reported: bool = False

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, kw_only=True)
class Final:
    """The CLI's last word. Without one a run was cut off, whatever its exit code is."""

    ok: bool
    text: str = ""
    structured: JSON | None = None
    turns: int | None = None
    status: int | None = None
    """The HTTP status with which the provider refused."""
    reason: str = ""
    """The CLI's own word for how it ended, like `error_max_turns`."""
    retry_after: float | None = None
    denials: tuple[JSON, ...] = ()
    counters: JSON = field(default_factory=dict)
    """What a later run of this session needs to know to tell its own usage from this run's."""


@dataclass(frozen=True)
class Noise:
    """A line that is no event: kept in the log, means nothing."""

    text: str


@dataclass(frozen=True)
class Other:
    """An event that is of no interest to a job's story."""

    kind: str


Heard = Session | Text | ToolStarted | ToolEnded | ProviderRetry | Spent | Final | Noise | Other
