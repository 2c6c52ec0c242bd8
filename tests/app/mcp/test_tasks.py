"""The tools of tasks, by HTTP, with their effect in the database."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app import clock
from app.client import Client
from app.client.calls import Away
from app.db import db
from app.errors import PermanentError
from app.jobs import artifacts, lifecycle, timeline
from app.jobs.artifacts import Store
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.jobs.timeline import Line, Report
from app.mcp import http, tasks
from tests import acting
from tests.app.mcp.model import Model


def taken() -> Claim:
    """The claim of the job that is next."""
    with db.quick():
        claim = acting.claim()
    assert claim is not None
    return claim


def finished(claim: Claim, result: dict[str, Any]) -> None:
    with db.transaction():
        lifecycle.complete(claim, result)


def said(claim: Claim, *messages: str, **report: Any) -> None:
    """Let a running job say something."""
    lines = [
        Line(at=clock.now(), kind="log", level="info", source="agent", message=each) for each in messages
    ]
    with db.transaction():
        assert timeline.write(
            Report(job_id=claim.job_id, fence=claim.fence, lease_id=claim.lease_id, lines=lines, **report)
        )


def test_work_is_given_followed_and_read(model: Model) -> None:
    made = model.use(
        "create_task", agent_id="test-echo", parameters={"text": "tides"}, priority="high", tags=["sea"]
    )
    task = made["task_id"]
    assert (made["status"], made["queue_position"], made["priority"]) == ("queued", 1, "high")
    assert made["url"].endswith(f"/jobs/{task}")
    with db.quick():
        row = acting.job(task)
    assert (row["submitted_by"], row["parameters"], row["tags"]) == (
        model.user_id,
        {"text": "tides"},
        ["sea"],
    )

    claim = taken()
    said(claim, "looked at the moon", progress=40, stage="reading")
    now = model.use("get_task_status", task_id=task)
    assert (now["status"], now["progress"], now["stage"], now["done"]) == ("running", 40, "reading", False)
    assert [line["message"] for line in now["logs"]] == ["looked at the moon"]
    assert now["actions"] == ["cancel"]

    finished(claim, {"said": "tides"})
    assert model.use("wait_for_task", task_id=task)["done"]
    outcome = model.use("get_task_result", task_id=task)
    assert (outcome["status"], outcome["result"], outcome["text"]) == ("completed", {"said": "tides"}, None)
    cut = model.use("get_task_result", task_id=task, max_chars=100)
    assert cut["result"] == {"said": "tides"}


def test_a_topic_is_a_blog_post_and_neither_is_a_question(model: Model) -> None:
    acting_agent()
    made = model.use("create_task", topic="Tides", tone="casual", target_length=800, tags=["sea"])
    with db.quick():
        row = acting.job(made["task_id"])
    assert row["agent_id"] == "content-pipeline"
    assert row["parameters"] == {"topic": "Tides", "tone": "casual", "target_length": 800, "tags": ["sea"]}

    assert "list_agents shows them" in model.refused("create_task")
    assert "agent_id: is left out where there is a topic" in model.refused(
        "create_task", topic="Tides", agent_id="test-echo"
    )


def acting_agent() -> None:
    with db.transaction():
        acting.agent("content-pipeline")


def test_what_is_wrong_with_the_input_is_said_as_the_api_says_it(model: Model) -> None:
    text = model.refused("create_task", agent_id="test-echo", parameters={"wrong": 1})
    assert text.count("known: n, secret, text") == 1
    assert "wrong" in text
    assert "there is no agent" in model.refused("create_task", agent_id="nobody")
    assert "is no task_id" in model.refused("get_task_status", task_id="../users")


def test_the_same_key_makes_one_task_and_later_is_later(model: Model) -> None:
    wish = {"agent_id": "test-echo", "parameters": {"n": 1}, "idempotency_key": "once"}
    assert model.use("create_task", **wish)["task_id"] == model.use("create_task", **wish)["task_id"]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = model.use("create_task", agent_id="test-echo", run_at=later)
    assert made["status"] == "pending"
    assert made["scheduled_for"]
    assert model.use("list_tasks")["total"] == 2


def test_waiting_goes_on_until_the_end(model: Model) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    claim = taken()
    ended: list[dict[str, Any]] = []
    waiting = threading.Thread(
        target=lambda: ended.append(model.use("wait_for_task", task_id=task, seconds=20))
    )
    waiting.start()
    finished(claim, {"n": 1})
    waiting.join(20)
    assert ended[0]["done"]
    assert ended[0]["status"] == "completed"


def test_waiting_outlasts_a_server_that_is_away_for_a_moment(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    finished(taken(), {"n": 1})
    real, failures = Client.call, [Away("no answer")]

    def call(self: Client, *args: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(self, *args, **more)

    monkeypatch.setattr(Client, "call", call)
    assert model.use("wait_for_task", task_id=task, seconds=10)["done"]
    failures.append(Away("no answer"))
    assert "no answer" in model.refused("wait_for_task", task_id=task, seconds=0)


def test_waiting_is_bounded_and_few_wait_at_once(
    model: Model, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    now = model.use("wait_for_task", task_id=task, seconds=0.2)
    assert not now["done"]
    assert now["poll_after_ms"] > 0
    assert "less than or equal to 25" in model.refused("wait_for_task", task_id=task, seconds=26)

    door: http.Door = app.extensions["callboard-mcp"]
    for _ in range(door.settings.web_threads // 2):
        assert door.waits.acquire(blocking=False)
    try:
        looks: list[str] = []
        real = Client.call
        monkeypatch.setattr(
            Client, "call", lambda self, *args, **more: looks.append(args[1]) or real(self, *args, **more)
        )
        assert not model.use("wait_for_task", task_id=task, seconds=20)["done"]
        assert len(looks) == 1  # it did not wait: every place was taken
    finally:
        for _ in range(door.settings.web_threads // 2):
            door.waits.release()


def test_a_task_is_cancelled_once_and_run_again(model: Model) -> None:
    task = model.use("create_task", agent_id="test-echo", parameters={"n": 1})["task_id"]
    assert model.use("cancel_task", task_id=task) == {
        "task_id": task,
        "status": "cancelled",
        "cancel_requested": True,
    }
    assert model.use("cancel_task", task_id=task)["status"] == "cancelled"  # no error
    with db.quick():
        assert acting.status(task) == "cancelled"

    again = model.use("retry_task", task_id=task, parameters={"n": 2}, priority="low")
    with db.quick():
        row = acting.job(again["task_id"])
    assert (row["retry_of_job_id"], row["parameters"]) == (task, {"n": 2})
    finished(taken(), {})
    assert "completed" in model.refused("cancel_task", task_id=again["task_id"])


def test_a_failure_is_told_with_its_log(model: Model) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    claim = taken()
    said(claim, *[f"line {n} " + "x" * 3000 for n in range(30)])
    with db.transaction():
        lifecycle.fail(claim, PermanentError("the sea is dry"), Reason.PERMANENT)
    assert model.use("get_task_result", task_id=task)["error"]["message"] == "the sea is dry"

    read: list[int] = []
    after, pages = 0, 0
    while True:
        page = model.use("get_task_logs", task_id=task, after=after)
        assert sum(len(line["message"]) for line in page["logs"]) <= tasks.MOST_LOG_CHARS
        read += [line["seq"] for line in page["logs"]]
        after, pages = page["cursor"], pages + 1
        if not page["more"]:
            break
    assert page["done"]
    assert pages == 2
    assert read == sorted(set(read))
    assert len(read) >= 30
    kinds = {line["kind"] for line in model.use("get_task_logs", task_id=task, everything=True)["logs"]}
    assert "log" in kinds


def test_why_a_task_waits_is_explained_by_both_names(model: Model) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    told = model.use("explain_task", task_id=task)
    assert told["blockers"]
    assert model.use("explain", task_id=task)["blockers"] == told["blockers"]


def test_tasks_are_listed_page_by_page(model: Model) -> None:
    made = [model.use("create_task", agent_id="test-echo", tags=["sea"])["task_id"] for _ in range(3)]
    model.use("cancel_task", task_id=made[0])
    first = model.use("list_tasks", tag="sea", limit=2)
    assert [task["task_id"] for task in first["tasks"]] == [made[2], made[1]]
    rest = model.use("list_tasks", tag="sea", limit=2, cursor=first["next_cursor"])
    assert [task["status"] for task in rest["tasks"]] == ["cancelled"]
    assert model.use("list_tasks", status=["cancelled", "failed"])["total"] == 1


def test_files_are_named_and_read_as_resources(model: Model, app: Flask) -> None:
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    claim = taken()
    settings = app.config["CALLBOARD"]
    store = Store(settings.artifact_store, settings.max_artifact_bytes)
    with db.transaction():
        artifacts.record(
            store.keep(task, claim.fence, "tides.md", "# Tides — high".encode(), "text/markdown")
        )
        artifacts.record(store.keep(task, claim.fence, "map.png", b"\x89PNG\xff", "image/png"))
    finished(claim, {"ok": True})
    files = model.use("get_task_result", task_id=task)["files"]
    assert [file["name"] for file in files] == ["tides.md", "map.png"]

    def read(uri: str) -> Any:
        return model.within(lambda client: client.read_resource(uri)).contents[0]

    assert read(files[0]["uri"]).text == "# Tides — high"
    assert read(files[1]["uri"]).blob == "iVBOR/8="
    assert '"ok": true' in read(f"callboard://jobs/{task}/result").text
    assert '"status": "completed"' in read(f"callboard://jobs/{task}").text
    assert read(f"callboard://jobs/{task}/log").text
    assert '"agent_id": "test-echo"' in read("callboard://agents/test-echo").text
