from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import db, make_engine
from app.workers import fleet
from tests.app.api.calling import Caller


def body(answer: Any) -> dict[str, Any]:
    assert answer.json is not None, answer.data
    return dict(answer.json)


@pytest.fixture
def database_gone(quick: Engine) -> Iterator[None]:
    """`db.quick()` finds nobody at the address."""
    away = make_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    db.open(away)
    yield
    db.open(quick)
    away.dispose()


def test_with_everything_there_it_is_healthy(nobody: Caller) -> None:
    with db.transaction():
        fleet.register("w", hostname="h", process_id=1, pools=("general",), threads=4, release="t")
    health = body(nobody.get("/api/health"))

    assert health["status"] == "healthy"
    assert {name: check["status"] for name, check in health["checks"].items()} == {
        "database": "healthy",
        "redis": "healthy",
        "workers": "healthy",
    }


def test_without_workers_it_is_degraded_and_says_so(nobody: Caller) -> None:
    answer = nobody.get("/api/health")

    assert (answer.status_code, body(answer)["status"]) == (200, "degraded")
    assert body(answer)["checks"]["workers"]["reason"] == "there is no worker"


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0"])
def test_without_redis_it_is_degraded_not_down(
    url: str, nobody: Caller, configure: Callable[..., None], app: Any
) -> None:
    app.extensions.pop("callboard-health-redis", None)
    configure(redis_url=url)
    answer = nobody.get("/api/health/redis")
    app.extensions.pop("callboard-health-redis", None)

    assert (answer.status_code, body(answer)["status"]) == (200, "degraded")


@pytest.mark.parametrize(
    "path", ["/api/health", "/api/health/db", "/api/health/workers", "/api/health/polling", "/readyz"]
)
def test_without_the_database_it_is_down(path: str, nobody: Caller, database_gone: None) -> None:
    answer = nobody.get(path)

    assert (answer.status_code, body(answer)["status"]) == (503, "unhealthy")
    assert answer.headers["Retry-After"] == "5"


def test_the_process_is_alive_without_anything(nobody: Caller, database_gone: None) -> None:
    assert body(nobody.get("/healthz")) == {"status": "alive"}


def test_without_the_database_everything_else_says_come_back(owner: Caller, database_gone: None) -> None:
    for method, path in (("GET", "/api/v1/jobs"), ("POST", "/api/v1/jobs"), ("GET", "/api/v1/me")):
        answer = owner.call(method, path, json={"agent_id": "test-echo"} if method == "POST" else None)
        assert (answer.status_code, body(answer)["code"], answer.headers["Retry-After"]) == (
            503,
            "unavailable",
            "5",
        )


def test_polling_is_fast_enough(nobody: Caller) -> None:
    health = body(nobody.get("/api/health/polling"))

    assert (health["status"], health["latency_ms"] < 1000) == ("healthy", True)
