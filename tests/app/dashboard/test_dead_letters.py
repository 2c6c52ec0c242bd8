"""What ended failed, and sending it in again."""

from __future__ import annotations

import pytest

from app.errors import PermanentError
from app.jobs.states import Reason
from tests.app.dashboard.aside import claimed, db, dead_letters, job, lifecycle
from tests.app.dashboard.visiting import Visitor


def _dead(message: str = "no such file", **wish: object) -> str:
    """The id of a fresh dead letter."""
    taken = claimed("test-flaky", **wish)
    lifecycle.fail(taken, PermanentError(message), Reason.PERMANENT, "Traceback")
    return str(dead_letters.get(taken.job_id)["dlq_id"])


def test_failures_of_one_kind_stand_together(admin: Visitor) -> None:
    _dead("row 17 is odd")
    _dead("row 18 is odd")
    _dead("the door is locked")

    groups = admin.soup("/dead-letters").select("#groups li")

    assert [("2 failures" in g.text, "1 failure" in g.text) for g in groups] == [(True, False), (False, True)]


def test_one_letter_is_shown_whole(admin: Visitor) -> None:
    dlq_id = _dead("row 17 is odd", parameters={"failures": 4})

    text = admin.soup(f"/dead-letters/{dlq_id}").text

    assert "row 17 is odd" in text
    assert '"failures": 4' in text
    assert "Traceback" in text


def test_one_is_sent_in_again_with_changes(admin: Visitor) -> None:
    dlq_id = _dead(parameters={"failures": 4, "kind": "permanent"})
    form = {
        "id": dlq_id,
        "parameters": '{"failures": 0, "kind": "permanent"}',
        "priority": "critical",
        "timeout": "60",
    }

    answer = admin.post("/dead-letters/resubmit", form)

    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    assert made["parameters"] == {"failures": 0, "kind": "permanent"}
    assert (made["priority_rank"], made["options"]) == (0, {"timeout": 60})
    assert dead_letters.get(dlq_id)["resubmitted"] is True


def test_a_parameter_taken_away_gets_its_default(admin: Visitor) -> None:
    dlq_id = _dead(parameters={"failures": 4, "kind": "permanent"})

    answer = admin.post("/dead-letters/resubmit", {"id": dlq_id, "parameters": '{"kind": "permanent"}'})

    assert job(answer.headers["Location"].rsplit("/", 1)[1])["parameters"] == {
        "failures": 1,
        "kind": "permanent",
    }


def test_a_group_is_sent_in_again_together(admin: Visitor) -> None:
    ids = [_dead(f"row {n} is odd") for n in range(3)]
    group = dead_letters.get(ids[0])["group_key"]
    assert "Retry 3 dead letters" in admin.get(f"/dead-letters/review?group={group}").text

    answer = admin.post(
        "/dead-letters/resubmit", {"group": group, "parameters": '{"failures": 0}'}, follow=True
    )

    assert "3 jobs sent in again." in answer.text
    assert all(dead_letters.get(dlq_id)["resubmitted"] for dlq_id in ids)
    assert {job(str(dead_letters.get(i)["new_job_id"]))["parameters"]["failures"] for i in ids} == {0}


def test_the_ticked_are_reviewed_and_sent_in_again(admin: Visitor) -> None:
    ids = [_dead("one"), _dead("two")]
    assert "Retry 2 dead letters" in admin.post("/dead-letters/review", {"id": ids}).text

    answer = admin.post("/dead-letters/resubmit", {"id": ids}, follow=True)

    assert "2 jobs sent in again." in answer.text


def test_the_second_time_makes_no_second_job(admin: Visitor) -> None:
    dlq_id = _dead()
    admin.post("/dead-letters/resubmit", {"id": dlq_id})
    new_id = dead_letters.get(dlq_id)["new_job_id"]

    answer = admin.post("/dead-letters/resubmit", {"id": dlq_id}, follow=True)

    assert "had been sent in again already" in answer.text
    assert dead_letters.get(dlq_id)["new_job_id"] == new_id


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"parameters": "{"}, "not valid JSON"),
        ({"parameters": "[1]"}, "must be an object"),
        ({"parameters": '{"failures": "many"}'}, "integer"),
        ({"parameters": '{"failures": 1, "odd": 2}'}, "odd"),
        ({"parameters": '{"failures": 1}', "timeout": "soon"}, "number of seconds"),
        ({"parameters": '{"failures": 1}', "timeout": "0"}, "timeout"),
        ({"priority": "urgent"}, "priority"),
    ],
)
def test_what_cannot_be_sent_in_is_said_and_nothing_changes(
    admin: Visitor, form: dict[str, str], words: str
) -> None:
    dlq_id = _dead(parameters={"failures": 4})

    answer = admin.post("/dead-letters/resubmit", {"id": dlq_id, **form})

    assert answer.status_code == 422
    assert words in answer.text
    assert dead_letters.get(dlq_id)["resubmitted"] is False


def test_one_that_does_not_fit_keeps_all_of_them_back(admin: Visitor) -> None:
    ids = [_dead("one"), _dead("two")]

    answer = admin.post("/dead-letters/resubmit", {"id": ids, "parameters": '{"odd": 1}'})

    assert answer.status_code == 422
    assert [dead_letters.get(i)["resubmitted"] for i in ids] == [False, False]


def test_reviewing_nothing_says_so(admin: Visitor) -> None:
    assert admin.post("/dead-letters/review").status_code == 400
    assert admin.get("/dead-letters/review?id=x").status_code == 404


def test_the_window_leaves_older_ones_out(admin: Visitor) -> None:
    dlq_id = _dead("long ago")
    db.run("UPDATE dead_letters SET failed_at = now() - interval '3 days' WHERE dlq_id = %(id)s", id=dlq_id)

    assert "long ago" not in admin.get("/dead-letters?window=24h").text
    assert "long ago" in admin.get("/dead-letters?window=7d").text
    assert admin.get("/dead-letters?window=odd&page=odd").status_code == 200
