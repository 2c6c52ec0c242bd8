"""Jobs that wait for people, for the tests of what people see of them."""

from __future__ import annotations

from typing import Any

from app.approvals import asking as _asking
from app.approvals import links as _links
from app.approvals.wanted import Wanted
from app.db import db as real
from app.jobs import lifecycle as _lifecycle
from app.jobs.claims import Claim
from app.settings import Settings
from tests.app.dashboard.aside import acting, claimed

DRAFT = "# Bees\n\nThey dance to *say* where the flowers are.\n\nThe end."
REPORT = {
    "attempt": 2,
    "score": 6.5,
    "threshold": 7.0,
    "passed": False,
    "verdict": "needs_review",
    "feedback": "✗ Content needs improvement (6.5/10, threshold: 7.0)",
    "issues": ["Missing examples"],
    "checks": [
        {"name": "Length", "kind": "length", "score": 9.0, "weight": 1.0, "threshold": None, "mode": "advisory",
         "passed": True, "evidence": "940 words", "issue": None, "suggestion": None, "error": None},
        {"name": "Examples", "kind": "examples", "score": 2.0, "weight": 1.0, "threshold": 5.0, "mode": "blocking",
         "passed": False, "evidence": "", "issue": "Missing examples", "suggestion": "Add one from a hive.",
         "error": None},
        {"name": "Facts", "kind": "judge", "score": None, "weight": 1.0, "threshold": None, "mode": "advisory",
         "passed": None, "evidence": "", "issue": None, "suggestion": None, "error": "the judge did not answer"},
    ],
}  # fmt: skip
GATE: dict[str, Any] = {
    "question": "May draft 2 be taken as it is?",
    "kind": "gate",
    "draft_number": 2,
    "shown": {
        "input": {"topic": "Bees", "tone": "warm"},
        "draft": {"number": 2, "of": 2, "text": DRAFT, "characters": len(DRAFT)},
        "quality": REPORT,
        "used": {},
    },
    "editable": {"text": DRAFT},
    "options": ("approve", "reject", "edit", "ask_back"),
}


def job_asking(
    owner: str, *, agent_id: str = "test-noop", task_name: str | None = None, **wanted: Any
) -> str:
    """The id of the question with which a new job of somebody's waits; without `wanted` its gate asks about a draft."""
    acting.agent(agent_id)
    taken = claimed(agent_id, submitted_by=owner, task_name=task_name)
    return asked_by(taken, **wanted or GATE)


def asked_by(taken: Claim, **wanted: Any) -> str:
    """The id of the question with which this attempt ends."""
    question = Wanted(**wanted)
    question.check()
    return _ends_with(taken, question.as_question())


def policy_asking(owner: str, question: str, shown: dict[str, Any]) -> str:
    """The id of what a policy asks about a new job of somebody's."""
    acting.agent("test-noop")
    taken = claimed("test-noop", submitted_by=owner)
    return _ends_with(taken, {"question": question, "kind": "policy", "shown": shown, "digest": question})


def _ends_with(taken: Claim, question: dict[str, Any]) -> str:
    with real.transaction():
        assert _lifecycle.wait_for_answer(taken)
        return _asking.ask_for_job(taken, question)


def link_for(approval_id: str, email: str, settings: Settings) -> str:
    """The address, without the host, by which somebody answers without signing in."""
    with real.transaction():
        return _links.address("", _links.make(approval_id, email, key=settings.signing_key))
