"""Providers, models and prices over the API."""

from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.providers import catalogue, pools
from app.settings import Settings
from tests.app.api import world
from tests.app.api.calling import Caller

BUILT_IN = ["ollama", "huggingface", "gemini", "anthropic", "openai"]
NEW = {"provider_id": "acme", "base_url": "https://models.acme.example/v1", "model": "acme-1"}
PRICE = {
    "provider_id": "acme",
    "model": "a/b:c",
    "valid_from": "2026-01-31",
    "input_usd": 0.5,
    "output_usd": 2,
}


@pytest.fixture
def seeded(settings: Settings) -> None:
    with db.transaction():
        catalogue.seed(settings)


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.data
    return dict(answer.json)


def fail(provider_id: str, kind: str = "quota") -> None:
    with db.transaction():
        ticket = pools.enter(provider_id, tokens=10, job_id=world.submitted("x"), fence=1, seconds=60)
    assert isinstance(ticket, pools.Ticket)
    with db.transaction():
        pools.failed(ticket, kind, "no credit")


@pytest.mark.usefixtures("seeded")
def test_everybody_sees_the_providers_in_their_order(viewer: Caller) -> None:
    listed = body(viewer.get("/api/v1/providers"))

    assert [p["provider_id"] for p in listed["providers"]] == [*BUILT_IN, "local-demo"]
    assert [p["position"] for p in listed["providers"]] == [1, 2, 3, 4, 5, None]
    assert listed["total"] == 6
    anthropic = body(viewer.get("/api/v1/providers/anthropic"))
    assert (anthropic["key_name"], anthropic["status"], anthropic["source"]) == (
        "ANTHROPIC_API_KEY", "unknown", "settings",
    )  # fmt: skip
    assert viewer.get("/api/v1/providers/nobody").status_code == 404


@pytest.mark.usefixtures("seeded")
def test_an_open_breaker_says_why_and_until_when_and_a_reset_closes_it(admin: Caller, viewer: Caller) -> None:
    fail("openai")
    seen = body(viewer.get("/api/v1/providers/openai"))
    assert seen["status"] == "open"
    assert (seen["breaker"]["error_class"], seen["breaker"]["last_error"]) == ("quota", "no credit")
    assert seen["breaker"]["open_until"] > seen["breaker"]["opened_at"]

    after = body(admin.post("/api/v1/providers/openai/reset"))
    assert (after["status"], after["breaker"]["state"], after["breaker"]["open_until"]) == (
        "unknown",
        "closed",
        None,
    )


@pytest.mark.usefixtures("seeded")
def test_an_admin_changes_some_things_and_the_others_stay(admin: Caller) -> None:
    changed = body(admin.call("PATCH", "/api/v1/providers/openai", json={"max_concurrent": 3, "position": 1}))
    assert changed["pools"]["calls"] == {"limit": 3, "used": 0}
    assert changed["changed_by_admin"] == ["max_concurrent", "position"]
    assert (changed["position"], changed["enabled"], changed["model"]) == (1, True, "gpt-6-sol")

    again = body(
        admin.call("PATCH", "/api/v1/providers/openai", json={"max_concurrent": None, "position": None})
    )
    assert (again["pools"]["calls"]["limit"], again["position"]) == (None, None)
    demo = admin.call("PATCH", "/api/v1/providers/local-demo", json={"position": 1})
    assert demo.status_code == 409


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"base_url": "gopher://x"}, "/base_url"),
        ({"key_name": "DATABASE_URL"}, "/key_name"),
        ({"key_name": "sk-live-0815"}, "/key_name"),
        ({"tokens_per_minute": 0}, "/tokens_per_minute"),
        ({"api_key": "sk-live-0815"}, "/api_key"),
        ({"demo": False}, "/demo"),
    ],
)
def test_what_cannot_be_set_is_pointed_at(admin: Caller, wish: dict[str, Any], pointer: str) -> None:
    problem = body(admin.call("PATCH", "/api/v1/providers/openai", json=wish), 422)

    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert body(admin.get("/api/v1/providers/openai"))["changed_by_admin"] == []


@pytest.mark.usefixtures("seeded")
def test_an_admin_adds_and_removes_a_provider_of_their_own(admin: Caller) -> None:
    answer = admin.post("/api/v1/providers", json=NEW | {"key_name": "ACME_KEY", "requests_per_minute": 60})
    made = body(answer, 201)
    assert answer.headers["Location"] == "/api/v1/providers/acme"
    assert (made["source"], made["position"], made["title"], made["kind"]) == ("admin", 6, "acme", "openai")
    assert made["pools"]["requests"] == {"limit": 60, "used": 0}
    assert admin.post("/api/v1/providers", json=NEW).status_code == 409

    assert admin.call("DELETE", "/api/v1/providers/acme").status_code == 204
    assert admin.get("/api/v1/providers/acme").status_code == 404
    assert admin.call("DELETE", "/api/v1/providers/openai").status_code == 409


@pytest.mark.usefixtures("seeded")
def test_the_models_with_their_health_and_price_under_all_their_names(viewer: Caller) -> None:
    with db.transaction():
        catalogue.note_health(
            {"anthropic": ("ready", None), "gemini": ("unavailable", "set GEMINI_API_KEY for the workers")}
        )
    listed = body(viewer.get("/api/v1/models"))
    models = {line["provider_id"]: line for line in listed["models"]}

    assert list(models) == [*BUILT_IN, "local-demo"]
    assert (models["anthropic"]["status"], models["anthropic"]["reason"]) == ("ready", None)
    assert models["anthropic"]["price"]["version"].startswith("genai-prices ")
    assert (models["gemini"]["status"], models["gemini"]["reason"]) == (
        "unavailable",
        "set GEMINI_API_KEY for the workers",
    )
    assert models["ollama"]["price"] == {"input_usd": 0, "output_usd": 0, "version": "local"}
    for alias in ("/api/models", "/api/models/health"):
        assert body(viewer.get(alias)) == listed


def test_prices_of_ones_own(admin: Caller, viewer: Caller) -> None:
    put = body(admin.call("PUT", "/api/v1/prices", json=PRICE))
    assert (put["input_usd"], put["output_usd"], put["cache_read_usd"], put["changed_by"]) == (
        0.5,
        2,
        None,
        admin.id,
    )
    body(admin.call("PUT", "/api/v1/prices", json=PRICE | {"input_usd": 0.25}))
    listed = body(viewer.get("/api/v1/prices"))
    assert [(line["valid_from"], line["input_usd"]) for line in listed["prices"]] == [("2026-01-31", 0.25)]

    where = "/api/v1/prices?provider_id=acme&model=a/b:c&valid_from=2026-01-31"
    assert admin.call("DELETE", where).status_code == 204
    assert admin.call("DELETE", where).status_code == 404
    assert body(viewer.get("/api/v1/prices"))["total"] == 0


@pytest.mark.parametrize(
    "wish",
    [
        {"input_usd": -1},
        {"input_usd": 1e9},
        {"valid_from": "soon"},
        {"model": ""},
        {"cost": 1},
        {"output_usd": None},
    ],
)
def test_what_cannot_be_a_price(admin: Caller, wish: dict[str, Any]) -> None:
    assert admin.call("PUT", "/api/v1/prices", json=PRICE | wish).status_code == 422


@pytest.mark.usefixtures("seeded")
def test_who_changed_what_is_in_the_audit_log(admin: Caller) -> None:
    admin.post("/api/v1/providers", json=NEW)
    admin.call("PATCH", "/api/v1/providers/acme", json={"model": "acme-2"})
    admin.post("/api/v1/providers/acme/reset")
    admin.call("DELETE", "/api/v1/providers/acme")
    admin.call("PUT", "/api/v1/prices", json=PRICE)
    with db.quick():
        rows = db.rows("SELECT action, actor, details FROM audit_log WHERE subject LIKE 'acme%%' ORDER BY id")

    assert [row["action"] for row in rows] == [
        "provider.added", "provider.changed", "provider.reset", "provider.removed", "price.set",
    ]  # fmt: skip
    assert {row["actor"] for row in rows} == {admin.id}
    assert rows[1]["details"] == {"model": "acme-2"}
