"""Workflows, schedules, hooks, users, alerts, workers and the doctor of a server elsewhere, by an admin's key and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.accounts import links
from app.cli import cli
from app.cli.doctor import CODES
from app.db import db
from app.hooks import receiving
from app.workers import fleet
from tests.app.api import world
from tests.app.cli.test_remote import Line, run, server  # noqa: F401 - the fixtures of this file
from tests.app.hooks.sending import PULL_REQUEST, by_github, raw

FLOW = """\
name: Say it
inputs: {type: object, required: [word], properties: {word: {type: string}}}
steps:
  - {id: say, agent_id: test-echo, parameters: {text: "{{inputs.word}}"}}
"""
ADA, PASSWORD = "ada@example.org", "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A workflow that would run."""
    path = tmp_path / "say.yaml"
    path.write_text(FLOW)
    return path


def test_a_workflow_is_checked_run_watched_and_steered(run: Line, file: Path) -> None:  # noqa: F811
    assert "it would run, 1 steps" in run("workflows", "validate", file).stdout
    made = run.told("workflows", "run", file, "--input", "word=5", "--tag", "x")
    workflow_id = made["workflow_id"]
    assert (made["inputs"], made["tags"]) == ({"word": "5"}, ["x"])
    assert [each["workflow_id"] for each in run.told("workflows", "list")] == [workflow_id]
    watched = run("workflows", "watch", workflow_id, "--timeout", "0", code=5)
    assert ("0/1  say" in watched.stderr, "it goes on" in watched.stderr) == (True, True), watched.stderr

    for verb, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert run("workflows", verb, workflow_id).stdout.split() == [workflow_id, status]
    assert run("workflows", "watch", workflow_id, code=4).stderr.strip().endswith("cancelled  0/1")
    assert run.told("workflows", "retry", workflow_id)["retry_of"] == workflow_id
    assert run("workflows", "show", workflow_id).stdout.startswith("Say it: cancelled")


def test_mistakes_of_a_workflow_stand_at_their_line(run: Line, file: Path) -> None:  # noqa: F811
    file.write_text(FLOW.replace("test-echo", "test-ecko"))
    for words in (("validate", file), ("run", file, "--input", "word=x"), ("templates", "save", "say", file)):
        done = run("workflows", *words, code=1)
        assert f"{file}:4: /steps/0/agent_id: there is no agent" in done.output


def test_templates(run: Line, file: Path) -> None:  # noqa: F811
    assert run("workflows", "templates", "save", "say", file).stdout == "say v1, private\n"
    file.write_text(FLOW.replace("Say it", "Say that"))
    assert run("workflows", "templates", "save", "say", file, "--shared").stdout == "say v2, shared\n"
    assert run("workflows", "templates", "restore", "say", 1).stdout == "say v3, as v1\n"
    assert [each["version"] for each in run.told("workflows", "templates", "versions", "say")] == [3, 2, 1]
    assert run("workflows", "templates", "show", "say").stdout == FLOW
    assert "say " in run("workflows", "templates", "list").stdout
    made = run.told("workflows", "run", "say", "--version", 2, "--input", "word=hi")
    assert (made["name"], made["template"]) == ("Say that", {"name": "say", "version": 2})


def test_a_schedule(run: Line) -> None:  # noqa: F811
    words = ("test-echo", "--cron", "0 9 * * mon", "--timezone", "Europe/Berlin", "--param", "text=hi")
    schedule_id = run.told("schedules", "add", *words)["schedule_id"]
    assert [each["schedule_id"] for each in run.told("schedules", "list", "--agent", "test-echo")] == [
        schedule_id
    ]
    assert run("schedules", "pause", schedule_id).stdout == f"{schedule_id}  disabled\n"
    assert run("schedules", "resume", schedule_id).stdout == f"{schedule_id}  scheduled\n"
    ran = run.told("schedules", "run", schedule_id)
    shown = run.told("schedules", "show", schedule_id)
    assert ([each["job_id"] for each in shown["fires"]], len(shown["upcoming"])) == ([ran["job_id"]], 5)
    assert run("schedules", "delete", schedule_id).stdout == f"{schedule_id}  removed\n"
    assert "no schedule" in run("schedules", "show", schedule_id, code=1).stderr


def test_users(run: Line) -> None:  # noqa: F811
    made = run.told("users", "add", ADA, "--role", "viewer")
    with db.transaction():
        links.use(made["link"].rpartition("/")[2], PASSWORD)
    assert made["role"] == "viewer"
    assert run("users", "role", ADA, "user").stdout == f"{ADA}: user now\n"
    assert run.told("users", "disable", ADA.upper())["enabled"] is False
    assert "switched off" in run("users", "invite", ADA, code=1).stderr
    assert run("users", "enable", ADA).stdout == f"{ADA}: switched on\n"
    assert run("users", "password", ADA, stdin=PASSWORD + "\n").stdout.endswith("has a new password\n")
    assert "was not locked" in run("users", "unlock", ADA).stdout
    assert [line.split()[0] for line in run("users").stdout.splitlines()] == [ADA, "admin@example.org"]
    assert "there is no user nobody@" in run("users", "disable", "nobody@example.org", code=1).stderr


def test_alerts_workers_and_the_doctor(run: Line) -> None:  # noqa: F811
    alert_id = world.alert("backlog", "general")
    assert run("alerts", "list", "--fail-on", "warning", code=1).stdout.startswith(alert_id)
    assert run("alerts", "ack", alert_id).stdout == "acknowledged: It is wrong.\n"
    assert "over 20 jobs (changed)" in run("alerts", "set", "backlog", "--threshold", 20).stdout
    assert "over 20 jobs (changed)" in run("alerts", "rules").stdout

    with db.quick():
        fleet.register("w1", hostname="h", process_id=7, pools=("general",), threads=4, release="1.0")
    assert run("workers", "list").stdout == "w1  idle      0/4 busy  general  1.0\n"
    assert run("workers", "drain", "w1").stdout.startswith("w1  draining")
    assert run.told("workers", "resume", "w1")["state"] == "idle"
    assert run("workers", "stop", "w1").stdout.startswith("w1  stopping")
    assert "0 attempts" in run("workers", "show", "w1").stdout


def test_the_doctor_of_the_server(run: Line) -> None:  # noqa: F811
    done = CliRunner(env=run.environ).invoke(cli, ["doctor", "--json"])
    report = json.loads(done.stdout)
    assert CODES[report["status"]] == done.exit_code
    told = run("doctor", "--all", code=done.exit_code).stdout
    assert f"{report['score']} of 100" in told
    assert all(each["what"] in told for each in report["findings"])
    assert all(each["title"] in told for each in report["checks"])


def test_a_hook_from_its_making_to_a_replay(run: Line, tmp_path: Path) -> None:  # noqa: F811
    secret = run.told("hooks", "create", "repo")["secret"]
    data = raw(PULL_REQUEST)
    with db.transaction():
        headers = by_github(secret, "pull_request", data, delivery="d-1")
        receiving.receive("repo", headers=headers, body=data, ip=None)
    rule = tmp_path / "rule.yaml"
    rule.write_text("action: {kind: job, agent_id: test-echo, parameters: {text: it came}}\n")
    (kept,) = run.told("hooks", "rules", "repo", "--add", rule)
    (first,) = run.told("hooks", "deliveries", "repo", "--status", "ignored")
    again = run.told("hooks", "replay", first["delivery_id"])
    assert (again["status"], again["replay_of"]) == ("done", first["delivery_id"])
    assert "1 rules  2 in a day" in run("hooks", "list").stdout
    assert run.told("hooks", "rules", "repo", "--remove", kept["rule_id"]) == []
    assert run.told("hooks", "rotate", "repo")["secret"] != secret
    assert "there is no hook other" in run("hooks", "rules", "other", code=1).stderr
    assert "there is no delivery" in run("hooks", "replay", kept["rule_id"], code=1).stderr
