from __future__ import annotations

from datetime import timedelta

import pytest

from app.accounts import devices, logins, queries, refresh, users
from app.db import db
from app.errors import NotFound

HOUR = timedelta(hours=1)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:139.0) Gecko/20100101 Firefox/139.0"


@pytest.fixture
def ada() -> str:
    return str(users.create("ada@example.org", None, role="user")["user_id"])


def came_in(user_id: str, life: timedelta = HOUR, **more: str) -> str:
    told = {"kind": "browser", "method": "password", "ip": "192.0.2.7", "user_agent": FIREFOX} | more
    return logins.open_login(user_id, life=life, **told)  # type: ignore[arg-type]


def test_a_login_lives_until_it_is_ended_or_over(ada: str) -> None:
    lives, ended, over = came_in(ada), came_in(ada), came_in(ada, life=timedelta(seconds=-1))

    assert logins.end(ended)
    assert not logins.end(ended)
    assert [logins.alive(each) for each in (lives, ended, over)] == [True, False, False]
    assert [each["login_id"] for each in logins.of_user(ada) if each["alive"]] == [lives]
    assert logins.of_user(ada)[0]["login_id"] == lives
    assert queries.user(ada)["logins"] == 1  # type: ignore[index]


def test_a_login_opens_for_its_user_alone_and_as_long_as_the_account_stays_as_it_was(ada: str) -> None:
    bob = str(users.create("bob@example.org", None, role="user")["user_id"])
    login_id = came_in(ada)

    assert queries.signed_in(ada, 0, login_id)["email"] == "ada@example.org"  # type: ignore[index]
    assert queries.signed_in(bob, 0, login_id) is None
    assert queries.signed_in(ada, 1, login_id) is None


def test_ending_everywhere_but_here_spares_one_and_ends_tokens_too(ada: str) -> None:
    here = came_in(ada)
    session = refresh.open_session(ada, token_version=0, life=HOUR)
    came_in(ada)

    assert logins.end_all(ada, but=here) == 2
    assert logins.alive(here)
    assert queries.bearer(session.claims) is None
    assert refresh.rotate(session.refresh_token, life=HOUR) is None


def test_nobody_ends_the_logins_of_others(ada: str) -> None:
    bob = str(users.create("bob@example.org", None, role="user")["user_id"])
    login_id = came_in(ada)

    with pytest.raises(NotFound):
        logins.end_of(bob, login_id)
    assert logins.alive(login_id)


def test_a_family_of_tokens_is_a_login_that_goes_on_with_each_trade(ada: str) -> None:
    session = refresh.open_session(ada, token_version=0, life=HOUR)
    (before,) = logins.of_user(ada)
    db.run("UPDATE logins SET seen_at = now() - interval '1 day', expires_at = now() + interval '1 minute'")

    refresh.rotate(session.refresh_token, life=HOUR)

    (after,) = logins.of_user(ada)
    assert after["login_id"] == session.claims.session_id == before["login_id"]
    assert (after["expires_at"], after["seen_at"]) == (before["expires_at"], before["seen_at"])


def test_that_a_login_is_in_use_is_written_once_in_five_minutes(ada: str) -> None:
    session = refresh.open_session(ada, token_version=0, life=HOUR)
    for minutes, written in ((4, False), (6, True)):
        db.run("UPDATE logins SET seen_at = now() - %(m)s * interval '1 minute'", m=minutes)
        queries.bearer(session.claims)
        assert db.value("SELECT seen_at = now() FROM logins") is written


def test_a_change_of_the_account_ends_its_logins_and_a_new_name_does_not(ada: str) -> None:
    login_id = came_in(ada)
    users.change(ada, name="Ada", role="user", actor="test")
    assert logins.alive(login_id)

    users.change(ada, role="viewer", actor="test")
    assert not logins.alive(login_id)


def test_logins_long_over_are_pruned(ada: str) -> None:
    came_in(ada, life=timedelta(days=-31))
    kept = came_in(ada, life=timedelta(days=-29))

    assert logins.prune() == 1
    assert [each["login_id"] for each in logins.of_user(ada)] == [kept]


def test_what_a_program_says_of_itself_is_kept_as_text_and_cut(ada: str) -> None:
    came_in(ada, user_agent="x\x00" * 1000)

    assert len(logins.of_user(ada)[0]["user_agent"]) == logins.LONGEST_AGENT


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Safari/537.36 Edg/139.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("something else", devices.UNKNOWN),
        (None, devices.UNKNOWN),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_devices_have_names_that_people_know(said: str | None, named: str) -> None:
    assert devices.named(said) == named
