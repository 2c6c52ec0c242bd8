"""The help page."""

from __future__ import annotations

from app.dashboard.guide import ERRORS, MEANINGS
from app.jobs.states import STATUSES
from tests.app.dashboard.visiting import Visitor, words


def test_help_explains_every_state_and_kind_of_error(viewer: Visitor) -> None:
    page = viewer.soup("/help")

    assert set(MEANINGS) == set(STATUSES)
    for meaning in MEANINGS.values():
        assert meaning in words(page.select_one("#states"))
    for title, what in ERRORS.values():
        assert title in words(page.select_one("#errors"))
        assert what in words(page.select_one("#errors"))
    assert "/api/v1/jobs" in words(page.select_one("#programs"))


def test_links_of_help_are_for_those_who_may_follow_them(viewer: Visitor, admin: Visitor) -> None:
    assert not viewer.soup("/help").select('main a[href="/dead-letters"]')
    assert admin.soup("/help").select('main a[href="/dead-letters"]')
