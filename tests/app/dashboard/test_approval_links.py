"""Answering by a link from a mail, without signing in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from app import clock
from app.approvals import queries as _queries
from app.settings import Settings
from tests.app.dashboard.aside import Aside, db, status
from tests.app.dashboard.questions import DRAFT, GATE, job_asking, link_for
from tests.app.dashboard.visiting import Visitor

queries = Aside(_queries)
BOSS = "boss@example.org"


@pytest.fixture
def asked(admin: Visitor) -> str:
    """A question that names somebody who has no account."""
    return job_asking(admin.user_id, **GATE | {"approvers": (BOSS,)})


@pytest.fixture
def address(asked: str, settings: Settings) -> str:
    """The link to it."""
    return link_for(asked, BOSS, settings)


def words(text: str) -> str:
    return " ".join(BeautifulSoup(text, "html.parser").get_text(" ").split())


def test_the_card_opens_without_an_account_and_leads_nowhere_else(
    stranger: Visitor, asked: str, address: str
) -> None:
    answer = stranger.get(address)
    page = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 200
    assert "May draft 2 be taken as it is?" in words(answer.text)
    assert "for boss@example.org" in words(answer.text)
    assert page.select_one(".prose em") is not None
    assert {a["href"] for a in page.select("a")} == {"#answer"}
    assert page.select("script") == []
    assert queries.get(asked)["status"] == "open"


@pytest.mark.parametrize("path", ["/", "/approvals", "/jobs", "/ui/approvals"])
def test_nothing_else_opens_with_it(stranger: Visitor, address: str, path: str) -> None:
    stranger.get(address)

    assert stranger.get(path).status_code in (302, 401)


def test_looking_never_answers(stranger: Visitor, asked: str, address: str) -> None:
    for query in ("", "?decision=approve", "?decision=reject&comment=x"):
        assert stranger.get(address + query).status_code == 200
    assert stranger.client.head(address).status_code == 200
    assert stranger.client.options(address).status_code == 200

    assert queries.get(asked)["status"] == "open"
    assert db.value("SELECT used_at FROM approval_links") is None


def test_an_answer_is_that_persons_and_the_link_is_used_up(
    stranger: Visitor, asked: str, address: str
) -> None:
    answer = stranger.post(address, {"decision": "edit", "edited": "# Hives", "comment": "Fine"})

    assert answer.status_code == 200
    assert "Approved as you edited it." in words(answer.text)
    row = queries.get(asked)
    assert (row["status"], row["answered_by"], row["edited"]) == ("approved", BOSS, "# Hives")
    assert status(row["job_id"]) == "queued"
    noted = db.row("SELECT actor, action, details FROM audit_log WHERE subject = %(id)s", id=asked)
    assert (noted["actor"], noted["action"]) == (BOSS, "approval.answered")
    assert (noted["details"]["by"], noted["details"]["decision"]) == ("link", "edit")

    again = stranger.get(address)
    assert again.status_code == 410
    assert "This link is over This link was used: the question is approved." in words(again.text)
    assert "Bees" not in again.text
    assert stranger.post(address, {"decision": "reject"}).status_code == 410


def test_what_does_not_fit_is_said_and_the_link_stays(stranger: Visitor, asked: str, address: str) -> None:
    answer = stranger.post(address, {"decision": "ask_back", "edited": DRAFT})

    assert answer.status_code == 422
    assert "say what should be different" in words(answer.text)
    unchanged = stranger.post(address, {"decision": "approve", "edited": "# Mine"})
    assert unchanged.status_code == 422
    assert "# Mine" in unchanged.text
    assert stranger.post(address, {"decision": "undo", "edited": "# Mine"}).status_code == 200
    assert stranger.post(address, {"decision": "perhaps"}).status_code == 404
    assert queries.get(asked)["status"] == "open"
    assert stranger.get(address).status_code == 200


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE approval_links SET expires_at = %(past)s", "This link has expired"),
        ("UPDATE approvals SET deadline_at = %(past)s", "The time to answer this question is over"),
        ("UPDATE approvals SET status = 'cancelled', answered_at = %(past)s", "was withdrawn"),
        (
            "UPDATE approvals SET status = 'rejected', answered_at = %(past)s",
            "settled already: it is rejected",
        ),
    ],
)
def test_a_link_that_is_over_says_why(stranger: Visitor, address: str, statement: str, said: str) -> None:
    db.run(statement, past=clock.now() - timedelta(minutes=1))

    for answer in (stranger.get(address), stranger.post(address, {"decision": "approve", "edited": DRAFT})):
        assert answer.status_code == 410
        assert said in words(answer.text)
        assert answer.headers["Cache-Control"] == "no-store"


def test_who_is_too_late_with_a_link_keeps_what_they_wrote(
    stranger: Visitor, admin: Visitor, settings: Settings
) -> None:
    form = {"properties": {"place": {"type": "string"}}}
    asked = job_asking(admin.user_id, **GATE | {"approvers": (BOSS,), "form": form})
    address = link_for(asked, BOSS, settings)
    stranger.get(address)
    admin.post(f"/approvals/{asked}", {"decision": "approve", "p.place": "Here"})

    answer = stranger.post(
        address,
        {
            "decision": "edit",
            "edited": "# Mine\r\n\r\nAll of it.",
            "p.place": "Rome",
            "comment": "Long thought.",
        },
    )

    assert answer.status_code == 410
    for written in ("All of it.", "Rome", "Long thought."):
        assert written in words(answer.text)


def test_a_token_that_nobody_made_leads_nowhere(stranger: Visitor, address: str) -> None:
    for wrong in (address[:-3], address + "x", "/a/x"):
        answer = stranger.get(wrong)
        assert answer.status_code == 404
        assert "This link leads nowhere" in words(answer.text)


def test_the_address_stays_where_it_is(
    stranger: Visitor, address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        stranger.get(address),
        stranger.get("/a/x"),
        stranger.post(address, {"decision": "ask_back", "edited": DRAFT}),
        stranger.client.post(address, data={"decision": "approve"}),
        stranger.post(address, {"decision": "approve"}, **{"Sec-Fetch-Site": "cross-site"}),
    ]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("app.approvals.links.read", broken)
    answers.append(stranger.get(address))

    assert [answer.status_code for answer in answers] == [200, 404, 422, 400, 403, 500]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    token = address.removeprefix("/a/")
    assert any("/a/[hidden]" in str(record.msg) for record in caplog.records)
    assert not any(token in str(record.__dict__) for record in caplog.records)


def test_nothing_is_answered_without_the_forms_token(stranger: Visitor, asked: str, address: str) -> None:
    assert stranger.client.post(address, data={"decision": "approve"}).status_code == 400
    assert (
        stranger.post(address, {"decision": "approve"}, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    )
    assert queries.get(asked)["status"] == "open"


def test_by_https_it_is_answered_without_a_referer(stranger: Visitor, asked: str, address: str) -> None:
    encrypted = "https://board.example"
    page = BeautifulSoup(stranger.client.get(address, base_url=encrypted).text, "html.parser")
    field = page.select_one("[name=csrf_token]")
    assert field is not None
    form = {"decision": "approve", "edited": DRAFT}

    forged = stranger.client.post(address, base_url=encrypted, data=form | {"csrf_token": "x"})
    assert forged.status_code == 400
    assert queries.get(asked)["status"] == "open"
    answer = stranger.client.post(address, base_url=encrypted, data=form | {"csrf_token": field["value"]})

    assert answer.status_code == 200, answer.text
    assert queries.get(asked)["status"] == "approved"


def test_nobody_tries_tokens_for_long(app: Flask, stranger: Visitor, address: str) -> None:
    app.config["CALLBOARD_LINK_LIMIT"] = "3 per minute"
    try:
        found = [stranger.get(f"/a/{n}").status_code for n in range(4)]
        assert found == [404, 404, 404, 429]
        assert stranger.get(address).status_code == 429
    finally:
        app.config["CALLBOARD_LINK_LIMIT"] = "1000 per second"


def test_somebody_whose_account_was_switched_off_is_told_so(
    stranger: Visitor, user: Visitor, admin: Visitor, settings: Settings
) -> None:
    email = db.value("SELECT email FROM users WHERE user_id = %(id)s", id=user.user_id)
    asked = job_asking(admin.user_id, question="Well?", approvers=(email,))
    address = link_for(asked, email, settings)
    db.run("UPDATE users SET enabled = false WHERE user_id = %(id)s", id=user.user_id)

    answer = stranger.get(address)

    assert answer.status_code == 403
    assert "switched off" in words(answer.text)


def test_the_link_in_a_mail_leads_to_this_page(app: Flask) -> None:
    from app.approvals import links

    with app.test_request_context():
        assert links.address("https://board.example", "t.x") == "https://board.example/a/t.x"
    assert [rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == f"{links.PATH}/<token>"] == [
        "dashboard.approval_link",
        "dashboard.approval_link_answering",
    ]
