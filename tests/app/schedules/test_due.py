"""Firing: each time once, with its job in the same transaction; overlap, jitter, catch-up, and what is broken."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from app import clock
from app.accounts import users
from app.agents import registry
from app.db import db
from app.schedules import changes, due, queries, targets
from app.schedules.changes import InThePast
from app.schedules.slots import MOST
from tests import acting
from tests.app.schedules.planning import (
    OWNER,
    ago,
    come,
    end_jobs,
    fire,
    jobs,
    late,
    made,
    minute_ago,
    outcomes,
    remove_agent,
)

pytestmark = pytest.mark.usefixtures("here")


class TestClocks:
    """The host that plans a schedule may take the time to be another; Postgres fires it."""

    @pytest.mark.parametrize("wrong_by", [-300, 300])
    def test_the_first_time_is_the_next_one_of_postgres(self, wrong_by: int) -> None:
        with time_machine.travel(clock.now() + timedelta(seconds=wrong_by), tick=True):
            row = made(cron_expression="* * * * *")
        assert row["next_fire_at"] == minute_ago(-1)

    def test_a_moment_that_is_to_come_is_taken_by_a_host_that_is_ahead(self) -> None:
        soon = clock.now() + timedelta(seconds=30)
        with time_machine.travel(clock.now() + timedelta(seconds=300), tick=True):
            assert made(execute_at=soon)["next_fire_at"] == soon

    def test_a_moment_that_has_passed_is_refused_by_a_host_that_is_behind(self) -> None:
        with (
            time_machine.travel(clock.now() - timedelta(seconds=300), tick=True),
            pytest.raises(InThePast),
        ):
            made(execute_at=clock.now() + timedelta(seconds=270))


class TestFiring:
    def test_a_time_that_has_come_becomes_one_job(self) -> None:
        slot = minute_ago(0)
        schedule_id = late(slot, agent_id="test-echo", parameters={"text": "hi"}, priority="high")

        assert due.is_due()
        done = due.fire()

        assert (done.schedules, done.jobs, done.news) == (1, 1, [])
        (job,) = jobs(schedule_id)
        assert (job["agent_id"], job["parameters"]["text"], job["priority_rank"]) == ("test-echo", "hi", 1)
        assert (job["status"], job["submitted_by"], job["slot_at"]) == ("queued", OWNER, slot)
        assert str(job["schedule_id"]) == schedule_id
        row = queries.get(schedule_id)
        assert (row["last_job_id"], row["last_slot_at"]) == (str(job["job_id"]), slot)
        assert row["next_fire_at"] > clock.now()
        assert not due.is_due()
        assert due.fire().schedules == 0

    def test_what_the_schedule_says_of_each_job(self) -> None:
        told = {
            "task_name": "Nightly",
            "tags": ["a", "b"],
            "timeout": 77,
            "max_retries": 1,
            "notify": {"email": None},
        }
        schedule_id = late(minute_ago(0), options=told)
        fire()
        (job,) = jobs(schedule_id)
        assert (job["task_name"], job["tags"], job["max_retries"]) == ("Nightly", ["a", "b"], 1)
        assert (job["options"], job["notify"]) == ({"timeout": 77}, {"email": None})

    def test_the_bell_is_rung(self, bells: list[tuple[str, int]]) -> None:
        for _ in range(3):
            late(minute_ago(0))
        fire()
        # The transaction of the test is not committed: what would be rung waits with it.
        assert bells == []
        block = db._here.block
        assert block is not None
        assert len(block.hooks) == 1

    @pytest.mark.parametrize("change", [{"enabled": False}, {"execute_at": None}])
    def test_nothing_fires_that_is_off_or_not_due(self, change: dict[str, object]) -> None:
        schedule_id = late(minute_ago(1))
        if change == {"enabled": False}:
            changes.enable(schedule_id, enabled=False)
        else:
            come(schedule_id, clock.now() + timedelta(seconds=30))
        assert (due.is_due(), due.fire().schedules) == (False, 0)
        assert outcomes(schedule_id) == []

    def test_a_time_that_was_written_down_before_has_no_second_job(self) -> None:
        slot = minute_ago(0)
        schedule_id = late(slot)
        fire()
        come(schedule_id, slot)
        fire()
        assert (outcomes(schedule_id), len(jobs(schedule_id))) == (["fired"], 1)

    def test_large_crowds_are_fired_in_parts(self) -> None:
        ids = [late(minute_ago(60), misfire="all") for _ in range(12)]
        first = due.fire()
        assert first.schedules < 12
        assert due.MOST_FIRES <= first.jobs <= due.MOST_FIRES + MOST
        fire()
        assert all(len(jobs(schedule_id)) >= 60 for schedule_id in ids)

    def test_at_most_so_many_at_once(self) -> None:
        for _ in range(5):
            late(minute_ago(0))
        assert [due.fire(2).schedules for _ in range(4)] == [2, 2, 1, 0]


class TestCatchingUp:
    def test_run_once(self) -> None:
        schedule_id = late(minute_ago(5))
        assert fire() == []
        assert outcomes(schedule_id) == ["skipped"] * 5 + ["fired"]
        assert len(jobs(schedule_id)) == 1

    def test_all(self) -> None:
        schedule_id = late(minute_ago(5), misfire="all")
        fire()
        assert outcomes(schedule_id) == ["fired"] * 6
        assert len(jobs(schedule_id)) == 6

    def test_skip_tells_what_was_missed(self) -> None:
        schedule_id = late(minute_ago(5), misfire="skip", grace_seconds=90, name="Every minute")
        news = fire()
        assert outcomes(schedule_id).count("missed") in (4, 5)
        assert {(each.schedule_id, each.name, each.outcome, each.submitted_by) for each in news} == {
            (schedule_id, "Every minute", "missed", OWNER)
        }

    def test_the_cap(self) -> None:
        schedule_id = late(minute_ago(10_000), misfire="all")
        (news,) = fire()
        assert len(jobs(schedule_id)) == 100
        assert (news.outcome, outcomes(schedule_id)) == ("missed", ["missed"] + ["fired"] * 100)

    def test_once_and_late(self) -> None:
        schedule_id = late(ago(hours=23), execute_at=clock.now() + timedelta(days=1))
        fire()
        row = queries.get(schedule_id)
        assert (row["status"], row["next_fire_at"], outcomes(schedule_id)) == ("fired", None, ["fired"])

    def test_once_and_too_late(self) -> None:
        schedule_id = late(ago(hours=25), execute_at=clock.now() + timedelta(days=1))
        (news,) = fire()
        assert (news.outcome, "late" in (news.reason or "")) == ("missed", True)
        assert (queries.get(schedule_id)["status"], jobs(schedule_id)) == ("missed", [])

    def test_after_a_pause_nothing_is_made_up_for(self) -> None:
        schedule_id = late(minute_ago(50), misfire="all")
        changes.enable(schedule_id, enabled=False)
        changes.enable(schedule_id, enabled=True)
        fire()
        assert outcomes(schedule_id) == []
        assert queries.get(schedule_id)["next_fire_at"] > clock.now()


class TestOverlap:
    def test_allow_runs_beside_it(self) -> None:
        schedule_id = late(minute_ago(1), misfire="all")
        fire()
        assert outcomes(schedule_id) == ["fired", "fired"]

    def test_skip_waits_for_nobody(self) -> None:
        schedule_id = late(minute_ago(2), misfire="all", overlap="skip")
        fire()
        assert outcomes(schedule_id) == ["fired", "skipped", "skipped"]
        assert queries.fires(schedule_id)[0]["reason"] == "the run before it has not ended"

        end_jobs(schedule_id)
        come(schedule_id, minute_ago(3))
        fire()
        assert outcomes(schedule_id)[0] == "fired"

    def test_queue_runs_one_after_the_other_in_order(self) -> None:
        schedule_id = late(minute_ago(3), misfire="all", overlap="queue")
        fire()
        assert outcomes(schedule_id) == ["fired", "queued", "queued", "queued"]
        assert not due.is_due()
        for done in range(2, 5):
            end_jobs(schedule_id)
            assert due.is_due()
            assert due.fire_queued().jobs == 1
            assert due.fire_queued().jobs == 0
            assert outcomes(schedule_id) == ["fired"] * done + ["queued"] * (4 - done)
        assert len({job["correlation_id"] for job in jobs(schedule_id)}) == 4

    def test_a_new_time_waits_behind_those_that_wait(self) -> None:
        schedule_id = late(minute_ago(2), misfire="all", overlap="queue")
        due.fire()
        end_jobs(schedule_id)
        db.run("DELETE FROM schedule_fires WHERE slot_at >= %(at)s", at=minute_ago(0))
        come(schedule_id, minute_ago(0))
        due.fire()
        assert outcomes(schedule_id) == ["fired", "queued", "queued"]

    def test_at_most_a_hundred_wait(self) -> None:
        schedule_id = late(minute_ago(10), misfire="all", overlap="queue")
        db.run(
            """INSERT INTO schedule_fires (schedule_id, slot_at, outcome)
               SELECT %(id)s, now() - interval '1 day' - n * interval '1 minute', 'queued'
               FROM generate_series(1, 95) AS n""",
            id=schedule_id,
        )
        due.fire()
        assert outcomes(schedule_id) == ["queued"] * 100 + ["skipped"] * 6
        assert queries.fires(schedule_id)[0]["reason"] == "100 times wait already"

    def test_a_queued_time_whose_target_broke_fails_and_lets_the_next_one_in(self) -> None:
        acting.agent("fickle")
        schedule_id = late(minute_ago(2), agent_id="fickle", misfire="all", overlap="queue")
        fire()
        end_jobs(schedule_id)
        registry.enable("fickle", enabled=False)
        (news,) = due.fire_queued().news
        assert news.outcome == "failed"
        registry.enable("fickle", enabled=True)
        assert due.fire_queued().jobs == 1
        assert outcomes(schedule_id) == ["fired", "failed", "fired"]

    def test_switching_off_lets_those_go_that_wait(self) -> None:
        schedule_id = late(minute_ago(2), misfire="all", overlap="queue")
        fire()
        changes.enable(schedule_id, enabled=False)
        end_jobs(schedule_id)
        assert (due.is_due(), due.fire_queued().schedules) == (False, 0)
        assert outcomes(schedule_id) == ["fired", "skipped", "skipped"]


class TestJitter:
    def test_the_job_is_due_later_and_the_time_stays(self) -> None:
        slot = minute_ago(0)
        schedule_id = late(slot, jitter_seconds=80_000)
        fire()
        (job,) = jobs(schedule_id)
        assert job["slot_at"] == slot
        assert slot <= job["run_at"] <= slot + timedelta(seconds=80_000)

    def test_it_is_the_same_whoever_asks_and_another_for_each(self) -> None:
        row = made(jitter_seconds=80_000)
        other = made(jitter_seconds=80_000)
        slots = [clock.now() + timedelta(days=n) for n in range(20)]
        first = [targets.run_at(row, slot) for slot in slots]
        assert first == [targets.run_at(dict(row), slot) for slot in slots]
        late_by = [(run - slot).total_seconds() for run, slot in zip(first, slots, strict=True) if run]
        assert len(set(late_by)) == 20
        assert all(0 <= seconds <= 80_000 for seconds in late_by)
        assert max(late_by) - min(late_by) > 20_000
        assert targets.run_at(other, slots[0]) != first[0]

    @pytest.mark.parametrize("wrong_by", [-300, 300])
    def test_it_is_waited_for_by_a_host_whose_clock_is_wrong(self, wrong_by: int) -> None:
        slot = minute_ago(0)
        schedule_id = late(slot, jitter_seconds=280)
        row = db.row("SELECT *, schedule_id::text, now() AS now FROM schedules WHERE schedule_id = %(id)s", id=schedule_id)  # fmt: skip
        assert row
        expected = targets.run_at(row, slot + timedelta(seconds=60))
        with time_machine.travel(clock.now() + timedelta(seconds=wrong_by), tick=True):
            assert targets.run_at(row, slot + timedelta(seconds=60)) == expected is not None

    def test_a_late_one_does_not_wait_again(self) -> None:
        schedule_id = late(minute_ago(30), jitter_seconds=5, misfire="all")
        fire()
        assert {job["status"] for job in jobs(schedule_id)[:-1]} == {"queued"}


class TestBroken:
    def test_one_broken_schedule_stops_nobody_else(self) -> None:
        acting.agent("leaver")
        acting.agent("sleeper")
        good = [late(minute_ago(0)) for _ in range(3)]
        gone, off = (late(minute_ago(0), agent_id=agent_id) for agent_id in ("leaver", "sleeper"))
        picky = late(minute_ago(0), agent_id="test-echo")
        db.run("UPDATE schedules SET parameters = '{\"text\": 7}' WHERE schedule_id = %(id)s", id=picky)
        remove_agent("leaver")
        registry.enable("sleeper", enabled=False)

        news = {each.schedule_id: each for each in fire()}

        assert [outcomes(schedule_id) for schedule_id in good] == [["fired"]] * 3
        assert set(news) == {gone, off, picky}
        assert {each.outcome for each in news.values()} == {"failed"}
        assert "no longer there" in (news[gone].reason or "")
        assert "switched off" in (news[off].reason or "")
        assert "text" in (news[picky].reason or "")
        for schedule_id in news:
            assert (outcomes(schedule_id), jobs(schedule_id)) == (["failed"], [])
            assert queries.get(schedule_id)["next_fire_at"] > clock.now()

    def test_times_that_cannot_be_counted_out_switch_it_off(self) -> None:
        good, broken = late(minute_ago(0)), late(minute_ago(0))
        db.run("UPDATE schedules SET timezone = 'Mars/Olympus' WHERE schedule_id = %(id)s", id=broken)
        (news,) = fire()
        assert (news.schedule_id, "switched off" in (news.reason or "")) == (broken, True)
        assert (outcomes(good), outcomes(broken)) == (["fired"], ["failed"])
        assert queries.get(broken)["enabled"] is False
        assert not due.is_due()

    def test_what_postgres_refuses_fails_alone(self) -> None:
        acting.agent("ghost")
        good = [late(minute_ago(0)) for _ in range(2)]
        bad = late(minute_ago(0), agent_id="ghost")
        # Another process removed the agent a moment ago: here it is still known, to Postgres it is not.
        registry.all_agents()
        db.run("ALTER TABLE schedules DROP CONSTRAINT fk_schedules_agent_id")
        db.run("DELETE FROM agents WHERE agent_id = 'ghost'")
        (news,) = fire()
        assert (news.schedule_id, news.outcome, "foreign key" in (news.reason or "")) == (bad, "failed", True)
        assert [len(jobs(schedule_id)) for schedule_id in good] == [1, 1]
        assert queries.get(bad)["last_job_id"] is None

    def test_once_and_broken_is_missed(self) -> None:
        acting.agent("leaver")
        schedule_id = late(ago(seconds=1), agent_id="leaver", execute_at=clock.now() + timedelta(days=1))
        remove_agent("leaver")
        fire()
        assert (queries.get(schedule_id)["status"], outcomes(schedule_id)) == ("missed", ["failed"])

    @pytest.mark.parametrize("change", [{"enabled": False}, {"role": "viewer"}])
    def test_nothing_runs_in_the_name_of_somebody_who_may_not(self, change: dict[str, object]) -> None:
        users.create("boss@example.org", None, role="admin")
        user = users.create("eve@example.org", None, role="user")
        schedule_id = late(minute_ago(0), submitted_by=str(user["user_id"]))
        users.change(str(user["user_id"]), actor="boss", **change)  # type: ignore[arg-type]
        (news,) = fire()
        assert "its owner may submit nothing" in (news.reason or "")
        assert jobs(schedule_id) == []
