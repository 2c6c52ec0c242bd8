"""The commands that speak to a server, against one on a real port: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import Engine

from app import clock
from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.api.limits import limiter
from app.cli import ALSO, COMMANDS, cli
from app.db import db
from app.jobs import lifecycle
from app.settings import ROOT, Settings
from tests.app.api import world
from tests.app.serving import Served, served
from tests.waiting import until

ADMIN = "admin@example.org"
NEW = ("status", "jobs", "dlq", "sessions", "search", "open", "queues", "budgets", "keys", "completion")
SAYS_NOTHING = {
    "open", "completion", "jobs logs", "sessions send", "sessions delete", "sessions export", "sessions import", "budgets delete",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(app: Flask) -> Iterator[Served]:
    with served(app) as there:
        yield there


class Line:
    """The command line of an admin, with a key."""

    def __init__(self, url: str, who: str, key: str) -> None:
        self.who = who
        self.environ = {"CALLBOARD_URL": url, "CALLBOARD_API_KEY": key, "NO_COLOR": "1"}

    def __call__(self, *words: object, code: int = 0, stdin: str | None = None, **environ: str) -> Result:
        done = CliRunner(env=self.environ | environ).invoke(cli, [*map(str, words)], input=stdin)
        assert done.exit_code == code, f"{done.output}\n{done.stderr}\n{done.exception!r}"
        assert isinstance(done.exception, SystemExit | None), done.exception
        return done

    def told(self, *words: object, stdin: str | None = None) -> Any:
        return json.loads(self(*words, "--json", stdin=stdin).stdout)


@pytest.fixture
def run(quick: Engine, server: Served, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    limiter.reset()
    with db.transaction():
        row = users.create(ADMIN, None, role="admin")
        who = Principal(user_id=str(row["user_id"]), email=ADMIN, role="admin")
        key = api_keys.create(who, name="test")
    return Line(server.url, who.user_id, key.text)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen in the first pause of a command, in place of its waiting."""

    def plan(happening: Callable[[], object]) -> None:
        left = [happening]
        monkeypatch.setattr("app.client.calls.sleep", lambda _seconds: left.pop()() if left else None)

    return plan


def settle(how: str) -> None:
    """Claim the one waiting job, and bring it to its end."""
    with db.transaction():
        (claim,) = lifecycle_claims()
    with db.transaction():
        if how == "completed":
            lifecycle.complete(claim, {"text": "Tides come and go."})
        elif how == "failed":
            lifecycle.fail(claim, world.PermanentError("it is broken"), world.Reason.PERMANENT, "")


def lifecycle_claims() -> list[Any]:
    return world.claims.claim_next(world.WORKER, world.POOLS, lease_seconds=60)


# -- jobs


def test_a_job_is_submitted_with_what_its_schema_wants(run: Line, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("text: from a file\nn: 2026-01-01\n")
    words = ("--param", "text=7", "--param", "n=7", "--tag", "a", "--priority", "high", "--name", "One")
    job_id = run("jobs", "submit", "test-echo", *words).stdout.strip()
    found = run.told("jobs", "show", job_id)
    assert (found["parameters"], found["tags"], found["priority"]) == ({"text": "7", "n": 7}, ["a"], "high")
    other = run.told(
        "jobs",
        "submit",
        "test-echo",
        "--params",
        tmp_path / "p.yaml",
        "--run-at",
        (clock.now() + timedelta(days=1)).isoformat(),
    )
    assert other["status"] == "pending"
    assert run.told("jobs", "show", other["job_id"])["parameters"] == {
        "text": "from a file",
        "n": "2026-01-01",
    }
    first, second = (
        run.told("jobs", "submit", "test-echo", "--param", "n=1", "--key", "same") for _ in range(2)
    )
    assert first["job_id"] == second["job_id"]
    assert [job["job_id"] for job in run.told("jobs", "list", "--tag", "a")["jobs"]] == [job_id]
    assert job_id in run("jobs", "show", job_id[:18]).stdout
    assert "no living worker" in run("jobs", "explain", job_id).stdout


def test_what_cannot_be_submitted_is_said(run: Line) -> None:
    assert "did you mean test-echo" in run("jobs", "submit", "test-ecoh", "--param", "n=1", code=1).stderr
    assert "known: n, secret, text" in run("jobs", "submit", "test-echo", "--param", "nix=1", code=1).stderr
    assert "write NAME=VALUE" in run("jobs", "submit", "test-echo", "--param", "n", code=2).stderr
    assert "does not take one text" in run("jobs", "submit", "test-echo", "hello", code=2).stderr
    assert "cannot be read" in run("jobs", "submit", "test-echo", "--params", "nowhere.json", code=2).stderr


def test_a_text_comes_from_standard_input(run: Line, meanwhile: Callable[..., None]) -> None:
    from tests import acting

    schema = {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]}
    with db.transaction():
        acting.agent("one-text", parameters=schema)
    meanwhile(lambda: settle("completed"))
    done = run("jobs", "submit", "one-text", "--wait", stdin="How do tides work?\n")
    assert done.stdout == "Tides come and go.\n"
    assert "completed" in done.stderr
    (job,) = run.told("jobs", "list")["jobs"]
    assert run.told("jobs", "show", job["job_id"])["parameters"] == {"task": "How do tides work?"}
    assert run("jobs", "result", job["job_id"]).stdout == "Tides come and go.\n"


def test_the_end_of_a_job_is_the_exit_code(run: Line, meanwhile: Callable[..., None]) -> None:
    claim = world.running(run.who)
    assert "Still running" in run("jobs", "watch", claim.job_id, "--timeout", "0", code=5).stderr
    assert "It is running" in run("jobs", "result", claim.job_id, code=5).stderr
    with db.transaction():
        lifecycle.complete(claim, {"answer": 42})
    assert json.loads(run("jobs", "result", claim.job_id).stdout) == {"answer": 42}
    meanwhile(lambda: settle("failed"))
    failed = run("jobs", "submit", "test-echo", "--param", "n=1", "--wait", code=3)
    assert "it is broken" in failed.stderr
    waiting = world.submitted(run.who)
    assert run("jobs", "cancel", waiting).stdout == f"{waiting}  cancelled\n"
    run("jobs", "watch", waiting, code=4)
    assert "Possible instead" in run("jobs", "cancel", waiting, code=1).stderr
    assert len(run("jobs", "retry", waiting).stdout.strip()) == 36
    assert len(run("jobs", "replay", claim.job_id, "--current").stdout.strip()) == 36


def test_a_log_is_printed_without_what_commands_a_terminal(run: Line) -> None:
    claim = world.running(run.who)
    world.said(claim, "plain", "\x1b[31mred\x1b]0;title\x07")
    lines = run("jobs", "logs", claim.job_id).stdout
    assert "plain" in lines
    assert "\x1b" not in lines
    entries = [json.loads(each) for each in run("jobs", "logs", claim.job_id, "--json").stdout.splitlines()]
    assert "plain" in [each["message"] for each in entries]


def test_what_ended_badly_is_looked_at_and_sent_in_again(run: Line) -> None:
    job_id = world.failed(run.who)
    (letter,) = run.told("dlq", "list")["tasks"]
    assert "it is broken" in run("dlq", "list").stdout
    assert "it is broken" in run("dlq", "show", job_id).stdout
    (group,) = run.told("dlq", "groups")["groups"]
    assert run("dlq", "resolve", group["group_key"], "--note", "mended").stdout.strip().endswith("resolved")
    assert len(run("dlq", "resubmit", letter["dlq_id"]).stdout.strip()) == 36
    assert run("dlq", "list").stderr == "No dead letters.\n"
    run("dlq", "resubmit", code=2)


def test_budgets_keys_and_queues_are_set(run: Line) -> None:
    made = run.told("budgets", "set", "--name", "All", "--scope", "global", "--unit", "usd", "--limit", "5")
    assert run.told("budgets", "set", made["budget_id"], "--limit", "6")["limit"] == 6
    assert "$6.00" in run("budgets", "list").stdout
    assert "needs --scope" in run("budgets", "set", "--name", "x", code=2).stderr
    assert "never change" in run("budgets", "set", made["budget_id"], "--scope", "team", code=2).stderr
    run("budgets", "delete", made["budget_id"])
    assert "Nothing was used" in run("budgets", "usage").stderr
    key = run("keys", "create", "laptop", "--scope", "read").stdout.strip()
    refused = run("jobs", "submit", "test-echo", "--param", "n=1", code=1, CALLBOARD_API_KEY=key)
    assert "Ask an admin" in refused.stderr
    (key_id,) = [each["key_id"] for each in run.told("keys", "list")["api_keys"] if each["name"] == "laptop"]
    run("keys", "revoke", key_id)
    assert "not valid" in run("jobs", "list", code=1, CALLBOARD_API_KEY=key).stderr
    assert run("queues", "pause", "general", "--for", "60").stdout == "general  paused\n"
    assert "paused until" in run("queues", "list").stdout
    assert run("queues", "resume", "general").stdout == "general  works\n"


def test_a_session_is_used_by_its_commands(run: Line, tmp_path: Path) -> None:
    run("session", "create", "m_1", "--title", "Monday", "--participants", "ada, bob")
    command = {"command": "conversation_batch", "session_id": "m_1"}
    chunks = {"chunks": [{"speaker": "ada", "text": "We decided to ship on Friday."}]}
    sent = run("sessions", "send", stdin=json.dumps(command | {"payload": chunks}))
    assert json.loads(sent.stdout)["ok"]
    shown = run("sessions", "show", "m_1").stdout
    assert "ada, bob" in shown
    assert "ada: We decided" in shown
    assert run("sessions", "pause", "m_1").stdout == "m_1  paused\n"
    assert "m_1" in run("session", "list", "--status", "paused").stdout
    assert run("sessions", "resume", "m_1").stdout == "m_1  active\n"
    assert run.told("sessions", "summary", "m_1")["session_id"] == "m_1"
    assert run("sessions", "summary", "m_1", "--make").stdout.strip()
    assert "m_1" in run("sessions", "search", "Friday").stdout
    by_words = run("sessions", "search", "Friday", "--session", "m_1", "--semantic")
    assert "m_1" in by_words.stdout
    assert "went by words" in by_words.stderr
    assert "m_1" not in run("sessions", "search", "Friday", "--session", "m_2").stdout
    run("sessions", "export", "m_1", "-o", tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text())["title"] == "Monday"
    assert run("sessions", "complete", "m_1").stdout == "m_1  completed\n"
    run("sessions", "delete", "m_1")
    run("sessions", "show", "m_1", code=1)
    assert "Monday" in run("sessions", "restore", "m_1").stdout


def test_a_question_is_answered(run: Line) -> None:
    job_id, approval_id = world.asking(run.who, "Publish it?", deadline_seconds=3600)
    assert f"{approval_id}  open" in run("approvals", "list").stdout
    shown = run("approvals", "show", approval_id).stdout
    assert f"by test-echo (job {job_id}, attempt 1)" in shown
    assert (
        f"asks a person: callboard approvals show {approval_id}"
        in run("jobs", "watch", job_id, "--timeout", "0", code=5).stderr
    )
    assert run("approvals", "answer", approval_id, "approve").stdout == f"{approval_id}  approved\n"


def test_a_job_is_shown_with_those_it_handed_out(run: Line) -> None:
    job_id = world.submitted(run.who)
    assert run("jobs", "tree", job_id).stdout == f"{job_id}  test-echo  queued  0 s\n"
    assert run.told("jobs", "tree", job_id)["children"] == []


def test_what_is_going_on_stands_on_one_screen(run: Line) -> None:
    world.failed(run.who)
    world.asking(run.who, "Publish it?")
    shown = run("status").stdout
    assert "general" in shown
    assert "Publish it?" in shown
    assert "it is broken" in shown
    assert set(run.told("status")) == {"health", "queues", "running", "approvals", "failed"}
    assert "test-echo" in run("search", "test-echo").stdout
    assert "went by words" in run("search", "test-echo", "--semantic").stderr
    assert run("open").stdout == f"{run.environ['CALLBOARD_URL']}/\n"


# -- the whole


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, f"{path} {name}".strip())


def test_every_command_says_what_it_does_and_answers_json() -> None:
    for path, command in leaves(cli, ""):
        assert command.help, path
        options = {name for each in command.params for name in each.opts}
        undocumented = [
            each.name for each in command.params if isinstance(each, click.Option) and not each.help
        ]
        if path.split()[0] in NEW:
            assert path in SAYS_NOTHING or "--json" in options, path
            assert [
                name for name in undocumented if name not in ("priority", "status", "limit", "group_by")
            ] == [], path
    assert set(ALSO.values()) <= set(COMMANDS)


def test_every_command_of_a_server_fails_readably_without_one(
    run: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.calls.sleep", lambda _seconds: None)
    nowhere = {"CALLBOARD_URL": "http://127.0.0.1:1"}
    for words in (
        ("jobs", "list"),
        ("status",),
        ("sessions", "list"),
        ("queues", "list"),
        ("agents", "list"),
    ):
        said = run(*words, code=69, **nowhere).stderr
        assert "cannot be reached" in said
    assert "needs the database" in run("secrets", "status", code=1).stderr
    assert "begins with http" in run("jobs", "list", code=1, CALLBOARD_URL="nowhere").stderr
    assert "CALLBOARD_API_KEY is not set" in run("jobs", "list", code=1, CALLBOARD_API_KEY="").stderr
    assert "Did you mean 'jobs'" in run("jbos", code=2).stderr
    assert "--as works without" in run("jobs", "list", "--as", "bob@example.org", code=2).stderr


# -- with processes


def environ(run: Line, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | run.environ | {"TERM": "xterm"} | more


def test_ctrl_c_on_a_terminal_leaves_the_job_alone(run: Line) -> None:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs ignore it, and so would ours
    claim = world.running(run.who)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "jobs", "watch", claim.job_id],
        cwd=ROOT, env=environ(run), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""

    def read() -> bool:
        nonlocal seen
        seen += os.read(ours, 4096)
        return b"test-echo running" in seen

    until(read)
    process.send_signal(signal.SIGINT)
    with suppress(OSError):  # the other side is closed
        while chunk := os.read(ours, 4096):
            seen += chunk
    assert process.wait(10) == 130
    os.close(ours)
    assert b"The job goes on" in seen
    with db.quick():
        assert world.acting.status(claim.job_id) == "running"


def test_a_shell_completes_commands_agents_and_jobs(run: Line, tmp_path: Path) -> None:
    job_id = world.submitted(run.who)
    program = tmp_path / "callboard"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    program.chmod(0o755)
    script = f"""
        eval "$(callboard completion bash)"
        complete -p callboard
        for line in "callboard jobs submit test-ec" "callboard jobs show {job_id[:20]}" "callboard sta"; do
            read -ra COMP_WORDS <<< "$line"; COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); COMPREPLY=()
            _callboard_completion callboard; echo "${{COMPREPLY[*]}}"
        done"""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT, env=environ(run, PATH=f"{tmp_path}:{os.environ['PATH']}"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[1:] == ["test-echo", job_id, "status"], done


def test_without_a_server_the_commands_work_on_the_database_here(
    run: Line, settings: Settings, tmp_path: Path
) -> None:
    here = environ(
        run,
        DATABASE_URL=settings.database_url,
        REDIS_URL=settings.redis_url,
        CALLBOARD_HOME=str(tmp_path / "home"),
        CALLBOARD_ADMIN_EMAIL=ADMIN,
        CALLBOARD_URL="",
        CALLBOARD_API_KEY="",
    )
    words = [sys.executable, "-m", "app", "jobs", "submit", "test-echo", "--param", "text=local", "--json"]
    done = subprocess.run(words, cwd=ROOT, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    with db.quick():
        assert world.acting.job(made["job_id"])["submitted_by"] == run.who
        assert db.value("SELECT count(*) FROM logins WHERE ended_at IS NULL") == 0
