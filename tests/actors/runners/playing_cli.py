"""What the tests of CLI agents share: a score for the scripted CLI, and a work that runs it."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.runners.base import JSON, Work
from actors.runners.cli import CliRunner
from app.settings import ROOT
from tests.actors.runners.boxes import work_for
from tests.doubles import RecordingContext

STREAMS = Path(__file__).parent / "streams"
ALL = {"play": "claude-tool.jsonl"}
UNTIL_THE_TOOL = {"play": "claude-cut-off.jsonl"}
HANG = {"hang": True}
TOOL = {"tool": 300}


@dataclass
class Stage:
    """One job with a scripted CLI: its score, its folder, its attempts."""

    folder: Path
    runs: list[list[JSON]]
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempts: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.play(*self.runs)
        self.program = self.folder / "scripted"
        self.program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/scripted_cli.py" "$@"\n', encoding="utf-8"
        )
        self.program.chmod(0o700)

    def play(self, *runs: list[JSON]) -> None:
        """What the next starts do; those that were count."""
        (self.folder / "score.json").write_text(json.dumps(list(runs)), encoding="utf-8")

    def work(self, parameters: JSON | None = None, **config: Any) -> Work:
        """The next attempt."""
        self.attempts += 1
        usual = {
            "adapter": "claude",
            "program": str(self.program),
            "args": ["--score", str(self.folder)],
            "folder": str(self.folder / "places"),
            "secrets": {
                "ANTHROPIC_API_KEY": "sk-test",
                "OPENAI_API_KEY": "sk-test",
                "GEMINI_API_KEY": "k-test",
            },
        }
        return work_for(
            usual | config,
            parameters or {"task": "Count the files."},
            job_id=self.job_id,
            attempt=self.attempts,
            idempotency_key=f"{self.job_id}:{self.attempts}",
        )

    def run(self, context: RecordingContext, parameters: JSON | None = None, **config: Any) -> JSON:
        """Run the next attempt to its end."""
        return CliRunner().run(self.work(parameters, **config), context)

    def call(self, number: int) -> dict[str, Any]:
        """How the CLI was started: argv, stdin, env, cwd."""
        found: dict[str, Any] = json.loads((self.folder / f"call-{number}.json").read_text())
        return found

    @property
    def place(self) -> Path:
        """The job's folder."""
        return self.folder / "places" / self.job_id
