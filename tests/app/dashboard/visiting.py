"""A person with a browser that has cookies and no JavaScript."""

from __future__ import annotations

import re
from typing import Any

from bs4 import BeautifulSoup, Tag
from flask import Flask
from werkzeug.test import TestResponse

from app.accounts import logins, users
from app.dashboard.session import LIFETIME
from app.db import db


class Visitor:
    """Somebody at the dashboard; signed in if they have an account."""

    def __init__(self, app: Flask, role: str | None = None) -> None:
        """Make an account with `role` and its cookie; None stays outside."""
        self.client = app.test_client()
        self.user_id = ""
        self._token = ("", "")
        if role:
            with db.transaction():
                row = users.create(f"{role}-{id(self)}@example.org", None, role=role)
            self.user_id = str(row["user_id"])
            self.come_in(row["token_version"])

    def come_in(self, token_version: int) -> None:
        """Have the cookie of a new login, as if they had signed in."""
        with db.transaction():
            login_id = logins.open_login(
                self.user_id,
                kind="browser",
                method="password",
                ip="127.0.0.1",
                user_agent="visitor",
                life=LIFETIME,
            )
        with self.client.session_transaction() as cookie:
            cookie["_user_id"] = f"{self.user_id}:{token_version}:{login_id}"

    def get(self, path: str, **headers: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, headers=headers)

    def soup(self, path: str) -> BeautifulSoup:
        """Open a page that must be there, to look around in it."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text[:500]
        return BeautifulSoup(answer.text, "html.parser")

    def token(self) -> str:
        """The token that forms carry; read from a page again whenever the session has changed."""
        known, token = self._token
        if not known or known != self._session():
            page = self.get("/agents" if self.user_id else "/sign-in").text
            found = re.search(r'name="csrf_token" value="([^"]+)"', page)
            assert found
            token = found[1]
            self._token = (self._session(), token)
        return token

    def _session(self) -> str:
        """What the cookie says, without the time and the signature at its end; empty without one."""
        cookie = self.client.get_cookie("callboard")
        return cookie.value.rsplit(".", 2)[0] if cookie else ""

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, follow: bool = False, **headers: str
    ) -> TestResponse:
        """Send a form."""
        form = {"csrf_token": self.token(), **(data or {})}
        return self.client.post(path, data=form, headers=headers, follow_redirects=follow)


def words(tag: Tag | BeautifulSoup | None) -> str:
    """What people read there, with single spaces; it must be there."""
    assert tag is not None
    return " ".join(tag.get_text(" ").split())
