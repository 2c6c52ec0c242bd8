from __future__ import annotations

from typing import Any

import pytest

from tests.app.api.calling import Caller
from tests.app.notify.telling import tell

INBOX = "/api/v1/notifications"


def inbox(caller: Caller, query: str = "") -> dict[str, Any]:
    answer = caller.get(INBOX + query)
    assert answer.status_code == 200, answer.data
    return dict(answer.json or {})


def titles(caller: Caller, query: str = "") -> list[str]:
    return [row["title"] for row in inbox(caller, query)["notifications"]]


@pytest.fixture
def told(owner: Caller, other: Caller, admin: Caller) -> None:
    tell(title="for owner", audience=owner.id, data={"n": 1})
    tell(title="for other", audience=other.id)
    tell("dead_letter", title="for admins", audience="admins", severity="error")
    tell(title="for owner too", audience=owner.id)


def test_everybody_reads_their_own_and_admins_the_admins(
    told: None, owner: Caller, other: Caller, admin: Caller, viewer: Caller
) -> None:
    assert titles(owner) == ["for owner too", "for owner"]
    assert titles(other) == ["for other"]
    assert titles(admin) == ["for admins"]
    assert titles(viewer) == []


def test_pages_go_on_where_the_last_ended(told: None, owner: Caller) -> None:
    first = inbox(owner, "?limit=1")
    assert first["next_before"] is not None
    second = inbox(owner, f"?limit=1&before={first['next_before']}")
    rest = inbox(owner, f"?limit=1&before={second['next_before']}")

    assert [row["title"] for page in (first, second, rest) for row in page["notifications"]] == [
        "for owner too",
        "for owner",
    ]
    assert rest["next_before"] is None


def test_reading_is_ones_own(told: None, owner: Caller, admin: Caller, make_caller: Any) -> None:
    second = make_caller("second", "admin")
    one = inbox(admin)["notifications"][0]["notification_id"]
    assert admin.post(f"{INBOX}/{one}/read").json == {"unread": 0}

    assert titles(admin, "?unread=true") == []
    assert titles(admin) == ["for admins"]
    assert titles(second, "?unread=true") == ["for admins"]
    assert inbox(owner)["unread"] == 2


def test_reading_all(told: None, owner: Caller) -> None:
    assert owner.post(f"{INBOX}/read-all").json == {"unread": 0}
    assert [row["unread"] for row in inbox(owner)["notifications"]] == [False, False]


def test_others_notifications_do_not_exist(told: None, owner: Caller, other: Caller) -> None:
    theirs = inbox(other)["notifications"][0]["notification_id"]
    nothing = "01890000-0000-7000-8000-000000000000"
    for name in (theirs, nothing):
        answer = owner.post(f"{INBOX}/{name}/read")
        assert (answer.status_code, answer.json and answer.json["detail"]) == (
            404,
            f"There is no notification {name}.",
        )
    assert inbox(other)["unread"] == 1


def test_a_key_that_reads_may_mark_as_read(make_caller: Any) -> None:
    reader = make_caller("reader", "user", scopes=frozenset({"read"}))
    tell(audience=reader.id)
    assert reader.post(f"{INBOX}/read-all").json == {"unread": 0}
