"""Workers by the API: what they do and did, and letting one rest or end."""

from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.workers import history
from tests.app.api import world
from tests.app.api.calling import Caller

PATH = f"/api/v1/workers/{world.WORKER}"


@pytest.fixture(autouse=True)
def fresh() -> None:
    history.forget()


def body(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.data
    return dict(answer.json)


def audited() -> list[tuple[str, str]]:
    with db.quick():
        rows = db.rows(
            "SELECT action, subject FROM audit_log WHERE starts_with(action, 'worker.') ORDER BY at"
        )
    return [(row["action"], row["subject"]) for row in rows]


def test_a_worker_with_what_it_runs_and_ran(owner: Caller, other: Caller) -> None:
    world.worker()
    done, broken = world.completed(owner.id), world.failed(owner.id, "secret words")
    claim = world.running(owner.id, task_name="The long one")

    told = body(owner.get(PATH))
    assert (told["state"], told["busy"], told["wanted"]) == ("active", 1, None)
    assert [(job["job_id"], job["task_name"]) for job in told["jobs"]] == [(claim.job_id, "The long one")]
    assert [(each["job_id"], each["outcome"]) for each in told["attempts"]] == [
        (claim.job_id, None), (broken, "failed"), (done, "completed"),
    ]  # fmt: skip
    assert {name: told["totals"][name] for name in ("attempts", "running", "completed", "failed")} == {
        "attempts": 3, "running": 1, "completed": 1, "failed": 1,
    }  # fmt: skip

    theirs = body(other.get(PATH))
    assert (theirs["busy"], theirs["jobs"], theirs["attempts"]) == (1, [], [])
    assert theirs["totals"]["attempts"] == 3


def test_viewers_hear_no_message_of_an_error(owner: Caller, viewer: Caller) -> None:
    world.worker()
    world.failed(owner.id, "secret words")
    assert "secret words" not in viewer.get(PATH).get_data(as_text=True)
    assert body(viewer.get(PATH))["attempts"][0]["error_type"]


def test_drain_resume_and_stop_are_heard_and_written_down(admin: Caller, owner: Caller) -> None:
    world.worker()
    drained = body(admin.post(f"{PATH}/drain"))
    assert (drained["state"], drained["wanted"], drained["wanted_by"]) == ("draining", "drain", admin.id)
    summary = body(owner.get("/api/v1/workers"))["summary"]
    assert (summary["total"], summary["draining"], summary["threads"]) == (1, 1, 0)
    scaling = body(owner.get("/api/v1/scaling"))
    assert (scaling["current"], scaling["reason"]) == (0, "it is the least, and nothing waits")

    assert body(admin.post(f"{PATH}/resume"))["state"] == "idle"
    assert body(admin.post(f"{PATH}/stop"))["state"] == "stopping"
    refused = admin.post(f"{PATH}/resume")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")  # type: ignore[index]
    assert audited() == [
        ("worker.drained", world.WORKER),
        ("worker.resumed", world.WORKER),
        ("worker.stopped", world.WORKER),
    ]


def test_who_may_not_and_what_is_not_there(admin: Caller, owner: Caller) -> None:
    world.worker()
    assert owner.post(f"{PATH}/drain").status_code == 403
    assert audited() == []
    for verb in ("drain", "resume", "stop"):
        assert admin.post(f"/api/v1/workers/nobody/{verb}").status_code == 404
    assert admin.get("/api/v1/workers/nobody").status_code == 404
