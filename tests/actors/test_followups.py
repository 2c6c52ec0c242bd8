"""What follows a finished job: once, at once where a worker settled it, by the sweep where nobody did."""

from __future__ import annotations

from typing import Any

import pytest

from actors import followups, news
from actors.execute import AttemptFailed, run_next
from actors.middleware import dead_letter
from actors.post import Post
from app.db import db
from app.errors import PermanentError
from app.jobs import lifecycle
from app.notify import outbox
from app.workflows import definition, queries, runs
from app.workflows.runs import RunWish
from tests import acting


def started(*steps: dict[str, Any], **more: Any) -> str:
    wish = RunWish(
        definition=definition.read({"name": "test", "steps": list(steps)} | more), submitted_by=acting.OWNER
    )
    with db.transaction():
        return str(runs.start(wish)["workflow_id"])


def step(step_id: str, agent_id: str = "test-echo", **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": agent_id} | more


def told(subject_id: str) -> list[str]:
    with db.quick():
        rows = db.rows(
            "SELECT event, count FROM notifications WHERE subject_id = %(id)s ORDER BY notification_id",
            id=subject_id,
        )
    return [row["event"] for row in rows]


def open_followups() -> int:
    with db.quick():
        return int(db.value("SELECT count(*) FROM followups"))


def status_of(workflow_id: str) -> str:
    with db.quick():
        return str(queries.get(workflow_id)["status"])


def test_the_worker_that_settles_a_step_starts_the_next_one_at_once(post: Post) -> None:
    workflow_id = started(step("a"), step("b"), step("c"))
    assert [run_next(post) for _ in range(3)] == [True] * 3
    assert open_followups() == 1  # the finished run, which the sweep tells of
    assert followups.attend() == 1
    assert status_of(workflow_id) == "completed"
    assert told(workflow_id) == ["workflow.completed"]
    assert open_followups() == 0


def test_what_a_worker_left_undone_is_found_by_the_sweep(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow_id = started(step("a"), step("b"))
    monkeypatch.setattr(followups, "of", lambda _claim: None)  # it died right after the settle
    run_next(post)
    assert not run_next(post)
    followups.attend()
    assert run_next(post)
    followups.attend()
    followups.attend()
    assert status_of(workflow_id) == "completed"


def test_a_failed_job_is_a_dead_letter_for_the_admins_once_per_kind(post: Post) -> None:
    with db.quick():
        job_ids = [
            acting.submitted(
                "test-flaky", parameters={"failures": 9, "kind": "permanent", "message": "no such tide"}
            )
            for _ in range(3)
        ]
    for _ in job_ids:
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)
        dead_letter.bury(failed.value)
    followups.attend()
    with db.quick():
        letters = db.rows("SELECT count, audience, group_key FROM notifications WHERE event = 'dead_letter'")
    assert [(row["count"], row["audience"]) for row in letters] == [(3, "admins")]
    assert open_followups() == 0


def test_a_step_that_fails_is_told_of_with_its_run_and_only_there(post: Post) -> None:
    workflow_id = started(step("a", "test-flaky", parameters={"failures": 9, "kind": "permanent"}))
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    dead_letter.bury(failed.value)
    followups.attend()
    followups.attend()
    with db.quick():
        mine = db.rows("SELECT event FROM notifications WHERE audience = %(me)s", me=acting.OWNER)
    assert [row["event"] for row in mine] == ["workflow.failed"]
    assert status_of(workflow_id) == "failed"


@pytest.mark.usefixtures("quick")
def test_a_completed_job_is_told_of_only_where_somebody_asked() -> None:
    with db.quick():
        quiet, asked = acting.claimed(), acting.claimed(notify={"email": "ada@example.com"})
        for claim in (quiet, asked):
            lifecycle.complete(claim, {})
    assert (quiet.awaited, asked.awaited) == (False, True)
    assert followups.attend() == 1
    assert (told(quiet.job_id), told(asked.job_id)) == ([], ["job.completed"])
    with db.quick():
        (sent,) = db.rows("SELECT channel, target, status FROM deliveries")
    assert (sent["channel"], sent["target"]) == ("email", "ada@example.com")


@pytest.mark.usefixtures("quick")
def test_a_cancelled_job_calls_back_too() -> None:
    with db.quick():
        job_id = acting.submitted(notify={"callback_url": "https://example.com/hook"})
        lifecycle.cancel(job_id)
    followups.attend()
    with db.quick():
        (sent,) = db.rows("SELECT channel, target, payload FROM deliveries")
    assert (sent["channel"], sent["target"]) == ("webhook", "https://example.com/hook")
    assert sent["payload"]["data"]["job_id"] == job_id
    assert sent["payload"]["data"]["status"] == "cancelled"


@pytest.mark.usefixtures("quick")
def test_news_that_breaks_is_tried_again_later_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with db.quick():
        broken, sound = (acting.claimed(notify={"email": f"{n}@example.com"}) for n in "ab")
        for claim in (broken, sound):
            lifecycle.complete(claim, {})
    tell = outbox.tell

    def refuse(event: str, **more: Any) -> str:
        if more["subject"] == ("job", broken.job_id):
            raise PermanentError("no words")
        return tell(event, **more)

    monkeypatch.setattr(news.outbox, "tell", refuse)
    followups.attend()
    assert (told(broken.job_id), told(sound.job_id)) == ([], ["job.completed"])
    assert followups.attend() == 0  # not yet
    monkeypatch.undo()
    with db.quick():
        db.run("UPDATE followups SET next_at = now()")
    followups.attend()
    assert told(broken.job_id) == ["job.completed"]
    assert open_followups() == 0
