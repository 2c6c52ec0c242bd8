"""The people's page: finding them, making them, and what admins do about one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from werkzeug.test import TestResponse

from app.accounts import api_keys, lockout, logins, users
from app.accounts.permissions import Principal
from app.db import db
from tests.app.dashboard.aside import db as aside
from tests.app.dashboard.visiting import Visitor, words

PASSWORD = "correct horse battery"


def person(email: str = "grace@example.org", role: str = "user", **more: Any) -> str:
    """The id of somebody with a password."""
    with db.transaction():
        return str(users.create(email, PASSWORD, role=role, **more)["user_id"])


def listed(admin: Visitor, query: str = "") -> list[str]:
    """Whom the table shows, by what stands in their rows."""
    return [words(row) for row in admin.soup(f"/users{query}").select("tbody tr")]


def row(user_id: str) -> dict[str, Any]:
    """Their account."""
    found = aside.row("SELECT * FROM users WHERE user_id = %(id)s::uuid", id=user_id)
    assert found is not None
    return dict(found)


def said(visitor: Visitor, answer: TestResponse) -> str:
    """What the page says that the answer leads to."""
    return words(visitor.soup(answer.headers["Location"]).select_one("#notices"))


def audited(subject: str) -> list[tuple[str, str]]:
    """What was done to them and by whom, as the audit has it."""
    found = aside.rows("SELECT action, actor FROM audit_log WHERE subject = %(id)s ORDER BY id", id=subject)
    return [(each["action"], each["actor"]) for each in found]


@pytest.fixture
def mail(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Whether a mail server is configured."""

    def told(is_there: bool) -> None:
        host = "mail.example.org" if is_there else ""
        changed = app.config["CALLBOARD"].model_copy(update={"smtp_host": host})
        monkeypatch.setitem(app.config, "CALLBOARD", changed)

    return told


# -- the list


def test_it_says_of_everybody_how_they_stand(admin: Visitor) -> None:
    person("new@example.org")
    off, locked, linked = (
        person("off@example.org"),
        person("locked@example.org"),
        person("linked@example.org"),
    )
    with db.transaction():
        users.change(off, enabled=False, actor="test")
        for _ in range(lockout.WRONG_A_MINUTE + 1):
            lockout.failed(locked)
    aside.run(
        """UPDATE users SET oidc_issuer = 'https://id.example.org', oidc_subject = '1', last_login_at = now()
           WHERE user_id = %(id)s::uuid""",
        id=linked,
    )

    seen = {line.split(" ")[0].partition("@")[0]: line for line in listed(admin)}

    assert "Never signed in" in seen["new"]
    assert "Switched off" in seen["off"]
    assert "Locked" in seen["locked"]
    assert "Active single sign-on" in seen["linked"]
    assert "you" in seen[next(name for name in seen if name.startswith("admin"))]


def test_it_counts_the_logins_and_keys_that_live(admin: Visitor) -> None:
    user_id = person(name="Grace Hopper")
    who = Principal(user_id=user_id, email="grace@example.org", role="user")
    with db.transaction():
        api_keys.create(who, name="one")
        api_keys.revoke(who, api_keys.create(who, name="two").key_id)
        for _ in range(2):
            made = logins.open_login(
                user_id, kind="browser", method="password", ip=None, user_agent=None, life=timedelta(hours=1)
            )
        logins.end(made)

    (line,) = (each for each in listed(admin) if "Grace Hopper" in each)

    assert line.endswith("1 1")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?q=HOPPER", ["Grace Hopper"]),
        ("?q=ada@", ["Ada"]),
        ("?q=%25", []),
        ("?role=viewer", ["Ada"]),
        ("?role=user&state=never", ["Grace Hopper"]),
        ("?state=disabled", []),
        ("?q=grace&role=viewer", []),
    ],
)
def test_people_are_found_by_name_address_role_and_state(
    admin: Visitor, query: str, names: list[str]
) -> None:
    person("grace@example.org", name="Grace Hopper")
    person("ada@example.org", "viewer", name="Ada")

    found = [str(link.text) for link in admin.soup(f"/users{query}").select("tbody .what a")]

    assert found == names


def test_nobody_found_leaves_a_way_back(admin: Visitor) -> None:
    empty = admin.soup("/users?q=nobody+is+called+this").select_one(".empty")

    assert "Nobody fits" in words(empty)
    assert empty.select_one("a[href='/users']")  # type: ignore[union-attr]


def test_unknown_words_in_the_address_are_ignored(admin: Visitor) -> None:
    assert len(listed(admin, "?role=king&state=happy&page=x")) == 1


def test_a_long_list_has_pages(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.dashboard.users.PAGE_SIZE", 2)
    for name in "xyz":
        person(f"{name}@example.org")

    first, second = admin.soup("/users?role=user"), admin.soup("/users?role=user&page=1")

    assert [str(a.text) for a in first.select("tbody .what a")] == ["x@example.org", "y@example.org"]
    assert str(first.select_one("a[rel=next]")["href"]) == "/users?page=1&role=user"  # type: ignore[index]
    assert [str(a.text) for a in second.select("tbody .what a")] == ["z@example.org"]


# -- making somebody


def test_a_new_person_comes_in_by_the_link_that_is_shown_once(
    admin: Visitor, stranger: Visitor, mail: Callable[[bool], None]
) -> None:
    mail(False)

    answer = admin.post("/users/new", {"email": "Grace@example.org", "name": "Grace", "role": "user"})

    assert answer.headers["Cache-Control"] == "no-store"
    shown = BeautifulSoup(answer.text, "html.parser").select_one("#fresh-link")
    link = re.fullmatch(r"http://[^/]+(/reset/\S+)", words(shown))
    assert link
    answer = stranger.client.get(link[1])
    token = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
    assert token
    stranger.client.post(link[1], data={"csrf_token": token[1], "new": PASSWORD, "again": PASSWORD})
    signed_in = stranger.post("/sign-in", {"email": "grace@example.org", "password": PASSWORD})
    assert signed_in.status_code == 303
    made = aside.row("SELECT user_id::text, name, role FROM users WHERE email = 'grace@example.org'")
    assert (made["name"], made["role"]) == ("Grace", "user")
    assert link[1].rpartition("/")[2] not in admin.get(f"/users/{made['user_id']}").text
    assert ("user.created", admin.user_id) in audited(made["user_id"])


def test_with_a_mail_server_the_invitation_is_sent_and_not_shown(
    admin: Visitor, mail: Callable[[bool], None]
) -> None:
    mail(True)

    answer = admin.post("/users/new", {"email": "grace@example.org", "role": "user", "send": "on"})

    assert "on its way to grace@example.org" in said(admin, answer)
    sent = aside.row("SELECT channel, target, event FROM deliveries")
    assert sent == {"channel": "email", "target": "grace@example.org", "event": "account.invite"}


@pytest.mark.parametrize(
    ("typed", "field", "complaint"),
    [
        ({"email": "nobody"}, "email", "must look like name@host"),
        ({"email": "taken@example.org"}, "email", "somebody's already"),
        ({"role": "king"}, "role", "choose from"),
        ({"role": ""}, "role", "choose from"),
        ({"name": "x" * 101}, "name", "at most 100"),
        ({"name": "a\x1b[31m"}, "name", "at most 100"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nobody_is_made(
    admin: Visitor, typed: dict[str, str], field: str, complaint: str
) -> None:
    person("taken@example.org")
    before = aside.value("SELECT count(*) FROM users")

    answer = admin.post(
        "/users/new", {"email": "grace@example.org", "name": "<b>Grace</b>", "role": "user", **typed}
    )
    form = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert complaint in words(form.select_one(f"#{field}-wrong"))
    if "name" not in typed:
        assert form.select_one("#name")["value"] == "<b>Grace</b>"  # type: ignore[index]
    assert aside.value("SELECT count(*) FROM users") == before


# -- one of them


def test_name_and_role_are_changed_and_a_new_role_signs_out(admin: Visitor, user: Visitor) -> None:
    answer = admin.post(f"/users/{user.user_id}", {"name": " Grace \t Hopper ", "role": "viewer"})

    assert "is saved" in said(admin, answer)
    changed = row(user.user_id)
    assert (changed["name"], changed["role"]) == ("Grace Hopper", "viewer")
    assert user.get("/").status_code == 302


def test_a_new_name_alone_signs_nobody_out(admin: Visitor, user: Visitor) -> None:
    admin.post(f"/users/{user.user_id}", {"name": "Grace", "role": "user"})

    assert row(user.user_id)["name"] == "Grace"
    assert user.get("/").status_code == 200


def test_nobody_demotes_or_switches_off_themselves(admin: Visitor, app: Flask) -> None:
    other = Visitor(app, "admin")
    admin.post(f"/users/{other.user_id}/disable")
    assert row(other.user_id)["enabled"] is False

    refused = admin.post(f"/users/{admin.user_id}", {"name": "", "role": "user"})
    answer = admin.post(f"/users/{admin.user_id}/disable")

    assert refused.status_code == 422
    assert "another admin" in words(BeautifulSoup(refused.text, "html.parser").select_one("#role-wrong"))
    assert "cannot switch yourself off" in said(admin, answer)
    assert (row(admin.user_id)["role"], row(admin.user_id)["enabled"]) == ("admin", True)


def test_switching_off_says_what_it_does_and_does_it(admin: Visitor, user: Visitor) -> None:
    page = admin.soup(f"/users/{user.user_id}")
    warned = words(page.select_one("#off"))
    assert "signed out at once" in warned
    assert "go on" in warned
    assert page.select_one("#off button[data-confirm]")

    answer = admin.post(f"/users/{user.user_id}/disable")

    assert "is switched off" in said(admin, answer)
    assert user.get("/").status_code == 302
    assert "their schedules rest" in words(admin.soup(f"/users/{user.user_id}").select_one("main"))
    admin.post(f"/users/{user.user_id}/enable")
    assert row(user.user_id)["enabled"] is True
    assert audited(user.user_id)[-2:] == [("user.changed", admin.user_id)] * 2


def test_a_reset_link_is_made_and_the_one_before_is_worth_nothing(
    admin: Visitor, stranger: Visitor, mail: Callable[[bool], None]
) -> None:
    mail(False)
    user_id = person()

    links = [
        words(
            BeautifulSoup(admin.post(f"/users/{user_id}/reset").text, "html.parser").select_one("#fresh-link")
        )
        for _ in range(2)
    ]

    assert [stranger.get("/reset/" + link.rpartition("/")[2]).status_code for link in links] == [404, 200]
    assert ("auth.link_made", admin.user_id) in audited(user_id)


def test_no_link_is_made_for_somebody_who_is_switched_off(admin: Visitor) -> None:
    user_id = person()
    admin.post(f"/users/{user_id}/disable")

    assert "switch it on first" in said(admin, admin.post(f"/users/{user_id}/reset"))


def test_a_lock_is_lifted(admin: Visitor, stranger: Visitor) -> None:
    user_id = person()
    with db.transaction():
        for _ in range(lockout.WRONG_A_MINUTE + 1):
            lockout.failed(user_id)
    assert "nobody can sign in as them" in words(admin.soup(f"/users/{user_id}").select_one("main"))

    admin.post(f"/users/{user_id}/unlock")

    assert stranger.post("/sign-in", {"email": "grace@example.org", "password": PASSWORD}).status_code == 303
    assert ("user.unlocked", admin.user_id) in audited(user_id)


def test_somebody_is_signed_out_everywhere(admin: Visitor, user: Visitor) -> None:
    assert "by password, from 127.0.0.1" in words(admin.soup(f"/users/{user.user_id}").select_one("#logins"))

    admin.post(f"/users/{user.user_id}/sign-out")

    assert user.get("/").status_code == 302
    assert ("user.signed_out", admin.user_id) in audited(user.user_id)


def test_signing_oneself_out_everywhere_leaves_this_browser(admin: Visitor) -> None:
    answer = admin.post(f"/users/{admin.user_id}/sign-out")

    assert "everywhere else" in said(admin, answer)


def test_a_key_is_revoked_but_only_on_its_owners_page(admin: Visitor) -> None:
    owner, other = person(), person("other@example.org")
    with db.transaction():
        who = Principal(user_id=owner, email="grace@example.org", role="user")
        key = api_keys.create(who, name="nightly")

    assert admin.post(f"/users/{other}/keys/{key.key_id}/revoke").status_code == 404
    answer = admin.post(f"/users/{owner}/keys/{key.key_id}/revoke")

    assert "The key nightly is revoked" in said(admin, answer)
    with db.quick():
        assert api_keys.recognise(key.text) is None


def test_an_identity_is_unlinked(admin: Visitor) -> None:
    user_id = person()
    aside.run(
        "UPDATE users SET oidc_issuer = 'https://id.example.org', oidc_subject = '1' WHERE user_id = %(id)s::uuid",
        id=user_id,
    )

    admin.post(f"/users/{user_id}/unlink")

    assert row(user_id)["oidc_subject"] is None
    assert ("user.unlinked", admin.user_id) in audited(user_id)


def test_the_page_tells_what_was_done_last(admin: Visitor) -> None:
    user_id = person()
    admin.post(f"/users/{user_id}", {"name": "Grace", "role": "user"})

    newest = words(admin.soup(f"/users/{user_id}").select("#entries li")[0])

    assert newest.startswith("user.changed by admin-")


# -- who may


@pytest.mark.parametrize("path", ["/users", "/users/new", "/users/{id}"])
def test_only_admins_look(admin: Visitor, user: Visitor, viewer: Visitor, path: str) -> None:
    place = path.replace("{id}", user.user_id)

    assert [who.get(place).status_code for who in (admin, user, viewer)] == [200, 403, 403]


@pytest.mark.parametrize(
    "path",
    [
        "new",
        "{id}",
        *(f"{{id}}/{v}" for v in ("enable", "disable", "unlock", "sign-out", "unlink", "invite", "reset")),
    ],
)
def test_only_admins_act(user: Visitor, viewer: Visitor, path: str) -> None:
    before = row(user.user_id)

    answers = [who.post("/users/" + path.replace("{id}", user.user_id)).status_code for who in (user, viewer)]

    assert answers == [403, 403]
    assert row(user.user_id) == before


@pytest.mark.parametrize("path", ["/users/nobody", "/users/01a204af-64dc-7583-a2de-292d77df7374"])
def test_who_is_not_there_is_not_found(admin: Visitor, path: str) -> None:
    assert admin.get(path).status_code == 404
    assert admin.post(f"{path}/disable").status_code == 404
    assert admin.post(f"/users/{admin.user_id}/promote").status_code == 404
