"""With which settings nothing starts, and how that is said (DEP-08, SEC-12)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from app.cli import cli
from app.settings import ROOT, WRONG_SETTINGS, Settings

KEY = "3f9c1b7a5d2e8f60" * 3
PRODUCTION = {"CALLBOARD_ENV": "production"}

REFUSED: list[tuple[dict[str, str], str]] = [
    # what is set in production, and what is said about the way out
    ({"SECRET_KEY": "short"}, "at least 32 characters"),
    ({"SECRET_KEY": "a" * 64}, "openssl rand -hex 32"),
    ({"SECRET_KEY": "changeme" * 5, "JWT_SECRET": "12" * 32}, "JWT_SECRET can be guessed"),
    ({"JWT_SECRET": "short"}, "JWT_SECRET must have at least 32 characters"),
    ({"CALLBOARD_ADMIN_PASSWORD": "tooshort"}, "at least 10 characters"),
    ({"CALLBOARD_ADMIN_PASSWORD": "Changeme123!"}, "everybody tries first"),
    ({"ADMIN_PASSWORD": "password1234"}, "everybody tries first"),
    ({"CALLBOARD_ADMIN_PASSWORD": "1234567890"}, "everybody tries first"),
    ({"FLASK_DEBUG": "1"}, "CALLBOARD_ENV=development"),
    ({"HTTP_ALLOW_PRIVATE": "true"}, "HTTP_ALLOW_PRIVATE=in-production"),
    ({"DATABASE_URL": "sqlite:///callboard.db"}, "postgresql://"),
    ({"DATABASE_URL": "mysql://u@h/d"}, "postgresql://"),
    ({"REDIS_URL": "memcached://h"}, "rediss://"),
    ({"BASE_URL": "callboard.example.org"}, "https://callboard.example.org"),
    ({"TRUSTED_PROXIES": "-1"}, "greater than or equal to 0"),
]

TAKEN: list[dict[str, str]] = [
    {"SECRET_KEY": KEY, "JWT_SECRET": KEY[::-1]},
    {"CALLBOARD_ADMIN_PASSWORD": "a long enough password"},
    {"CALLBOARD_ADMIN_PASSWORD": "admins like coffee 12"},
    {"HTTP_ALLOW_PRIVATE": "in-production"},
    {"CALLBOARD_ENV": "development", "HTTP_ALLOW_PRIVATE": "true", "FLASK_DEBUG": "1"},
    {"CALLBOARD_ENV": "test", "CALLBOARD_ADMIN_PASSWORD": "password"},
    {"FLASK_DEBUG": "0"},
    {},
]


@pytest.mark.parametrize(("variables", "words"), REFUSED)
def test_what_must_not_be_in_production_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**PRODUCTION | variables)
    assert words in str(refused.value)


@pytest.mark.parametrize("variables", TAKEN)
def test_what_may_be_is_taken(variables: dict[str, str]) -> None:
    Settings(**PRODUCTION | variables)


def test_a_secret_is_never_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(
            **PRODUCTION,
            SECRET_KEY="s3cr" * 3,
            CALLBOARD_ADMIN_PASSWORD="Welcome99!",
            REDIS_URL="http://:pw@h",
        )
    assert not [word for word in ("s3cr", "Welcome99", "pw@h") if word in str(refused.value)]


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**PRODUCTION, FLASK_DEBUG="1", CALLBOARD_ADMIN_PASSWORD="short")
    assert {name for name in ("FLASK_DEBUG", "CALLBOARD_ADMIN_PASSWORD") if name in str(refused.value)} == {
        "FLASK_DEBUG",
        "CALLBOARD_ADMIN_PASSWORD",
    }


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "from app import create_app; create_app()"),
        ("-m", "dramatiq", "actors.worker", "--processes", "1"),
    ],
)
def test_no_process_starts_and_each_says_why(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **PRODUCTION, "SECRET_KEY": "short", "DATABASE_URL": "postgres://127.0.0.1:1/d"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == WRONG_SETTINGS, done.stderr
    assert "SECRET_KEY must have at least 32 characters" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/d"},
            "Postgres does not answer; check DATABASE_URL",
        ),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set; `make run` sets it"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY must have at least 32 characters"),
    ],
)
def test_a_release_that_cannot_be_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, ["prepare"])

    assert done.exit_code == 1
    assert words in done.output
    assert "hunter2" not in done.output
