"""`callboard bulk …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Engine

from app.cli import bulk as command
from app.db import db
from app.errors import PermanentError
from app.jobs import bulk, dead_letters, lifecycle
from app.jobs.states import Reason
from app.settings import Settings
from tests import acting
from tests.app.cli.calling import Run, caller, told


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin, one user and one viewer."""
    return caller("bulk", settings, monkeypatch, user="bob@example.org", viewer="eve@example.org")


def submitted(**wish: Any) -> str:
    with db.quick():
        return acting.submitted(**wish)


def failed() -> str:
    with db.quick():
        taken = acting.claimed("test-echo", priority="critical")
        lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)
    return taken.job_id


def status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def worked_off() -> None:
    """What an executor does."""
    while True:
        with db.quick():
            ids = bulk.waiting()
        if not ids:
            return
        for bulk_id in ids:
            with db.transaction():
                bulk.step(bulk_id)


def refused(done: Result, code: int, words: str) -> None:
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_dry_run_says_what_it_would_touch(run: Run) -> None:
    job_id = submitted(tags=("x y",))
    done = run("cancel", "--tag", "x y", "--dry-run")
    assert done.exit_code == 0
    assert 'cancel would be done to 1 jobs: tag:"x y"' in done.output
    assert job_id in done.output
    assert told(run, "cancel", "tag:none", "--dry-run")["count"] == 0
    assert status(job_id) == "queued"


def test_what_is_asked_for_is_started_listed_shown_and_done(run: Run) -> None:
    hit, spared = submitted(tags=("x",)), submitted()
    action = told(run, "cancel", "tag:x", "agent:test-noop", "--yes")
    assert (action["matched"], action["state"], action["words"]) == (1, "pending", "tag:x agent:test-noop")
    worked_off()
    assert (status(hit), status(spared)) == ("cancelled", "queued")
    (line,) = run("list").output.splitlines()
    assert line.startswith(f"{action['bulk_id']}  cancel   completed         1/1")
    assert told(run, "show", action["bulk_id"])["percent"] == 100


def test_nothing_is_started_without_a_yes(run: Run) -> None:
    job_id = submitted()
    refused(run("cancel", "--everything"), 2, "say --yes")
    assert status(job_id) == "queued"


def test_all_is_only_meant_if_it_is_said(run: Run) -> None:
    refused(run("cancel", "--yes"), 2, "--everything")
    refused(run("resubmit", "--yes"), 2, "--everything")
    refused(run("cancel", "status:queued", "--id", lifecycle.new_id(), "--yes"), 2, "Give --id, or a filter")


def test_waiting_shows_how_far_it_is_and_says_by_the_code_how_it_went(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.time, "sleep", lambda _seconds: worked_off())
    good, over = submitted(), failed()
    done = run("cancel", "--id", good, "--yes", "--wait")
    assert done.exit_code == 0, done.output
    assert "100 %  1 done, 0 refused, 0 left" in done.output
    refused(run("cancel", "--id", over, "--yes", "--wait"), 1, "the job is failed")


def test_retry_and_priority_and_letters(run: Run) -> None:
    job_id, waiting = failed(), submitted()
    told(run, "retry", "--status", "failed", "--agent", "test-echo", "--yes")
    told(run, "priority", "--to", "high", "--id", waiting, "--yes")
    worked_off()
    with db.quick():
        assert dead_letters.get(job_id)["resubmitted"]
        assert acting.job(waiting)["priority_rank"] == 1
    run("cancel", "--everything", "--yes")
    worked_off()
    other = failed()
    told(run, "resubmit", "--agent", "test-echo", "--priority", "low", "--yes")
    worked_off()
    with db.quick():
        assert dead_letters.get(other)["resubmitted"]


def test_one_is_aborted(run: Run) -> None:
    submitted()
    action = told(run, "cancel", "--everything", "--yes")
    assert told(run, "abort", action["bulk_id"])["state"] == "aborted"
    refused(run("abort", action["bulk_id"]), 1, "aborted already")


def test_it_is_done_on_somebodys_behalf_and_only_what_they_may(run: Run) -> None:
    submitted()
    refused(run("cancel", "--everything", "--yes", "--as", "bob@example.org"), 1, "nothing to do")
    refused(run("cancel", "--everything", "--yes", "--as", "eve@example.org"), 1, "Insufficient permissions")


def test_a_filter_that_cannot_be_read_is_refused(run: Run) -> None:
    refused(run("cancel", "colour:red", "--yes"), 1, "filter cannot be read")
