"""What is in a session: what was said, what is remembered, what was made, and the events that tell of it."""

from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.errors import Conflict, Invalid, NotFound
from app.sessions import changes, events, made, memory, talk
from tests import acting
from tests.app.sessions.conftest import People


@pytest.fixture(autouse=True)
def session(people: People, here: None) -> str:
    """A session s1 of Ada."""
    changes.create("s1", who=people.ada)
    return "s1"


def said(*texts: str, speaker: str = "Ada") -> list[dict[str, Any]]:
    return [{"speaker": speaker, "text": text} for text in texts]


class TestTalk:
    def test_each_has_its_place_in_the_order_it_was_said(self) -> None:
        first = talk.add("s1", said("one", "two"), by="ada")
        talk.add("s1", said("three"), by="bob")
        rows = talk.page("s1")
        assert [(row["place"], row["text"], row["added_by"]) for row in rows] == [
            (1, "one", "ada"), (2, "two", "ada"), (3, "three", "bob"),
        ]  # fmt: skip
        assert [row["message_id"] for row in rows][:2] == first
        assert [row["text"] for row in talk.page("s1", after=1, limit=1)] == ["two"]
        assert [row["text"] for row in talk.newest("s1", 2)] == ["two", "three"]

    def test_one_event_tells_of_the_whole_batch(self) -> None:
        ids = talk.add("s1", [*said("one"), *said("two", speaker="Bob")], by="ada")
        (event,) = events.after("s1", 1)[0]
        assert event["type"] == "conversation.added"
        assert event["data"]["message_ids"] == ids
        assert (event["data"]["first_place"], event["data"]["last_place"]) == (1, 2)
        assert event["data"]["speakers"] == ["Ada", "Bob"]

    def test_times_are_kept_as_they_were_said_and_utc_without_a_zone(self) -> None:
        chunks = said("a", "b", "c")
        chunks[0]["timestamp"] = "2026-03-01T09:00:00+02:00"
        chunks[1]["timestamp"] = "2026-03-01T09:00:00"
        talk.add("s1", chunks, by="ada")
        times = [row["said_at"] and row["said_at"].isoformat() for row in talk.page("s1")]
        assert times == ["2026-03-01T07:00:00+00:00", "2026-03-01T09:00:00+00:00", None]

    @pytest.mark.parametrize(
        ("chunks", "where"),
        [
            ([], "/chunks"),
            ([{"speaker": "Ada"}], "/chunks/0/text"),
            (said("x", " "), "/chunks/1/text"),
            (
                [{"speaker": "Ada", "text": "x", "timestamp": "0001-01-01T00:00:00+14:00"}],
                "/chunks/0/timestamp",
            ),
            ([{"speaker": "Ada", "text": "x", "tone": 1}], "/chunks/0/tone"),
            (said(*["x"] * 501), "/chunks"),
            (said("x" * 100_001), "/chunks/0/text"),
            (said(*["x" * 99_999] * 21), "/chunks"),
            (["text"], "/chunks/0"),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_place_and_nothing_is_added(
        self, chunks: Any, where: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            talk.add("s1", chunks, by="ada")
        assert where in [pointer for pointer, _ in caught.value.fields]
        assert talk.page("s1") == []

    def test_what_postgres_refuses_is_replaced(self) -> None:
        talk.add(
            "s1",
            [{"speaker": "A\x00", "text": "\ud800 b", "metadata": {"\x00": ["\udfff", 2**70]}}],
            by="ada",
        )
        (row,) = talk.page("s1")
        assert (row["speaker"], row["text"]) == ("A\ufffd", "\ufffd b")
        assert row["metadata"] == {"\ufffd": ["\ufffd", str(2**70)]}

    def test_of_a_large_batch_the_event_stays_small_enough_to_be_sent_whole(self, people: People) -> None:
        changes.change("s1", who=people.ada, callback_url="http://127.0.0.1:9/in")
        talk.add("s1", [{"speaker": "x" * 200, "text": "é" * 400} for _ in range(500)], by="ada")
        payload = db.value("SELECT payload FROM deliveries ORDER BY delivery_id DESC LIMIT 1")
        assert "left_out" not in payload["data"]
        assert payload["data"]["data"]["last_place"] == 500


class TestMemory:
    def store(self, key: str = "k", content: str = "text", **more: Any) -> dict[str, Any]:
        return memory.store("s1", key=key, content=content, **({"by": "ada"} | more))

    def test_the_same_key_replaces_and_counts_the_version(self) -> None:
        first = self.store(content="blue", tags=["colour", "colour"], importance="high")
        second = self.store(content="green", by="bob")
        assert (first["version"], first["tags"], first["importance"]) == (1, ["colour"], 8)
        assert (second["memory_id"], second["version"]) == (first["memory_id"], 2)
        assert memory.get("s1", "k")["content"] == "green"
        assert [row["type"] for row in events.after("s1", 1)[0]] == ["memory.stored"] * 2

    def test_it_is_found_by_words_tags_type_and_importance(self) -> None:
        self.store("launch_date", "We launch in March", tags=["launch", "date"], importance=9)
        self.store("menu", "Ada likes lobsters", type="preference", importance=2)
        self.store("budget", "Launching costs 900 dollars", tags=["launch"])
        self.store("percent_100%", "odd")

        def keys(**wanted: Any) -> list[str]:
            return [row["key"] for row in memory.page("s1", **wanted)]

        assert keys()[0] == "launch_date"
        assert set(keys(query="launched")) == {"launch_date", "budget"}
        assert keys(query="lobster -launch") == ["menu"]
        assert keys(query="launch_da") == ["launch_date"]
        assert keys(query="100%") == ["percent_100%"]
        assert keys(query="'); DROP") == []
        assert keys(tags=["launch", "date"]) == ["launch_date"]
        assert keys(type="preference") == ["menu"]
        assert keys(min_importance=6) == ["launch_date"]
        assert len(keys(limit=2)) == 2

    def test_what_is_forgotten_is_gone_and_told(self) -> None:
        self.store()
        memory.forget("s1", "k", by="ada")
        with pytest.raises(NotFound, match="remembers nothing"):
            memory.get("s1", "k")
        with pytest.raises(NotFound):
            memory.forget("s1", "k", by="ada")
        assert events.after("s1")[0][-1]["type"] == "memory.forgotten"

    def test_importance_is_one_to_ten(self) -> None:
        for wrong in (0, 11, "much", 1.5):
            with pytest.raises(Invalid) as caught:
                self.store(importance=wrong)
            assert [where for where, _ in caught.value.fields] == ["/importance"]


class TestMade:
    def test_a_text_or_a_place_is_kept(self) -> None:
        text = made.add("s1", name="notes.md", content="# Née", by="ada")
        link = made.add("s1", name="board", type="link", url="https://example.com/b", by="bob")
        assert (text["size_bytes"], link["size_bytes"]) == (6, 0)
        assert made.get("s1", text["artifact_id"])["content"] == "# Née"
        assert [row["name"] for row in made.page("s1")] == ["board", "notes.md"]
        assert "content" not in made.page("s1")[0]
        assert [row["name"] for row in made.page("s1", before=link["artifact_id"])] == ["notes.md"]
        assert [row["type"] for row in events.after("s1", 1)[0]] == ["artifact.added"] * 2

    @pytest.mark.parametrize(
        ("given", "where"),
        [
            ({}, ""),
            ({"content": "x", "url": "https://example.com"}, ""),
            ({"url": "http://example.com"}, "/url"),
            ({"url": "javascript:alert(1)"}, "/url"),
            ({"content": "x" * 1_000_001}, "/content"),
            ({"content": "x", "name": " "}, "/name"),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_place(self, given: dict[str, Any], where: str) -> None:
        with pytest.raises(Invalid) as caught:
            made.add("s1", **({"name": "n", "by": "ada"} | given))
        assert [pointer for pointer, _ in caught.value.fields] == [where]

    def test_the_largest_text_of_many_words_can_be_kept(self) -> None:
        words = " ".join(f"{n:x}é" for n in range(130_000))[:1_000_000]
        assert made.add("s1", name="words", content=words, by="ada")["size_bytes"] > 900_000

    def test_one_of_another_session_is_not_found(self, people: People) -> None:
        changes.create("s2", who=people.ada)
        row = made.add("s1", name="n", content="x", by="ada")
        for session_id, artifact_id in (("s2", row["artifact_id"]), ("s1", "nonsense")):
            with pytest.raises(NotFound, match="has no artifact"):
                made.get(session_id, artifact_id)
            with pytest.raises(NotFound, match="has no artifact"):
                made.remove(session_id, artifact_id, by="ada")
        made.remove("s1", row["artifact_id"], by="ada")
        assert made.page("s1") == []
        assert events.after("s1")[0][-1]["type"] == "artifact.removed"

    def test_files_of_a_job_are_shown_once_also_in_a_paused_session(self, people: People) -> None:
        job_id = acting.claimed(session_id="s1").job_id
        for name in ("a.md", "b.png"):
            db.run(
                """INSERT INTO artifacts (artifact_id, job_id, fence, name, media_type, size_bytes, sha256, location)
                   VALUES (gen_random_uuid(), %(job)s, 1, %(name)s, 'text/plain', 7, 'x', %(name)s)""",
                job=job_id,
                name=name,
            )
        changes.change("s1", who=people.ada, status="paused")
        assert {row["name"] for row in made.take_from_job("s1", job_id, by="agent")} == {"a.md", "b.png"}
        assert made.take_from_job("s1", job_id, by="agent") == []
        assert {(row["job_id"], row["size_bytes"]) for row in made.page("s1")} == {(job_id, 7)}
        with pytest.raises(Conflict):
            made.add("s1", name="n", content="x", by="ada")


class TestEvents:
    def test_the_cursor_walks_without_gaps(self) -> None:
        for n in range(7):
            assert events.append("s1", "summary.made", {"n": n}) == n + 2
        rows, cursor = events.after("s1", 1, limit=4)
        assert ([row["seq"] for row in rows], cursor) == ([2, 3, 4, 5], 5)
        rows, cursor = events.after("s1", cursor)
        assert ([row["data"]["n"] for row in rows], cursor) == ([4, 5, 6], 8)
        assert events.after("s1", cursor) == ([], 8)
        assert events.after("s1", 2**80)[0] == []

    def test_an_unknown_event_is_a_programming_error(self) -> None:
        with pytest.raises(ValueError, match="no event"):
            events.append("s1", "session.exploded", {})
        with pytest.raises(NotFound):
            events.append("s2", "summary.made", {})

    def test_each_is_sent_to_the_sessions_callback_address_signed_by_its_owner(self, people: People) -> None:
        changes.change("s1", who=people.ada, callback_url="http://127.0.0.1:9/in")
        talk.add("s1", said("hello"), by=people.bob.user_id)
        events.send("s1", "http://127.0.0.1:9/other", after=2)
        assert events.send("s1", "http://127.0.0.1:9/in", after=2) == 0  # it was told
        rows = db.rows("SELECT * FROM deliveries ORDER BY delivery_id")
        assert [(row["target"].rsplit("/", 1)[1], row["event"]) for row in rows] == [
            ("in", "session.updated"), ("in", "conversation.added"), ("other", "conversation.added"),
        ]  # fmt: skip
        assert {(row["callback"], row["owner"], row["subject_id"]) for row in rows} == {
            (True, people.ada.user_id, "s1")
        }
        payload = rows[1]["payload"]
        assert payload["type"] == "conversation.added"
        assert payload["data"]["session_id"] == "s1"
        assert payload["data"]["seq"] == 3
        assert payload["data"]["data"]["excerpt"] == "hello"
        assert db.value("SELECT count(*) FROM notifications") == 0
