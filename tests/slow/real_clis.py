"""Real CLIs from npm, installed once into a cache, run as agents against a model on this machine."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from actors.runners.base import JSON, Work
from actors.runners.cli import CliRunner
from app.errors import Cancelled, Released
from tests.actors.runners.boxes import alive, work_for
from tests.doubles import RecordingContext
from tests.slow.npm import CACHE, npm

VERSIONS = {
    "claude": ("@anthropic-ai/claude-code", "2.1.197"),
    "codex": ("@openai/codex", "0.169.0"),
    "gemini": ("@google/gemini-cli", "0.61.0"),
}


def installed(name: str) -> str:
    """The path of a CLI, installed into the cache if it is not there yet."""
    package, version = VERSIONS[name]
    folder = CACHE / "clis" / f"{name}-{version}"
    program = folder / "node_modules" / ".bin" / name
    npm(folder, "install", "--prefix", str(folder), f"{package}@{version}", makes=program)
    return str(program)


@dataclass
class Job:
    """One job of a real CLI and its attempts."""

    adapter: str
    folder: Path
    config: JSON
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempts: int = 0

    def work(self, task: str = "Count the files.", **more: Any) -> Work:
        """The next attempt."""
        self.attempts += 1
        usual = {
            "adapter": self.adapter,
            "program": installed(self.adapter),
            "folder": str(self.folder / "places"),
        }
        return work_for(
            usual | self.config | more,
            {"task": task},
            job_id=self.job_id,
            attempt=self.attempts,
            idempotency_key=f"{self.job_id}:{self.attempts}",
            timeout_seconds=120.0,
            memory_mb=4096,
        )

    def run(self, context: RecordingContext, **more: Any) -> JSON:
        """Run the next attempt to its end."""
        return CliRunner().run(self.work(**more), context)

    @property
    def place(self) -> Path:
        """The job's folder."""
        return self.folder / "places" / self.job_id


def cancelled_while_it_sleeps(job: Job, at_tool: AtTool) -> Work:
    """Run a job whose tool is `sleep 300`, and cancel it when that process is there; answers the work."""
    work = job.work()

    def cancel_once_it_sleeps() -> None:
        at_tool.cancelled = any(command == "sleep 300" for command in alive(work))

    at_tool.act = cancel_once_it_sleeps
    with pytest.raises(Cancelled):
        CliRunner().run(work, at_tool)
    return work


def handed_back_and_run_again(job: Job, at_tool: AtTool, workspace: Path) -> tuple[JSON, RecordingContext]:
    """Hand a job back at its second tool call and run its next attempt; answers that one's result and context."""
    at_tool.act = lambda: setattr(at_tool, "releasing", len(at_tool.tools) == 2)
    with pytest.raises(Released):
        job.run(at_tool)
    later = RecordingContext(workspace=workspace, kept=dict(at_tool.kept))
    result = job.run(later)
    assert result["session_id"] == at_tool.pins["session_id"]
    return result, later


class AtTool(RecordingContext):
    """Does something once a tool call is in flight and its process runs."""

    act: Any = None

    def checkpoint_due(self) -> None:
        if self.act and any(tool["ok"] is None for tool in self.tools):
            self.act()
        super().checkpoint_due()
