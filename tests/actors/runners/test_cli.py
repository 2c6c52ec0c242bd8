"""CLI agents in the real box, played by a scripted program from recorded streams."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.runners.base import JSON
from actors.runners.cli import CliRunner, account_of
from actors.runners.worktree import end_stragglers
from app.errors import (
    AttemptTimeout,
    Cancelled,
    JobError,
    PermanentError,
    RateLimitError,
    Released,
    Stalled,
    StoppedByBudget,
    TemporaryError,
)
from app.settings import ROOT
from tests.actors.runners.boxes import alive
from tests.actors.runners.playing_cli import ALL, HANG, TOOL, UNTIL_THE_TOOL, Stage
from tests.doubles import RecordingContext
from tests.waiting import until

MODEL = "claude-sonnet-4-5"


class Watching(RecordingContext):
    """Does something as soon as a tool call is in flight."""

    at_tool: Any = None

    def tool_started(self, call_id: str, name: str, arguments: JSON | str, summary: str = "") -> None:
        super().tool_started(call_id, name, arguments, summary)
        if self.at_tool:
            self.at_tool()


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    (tmp_path / "workspace").mkdir()
    return Watching(workspace=tmp_path / "workspace")


def stage(tmp_path: Path, *runs: list[JSON]) -> Stage:
    return Stage(tmp_path / "stage", list(runs))


def again(context: RecordingContext) -> RecordingContext:
    """The context of the job's next attempt: only the checkpoint is kept."""
    return RecordingContext(workspace=context.workspace, kept=dict(context.kept))


def test_a_run_becomes_a_result_and_a_story(context: RecordingContext, tmp_path: Path) -> None:
    stages = stage(tmp_path, [ALL])

    result = stages.run(context, max_turns=10)

    session_id = stages.call(0)["argv"][stages.call(0)["argv"].index("--session-id") + 1]
    assert result == {
        "result": "Done: one file.",
        "session_id": session_id,
        "turns": 2,
        "model": MODEL,
        "usage": {
            "input_tokens": 2200,
            "output_tokens": 100,
            "cache_read_tokens": 400,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "cost_usd": 0.00822,
        },
        "permission_denials": [],
        "files_changed": [],
    }
    assert [(one["kind"], one["message"]) for one in context.events] == [
        ("turn", "I look around."),
        ("turn", "Done: one file."),
    ]
    assert [(tool["name"], tool["summary"], tool["ok"], tool["answer"]) for tool in context.tools] == [
        ("Bash", "echo hi > made.txt; ls", True, "made.txt")
    ]
    assert [step for _, step in context.steps] == [
        "Starting Claude Code",
        "Turn 1: I look around.",
        "Turn 1: Bash echo hi > made.txt; ls",
        "Turn 2: Done: one file.",
    ]
    assert context.percents == [0, 10, 10, 20]
    assert context.partial_result is not None
    assert context.partial_result["result"] == "Done: one file."


def test_what_it_ran_with_and_used_is_kept(context: RecordingContext, tmp_path: Path) -> None:
    result = stage(tmp_path, [ALL]).run(context)

    assert context.pins == {
        "session_id": result["session_id"],
        "provider": "anthropic",
        "model": MODEL,
        "cli_version": "2.1.197",
    }
    (usage,) = context.metered.values()
    assert (usage.provider, usage.model, usage.billing) == ("anthropic", MODEL, "api")
    assert (usage.cost_usd, usage.cost_status, usage.final) == (Decimal("0.00822"), "reported", True)


def test_the_stream_is_kept_without_its_pieces(context: RecordingContext, tmp_path: Path) -> None:
    stage(tmp_path, [{"say": "Starting up..."}, ALL]).run(context)

    kept = context.artifacts["transcript.jsonl"].decode().splitlines()
    assert json.loads(kept[0]) == {"type": "callboard", "attempt": 1}
    assert kept[1] == "Starting up..."
    assert [json.loads(line)["type"] for line in kept[2:]].count("assistant") == 3
    assert not any("content_block_delta" in line for line in kept)
    assert json.loads(kept[-1])["type"] == "result"


def test_the_prompt_comes_by_stdin_and_the_environment_is_small(
    context: RecordingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    stages = stage(tmp_path, [ALL])

    stages.run(context, {"task": "--help me", "files": ["a", "b"]}, secrets={"ANTHROPIC_API_KEY": "sk-test"})

    call = stages.call(0)
    assert call["stdin"] == '--help me\n\n## Files\n\n[\n  "a",\n  "b"\n]'
    assert {name: call["env"].get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")} == {
        "ANTHROPIC_API_KEY": "sk-test",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    }
    assert call["env"]["CLAUDE_CODE_MAX_RETRIES"] == "0"
    assert not {"DATABASE_URL", "SOMETHING_ELSE"} & set(call["env"])
    assert call["env"]["HOME"] == str(stages.place / "home")
    assert call["cwd"] == str(stages.place / "work")


def test_a_template_makes_the_prompt(context: RecordingContext, tmp_path: Path) -> None:
    stages = stage(tmp_path, [ALL])

    stages.run(
        context, {"task": "{{parameter.secret}}", "n": 3}, prompt="Do {{ parameter.task }} {{parameter.n}}x"
    )

    assert stages.call(0)["stdin"] == "Do {{parameter.secret}} 3x"


def test_nothing_is_left_of_a_job_that_is_done(context: RecordingContext, tmp_path: Path) -> None:
    stages = stage(
        tmp_path, [{"write": "sub/made.txt", "text": "hi"}, {"write": "node_modules/x", "text": ""}, ALL]
    )

    result = stages.run(context)

    assert result["files_changed"] == ["sub/made.txt"]
    assert context.artifacts["sub/made.txt"] == b"hi"
    assert not stages.place.exists()


def test_a_cancelled_run_leaves_no_tool_behind(watching: Watching, tmp_path: Path) -> None:
    stages = stage(tmp_path, [{"write": "made.txt", "text": "hi"}, TOOL, UNTIL_THE_TOOL, HANG])
    work = stages.work()
    seen: list[list[str]] = []

    def cancel() -> None:
        seen.append(alive(work))
        watching.cancelled = True

    watching.at_tool = cancel

    with pytest.raises(Cancelled):
        CliRunner().run(work, watching)

    assert any("sleep 300" in command for command in seen[0])
    assert alive(work) == []
    assert watching.tools[0] | {"call_id": "", "arguments": {}} == {
        "call_id": "",
        "name": "Bash",
        "arguments": {},
        "summary": "setsid sleep 30; echo x",
        "ok": False,
        "answer": "cut off",
    }
    (usage,) = watching.metered.values()
    assert usage.output_tokens in (1, 60)  # as far as it was heard when the stop came
    assert (usage.cost_usd, usage.cost_status, usage.final) == (None, "derived", True)
    assert b"Waiting." in watching.artifacts["transcript.jsonl"]
    assert watching.artifacts["made.txt"] == b"hi"
    assert not stages.place.exists()


def test_an_attempt_that_was_handed_back_is_gone_on_with(watching: Watching, tmp_path: Path) -> None:
    stages = stage(tmp_path, [{"write": "made.txt", "text": "hi"}, UNTIL_THE_TOOL, HANG], [ALL])
    watching.at_tool = lambda: setattr(watching, "releasing", True)
    with pytest.raises(Released):
        stages.run(watching)
    context = again(watching)

    result = stages.run(context)

    first, second = stages.call(0)["argv"], stages.call(1)["argv"]
    session_id = first[first.index("--session-id") + 1]
    assert second[second.index("--resume") + 1] == session_id == result["session_id"]
    assert stages.call(1)["stdin"].startswith("You were interrupted")
    assert stages.call(1)["stdin"].endswith("Count the files.")
    assert stages.call(1)["cwd"] == stages.call(0)["cwd"]
    assert result["files_changed"] == ["made.txt"]
    transcript = context.artifacts["transcript.jsonl"].decode()
    assert "Waiting." in transcript
    assert "Done: one file." in transcript


def test_a_killed_workers_attempt_is_gone_on_with_and_nothing_of_it_lives(
    context: RecordingContext, tmp_path: Path
) -> None:
    stages = stage(tmp_path, [TOOL, UNTIL_THE_TOOL, HANG], [ALL])
    work = stages.work()
    script = (
        "import json, sys; from pathlib import Path; from dataclasses import asdict\n"
        "from actors.runners.base import Work; from actors.runners.cli import CliRunner\n"
        "from tests.actors.runners.boxes import context_in\n"
        "class Printing(__import__('tests.doubles').doubles.RecordingContext):\n"
        "    def tool_started(self, *rest): print(json.dumps(self.kept), flush=True)\n"
        "Path(sys.argv[2]).mkdir()\n"
        "CliRunner().run(Work(**json.loads(sys.argv[1])), Printing(workspace=Path(sys.argv[2])))\n"
    )
    arguments = [json.dumps(vars(work)), str(tmp_path / "other")]
    worker = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    context.kept = json.loads(worker.stdout.readline())
    assert any("sleep 300" in command for command in alive(work))

    worker.kill()
    worker.wait()
    worker.stdout.close()

    until(lambda: alive(work) == [], 5)
    result = stages.run(context)
    assert "--resume" in stages.call(1)["argv"]
    assert result["result"] == "Done: one file."


def test_stragglers_of_an_earlier_attempt_are_ended(context: RecordingContext, tmp_path: Path) -> None:
    stages = stage(tmp_path, [ALL])
    work = stages.work()
    env = {"CALLBOARD_JOB_ID": work.job_id, "CALLBOARD_IDEMPOTENCY_KEY": work.idempotency_key}
    straggler = subprocess.Popen(["sleep", "300"], env=env)

    end_stragglers(work.job_id)

    assert straggler.wait(5) == -9


def test_a_session_that_is_lost_is_replaced_once(watching: Watching, tmp_path: Path) -> None:
    lost = [{"play": "claude-no-session.jsonl"}, {"exit": 1}]
    stages = stage(tmp_path, [UNTIL_THE_TOOL, HANG], lost, [ALL])
    watching.at_tool = lambda: setattr(watching, "releasing", True)
    with pytest.raises(Released):
        stages.run(watching)
    context = again(watching)

    result = stages.run(context)

    first, third = stages.call(0)["argv"], stages.call(2)["argv"]
    assert third[third.index("--session-id") + 1] not in first
    assert stages.call(2)["stdin"] == "Count the files."
    assert result["result"] == "Done: one file."
    assert "a new one is begun" in context.events[0]["message"]


@pytest.mark.parametrize(
    "poisoned",
    [
        [{"play": "claude-refused-400.jsonl"}, {"exit": 1}],
        [{"complain": "Error: Session ID 1 is already in use."}, {"exit": 1}],
    ],
)
def test_a_session_that_is_poisoned_is_replaced_only_once(
    watching: Watching, tmp_path: Path, poisoned: list[JSON]
) -> None:
    stages = stage(tmp_path, [UNTIL_THE_TOOL, HANG], poisoned)
    watching.at_tool = lambda: setattr(watching, "releasing", True)
    with pytest.raises(Released):
        stages.run(watching)

    with pytest.raises(JobError):
        stages.run(again(watching))

    assert "--resume" in stages.call(1)["argv"]
    assert "--session-id" in stages.call(2)["argv"]
    assert not (stages.folder / "call-3.json").exists()


def test_a_session_on_another_machine_is_not_asked_for(watching: Watching, tmp_path: Path) -> None:
    stages = stage(tmp_path, [UNTIL_THE_TOOL, HANG], [ALL])
    watching.at_tool = lambda: setattr(watching, "releasing", True)
    with pytest.raises(Released):
        stages.run(watching)
    context = again(watching)

    stages.run(context, folder=str(tmp_path / "another"))

    assert "--resume" not in stages.call(1)["argv"]
    assert "not on this machine" in context.events[0]["message"]


def test_an_agent_may_refuse_to_go_on(watching: Watching, tmp_path: Path) -> None:
    stages = stage(tmp_path, [UNTIL_THE_TOOL, HANG], [ALL])
    watching.at_tool = lambda: setattr(watching, "releasing", True)
    with pytest.raises(Released):
        stages.run(watching, resume=False)

    stages.run(again(watching), resume=False)

    assert "--resume" not in stages.call(1)["argv"]


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("claude-refused-401", PermanentError),
        ("claude-refused-429", RateLimitError),
        ("claude-refused-529", TemporaryError),
        ("claude-max-turns", PermanentError),
        ("claude-max-budget", StoppedByBudget),
    ],
)
def test_a_failure_of_the_cli(
    context: RecordingContext, tmp_path: Path, stream: str, kind: type[JobError]
) -> None:
    stages = stage(tmp_path, [{"play": f"{stream}.jsonl"}, {"exit": 1}])

    with pytest.raises(kind) as caught:
        stages.run(context)

    assert type(caught.value) is kind
    assert caught.value.details["exit_code"] == 1
    assert "transcript.jsonl" in context.artifacts
    # Only where another attempt may come is anything kept for it.
    assert stages.place.exists() == (kind is not PermanentError)


@pytest.mark.parametrize(
    "ending",
    [
        [UNTIL_THE_TOOL],  # exit code 0, but no last word
        [ALL, {"exit": 1}],  # a good last word, but an exit code
        [{"complain": "segmentation fault"}, {"exit": 139}],
    ],
)
def test_success_takes_a_last_word_and_an_exit_code(
    context: RecordingContext, tmp_path: Path, ending: list[JSON]
) -> None:
    with pytest.raises(TemporaryError, match="before it was done"):
        stage(tmp_path, ending).run(context)


def test_a_run_of_which_nothing_was_heard_is_unaccounted_for(
    context: RecordingContext, tmp_path: Path
) -> None:
    with pytest.raises(TemporaryError):
        stage(tmp_path, [{"play": "codex-cut-off.jsonl"}]).run(
            context, adapter="codex", model="gpt-5.1-codex"
        )

    (usage,) = context.metered.values()
    assert (usage.model, usage.cost_status, usage.final) == ("gpt-5.1-codex", "unaccounted", True)


def test_what_never_began_costs_nothing(context: RecordingContext, tmp_path: Path) -> None:
    with pytest.raises(TemporaryError):
        stage(tmp_path, [{"exit": 2}]).run(context)

    assert context.metered == {}


def test_very_long_lines_and_noise_do_no_harm(context: RecordingContext, tmp_path: Path) -> None:
    noise = [{"say": "not json"}, {"say": '{"type": 5}'}, {"say": "{broken"}, {"complain": "(node) warning"}]
    before, after = (
        {"play": "claude-tool.jsonl", "lines": [0, 12]},
        {"play": "claude-tool.jsonl", "lines": [13, None]},
    )

    result = stage(tmp_path, [*noise, before, {"long": 9_000_000}, after]).run(context)

    assert result["result"] == "Done: one file."
    assert context.tools[0]["ok"] is True
    assert {"not json", "{broken", "(node) warning"} <= {line["message"] for line in context.logs}
    assert "too long to be read" in context.said
    assert len(context.artifacts["transcript.jsonl"]) < 10_100_000


@pytest.mark.parametrize(
    "error", [StoppedByBudget("The budget of $0.01 is spent."), Stalled("Nothing was said.")]
)
def test_the_purse_and_the_watchdog_end_the_tree(watching: Watching, tmp_path: Path, error: JobError) -> None:
    stages = stage(tmp_path, [{"write": "made.txt", "text": "hi"}, TOOL, UNTIL_THE_TOOL, HANG])
    work = stages.work()
    watching.at_tool = lambda: setattr(watching, "stop_error", error)

    with pytest.raises(type(error)) as caught:
        CliRunner().run(work, watching)

    assert caught.value is error
    assert alive(work) == []
    assert watching.partial_result is not None
    assert watching.partial_result["result"] == "Waiting."
    assert stages.place.exists()
    assert ("made.txt" in watching.artifacts) == isinstance(error, StoppedByBudget)


def test_what_is_left_of_the_budget_is_passed_on(context: RecordingContext, tmp_path: Path) -> None:
    stages = stage(tmp_path, [ALL])

    stages.run(context, budget_usd_left=0.25)

    argv = stages.call(0)["argv"]
    assert argv[argv.index("--max-budget-usd") + 1] == "0.250000"


def test_the_time_limit_ends_it(watching: Watching, tmp_path: Path) -> None:
    stages = stage(tmp_path, [TOOL, UNTIL_THE_TOOL, HANG])
    work = stages.work()
    watching.at_tool = lambda: setattr(watching, "timeout_seconds", 0.0)

    with pytest.raises(AttemptTimeout):
        CliRunner().run(work, watching)

    assert alive(work) == []


def test_a_structured_answer_is_checked(context: RecordingContext, tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    stages = stage(tmp_path, [{"play": "claude-structured.jsonl"}])

    result = stages.run(context, output_schema=schema)

    assert result["structured"] == {"a": 5}
    assert json.loads(stages.call(0)["argv"][stages.call(0)["argv"].index("--json-schema") + 1]) == schema


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("claude-structured.jsonl", r"at \$\.a: 5 is not of type 'string'"),
        ("claude-tool.jsonl", "no JSON object"),
    ],
)
def test_an_answer_that_does_not_fit_is_tried_again(
    context: RecordingContext, tmp_path: Path, stream: str, words: str
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}

    with pytest.raises(TemporaryError, match=words):
        stage(tmp_path, [{"play": stream}]).run(context, output_schema=schema)


def test_what_was_not_allowed_is_told(context: RecordingContext, tmp_path: Path) -> None:
    result = stage(tmp_path, [{"play": "claude-denied.jsonl"}]).run(context)

    assert result["permission_denials"][0]["tool_name"] == "Bash"
    assert context.events[-1]["message"] == "Bash was not allowed"


@pytest.mark.parametrize(
    ("adapter", "stream", "text", "usage"),
    [
        ("codex", "codex-tool.jsonl", "Done.", (2200, 400, 100)),
        ("gemini", "gemini-tool.jsonl", "Done.", (2200, 400, 100)),
    ],
)
def test_other_clis(
    context: RecordingContext, tmp_path: Path, adapter: str, stream: str, text: str, usage: tuple[int, ...]
) -> None:
    result = stage(tmp_path, [{"play": stream}]).run(context, adapter=adapter, model="m")

    assert (result["result"], result["turns"]) == (text, 2)
    assert [one["message"] for one in context.events if one["kind"] == "turn"] == ["I look around.", text]
    assert context.tools[0]["ok"] is True
    (metered,) = context.metered.values()
    assert (metered.input_tokens, metered.cache_read_tokens, metered.output_tokens) == usage
    assert (metered.cost_usd, metered.cost_status, metered.final) == (None, "unpriced", True)


def test_codex_goes_on_with_its_own_id_and_only_its_new_usage(watching: Watching, tmp_path: Path) -> None:
    thread = "01a20190-3aa6-7172-800f-684c67f94c37"
    stages = stage(tmp_path, [{"play": "codex-cut-off.jsonl"}, HANG], [{"play": "codex-resumed.jsonl"}])
    watching.at_tool = lambda: setattr(watching, "releasing", True)
    with pytest.raises(Released):
        stages.run(watching, adapter="codex")
    context = again(watching)
    context.kept["cli"]["counters"] = {"input_tokens": 2600, "cached_input_tokens": 400, "output_tokens": 100}

    result = stages.run(context, adapter="codex")

    assert stages.call(1)["argv"][:2] == ["exec", "resume"]
    assert thread in stages.call(1)["argv"]
    assert result["usage"]["input_tokens"] == 1000


def test_any_program_with_a_template(context: RecordingContext, tmp_path: Path) -> None:
    stages = stage(tmp_path, [{"say": "Thinking"}, {"say": '{"answer": 42}'}])
    argv = [str(stages.program), "--", "{{prompt}}", "--score", str(stages.folder)]

    result = stages.run(context, adapter="generic", program=None, args=[], argv=argv, stdin="none")

    assert result["structured"] == {"answer": 42}
    assert result["result"] == 'Thinking\n{"answer": 42}'
    assert stages.call(0)["argv"][:2] == ["--", "Count the files."]
    assert "Thinking" in context.said


def test_two_attempts_never_work_in_one_place(watching: Watching, tmp_path: Path) -> None:
    """The second one waits; here it is cancelled while it does."""
    stages = stage(tmp_path, [UNTIL_THE_TOOL, HANG])
    second = RecordingContext(workspace=watching.workspace, cancelled=True)
    errors: list[str] = []

    def start_another() -> None:
        try:
            stages.run(second)
        except Cancelled:
            errors.append("the second waited")
        watching.cancelled = True

    watching.at_tool = start_another

    with pytest.raises(Cancelled):
        stages.run(watching)

    assert errors == ["the second waited"]
    assert not (stages.folder / "call-1.json").exists()


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worker's user without keys and logins; answers the home."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def installed(folder: Path, version: str) -> str:
    """A program as npm installs it."""
    package = folder / "node_modules" / "@anthropic-ai" / "claude-code"
    package.mkdir(parents=True)
    (package / "package.json").write_text(
        json.dumps({"name": "@anthropic-ai/claude-code", "version": version})
    )
    program = package / "cli"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o700)
    return str(program)


def test_health_without_the_program(nobody: Path) -> None:
    health = CliRunner().health({"adapter": "claude", "program": "no-such-claude"})

    assert health.status == "unavailable"
    assert "npm install -g @anthropic-ai/claude-code" in str(health.reason)


def test_health_without_an_account(nobody: Path) -> None:
    health = CliRunner().health({"adapter": "claude", "program": installed(nobody, "2.1.300")})

    assert health.status == "unavailable"
    assert "ANTHROPIC_API_KEY" in str(health.reason)
    assert "claude /login" in str(health.reason)


def test_health_with_a_key(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")
    config = {"adapter": "claude", "program": installed(nobody, "2.1.300")}

    assert CliRunner().health(config).status == "ready"


def test_health_of_an_old_version(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")

    health = CliRunner().health({"adapter": "claude", "program": installed(nobody, "1.0.9")})

    assert health.status == "degraded"
    assert "1.0.9 is older than 2.1" in str(health.reason)


def test_health_never_waits_long_for_a_version(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")
    program = nobody / "claude"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o700)
    began = time.monotonic()

    first = CliRunner().health({"adapter": "claude", "program": str(program)})
    between = time.monotonic()
    CliRunner().health({"adapter": "claude", "program": str(program)})

    assert first.status == "ready"
    assert between - began < 20
    assert time.monotonic() - between < 0.5


@pytest.mark.parametrize(
    "config",
    [
        {"adapter": "cursor"},
        {"adapter": "claude", "workspace": "desktop"},
        {"adapter": "claude", "allowed_tools": "Bash"},
        {"adapter": "claude", "prompt": "{{secret.KEY}}"},
        {"adapter": "claude", "secrets": ["DATABASE_URL"]},
        {"adapter": "generic"},
        {"adapter": "generic", "argv": ["{{parameter.x}}"]},
    ],
)
def test_health_of_a_definition_that_cannot_work(nobody: Path, config: JSON) -> None:
    assert CliRunner().health(config).status == "unavailable"


def test_a_login_is_a_subscription_and_a_key_wins(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors.runners import adapters

    claude = adapters.named("claude")
    (nobody / ".claude").mkdir()
    (nobody / ".claude" / ".credentials.json").write_text("{}")

    login = account_of(claude, {})
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "t")
    token = account_of(claude, {})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")
    key = account_of(claude, {})

    assert (login.kind, login.folder) == ("subscription", nobody / ".claude")
    assert (token.kind, token.folder) == ("subscription", None)
    assert (key.kind, key.folder) == ("api", None)


def test_a_login_is_billed_as_a_subscription(context: RecordingContext, nobody: Path, tmp_path: Path) -> None:
    (nobody / ".claude").mkdir()
    (nobody / ".claude" / ".credentials.json").write_text("{}")
    stages = stage(tmp_path, [ALL])

    stages.run(context, secrets=[])

    assert {usage.billing for usage in context.metered.values()} == {"subscription"}
    assert stages.call(0)["env"]["CLAUDE_CONFIG_DIR"] == str(nobody / ".claude")
