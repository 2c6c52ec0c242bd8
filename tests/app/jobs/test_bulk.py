"""Bulk actions: what they may touch, how far they are, and that nothing is done twice."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from app.accounts import users
from app.accounts.permissions import Principal
from app.db import Row, db
from app.errors import Conflict, Forbidden, Invalid, NotFound, PermanentError
from app.jobs import bulk, bulk_choice, bulk_do, dead_letters, intake, lifecycle, queries
from app.jobs.bulk import Wish
from app.jobs.bulk_choice import Choice
from app.jobs.states import Reason, Status
from tests import acting


def person(role: str, name: str = "") -> Principal:
    with db.transaction():
        row = users.create(f"{name or role}@example.org", None, role=role)
    return Principal(user_id=str(row["user_id"]), email=row["email"], role=role)


@pytest.fixture
def admin(quick: Engine) -> Principal:
    return person("admin")


@pytest.fixture
def ada(quick: Engine) -> Principal:
    return person("user", "ada")


def submitted(who: Principal, **wish: Any) -> str:
    with db.quick():
        return acting.submitted(submitted_by=who.user_id, **wish)


def dead(who: Principal, agent_id: str = "test-echo", message: str = "no", **wish: Any) -> str:
    """The id of a job that failed for good."""
    with db.quick():
        taken = acting.claimed(agent_id, submitted_by=who.user_id, **wish)
        lifecycle.fail(taken, PermanentError(message), Reason.PERMANENT)
    return taken.job_id


def wish(verb: str, *ids: str, only: Any = None, options: Row | None = None) -> Wish:
    subject = "dead_letters" if verb == "resubmit" else "jobs"
    choice = Choice(subject=subject, verb=verb, ids=ids, only=None if ids else only or queries.Filter())
    return Wish(choice=choice, options=options or {}, words="all of them")


def created(wanted: Wish, who: Principal, **how: Any) -> str:
    with db.transaction():
        return str(bulk.create(wanted, who, **how)["bulk_id"])


def step(bulk_id: str) -> Row | None:
    with db.transaction():
        return bulk.step(bulk_id)


def worked_off(bulk_id: str) -> Row:
    while step(bulk_id):
        pass
    return now(bulk_id)


def now(bulk_id: str) -> Row:
    with db.quick():
        return bulk.get(bulk_id)


def status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def jobs_like(job_id: str) -> int:
    with db.quick():
        return int(db.value("SELECT count(*) FROM jobs WHERE retry_of_job_id = %(id)s", id=job_id))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two."""
    monkeypatch.setattr(bulk_do, "BATCH", dict.fromkeys(bulk_do.BATCH, 2))


class TestScope:
    def test_all_that_fit_are_cancelled_and_nothing_else(self, admin: Principal) -> None:
        hit = [submitted(admin, tags=("x",)) for _ in range(3)]
        spared = submitted(admin)

        done = worked_off(created(wish("cancel", only=queries.Filter(tag="x")), admin))

        assert (done["status"], done["matched"], done["done"], done["refused"]) == ("completed", 3, 3, 0)
        assert {status(job_id) for job_id in hit} == {"cancelled"}
        assert status(spared) == "queued"

    def test_what_is_submitted_later_is_never_touched(self, admin: Principal, small: None) -> None:
        first = [submitted(admin) for _ in range(3)]
        bulk_id = created(wish("cancel"), admin)
        step(bulk_id)
        later = submitted(admin)

        done = worked_off(bulk_id)

        assert done["done"] == 3
        assert {status(job_id) for job_id in first} == {"cancelled"}
        assert status(later) == "queued"

    def test_it_never_does_more_than_was_counted_though_others_fit_by_now(
        self, admin: Principal, small: None
    ) -> None:
        running = [submitted(admin) for _ in range(2)]
        with db.quick():
            claims = [acting.claim(), acting.claim()]
        waiting = [submitted(admin) for _ in range(2)]
        bulk_id = created(wish("cancel", only=queries.Filter(statuses=("queued",))), admin)
        with db.quick():  # two older ones come back to the queue: they fit now, and were not meant
            for claim in claims:
                assert claim is not None
                lifecycle.release(claim)

        done = worked_off(bulk_id)

        assert (done["matched"], done["done"]) == (2, 2)
        assert [status(job_id) for job_id in (*running, *waiting)].count("cancelled") == 2

    def test_a_bound_from_a_look_leaves_out_what_came_after_it(self, admin: Principal) -> None:
        old = submitted(admin)
        with db.quick():
            seen = bulk.look(wish("cancel"), admin)
        new = submitted(admin)
        choice = Choice(subject="jobs", verb="cancel", only=queries.Filter(), upto=seen.upto)

        done = worked_off(created(Wish(choice=choice), admin, at_most=seen.count))

        assert (done["matched"], status(old), status(new)) == (1, "cancelled", "queued")

    def test_a_bound_beyond_what_is_there_reaches_no_further(self, admin: Principal, small: None) -> None:
        submitted(admin)
        far = "ffffffff-ffff-7fff-bfff-ffffffffffff"
        bulk_id = created(
            Wish(choice=Choice(subject="jobs", verb="cancel", only=queries.Filter(), upto=far)), admin
        )
        assert now(bulk_id)["chosen"]["upto"] < far

    @pytest.mark.parametrize("upto", ["x", "2026-01-01T00:00:00Z"])
    def test_a_bound_that_is_none_is_refused(self, admin: Principal, upto: str) -> None:
        submitted(admin)
        choice = Choice(subject="jobs", verb="cancel", only=queries.Filter(), upto=upto)
        with pytest.raises(Invalid, match="bound"):
            created(Wish(choice=choice), admin)

    def test_what_grew_since_the_look_is_refused_and_not_done(self, admin: Principal) -> None:
        submitted(admin)
        submitted(admin)
        with pytest.raises(Conflict, match="it would be 2 now and not 1"):
            created(wish("cancel"), admin, at_most=1)
        with db.quick():
            assert bulk.page() == []

    def test_nothing_to_do_is_no_action(self, admin: Principal) -> None:
        with pytest.raises(Invalid, match="nothing to do"):
            created(wish("cancel"), admin)

    def test_completed_jobs_are_run_again_only_by_name(self, admin: Principal) -> None:
        job_id = submitted(admin)
        with db.quick():
            claim = acting.claim()
            assert claim is not None
            lifecycle.complete(claim, {})
        with pytest.raises(Invalid):
            created(wish("retry"), admin)
        assert worked_off(created(wish("retry", job_id), admin))["done"] == 1
        assert jobs_like(job_id) == 1

    def test_a_filter_that_this_release_does_not_know_is_not_widened(self, admin: Principal) -> None:
        job_id = submitted(admin)
        bulk_id = created(wish("cancel"), admin)
        with db.transaction():
            db.run("""UPDATE bulk_actions SET chosen = jsonb_set(chosen, '{filter,moon}', '"full"')""")
        done = worked_off(bulk_id)
        assert (done["status"], status(job_id)) == ("failed", "queued")
        assert "moon" in done["error"]

    def test_every_part_of_a_filter_is_kept(self) -> None:
        only = queries.Filter(
            owner="o",
            agent_id="a",
            statuses=("failed", "retry"),
            since=bulk_choice.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=bulk_choice.UTC),
            in_errors=False,
        )
        assert bulk_choice.read(queries.Filter, bulk_choice.written(only)) == only


class TestLook:
    def test_it_counts_shows_some_and_touches_nothing(self, admin: Principal) -> None:
        waiting = [submitted(admin) for _ in range(7)]
        dead(admin, priority="critical")
        with db.quick():
            seen = bulk.look(wish("cancel"), admin)
        assert (seen.count, seen.more, seen.left_alone) == (7, False, {"state": 1})
        assert len(seen.sample) == 5
        assert {status(job_id) for job_id in waiting} == {"queued"}

    def test_of_named_ones_it_says_why_some_would_be_left(self, admin: Principal, ada: Principal) -> None:
        mine, over, theirs = submitted(ada), dead(ada, priority="critical"), submitted(admin)
        with db.quick():
            seen = bulk.look(wish("cancel", mine, over, theirs), ada)
        assert (seen.count, seen.left_alone) == (1, {"failed": 1, "missing": 1})
        assert {row["job_id"] for row in seen.sample} == {mine, over}

    def test_of_more_than_an_action_takes_it_says_so(
        self, admin: Principal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(3):
            submitted(admin)
        monkeypatch.setattr(bulk, "MOST", 2)
        with db.quick():
            seen = bulk.look(wish("cancel"), admin)
        assert (seen.count, seen.more) == (2, True)


class TestOwnership:
    def test_users_touch_only_their_own_whatever_they_name(self, admin: Principal, ada: Principal) -> None:
        mine, theirs = submitted(ada), submitted(admin)

        named = worked_off(created(wish("priority", mine, theirs, options={"priority": "high"}), ada))

        assert (named["done"], named["refused"]) == (1, 1)
        assert named["refusals"] == [{"id": theirs, "reason": "there is no such job"}]

    def test_users_touch_only_their_own_by_a_filter(self, admin: Principal, ada: Principal) -> None:
        mine, theirs = submitted(ada), submitted(admin)
        sly = queries.Filter(owner=admin.user_id)
        assert worked_off(created(wish("cancel", only=sly), ada))["matched"] == 1
        assert (status(mine), status(theirs)) == ("cancelled", "queued")

    def test_an_admin_touches_everybodys(self, admin: Principal, ada: Principal) -> None:
        assert worked_off(created(wish("cancel", submitted(ada)), admin))["done"] == 1

    def test_viewers_do_nothing_and_letters_are_for_admins(self, ada: Principal) -> None:
        job_id = dead(ada)
        viewer = person("viewer")
        with pytest.raises(Forbidden):
            created(wish("cancel", job_id), viewer)
        with pytest.raises(Forbidden):
            created(wish("resubmit", only=dead_letters.Filter()), ada)

    def test_others_do_not_know_of_it(self, admin: Principal, ada: Principal) -> None:
        submitted(admin)
        bulk_id = created(wish("cancel"), admin)
        with db.quick():
            assert bulk.page(ada.user_id) == []
            with pytest.raises(NotFound):
                bulk.get(bulk_id, ada.user_id)

    @pytest.mark.parametrize("change", [{"enabled": False}, {"role": "viewer"}])
    def test_who_may_not_any_more_does_nothing_any_more(
        self, admin: Principal, ada: Principal, change: dict[str, Any], small: None
    ) -> None:
        jobs = [submitted(ada) for _ in range(4)]
        bulk_id = created(wish("cancel"), ada)
        step(bulk_id)
        with db.transaction():
            users.change(ada.user_id, actor=admin.user_id, **change)

        done = worked_off(bulk_id)

        assert (done["status"], done["done"]) == ("failed", 2)
        assert done["error"]
        assert [status(job_id) for job_id in jobs].count("queued") == 2

    def test_an_admin_who_is_a_user_now_does_not_go_on_with_everybodys(
        self, admin: Principal, ada: Principal
    ) -> None:
        job_id = submitted(ada)
        other = person("admin", "other")
        bulk_id = created(wish("cancel"), other)
        with db.transaction():
            users.change(other.user_id, actor=admin.user_id, role="user")
        done = worked_off(bulk_id)
        assert (done["status"], status(job_id)) == ("failed", "queued")
        assert "role changed" in done["error"]


class TestVerbs:
    def test_what_cannot_be_is_refused_with_the_reason_and_the_rest_goes_on(self, admin: Principal) -> None:
        over, waiting = dead(admin), submitted(admin)
        done = worked_off(created(wish("cancel", over, waiting), admin))
        assert (done["status"], done["done"], done["refused"]) == ("completed", 1, 1)
        assert done["refusals"] == [{"id": over, "reason": "the job is failed"}]

    def test_running_ones_are_asked_to_stop(self, admin: Principal) -> None:
        job_id = submitted(admin)
        with db.quick():
            acting.claim()
        assert worked_off(created(wish("cancel", job_id), admin))["done"] == 1
        assert worked_off(created(wish("cancel", job_id), admin))["done"] == 1
        assert status(job_id) == "running"

    def test_priorities(self, admin: Principal) -> None:
        waiting, over = submitted(admin), dead(admin, priority="critical")
        done = worked_off(created(wish("priority", waiting, over, options={"priority": "low"}), admin))
        assert (done["done"], done["refused"]) == (1, 1)
        with db.quick():
            assert acting.job(waiting)["priority_rank"] == 3

    def test_retrying_makes_new_jobs_of_whoever_asked_and_settles_the_letters(
        self, admin: Principal, ada: Principal
    ) -> None:
        job_id = dead(ada)
        worked_off(created(wish("retry", only=queries.Filter(statuses=("failed",))), admin))
        with db.quick():
            (new,) = db.rows("SELECT submitted_by FROM jobs WHERE retry_of_job_id = %(id)s", id=job_id)
            assert new["submitted_by"] == admin.user_id
            assert dead_letters.get(job_id)["resubmitted"]

    def test_letters_go_in_again_with_changes(self, admin: Principal, ada: Principal) -> None:
        job_id = dead(ada, parameters={"text": "a"})
        options = {"priority": "high", "override_parameters": {"text": "b"}}
        done = worked_off(created(wish("resubmit", only=dead_letters.Filter(), options=options), admin))
        assert done["done"] == 1
        with db.quick():
            (new,) = db.rows("SELECT * FROM jobs WHERE retry_of_job_id = %(id)s", id=job_id)
        assert (new["parameters"], new["priority_rank"], new["submitted_by"]) == (
            {"text": "b"},
            1,
            ada.user_id,
        )

    def test_a_letter_that_is_refused_leaves_no_job_behind(
        self, admin: Principal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = dead(admin), dead(admin)
        mark = dead_letters.mark_resubmitted

        def not_the_first(dlq_id: str, **how: Any) -> Row:
            if dlq_id == letters[0]:
                raise Conflict("sent in again by somebody else")
            return mark(dlq_id, **how)

        with db.quick():
            letters = sorted(dead_letters.get(job_id)["dlq_id"] for job_id in (first, second))
        monkeypatch.setattr(dead_letters, "mark_resubmitted", not_the_first)
        done = worked_off(created(wish("resubmit", only=dead_letters.Filter()), admin))
        assert (done["done"], done["refused"]) == (1, 1)
        assert jobs_like(first) + jobs_like(second) == 1

    def test_a_fault_of_our_own_on_one_does_not_hold_up_the_others(
        self, admin: Principal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = sorted([dead(admin), dead(admin)])
        again = intake.again

        def broken(job_id: str, **how: Any) -> Row:
            if job_id == first:
                db.run("SELECT 1/0")
            return again(job_id, **how)

        monkeypatch.setattr(intake, "again", broken)
        done = worked_off(created(wish("retry", first, second), admin))
        assert (done["done"], done["refused"]) == (1, 1)
        assert done["refusals"][0]["reason"] == "Callboard failed on it: DivisionByZero"

    def test_only_the_first_refusals_are_kept(self, admin: Principal) -> None:
        ids = [lifecycle.new_id() for _ in range(50)]
        done = worked_off(created(wish("cancel", *ids), admin))
        assert (done["refused"], len(done["refusals"])) == (50, 20)

    @pytest.mark.parametrize(
        ("verb", "options", "pointer"),
        [
            ("fly", {}, "/verb"),
            ("priority", {}, "/options/priority"),
            ("priority", {"priority": "huge"}, "/options/priority"),
            ("cancel", {"priority": "high"}, "/options/priority"),
            ("resubmit", {"override_parameters": [1]}, "/options/override_parameters"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, admin: Principal, verb: str, options: Row, pointer: str
    ) -> None:
        with pytest.raises(Invalid) as refused:
            created(wish(verb, lifecycle.new_id(), options=options), admin)
        assert [field for field, _ in refused.value.fields] == [pointer]

    def test_ids_and_a_filter_at_once_or_none_of_them_are_no_choice(self, admin: Principal) -> None:
        both = Choice(subject="jobs", verb="cancel", ids=(lifecycle.new_id(),), only=queries.Filter())
        neither = Choice(subject="jobs", verb="cancel")
        for choice in (both, neither):
            with pytest.raises(Invalid, match="by id, or all"):
                created(Wish(choice=choice), admin)


class TestDurability:
    def test_progress_is_there_after_each_batch(self, admin: Principal, small: None) -> None:
        for _ in range(5):
            submitted(admin)
        bulk_id = created(wish("cancel"), admin)
        assert (now(bulk_id)["status"], now(bulk_id)["started_at"]) == ("pending", None)
        seen = []
        while step(bulk_id):
            seen.append((now(bulk_id)["status"], now(bulk_id)["done"]))
        assert seen == [("running", 2), ("running", 4), ("completed", 5)]

    @pytest.mark.parametrize("dies_after", range(6))
    def test_who_dies_in_the_middle_has_done_nothing_twice(
        self, admin: Principal, small: None, monkeypatch: pytest.MonkeyPatch, dies_after: int
    ) -> None:
        failed = [dead(admin) for _ in range(5)]
        bulk_id = created(wish("retry", only=queries.Filter(statuses=("failed",))), admin)
        again, calls = intake.again, 0

        def dying(job_id: str, **how: Any) -> Row:
            nonlocal calls
            calls += 1
            if calls == dies_after + 1:
                raise psycopg2.OperationalError("server closed the connection unexpectedly")
            return again(job_id, **how)

        monkeypatch.setattr(intake, "again", dying)
        deaths = 0
        while now(bulk_id)["finished_at"] is None:
            try:
                step(bulk_id)
            except psycopg2.OperationalError:
                deaths += 1

        assert deaths == (dies_after < 5)
        assert now(bulk_id)["done"] == 5
        assert [jobs_like(job_id) for job_id in failed] == [1] * 5

    def test_two_executors_at_once_do_nothing_twice(self, admin: Principal, engine: Engine) -> None:
        submitted(admin)
        bulk_id = created(wish("cancel"), admin)
        other = engine.raw_connection()
        try:
            with other.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended(%s, 6))", [f"bulk action {bulk_id}"]
                )
            assert step(bulk_id) is None
            assert now(bulk_id)["status"] == "pending"
        finally:
            other.rollback()
            other.close()
        assert worked_off(bulk_id)["done"] == 1

    def test_an_abort_is_honoured_before_the_next_batch(self, admin: Principal, small: None) -> None:
        jobs = [submitted(admin) for _ in range(4)]
        bulk_id = created(wish("cancel"), admin)
        step(bulk_id)
        with db.transaction():
            assert bulk.abort(bulk_id, by=admin.user_id)["status"] == "aborted"  # nobody was at it
        assert step(bulk_id) is None
        assert now(bulk_id)["done"] == 2
        assert [status(job_id) for job_id in jobs].count("queued") == 2
        with pytest.raises(Conflict, match="aborted already"), db.transaction():
            bulk.abort(bulk_id, by=admin.user_id)

    def test_an_abort_in_the_middle_of_a_batch_ends_it_behind_that(
        self, admin: Principal, small: None, engine: Engine
    ) -> None:
        for _ in range(4):
            submitted(admin)
        bulk_id = created(wish("cancel"), admin)
        other = engine.raw_connection()
        with other.cursor() as cursor:  # somebody is at it
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 6))", [f"bulk action {bulk_id}"]
            )
        with db.transaction():
            assert bulk.abort(bulk_id, by=admin.user_id)["status"] == "pending"
        other.rollback()
        other.close()
        ended = step(bulk_id)
        assert ended is not None
        assert (ended["status"], ended["done"]) == ("aborted", 0)

    def test_the_audit_log_has_the_action_and_each_part_of_it(self, admin: Principal) -> None:
        job_id = submitted(admin)
        bulk_id = created(wish("cancel"), admin, correlation_id="c-1")
        worked_off(bulk_id)
        with db.quick():
            rows = db.rows(
                "SELECT * FROM audit_log WHERE actor = %(who)s AND action <> 'job.submitted' ORDER BY id",
                who=admin.user_id,
            )
        assert [(row["action"], row["subject"]) for row in rows] == [
            ("bulk_action.created", bulk_id),
            ("job.cancelled", job_id),
            ("bulk_action.completed", bulk_id),
        ]
        assert {row["correlation_id"] for row in rows} == {"c-1"}
        assert rows[1]["details"] == {"bulk_id": bulk_id}
        assert (rows[2]["details"]["matched"], rows[2]["details"]["done"]) == (1, 1)


def test_the_states_it_can_be_done_to_are_those_of_the_single_verbs(admin: Principal) -> None:
    """What a filter takes, the verb for one job takes as well."""
    for verb, act in (
        ("cancel", lifecycle.cancel),
        ("retry", lambda job_id: intake.again(job_id, by="x")),
        ("priority", lambda job_id: lifecycle.change_priority(job_id, lifecycle.Priority.LOW)),
    ):
        rule = bulk_choice.VERBS["jobs"][verb]
        for where in Status:
            with db.quick():
                job_id, _ = acting.brought_to(where)
                fits = acting.status(job_id) in (*rule.states, *rule.by_id)
                try:
                    act(job_id)
                    could = True
                except Conflict:
                    could = False
                # Nothing is left for the next one to claim.
                db.run("DELETE FROM dead_letters")
                db.run("DELETE FROM approvals")
                db.run("DELETE FROM job_attempts")
                db.run("DELETE FROM jobs")
            assert could is fits, (verb, where)
