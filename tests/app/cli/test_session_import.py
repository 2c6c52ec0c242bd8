"""`callboard sessions import` against a real database: what it prints, what it moves, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import db
from app.settings import Settings
from tests.app.cli.calling import Run, caller


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin."""
    return caller("sessions", settings, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sessions"
    made.mkdir()
    for name, messages in (("voice_session_123", ["Hello"]), ("morning_meeting_001", [])):
        (made / f"{name}.json").write_text(json.dumps({"id": name, "messages": messages}))
    return made


def there() -> list[str]:
    with db.quick():
        return [row["session_id"] for row in db.rows("SELECT session_id FROM sessions ORDER BY 1")]


def test_what_is_fine_is_imported_and_put_away_and_the_rest_stays(run: Run, folder: Path) -> None:
    (folder / "broken.json").write_text("{")
    answer = run("import", str(folder))

    assert answer.exit_code == 1
    assert "+ voice_session_123.json: imported as voice_session_123 (1 message)" in answer.output
    assert "! broken.json: failed: it is not JSON" in answer.output
    assert "2 of 3 files are fine" in answer.output
    assert there() == ["morning_meeting_001", "voice_session_123"]
    assert [path.name for path in folder.glob("*.json")] == ["broken.json"]
    (archived,) = folder.glob("archived-*")
    assert len(list(archived.iterdir())) == 2


def test_a_dry_run_and_no_archive_move_nothing_and_the_second_time_is_no_mistake(
    run: Run, folder: Path
) -> None:
    looked = run("import", str(folder), "--dry-run", "--json")
    assert (looked.exit_code, there()) == (0, [])
    assert {each["status"] for each in json.loads(looked.output)["files"]} == {"would import"}
    for sign in ("+", "="):
        answer = run("import", str(folder), "--no-archive")
        assert answer.exit_code == 0
        assert answer.output.count(f"{sign} ") == 2
    assert len(list(folder.iterdir())) == 2
    assert len(there()) == 2


def test_an_empty_folder_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "No JSON files" in run("import", str(tmp_path / "none")).output
