"""Gemini CLI's streams, as it really sent them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.runners import adapters
from actors.runners.adapters.base import Account
from actors.runners.adapters.heard import Final, ProviderRetry, Session, Spent, Text, ToolEnded, ToolStarted
from app.errors import JobError, PermanentError, RateLimitError, TemporaryError
from tests.actors.runners.replaying import only, order, reader, replay

GEMINI = adapters.named("gemini")


def test_a_run_with_a_tool() -> None:
    heard = replay("gemini-tool", reader("gemini"))

    (session,), (started,), (ended,) = only(Session, heard), only(ToolStarted, heard), only(ToolEnded, heard)
    assert session.model == "gemini-2.5-pro"
    assert [(said.text, said.more) for said in only(Text, heard)] == [
        ("I look around.", True),
        ("Done.", True),
    ]
    assert (started.name, started.summary) == ("run_shell_command", "echo hi > made.txt; ls")
    assert (ended.call_id, ended.ok, ended.summary) == (started.call_id, True, "made.txt")
    assert only(Final, heard)[0].text == "Done."
    assert only(Spent, heard) == [
        Spent(
            model="gemini-2.5-pro", input_tokens=2200, output_tokens=100, cache_read_tokens=400, reported=True
        )
    ]


@pytest.mark.parametrize(
    ("stream", "exit_code", "kind"),
    [
        ("gemini-refused-401", 145, PermanentError),
        ("gemini-refused-429", 173, RateLimitError),
        (None, 41, PermanentError),
        (None, 244, TemporaryError),
        (None, 53, PermanentError),
    ],
)
def test_what_a_failure_means(stream: str | None, exit_code: int, kind: type[JobError]) -> None:
    listening = reader("gemini")
    heard = replay(stream, listening) if stream else []

    heard += listening.end(exit_code)
    error = GEMINI.failure(only(Final, heard)[-1])

    assert type(error) is kind


def test_a_run_that_was_cut_off_ends_with_0_and_without_a_word() -> None:
    listening = reader("gemini")

    heard = replay("gemini-cut-off", listening)

    assert list(listening.end(0)) == []
    assert only(Final, heard) == []


def test_that_it_tries_again_stands_on_standard_error() -> None:
    line = 'Attempt 1 failed with status 429. Retrying with backoff... {"error":{"code":429,"message":"slow down"}}'

    (retry,) = reader("gemini").read_error(line)

    assert isinstance(retry, ProviderRetry)
    assert retry.data == {"status": 429}


def test_an_end_without_a_result_is_explained_by_standard_error() -> None:
    listening = reader("gemini")
    list(
        listening.read_error(
            "When using Gemini API, you must specify the GEMINI_API_KEY environment variable."
        )
    )

    (final,) = only(Final, list(listening.end(41)))

    assert final.status == 401
    assert "GEMINI_API_KEY" in final.text


def test_the_argument_list_and_the_prompt() -> None:
    wanted = order(config={"program": "gemini", "model": "gemini-2.5-pro"}, instructions="Be brief.")

    assert GEMINI.argv(wanted) == [
        *("gemini", "-o", "stream-json", "--skip-trust", "--approval-mode", "auto_edit"),
        *("--session-id", "5e551041-0000-4000-8000-000000000000", "-m", "gemini-2.5-pro"),
    ]
    assert GEMINI.stdin(wanted).startswith("Be brief.")
    assert "--resume" in GEMINI.argv(order(resume=True))
    assert '{"type": "object"}' in GEMINI.stdin(order(output_schema={"type": "object"}))


def test_its_settings_take_the_key_and_leave_retries_to_callboard(tmp_path: Path) -> None:
    GEMINI.prepare(order(home=tmp_path, config={"program": "gemini", "max_turns": 9}))

    settings = json.loads((tmp_path / ".gemini" / "settings.json").read_text())
    assert settings["security"]["auth"]["selectedType"] == "gemini-api-key"
    assert settings["general"]["maxAttempts"] == 1
    assert settings["model"]["maxSessionTurns"] == 9


def test_a_login_is_used_where_it_lies(tmp_path: Path) -> None:
    login = order(home=tmp_path / "home", account=Account(kind="subscription", folder=tmp_path))

    GEMINI.prepare(login)

    assert GEMINI.environment(login) == {"GEMINI_CLI_HOME": str(tmp_path)}
    assert not (tmp_path / "home").exists()
