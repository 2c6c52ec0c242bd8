"""Codex's streams, as it really sent them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.runners import adapters
from actors.runners.adapters.base import Account, Record
from actors.runners.adapters.codex import _plain_command
from actors.runners.adapters.heard import Final, ProviderRetry, Session, Spent, Text, ToolEnded, ToolStarted
from app.errors import JobError, PermanentError, RateLimitError, TemporaryError
from tests.actors.runners.replaying import only, order, reader, replay

CODEX = adapters.named("codex")
KEY = Account(kind="api", given={"OPENAI_API_KEY": "sk"})


def test_a_run_with_a_tool() -> None:
    heard = replay("codex-tool", reader("codex", config={"program": "codex", "model": "gpt-5.1-codex"}))

    (started,), (ended,), (final,) = only(ToolStarted, heard), only(ToolEnded, heard), only(Final, heard)
    assert only(Session, heard)[0].session_id.startswith("01a2")
    assert [said.text for said in only(Text, heard)] == ["I look around.", "Done."]
    assert (started.name, started.summary) == ("shell", "echo hi > made.txt; ls")
    assert (ended.call_id, ended.ok, ended.summary) == (started.call_id, True, "made.txt")
    assert (final.ok, final.text) == (True, "Done.")
    assert only(Spent, heard) == [
        Spent(
            model="gpt-5.1-codex", input_tokens=2200, output_tokens=100, cache_read_tokens=400, reported=True
        )
    ]


def test_an_item_that_is_called_error_is_a_warning() -> None:
    heard = replay("codex-tool", reader("codex"))

    assert only(ProviderRetry, heard)[0].data == {"warning": True}
    assert only(Final, heard)[0].ok


def test_the_usage_of_a_thread_is_brought_down_to_this_run() -> None:
    before = only(Final, replay("codex-tool", reader("codex")))[0].counters

    spent = only(Spent, replay("codex-resumed", reader("codex", before, resume=True)))[0]

    assert (spent.input_tokens, spent.cache_read_tokens, spent.output_tokens) == (1000, 200, 40)


@pytest.mark.parametrize(
    ("stream", "kind", "words"),
    [
        ("codex-refused-401", PermanentError, "codex login"),
        ("codex-refused-429", RateLimitError, "429"),
        ("codex-refused-500", TemporaryError, "high demand"),
    ],
)
def test_what_a_failure_means(stream: str, kind: type[JobError], words: str) -> None:
    (final,) = only(Final, replay(stream, reader("codex")))

    error = CODEX.failure(final)

    assert type(error) is kind
    assert words in error.message


def test_a_run_that_was_cut_off_has_no_last_word() -> None:
    listening = reader("codex")

    heard = replay("codex-cut-off", listening)

    assert listening.final is None
    assert only(ToolStarted, heard)[0].summary == "sleep 30"
    assert only(Spent, heard) == []


def test_other_tools_are_told_too() -> None:
    listening = reader("codex")
    items = [
        {
            "id": "i1",
            "type": "file_change",
            "changes": [{"path": "a.py", "kind": "add"}],
            "status": "in_progress",
        },
        {"id": "i2", "type": "mcp_tool_call", "server": "docs", "tool": "find", "arguments": {"query": "x"}},
        {"id": "i3", "type": "web_search", "query": "callboard"},
    ]

    started = [
        one
        for item in items
        for one in only(ToolStarted, list(listening.read(json.dumps({"type": "item.started", "item": item}))))
    ]

    assert [(one.name, one.summary) for one in started] == [
        ("file_change", "a.py"),
        ("docs.find", "x"),
        ("web_search", "callboard"),
    ]


def test_what_it_did_not_say_stands_in_its_rollout_file(tmp_path: Path) -> None:
    day = tmp_path / ".codex" / "sessions" / "2026" / "11" / "22"
    day.mkdir(parents=True)
    totals = {"input_tokens": 1400, "cached_input_tokens": 200, "output_tokens": 60, "total_tokens": 1460}
    lines = [
        {"type": "turn_context", "payload": {"model": "gpt-5.1-codex"}},
        {"type": "event_msg", "payload": {"type": "token_count", "info": None}},
        {"type": "event_msg", "payload": {"type": "token_count", "info": {"total_token_usage": totals}}},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"type":"event_msg","payload":{"token_count"'
    (day / "rollout-2026-11-22T04-44-06-abc.jsonl").write_text(text)

    record = CODEX.afterwards(order(home=tmp_path), "abc")
    spent = reader("codex", {"input_tokens": 1000, "cached_input_tokens": 200}).spent(
        record.totals or {}, record.model
    )

    assert record.model == "gpt-5.1-codex"
    assert spent is not None
    assert (spent.input_tokens, spent.cache_read_tokens, spent.output_tokens) == (400, 0, 60)
    assert CODEX.afterwards(order(home=tmp_path), "another") == Record(model=None)


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        ("/bin/bash -lc 'echo hi > made.txt; ls'", "echo hi > made.txt; ls"),
        ("bash -lc ls", "ls"),
        ('/bin/zsh -c "git status"', "git status"),
        ("python x.py", "python x.py"),
        ("bash -lc 'broken", "bash -lc 'broken"),
    ],
)
def test_the_shell_around_a_command_is_taken_off(command: str, plain: str) -> None:
    assert _plain_command(command) == plain


def test_with_a_key_the_retries_are_callboards() -> None:
    argv = CODEX.argv(order(config={"program": "codex", "model": "m"}, account=KEY))

    assert argv[:8] == [
        "codex",
        "exec",
        "--json",
        "--skip-git-repo-check",
        "-s",
        "workspace-write",
        "-C",
        "/job/work",
    ]
    assert argv[-1] == "-"
    provider = argv[argv.index('model_provider="callboard"') + 2]
    assert 'env_key="OPENAI_API_KEY",request_max_retries=0,stream_max_retries=0' in provider
    assert '"https://api.openai.com/v1"' in provider


def test_with_a_login_nothing_of_the_provider_is_changed() -> None:
    folder = Path("/home/ada/.codex")
    login = order(account=Account(kind="subscription", folder=folder))

    assert "-c" not in CODEX.argv(login)
    assert CODEX.environment(login) == {"CODEX_HOME": "/home/ada/.codex"}


def test_going_on_names_the_thread_and_keeps_the_sandbox() -> None:
    argv = CODEX.argv(order(resume=True, session_id="t1", account=KEY, config={"program": "codex"}))

    assert argv[:3] == ["codex", "exec", "resume"]
    assert 'sandbox_mode="workspace-write"' in argv
    assert argv[-2:] == ["t1", "-"]
    assert "-C" not in argv


@pytest.mark.parametrize(
    ("kept", "kind"),
    [
        ({"OPENAI_API_KEY": "sk", "tokens": None}, "api"),
        ({"OPENAI_API_KEY": None, "tokens": {"access_token": "t"}}, "subscription"),
    ],
)
def test_a_login_with_a_key_is_no_subscription(tmp_path: Path, kept: dict[str, object], kind: str) -> None:
    (tmp_path / "auth.json").write_text(json.dumps(kept))

    assert CODEX.billing(tmp_path) == kind


def test_instructions_come_before_the_task_but_not_again() -> None:
    assert CODEX.stdin(order(instructions="Be brief.")).startswith("Be brief.\n")
    assert CODEX.stdin(order(instructions="Be brief.", resume=True)) == "Count the files."


def test_the_schema_comes_as_a_file(tmp_path: Path) -> None:
    wanted = order(home=tmp_path, output_schema={"type": "object"})

    CODEX.prepare(wanted)
    argv = CODEX.argv(wanted)

    assert json.loads(Path(argv[argv.index("--output-schema") + 1]).read_text()) == {"type": "object"}
