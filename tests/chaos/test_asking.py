"""Jobs that ask people, whose workers die before they asked, while they wait, and while they go on."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.accounts.permissions import Principal
from app.db import db
from app.jobs.intake import Wish
from app.workflows import asking as doors
from tests import acting
from tests.chaos.load import submit
from tests.chaos.test_workers_die import HOW, shoot
from tests.fleet import Fleet

pytestmark = pytest.mark.timeout(180)

JOBS = 10
ADMIN = Principal(user_id="chaos", email="chaos@example.com", role="admin")
FORM = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
ASK: dict[str, Any] = {
    "question": "Which colour?",
    "form": FORM,
    "options": ["approve", "reject", "ask_back"],
}


def submitted() -> list[str]:
    """Jobs of an agent in a process of its own, which has one place only."""
    with db.transaction():
        acting.agent(
            "test-asker",
            max_concurrent=1,
            python={"call": "tests.playing:asker", "limit_address_space": False},
        )
    wishes = [Wish(agent_id="test-asker", parameters={"ask": ASK}, submitted_by="chaos") for _ in range(JOBS)]
    return submit(wishes)


def open_questions(fleet: Fleet) -> list[str]:
    rows = fleet.rows("SELECT approval_id::text FROM approvals WHERE status = 'open' ORDER BY approval_id")
    return [row["approval_id"] for row in rows]


def answered(approval_id: str, decision: str, **more: Any) -> None:
    with db.transaction():
        doors.answer(approval_id, decision=decision, by=ADMIN, **more)  # type: ignore[arg-type]


def test_no_question_and_no_answer_is_lost_or_doubled_by_workers_killed(fleet: Fleet) -> None:
    chance = random.Random(7)
    jobs = submitted()
    fleet.scheduler()
    worker = fleet.worker(threads=3)

    for _ in range(3):  # while they ask: one after the other, because the agent has one place
        fleet.until(lambda: fleet.running_on(worker), 30)
        shoot(worker, chance.choice(HOW))
    fleet.until(lambda: fleet.count("awaiting_input") == JOBS, 60)
    assert fleet.rows("SELECT slot FROM agent_slots WHERE job_id IS NOT NULL") == []
    assert len(open_questions(fleet)) == JOBS, "each has one open question"

    worker.wanted = False  # while they wait: nobody is there
    worker.kill_children()
    worker.kill()
    for number, approval_id in enumerate(open_questions(fleet)):
        if number % 2:
            answered(approval_id, "ask_back", comment=f"Again, {number}.")
        else:
            answered(approval_id, "approve", answer={"colour": "blue"})
    assert fleet.count("queued") == JOBS

    worker.wanted = True  # while they go on
    fleet.revive()
    for _ in range(2):
        fleet.until(lambda: fleet.running_on(worker), 30)
        shoot(worker, chance.choice(HOW))
    fleet.until(lambda: (fleet.count("completed"), fleet.count("awaiting_input")) == (JOBS / 2, JOBS / 2), 60)
    for approval_id in open_questions(fleet):
        answered(approval_id, "reject")
    fleet.until(lambda: fleet.count("completed") == JOBS, 60)

    results = {row["job_id"]: row["result"] for row in fleet.rows("SELECT job_id::text, result FROM jobs")}
    assert set(results) == set(jobs)
    told = sorted((result["decision"], len(result["comments"])) for result in results.values())
    assert told == [("approve", 0)] * (JOBS // 2) + [("reject", 1)] * (JOBS // 2)
    asked = fleet.value("SELECT count(*) FROM approvals")
    assert asked == JOBS + JOBS // 2, "nothing was asked twice"
    fleet.until(lambda: fleet.to_follow_up() == 0, 30)
    assert fleet.broken() == {}
    assert fleet.contradictions() == []
