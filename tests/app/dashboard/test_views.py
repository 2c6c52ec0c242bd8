"""Saved views on the page of jobs, by forms alone."""

from __future__ import annotations

import pytest
from bs4 import Tag

from app.dashboard import views
from app.dashboard.job_filter import Wanted
from tests.app.dashboard.aside import db
from tests.app.dashboard.visiting import Visitor, words


def _menu(visitor: Visitor, query: str = "") -> dict[str, Tag]:
    return {words(link): link for link in visitor.soup(f"/jobs{query}").select("#views ul a")}


def _id(name: str) -> str:
    return str(db.value("SELECT view_id::text FROM saved_views WHERE name = %(name)s", name=name))


def test_some_views_come_with_callboard_and_can_be_read(admin: Visitor) -> None:
    found = _menu(admin)

    assert list(found) == list(views.BUILT_IN)
    for name, link in found.items():
        page = admin.soup(str(link["href"]))
        assert page.select("#q-wrong") == [], name
        assert words(page.select_one("#views summary")) == name


def test_a_filter_is_saved_opened_replaced_renamed_and_deleted(admin: Visitor) -> None:
    text = 'status:failed tag:"a & b" timeout'
    answer = admin.post("/jobs/views", {"name": "Bad ones", "q": text}, follow=True)
    assert "Saved as “Bad ones”." in answer.text

    (link,) = [link for name, link in _menu(admin).items() if name == "Bad ones"]
    page = admin.soup(str(link["href"]))
    box = page.select_one("#q")
    assert box
    assert box["value"] == text

    admin.post("/jobs/views", {"name": "Bad ones", "q": "status:cancelled"})
    assert admin.soup(str(_menu(admin)["Bad ones"]["href"])).select_one("#q")["value"] == "status:cancelled"  # type: ignore[index]
    admin.post(f"/jobs/views/{_id('Bad ones')}/rename", {"name": "Gone ones"})
    assert "Gone ones" in _menu(admin)
    answer = admin.post(f"/jobs/views/{_id('Gone ones')}/delete", {"q": "nap"})
    assert answer.headers["Location"] == "/jobs?q=nap"
    assert list(_menu(admin)) == list(views.BUILT_IN)


def test_the_view_one_looks_at_is_marked_in_whatever_order_it_is_said(admin: Visitor) -> None:
    admin.post("/jobs/views", {"name": "Two", "q": "status:failed nap"})

    assert _menu(admin, "?q=nap+status:failed")["Two"]["aria-current"] == "true"
    assert not _menu(admin, "?q=nap")["Two"].has_attr("aria-current")


def test_a_shared_view_is_everybodys_to_open_and_admins_to_change(admin: Visitor, user: Visitor) -> None:
    admin.post("/jobs/views", {"name": "For all", "q": "by:me", "shared": "on"})
    admin.post("/jobs/views", {"name": "My own", "q": "x"})

    assert "For all" in _menu(user)
    assert "My own" not in _menu(user)
    assert user.soup("/jobs?q=x").select("#views input[name=shared]") == []
    assert user.post(f"/jobs/views/{_id('For all')}/delete").status_code == 403
    assert user.post(f"/jobs/views/{_id('My own')}/delete").status_code == 404
    assert user.post("/jobs/views", {"name": "Mine for all", "q": "x", "shared": "on"}).status_code == 403


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"name": "", "q": "x"}, "Not saved: A view needs a name."),
        ({"name": "n", "q": "agnt:x"}, "Not saved: unknown qualifier `agnt:`"),
    ],
)
def test_what_cannot_be_saved_is_told_and_the_filter_is_kept(
    admin: Visitor, form: dict[str, str], told: str
) -> None:
    page = admin.post("/jobs/views", form, follow=True).text

    assert told in page
    assert f'value="{form["q"]}"' in page
    assert list(_menu(admin)) == list(views.BUILT_IN)


def test_nonsense_is_no_view(admin: Visitor) -> None:
    for path in ("/jobs/views/x/delete", "/jobs/views/x/rename", f"/jobs/views/{'0' * 32}/delete"):
        assert admin.post(path, {"name": "x"}).status_code == 404


def test_an_address_says_the_same_after_it_was_kept() -> None:
    wanted = Wanted.of({"q": 'tag:"ü & =?#/" status:failed'})

    assert Wanted.of_query(wanted.address()) == wanted
    assert Wanted.of_query("state=failed&agent=x").text() == "status:failed agent:x"
