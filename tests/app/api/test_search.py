"""Search by API."""

from __future__ import annotations

from tests.app.api import world
from tests.app.api.calling import Caller

PATH = "/api/v1/search"


def _found(caller: Caller, query: str) -> dict[str, list[str]]:
    answer = caller.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.text
    return {kind: [hit["id"] for hit in hits] for kind, hits in answer.json["results"].items()}  # type: ignore[index]


def test_a_job_is_found_by_its_owner_and_nobody_else(owner: Caller, other: Caller, admin: Caller) -> None:
    job_id = world.completed(owner.id)

    for caller, sees in ((owner, True), (admin, True), (other, False)):
        assert (job_id in _found(caller, f"q={job_id[:18]}")["jobs"]) is sees


def test_types_narrow_the_search(owner: Caller) -> None:
    assert set(_found(owner, "q=test")) == {
        "jobs", "workflows", "schedules", "agents", "templates", "sessions", "memories", "messages", "artifacts",
    }  # fmt: skip
    assert set(_found(owner, "q=test&type=agents&type=jobs")) == {"agents", "jobs"}
    assert len(_found(owner, "q=test&type=agents&limit=2")["agents"]) == 2


def test_what_cannot_be_looked_for_is_refused(owner: Caller) -> None:
    assert owner.get(PATH).status_code == 400
    assert owner.get(f"{PATH}?q=a&type=secrets").status_code == 400
    assert owner.get(f"{PATH}?q=a&limit=51").status_code == 400
