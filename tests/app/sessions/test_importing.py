"""Sessions from JSON files: many shapes, nothing lost, nothing twice, and hostile files stay where they are."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from app.db import db, dumps
from app.errors import CallboardError, Conflict, Invalid
from app.sessions import access, events, importing, made, memory, queries, talk
from app.sessions.importing import Told
from tests.app.sessions.conftest import People

pytestmark = pytest.mark.usefixtures("here")

WHOLE: dict[str, Any] = {
    "session_id": "morning_meeting_001",
    "title": "Morning",
    "participants": ["Ada", {"name": "Bob", "role": "host"}],
    "status": "ended",
    "created_at": "2025-03-01T08:00:00Z",
    "mood": {"of": "the room", "grade": 7.5},
    "conversation": [
        {"speaker": "Ada", "text": "Good morning, 世界 👋", "timestamp": "2025-03-01T08:00:01+01:00", "confidence": 0.93},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello."}, {"type": "text", "text": "How are you?"}]},
        "Somebody coughs.",
    ],
    "memories": {"likes": "tea", "budget": {"content": "20,000", "importance": 0.8, "source": "mail"}, "list": [1, 2]},
    "artifacts": [
        {"name": "notes.md", "type": "text/markdown", "content": "# Notes"},
        {"name": "board", "url": "https://example.com/board"},
        {"name": "local", "url": "file:///etc/passwd"},
    ],
    "delegated_tasks": [{"agent": "researcher", "state": "done", "result": {"n": 1}}],
}  # fmt: skip


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def taken(folder: Path, people: People, content: Any, name: str = "one.json", **more: Any) -> Told:
    return importing.take_in(written(folder, name, content), who=people.ada, **more)


def everything(value: Any) -> list[Any]:
    """All keys and values below a value."""
    if isinstance(value, dict):
        return [each for pair in value.items() for inner in pair for each in everything(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in everything(inner)]
    return [value]


def test_everything_of_a_file_stands_in_the_session(tmp_path: Path, people: People) -> None:
    told = taken(tmp_path, people, WHOLE)

    assert (told.status, told.counts) == ("imported", {"messages": 3, "memories": 3, "artifacts": 3})
    session = access.of("morning_meeting_001", people.ada)
    assert (session["title"], session["status"], session["participants"]) == (
        "Morning",
        "completed",
        ["Ada", "Bob"],
    )
    assert session["created_at"] == datetime(2025, 3, 1, 8, tzinfo=UTC)
    said = talk.page("morning_meeting_001")
    assert [(row["place"], row["speaker"], row["text"]) for row in said] == [
        (1, "Ada", "Good morning, 世界 👋"),
        (2, "assistant", "Hello.\nHow are you?"),
        (3, "unknown", "Somebody coughs."),
    ]
    assert said[0]["metadata"] == {"imported": {"confidence": 0.93}}
    assert said[0]["said_at"] == datetime(2025, 3, 1, 7, 0, 1, tzinfo=UTC)
    kept = {row["key"]: (row["content"], row["importance"]) for row in memory.page("morning_meeting_001")}
    assert kept == {"likes": ("tea", 5), "budget": ("20,000", 8), "list": ("[1, 2]", 5)}
    assert {row["name"]: row["url"] for row in made.page("morning_meeting_001")} == {
        "notes.md": None,
        "board": "https://example.com/board",
        "local": None,
    }
    rest = session["metadata"]["imported"]["rest"]
    assert rest["mood"] == WHOLE["mood"]
    assert rest["delegated_tasks"] == WHOLE["delegated_tasks"]
    there = set(
        map(
            str, everything(json.loads(dumps(queries.document("morning_meeting_001", people.ada, most=None))))
        )
    )
    values = {str(each) for each in everything(WHOLE) if isinstance(each, str | float) and " " in str(each)}
    assert values <= there  # no text is nowhere
    assert "file:///etc/passwd" in there
    assert [row["type"] for row in events.after("morning_meeting_001", 0, 10)[0]] == ["session.created"]


def test_the_same_file_again_is_recognised_and_another_of_its_id_refused(
    tmp_path: Path, people: People
) -> None:
    first = taken(tmp_path, people, WHOLE)
    again = taken(tmp_path, people, WHOLE, name="copy.json")
    assert (again.status, again.sha256) == ("known", first.sha256)
    assert first.sha256 == hashlib.sha256((tmp_path / "one.json").read_bytes()).hexdigest()
    assert access.of("morning_meeting_001", people.ada)["message_count"] == 3
    with pytest.raises(Conflict, match="another session morning_meeting_001"):
        taken(tmp_path, people, WHOLE | {"title": "Evening"}, name="other.json")


def test_of_two_imports_at_once_the_slower_recognises_the_file(
    tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(tmp_path, people, WHOLE)
    really, looks = access.find, iter([None])  # at its first look it is not there yet
    monkeypatch.setattr(access, "find", lambda *of, **how: next(looks, really(*of, **how)))
    assert taken(tmp_path, people, WHOLE).status == "known"
    importing.archive(tmp_path / "one.json", date(2026, 11, 22))
    with pytest.raises(FileNotFoundError):
        importing.archive(tmp_path / "one.json", date(2026, 11, 22))
    assert len(list((tmp_path / "archived-2026-11-22").iterdir())) == 1


def test_a_dry_run_writes_nothing(tmp_path: Path, people: People) -> None:
    assert taken(tmp_path, people, WHOLE, dry_run=True).status == "would import"
    assert access.find("morning_meeting_001") is None


def test_our_own_export_comes_back_with_all_that_is_in_it(tmp_path: Path, people: People) -> None:
    taken(tmp_path, people, WHOLE)
    whole = {"format": "callboard-session/1"} | queries.document("morning_meeting_001", people.ada, most=None)
    db.run("DELETE FROM sessions WHERE session_id = 'morning_meeting_001'")

    told = taken(tmp_path, people, dumps(whole).encode(), name="export.json")

    assert told.counts == {"messages": 3, "memories": 3, "artifacts": 3}
    back = queries.document("morning_meeting_001", people.ada, most=None)
    for part, keys in (
        ("messages", ("place", "speaker", "text", "said_at")),
        ("memories", ("key", "content", "type", "tags", "importance")),
        ("artifacts", ("name", "type", "content", "url")),
    ):
        before, after = (
            [{key: row.get(key) for key in keys} for row in each[part]] for each in (whole, back)
        )
        assert sorted(map(dumps, after)) == sorted(map(dumps, before)), part


@pytest.mark.parametrize(
    ("content", "messages", "session_id"),
    [
        ({"id": "a b/ü", "messages": [{"from": "x", "message": "y"}]}, 1, "a-b-"),
        ({"messages": ["one", "two"]}, 2, "voice_7"),
        ({"id": 12, "conversations": [{"id": "c1", "messages": [{"role": "u", "text": "1"}, {"text": "2"}]}]}, 2, "12"),
        ({"session": {"id": "inner"}, "chunks": [{"speaker": "x", "text": "y", "time": 1700000000}]}, 1, "inner"),
        ({"id": "empty"}, 0, "empty"),
        ({"id": "odd", "messages": [{"text": {"a": 1}}, None, 7], "memories": ["x", {"key": "k"}], "title": 5}, 3, "odd"),
    ],
)  # fmt: skip
def test_the_usual_shapes_are_understood(
    tmp_path: Path, people: People, content: Any, messages: int, session_id: str
) -> None:
    told = taken(tmp_path, people, content, name="voice_7.json")
    assert (told.session_id, told.counts["messages"]) == (session_id, messages)


def test_two_memories_of_one_key_are_both_kept(tmp_path: Path, people: People) -> None:
    taken(
        tmp_path, people, {"id": "two", "memories": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]}
    )
    assert {row["key"]: row["content"] for row in memory.page("two")} == {"k": "1", "k-2": "2"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"not json", "not JSON"),
        (b"[1, 2]", "JSON object is expected"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 200_000, "nested deeper"),
        (b'{"a":' * 120 + b"1" + b"}" * 120, "nested deeper"),
        (b'{"id": "a", "id": "b"}', "stands twice"),
        (b'{"id": "x", "messages": ["a\\u0000b"]}', "cannot keep"),
        (b'{"id": "x", "n": NaN}', "no number"),
        (b'{"id": "x", "n": 123456789012345678901234567890}', "64 bits"),
        (b'{"id": "???"}', "no id that can be used"),
    ],
)
def test_hostile_files_are_refused_in_words(tmp_path: Path, people: People, content: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        taken(tmp_path, people, content, name="x.json")
    assert db.value("SELECT count(*) FROM sessions") == 0


def test_links_pipes_and_too_large_files_are_not_read(
    tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = written(tmp_path, "secret", {"id": "outside"})
    folder = tmp_path / "sessions"
    folder.mkdir()
    (folder / "link.json").symlink_to(outside)
    os.mkfifo(folder / "pipe.json")
    written(folder, "large.json", {"id": "large", "title": "x" * 100})
    monkeypatch.setattr(importing, "LARGEST", 50)

    assert [path.name for path in importing.files(folder)] == ["large.json", "link.json", "pipe.json"]
    for path, why in zip(importing.files(folder), ("larger", "link", "regular"), strict=True):
        with pytest.raises(Invalid, match=why):
            importing.take_in(path, who=people.ada)


def test_what_postgres_changed_is_noticed(
    tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = importing._READ["messages"].replace("text,", "upper(text) AS text,")
    monkeypatch.setitem(importing._READ, "messages", statement)
    with pytest.raises(Conflict, match="messages were not the same"):
        taken(tmp_path, people, WHOLE)


def test_archiving_overwrites_nothing(tmp_path: Path) -> None:
    day = date(2026, 11, 22)
    for text in ("1", "2"):
        importing.archive(written(tmp_path, "one.json", text.encode()), day)
    kept = tmp_path / "archived-2026-11-22"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"one.json": "1", "one-2.json": "2"}
    assert importing.files(tmp_path) == []


def test_viewers_import_nothing(tmp_path: Path, people: People) -> None:
    with pytest.raises(CallboardError, match="permissions"):
        importing.take_in(written(tmp_path, "one.json", WHOLE), who=people.vic)
