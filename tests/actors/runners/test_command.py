"""Command agents: parameters arrive as data, exit codes and output become results and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runners.base import JSON
from actors.runners.command import CommandRunner, argv_for
from app.errors import PermanentError, TemporaryError
from tests.actors.runners.boxes import work_for
from tests.doubles import RecordingContext

SHOW = ["sh", "-c", 'printf "%s\\n" "$#"; printf "%s" "$1"', "sh"]
# What the kernel can carry: everything but NUL and halves of surrogate pairs.
ARGUMENTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
HOSTILE = [
    "; touch owned",
    "$(touch owned)",
    "`id`",
    "a\nb",
    "' OR ''='",
    "--help",
    "-rf",
    "*",
    "~",
    "\\",
    "|",
    "🎈",
    "",
]


def run(context: RecordingContext, argv: list[str], parameters: JSON | None = None, **config: Any) -> JSON:
    return CommandRunner().run(work_for({"argv": argv} | config, parameters), context)


def script(context: RecordingContext, text: str, **config: Any) -> JSON:
    return run(context, ["sh", "-c", text], **config)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_parameter_arrives_as_one_argument(context: RecordingContext, value: str) -> None:
    result = run(context, [*SHOW, "--", "{{parameter.task}}"], {"task": value}, parse="text")

    # `sh -c` takes `sh` as $0, so $1 is the dashes and $2 our value.
    assert str(result["result"]).startswith("2")
    assert (
        argv_for(work_for({"argv": ["x", "--", "{{parameter.task}}"]}, {"task": value}), context)[2] == value
    )
    assert not (context.workspace / "owned").exists()


@given(value=ARGUMENTS)
@settings(max_examples=40)
def test_any_text_arrives_byte_for_byte_as_exactly_one_argument(
    context: RecordingContext, value: str
) -> None:
    seen = context.workspace / "seen"
    argv = ["sh", "-c", 'shift; printf "%s" "$#:$1" > "$HOME/seen"', "sh", "--", "{{parameter.task}}"]

    run(context, argv, {"task": value})

    assert seen.read_bytes() == b"1:" + value.encode()


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "true"), (3, "3"), (1.5, "1.5"), (["a", 1], '["a",1]'), ("x", "x")]
)
def test_values_become_text(context: RecordingContext, value: object, text: str) -> None:
    work = work_for({"argv": ["x", "{{parameter.v}}"]}, {"v": value})

    assert argv_for(work, context) == ["x", text]


def test_all_placeholders_are_whole_arguments(context: RecordingContext) -> None:
    template = ["x", "{{parameters}}", "{{ instructions }}", "{{workspace}}", "{{job_id}}", "plain"]
    work = work_for({"argv": template, "instructions": "Do.\nThen rest."}, {"a": "ü"})

    expected = ["x", '{"a":"ü"}', "Do.\nThen rest.", str(context.workspace), work.job_id, "plain"]
    assert argv_for(work, context) == expected


@pytest.mark.parametrize("value", ["-rf", "--upload=/etc", "-"])
def test_a_value_like_an_option_needs_dashes_before_it(context: RecordingContext, value: str) -> None:
    with pytest.raises(PermanentError) as caught:
        run(context, ["echo", "{{parameter.task}}"], {"task": value})

    assert caught.value.user_error
    assert caught.value.details["field"] == "/parameters/task"


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_program_can_be_given_is_the_submitters_mistake(
    context: RecordingContext, value: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        run(context, ["echo", "{{parameter.task}}"], {"task": value})

    assert caught.value.user_error


def test_too_much_for_a_command_line_is_the_submitters_mistake(context: RecordingContext) -> None:
    with pytest.raises(PermanentError, match="stdin") as caught:
        run(context, ["echo", "{{parameter.task}}"], {"task": "x" * 4_000_000})

    assert caught.value.user_error


def test_a_missing_parameter_is_named(context: RecordingContext) -> None:
    with pytest.raises(PermanentError, match="`task` is missing"):
        run(context, ["echo", "{{parameter.task}}"], {})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"argv": []},
        {"argv": "ls -l"},
        {"argv": ["{{parameter.program}}"]},
        {"argv": ["echo", "--task={{parameter.task}}"]},
        {"argv": ["echo", "{{unknown}}"]},
        {"argv": ["echo"], "parse": "yaml"},
        {"argv": ["echo"], "stdin": "tty"},
    ],
)
def test_a_definition_that_cannot_work_is_a_permanent_error(context: RecordingContext, config: JSON) -> None:
    with pytest.raises(PermanentError):
        CommandRunner().run(work_for(config, {"program": "ls", "task": "x"}), context)


def test_parameters_come_by_stdin_if_the_agent_reads_them(context: RecordingContext) -> None:
    result = run(context, ["cat"], {"task": "Zoë\0\ud800"}, stdin="json")

    assert result == {"task": "Zoë\0\ud800", "exit_code": 0}


def test_without_that_stdin_is_empty(context: RecordingContext) -> None:
    assert run(context, ["cat"], {"task": "x"}) == {"result": "", "exit_code": 0}


@pytest.mark.parametrize(
    ("printed", "result"),
    [
        ('{"a": 1}', {"a": 1}),
        ('working\n{"a": 1}\n{"b": {"c": 2}}\n', {"b": {"c": 2}}),
        ('working\n{\n  "a": {\n    "b": 1\n  }\n}\nbye\n', {"a": {"b": 1}}),
        ('{"exit_code": 7}', {"exit_code": 7}),
        ("just words\n", {"result": "just words"}),
        ("[1, 2]", {"result": "[1, 2]"}),
        ('{"cut": ', {"result": '{"cut":'}),
        ("\x1b[31mred\x1b[0m", {"result": "red"}),
    ],
)
def test_the_last_json_object_is_the_result(context: RecordingContext, printed: str, result: JSON) -> None:
    (context.workspace / "printed").write_text(printed)

    assert run(context, ["cat", "printed"]) == {"exit_code": 0} | result


def test_output_made_to_be_slow_to_parse_is_not(context: RecordingContext) -> None:
    (context.workspace / "printed").write_text('{"a":[\n' * 100_000)

    assert "result" in run(context, ["cat", "printed"])


def test_text_is_asked_for_with_parse(context: RecordingContext) -> None:
    assert script(context, """echo '{"a": 1}'""", parse="text")["result"] == '{"a": 1}'
    with pytest.raises(TemporaryError, match="no JSON"):
        script(context, "echo words", parse="json")


def test_a_failure_is_temporary_and_shows_the_end_of_stderr(context: RecordingContext) -> None:
    with pytest.raises(TemporaryError, match="exit code 4: no such model") as caught:
        script(context, "echo starting >&2; echo no such model >&2; exit 4")

    assert caught.value.details["exit_code"] == 4
    assert "starting\nno such model" in str(caught.value.details["stderr"])


def test_the_definition_says_which_exit_codes_are_final_and_which_are_fine(context: RecordingContext) -> None:
    with pytest.raises(PermanentError):
        script(context, "exit 2", permanent_exit_codes=[2])

    assert script(context, "echo failed tests; exit 1", ok_exit_codes=[0, 1]) == {
        "result": "failed tests",
        "exit_code": 1,
    }


def test_a_signal_is_named(context: RecordingContext) -> None:
    with pytest.raises(TemporaryError, match="signal 9"):
        script(context, "kill -9 $$")


def test_files_left_behind_are_kept_also_of_a_failure(context: RecordingContext) -> None:
    with pytest.raises(TemporaryError):
        script(
            context, "mkdir -p artifacts/sub; echo 1 > artifacts/a.txt; echo 2 > artifacts/sub/b.txt; exit 1"
        )

    assert context.artifacts == {"a.txt": b"1\n", "sub/b.txt": b"2\n"}


@pytest.mark.parametrize(
    ("config", "status", "words"),
    [
        ({"argv": ["sh"]}, "ready", "None"),
        (
            {"argv": ["no-such-cli"], "install": "Install it with npm."},
            "unavailable",
            "no-such-cli` is not installed",
        ),
        ({"argv": ["no-such-cli"], "install": "Install it with npm."}, "unavailable", "Install it with npm."),
        ({"argv": ["sh", "-c={{parameter.x}}"]}, "unavailable", "whole element"),
        ({"argv": ["sh"], "secrets": ["REDIS_URL"]}, "unavailable", "REDIS_URL"),
    ],
)
def test_health(config: JSON, status: str, words: str) -> None:
    health = CommandRunner().health(config)

    assert health.status == status
    assert words in str(health.reason)


def test_the_workspace_is_home_and_current_folder(context: RecordingContext) -> None:
    said = script(context, 'pwd; echo "$HOME"; touch "$TMPDIR/x"; ls tmp')["result"]

    here = str(Path(context.workspace).resolve())
    assert said == f"{here}\n{context.workspace}\nx"
    assert json.dumps(said)
