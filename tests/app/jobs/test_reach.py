"""A search looks at so many jobs at once, says where it stopped, and goes on behind that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from app import clock
from app.db import db
from app.jobs import intake, lifecycle, queries, reach
from app.jobs.intake import Wish
from app.jobs.queries import Filter

WITHIN = 10


@pytest.fixture
def jobs(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Thirty jobs, oldest first, of ada and bob by turns; a search looks at ten."""
    monkeypatch.setattr(reach, "SEARCHED", WITHIN)
    reach.forget()
    with db.transaction():
        made = [lifecycle.submit(_order(number))["job_id"] for number in range(30)]
    with db.quick():
        yield made
    reach.forget()


def _order(number: int) -> lifecycle.Order:
    tags = ("early",) if number < 3 else ()
    who = "bob" if number % 2 else "ada"
    return intake.order(
        Wish(agent_id="test-noop", parameters={}, submitted_by=who, task_name=f"task {number:02}", tags=tags)
    )


def _found(chosen: Filter, before: tuple[object, str] | None = None) -> list[str]:
    return [row["task_name"] for row in queries.page(chosen, before=before)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(),
        Filter(owner="ada"),
        Filter(statuses=("queued",)),
        Filter(agents=("test-noop",)),
        Filter(tags=(("early",),)),
        Filter(since=datetime(2020, 1, 1, tzinfo=UTC)),
        Filter(ids=("01" + "0" * 10,)),
    ],
    ids=str,
)
def test_what_an_index_knows_is_looked_for_among_all(jobs: list[str], chosen: Filter) -> None:
    assert reach.horizon(chosen) is None


@pytest.mark.parametrize(
    "sought",
    [
        {"texts": ("task",)},
        {"text": "task"},
        {"priorities": (2,)},
        {"not_agents": ("test-echo",)},
        {"pools": ("general",)},
        {"ids": ("ffff",)},
    ],
    ids=str,
)
def test_what_none_knows_is_looked_for_among_the_newest(jobs: list[str], sought: dict[str, object]) -> None:
    end = reach.horizon(Filter(**sought))  # type: ignore[arg-type]

    assert end is not None
    assert end["job_id"] == jobs[-1 - WITHIN]


def test_a_search_goes_on_behind_its_end_and_misses_nothing(jobs: list[str]) -> None:
    chosen, before, looks = Filter(texts=("task 0",)), None, []
    while True:
        looks.append(_found(chosen, before))
        end = reach.horizon(chosen, before)
        if end is None:
            break
        before = (end["submitted_at"], end["job_id"])

    assert looks == [[], [f"task {n:02}" for n in (9, 8)], [f"task {n:02}" for n in range(7, -1, -1)]]
    assert queries.count(chosen) == 0


def test_the_rest_of_the_filter_narrows_what_is_looked_at(jobs: list[str]) -> None:
    mine = Filter(owner="ada", texts=("task",))

    assert _found(mine) == [f"task {n:02}" for n in range(28, 6, -2)]
    assert _found(Filter(tags=(("early",),), texts=("task 02",))) == ["task 02"]


def test_a_whole_id_is_found_wherever_it_is(jobs: list[str]) -> None:
    assert reach.horizon(Filter(texts=(jobs[0],))) is None
    assert _found(Filter(texts=(jobs[0],))) == ["task 00"]


def test_jobs_with_a_tag_come_newest_first_however_they_are_sorted(
    jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Filter(tags=(("early",),))
    assert (reach.order(chosen), _found(chosen)) == ("jobs.job_id::text", ["task 02", "task 01", "task 00"])

    monkeypatch.setattr(reach, "FEW", 2)
    assert (reach.order(chosen), _found(chosen)) == ("jobs.job_id", ["task 02", "task 01", "task 00"])


def test_an_id_is_never_smaller_than_its_time_allows(jobs: list[str]) -> None:
    rows = queries.page(Filter())

    assert all(row["job_id"].replace("-", "") > reach.least_id(row["submitted_at"]) for row in rows)
    assert reach.least_id(clock.now() + timedelta(hours=2)) > rows[0]["job_id"].replace("-", "")


def test_a_time_before_all_ids_leaves_none_out(jobs: list[str]) -> None:
    assert len(_found(Filter(since=clock.now() - timedelta(weeks=9999)))) == len(jobs)
