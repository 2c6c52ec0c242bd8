"""`callboard approvals …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Engine

from app.db import db
from app.settings import Settings
from tests import acting
from tests.app.cli.calling import ADMIN, Run, caller, told

EDITABLE: dict[str, Any] = {
    "options": ("approve", "edit", "reject", "ask_back"),
    "editable": {"text": "A draft."},
}


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin, one user and one viewer."""
    return caller(
        "approvals",
        settings,
        monkeypatch,
        user="bob@example.org",
        viewer="eve@example.org",
    )


def asked(**wanted: Any) -> tuple[str, str]:
    with db.transaction():
        return acting.asked("Send it?", **wanted)


def status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def refused(done: Result, code: int, words: str) -> None:
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_open_ones_are_listed_shown_and_answered(run: Run) -> None:
    job_id, approval_id = asked(deadline_seconds=3600)
    (line,) = run("list").output.splitlines()
    assert line.startswith(f"{approval_id}  open       agent   until 20")
    assert line.endswith("Send it?")
    shown = run("show", approval_id).output
    assert f"by test-noop (job {job_id}, attempt 1)" in shown
    assert "options: approve, reject" in shown

    done = run("answer", approval_id, "approve", "--comment", "fine")
    assert (done.exit_code, done.output) == (0, f"{approval_id}  approved\n")
    assert status(job_id) == "queued"
    assert run("list").stdout == ""
    (kept,) = told(run, "list", "--status", "any")
    assert (kept["status"], kept["answered_by"], kept["comment"]) == ("approved", ADMIN, "fine")
    with db.quick():
        details = db.value("SELECT details FROM audit_log WHERE action = 'approval.answered'")
    assert details == {"via": "cli", "decision": "approve"}


def test_as_json_there_is_everything(run: Run) -> None:
    job_id, approval_id = asked(shown={"n": 1}, form={"type": "object"})
    one = told(run, "show", approval_id)
    assert (one["shown"], one["form"], one["job_id"]) == ({"n": 1}, {"type": "object"}, job_id)
    assert one["context"]["agent_id"] == "test-noop"
    assert told(run, "list", "--kind", "gate") == []
    assert [each["approval_id"] for each in told(run, "list", "--job", job_id)] == [approval_id]


def test_a_text_is_edited_from_a_file_or_stdin(run: Run, tmp_path: Path) -> None:
    (_, first), (_, second) = asked(**EDITABLE), asked(**EDITABLE)
    (tmp_path / "draft.txt").write_text("Better.\n\nMuch.\n")
    assert (
        told(run, "answer", first, "edit", "--edited", tmp_path / "draft.txt")["edited"] == "Better.\n\nMuch."
    )
    assert told(run, "answer", second, "edit", "--edited", "-", stdin="Or so.")["edited"] == "Or so."


def test_a_value_is_edited_as_json(run: Run) -> None:
    _, approval_id = asked(options=("edit", "reject"), editable={"value": {"n": 1}})
    refused(run("answer", approval_id, "edit", "--edited", "-", stdin="{n}"), 1, "--edited is no JSON")
    refused(run("answer", approval_id, "edit", "--edited", "-", stdin="[NaN]"), 1, "--edited is no JSON")
    refused(run("answer", approval_id, "edit", "--edited", "-", stdin="[1]"), 1, "must be of type object")
    assert told(run, "answer", approval_id, "edit", "--edited", "-", stdin='{"n": 2}')["edited"] == {"n": 2}


def test_the_form_is_filled_in_as_json(run: Run) -> None:
    form = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
    _, approval_id = asked(form=form)
    refused(run("answer", approval_id, "approve"), 1, "answer")
    refused(run("answer", approval_id, "approve", "--answer", "{"), 1, "--answer is no JSON")
    assert told(run, "answer", approval_id, "approve", "--answer", '{"day": "monday"}')["answer"] == {
        "day": "monday"
    }


def test_what_cannot_be_done_ends_with_1(run: Run) -> None:
    job_id, approval_id = asked()
    refused(
        run("answer", approval_id, "edit", "--edited", "-", stdin="x"),
        1,
        "this question takes approve, reject",
    )
    refused(run("answer", approval_id, "reject", "--as", "nobody@example.org"), 1, "there is no user")
    assert run("answer", approval_id, "reject").exit_code == 0
    refused(run("answer", approval_id, "approve"), 1, "settled already: it is rejected")
    refused(run("show", job_id), 1, "there is no approval")


def test_wrong_usage_ends_with_2(run: Run) -> None:
    _, approval_id = asked()
    refused(run("answer", "x", "approve"), 2, "not a valid UUID")
    refused(run("answer", approval_id, "maybe"), 2, "'maybe'")
    refused(run("list", "--status", "lost"), 2, "'lost'")
    refused(run("answer", approval_id, "edit", "--edited", "/no/such/file"), 2, "No such file")


def test_on_behalf_of_others_only_what_is_theirs(run: Run) -> None:
    _, of_somebody = asked()
    _, of_bob = asked(approvers=("bob@example.org",))
    _, of_eve = asked(approvers=("eve@example.org",))
    assert [each["approval_id"] for each in told(run, "list", "--as", "bob@example.org")] == [of_bob]
    refused(run("show", of_somebody, "--as", "bob@example.org"), 1, "there is no approval")
    refused(run("answer", of_somebody, "approve", "--as", "bob@example.org"), 1, "there is no approval")
    done = told(run, "answer", of_eve, "approve", "--as", "eve@example.org")
    assert done["answered_by"] == "eve@example.org"
    with db.transaction():
        db.run("UPDATE users SET enabled = false WHERE email = 'bob@example.org'")
    refused(run("answer", of_bob, "approve", "--as", "bob@example.org"), 1, "switched off")


@pytest.mark.parametrize("command", [(), ("list",), ("show",), ("answer",)])
def test_each_says_how_it_is_used(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert (done.exit_code, done.output.startswith("Usage:")) == (0, True)


def test_nothing_that_was_written_commands_the_terminal(run: Run) -> None:
    _, approval_id = asked(
        shown={"title": "\x1b]0;x\x07\x9b2J"},
        options=("approve", "edit"),
        editable={"text": "one\ntwo\x1b[2J\u202e"},
    )
    with db.transaction():
        db.run("UPDATE approvals SET question = %(q)s", q="Send\x1b[1A\x9b2K it?\r\u202eno")

    for done in (run("list"), run("show", approval_id)):
        assert done.exit_code == 0
        assert "Send" in done.output
        assert [c for c in done.output if not c.isprintable() and c != "\n"] == []
    assert "one\n" in run("show", approval_id).output


def test_what_was_approved_instead_is_shown(run: Run, tmp_path: Path) -> None:
    _, approval_id = asked(**EDITABLE)
    run("answer", approval_id, "edit", "--edited", "-", stdin="Another draft.")

    assert "edited: Another draft." in run("show", approval_id).output
