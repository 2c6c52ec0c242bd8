"""Sessions by the API: what stands in them, who sees it, and how they are followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.sessions.sources import FORMAT
from tests.app.api import world
from tests.app.api.calling import Caller

JSON = dict[str, Any]


def said(answer: Any, status: int = 200) -> JSON:
    """The body of an answer, which must have that status."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.json is not None
    return dict(answer.json)


@pytest.fixture
def session(owner: Caller) -> str:
    """The address of an empty session of the owner's."""
    made = said(
        owner.post(
            "/api/v1/sessions",
            json={
                "id": "morning_meeting_001",
                "title": "Morning",
                "participants": ["Dana", "Other@Example.org"],
            },
        ),
        201,
    )
    assert made["links"]["self"] == "/api/v1/sessions/morning_meeting_001"
    return str(made["links"]["self"])


def test_a_session_begins_active_and_its_id_stays_taken(owner: Caller, session: str) -> None:
    shown = said(owner.get(session))
    again = said(owner.post("/api/v1/sessions", json={"id": "morning_meeting_001"}), 409)

    assert (shown["status"], shown["title"], shown["message_count"]) == ("active", "Morning", 0)
    assert shown["participants"] == ["Dana", "other@example.org"]
    assert again["code"] == "conflict"
    assert said(owner.post("/api/v1/sessions", json={"title": "x"}), 422)["errors"][0]["pointer"] == "/id"


def test_what_was_said_is_read_by_place_without_gap_or_repeat(owner: Caller, session: str) -> None:
    chunks = [{"speaker": "Dana", "text": f"word {n}"} for n in range(5)]
    ids = said(owner.post(f"{session}/messages", json={"chunks": chunks}), 201)["ids"]

    first = said(owner.get(f"{session}/messages?limit=3"))
    rest = said(owner.get(f"{session}/messages?after={first['cursor']}&limit=3"))

    assert [m["message_id"] for m in first["messages"] + rest["messages"]] == ids
    assert [m["place"] for m in first["messages"] + rest["messages"]] == [1, 2, 3, 4, 5]
    assert (first["more"], rest["more"], rest["cursor"]) == (True, False, 5)


def test_events_have_a_cursor_a_poll_hint_and_304(owner: Caller, session: str) -> None:
    first = owner.get(f"{session}/events")
    body = said(first)
    assert [(e["seq"], e["type"]) for e in body["events"]] == [(1, "session.created")]
    assert body["poll"] == {"next_after_ms": 3000, "terminal": False}
    assert first.headers["X-Poll-After-Ms"] == "3000"
    tag = {"If-None-Match": first.headers["ETag"]}
    assert owner.get(f"{session}/events", headers=tag).status_code == 304

    owner.post(f"{session}/memories", json={"key": "k", "content": "c"})
    news = owner.get(f"{session}/events?after={body['cursor']}", headers=tag)

    assert [e["type"] for e in said(news)["events"]] == ["memory.stored"]
    done = said(owner.call("PATCH", session, json={"status": "completed"}))
    assert done["status"] == "completed"
    over = owner.get(f"{session}/events?after=2")
    assert said(over)["poll"] == {"next_after_ms": None, "terminal": True}
    assert "Retry-After" not in over.headers


def test_memories_are_found_by_words_and_tags_and_forgotten_by_key(owner: Caller, session: str) -> None:
    where = f"{session}/memories"
    one = {"key": "release/date", "content": "We release in November.", "tags": ["plan", "autumn"]}
    assert said(owner.post(where, json=one), 201)["version"] == 1
    assert said(owner.post(where, json=one | {"content": "In December."}), 200)["version"] == 2
    said(owner.post(where, json={"key": "tea", "content": "Dana drinks tea.", "importance": "high"}), 201)

    found = said(owner.get(f"{where}?q=december&tags=plan,autumn"))["memories"]
    assert [m["key"] for m in found] == ["release/date"]
    assert [m["key"] for m in said(owner.get(where))["memories"]] == ["tea", "release/date"]
    assert said(owner.get(f"{where}?tags=nothing"))["memories"] == []
    assert said(owner.get(f"{where}/release/date"))["content"] == "In December."
    assert owner.call("DELETE", f"{where}/release/date").status_code == 204
    assert owner.call("DELETE", f"{where}/release/date").status_code == 404


def test_artifacts_are_texts_or_addresses_that_nobody_looks_at(owner: Caller, session: str) -> None:
    where = f"{session}/artifacts"
    text = said(owner.post(where, json={"name": "a.md", "content": "# Hä"}), 201)
    place = said(owner.post(where, json={"name": "board", "type": "link", "url": "https://192.0.2.1/b"}), 422)
    link = said(owner.post(where, json={"name": "board", "type": "link", "url": "https://a.example/b"}), 201)

    assert place["errors"][0]["pointer"] == "/url"
    assert said(owner.get(text["links"]["self"]))["content"] == "# Hä"
    assert (said(owner.get(link["links"]["self"]))["url"], text["size_bytes"]) == ("https://a.example/b", 5)
    listed = said(owner.get(f"{where}?limit=1"))
    assert [a["name"] for a in listed["artifacts"]] == ["board"]
    older = said(owner.get(f"{where}?limit=1&before={listed['next_before']}"))["artifacts"]
    assert [(a["name"], a.get("content", None)) for a in older] == [("a.md", None)]
    assert owner.call("DELETE", link["links"]["self"]).status_code == 204
    assert owner.get(link["links"]["self"]).status_code == 404


def test_a_delegated_job_belongs_to_the_session_and_its_files_come_back(owner: Caller, session: str) -> None:
    job = said(
        owner.post(
            f"{session}/jobs", json={"agent_id": "test-echo", "parameters": {"text": "x"}, "title": "Say x"}
        ),
        201,
    )

    listed = said(owner.get(f"{session}/jobs?unfinished=true"))["jobs"]
    assert [(j["job_id"], j["task_name"]) for j in listed] == [(job["job_id"], "Say x")]
    assert said(owner.get(f"{session}/events?after=1"))["poll"]["next_after_ms"] == 2000  # a job is under way
    assert said(owner.get(session))["open_job_count"] == 1
    wrong = said(owner.post(f"{session}/jobs", json={"agent_id": "nobody"}), 422)
    assert wrong["code"] == "agent_not_found"


def test_a_paused_session_takes_nothing_and_says_what_to_do(owner: Caller, session: str) -> None:
    said(owner.call("PATCH", session, json={"status": "paused"}))
    refused = said(owner.post(f"{session}/messages", json={"chunks": [{"speaker": "a", "text": "b"}]}), 409)

    assert refused["allowed_actions"] == ["resume"]
    said(owner.call("PATCH", session, json={"status": "active"}))
    assert (
        owner.post(f"{session}/messages", json={"chunks": [{"speaker": "a", "text": "b"}]}).status_code == 201
    )


def test_a_deleted_session_is_gone_until_it_is_restored(owner: Caller, other: Caller, session: str) -> None:
    assert said(owner.call("DELETE", session))["actions"] == ["restore"]

    assert owner.get(session).status_code == 404
    assert said(owner.get("/api/v1/sessions"))["sessions"] == []
    assert [s["session_id"] for s in said(owner.get("/api/v1/sessions?deleted=true"))["sessions"]] == [
        "morning_meeting_001"
    ]
    assert other.post(f"{session}/restore").status_code in (403, 404)
    assert said(owner.post(f"{session}/restore"))["status"] == "active"
    assert said(owner.get("/api/v1/sessions?q=morning"))["sessions"][0]["title"] == "Morning"


def test_who_takes_part_sees_the_same_and_may_not_manage(
    owner: Caller, other: Caller, viewer: Caller, make_caller: Callable[..., Caller], session: str
) -> None:
    """SESS-22: several participants see the same state."""
    said(
        other.post(f"{session}/messages", json={"chunks": [{"speaker": "Other", "text": "secret words"}]}),
        201,
    )

    assert (
        said(owner.get(f"{session}/messages"))["messages"]
        == said(other.get(f"{session}/messages"))["messages"]
    )
    assert other.call("PATCH", session, json={"status": "completed"}).status_code == 403
    assert make_caller("third", "user").get(session).status_code == 404
    seen = said(viewer.get(session))
    assert (seen["message_count"], seen.get("participants"), seen.get("metadata")) == (1, None, None)
    assert viewer.get(f"{session}/messages").status_code == 403
    assert "secret words" not in viewer.get("/api/v1/sessions").get_data(as_text=True)


def test_lists_go_page_by_page(owner: Caller) -> None:
    assert owner.principal is not None
    made = [world.session(owner.principal) for _ in range(3)]

    first = said(owner.get("/api/v1/sessions?limit=2"))
    rest = said(owner.get(f"/api/v1/sessions?limit=2&cursor={first['next_cursor']}"))

    assert [s["session_id"] for s in first["sessions"] + rest["sessions"]] == made[::-1]
    assert rest["next_cursor"] is None
    assert owner.get("/api/v1/sessions?cursor=nonsense").status_code == 422


def test_the_summary_and_the_export_hold_what_was_said(owner: Caller, session: str) -> None:
    text = "We decided to release on Monday. Sam will write the announcement by Friday."
    said(owner.post(f"{session}/messages", json={"chunks": [{"speaker": "Dana", "text": text}]}), 201)

    loose = said(owner.get(f"{session}/summary"))
    kept = said(owner.post(f"{session}/summary"))
    export = owner.get(f"{session}/export")

    assert (loose["kept"], kept["kept"], kept["up_to"], kept["new_messages"]) == (False, True, 1, 0)
    assert any("announcement" in item["text"] for item in kept["action_items"])
    whole = said(export)
    assert export.headers["Content-Disposition"] == 'attachment; filename="morning_meeting_001.json"'
    assert (whole["format"], whole["messages"][0]["text"]) == (FORMAT, text)
    assert whole["events"][0]["type"] == "session.created"


def test_the_same_idempotency_key_adds_once(owner: Caller, session: str) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"chunks": [{"speaker": "a", "text": "b"}]}
    first, again = (owner.post(f"{session}/messages", json=body, headers=key) for _ in range(2))

    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert said(owner.get(session))["message_count"] == 1
