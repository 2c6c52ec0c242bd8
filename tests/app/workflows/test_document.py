"""What people and programs see of a run."""

from __future__ import annotations

import pytest

from app.db import db
from app.errors import NotFound
from app.jobs.lifecycle import new_id
from app.workflows import analytics, document, queries, runs
from tests.acting import OWNER
from tests.app.workflows.playing import breaks, ends, jobs_of, parallel, row, run, started, step, taken

pytestmark = pytest.mark.usefixtures("here")


def _steps(run_id: str, *, content: bool = True) -> dict[str, dict]:
    return {each["step_id"]: each for each in document.of(run_id, content=content)["steps"]}


def test_the_document_has_what_is_asked_of_it() -> None:
    run_id = started(
        step("a", title="First"), parallel("p", step("b"), step("c")), workflow_id="mine", description="Why"
    )
    ends(run_id, "a", {"n": 1})

    shown = document.of(run_id, content=True)

    assert {
        "workflow_id": run_id, "status": "running", "completed_at": None, "total_steps": 3, "completed_steps": 1,
        "external_key": "mine", "description": "Why", "submitted_by": OWNER, "priority": "normal", "parent": None,
        "template": None, "retry_of": None, "error": None, "inputs": {}, "output": None, "cancel_requested": False,
    }.items() <= shown.items()  # fmt: skip
    assert [each["step_id"] for each in shown["steps"]] == ["a", "p", "b", "c"]
    first = shown["steps"][0]
    assert {
        "title": "First", "kind": "agent", "agent_id": "anything", "status": "completed", "progress": 100,
        "output": {"n": 1}, "kept": False, "round": 1, "error": None, "waiting_for": None,
    }.items() <= first.items()  # fmt: skip
    assert first["task_id"] == first["job_id"] == row(run_id, "a")["job_id"]
    assert first["started_at"] <= first["completed_at"]
    assert first["duration_seconds"] >= 0
    assert shown["poll"] == {"next_after_ms": 2000, "terminal": False}


def test_a_running_step_shows_where_its_job_is() -> None:
    run_id = started(parallel("p", step("a"), step("b")), step("z"))
    job_id = taken(run_id, "a").job_id
    db.run("UPDATE jobs SET progress = 40, current_step = 'Half' WHERE job_id = %(id)s", id=job_id)

    steps = _steps(run_id)

    assert (steps["a"]["status"], steps["a"]["progress"], steps["a"]["current_step"]) == (
        "running",
        40,
        "Half",
    )
    assert (steps["b"]["status"], steps["b"]["started_at"]) == ("queued", None)
    assert (steps["z"]["status"], steps["z"]["waiting_for"]) == ("waiting", "blocked by p")


def test_those_who_may_not_see_content_see_none() -> None:
    run_id = started(step("a", parameters={"secret": "{{inputs.s}}"}), inputs={"s": "hush"})
    breaks(run_id, "a", "hush, it broke")

    shown = document.of(run_id, content=False)

    assert "hush" not in str(shown)
    assert shown["error"] == {"step_id": "a", "type": "PermanentError"}
    assert "output" not in shown["steps"][0]
    assert document.of(run_id, content=True)["steps"][0]["error"]["message"] == "hush, it broke"


def test_containers_show_what_came_out_of_them_and_large_outputs_stay_where_they_are() -> None:
    run_id = started(parallel("p", step("a"), step("b")))
    ends(run_id, "a", {"n": 1})
    large = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(100_000))
    ends(run_id, "b", {"text": large})

    steps = _steps(run_id)

    assert steps["a"]["output"] == {"n": 1}
    assert steps["b"]["output"] is None
    assert steps["b"]["output_bytes"] > 200_000
    assert steps["p"]["output"] is None
    assert run(run_id)["output"] == {"a": {"n": 1}, "b": {"text": large}}


def test_the_tag_changes_with_the_run_and_with_each_of_its_jobs() -> None:
    run_id = started(step("a"), step("b"))
    tags = [document.etag(run_id)]
    taken(run_id, "a")
    tags.append(document.etag(run_id))
    runs.pause(run_id)
    tags.append(document.etag(run_id))
    db.run("UPDATE jobs SET version = version + 1 WHERE workflow_id = %(id)s", id=run_id)  # as progress does
    tags.append(document.etag(run_id))

    assert len(set(tags)) == 4
    assert document.etag(run_id) == tags[-1]
    assert document.of(run_id, content=True)["version"] == document.of(run_id, content=False)["version"]
    with pytest.raises(NotFound):
        document.etag(new_id())


def test_a_finished_run_need_not_be_asked_for_again() -> None:
    run_id = started(step("a"))
    ends(run_id, "a")

    shown = document.of(run_id, content=False)

    assert shown["poll"] == {"next_after_ms": None, "terminal": True}
    assert shown["completed_at"] == shown["finished_at"] is not None
    assert document.brief(queries.page()[0], content=True)["workflow_id"] == run_id


def test_why_a_step_waits() -> None:
    a_map = {
        "step_id": "m",
        "type": "map",
        "over": [1, 2],
        "max_parallel": 1,
        "step": step("i"),
        "depends_on": [],
    }
    run_id = started(step("a"), parallel("p", step("b")), a_map)
    steps = _steps(run_id)
    assert steps["p"]["waiting_for"] == "blocked by a"
    assert steps["b"]["waiting_for"] == "blocked by p, which it is in"
    assert steps["i[1]"]["waiting_for"] == "its turn: 1 at once"
    runs.pause(run_id)
    ends(run_id, "a")
    assert _steps(run_id)["p"]["waiting_for"] == "the run is paused"


def test_figures_of_runs_by_template() -> None:
    for n in range(3):
        run_id = started(step("quick"), step("slow"), told={"template_name": "t"})
        ends(run_id, "quick")
        (ends if n else breaks)(run_id, "slow")
        db.run(
            """UPDATE workflow_steps SET finished_at = started_at + interval '10 s' * %(n)s
               WHERE workflow_id = %(id)s AND step_id = 'slow'""",
            id=run_id,
            n=n + 1,
        )
    started(step("quick"), told={"template_name": "t"})
    ends(started(step("a")), "a")
    assert len(jobs_of(run_id)) == 2

    first, second = analytics.by_template(owner=OWNER)

    assert (first["template_name"], first["runs"], first["completed"], first["failed"]) == ("t", 3, 2, 1)
    assert first["success_rate"] == pytest.approx(2 / 3)
    assert (first["slowest_step"], first["slowest_seconds"]) == ("slow", pytest.approx(20, abs=0.01))
    assert first["average_seconds"] <= first["p95_seconds"]
    assert (second["template_name"], second["name"], second["runs"]) == (None, "Trial", 1)
    assert analytics.by_template(owner="somebody else") == []
    assert [r["name"] for r in analytics.by_template(template="t")] == ["t"]
