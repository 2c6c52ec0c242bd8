"""The app on a port of its own, and people who call its tools by HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine
from werkzeug.serving import make_server

from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.api.limits import limiter
from app.db import db
from tests.app.mcp.model import Model


@pytest.fixture(scope="session")
def url(app: Flask) -> Iterator[str]:
    """Where the app is served."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def clean(quick: Engine, app: Flask) -> None:
    """Nothing of other tests."""
    limiter.reset()


@pytest.fixture
def make_model(url: str) -> Callable[..., Model]:
    """Make a user with a key: `make_model("ada", "user")`."""

    def make(name: str, role: str, scopes: frozenset[str] | None = None) -> Model:
        with db.transaction():
            user = users.create(f"{name}@example.org", None, role=role, name=name)
            who = Principal(user_id=str(user["user_id"]), email=user["email"], role=role)
            key = api_keys.create(who, name="test", scopes=scopes)
        return Model(url, key.text, who.user_id)

    return make


@pytest.fixture
def model(make_model: Callable[..., Model]) -> Model:
    """A user's model; tasks of most tests are theirs."""
    return make_model("owner", "user")
