"""The log of deliveries: filters, each try, and sending again."""

from __future__ import annotations

from typing import Any

import pytest

from app.dashboard import deliveries as pages
from app.db import db as real
from app.notify import deliveries as _deliveries
from app.notify import outbox
from tests.app.dashboard.aside import Aside, db, submitted
from tests.app.dashboard.visiting import Visitor, words

deliveries = Aside(_deliveries)
HOOK = "https://hooks.example.org/in"


def sent(owner: Visitor, **more: Any) -> str:
    """The id of the only delivery of something that somebody is told of."""
    told = {"callback_url": HOOK, "callback_payload": {"status": "completed"}} | more
    with real.transaction():
        outbox.tell("job.completed", title="Done", audience=owner.user_id, **told)
    return str(deliveries.page(limit=1)[0]["delivery_id"])


def settled(delivery_id: str, status: str, reason: str | None = None, tries: int = 1) -> None:
    db.run(
        """UPDATE deliveries SET status = %(status)s, reason = %(reason)s, next_at = NULL, finished_at = now(),
                  attempts = %(tries)s WHERE delivery_id = %(id)s""",
        id=delivery_id, status=status, reason=reason, tries=tries,
    )  # fmt: skip


def tried(delivery_id: str, number: int, **came: Any) -> None:
    db.run(
        """INSERT INTO delivery_attempts (delivery_id, number, duration_ms, status_code, error, response)
           VALUES (%(id)s, %(number)s, 120, %(status_code)s, %(error)s, %(response)s)""",
        id=delivery_id, number=number, **{"status_code": None, "error": None, "response": None} | came,
    )  # fmt: skip


def test_the_log_tells_what_is_on_its_way_and_what_became_of_it(user: Visitor) -> None:
    under_way, skipped, failed = sent(user), sent(user), sent(user)
    settled(skipped, "skipped", "not configured: set SMTP_HOST", 0)
    settled(failed, "failed", "gave up after 11 tries", 11)
    soup = user.soup("/deliveries")

    assert "next try" in words(soup.select_one(f"#d-{under_way}"))
    assert "On its way" in words(soup.select_one(f"#d-{under_way}"))
    dropped = words(soup.select_one(f"#d-{skipped}"))
    assert "Skipped" in dropped
    assert "not configured: set SMTP_HOST" in dropped
    told = words(soup.select_one(f"#d-{failed}"))
    assert "Failed Callback 11 attempts" in told
    assert f"to {HOOK} · gave up after 11 tries" in told


def test_the_log_is_narrowed_by_plain_forms(user: Visitor) -> None:
    hook, letter = sent(user), sent(user, callback_url=None, emails=["a@example.org"])
    settled(hook, "delivered")

    def shown(query: str) -> list[str]:
        return [str(row["id"])[2:] for row in user.soup(f"/deliveries{query}").select("li[data-row]")]

    assert shown("") == [letter, hook]
    assert shown("?status=delivered") == [hook]
    assert shown("?channel=email") == [letter]
    assert shown("?event=job.completed&status=pending") == [letter]
    assert shown("?event=job.failed") == []
    assert shown("?status=nonsense") == [letter, hook]
    form = user.soup("/deliveries?status=delivered")
    assert form.select_one("#status option[selected]")["value"] == "delivered"  # type: ignore[index]
    assert "status=delivered" in str(form.select_one("#r-deliveries")["hx-get"])  # type: ignore[index]


def test_one_delivery_shows_each_try(user: Visitor) -> None:
    delivery_id = sent(user, subject=("job", job_id := submitted(submitted_by=user.user_id)))
    tried(delivery_id, 1, status_code=500, error="answered 500", response="<html>oops</html>")
    tried(delivery_id, 2, status_code=204)
    settled(delivery_id, "delivered", tries=2)
    soup = user.soup(f"/deliveries/{delivery_id}")

    first, second = soup.select("#delivery ol > li")
    assert "Failed HTTP 500" in words(first)
    assert "<html>oops</html>" in words(first)
    assert "Accepted HTTP 204" in words(second)
    assert soup.select_one(f"main a[href='/jobs/{job_id}']") is not None
    assert '"status": "completed"' in words(soup.select_one("#payload"))
    assert user.get(f"/ui/deliveries/{delivery_id}").headers["HX-Poll"] == "stop"


def test_what_was_not_configured_says_what_to_set(user: Visitor) -> None:
    delivery_id = sent(user, callback_url=None, emails=["a@example.org"])
    settled(delivery_id, "skipped", "not configured: set SMTP_HOST", 0)

    told = words(user.soup(f"/deliveries/{delivery_id}").select_one("#delivery"))

    assert "It was not sent: not configured: set SMTP_HOST." in told
    assert "Not tried yet." in told


def test_it_is_sent_again_by_a_plain_form(user: Visitor) -> None:
    delivery_id = sent(user)
    path = f"/deliveries/{delivery_id}"
    assert user.soup(path).select("main [formaction]") == []  # it is on its way
    assert user.get(f"/ui{path}").headers["HX-Poll"].endswith("ms")
    settled(delivery_id, "failed", "no answer", 11)
    assert words(user.soup(path).select_one("main [formaction]")) == "Redeliver"

    again = user.post(f"{path}/redeliver", follow=True)

    assert "It is sent again." in again.text
    assert deliveries.get(delivery_id)["status"] == "pending"
    assert (
        db.value("SELECT action FROM audit_log WHERE subject = %(id)s", id=delivery_id)
        == "delivery.redelivered"
    )


def test_each_sees_their_own_and_viewers_none(user: Visitor, admin: Visitor, viewer: Visitor) -> None:
    mine, theirs = sent(user), sent(admin)
    settled(theirs, "failed")

    assert [row["id"] for row in user.soup("/deliveries").select("li[data-row]")] == [f"d-{mine}"]
    assert len(admin.soup("/deliveries").select("li[data-row]")) == 2
    assert user.get(f"/deliveries/{theirs}").status_code == 404
    assert user.get(f"/ui/deliveries/{theirs}").status_code == 404
    assert user.post(f"/deliveries/{theirs}/redeliver").status_code == 404
    for answer in (viewer.get("/deliveries"), viewer.get(f"/deliveries/{mine}"), viewer.get("/ui/deliveries"),
                   viewer.post(f"/deliveries/{mine}/redeliver")):  # fmt: skip
        assert answer.status_code == 403
    assert user.client.post(f"/deliveries/{mine}/redeliver").status_code == 400
    assert deliveries.get(theirs)["status"] == "failed"


def test_the_log_has_pages(user: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_SIZE", 2)
    ids = [sent(user) for _ in range(3)]

    first = user.soup("/deliveries?channel=webhook")
    following = str(first.select_one("a[rel=next]")["href"])  # type: ignore[index]
    assert "channel=webhook" in following
    assert [row["id"] for row in user.soup(following).select("li[data-row]")] == [f"d-{ids[0]}"]


@pytest.mark.parametrize("path", ["/deliveries/x", "/deliveries/0192aaaa-0000-7000-8000-000000000001"])
def test_what_is_not_there_is_a_404(admin: Visitor, path: str) -> None:
    assert admin.get(path).status_code == 404


def test_addresses_and_answers_are_shown_as_text(admin: Visitor) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    delivery_id = sent(admin, callback_payload={evil: evil})
    tried(delivery_id, 1, status_code=500, error=evil, response=evil)
    settled(delivery_id, "failed", evil)

    for path in ("/deliveries", f"/deliveries/{delivery_id}"):
        soup = admin.soup(path)
        assert [s for s in soup.select("script") if not s.get("src")] == []
        assert soup.select("img") == []
        assert evil in soup.get_text()
