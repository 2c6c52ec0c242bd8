"""Figures of drafts, over a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app import clock, kept
from app.db import db
from app.jobs import lifecycle
from app.quality import analytics
from tests import acting
from tests.app.quality.drafted import check, draft, ended, running


@pytest.fixture(autouse=True)
def _quickly(quick: Engine) -> Iterator[None]:
    with db.quick():
        analytics.forget()
        yield


def _figures(**which: Any) -> dict[str, Any]:
    return analytics.figures(clock.now() - timedelta(hours=24), **which)


def _age(job_id: str, days: float) -> None:
    db.run(
        "UPDATE drafts SET made_at = made_at - %(days)s * interval '1 day' WHERE job_id = %(job)s::uuid",
        days=days,
        job=job_id,
    )


def test_without_drafts_nothing_is_known() -> None:
    acting.submitted()

    found = _figures()

    assert (found["jobs"], found["drafts"], found["first_score"], found["success_rate"]) == (0, 0, None, None)
    assert [found[name] for name in ("attempts", "refinements", "checks", "topics", "agents", "models")] == [
        []
    ] * 6
    assert set(found["outcomes"].values()) == {0}


def test_scores_and_how_jobs_ended() -> None:
    ended(8.0)
    ended(6.0, 7.5)
    ended(4.0, 5.0, 5.5, 6.0, verdict="rejected")
    running(5.0)

    found = _figures()

    assert (found["jobs"], found["drafts"]) == (4, 8)
    assert found["first_score"] == pytest.approx((8 + 6 + 4 + 5) / 4)
    assert found["final_score"] == pytest.approx((8 + 7.5 + 6 + 5) / 4)
    assert {name: n for name, n in found["outcomes"].items() if n} == {
        "first": 1,
        "refined": 1,
        "rejected": 1,
        "open": 1,
    }
    assert found["passed_after"] == [{"refinements": 0, "jobs": 1}, {"refinements": 1, "jobs": 1}]
    assert found["first_pass_rate"] == pytest.approx(1 / 3)  # what still runs counts for nothing
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert found["draft_seconds"] == 12
    assert [(a["number"], a["drafts"]) for a in found["attempts"]] == [(1, 4), (2, 2), (3, 1), (4, 1)]
    assert found["attempts"][1]["score"] == pytest.approx(6.25)
    assert found["attempts"][1]["passed"] == pytest.approx(0.5)


def test_what_each_refinement_gained() -> None:
    ended(6.0, 7.5)
    ended(6.0, 5.5, 7.5)

    first, second = _figures()["refinements"]

    assert (first["number"], first["drafts"], first["improved"]) == (1, 2, 0.5)
    assert first["gain"] == pytest.approx((1.5 - 0.5) / 2)
    assert (second["number"], second["gain"]) == (2, 2.0)


def test_what_a_person_wrote_is_no_refinement_of_the_agent() -> None:
    taken = running(5.0)
    draft(taken.job_id, 2, 9.0, source="person", model=None, seconds=None)
    lifecycle.complete_many([lifecycle.Success(taken, {}, None, "passed", 9.0)])

    found = _figures()

    assert found["refinements"] == []
    assert [line["model"] for line in found["models"]] == ["plain-1"]
    assert found["passed_after"] == [{"refinements": 0, "jobs": 1}]


def _ask(job_id: str, status: str, by: str | None) -> None:
    db.run(
        """INSERT INTO approvals (approval_id, job_id, question, requested_by, kind, status, answered_by, answered_at)
           VALUES (gen_random_uuid(), %(job)s::uuid, 'Good enough?', 'ada', 'gate', %(status)s, %(by)s, now())""",
        job=job_id,
        status=status,
        by=by,
    )


def test_passed_by_a_person_is_told_apart() -> None:
    _ask(ended(6.0, 6.5), "approved", "ada@example.com")
    _ask(ended(6.0, verdict="rejected"), "rejected", "ada@example.com")
    _ask(ended(6.0, verdict="rejected"), "expired", None)

    found = _figures()

    assert (found["outcomes"]["person"], found["outcomes"]["rejected"], found["reviewed"]) == (1, 2, 2)
    assert found["passed_after"] == []
    assert found["success_rate"] == pytest.approx(1 / 3)


def test_which_checks_fail_and_which_the_next_draft_mends() -> None:
    taken = running()
    for number, (conclusion, tone) in enumerate(((4.0, 5.0), (8.0, 5.0), (9.0, None)), 1):
        draft(taken.job_id, number, 6.0, checks=[check("conclusion", conclusion), check("tone", tone)])

    by_name = {line["name"]: line for line in _figures()["checks"]}

    assert [by_name["conclusion"][key] for key in ("judged", "failed", "followed", "mended")] == [3, 1, 1, 1]
    assert [by_name["tone"][key] for key in ("judged", "failed", "followed", "mended", "not_run")] == [
        2,
        2,
        1,
        0,
        1,
    ]
    assert by_name["tone"]["score"] == 5.0


def test_topics_of_several_jobs_the_hard_ones_first() -> None:
    acting.agent("writer")
    for scores in ((8.0,), (8.0,)):
        ended(*scores, agent_id="writer", parameters={"topic": "bees"})
    for scores in ((5.0, 6.0, 7.5), (6.0, 7.5)):
        ended(*scores, task_name="Wasps")
    ended(8.0, agent_id="writer", parameters={"topic": "once"})

    topics = _figures()["topics"]

    assert [(line["topic"], line["jobs"], line["refinements"]) for line in topics] == [
        ("Wasps", 2, 1.5),
        ("bees", 2, 0),
    ]
    assert topics[0]["first_score"] == pytest.approx(5.5)
    assert topics[1]["first_pass_rate"] == 1


def test_topics_are_content() -> None:
    acting.agent("writer")
    for _ in range(2):
        ended(8.0, agent_id="writer", parameters={"topic": "secret"}, task_name="Said to all")

    assert [line["topic"] for line in _figures(with_topics=False)["topics"]] == ["Said to all"]


def test_by_owner_agent_and_time() -> None:
    acting.agent("other")
    ended(8.0)
    ended(4.0, 9.0, agent_id="other", submitted_by="bo")
    _age(ended(2.0, verdict="rejected"), 2)

    assert _figures()["jobs"] == 2
    assert _figures(owner="bo")["first_score"] == 4.0
    assert _figures(agent_id="test-noop")["first_score"] == 8.0
    assert [(line["agent_id"], line["jobs"]) for line in _figures()["agents"]] == [
        ("other", 1),
        ("test-noop", 1),
    ]
    assert analytics.figures(clock.now() - timedelta(days=7))["jobs"] == 3


def test_a_window_with_a_name_is_kept_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _figures(window="24h")["jobs"] == 0
    ended(8.0)

    assert _figures(window="24h")["jobs"] == 0
    assert _figures(window="24h", owner=acting.OWNER)["jobs"] == 1, "another owner's figures are others"
    later = kept.time.monotonic() + analytics.KEPT_SECONDS + 1
    monkeypatch.setattr(kept.time, "monotonic", lambda: later)
    assert _figures(window="24h")["jobs"] == 1


def test_only_so_many_jobs_are_looked_at_the_newest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "MOST_JOBS", 3)
    monkeypatch.setattr(analytics, "MOST_CHECKED", 1)
    for hours, score in enumerate((9.0, 8.0, 7.0, 1.0)):
        _age(ended(score), hours / 24)

    found = _figures()

    assert (found["jobs"], found["most_jobs"]) == (3, 3)
    assert found["first_score"] == 8.0
    assert {line["name"]: line["judged"] for line in found["checks"]} == {"conclusion": 1, "length": 1}
    assert {line["name"]: line["score"] for line in found["checks"]}["conclusion"] == 9.0


def test_a_report_of_another_shape_harms_nothing() -> None:
    taken = running()
    draft(taken.job_id, 1, 6.0, report={"verdict": "revise", "checks": "none"})

    assert _figures()["checks"] == []
