"""Jobs that ended failed: kept whole, grouped by cause, sent in again once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.db import db
from app.errors import Conflict, Invalid, InvalidParameters, NotFound, PermanentError, TemporaryError
from app.jobs import dead_letters, error_groups, intake, lifecycle, pruning
from app.jobs.dead_letters import fingerprint
from app.jobs.states import Reason
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


def _buried(agent_id: str = "test-noop", message: str = "no", **wish: object) -> str:
    claim = acting.claimed(agent_id, **wish)  # type: ignore[arg-type]
    lifecycle.fail(claim, PermanentError(message), Reason.PERMANENT, "Traceback of it")
    return str(dead_letters.get(claim.job_id)["dlq_id"])


def test_a_letter_keeps_everything_to_understand_and_repeat_it() -> None:
    claim = acting.claimed(
        "test-echo", parameters={"text": "x"}, priority="high", task_name="Name", timeout=5
    )
    lifecycle.retry_later(claim, TemporaryError("first"), 0)
    again = acting.claim()
    assert again is not None
    lifecycle.fail(again, TemporaryError("second"), Reason.EXHAUSTED, "Traceback of it")
    letter = dead_letters.get(claim.job_id)
    expected = {
        "job_id": claim.job_id, "agent_id": "test-echo", "task_name": "Name", "parameters": {"text": "x"},
        "options": {"timeout": 5}, "priority_rank": 1, "submitted_by": acting.OWNER, "reason": "exhausted",
        "error_type": "TemporaryError", "error_class": "temporary", "error_message": "second",
        "stack_trace": "Traceback of it", "retry_count": 1, "resubmitted": False, "user_error": False,
    }  # fmt: skip
    assert {name: letter[name] for name in expected} == expected
    assert letter["failed_at"] == acting.job(claim.job_id)["finished_at"]
    assert dead_letters.get(letter["dlq_id"]) == letter


def test_the_share_that_ends_here_leaves_out_what_its_input_caused() -> None:
    def ends(error: PermanentError | None = None) -> None:
        claim = acting.claimed()
        if error:
            lifecycle.fail(claim, error, Reason.PERMANENT)
        else:
            lifecycle.complete(claim, {})

    assert dead_letters.share() is None
    ends(PermanentError("no such file", user_error=True))
    assert dead_letters.share() is None, "nothing else has ended"
    for _ in range(3):
        ends()
    assert dead_letters.share() == 0
    ends(PermanentError("it is broken"))
    ends(PermanentError("half of a parameter", user_error=True))
    assert dead_letters.share() == 1 / 4
    db.run(
        "UPDATE task_history SET completed_at = completed_at - interval '25 hours' WHERE status = 'completed'"
    )
    assert dead_letters.share() == 1


def test_a_letter_is_there_exactly_when_its_job_is_failed() -> None:
    claim = acting.claimed()
    with pytest.raises(RuntimeError), db.transaction():
        lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT)
        assert db.value("SELECT count(*) FROM dead_letters") == 1
        raise RuntimeError
    assert (acting.status(claim.job_id), db.value("SELECT count(*) FROM dead_letters")) == ("running", 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("row 17 of 20 is bad", "row 3 of 1999 is bad", True),
        ("no file /tmp/a/b.txt", "no file /srv/data/c.csv", True),
        (
            "job 0192f0c1-9d7e-7000-8000-000000000001 gone",
            "job 0192f0c1-9d7e-7000-8000-0000000000ff gone",
            True,
        ),
        ("object at 0x7f00aa", "object at 0x1b", True),
        ("no key 'alpha'", 'no key "beta"', True),
        ("took 1.5 s", "took 22 s", True),
        ("connection refused", "connection reset", False),
    ],
)
def test_failures_of_one_cause_fall_into_one_group(one: str, other: str, same: bool) -> None:
    assert (fingerprint("a", "E", one) == fingerprint("a", "E", other)) is same


def test_other_agents_and_other_types_are_other_groups() -> None:
    assert len({fingerprint("a", "E", "m"), fingerprint("b", "E", "m"), fingerprint("a", "F", "m")}) == 3


def test_groups_come_most_frequent_first_and_lose_what_was_sent_in_again() -> None:
    many = [_buried(message=f"row {n} is bad") for n in range(3)]
    _buried(message="else")
    groups = dead_letters.groups(timedelta(hours=1))
    assert [g["count"] for g in groups] == [3, 1]
    assert groups[0]["newest_dlq_id"] == many[-1]
    assert dead_letters.open_in_group(groups[0]["group_key"]) == many
    intake.resubmit(many[0], by="root")
    assert dead_letters.open_in_group(groups[0]["group_key"]) == many[1:]


def test_letters_are_found_by_agent_time_and_state() -> None:
    first, second = _buried("test-echo"), _buried()
    intake.resubmit(second, by="root")
    assert [r["dlq_id"] for r in dead_letters.page(agent_id="test-echo")] == [first]
    assert [r["dlq_id"] for r in dead_letters.page(resubmitted=True)] == [second]
    assert [r["dlq_id"] for r in dead_letters.page()] == [second, first]
    assert dead_letters.page(since=clock.now() + timedelta(minutes=1)) == []
    newest = dead_letters.page(limit=1)[0]
    assert [r["dlq_id"] for r in dead_letters.page(before=(newest["failed_at"], newest["dlq_id"]))] == [first]
    assert (dead_letters.count(), dead_letters.count(cap=1)) == (2, 1)


def test_an_unknown_letter_is_not_found() -> None:
    with pytest.raises(NotFound):
        dead_letters.get(lifecycle.new_id())


class TestResubmit:
    def test_makes_a_new_job_and_marks_the_letter(self) -> None:
        dlq_id = _buried("test-echo", parameters={"text": "x"}, tags=("t",))
        answer = intake.resubmit(dlq_id, by="root", priority="critical")
        letter, new = dead_letters.get(dlq_id), acting.job(answer["new_job_id"])
        assert (letter["resubmitted"], letter["resubmitted_by"], letter["new_job_id"]) == (
            True,
            "root",
            new["job_id"],
        )
        assert (new["parameters"], new["priority_rank"], new["retry_of_job_id"]) == (
            {"text": "x"},
            0,
            letter["job_id"],
        )
        assert new["submitted_by"] == acting.OWNER

    def test_timeout_and_retry_after_are_options_and_the_rest_are_parameters(self) -> None:
        dlq_id = _buried("test-sleeper", parameters={"seconds": 1})
        answer = intake.resubmit(
            dlq_id, by="root", override_parameters={"timeout": 600, "retry_after": 3600, "seconds": 2}
        )
        new = acting.job(answer["new_job_id"])
        assert (new["parameters"], new["options"], new["status"]) == (
            {"seconds": 2},
            {"timeout": 600},
            "pending",
        )
        assert 3590 < (new["run_at"] - clock.now()).total_seconds() <= 3600

    def test_an_agents_own_parameter_of_that_name_stays_a_parameter(self) -> None:
        acting.agent("waits", parameters={"type": "object", "properties": {"timeout": {"type": "integer"}}})
        answer = intake.resubmit(_buried("waits"), by="root", override_parameters={"timeout": 7})
        new = acting.job(answer["new_job_id"])
        assert (new["parameters"], new["options"]) == ({"timeout": 7}, {})

    @pytest.mark.parametrize(
        ("overrides", "refusal"),
        [
            ({"seconds": "long"}, InvalidParameters),
            ({"nonsense": 1}, InvalidParameters),
            ({"timeout": 0}, Invalid),
            ({"retry_after": -1}, Invalid),
            ({"retry_after": True}, Invalid),
        ],
    )
    def test_overrides_that_do_not_fit_leave_the_letter_as_it_was(
        self, overrides: dict[str, object], refusal: type[Exception]
    ) -> None:
        dlq_id = _buried("test-sleeper")
        with pytest.raises(refusal):
            intake.resubmit(dlq_id, by="root", override_parameters=overrides)
        assert not dead_letters.get(dlq_id)["resubmitted"]
        assert db.value("SELECT count(*) FROM jobs") == 1

    def test_a_second_time_is_a_conflict_unless_forced_and_makes_no_job(self) -> None:
        dlq_id = _buried()
        intake.resubmit(dlq_id, by="root")
        with pytest.raises(Conflict), db.transaction():
            intake.resubmit(dlq_id, by="root")
        assert db.value("SELECT count(*) FROM jobs") == 2
        intake.resubmit(dlq_id, by="root", force=True)
        assert db.value("SELECT count(*) FROM jobs") == 3


@pytest.mark.usefixtures("quick")
def test_running_a_failed_job_again_deals_with_its_letter() -> None:
    with db.quick():
        claim = acting.claimed()
        lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT)
        new = intake.again(claim.job_id, by="eve@example.com")

        letter = dead_letters.get(claim.job_id)
    assert (letter["resubmitted"], letter["new_job_id"]) == (True, new["job_id"])


@pytest.mark.parametrize(
    ("said_days_ago", "failed_days_ago", "left"),
    [(None, 3000, 1), (91, 92, 0), (89, 92, 1), (100, 95, 1)],
    ids=["open", "resolved long ago", "resolved lately", "failed again since"],
)
def test_a_letter_goes_ninety_days_after_its_group_was_dealt_with(
    said_days_ago: int | None, failed_days_ago: int, left: int
) -> None:
    dlq_id = _buried()
    db.run(
        "UPDATE dead_letters SET failed_at = now() - %(days)s * interval '1 day' WHERE dlq_id = %(id)s",
        id=dlq_id, days=failed_days_ago,
    )  # fmt: skip
    if said_days_ago is not None:
        error_groups.say(dead_letters.get(dlq_id)["group_key"], "resolved", by=acting.OWNER)
        db.run("UPDATE error_groups SET changed_at = now() - %(days)s * interval '1 day'", days=said_days_ago)
    pruning.trim(365)
    assert db.value("SELECT count(*) FROM dead_letters") == left
