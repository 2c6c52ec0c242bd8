"""The page Backups and the same by the API: what stands there, and one more on request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine

from app.db import db
from tests.app.dashboard.visiting import Visitor, words

ROW = """
    INSERT INTO backups (backup_id, kind, status, started_at, finished_at, location, bytes, sha256, revision, version,
        tables, verified_at, verify_seconds, slot_at, verify_error)
    VALUES (gen_random_uuid(), 'daily', %(status)s, now() - %(hours)s * interval '1 hour', now(), 'file:///b/a.dump',
        5000000, 'x', '0008', 't', '{"jobs": {"rows": 12, "sum": "1"}}',
        CASE WHEN %(status)s = 'verified' THEN now() END, 3.5, now() - %(hours)s * interval '1 hour', %(wrong)s)"""


@pytest.fixture(autouse=True)
def clean(quick: Engine, app: Flask) -> Iterator[None]:
    """Nothing of other tests, and nothing for them."""
    with db.quick():
        db.run("DELETE FROM backups")
    yield
    with db.quick():
        db.run("DELETE FROM backups")


def put(status: str, hours: int, wrong: str | None = None) -> None:
    with db.quick():
        db.run(ROW, status=status, hours=hours, wrong=wrong)


def test_without_any_it_says_so(admin: Visitor) -> None:
    page = admin.soup("/backups")

    assert "No backup yet" in words(page.select_one("#all"))
    assert "No daily backup is made" in words(page.select_one("#backups"))
    assert words(page.select_one("#last")) == "none"


def test_each_stands_there_with_its_state(admin: Visitor) -> None:
    put("verified", 30)
    put("done", 6, "users has 3 rows instead of 4")

    page = admin.soup("/backups")

    assert "Did not verify" in words(page.select_one("#all"))
    assert "users has 3 rows instead of 4" in words(page.select_one("#all"))
    assert "Verified" in words(page.select_one("#all"))
    assert words(page.select_one("#kept")) == "2"


def test_the_button_asks_the_scheduler_once(admin: Visitor) -> None:
    for _ in range(2):
        admin.post("/backups", {})

    with db.quick():
        rows = db.rows("SELECT kind, status, stage FROM backups")
        told = db.value("SELECT count(*) FROM audit_log WHERE action = 'backup.requested'")
    assert rows == [{"kind": "manual", "status": "running", "stage": "waiting"}]
    assert told >= 1
    assert "Being made" in words(admin.soup("/backups").select_one("#all"))
