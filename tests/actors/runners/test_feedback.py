"""What was wrong with a draft reaches the agent by every runner, and the next draft is another one."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.runners.base import JSON, Work
from actors.runners.cli import CliRunner
from actors.runners.command import CommandRunner
from actors.runners.feedback import words_of
from actors.runners.http import HttpRunner
from actors.runners.llm import LlmRunner
from actors.runners.python import PythonRunner
from tests.actors.models.desk import ListedDesk, spec_of
from tests.actors.runners.boxes import work_for
from tests.actors.runners.playing_cli import ALL, HANG, UNTIL_THE_TOOL, Stage
from tests.actors.runners.server import Site
from tests.doubles import RecordingContext
from tests.model_server import Model, Refuse, Say
from tests.openai_server import chat_model

FEEDBACK: JSON = {
    "attempt": 1, "next": 2, "score": 6.5, "threshold": 7.0, "issues": ["Missing examples"],
    "suggestions": ["examples: Show one."], "feedback": "✗ Content needs improvement (6.5/10, threshold: 7.0)",
    "text": "The first draft.", "draft": {"result": "The first draft."},
}  # fmt: skip


def asked(model: Model, number: int) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in model.asked[number]["messages"]]


def drafted(context: RecordingContext, model: Model, feedback: JSON | None, **config: Any) -> JSON:
    context.desk = ListedDesk([spec_of(model)])
    work = work_for({"instructions": "Be brief."} | config, {"task": "Say hello."}, feedback=feedback)
    return LlmRunner().run(work, context)


def again(context: RecordingContext) -> RecordingContext:
    return RecordingContext(workspace=context.workspace, kept=json.loads(json.dumps(context.kept)))


def test_the_words_say_what_was_wrong() -> None:
    words = words_of(FEEDBACK | {"comment": "More warmth, please."}, with_draft=True)
    for part in ("6.5/10", "<draft>\nThe first draft.\n</draft>", "- Missing examples", "- examples: Show one.",
                 "A person who read it says:\nMore warmth, please."):  # fmt: skip
        assert part in words
    assert "The first draft." not in words_of(FEEDBACK, with_draft=False)


# -- llm


def test_a_conversation_goes_on_with_what_was_wrong(context: RecordingContext) -> None:
    with chat_model(Say("One."), Say("Two.")) as model:
        assert drafted(context, model, None)["result"] == "One."
        assert drafted(context, model, FEEDBACK)["result"] == "Two."
    assert asked(model, 1)[:3] == [("system", "Be brief."), ("user", "Say hello."), ("assistant", "One.")]
    role, words = asked(model, 1)[3]
    assert (role, words) == ("user", words_of(FEEDBACK, with_draft=False))


def test_a_draft_that_a_later_attempt_finds_finished_is_not_paid_again(context: RecordingContext) -> None:
    with chat_model(Say("One."), Say("Two."), Say("Three.")) as model:
        drafted(context, model, None)
        drafted(context, model, FEEDBACK)
        later = again(context)
        assert drafted(later, model, FEEDBACK)["result"] == "Two."
        assert len(model.asked) == 2
        third = FEEDBACK | {"attempt": 2, "next": 3}
        assert drafted(later, model, third)["result"] == "Three."
    assert len(asked(model, 2)) == 6


def test_a_conversation_that_was_cut_off_in_the_second_draft_goes_on_there(context: RecordingContext) -> None:
    with chat_model(Say("One."), Refuse(400, "bad", "no"), Say("Two.")) as model:
        drafted(context, model, None)
        with pytest.raises(Exception, match="400 no"):
            drafted(context, model, FEEDBACK)
        assert drafted(again(context), model, FEEDBACK)["result"] == "Two."
    assert [role for role, _ in asked(model, 2)] == ["system", "user", "assistant", "user"]


def test_a_new_conversation_is_told_the_task_and_the_draft(context: RecordingContext) -> None:
    with chat_model(Say("Two.")) as model:
        assert drafted(context, model, FEEDBACK)["result"] == "Two."
    (_, (role, words)) = asked(model, 0)
    assert role == "user"
    assert words == f"Say hello.\n\n---\n\n{words_of(FEEDBACK, with_draft=True)}"


def test_a_person_may_mean_an_earlier_draft_than_the_last(context: RecordingContext) -> None:
    with chat_model(Say("One."), Say("Two."), Say("Three.")) as model:
        drafted(context, model, None)
        drafted(context, model, FEEDBACK)
        drafted(context, model, FEEDBACK | {"next": 3, "comment": "Rather this one."})
    assert "<draft>\nThe first draft.\n</draft>" in asked(model, 2)[-1][1]


def test_each_draft_has_turns_and_a_repair_of_its_own(context: RecordingContext) -> None:
    schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    good, bad = Say('{"title": "x"}'), Say("What title?")
    with chat_model(bad, good, bad, good) as model:
        for feedback in (None, FEEDBACK):
            result = drafted(context, model, feedback, output_schema=schema, max_turns=2)
            assert result["title"] == "x"
    assert len(model.asked) == 4


# -- the others


def test_a_python_agent_has_it_in_its_work(context: RecordingContext) -> None:
    work = work_for({"call": "tests.actors.runners.sample_agents:heed"}, {}, feedback=FEEDBACK)
    assert PythonRunner().run(work, context) == {"feedback": FEEDBACK}


SHOW = """
import json, os, sys
place = os.environ.get("CALLBOARD_FEEDBACK")
print(json.dumps({"stdin": json.load(sys.stdin), "draft": os.environ.get("CALLBOARD_DRAFT"),
                  "file": place and json.load(open(place))}))
"""


@pytest.mark.parametrize("feedback", [None, FEEDBACK])
def test_a_command_reads_it_from_a_file_and_from_standard_input(
    context: RecordingContext, feedback: JSON | None
) -> None:
    work = work_for({"argv": [sys.executable, "-c", SHOW], "stdin": "json"}, {"n": 1}, feedback=feedback)
    result = CommandRunner().run(work, context)
    assert result["file"] == feedback
    assert result["draft"] == ("2" if feedback else None)
    assert result["stdin"] == ({"n": 1, "callboard_feedback": FEEDBACK} if feedback else {"n": 1})


@pytest.mark.parametrize("feedback", [None, FEEDBACK])
def test_an_endpoint_gets_it_in_the_body(
    context: RecordingContext, site: Site, feedback: JSON | None
) -> None:
    work = work_for({"url": site.url + "/echo", "http_allow_private": True}, {"n": 1}, feedback=feedback)
    result = HttpRunner().run(work, context)
    assert result["got"] == ({"n": 1, "callboard_feedback": FEEDBACK} if feedback else {"n": 1})
    assert site.asked[0]["headers"].get("X-Callboard-Draft") == ("2" if feedback else None)


# -- cli


def run(stages: Stage, context: RecordingContext, feedback: JSON | None, **config: Any) -> Work:
    work = replace(stages.work(**{"more_drafts": True} | config), feedback=feedback)
    CliRunner().run(work, context)
    return work


def test_a_session_goes_on_with_what_was_wrong(context: RecordingContext, tmp_path: Path) -> None:
    stages = Stage(tmp_path / "stage", [[{"write": "made.txt", "text": "hi"}, ALL], [ALL]])
    run(stages, context, None)
    assert stages.place.exists()
    work = run(stages, context, FEEDBACK)
    first, second = stages.call(0), stages.call(1)
    session_id = first["argv"][first["argv"].index("--session-id") + 1]
    assert second["argv"][second["argv"].index("--resume") + 1] == session_id
    assert second["stdin"] == words_of(FEEDBACK, with_draft=False)
    assert (Path(second["cwd"]) / "made.txt").read_text() == "hi"
    assert second["env"]["CALLBOARD_DRAFT"] == "2"
    CliRunner().forget(work, context)
    assert not stages.place.exists()


def test_without_a_session_the_draft_follows_the_task(context: RecordingContext, tmp_path: Path) -> None:
    stages = Stage(tmp_path / "stage", [[ALL]])
    run(stages, context, None, resume=False)
    run(stages, context, FEEDBACK, resume=False)
    assert "--resume" not in stages.call(1)["argv"]
    assert stages.call(1)["stdin"] == f"Count the files.\n\n---\n\n{words_of(FEEDBACK, with_draft=True)}"


def test_a_session_that_was_cut_off_in_the_second_draft_is_told_so(
    context: RecordingContext, tmp_path: Path
) -> None:
    stages = Stage(tmp_path / "stage", [[ALL], [UNTIL_THE_TOOL, {"exit": 1}], [ALL]])
    run(stages, context, None)
    with pytest.raises(Exception, match="before it was done"):
        run(stages, context, FEEDBACK)
    run(stages, again(context), FEEDBACK)
    told = stages.call(2)["stdin"]
    assert told.startswith("You were interrupted")
    assert "<draft>\nThe first draft.\n</draft>" in told


def test_a_job_without_a_gate_leaves_no_folder(context: RecordingContext, tmp_path: Path) -> None:
    stages = Stage(tmp_path / "stage", [[ALL], [HANG]])
    run(stages, context, None, more_drafts=False)
    assert not stages.place.exists()
