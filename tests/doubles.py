"""Stand-ins for what surrounds a runner or an agent: they keep what was said so that a test can look."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.runners.base import JSON, Answer, ProviderDesk
from app.budgets.usage import Usage
from app.errors import Asked, AttemptTimeout, Cancelled, JobError, NotPermitted, PermanentError, Released


@dataclass(kw_only=True)
class RecordingContext:
    """A Context that writes everything down. `cancel_at_progress` asks for the stop once that percent is said."""

    workspace: Path
    timeout_seconds: float = 120.0
    max_artifact_bytes: int = 20_000_000
    cancel_at_progress: float | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)
    steps: list[tuple[float, str | None]] = field(default_factory=list)
    stages: list[tuple[str, str | None]] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    media_types: dict[str, str | None] = field(default_factory=dict)
    amounts: dict[str, float] = field(default_factory=dict)
    kept: JSON = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)
    cancelled: bool = False
    releasing: bool = False
    draining: bool = False
    started: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    metered: dict[str, Usage] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    partial_result: JSON | None = None
    desk: ProviderDesk | None = None
    others: dict[str, bytes] = field(default_factory=dict)
    """What other jobs left, for `fetch`."""
    stop_error: JobError | None = None
    """Raised by the next checkpoint, as the purse and the watchdog would have it."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """What people say, by question; what is not here is asked (Asked)."""
    asked: list[JSON] = field(default_factory=list)
    asked_permits: list[tuple[str, str, Any]] = field(default_factory=list)
    refused_effects: tuple[str, ...] = ()

    def ask(self, question: str, **more: Any) -> Answer:
        self.asked.append({"question": question} | more)
        if question not in self.answers:
            raise Asked({"question": question} | more)
        return self.answers[question]

    def permit(self, effect: str, question: str, *, shown: Any = None) -> None:
        self.asked_permits.append((effect, question, shown))
        if effect in self.refused_effects:
            raise NotPermitted(f"not permitted: {effect}")

    def stop_due(self) -> None:
        self.checkpoint_due()

    def event(self, kind: str, message: str, *, level: str = "info", **data: Any) -> None:
        self.events.append({"kind": kind, "message": message, "level": level, "data": data})

    def tool_started(self, call_id: str, name: str, arguments: JSON | str, summary: str = "") -> None:
        self.tools.append(
            {"call_id": call_id, "name": name, "arguments": arguments, "summary": summary, "ok": None}
        )

    def tool_ended(self, call_id: str, *, ok: bool = True, summary: str = "") -> None:
        for tool in self.tools:
            if tool["call_id"] == call_id:
                tool |= {"ok": ok, "answer": summary}

    def meter(self, usage: Usage) -> None:
        self.metered[usage.call_id] = usage

    def pin(self, **ran_with: str) -> None:
        self.pins |= ran_with

    def partial(self, result: JSON) -> None:
        self.partial_result = result

    @property
    def providers(self) -> ProviderDesk:
        assert self.desk is not None, "this test gave no desk"
        return self.desk

    def fetch(self, reference: str) -> Path | None:
        if reference not in self.others:
            return None
        place = self.workspace / "fetched" / reference
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(self.others[reference])
        return place

    def log(self, message: str, *, level: str = "info", source: str = "agent", **data: Any) -> None:
        self.logs.append({"message": message, "level": level, "source": source, "data": data})

    def progress(self, percent: float, step: str | None = None) -> None:
        self.steps.append((percent, step))
        if self.cancel_at_progress is not None and percent >= self.cancel_at_progress:
            self.cancelled = True

    def stage(self, name: str, step: str | None = None) -> None:
        self.stages.append((name, step))

    def usage(self, **amounts: float) -> None:
        for unit, amount in amounts.items():
            self.amounts[unit] = self.amounts.get(unit, 0) + amount

    def artifact(self, name: str, content: bytes | Path, media_type: str | None = None) -> str:
        kept = content.read_bytes() if isinstance(content, Path) else content
        if len(kept) > self.max_artifact_bytes:
            message = f"The artifact {name} is larger than {self.max_artifact_bytes} bytes."
            raise PermanentError(message)
        self.artifacts[name] = kept
        self.media_types[name] = media_type
        return f"artifact-{len(self.artifacts)}"

    def checkpoint(self, state: JSON | None = None) -> JSON:
        if state is not None:
            self.kept = dict(state)
        return self.kept

    def checkpoint_due(self) -> None:
        if self.cancelled:
            raise Cancelled
        if self.releasing:
            raise Released
        if self.remaining_seconds <= 0:
            raise AttemptTimeout
        if self.stop_error is not None:
            raise self.stop_error

    def process_started(self, pid: int) -> None:
        self.pids.append(pid)

    @property
    def remaining_seconds(self) -> float:
        return self.timeout_seconds - (time.monotonic() - self.started)

    @property
    def said(self) -> str:
        """All log messages, one a line."""
        return "\n".join(line["message"] for line in self.logs)

    @property
    def percents(self) -> list[float]:
        """Progress in the order it was said."""
        return [percent for percent, _ in self.steps]
