"""The inbox, and the bell on every page."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup

from app.dashboard import nav, notifications
from app.db import db as real
from app.notify import outbox
from tests.app.dashboard.visiting import Visitor, words


def tell(audience: str, title: str = "Your job failed", **more: Any) -> str:
    with real.transaction():
        return outbox.tell(more.pop("event", "job.failed"), title=title, audience=audience, **more)


def bell(who: Visitor) -> str:
    return words(who.soup("/agents").select_one("#bell a"))


def test_the_bell_counts_what_is_unread_on_every_page(user: Visitor) -> None:
    assert bell(user) == "Notifications"
    tell(user.user_id)
    tell(user.user_id, "Another")
    tell("admins", "Not yours")

    assert bell(user) == "Notifications , 2 unread"


def test_the_bell_comes_with_the_menus_poll(user: Visitor) -> None:
    before = user.get("/ui/nav")
    assert user.get("/ui/nav", **{"If-None-Match": before.headers["ETag"]}).status_code == 304
    tell(user.user_id)
    nav.forget()  # as it does after some seconds

    after = user.get("/ui/nav", **{"If-None-Match": before.headers["ETag"]})

    assert after.status_code == 200
    part = BeautifulSoup(after.text, "html.parser").select_one("#nav template[hx]")
    assert part is not None
    assert (part["type"], part["hx-target"]) == ("partial", "#bell")
    assert "1 unread" in words(part)
    # No page asks for the bell by itself.
    assert user.soup("/agents").select("#bell[hx-get], #bell [hx-get]") == []


def test_the_inbox_tells_how_bad_how_often_and_where(user: Visitor) -> None:
    tell(user.user_id, "It works", event="job.completed", severity="success", link="/jobs")
    for _ in range(3):
        tell(user.user_id, "It fails", body="no such file", severity="error", group_key="same")
    soup = user.soup("/notifications")

    worst, good = soup.select("#notifications li")
    assert words(worst.select_one(".badge")) == "Error"
    assert "×3 times" in words(worst)
    assert "no such file" in words(worst)
    assert words(good.select_one(".t > a")) == "It works"
    assert user.get(str(good.select_one(".t > a")["href"])).headers["Location"] == "/jobs"  # type: ignore[index]
    assert all("unread" in line["class"] and "Unread:" in words(line) for line in (worst, good))


def test_one_and_all_are_marked_read(user: Visitor) -> None:
    first, _ = tell(user.user_id, "First"), tell(user.user_id, "Second")

    assert user.post(f"/notifications/{first}/read").headers["Location"] == "/notifications"
    assert bell(user) == "Notifications , 1 unread"
    assert [
        words(t.select_one(".t > span:not(.vh)"))
        for t in user.soup("/notifications?which=unread").select("li[data-row]")
    ] == ["Second"]
    assert "1 notification marked read." in user.post("/notifications/read", follow=True).text
    assert bell(user) == "Notifications"
    assert "Nothing is unread" in words(user.soup("/notifications?which=unread"))
    assert len(user.soup("/notifications").select("li[data-row]")) == 2


def test_who_follows_one_has_read_it(user: Visitor, admin: Visitor) -> None:
    one, theirs = tell(user.user_id, link="/agents"), tell(admin.user_id, link="/jobs")
    tell(user.user_id, "Another")

    assert user.get(f"/notifications/{one}").headers["Location"] == "/agents"
    assert bell(user) == "Notifications , 1 unread"
    assert user.get(f"/notifications/{theirs}").status_code == 404


def test_who_reads_only_what_is_unread_stays_there(user: Visitor) -> None:
    one = tell(user.user_id)

    answer = user.post(f"/notifications/{one}/read", Referer="http://localhost/notifications?which=unread")

    assert answer.headers["Location"] == "/notifications?which=unread"


def test_an_empty_inbox_says_so(viewer: Visitor) -> None:
    soup = viewer.soup("/notifications")

    assert "No notifications yet" in words(soup)
    assert soup.select("main button:not(#notices button)") == []


def test_each_reads_their_own(user: Visitor, admin: Visitor) -> None:
    theirs = tell(admin.user_id, "Only for the admin")
    shared = tell("admins", "For all admins")

    assert user.soup("/notifications").select("li[data-row]") == []
    assert [user.post(f"/notifications/{n}/read").status_code for n in (theirs, shared)] == [404, 404]
    assert user.post("/notifications/nothing/read").status_code == 404
    assert bell(admin) == "Notifications , 2 unread"


def test_the_inbox_has_pages(user: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "PAGE_SIZE", 2)
    for n in range(3):
        tell(user.user_id, f"Number {n}")

    first = user.soup("/notifications")
    assert len(first.select("li[data-row]")) == 2
    second = user.soup(str(first.select_one("a[rel=next]")["href"]))  # type: ignore[index]
    assert "Number 0" in words(second.select_one("li[data-row]"))
    region = second.select_one("#r-notifications")
    assert user.get(str(region["hx-get"]), **{"If-None-Match": str(region["data-etag"])}).status_code == 304  # type: ignore[index]


def test_nothing_is_marked_without_the_forms_token(user: Visitor) -> None:
    one = tell(user.user_id)

    assert [
        user.client.post(p).status_code for p in (f"/notifications/{one}/read", "/notifications/read")
    ] == [400, 400]
    assert bell(user) == "Notifications , 1 unread"


@pytest.mark.parametrize(
    "link", ["https://evil.example/x", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_links_lead_to_pages_of_this_site_only(user: Visitor, link: str) -> None:
    one = tell(user.user_id, link=link)

    assert user.soup("/notifications").select("#notifications li a") == []
    assert user.get(f"/notifications/{one}").headers["Location"] == "/notifications"


def test_titles_and_bodies_are_shown_as_text(user: Visitor) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    tell(user.user_id, evil, body=evil, link="/jobs?q=\"'><script>")

    soup = user.soup("/notifications")

    assert [s for s in soup.select("script") if not s.get("src")] == []
    assert soup.select("img") == []
    assert evil in soup.get_text()
