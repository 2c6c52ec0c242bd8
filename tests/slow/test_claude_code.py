"""The real Claude Code, in the real box, against a local server that speaks the Anthropic Messages API."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.errors import (
    JobError,
    PermanentError,
    RateLimitError,
    StoppedByBudget,
    TemporaryError,
)
from tests.actors.runners.boxes import alive
from tests.anthropic_server import anthropic_model
from tests.doubles import RecordingContext
from tests.model_server import Hang, Model, Refuse, Say, UseTool
from tests.slow.real_clis import AtTool, Job, cancelled_while_it_sleeps, handed_back_and_run_again

MODEL = "claude-sonnet-4-5"
LIST = UseTool("Bash", {"command": "echo hi > made.txt; ls", "description": "List"}, text="I look around.")
SLEEP = UseTool("Bash", {"command": "setsid sleep 300", "description": "Wait", "timeout": 400_000})


def job(folder: Path, model: Model, **config: Any) -> Job:
    return Job(
        "claude",
        folder,
        {
            "model": MODEL,
            "env": {"ANTHROPIC_BASE_URL": model.url},
            "secrets": {"ANTHROPIC_API_KEY": "sk-ant-test"},
            "allowed_tools": ["Bash"],
        }
        | config,
    )


def test_a_run(context: RecordingContext, tmp_path: Path) -> None:
    with anthropic_model(Say("There are no files.")) as model:
        result = job(tmp_path, model, instructions="Be as brief as a telegram.").run(context)

    assert (result["result"], result["turns"], result["files_changed"]) == ("There are no files.", 1, [])
    (request,) = model.asked
    assert request["model"] == MODEL
    assert "Be as brief as a telegram." in json.dumps(request["system"])
    assert "Count the files." in json.dumps(request["messages"])
    (usage,) = context.metered.values()
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (1000, 200, 40)
    assert (usage.cost_usd, usage.cost_status) == (Decimal("0.00366"), "reported")
    assert context.pins["cli_version"] == "2.1.197"


def test_a_tool_call(context: RecordingContext, tmp_path: Path) -> None:
    with anthropic_model(LIST, Say("One file.")) as model:
        result = job(tmp_path, model).run(context)

    assert result["files_changed"] == ["made.txt"]
    assert context.artifacts["made.txt"] == b"hi\n"
    assert [(tool["name"], tool["ok"], tool["answer"]) for tool in context.tools] == [
        ("Bash", True, "made.txt")
    ]
    assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (2200, 100)
    assert len(model.asked) == 2


def test_a_tool_that_is_not_allowed(context: RecordingContext, tmp_path: Path) -> None:
    touch = UseTool("Bash", {"command": "touch made.txt", "description": "Touch"})
    with anthropic_model(touch, Say("I may not.")) as model:
        result = job(tmp_path, model, allowed_tools=[], permission_mode="default").run(context)

    assert [denial["tool_name"] for denial in result["permission_denials"]] == ["Bash"]
    assert result["files_changed"] == []


def test_a_cancel_while_a_tool_runs_leaves_nobody(at_tool: AtTool, tmp_path: Path) -> None:
    with anthropic_model(SLEEP, Say("Never.")) as model:
        sleeping = job(tmp_path, model)
        work = cancelled_while_it_sleeps(sleeping, at_tool)

    assert alive(work) == []
    assert not sleeping.place.exists()
    (usage,) = at_tool.metered.values()
    assert (usage.output_tokens, usage.cost_status, usage.final) == (60, "derived", True)


def test_a_run_that_was_handed_back_goes_on(at_tool: AtTool, tmp_path: Path) -> None:
    with anthropic_model(LIST, SLEEP, Say("Done after all.")) as model:
        result, later = handed_back_and_run_again(job(tmp_path, model), at_tool, tmp_path)

    assert result["result"] == "Done after all."
    told = json.dumps(model.asked[-1]["messages"])
    assert "I look around." in told  # the conversation until then
    assert "You were interrupted" in told
    (usage,) = later.metered.values()
    assert (usage.input_tokens, usage.output_tokens) == (1000, 40)


def test_a_stream_that_hangs_is_ended_by_the_time_limit(context: RecordingContext, tmp_path: Path) -> None:
    with anthropic_model(Hang()) as model:
        hanging = job(tmp_path, model)
        context.timeout_seconds = 4.0
        with pytest.raises(JobError) as caught:
            hanging.run(context)

    assert caught.value.code == "timeout"
    (usage,) = context.metered.values()
    assert usage.input_tokens == 700


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refuse(401, "authentication_error", "invalid x-api-key"), PermanentError),
        (Refuse(429, "rate_limit_error", "slow down", {"retry-after": "1"}), RateLimitError),
        (Refuse(529, "overloaded_error", "Overloaded"), TemporaryError),
    ],
)
def test_a_refusal_is_callboards_to_retry(
    context: RecordingContext, tmp_path: Path, refusal: Refuse, kind: type[JobError]
) -> None:
    with anthropic_model(refusal) as model, pytest.raises(kind) as caught:
        job(tmp_path, model).run(context)

    assert type(caught.value) is kind
    assert len(model.asked) == 1


def test_its_own_budget_stops_it(context: RecordingContext, tmp_path: Path) -> None:
    with anthropic_model(LIST) as model, pytest.raises(StoppedByBudget):
        job(tmp_path, model, budget_usd_left=0.008).run(context)

    assert len(model.asked) == 2


def test_an_answer_with_a_schema(context: RecordingContext, tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["files"], "properties": {"files": {"type": "integer"}}}
    with anthropic_model(UseTool("StructuredOutput", {"files": 0})) as model:
        result = job(tmp_path, model, output_schema=schema).run(context)

    assert result["structured"] == {"files": 0}
