"""Bad input in every form: always a 4xx that names the place, and nothing half stored."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.db import db
from tests.app.api import world
from tests.app.api.calling import Caller

JOBS = "/api/v1/jobs"
JSON = {"Content-Type": "application/json"}


def refused(caller: Caller, data: bytes, headers: dict[str, str] = JSON) -> tuple[int, str, str | None]:
    answer = caller.post(JOBS, data=data, headers=headers)
    assert answer.json is not None
    with db.quick():
        assert db.value("SELECT count(*) FROM jobs") == 0
    errors = answer.json.get("errors") or [{"pointer": None}]
    return answer.status_code, answer.json["code"], errors[0]["pointer"]


def nested(depth: int) -> bytes:
    return b'{"agent_id":"test-echo","parameters":{"n":' + b"[" * depth + b"]" * depth + b"}}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"NaN",
        b'{"a": NaN}',
        b"\xff",
        b'"\\ud800"',
        b'{"agent_id": "\\udfff"}',
    ],
)
def test_what_is_no_json_is_malformed(data: bytes, owner: Caller) -> None:
    assert refused(owner, data)[:2] == (400, "malformed")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"]
)
def test_another_media_type_is_not_taken(kind: str, owner: Caller) -> None:
    assert refused(owner, b'{"agent_id":"test-echo"}', {"Content-Type": kind})[:2] == (415, "not_json")


def test_compressed_bodies_are_not_taken(owner: Caller) -> None:
    assert refused(owner, b"x", {**JSON, "Content-Encoding": "gzip"})[0] == 415


def test_a_media_type_that_ends_in_json_is_taken(owner: Caller) -> None:
    kind = {"Content-Type": "application/vnd.callboard+json; charset=utf-8"}

    assert owner.post(JOBS, data=b'{"agent_id":"test-echo"}', headers=kind).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], None),
        ("text", None),
        (None, None),
        ({}, "/agent_id"),
        ({"agent_id": 7}, "/agent_id"),
        ({"agent_id": "a b"}, "/agent_id"),
        ({"agent_id": "x" * 101}, "/agent_id"),
        ({"agent_id": "test-echo", "priority": "urgent"}, "/priority"),
        ({"agent_id": "test-echo", "priority": 9}, "/priority"),
        ({"agent_id": "test-echo", "parameters": []}, "/parameters"),
        ({"agent_id": "test-echo", "parameters": {"unknown": 1}}, "/parameters"),
        ({"agent_id": "test-echo", "parameters": {"text": 1}}, "/parameters/text"),
        ({"agent_id": "test-echo", "timeout": "60"}, "/timeout"),
        ({"agent_id": "test-echo", "timeout": True}, "/timeout"),
        ({"agent_id": "test-echo", "timeout": 2**63}, "/timeout"),
        ({"agent_id": "test-echo", "max_retries": 11}, "/max_retries"),
        ({"agent_id": "test-echo", "tags": ["x"] * 21}, "/tags"),
        ({"agent_id": "test-echo", "tags": ["ok", ""]}, "/tags/1"),
        ({"agent_id": "test-echo", "run_at": "tomorrow"}, "/run_at"),
        ({"agent_id": "test-echo", "run_at": "2031-01-01T00:00:00"}, "/run_at"),
        ({"agent_id": "test-echo", "run_at": "9999-12-31T23:59:59Z"}, "/run_at"),
        ({"agent_id": "test-echo", "unknown/field~": 1}, "/unknown~1field~0"),
        ({"agent_id": "test-echo", "task_name": "a\x00b"}, "/task_name"),
        ({"agent_id": "test-echo", "parameters": {"text": "a\x00b"}}, "/parameters/text"),
        ({"agent_id": "test-echo", "parameters": {"a\x00b": 1}}, "/parameters"),
    ],
    ids=lambda value: str(value)[:60].replace("\x00", "NUL"),
)
def test_what_does_not_fit_is_unprocessable_and_names_the_field(
    body: Any, pointer: str | None, owner: Caller
) -> None:
    status, _, where = refused(owner, orjson.dumps(body))

    assert status == 422
    assert pointer in (where, None)


@pytest.mark.parametrize(
    "field",
    [
        "status",
        "job_id",
        "submitted_by",
        "fence",
        "worker_id",
        "lease_id",
        "version",
        "result",
        "priority_rank",
    ],
)
def test_what_only_callboard_sets_cannot_be_sent(field: str, owner: Caller) -> None:
    assert refused(owner, orjson.dumps({"agent_id": "test-echo", field: 1})) == (422, "invalid", f"/{field}")


def test_several_faults_are_told_at_once(owner: Caller) -> None:
    answer = owner.post(JOBS, json={"priority": "x", "timeout": 0}).json

    assert answer is not None
    assert {error["pointer"] for error in answer["errors"]} == {"/agent_id", "/priority", "/timeout"}


@pytest.mark.parametrize("depth", [33, 900, 5000])
def test_endless_nesting_is_refused(depth: int, owner: Caller) -> None:
    assert refused(owner, nested(depth))[0] in (400, 422)


def test_sensible_nesting_is_taken(owner: Caller) -> None:
    assert owner.post(JOBS, data=nested(20), headers=JSON).status_code == 201


def test_huge_numbers_are_taken_or_refused_but_never_an_error_of_ours(owner: Caller) -> None:
    for number in (
        b"9223372036854775807",
        b"9223372036854775808",
        b"18446744073709551616",
        b"1e400",
        b"-1e308",
    ):
        data = b'{"agent_id":"test-echo","parameters":{"n":' + number + b"}}"
        assert owner.post(JOBS, data=data, headers=JSON).status_code in (201, 400, 422)


def test_a_body_over_the_limit_is_too_large(owner: Caller) -> None:
    answer = owner.post(JOBS, data=b'{"agent_id":"' + b"x" * 2_000_000 + b'"}', headers=JSON)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "job_id", ["x", "0", "null", "01890000-0000-7000-8000-00000000000", "%00", "..", "é"]
)
def test_a_malformed_id_is_malformed(job_id: str, owner: Caller) -> None:
    assert owner.get(f"{JOBS}/{job_id}/status").status_code in (400, 404)
    assert owner.get(f"{JOBS}/{job_id}").status_code in (400, 404)


def test_a_malformed_id_says_which(owner: Caller) -> None:
    answer = owner.get(f"{JOBS}/x/status").json

    assert answer is not None
    assert (answer["status"], answer["errors"][0]["pointer"]) == (400, "/job_id")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=flying", "/status/0"),
        ("status=queued,flying", "/status/1"),
        ("priority=urgent", "/priority"),
        ("since=yesterday", "/since"),
        ("since=2026-01-01T00:00:00", "/since"),
        ("since=1587-03-05T21:40:22%2B18:20", "/since"),
        ("since=9999-12-31T23:59:59-01:00", "/since"),
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=x", "/limit"),
        ("offset=-1", "/offset"),
        ("offset=9223372036854775808", "/offset"),
        ("agent_id=a%20b", "/agent_id"),
        ("unknown=1", "/unknown"),
        ("limit=1&limit=2", "/limit"),
        ("cursor=garbage", "/cursor"),
        ("cursor=%C3%A9", "/cursor"),
    ],
)
def test_a_filter_that_cannot_be_is_malformed(query: str, pointer: str, owner: Caller) -> None:
    answer = owner.get(f"{JOBS}?{query}")

    assert answer.json is not None
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (400, pointer)


def test_an_empty_filter_is_no_filter(owner: Caller) -> None:
    world.submitted(owner.id)
    answer = owner.get(f"{JOBS}?status=&agent_id=&q=").json

    assert answer is not None
    assert answer["total"] == 1


def test_text_that_postgres_cannot_hold_is_refused_in_a_query_too(owner: Caller) -> None:
    assert owner.get(f"{JOBS}?q=a%00b").status_code == 400
    assert owner.get("/api/v1/agents/a%00b").status_code == 400
