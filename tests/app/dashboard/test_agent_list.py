"""The list of agents: how each did in seven days, honestly, and in the order one wants."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents import registry as _registry
from app.dashboard import agent_figures
from app.db import db as database
from app.jobs import figures
from app.jobs import pools as _pools
from tests.app.dashboard.aside import Aside, agent, claimed, db, lifecycle, submitted
from tests.app.dashboard.visiting import Visitor, words

pools, registry = Aside(_pools), Aside(_registry)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing is remembered of other tests."""
    agent_figures.forget()
    figures.forget()
    pools.forget()
    registry.forget()


def ran(agent_id: str, *, ok: bool = True, **wish: Any) -> Any:
    from app.errors import PermanentError
    from app.jobs.states import Reason

    taken = claimed(agent_id, **wish)
    if ok:
        lifecycle.complete(taken, {"ok": True})
    else:
        lifecycle.fail(taken, PermanentError("no"), Reason.PERMANENT)
    return taken


def used(taken: Any, *, tokens: int, usd: str | None) -> None:
    with database.quick():
        database.run(
            """INSERT INTO usage_events (job_id, fence, call_id, part, agent_id, team, submitted_by, provider, model,
                                         input_tokens, cost_usd, cost_status, billing)
               VALUES (%(job)s, 1, 'c1', 0, %(agent)s, 'TESTS', 'x', 'p', 'm', %(tokens)s, %(usd)s, %(status)s, 'api')""",
            job=taken.job_id,
            agent=taken.agent_id,
            tokens=tokens,
            usd=usd,
            status="derived" if usd else "unpriced",
        )


def cells(visitor: Visitor, agent_id: str, query: str = "") -> list[str]:
    line = visitor.soup(f"/agents{query}").select_one(f"#a-{agent_id}")
    assert line
    return [words(cell) for cell in line.select("td")]


def order(visitor: Visitor, by: str) -> list[str]:
    return [str(row["id"])[2:] for row in visitor.soup(f"/agents?sort={by}").select("tr.agent")]


def test_success_and_speed_are_of_jobs_one_may_see(admin: Visitor, user: Visitor) -> None:
    ran("test-noop")
    ran("test-noop", ok=False)
    ran("test-noop", submitted_by=user.user_id)
    assert cells(admin, "test-noop")[2] == "67 % 3 jobs"
    assert cells(user, "test-noop")[2] == "100 % 1 job"
    assert cells(admin, "test-noop")[3] != "–"
    assert cells(admin, "test-echo")[2:6] == ["–", "–", "–", "–"]


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([(1000, "0.50"), (1000, "0.10")], "$0.30"),
        ([(1000, None)], "unpriced"),
        ([(1000, "0.50"), (1000, None)], "$0.25, part unpriced"),
        ([], "–"),
    ],
)
def test_a_run_without_a_price_never_costs_nothing(
    admin: Visitor, calls: list[tuple[int, str | None]], said: str
) -> None:
    for tokens, usd in calls:
        used(ran("test-noop"), tokens=tokens, usd=usd)
    assert cells(admin, "test-noop")[4] == said
    assert "$0.00" not in admin.get("/agents").text


def test_the_version_budget_and_places(admin: Visitor) -> None:
    agent("narrow", max_concurrent=3, rate_limit="5/hour", budget={"usd": 2, "minutes": 1})
    registry.forget()
    claimed("narrow")
    found = cells(admin, "narrow")
    assert found[1] == "v1"
    assert found[6] == "$2.00, 1 min a job"
    assert found[7] == "1/3 5/hour"


def test_the_list_can_be_put_in_order_by_links(admin: Visitor) -> None:
    ran("test-echo", ok=False)
    ran("test-noop")
    assert order(admin, "success")[:2] == ["test-echo", "test-noop"], "the least first, the unknown last"
    used(ran("test-noop"), tokens=10, usd="0.10")
    used(ran("test-echo"), tokens=10, usd="0.90")
    agent_figures.forget()
    assert order(admin, "cost")[:2] == ["test-echo", "test-noop"]
    names = order(admin, "name")
    assert names == sorted(names)
    page = admin.soup("/agents?sort=cost")
    assert words(page.select_one("[aria-sort=descending]")) == "$ a run"
    assert not page.select("tr.group")
    assert admin.soup("/agents").select("tr.group")


@pytest.mark.parametrize("by", [*agent_figures.ORDERS, "nonsense", ""])
def test_every_order_has_every_agent(admin: Visitor, by: str) -> None:
    assert sorted(order(admin, by)) == sorted(order(admin, "team"))


def test_the_order_goes_on_when_the_panel_is_asked_again(admin: Visitor) -> None:
    region = admin.soup("/agents?sort=cost").select_one("#r-agents")
    assert region
    assert region["hx-get"] == "/ui/agents?sort=cost"
    answer = admin.get("/ui/agents?sort=cost", **{"If-None-Match": str(region["data-etag"])})
    assert answer.status_code == 304


def test_what_waits_counts_for_no_place(admin: Visitor) -> None:
    submitted("test-limited")
    assert cells(admin, "test-limited")[7] == "0/2"
    assert db.value("SELECT count(*) FROM jobs") == 1
