"""Secret parameters by the API: sent once, shown to nobody, kept through everything that is done again."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents.secrecy import MASK
from app.db import db
from app.errors import PermanentError
from app.jobs import claims, lifecycle
from app.jobs.lifecycle import owner_of
from app.jobs.states import Reason
from app.schedules import due
from app.secrets import keys, known, sealing
from app.settings import POOLS
from app.workflows import progress
from tests import acting
from tests.app.api.calling import Caller

JOBS, SCHEDULES, WORKFLOWS = "/api/v1/jobs", "/api/v1/schedules", "/api/v1/workflows"
WORD = "open-sesame-777"
SCHEMA = {
    "type": "object",
    "required": ["password"],
    "properties": {
        "text": {"type": "string"},
        "password": {"type": "string", "format": "password", "minLength": 8, "maxLength": 30},
    },
}
OUTPUT = {"type": "object", "properties": {"token": {"type": "string", "x-secret": True}}}
GIVEN = {"text": "hello", "password": WORD}
SHOWN = {"text": "hello", "password": MASK}


@pytest.fixture(autouse=True)
def _agent(clean: None) -> None:
    with db.transaction():
        acting.agent("secretive", parameters=SCHEMA, output=OUTPUT)


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.data
    assert WORD not in answer.get_data(as_text=True)
    assert sealing.PREFIX not in answer.get_data(as_text=True)
    return dict(answer.json)


def submitted(who: Caller, **more: Any) -> str:
    order = {"agent_id": "secretive", "parameters": GIVEN} | more
    return str(body(who.post(JOBS, json=order), 201)["job_id"])


def ended(result: dict[str, Any] | None = None) -> str:
    """What a worker does with the next job: complete it with a result, else fail it; answers its id."""
    with db.transaction():
        (claim,) = claims.claim_next("w", POOLS, lease_seconds=60)
    with db.transaction():
        if result is None:
            lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT, "Traceback: here")
        else:
            sealed = sealing.seal(result, {"/token"}, owner_of(claim.job_id), "/result")
            lifecycle.complete(claim, sealed)
    return claim.job_id


def opened(job_id: str) -> Any:
    with db.quick():
        kept = db.value("SELECT parameters FROM jobs WHERE job_id = %(id)s", id=job_id)
    assert WORD not in str(kept)
    return sealing.opened(kept, owner_of(job_id), "/parameters")


def stored(table: str) -> str:
    with db.quick():
        return str(db.value(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t"))


def test_a_job_shows_masks_to_its_owner_and_to_admins(owner: Caller, admin: Caller) -> None:
    job_id = submitted(owner)
    ended({"token": WORD, "n": 1})
    for who in (owner, admin):
        shown = body(who.get(f"{JOBS}/{job_id}"))
        assert shown["parameters"] == SHOWN
        assert shown["result"] == {"token": MASK, "n": 1}


def test_what_was_shown_can_be_sent_back_for_a_retry_and_a_replay(owner: Caller) -> None:
    job_id = submitted(owner)
    ended({"n": 1})
    shown = body(owner.get(f"{JOBS}/{job_id}"))["parameters"]
    for way in ("retry", "replay"):
        new = body(owner.post(f"{JOBS}/{job_id}/{way}", json={"parameters": shown | {"text": way}}), 201)
        assert opened(new["job_id"]) == GIVEN | {"text": way}
    bare = body(owner.post(f"{JOBS}/{job_id}/retry"), 201)
    assert opened(bare["job_id"]) == GIVEN


def test_what_looks_sealed_is_refused_and_what_was_sealed_for_another_is_too(
    owner: Caller, other: Caller
) -> None:
    job_id = submitted(owner)
    ended({})
    with db.quick():
        sealed = db.value("SELECT parameters->>'password' FROM jobs WHERE job_id = %(id)s", id=job_id)
    for text in (sealed, "callboard-sealed:", "a callboard-sealed:1: b"):
        refused = other.post(JOBS, json={"agent_id": "secretive", "parameters": GIVEN | {"text": text}})
        assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "/parameters/text")
        new = other.post(SCHEDULES, json={"agent_id": "secretive", "cron_expression": "0 2 * * *",
                                          "parameters": {"password": WORD, "text": text}})  # fmt: skip
        assert new.status_code == 422, new.data
    mine = submitted(other)
    ended({})
    again = other.post(f"{JOBS}/{mine}/retry", json={"parameters": GIVEN | {"text": sealed}})
    assert again.status_code == 422, again.data


def test_dead_letters_show_masks_and_are_sent_in_again(owner: Caller, admin: Caller) -> None:
    job_id = submitted(owner)
    ended()
    assert body(admin.get(f"/api/v1/dlq/tasks/{job_id}"))["parameters"] == SHOWN
    assert body(admin.get("/api/v1/dlq/tasks"))["tasks"][0]["parameters"] == SHOWN
    changes = {"override_parameters": {"text": "again", "password": MASK}}
    new = body(admin.post(f"/api/v1/dlq/tasks/{job_id}/resubmit", json=changes))
    assert opened(new["new_job_id"]) == GIVEN | {"text": "again"}
    assert WORD not in stored("dead_letters")


def test_search_and_filters_find_nothing_inside_of_secrets(owner: Caller) -> None:
    job_id = submitted(owner, task_name="Findable")
    ended({"token": WORD})
    for asked in (WORD, "callboard-sealed"):
        assert body(owner.get(f"{JOBS}?q={asked}"))["jobs"] == []
        found = owner.get(f"/api/v1/search?q={asked}")
        assert job_id not in found.get_data(as_text=True)
    assert job_id in owner.get("/api/v1/search?q=Findable").get_data(as_text=True)


def test_a_schedule_keeps_its_secret_through_changes(owner: Caller) -> None:
    wish = {"agent_id": "secretive", "cron_expression": "0 2 * * *", "parameters": GIVEN}
    made = body(owner.post(SCHEDULES, json=wish), 201)
    path = f"{SCHEDULES}/{made['schedule_id']}"
    assert made["parameters"] == body(owner.get(path))["parameters"] == SHOWN
    changed = body(owner.call("PATCH", path, json={"parameters": made["parameters"] | {"text": "bye"}}))
    assert changed["parameters"] == SHOWN | {"text": "bye"}
    assert WORD not in stored("schedules")
    ran = body(owner.post(f"{path}/run"), 201)
    assert opened(ran["job_id"]) == GIVEN | {"text": "bye"}
    with db.transaction():
        db.run(
            "UPDATE schedules SET cron_expression = '* * * * *', next_fire_at = date_trunc('minute', now())"
        )
    with db.transaction():
        due.fire()
    with db.quick():
        ids = [r["job_id"] for r in db.rows("SELECT job_id::text FROM jobs")]
    assert len(ids) == 2
    assert all(opened(job_id)["password"] == WORD for job_id in ids)


def _started(who: Caller, **more: Any) -> str:
    definition = {
        "name": "Secret run",
        "inputs": {"type": "object", "properties": {"word": {"type": "string"}, "text": {"type": "string"}}},
        "steps": [
            {
                "step_id": "first",
                "agent_id": "secretive",
                "parameters": {"password": "{{inputs.word}}", "text": "{{inputs.text}}"},
            },
            {
                "step_id": "second",
                "agent_id": "secretive",
                "parameters": {"password": "{{steps.first.output.token}}", "text": "with {{inputs.text}}"},
            },
        ],
        "output": {"token": "{{steps.first.output.token}}", "text": "{{inputs.text}}"},
    }
    wish = {"definition": definition, "inputs": {"word": WORD, "text": "hello"}} | more
    return str(body(who.post(WORKFLOWS, json=wish), 201)["workflow_id"])


def _advance(workflow_id: str) -> None:
    with db.transaction():
        progress.advance(workflow_id)


def test_a_workflow_hands_secrets_on_and_shows_none(owner: Caller) -> None:
    run = _started(owner)
    assert body(owner.get(f"{WORKFLOWS}/{run}"))["inputs"] == {"word": MASK, "text": "hello"}
    first = ended({"token": "a token, " + WORD})
    assert opened(first) == GIVEN
    _advance(run)
    second = ended({})
    assert opened(second) == {"password": "a token, " + WORD, "text": "with hello"}
    _advance(run)
    shown = body(owner.get(f"{WORKFLOWS}/{run}"))
    assert (shown["status"], shown["output"]) == ("completed", {"token": MASK, "text": "hello"})
    assert shown["steps"][0]["output"] == {"token": MASK}
    for table in (
        "workflows",
        "workflow_steps",
        "jobs",
        "task_history",
        "job_events",
        "notifications",
        "audit_log",
    ):
        assert WORD not in stored(table), table


def test_a_workflow_that_failed_is_run_again_with_its_secret(owner: Caller) -> None:
    run = _started(owner)
    ended()
    _advance(run)
    body(owner.post(f"{WORKFLOWS}/{run}/retry"), 201)
    assert opened(ended({})) == GIVEN
    assert WORD not in stored("workflows")


def test_a_definition_holds_no_secret(owner: Caller) -> None:
    step = {"step_id": "one", "agent_id": "secretive", "parameters": {"password": WORD}}
    refused = owner.post(WORKFLOWS, json={"definition": {"name": "Bare", "steps": [step]}})
    assert refused.status_code == 422
    (error,) = refused.json["errors"]
    assert error["pointer"].endswith("/parameters/password")
    assert "is secret, and a definition is not" in error["message"]


def test_a_missing_key_is_told_by_health_and_by_whoever_needs_it(owner: Caller) -> None:
    job_id = submitted(owner)
    ended({})
    here = sealing.in_use()
    with db.quick():
        known.note(here)
    assert "secrets" not in body(owner.get("/api/health"))["checks"]
    sealing.use([keys.Key(b"n" * 32)])
    try:
        told = body(owner.get("/api/health"))
        shown = body(owner.get(f"{JOBS}/{job_id}"))
        refused = owner.post(f"{JOBS}/{job_id}/retry")
    finally:
        sealing.use(here)
    assert (told["status"], told["checks"]["secrets"]["status"]) == ("degraded", "degraded")
    assert shown["parameters"] == SHOWN
    assert (refused.status_code, refused.json["code"]) == (409, "key_missing")


def test_endpoints_and_callbacks_have_sealed_secrets(owner: Caller) -> None:
    made = owner.post("/api/v1/webhook-endpoints", json={"url": "https://example.org/hook"}).json
    rotated = owner.post(f"/api/v1/webhook-endpoints/{made['endpoint_id']}/rotate").json
    mine = owner.post("/api/v1/callback-secret/rotate").json
    kept = stored("webhook_endpoints") + stored("callback_secrets")
    for secret in (made["secret"], rotated["secret"], mine["secret"]):
        assert secret.startswith("whsec_")
        assert secret not in kept
    assert "whsec_" not in kept
