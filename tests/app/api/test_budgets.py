from __future__ import annotations

from typing import Any

import pytest

from app.budgets import ledger
from app.budgets.ledger import Spender
from app.db import db
from app.errors import StoppedByBudget
from app.jobs import lifecycle, queries
from app.jobs.claims import Claim
from app.jobs.states import Reason
from tests import acting
from tests.app.api import world
from tests.app.api.calling import Caller
from tests.app.budgets.spending import ago, part

BUDGETS = "/api/v1/budgets"
WISH = {"name": "Research", "scope": "global", "unit": "usd", "limit": 5}


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def wrong(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.data
    return [error["pointer"] for error in answer.json["errors"]]


def spend(claim: Claim, usd: str | None, tokens: int = 100, **told: Any) -> None:
    at = told.pop("at", None)
    who = Spender(
        job_id=claim.job_id, fence=claim.fence, agent_id=claim.agent_id, submitted_by=claim.submitted_by
    )
    with db.transaction():
        ledger.append(who, [part(usd, tokens, **told)], at=at)


def agent(budget: dict[str, Any] | None = None) -> None:
    with db.transaction():
        acting.agent("buyer", budget=budget)


class TestBudgets:
    def test_make_look_change_delete(self, admin: Caller, viewer: Caller) -> None:
        made = body(admin.post(BUDGETS, json=WISH), 201)
        assert (made["limit"], made["period"], made["state"], made["created_by"]) == (
            5.0,
            "month",
            "ok",
            admin.id,
        )
        path = f"{BUDGETS}/{made['budget_id']}"

        assert body(viewer.get(path)) == made
        assert body(viewer.get(BUDGETS)) == {"budgets": [made], "total": 1}

        changed = body(admin.call("PATCH", path, json={"limit": 7.5, "period": "rolling", "rolling_days": 7}))
        assert (changed["limit"], changed["period"], changed["rolling_days"], changed["name"]) == (
            7.5,
            "rolling",
            7,
            "Research",
        )
        assert changed["period_end"] is None

        assert admin.call("DELETE", path).status_code == 204
        assert admin.get(path).status_code == 404
        with db.quick():
            told = db.rows("SELECT action FROM audit_log WHERE action LIKE 'budget.%%' ORDER BY id")
        assert [row["action"] for row in told] == ["budget.created", "budget.changed", "budget.deleted"]

    @pytest.mark.parametrize(
        ("change", "pointers"),
        [
            ({"scope": "agent"}, ["/subject"]),
            ({"scope": "agent", "subject": "nobody"}, ["/subject"]),
            ({"period": "rolling"}, ["/rolling_days"]),
            ({"unit": "runs", "limit": 1.5}, ["/limit"]),
            ({"limit": 0}, ["/limit"]),
            ({"limit": "5"}, ["/limit"]),
            ({"unit": "yen"}, ["/unit"]),
            ({"surprise": 1}, ["/surprise"]),
        ],
    )
    def test_what_makes_no_sense(self, admin: Caller, change: dict[str, Any], pointers: list[str]) -> None:
        assert wrong(admin.post(BUDGETS, json=WISH | change)) == pointers

    def test_null_changes_nothing(self, admin: Caller) -> None:
        path = f"{BUDGETS}/{world.budget()}"
        before = body(admin.get(path))
        after = body(admin.call("PATCH", path, json={"name": None, "limit": None, "enabled": None}))
        assert after | {"updated_at": ""} == before | {"updated_at": ""}

    def test_changing_it_lets_held_work_go_on(self, admin: Caller, owner: Caller) -> None:
        spend(world.running(owner.id), "2")
        path = f"{BUDGETS}/{world.budget()}"
        waiting = world.submitted(owner.id)
        assert body(admin.get(path))["state"] == "stopped"
        told = body(owner.get(f"/api/v1/jobs/{waiting}/explain"))["blockers"]
        assert [b["code"] for b in told if b["code"] == "budget"] == ["budget"]

        assert body(admin.call("PATCH", path, json={"limit": 3}))["state"] == "ok"
        with db.transaction():
            taken = acting.claim()
        assert taken is not None
        assert taken.job_id == waiting

    def test_an_unknown_or_malformed_id(self, admin: Caller) -> None:
        assert admin.get(f"{BUDGETS}/01890000-0000-7000-8000-000000000000").status_code == 404
        assert admin.get(f"{BUDGETS}/one").status_code == 400


class TestUsage:
    def test_by_agent_with_money_only_where_there_is_a_price(self, owner: Caller) -> None:
        claim = world.running(owner.id)
        spend(claim, "1.25", 100)
        spend(claim, "0.75", 100, billing="subscription")
        spend(claim, None, 200)
        told = body(owner.get("/api/v1/usage"))

        (line,) = told["groups"]
        assert (line["key"], line["cash_usd"], line["notional_usd"]) == ("test-echo", 1.25, 2.0)
        assert (line["unpriced_tokens"], line["unpriced_share"]) == (200, 0.5)
        assert told["total"] == {name: value for name, value in line.items() if name != "key"}

    def test_money_is_null_and_not_zero_where_nothing_is_priced(self, owner: Caller) -> None:
        spend(world.running(owner.id), None)
        told = body(owner.get("/api/v1/usage?group_by=model"))
        assert (told["groups"][0]["notional_usd"], told["total"]["cash_usd"]) == (None, None)

    @pytest.mark.parametrize("group", ["agent", "model", "provider", "team", "day"])
    def test_every_group_in_its_time(self, owner: Caller, group: str) -> None:
        claim = world.running(owner.id)
        spend(claim, "1", at=ago(days=40))
        spend(claim, "2")
        told = body(owner.get(f"/api/v1/usage?group_by={group}"))
        assert [line["notional_usd"] for line in told["groups"]] == [2.0]
        longer = body(owner.get(f"/api/v1/usage?group_by={group}&since={ago(days=50):%Y-%m-%dT%H:%M:%SZ}"))
        assert longer["total"]["notional_usd"] == 3.0

    @pytest.mark.parametrize(
        "query",
        ["group_by=owner", "since=2030-01-01T00:00:00Z", "since=2001-01-01T00:00:00Z", "since=yesterday"],
    )
    def test_a_query_that_cannot_be(self, owner: Caller, query: str) -> None:
        assert owner.get(f"/api/v1/usage?{query}").status_code == 400

    def test_nothing_yet(self, owner: Caller) -> None:
        told = body(owner.get("/api/v1/usage"))
        assert (told["groups"], told["total"]["tokens"]) == ([], 0)

    def test_a_jobs_rows_by_cursor(self, owner: Caller) -> None:
        claim = world.running(owner.id)
        spend(claim, "0.5", 10, call_id="a")
        spend(claim, None, 5, call_id="b")
        first = body(owner.get(f"/api/v1/jobs/{claim.job_id}/usage?limit=1"))
        assert (first["more"], [e["call_id"] for e in first["events"]]) == (True, ["a"])
        rest = body(owner.get(f"/api/v1/tasks/{claim.job_id}/usage?after={first['cursor']}"))
        assert [(e["call_id"], e["cost_usd"], e["cost_status"]) for e in rest["events"]] == [
            ("b", None, "unpriced")
        ]
        assert (rest["usage"]["cost_usd"], rest["usage"]["unpriced_tokens"]) == (0.5, 5)


class TestBudgetsOfJobs:
    def test_a_job_may_have_less_than_its_agent_gives_and_only_admins_give_more(
        self, owner: Caller, admin: Caller
    ) -> None:
        agent({"usd": 1.0, "tokens": 1000})
        less = body(
            owner.post("/api/v1/jobs", json={"agent_id": "buyer", "budget": {"usd": 0.5, "minutes": 2}}), 201
        )
        with db.quick():
            options = queries.get(less["job_id"])["options"]
        assert options["budget"] == {"usd": 0.5, "minutes": 2}

        more = {"agent_id": "buyer", "budget": {"usd": 2, "tokens": 2000}}
        refused = owner.post("/api/v1/jobs", json=more)
        assert wrong(refused) == ["/budget/usd", "/budget/tokens"]
        assert "only admins may give more" in refused.json["errors"][0]["message"]
        assert admin.post("/api/v1/jobs", json=more).status_code == 201

    @pytest.mark.parametrize(
        "budget", [{"usd": 0}, {"usd": -1}, {"tokens": 1.5}, {"yen": 5}, {"minutes": 10**6}]
    )
    def test_what_is_no_budget(self, owner: Caller, budget: dict[str, Any]) -> None:
        assert wrong(owner.post("/api/v1/jobs", json={"agent_id": "test-echo", "budget": budget})) == [
            f"/budget/{next(iter(budget))}"
        ]

    def test_a_stopped_job_is_resumed_with_more(self, owner: Caller, admin: Caller) -> None:
        agent({"usd": 1.0, "minutes": 5})
        with db.transaction():
            claim = acting.claimed("buyer", submitted_by=owner.id)
            db.run("UPDATE jobs SET checkpoint = '{\"page\": 7}' WHERE job_id = %(id)s", id=claim.job_id)
            lifecycle.fail(
                claim, StoppedByBudget("it is spent"), Reason.STOPPED_BUDGET, partial={"half": True}
            )
        shown = body(owner.get(f"/api/v1/jobs/{claim.job_id}"))
        assert (shown["status_reason"], shown["result"]) == ("stopped_budget", {"half": True})
        assert "resume" in shown["actions"]
        path = f"/api/v1/jobs/{claim.job_id}/resume"

        assert wrong(owner.post(path, json={"usd": 0.5})) == ["/budget/usd"]
        assert wrong(admin.post(path, json={"tokens": 5})) == ["/tokens"]
        new = body(admin.post(path, json={"usd": 0.5}), 201)
        with db.quick():
            row, kept = queries.get(new["job_id"]), queries.checkpoint(new["job_id"])
        assert (new["retry_of_job_id"], kept) == (claim.job_id, {"page": 7})
        assert row["options"]["budget"] == {"usd": 1.5, "minutes": 5}

        as_before = body(owner.post(path), 201)
        with db.quick():
            assert queries.get(as_before["job_id"])["options"]["budget"] == {"usd": 1, "minutes": 5}

    def test_only_jobs_that_their_budget_stopped(self, owner: Caller) -> None:
        for job_id in (world.failed(owner.id), world.completed(owner.id), world.submitted(owner.id)):
            answer = owner.post(f"/api/v1/jobs/{job_id}/resume")
            assert answer.status_code == 409
            assert "resume" not in body(owner.get(f"/api/v1/jobs/{job_id}"))["actions"]
