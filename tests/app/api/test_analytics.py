"""Figures of jobs by API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.jobs import figures
from tests.app.api import world
from tests.app.api.calling import Caller

PATH = "/api/v1/analytics"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    figures.forget()
    yield
    figures.forget()


def _got(caller: Caller, path: str = PATH) -> dict[str, Any]:
    answer = caller.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json or {})


def test_figures_are_of_ones_own_jobs_or_of_all(
    owner: Caller, other: Caller, viewer: Caller, admin: Caller
) -> None:
    world.completed(owner.id)
    world.failed(owner.id)

    mine = _got(owner)

    assert (mine["window"], mine["jobs"], mine["success_rate"], mine["failure_rate"]) == ("7d", 2, 0.5, 0.5)
    assert mine["outcomes"] == {"completed": 1, "failed": 1, "cancelled": 0}
    assert mine["duration"]["p95"] >= 0
    assert (len(mine["speed"]), len(mine["hours"]), len(mine["peak_hours"])) == (28, 24, 1)
    assert [(line["agent_id"], line["jobs"], line["failed"]) for line in mine["agents"]] == [
        ("test-echo", 2, 1)
    ]
    assert _got(other)["jobs"] == 0
    assert _got(viewer)["jobs"] == _got(admin)["jobs"] == 2


def test_one_agent_in_another_window(owner: Caller) -> None:
    world.completed(owner.id)

    assert _got(owner, f"{PATH}?window=24h&agent_id=Test-Echo")["jobs"] == 1
    assert _got(owner, f"{PATH}?window=30d&agent_id=nobody")["jobs"] == 0


@pytest.mark.parametrize("query", ["window=1y", "agent=writer"])
def test_a_query_that_cannot_be(owner: Caller, query: str) -> None:
    assert owner.get(f"{PATH}?{query}").status_code == 400
