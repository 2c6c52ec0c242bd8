"""What tests of workflows' endpoints do behind the API: be the worker, and what wakes the run afterwards."""

from __future__ import annotations

import uuid
from typing import Any

from app.approvals import queries
from app.db import db
from app.errors import PermanentError
from app.jobs import claims, lifecycle
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.settings import POOLS
from app.workflows import progress, runs, templates
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests.app.api import world

ECHO = {
    "name": "Echo twice",
    "steps": [
        {"step_id": "first", "agent_id": "test-echo", "parameters": {"text": "a secret word"}},
        {"step_id": "second", "agent_id": "test-echo", "parameters": {"text": "{{steps.first.output.text}}"}},
    ],
}
QUESTION = {
    "name": "Ask first",
    "steps": [
        {
            "step_id": "release",
            "type": "approval",
            "question": "Publish it?",
            "shown": {"title": "A secret title"},
            "form": {
                "type": "object",
                "properties": {"day": {"type": "string"}},
                "additionalProperties": False,
            },
            "on_reject": "continue",
        },
        {"step_id": "say", "agent_id": "test-echo", "parameters": {"n": "{{steps.release.output.approved}}"}},
    ],
}


def started(owner: str, definition: dict[str, Any] = ECHO) -> str:
    """The id of a new run."""
    with db.transaction():
        return str(runs.start(RunWish(definition=read(definition), submitted_by=owner))["workflow_id"])


def cancelled(owner: str) -> str:
    """The id of a run that somebody ended."""
    workflow_id = started(owner)
    with db.transaction():
        runs.cancel(workflow_id)
    return workflow_id


def asked(owner: str) -> str:
    """The id of an open question of a new run."""
    workflow_id = started(owner, QUESTION)
    with db.quick():
        (question,) = queries.of_workflow(workflow_id)
    return str(question["approval_id"])


def template(owner: str) -> str:
    """The name of a new private template."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    with db.transaction():
        templates.save(name, raw=ECHO, by=owner)
    return name


def claimed() -> Claim:
    """The next job, in a worker's hands."""
    with db.transaction():
        (claim,) = claims.claim_next(world.WORKER, POOLS, lease_seconds=60)
    return claim


def complete(result: dict[str, Any] | None = None) -> Claim:
    """Let the next job succeed and its run go on; it answers its parameters unless told."""
    claim = claimed()
    with db.transaction():
        lifecycle.complete(claim, claim.parameters if result is None else result)
    with db.transaction():
        progress.job_settled(claim.job_id)
    return claim


def fail(message: str = "it is broken") -> Claim:
    """Let the next job fail for good, and with it its run."""
    claim = claimed()
    with db.transaction():
        lifecycle.fail(claim, PermanentError(message), Reason.PERMANENT, "Traceback: here")
    with db.transaction():
        progress.job_settled(claim.job_id)
    return claim
