"""The product behind a pgbouncer that shares few connections among many processes, set up as the guide says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.db import db, make_engine
from app.jobs.states import Status
from tests.hosts.calls import fires, health, once, post, settled, status
from tests.hosts.crowd import Crowd, crowd
from tests.hosts.network import Network
from tests.services import Pair

POOL, HOSTS, PROCESSES, JOBS = 8, 2, 6, 2000


@pytest.fixture(scope="module")
def many(network: Network, servers: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Twelve worker processes, a door and a scheduler behind eight connections."""
    with crowd(network, servers, tmp_path_factory.mktemp("crowd"), pool=POOL) as made:
        made.fleet.scheduler("crowd-scheduler")
        made.fleet.door("crowd-door")
        made.workers(HOSTS, PROCESSES)
        yield made


def test_twelve_worker_processes_drain_two_thousand_jobs_over_eight_connections(many: Crowd) -> None:
    fleet, door = many.fleet, many.fleet.units["crowd-door"]
    fleet.until(lambda: health(fleet, door) == "healthy", 60)

    many.submit(JOBS)
    planned = once(20, within=2)
    own = [post(fleet, door, agent_id="test-echo", parameters={"n": n}) for n in range(10)]
    fleet.until(lambda: len(fires(fleet, planned)) == len(planned), 60)
    settled(fleet, many.accepted | dict.fromkeys(own, "echo"), 120)

    assert many.registered() == HOSTS * PROCESSES
    assert {fire["outcome"] for fire in fires(fleet, planned)} == {"fired"}
    assert [status(fleet, door, job_id)["status"] for job_id in own] == [Status.COMPLETED] * len(own)
    assert many.census.looks > 20
    assert 1 < many.census.most <= POOL
    (pool,) = [row for row in many.between.show("POOLS") if row["database"] == many.between.database]
    assert pool["pool_mode"] == "transaction"
    assert int(str(pool["cl_active"])) + int(str(pool["cl_waiting"])) > POOL


def test_every_connection_has_the_limits_that_the_options_would_have_set(many: Crowd) -> None:
    engine = make_engine(many.between.url)
    with engine.connect() as connection:
        asked = {
            name: connection.execute(text(f"SHOW {name}")).scalar()
            for name in ("statement_timeout", "jit", "TimeZone")
        }
    engine.dispose()
    assert asked == {"statement_timeout": "15s", "jit": "off", "TimeZone": "UTC"}


def test_what_a_transaction_sets_for_itself_is_nobody_elses(many: Crowd) -> None:
    for _ in range(3 * POOL):
        with db.transaction():
            db.run("SET LOCAL statement_timeout = '7s'")
            assert db.value("SELECT current_setting('statement_timeout')") == "7s"
        with db.quick():
            assert db.value("SELECT current_setting('statement_timeout')") == "15s"
