from __future__ import annotations

import pytest
from flask import Flask

from app.db import db
from tests.app.api import world
from tests.app.api.calling import Caller


@pytest.fixture
def store(app: Flask) -> str:
    return str(app.config["CALLBOARD"].artifact_store)


def test_a_file_is_listed_with_its_job_and_can_be_fetched(owner: Caller, store: str) -> None:
    artifact_id = world.artifact(owner.id, store, name="a.txt", content=b"hello")
    with db.quick():
        job_id = db.value("SELECT job_id::text FROM artifacts")
    listed = owner.get(f"/api/v1/jobs/{job_id}/artifacts").json
    assert listed is not None
    (entry,) = listed["artifacts"]
    assert (entry["artifact_id"], entry["name"], entry["size_bytes"]) == (artifact_id, "a.txt", 5)

    fetched = owner.get(entry["links"]["download"])
    assert (fetched.data, fetched.mimetype) == (b"hello", "text/plain")


def test_a_page_that_an_agent_wrote_is_never_run_by_a_browser(owner: Caller, store: str) -> None:
    headers = owner.get(f"/api/v1/artifacts/{world.artifact(owner.id, store)}").headers

    assert headers["Content-Disposition"].startswith("attachment;")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ('a"b.txt', 'filename="a_b.txt"', "UTF-8''a%22b.txt"),
        ("über.txt", 'filename="_ber.txt"', "UTF-8''%C3%BCber.txt"),
        ("../../etc/passwd", 'filename="passwd"', "UTF-8''passwd"),
        ("a\r\nSet-Cookie: x=1", 'filename="aSet-Cookie: x=1"', "UTF-8''aSet-Cookie%3A%20x%3D1"),
    ],
)
def test_a_name_cannot_break_out_of_its_header(
    name: str, plain: str, encoded: str, owner: Caller, store: str
) -> None:
    answer = owner.get(f"/api/v1/artifacts/{world.artifact(owner.id, store, name=name)}")

    assert plain in answer.headers["Content-Disposition"]
    assert encoded in answer.headers["Content-Disposition"]
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("kind", ["text/html\r\nX: 1", "é/x", "nothing", "/"])
def test_a_media_type_that_is_none_is_not_sent(kind: str, owner: Caller, store: str) -> None:
    artifact_id = world.artifact(owner.id, store)
    with db.transaction():
        db.run("UPDATE artifacts SET media_type = %(kind)s", kind=kind)

    assert owner.get(f"/api/v1/artifacts/{artifact_id}").mimetype == "application/octet-stream"


def test_bytes_that_the_store_lost_are_not_found(owner: Caller, store: str) -> None:
    artifact_id = world.artifact(owner.id, store)
    with db.transaction():
        db.run("UPDATE artifacts SET location = 'no/where'")

    assert owner.get(f"/api/v1/artifacts/{artifact_id}").status_code == 404
