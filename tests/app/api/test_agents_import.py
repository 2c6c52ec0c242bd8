"""Importing agents, their versions, and taking them away again."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.agents import registry
from app.db import db
from tests.app.agents import collections
from tests.app.api import world
from tests.app.api.calling import Caller

IMPORT = "/api/v1/agents/import"
TEXT = "---\nname: Blog Writer\ndescription: Writes.\ntools: Read, Write\n---\nWrite well.\n"


def body(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.data
    return dict(answer.json)


def sent(
    admin: Caller, text: str = TEXT, path: str = "TEAM/.claude/agents/writer.md", **more: Any
) -> dict[str, Any]:
    return body(admin.post(IMPORT, json={"files": [{"path": path, "content": text}], **more}))


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nobody remembers agents of other tests."""
    registry.forget()


def test_a_dry_run_says_what_would_change_and_changes_nothing(admin: Caller) -> None:
    told = sent(admin, dry_run=True)

    assert (told["dry_run"], told["counts"]) == (True, {"new": 1, "changed": 0, "unchanged": 0, "broken": 0})
    (item,) = told["items"]
    assert (item["agent_id"], item["title"], item["team"], item["runner"]) == (
        "writer",
        "Blog Writer",
        "TEAM",
        "llm",
    )
    assert admin.get("/api/v1/agents/writer").status_code == 404


def test_what_is_imported_can_be_used_at_once(admin: Caller, owner: Caller) -> None:
    assert sent(admin)["counts"]["new"] == 1

    agent = body(owner.get("/api/v1/agents/writer"))
    assert (agent["agent_name"], agent["team"], agent["source"]) == ("Blog Writer", "TEAM", "import")
    assert (
        owner.post("/api/v1/jobs", json={"agent_id": "writer", "parameters": {"task": "go"}}).status_code
        == 201
    )
    assert owner.post("/api/v1/jobs", json={"agent_id": "writer"}).status_code == 422
    with db.quick():
        entry = db.row("SELECT actor, subject FROM audit_log WHERE action = 'agent.installed'")
    assert entry == {"actor": admin.id, "subject": "writer"}


def test_broken_files_are_told_with_their_line_and_the_others_come_in(admin: Caller) -> None:
    files = [
        {"path": "good.md", "content": TEXT},
        {"path": "bad.md", "content": "---\nname: x\nx-callboard:\n  pool: kitchen\n---\n"},
    ]
    told = body(admin.post(IMPORT, json={"files": files}))

    broken = next(item for item in told["items"] if item["path"] == "bad.md")
    assert (broken["action"], broken["errors"][0]["line"], broken["errors"][0]["pointer"]) == (
        "broken", 4, "/x-callboard/pool",
    )  # fmt: skip
    assert told["counts"] == {"new": 1, "changed": 0, "unchanged": 0, "broken": 1}
    assert admin.get("/api/v1/agents/good").status_code == 200
    assert admin.get("/api/v1/agents/bad").status_code == 404


def test_a_sidecar_lies_over_all_files(admin: Caller) -> None:
    sent(admin, sidecar="agents: {writer: {max_concurrent: 9}}")

    assert body(admin.get("/api/v1/agents/writer"))["max_concurrent_tasks"] == 9


def test_a_form_with_files_and_zips_does_the_same(admin: Caller, tmp_path: Path) -> None:
    archive = collections.zipped_folder(collections.three_teams(tmp_path / "ws"))
    form = {
        "files": [(io.BytesIO(archive), "ws.zip"), (io.BytesIO(TEXT.encode()), "writer.md")],
        "dry_run": "false",
    }
    told = body(admin.post(IMPORT, data=form, content_type="multipart/form-data"))

    assert told["counts"] == {"new": 35, "changed": 0, "unchanged": 0, "broken": 0}
    teams = {agent["team"] for agent in body(admin.get("/api/v1/agents"))["agents"]}
    assert set(collections.TEAMS) <= teams


def test_a_zip_may_come_in_json_as_base64(admin: Caller) -> None:
    data = base64.b64encode(collections.zipped({"a/writer.md": TEXT})).decode()
    told = body(
        admin.post(IMPORT, json={"files": [{"path": "x.zip", "content": data, "encoding": "base64"}]})
    )

    assert [item["agent_id"] for item in told["items"]] == ["writer"]


@pytest.mark.parametrize(
    ("request_body", "pointer"),
    [
        ({"json": {"files": []}}, "/files"),
        ({"json": {"files": [{"path": "x.md"}]}}, "/files/0/content"),
        ({"json": {"files": [{"path": "x.md", "content": "%", "encoding": "base64"}]}}, "/files/0/content"),
        ({"data": {"dry_run": "perhaps"}, "content_type": "multipart/form-data"}, "/dry_run"),
        ({"data": {"dry_run": "true"}, "content_type": "multipart/form-data"}, "/files"),
        ({"json": {"files": [{"path": "../x.md", "content": ""}]}}, None),
        ({"json": {"files": [{"path": "x.zip", "content": "PK"}]}}, None),
    ],
)
def test_what_cannot_be_an_import_is_refused(admin: Caller, request_body: Any, pointer: str | None) -> None:
    answer = admin.post(IMPORT, **request_body)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json.get("errors", [])] == ([pointer] if pointer else [])  # type: ignore[union-attr]


def test_too_much_is_refused(admin: Caller, app: Flask) -> None:
    content = "x" * app.config["MAX_CONTENT_LENGTH"]

    assert admin.post(IMPORT, json={"files": [{"path": "x.md", "content": content}]}).status_code == 413


def test_versions_are_listed_shown_and_compared(admin: Caller, owner: Caller) -> None:
    sent(admin)
    assert sent(admin, TEXT + "Be brief.\n")["items"][0]["added"] == 1

    listed = body(owner.get("/api/v1/agents/writer/versions"))["versions"]
    assert [(each["number"], each["current"], each["added"]) for each in listed] == [
        (2, True, 1),
        (1, False, None),
    ]
    assert "Be brief." in body(owner.get("/api/v1/agents/writer/versions/v2"))["definition"]
    assert body(owner.get(f"/api/v1/agents/writer/versions/{listed[1]['version']}"))["number"] == 1
    diff = body(owner.get("/api/v1/agents/writer/versions/1/diff/2"))
    assert (diff["before"]["number"], diff["after"]["number"], diff["added"], diff["removed"]) == (1, 2, 1, 0)
    assert "+Be brief." in diff["diff"]
    assert owner.get("/api/v1/agents/writer/versions/3").status_code == 404
    assert owner.get("/api/v1/agents/writer/versions/x!").status_code == 400


def test_values_that_may_be_secret_are_for_admins(admin: Caller, owner: Caller) -> None:
    text = "---\ndescription: d\nx-callboard: {runner: command, command: {argv: [x], env: {KEY: hunter2}}}\n---\n"
    sent(admin, text)

    assert "hunter2" in body(admin.get("/api/v1/agents/writer/versions/1"))["definition"]
    assert "hunter2" not in owner.get("/api/v1/agents/writer/versions/1").get_data(as_text=True)
    sent(admin, text.replace("hunter2", "hunter3"))
    assert "hunter" not in owner.get("/api/v1/agents/writer/versions/1/diff/2").get_data(as_text=True)


def test_an_imported_agent_can_be_taken_away_and_others_cannot(admin: Caller, owner: Caller) -> None:
    sent(admin)
    assert body(admin.call("DELETE", "/api/v1/agents/writer")) == {"agent_id": "writer", "outcome": "removed"}
    assert admin.get("/api/v1/agents/writer").status_code == 404

    sent(admin)
    owner.post("/api/v1/jobs", json={"agent_id": "writer", "parameters": {"task": "go"}})
    assert body(admin.call("DELETE", "/api/v1/agents/writer"))["outcome"] == "retired"
    assert body(admin.get("/api/v1/agents/writer"))["enabled"] is False
    assert admin.call("DELETE", "/api/v1/agents/test-echo").status_code == 409


def test_limits_of_an_admin_stay_until_they_are_to_follow_the_file(admin: Caller) -> None:
    sent(admin, sidecar="defaults: {max_concurrent: 4}")
    path = "/api/v1/agents/writer"
    assert body(admin.call("PATCH", path, json={"max_concurrent_tasks": 2}))["max_concurrent_tasks"] == 2
    sent(admin, sidecar="defaults: {max_concurrent: 6}")
    assert body(admin.get(path))["max_concurrent_tasks"] == 2
    assert (
        body(admin.call("PATCH", path, json={"as_defined": ["max_concurrent_tasks"]}))["max_concurrent_tasks"]
        == 6
    )


def test_an_agent_answers_to_its_other_names(admin: Caller, owner: Caller) -> None:
    sent(admin, sidecar="agents: {writer: {aliases: [Old_Writer]}}")

    assert body(owner.get("/api/v1/agents/old-writer"))["agent_id"] == "writer"
    made = owner.post("/api/v1/jobs", json={"agent_id": "old_writer", "parameters": {"task": "go"}}).json
    assert made is not None
    listed = body(owner.get("/api/v1/jobs?agent_id=old_writer"))["jobs"]
    assert [(job["job_id"], job["agent_id"]) for job in listed] == [(made["job_id"], "writer")]


# -- replay and compare


def test_a_replay_runs_the_definition_the_job_ran_with_or_the_present_one(
    admin: Caller, owner: Caller
) -> None:
    sent(admin)
    job_id = owner.post("/api/v1/jobs", json={"agent_id": "writer", "parameters": {"task": "go"}}).json[
        "job_id"
    ]  # type: ignore[index]
    assert owner.post(f"/api/v1/jobs/{job_id}/replay").status_code == 409
    owner.post(f"/api/v1/jobs/{job_id}/cancel")
    sent(admin, TEXT.replace("Write well.", "Write badly."))

    pinned = owner.post(f"/api/v1/jobs/{job_id}/replay", json={"parameters": {"task": "again"}})
    current = owner.post(f"/api/v1/jobs/{job_id}/replay", json={"version": "current"})
    shown = [body(owner.get(f"/api/v1/jobs/{answer.json['job_id']}")) for answer in (pinned, current)]  # type: ignore[index]

    assert [(job["agent_version_number"], job["pinned"]) for job in shown] == [(1, True), (2, False)]
    assert [job["parameters"] for job in shown] == [{"task": "again"}, {"task": "go"}]
    assert [job["replay_of_job_id"] for job in shown] == [job_id, job_id]
    assert [job["retry_of_job_id"] for job in shown] == [None, None]

    found = body(owner.get(f"/api/v1/jobs/compare?a={job_id}&b={shown[1]['job_id']}"))
    assert (found["input"]["same"], found["definition"]["same"]) == (True, False)
    assert "+Write badly." in found["definition"]["diff"]


def test_a_replay_is_checked_against_the_definition_it_is_to_run(admin: Caller, owner: Caller) -> None:
    takes = (
        "---\ndescription: d\nx-callboard: {{runner: python, python: {{call: 'x:y'}}, parameters: {}}}\n---\n"
    )
    sent(admin, takes.format("{type: object, required: [a]}"))
    job_id = owner.post("/api/v1/jobs", json={"agent_id": "writer", "parameters": {"a": 1}}).json["job_id"]  # type: ignore[index]
    owner.post(f"/api/v1/jobs/{job_id}/cancel")
    sent(admin, takes.format("{type: object, required: [b]}"))

    assert owner.post(f"/api/v1/jobs/{job_id}/replay").status_code == 201
    refused = owner.post(f"/api/v1/jobs/{job_id}/replay", json={"version": "current"})
    assert (refused.status_code, refused.json["code"]) == (422, "invalid_parameters")  # type: ignore[index]


def test_a_replay_leaves_the_dead_letter_open(owner: Caller, admin: Caller) -> None:
    failed = world.failed(owner.id)
    assert owner.post(f"/api/v1/jobs/{failed}/replay").status_code == 201

    (letter,) = body(admin.get("/api/v1/dlq/tasks"))["tasks"]
    assert letter["resubmitted"] is False


def test_two_jobs_are_compared_by_what_they_took_and_told(owner: Caller) -> None:
    first, second = world.completed(owner.id), world.failed(owner.id)
    found = body(owner.get(f"/api/v1/jobs/compare?a={first}&b={second}"))

    assert [found[side]["status"] for side in ("a", "b")] == ["completed", "failed"]
    assert found["input"] == {"same": True, "added": 0, "removed": 0, "diff": ""}
    assert '-  "answer": 42' in found["output"]["diff"]
    assert "it is broken" in found["output"]["diff"]
    assert (found["a"]["attempts"], found["a"]["tools"]) == (1, [])


def test_nobody_compares_what_they_may_not_see(owner: Caller, other: Caller, viewer: Caller) -> None:
    mine, theirs = world.completed(owner.id), world.completed(other.id)

    assert owner.get(f"/api/v1/jobs/compare?a={mine}&b={theirs}").status_code == 404
    assert viewer.get(f"/api/v1/jobs/compare?a={mine}&b={mine}").status_code == 403
    assert owner.get(f"/api/v1/jobs/compare?a={mine}").status_code == 400
