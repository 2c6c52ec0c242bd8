"""The list of jobs: filters, pages and actions on many."""

from __future__ import annotations

import pytest

from tests.app.dashboard.aside import claimed, lifecycle, status, submitted
from tests.app.dashboard.visiting import Visitor


def _listed(visitor: Visitor, query: str = "") -> list[str]:
    return [str(box["value"]) for box in visitor.soup(f"/jobs{query}").select("input[name=id]")]


def test_filters_narrow_the_list(admin: Visitor) -> None:
    low = submitted(priority="low", tags=("a",), task_name="Count the sheep")
    other = submitted("test-echo", priority="high")

    assert _listed(admin) == [other, low]
    for query in ("?priority=low", "?agent=test-noop", "?tag=a", "?q=sheep", f"?q={low[:18]}"):
        assert low in _listed(admin, query), query
    for query in ("?priority=low", "?agent=test-noop", "?tag=a", "?q=sheep"):
        assert other not in _listed(admin, query), query
    assert _listed(admin, "?state=running") == []
    assert _listed(admin, "?state=waiting&since=1h") == [other, low]


@pytest.mark.parametrize("query", ["?state=odd", "?priority=odd", "?since=odd"])
def test_an_unknown_filter_is_left_out(admin: Visitor, query: str) -> None:
    job_id = submitted()

    assert _listed(admin, query) == [job_id]


@pytest.mark.parametrize("after", ["nonsense", "2026-01-01", "~", "2026-01-01T00:00:00~x"])
def test_a_place_that_never_was_is_a_clear_error(admin: Visitor, after: str) -> None:
    assert admin.get(f"/jobs?after={after}").status_code in (400, 404)


def test_pages_follow_each_other_without_gaps(admin: Visitor) -> None:
    ids = [submitted(tags=("many",)) for _ in range(120)]
    seen: list[str] = []
    path: str | None = "/jobs?tag=many"
    while path:
        soup = admin.soup(path)
        seen += [str(box["value"]) for box in soup.select("input[name=id]")]
        link = soup.select_one("a[rel=next]")
        path = str(link["href"]) if link else None

    assert seen == ids[::-1]


def test_the_filter_survives_an_action(admin: Visitor) -> None:
    job_id = submitted(tags=("kept",))

    answer = admin.post("/jobs/bulk", {"verb": "cancel", "id": job_id, "tag": "kept", "state": "waiting"})

    assert answer.headers["Location"] == "/jobs?state=waiting&tag=kept"
    assert status(job_id) == "cancelled"


def test_many_are_cancelled_and_those_that_cannot_be_are_counted(admin: Visitor) -> None:
    running, done = claimed(), claimed("test-sleeper")
    waiting = submitted("test-echo")
    lifecycle.complete(done, {})

    answer = admin.post(
        "/jobs/bulk", {"verb": "cancel", "id": [waiting, running.job_id, done.job_id]}, follow=True
    )

    assert "2 jobs cancelled." in answer.text
    assert "1 job left alone" in answer.text
    assert (status(waiting), status(done.job_id)) == ("cancelled", "completed")


def test_nobody_cancels_others_jobs(user: Visitor) -> None:
    theirs = submitted(submitted_by="somebody else")

    user.post("/jobs/bulk", {"verb": "cancel", "id": theirs})

    assert status(theirs) == "queued"


def test_all_that_match_need_a_second_word_and_touch_nothing_else(admin: Visitor) -> None:
    inside, outside = submitted(tags=("whole",)), submitted(tags=("other",))
    form = {"verb": "cancel", "whole": "on", "tag": "whole"}

    review = admin.post("/jobs/bulk", form)
    assert "Cancel 1 job?" in review.text
    assert status(inside) == "queued"

    admin.post("/jobs/bulk", form | {"sure": "on"})
    assert (status(inside), status(outside)) == ("cancelled", "queued")


def test_all_that_match_of_a_user_are_their_own(user: Visitor) -> None:
    mine, theirs = submitted(submitted_by=user.user_id), submitted(submitted_by="somebody else")

    user.post("/jobs/bulk", {"verb": "cancel", "whole": "on", "sure": "on"})

    assert (status(mine), status(theirs)) == ("cancelled", "queued")


@pytest.mark.parametrize(
    ("form", "answered"), [({"verb": "delete"}, 400), ({}, 400), ({"verb": "cancel", "id": "x"}, 404)]
)
def test_nonsense_is_refused(admin: Visitor, form: dict[str, str], answered: int) -> None:
    assert admin.post("/jobs/bulk", form).status_code == answered


def test_ticking_nothing_says_so(admin: Visitor) -> None:
    assert "Tick some jobs first." in admin.post("/jobs/bulk", {"verb": "cancel"}, follow=True).text
