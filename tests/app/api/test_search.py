"""Search by API."""

from __future__ import annotations

from app.accounts.permissions import Principal
from app.db import db
from app.sessions import changes, talk
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


def test_one_session_can_be_searched_alone(owner: Caller, other: Caller) -> None:
    who = Principal(user_id=owner.id, email="", role="user")
    with db.transaction():
        for session_id in ("find-1", "find-2"):
            changes.create(session_id, who=who, title="Lanterns")
            talk.add(session_id, [{"speaker": "Ada", "text": "The lanterns are lit."}], by=owner.id)

    assert len(_found(owner, "q=lantern")["messages"]) == 2
    found = _found(owner, "q=lantern&session_id=find-2")
    assert (found["sessions"], len(found["messages"]), found["agents"]) == (["find-2"], 1, [])
    assert not any(_found(other, "q=lantern&session_id=find-2").values())
    assert not any(_found(owner, "q=lantern&session_id=find-3").values())
    assert owner.get(f"{PATH}?q=a&session_id={'x' * 101}").status_code == 400


def test_a_search_by_meaning_says_when_it_went_by_words(owner: Caller) -> None:
    plain = owner.get(f"{PATH}?q=test").json
    assert (plain["semantic"], plain["note"]) == (False, "")  # type: ignore[index]
    answer = owner.get(f"{PATH}?q=test&semantic=true").json
    assert answer["semantic"] is False  # type: ignore[index]
    assert "EMBEDDING_MODEL" in answer["note"]  # type: ignore[index]
    assert answer["results"]["agents"]  # type: ignore[index]
