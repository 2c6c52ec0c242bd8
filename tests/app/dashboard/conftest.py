"""People of each role, on a clean database."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import Engine

from app.dashboard.session import limiter
from tests.app.dashboard.visiting import Visitor


@pytest.fixture(autouse=True)
def clean(quick: Engine, app: Flask) -> None:
    """Nothing of other tests, and no limit of logins but in the test about it."""
    app.config["CALLBOARD_LOGIN_LIMIT"] = "1000 per second"
    app.config["CALLBOARD_LINK_LIMIT"] = "1000 per second"
    limiter.reset()


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    """Nobody that is known."""
    return Visitor(app)


@pytest.fixture
def admin(app: Flask) -> Visitor:
    """An admin."""
    return Visitor(app, "admin")


@pytest.fixture
def user(app: Flask) -> Visitor:
    """A user."""
    return Visitor(app, "user")


@pytest.fixture
def viewer(app: Flask) -> Visitor:
    """A viewer."""
    return Visitor(app, "viewer")
