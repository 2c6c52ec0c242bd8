"""The real Gemini CLI, in the real box, against a local server that speaks the Gemini API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import JobError, PermanentError, RateLimitError
from tests.actors.runners.boxes import alive
from tests.doubles import RecordingContext
from tests.gemini_server import gemini_model
from tests.model_server import Model, Refuse, Say, UseTool
from tests.slow.real_clis import AtTool, Job, cancelled_while_it_sleeps, handed_back_and_run_again

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
        work = cancelled_while_it_sleeps(job(tmp_path, model), at_tool)

    assert alive(work) == []


def test_a_run_that_was_handed_back_goes_on(at_tool: AtTool, tmp_path: Path) -> None:
    with gemini_model(LIST, SLEEP, Say("Done after all.")) as model:
        result, _ = handed_back_and_run_again(job(tmp_path, model), at_tool, tmp_path)

    assert result["result"] == "Done after all."
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
