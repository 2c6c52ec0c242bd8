"""The context of a check: what it uses is the job's, what it says is not the agent's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.runners.base import JSON, Context, ProviderDesk
from app.budgets.usage import Usage
from app.errors import TemporaryError


class Aside:
    """Stops with the attempt, or after its own time; meters, logs and asks providers like it.

    Progress, results, the agent's checkpoint and what the attempt is said to have run with stay the agent's.
    """

    def __init__(self, context: Context, *, name: str, seconds: float, folder: Path | None = None) -> None:
        """`name` tells its model calls from all others; `folder` is its workspace, if it needs one."""
        self.context, self.name, self.seconds, self.folder = context, name, seconds, folder
        self.until = time.monotonic() + seconds
        self._kept: JSON = {}

    @property
    def workspace(self) -> Path:
        """A folder of its own."""
        return self.folder or self.context.workspace

    @property
    def providers(self) -> ProviderDesk:
        """As the attempt has them."""
        return self.context.providers

    @property
    def cancelled(self) -> bool:
        """As of the attempt."""
        return self.context.cancelled

    @property
    def releasing(self) -> bool:
        """As of the attempt."""
        return self.context.releasing

    @property
    def draining(self) -> bool:
        """As of the attempt."""
        return self.context.draining

    @property
    def remaining_seconds(self) -> float:
        """To the end of the attempt, or of the check's own time."""
        return min(self.context.remaining_seconds, self.until - time.monotonic())

    def checkpoint_due(self) -> None:
        """As the attempt has it; TemporaryError once the check's own time is over."""
        self.context.checkpoint_due()
        if time.monotonic() > self.until:
            raise TemporaryError(f"it took more than {self.seconds:g} s")

    def log(self, message: str, *, level: str = "info", source: str = "", **data: Any) -> None:  # noqa: ARG002 - whoever says it, it is the check's
        """Into the job's log, where it is told apart from the agent's."""
        said = "debug" if level == "info" else level
        self.context.log(f"{self.name}: {message}", level=said, source="quality", **data)

    def event(self, kind: str, message: str, *, level: str = "info", **data: Any) -> None:
        """Only what providers did is part of the job's story."""
        if kind == "provider":
            self.context.event(kind, f"{self.name}: {message}", level=level, **data)

    def meter(self, usage: Usage) -> None:
        """Part of what the job uses, as calls of its own."""
        self.context.meter(replace(usage, call_id=f"{self.name}:{usage.call_id}"))

    def checkpoint(self, state: JSON | None = None) -> JSON:
        """Kept for as long as the check takes."""
        if state is not None:
            self._kept = dict(state)
        return dict(self._kept)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Whatever else an agent says (progress, stage, pin, partial, process_started …) is not for checks to say."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_args, **_kwargs: None
