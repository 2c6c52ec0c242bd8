"""From a settled job to what it makes possible."""

from __future__ import annotations

import pytest

from app.agents import registry
from app.db import db
from app.jobs import lifecycle
from app.workflows import progress
from tests import acting
from tests.acting import OWNER
from tests.app.workflows.playing import (
    breaks,
    claim_of,
    ends,
    halts,
    jobs_of,
    parallel,
    row,
    run,
    sequence,
    started,
    statuses,
    step,
    taken,
)

pytestmark = pytest.mark.usefixtures("here")
SCHEDULE = "0190a1b2-0000-7000-8000-000000000001"


def test_steps_run_one_after_the_other_and_hand_on_what_came_out() -> None:
    run_id = started(
        step("write", parameters={"topic": "{{inputs.topic}}"}),
        step("mail", parameters={"body": "{{steps.write.output.text}}", "n": "{{steps.write.output.n}}"}),
        inputs={"topic": "bees"},
    )
    assert statuses(run_id) == {"write": "running", "mail": "waiting"}
    assert [job["parameters"] for job in jobs_of(run_id)] == [{"topic": "bees"}]

    ends(run_id, "write", {"text": "Buzz", "n": 7})

    assert statuses(run_id) == {"write": "completed", "mail": "running"}
    assert jobs_of(run_id, "mail")[0]["parameters"] == {"body": "Buzz", "n": 7}

    ends(run_id, "mail", {"sent": True})

    finished = run(run_id)
    assert (finished["status"], finished["completed_steps"], finished["output"]) == (
        "completed",
        2,
        {"sent": True},
    )


def test_parallel_tasks_run_at_once_and_come_together() -> None:
    run_id = started(
        parallel("assets", step("image"), step("text")),
        step(
            "mail", parameters={"all": "{{steps.assets.output}}", "one": "{{steps.assets.image.output.path}}"}
        ),
    )
    assert statuses(run_id) == {"assets": "running", "image": "running", "text": "running", "mail": "waiting"}

    ends(run_id, "text", {"t": 1})
    assert statuses(run_id)["mail"] == "waiting"
    ends(run_id, "image", {"path": "a.png"})

    assert statuses(run_id)["assets"] == "completed"
    told = {"all": {"image": {"path": "a.png"}, "text": {"t": 1}}, "one": "a.png"}
    assert jobs_of(run_id, "mail")[0]["parameters"] == told


def test_a_failed_step_fails_the_run_and_starts_nothing() -> None:
    run_id = started(step("a"), step("b"))

    breaks(run_id, "a", "no ink")

    failed = run(run_id)
    assert failed["status"] == "failed"
    assert failed["error"] == {"step_id": "a", "type": "PermanentError", "message": "no ink"}
    assert statuses(run_id) == {"a": "failed", "b": "cancelled"}
    assert row(run_id, "b")["status_reason"] == "step a failed"
    assert len(jobs_of(run_id)) == 1


def test_hearing_of_a_job_again_changes_nothing() -> None:
    run_id = started(step("a"), step("b"))
    job_id = ends(run_id, "a")
    before = run(run_id)["version"]

    assert not progress.job_settled(job_id)
    assert not progress.advance(run_id)

    assert len(jobs_of(run_id)) == 2
    assert run(run_id)["version"] == before


def test_a_job_of_a_step_that_waits_for_another_job_changes_nothing() -> None:
    run_id = started(step("a"), step("b"))
    stale = row(run_id, "a")["job_id"]
    db.run("UPDATE workflow_steps SET job_id = gen_random_uuid() WHERE step_id = 'a'")
    lifecycle.cancel(stale)

    assert not progress.job_settled(stale)
    assert not progress.advance(run_id)

    assert statuses(run_id) == {"a": "running", "b": "waiting"}


def test_one_look_finds_all_that_ended() -> None:
    run_id = started(parallel("p", step("a"), step("b")), step("c"))
    for name in ("a", "b"):
        lifecycle.complete(claim_of(run_id, name), {"n": name})

    assert progress.job_settled(row(run_id, "b")["job_id"])

    assert statuses(run_id) == {"p": "completed", "a": "completed", "b": "completed", "c": "running"}
    assert not progress.job_settled(row(run_id, "a")["job_id"])


def test_a_job_knows_its_step_and_has_what_the_run_and_the_step_say() -> None:
    acting.agent("frugal", budget={"usd": 5.0})
    run_id = started(
        {
            "step_id": "a", "agent_id": "frugal", "retry": 7, "timeout": 33, "budget": {"usd": 1.5},
            "priority": "critical", "tags": ["own"], "title": "First",
        },
        parallel("p", step("b"), depends_on=[]),
        told={"priority": "high", "tags": ("mine",), "correlation_id": "c-1", "schedule_id": SCHEDULE},
    )  # fmt: skip
    first, second = jobs_of(run_id)

    assert (first["step_id"], first["priority_rank"], first["max_retries"]) == ("a", 0, 7)
    assert first["options"] == {"timeout": 33, "budget": {"usd": 1.5}}
    assert first["tags"] == ["mine", "own"]
    assert (first["submitted_by"], first["correlation_id"], first["schedule_id"]) == (OWNER, "c-1", SCHEDULE)
    assert (second["step_id"], second["priority_rank"], second["tags"]) == ("b", 1, ["mine"])


def test_depends_on_draws_any_graph() -> None:
    run_id = started(
        step("a", depends_on=[]),
        step("b", depends_on=[]),
        step("c", depends_on=["a"]),
        step("d", depends_on=["a", "b"]),
    )
    assert statuses(run_id) == {"a": "running", "b": "running", "c": "waiting", "d": "waiting"}
    ends(run_id, "a")
    assert statuses(run_id) == {"a": "completed", "b": "running", "c": "running", "d": "waiting"}
    ends(run_id, "b")
    assert statuses(run_id)["d"] == "running"


def test_an_unknown_reference_fails_the_step_and_says_which() -> None:
    run_id = started(step("a"), step("b", parameters={"x": "{{steps.a.output.title}}"}))

    ends(run_id, "a", {"name": "n"})

    wrong = row(run_id, "b")["error"]
    assert wrong["code"] == "unknown_reference"
    assert "steps.a.output.title" in wrong["message"]
    assert run(run_id)["error"]["step_id"] == "b"
    assert len(jobs_of(run_id)) == 1


def test_bad_parameters_after_resolving_fail_the_step_with_the_agents_own_words() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    acting.agent("counts", parameters=schema)
    run_id = started(
        step("a"), {"step_id": "b", "agent_id": "counts", "parameters": {"n": "{{steps.a.output.n}}"}}
    )

    ends(run_id, "a", {"n": "many"})

    assert row(run_id, "b")["error"]["type"] == "InvalidParameters"
    assert row(run_id, "b")["error"]["fields"][0][0] == "/parameters/n"
    assert run(run_id)["status"] == "failed"


def test_an_agent_that_went_away_fails_its_step_alone() -> None:
    acting.agent("fleeting")
    run_id = started(
        step("a"), parallel("p", {"step_id": "gone", "agent_id": "fleeting"}, step("there")), step("z")
    )
    db.run("DELETE FROM agents WHERE agent_id = 'fleeting'")
    registry.forget()

    ends(run_id, "a")

    assert row(run_id, "gone")["error"]["type"] == "AgentNotFound"
    assert statuses(run_id) == {
        "a": "completed",
        "p": "running",
        "gone": "failed",
        "there": "running",
        "z": "cancelled",
    }
    assert run(run_id)["status_reason"] == "failing: step gone failed"
    ends(run_id, "there")
    assert (run(run_id)["status"], statuses(run_id)["p"]) == ("failed", "failed")
    assert row(run_id, "p")["error"]["message"].startswith("step gone failed: there is no agent")


def test_continue_on_failure_lets_the_run_go_on() -> None:
    run_id = started(
        step("a", continue_on_failure=True), step("b", parameters={"x": '{{steps.a.output.x ?? "none"}}'})
    )

    breaks(run_id, "a")
    assert jobs_of(run_id, "b")[0]["parameters"] == {"x": "none"}
    ends(run_id, "b")

    assert (run(run_id)["status"], run(run_id)["completed_steps"]) == ("completed", 1)


def test_a_failure_stops_its_siblings_if_the_definition_says_so() -> None:
    run_id = started(parallel("p", step("a"), step("b"), step("c")), on_failure={"siblings": "cancel"})
    taken(run_id, "c")

    breaks(run_id, "a")

    assert statuses(run_id) == {"p": "running", "a": "failed", "b": "cancelled", "c": "running"}
    assert run(run_id)["status"] == "running"
    halts(run_id, "c")
    assert (statuses(run_id)["c"], run(run_id)["status"]) == ("cancelled", "failed")
    assert run(run_id)["error"]["step_id"] == "a"


def test_a_job_that_a_person_cancelled_counts_as_failed() -> None:
    run_id = started(step("a"), step("b"), on_failure={"retry_workflow": True})

    lifecycle.cancel(job_id := row(run_id, "a")["job_id"])
    progress.job_settled(job_id)

    assert statuses(run_id) == {"a": "cancelled", "b": "cancelled"}
    assert run(run_id)["status"] == "failed"
    assert run(run_id)["error"] == {"step_id": "a", "type": "Cancelled", "message": "step a was cancelled"}


def test_a_step_is_skipped_unless_its_condition_holds_and_says_why() -> None:
    run_id = started(
        step("review"),
        step("mend", when="{{steps.review.output.score}} < 7"),
        step("send", parameters={"text": '{{steps.mend.output.text ?? "as it is"}}'}),
    )

    ends(run_id, "review", {"score": 9})

    assert statuses(run_id) == {"review": "completed", "mend": "skipped", "send": "running"}
    assert "is 9" in row(run_id, "mend")["status_reason"]
    assert jobs_of(run_id, "send")[0]["parameters"] == {"text": "as it is"}
    ends(run_id, "send")
    assert (run(run_id)["completed_steps"], run(run_id)["total_steps"]) == (3, 3)


def test_a_condition_that_cannot_be_judged_fails_the_step() -> None:
    run_id = started(step("a"), step("b", when="{{steps.a.output.n}} > 3"))

    ends(run_id, "a", {"n": "many"})

    assert statuses(run_id)["b"] == "failed"
    assert run(run_id)["status"] == "failed"


def test_a_branch_takes_the_first_case_that_holds() -> None:
    branch = {
        "step_id": "choose", "type": "branch",
        "cases": [
            {"when": "{{inputs.n}} > 10", "steps": [step("big")]},
            {"when": "{{inputs.n}} > 5", "steps": [step("middle"), step("after")]},
            {"when": "{{inputs.n}} > 1", "steps": [parallel("small", step("tiny"))]},
        ],
        "default": [step("none")],
    }  # fmt: skip
    run_id = started(branch, step("z", parameters={"was": "{{steps.choose.output}}"}), inputs={"n": 7})

    assert statuses(run_id) == {
        "choose": "running", "big": "skipped", "middle": "running", "after": "waiting", "small": "skipped",
        "tiny": "skipped", "none": "skipped", "z": "waiting",
    }  # fmt: skip
    assert "is 7" in row(run_id, "choose")["status_reason"]
    ends(run_id, "middle")
    ends(run_id, "after", {"n": "a"})
    assert jobs_of(run_id, "z")[0]["parameters"] == {"was": {"n": "a"}}

    other = started(branch, inputs={"n": 0})
    assert statuses(other)["none"] == "running"


def test_what_a_run_answers_is_what_its_definition_says() -> None:
    run_id = started(step("a"), output={"all": "{{steps.a.output.n}}", "name": "{{workflow.name}}"})

    ends(run_id, "a", {"n": [1, 2]})

    assert run(run_id)["output"] == {"all": [1, 2], "name": "Trial"}


def test_an_output_that_leads_nowhere_fails_the_run() -> None:
    run_id = started(step("a"), output="{{steps.a.output.nothing}}")

    ends(run_id, "a", {"n": 1})

    assert run(run_id)["status"] == "failed"
    assert run(run_id)["error"]["step_id"] is None
    assert "steps.a.output.nothing" in run(run_id)["error"]["message"]


def test_retry_workflow_runs_what_failed_once_more() -> None:
    run_id = started(
        step("a"),
        parallel("p", step("b"), step("c")),
        step("d", parameters={"b": "{{steps.b.output.n}}"}),
        on_failure={"retry_workflow": True},
    )
    first = ends(run_id, "a")
    ends(run_id, "c")
    old = breaks(run_id, "b")

    assert statuses(run_id) == {
        "a": "completed",
        "p": "running",
        "b": "running",
        "c": "completed",
        "d": "waiting",
    }
    assert (run(run_id)["round"], row(run_id, "b")["round"], row(run_id, "a")["round"]) == (2, 2, 1)
    assert row(run_id, "a")["job_id"] == first
    assert row(run_id, "b")["job_id"] != old
    assert not progress.job_settled(old)

    ends(run_id, "b", {"n": 2})
    ends(run_id, "d")
    assert (run(run_id)["status"], run(run_id)["completed_steps"]) == ("completed", 4)


def test_the_second_round_is_the_last() -> None:
    run_id = started(step("a"), on_failure={"retry_workflow": True})

    breaks(run_id, "a", "first")
    assert run(run_id)["status"] == "running"
    breaks(run_id, "a", "second")

    assert run(run_id)["status"] == "failed"
    assert run(run_id)["error"]["message"] == "second"
    assert len(jobs_of(run_id)) == 2


def test_what_nobody_thought_of_fails_the_step_and_not_the_run_for_ever() -> None:
    run_id = started(step("a"), step("b"))
    db.run("""UPDATE workflow_steps SET definition = definition - 'agent_id' WHERE step_id = 'b'""")

    ends(run_id, "a")

    assert row(run_id, "b")["error"]["code"] == "unexpected"
    assert run(run_id)["status"] == "failed"


def test_a_run_that_is_over_does_not_move() -> None:
    run_id = started(step("a"))
    ends(run_id, "a")

    assert not progress.advance(run_id)
    assert not progress.advance(SCHEDULE)  # there is none


def test_references_reach_into_containers_by_either_way_and_to_how_a_step_ended() -> None:
    run_id = started(
        parallel("p", step("a", continue_on_failure=True), sequence("s", step("b"), step("c"))),
        step(
            "z",
            parameters={
                "nested": "{{steps.p.s.c.output.n}}",
                "flat": "{{steps.b.output.n}}",
                "ended": "{{steps.a.status}}",
                "job": "{{steps.b.job_id}}",
                "whole": "{{steps.p.output}}",
            },
            when="{{steps.b.output.n}} == 1 and {{steps.a.status}} == 'failed'",
        ),
    )
    job_id = ends(run_id, "b", {"n": 1})
    ends(run_id, "c", {"n": 2})
    breaks(run_id, "a")

    assert jobs_of(run_id, "z")[0]["parameters"] == {
        "nested": 2, "flat": 1, "ended": "failed", "job": job_id, "whole": {"a": None, "s": {"n": 2}},
    }  # fmt: skip
