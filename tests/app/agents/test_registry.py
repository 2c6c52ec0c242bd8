"""The registry: installed by content, every version kept, limits as rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.agents import registry
from app.agents.definition import parse
from app.db import db
from app.errors import AgentNotFound, NotFound
from tests import acting


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


def _text(body: str = "One.", more: str = "") -> str:
    return f"---\ndescription: d\nx-callboard: {{runner: http, http: {{url: 'https://x.example'}}{more}}}\n---\n{body}\n"


def _install(body: str = "One.", more: str = "") -> bool:
    return registry.install(parse("caller", _text(body, more)), "one test")


def test_installing_the_same_again_changes_nothing() -> None:
    assert _install() is True
    before = registry.get("caller")
    assert _install() is False
    registry.forget()
    assert registry.get("caller") == before


def test_every_version_is_kept_and_numbered_and_an_old_one_can_come_back() -> None:
    for body in ("One.", "Two.", "One."):
        assert _install(body)
    rows = db.rows("SELECT number, version FROM agent_versions WHERE agent_id = 'caller' ORDER BY number")
    assert [row["number"] for row in rows] == [1, 2]
    assert registry.get("caller").version == rows[0]["version"]
    assert registry.definition_of("caller", rows[1]["version"]).instructions == "Two."
    with pytest.raises(NotFound):
        registry.definition_of("caller", "0" * 16)


def test_limits_become_rows_and_go_with_them() -> None:
    _install(more=", max_concurrent: 3, rate_limit: 6/minute")
    slots = "SELECT count(*) FROM agent_slots WHERE agent_id = 'caller'"
    rates = "SELECT count(*) FROM agent_rates WHERE agent_id = 'caller'"
    assert (db.value(slots), db.value(rates)) == (3, 1)
    assert registry.get("caller").gated
    registry.set_limits("caller", None, None)
    assert db.value(rates) == 0
    assert not registry.get("caller").gated


@pytest.mark.parametrize("name", ["caller", "CALLER", " caller "])
def test_an_id_is_found_however_it_is_written(name: str) -> None:
    _install()
    assert registry.get(name).agent_id == "caller"
    assert registry.get("test_noop").agent_id == "test-noop"


def test_an_unknown_agent_is_not_found_in_either_way() -> None:
    with pytest.raises(NotFound):
        registry.get("nobody")
    with pytest.raises(AgentNotFound):
        registry.demand("nobody")


def test_health_is_what_the_workers_said_and_off_is_off() -> None:
    _install()
    assert registry.get("caller").health["status"] == "unavailable"
    registry.note_health({"caller": ("degraded", "slow")})
    registry.forget()
    assert registry.get("caller").health == {"status": "degraded", "reason": "slow"}
    registry.enable("caller", enabled=False)
    assert registry.get("caller").health == {"status": "unavailable", "reason": "switched off by an admin"}


def test_the_table_is_read_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.all_agents()
    monkeypatch.setattr(db, "rows", lambda *_a, **_k: pytest.fail("read again"))
    assert "test-noop" in {a.agent_id for a in registry.all_agents()}


def test_the_public_face_hides_instructions_and_configuration() -> None:
    acting.agent("faced", title="Faced")
    shown = registry.public(registry.get("faced"))
    assert (shown["agent_name"], shown["health"]["status"]) == ("Faced", "unavailable")
    assert not {"instructions", "runner_config", "extra"} & set(shown)
