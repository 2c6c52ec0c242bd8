"""`callboard workflows …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from app.accounts import users
from app.agents import registry
from app.cli import cli
from app.db import db
from app.settings import Settings
from tests.app.cli.calling import ADMIN, call_as_deployed

Run = Callable[..., Result]

TEXT = """\
name: Say it
inputs:
  type: object
  additionalProperties: false
  required: [word]
  properties:
    word: {type: string, title: Word}
    times: {type: integer, title: Times, default: 2}
steps:
  - id: say
    agent_id: echo
    parameters: {text: "{{inputs.word}}", n: "{{inputs.times}}"}
  - id: again
    agent_id: echo
    parameters: {text: "{{steps.say.output.text}}"}
"""
AGENT = """\
---
name: echo
description: Says it.
x-callboard:
  runner: python
  python: {call: "tests.playing:echo", isolation: thread}
  parameters: {type: object, properties: {text: {type: string}, n: {type: integer}}, additionalProperties: false}
---
Only for tests.
"""


@pytest.fixture
def run(quick: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with an admin, a user and the agent `echo`."""
    call_as_deployed(settings, monkeypatch)
    with db.transaction():
        for email, role in ((ADMIN, "admin"), ("bob@example.org", "user")):
            users.create(email, None, role=role)

    def call(*words: object, group: str = "workflows") -> Result:
        registry.forget()
        return CliRunner().invoke(cli, [group, *map(str, words)])

    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "echo.md").write_text(AGENT)
    assert call("import", tmp_path / "agents", group="agents").exit_code == 0
    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A workflow that would run."""
    path = tmp_path / "say.yaml"
    path.write_text(TEXT)
    return path


def rows(statement: str) -> list[Any]:
    with db.quick():
        return [tuple(row.values()) for row in db.rows(statement)]


def started(run: Run, *words: object) -> str:
    done = run("run", *words, "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.output)["workflow_id"])


def test_a_file_is_run_listed_and_shown(run: Run, file: Path) -> None:
    done = run("run", file, "--input", "word=hi", "--input", "times=3", "--priority", "high", "--tag", "x")
    assert done.exit_code == 0, done.output
    workflow_id = done.output.split()[0]

    assert rows("SELECT parameters, priority_rank, tags FROM jobs") == [({"text": "hi", "n": 3}, 1, ["x"])]
    assert rows("SELECT email FROM workflows JOIN users ON user_id::text = submitted_by") == [
        ("admin@example.org",)
    ]
    assert rows("SELECT action, details ->> 'via' FROM audit_log WHERE action LIKE 'workflow%%'") == [
        ("workflow.submitted", "cli")
    ]
    assert workflow_id in run("list").output
    assert [each["workflow_id"] for each in json.loads(run("list", "--json").output)] == [workflow_id]
    assert run("list", "--status", "failed").stdout == ""
    shown = run("show", workflow_id).output.splitlines()
    assert shown[0] == "Say it: running, 0 of 2 steps"
    assert [line.split()[:3] for line in shown[1:]] == [
        ["say", "queued", "echo"],
        ["again", "waiting", "echo"],
    ]
    assert json.loads(run("show", workflow_id, "--json").output)["inputs"] == {"word": "hi", "times": 3}


def test_inputs_come_from_a_file_and_from_words(run: Run, file: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text("word: from the file\ntimes: 7\n")
    started(run, file, "--inputs", tmp_path / "inputs.yaml", "--input", "word=5", "--as", "bob@example.org")

    assert rows("SELECT inputs, email FROM workflows JOIN users ON user_id::text = submitted_by") == [
        ({"word": "5", "times": 7}, "bob@example.org")
    ]


def test_it_is_paused_resumed_cancelled_and_run_again(run: Run, file: Path) -> None:
    workflow_id = started(run, file, "--input", "word=hi")

    for verb, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert run(verb, workflow_id).output.split() == [workflow_id, status]
    refused = run("pause", workflow_id)
    assert (refused.exit_code, "cancelled" in refused.output) == (1, True)
    again = json.loads(run("retry", workflow_id, "--json").output)
    assert again["retry_of"] == workflow_id
    assert [status for (status,) in rows("SELECT status FROM jobs ORDER BY job_id")] == [
        "cancelled",
        "queued",
    ]
    assert rows("SELECT action FROM audit_log WHERE action LIKE 'workflow.%%' ORDER BY id") == [
        ("workflow.submitted",), ("workflow.paused",), ("workflow.resumed",), ("workflow.cancelled",),
        ("workflow.retried",),
    ]  # fmt: skip


class TestValidating:
    def test_what_would_run_is_told_in_waves(self, run: Run, file: Path) -> None:
        done = run("validate", file)

        assert (done.exit_code, done.output.splitlines()) == (
            0,
            [f"{file}: it would run, 2 steps", "  1. say (echo)", "  2. again (echo)"],
        )

    def test_mistakes_stand_at_their_line(self, run: Run, file: Path) -> None:
        file.write_text(
            TEXT.replace(
                'agent_id: echo\n    parameters: {text: "{{steps',
                'agent_id: ecko\n    parameters: {text: "{{steps',
            )
        )
        done = run("validate", file)

        assert done.exit_code == 1
        assert done.output.startswith(f"{file}:14: /steps/1/agent_id: there is no agent")
        assert "echo" in done.output
        told = json.loads(run("validate", file, "--json").output)
        assert (told["valid"], told["problems"][0]["line"], told["plan"]) == (False, 14, None)

    def test_a_text_that_cannot_be_read_names_line_and_column(self, run: Run, file: Path) -> None:
        file.write_text("name: x\nsteps: [\n")
        done = run("validate", file)

        assert (done.exit_code, done.output.startswith(f"{file}:3: column 1: ")) == (1, True), done.output

    def test_inputs_are_checked_if_given(self, run: Run, file: Path) -> None:
        assert run("validate", file, "--input", "word=hi").exit_code == 0
        done = run("validate", file, "--input", "word=hi", "--input", "times=often")

        assert (done.exit_code, "/inputs/times" in done.output) == (1, True), done.output


class TestTemplates:
    def test_saved_listed_shown_restored_and_run(self, run: Run, file: Path) -> None:
        assert (
            run("templates", "save", "say-it", file, "--note", "The first").output == "say-it v1, private\n"
        )
        file.write_text(TEXT.replace("Say it", "Say that"))
        assert run("templates", "save", "say-it", file, "--shared").output == "say-it v2, shared\n"

        assert run("templates", "list").output.split() == ["say-it", "v2", "shared", "Say", "it"]
        assert run("templates", "show", "say-it").output == file.read_text()
        assert run("templates", "show", "say-it", "--version", "1").output == TEXT
        listed = run("templates", "versions", "say-it").output.splitlines()
        assert [line.split()[:2] for line in listed] == [["*", "v2"], ["v1", listed[1].split()[1]]]
        assert "The first" in listed[1]
        assert run("templates", "restore", "say-it", "1").output == "say-it v3, as v1\n"
        assert [
            each["version"] for each in json.loads(run("templates", "versions", "say-it", "--json").output)
        ] == [3, 2, 1]

        started(run, "say-it", "--version", "2", "--input", "word=hi")
        assert rows("SELECT name, template_name, template_version FROM workflows") == [
            ("Say that", "say-it", 2)
        ]

    def test_what_would_not_run_is_not_saved(self, run: Run, file: Path) -> None:
        file.write_text(TEXT.replace("agent_id: echo", "agent_id: nobody"))
        done = run("templates", "save", "say-it", file)

        assert (done.exit_code, f"{file}:11: /steps/0/agent_id" in done.output) == (1, True), done.output
        assert run("templates", "list").output == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "Missing argument"),
        (["run", "nothing"], 1, "there is no template"),
        (["run", "nowhere.yaml"], 1, "there is no file"),
        (["run", "{file}"], 1, "word"),
        (["run", "{file}", "--input", "word"], 2, "NAME=VALUE"),
        (["run", "{file}", "--input", "word=x", "--as", "nobody@example.org"], 1, "--as"),
        (["validate", "/nowhere.yaml"], 2, "does not exist"),
        (["show", "x"], 2, "not a valid UUID"),
        (["show", "01890000-0000-7000-8000-000000000000"], 1, "no workflow 0189"),
        (["cancel", "01890000-0000-7000-8000-000000000000"], 1, "no workflow 0189"),
        (["templates", "show", "nothing"], 1, "there is no template"),
        (["templates", "restore", "nothing", "1"], 1, "there is no template"),
        (["templates", "save", "Not So", "{file}"], 1, "name"),
        (["dance"], 2, "No such command"),
        (["--help"], 0, "validate"),
        (["run", "--help"], 0, "template"),
        (["templates", "--help"], 0, "restore"),
        (["templates", "save", "--help"], 0, "--shared"),
    ],
)
def test_exit_codes_and_words(run: Run, file: Path, words: list[str], code: int, said: str) -> None:
    done = run(*(word.format(file=file) for word in words))

    assert (done.exit_code, said in done.output) == (code, True), done.output
