"""Coming in, staying in, and what is kept out."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from app import clock
from app.accounts import users
from app.dashboard import session
from app.db import db
from tests.app.dashboard.aside import db as aside
from tests.app.dashboard.visiting import Visitor
from tests.waiting import until

PASSWORD = "correct horse battery"


@pytest.fixture
def ada() -> str:
    """Somebody with a password."""
    with db.transaction():
        users.create("ada@example.org", PASSWORD, role="user")
    return "ada@example.org"


def _sign_in(visitor: Visitor, email: str, password: str, back: str = "") -> tuple[int, str]:
    answer = visitor.post("/sign-in", {"email": email, "password": password, "next": back})
    return answer.status_code, answer.headers.get("Location", "")


def test_right_credentials_open_the_board(stranger: Visitor, ada: str) -> None:
    status, place = _sign_in(stranger, ada.upper(), PASSWORD)

    assert (status, place) == (303, "/")
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize(
    ("wrong_by", "good"), [(1, True), (300, True), (-300, True), (3600, False), (-46_800, False)]
)
def test_who_signed_in_at_a_host_whose_clock_is_wrong_is_signed_in_at_the_others(
    stranger: Visitor, ada: str, wrong_by: int, good: bool
) -> None:
    with time_machine.travel(clock.now() + timedelta(seconds=wrong_by), tick=True):
        _sign_in(stranger, ada, PASSWORD)

    assert (stranger.get("/").status_code == 200) == good


def test_signing_in_is_audited(stranger: Visitor, ada: str) -> None:
    _sign_in(stranger, ada, PASSWORD)

    assert aside.value("SELECT count(*) FROM audit_log WHERE action = 'auth.signed_in'") == 1


@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("", "")]
)
def test_wrong_credentials_say_one_sentence_whatever_was_wrong(
    stranger: Visitor, ada: str, email: str, password: str
) -> None:
    answer = stranger.post("/sign-in", {"email": email, "password": password})

    assert answer.status_code == 401
    assert "E-mail or password is wrong." in answer.text


def test_the_session_from_before_is_worth_nothing_afterwards(stranger: Visitor, ada: str) -> None:
    stranger.get("/sign-in")
    with stranger.client.session_transaction() as cookie:
        cookie["planted"] = "by somebody else"
        before = cookie["csrf_token"]

    _sign_in(stranger, ada, PASSWORD)

    with stranger.client.session_transaction() as cookie:
        assert "planted" not in cookie
        assert cookie.get("csrf_token") != before


def test_the_cookie_is_closed_to_scripts_and_lasts_twelve_hours(stranger: Visitor, ada: str) -> None:
    answer = stranger.post("/sign-in", {"email": ada, "password": PASSWORD})

    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("callboard="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Expires" in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_for_whoever_comes_by_https(app: Flask) -> None:
    answer = app.test_client().get("/sign-in", base_url="https://board.example.org")

    assert "Secure" in next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("callboard="))
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_polls_do_not_prolong_the_session(user: Visitor) -> None:
    assert "Set-Cookie" not in user.get("/ui/now/overview").headers


@pytest.mark.parametrize("path", ["/jobs?state=failed", "/dead-letters", "/submit/test-noop?example=1"])
def test_who_wanted_a_page_gets_there_after_signing_in(stranger: Visitor, ada: str, path: str) -> None:
    sent_to = stranger.get(path).headers["Location"]
    assert sent_to.startswith("/sign-in?next=")

    assert _sign_in(stranger, ada, PASSWORD, back=path) == (303, path)


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/ui/nav",
        "/api/v1/jobs",
        "/nowhere",
        "jobs",
        "/sign-out",
        "/jobs\r\nX: y",
    ],
)
def test_nobody_is_sent_anywhere_but_to_a_page_of_ours(stranger: Visitor, ada: str, back: str) -> None:
    assert _sign_in(stranger, ada, PASSWORD, back=back) == (303, "/")


def test_fragments_answer_401_instead_of_the_form(stranger: Visitor) -> None:
    answer = stranger.get("/ui/jobs/table")

    assert answer.status_code == 401
    assert "<form" not in answer.text


def test_signing_out_ends_it(user: Visitor) -> None:
    assert user.post("/sign-out").status_code == 303

    assert user.get("/").status_code == 302


def test_a_disabled_account_is_out_at_once(user: Visitor, admin: Visitor) -> None:
    with db.transaction():
        users.change(user.user_id, enabled=False, actor=admin.user_id)

    assert user.get("/").status_code == 302


def test_a_poll_notices_within_a_second_that_an_account_was_disabled(user: Visitor, admin: Visitor) -> None:
    assert user.get("/ui/nav").status_code == 200
    with db.transaction():
        users.change(user.user_id, enabled=False, actor=admin.user_id)

    changed_at = time.monotonic()
    until(lambda: user.get("/ui/nav").status_code == 401, 5)

    assert time.monotonic() - changed_at < 1.5


def test_a_changed_role_ends_the_session(user: Visitor, admin: Visitor) -> None:
    with db.transaction():
        users.change(user.user_id, role="viewer", actor=admin.user_id)

    assert user.get("/").status_code == 302


def test_a_form_without_its_token_is_refused(user: Visitor) -> None:
    answer = user.client.post("/sign-out", data={})

    assert answer.status_code == 400
    assert user.get("/").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_from_another_site_is_refused_even_with_a_token(user: Visitor, site: str) -> None:
    assert user.post("/sign-out", **{"Sec-Fetch-Site": site}).status_code == 403


def test_guessing_passwords_is_slowed_down(app: Flask, stranger: Visitor, ada: str) -> None:
    app.config["CALLBOARD_LOGIN_LIMIT"] = "3 per minute"

    tries = [_sign_in(stranger, ada, "wrong")[0] for _ in range(4)]

    assert tries == [401, 401, 401, 429]
    assert _sign_in(stranger, ada, PASSWORD)[0] == 429


def test_signing_in_rightly_costs_nothing_of_the_limit(app: Flask, ada: str) -> None:
    app.config["CALLBOARD_LOGIN_LIMIT"] = "2 per minute"

    assert [_sign_in(Visitor(app), ada, PASSWORD)[0] for _ in range(4)] == [303] * 4


def test_the_theme_is_kept_in_a_cookie_and_known_to_the_server(user: Visitor) -> None:
    answer = user.post("/theme", {"next": "/agents"})

    assert answer.headers["Location"] == "/agents"
    assert user.soup("/agents").html["data-theme"] == "dark"  # type: ignore[index]


def test_a_theme_that_does_not_exist_is_ignored(user: Visitor) -> None:
    user.client.set_cookie("theme", '"><script>')

    assert "data-theme" not in user.soup("/agents").html.attrs  # type: ignore[union-attr]


def test_a_copied_cookie_is_worth_nothing_after_signing_out(app: Flask, stranger: Visitor, ada: str) -> None:
    _sign_in(stranger, ada, PASSWORD)
    copied = stranger.client.get_cookie("callboard")
    assert copied
    thief = Visitor(app)
    thief.client.set_cookie("callboard", copied.value)
    assert thief.get("/").status_code == 200

    stranger.user_id = "ada"  # looks for the token where only those who are signed in can
    assert stranger.post("/sign-out").status_code == 303

    assert thief.get("/").status_code == 302


def test_a_cookie_from_before_logins_were_kept_is_no_session(app: Flask, user: Visitor) -> None:
    with user.client.session_transaction() as cookie:
        cookie["_user_id"] = f"{user.user_id}:0"

    assert user.get("/").status_code == 302


def test_who_asks_and_whether_their_login_lives_is_one_query(app: Flask, user: Visitor) -> None:
    with user.client.session_transaction() as cookie:
        cookie_id = cookie["_user_id"]
    with app.test_request_context("/"):
        db.asked.begin()
        person = session._person(cookie_id)

    assert person is not None
    assert db.asked.queries == 1


def test_too_many_wrong_passwords_lock_and_the_page_says_when_to_try_again(
    stranger: Visitor, ada: str
) -> None:
    for email in (ada, "nobody@example.org"):
        tries = [stranger.post("/sign-in", {"email": email, "password": "wrong"}) for _ in range(7)]

        assert [answer.status_code for answer in tries] == [401] * 5 + [429] * 2
        assert 1 <= int(tries[-1].headers["Retry-After"]) <= 60
        assert "Too many wrong passwords. Try again in" in tries[-1].text
        assert f'value="{email}"' in tries[-1].text
    assert _sign_in(stranger, ada, PASSWORD)[0] == 429
    assert aside.value("SELECT count(*) FROM audit_log WHERE action = 'auth.locked'") == 1


def test_wrong_passwords_by_either_door_count_together(app: Flask, stranger: Visitor, ada: str) -> None:
    for _ in range(3):
        _sign_in(stranger, ada, "wrong")
        app.test_client().post("/api/v1/auth/login", json={"email": ada, "password": "wrong"})

    assert _sign_in(stranger, ada, PASSWORD)[0] == 429


def test_a_session_outlives_a_change_of_the_key_while_the_old_one_is_named(
    app: Flask, user: Visitor, viewer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "SECRET_KEY_FALLBACKS", [app.config["SECRET_KEY"]])
    monkeypatch.setitem(app.config, "SECRET_KEY", "a new key of more than thirty-two characters")
    assert user.get("/").status_code == 200

    monkeypatch.setitem(app.config, "SECRET_KEY_FALLBACKS", [])
    assert user.get("/").status_code == 200  # its cookie was signed anew
    assert viewer.get("/").status_code == 302


def test_a_poll_unpacks_its_cookie_once_and_it_ends_in_time_all_the_same(
    user: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = []
    genuine = session.CookieAsSecureAsTheRequest._unpack
    monkeypatch.setattr(
        session.CookieAsSecureAsTheRequest,
        "_unpack",
        lambda self, app, text: unpacked.append(text) or genuine(self, app, text),
    )

    assert [user.get("/ui/nav").status_code for _ in range(3)] == [200] * 3
    assert len(unpacked) == 1
    for hours, status in ((11.9, 200), (12.1, 401)):
        with time_machine.travel(clock.now() + timedelta(hours=hours), tick=True):
            assert user.get("/ui/nav").status_code == status


def test_a_poll_with_a_forged_cookie_is_nobodys(user: Visitor) -> None:
    cookie = user.client.get_cookie("callboard")
    assert cookie is not None
    user.client.set_cookie("callboard", cookie.value[:-4] + "AAAA")

    assert user.get("/ui/nav").status_code == 401
