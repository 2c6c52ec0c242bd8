"""GET /api/v1/doctor: what admins are told; who else may not is in test_access."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.api import doctor
from app.db import db
from app.ops.doctor.checks import CHECKS
from tests.app.api.calling import Caller


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """No answer of another test."""
    doctor.forget()
    yield
    doctor.forget()


def test_it_tells_all_that_the_command_tells(admin: Caller) -> None:
    told = admin.get("/api/v1/doctor").json

    assert told is not None
    assert [check["check"] for check in told["checks"]] == [
        "postgres",
        "redis",
        *(check.name for check in CHECKS),
    ]
    assert "workers" in [finding["check"] for finding in told["findings"] if finding["severity"] == "error"]
    assert 0 <= told["score"] < 100


def test_it_is_kept_for_some_seconds(admin: Caller) -> None:
    first = admin.get("/api/v1/doctor").json
    with db.transaction():
        db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 hour'")

    assert admin.get("/api/v1/doctor").json == first
    doctor.forget()
    after = admin.get("/api/v1/doctor").json
    assert after is not None
    assert "scheduler" in [finding["check"] for finding in after["findings"]]
