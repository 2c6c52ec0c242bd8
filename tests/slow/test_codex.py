"""The real Codex, in the real box, against a local server that speaks the OpenAI Responses API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import JobError, PermanentError, RateLimitError
from tests.actors.runners.boxes import alive
from tests.doubles import RecordingContext
from tests.model_server import Model, Refuse, Say, UseTool
from tests.openai_responses_server import responses_model
from tests.slow.real_clis import AtTool, Job, cancelled_while_it_sleeps, handed_back_and_run_again

LIST = UseTool("exec_command", {"cmd": "echo hi > made.txt; ls"}, text="I look around.")
SLEEP = UseTool("exec_command", {"cmd": "setsid sleep 300", "yield_time_ms": 30_000})


def job(folder: Path, model: Model, **config: Any) -> Job:
    return Job(
        "codex",
        folder,
        {
            "model": "gpt-5.1-codex",
            "env": {"OPENAI_BASE_URL": f"{model.url}/v1"},
            "secrets": {"OPENAI_API_KEY": "sk-test"},
        }
        | config,
    )


def test_a_tool_call_in_its_own_sandbox(context: RecordingContext, tmp_path: Path) -> None:
    with responses_model(LIST, Say("One file.")) as model:
        result = job(tmp_path, model, instructions="Be brief.").run(context)

    assert result["result"] == "One file."
    assert result["files_changed"] == ["made.txt"]
    assert [(tool["name"], tool["ok"]) for tool in context.tools] == [("shell", True)]
    (usage,) = context.metered.values()
    assert (usage.model, usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (
        *("gpt-5.1-codex", 2200, 400, 100),
    )
    assert "Be brief." in json.dumps(model.asked[0]["input"])


def test_it_cannot_write_elsewhere(context: RecordingContext, tmp_path: Path) -> None:
    outside = Path.home() / "callboard-codex-escape"
    with responses_model(UseTool("exec_command", {"cmd": f"touch {outside}"}), Say("No.")) as model:
        job(tmp_path, model).run(context)

    # Codex tells no event of a command that was over at once; what the model heard of it is always there.
    assert "Read-only file system" in json.dumps(model.asked[1]["input"])
    assert [tool["ok"] for tool in context.tools] in ([], [False])
    assert not outside.exists()


def test_a_cancel_while_a_tool_runs_leaves_nobody(at_tool: AtTool, tmp_path: Path) -> None:
    with responses_model(SLEEP, Say("Never.")) as model:
        work = cancelled_while_it_sleeps(job(tmp_path, model), at_tool)

    assert alive(work) == []


def test_a_run_that_was_handed_back_goes_on(at_tool: AtTool, tmp_path: Path) -> None:
    with responses_model(LIST, SLEEP, Say("Done after all.")) as model:
        result, later = handed_back_and_run_again(job(tmp_path, model), at_tool, tmp_path)

    assert result["result"] == "Done after all."
    assert "I look around." in json.dumps(model.asked[-1]["input"])
    (before,), (after,) = at_tool.metered.values(), later.metered.values()
    assert before.tokens >= 1460  # the first response; of the one that was cut off Codex wrote down nothing
    assert after.tokens == 1240  # its own response only, though Codex counts the whole thread


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refuse(401, "invalid_request_error", "bad key"), PermanentError),
        (Refuse(429, "rate_limit_error", "slow down"), RateLimitError),
    ],
)
def test_a_refusal_is_callboards_to_retry(
    context: RecordingContext, tmp_path: Path, refusal: Refuse, kind: type[JobError]
) -> None:
    with responses_model(refusal) as model, pytest.raises(kind) as caught:
        job(tmp_path, model).run(context)

    assert type(caught.value) is kind
    assert len(model.asked) == 1
