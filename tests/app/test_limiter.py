"""Redis goes away under several requests at once: each is answered, and each counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from limits.storage import RedisStorage
from redis import RedisError

from app.limiter import Limiter, storage_uri

AT_ONCE = 4


def counted_in(redis_url: str) -> tuple[Flask, Limiter]:
    """An app, and what limits all who come to it as one person."""
    made = Flask("limited")
    made.config["RATELIMIT_STORAGE_URI"] = storage_uri(redis_url)
    return made, Limiter(
        key_func=lambda: "somebody", key_prefix="tests", in_memory_fallback_enabled=True, app=made
    )


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Counts ten a minute in a Redis that fails as soon as so many ask it at once."""
    all_there = Barrier(AT_ONCE)

    def fails(*_args: Any, **_how: Any) -> int:
        all_there.wait(30)
        raise RedisError("it went away")

    monkeypatch.setattr(RedisStorage, "incr", fails)
    made, limiter = counted_in(redis_url)
    made.add_url_rule("/", "here", limiter.limit("10 per minute")(lambda: "come in"))
    return made


def test_who_is_under_way_when_redis_goes_is_answered_and_counted(app: Flask) -> None:
    with ThreadPoolExecutor(AT_ONCE) as people:
        answers = list(people.map(lambda _: app.test_client().get("/").status_code, range(AT_ONCE)))

    assert answers == [200] * AT_ONCE
    after = [app.test_client().get("/").status_code for _ in range(10)]
    assert after == [200] * (10 - AT_ONCE) + [429] * AT_ONCE


def test_a_refusal_that_redis_does_not_hear_of_any_more_is_given_and_counted(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: Any, **_how: Any) -> int:
        raise RedisError("it went away")

    monkeypatch.setattr(RedisStorage, "incr", fails)
    app, limiter = counted_in(redis_url)
    refusals_count = limiter.limit("2 per minute", deduct_when=lambda answer: answer.status_code == 401)
    app.add_url_rule("/", "sign_in", refusals_count(lambda: ("no", 401)))

    answers = [app.test_client().get("/").status_code for _ in range(3)]

    assert answers == [401, 401, 429]


def test_an_error_that_is_not_of_the_storage_is_not_hidden(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_how: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("limits.strategies.FixedWindowRateLimiter.hit", broken)

    assert app.test_client().get("/").status_code == 500
