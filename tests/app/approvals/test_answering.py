"""What jobs ask is answered once, by those who may, for exactly what was asked; and then the job goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from app.accounts.permissions import Principal
from app.approvals import answering, asking, queries
from app.approvals.wanted import Wanted
from app.db import db
from app.errors import Conflict, Forbidden, Invalid
from app.jobs import lifecycle, pruning
from app.workflows import asking as doors
from tests import acting, invariants

MINE = Principal(user_id=acting.OWNER, email="ada@example.com", role="user")
BOB = Principal(user_id="u-bob", email="bob@example.com", role="user")
EVE = Principal(user_id="u-eve", email="eve@example.com", role="viewer")
ROOT = Principal(user_id="u-root", email="root@example.com", role="admin")
EDITABLE = {"options": ("approve", "edit", "reject", "ask_back"), "editable": {"text": "A draft."}}
ROUNDS = 15


@pytest.fixture
def here(quick: Engine) -> Iterator[None]:
    """The whole test inside one transaction, which must leave everything in order."""
    with db.transaction():
        yield
        assert invariants.broken(lambda statement, values: db.rows(statement, **values)) == {}


def said_to(job_id: str, question: str = "Well?", **wanted: Any) -> dict[str, Any] | None:
    return asking.answer_to(job_id, Wanted(question=question, **wanted).digest)


@pytest.mark.usefixtures("here")
class TestAnswers:
    def test_a_yes_lets_the_job_go_on_and_is_found_by_its_question(self) -> None:
        job_id, approval_id = acting.asked()
        assert acting.status(job_id) == "awaiting_input"
        assert said_to(job_id) is None

        settled = doors.answer(approval_id, decision="approve", by=MINE, comment="go")

        assert (settled["status"], settled["answered_by"]) == ("approved", MINE.email)
        assert acting.status(job_id) == "queued"
        told = said_to(job_id)
        assert told is not None
        assert (told["decision"], told["by"], told["comment"]) == ("approve", MINE.email, "go")
        assert (told["approval_id"], told["edited"]) == (approval_id, None)

    def test_waiting_costs_no_retry_and_no_running_time(self) -> None:
        job_id, approval_id = acting.asked()
        db.run("UPDATE jobs SET asked_at = asked_at - interval '1 hour' WHERE job_id = %(id)s", id=job_id)
        doors.answer(approval_id, decision="approve", by=MINE)

        job = acting.job(job_id)
        assert (job["retry_count"], job["lost_count"], job["released_count"]) == (0, 0, 0)
        assert job["asked_seconds"] == pytest.approx(3600, abs=30)
        assert job["asked_at"] is None

    def test_only_those_who_may_answer(self) -> None:
        job_id, approval_id = acting.asked(approvers=("Bob@Example.com",))
        for stranger in (MINE, EVE):
            with pytest.raises(Forbidden):
                doors.answer(approval_id, decision="approve", by=stranger)
        assert acting.status(job_id) == "awaiting_input"

        doors.answer(approval_id, decision="approve", by=BOB)
        assert acting.status(job_id) == "queued"

    def test_a_viewer_answers_where_they_are_named_and_nowhere_else(self) -> None:
        _, named = acting.asked(approvers=(EVE.email,))
        _, of_users = acting.asked(approvers=("user",))
        _, her_own_of_before = acting.asked("As a user I asked")
        db.run("UPDATE approvals SET requested_by = 'u-eve' WHERE approval_id = %(id)s", id=her_own_of_before)

        assert [row["approval_id"] for row in queries.open_for(EVE.user_id, EVE.email, EVE.role)] == [named]
        for other in (of_users, her_own_of_before):
            with pytest.raises(Forbidden):
                doors.answer(other, decision="reject", by=EVE)
        assert doors.answer(named, decision="approve", by=EVE)["answered_by"] == EVE.email

    def test_the_second_answer_is_a_conflict(self) -> None:
        job_id, approval_id = acting.asked()
        doors.answer(approval_id, decision="reject", by=MINE)
        with pytest.raises(Conflict, match="rejected"):
            doors.answer(approval_id, decision="approve", by=ROOT)
        told = said_to(job_id)
        assert told is not None
        assert told["decision"] == "reject"

    def test_cancelling_the_job_withdraws_its_question(self) -> None:
        job_id, approval_id = acting.asked()
        assert lifecycle.cancel(job_id)["status"] == "cancelled"

        assert queries.get(approval_id)["status"] == "cancelled"
        with pytest.raises(Conflict, match="withdrawn"):
            doors.answer(approval_id, decision="approve", by=ROOT)
        assert said_to(job_id) is None
        assert acting.status(job_id) == "cancelled"

    def test_a_question_is_not_put_when_the_job_is_cancelled_meanwhile(self) -> None:
        taken = acting.claimed()
        lifecycle.cancel(taken.job_id)
        assert not lifecycle.wait_for_answer(taken)
        assert acting.status(taken.job_id) == "cancelled"
        assert queries.page() == []


@pytest.mark.usefixtures("here")
class TestEditing:
    def test_an_edit_is_a_yes_with_what_was_made_of_it(self) -> None:
        job_id, approval_id = acting.asked(**EDITABLE)
        settled = doors.answer(approval_id, decision="edit", by=MINE, edited="A better draft.\x00")

        assert (settled["status"], settled["edited"]) == (
            "approved",
            "A better draft.\N{REPLACEMENT CHARACTER}",
        )
        told = said_to(job_id, **EDITABLE)
        assert told is not None
        assert (told["decision"], told["edited"]) == ("approve", "A better draft.\N{REPLACEMENT CHARACTER}")

    @pytest.mark.parametrize(
        ("decision", "edited"),
        [
            ("edit", None), ("edit", ""), ("edit", " \n"), ("edit", 7), ("edit", ["A draft."]), ("edit", "x" * 200_001),
            ("approve", "A better draft."), ("reject", "A better draft."),
        ],
    )  # fmt: skip
    def test_what_is_no_edit_of_a_text(self, decision: Any, edited: Any) -> None:
        job_id, approval_id = acting.asked(**EDITABLE)
        with pytest.raises(Invalid) as wrong:
            doors.answer(approval_id, decision=decision, by=MINE, edited=edited)
        assert wrong.value.fields[0][0] == "/edited"
        assert acting.status(job_id) == "awaiting_input"

    @pytest.mark.parametrize(
        ("before", "after"),
        [({"a": 1}, {}), ([1], ["x", None]), (1, 2.5), (2.5, 1), (True, False), ("x", "y"), (None, {"any": 1}), ({}, {"é": "\ud800"[:0]})],
    )  # fmt: skip
    def test_a_value_is_replaced_by_one_of_its_kind(self, before: Any, after: Any) -> None:
        _, approval_id = acting.asked(options=("edit", "reject"), editable={"value": before})
        assert doors.answer(approval_id, decision="edit", by=MINE, edited=after)["edited"] == after

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"a": 1}, [1]), ([1], {"a": 1}), (1, "1"), (1, True), (True, 1), ("x", None), ("x", 1),
            ({}, {"n": float("nan")}), ({}, {"n": 2**70}), ({}, {"s": "\x00"}), ({}, {"s": "x" * 1_000_001}),
        ],
    )  # fmt: skip
    def test_what_is_no_edit_of_a_value(self, before: Any, after: Any) -> None:
        _, approval_id = acting.asked(options=("edit", "reject"), editable={"value": before})
        with pytest.raises(Invalid) as wrong:
            doors.answer(approval_id, decision="edit", by=MINE, edited=after)
        assert wrong.value.fields[0][0].startswith("/edited")
        assert queries.get(approval_id)["status"] == "open"

    def test_nested_without_end_is_refused(self) -> None:
        _, approval_id = acting.asked(options=("edit", "reject"), editable={"value": []})
        deep: list[Any] = []
        for _ in range(50):
            deep = [deep]
        with pytest.raises(Invalid):
            doors.answer(approval_id, decision="edit", by=MINE, edited=deep)

    def test_a_question_takes_what_it_offers_and_nothing_else(self) -> None:
        _, approval_id = acting.asked()
        for decision in ("edit", "ask_back", "maybe"):
            with pytest.raises(Invalid) as wrong:
                doors.answer(approval_id, decision=decision, by=MINE, edited="x", comment="x")  # type: ignore[arg-type]
            assert wrong.value.fields == [("/decision", "this question takes approve, reject")]

    def test_whoever_asks_back_says_why(self) -> None:
        job_id, approval_id = acting.asked(**EDITABLE)
        for comment in (None, "", "  "):
            with pytest.raises(Invalid) as wrong:
                doors.answer(approval_id, decision="ask_back", by=MINE, comment=comment)
            assert wrong.value.fields[0][0] == "/comment"

        settled = doors.answer(approval_id, decision="ask_back", by=MINE, comment="Shorter.")
        assert settled["status"] == "sent_back"
        told = said_to(job_id, **EDITABLE)
        assert told is not None
        assert (told["decision"], told["comment"]) == ("ask_back", "Shorter.")
        assert acting.status(job_id) == "queued"

    def test_an_edit_fills_in_the_form_as_a_yes_does(self) -> None:
        form = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
        _, approval_id = acting.asked(**EDITABLE, form=form)
        with pytest.raises(Invalid) as wrong:
            doors.answer(approval_id, decision="edit", by=MINE, edited="Better.")
        assert wrong.value.fields[0][0].startswith("/answer")
        done = doors.answer(approval_id, decision="edit", by=MINE, edited="Better.", answer={"day": "monday"})
        assert (done["answer"], done["edited"]) == ({"day": "monday"}, "Better.")


@pytest.mark.usefixtures("here")
class TestBinding:
    """A yes holds for exactly what was shown."""

    def test_a_stale_yes_passes_no_new_draft(self) -> None:
        first, second = {"text": "One."}, {"text": "Two."}
        job_id, of_first = acting.asked(shown=first, draft_number=1, options=("approve", "ask_back"))
        doors.answer(of_first, decision="ask_back", by=MINE, comment="again")
        acting.make_due(job_id)  # in this transaction no time passes
        taken = acting.claim()
        assert taken is not None
        of_second = acting.asks(taken, shown=second, draft_number=2)

        with pytest.raises(Conflict, match="sent_back"):
            doors.answer(of_first, decision="approve", by=MINE)
        assert said_to(job_id, shown=second) is None
        assert queries.get(of_second)["status"] == "open"
        doors.answer(of_second, decision="approve", by=MINE)
        assert (said_to(job_id, shown=second) or {})["decision"] == "approve"
        assert (said_to(job_id, shown=first) or {})["decision"] == "ask_back"

    @pytest.mark.parametrize(
        "other",
        [
            {"question": "Well??"}, {"key": "2"}, {"shown": {"n": "1"}}, {"shown": {"n": 1.0}}, {"shown": {"n": True}},
            {"shown": {"n": 1, "m": None}}, {"shown": [{"n": 1}]}, {"shown": None}, {"form": {"type": "object"}},
            {"editable": {"text": ""}}, {"editable": {"value": None}},
        ],
    )  # fmt: skip
    def test_whatever_differs_is_another_question(self, other: dict[str, Any]) -> None:
        same: dict[str, Any] = {"question": "Well?", "key": "1", "shown": {"n": 1}}
        job_id, approval_id = acting.asked(**same)
        doors.answer(approval_id, decision="approve", by=MINE)

        assert said_to(job_id, **same) is not None
        assert said_to(job_id, **same | other) is None

    def test_parts_do_not_run_into_each_other(self) -> None:
        job_id, approval_id = acting.asked('b"', key='a", "')
        doors.answer(approval_id, decision="approve", by=MINE)
        assert said_to(job_id, 'b"', key='a", "') is not None
        assert said_to(job_id, '", "b"', key="a") is None

    def test_the_order_of_names_is_nothing(self) -> None:
        job_id, approval_id = acting.asked(shown={"a": 1, "b": {"c": 2, "d": 3}})
        doors.answer(approval_id, decision="approve", by=MINE)
        assert said_to(job_id, shown={"b": {"d": 3, "c": 2}, "a": 1}) is not None

    def test_what_postgres_cannot_keep_is_asked_and_found_all_the_same(self) -> None:
        odd = {"nul": "a\x00b", "half": "\ud800", "huge": 2**80, "none": None, "": [], "deep": [[[{}]]]}
        job_id, approval_id = acting.asked("What\x00?", shown=odd)
        assert queries.get(approval_id)["question"] == "What\N{REPLACEMENT CHARACTER}?"
        doors.answer(approval_id, decision="approve", by=MINE, answer={"": 0})
        assert (said_to(job_id, "What\x00?", shown=odd) or {})["answer"] == {"": 0}

    def test_the_answer_of_another_job_is_none_of_this_one(self) -> None:
        _, approval_id = acting.asked()
        doors.answer(approval_id, decision="approve", by=MINE)
        other, _ = acting.asked()
        assert said_to(other) is None


@pytest.mark.usefixtures("here")
class TestSilence:
    @pytest.mark.parametrize("on_timeout", ["approve", "reject"])
    def test_it_is_what_the_question_says_it_is(self, on_timeout: str) -> None:
        job_id, approval_id = acting.asked(deadline_seconds=60, on_timeout=on_timeout)
        assert acting.expire_questions() == 0
        acting.too_late(approval_id)
        with pytest.raises(Conflict, match="over"):
            doors.answer(approval_id, decision="approve", by=MINE)

        assert acting.expire_questions() == 1
        assert acting.expire_questions() == 0
        assert acting.status(job_id) == "queued"
        told = said_to(job_id)
        assert told is not None
        assert (told["decision"], told["by"]) == (on_timeout, None)
        with pytest.raises(Conflict, match="expired"):
            doors.answer(approval_id, decision="approve", by=MINE)

    def test_others_may_answer_when_nobody_did_and_hear_of_it_once(self) -> None:
        job_id, approval_id = acting.asked(escalate_seconds=60, escalate_to=("Bob@example.com",))
        assert not answering.escalate(approval_id)
        with pytest.raises(Forbidden):
            doors.answer(approval_id, decision="approve", by=BOB)
        assert queries.open_for(BOB.user_id, BOB.email, BOB.role) == []

        db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
        assert queries.to_escalate(10) == [approval_id]
        assert answering.escalate(approval_id)
        assert not answering.escalate(approval_id)
        assert queries.to_escalate(10) == []

        assert [row["approval_id"] for row in queries.open_for(BOB.user_id, BOB.email, BOB.role)] == [
            approval_id
        ]
        assert queries.count_open(MINE.user_id, MINE.email, MINE.role) == 1
        assert queries.count_open(EVE.user_id, EVE.email, EVE.role) == 0
        doors.answer(approval_id, decision="approve", by=BOB)
        assert acting.status(job_id) == "queued"
        assert db.value("SELECT count(*) FROM notifications WHERE event = 'approval.escalated'") == 1

    def test_what_is_settled_is_not_passed_on(self) -> None:
        _, approval_id = acting.asked(escalate_seconds=60, escalate_to=("admin",))
        db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
        doors.answer(approval_id, decision="approve", by=MINE)
        assert queries.to_escalate(10) == []
        assert not answering.escalate(approval_id)


@pytest.mark.usefixtures("here")
def test_questions_are_removed_with_their_job() -> None:
    job_id, approval_id = acting.asked()
    doors.answer(approval_id, decision="approve", by=MINE)
    acting.make_due(job_id)  # in this transaction no time passes
    taken = acting.claim()
    assert taken is not None
    lifecycle.complete(taken, {"ok": True})
    _, kept = acting.asked()

    assert pruning.purge(-1, forget_files=lambda _job: None) == 1
    assert [row["approval_id"] for row in queries.page()] == [kept]
    db.run(
        "DELETE FROM job_history WHERE job_id = %(id)s", id=job_id
    )  # kept longer, and here without its job
    db.run("DELETE FROM task_history WHERE job_id = %(id)s", id=job_id)


@pytest.mark.usefixtures("here")
def test_what_one_needs_to_know_of_the_job() -> None:
    given = {"text": "x" * 900, "n": list(range(400)), "secret": "short"}
    taken = acting.claimed(task_name="Write it", parameters=given)
    db.run("""UPDATE jobs SET usage = '{"cost_usd": 1.25}' WHERE job_id = %(id)s""", id=taken.job_id)
    acting.asks(taken)

    told = queries.context(taken.job_id)
    assert told is not None
    assert (told["agent_id"], told["task_name"], told["attempt"]) == ("test-noop", "Write it", 1)
    assert told["usage"] == {"cost_usd": 1.25}
    assert told["input_cut"]
    assert told["input"]["secret"] == "short"
    assert len(told["input"]["text"]) == len(told["input"]["n"]) == 501
    assert queries.context(lifecycle.new_id()) is None


def _at_once(*does: Callable[[], object]) -> list[object]:
    """Each in a thread and a transaction of its own, begun together; a Conflict is its class."""
    gate = threading.Barrier(len(does))

    def alone(do: Callable[[], object]) -> object:
        try:
            with db.transaction():
                db.value("SELECT 1")
                gate.wait(10)
                return do()
        except Conflict:
            return Conflict

    with ThreadPoolExecutor(len(does)) as pool:
        return [future.result(30) for future in [pool.submit(alone, do) for do in does]]


def _sound() -> dict[str, Any]:
    with db.quick():
        return invariants.broken(lambda statement, values: db.rows(statement, **values))


@pytest.mark.usefixtures("quick")
class TestAtTheSameMoment:
    def test_of_two_people_exactly_one_wins(self) -> None:
        for _ in range(ROUNDS):
            with db.transaction():
                job_id, approval_id = acting.asked()
            says = [
                partial(doors.answer, approval_id, decision=decision, by=who)
                for decision, who in (("approve", MINE), ("reject", ROOT), ("approve", ROOT))
            ]
            won = [each for each in _at_once(*says) if each is not Conflict]
            assert len(won) == 1
            with db.quick():
                kept = queries.get(approval_id)
                assert kept["status"] == won[0]["status"]  # type: ignore[index]
                assert acting.status(job_id) == "queued"
                lifecycle.cancel(job_id)
        assert _sound() == {}

    def test_an_answer_and_the_deadline(self) -> None:
        for _ in range(ROUNDS):
            with db.transaction():
                job_id, approval_id = acting.asked(deadline_seconds=60)
            late = {"approval_id": approval_id, "workflow_id": None, "job_id": job_id}
            answered, expired = _at_once(
                partial(doors.answer, approval_id, decision="approve", by=MINE), partial(doors.expire, late)
            )
            assert (answered is Conflict) == (expired is True)
            with db.quick():
                assert queries.get(approval_id)["status"] == ("expired" if expired else "approved")
                assert acting.status(job_id) == "queued"
                lifecycle.cancel(job_id)
        assert _sound() == {}

    def test_an_answer_and_a_cancel(self) -> None:
        for _ in range(ROUNDS):
            with db.transaction():
                job_id, approval_id = acting.asked()
            answered, _ = _at_once(
                partial(doors.answer, approval_id, decision="approve", by=MINE),
                partial(lifecycle.cancel, job_id),
            )
            with db.quick():
                assert acting.status(job_id) == "cancelled"
                becomes = "cancelled" if answered is Conflict else "approved"
                assert queries.get(approval_id)["status"] == becomes
        assert _sound() == {}

    def test_three_schedulers_pass_it_on_once(self) -> None:
        for _ in range(ROUNDS):
            with db.transaction():
                _, approval_id = acting.asked(escalate_seconds=60, escalate_to=("admin",))
                db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
            done = _at_once(*[partial(answering.escalate, approval_id)] * 3)
            assert done.count(True) == 1
        with db.quick():
            told = db.value("SELECT count(*) FROM notifications WHERE event = 'approval.escalated'")
        assert told == ROUNDS

    def test_a_sweep_leaves_a_job_that_somebody_holds(self, quick: Engine) -> None:
        with db.transaction():
            job_id, approval_id = acting.asked(deadline_seconds=60)
            acting.too_late(approval_id)
        with quick.connect() as held:
            held.exec_driver_sql("SELECT 1 FROM jobs FOR UPDATE")
            with db.transaction():
                assert acting.expire_questions() == 0
            held.rollback()
        with db.transaction():
            assert acting.expire_questions() == 1
            assert acting.status(job_id) == "queued"
