"""Runs inside of runs."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs import lifecycle
from app.workflows import progress, runs, templates
from tests.acting import OWNER
from tests.app.workflows.playing import breaks, ends, halts, jobs_of, row, run, started, statuses, step, taken

pytestmark = pytest.mark.usefixtures("here")

INNER: dict[str, Any] = {
    "name": "Inner",
    "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    "steps": [step("i", parameters={"n": "{{inputs.n}}"})],
    "output": {"twice": "{{steps.i.output.n}}"},
}


def inside(step_id: str = "w", **keys: Any) -> dict[str, Any]:
    return {"step_id": step_id, "type": "workflow", "definition": INNER, "inputs": {"n": 1}} | keys


def child_of(run_id: str, step_id: str = "w") -> str:
    child: str = row(run_id, step_id)["child_workflow_id"]
    return child


def test_a_run_inside_is_a_step_and_its_output_that_of_the_step() -> None:
    run_id = started(
        step("a"), inside(inputs={"n": "{{steps.a.output.n}}"}), step("z", parameters={"x": "{{steps.w.output.twice}}"}),
        told={"priority": "high", "tags": ("t",)},
    )  # fmt: skip
    ends(run_id, "a", {"n": 4})

    child = run(child_of(run_id))
    assert (child["parent_workflow_id"], child["parent_step_id"], child["depth"]) == (run_id, "w", 1)
    assert (child["inputs"], child["submitted_by"], child["priority_rank"]) == ({"n": 4}, OWNER, 1)
    assert jobs_of(child["workflow_id"])[0]["tags"] == ["t"]
    assert statuses(run_id)["w"] == "running"

    ends(child["workflow_id"], "i", {"n": 8})
    assert statuses(run_id)["w"] == "running"  # the outer run hears of it in a transaction of its own
    assert progress.child_settled(child["workflow_id"])

    assert statuses(run_id) == {"a": "completed", "w": "completed", "z": "running"}
    assert jobs_of(run_id, "z")[0]["parameters"] == {"x": 8}
    assert not progress.child_settled(child["workflow_id"])


def test_a_run_inside_that_fails_fails_the_step() -> None:
    run_id = started(inside(), step("z"))
    child = child_of(run_id)

    breaks(child, "i", "no ink")
    progress.child_settled(child)

    assert run(run_id)["status"] == "failed"
    error = row(run_id, "w")["error"]
    assert (error["type"], error["message"]) == ("PermanentError", "the run inside failed at step i: no ink")


def test_a_run_inside_that_is_cancelled_by_itself_fails_the_step() -> None:
    run_id = started(inside(), step("z"))

    runs.cancel(child_of(run_id))
    progress.child_settled(child_of(run_id))

    assert statuses(run_id) == {"w": "failed", "z": "cancelled"}
    assert row(run_id, "w")["error"]["message"] == "the run inside was cancelled"


def test_inputs_that_do_not_fit_fail_the_step() -> None:
    run_id = started(step("a"), inside(inputs={"n": "{{steps.a.output.n}}"}))

    ends(run_id, "a", {"n": "four"})

    assert row(run_id, "w")["error"]["fields"][0][0] == "/inputs/n"
    assert child_of(run_id) is None


def test_a_template_runs_as_it_is_when_its_turn_comes() -> None:
    templates.save("inner", raw=INNER, by=OWNER)
    run_id = started(step("a"), {"step_id": "w", "type": "workflow", "template": "inner", "inputs": {"n": 2}})
    templates.save("inner", raw=INNER | {"name": "Newer"}, by=OWNER)

    ends(run_id, "a")

    child = run(child_of(run_id))
    assert (child["name"], child["template_name"], child["template_version"]) == ("Newer", "inner", 2)

    gone = started(step("a"), {"step_id": "w", "type": "workflow", "template": "inner", "inputs": {"n": 2}})
    templates.archive("inner")
    ends(gone, "a")
    assert row(gone, "w")["error"]["message"] == "there is no template 'inner'"


def test_pausing_and_resuming_reach_the_runs_inside() -> None:
    two = INNER | {"steps": [step("i"), step("j")], "output": None}
    run_id = started(inside(definition=two), step("z"))
    child = child_of(run_id)

    runs.pause(run_id)
    ends(child, "i")
    assert (run(child)["status"], statuses(child)["j"]) == ("paused", "waiting")
    runs.resume(run_id)

    assert (run(child)["status"], statuses(child)["j"]) == ("running", "running")


def test_a_run_inside_that_was_paused_by_itself_stays_so() -> None:
    run_id = started(inside())
    runs.pause(child_of(run_id))

    runs.pause(run_id)
    runs.resume(run_id)

    assert run(child_of(run_id))["status"] == "paused"


def test_cancelling_reaches_the_runs_inside() -> None:
    run_id = started(inside(), step("z"))
    child = child_of(run_id)
    taken(child, "i")

    runs.cancel(run_id)

    assert (run(child)["status_reason"], run(run_id)["status"]) == ("cancelling", "running")
    halts(child, "i")
    assert run(child)["status"] == "cancelled"
    progress.child_settled(child)
    assert run(run_id)["status"] == "cancelled"
    assert statuses(run_id) == {"w": "cancelled", "z": "cancelled"}


def test_a_run_inside_that_nothing_runs_in_ends_with_the_one_around_it() -> None:
    run_id = started(inside(), step("z"))

    assert runs.cancel(run_id)["status"] == "cancelled"
    assert run(child_of(run_id))["status"] == "cancelled"
    assert jobs_of(child_of(run_id))[0]["status"] == "cancelled"


def test_a_run_inside_with_nothing_to_do_lets_the_outer_one_go_on_at_once() -> None:
    idle = INNER | {"steps": [step("i", when="1 == 2")], "output": "none"}
    run_id = started(inside(definition=idle), step("z", parameters={"x": "{{steps.w.output}}"}))

    assert statuses(run_id) == {"w": "completed", "z": "running"}
    assert jobs_of(run_id)[0]["parameters"] == {"x": "none"}


def test_runs_go_five_deep_and_no_deeper() -> None:
    definition: dict[str, Any] = {"name": "Bottom", "steps": [step("i")]}
    for n in range(5):
        definition = {
            "name": f"Level {n}",
            "steps": [{"step_id": "w", "type": "workflow", "definition": definition}],
        }
    run_id = started(*definition["steps"])
    for _ in range(5):
        run_id = child_of(run_id)
    assert run(run_id)["depth"] == 5
    assert [job["step_id"] for job in jobs_of(run_id)] == ["i"]
    lifecycle.cancel(jobs_of(run_id)[0]["job_id"])


def test_only_the_outermost_run_is_run_again() -> None:
    run_id = started(inside(), step("z"))
    child = child_of(run_id)
    breaks(child, "i")
    progress.child_settled(child)

    with pytest.raises(runs.Conflict):
        runs.retry(child, by=OWNER)
    again = runs.retry(run_id, by=OWNER)["workflow_id"]
    assert child_of(again) not in (None, child)
