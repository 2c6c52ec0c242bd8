"""Claude Code's streams, as two of its versions really sent them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from actors.runners import adapters
from actors.runners.adapters.base import Account
from actors.runners.adapters.heard import Final, ProviderRetry, Session, Spent, Text, ToolEnded, ToolStarted
from app.errors import JobError, PermanentError, RateLimitError, StoppedByBudget, TemporaryError
from tests.actors.runners.replaying import only, order, reader, replay

CLAUDE = adapters.named("claude")
MODEL = "claude-sonnet-4-5"


def final_of(stream: str) -> Final:
    (final,) = only(Final, replay(stream, reader("claude")))
    return final


def test_a_run_with_a_tool() -> None:
    heard = replay("claude-tool", reader("claude"))

    (session,) = only(Session, heard)
    (started,), (ended,) = only(ToolStarted, heard), only(ToolEnded, heard)
    (final,) = only(Final, heard)
    assert (session.model, session.version) == (MODEL, "2.1.197")
    assert [said.text for said in only(Text, heard)] == ["I look around.", "Done: one file."]
    assert (started.name, started.summary) == ("Bash", "echo hi > made.txt; ls")
    assert (ended.call_id, ended.ok, ended.summary) == (started.call_id, True, "made.txt")
    assert (final.ok, final.text, final.turns, final.status) == (True, "Done: one file.", 2, None)


def test_usage_grows_while_it_streams_and_ends_as_reported() -> None:
    spent = only(Spent, replay("claude-tool", reader("claude")))

    assert [one.tokens for one in spent] == sorted(one.tokens for one in spent)
    assert [one.output_tokens for one in spent] == [1, 60, 61, 100, 100]
    assert spent[-1] == Spent(
        model=MODEL,
        input_tokens=2200,
        output_tokens=100,
        cache_read_tokens=400,
        cost_usd=Decimal("0.00822"),
        reported=True,
    )
    assert not any(one.reported for one in spent[:-1])


def test_a_run_that_was_cut_off_leaves_what_it_used_until_then() -> None:
    listening = reader("claude")

    heard = replay("claude-cut-off", listening)

    assert listening.final is None
    assert only(Spent, heard)[-1] == Spent(
        model=MODEL, input_tokens=1200, output_tokens=60, cache_read_tokens=200
    )


def test_text_that_streams_counts_before_its_figure_is_known() -> None:
    listening = reader("claude")
    replay("claude-hung", listening)
    piece = {
        "type": "stream_event",
        "event": {"type": "content_block_delta", "index": 0, "delta": {"text": ""}},
    }
    line = json.dumps(piece, separators=(",", ":")).replace('"text":""', f'"text":"{"x" * 1000}"')

    (spent,) = only(Spent, list(listening.read(line)))

    assert 100 < spent.output_tokens <= 1000 / 4
    assert spent.input_tokens == 700


@pytest.mark.parametrize(
    ("stream", "kind", "words"),
    [
        ("claude-refused-401", PermanentError, "claude /login"),
        ("claude-refused-429", RateLimitError, "slow down"),
        ("claude-refused-529", TemporaryError, "Overloaded"),
        ("claude-refused-400", PermanentError, "Prompt is too long"),
        ("claude-max-turns", PermanentError, "more turns"),
        ("claude-max-budget", StoppedByBudget, "budget"),
        ("claude-no-session", TemporaryError, "No conversation found"),
    ],
)
def test_what_a_failure_means(stream: str, kind: type[JobError], words: str) -> None:
    final = final_of(stream)

    error = CLAUDE.failure(final)

    assert not final.ok
    assert type(error) is kind
    assert words in error.message


def test_a_refusal_without_a_status_is_known_by_the_made_up_message() -> None:
    listening = reader("claude")
    replay("claude-refused-401", listening)
    result = {"type": "result", "subtype": "success", "is_error": True, "result": "Not logged in"}

    (final,) = only(Final, list(listening.read(json.dumps(result))))

    assert final.status == 401


def test_the_wait_for_the_api_is_told() -> None:
    (retry,) = only(ProviderRetry, replay("claude-api-retry", reader("claude")))

    assert retry.message == "The API answered 429 (rate_limit); again in 1 s"


def test_a_subscription_that_is_used_up_says_when_it_is_not() -> None:
    listening = reader("claude")
    far = 4_000_000_000
    limit = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": far}}
    result = {
        "type": "result",
        "subtype": "success",
        "is_error": True,
        "api_error_status": 429,
        "result": "limit",
    }

    (retry,) = only(ProviderRetry, list(listening.read(json.dumps(limit))))
    (final,) = only(Final, list(listening.read(json.dumps(result))))
    error = CLAUDE.failure(final)

    assert "rejected" in retry.message
    assert isinstance(error, RateLimitError)
    assert error.retry_after is not None
    assert error.retry_after > 1_000_000


def test_denied_tools_are_listed() -> None:
    heard = replay("claude-denied", reader("claude"))

    assert only(ToolEnded, heard)[0].ok is False
    assert only(Final, heard)[0].denials[0]["tool_name"] == "Bash"


def test_a_structured_answer_is_taken() -> None:
    assert final_of("claude-structured").structured == {"a": 5}


def test_a_version_that_counts_the_whole_session_says_what_is_new() -> None:
    heard = replay("claude-resumed-330", reader("claude", {MODEL: {"inputTokens": 2200}}, resume=True))

    spent = only(Spent, heard)[-1]
    assert (spent.input_tokens, spent.output_tokens, spent.cost_usd) == (1000, 40, Decimal("0.00366"))
    assert only(Final, heard)[0].counters[MODEL]["inputTokens"] == 3200


def test_a_version_that_counts_each_run_alone_is_not_subtracted_from() -> None:
    before = {MODEL: {"inputTokens": 700, "outputTokens": 30, "cacheReadInputTokens": 100, "costUSD": 0.002}}

    spent = only(Spent, replay("claude-resumed", reader("claude", before, resume=True)))[-1]

    assert (spent.input_tokens, spent.output_tokens, spent.cost_usd) == (1000, 40, Decimal("0.00366"))


def test_a_version_that_counts_the_session_and_does_not_say_what_is_new_is_subtracted_from() -> None:
    before = {MODEL: {"inputTokens": 700, "outputTokens": 30, "cacheReadInputTokens": 100, "costUSD": 0.002}}
    totals = {
        MODEL: {"inputTokens": 1700, "outputTokens": 70, "cacheReadInputTokens": 300, "costUSD": 0.00566}
    }
    usage = {"input_tokens": 1000, "output_tokens": 40, "cache_read_input_tokens": 200}
    result = {"type": "result", "subtype": "success", "is_error": False, "usage": usage, "modelUsage": totals}

    heard = list(reader("claude", before, resume=True).read(json.dumps(result)))

    (spent,) = only(Spent, heard)
    assert (spent.input_tokens, spent.output_tokens, spent.cache_read_tokens) == (1000, 40, 200)
    assert spent.cost_usd == Decimal("0.00366")


def test_the_argument_list() -> None:
    config = {
        "program": "claude",
        "model": "sonnet",
        "permission_mode": "plan",
        "allowed_tools": ["Bash(git *)", "Edit"],
        "max_turns": 7,
        "args": ["--strict-mcp-config"],
    }

    argv = CLAUDE.argv(
        order(config=config, instructions="Be brief.", budget_usd=0.5, output_schema={"type": "object"})
    )

    assert argv[:6] == [
        "claude",
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
    ]
    pairs = dict(zip(argv[6:-1:2], argv[7:-1:2], strict=True))
    assert pairs == {
        "--session-id": "5e551041-0000-4000-8000-000000000000",
        "--permission-mode": "plan",
        "--model": "sonnet",
        "--max-turns": "7",
        "--max-budget-usd": "0.500000",
        "--append-system-prompt": "Be brief.",
        "--json-schema": '{"type": "object"}',
        "--allowedTools": "Bash(git *),Edit",
    }
    assert argv[-1] == "--strict-mcp-config"
    assert "Count the files." not in argv


@pytest.mark.parametrize("tools", ["Read, Grep", ["Read", " Grep"]])
def test_a_definitions_tools_are_all_it_gets(tools: object) -> None:
    argv = CLAUDE.argv(order(config={"program": "claude", "tools": tools, "model": "inherit"}))

    assert argv[argv.index("--tools") + 1] == "Read, Grep"
    assert "--model" not in argv


def test_nothing_left_in_the_budget_is_not_no_budget() -> None:
    argv = CLAUDE.argv(order(budget_usd=0.0))

    assert argv[argv.index("--max-budget-usd") + 1] == "0.000001"


def test_going_on_names_the_session() -> None:
    argv = CLAUDE.argv(order(resume=True))

    assert argv[argv.index("--resume") + 1] == "5e551041-0000-4000-8000-000000000000"
    assert "--session-id" not in argv


def test_callboard_owns_the_retries_and_a_login_is_used_where_it_lies() -> None:
    own = CLAUDE.environment(order())
    login = CLAUDE.environment(order(account=Account(kind="subscription", folder=Path("/home/ada/.claude"))))

    assert own["CLAUDE_CODE_MAX_RETRIES"] == "0"
    assert own["CLAUDE_CONFIG_DIR"] == "/job/home/.claude"
    assert login["CLAUDE_CONFIG_DIR"] == "/home/ada/.claude"
