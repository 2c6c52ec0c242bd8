"""Coming in: one durable row, and a bell after the commit that made it true."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine

from app import clock
from app.db import db, dumps
from app.errors import AgentNotFound, Conflict, Invalid, InvalidParameters, NotFound
from app.jobs import dispatch, intake, lifecycle, queries
from app.jobs.intake import Wish
from app.jobs.states import Priority, Status
from tests import acting
from tests.acting import OWNER


@pytest.mark.usefixtures("here")
class TestWhatIsStored:
    def test_a_job_that_is_due_is_queued(self) -> None:
        row = acting.job(acting.submitted(priority="high", task_name="A name", tags=("a", "b")))
        assert (row["status"], row["status_reason"], row["priority_rank"]) == ("queued", None, 1)
        assert row["queued_at"] == row["submitted_at"]
        assert (row["task_name"], row["tags"], row["submitted_by"]) == ("A name", ["a", "b"], OWNER)
        assert (row["fence"], row["retry_count"], row["lost_count"], row["released_count"]) == (0, 0, 0, 0)

    def test_a_job_for_later_is_pending_and_says_why(self) -> None:
        row = acting.job(acting.submitted(due_in=60))
        assert (row["status"], row["status_reason"], row["queued_at"]) == ("pending", "scheduled", None)

    def test_ids_grow_with_time_and_rows_come_back_in_the_given_order(self) -> None:
        orders = [intake.order(_wish(task_name=str(n))) for n in range(20)]
        ids = [row["job_id"] for row in lifecycle.submit_many(orders)]
        assert ids == sorted(ids)
        assert [acting.job(i)["task_name"] for i in ids] == [str(n) for n in range(20)]

    def test_schema_defaults_are_filled_in(self) -> None:
        assert acting.job(acting.submitted("test-sleeper"))["parameters"] == {"seconds": 1}

    def test_the_agents_definition_pool_and_retries_are_pinned(self) -> None:
        acting.agent("one", pool="testing", retry={"max_retries": 7})
        row = acting.job(acting.submitted("one"))
        assert (row["pool"], row["max_retries"]) == ("testing", 7)
        assert row["agent_version"] == db.value("SELECT version FROM agents WHERE agent_id = 'one'")

    def test_overrides_of_the_submission_win(self) -> None:
        row = acting.job(acting.submitted(max_retries=0, timeout=60, retry_strategy="fixed"))
        assert row["max_retries"] == 0
        assert row["options"] == {"timeout": 60, "retry_strategy": "fixed"}

    def test_promote_calls_due_jobs_queued(self) -> None:
        later, due = acting.submitted(due_in=60), acting.submitted(due_in=60)
        acting.make_due(due)
        assert lifecycle.promote() == 1
        assert (acting.status(later), acting.status(due)) == ("pending", "queued")

    def test_run_now_does_not_wait(self) -> None:
        job_id = acting.submitted(due_in=3600)
        lifecycle.run_now(job_id)
        taken = acting.claim()
        assert taken is not None
        assert taken.job_id == job_id

    def test_a_finished_job_is_run_again_as_a_new_one_that_names_it(self) -> None:
        job_id, _ = acting.brought_to(Status.FAILED)
        new = intake.again(job_id, by="eve@example.com", priority="critical")
        row = acting.job(new["job_id"])
        assert (row["retry_of_job_id"], row["submitted_by"], row["priority_rank"]) == (
            job_id,
            "eve@example.com",
            0,
        )
        assert acting.status(job_id) == "failed"

    def test_a_job_that_is_not_finished_is_not_run_again(self) -> None:
        with pytest.raises(Conflict) as refused:
            intake.again(acting.submitted(), by=OWNER)
        assert refused.value.allowed == ["cancel"]


def _wish(**more: object) -> Wish:
    return Wish(**{"agent_id": "test-noop", "parameters": {}, "submitted_by": OWNER} | more)  # type: ignore[arg-type]


@pytest.mark.usefixtures("here")
class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("priority", "urgent"),
            ("timeout", 0),
            ("timeout", 86_401),
            ("max_retries", 11),
            ("max_retries", -1),
            ("retry_strategy", "hopeful"),
            ("run_at", clock.now().replace(tzinfo=None)),
            ("run_at", clock.now().replace(year=clock.now().year + 2)),
            ("tags", ("x" * 101,)),
            ("tags", ("",)),
            ("tags", ("nul\x00",)),
            ("tags", tuple(str(n) for n in range(21))),
            ("task_name", "x" * 256),
            ("task_name", "nul\x00"),
        ],
    )
    def test_a_wrong_option_is_refused_by_name_and_nothing_is_stored(self, field: str, wrong: object) -> None:
        with pytest.raises(Invalid) as refused:
            intake.order(_wish(**{field: wrong}))
        assert [pointer for pointer, _ in refused.value.fields] == [f"/{field}"]
        assert db.value("SELECT count(*) FROM jobs") == 0

    def test_an_unknown_agent_is_refused_by_name(self) -> None:
        with pytest.raises(AgentNotFound, match="nobody"):
            intake.order(_wish(agent_id="nobody"))

    def test_parameters_that_do_not_fit_are_refused_before_anything_is_stored(self) -> None:
        with pytest.raises(InvalidParameters):
            intake.order(_wish(agent_id="test-sleeper", parameters={"seconds": "long"}))
        assert db.value("SELECT count(*) FROM jobs") == 0

    def test_several_are_stored_all_or_none(self) -> None:
        good = intake.order(_wish())
        bad = lifecycle.Order(**{**vars(good), "agent_id": "never-installed"})
        with pytest.raises(Exception, match="fk_jobs_agent_id"):
            lifecycle.submit_many([good, bad])
        assert db.value("SELECT count(*) FROM jobs") == 0

    def test_an_unknown_job_cannot_be_hurried(self) -> None:
        with pytest.raises(NotFound):
            lifecycle.run_now(lifecycle.new_id())


class TestTheBell:
    def test_rings_once_per_pool_after_the_commit(self, bells: list[tuple[str, int]]) -> None:
        with db.transaction():
            lifecycle.submit_many([intake.order(_wish()) for _ in range(3)])
            assert bells == []
        assert bells == [("general", 3)]

    def test_finds_the_job_in_postgres_when_it_rings(
        self, quick: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []

        def look(_pool: str, _times: int) -> None:
            with quick.connect() as other:
                seen.append(other.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one())

        monkeypatch.setattr(dispatch, "_ring", look)
        with db.transaction():
            acting.submitted()
        assert seen == [1]

    def test_stays_silent_when_the_transaction_is_rolled_back(self, bells: list[tuple[str, int]]) -> None:
        with pytest.raises(RuntimeError), db.transaction():
            acting.submitted()
            raise RuntimeError
        with db.quick():
            assert db.value("SELECT count(*) FROM jobs") == 0
        assert bells == []

    def test_stays_silent_for_a_job_that_is_not_due(self, bells: list[tuple[str, int]]) -> None:
        with db.transaction():
            acting.submitted(due_in=60)
        assert bells == []

    def test_rings_for_promoted_released_rescued_and_hurried_jobs(self, bells: list[tuple[str, int]]) -> None:
        with db.transaction():
            taken = acting.claimed()
        bells.clear()
        with db.transaction():
            lifecycle.release(taken)
        with db.transaction():
            again = acting.claim()
        assert again is not None
        with db.transaction():
            acting.rescue(again)
        with db.transaction():
            later = acting.submitted(due_in=60)
        with db.transaction():
            lifecycle.run_now(later)
        with db.transaction():
            acting.make_due(acting.submitted(due_in=60))
            lifecycle.promote()
        assert bells == [("general", 1)] * 4


@pytest.mark.usefixtures("here")
class TestReading:
    def test_a_filter_finds_by_every_field(self) -> None:
        job_id = acting.submitted(task_name="Ten 100% reports", tags=("weekly",), priority="low")
        acting.submitted("test-echo", submitted_by="eve@example.com")
        for chosen in (
            queries.Filter(owner=OWNER),
            queries.Filter(agent_id="test-noop"),
            queries.Filter(statuses=("queued",), priority_rank=int(Priority.LOW)),
            queries.Filter(tag="weekly"),
            queries.Filter(text="100% rep"),
            queries.Filter(text=job_id),
            queries.Filter(pool="general", owner=OWNER, since=acting.job(job_id)["submitted_at"]),
        ):
            assert queries.ids(chosen) == [job_id]
            assert queries.count(chosen) == 1
            assert [row["job_id"] for row in queries.page(chosen)] == [job_id]
        assert queries.ids(queries.Filter(text="100_ rep")) == []

    def test_pages_by_cursor_show_each_job_once_newest_first(self) -> None:
        ids = [acting.submitted() for _ in range(7)]
        seen: list[str] = []
        before = None
        while rows := queries.page(queries.Filter(), before=before, limit=3):
            seen += [row["job_id"] for row in rows]
            before = (rows[-1]["submitted_at"], rows[-1]["job_id"])
        assert seen == ids[::-1]

    def test_counts_stop_at_their_cap(self) -> None:
        for _ in range(4):
            acting.submitted()
        assert queries.count(queries.Filter(), cap=3) == 3
        assert queries.counts_by_status(cap=2)["queued"] == 2
        assert queries.counts_by_status(owner="nobody@example.com")["queued"] == 0

    def test_the_queue_position_counts_more_urgent_and_older_jobs_of_the_pool(self) -> None:
        first, low = acting.submitted(), acting.submitted(priority="low")
        urgent = acting.submitted(priority="critical")
        acting.submitted(priority="critical", due_in=3600)
        rows = queries.some([first, low, urgent])
        assert [queries.queue_position(rows[i]) for i in (urgent, first, low)] == [1, 2, 3]
        taken = acting.claim()
        assert taken is not None
        assert queries.queue_position(queries.get(taken.job_id)) is None

    def test_a_job_survives_as_json_with_ids_and_times_as_text(self) -> None:
        row = queries.get(acting.submitted(), full=True)
        text = json.loads(dumps(row))
        assert text["job_id"] == row["job_id"]
        assert text["submitted_at"].endswith("Z")
