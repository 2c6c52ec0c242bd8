"""Put an agent to work in a test: its roots, its parameters, a context that writes everything down."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from actors.runners.base import JSON, Work
from app.agents.definition import Definition, parse
from tests.doubles import RecordingContext

PROJECT = Path(__file__).parents[3]
EXAMPLES = PROJECT / "examples"
CATALOG = PROJECT / "app" / "agents" / "catalog"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """`root` is a workspace and execute root, besides the examples."""

    root: Path
    context: RecordingContext

    def run(self, agent: str, **parameters: Any) -> JSON:
        """Check the parameters as the API would, run the agent, check its result against its schema."""
        ours = definition(agent).ours
        jsonschema.validate(parameters, ours.parameters)
        self._clear_workspace()
        roots = [str(EXAMPLES), str(self.root)]
        work = Work(
            job_id="job",
            attempt=1,
            agent_id=agent,
            parameters=parameters,
            config={"workspace_roots": roots, "execute_roots": roots, "pytest_plugins": "none"},
            timeout_seconds=60,
            soft_seconds=50,
            memory_mb=1024,
            idempotency_key="job:1",
        )
        assert ours.python
        module, name = ours.python["call"].split(":")
        result: JSON = getattr(importlib.import_module(module), name)(work, self.context)
        said = {"produced_by": ours.produced_by} if ours.produced_by else {}
        jsonschema.validate(result | said, ours.output)  # as actors/execute.py keeps it
        return result

    def _clear_workspace(self) -> None:
        """Each attempt gets an empty one."""
        shutil.rmtree(self.context.workspace)
        self.context.workspace.mkdir()

    def write(self, files: dict[str, str]) -> None:
        """Files below the root, by path."""
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)

    def git(self, *arguments: str, folder: str = ".") -> str:
        """A git command in a folder below the root, with an author and nobody's configuration."""
        roles = [(role, what) for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        who = {f"GIT_{role}_{what}": f"{what.lower()}@example.test" for role, what in roles}
        nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        env = {"PATH": os.environ["PATH"], **nobody, **who}
        argv = ["git", "-C", str(self.root / folder), *arguments]
        return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout

    def commit(self, message: str, *, folder: str = ".", tag: str | None = None) -> None:
        """Commit everything in the folder, making it a checkout first if it is none."""
        if not (self.root / folder / ".git").exists():
            self.git("init", "-q", "-b", "main", folder=folder)
        self.git("add", "-A", folder=folder)
        self.git("commit", "-q", "--allow-empty", "-m", message, folder=folder)
        if tag:
            self.git("tag", "-a", tag, "-m", tag, folder=folder)


def definition(agent: str) -> Definition:
    """The agent as the catalog has it."""
    path = CATALOG / f"{agent}.md"
    return parse(path.stem, path.read_text())
