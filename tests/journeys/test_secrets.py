"""What is secret, and what anybody says to an agent, through the whole product: where it is found afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from redis import Redis

from tests.journeys.person import Person
from tests.journeys.product import Product
from tests.waiting import until

PLAIN = "canary-of-parameters-5f0c"
PASSWORD, TOKEN = "canary-of-secrets-9d21", "canary-of-tokens-77aa"
AGENT = "journey-secret"


@pytest.fixture(scope="module")
def jobs(admin: Person, product: Product) -> list[str]:
    """A job that ended well, one that failed, and a run of a workflow with both words."""
    given = {"text": PLAIN, "password": PASSWORD, "token": TOKEN}
    good = admin.submit(AGENT, given)
    bad = admin.submit(AGENT, given | {"fail": True})
    definition = {
        "name": "Secret journey",
        "inputs": {"type": "object", "properties": {name: {"type": "string"} for name in given}},
        "steps": [
            {"step_id": "one", "agent_id": AGENT, "parameters": {n: f"{{{{inputs.{n}}}}}" for n in given}}
        ],
    }
    run = admin.post("/api/v1/workflows", {"definition": definition, "inputs": given}, 201)["workflow_id"]
    admin.reaches(good, "completed")
    admin.reaches(bad, "failed")
    until(lambda: admin.get(f"/api/v1/workflows/{run}")["status"] == "completed", 30)
    return [good, bad]


def _redis(product: Product) -> Redis:
    return Redis(unix_socket_path=str(product.home / "run" / "valkey.sock"))


def _all_of(redis: Redis) -> Iterator[tuple[str, bytes]]:
    """Every key with everything that is under it, whatever its type."""
    readers: dict[bytes, Any] = {
        b"string": lambda key: redis.get(key),
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": lambda key: redis.smembers(key),
        b"hash": lambda key: redis.hgetall(key),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": lambda key: redis.xrange(key),
    }
    for key in redis.scan_iter(count=1000):
        kind = redis.type(key)
        if kind != b"none":  # it ended meanwhile
            yield key.decode(errors="replace"), repr((key, readers[kind](key))).encode()


def test_redis_hears_of_no_parameter_and_messages_are_names_alone(
    admin: Person, product: Product, jobs: list[str]
) -> None:
    redis = _redis(product)
    seen: list[bytes] = []
    with redis.monitor() as monitor:
        admin.submit(AGENT, {"text": PLAIN, "password": PASSWORD, "token": TOKEN})
        for command in monitor.listen():
            seen.append(str(command["command"]).encode("utf-8", "surrogateescape"))
            if b"actor_name" in seen[-1]:
                break
    message = seen[-1].decode()
    held = dict(_all_of(redis))
    everything = b"\n".join([*held.values(), *seen])

    assert held
    for word in (PLAIN, PASSWORD, TOKEN):
        assert word.encode() not in everything
    assert re.search(r'"args": ?\[\]|"args":\["[a-z-]*"\]', message), message
    assert '"kwargs":{}' in message.replace(" ", ""), message


def test_no_column_holds_a_secret_and_no_log_line_a_parameter(product: Product, jobs: list[str]) -> None:
    connection = psycopg2.connect(host=str(product.home / "run"), user="callboard", dbname="callboard")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """SELECT table_name, column_name FROM information_schema.columns
               JOIN information_schema.tables USING (table_schema, table_name)
               WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"""
        )
        found: dict[str, list[str]] = {PLAIN: [], PASSWORD: [], TOKEN: []}
        columns = cursor.fetchall()
        for table, column in columns:
            for word, places in found.items():
                cursor.execute(
                    f'SELECT EXISTS (SELECT 1 FROM "{table}" WHERE "{column}"::text LIKE %s)', (f"%{word}%",)
                )
                if cursor.fetchone() == (True,):
                    places.append(f"{table}.{column}")
    connection.close()
    logs = "\n".join(path.read_text(errors="replace") for path in (product.home / "log").rglob("*.log"))

    assert len(columns) > 100
    assert "jobs.parameters" in found[PLAIN]
    assert (found[PASSWORD], found[TOKEN]) == ([], [])
    assert all(job_id in logs for job_id in jobs)
    for word in found:
        assert word not in logs


def test_no_answer_shows_a_secret(admin: Person, jobs: list[str]) -> None:
    good, bad = jobs
    dlq = admin.get(f"/api/v1/dlq/tasks/{bad}")["dlq_id"]
    paths = [
        *(f"/api/v1/jobs/{job}{end}" for job in jobs for end in ("", "/status", "/logs", "/events", "/attempts", "/history")),
        f"/api/v1/jobs/compare?a={good}&b={bad}", f"/api/v1/dlq/tasks/{dlq}", "/api/v1/dlq/tasks", "/api/v1/dlq/groups",
        "/api/v1/jobs", "/api/v1/jobs?format=csv", "/api/v1/workflows", "/api/v1/notifications", "/api/v1/audit", "/metrics",
    ]  # fmt: skip
    answered = []
    for path in paths:
        answer = admin.client.get(path)
        answered += [path] if answer.status_code == 200 else []
        for word in (PASSWORD, TOKEN, "callboard-sealed:"):
            assert word not in answer.text, path
    assert len(answered) > 14, answered
    assert admin.get(f"/api/v1/jobs/{bad}")["error"]["message"] == "refused: (a secret)"
