"""Bulk actions by the API: the look, the action, its progress, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from app.db import db
from app.jobs import bulk
from tests import acting
from tests.app.api import world
from tests.app.api.calling import Caller

BULK = "/api/v1/bulk-actions"
GROUPS = "/api/v1/dlq/groups"


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.data
    return dict(answer.json)


def status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def worked_off(bulk_id: str) -> None:
    while True:
        with db.transaction():
            if bulk.step(bulk_id) is None:
                return


def test_a_dry_run_touches_nothing_and_says_everything(owner: Caller) -> None:
    world.failed(owner.id)
    waiting = world.submitted(owner.id)
    wanted = {"verb": "cancel", "filter": {}, "dry_run": True}

    seen = body(owner.post(BULK, json=wanted))

    assert (seen["count"], seen["more"], seen["left_alone"]) == (1, False, {"state": 1})
    assert [each["job_id"] for each in seen["sample"]] == [waiting]
    assert status(waiting) == "queued"
    assert body(owner.get(BULK))["bulk_actions"] == []


def test_what_the_dry_run_showed_is_done_and_no_more(owner: Caller) -> None:
    old = world.submitted(owner.id)
    seen = body(owner.post(BULK, json={"verb": "cancel", "filter": {}, "dry_run": True}))
    new = world.submitted(owner.id)

    started = owner.post(
        BULK, json={"verb": "cancel", "filter": {}, "upto": seen["upto"], "at_most": seen["count"]}
    )
    action = body(started, 202)
    assert started.headers["Location"] == f"{BULK}/{action['bulk_id']}"
    assert (action["status"], action["matched"], action["words"]) == ("pending", 1, "all jobs")
    worked_off(action["bulk_id"])

    assert (status(old), status(new)) == ("cancelled", "queued")
    done = body(owner.get(started.headers["Location"]))
    assert (done["status"], done["done"], done["percent"]) == ("completed", 1, 100)
    assert done["poll"] == {"next_after_ms": None, "terminal": True}


@pytest.mark.parametrize("empty", [{"status": []}, {"status": ""}, {"q": ""}, {"tag": ""}, {"agent_id": ""}])
def test_a_condition_without_a_value_does_not_mean_all(owner: Caller, empty: dict[str, Any]) -> None:
    waiting = world.submitted(owner.id)

    assert owner.post(BULK, json={"verb": "cancel", "filter": empty}).status_code == 422
    assert status(waiting) == "queued"


def test_what_grew_is_a_conflict(owner: Caller) -> None:
    world.submitted(owner.id)
    answer = owner.post(BULK, json={"verb": "cancel", "filter": {}, "at_most": 0})
    assert answer.status_code == 409


def test_an_unchanged_one_is_not_sent_again(owner: Caller) -> None:
    path = f"{BULK}/{world.bulk_action(owner.principal)}"
    first = owner.get(path)
    assert first.headers["X-Poll-After-Ms"] == "1000"
    assert owner.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    worked_off(path.rsplit("/", 1)[1])
    assert owner.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_the_same_request_under_the_same_key_is_one_action(owner: Caller) -> None:
    wanted = {"verb": "retry", "ids": [world.failed(owner.id)]}
    ids = [
        body(owner.post(BULK, json=wanted, headers={"Idempotency-Key": "k"}), 202)["bulk_id"]
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert len(body(owner.get(BULK))["bulk_actions"]) == 1


def test_it_is_aborted_and_lists_page(owner: Caller) -> None:
    ids = [world.bulk_action(owner.principal) for _ in range(3)][::-1]
    assert body(owner.post(f"{BULK}/{ids[0]}/abort"), 202)["status"] == "aborted"
    assert owner.post(f"{BULK}/{ids[0]}/abort").status_code == 409
    page = body(owner.get(f"{BULK}?limit=2"))
    assert [each["bulk_id"] for each in page["bulk_actions"]] == ids[:2]
    rest = body(owner.get(f"{BULK}?limit=2&before={page['next']}"))
    assert ([each["bulk_id"] for each in rest["bulk_actions"]], rest["next"]) == (ids[2:], None)


def test_filters_mean_what_they_mean_in_lists(owner: Caller, other: Caller) -> None:
    hit = world.submitted(owner.id, tags=("x",))
    spared, theirs = world.submitted(owner.id), world.submitted(other.id, tags=("x",))
    only = {"tag": "x", "status": ["queued"], "agent_id": "test-echo", "since": "2026-01-01T00:00:00Z"}
    action = body(owner.post(BULK, json={"verb": "cancel", "filter": only}), 202)
    worked_off(action["bulk_id"])
    assert [status(job_id) for job_id in (hit, spared, theirs)] == ["cancelled", "queued", "queued"]
    assert "tag: x" in action["words"]


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"verb": "cancel"}, "/ids"),
        ({"verb": "fly", "filter": {}}, "/verb"),
        ({"verb": "resubmit", "filter": {}}, "/verb"),
        ({"verb": "priority", "filter": {}}, "/options/priority"),
        ({"verb": "cancel", "filter": {"group_key": "x"}}, "/filter/group_key"),
        ({"verb": "resubmit", "subject": "dead_letters", "filter": {"tag": "x"}}, "/filter/tag"),
        ({"verb": "cancel", "filter": {"colour": "red"}}, "/filter/colour"),
        ({"verb": "cancel", "filter": {}}, "/filter"),
    ],
)
def test_what_makes_no_sense_is_refused(admin: Caller, wanted: dict[str, Any], pointer: str) -> None:
    answer = admin.post(BULK, json=wanted)
    assert answer.status_code == 422, answer.data
    assert answer.json["errors"][0]["pointer"] == pointer


def test_letters_are_sent_in_again_by_admins_with_the_scope(
    admin: Caller, owner: Caller, make_caller: Callable[..., Caller]
) -> None:
    world.failed(owner.id)
    wanted = {"subject": "dead_letters", "verb": "resubmit", "filter": {}, "options": {"priority": "high"}}
    writer = make_caller("writer", "admin", frozenset({"read", "write"}))
    assert (owner.post(BULK, json=wanted).status_code, writer.post(BULK, json=wanted).status_code) == (
        403,
        403,
    )
    action = body(admin.post(BULK, json=wanted), 202)
    worked_off(action["bulk_id"])
    assert body(admin.get(f"{BULK}/{action['bulk_id']}"))["done"] == 1


ODD = "a/b?c#d%2F é \"'&:x"


class TestGroups:
    def _groups(self, admin: Caller, query: str = "") -> list[tuple[str, str]]:
        found = body(admin.get(f"{GROUPS}?{query}"))["groups"]
        return [(group["error_message"], group["status"]) for group in found]

    def test_what_is_said_of_a_group_decides_where_it_is_listed(self, admin: Caller, owner: Caller) -> None:
        world.failed(owner.id, "row 1 is odd")
        key = body(admin.get(GROUPS))["groups"][0]["group_key"]

        said = body(admin.post(f"{GROUPS}/{quote(key, safe='')}/resolve", json={"note": "mended"}))

        assert (said["status"], said["note"], said["letters"]) == ("resolved", "mended", 1)
        assert said["changed_by"] == admin.id
        assert self._groups(admin) == []
        assert self._groups(admin, "status=resolved") == [("row 1 is odd", "resolved")]
        world.failed(owner.id, "row 2 is odd")
        assert self._groups(admin) == [("row 2 is odd", "open")]
        body(admin.post(f"{GROUPS}/{quote(key, safe='')}/ignore"))
        assert (self._groups(admin), len(self._groups(admin, "status=any"))) == ([], 1)
        assert body(admin.post(f"{GROUPS}/{quote(key, safe='')}/reopen"))["status"] == "open"
        assert self._groups(admin, "window=3h") == [("row 2 is odd", "open")]

    def test_odd_keys_hold(self, admin: Caller, owner: Caller) -> None:
        world.failed(owner.id)
        with db.quick():
            db.run("UPDATE dead_letters SET group_key = %(key)s", key=ODD)
        said = body(admin.post(f"{GROUPS}/{quote(ODD, safe='')}/ignore"))
        assert (said["group_key"], said["status"]) == (ODD, "ignored")

    def test_it_is_audited(self, admin: Caller, owner: Caller) -> None:
        world.failed(owner.id)
        key = body(admin.get(GROUPS))["groups"][0]["group_key"]
        admin.post(f"{GROUPS}/{quote(key, safe='')}/ignore")
        with db.quick():
            row = db.row("SELECT * FROM audit_log WHERE action = 'dead_letter_group.ignored'")
        assert row is not None
        assert (row["subject"], row["actor"]) == (key, admin.id)
