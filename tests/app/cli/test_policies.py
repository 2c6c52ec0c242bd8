"""`callboard policies …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from app.db import db
from app.settings import Settings
from tests.app.cli.calling import Run, caller, told


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with the agents of tests and one admin."""
    return caller("policies", settings, monkeypatch)


def test_one_is_made_listed_shown_changed_and_deleted(run: Run) -> None:
    made = run("create", "Dear", "--agent", "test-echo", "--over-usd", 5, "--deadline-minutes", 60,
               "--escalate-minutes", 30, "--escalate-to", "user", "--question", "Go on?")  # fmt: skip
    assert made.exit_code == 0, made.output
    assert (
        "asks      over $5\n  jobs of   test-echo\n  whom      admin\n  silence   rejects after 60 min"
        in made.output
    )
    assert "and then  user, after 30 min\n  question  Go on?" in made.output

    assert run("list").output.endswith("on   Dear: over $5\n")
    assert run("show", "Dear").output == made.output
    row = told(run, "show", "Dear")
    assert run("show", row["policy_id"]).output == made.output

    changed = told(run, "edit", "Dear", "--name", "Open", "--effect", "publish", "--disabled",
                   "--clear", "over_usd", "--clear", "escalation", "--clear", "agents")  # fmt: skip
    assert (changed["name"], changed["effects"], changed["over_usd"]) == ("Open", ["publish"], None)
    assert (changed["enabled"], changed["agents"], changed["escalate_to"]) == (False, [], [])
    assert changed["deadline_minutes"] == 60
    assert "off  Open: before publish" in run("list").output

    assert run("delete", "Open").output == "Open  deleted\n"
    assert told(run, "list") == []
    with db.quick():
        noted = db.rows("SELECT action, details FROM audit_log WHERE action LIKE 'policy.%%' ORDER BY id")
    assert [row["action"] for row in noted] == ["policy.created", "policy.changed", "policy.deleted"]
    assert noted[0]["details"]["via"] == "cli"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "Nothing"), 1, "there is no approval policy 'Nothing'"),
        (("create", "x", "--agent", "nobody"), 1, "there is no agent 'nobody'"),
        (("create", "x", "--over-usd", "0"), 1, "over_usd must be more than 0"),
        (("create", "x", "--on-timeout", "shrug"), 2, "shrug"),
        (("delete", "01990000-0000-7000-8000-000000000000"), 1, "there is no approval policy"),
    ],
)
def test_what_is_wrong_is_said(run: Run, words: tuple[str, ...], code: int, said: str) -> None:
    done = run(*words)

    assert done.exit_code == code
    assert said in done.output
