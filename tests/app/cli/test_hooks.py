"""`callboard hooks …` against a real database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import db
from app.hooks import receiving
from app.settings import Settings
from tests.app.cli.calling import Run, caller, told
from tests.app.hooks.sending import PULL_REQUEST, by_github, raw

RULE = """
name: Review it
events: [pull_request.opened]
conditions:
  - {path: pull_request.base.ref, is: equals, value: main}
action:
  kind: job
  agent_id: test-echo
  parameters: {text: "{{body.pull_request.title}}"}
"""


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    return caller("hooks", settings, monkeypatch)


def came(secret: str, external: str) -> None:
    data = raw(PULL_REQUEST)
    with db.transaction():
        receiving.receive(
            "repo", headers=by_github(secret, "pull_request", data, delivery=external), body=data, ip=None
        )


def test_a_hook_from_its_making_to_a_replay(run: Run, tmp_path: Path) -> None:
    made = run("create", "repo", "--name", "Ours").output.splitlines()
    assert made[0].endswith("/hooks/repo")
    secret = made[1].removeprefix("secret: ")
    came(secret, "d-1")
    file = tmp_path / "rule.yaml"
    file.write_text(RULE)

    (rule,) = told(run, "rules", "repo", "--add", file)
    assert "Review it: pull_request.opened -> job test-echo" in run("rules", "repo").output
    (first,) = told(run, "deliveries", "repo")
    assert (first["status"], first["event"]) == ("ignored", "pull_request.opened")
    again = told(run, "replay", first["delivery_id"])
    assert (again["status"], again["replay_of"]) == ("done", first["delivery_id"])
    assert again["results"][0]["job_id"] in run("deliveries", "repo").output
    assert "/hooks/repo  github  on   1 rules  2 in a day" in run("list").output
    assert told(run, "rules", "repo", "--remove", rule["rule_id"]) == []

    fresh = told(run, "rotate", "repo")["secret"]
    came(fresh, "d-2")
    came(secret, "d-3")
    assert len(told(run, "deliveries", "repo")) == 4
    with db.quick():
        noted = [
            row["action"]
            for row in db.rows("SELECT action FROM audit_log WHERE action LIKE 'hook.%%' ORDER BY id")
        ]
    assert noted == ["hook.created", "hook.rule_added", "hook.replayed", "hook.rule_deleted", "hook.rotated"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("- a", "must hold"), ("nme: x", "nme is nothing of a rule"), ("events: push", "/events: Input should be a valid array"),
     ("action: [1]", "/action: Input should be an object"), ("conditions: [1]\naction: {kind: job, agent_id: test-echo}", "/conditions/0: Input should be an object")],
)  # fmt: skip
def test_a_file_that_is_no_rule_says_why(text: str, said: str, run: Run, tmp_path: Path) -> None:
    run("create", "repo")
    file = tmp_path / "rule.yaml"
    file.write_text(text)

    done = run("rules", "repo", "--add", file)
    assert done.exit_code == 1
    assert said in done.output
