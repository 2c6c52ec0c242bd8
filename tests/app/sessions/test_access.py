"""Who may look, who may take part, who decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.db import db
from app.errors import Forbidden, NotFound
from app.sessions import access, changes, delegating, queries
from tests import acting
from tests.app.sessions.conftest import People

pytestmark = pytest.mark.usefixtures("here")


def made(people: People, session_id: str = "morning_meeting_001") -> str:
    changes.create(session_id, who=people.ada, participants=["Zoe", "BOB@sessions.test"])
    return session_id


def test_owner_participants_and_admins_look_and_take_part(people: People) -> None:
    session_id = made(people)
    for who in (people.ada, people.bob, people.root):
        for verb in ("view_session", "view_session_content", "join_session"):
            assert access.of(session_id, who, verb)["session_id"] == session_id


def test_to_everybody_else_there_is_no_such_session(people: People) -> None:
    session_id = made(people)
    for verb in ("view_session", "view_session_content", "join_session", "manage_session"):
        with pytest.raises(NotFound, match="there is no session"):
            access.of(session_id, people.eve, verb)


def test_a_participant_does_not_decide_and_hears_why(people: People) -> None:
    session_id = made(people)
    with pytest.raises(Forbidden, match="Only the owner"):
        access.of(session_id, people.bob, "manage_session")
    assert access.of(session_id, people.root, "manage_session")


def test_a_viewer_sees_that_it_is_there_and_nothing_of_it(people: People) -> None:
    session_id = made(people)
    seen = queries.one(session_id, people.vic)
    assert seen["status"] == "active"
    assert not {"participants", "metadata", "summary", "callback_url"} & seen.keys()
    assert seen["actions"] == []
    for verb in ("view_session_content", "join_session", "manage_session"):
        with pytest.raises(Forbidden):
            access.of(session_id, people.vic, verb)


def test_a_key_without_the_scope_does_not_write(people: People) -> None:
    session_id = made(people)
    reader = replace(people.ada, scopes=frozenset({"read"}))
    assert access.of(session_id, reader)
    with pytest.raises(Forbidden, match="scope write"):
        access.of(session_id, reader, "join_session")


def test_a_running_job_reaches_its_own_session_and_decides_nothing(people: People) -> None:
    mine, other = made(people), made(people, "another")
    job_id = acting.submitted(submitted_by=people.ada.user_id, session_id=mine)
    agent = replace(people.ada, job_id=job_id)
    assert access.of(mine, agent, "join_session")
    with pytest.raises(NotFound):
        access.of(other, agent)
    with pytest.raises(Forbidden, match="takes part"):
        access.of(mine, agent, "manage_session")
    with pytest.raises(Forbidden, match="POST /api/v1/jobs"):
        delegating.delegate(mine, agent_id="test-noop", parameters={}, who=agent)


def test_lists_narrow_to_what_one_may_see(people: People) -> None:
    made(people)
    changes.create("of_eve", who=people.eve)

    def seen(who: str) -> set[str]:
        return {row["session_id"] for row in queries.page(getattr(people, who))["items"]}

    assert seen("ada") == seen("bob") == {"morning_meeting_001"}
    assert seen("eve") == {"of_eve"}
    assert seen("root") == seen("vic") == {"morning_meeting_001", "of_eve"}


def test_the_condition_finds_what_it_says_in_other_statements_too(people: People) -> None:
    made(people)
    seen, values = access.seen_by(people.bob, "view_session_content", table="s")
    assert db.value(f"SELECT count(*) FROM sessions s WHERE {seen}", **values) == 1
    with pytest.raises(Forbidden):
        access.seen_by(people.vic, "view_session_content")
