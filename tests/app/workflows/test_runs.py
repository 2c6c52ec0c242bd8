"""What people do with runs."""

from __future__ import annotations

import pytest

from app.db import db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import lifecycle
from app.jobs.lifecycle import new_id
from app.workflows import progress, queries, runs
from app.workflows.definition import read
from tests import acting
from tests.acting import OWNER
from tests.app.workflows.playing import (
    breaks,
    ends,
    halts,
    jobs_of,
    parallel,
    row,
    run,
    started,
    statuses,
    step,
    taken,
    wish,
)

pytestmark = pytest.mark.usefixtures("here")


def test_a_run_starts_with_its_first_steps_in_one_go() -> None:
    found = runs.start(wish(parallel("p", step("a"), step("b")), step("c"), workflow_id="mine_001"))

    assert {
        "status": "running",
        "total_steps": 3,
        "completed_steps": 0,
        "external_key": "mine_001",
    }.items() <= found.items()
    assert found["submitted_at"] is not None
    assert [job["step_id"] for job in jobs_of(found["workflow_id"])] == ["a", "b"]
    assert queries.page(owner=OWNER)[0]["workflow_id"] == found["workflow_id"]


def test_what_would_not_run_is_refused_with_its_place() -> None:
    with pytest.raises(Invalid) as wrong:
        started({"step_id": "a", "agent_id": "anythin"})
    assert wrong.value.fields[0][0] == "/steps/0/agent_id"
    assert db.value("SELECT count(*) FROM workflows") == 0


def test_inputs_are_checked_and_defaults_filled_in() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "tone": {"type": "string", "default": "calm"}},
        "required": ["n"],
    }
    with pytest.raises(Invalid) as wrong:
        runs.check_only(read({"name": "T", "inputs": schema, "steps": [step("a")]}), {"n": "x"})
    assert wrong.value.fields[0][0] == "/inputs/n"
    filled = runs.check_only(read({"name": "T", "inputs": schema, "steps": [step("a")]}), {"n": 1})
    assert filled == {"n": 1, "tone": "calm"}


def test_nothing_starts_while_a_run_is_paused() -> None:
    run_id = started(step("a"), step("b"))

    assert runs.pause(run_id)["status"] == "paused"
    assert runs.pause(run_id)["status"] == "paused"
    ends(run_id, "a")

    assert statuses(run_id) == {"a": "completed", "b": "waiting"}
    assert (run(run_id)["status"], run(run_id)["completed_steps"]) == ("paused", 1)
    assert runs.resume(run_id)["status"] == "running"
    assert statuses(run_id)["b"] == "running"
    assert run(run_id)["paused_at"] is None


def test_a_run_whose_last_step_ends_while_it_is_paused_is_over() -> None:
    run_id = started(step("a"))
    runs.pause(run_id)

    ends(run_id, "a")

    assert run(run_id)["status"] == "completed"


def test_cancelling_ends_what_waits_at_once_and_what_runs_when_its_worker_hears_of_it() -> None:
    run_id = started(parallel("p", step("a"), step("b")), step("c"))
    taken(run_id, "a")

    asked = runs.cancel(run_id)

    assert (asked["status"], asked["status_reason"]) == ("running", "cancelling")
    assert asked["cancel_requested_at"] is not None
    assert statuses(run_id) == {"p": "running", "a": "running", "b": "cancelled", "c": "cancelled"}
    assert [job["status"] for job in jobs_of(run_id)] == ["running", "cancelled"]
    runs.cancel(run_id)
    assert run(run_id)["finished_at"] is None

    halts(run_id, "a")

    assert run(run_id)["status"] == "cancelled"
    assert statuses(run_id) == {"p": "cancelled", "a": "cancelled", "b": "cancelled", "c": "cancelled"}
    assert row(run_id, "c")["status_reason"] == "the run was cancelled"


def test_a_job_that_ends_in_spite_of_it_keeps_its_result_and_starts_nothing() -> None:
    run_id = started(step("a"), step("b"))
    claim = taken(run_id, "a")
    runs.cancel(run_id)

    lifecycle.complete(claim, {"n": 1})
    progress.job_settled(claim.job_id)

    assert statuses(run_id) == {"a": "completed", "b": "cancelled"}
    assert run(run_id)["status"] == "cancelled"


def test_a_paused_run_can_be_cancelled() -> None:
    run_id = started(step("a"), step("b"))
    ends(run_id, "a")
    lifecycle.cancel(row(run_id, "b")["job_id"])
    runs.pause(run_id)

    assert runs.cancel(run_id)["status"] == "cancelled"


@pytest.mark.parametrize("verb", [runs.pause, runs.resume, runs.cancel])
def test_a_finished_run_does_not_change(verb: object) -> None:
    run_id = started(step("a"))
    ends(run_id, "a")

    with pytest.raises(Conflict):
        verb(run_id)  # type: ignore[operator]
    with pytest.raises(NotFound):
        verb(new_id())  # type: ignore[operator]


def test_a_run_that_is_being_cancelled_is_not_paused() -> None:
    run_id = started(step("a"))
    taken(run_id, "a")
    runs.cancel(run_id)

    with pytest.raises(Conflict):
        runs.pause(run_id)


def test_counts_and_pages_are_of_runs_by_themselves() -> None:
    ended = started(step("a"))
    ends(ended, "a")
    going = started(step("a"), told={"template_name": "t"})

    assert queries.counts(OWNER) == {"running": 1, "paused": 0, "completed": 1, "failed": 0, "cancelled": 0}
    assert queries.counts("somebody else")["running"] == 0
    assert [r["workflow_id"] for r in queries.page()] == [going, ended]
    assert [r["workflow_id"] for r in queries.page(status="active")] == [going]
    assert [r["workflow_id"] for r in queries.page(template="t")] == [going]
    assert [r["workflow_id"] for r in queries.page(before=going)] == [ended]
    assert [r["workflow_id"] for r in queries.page(q=ended[:20], limit=5)]
    assert queries.count(status="completed") == 1


def test_old_runs_are_forgotten_with_all_that_is_theirs() -> None:
    inner = {"step_id": "w", "type": "workflow", "definition": {"name": "Inner", "steps": [step("i")]}}
    question = {"step_id": "q", "type": "approval", "question": "Well?"}
    with acting.long_ago(days=92):
        old = started(parallel("p", inner, question))
    new, going = started(step("a")), started(step("a"))
    for run_id in (old, new):
        runs.cancel(run_id)
    db.run("ALTER TABLE workflows DISABLE TRIGGER workflows_guard")
    db.run(
        "UPDATE workflows SET finished_at = finished_at - interval '91 days' WHERE workflow_id = %(id)s",
        id=old,
    )
    db.run("ALTER TABLE workflows ENABLE TRIGGER workflows_guard")

    assert runs.purge(90, 10) == 1

    left = db.rows("SELECT workflow_id::text FROM workflows ORDER BY workflows.workflow_id")
    assert [each["workflow_id"] for each in left] == [new, going]
    assert db.value("SELECT count(*) FROM approvals") == 0
    assert db.value("SELECT count(*) FROM workflow_steps") == 2


def test_breaking_one_of_two_waits_for_the_other() -> None:
    run_id = started(parallel("p", step("a"), step("b")))
    taken(run_id, "b")

    breaks(run_id, "a")
    assert run(run_id)["status"] == "running"
    halts(run_id, "b")

    assert run(run_id)["status"] == "failed"
    assert run(run_id)["error"]["step_id"] == "a"
