"""The page Security, from real rows, and the same by the API."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import Engine

from app import audit
from app.db import db
from tests import acting
from tests.app.dashboard.visiting import Visitor, words


@pytest.fixture(autouse=True)
def clean(quick: Engine, app: Flask) -> None:
    """Nothing of other tests."""
    with db.quick():
        db.run("DELETE FROM api_access")


def test_a_quiet_day_says_so(admin: Visitor) -> None:
    page = admin.soup("/security")
    assert "Nobody was wrong about a password." in words(page.select_one("#s-failed"))
    assert "Nothing was refused." in words(page.select_one("#s-refused"))
    assert "No job was sent in" in words(page.select_one("#s-senders"))
    assert page.select_one("#s-alerts") is None
    assert "Somebody tries passwords" in words(page.select_one("#s-watched"))


def test_it_tells_who_tried_what_was_refused_and_what_admins_did(admin: Visitor) -> None:
    with db.transaction():
        for name in ("root", "admin", "ada@example.org", "bob"):
            audit.record("auth.failed", actor=name, details={"ip": "192.0.2.7"})
        audit.record("provider.changed", actor="nobody-known", subject="openai")
        audit.record("agent.installed", actor="seed", subject="copywriter")
        audit.record("audit.verified", actor="", subject=None)
        db.run(
            """INSERT INTO api_access (minute, actor, method, endpoint, status, ip, count) VALUES
               (now(), 'ada', 'GET', '/api/v1/audit', 403, '192.0.2.8', 31),
               (now(), '', 'GET', '/api/v1/jobs', 401, '192.0.2.9', 2)"""
        )
        acting.submitted(submitted_by="carol")
    page = admin.soup("/security")
    assert words(page.select_one("#failed")) == "4"
    assert "192.0.2.7 ada@example.org, admin, bob and 1 more 4" in words(
        page.select_one("#s-failed tbody tr")
    )
    first, second = page.select("#s-refused tbody tr")
    assert "ada 192.0.2.8 GET /api/v1/audit Not allowed 31" in words(first)
    assert "nobody known 192.0.2.9 GET /api/v1/jobs Not signed in 2" in words(second)
    assert "carol 1 0 New this week" in words(page.select_one("#s-senders tbody tr"))
    assert "Provider changed openai nobody-known" in words(page.select_one("#s-privileged tbody tr"))


def test_only_admins_see_it(admin: Visitor, user: Visitor, viewer: Visitor) -> None:
    assert [who.get("/security").status_code for who in (admin, user, viewer)] == [200, 403, 403]
