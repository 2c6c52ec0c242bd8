"""Signing in with an identity provider: who comes in, as whom, and every way to get in that must not work."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from bs4 import BeautifulSoup
from flask import Flask
from pydantic import ValidationError
from werkzeug.test import TestResponse

from app.accounts import oidc, users
from app.dashboard import oidc as door
from app.db import db
from app.settings import Settings
from tests.app.dashboard.aside import db as aside
from tests.app.dashboard.visiting import Visitor, words
from tests.oidc_server import Provider, key, provider

PASSWORD = "correct horse battery"
ADA = "ada@example.org"


@pytest.fixture
def idp() -> Iterator[Provider]:
    """A provider."""
    with provider() as made:
        yield made


@pytest.fixture
def configure(app: Flask, idp: Provider, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The web process as if it had been started with these settings besides the provider's."""
    usual = app.config["CALLBOARD"]

    def told(**more: Any) -> None:
        given = {
            "oidc_issuer": idp.issuer,
            "oidc_client_id": idp.client_id,
            "oidc_client_secret": idp.client_secret,
            "oidc_name": "Acme",
            "oidc_default_role": "viewer",
        }
        monkeypatch.setitem(app.config, "CALLBOARD", usual.model_copy(update=given | more))
        app.extensions.pop("callboard-oidc", None)

    return told


@pytest.fixture(autouse=True)
def configured(app: Flask, configure: Callable[..., None]) -> Iterator[None]:
    """Everybody may come in, as a viewer."""
    configure()
    yield
    app.extensions.pop("callboard-oidc", None)


def to_provider(visitor: Visitor, back: str = "") -> str:
    """Press the button and go to the provider; answers where that sends the browser back to."""
    left = visitor.client.get("/sign-in/oidc", query_string={"next": back})
    assert left.status_code == 302, left.text
    answer = requests.get(left.headers["Location"], allow_redirects=False, timeout=5)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


def arrive(visitor: Visitor, place: str) -> TestResponse:
    """Come back from the provider."""
    parts = urlsplit(place)
    return visitor.client.get(parts.path, query_string=parts.query)


def come_in(visitor: Visitor, back: str = "") -> TestResponse:
    """The whole way."""
    return arrive(visitor, to_provider(visitor, back))


def said(answer: TestResponse) -> str:
    """The complaint on the sign-in page."""
    return words(BeautifulSoup(answer.text, "html.parser").select_one("[role=alert]"))


def who(email: str = ADA) -> dict[str, Any]:
    """The account with this address."""
    found = aside.row("SELECT *, user_id::text AS id FROM users WHERE email = %(email)s", email=email)
    assert found is not None
    return dict(found)


def person(email: str = ADA, role: str = "user", **more: Any) -> str:
    """Somebody who is here already."""
    with db.transaction():
        user_id = str(users.create(email, PASSWORD, role=role)["user_id"])
        if more:
            users.change(user_id, actor="test", **more)
    return user_id


def failures() -> list[str]:
    """Why people were not let in, as the audit has it."""
    return [
        row["details"]["reason"]
        for row in aside.rows("SELECT details FROM audit_log WHERE action = 'auth.failed' ORDER BY id")
    ]


# -- coming in


def test_somebody_new_comes_in_with_the_default_role(stranger: Visitor, idp: Provider) -> None:
    answer = come_in(stranger)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert stranger.get("/").status_code == 200
    made = who()
    assert (made["role"], made["name"], made["password_hash"]) == ("viewer", "Ada Lovelace", None)
    assert (made["oidc_issuer"], made["oidc_subject"]) == (idp.issuer, idp.person["sub"])
    assert made["last_login_at"] is not None


def test_the_code_flow_has_state_nonce_and_pkce(stranger: Visitor, idp: Provider) -> None:
    come_in(stranger)

    (asked,) = idp.queries
    assert (asked["response_type"], asked["scope"]) == ("code", "openid email profile")
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 20
    assert len(asked["nonce"]) >= 20
    assert asked["redirect_uri"] == "http://localhost/sign-in/oidc/return"
    assert idp.client_secret not in str(idp.queries)


def test_the_session_is_like_one_with_a_password(stranger: Visitor) -> None:
    stranger.get("/sign-in")
    with stranger.client.session_transaction() as cookie:
        cookie["planted"] = "by somebody else"
        before = cookie["csrf_token"]

    answer = come_in(stranger)

    with stranger.client.session_transaction() as cookie:
        assert "planted" not in cookie
        assert not [name for name in cookie if "oidc" in name]
        assert cookie.get("csrf_token") != before
    sent = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("callboard="))
    assert "HttpOnly" in sent
    assert "Expires" in sent
    login = aside.row("SELECT kind, method, ended_at FROM logins")
    assert login == {"kind": "browser", "method": "oidc", "ended_at": None}
    entry = aside.row("SELECT actor, details FROM audit_log WHERE action = 'auth.signed_in'")
    assert (entry["actor"], entry["details"]["method"]) == (who()["id"], "oidc")


def test_who_is_known_there_is_the_same_person_under_a_new_address(
    stranger: Visitor, app: Flask, idp: Provider
) -> None:
    come_in(stranger)
    idp.person |= {"email": "lovelace@example.org", "email_verified": False}

    assert come_in(Visitor(app)).status_code == 303

    assert aside.value("SELECT count(*) FROM users") == 1


def test_an_account_with_the_verified_address_is_linked_and_keeps_its_role(stranger: Visitor) -> None:
    user_id = person(role="user")

    assert come_in(stranger).status_code == 303

    linked = who()
    assert (linked["id"], linked["role"]) == (user_id, "user")
    assert linked["password_hash"] is not None
    assert aside.value("SELECT count(*) FROM audit_log WHERE action = 'user.linked'") == 1


@pytest.mark.parametrize(
    ("back", "place"),
    [
        ("/jobs?state=failed", "/jobs?state=failed"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/api/v1/jobs", "/"),
    ],
)
def test_who_wanted_a_page_of_ours_gets_there(stranger: Visitor, back: str, place: str) -> None:
    assert come_in(stranger, back).headers["Location"] == place


def test_who_is_signed_in_goes_on_without_the_provider(user: Visitor, idp: Provider) -> None:
    answer = user.get("/sign-in/oidc?next=/agents")

    assert answer.headers["Location"] == "/agents"
    assert idp.paths == []


def test_what_the_token_leaves_out_is_asked_for(stranger: Visitor, idp: Provider) -> None:
    idp.thin = True

    assert come_in(stranger).status_code == 303
    assert who()["name"] == "Ada Lovelace"


def test_userinfo_of_somebody_else_is_refused(stranger: Visitor, idp: Provider) -> None:
    idp.thin, idp.userinfo = True, {"sub": "somebody else"}

    assert come_in(stranger).status_code == 401
    assert failures() == ["token"]


def test_a_new_key_of_the_provider_is_fetched_when_it_is_first_used(app: Flask, idp: Provider) -> None:
    assert come_in(Visitor(app)).status_code == 303
    idp.signing = key("second", "EC")

    assert come_in(Visitor(app)).status_code == 303
    assert idp.paths.count("/keys") == 2
    assert idp.paths.count("/.well-known/openid-configuration") == 1


# -- staying out


@pytest.mark.parametrize(
    "wrong",
    [
        {"forge": True},
        {"algorithm": "none"},
        {"algorithm": "HS256"},
        {"say": {"nonce": "another"}},
        {"say": {"nonce": None}},
        {"say": {"aud": "another-client"}},
        {"say": {"aud": ["callboard", "another-client"], "azp": "another-client"}},
        {"say": {"iss": "https://evil.example"}},
        {"say": {"exp": int(time.time()) - 3600}},
        {"say": {"exp": None}},
        {"say": {"iat": int(time.time()) + 3600}},
        {"say": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"say": {"sub": None}},
        {"say": {"sub": 12}},
        {"say": {"sub": "x" * 300}},
    ],
    ids=lambda wrong: re.sub(r"\d{10}", "then", str(wrong))[:60],
)
def test_a_token_that_is_not_the_providers_for_us_now_opens_nothing(
    stranger: Visitor, idp: Provider, wrong: dict[str, Any]
) -> None:
    vars(idp).update(wrong)

    answer = come_in(stranger)

    assert answer.status_code == 401
    assert "does not prove who you are" in said(answer)
    assert failures() == ["token"]
    assert aside.value("SELECT count(*) FROM users") == 0
    assert stranger.get("/").status_code == 302


def test_a_sign_in_that_began_in_another_browser_is_refused(stranger: Visitor, app: Flask) -> None:
    place = to_provider(stranger)

    answer = arrive(Visitor(app), place)

    assert answer.status_code == 401
    assert "began elsewhere" in said(answer)
    assert failures() == ["state"]


def test_the_answer_of_the_provider_works_once(stranger: Visitor, app: Flask) -> None:
    place = to_provider(stranger)
    kept = stranger.client.get_cookie("callboard")
    assert arrive(stranger, place).status_code == 303
    assert kept is not None
    thief = Visitor(app)
    thief.client.set_cookie("callboard", kept.value)

    assert arrive(stranger, place).headers["Location"] == "/"  # who is in goes on
    assert arrive(thief, place).status_code == 401
    assert failures() == ["provider"]
    assert aside.value("SELECT count(*) FROM logins") == 1


def test_only_the_last_of_several_beginnings_counts_and_the_cookie_stays_small(stranger: Visitor) -> None:
    places = [to_provider(stranger) for _ in range(6)]

    kept = stranger.client.get_cookie("callboard")
    assert kept is not None
    assert len(kept.value) < 1500
    assert arrive(stranger, places[0]).status_code == 401
    assert arrive(stranger, to_provider(stranger)).status_code == 303


def test_who_says_no_at_the_provider_is_told_so(stranger: Visitor, idp: Provider) -> None:
    idp.denies = True

    answer = come_in(stranger)

    assert (answer.status_code, said(answer)) == (401, "You did not sign in at Acme.")
    assert failures() == ["denied"]


@pytest.mark.parametrize("verified", [False, None, "no", 1])
def test_an_address_that_is_not_verified_neither_links_nor_makes(
    stranger: Visitor, idp: Provider, verified: Any
) -> None:
    person(role="admin")
    idp.say["email_verified"] = verified

    assert "not verified" in said(come_in(stranger))

    assert who()["oidc_subject"] is None
    assert failures() == ["unverified"]


def test_who_is_switched_off_stays_out_whether_linked_or_not(stranger: Visitor, app: Flask) -> None:
    user_id = person()
    assert come_in(stranger).status_code == 303
    with db.transaction():
        users.change(user_id, enabled=False, actor="test")

    assert stranger.get("/").status_code == 302
    assert "switched off" in said(come_in(Visitor(app)))
    aside.run("UPDATE users SET oidc_issuer = NULL, oidc_subject = NULL")
    assert "switched off" in said(come_in(Visitor(app)))


def test_nobody_takes_the_account_of_another_identity(stranger: Visitor, app: Flask, idp: Provider) -> None:
    come_in(stranger)
    idp.person["sub"] = "somebody who has got the same address now"

    assert "another identity" in said(come_in(Visitor(app)))
    assert failures() == ["other_identity"]


def test_with_none_as_the_default_role_only_people_an_admin_has_made_come_in(
    configure: Callable[..., None], stranger: Visitor, app: Flask
) -> None:
    configure(oidc_default_role="none")
    assert "no account here" in said(come_in(stranger))

    person(role="viewer")

    assert come_in(Visitor(app)).status_code == 303


@pytest.mark.parametrize(
    ("email", "verified", "status"),
    [
        (ADA, True, 303),
        (ADA, False, 401),
        ("ada@example.com", True, 401),
        ("ada@example.org.evil.example", True, 401),
        ("ada@evil.example?@example.org", True, 401),
        ("example.org", True, 401),
        (f"{ADA}\x00", True, 401),
        ("", True, 401),
    ],
)
def test_only_the_domains_that_are_allowed_come_in(
    configure: Callable[..., None], stranger: Visitor, idp: Provider, email: str, verified: bool, status: int
) -> None:
    configure(oidc_allowed_domains=("example.org",))
    idp.person |= {"email": email, "email_verified": verified}

    assert come_in(stranger).status_code == status


# -- roles


GROUPS = {
    "oidc_role_claim": "realm_access.roles",
    "oidc_admin_groups": ("board-admins",),
    "oidc_user_groups": ("writers", "engineers"),
}


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff", "board-admins", "writers"], "admin"),
        (["engineers"], "user"),
        ("writers", "user"),
        (["staff", 7, None], "viewer"),
        ({"board-admins": True}, "viewer"),
        (None, "viewer"),
    ],
)
def test_groups_decide_the_role_at_each_sign_in(
    configure: Callable[..., None], stranger: Visitor, idp: Provider, groups: Any, role: str
) -> None:
    configure(**GROUPS)
    person("root@example.org", "admin")
    person(role="admin")
    idp.person["realm_access"] = {"roles": groups}

    assert come_in(stranger).status_code == 303

    assert who()["role"] == role
    assert stranger.get("/").status_code == 200


def test_a_role_that_the_groups_change_ends_the_other_logins(
    configure: Callable[..., None], stranger: Visitor, app: Flask, idp: Provider
) -> None:
    configure(**GROUPS)
    idp.person["realm_access"] = {"roles": ["writers"]}
    come_in(stranger)
    idp.person["realm_access"] = {"roles": []}

    assert come_in(Visitor(app)).status_code == 303

    assert stranger.get("/").status_code == 302
    entry = aside.row("SELECT actor, details FROM audit_log WHERE action = 'user.changed'")
    assert (entry["actor"], entry["details"]) == (oidc.ACTOR, {"role": "viewer"})


def test_the_last_admin_stays_one_whatever_the_groups_say(
    configure: Callable[..., None], stranger: Visitor, idp: Provider
) -> None:
    configure(**GROUPS)
    person(role="admin")
    idp.person["realm_access"] = {"roles": ["writers"]}

    assert come_in(stranger).status_code == 303
    assert who()["role"] == "admin"


def test_who_is_in_no_group_stays_out_when_there_is_no_default_role(
    configure: Callable[..., None], stranger: Visitor
) -> None:
    configure(**GROUPS, oidc_default_role="none")
    person(role="user")

    assert "none of the groups" in said(come_in(stranger))
    assert who()["oidc_subject"] is None


# -- the provider is away, or another one


@pytest.mark.parametrize("at", ["beginning", "end"])
def test_while_the_provider_is_down_passwords_go_on_working(
    stranger: Visitor, idp: Provider, at: str
) -> None:
    person()
    place = "/sign-in/oidc" if at == "beginning" else to_provider(stranger)
    idp.down = True

    answer = arrive(stranger, place)

    assert answer.status_code == 503
    assert "cannot be reached" in said(answer)
    assert stranger.post("/sign-in", {"email": ADA, "password": PASSWORD}).status_code == 303


def test_a_provider_that_says_nothing_is_waited_for_a_moment_only(
    stranger: Visitor, idp: Provider, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert door.TIMEOUT_SECONDS <= 5
    monkeypatch.setattr(door, "TIMEOUT_SECONDS", 0.2)
    configure()
    idp.silent = True
    began = time.monotonic()

    answer = stranger.get("/sign-in/oidc")

    assert time.monotonic() - began < 4.5
    assert "cannot be reached" in said(answer)


def test_nobody_waits_for_a_provider_that_was_silent_a_moment_ago(app: Flask, idp: Provider) -> None:
    idp.down = True

    assert [Visitor(app).get("/sign-in/oidc").status_code for _ in range(3)] == [503] * 3
    assert len(idp.paths) == 1


@pytest.mark.parametrize(
    "description",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "ftp://127.0.0.1/"},
        {"token_endpoint": ""},
        {"jwks_uri": 7},
        {"id_token_signing_alg_values_supported": ["HS256", "none"]},
    ],
    ids=str,
)
def test_a_provider_that_is_not_what_was_configured_is_not_used(
    stranger: Visitor, idp: Provider, description: dict[str, Any]
) -> None:
    idp.description = description

    answer = stranger.get("/sign-in/oidc")

    assert answer.status_code == 503
    assert idp.queries == []


def test_keys_that_are_none_are_no_crash(stranger: Visitor, idp: Provider) -> None:
    idp.description = {"jwks_uri": f"{idp.issuer}/.well-known/openid-configuration"}

    assert come_in(stranger).status_code == 401


# -- the button, and the settings


def test_the_button_is_there_only_with_a_provider(configure: Callable[..., None], stranger: Visitor) -> None:
    link = stranger.soup("/sign-in?next=/jobs").select_one("main a[href^='/sign-in/oidc']")
    assert words(link) == "Sign in with Acme"
    assert parse_qs(urlsplit(str(link["href"])).query) == {"next": ["/jobs"]}  # type: ignore[index]

    configure(oidc_issuer="")

    assert stranger.soup("/sign-in").select_one("main a[href^='/sign-in/oidc']") is None
    assert [stranger.get(f"/sign-in/oidc{end}").status_code for end in ("", "/return")] == [404, 404]


WHOLE = {"OIDC_ISSUER": "https://id.example.org", "OIDC_CLIENT_ID": "board", "OIDC_CLIENT_SECRET": "s"}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET is empty"),
        ({"OIDC_ISSUER": "", "OIDC_CLIENT_ID": ""}, "OIDC_ISSUER and OIDC_CLIENT_ID is empty"),
        ({"OIDC_ISSUER": "http://id.example.org"}, "write an address like https://"),
        ({"OIDC_ISSUER": "id.example.org"}, "write an address like https://"),
        ({"OIDC_ISSUER": "https://github.com"}, "does not speak OpenID Connect"),
        ({"OIDC_SCOPES": "email profile"}, "must contain openid"),
        ({"OIDC_DEFAULT_ROLE": "admin"}, "oidc_default_role"),
        ({"OIDC_ROLE_CLAIM": "groups"}, "needs OIDC_ADMIN_GROUPS"),
        ({"OIDC_ADMIN_GROUPS": "admins"}, "OIDC_ROLE_CLAIM"),
        (
            {"OIDC_ISSUER": "https://accounts.google.com", "OIDC_DEFAULT_ROLE": "viewer"},
            "everybody with a Google account",
        ),
    ],
    ids=str,
)
def test_half_a_configuration_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, str], sentence: str
) -> None:
    for name, value in (WHOLE | more).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as wrong:
        Settings()

    assert sentence in str(wrong.value)


def test_a_whole_configuration_is_read_and_its_secret_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "do-not-show-this"
    more = {
        "OIDC_CLIENT_SECRET": secret,
        "OIDC_ALLOWED_DOMAINS": "@Example.org, example.com",
        "OIDC_ROLE_CLAIM": "groups",
        "OIDC_USER_GROUPS": "/board/writers, engineers",
    }
    for name, value in (WHOLE | more).items():
        monkeypatch.setenv(name, value)

    read = Settings()

    assert read.oidc_allowed_domains == ("example.org", "example.com")
    assert read.oidc_user_groups == ("/board/writers", "engineers")
    assert secret not in repr(read)
