"""A session's life as a whole: made, changed, paused, completed, deleted, restored, removed."""

from __future__ import annotations

from typing import Any

import pytest

from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import lifecycle
from app.sessions import access, changes, delegating, events, news, queries, talk
from tests import acting
from tests.app.sessions.conftest import People

pytestmark = pytest.mark.usefixtures("here")
SAID = [{"speaker": "Ada", "text": "Good morning"}]


def types(session_id: str = "s1") -> list[str]:
    return [row["type"] for row in events.after(session_id)[0]]


def noted() -> list[Row]:
    return db.rows(
        "SELECT actor, action, subject, details FROM audit_log WHERE action LIKE 'session.%%' ORDER BY id"
    )


def test_it_is_made_under_the_callers_id_with_what_was_said(people: People) -> None:
    row = changes.create(
        "voice_session_123",
        who=people.ada,
        title="  Morning ",
        participants=["Zoe", "Bob@Example.com", "Zoe"],
        metadata={"room": 3},
    )
    assert (row["title"], row["status"], row["owner"]) == ("Morning", "active", people.ada.user_id)
    assert row["participants"] == ["Zoe", "bob@example.com"]
    assert row["metadata"] == {"room": 3}
    assert row["last_seq"] == 1
    assert types("voice_session_123") == ["session.created"]


@pytest.mark.parametrize("wrong", ["", "-x", "a b", "a/b", "x" * 101, "ä", "a\n"])
def test_an_id_that_would_not_stand_in_a_path_is_refused(people: People, wrong: str) -> None:
    if wrong == "a\n":
        assert changes.create(wrong, who=people.ada)["session_id"] == "a"
        return
    with pytest.raises(Invalid) as caught:
        changes.create(wrong, who=people.ada)
    assert [where for where, _ in caught.value.fields] == ["/id"]


def test_a_taken_id_stays_taken_also_of_a_deleted_one_of_somebody_else(people: People) -> None:
    changes.create("s1", who=people.ada)
    changes.delete("s1", who=people.ada)
    for who in (people.ada, people.eve):
        with pytest.raises(Conflict, match="choose another id"):
            changes.create("s1", who=who)


@pytest.mark.parametrize(
    ("name", "value"),
    [("callback_url", "ftp://x.org"), ("callback_url", "https://u:p@x.org/"), ("metadata", {"x": "y" * 20_001}),
     ("participants", ["x"] * 101), ("participants", [" "]), ("title", "x" * 301)],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(people: People, name: str, value: Any) -> None:
    changes.create("s1", who=people.ada)
    for do in (changes.change, changes.create):
        with pytest.raises(Invalid) as caught:
            do("s1", who=people.ada, **{name: value})
        assert all(where.startswith(f"/{name}") for where, _ in caught.value.fields)


def test_a_change_leaves_alone_what_it_does_not_name(people: People) -> None:
    changes.create("s1", who=people.ada, title="One", participants=["Zoe"], callback_url="https://x.org/in")
    row = changes.change("s1", who=people.ada, title="Two")
    assert (row["title"], row["participants"], row["callback_url"]) == ("Two", ["Zoe"], "https://x.org/in")
    assert changes.change("s1", who=people.ada, callback_url=None)["callback_url"] is None
    changes.change("s1", who=people.ada, title="Two")  # nothing is different: nothing happened
    assert types() == ["session.created", "session.updated", "session.updated"]


def test_it_pauses_resumes_completes_and_reopens(people: People) -> None:
    changes.create("s1", who=people.ada)
    changes.change("s1", who=people.ada, status="paused")
    with pytest.raises(Conflict, match="resume it") as paused:
        talk.add("s1", SAID, by="ada")
    assert paused.value.allowed == ["resume"]
    changes.change("s1", who=people.ada, status="active")
    talk.add("s1", SAID, by="ada")
    assert changes.change("s1", who=people.ada, status="completed")["completed_at"] is not None
    with pytest.raises(Conflict, match="set its status to active"):
        talk.add("s1", SAID, by="ada")
    assert changes.change("s1", who=people.ada, status="active")["completed_at"] is None
    talk.add("s1", SAID, by="ada")
    assert types()[1:] == [
        "session.paused", "session.resumed", "conversation.added", "session.completed", "session.resumed",
        "conversation.added",
    ]  # fmt: skip


def test_a_deleted_one_is_gone_for_everybody_until_it_is_restored(people: People) -> None:
    changes.create("s1", who=people.ada, participants=["bob@sessions.test"])
    talk.add("s1", SAID, by="ada")
    assert changes.delete("s1", who=people.ada)["deleted_by"] == people.ada.user_id
    changes.delete("s1", who=people.ada)  # no error
    for who in (people.ada, people.bob, people.root):
        with pytest.raises(NotFound, match="can restore it"):
            access.of("s1", who)
        assert queries.page(who)["items"] == []
    with pytest.raises(NotFound):
        talk.add("s1", SAID, by="ada")
    assert [row["session_id"] for row in queries.page(people.ada, deleted=True)["items"]] == ["s1"]
    assert queries.page(people.bob, deleted=True)["items"] == []
    assert changes.restore("s1", who=people.ada)["deleted_at"] is None
    assert [row["text"] for row in talk.page("s1")] == ["Good morning"]
    assert types()[-2:] == ["session.deleted", "session.restored"]


def test_only_what_was_deleted_long_ago_is_removed(people: People) -> None:
    for session_id in ("old", "young", "living"):
        changes.create(session_id, who=people.ada)
        talk.add(session_id, SAID, by="ada")
    changes.delete("old", who=people.ada)
    changes.delete("young", who=people.ada)
    db.run("UPDATE sessions SET deleted_at = deleted_at - interval '31 days' WHERE session_id = 'old'")
    assert changes.purge(30) == 1
    left = db.rows("SELECT DISTINCT session_id FROM session_messages ORDER BY 1")
    assert [row["session_id"] for row in left] == ["living", "young"]
    changes.create("old", who=people.eve)  # the id is free again


def test_jobs_of_a_removed_session_are_not_those_of_the_next_one_with_its_id(people: People) -> None:
    acting.agent("test-echo")
    changes.create("old", who=people.ada)
    job_id = delegating.delegate("old", agent_id="test-echo", parameters={}, who=people.ada)["job_id"]
    changes.delete("old", who=people.ada)
    db.run("UPDATE sessions SET deleted_at = deleted_at - interval '31 days'")
    changes.purge(30)
    changes.create("old", who=people.eve)
    lifecycle.cancel(job_id)
    news.job_settled(job_id)
    assert delegating.jobs("old") == []
    assert types("old") == ["session.created"]


def test_every_privileged_change_is_in_the_audit_log(people: People) -> None:
    changes.create("s1", who=people.ada)
    changes.change("s1", who=people.root, title="Mine now", status="completed")
    changes.delete("s1", who=people.ada)
    changes.restore("s1", who=people.root)
    assert [(row["actor"], row["action"]) for row in noted()] == [
        (people.ada.user_id, "session.created"),
        (people.root.user_id, "session.updated"),
        (people.root.user_id, "session.completed"),
        (people.ada.user_id, "session.deleted"),
        (people.root.user_id, "session.restored"),
    ]
    assert {row["subject"] for row in noted()} == {"s1"}
