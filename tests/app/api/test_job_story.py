from __future__ import annotations

from datetime import timedelta
from typing import Any

from app import clock
from app.db import db
from app.jobs import timeline
from app.jobs.timeline import Report
from app.workers import fleet
from tests import acting
from tests.app.api import world
from tests.app.api.calling import Caller


def told(caller: Caller, job_id: str, what: str) -> dict[str, Any]:
    answer = caller.get(f"/api/v1/jobs/{job_id}/{what}").json
    assert answer is not None
    assert answer["job_id"] == answer["task_id"] == job_id
    return dict(answer)


def test_a_log_is_read_by_cursor_without_loss_or_repetition(owner: Caller) -> None:
    claim = world.running(owner.id)
    world.said(claim, *(f"line {n}" for n in range(5)))
    seen, after = [], 0
    while (page := told(owner, claim.job_id, f"logs?after={after}&limit=2"))["logs"]:
        seen += [line["message"] for line in page["logs"]]
        after = page["log_cursor"]

    assert seen == [f"line {n}" for n in range(5)]
    world.said(claim, "late")
    assert [line["message"] for line in told(owner, claim.job_id, f"logs?after={after}")["logs"]] == ["late"]


def test_a_log_keeps_a_level_and_worse(owner: Caller) -> None:
    claim = world.running(owner.id)
    world.said(claim, "fine")
    world.said(claim, "bad", level="error")

    assert [line["message"] for line in told(owner, claim.job_id, "logs?level=warning")["logs"]] == ["bad"]


def test_events_hold_the_completion_too(owner: Caller) -> None:
    events = told(owner, world.completed(owner.id), "events")

    assert [event["kind"] for event in events["events"]] == ["complete"]
    assert (events["cursor"], events["more"]) == (1, False)


def test_the_history_names_every_change_of_status(owner: Caller) -> None:
    steps = told(owner, world.completed(owner.id), "history")["history"]

    assert [step["to_status"] for step in steps] == ["queued", "running", "completed"]


def test_attempts_say_where_and_how_it_ended(owner: Caller) -> None:
    (attempt,) = told(owner, world.failed(owner.id), "attempts")["attempts"]

    assert (attempt["worker_id"], attempt["outcome"]) == (world.WORKER, "failed")


def test_explain_says_what_is_missing(owner: Caller) -> None:
    job_id = world.submitted(owner.id)
    assert [blocker["code"] for blocker in told(owner, job_id, "explain")["blockers"]] == ["no_worker"]

    with db.transaction():
        fleet.register("w", hostname="h", process_id=1, pools=("general",), threads=4, release="t")
    assert told(owner, job_id, "explain")["runnable"] is True


def test_explain_of_a_later_job_says_until_when(owner: Caller) -> None:
    job_id = world.submitted(owner.id, run_at=clock.now() + timedelta(hours=1))
    first = told(owner, job_id, "explain")["blockers"][0]

    assert (first["code"], first["until"] is not None) == ("scheduled", True)


def test_explain_names_the_jobs_in_the_way_that_one_may_see(owner: Caller, admin: Caller) -> None:
    with db.quick():
        acting.agent("narrow", max_concurrent=1)
        taken = acting.claimed("narrow", submitted_by=admin.id)
        fleet.register("w", hostname="h", process_id=1, pools=("general",), threads=4, release="t")
        job_id = acting.submitted("narrow", submitted_by=owner.id)

    (own,) = told(owner, job_id, "explain")["blockers"]
    (whole,) = told(admin, job_id, "explain")["blockers"]

    assert (own["code"], own["holders"], own["holder_count"]) == ("agent_limit", [], 1)
    assert [(each["job_id"], each["worker_id"]) for each in whole["holders"]] == [(taken.job_id, "w1")]


def test_attempts_say_what_they_ran_with(owner: Caller) -> None:
    claim = world.running(owner.id)
    with db.quick():
        pins = {"provider": "anthropic", "model": "opus"}
        timeline.write(Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, pins=pins))

    (attempt,) = told(owner, claim.job_id, "attempts")["attempts"]

    assert attempt["pins"] == pins
