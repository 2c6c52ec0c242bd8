"""A page of a list costs the same, however many jobs there are: it follows an index and stops."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import db
from app.jobs import dead_letters, intake, lifecycle, queries
from app.jobs.intake import Wish
from app.jobs.queries import Filter

MANY = 4000


@pytest.fixture
def plans(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plan of every statement that `db.rows` runs from now on, in a table of MANY jobs."""
    with db.transaction():
        for _ in range(MANY // 1000):
            lifecycle.submit_many([_order() for _ in range(1000)])
        db.run("ANALYZE jobs")
    seen: list[str] = []
    ask = db.rows

    def explained(statement: str, **values: Any) -> list[Any]:
        plan = ask(f"EXPLAIN (ANALYZE, COSTS off) {statement}", **values)
        seen.append("\n".join(line["QUERY PLAN"] for line in plan))
        return ask(statement, **values)

    monkeypatch.setattr(db, "rows", explained)
    return seen


def _order() -> lifecycle.Order:
    return intake.order(Wish(agent_id="test-noop", parameters={}, submitted_by="ada", tags=("common",)))


@pytest.mark.parametrize(
    "chosen",
    [Filter(), Filter(statuses=("queued",)), Filter(owner="ada"), Filter(agent_id="test-noop")],
    ids=str,
)
def test_a_page_of_jobs_reads_no_more_than_itself(plans: list[str], chosen: Filter) -> None:
    with db.quick():
        first = queries.page(chosen, limit=50)
        last = first[-1]
        queries.page(chosen, before=(last["submitted_at"], last["job_id"]), limit=50)
        queries.ids(chosen, limit=50)

    assert len(plans) == 3
    for plan in plans:
        assert "Sort" not in plan, plan
        assert "Seq Scan" not in plan, plan


def test_a_rare_tag_is_found_by_its_index(plans: list[str]) -> None:
    with db.quick():
        assert queries.page(Filter(tag="nobody has it")) == []

    assert "ix_jobs_tags" in plans[0], plans[0]


def test_a_page_of_dead_letters_is_not_sorted_as_text(plans: list[str]) -> None:
    with db.transaction():
        db.run("SET LOCAL enable_seqscan = off")  # there are none: whatever is possible is as cheap
        dead_letters.page(limit=50)

    assert "ix_dead_letters_failed" in plans[0], plans[0]
    assert "Sort" not in plans[0], plans[0]
