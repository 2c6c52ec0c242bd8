"""What hot statements read is bounded, in tables of many jobs with all they left behind: counted in pages and rows.

The tables are the same for all tests here, and nothing in them is changed: whatever a statement does is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.db import db, make_engine
from app.jobs import claims, dispatch, explain, lifecycle, pruning, queries, stats
from app.jobs.queries import Filter
from tests.bench import filling
from tests.bench.metering import watched
from tests.services import cloned
from tests.web import install_test_agents

JOBS, WAITING = 40_000, 10_000
PEOPLE = ["ada", "bob", "eve", "kim"]
# Of one statement on a table of some 5,000 pages; whoever reads a table as a whole is far above.
FEW = 400


@pytest.fixture(scope="module")
def filled(rig: dict[str, str]) -> Iterator[str]:
    """A database of its own, filled once."""
    with cloned(rig["DATABASE_URL"]) as url:
        engine = make_engine(url, pool_size=2)
        db.open(engine)
        with db.quick():
            install_test_agents()
        filling.fill(JOBS, PEOPLE, waiting=WAITING)
        engine.dispose()
        yield url


@pytest.fixture(autouse=True)
def here(filled: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The filled database; all that a test does is undone."""
    monkeypatch.setattr(dispatch, "_ring", lambda _pool, _times: None)
    engine = make_engine(filled, pool_size=2)
    db.open(engine)
    with db.quick():
        db.run("BEGIN")
        yield
        db.run("ROLLBACK")
    engine.dispose()


def _pages(do: Callable[[], object]) -> int:
    """Pages of the dearest statement of `do`, once the catalogue is known."""
    for _ in range(2):
        db.run("SAVEPOINT measured")
        with watched() as seen:
            do()
        db.run("ROLLBACK TO SAVEPOINT measured")
    assert seen
    return max(int(each["pages"]) for each in seen)


def _newest(status: str) -> str:
    return str(
        db.value(
            "SELECT job_id::text FROM jobs WHERE status = %(status)s ORDER BY jobs.job_id DESC LIMIT 1",
            status=status,
        )
    )


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(),
        Filter(owner="ada"),
        Filter(statuses=("failed",)),
        Filter(statuses=("queued",)),
        Filter(owner="ada", statuses=("failed",)),
        Filter(agent_id="test-echo"),
        Filter(tag="rare"),
    ],
    ids=str,
)
def test_a_page_of_a_list_reads_some_pages(chosen: Filter) -> None:
    assert _pages(lambda: queries.page(chosen, limit=50)) <= FEW


def test_a_page_far_down_costs_no_more() -> None:
    row = db.row("SELECT submitted_at, job_id::text FROM jobs ORDER BY jobs.job_id OFFSET 500 LIMIT 1")
    assert row is not None
    before = (row["submitted_at"], row["job_id"])
    assert _pages(lambda: queries.page(Filter(), before=before, limit=50)) <= FEW


def test_status_reads_a_handful() -> None:
    done = _newest("completed")
    assert _pages(lambda: queries.version(done)) <= 8
    assert _pages(lambda: queries.get(done)) <= 20


def test_submitting_claiming_and_settling_read_some_pages() -> None:
    assert _pages(lambda: claims.claim_next("w", ("general",), lease_seconds=60)) <= FEW
    (claim,) = claims.claim_next("w", ("general",), lease_seconds=60)
    assert _pages(lambda: lifecycle.complete(claim, {"text": "done"})) <= FEW


def test_why_the_last_of_many_waits_is_told_from_the_index() -> None:
    last = _newest("queued")
    assert _pages(lambda: explain.explain(last)) <= FEW


def test_figures_of_the_queues_read_the_index_of_what_waits_and_not_the_table() -> None:
    with watched() as seen:
        stats.queues(fresh=True)
        stats.by_pool()
    for each in seen:
        assert "Seq Scan jobs" not in each["nodes"], each
        assert "Seq Scan task_history" not in each["nodes"], each


def test_retention_that_finds_nothing_reads_next_to_nothing() -> None:
    assert _pages(lambda: pruning.purge(31, forget_files=lambda _job: None)) <= 60
    assert _pages(lambda: pruning.trim(31)) <= 60


def test_retention_removes_no_more_than_it_may_and_says_whether_there_is_more() -> None:
    assert pruning.purge(10, forget_files=lambda _job: None, limit=300) == 300
    before = _counts()
    assert pruning.trim(10, limit=200)
    after = _counts()
    gone = {table: before[table] - after[table] for table in before}
    assert gone == dict.fromkeys(before, 200) | {"dead_letters": 0}  # nobody has dealt with those
    assert not pruning.trim(31, limit=200)


def _counts() -> dict[str, int]:
    tables = ("job_history", "task_history", "usage_events", "dead_letters")
    return {table: int(db.value(f"SELECT count(*) FROM {table}")) for table in tables}
