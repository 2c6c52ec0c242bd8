"""People of sessions: Ada owns them, Bob takes part, Eve is somebody else; an admin and a viewer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine

from app.accounts import users
from app.accounts.permissions import Principal
from app.db import db
from app.notify import setup
from app.notify.setup import Setup


@dataclass(frozen=True)
class People:
    """Everybody by name."""

    ada: Principal
    bob: Principal
    eve: Principal
    root: Principal
    vic: Principal


def _person(name: str, role: str) -> Principal:
    email = f"{name}@sessions.test"
    row = users.create(email, None, role=role, name=name)
    return Principal(user_id=str(row["user_id"]), email=email, role=role)


@pytest.fixture
def people(quick: Engine) -> People:
    """Fresh users in a clean database."""
    roles = {"ada": "user", "bob": "user", "eve": "user", "root": "admin", "vic": "viewer"}
    with db.transaction():
        return People(**{name: _person(name, role) for name, role in roles.items()})


@pytest.fixture
def here(people: People) -> Iterator[None]:
    """The whole test in one transaction."""
    with db.transaction():
        yield


@pytest.fixture(autouse=True)
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks may go to this machine, where the receivers of tests are; nobody is woken."""
    monkeypatch.setattr(setup, "_setup", Setup(allow_private=True))
    monkeypatch.setattr(setup, "_wake", setup._nobody)
