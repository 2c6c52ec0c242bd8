"""`callboard schedules …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from app.cli import cli
from app.db import db
from app.settings import Settings
from tests.app.cli.calling import Run, caller, told


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with the agents of tests and one admin."""
    return caller("schedules", settings, monkeypatch)


def _nightly(run: Run, *words: object) -> str:
    return str(
        told(run, "add", "test-echo", "--cron", "0 2 * * *", "--param", "text=hi", *words)["schedule_id"]
    )


def test_one_is_made_listed_and_shown(run: Run) -> None:
    made = run(
        "add", "test-echo", "--cron", "0 9 * * mon", "--timezone", "Europe/Berlin", "--param", "text=hi"
    )
    assert made.exit_code == 0, made.output
    schedule_id, status, words = made.output.strip().split("  ")
    assert (status, words) == ("scheduled", "At 09:00 on Monday (Europe/Berlin)")

    listed = run("list").output
    assert schedule_id in listed
    assert "test-echo: At 09:00 on Monday" in listed

    shown = run("show", schedule_id).output.splitlines()
    assert shown[0] == "test-echo: scheduled. At 09:00 on Monday (Europe/Berlin)"
    assert len(shown) == 6
    assert all("T09:00:00+0" in line for line in shown[1:])


def test_everything_can_be_said(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("text: from the file\n")
    made = told(
        run, "add", "test-echo", "--cron", "@daily", "--params", file, "--name", "Nightly", "--misfire", "all",
        "--grace", 5, "--overlap", "queue", "--jitter", 30, "--priority", "low", "--disabled",
    )  # fmt: skip
    assert {name: made[name] for name in ("name", "misfire", "grace_seconds", "overlap", "jitter_seconds", "priority")} == {
        "name": "Nightly", "misfire": "all", "grace_seconds": 5, "overlap": "queue", "jitter_seconds": 30, "priority": "low",
    }  # fmt: skip
    assert (made["status"], made["parameters"], made["cron_expression"]) == (
        "disabled", {"text": "from the file"}, "0 0 * * *",
    )  # fmt: skip


def test_once_in_the_time_of_a_place(run: Run) -> None:
    made = told(run, "add", "test-noop", "--at", "2036-12-01T09:00", "--timezone", "America/New_York")
    assert (made["schedule_type"], made["execute_at"]) == ("one_time", "2036-12-01T14:00:00.000Z")
    other = told(run, "add", "test-noop", "--at", "2036-12-01T09:00:00+05:30")
    assert other["execute_at"] == "2036-12-01T03:30:00.000Z"


def test_a_workflow_in_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("name: Two\nsteps:\n  - {id: one, agent_id: test-echo, parameters: {text: x}}\n")
    made = told(run, "add", "--workflow", file, "--cron", "0 2 * * *")
    assert (made["name"], made["agent_id"]) == ("Two", None)
    ran = told(run, "run", made["schedule_id"])
    assert (ran["outcome"], ran["workflow_id"] is not None) == ("fired", True)


def test_it_is_paused_resumed_run_and_removed(run: Run) -> None:
    schedule_id = _nightly(run)
    assert run("pause", schedule_id).output == f"{schedule_id}  disabled\n"
    ran = told(run, "run", schedule_id)
    assert run("resume", schedule_id).output == f"{schedule_id}  scheduled\n"
    shown = told(run, "show", schedule_id)
    assert [fire["job_id"] for fire in shown["fires"]] == [ran["job_id"]]
    assert f"fired   {shown['fires'][0]['slot_at'][:10]}" in run("show", schedule_id).output
    assert run("delete", schedule_id).output == f"{schedule_id}  removed\n"
    assert run("show", schedule_id).exit_code == 1
    with db.quick():
        assert db.rows("SELECT job_id::text, status FROM jobs") == [
            {"job_id": ran["job_id"], "status": "queued"}
        ]
        noted = db.rows("SELECT action FROM audit_log WHERE action LIKE 'schedule.%%' ORDER BY id")
    assert [row["action"].partition(".")[2] for row in noted] == [
        "created",
        "paused",
        "run",
        "resumed",
        "deleted",
    ]


def test_a_run_that_may_not_overlap_is_told_by_the_exit_code(run: Run) -> None:
    schedule_id = _nightly(run, "--overlap", "skip")
    assert run("run", schedule_id).exit_code == 0
    second = run("run", schedule_id)
    assert (second.exit_code, second.output) == (1, "skipped  the run before it has not ended\n")


def test_filters(run: Run) -> None:
    on, off = _nightly(run), _nightly(run, "--disabled")
    assert [each["schedule_id"] for each in told(run, "list", "--status", "disabled")] == [off]
    assert [each["schedule_id"] for each in told(run, "list", "--status", "scheduled")] == [on]
    assert told(run, "list", "--agent", "test-noop") == []


def test_a_preview_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/x")
    done = CliRunner().invoke(
        cli, ["schedules", "preview", "0 9 * * 7", "--timezone", "Asia/Kolkata", "-n", "3"]
    )
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert (lines[0], len(lines)) == ("At 09:00 on Sunday (Asia/Kolkata)", 4)
    assert all("T09:00:00+05:30" in line and "T03:30:00.000Z" in line for line in lines[1:])
    preview = json.loads(CliRunner().invoke(cli, ["schedules", "preview", "@daily", "--json"]).output)
    assert (preview["cron_expression"], len(preview["next"])) == ("0 0 * * *", 5)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["add", "test-echo"], 1, "cron_expression or execute_at"),
        (["add", "--cron", "0 2 * * *"], 1, "agent_id"),
        (["add", "nobody", "--cron", "0 2 * * *"], 1, "there is no agent"),
        (["add", "test-noop", "--cron", "0 25 * * *"], 1, "the hour '25'"),
        (["add", "test-noop", "--cron", "0 2 * * *", "--timezone", "Mars"], 1, "not an IANA time zone"),
        (["add", "test-noop", "--cron", "0 2 * * *", "--as", "eve@example.org"], 1, "there is no user"),
        (["add", "test-noop", "--at", "2020-01-01T00:00"], 1, "has passed"),
        (["add", "test-noop", "--at", "tomorrow"], 2, "write it like"),
        (["add", "test-noop", "--cron", "0 2 * * *", "--param", "x"], 2, "NAME=VALUE"),
        (["add", "test-noop", "--overlap", "never"], 2, "Invalid value"),
        (["show", "x"], 2, "not a valid UUID"),
        (["run", "01a20266-bffa-73e6-af5a-505e6b5eac5a"], 1, "no schedule 01a2"),
        (["pause", "01a20266-bffa-73e6-af5a-505e6b5eac5a"], 1, "no schedule 01a2"),
        (["delete", "01a20266-bffa-73e6-af5a-505e6b5eac5a"], 1, "no schedule 01a2"),
        (["preview", "x"], 1, "it needs five"),
        (["dance"], 2, "No such command"),
        (["add", "--help"], 0, "--jitter"),
    ],
)
def test_exit_codes_and_words(run: Run, words: list[str], code: int, said: str) -> None:
    done = run(*words)
    assert (done.exit_code, said in done.output) == (code, True), done.output
