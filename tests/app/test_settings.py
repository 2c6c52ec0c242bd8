"""Settings: read once, checked at start, with words for what is wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import POOLS, ROOT, Settings, load


@pytest.mark.parametrize("scheme", ["postgres://", "postgresql://", "postgresql+psycopg2://"])
def test_every_way_to_write_the_database_url_is_understood(scheme: str) -> None:
    assert Settings(DATABASE_URL=f"{scheme}u@h/d").database_url == "postgresql+psycopg2://u@h/d"


def test_pools_are_read_from_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBOARD_POOLS", "testing, general")
    assert load().pools == ("testing", "general")


def test_every_pool_is_served_unless_told() -> None:
    assert Settings().pools == POOLS


def test_folders_are_separated_by_colons_and_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_FOLDERS", f"here:{tmp_path}/there")
    assert load().agent_folders == (tmp_path / "here", tmp_path / "there")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("CALLBOARD_POOLS", "general,kitchen", "unknown pool 'kitchen'"),
        ("PORT", "99999", "PORT"),
        ("PORT", "eighty", "PORT"),
        ("SECRET_KEY", "short", "at least 32 characters"),
        ("SECRET_KEY_PREVIOUS", "short", "at least 32 characters"),
        ("JWT_SECRET_PREVIOUS", "short", "at least 32 characters"),
        ("LLM_PROVIDERS", "ollama,skynet", "unknown provider 'skynet'"),
        ("LLM_PROVIDERS", "local-demo", "unknown provider 'local-demo'"),
        ("OLLAMA_BASE_URL", "gpu:11434", "OLLAMA_BASE_URL"),
        ("LEASE_SECONDS", "15", "twice HEARTBEAT_SECONDS"),
        ("WORKER_THREADS", "0", "WORKER_THREADS"),
        ("CALLBOARD_ENV", "staging", "CALLBOARD_ENV"),
        ("SHUTDOWN_GRACE_SECONDS", "60", "SHUTDOWN_GRACE_SECONDS"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as wrong:
        load()
    assert words.lower() in str(wrong.value).lower()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert load().port == 8000


def test_other_platforms_names_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_TTL_SECONDS", "90")
    monkeypatch.setenv("ADMIN_EMAIL", "root@example.com")
    assert (load().lease_seconds, load().admin_email) == (90, "root@example.com")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_a_relative_home_lies_in_the_project() -> None:
    assert Settings(CALLBOARD_HOME="somewhere").home == ROOT / "somewhere"


def test_the_store_and_the_address_have_sensible_defaults(tmp_path: Path) -> None:
    plain = Settings(CALLBOARD_HOME=tmp_path, PORT=1234)
    assert (plain.artifact_store, plain.public_url) == (
        f"file://{tmp_path}/artifacts",
        "http://127.0.0.1:1234",
    )
    told = Settings(ARTIFACTS_URL="s3://b", BASE_URL="https://x.example/")
    assert (told.artifact_store, told.public_url) == ("s3://b", "https://x.example")


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(
            threads.map(lambda _: Settings(CALLBOARD_HOME=tmp_path, SECRET_KEY="").signing_key, range(8))
        )
    assert len(keys) == 1
    assert len(keys.pop()) >= 48
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.iterdir()] == ["secret_key"]


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
