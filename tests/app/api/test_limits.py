from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from app.api import limits
from app.limiter import storage_uri
from tests.app.api.calling import Caller

JOB = {"agent_id": "test-echo"}


@pytest.fixture(autouse=True)
def fresh_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_polls", limits.Minutes())


@pytest.fixture
def redis_gone(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The limiter's Redis answers with errors, as it does when it is away."""
    storage = limits.limiter.storage

    def refuse(*_: object, **__: object) -> int:
        raise limits.RedisError

    monkeypatch.setattr(type(storage), "incr", refuse)
    monkeypatch.setattr(type(storage), "check", lambda _: False)
    yield
    limits.limiter._storage_dead = False


def statuses(caller: Caller, amount: int) -> list[int]:
    return [caller.post("/api/v1/jobs", json=JOB).status_code for _ in range(amount)]


def test_writes_over_the_limit_are_refused_until_the_window_ends(
    configure: Callable[..., None], owner: Caller
) -> None:
    configure(rate_limit_per_minute=2)

    assert statuses(owner, 3) == [201, 201, 429]
    refused = owner.post("/api/v1/jobs", json=JOB)
    assert refused.json is not None
    assert refused.json["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 61


@pytest.mark.parametrize("setting", ["rate_limit_burst_per_second", "rate_limit_per_hour"])
def test_each_window_bites(setting: str, configure: Callable[..., None], owner: Caller) -> None:
    configure(**{setting: 1})

    assert 429 in statuses(owner, 4)


def test_zero_means_unlimited(owner: Caller) -> None:
    assert statuses(owner, 5) == [201] * 5


def test_each_key_has_its_own_bucket(configure: Callable[..., None], owner: Caller, other: Caller) -> None:
    configure(rate_limit_per_minute=1)

    assert statuses(owner, 2) == [201, 429]
    assert statuses(other, 1) == [201]


def test_polls_take_nothing_from_writes_and_have_their_own_limit(
    configure: Callable[..., None], owner: Caller
) -> None:
    configure(rate_limit_per_minute=1, poll_limit_per_minute=3)

    assert [owner.get("/api/v1/jobs").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert statuses(owner, 1) == [201]
    assert int(owner.get("/api/v1/jobs").headers["Retry-After"]) >= 1


def test_what_needs_no_token_is_limited_by_address(configure: Callable[..., None], nobody: Caller) -> None:
    configure(poll_limit_per_minute=2)

    assert [nobody.get("/api/health").status_code for _ in range(3)] == [200, 200, 429]


def test_the_headers_say_where_one_stands(configure: Callable[..., None], owner: Caller) -> None:
    configure(rate_limit_per_minute=10, rate_limit_per_hour=1000, rate_limit_burst_per_second=5)
    headers = owner.post("/api/v1/jobs", json=JOB).headers

    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("10", "9")
    assert headers["RateLimit-Policy"] == '"minute";q=10;w=60'
    assert headers["RateLimit"].startswith('"minute";r=9;t=')


def test_refused_writes_change_nothing(configure: Callable[..., None], owner: Caller) -> None:
    configure(rate_limit_per_minute=1)
    statuses(owner, 3)

    jobs = owner.get("/api/v1/jobs").json
    assert jobs is not None
    assert jobs["total"] == 1


def test_without_redis_the_limit_bites_in_this_process(
    redis_gone: None, configure: Callable[..., None], owner: Caller
) -> None:
    configure(rate_limit_per_minute=2)

    assert statuses(owner, 3) == [201, 201, 429]


def tries(nobody: Caller, app: Flask, names: list[str], address: str = "10.0.0.1") -> list[int]:
    return [
        nobody.post(
            "/api/v1/auth/login",
            json={"email": f"{name}@example.org", "password": "wrong"},
            environ_base={"REMOTE_ADDR": address},
        ).status_code
        for name in names
    ]


@pytest.fixture
def strict_logins(app: Flask) -> None:
    app.config["CALLBOARD_LOGIN_LIMIT"] = limits.LOGIN


def test_one_name_has_five_tries_a_minute_from_wherever(
    strict_logins: None, nobody: Caller, app: Flask
) -> None:
    assert tries(nobody, app, ["ada"] * 3, "10.0.0.1") == [401] * 3
    assert tries(nobody, app, ["ADA"] * 3, "10.0.0.2") == [401, 401, 429]


def test_one_address_has_ten_tries_a_minute_for_whomever(
    strict_logins: None, nobody: Caller, app: Flask
) -> None:
    assert tries(nobody, app, [f"name{n}" for n in range(11)]) == [401] * 10 + [429]


def test_without_redis_logins_are_still_limited(
    strict_logins: None, redis_gone: None, nobody: Caller, app: Flask
) -> None:
    assert tries(nobody, app, ["ada"] * 6) == [401] * 5 + [429]


def test_a_unix_socket_is_understood() -> None:
    assert storage_uri("unix:///run/redis.sock?db=1") == "redis+unix:///run/redis.sock?db=1"
    assert storage_uri("rediss://h:1/0") == "rediss://h:1/0"
    assert storage_uri("") == "memory://"


def test_no_request_looks_for_limits_that_do_not_stand_on_it(app: Flask) -> None:
    asked_first = [getattr(each, "__self__", None) for each in app.before_request_funcs[None]]

    assert len(app.extensions["limiter"]) == 1
    assert not app.extensions["limiter"].intersection(asked_first)
