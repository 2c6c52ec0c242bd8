"""Pausing a pool from the front page."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup

from app.db import db
from tests.app.dashboard.visiting import Visitor


def _queue(pool: str = "general") -> dict[str, Any]:
    with db.quick():
        return db.row("SELECT * FROM queues WHERE pool = %(pool)s", pool=pool) or {}


def _form(soup: BeautifulSoup, pool: str) -> set[str]:
    """What the fields and buttons of a pool's form are called."""
    return {field.get("name") or field.name for field in soup.select(f'[form="pool-{pool}"]')}


def test_one_pauses_with_a_reason_and_for_a_while_and_resumes(admin: Visitor) -> None:
    soup = admin.soup("/")
    assert _form(soup, "general") == {"reason", "for_seconds", "button"}

    paused = admin.post(
        "/pools/general/pause", {"reason": "<b>the flood</b>", "for_seconds": "3600"}, follow=True
    )
    line = BeautifulSoup(paused.text, "html.parser").select_one("#paused-general")

    assert line is not None
    assert "Paused" in line.text
    assert f"by admin-{id(admin)}: <b>the flood</b>" in line.text
    assert (_queue()["paused"], _queue()["pause_reason"]) == (True, "<b>the flood</b>")
    assert _queue()["paused_until"] is not None
    assert _queue("testing")["paused"] is False

    after = admin.post("/pools/general/resume", follow=True)
    assert "General goes on." in after.text
    assert BeautifulSoup(after.text, "html.parser").select_one("#paused-general") is None
    assert _queue()["paused"] is False


@pytest.mark.parametrize("chosen", ["", "nonsense", "-5"])
def test_without_a_known_end_it_stays_until_somebody_resumes_it(admin: Visitor, chosen: str) -> None:
    admin.post("/pools/general/pause", {"for_seconds": chosen})

    assert (_queue()["paused"], _queue()["paused_until"], _queue()["pause_reason"]) == (True, None, None)


def test_everybody_sees_a_pause_and_only_admins_make_one(
    admin: Visitor, user: Visitor, viewer: Visitor
) -> None:
    admin.post("/pools/general/pause", {"reason": "the flood"})

    for visitor in (user, viewer):
        soup = visitor.soup("/")
        assert "the flood" in soup.select_one("#paused-general").text  # type: ignore[union-attr]
        assert _form(soup, "general") == set()
        assert visitor.post("/pools/general/resume").status_code == 403
        assert visitor.post("/pools/testing/pause").status_code == 403
    assert (_queue()["paused"], _queue("testing")["paused"]) == (True, False)


def test_a_pause_by_somebody_who_is_gone_names_nobody(admin: Visitor) -> None:
    with db.transaction():
        db.run("UPDATE queues SET paused = true, paused_by = 'cron' WHERE pool = 'general'")

    line = admin.soup("/").select_one("#paused-general")
    assert line is not None
    assert "by" not in line.text


def test_there_is_no_other_pool(admin: Visitor) -> None:
    assert admin.post("/pools/nowhere/pause").status_code == 404
    assert admin.post("/pools/nowhere/resume").status_code == 404


def test_without_the_token_nothing_is_paused(admin: Visitor) -> None:
    assert admin.client.post("/pools/general/pause").status_code == 400
    assert _queue()["paused"] is False


def test_an_unchanged_panel_is_a_304_for_those_who_may_pause_too(admin: Visitor) -> None:
    tag = admin.get("/ui/now/queues").headers["ETag"]

    assert admin.get("/ui/now/queues", **{"If-None-Match": tag}).status_code == 304
