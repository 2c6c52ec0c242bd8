"""Why each job of a page waits, in a few words: the same as `explain` says first, at the cost of one job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.accounts.permissions import Principal
from app.agents import registry
from app.db import db
from app.errors import TemporaryError
from app.jobs import lifecycle, pools, queries
from app.jobs.explain import chips, explain
from app.jobs.queries import Filter
from app.jobs.states import Reason
from app.workers import fleet
from tests import acting

pytestmark = pytest.mark.usefixtures("here")

ADMIN = Principal(user_id="00000000-0000-0000-0000-000000000001", email="root@example.org", role="admin")


def _worker(threads: int = 4, *served: str) -> None:
    fleet.register(
        "w1", hostname="h", process_id=1, pools=served or ("general",), threads=threads, release="1"
    )


def _chips(who: Principal = ADMIN) -> dict[str, tuple[str, str]]:
    found = chips(queries.page(Filter()), who)
    return {job_id: (chip["code"], chip["words"]) for job_id, chip in found.items()}


def test_those_that_nothing_holds_say_how_many_go_first() -> None:
    _worker()
    ids = [acting.submitted() for _ in range(3)]

    assert [_chips()[job_id] for job_id in ids] == [
        ("next", "next in line"),
        ("queue", "1 ahead"),
        ("queue", "2 ahead"),
    ]


def test_no_worker_paused_and_switched_off() -> None:
    general = acting.submitted()
    assert _chips()[general] == ("no_worker", "no worker")

    _worker()
    until = clock.now() + timedelta(hours=1)
    pools.pause("general", by="ada", until=until)
    assert _chips()[general] == ("paused", "pool paused")
    assert chips(queries.page(Filter()), ADMIN)[general]["until"] == until

    registry.enable("test-noop", False)
    assert _chips()[general] == ("agent_disabled", "agent off")


def test_the_planned_time_the_backoff_and_what_it_was_handed_back_for() -> None:
    _worker()
    again = acting.claimed()
    lifecycle.retry_later(again, TemporaryError(), 60)
    held = acting.claimed()
    lifecycle.hold(held, Reason.PROVIDER_OPEN, clock.now() + timedelta(minutes=5), "every provider rests")
    later = acting.submitted(due_in=300)

    assert _chips() == {
        again.job_id: ("backoff", "tries again"),
        held.job_id: ("provider_open", "provider failing"),
        later: ("scheduled", "due"),
    }
    assert all(chip["until"] for chip in chips(queries.page(Filter()), ADMIN).values())


def test_limits_of_agents_budgets_and_busy_workers() -> None:
    _worker(2)
    for name in ("limited", "held", "free"):
        acting.agent(name)
    registry.set_limits("limited", 1, None)
    acting.claimed("limited")
    waiting = acting.submitted("limited")
    spent = acting.submitted("held")
    registry.hold("held", "budget", "the day's 5 $ are spent", until=None, subject="b-1")
    assert _chips() == {waiting: ("agent_limit", "agent limit 1/1"), spent: ("budget", "budget held")}

    registry.unhold("budget", "b-1")
    assert acting.claim() is not None
    last = acting.submitted("free")
    assert _chips()[last] == ("busy", "workers busy 2/2")


def test_a_question_names_who_answers_it_to_those_who_may_know() -> None:
    job_id, _ = acting.asked("Send it?", approvers=("ada@example.com", "user"))
    viewer = Principal(user_id="v", email="v@example.org", role="viewer")

    assert _chips()[job_id] == ("approval", "waits for ada's answer")
    assert _chips(viewer)[job_id] == ("approval", "waits for an answer")


@pytest.mark.parametrize(
    ("approvers", "said"),
    [
        ((), "waits for its owner's answer"),
        (("admin",), "waits for an admin's answer"),
        (("user",), "waits for a user's answer"),
    ],
)
def test_roles_are_asked_too(approvers: tuple[str, ...], said: str) -> None:
    job_id, _ = acting.asked("Send it?", approvers=approvers)

    assert _chips()[job_id] == ("approval", said)


def test_running_and_finished_jobs_have_none() -> None:
    _worker()
    done = acting.claimed()
    lifecycle.complete(done, {})
    acting.claimed()

    assert _chips() == {}


def test_a_chip_is_the_first_thing_that_explain_says() -> None:
    acting.asked("Send it?")
    for _ in range(3):
        acting.submitted()
    acting.submitted("test-echo", due_in=60)
    registry.enable("test-echo", False)

    for job_id, chip in chips(queries.page(Filter()), ADMIN).items():
        first = explain(job_id, who=ADMIN)["blockers"][0]
        assert (chip["code"], chip["words"]) == (first["code"], first["short"])


def test_a_page_costs_no_more_than_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    _worker()
    ids = [acting.submitted(agent) for agent in ("test-noop", "test-echo", "test-sleeper") for _ in range(10)]
    rows = queries.page(Filter())
    asked: list[str] = []
    ask = db.rows

    def counted(statement: str, **values: Any) -> list[Any]:
        asked.append(statement)
        return ask(statement, **values)

    monkeypatch.setattr(db, "rows", counted)
    assert set(chips(rows, ADMIN)) == set(ids)
    assert len(asked) <= 4
