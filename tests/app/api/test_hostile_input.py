"""Every operation of the API, attacked: whatever is sent, a 4xx with a reason, no trace of ours, nothing half stored.

What is sent is made from the operations themselves (their models, paths and queries), so a new one is attacked
from the day it is there.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from flask import Flask, Response, request
from werkzeug.test import TestResponse

from app.api.errors import problem
from app.api.glue import OPERATIONS, Operation
from app.db import db
from tests.app.api import flowing, world
from tests.app.api.calling import Caller
from tests.app.api.test_access import MATRIX, _fill, _place
from tests.app.dashboard.test_pitfalls import Snapshot, changed, snapshot
from tests.turns import some

JSON = {"Content-Type": "application/json"}
Attack = dict[str, Any]


def _json(value: Any) -> bytes:
    """Of numbers that orjson does not write, too."""
    return json.dumps(value).encode()


# Written whatever becomes of a request: that somebody was refused, a secret that is made when it is first looked
# at, and in the others when they last came.
ALWAYS = {"audit_log", "audit_chain", "api_access", "unknown_names", "callback_secrets"}
SEEN = {"api_keys", "users", "logins"}

STRANGE: tuple[Any, ...] = (
    2**64, "a\x00b", "\u202egpj.exe\u200b\ufeff\r\nSet-Cookie: x=1\ud7ff\U0010ffff", "x" * 100_000, [[]],
    {"": {"$ref": "file:///etc/passwd"}}, None, -1e308, "x" * 1_000_000,
    "../../etc/passwd {{7*7}} ${7*7} {%raw%} ' OR 1=1; DROP TABLE jobs; --",
)  # fmt: skip
"""The first four are sent in every field, the rest in those that an example has; half of them in each, by turns."""

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"a":',
    "list": b"[]",
    "null": b"null",
    "text": b'"x"',
    "number": b"1e400",
    "NaN": b'{"a": NaN, "b": Infinity}',
    "huge number": b'{"a": ' + b"9" * 5000 + b"}",
    "bad UTF-8": b'{"a": "\xff\xfe\xc0\xaf"}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "surrogate as a key": b'{"\\udfff": 1}',
    "NUL as a key": b'{"\\u0000": 1}',
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "open brackets": b"[" * 100_000,
    "many keys": orjson.dumps({f"k{number}": number for number in range(60_000)}),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "prototype": b'{"__proto__": {"role": "admin"}, "__class__": "x", "constructor": 1}',
}

IDS = (
    "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "%ED%A0%80%FF", "%0d%0aSet-Cookie:x=1", "9" * 40, "-1",
    "%27%20OR%201=1--%25s", "%7B%7B7*7%7D%7D%E2%80%AE", "x" * 5000, "01890000-0000-7000-8000-00000000000g",
)  # fmt: skip

QUERIES = (
    "-1", "9223372036854775808", "NaN%00", "%ED%A0%80%FF", "x" * 8000, "eyJhIjoxfQ", "0001-01-01T00:00:00%2B23:59", "%0d%0ax:y",
    "(" * 2000, "-%22" * 999 + "status:" * 99,
)  # fmt: skip

HEADERS: tuple[dict[str, str], ...] = (
    {"If-None-Match": "x" * 9000, "If-Modified-Since": "yesterday", "Range": "bytes=-99999999999999999999,0-0,-1"},
    {"If-None-Match": '",,W/"""*\\', "If-Match": "*", "If-Unmodified-Since": "0", "Range": "bytes=9-1"},
    {"Accept": "text/html;q=x, */*;q=-1,,,", "Accept-Language": "\u00ff" * 500, "User-Agent": "\u00ff<script>" * 900},
    {"X-Request-Id": "\u00e9\u00ff;--", "X-Correlation-ID": "x" * 9000, "traceparent": "00-0-0-0", "tracestate": "=,=,"},
    {"traceparent": "00-" + "z" * 32 + "-" + "0" * 16 + "-ff", "baggage": "a=" + "b" * 9000, "X-Correlation-ID": "\u00ff'"},
    {"X-Forwarded-For": "' OR 1=1, 127.0.0.1, ::1", "Forwarded": "for=unknown;host=evil", "X-Real-IP": "x",
     "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "javascript", "X-Forwarded-Prefix": "/../"},
    {"Host": "evil.example\u00ff"},
    {"Idempotency-Key": "\u00ff'--"},
    {"Idempotency-Key": "k" * 9000},
    {"Content-Type": "multipart/form-data; boundary=" + "x" * 500},
    {"Content-Type": "\u00ff/;;=", "Content-Encoding": "gzip"},
    {"Transfer-Encoding": "chunked, identity", "Origin": "null", "Referer": "javascript:1", "Cookie": "session=\u00ff; theme=; =;;"},
)  # fmt: skip


class Attacker:
    """An admin who sends what nobody should; `faults` are the answers and changes that must not be."""

    def __init__(self, admin: Caller, commits: list[str]) -> None:
        """`commits` grows with every transaction that is committed."""
        self.admin, self.commits, self.faults = admin, commits, list[str]()
        self.client = admin.app.test_client(use_cookies=False)

    def send(self, operation: Operation, attacks: list[Attack]) -> None:
        """What is refused must change nothing; what was taken may."""
        before = snapshot()
        refused = [each for each in attacks if self._is_refused(operation, each)]
        if len(refused) == len(attacks) or operation.is_safe:
            self._demand_unchanged(operation, before)
        if doubtful := [each for each in refused if each.pop("committed", False)]:
            self._again(operation, doubtful)

    def _again(self, operation: Operation, attacks: list[Attack]) -> None:
        before = snapshot()
        for each in attacks:
            self._is_refused(operation, each)
        self._demand_unchanged(operation, before)

    def _demand_unchanged(self, operation: Operation, before: Snapshot) -> None:
        if left := _left(before, snapshot()):
            self.faults.append(f"{operation.name}: something is stored of what was refused: {left}")

    def _is_refused(self, operation: Operation, attack: Attack) -> bool:
        committed = len(self.commits)
        headers = {"Authorization": f"Bearer {self.admin.key}", **attack["more"].get("headers", {})}
        answer = self.client.open(
            attack["path"], method=operation.method, **(attack["more"] | {"headers": headers})
        )
        refused = answer.status_code >= 400
        attack["committed"] = refused and len(self.commits) > committed
        for fault in _faults(self.admin, operation, answer):
            self.faults.append(f"{operation.name} {attack['name']}: {answer.status_code} {fault}")
        return refused


def _faults(caller: Caller, operation: Operation, answer: TestResponse) -> Iterator[str]:
    documented = caller.document["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)][
        operation.method.lower()
    ]["responses"]
    if str(answer.status_code) not in documented and answer.status_code not in (404, 405):
        yield "is not documented"
    if "Set-Cookie" in answer.headers:
        yield "sets a cookie"
    if answer.status_code >= 400:
        text = answer.get_data(as_text=True)
        if answer.mimetype != "application/problem+json" or "Traceback" in text or "psycopg" in text:
            yield text[:300]


@pytest.fixture
def attacker(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> Attacker:
    """Somebody with every right and no manners."""
    commits: list[str] = []
    opened = db.transaction

    @contextmanager
    def counted() -> Iterator[None]:
        with opened():
            yield
        commits.append("one")

    monkeypatch.setattr(db, "transaction", counted)
    return Attacker(admin, commits)


def _left(before: Snapshot, after: Snapshot) -> set[str]:
    """Tables that are not as they were; of what changes with every request, only if rows were added."""
    touched = changed(before, after) - ALWAYS
    return {name for name in touched if name not in SEEN or before[name][0] != after[name][0]}


def _path(operation: Operation, owner: Caller, app: Flask) -> str:
    """A path at which the operation would do something; one without a line in the table of access is attacked too."""
    return _place(MATRIX.get(operation.name, (operation.path,))[0], owner, app)


def _example(operation: Operation, fresh: str) -> Any:
    """A body that it would take."""
    return _fill(MATRIX.get(operation.name, ("", {}))[1], {"fresh": fresh})


def _fields(body: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values stand in an example, and beside them."""
    for name in body:
        yield (*at, name)
        if isinstance(body[name], dict) and not at:
            yield from _fields(body[name], (name,))


def _with(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    """`body` with `value` at that place."""
    return {**body, at[0]: value if len(at) == 1 else _with(body[at[0]], at[1:], value)}


def test_bodies_that_are_no_request(attacker: Attacker, owner: Caller, app: Flask) -> None:
    for number, operation in enumerate(each for each in OPERATIONS if each.body):
        path = _path(operation, owner, app)
        attacks = [
            {"name": name, "path": path, "more": {"data": data, "headers": JSON}}
            for name, data in some([*BODIES.items()], number, 2)
        ]
        attacks += [
            {"name": kind, "path": path, "more": {"data": b"{}", "headers": {"Content-Type": kind}}}
            for kind in (
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "",
                "application/xml",
            )
        ]
        attacker.send(operation, attacks)
    assert attacker.faults == []


def test_ten_megabytes_are_too_large_everywhere(owner: Caller, app: Flask, admin: Caller) -> None:
    data = b'{"a":"' + b"x" * 10_000_000 + b'"}'
    found = {}
    for operation in (each for each in OPERATIONS if each.body):
        found[operation.name] = admin.call(
            operation.method, _path(operation, owner, app), data=data, headers=JSON
        ).status_code
    assert {name: status for name, status in found.items() if status != 413} == {}


def test_strange_values_in_every_field(attacker: Attacker, owner: Caller, app: Flask) -> None:
    for number, operation in enumerate(each for each in OPERATIONS if each.body):
        path = _path(operation, owner, app)
        assert operation.body is not None
        example = _example(operation, f"f{number}") or {}
        others = [(name,) for name in operation.body.model_fields if name not in example]
        values = [
            (at, value)
            for field, at in enumerate(_fields(example), number)
            for value in some(STRANGE, field, 2)
        ]
        values += [
            (at, value) for field, at in enumerate(others, number) for value in some(STRANGE[:4], field, 2)
        ]
        attacks = [
            {
                "name": f"{'/'.join(map(str, at))} = {str(value)[:30]!r}",
                "path": path,
                "more": {"data": _json(_with(example, at, value)), "headers": JSON},
            }
            for at, value in values
        ]
        attacker.send(operation, attacks)
    assert attacker.faults == []


def test_strange_ids_in_every_path(attacker: Attacker, owner: Caller, app: Flask) -> None:
    for number, operation in enumerate(each for each in OPERATIONS if each.parts):
        whole = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)
        attacks = [
            {
                "name": f"{part} = {odd[:40]}",
                "path": re.sub(r"\{\w+\}", "1", whole.replace("{" + part + "}", odd)),
                "more": {},
            }
            for place, part in enumerate(operation.parts, number)
            for odd in some(IDS, place, 2)
        ]
        attacker.send(operation, attacks)
    assert attacker.faults == []


def test_strange_questions_in_every_query(attacker: Attacker, owner: Caller, app: Flask) -> None:
    for number, operation in enumerate(each for each in OPERATIONS if each.query):
        assert operation.query is not None
        path, _, query = _path(operation, owner, app).partition("?")
        kept = [pair for pair in query.split("&") if pair]
        attacks = [
            {
                "name": f"{name} = {odd[:40]}",
                "path": f"{path}?"
                + "&".join([*(p for p in kept if not p.startswith(name + "=")), f"{name}={odd}"]),
                "more": {},
            }
            for place, name in enumerate([*operation.query.model_fields, "unknown%00", "__class__"], number)
            for odd in some(QUERIES, place, 2)
        ]
        attacker.send(operation, attacks)
    assert attacker.faults == []


def test_strange_headers_everywhere(attacker: Attacker, owner: Caller, app: Flask) -> None:
    for number, operation in enumerate(OPERATIONS):
        path, example = _path(operation, owner, app), _example(operation, f"h{number}")
        more = {} if example is None else {"data": _json(example)}
        # Those that read headers of their own get more of them.
        reads = operation.conditional or operation.idempotent
        turn = some(HEADERS, number, 2 if reads else 6)
        attacker.send(
            operation,
            [
                {"name": str(headers)[:60], "path": path, "more": {**more, "headers": {**JSON, **headers}}}
                for headers in turn
            ],
        )
    assert attacker.faults == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_and_no_field_makes_another_method_of_it(name: str, owner: Caller) -> None:
    job_id = world.submitted(owner.id)
    before = snapshot()

    assert owner.get(f"/api/v1/jobs/{job_id}?", headers={name: "DELETE"}).status_code == 200
    assert owner.get(f"/api/v1/jobs/{job_id}?_method=DELETE").status_code in (200, 400)
    assert owner.post("/api/v1/jobs/status", headers={name: "GET"}).status_code == 405
    assert _left(before, snapshot()) == set()


@pytest.mark.parametrize(
    "digits",
    ["18446744073709551616", "-9223372036854775809", "-651713104650139729920", "9" * 5000],
    ids=lambda text: text[:21],
)
def test_a_whole_number_that_nobody_can_count_is_refused_wherever_anything_may_stand(
    digits: str, owner: Caller
) -> None:
    free = {"agent_id": "test-echo", "parameters": {"n": [{"deep": "BIG"}]}}
    for path, body in (
        ("/api/v1/jobs", free),
        ("/api/v1/jobs/bulk", {"tasks": [free]}),
        (f"/api/v1/workflow-templates/{flowing.template(owner.id)}/run", {"inputs": {"n": "BIG"}}),
    ):
        said = orjson.dumps(body).replace(b'"BIG"', digits.encode())
        answer = owner.post(path, data=said, headers=JSON | {"Idempotency-Key": path[-20:]})
        told = answer.get_data(as_text=True)
        assert (answer.status_code, "64 bits" in told) in ((422, True), (400, False)), path
        assert (answer.status_code == 400) == (len(digits) > 999)  # our parser takes no such number at all


def test_a_key_said_twice_is_read_once_and_the_last_one_counts_for_checks_too(owner: Caller) -> None:
    twice = b'{"agent_id": "test-echo", "priority": "urgent", "priority": "high", "status": 1}'
    hidden = b'{"agent_id": "test-echo", "priority": "high", "priority": "urgent"}'

    assert owner.post("/api/v1/jobs", data=twice, headers=JSON).status_code == 422
    assert owner.post("/api/v1/jobs", data=hidden, headers=JSON).status_code == 422


def test_a_body_of_very_many_values_is_refused_before_each_is_told_of(owner: Caller) -> None:
    started = time.thread_time()
    answer = owner.post("/api/v1/jobs", data=BODIES["many keys"], headers=JSON).json

    assert answer is not None
    assert answer["errors"] == [{"pointer": "", "message": "holds more than 50,000 values"}]
    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize("accepting", [False, True])
def test_the_attacker_notices_what_is_half_stored(
    accepting: bool, attacker: Attacker, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(**_path: str) -> Response:
        if accepting and request.data == b"{}":
            return Response("{}", 201, mimetype="application/json")
        with db.transaction():
            db.run(
                "INSERT INTO idempotency_keys (owner, key, request_hash) VALUES ('x', gen_random_uuid()::text, 'x')"
            )
        return problem(422, "invalid", "No.")

    monkeypatch.setitem(app.view_functions, "api.submit_job", half)
    (operation,) = (each for each in OPERATIONS if each.name == "submit_job")
    sent = [{"name": data, "path": operation.path, "more": {"data": data}} for data in (b"{}", b"[]")]
    attacker.send(operation, sent)

    assert set(attacker.faults) == {
        "submit_job: something is stored of what was refused: {'idempotency_keys'}"
    }
