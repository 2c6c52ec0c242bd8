"""The workflows that must run as they are given (WF-19)."""

from __future__ import annotations

import copy

import pytest

from app.workflows import document, runs
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests import acting
from tests.acting import OWNER
from tests.app.workflows.playing import ends, jobs_of, run, statuses
from tests.app.workflows.test_plan import REFERENCE

pytestmark = pytest.mark.usefixtures("here")

LAUNCH = copy.deepcopy(REFERENCE)
LAUNCH["steps"][2]["parameters"]["to"] = "customers@example.com"


def _agents(*names: str) -> None:
    for name in names:
        acting.agent(name)


def test_the_product_launch_campaign_runs_as_given() -> None:
    _agents("copywriter", "visual-designer", "social-media-manager", "gmail-agent")
    row = runs.start(RunWish(definition=read(LAUNCH), submitted_by=OWNER))
    run_id = row["workflow_id"]
    assert (row["status"], row["total_steps"], row["external_key"]) == (
        "running",
        4,
        "marketing_campaign_001",
    )
    assert jobs_of(run_id)[0]["max_retries"] == 3

    ends(run_id, "generate_blog", {"title": "Launch", "excerpt": "Soon", "content": "# Launch"})
    assert jobs_of(run_id, "generate_image")[0]["parameters"] == {"prompt": "Launch", "aspect_ratio": "16:9"}
    assert jobs_of(run_id, "generate_social")[0]["parameters"] == {"content": "Soon", "platform": "linkedin"}
    ends(run_id, "generate_social", {"posts": []})
    assert statuses(run_id)["send_email"] == "waiting"
    ends(run_id, "generate_image", {"file_path": "launch.png"})

    assert jobs_of(run_id, "send_email")[0]["parameters"] == {
        "to": "customers@example.com",
        "subject": "New Blog Post: Launch",
        "body": "# Launch",
        "attachments": ["launch.png"],
    }
    ends(run_id, "send_email", {"message_id": "m1"})
    shown = document.of(run_id, content=True)
    assert (shown["status"], shown["completed_steps"], shown["output"]) == (
        "completed",
        4,
        {"message_id": "m1"},
    )


def test_three_test_agents_at_once_and_what_they_found_together() -> None:
    kinds = ("unit-test-agent", "integration-test-agent", "edge-case-agent")
    _agents(*kinds, "test-report")
    tests = [{"step_id": kind.partition("-")[0], "agent_id": kind, "params": {"path": "x"}} for kind in kinds]
    report = {"step_id": "report", "agent_id": "test-report", "params": {"found": "{{steps.tests.output}}"}}
    definition = read(
        {"name": "Tests", "steps": [{"step_id": "tests", "type": "parallel", "tasks": tests}, report]}
    )
    run_id = runs.start(RunWish(definition=definition, submitted_by=OWNER))["workflow_id"]

    assert [job["step_id"] for job in jobs_of(run_id)] == ["unit", "integration", "edge"]
    for name in ("edge", "unit", "integration"):
        ends(run_id, name, {"passed": name})

    found = {name: {"passed": name} for name in ("unit", "integration", "edge")}
    assert jobs_of(run_id, "report")[0]["parameters"] == {"found": found}
    ends(run_id, "report")
    assert run(run_id)["status"] == "completed"
