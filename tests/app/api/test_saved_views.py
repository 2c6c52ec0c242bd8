"""Saved views by the API, and the language that lists of jobs are filtered by."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.api.calling import Caller

JOBS, VIEWS = "/api/v1/jobs", "/api/v1/saved-views"


def _jobs(caller: Caller, text: str, **more: Any) -> list[str]:
    answer = caller.get(JOBS, query_string={"filter": text, **more})
    assert answer.status_code == 200, answer.json
    return [job["job_id"] for job in answer.json["jobs"]]


def _submit(caller: Caller, agent: str = "test-noop", **more: Any) -> str:
    answer = caller.post(JOBS, json={"agent_id": agent, "parameters": {}, **more})
    assert answer.status_code == 201, answer.json
    return str(answer.json["job_id"])


def test_jobs_are_filtered_in_the_language_of_the_dashboard(owner: Caller, admin: Caller) -> None:
    high = _submit(owner, priority="high", tags=["two words"], task_name="Count sheep")
    low = _submit(owner, "test-sleeper", priority="low")

    assert _jobs(owner, "") == [low, high]
    for text in (
        'tag:"two words"',
        "agent:test-noop",
        "-agent:test-sleeper",
        "sheep",
        "priority:high,critical",
    ):
        assert _jobs(owner, text) == [high], text
    assert _jobs(owner, "status:waiting", priority="low") == [low]
    assert _jobs(owner, "status:waiting", status="failed") == []
    assert _jobs(owner, "status:waiting,failed", status="queued") == [low, high]
    assert _jobs(owner, "since:1h", since="2999-01-01T00:00:00Z") == []
    assert _jobs(owner, "until:1h") == []
    assert _jobs(admin, f"by:{owner.id} sheep") == [high]
    assert _jobs(owner, f"by:{admin.id}") == []


def test_a_filter_that_cannot_be_read_is_a_400_that_helps(owner: Caller) -> None:
    answer = owner.get(JOBS, query_string={"filter": "agnt:x status:odd"})

    assert answer.status_code == 400
    said = [(each["pointer"], each["message"]) for each in answer.json["errors"]]
    assert said[0] == (
        "/filter",
        "at 0: unknown qualifier `agnt:`, did you mean `agent:`?; try 'agent:x status:odd'",
    )
    assert said[1][1].startswith("at 7: there is no status `odd`")
    assert owner.get(JOBS, query_string={"filter": "x" * 1001}).status_code == 400


def test_views_are_saved_listed_replaced_and_deleted(owner: Caller, other: Caller) -> None:
    answer = owner.post(VIEWS, json={"name": "Bad", "filter": "state:failed   since:today"})
    view = answer.json
    assert answer.status_code == 201
    assert (view["name"], view["filter"], view["shared"], view["mine"]) == (
        "Bad",
        "status:failed since:today",
        False,
        True,
    )
    assert view["page"] == "/jobs?q=status%3Afailed+since%3Atoday"

    again = owner.post(VIEWS, json={"name": "Bad", "filter": "x"}).json
    assert (again["view_id"], again["filter"]) == (view["view_id"], "x")
    assert [v["name"] for v in owner.get(VIEWS).json["saved_views"]] == ["Bad"]
    assert other.get(VIEWS).json == {"saved_views": [], "total": 0}
    assert other.call("DELETE", f"{VIEWS}/{view['view_id']}").status_code == 404
    assert owner.call("DELETE", f"{VIEWS}/{view['view_id']}").status_code == 204
    assert owner.get(VIEWS).json["total"] == 0


def test_sharing_is_for_admins(owner: Caller, admin: Caller) -> None:
    assert owner.post(VIEWS, json={"name": "x", "filter": "", "shared": True}).status_code == 403
    view = admin.post(VIEWS, json={"name": "x", "filter": "", "shared": True}).json

    (seen,) = owner.get(VIEWS).json["saved_views"]
    assert (seen["view_id"], seen["mine"]) == (view["view_id"], False)
    assert owner.call("DELETE", f"{VIEWS}/{view['view_id']}").status_code == 403


@pytest.mark.parametrize(
    ("body", "answered"),
    [({"name": "x"}, 422), ({"name": "", "filter": ""}, 422), ({"name": " ", "filter": ""}, 422), ({"name": "x", "filter": "agnt:x"}, 400)],
)  # fmt: skip
def test_what_is_no_view_is_refused(owner: Caller, body: dict[str, str], answered: int) -> None:
    assert owner.post(VIEWS, json=body).status_code == answered


def test_there_are_fifty_at_most(owner: Caller) -> None:
    for number in range(50):
        assert owner.post(VIEWS, json={"name": f"v{number}", "filter": ""}).status_code == 201

    assert owner.post(VIEWS, json={"name": "one more", "filter": ""}).status_code == 409
