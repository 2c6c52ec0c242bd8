"""Panels: the same on the page and alone, and a 304 when nothing changed."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from app.dashboard import FRAGMENTS
from tests.app.dashboard.aside import claimed, lifecycle, submitted
from tests.app.dashboard.visiting import Visitor

NEEDS_A_QUERY = {"/ui/dead-letters/group"}
PATHS = [path for path, _ in FRAGMENTS if "<" not in path and path not in NEEDS_A_QUERY]


@pytest.mark.parametrize("path", PATHS)
def test_a_fragment_says_when_to_come_back_and_is_a_304_when_nothing_changed(
    admin: Visitor, path: str
) -> None:
    first = admin.get(path)
    assert first.status_code == 200
    assert first.headers["HX-Poll"].endswith("ms")

    again = admin.get(path, **{"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304
    assert again.data == b""
    assert again.headers["HX-Poll"] == first.headers["HX-Poll"]


@pytest.mark.parametrize("path", PATHS)
def test_a_compressed_fragment_is_known_by_its_tag_too(admin: Visitor, path: str) -> None:
    first = admin.get(path, **{"Accept-Encoding": "br"})

    again = admin.get(path, **{"Accept-Encoding": "br", "If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304


def test_a_change_is_sent(admin: Visitor) -> None:
    before = admin.get("/ui/jobs/table")
    submitted(submitted_by=admin.user_id)

    after = admin.get("/ui/jobs/table", **{"If-None-Match": before.headers["ETag"]})

    assert after.status_code == 200
    assert "test-noop" in after.text


@pytest.mark.parametrize("page", ["/", "/jobs?state=running", "/dead-letters", "/agents"])
def test_the_regions_of_a_page_hold_what_their_fragments_answer(admin: Visitor, page: str) -> None:
    claimed(submitted_by=admin.user_id)
    regions = admin.soup(page).select(".region[hx-get]")
    assert len(regions) >= 2

    for region in regions:
        answer = admin.get(str(region["hx-get"]), **{"If-None-Match": str(region["data-etag"])})
        assert answer.status_code == 304, region["hx-get"]


def test_each_fragment_has_one_root_with_an_id(admin: Visitor) -> None:
    for path in PATHS:
        soup = BeautifulSoup(admin.get(path).text, "html.parser")
        roots = [node for node in soup.children if node.name]

        assert len(roots) == 1, path
        assert roots[0]["id"], path


def test_no_fragment_carries_a_token(admin: Visitor) -> None:
    submitted(submitted_by=admin.user_id)

    assert [path for path in PATHS if "csrf" in admin.get(path).text] == []


@pytest.mark.parametrize("part", ["status", "outcome"])
def test_an_unchanged_job_is_a_304_for_a_glance_at_its_row(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    taken = claimed(submitted_by=admin.user_id)
    path = f"/ui/jobs/{taken.job_id}/{part}"
    tag = admin.get(path).headers["ETag"]

    def drawn(*_: object, **__: object) -> str:
        raise AssertionError("it was drawn")

    with monkeypatch.context() as patched:
        patched.setattr("app.dashboard.htmx.render_template", drawn)
        assert admin.get(path, **{"If-None-Match": tag}).status_code == 304
    lifecycle.cancel(taken.job_id)

    after = admin.get(path, **{"If-None-Match": tag})
    assert after.headers["ETag"] != tag
    assert (after.status_code == 304) == (after.headers["ETag"].rpartition("~")[2] == tag.rpartition("~")[2])
    assert after.status_code == (200 if part == "status" else 304)  # nothing came out, before and after
