"""The real Gemini CLI, in the real box, against a local server that speaks the Gemini API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors.runners.cli import CliRunner
from app.errors import Cancelled, JobError, PermanentError, RateLimitError, Released
from tests.actors.runners.boxes import alive
from tests.doubles import RecordingContext
from tests.gemini_server import gemini_model
from tests.model_server import Model, Refuse, Say, UseTool
from tests.slow.real_clis import AtTool, Job

LIST = UseTool("run_shell_command", {"command": "echo hi > made.txt; ls"}, text="I look around.")
SLEEP = UseTool("run_shell_command", {"command": "setsid sleep 300"})


def job(folder: Path, model: Model, **config: Any) -> Job:
    return Job(
        "gemini",
        folder,
        {
            "model": "gemini-2.5-pro",
            "permission_mode": "yolo",
            "env": {"GOOGLE_GEMINI_BASE_URL": model.url},
            "secrets": {"GEMINI_API_KEY": "k-test"},
        }
        | config,
    )


def test_a_tool_call(context: RecordingContext, tmp_path: Path) -> None:
    with gemini_model(LIST, Say("One file.")) as model:
        result = job(tmp_path, model, instructions="Be brief.").run(context)

    assert result["result"] == "One file."
    assert result["files_changed"] == ["made.txt"]
    assert [(tool["name"], tool["ok"]) for tool in context.tools] == [("run_shell_command", True)]
    (usage,) = context.metered.values()
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (2200, 400, 100)
    assert "Be brief." in json.dumps(model.asked[0]["contents"])


def test_a_cancel_while_a_tool_runs_leaves_nobody(at_tool: AtTool, tmp_path: Path) -> None:
    with gemini_model(SLEEP, Say("Never.")) as model:
        work = job(tmp_path, model).work()

        def cancel_once_it_sleeps() -> None:
            at_tool.cancelled = any(command == "sleep 300" for command in alive(work))

        at_tool.act = cancel_once_it_sleeps
        with pytest.raises(Cancelled):
            CliRunner().run(work, at_tool)

    assert alive(work) == []


def test_a_run_that_was_handed_back_goes_on(at_tool: AtTool, tmp_path: Path) -> None:
    with gemini_model(LIST, SLEEP, Say("Done after all.")) as model:
        interrupted = job(tmp_path, model)
        at_tool.act = lambda: setattr(at_tool, "releasing", len(at_tool.tools) == 2)
        with pytest.raises(Released):
            interrupted.run(at_tool)
        later = RecordingContext(workspace=tmp_path, kept=dict(at_tool.kept))
        result = interrupted.run(later)

    assert result["result"] == "Done after all."
    assert result["session_id"] == at_tool.pins["session_id"]
    assert "I look around." in json.dumps(model.asked[-1]["contents"])


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refuse(401, "UNAUTHENTICATED", "bad key"), PermanentError),
        (Refuse(429, "RESOURCE_EXHAUSTED", "slow down"), RateLimitError),
    ],
)
def test_a_refusal_is_callboards_to_retry(
    context: RecordingContext, tmp_path: Path, refusal: Refuse, kind: type[JobError]
) -> None:
    with gemini_model(refusal) as model, pytest.raises(kind) as caught:
        job(tmp_path, model).run(context)

    assert type(caught.value) is kind
    assert len(model.asked) == 1
