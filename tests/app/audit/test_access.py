"""Counting who called what: cheap, bounded, and never the reason why a request fails."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from app import clock
from app.api import access as door
from app.audit import access, origin
from app.audit.access import Counts
from app.db import db

pytestmark = pytest.mark.usefixtures("here")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Clock:
    """The present of the counters."""
    return Clock()


def _stored() -> list[tuple[str, str, int, int]]:
    rows = db.rows(
        "SELECT actor, endpoint, status, count FROM api_access ORDER BY minute, actor, endpoint, status"
    )
    return [(row["actor"], row["endpoint"], row["status"], row["count"]) for row in rows]


def test_what_is_the_same_within_a_minute_is_one_row(time: Clock) -> None:
    counts, other = Counts(time), Counts(time)
    for _ in range(3):
        counts.note("ada", "GET", "/api/v1/jobs/<job_id>", 200, "10.0.0.1")
    other.note("ada", "GET", "/api/v1/jobs/<job_id>", 200, "10.0.0.1")
    counts.note("", "GET", "/api/v1/jobs", 401, None)
    counts.flush()
    other.flush()

    assert _stored() == [("", "/api/v1/jobs", 401, 1), ("ada", "/api/v1/jobs/<job_id>", 200, 4)]
    time.now += 60
    counts.note("ada", "GET", "/api/v1/jobs/<job_id>", 200, "10.0.0.1")
    counts.flush()
    assert len(_stored()) == 3


def test_it_is_written_down_every_half_minute_by_one(time: Clock) -> None:
    counts = Counts(time)
    time.now += 31
    assert not counts.due()
    counts.note("ada", "GET", "/", 200, None)
    assert [counts.due(), counts.due()] == [True, False]


def test_a_flood_of_callers_is_counted_without_their_names(time: Clock) -> None:
    counts = Counts(time, most=10)
    for n in range(1_000):
        counts.note(f"caller-{n}", "GET", f"/x{n}", 200 if n % 2 else 401, f"10.0.0.{n}")
    assert counts.waiting() <= 12
    counts.flush()

    assert sum(count for *_, count in _stored()) == 1_000
    assert ("", access.OTHERS, 200, 495) in _stored()


def test_what_cannot_be_written_waits(time: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(time)
    counts.note("ada", "GET", "/", 200, None)
    with monkeypatch.context() as away:
        away.setattr(access, "keep", lambda _counts: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            counts.flush()
    counts.note("ada", "GET", "/", 200, None)
    counts.flush()

    assert _stored() == [("ada", "/", 200, 2)]


def test_names_that_postgres_refuses_are_no_reason_to_fail(time: Clock) -> None:
    counts = Counts(time)
    counts.note("ada", "GET\x00", "/\ud800", 200, "10.0.0.1")
    counts.flush()

    assert len(_stored()) == 1


def test_a_page_and_a_call_are_counted_by_their_rule(client: FlaskClient) -> None:
    access.flush()
    db.run("DELETE FROM api_access")
    client.get("/api/v1/jobs/0189f7d0-0000-7000-8000-000000000000")
    client.get("/jobs/0189f7d0-0000-7000-8000-000000000000")
    client.get("/no/such/thing")
    client.get("/static/favicon.svg")

    door.write_down()

    assert [row[1] for row in _stored()] == ["(unknown)", "/api/v1/jobs/<job_id>", "/jobs/<job_id>"]
    assert {row["ip"] for row in db.rows("SELECT ip FROM api_access")} == {"127.0.0.1"}
    refused = access.refused(clock.now() - timedelta(minutes=5))
    assert [(row["status"], row["endpoint"], row["count"]) for row in refused] == [
        (401, "/api/v1/jobs/<job_id>", 1)
    ]


def test_counting_that_fails_is_not_the_business_of_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    access.note("", "GET", "/", 200, None)
    with monkeypatch.context() as away:
        away.setattr(access, "keep", lambda _counts: 1 / 0)
        door.write_down()
    assert access.waiting() == 1
    door.write_down()
    assert access.waiting() == 0


def test_old_minutes_are_forgotten(time: Clock) -> None:
    db.run(
        """INSERT INTO api_access (minute, actor, method, endpoint, status, ip, count)
           SELECT now() - n * interval '1 day', '', 'GET', '/', 200, '', 1 FROM unnest(ARRAY[29, 31]) AS n"""
    )
    assert access.forget() == 1


def test_where_a_request_came_from_is_forgotten_after_it(client: FlaskClient) -> None:
    client.get("/sign-in", headers={"User-Agent": "x" * 500})
    assert origin.current() == origin.NOWHERE
