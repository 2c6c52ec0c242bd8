"""`callboard workers …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from app.db import db
from app.settings import Settings
from app.workers import fleet, history
from tests import acting
from tests.app.cli.calling import ADMIN, Run, caller, told


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin."""
    history.forget()
    return caller("workers", settings, monkeypatch)


def _hire(worker_id: str = "w1") -> None:
    with db.quick():
        fleet.register(worker_id, hostname="h", process_id=7, pools=("general",), threads=4, release="1.0")


def test_they_are_listed_and_one_is_shown(run: Run) -> None:
    _hire()
    with db.quick():
        claim = acting.claimed(worker="w1")

    assert run("list").output == "w1  active    1/4 busy  general  1.0\n"
    shown = run("show", "w1").output.splitlines()
    assert shown[0] == "w1  active    1/4 busy  general  1.0"
    assert shown[1] == f"  runs   0 %  {claim.job_id}  test-noop"
    assert shown[2] == "  1 attempts: 0 completed, 0 failed, 0 handed back, 0 lost"
    assert shown[3].startswith("  running   ")
    assert [job["job_id"] for job in told(run, "show", "w1")["jobs"]] == [claim.job_id]
    assert told(run, "list")["summary"]["busy"] == 1


def test_without_workers_it_says_how_to_start_one(run: Run) -> None:
    assert "No worker runs" in run("list").output


def test_drain_resume_and_stop(run: Run) -> None:
    _hire()
    assert run("drain", "w1").output.startswith("w1  draining")
    assert told(run, "drain", "w1")["wanted"] == "drain"
    assert run("resume", "w1").output.startswith("w1  idle")
    assert told(run, "stop", "w1")["state"] == "stopping"
    with db.quick():
        assert fleet.wish("w1") == "stop"
        rows = db.rows(
            """SELECT action, email, details ->> 'via' AS via FROM audit_log JOIN users ON user_id::text = actor
               WHERE subject = 'w1' ORDER BY at"""
        )
    assert [row["action"] for row in rows] == [
        "worker.drained", "worker.drained", "worker.resumed", "worker.stopped",
    ]  # fmt: skip
    assert {(row["email"], row["via"]) for row in rows} == {(ADMIN, "cli")}


@pytest.mark.parametrize("verb", ["show", "drain", "resume", "stop"])
def test_who_is_not_there_is_exit_code_one(run: Run, verb: str) -> None:
    done = run(verb, "nobody")
    assert done.exit_code == 1
    assert "There is no worker 'nobody'" in done.output


def test_what_cannot_be_done_is_exit_code_one_and_leaves_nothing(run: Run) -> None:
    _hire()
    run("stop", "w1")
    done = run("resume", "w1")
    assert (done.exit_code, "ending already" in done.output) == (1, True)
    with db.quick():
        assert fleet.wish("w1") == "stop"
