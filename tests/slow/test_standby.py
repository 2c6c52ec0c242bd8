"""Reading from a real standby: what comes from it, and who answers while it is away, behind or promoted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app import clock, create_app, replica, seal_by, search
from app.accounts.permissions import Principal
from app.budgets import ledger
from app.db import db, make_engine
from app.jobs import figures, lifecycle, rollups
from app.ops.doctor import Place, postgres
from app.ops.doctor.findings import Finding
from app.quality import analytics as quality
from app.replica import Replica
from app.sessions import search as in_sessions
from app.settings import Settings
from app.workflows import analytics as workflows
from tests import acting
from tests.fleet import prepare
from tests.services import Pair, pair
from tests.standby import Standby, standby_of
from tests.waiting import until

ADMIN = Principal(user_id="someone", email="someone@example.org", role="admin")
SINCE = timedelta(days=1)

READS: dict[str, Callable[[], Any]] = {
    "figures": lambda: figures._made(figures.WINDOWS["24h"], None, None),
    "series": lambda: rollups._series(rollups.WINDOWS["24h"], None, None),
    "compared": lambda: rollups.compared(timedelta(hours=1)),
    "pools": lambda: rollups._pools(rollups.SAMPLED["1h"]),
    "quality": lambda: quality.figures(clock.now() - SINCE),
    "workflows": lambda: workflows.by_template(since=clock.now() - SINCE),
    "costs": lambda: ledger.report("agent", clock.now() - SINCE, clock.now()),
    "total": lambda: ledger.total(clock.now() - SINCE, clock.now()),
    "search": lambda: search.find("test", ADMIN),
    "suggestions": lambda: search.suggest("te", ADMIN),
    "words": lambda: in_sessions.find("test", ADMIN),
    "endings": lambda: in_sessions.suggest("te", ADMIN),
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair() as started:
        prepare(started.postgres.url, started.redis.url, tmp_path_factory.mktemp("prepare"))
        yield started


@pytest.fixture
def standby(first: Pair) -> Iterator[Standby]:
    with standby_of(first.postgres) as server:
        yield server


@pytest.fixture
def app(first: Pair, standby: Standby, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A web process that reads from the standby; in this process, so that what it finds out can be seen."""
    settings = Settings(
        DATABASE_URL=first.postgres.url,
        DATABASE_READ_URL=standby.url,
        REDIS_URL=first.redis.url,
        CALLBOARD_HOME=tmp_path_factory.mktemp("home"),
        CALLBOARD_ENV="test",
        SECRET_KEY="a key that only the tests know, long enough",
    )
    seal_by(settings)
    made = create_app(settings)
    with db.quick():
        yield made
    replica.use(None)
    with made.app_context():
        db.engine.dispose()


def _completed() -> str:
    taken = acting.claimed()
    lifecycle.complete(taken, {"said": "well"})
    return taken.job_id


def _followed(standby: Standby) -> None:
    """Wait until it has all that was written."""
    written = db.value("SELECT pg_current_wal_insert_lsn()::text")
    until(lambda: standby.said(f"SELECT pg_last_wal_replay_lsn() >= '{written}'"), 30)


def _jobs_in_figures() -> int:
    return int(figures._made(figures.WINDOWS["24h"], None, None)["jobs"])


@pytest.mark.usefixtures("app")
def test_figures_come_from_the_standby_and_the_job_itself_does_not(standby: Standby) -> None:
    _completed()
    _followed(standby)
    before = _jobs_in_figures()
    standby.said("SELECT pg_wal_replay_pause()")

    job_id = _completed()

    assert acting.status(job_id) == "completed"
    assert _jobs_in_figures() == before
    standby.said("SELECT pg_wal_replay_resume()")
    _followed(standby)
    assert _jobs_in_figures() == before + 1


@pytest.mark.usefixtures("app")
def test_it_can_answer_all_that_may_lag(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the first one can answer would be answered by it, each time after a vain try."""
    _completed()
    _followed(standby)
    failures: list[BaseException] = []
    monkeypatch.setattr(Replica, "failed", lambda _self, error: failures.append(error))
    known = replica._replica
    assert known is not None
    assert known.is_fit()
    where: dict[str, set[bool]] = {}

    for name, read in READS.items():
        where[name] = set()
        monkeypatch.setattr(db, "heard", lambda *_said, heard=where[name]: heard.add(db.is_elsewhere))
        read()

    assert failures == []
    assert where == {name: {True} for name in READS}


@pytest.mark.usefixtures("app")
def test_the_first_one_answers_while_the_standby_is_away_and_nobody_notices(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "AWAY_SECONDS", 0.5)
    job_id = _completed()
    _followed(standby)
    assert _jobs_in_figures() > 0
    standby.crash()

    seen = _jobs_in_figures()

    assert acting.status(job_id) == "completed"
    _completed()
    assert _jobs_in_figures() == seen + 1  # at once: it is the first one that answers
    standby.start()
    known = replica._replica
    assert known is not None
    until(known.is_fit, 30)


def test_one_that_is_too_far_behind_is_not_asked(first: Pair, standby: Standby, app: Flask) -> None:
    now = 0.0
    engine = make_engine(standby.url)
    lagging = Replica(engine, 2.0, now=lambda: now)
    _completed()
    _followed(standby)
    assert lagging.is_fit()
    standby.said("SELECT pg_wal_replay_pause()")

    def found_out() -> bool:
        nonlocal now
        now += replica.CHECK_SECONDS + 1
        return not lagging.is_fit()

    until(found_out, 30, 0.2)
    engine.dispose()


def test_one_that_was_promoted_is_not_asked(standby: Standby, app: Flask) -> None:
    standby.said("SELECT pg_promote()")
    engine = make_engine(standby.url)
    promoted = Replica(engine, 3600.0)

    assert not promoted.is_fit()
    assert "no standby" in promoted._why
    engine.dispose()


def test_the_doctor_says_how_far_it_is_behind(standby: Standby, app: Flask) -> None:
    _completed()
    _followed(standby)

    (said,) = postgres.standby(Place(app.config["CALLBOARD"]))

    assert str(said).endswith(" s behind")


@pytest.mark.usefixtures("quick")
def test_the_doctor_finds_out_that_it_follows_another_server(standby: Standby, settings: Settings) -> None:
    with db.quick():
        (found,) = postgres.standby(Place(settings.model_copy(update={"database_read_url": standby.url})))

    assert isinstance(found, Finding)
    assert (found.severity, "another server" in found.what) == ("error", True)
