"""Where news goes besides the inbox: channels, rules, endpoints and their secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from app.notify import deliveries as _deliveries
from app.notify import endpoints as _endpoints
from app.notify import rules as _rules
from app.notify import setup
from app.secrets import sealing
from app.settings import Settings
from tests.app.dashboard.aside import Aside, agent, db
from tests.app.dashboard.visiting import Visitor, words

deliveries, endpoints, rules = Aside(_deliveries), Aside(_endpoints), Aside(_rules)
HOOK = "https://hooks.example.org/in"
SLACK = "https://hooks.slack.com/services/T000/B000/a-secret-of-slack"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{40,}")


@pytest.fixture
def configured(app: Flask, settings: Settings) -> Iterator[None]:
    """A mail server and a chat are there."""
    told = settings.model_copy(
        update={
            "smtp_host": "mail.example.org",
            "smtp_password": "a-secret-of-mail",
            "slack_webhook_url": SLACK,
        }
    )
    told.__dict__.pop("chats", None)
    before = setup.present()
    app.config["CALLBOARD"] = told
    setup.use(setup.Setup(channels=tuple(told.chats)))
    yield
    app.config["CALLBOARD"] = settings
    setup.use(before)


def added(who: Visitor, **told: Any) -> str:
    """The id of a new endpoint of somebody's, made by its form."""
    who.post("/notify/endpoints", {"url": HOOK, "description": "Ours"} | told)
    return str(endpoints.listing(who.user_id)[-1]["endpoint_id"])


def did(subject: str) -> list[str]:
    found = db.rows("SELECT action FROM audit_log WHERE subject = %(id)s ORDER BY id", id=subject)
    return [row["action"] for row in found]


# -- channels


def test_what_is_not_configured_says_what_to_set(admin: Visitor) -> None:
    told = words(admin.soup("/notify").select_one("#channels"))

    assert "E-mail Not configured" in told
    assert "Set SMTP_HOST to send mail." in told
    assert "Set SLACK_WEBHOOK_URL" in told
    assert admin.soup("/notify").select("#channels form") == []


@pytest.mark.usefixtures("configured")
def test_a_test_is_sent_by_each_channel_and_no_secret_is_told(admin: Visitor) -> None:
    page = admin.get("/notify").text
    assert "Through mail.example.org." in page
    assert "a-secret-of" not in page

    mail = admin.post("/notify/test", {"channel": "email", "target": "a@example.org"})
    chat = admin.post("/notify/test", {"channel": "chat", "target": "slack"})

    sent = [(row["channel"], row["target"], row["event"]) for row in deliveries.page()]
    assert sent == [("chat", "slack", "test"), ("email", "a@example.org", "test")]
    assert mail.headers["Location"] == f"/deliveries/{deliveries.page()[1]['delivery_id']}"
    assert "a-secret-of" not in admin.get(chat.headers["Location"]).text


def test_a_test_that_cannot_be_sent_says_why(admin: Visitor) -> None:
    mail = admin.post("/notify/test", {"channel": "email", "target": "nobody"}, follow=True)
    chat = admin.post("/notify/test", {"channel": "chat", "target": "nowhere"}, follow=True)

    assert "No test was sent: is no mail address" in mail.text
    assert "is no configured chat" in chat.text
    assert deliveries.page() == []


# -- rules


@pytest.mark.usefixtures("configured")
def test_rules_are_added_and_removed_by_plain_forms(admin: Visitor) -> None:
    agent("test-writer")
    told = {"event": "workflow.*", "where": "email", "target": "team@example.org", "agent_id": "test-writer"}
    assert admin.post("/notify/rules", told).status_code == 303
    admin.post("/notify/rules", {"event": "*", "where": "chat:slack", "target": ""})

    everything, family = rules.listing()
    assert (family["event"], family["channel"], family["target"], family["agent_id"]) == (
        "workflow.*", "email", "team@example.org", "test-writer",
    )  # fmt: skip
    assert (everything["event"], everything["channel"], everything["target"]) == ("*", "chat", "slack")
    listed = words(admin.soup("/notify").select_one("#rules ul"))
    assert "workflow.* only test-writer e-mail to team@example.org" in listed

    assert admin.post(f"/notify/rules/{family['rule_id']}/remove").status_code == 303
    assert [row["rule_id"] for row in rules.listing()] == [everything["rule_id"]]
    assert admin.post(f"/notify/rules/{family['rule_id']}/remove").status_code == 404
    assert did(family["rule_id"]) == ["rule.created", "rule.removed"]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"target": "nobody"}, "target"),
        ({"event": "job.exploded"}, "event"),
        ({"where": "pigeon"}, "channel"),
        ({"where": "chat:nowhere"}, "target"),
    ],
)
def test_a_wrong_rule_is_told_at_its_field(admin: Visitor, told: dict[str, str], field: str) -> None:
    answer = admin.post("/notify/rules", {"event": "*", "where": "email", "target": "a@example.org"} | told)
    soup = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert soup.select_one(f"#rule-{field}-wrong") is not None
    assert soup.select_one("#add-rule")["open"] == ""  # type: ignore[index]
    assert soup.select_one("#rule-target")["value"] == told.get("target", "a@example.org")  # type: ignore[index]
    assert rules.listing() == []


# -- endpoints


def kept(endpoint_id: str) -> str:
    """What signs what is sent there; it stands in the database sealed."""
    sealed = db.value("SELECT secret FROM webhook_endpoints")
    return str(sealing.open_one(sealed, f"webhook_endpoints/{endpoint_id}", "/secret"))


def test_a_secret_is_shown_once(user: Visitor) -> None:
    answer = user.post(
        "/notify/endpoints", {"url": HOOK, "description": "Ours", "events": ["job.failed", "workflow.*"]}
    )

    (secret,) = set(SECRET.findall(answer.text))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    (row,) = endpoints.listing(user.user_id)
    assert (row["url"], row["description"], row["events"]) == (HOOK, "Ours", ["job.failed", "workflow.*"])
    assert secret == kept(row["endpoint_id"])
    assert secret not in db.value("SELECT secret FROM webhook_endpoints")
    for path in ("/notify", "/notify", "/deliveries", "/notifications"):
        assert "whsec_" not in user.get(path).text, path
    assert "whsec_" not in str(db.rows("SELECT details FROM audit_log"))


def test_a_new_secret_is_shown_once_too(user: Visitor) -> None:
    endpoint_id = added(user)
    before = kept(endpoint_id)

    answer = user.post(f"/notify/endpoints/{endpoint_id}/rotate")

    (secret,) = set(SECRET.findall(answer.text))
    assert secret == kept(endpoint_id) != before
    assert "the old secret signs as well until" in words(
        BeautifulSoup(answer.text, "html.parser").select_one("#secret")
    )
    assert before not in answer.text
    assert "whsec_" not in user.get("/notify").text


def test_an_endpoint_is_tested_switched_and_deleted(user: Visitor) -> None:
    endpoint_id = added(user)
    path = f"/notify/endpoints/{endpoint_id}"

    tested = user.post(f"{path}/test")
    (delivery,) = deliveries.page()
    assert (delivery["endpoint_id"], delivery["event"]) == (endpoint_id, "test")
    assert tested.headers["Location"] == f"/deliveries/{delivery['delivery_id']}"
    user.post(f"{path}/disable")
    assert "Off" in words(user.soup("/notify").select_one(f"#e-{endpoint_id}"))
    user.post(f"{path}/enable")
    assert endpoints.get(endpoint_id)["enabled"] is True
    assert user.post(f"{path}/explode").status_code == 404
    user.post(f"{path}/delete")
    assert endpoints.listing(user.user_id) == []
    assert did(endpoint_id) == [
        "endpoint.created",
        "endpoint.changed",
        "endpoint.changed",
        "endpoint.deleted",
    ]


def test_one_that_was_switched_off_says_why(user: Visitor) -> None:
    endpoint_id = added(user)
    db.run("UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'nothing got through for 5 days'")

    told = words(user.soup("/notify").select_one(f"#e-{endpoint_id}"))

    assert "Switched off" in told
    assert "nothing got through for 5 days" in told


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org", "http://127.0.0.1:8000/x", "javascript:alert(1)", "https://a b"]
)
def test_a_wrong_address_is_told_at_its_field_and_what_was_typed_stays(user: Visitor, url: str) -> None:
    answer = user.post("/notify/endpoints", {"url": url, "description": "Kept <b>", "events": ["job.failed"]})
    soup = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert soup.select_one("#endpoint-url-wrong") is not None
    assert soup.select_one("#endpoint-url")["value"] == url  # type: ignore[index]
    assert soup.select_one("#endpoint-description")["value"] == "Kept <b>"  # type: ignore[index]
    assert [str(box["value"]) for box in soup.select("[name=events][checked]")] == ["job.failed"]
    assert endpoints.listing() == []


def test_too_many_are_refused(user: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_endpoints, "MOST_PER_OWNER", 1)
    added(user)

    answer = user.post("/notify/endpoints", {"url": HOOK})

    assert answer.status_code == 422
    assert "delete one first" in answer.text


# -- who may


def test_channels_and_rules_are_for_admins(user: Visitor, admin: Visitor, viewer: Visitor) -> None:
    rule = rules.create(event="*", channel="email", target="a@example.org", by="x")["rule_id"]

    page = user.soup("/notify")
    assert [page.select(f"#{part}") != [] for part in ("channels", "rules", "endpoints")] == [
        False,
        False,
        True,
    ]
    assert "a@example.org" not in page.text
    for path, data in (("/notify/test", {"channel": "email", "target": "a@example.org"}),
                       ("/notify/rules", {"event": "*", "where": "email", "target": "a@example.org"}),
                       (f"/notify/rules/{rule}/remove", {})):  # fmt: skip
        assert (user.post(path, data).status_code, viewer.post(path, data).status_code) == (403, 403), path
        assert admin.client.post(path, data=data).status_code == 400, path
    assert viewer.get("/notify").status_code == 403
    assert len(rules.listing()) == 1
    assert deliveries.page() == []


def test_endpoints_belong_to_whoever_made_them(user: Visitor, admin: Visitor, viewer: Visitor) -> None:
    theirs, mine = added(admin), added(user)

    assert [e["id"] for e in user.soup("/notify").select("#endpoints li")] == [f"e-{mine}"]
    listed = admin.soup("/notify").select("#endpoints li")
    assert [e["id"] for e in listed] == [f"e-{theirs}", f"e-{mine}"]
    assert "of user-" in words(listed[1])
    for verb in ("test", "enable", "disable", "rotate", "delete"):
        assert user.post(f"/notify/endpoints/{theirs}/{verb}").status_code == 404, verb
        assert viewer.post(f"/notify/endpoints/{mine}/{verb}").status_code == 403, verb
        assert user.client.post(f"/notify/endpoints/{mine}/{verb}").status_code == 400, verb
    assert viewer.post("/notify/endpoints", {"url": HOOK}).status_code == 403
    assert len(endpoints.listing()) == 2


def test_whatever_was_typed_is_shown_as_text(admin: Visitor) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    added(admin, description=evil, url="https://example.org/?q=%3Cimg%3E")
    answer = admin.post("/notify/rules", {"event": evil, "where": evil, "target": evil, "agent_id": evil})

    for soup in (admin.soup("/notify"), BeautifulSoup(answer.text, "html.parser")):
        assert [s for s in soup.select("script") if not s.get("src")] == []
        assert soup.select("img") == []
    assert evil in admin.soup("/notify").get_text()
