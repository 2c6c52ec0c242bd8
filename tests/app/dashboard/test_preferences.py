"""Settings: one's own password and keys, and for admins what is in force."""

from __future__ import annotations

from flask import Flask

from app.accounts import api_keys, users
from app.dashboard.preferences import in_force
from app.db import db
from tests.app.dashboard.visiting import Visitor, words

OLD, NEW = "an old password", "a new password"


def _with_password(app: Flask, role: str) -> Visitor:
    who = Visitor(app, role)
    with db.transaction():
        row = users.change(who.user_id, password=OLD, actor="test")
    who.come_in(row["token_version"])
    return who


def test_a_new_password_ends_every_session_but_this_one(app: Flask) -> None:
    who = _with_password(app, "user")
    elsewhere = app.test_client()
    with db.quick():
        version = db.value("SELECT token_version FROM users WHERE user_id = %(id)s", id=who.user_id)
    other = Visitor(app)
    other.client, other.user_id = elsewhere, who.user_id
    other.come_in(version)
    assert other.get("/settings").status_code == 200

    done = who.post("/settings/password", {"current": OLD, "new": NEW, "again": NEW})

    assert done.status_code == 303
    assert who.get("/settings").status_code == 200
    assert other.get("/settings").status_code == 302
    email = db_value("SELECT email FROM users WHERE user_id = %(id)s", who)
    with db.quick():
        assert users.sign_in(email, NEW)


def db_value(statement: str, who: Visitor) -> str:
    with db.quick():
        return str(db.value(statement, id=who.user_id))


def test_a_password_is_not_changed_without_the_old_one_or_by_half(app: Flask) -> None:
    who = _with_password(app, "viewer")
    for typed, complaint in (
        ({"current": "wrong wrong", "new": NEW, "again": NEW}, "is wrong"),
        ({"current": OLD, "new": NEW, "again": NEW + "x"}, "is not the same"),
        ({"current": OLD, "new": "short", "again": "short"}, "must have 10 to 200 characters"),
    ):
        answer = who.post("/settings/password", typed)
        assert answer.status_code == 422
        assert complaint in answer.text
        assert NEW not in answer.text
    assert who.get("/settings").status_code == 200


def test_whoever_tries_passwords_is_slowed_down(app: Flask) -> None:
    app.config["CALLBOARD_LOGIN_LIMIT"] = "2 per minute"
    who = _with_password(app, "user")
    wrong = {"current": "wrong wrong", "new": NEW, "again": NEW}

    codes = [who.post("/settings/password", wrong).status_code for _ in range(4)]

    assert codes == [422, 422, 429, 429]


def test_a_key_is_shown_once_and_works_until_it_is_revoked(user: Visitor) -> None:
    made = user.post("/settings/keys", {"name": "nightly", "scopes": ["read"], "life": "30"})
    text = made.text.split('id="fresh-key" tabindex="0">')[1].split("<")[0]

    assert made.headers["Cache-Control"] == "no-store"
    with db.quick():
        assert api_keys.recognise(text).user_id == user.user_id  # type: ignore[union-attr]
    page = user.soup("/settings")
    assert text not in str(page)
    assert "nightly" in words(page.select_one("#keys"))

    gone = user.post(f"/settings/keys/{text[3:11]}/revoke")

    assert gone.status_code == 303
    with db.quick():
        assert api_keys.recognise(text) is None
    assert "1 key is revoked" in words(user.soup("/settings").select_one("#keys"))


def test_a_key_needs_a_name_and_cannot_do_more_than_its_owner(user: Visitor) -> None:
    nameless = user.post("/settings/keys", {"scopes": ["read"]})
    mighty = user.post("/settings/keys", {"name": "x", "scopes": ["admin"]})

    assert nameless.status_code == mighty.status_code == 422
    assert "to know later what it is for" in nameless.text
    assert "choose at least one" in mighty.text


def test_the_keys_of_others_stay_theirs(admin: Visitor, user: Visitor) -> None:
    made = admin.post("/settings/keys", {"name": "of the admin", "scopes": ["read"]})
    text = made.text.split('id="fresh-key" tabindex="0">')[1].split("<")[0]

    assert user.post(f"/settings/keys/{text[3:11]}/revoke").status_code == 404
    assert user.post("/settings/keys/nonesuch/revoke").status_code == 404
    with db.quick():
        assert api_keys.recognise(text) is not None


def test_admins_see_what_is_in_force_and_nobody_sees_secrets(
    app: Flask, admin: Visitor, user: Visitor
) -> None:
    shown = words(admin.soup("/settings").select_one("#in-force"))
    settings = app.config["CALLBOARD"]

    assert "JOB_RETENTION_DAYS 30" in shown
    assert "CALLBOARD_HOME" in shown
    for secret in (settings.signing_key, settings.database_url, settings.secret_key):
        assert not secret or secret not in shown
    assert user.soup("/settings").select_one("#in-force") is None


def test_every_setting_that_opens_something_is_known_as_a_secret(app: Flask) -> None:
    with app.test_request_context():
        open_ones = {row["name"] for row in in_force() if not row["secret"]}

    suspicious = [
        name for name in open_ones if any(w in name for w in ("KEY", "TOKEN", "PASSWORD", "SECRET"))
    ]
    assert sorted(suspicious) == ["ACCESS_TOKEN_MINUTES", "REFRESH_TOKEN_DAYS", "STRAPI_KEY_FIELD"]


def test_one_sees_where_one_is_signed_in_and_ends_that_elsewhere(app: Flask, user: Visitor) -> None:
    others = [Visitor(app) for _ in range(3)]
    for other in others:
        other.user_id = user.user_id
        other.come_in(0)
    page = user.soup("/settings")
    assert words(page.select_one("#logins")).count("Sign out An unknown program") == 3
    assert "this one" in words(page.select_one("#logins"))

    first = page.select_one("#logins button[formaction*='/settings/logins/']")
    assert first
    assert user.post(str(first["formaction"])).status_code == 303
    assert [each.get("/").status_code for each in others].count(302) == 1
    assert user.post("/settings/logins/end-others").status_code == 303
    assert [each.get("/").status_code for each in others] == [302] * 3
    assert user.get("/settings").status_code == 200


def test_the_logins_of_others_are_not_there(user: Visitor, admin: Visitor) -> None:
    page = admin.client
    with page.session_transaction() as cookie:
        theirs = cookie["_user_id"].rpartition(":")[2]

    assert user.post(f"/settings/logins/{theirs}/end").status_code == 404
    assert user.post("/settings/logins/nonsense/end").status_code == 404
    assert admin.get("/").status_code == 200


def test_wrong_current_passwords_lock_the_account_too(app: Flask) -> None:
    who = _with_password(app, "user")
    wrong = {"current": "wrong wrong", "new": NEW, "again": NEW}
    said = [who.post("/settings/password", wrong).text for _ in range(6)][-1]

    assert "cannot be tried now. Too many wrong passwords" in said
