"""A link answers one question once, for one person, and opens nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine

from app import clock
from app.accounts import users
from app.approvals import answering, links, queries
from app.approvals.asking import Question, ask
from app.db import db
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.jobs import lifecycle
from app.workflows import asking as doors
from tests import acting

KEY = "a key of at least thirty-two characters"
GUEST = "guest@elsewhere.example"


@pytest.fixture
def here(quick: Engine) -> Iterator[None]:
    """The whole test inside one transaction."""
    with db.transaction():
        yield


def asked(**wanted: Any) -> tuple[str, str, str]:
    """A job that waits, its question, and a link for the guest whom it names."""
    job_id, approval_id = acting.asked(**{"approvers": ("Guest@Elsewhere.example",)} | wanted)
    return job_id, approval_id, links.make(approval_id, GUEST, key=KEY)


@pytest.mark.usefixtures("here")
class TestLinks:
    def test_reading_changes_nothing_and_answering_is_theirs(self) -> None:
        job_id, approval_id, token = asked()
        for _ in range(3):
            shown = links.read(token, key=KEY)
        assert (shown["approval_id"], shown["email"], shown["status"]) == (approval_id, GUEST, "open")
        assert acting.status(job_id) == "awaiting_input"

        done = doors.answer_by_link(token, key=KEY, decision="approve", comment="fine")
        assert (done["status"], done["answered_by"], done["comment"]) == ("approved", GUEST, "fine")
        assert acting.status(job_id) == "queued"

    def test_one_signed_by_the_key_before_works_while_that_is_named(self) -> None:
        _, approval_id, token = asked()
        newer = "a newer key of at least thirty-two characters"

        assert links.read(token, key=(newer, KEY))["approval_id"] == approval_id
        with pytest.raises(NotFound):
            links.read(token, key=(newer,))

    def test_it_works_once(self) -> None:
        _, _, token = asked()
        doors.answer_by_link(token, key=KEY, decision="reject")
        for again in (
            partial(links.read, token, key=KEY),
            partial(doors.answer_by_link, token, key=KEY, decision="approve"),
        ):
            with pytest.raises(Conflict, match="was used: the question is rejected"):
                again()

    def test_the_token_is_kept_nowhere(self) -> None:
        _, _, token = asked()
        (kept,) = db.rows("SELECT * FROM approval_links")
        assert token not in str(kept)
        assert token.split(".")[0] not in str(kept)

    def test_two_links_of_one_question_are_two(self) -> None:
        _, approval_id, first = asked()
        second = links.make(approval_id, GUEST, key=KEY)
        assert first != second
        doors.answer_by_link(first, key=KEY, decision="approve")
        with pytest.raises(Conflict, match="settled already: it is approved"):
            links.read(second, key=KEY)

    @pytest.mark.parametrize("forge", [
        lambda _token: "", lambda _token: "x", lambda token: token[:-1], lambda token: token + "x",
        lambda token: "x" + token, lambda token: token.split(".")[0], lambda token: token.swapcase(), lambda _t: "\x00",
        lambda _token: "é" * 40, lambda _token: "\ud800", lambda token: token.replace(".", ".."),
    ])  # fmt: skip
    def test_what_is_no_link_is_not_there(self, forge: Any) -> None:
        _, _, token = asked()
        for do in (links.read, partial(doors.answer_by_link, decision="approve")):
            with pytest.raises(NotFound, match="not valid"):
                do(forge(token), key=KEY)

    def test_another_key_signs_another_link(self) -> None:
        _, _, token = asked()
        with pytest.raises(NotFound):
            links.read(token, key="another key of thirty-two characters")

    def test_it_ends_with_the_deadline_or_in_a_week(self) -> None:
        _, approval_id, _ = asked()
        _, short, _ = asked(deadline_seconds=60)
        until = {
            row["approval_id"]: row["expires_at"] - clock.now()
            for row in db.rows("SELECT approval_id::text, expires_at FROM approval_links")
        }
        assert timedelta(days=6.9) < until[approval_id] < timedelta(days=7)
        assert timedelta(0) < until[short] <= timedelta(seconds=60)

    def test_an_expired_one_says_so(self) -> None:
        _, approval_id, _ = asked()
        token = links.make(approval_id, GUEST, key=KEY, ttl=timedelta(seconds=-1))
        with pytest.raises(Conflict, match="expired"):
            links.read(token, key=KEY)
        with pytest.raises(Conflict, match="expired"):
            doors.answer_by_link(token, key=KEY, decision="approve")
        assert queries.get(approval_id)["status"] == "open"
        assert links.forget(0) == 1

    def test_a_withdrawn_question_says_so(self) -> None:
        job_id, _, token = asked()
        lifecycle.cancel(job_id)
        with pytest.raises(Conflict, match="withdrawn"):
            links.read(token, key=KEY)
        with pytest.raises(Conflict, match="withdrawn"):
            doors.answer_by_link(token, key=KEY, decision="approve")

    def test_too_late_is_too_late(self) -> None:
        _, approval_id, token = asked(deadline_seconds=60)
        acting.too_late(approval_id)
        with pytest.raises(Conflict, match="over"):
            links.read(token, key=KEY)

    def test_only_somebody_named_by_mail_gets_one(self) -> None:
        _, approval_id = acting.asked(approvers=("user", GUEST))
        for stranger in ("eve@example.com", "user", "", "link"):
            with pytest.raises(Forbidden):
                links.make(approval_id, stranger, key=KEY)
        _, of_nobody = acting.asked()
        with pytest.raises(Forbidden):
            links.make(of_nobody, GUEST, key=KEY)

    def test_whoever_it_was_passed_on_to_gets_one_when_it_was(self) -> None:
        _, approval_id = acting.asked(escalate_seconds=60, escalate_to=(GUEST,))
        with pytest.raises(Forbidden):
            links.make(approval_id, GUEST, key=KEY)
        db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
        answering.escalate(approval_id)
        token = links.make(approval_id, GUEST, key=KEY)
        assert doors.answer_by_link(token, key=KEY, decision="approve")["answered_by"] == GUEST

    def test_an_account_that_is_switched_off_answers_nothing(self) -> None:
        made = users.create(email=GUEST, name="Guest", role="user", password="a long enough password")
        _, _, token = asked()
        db.run("UPDATE users SET enabled = false WHERE user_id = %(id)s", id=made["user_id"])
        with pytest.raises(Forbidden, match="switched off"):
            doors.answer_by_link(token, key=KEY, decision="approve")

    def test_a_link_is_no_role(self) -> None:
        _, approval_id, _ = asked()
        for approvers in ("'{}'", "ARRAY['admin']", "ARRAY['user']"):
            db.run(f"UPDATE approvals SET approvers = {approvers}, requested_by = ''")
            holder = links.Holder(email=GUEST)
            with pytest.raises(Forbidden):
                doors.answer(approval_id, decision="approve", by=holder)

    def test_a_step_of_a_run_has_links_too(self) -> None:
        approval_id = ask(
            Question(
                question="Well?",
                requested_by=acting.OWNER,
                workflow_id=lifecycle.new_id(),
                step_id="s",
                approvers=(GUEST,),
            )
        )
        token = links.make(approval_id, GUEST, key=KEY)
        assert doors.answer_by_link(token, key=KEY, decision="approve")["status"] == "approved"

    def test_links_go_with_their_question(self) -> None:
        asked()
        db.run("DELETE FROM approvals")
        assert db.value("SELECT count(*) FROM approval_links") == 0


@pytest.mark.usefixtures("quick")
class TestTransactions:
    def test_an_answer_that_does_not_fit_leaves_the_link_as_it_was(self) -> None:
        with db.transaction():
            _, _, token = asked(options=("approve", "edit"), editable={"text": "A draft."})
        with pytest.raises(Invalid), db.transaction():
            doors.answer_by_link(token, key=KEY, decision="edit", edited="")
        with db.transaction():
            done = doors.answer_by_link(token, key=KEY, decision="edit", edited="Better.")
        assert done["edited"] == "Better."

    def test_of_two_clicks_one_counts(self) -> None:
        for _ in range(10):
            with db.transaction():
                job_id, _, token = asked()
            gate = Barrier(3)

            def click(decision: Any, token: str = token, gate: Barrier = gate) -> str | None:
                try:
                    with db.transaction():
                        db.value("SELECT 1")
                        gate.wait(10)
                        return str(doors.answer_by_link(token, key=KEY, decision=decision)["status"])
                except Conflict:
                    return None

            with ThreadPoolExecutor(3) as pool:
                became = list(pool.map(click, ("approve", "reject", "approve")))
            assert len([each for each in became if each]) == 1
            with db.quick():
                assert acting.status(job_id) == "queued"
                lifecycle.cancel(job_id)
