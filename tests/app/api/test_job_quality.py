"""Drafts and figures of quality by API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.quality import analytics
from tests.app.api import world
from tests.app.api.calling import Caller
from tests.app.dashboard.aside import Aside, agent
from tests.app.quality import drafted as _drafted

drafted = Aside(_drafted)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    analytics.forget()
    yield
    analytics.forget()


def _got(caller: Caller, path: str) -> dict[str, Any]:
    answer = caller.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json or {})


def test_the_drafts_of_a_job_with_their_reports(owner: Caller) -> None:
    job_id = drafted.ended(6.2, 8.5, submitted_by=owner.id)

    found = _got(owner, f"/api/v1/jobs/{job_id}/drafts")

    assert (found["verdict"], found["quality_score"]) == ("passed", 8.5)
    assert [(d["number"], d["score"], d["verdict"]) for d in found["drafts"]] == [
        (1, 6.2, "revise"),
        (2, 8.5, "passed"),
    ]
    assert found["drafts"][0]["report"]["issues"] == ["Weak conclusion"]
    assert found["drafts"][0]["attempt"] == 1
    assert "content" not in found["drafts"][0]


def test_they_are_told_while_the_job_runs(owner: Caller) -> None:
    taken = drafted.running(6.2, None, submitted_by=owner.id)

    found = _got(owner, f"/api/v1/jobs/{taken.job_id}/drafts")

    assert found["verdict"] is None
    assert [(d["score"], d["report"] is None, d["judged_at"] is None) for d in found["drafts"]] == [
        (6.2, False, False),
        (None, True, True),
    ]


def test_one_draft_with_its_content(owner: Caller) -> None:
    job_id = drafted.ended(6.2, 8.5, submitted_by=owner.id)

    found = _got(owner, f"/api/v1/jobs/{job_id}/drafts/2")

    assert found["content"] == {"content": _drafted.TEXTS[1]}
    assert (found["source"], found["model"], found["seconds"]) == ("agent", "plain-1", 12.0)


def test_what_changed_between_two(owner: Caller) -> None:
    job_id = drafted.ended(6.2, 7.1, 8.5, submitted_by=owner.id)

    found = _got(owner, f"/api/v1/jobs/{job_id}/drafts/2/diff/3")

    assert (found["before"], found["after"], found["gain"]) == (2, 3, 1.4)
    assert (found["added"], found["removed"]) == (2, 1)
    assert "+- wax" in found["diff"].splitlines()
    back = _got(owner, f"/api/v1/jobs/{job_id}/drafts/3/diff/2")
    assert (back["added"], back["removed"], back["gain"]) == (1, 2, -1.4)


def test_results_without_text_are_compared_as_json(owner: Caller) -> None:
    taken = drafted.running(submitted_by=owner.id)
    for number, rows in ((1, [1]), (2, [1, 2])):
        drafted.draft(taken.job_id, number, content={"rows": rows})

    found = _got(owner, f"/api/v1/jobs/{taken.job_id}/drafts/1/diff/2")

    assert "+    2" in found["diff"].splitlines()
    assert found["gain"] is None


@pytest.mark.parametrize(("path", "status"), [("/9", 404), ("/0", 400), ("/x", 400), ("/1/diff/9", 404)])
def test_what_is_not_there(owner: Caller, path: str, status: int) -> None:
    job_id = drafted.ended(8.5, submitted_by=owner.id)

    assert owner.get(f"/api/v1/jobs/{job_id}/drafts{path}").status_code == status


def test_a_job_without_drafts_has_none(owner: Caller) -> None:
    assert _got(owner, f"/api/v1/jobs/{world.submitted(owner.id)}/drafts")["drafts"] == []


def test_figures_are_of_ones_own_jobs(owner: Caller, other: Caller, admin: Caller, viewer: Caller) -> None:
    agent("writer")
    for _ in range(2):
        drafted.ended(6.0, 8.0, agent_id="writer", submitted_by=owner.id, parameters={"topic": "bees"})
    path = "/api/v1/quality/analytics?window=24h"

    mine = _got(owner, path)

    assert (mine["jobs"], mine["drafts"], mine["success_rate"], mine["first_pass_rate"]) == (2, 4, 1, 0)
    assert mine["outcomes"]["refined"] == 2
    assert mine["refinements"] == [{"number": 1, "drafts": 2, "gain": 2, "improved": 1}]
    assert [line["topic"] for line in mine["topics"]] == ["bees"]
    assert _got(other, path)["jobs"] == 0
    assert [line["topic"] for line in _got(admin, path)["topics"]] == ["bees"]
    assert (_got(viewer, path)["jobs"], _got(viewer, path)["topics"]) == (2, [])
    assert _got(owner, f"{path}&agent_id=Writer")["jobs"] == 2
    assert _got(owner, f"{path}&agent_id=nobody")["jobs"] == 0


@pytest.mark.parametrize("query", ["window=1y", "agent=writer"])
def test_a_query_that_cannot_be(owner: Caller, query: str) -> None:
    assert owner.get(f"/api/v1/quality/analytics?{query}").status_code == 400
