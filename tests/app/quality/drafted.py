"""Jobs with drafts and what was said of them, for tests inside `db.quick()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.db import as_json, db
from app.jobs import lifecycle
from app.jobs.claims import Claim
from app.jobs.lifecycle import Success
from tests import acting

THRESHOLD = 7.0
TEXTS = (
    "# Bees\n\nBees are fine.\n",
    "# Bees\n\nBees are good, and <b>here</b> is why.\n\n- honey\n",
    "# Bees\n\nBees are splendid, and here is why.\n\n- honey\n- wax\n",
)


def check(name: str, score: float | None, **told: Any) -> dict[str, Any]:
    """What one check found, as it stands in a report; a score of None did not run."""
    usual = {
        "name": name,
        "kind": "length",
        "score": score,
        "weight": 1.0,
        "threshold": None,
        "mode": "advisory",
        "passed": None if score is None else score >= THRESHOLD,
        "evidence": f"{name}: seen",
        "issue": None if score is None or score >= THRESHOLD else f"Weak {name}",
        "suggestion": None if score is None or score >= THRESHOLD else f"Mend the {name}.",
        "error": None,
    }
    return usual | told


def report(score: float, checks: Sequence[dict[str, Any]] | None = None, **told: Any) -> dict[str, Any]:
    """A report of the shape that drafts keep."""
    made = list(checks) if checks is not None else [check("conclusion", score), check("length", 9.0)]
    passed = score >= THRESHOLD
    usual = {
        "score": score,
        "threshold": THRESHOLD,
        "verdict": "passed" if passed else "revise",
        "passed": passed,
        "issues": [c["issue"] for c in made if c["issue"]],
        "feedback": "" if passed else "Mend the conclusion.",
        "checks": made,
        "gate": {"name": "blog-post", "version": 1},
    }
    return usual | told


def draft(job_id: str, number: int, score: float | None = None, **told: Any) -> None:
    """Keep one draft; judged if it has a score."""
    checks = told.pop("checks", None)
    said = told.pop("report", None) or (None if score is None else report(score, checks))
    row: dict[str, Any] = {
        "source": "agent",
        "model": "plain-1",
        "seconds": 12.0,
        "content": {"content": TEXTS[min(number, len(TEXTS)) - 1]},
        "fence": 1,
    } | told
    db.run(
        """INSERT INTO drafts (job_id, number, fence, source, content, model, seconds, score, threshold, verdict, report,
                               judged_at)
           VALUES (%(job)s::uuid, %(number)s, %(fence)s, %(source)s, %(content)s, %(model)s, %(seconds)s, %(score)s,
                   %(threshold)s, %(verdict)s, %(report)s, CASE WHEN %(report)s IS NOT NULL THEN clock_timestamp() END)""",
        job=job_id,
        number=number,
        score=score,
        threshold=None if score is None else THRESHOLD,
        verdict=said["verdict"] if said else None,
        report=as_json(said) if said else None,
        **row | {"content": as_json(row["content"])},
    )


def running(*scores: float | None, agent_id: str = "test-noop", **wish: Any) -> Claim:
    """A job that runs and has these drafts."""
    taken = acting.claimed(agent_id, **wish)
    for number, score in enumerate(scores, 1):
        draft(taken.job_id, number, score)
    return taken


def ended(*scores: float, verdict: str = "passed", result: dict[str, Any] | None = None, **wish: Any) -> str:
    """A completed job with these drafts; the last one is its result."""
    taken = running(*scores, **wish)
    made = result or {"content": TEXTS[min(len(scores), len(TEXTS)) - 1]}
    assert lifecycle.complete_many([Success(taken, made, None, verdict, max(scores))]) == [True]
    return taken.job_id
