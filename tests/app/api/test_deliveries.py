from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.notify import deliveries
from app.notify.deliveries import Outcome
from tests.app.api.calling import Caller
from tests.app.notify.telling import sent, tell

DELIVERIES = "/api/v1/deliveries"


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def targets(caller: Caller, query: str = "") -> list[str]:
    return [row["target"] for row in body(caller.get(DELIVERIES + query))["deliveries"]]


def settle(outcome: Outcome) -> str:
    """What came of the oldest due one; answers its id."""
    with db.quick():
        (taken,) = deliveries.take(limit=1, lease_seconds=60, per_lane=1, busy={})
    with db.transaction():
        deliveries.settle(taken, outcome)
    return str(taken["delivery_id"])


@pytest.fixture
def failed(owner: Caller) -> str:
    """The id of one of the owner's that failed."""
    tell(
        audience=owner.id,
        callback_url="https://a.example/?x=1",
        callback_payload={"n": 1},
        subject=("job", "7"),
    )
    return settle(
        Outcome(error="It answered 500.", status_code=500, response="oops", final=True, duration_ms=3)
    )


def test_lists_are_ones_own_and_narrowed(failed: str, owner: Caller, other: Caller, admin: Caller) -> None:
    tell(audience=other.id, emails=["o@example.org"])
    tell("dead_letter", audience="admins")

    assert targets(owner) == ["https://a.example/?x=1"]
    assert targets(other) == ["o@example.org"]
    assert targets(admin) == ["admins", "o@example.org", "https://a.example/?x=1"]
    assert targets(admin, "?status=failed") == ["https://a.example/?x=1"]
    assert targets(admin, "?status=skipped&channel=email") == ["admins"]
    assert targets(admin, "?event=dead_letter") == ["admins"]
    assert targets(admin, "?subject_type=job&subject_id=7") == ["https://a.example/?x=1"]
    page = body(admin.get(f"{DELIVERIES}?limit=2"))
    assert targets(admin, f"?limit=2&before={page['next_before']}") == ["https://a.example/?x=1"]


@pytest.mark.parametrize(
    "query", ["?status=lost", "?subject_type=job", "?subject_id=7", "?before=x", "?limit=0", "?x=1"]
)
def test_what_cannot_be_asked(query: str, owner: Caller) -> None:
    assert owner.get(DELIVERIES + query).status_code == 400


def test_one_with_its_payload_and_tries(failed: str, owner: Caller) -> None:
    told = body(owner.get(f"{DELIVERIES}/{failed}"))

    assert (told["status"], told["reason"], told["callback"], told["attempts"]) == (
        "failed",
        "It answered 500.",
        True,
        1,
    )
    assert told["payload"]["data"] == {"n": 1}
    (tried,) = told["tries"]
    assert (tried["number"], tried["status_code"], tried["response"], tried["duration_ms"]) == (
        1,
        500,
        "oops",
        3,
    )


def test_redelivered_it_keeps_its_id(failed: str, owner: Caller) -> None:
    told = body(owner.post(f"{DELIVERIES}/{failed}/redeliver"), 202)
    assert (told["delivery_id"], told["status"], told["reason"]) == (failed, "pending", None)

    assert settle(Outcome(delivered=True, status_code=200)) == failed
    assert [tried["status_code"] for tried in body(owner.get(f"{DELIVERIES}/{failed}"))["tries"]] == [
        500,
        200,
    ]
    with db.quick():
        assert (
            db.value("SELECT action FROM audit_log WHERE subject = %(id)s", id=failed)
            == "delivery.redelivered"
        )


def test_others_deliveries_do_not_exist(failed: str, other: Caller) -> None:
    nothing = "01890000-0000-7000-8000-000000000000"
    for name in (failed, nothing):
        for answer in (other.get(f"{DELIVERIES}/{name}"), other.post(f"{DELIVERIES}/{name}/redeliver")):
            assert (answer.status_code, answer.json and answer.json["detail"]) == (
                404,
                f"There is no delivery {name}.",
            )
    assert sent()[0]["status"] == "failed"
