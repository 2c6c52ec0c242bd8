"""Workflows in the whole product: the documents' examples as given, approvals, pauses, retries, and workers that die."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from app.settings import ROOT
from tests.journeys.office import Office, office, step_of
from tests.waiting import until

REFERENCE = json.loads((ROOT / "examples" / "workflows" / "product-launch.json").read_text())


@pytest.fixture(scope="module")
def desk() -> Iterator[Office]:
    """The office of this module."""
    with office() as made:
        yield made


def echo(step_id: str, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "test-echo", "parameters": {"text": step_id}} | more


def sleeper(step_id: str, seconds: float = 600, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "test-sleeper", "parameters": {"seconds": seconds}} | more


def flow(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "steps": list(steps)} | more


def test_the_reference_workflow_runs_as_given(desk: Office) -> None:
    """Blog post, then picture and social post at once, then a mail with the picture; one notification at the end."""
    started = desk.admin.post("/api/v1/workflows", REFERENCE, 201)
    assert started["status"] == "running"
    assert started["completed_steps"] == 0
    shown = desk.ends(started["workflow_id"])

    assert shown["completed_steps"] == shown["total_steps"] == started["total_steps"]
    blog = step_of(shown, "generate_blog")["output"]
    image, social = (step_of(shown, name) for name in ("generate_image", "generate_social"))
    assert max(image["started_at"], social["started_at"]) < min(image["completed_at"], social["completed_at"])
    [sent] = [mail for mail in desk.post.mails if mail["Subject"] == f"New Blog Post: {blog['title']}"]
    [attached] = sent.iter_attachments()
    assert attached.get_filename() == image["output"]["file_path"]
    assert attached.get_content().startswith(b"\x89PNG")
    assert blog["content"] in sent.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    until(lambda: desk.mails_to("team@example.com"), 10)
    inbox = desk.admin.get("/api/v1/notifications")["notifications"]
    assert [n["event"] for n in inbox if n["subject_id"] == started["workflow_id"]] == ["workflow.completed"]
    assert len(desk.mails_to("team@example.com")) == 1
    assert desk.mails_to("manager@example.com") == []


def test_three_test_agents_run_at_once_and_are_brought_together(desk: Office) -> None:
    run = flow(
        "three at once",
        {"step_id": "tests", "type": "parallel", "tasks": [sleeper(f"t{n}", 1.0) for n in range(3)]},
        echo("sum", parameters={"n": "{{steps.tests.output}}"}),
    )
    shown = desk.ends(desk.run(run))

    steps = [step_of(shown, f"t{n}") for n in range(3)]
    assert max(s["started_at"] for s in steps) < min(s["completed_at"] for s in steps)
    assert step_of(shown, "sum")["output"]["parameters"]["n"] == {f"t{n}": {"slept": 1.0} for n in range(3)}


def test_the_three_steps_of_the_documents_run_one_after_the_other(desk: Office) -> None:
    definition = {
        "name": "in a row",
        "steps": [
            {"step_id": "write", "agent_id": "copywriter", "parameters": {"topic": "Tides"}},
            {
                "step_id": "draw",
                "agent_id": "visual-designer",
                "parameters": {"prompt": "{{steps.write.output.title}}"},
            },
            {
                "step_id": "send",
                "agent_id": "gmail-agent",
                "parameters": {
                    "to": "reader@example.com",
                    "subject": "{{steps.write.output.title}}",
                    "body": "{{steps.write.output.content}}",
                    "attachments": ["{{steps.draw.output.file_path}}"],
                },
            },
        ],
    }
    shown = desk.ends(desk.run(definition))
    write, draw, send = (step_of(shown, name) for name in ("write", "draw", "send"))
    assert write["completed_at"] <= draw["started_at"] <= draw["completed_at"] <= send["started_at"]


def test_a_step_that_fails_for_good_ends_the_run_and_is_retried_with_the_rest_kept(desk: Office) -> None:
    run = flow(
        "breaks in the middle",
        echo("first"),
        {"step_id": "middle", "agent_id": "test-flaky", "parameters": {"failures": 99, "kind": "permanent"}},
        echo("last"),
        on_failure={"notify": ["manager@example.com"]},
    )
    before = len(desk.mails_to("manager@example.com"))
    workflow_id = desk.run(run)
    shown = desk.ends(workflow_id, "failed")
    assert shown["error"]["step_id"] == "middle"
    assert step_of(shown, "last")["job_id"] is None
    until(lambda: len(desk.mails_to("manager@example.com")) == before + 1, 10)

    again = desk.admin.post(f"/api/v1/workflows/{workflow_id}/retry", expect=201)["workflow_id"]
    retried = desk.ends(again, "failed")
    assert step_of(retried, "first")["kept"] is True
    assert step_of(retried, "first")["job_id"] == step_of(shown, "first")["job_id"]
    assert step_of(retried, "middle")["job_id"] != step_of(shown, "middle")["job_id"]


def test_a_run_is_paused_resumed_and_cancelled_with_all_its_jobs(desk: Office) -> None:
    workflow_id = desk.run(flow("pausing", sleeper("a", 1.0), sleeper("b", 600)))
    desk.until_step(workflow_id, "a", "running")
    desk.admin.post(f"/api/v1/workflows/{workflow_id}/pause")
    done = desk.until_step(workflow_id, "a", "completed")
    assert done["job_id"]
    assert step_of(desk.workflow(workflow_id), "b")["job_id"] is None
    assert desk.workflow(workflow_id)["status"] == "paused"
    desk.admin.post(f"/api/v1/workflows/{workflow_id}/resume")
    running = desk.until_step(workflow_id, "b", "running")
    desk.admin.call("POST", f"/api/v1/workflows/{workflow_id}/cancel", 202)
    desk.ends(workflow_id, "cancelled")
    assert desk.admin.status(running["job_id"])["status"] == "cancelled"


def test_an_approval_holds_no_worker_and_its_answer_is_the_next_steps_input(desk: Office) -> None:
    form = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    workflow_id = desk.run(
        flow(
            "asks",
            echo("draft"),
            {
                "step_id": "ask",
                "type": "approval",
                "question": "Publish {{steps.draft.output.parameters.text}}?",
                "form": form,
            },
            echo("publish", parameters={"text": "{{steps.ask.output.answer.title}}"}),
        )
    )
    waiting = desk.until_step(workflow_id, "ask", "awaiting_input")
    (asked,) = [
        a
        for a in desk.admin.get("/api/v1/approvals")["approvals"]
        if a["approval_id"] == waiting["approval_id"]
    ]
    assert asked["question"] == "Publish draft?"
    address = f"/api/v1/approvals/{waiting['approval_id']}/answer"
    desk.admin.post(address, {"decision": "approve", "answer": {"title": 7}}, 422)
    desk.admin.post(address, {"decision": "approve", "answer": {"title": "Tides"}})
    shown = desk.ends(workflow_id)
    assert step_of(shown, "publish")["output"]["parameters"]["text"] == "Tides"
    desk.admin.post(address, {"decision": "approve", "answer": {"title": "Late"}}, 409)


def test_branches_maps_and_conditions_say_why_something_was_skipped(desk: Office) -> None:
    shown = desk.ends(
        desk.run(
            flow(
                "ways",
                echo("score", parameters={"n": 5}),
                {
                    "step_id": "way",
                    "type": "branch",
                    "cases": [{"when": "{{steps.score.output.parameters.n}} >= 7", "steps": [echo("good")]}],
                    "default": [echo("poor")],
                },
                echo("never", when="{{steps.score.output.parameters.n}} > 5"),
                {
                    "step_id": "each",
                    "type": "map",
                    "over": [1, 2, 3],
                    "step": echo("one", parameters={"n": "{{item}}"}),
                },
            )
        )
    )
    assert step_of(shown, "good")["status"] == "skipped"
    assert step_of(shown, "poor")["status"] == "completed"
    never = step_of(shown, "never")
    assert (never["status"], "5" in str(never["status_reason"])) == ("skipped", True)
    assert [o["parameters"]["n"] for o in step_of(shown, "each")["output"]] == [1, 2, 3]


def test_a_definition_with_mistakes_is_refused_with_the_place_of_each(desk: Office) -> None:
    wrong = flow(
        "wrong", echo("a", depends_on=["b"]), echo("b", depends_on=["a"]), echo("c", agent_id="test-ecko")
    )
    answer = desk.admin.call("POST", "/api/v1/workflows", 422, json=wrong).json()
    said = json.dumps(answer["errors"])
    assert "test-echo" in said
    assert "a" in said
    told = desk.admin.post("/api/v1/workflows/validate", wrong)
    assert told["valid"] is False
    assert {p["pointer"] for p in told["problems"]} == {e["pointer"] for e in answer["errors"]}


def test_a_run_outlives_the_death_of_all_its_workers(desk: Office) -> None:
    """kill -9 of the worker in the middle of three steps at once: each goes on, and what follows starts once."""
    tasks = [sleeper(f"t{n}", 2.5) for n in range(3)]
    workflow_id = desk.run(
        flow("survives", {"step_id": "all", "type": "parallel", "tasks": tasks}, echo("after"))
    )
    desk.until_step(workflow_id, "t2", "running")
    desk.product.end("worker", signal.SIGKILL)
    shown = desk.ends(workflow_id)
    jobs = desk.admin.get("/api/v1/jobs", workflow_id=workflow_id)
    assert jobs["total"] == 4
    assert step_of(shown, "after")["status"] == "completed"


def test_a_run_inside_another_is_one_step_of_it(desk: Office) -> None:
    inner = flow("inner", echo("deep", parameters={"text": "{{inputs.word}}"}))
    inner["inputs"] = {"type": "object", "properties": {"word": {"type": "string"}}}
    shown = desk.ends(
        desk.run(
            flow(
                "outer",
                {"step_id": "sub", "type": "workflow", "definition": inner, "inputs": {"word": "tide"}},
                echo("after", parameters={"text": "{{steps.sub.output.parameters.text}}"}),
            )
        )
    )
    assert step_of(shown, "after")["output"]["parameters"]["text"] == "tide"
    child = desk.workflow(step_of(shown, "sub")["child_workflow_id"])
    assert child["status"] == "completed"
    assert child["parent"] == {"workflow_id": shown["workflow_id"], "step_id": "sub"}
