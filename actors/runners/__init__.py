"""The ways to run an agent, by the name an agent's definition uses; each is imported when first needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from actors.runners.base import Runner
from app.errors import PermanentError

RUNNERS = {
    "command": "actors.runners.command:CommandRunner",
    "cli": "actors.runners.cli:CliRunner",
    "http": "actors.runners.http:HttpRunner",
    "llm": "actors.runners.llm:LlmRunner",
    "pipeline": "actors.runners.pipeline:PipelineRunner",
    "python": "actors.runners.python:PythonRunner",
}


@cache
def get(name: str) -> Runner:
    """The runner called `name`; raises PermanentError if there is none."""
    if name not in RUNNERS:
        raise PermanentError(f"There is no runner `{name}`; choose from {', '.join(RUNNERS)}.")
    module, _, attribute = RUNNERS[name].partition(":")
    runner: Runner = getattr(import_module(module), attribute)()
    return runner
