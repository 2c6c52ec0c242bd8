from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.db import db
from app.jobs import claims
from app.schedules import due
from app.settings import POOLS
from tests import acting
from tests.app.api import world
from tests.app.api.calling import Caller
from tests.app.budgets.spending import part, settle, spender

SCHEDULES = "/api/v1/schedules"
ECHO = {"agent_id": "test-echo", "parameters": {"text": "hi"}}
NIGHTLY = ECHO | {"cron_expression": "0 2 * * *"}
WORKFLOW = {"name": "Two", "steps": [{"id": "one", "agent_id": "test-echo", "parameters": {"text": "x"}}]}


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def wrong(answer: Any, status: int = 422) -> list[str]:
    assert answer.status_code == status, answer.data
    return [error["pointer"] for error in answer.json["errors"]]


def tomorrow() -> str:
    return str(clock.iso(clock.now() + timedelta(days=1)))


def come(schedule_id: str, **ago: float) -> None:
    """Let its next time have come, and fire."""
    with db.transaction():
        db.run(
            """UPDATE schedules SET cron_expression = '* * * * *', next_fire_at = date_trunc('minute', now())
               WHERE schedule_id = %(id)s""",
            id=schedule_id,
        )
    with db.transaction():
        due.fire()


class TestMaking:
    def test_once_as_the_documents_have_it(self, owner: Caller) -> None:
        when = tomorrow()
        made = body(owner.post(SCHEDULES, json=ECHO | {"schedule_type": "one_time", "execute_at": when}), 201)
        assert {name: made[name] for name in ("agent_id", "schedule_type", "execute_at", "status")} == {
            "agent_id": "test-echo", "schedule_type": "one_time", "execute_at": when, "status": "scheduled",
        }  # fmt: skip
        assert (made["next_execution"], made["last_execution"], made["last_job_id"]) == (when, None, None)
        assert made["description"].startswith("Once, on ")

    def test_again_and_again_as_the_documents_have_it(self, owner: Caller) -> None:
        answer = owner.post(f"{SCHEDULES}/recurring", json=NIGHTLY | {"enabled": True})
        made = body(answer, 201)
        assert answer.headers["Location"] == f"{SCHEDULES}/{made['schedule_id']}"
        assert (made["agent_id"], made["cron_expression"], made["enabled"]) == (
            "test-echo",
            "0 2 * * *",
            True,
        )
        assert made["next_execution"][11:] == "02:00:00.000Z"
        assert made["description"] == "At 02:00 every day (UTC)"
        assert body(owner.get(f"{SCHEDULES}/{made['schedule_id']}")) == made | {"budgets": []}

    def test_the_general_one_takes_both(self, owner: Caller) -> None:
        made = body(owner.post(SCHEDULES, json=NIGHTLY | {"schedule_type": "recurring"}), 201)
        assert made["schedule_type"] == "recurring"

    def test_everything_that_can_be_said(self, owner: Caller) -> None:
        told = NIGHTLY | {
            "name": "Nightly", "timezone": "Europe/Berlin", "jitter_seconds": 30, "misfire": "all",
            "grace_seconds": 5, "overlap": "queue", "enabled": False, "priority": "low", "task_name": "Night",
            "tags": ["a"], "timeout": 60, "max_retries": 1, "retry_strategy": "fixed",
            "notification_email": "me@example.org",
        }  # fmt: skip
        made = body(owner.post(SCHEDULES, json=told), 201)
        same = (
            "name",
            "timezone",
            "jitter_seconds",
            "misfire",
            "grace_seconds",
            "overlap",
            "enabled",
            "priority",
        )
        assert {name: made[name] for name in same} == {name: told[name] for name in same}
        assert made["options"] == {
            "task_name": "Night", "tags": ["a"], "timeout": 60, "max_retries": 1, "retry_strategy": "fixed",
            "notify": {"email": "me@example.org"},
        }  # fmt: skip
        assert (made["status"], made["next_execution"]) == ("disabled", None)

    def test_a_zone_shows_in_the_next_execution(self, owner: Caller) -> None:
        made = body(owner.post(SCHEDULES, json=NIGHTLY | {"timezone": "Asia/Kolkata"}), 201)
        assert made["next_execution"][11:] == "20:30:00.000Z"
        assert made["next_execution_local"][11:] == "02:00:00+05:30"

    def test_a_time_that_has_passed_is_400(self, owner: Caller) -> None:
        assert wrong(owner.post(SCHEDULES, json=ECHO | {"execute_at": "2026-01-01T00:00:00Z"}), 400) == [
            "/execute_at"
        ]

    @pytest.mark.parametrize(
        ("change", "pointers"),
        [
            ({"cron_expression": "0 0 2 * * *"}, ["/cron_expression"]),
            ({"cron_expression": "0 25 * * *"}, ["/cron_expression"]),
            ({"timezone": "Berlin"}, ["/timezone"]),
            ({"cron_expression": None}, ["/cron_expression", "/execute_at"]),
            ({"execute_at": "2036-01-01T00:00:00Z"}, ["/cron_expression", "/execute_at"]),
            ({"execute_at": "2036-01-01T00:00:00"}, ["/execute_at"]),
            ({"schedule_type": "one_time"}, ["/execute_at"]),
            ({"agent_id": None}, ["/agent_id"]),
            ({"workflow_template": "x"}, ["/agent_id", "/workflow_template"]),
            ({"workflow_version": 1}, ["/workflow_version"]),
            ({"parameters": {"text": 7}}, ["/parameters/text"]),
            ({"overlap": "never"}, ["/overlap"]),
            ({"jitter_seconds": -1}, ["/jitter_seconds"]),
            ({"name": ""}, ["/name"]),
            ({"hour": 2}, ["/hour"]),
        ],
    )
    def test_what_is_wrong_is_pointed_at(
        self, owner: Caller, change: dict[str, Any], pointers: list[str]
    ) -> None:
        assert wrong(owner.post(SCHEDULES, json=NIGHTLY | change)) == pointers

    def test_an_agent_that_is_not_there(self, owner: Caller) -> None:
        answer = owner.post(SCHEDULES, json=NIGHTLY | {"agent_id": "nobody"})
        assert (answer.status_code, answer.json["code"]) == (422, "agent_not_found")

    def test_an_alias_is_kept_as_the_agent(self, owner: Caller) -> None:
        with db.transaction():
            acting.agent("real-name", aliases=["nick-name"])
        told = {"agent_id": "nick_name", "cron_expression": "0 2 * * *"}
        assert body(owner.post(SCHEDULES, json=told), 201)["agent_id"] == "real-name"

    def test_the_recurring_one_takes_no_moment(self, owner: Caller) -> None:
        assert wrong(owner.post(f"{SCHEDULES}/recurring", json=NIGHTLY | {"execute_at": tomorrow()})) == [
            "/execute_at"
        ]
        assert wrong(owner.post(f"{SCHEDULES}/recurring", json=ECHO)) == ["/cron_expression"]

    def test_the_same_request_twice_makes_one(self, owner: Caller) -> None:
        key = {"Idempotency-Key": "once"}
        first = body(owner.post(SCHEDULES, json=NIGHTLY, headers=key), 201)
        assert body(owner.post(SCHEDULES, json=NIGHTLY, headers=key), 201) == first
        assert body(owner.get(SCHEDULES))["total"] == 1

    def test_more_budget_than_the_agents_is_for_admins(self, owner: Caller, admin: Caller) -> None:
        with db.transaction():
            acting.agent("buyer", budget={"usd": 1})
        told = {"agent_id": "buyer", "cron_expression": "0 2 * * *", "budget": {"usd": 2}}
        assert wrong(owner.post(SCHEDULES, json=told)) == ["/budget/usd"]
        assert body(admin.post(SCHEDULES, json=told), 201)["options"] == {"budget": {"usd": 2.0}}


class TestWorkflows:
    def test_a_definition_of_its_own_runs(self, owner: Caller) -> None:
        made = body(owner.post(SCHEDULES, json={"workflow": WORKFLOW, "cron_expression": "0 2 * * *"}), 201)
        assert (made["name"], made["agent_id"], made["workflow"]["name"]) == ("Two", None, "Two")

        come(made["schedule_id"])

        (fire,) = body(owner.get(f"{SCHEDULES}/{made['schedule_id']}/fires"))["fires"]
        assert (fire["outcome"], fire["job_id"], fire["run_status"]) == ("fired", None, "running")
        now = body(owner.get(f"{SCHEDULES}/{made['schedule_id']}"))
        assert now["last_workflow_id"] == fire["workflow_id"]
        with db.quick():
            row = db.row("SELECT schedule_id::text, submitted_by FROM workflows")
            assert row == {"schedule_id": made["schedule_id"], "submitted_by": owner.id}
            assert db.value("SELECT count(*) FROM jobs") == 1

    def test_a_template_with_its_inputs(self, owner: Caller, other: Caller) -> None:
        _template(owner.id, "weekly")
        told = {"workflow_template": "weekly", "cron_expression": "0 9 * * 1"}
        assert wrong(owner.post(SCHEDULES, json=told)) == ["/inputs/who"]
        made = body(owner.post(SCHEDULES, json=told | {"inputs": {"who": "ada"}}), 201)
        assert (made["name"], made["workflow_version"], made["parameters"]) == (
            "weekly",
            None,
            {"who": "ada"},
        )
        assert wrong(other.post(SCHEDULES, json=told | {"inputs": {"who": "eve"}})) == ["/workflow_template"]
        assert wrong(owner.post(SCHEDULES, json=told | {"workflow_version": 9})) == ["/workflow_template"]

        come(made["schedule_id"])
        with db.quick():
            run = db.row("SELECT template_name, template_version, inputs FROM workflows")
        assert run == {"template_name": "weekly", "template_version": 1, "inputs": {"who": "ada"}}

    def test_what_is_wrong_with_a_definition_is_pointed_at(self, owner: Caller) -> None:
        broken = {"name": "x", "steps": [{"id": "a", "agent_id": "nobody"}]}
        assert wrong(owner.post(SCHEDULES, json={"workflow": broken, "cron_expression": "0 2 * * *"})) == [
            "/workflow/steps/0/agent_id"
        ]
        assert wrong(
            owner.post(SCHEDULES, json={"workflow": {"name": "x"}, "cron_expression": "0 2 * * *"})
        ) == ["/workflow/steps"]

    def test_what_is_for_agents_only(self, owner: Caller) -> None:
        told = {"workflow": WORKFLOW, "cron_expression": "0 2 * * *"}
        assert wrong(owner.post(SCHEDULES, json=told | {"timeout": 5})) == ["/timeout"]
        assert wrong(owner.post(SCHEDULES, json=told | {"jitter_seconds": 5})) == ["/jitter_seconds"]

    def test_a_template_that_is_archived_fails_alone(self, owner: Caller) -> None:
        from app.workflows import templates

        _template(owner.id, "weekly")
        told = {"workflow_template": "weekly", "cron_expression": "0 9 * * 1", "inputs": {"who": "ada"}}
        made = body(owner.post(SCHEDULES, json=told), 201)
        good = body(owner.post(SCHEDULES, json=NIGHTLY), 201)
        with db.transaction():
            templates.archive("weekly")
            db.run(
                "UPDATE schedules SET cron_expression = '* * * * *', next_fire_at = date_trunc('minute', now())"
            )
        with db.transaction():
            (news,) = due.fire().news
        assert (news.schedule_id, "no template" in (news.reason or "")) == (made["schedule_id"], True)
        assert body(owner.get(f"{SCHEDULES}/{good['schedule_id']}"))["last_job_id"]


def _template(owner_id: str, name: str) -> None:
    from app.workflows import templates

    schema = {"type": "object", "required": ["who"], "properties": {"who": {"type": "string"}}}
    steps = [{"id": "one", "agent_id": "test-echo", "parameters": {"text": "{{inputs.who}}"}}]
    with db.transaction():
        templates.save(name, by=owner_id, raw={"name": name, "inputs": schema, "steps": steps})


class TestLooking:
    def test_everybody_sees_their_own_and_admins_and_viewers_all(
        self, owner: Caller, other: Caller, admin: Caller, viewer: Caller
    ) -> None:
        mine = world.schedule(owner.id)
        for caller, total in ((owner, 1), (other, 0), (admin, 1), (viewer, 1)):
            assert body(caller.get(SCHEDULES))["total"] == total
            assert len(body(caller.get(f"{SCHEDULES}/upcoming?limit=3"))["upcoming"]) == 3 * total
        assert body(owner.get(f"{SCHEDULES}/{mine}"))["parameters"] == {"text": "hi"}
        seen = body(viewer.get(f"{SCHEDULES}/{mine}"))
        assert (seen["parameters"], seen["options"], seen["workflow"]) == (None, None, None)

    def test_filters(self, owner: Caller) -> None:
        nightly = world.schedule(owner.id, name="Nightly tests")
        off = world.schedule(owner.id, agent_id="test-noop", parameters={}, enabled=False)
        once = world.schedule(owner.id, cron_expression=None, execute_at=clock.now() + timedelta(days=1))
        for query, expected in (
            ("status=disabled", {off}),
            ("status=scheduled", {nightly, once}),
            ("agent_id=test-noop", {off}),
            ("schedule_type=one_time", {once}),
            ("q=nightly", {nightly}),
            (f"q={once}", {once}),
            ("q=100%25", set()),
            ("workflow_template=x", set()),
        ):
            found = body(owner.get(f"{SCHEDULES}?{query}"))
            ids = {each["schedule_id"] for each in found["schedules"]}
            assert (ids, found["total"]) == (expected, len(expected)), query

    def test_what_comes_next_is_told_over_all_in_order(self, owner: Caller) -> None:
        minutely = world.schedule(owner.id, cron_expression="*/20 * * * *", name="often")
        hourly = world.schedule(
            owner.id, cron_expression="10 * * * *", timezone="Asia/Kolkata", name="hourly"
        )
        found = body(owner.get(f"{SCHEDULES}/upcoming?limit=9"))["upcoming"]
        times = [each["at"] for each in found]
        assert times == sorted(times)
        names = [each["schedule_id"] for each in found]
        assert (names.count(minutely), names.count(hourly)) in ((7, 2), (6, 3))
        assert all(each["local"].endswith("+05:30") for each in found if each["name"] == "hourly")
        until = found[3]["at"]
        assert len(body(owner.get(f"{SCHEDULES}/upcoming?until={until}"))["upcoming"]) == 4

    def test_a_preview_makes_nothing(self, owner: Caller) -> None:
        told = {"cron_expression": "@weekly", "timezone": "America/New_York"}
        found = body(owner.post(f"{SCHEDULES}/preview", json=told))
        assert found["cron_expression"] == "0 0 * * 0"
        assert found["description"] == "At 00:00 on Sunday (America/New_York)"
        assert len(found["next"]) == 5
        assert {each["utc"][11:] for each in found["next"]} <= {"04:00:00.000Z", "05:00:00.000Z"}
        assert {each["local"][11:19] for each in found["next"]} == {"00:00:00"}
        assert body(owner.get(SCHEDULES))["total"] == 0
        assert wrong(owner.post(f"{SCHEDULES}/preview", json={"cron_expression": "x"})) == [
            "/cron_expression"
        ]


class TestChanging:
    def test_what_is_left_out_stays(self, owner: Caller) -> None:
        made = body(owner.post(SCHEDULES, json=NIGHTLY | {"timeout": 60, "tags": ["a"]}), 201)
        path = f"{SCHEDULES}/{made['schedule_id']}"
        changed = body(owner.call("PATCH", path, json={"name": "Other", "max_retries": 2, "tags": None}))
        assert (changed["name"], changed["cron_expression"]) == ("Other", "0 2 * * *")
        assert changed["options"] == {"timeout": 60, "max_retries": 2}
        assert changed["next_execution"] == made["next_execution"]
        assert changed["version"] == made["version"] + 1

    def test_another_time(self, owner: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id)}"
        changed = body(owner.call("PATCH", path, json={"cron_expression": "30 4 * * *"}))
        assert changed["next_execution"][11:16] == "04:30"
        once = body(owner.call("PATCH", path, json={"execute_at": tomorrow()}))
        assert (once["schedule_type"], once["cron_expression"]) == ("one_time", None)
        assert wrong(owner.call("PATCH", path, json={"execute_at": "2026-01-01T00:00:00Z"}), 400) == [
            "/execute_at"
        ]

    def test_another_target_has_its_own_parameters(self, owner: Caller) -> None:
        made = body(owner.post(SCHEDULES, json=NIGHTLY | {"timeout": 9, "tags": ["a"]}), 201)
        path = f"{SCHEDULES}/{made['schedule_id']}"
        changed = body(owner.call("PATCH", path, json={"agent_id": "test-noop"}))
        assert (changed["agent_id"], changed["parameters"]) == ("test-noop", {})
        changed = body(owner.call("PATCH", path, json={"workflow": WORKFLOW}))
        assert (changed["agent_id"], changed["workflow"]["name"], changed["options"]) == (
            None,
            "Two",
            {"tags": ["a"]},
        )

    def test_who_saw_an_older_version_is_told(self, owner: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id)}"
        assert owner.call("PATCH", path, json={"name": "a", "version": 1}).status_code == 200
        late = owner.call("PATCH", path, json={"name": "b", "version": 1})
        assert (late.status_code, "version 2" in late.json["detail"]) == (409, True)
        assert body(owner.get(path))["name"] == "a"

    def test_pausing_and_resuming(self, owner: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id)}"
        for _ in range(2):
            paused = body(owner.post(f"{path}/pause"))
            assert (paused["status"], paused["next_execution"]) == ("disabled", None)
        resumed = body(owner.post(f"{path}/resume"))
        assert (resumed["status"], resumed["next_execution"] is not None) == ("scheduled", True)

    def test_one_whose_agent_is_gone_can_be_paused_and_given_another(self, owner: Caller) -> None:
        with db.transaction():
            acting.agent("leaver")
        schedule_id = world.schedule(owner.id, agent_id="leaver", parameters={})
        with db.transaction():
            db.run("DELETE FROM agents WHERE agent_id = 'leaver'")
        path = f"{SCHEDULES}/{schedule_id}"
        assert body(owner.call("PATCH", path, json={"name": "Still here"}))["agent_id"] is None
        assert body(owner.post(f"{path}/pause"))["status"] == "disabled"
        assert owner.post(f"{path}/resume").status_code == 422
        assert (
            body(owner.call("PATCH", path, json={"agent_id": "test-noop", "enabled": True}))["status"]
            == "scheduled"
        )

    def test_one_that_has_run_is_new_with_another_time(self, owner: Caller) -> None:
        schedule_id = world.schedule(
            owner.id, cron_expression=None, execute_at=clock.now() + timedelta(days=1)
        )
        with db.transaction():
            db.run("UPDATE schedules SET next_fire_at = now(), execute_at = now()")
        with db.transaction():
            due.fire()
        path = f"{SCHEDULES}/{schedule_id}"
        ran = body(owner.get(path))
        assert (ran["status"], ran["next_execution"], ran["last_job_id"] is not None) == ("fired", None, True)
        again = body(owner.call("PATCH", path, json={"execute_at": tomorrow()}))
        assert (again["status"], again["next_execution"]) == ("scheduled", again["execute_at"])

    def test_removing_leaves_its_jobs(self, owner: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id)}"
        job_id = body(owner.post(f"{path}/run"), 201)["job_id"]
        assert body(owner.call("DELETE", path))["status"] == "cancelled"
        assert owner.get(path).status_code == 404
        assert body(owner.get(f"/api/v1/jobs/{job_id}"))["status"] == "queued"

    def test_it_is_written_down_who_did_it(self, owner: Caller) -> None:
        made = body(owner.post(SCHEDULES, json=NIGHTLY), 201)
        path = f"{SCHEDULES}/{made['schedule_id']}"
        owner.call("PATCH", path, json={"parameters": {"text": "secret"}})
        for verb in ("pause", "resume", "run"):
            owner.post(f"{path}/{verb}")
        owner.call("DELETE", path)
        with db.quick():
            told = db.rows(
                "SELECT action, actor, details FROM audit_log WHERE action LIKE 'schedule.%%' ORDER BY id"
            )
        assert [row["action"].partition(".")[2] for row in told] == [
            "created", "changed", "paused", "resumed", "run", "deleted",
        ]  # fmt: skip
        assert {row["actor"] for row in told} == {owner.id}
        assert "secret" not in str(told)


class TestRunning:
    def test_now_also_while_it_is_paused(self, owner: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id, enabled=False)}"
        ran = body(owner.post(f"{path}/run"), 201)
        assert ran["outcome"] == "fired"
        (fire,) = body(owner.get(f"{path}/fires"))["fires"]
        assert (fire["manual"], fire["job_id"], fire["run_status"]) == (True, ran["job_id"], "queued")
        now = body(owner.get(path))
        assert (now["status"], now["last_job_id"]) == ("disabled", ran["job_id"])

    @pytest.mark.parametrize(
        ("overlap", "outcome"), [("skip", "skipped"), ("queue", "queued"), ("allow", "fired")]
    )
    def test_overlap_counts(self, owner: Caller, overlap: str, outcome: str) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id, overlap=overlap)}"
        owner.post(f"{path}/run")
        second = body(owner.post(f"{path}/run"), 201)
        assert (second["outcome"], second["job_id"] is None) == (outcome, outcome != "fired")

    def test_an_agent_that_is_off_is_a_conflict(self, owner: Caller) -> None:
        from app.agents import registry

        with db.transaction():
            acting.agent("sleeper")
        path = f"{SCHEDULES}/{world.schedule(owner.id, agent_id='sleeper', parameters={})}"
        with db.transaction():
            registry.enable("sleeper", enabled=False)
        assert owner.post(f"{path}/run").status_code == 409
        assert body(owner.get(f"{path}/fires"))["fires"] == []

    def test_an_admin_runs_it_in_the_name_of_its_owner(self, owner: Caller, admin: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id)}"
        job_id = body(admin.post(f"{path}/run"), 201)["job_id"]
        assert body(owner.get(f"/api/v1/jobs/{job_id}"))["status"] == "queued"

    def test_pages_of_times(self, owner: Caller) -> None:
        path = f"{SCHEDULES}/{world.schedule(owner.id)}"
        for _ in range(5):
            owner.post(f"{path}/run")
        first = body(owner.get(f"{path}/fires?limit=3"))["fires"]
        with db.quick():
            marks = [
                row["slot_at"] for row in db.rows("SELECT slot_at FROM schedule_fires ORDER BY slot_at DESC")
            ]
        assert [each["slot_at"] for each in first] == [clock.iso(mark) for mark in marks[:3]]
        assert body(owner.get(f"{path}/fires?outcome=failed"))["fires"] == []


def test_its_own_budgets_are_shown_with_it(owner: Caller, admin: Caller) -> None:
    schedule_id, free = world.schedule(owner.id), world.schedule(owner.id)
    told = {"name": "Nights", "scope": "schedule", "subject": schedule_id, "unit": "usd", "limit": 1}
    budget = body(admin.post("/api/v1/budgets", json=told), 201)
    job_id = body(owner.post(f"{SCHEDULES}/{schedule_id}/run"), 201)["job_id"]
    with db.transaction():
        (claim,) = claims.claim_next("w", POOLS, lease_seconds=60)
    assert (claim.job_id, claim.schedule_id) == (job_id, schedule_id)
    with db.quick():
        settle(spender(claim), part("1.50"))

    (shown,) = body(owner.get(f"{SCHEDULES}/{schedule_id}"))["budgets"]

    assert (shown["budget_id"], shown["spent"], shown["state"]) == (budget["budget_id"], 1.5, "stopped")
    assert body(owner.get(f"{SCHEDULES}/{free}"))["budgets"] == []
