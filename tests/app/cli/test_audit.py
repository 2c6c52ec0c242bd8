"""`callboard audit …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from actors import auditor
from app import audit, clock
from app.db import db
from app.settings import Settings
from tests.app.audit.tampering import behind_its_back, written
from tests.app.cli.calling import ADMIN, Run, caller, told


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin."""
    return caller("audit", settings, monkeypatch)


def test_the_list_is_narrowed(run: Run) -> None:
    with db.transaction():
        written(2, actor="ada")
        admin = str(db.value("SELECT user_id FROM users"))
        written(1, actor=admin)
        audit.record("auth.failed", actor=ADMIN)

    assert len(told(run, "list", "--action", "job.*")) == 3
    lines = run("list", "--actor", ADMIN).output.splitlines()
    assert "auth.failed" in lines[0]
    assert all(word in lines[1] for word in (ADMIN, "job.cancelled", "job-1"))
    assert run("list", "-q", "nothing-like-it").output == "Nothing like that is in the audit log.\n"
    assert len(told(run, "list", "--since", "2020-01-01", "--until", "2020-01-02T00:00:00Z")) == 0
    assert run("list", "--since", "yesterday").exit_code == 2


def test_a_sound_chain_is_told_with_an_anchor(run: Run) -> None:
    assert run("verify").output == "Nothing is sealed yet.\n"
    with db.transaction():
        written(3)
    auditor.seal(Settings())

    answer = told(run, "verify")
    done = run("verify", "--anchor", answer["anchor"], "--since", "2020-01-01")

    assert (answer["ok"], answer["breaks"]) == (True, [])
    assert done.exit_code == 0
    assert f"Anchor to note elsewhere: {answer['anchor']}" in done.output


def test_a_broken_chain_is_an_exit_code_and_a_name(run: Run) -> None:
    with db.transaction():
        ids = written(3)
    auditor.seal(Settings())
    anchor = told(run, "verify")["anchor"]
    with db.transaction():
        behind_its_back("UPDATE audit_log SET actor = 'eve' WHERE id = %(id)s", id=ids[1])

    done = run("verify")
    assert (done.exit_code, done.output.splitlines()[0]) == (1, "NOT as it was written:")
    assert f"changed: Entry {ids[1]}, or link " in done.output
    assert run("verify").exit_code == 1
    with db.transaction():
        notes = db.rows("SELECT details->'ok' AS ok FROM audit_log WHERE action = 'audit.verified'")
    assert notes == [{"ok": False}]  # once, and alerts and the page go by it
    with db.transaction():
        behind_its_back("DELETE FROM audit_chain")
        behind_its_back("DELETE FROM audit_log")
    assert run("verify").exit_code == 0
    gone = run("verify", "--anchor", anchor)
    assert (gone.exit_code, "its end was cut off" in gone.output) == (1, True)


@pytest.mark.parametrize("anchor", ["x", "5", "5:ab"])
def test_what_is_no_anchor_is_wrong_use(run: Run, anchor: str) -> None:
    assert run("verify", "--anchor", anchor).exit_code == 2


def test_a_day_is_exported_once(run: Run, tmp_path: Path) -> None:
    with db.transaction():
        written(2)
        behind_its_back("UPDATE audit_log SET at = at - interval '2 days'")
    day = (clock.now() - timedelta(days=2)).date().isoformat()
    place = f"file://{tmp_path}/kept"

    manifest = told(run, "export", "--day", day, "--to", place)

    assert manifest["entries"] >= 2
    lines = gzip.decompress((tmp_path / "kept" / f"audit-{day}.jsonl.gz").read_bytes()).splitlines()
    assert json.loads(lines[-1])["entries"] == manifest["entries"]
    again = run("export", "--day", day, "--to", place)
    assert (again.exit_code, "has audit-" in again.output) == (1, True)
    assert run("export", "--day", day, "--to", place, "--again").exit_code == 0
    with db.quick():
        noted = db.rows("SELECT actor, subject FROM audit_log WHERE action = 'audit.exported'")
    assert [(row["actor"], row["subject"]) for row in noted] == 2 * [("cli", day)]


def test_wrong_use_of_export(run: Run, tmp_path: Path) -> None:
    assert run("export", "--day", "yesterday", "--to", f"file://{tmp_path}").exit_code == 2
    assert run("export", "--day", "2026-01-01").exit_code == 2
    today = clock.now().date().isoformat()
    assert run("export", "--day", today, "--to", f"file://{tmp_path}").exit_code == 1
