"""Lists by pages, the whole document, and what is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.db import db, dumps
from app.errors import Invalid
from app.sessions import changes, events, made, memory, queries, talk
from tests import acting
from tests.app.sessions.conftest import People

pytestmark = pytest.mark.usefixtures("here")


def made_of(people: People, *names: str) -> None:
    for name in names:
        changes.create(name, who=people.ada, title=f"About {name}")


def ids(page: dict[str, Any]) -> list[str]:
    return [item["session_id"] for item in page["items"]]


def test_the_one_that_changed_last_comes_first_page_by_page(people: People) -> None:
    made_of(people, "a", "b", "c", "d", "e")
    talk.add("b", [{"speaker": "x", "text": "y"}], by="ada")
    first = queries.page(people.ada, limit=2)
    second = queries.page(people.ada, limit=2, cursor=first["next_cursor"])
    third = queries.page(people.ada, limit=2, cursor=second["next_cursor"])
    assert [*ids(first), *ids(second), *ids(third)] == ["b", "e", "d", "c", "a"]
    assert third["next_cursor"] is None


def test_a_list_is_narrowed_by_status_and_words(people: People) -> None:
    made_of(people, "harbour_tour", "tide_table", "other")
    changes.change("tide_table", who=people.ada, title="100% of it")
    changes.change("other", who=people.ada, status="paused")
    assert ids(queries.page(people.ada, status="paused")) == ["other"]
    for words, expected in (("harbour", "harbour_tour"), ("bour_t", "harbour_tour"), ("100%", "tide_table"), ("about other", "other")):  # fmt: skip
        assert ids(queries.page(people.ada, q=words)) == [expected]
    assert ids(queries.page(people.ada, q="'; --\x00")) == []


@pytest.mark.parametrize("asked", [{"status": "gone"}, {"cursor": "x"}, {"cursor": "%%%"}, {"cursor": "w7Y"}])
def test_what_cannot_be_is_refused(people: People, asked: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        queries.page(people.ada, **asked)  # type: ignore[arg-type]
    assert [where for where, _ in caught.value.fields] == [f"/{next(iter(asked))}"]


def test_a_list_asks_for_its_counts_by_the_same_statement(people: People) -> None:
    def asked_for() -> int:
        db.asked.begin()
        queries.page(people.ada)
        return db.asked.queries

    made_of(people, "a")
    few = asked_for()
    made_of(people, *(f"b{n}" for n in range(20)))
    assert asked_for() == few == 2


def test_the_document_has_everything_and_is_json(people: People) -> None:
    made_of(people, "s1")
    changes.change(
        "s1", who=people.ada, participants=["bob@sessions.test"], callback_url="https://x.org/secret"
    )
    talk.add("s1", [{"speaker": "x", "text": "hello"}], by="ada")
    memory.store("s1", key="k", content="v", by="ada")
    made.add("s1", name="n", content="the text", by="ada")
    job_id = acting.submitted(session_id="s1", submitted_by=people.ada.user_id)
    shown = json.loads(dumps(queries.document("s1", people.ada, most=None)))
    assert [row["text"] for row in shown["messages"]] == ["hello"]
    assert [row["key"] for row in shown["memories"]] == ["k"]
    assert [row["content"] for row in shown["artifacts"]] == ["the text"]
    assert [row["job_id"] for row in shown["jobs"]] == [job_id]
    assert [row["seq"] for row in shown["events"]] == [1, 2, 3, 4, 5]
    counted = {name: shown[name] for name in ("message_count", "memory_count", "artifact_count", "job_count", "open_job_count")}  # fmt: skip
    assert set(counted.values()) == {1}
    assert shown["left_out"] == {}
    assert shown["owner_email"] == "ada@sessions.test"
    assert shown["callback_url"] == "https://x.org/secret"
    of_bob = queries.document("s1", people.bob)
    assert (of_bob["callback_url"], of_bob["has_callback"]) == (None, True)
    assert "content" not in of_bob["artifacts"][0]


def test_a_long_session_shows_the_newest_and_says_what_is_left_out(people: People) -> None:
    made_of(people, "s1")
    talk.add("s1", [{"speaker": "x", "text": str(n)} for n in range(9)], by="ada")
    events.append("s1", "summary.made", {})
    shown = queries.document("s1", people.ada, most=2)
    assert [row["text"] for row in shown["messages"]] == ["7", "8"]
    assert [row["type"] for row in shown["events"]] == ["conversation.added", "summary.made"]
    assert shown["left_out"] == {"messages": 7, "events": 1}


def test_what_one_may_do_follows_the_state_and_the_person(people: People) -> None:
    changes.create("s1", who=people.ada, participants=["bob@sessions.test"])

    def may(who: str) -> list[str]:
        actions: list[str] = queries.one("s1", getattr(people, who))["actions"]
        return actions

    assert may("ada") == may("root") == ["add", "update", "pause", "complete", "delete"]
    assert may("bob") == ["add"]
    changes.change("s1", who=people.ada, status="completed")
    assert may("ada") == ["update", "reopen", "delete"]
    assert may("bob") == []
