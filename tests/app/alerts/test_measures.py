"""What is measured, from real rows: what is wrong is seen, and what is well is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app import audit, clock
from app.alerts import measures
from app.alerts.measures import Limits, Reading
from app.alerts.rules import RULES
from app.db import db
from app.errors import PermanentError
from app.jobs import lifecycle, pools
from app.jobs.states import Reason
from app.polling import minutes
from app.polling.minutes import Tally
from app.workers import fleet
from tests import acting

LIMITS = Limits()


@pytest.fixture(autouse=True)
def clean(quick: Engine) -> None:
    """Nothing of other tests."""


def values(readings: list[Reading]) -> dict[str, float]:
    return {reading.subject: reading.value for reading in readings}


def ended(completed: int, failed: int, cancelled: int = 0, *, ago: str = "1 minute") -> None:
    for status, amount in (("completed", completed), ("failed", failed), ("cancelled", cancelled)):
        db.run(
            """INSERT INTO task_history (job_id, agent_id, submitted_by, priority_rank, status, completed_at)
               SELECT gen_random_uuid(), 'test-noop', 'ada', 2, %(status)s, now() - %(ago)s::interval
               FROM generate_series(1, %(amount)s)""",
            status=status,
            ago=ago,
            amount=amount,
        )


def worker(name: str, *served: str, silent: float = 0) -> None:
    fleet.register(name, hostname="h", process_id=1, pools=served, threads=4, release="t")
    db.run(
        "UPDATE workers SET seen_at = now() - %(s)s * interval '1 s' WHERE worker_id = %(id)s",
        s=silent,
        id=name,
    )


def polls(
    seen_by: str, amount: int, failures: int = 0, ms: float = 10, ago_minutes: int = 0, **more: Any
) -> None:
    tally = Tally(polls=amount, failures=failures, ms_sum=amount * ms, ms_most=ms, **more)
    now = int(db.value("SELECT extract(epoch FROM date_trunc('minute', now())) / 60"))
    minutes.keep(seen_by, {now - ago_minutes: tally})


class TestPolling:
    def test_failures_are_told_of_each_view_and_only_of_enough_polls(self) -> None:
        with db.quick():
            polls("server", 100, failures=7)
            polls("client", 19, failures=19)
            assert values(measures.polling_failures(LIMITS)) == {"server": pytest.approx(7)}
            polls("client", 21, failures=1)
            assert values(measures.polling_failures(LIMITS))["pages"] == 50

    def test_what_was_is_no_longer(self) -> None:
        with db.quick():
            polls("server", 100, failures=100, ago_minutes=9, ms=9000)
            assert measures.polling_failures(LIMITS) == measures.polling_response(LIMITS) == []

    def test_slow_answers(self) -> None:
        with db.quick():
            polls("client", 20, ms=6000)
            polls("server", 20, ms=20)
            assert values(measures.polling_response(LIMITS)) == {"pages": 6.0, "server": pytest.approx(0.02)}

    def test_slow_recoveries(self) -> None:
        with db.quick():
            polls("client", 1, recoveries=2, recovery_seconds_sum=150.0, recovery_seconds_most=140.0)
            assert values(measures.polling_recovery(LIMITS)) == {"pages": 75.0}

    def test_slow_queries(self) -> None:
        with db.quick():
            polls("server", 1, queries=9, query_ms_sum=2100.0, query_ms_most=2000.0)
            polls("client", 50)
            assert values(measures.slow_query(LIMITS)) == {"server": 2.0}


def test_failed_sign_ins_are_counted_by_address_within_a_minute() -> None:
    with db.transaction():
        for number in range(6):
            audit.record("auth.failed", actor=f"name{number % 2}", details={"ip": "192.0.2.7"})
        audit.record("auth.limited", actor="", details={"ip": "192.0.2.7"})
        audit.record("auth.failed", actor="ada", details={"ip": "192.0.2.8"})
        audit.record("auth.signed_in", actor="ada", details={"ip": "192.0.2.9"})
        audit.record("auth.failed", actor="ada")
        db.run(
            """INSERT INTO audit_log (at, actor, action, details)
               SELECT now() - interval '61 s', 'ada', 'auth.failed', '{"ip": "192.0.2.8"}' FROM generate_series(1, 50)"""
        )
    with db.quick():
        found = measures.failed_logins(LIMITS)
    assert values(found) == {"192.0.2.7": 7, "192.0.2.8": 1, "unknown": 1}
    assert found[0].about == "tried 3 names"


class TestJobFailures:
    def test_the_share_of_those_that_were_not_cancelled(self) -> None:
        with db.quick():
            ended(17, 3, cancelled=80)
            (found,) = measures.job_failures(LIMITS)
        assert (found.value, found.about) == (15.0, "3 of 20 jobs in 15 minutes")

    def test_of_fewer_than_ten_nothing_is_told(self) -> None:
        with db.quick():
            ended(0, 9, cancelled=5)
            assert measures.job_failures(LIMITS) == []
            ended(1, 0)
            assert values(measures.job_failures(LIMITS)) == {"": 90.0}

    def test_what_failed_longer_ago_does_not_count(self) -> None:
        with db.quick():
            ended(0, 100, ago="16 minutes")
            ended(20, 0)
            assert values(measures.job_failures(LIMITS)) == {"": 0.0}


class TestBacklog:
    def test_due_jobs_are_counted_by_pool_whatever_their_priority(self) -> None:
        with db.quick():
            for priority in ("critical", "high", "normal", "low"):
                acting.submitted(priority=priority)
            acting.submitted(due_in=60)
            assert values(measures.backlog(LIMITS)) == {"general": 4}
            acting.claim()
            assert values(measures.backlog(LIMITS)) == {"general": 3}

    def test_counting_ends_somewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measures, "MOST_COUNTED", 3)
        with db.quick():
            for priority in ("critical", "high", "normal", "low", "low"):
                acting.submitted(priority=priority)
            (found,) = measures.backlog(LIMITS)
        assert (found.value, found.about) == (3, "or more")

    def test_a_paused_pool_is_meant_to_wait(self) -> None:
        with db.quick():
            acting.submitted(priority="critical")
            pools.pause("general", by="ada", until=clock.now() + timedelta(hours=1))
            assert measures.backlog(LIMITS) == measures.critical_wait(LIMITS) == []
            db.run("UPDATE queues SET paused_until = now() - interval '1 s' WHERE pool = 'general'")
            assert values(measures.backlog(LIMITS)) == {"general": 1}
            assert list(values(measures.critical_wait(LIMITS))) == ["general"]


class TestNoWorker:
    def test_with_a_living_worker_of_every_pool_that_waits_all_is_well(self) -> None:
        with db.quick():
            acting.submitted()
            worker("w1", "general", silent=59)
            worker("gone", "marketing", silent=600)
            assert measures.no_worker(LIMITS) == []

    def test_the_silence_of_all_is_that_of_the_last(self) -> None:
        with db.quick():
            worker("w1", "general", silent=500)
            worker("w2", "general", silent=90)
            (found,) = measures.no_worker(LIMITS)
        assert (found.subject, round(found.value)) == ("", 90)

    def test_where_there_never_was_one_it_is_since_the_sweeps_began(self) -> None:
        with db.quick():
            db.run("UPDATE upkeep SET healthy_since = now() - interval '200 s'")
            (found,) = measures.no_worker(LIMITS)
        assert (found.subject, round(found.value)) == ("", 200)

    def test_a_pool_that_nobody_serves_is_told_if_jobs_wait_there(self) -> None:
        with db.quick():
            worker("w1", "marketing")
            assert measures.no_worker(LIMITS) == []
            acting.submitted(due_in=60)
            assert measures.no_worker(LIMITS) == []
            job_id = acting.submitted()
            db.run("UPDATE jobs SET run_at = now() - interval '70 s' WHERE job_id = %(id)s", id=job_id)
            (found,) = measures.no_worker(LIMITS)
            assert (found.subject, round(found.value)) == ("general", 70)
            worker("w2", "general", silent=300)
            assert round(measures.no_worker(LIMITS)[0].value) == 300
            pools.pause("general", by="ada")
            assert measures.no_worker(LIMITS) == []


class TestOverdueJobs:
    @pytest.mark.parametrize(
        ("options", "ran", "over"),
        [
            ({}, 3310, 10),
            ({}, 3290, None),
            ({"timeout": 100}, 100, 8),
            ({"timeout": 100}, 90, None),
            ({"timeout": 9000}, 3400, 100),
        ],
    )
    def test_it_is_the_soft_limit_that_the_worker_keeps(
        self, options: dict[str, Any], ran: float, over: float | None
    ) -> None:
        with db.quick():
            job_id = acting.submitted(**options)
            assert acting.claim() is not None
            db.run("UPDATE job_attempts SET started_at = now() - %(ran)s * interval '1 s'", ran=ran)
            found = measures.overdue_jobs(LIMITS)
        assert {subject: round(value) for subject, value in values(found).items()} == (
            {} if over is None else {job_id: over}
        )

    def test_what_waited_long_or_ran_before_is_not_overdue(self) -> None:
        with db.quick():
            taken = acting.claimed()
            db.run(
                "UPDATE jobs SET submitted_at = now() - interval '9 h', started_at = now() - interval '9 h'"
            )
            assert measures.overdue_jobs(LIMITS) == []
            db.run("UPDATE job_attempts SET started_at = now() - interval '9 h'")
            lifecycle.complete(taken, {})
            assert measures.overdue_jobs(LIMITS) == []

    def test_an_agents_own_limit_and_that_of_commands(self) -> None:
        with db.quick():
            acting.agent("brief", timeout=50)
            acting.submitted("brief")
            assert acting.claim() is not None
            db.run("UPDATE job_attempts SET started_at = now() - interval '60 s'")
            assert [round(each.value) for each in measures.overdue_jobs(LIMITS)] == [14]
            db.run("UPDATE agents SET timeout_seconds = NULL, runner = 'command' WHERE agent_id = 'brief'")
            assert measures.overdue_jobs(LIMITS) == []
            (found,) = measures.overdue_jobs(Limits(command_limit_seconds=50))
            assert (round(found.value), found.about) == (14, "a job of brief")


def test_the_oldest_critical_job_and_no_other() -> None:
    with db.quick():
        assert measures.critical_wait(LIMITS) == []
        for priority, waited in (("critical", 40), ("critical", 20), ("high", 500)):
            job_id = acting.submitted(priority=priority)
            db.run(
                "UPDATE jobs SET run_at = now() - %(s)s * interval '1 s' WHERE job_id = %(id)s",
                s=waited,
                id=job_id,
            )
        acting.submitted(priority="critical", due_in=60)
        assert {pool: round(value) for pool, value in values(measures.critical_wait(LIMITS)).items()} == {
            "general": 40
        }


def test_dead_letters_of_a_quarter_of_an_hour() -> None:
    with db.quick():
        assert measures.dead_letters(LIMITS) == []
        for _ in range(2):
            lifecycle.fail(acting.claimed(), PermanentError("no"), Reason.PERMANENT)
        assert values(measures.dead_letters(LIMITS)) == {"": 2}
        db.run("UPDATE dead_letters SET failed_at = now() - interval '16 minutes'")
        assert measures.dead_letters(LIMITS) == []


def test_providers_that_are_left_alone() -> None:
    with db.quick():
        for name, state, enabled in (
            ("a", "open", True),
            ("b", "closed", True),
            ("c", "open", False),
            ("d", "half_open", True),
        ):
            db.run(
                """INSERT INTO providers (provider_id, title, kind, base_url, model, state, enabled, error_class, opened_at)
                   VALUES (%(id)s, 'A', 'openai', 'http://x', 'm', %(state)s, %(enabled)s, 'overload',
                           CASE WHEN %(state)s <> 'closed' THEN now() - interval '90 s' END)""",
                id=name,
                state=state,
                enabled=enabled,
            )
        found = measures.open_providers(LIMITS)
    assert {each.subject: (round(each.value), each.about) for each in found} == {
        "a": (90, "overload"),
        "d": (90, "overload"),
    }


def test_an_empty_place_is_quiet_but_for_its_missing_workers() -> None:
    with db.quick():
        found = {rule.name: rule.measure(LIMITS) for rule in RULES}
    assert [name for name, readings in found.items() if readings] == ["no_worker"]
