"""What a claim reads does not grow with what waits: counted in pages, not in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app.db import db, make_engine
from app.jobs import dispatch
from tests import acting
from tests.web import install_test_agents

# A deeper tree costs a page or two per look; anything that reads rows would cost thousands.
SLACK = 40


@pytest.fixture(autouse=True)
def alone(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database without the dead rows of other tests, in which the sum of pages means something."""
    monkeypatch.setattr(dispatch, "_ring", lambda _pool, _times: None)
    engine = make_engine(fresh_database, pool_size=2)
    db.open(engine)
    with db.quick():
        install_test_agents()
        yield
    engine.dispose()


def _wait(count: int, agent_id: str, *, lane: bool = False, priority: int = 2) -> None:
    db.run(
        """INSERT INTO jobs (job_id, agent_id, pool, lane, status, priority_rank, run_at, parameters, submitted_by)
           SELECT gen_random_uuid(), %(agent)s, 'general', CASE WHEN %(lane)s THEN %(agent)s END, 'queued',
                  %(rank)s, now() - n * interval '1 ms', '{}', 'ada' FROM generate_series(1, %(count)s) AS n""",
        count=count,
        agent=agent_id,
        lane=lane,
        rank=priority,
    )
    db.run("VACUUM ANALYZE jobs")


def _pages(pool: str = "general") -> int:
    """Pages that one claim touches, index and triggers included; the claim itself is undone."""
    _explained(pool)  # plans are made and catalogue pages read by the first
    return _explained(pool)


def _explained(pool: str) -> int:
    db.run("BEGIN")
    try:
        plan = db.value(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM jobs_claim('w', ARRAY[%(pool)s], 1, '60 s')",
            pool=pool,
        )
    finally:
        db.run("ROLLBACK")
    top = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    assert top["Actual Rows"] == (pool == "general")
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


def test_a_claim_costs_the_same_with_a_hundred_and_with_twenty_thousand_waiting() -> None:
    _wait(100, "test-noop")
    few = _pages()
    _wait(19_900, "test-noop")
    assert _pages() <= few + SLACK


def test_a_full_agents_backlog_of_ten_thousand_costs_others_nothing() -> None:
    acting.agent("full", max_concurrent=1)
    acting.claimed("full")
    _wait(100, "test-noop")
    before = _pages()
    _wait(10_000, "full", lane=True, priority=0)
    assert _pages() <= before + SLACK


def test_ten_thousand_jobs_of_a_disabled_agent_cost_nothing() -> None:
    acting.agent("off")
    db.run("UPDATE agents SET enabled = false WHERE agent_id = 'off'")
    _wait(100, "test-noop")
    before = _pages()
    _wait(10_000, "off", lane=True)
    assert _pages() <= before + SLACK


def test_ten_thousand_jobs_that_are_not_due_cost_nothing() -> None:
    _wait(100, "test-noop")
    before = _pages()
    _wait(10_000, "test-noop")
    db.run(
        "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE ctid IN (SELECT ctid FROM jobs OFFSET 100)"
    )
    db.run("VACUUM ANALYZE jobs")
    assert _pages() <= before + SLACK


def test_a_claim_that_finds_nothing_reads_next_to_nothing() -> None:
    _wait(5_000, "test-noop")
    assert _pages("marketing") <= 100
