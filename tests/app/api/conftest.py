"""Callers of each role, on a clean database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask import Flask
from sqlalchemy import Engine

from app.accounts import api_keys, passwords, users
from app.accounts.permissions import Principal
from app.db import db
from app.limiter import limiter
from tests.app.api.calling import Caller, strict

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document, closed: what is not described must not be sent."""
    return strict(orjson.loads(app.extensions["callboard-openapi"]))


@pytest.fixture(autouse=True)
def clean(quick: Engine, app: Flask) -> None:
    """Nothing of other tests, and no limit of logins but in the test about it."""
    app.config["CALLBOARD_LOGIN_LIMIT"] = "1000 per second"
    limiter.reset()
    if limiter._fallback_storage:
        limiter._fallback_storage.reset()


@pytest.fixture(scope="session")
def stored_password() -> str:
    """What is stored of PASSWORD; hashing is slow on purpose, and a thousand tests have an owner."""
    return passwords.hashed(PASSWORD)


@pytest.fixture
def make_caller(app: Flask, document: dict[str, Any], stored_password: str) -> Callable[..., Caller]:
    """Make a user with an API key: `make_caller("ada", "user")`."""

    def make(name: str, role: str, scopes: frozenset[str] | None = None) -> Caller:
        with db.transaction():
            user = users.create(f"{name}@example.org", None, role=role, name=name)
            if name == "owner":  # the only one who signs in by password
                db.run(
                    "UPDATE users SET password_hash = %(it)s WHERE user_id = %(id)s",
                    it=stored_password,
                    id=user["user_id"],
                )
            principal = Principal(user_id=str(user["user_id"]), email=user["email"], role=role)
            key = api_keys.create(principal, name="test", scopes=scopes)
        return Caller(app, document, principal, key.text)

    return make


@pytest.fixture
def nobody(app: Flask, document: dict[str, Any]) -> Caller:
    """Without a token."""
    return Caller(app, document)


@pytest.fixture
def admin(make_caller: Callable[..., Caller]) -> Caller:
    """An admin."""
    return make_caller("admin", "admin")


@pytest.fixture
def owner(make_caller: Callable[..., Caller]) -> Caller:
    """A user; jobs of most tests are theirs."""
    return make_caller("owner", "user")


@pytest.fixture
def other(make_caller: Callable[..., Caller]) -> Caller:
    """Another user."""
    return make_caller("other", "user")


@pytest.fixture
def viewer(make_caller: Callable[..., Caller]) -> Caller:
    """A viewer."""
    return make_caller("viewer", "viewer")
