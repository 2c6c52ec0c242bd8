"""`callboard alerts …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from app.alerts.rules import RULES
from app.db import db
from app.settings import Settings
from tests.app.api import world
from tests.app.cli.calling import Run, caller, told


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin."""
    return caller("alerts", settings, monkeypatch)


def test_when_all_is_quiet(run: Run) -> None:
    for words in ((), ("list",), ("list", "--fail-on", "info")):
        done = run(*words)
        assert (done.exit_code, done.output) == (0, "All quiet.\n")
    assert told(run, "list") == []


def test_what_is_wrong_and_how_scripts_learn_of_it(run: Run) -> None:
    alert_id = world.alert("backlog", "general")
    world.alert("no_worker", "", severity="critical", resolved=True)
    assert run("list").output == f"{alert_id}  warning   active        It is wrong.\n"
    assert len(told(run, "list", "--state", "all")) == 2
    codes = [run("list", "--fail-on", least).exit_code for least in ("info", "warning", "critical")]
    assert codes == [1, 1, 0]
    assert run("list", "--fail-on", "warning", "--state", "resolved").exit_code == 1
    assert run("list", "--fail-on", "bad").exit_code == 2


def test_who_takes_care_quiets_scripts_too(run: Run) -> None:
    alert_id = world.alert("backlog", "general")
    assert run("ack", alert_id).output == "acknowledged: It is wrong.\n"
    assert run("list", "--fail-on", "info").exit_code == 0
    assert told(run, "list")[0]["state"] == "acknowledged"
    assert run("ack", world.NOTHING).exit_code == 1
    assert run("ack", "x").exit_code == 2
    with db.quick():
        noted = db.row("SELECT details FROM audit_log WHERE action = 'alert.acknowledged'")
    assert noted == {"details": {"via": "cli", "rule": "backlog", "of": "general"}}


def test_the_rules_and_a_change_of_one(run: Run) -> None:
    lines = run("rules").output.splitlines()
    assert len(lines) == len(RULES)
    assert "backlog             on   warning   over 1,000 jobs  A queue grows long" in lines
    assert "over 20 jobs (changed)" in run("set", "backlog", "--threshold", 20).output
    assert told(run, "set", "backlog", "--off")["threshold"] == 20
    row = told(run, "set", "backlog", "--on", "--usual")
    assert (row["enabled"], row["threshold"]) == (True, 1000)
    assert run("set", "backlog", "--usual", "--threshold", 5).exit_code == 2
    refused = run("set", "backlog", "--threshold", -5)
    assert (refused.exit_code, "does not fit" in refused.output) == (1, True)
    assert run("set", "nothing", "--off").exit_code == 1
