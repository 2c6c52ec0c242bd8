"""The command line as tests call it, on a clean database with one admin."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.accounts import users
from app.cli import cli
from app.db import db
from app.settings import Settings

Run = Callable[..., Result]
ADMIN = "admin@example.org"


def call_as_deployed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of commands: with one home for all tests the app is built once, see conftest.py."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("CALLBOARD_HOME", str(settings.home / "of-commands"))
    monkeypatch.setenv("CALLBOARD_ADMIN_EMAIL", ADMIN)


def caller(group: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, **others: str) -> Run:
    """What calls the commands of a group; `others` are people besides the admin: role=their e-mail."""
    call_as_deployed(settings, monkeypatch)
    with db.transaction():
        for role, email in {"admin": ADMIN, **others}.items():
            users.create(email, None, role=role)

    def call(*words: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, [group, *map(str, words)], input=stdin)

    return call


def told(run: Run, *words: object, stdin: str | None = None) -> Any:
    """What a command answers as JSON; it must succeed."""
    done = run(*words, "--json", stdin=stdin)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)
