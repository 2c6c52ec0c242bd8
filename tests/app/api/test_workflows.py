from __future__ import annotations

import json
from typing import Any

import pytest

from app.agents import registry
from app.db import db
from app.ops import seed
from app.settings import ROOT
from app.workflows import progress
from tests.app.api import flowing
from tests.app.api.calling import Caller
from tests.app.api.flowing import ECHO, QUESTION

WORKFLOWS = "/api/v1/workflows"
NOTHING = "01890000-0000-7000-8000-000000000000"
REFERENCE = json.loads((ROOT / "examples" / "workflows" / "product-launch.json").read_text())
WITH_SCHEMA = {
    "name": "Say it",
    "inputs": {
        "type": "object",
        "required": ["word"],
        "additionalProperties": False,
        "properties": {"word": {"type": "string"}, "times": {"type": "integer", "default": 2}},
    },
    "steps": [
        {
            "step_id": "say",
            "agent_id": "test-echo",
            "parameters": {"text": "{{inputs.word}}", "n": "{{inputs.times}}"},
        }
    ],
}
AS_TEXT = """\
name: Say it
steps:
  - id: say
    agent_id: test-echo
    parameters: {text: "{{inputs.word}}"}
"""


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def wrong(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.data
    return [(each["pointer"], each["message"]) for each in answer.json["errors"]]


def started(caller: Caller, definition: dict[str, Any] | None = None, **more: Any) -> str:
    run = body(caller.post(WORKFLOWS, json=(definition or ECHO) | more), 201)
    return str(run["workflow_id"])


def shown(caller: Caller, workflow_id: str) -> dict[str, Any]:
    return body(caller.get(f"{WORKFLOWS}/{workflow_id}"))


def steer(caller: Caller, workflow_id: str, verb: str, **more: Any) -> Any:
    return caller.post(f"{WORKFLOWS}/{workflow_id}/{verb}", **more)


class TestSubmitting:
    def test_the_reference_workflow_is_taken_as_given(self, owner: Caller) -> None:
        with db.transaction():
            seed.agents()
        registry.forget()
        answer = owner.post(WORKFLOWS, json=REFERENCE)
        run = body(answer, 201)

        assert (run["status"], run["total_steps"], run["completed_steps"]) == ("running", 4, 0)
        assert run["external_key"] == "marketing_campaign_001"
        assert answer.headers["Location"] == run["links"]["self"] == f"{WORKFLOWS}/{run['workflow_id']}"
        told = shown(owner, run["workflow_id"])
        assert [(step["step_id"], step["agent_id"]) for step in told["steps"] if step["agent_id"]] == [
            ("generate_blog", "copywriter"),
            ("generate_image", "visual-designer"),
            ("generate_social", "social-media-manager"),
            ("send_email", "gmail-agent"),
        ]
        assert told["steps"][0]["task_id"] == told["steps"][0]["job_id"] is not None

    def test_the_options_of_a_run_reach_its_jobs(self, owner: Caller) -> None:
        options = {
            "priority": "high",
            "tags": ["spring"],
            "callback_url": "https://example.com/done",
            "notify": ["team@example.com"],
        }
        workflow_id = started(owner, **options)

        with db.quick():
            job = db.row(
                "SELECT priority_rank, tags, notify FROM jobs WHERE workflow_id = %(id)s", id=workflow_id
            )
            run = db.row(
                "SELECT priority_rank, tags, notify FROM workflows WHERE workflow_id = %(id)s", id=workflow_id
            )
        notify = {"callback_url": "https://example.com/done", "emails": ["team@example.com"]}
        assert job == {"priority_rank": 1, "tags": ["spring"], "notify": None}
        assert run == {"priority_rank": 1, "tags": ["spring"], "notify": notify}

    @pytest.mark.parametrize(
        "given",
        [
            {"definition": WITH_SCHEMA, "inputs": {"word": "hi", "times": 2}},
            {"definition": WITH_SCHEMA, "inputs": {"word": "hi"}},
            {"source": json.dumps(WITH_SCHEMA), "inputs": {"word": "hi"}},
            {"name": "Say it", "steps": WITH_SCHEMA["steps"], "inputs": {"word": "hi", "times": 2}},
        ],
        ids=["definition", "defaults", "text", "flat"],
    )
    def test_all_ways_to_send_it_are_the_same(self, given: dict[str, Any], owner: Caller) -> None:
        workflow_id = body(owner.post(WORKFLOWS, json=given), 201)["workflow_id"]

        assert flowing.claimed().parameters == {"text": "hi", "n": 2}
        assert shown(owner, workflow_id)["name"] == "Say it"

    def test_a_schema_beside_the_steps_belongs_to_the_definition(self, owner: Caller) -> None:
        answer = owner.post(WORKFLOWS, json=WITH_SCHEMA)

        assert [pointer for pointer, _ in wrong(answer)] == ["/inputs/word"]

    def test_the_same_key_starts_one_run(self, owner: Caller) -> None:
        answers = [owner.post(WORKFLOWS, json=ECHO, headers={"Idempotency-Key": "once"}) for _ in range(2)]

        assert body(answers[0], 201) == body(answers[1], 201)
        assert answers[1].headers["Idempotency-Replayed"] == "true"
        with db.quick():
            assert db.value("SELECT count(*) FROM jobs") == 1

    @pytest.mark.parametrize(
        ("change", "pointer", "words"),
        [
            ({"steps": []}, "/steps", "empty"),
            ({"name": None}, "/name", ""),
            ({"steps": [{"step_id": "a", "agent_id": "test-ecko"}]}, "/steps/0/agent_id", "test-echo"),
            (
                {
                    "steps": [
                        {"step_id": "a", "agent_id": "test-echo"},
                        {"step_id": "a", "agent_id": "test-echo"},
                    ]
                },
                "/steps/1/step_id",
                "twice",
            ),
            (
                {"steps": [{"step_id": "a", "agent_id": "test-echo", "depends_on": ["b"]}]},
                "/steps/0/depends_on/0",
                "b",
            ),
            (
                {
                    "steps": [
                        {
                            "step_id": "a",
                            "agent_id": "test-echo",
                            "parameters": {"text": "{{steps.z.output}}"},
                        }
                    ]
                },
                "/steps/0/parameters/text",
                "z",
            ),
            (
                {"steps": [{"step_id": "a", "agent_id": "test-echo", "parameters": {"bad": 1}}]},
                "/steps/0/parameters",
                "bad",
            ),
            ({"priority": "soon"}, "/priority", ""),
            ({"callback_url": "ftp://x"}, "/callback_url", ""),
            ({"stepz": []}, "/stepz", "known"),
            ({"definition": {}}, "/definition", ""),
        ],
    )
    def test_mistakes_are_told_where_they_are(
        self, change: dict[str, Any], pointer: str, words: str, owner: Caller
    ) -> None:
        (place, said), *_ = wrong(owner.post(WORKFLOWS, json=ECHO | change))

        assert place.startswith(pointer)
        assert words in said
        with db.quick():
            assert db.value("SELECT count(*) FROM workflows") == 0

    def test_mistakes_in_a_definition_or_text_say_so(self, owner: Caller) -> None:
        broken = AS_TEXT.replace("test-echo", "test-ecko")
        ((place, said),) = wrong(owner.post(WORKFLOWS, json={"source": broken}))
        assert place == "/source"
        assert said.startswith("line 4, /steps/0/agent_id: ")

        raw = {"name": "x", "steps": [{"step_id": "a", "agent_id": "test-ecko"}]}
        ((place, _),) = wrong(owner.post(WORKFLOWS, json={"definition": raw}))
        assert place == "/definition/steps/0/agent_id"
        ((place, _),) = wrong(owner.post(WORKFLOWS, json={"definition": WITH_SCHEMA, "inputs": {"word": 1}}))
        assert place == "/inputs/word"

    def test_nothing_to_run_is_no_submission(self, owner: Caller) -> None:
        assert [place for place, _ in wrong(owner.post(WORKFLOWS, json={"name": "x"}))] == ["/steps"]
        assert owner.post(WORKFLOWS, json=[]).status_code == 422
        assert owner.post(WORKFLOWS).status_code == 400


class TestValidating:
    def test_what_would_run_is_shown_as_a_plan(self, owner: Caller) -> None:
        told = body(owner.post(f"{WORKFLOWS}/validate", json=ECHO))

        assert (told["valid"], told["problems"]) == (True, [])
        assert [[step["step_id"] for step in wave] for wave in told["plan"]["waves"]] == [
            ["first"],
            ["second"],
        ]
        with db.quick():
            assert db.value("SELECT count(*) FROM workflows") == 0

    def test_mistakes_are_no_error_of_the_request(self, owner: Caller) -> None:
        told = body(
            owner.post(f"{WORKFLOWS}/validate", json={"source": AS_TEXT.replace("test-echo", "test-ecko")})
        )
        assert (told["valid"], told["plan"]) == (False, None)
        (problem,) = told["problems"]
        assert (problem["pointer"], problem["line"]) == ("/steps/0/agent_id", 4)
        assert "test-echo" in problem["hint"]

        (problem,) = body(owner.post(f"{WORKFLOWS}/validate", json={"source": "name: [\n"}))["problems"]
        assert problem["line"] == 2
        told = body(owner.post(f"{WORKFLOWS}/validate", json={"definition": {"name": "x"}}))
        assert [each["pointer"] for each in told["problems"]] == ["/steps"]

    def test_inputs_are_looked_at_if_they_are_sent(self, owner: Caller) -> None:
        without = body(owner.post(f"{WORKFLOWS}/validate", json={"definition": WITH_SCHEMA}))
        given = body(
            owner.post(f"{WORKFLOWS}/validate", json={"definition": WITH_SCHEMA, "inputs": {"word": "hi"}})
        )
        bad = body(
            owner.post(f"{WORKFLOWS}/validate", json={"definition": WITH_SCHEMA, "inputs": {"word": 1}})
        )

        assert without["valid"]
        assert without["plan"]["waves"][0][0]["open"]
        assert given["plan"]["waves"][0][0]["parameters"] == {"text": "hi", "n": 2}
        assert [each["pointer"] for each in bad["problems"]] == ["/inputs/word"]


class TestLooking:
    def test_a_run_is_followed_to_its_end(self, owner: Caller) -> None:
        workflow_id = started(owner)
        first = shown(owner, workflow_id)
        assert [step["status"] for step in first["steps"]] == ["queued", "waiting"]
        assert first["poll"]["terminal"] is False
        flowing.complete()
        flowing.complete()

        done = shown(owner, workflow_id)
        assert (done["status"], done["completed_steps"], done["total_steps"]) == ("completed", 2, 2)
        assert done["completed_at"] is not None
        assert done["output"] == {"text": "a secret word"}
        assert [step["output"] for step in done["steps"]] == [{"text": "a secret word"}] * 2
        assert done["poll"] == {"next_after_ms": None, "terminal": True}

    def test_polling_costs_little_until_something_changes(self, owner: Caller) -> None:
        path = f"{WORKFLOWS}/{started(owner)}"
        first = owner.get(path)
        tag = {"If-None-Match": first.headers["ETag"]}
        assert int(first.headers["X-Poll-After-Ms"]) == body(first)["poll"]["next_after_ms"]
        again = owner.get(path, headers=tag)
        assert (again.status_code, again.data, again.headers["X-Poll-After-Ms"]) == (
            304,
            b"",
            first.headers["X-Poll-After-Ms"],
        )

        flowing.claimed()
        seen = owner.get(path, headers=tag)
        assert body(seen)["steps"][0]["status"] == "running"

    def test_one_tag_is_not_anothers(self, owner: Caller, viewer: Caller) -> None:
        path = f"{WORKFLOWS}/{started(owner)}"
        tag = viewer.get(path).headers["ETag"]

        assert owner.get(path, headers={"If-None-Match": tag}).status_code == 200

    def test_a_step_is_shown_with_what_it_did(self, owner: Caller) -> None:
        workflow_id = started(owner)
        claim = flowing.complete()
        step = body(owner.get(f"{WORKFLOWS}/{workflow_id}/steps/first"))

        assert (step["status"], step["job_id"], step["output"]) == (
            "completed",
            claim.job_id,
            {"text": "a secret word"},
        )
        assert owner.get(f"{WORKFLOWS}/{workflow_id}/steps/third").status_code == 404

    def test_viewers_see_where_it_is_and_nothing_of_the_content(self, owner: Caller, viewer: Caller) -> None:
        done = started(owner)
        flowing.complete()
        flowing.complete()
        broken = started(owner, inputs={"word": "another secret"})
        flowing.fail("a secret reason")
        unless = '{{steps.first.output.text}} != "a secret word"'
        skipping = started(owner, ECHO | {"steps": [ECHO["steps"][0], ECHO["steps"][1] | {"when": unless}]})  # type: ignore[index, operator]
        flowing.complete()
        assert "a secret word" in shown(owner, skipping)["steps"][1]["status_reason"]

        for path in (
            f"/{done}",
            f"/{broken}",
            f"/{skipping}",
            f"/{done}/steps/first",
            f"/{broken}/steps/first",
            "",
        ):
            text = viewer.get(WORKFLOWS + path).get_data(as_text=True)
            assert "secret" not in text
            assert "completed" in text or "failed" in text

    def test_lists_hold_what_one_may_see(
        self, owner: Caller, other: Caller, viewer: Caller, admin: Caller
    ) -> None:
        mine = started(owner)
        theirs = started(other, QUESTION)

        def listed(caller: Caller, query: str = "") -> list[str]:
            return [run["workflow_id"] for run in body(caller.get(WORKFLOWS + query))["workflows"]]

        assert listed(owner) == [mine]
        assert listed(admin) == listed(viewer) == [theirs, mine]
        assert listed(admin, "?q=ask") == [theirs]
        assert listed(admin, "?status=active") == [theirs, mine]
        assert listed(admin, "?status=failed") == listed(admin, "?template=none") == []
        assert listed(admin, "?limit=1&offset=1") == [mine]
        assert body(admin.get(f"{WORKFLOWS}?limit=1"))["total"] == 2
        assert admin.get(f"{WORKFLOWS}?status=odd").status_code == 400

    def test_what_others_own_looks_like_what_is_not_there(self, owner: Caller, other: Caller) -> None:
        theirs = started(owner)

        for method, tail in (
            ("GET", ""),
            ("GET", "/steps/first"),
            ("POST", "/cancel"),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/retry"),
        ):
            answers = [other.call(method, f"{WORKFLOWS}/{each}{tail}") for each in (theirs, NOTHING)]
            assert [answer.status_code for answer in answers] == [404, 404]
            told = [
                body(answer, 404)["detail"].replace(each, "ID")
                for answer, each in zip(answers, (theirs, NOTHING), strict=True)
            ]
            assert told[0] == told[1]

    def test_figures_by_workflow(self, owner: Caller, other: Caller) -> None:
        for end in (flowing.complete, flowing.complete, flowing.fail):
            started(owner, {"name": "One", "steps": [{"step_id": "only", "agent_id": "test-echo"}]})
            end()
        started(other)

        told = body(owner.get(f"{WORKFLOWS}/analytics"))
        (line,) = told["workflows"]
        assert (line["name"], line["runs"], line["completed"], line["failed"]) == ("One", 3, 2, 1)
        assert line["success_rate"] == pytest.approx(2 / 3, abs=0.01)
        assert (line["slowest_step"], line["slowest_seconds"] >= 0) == ("only", True)


class TestSteering:
    def test_a_paused_run_starts_nothing_until_it_goes_on(self, owner: Caller) -> None:
        workflow_id = started(owner)
        paused = body(steer(owner, workflow_id, "pause"))
        assert (paused["status"], paused["actions"]) == ("paused", ["resume", "cancel"])
        flowing.complete()
        with db.quick():
            assert db.value("SELECT count(*) FROM jobs") == 1

        assert body(steer(owner, workflow_id, "resume"))["status"] == "running"
        flowing.complete()
        assert shown(owner, workflow_id)["status"] == "completed"

    def test_cancelling_takes_the_jobs_along(self, owner: Caller) -> None:
        waiting = started(owner)
        done = body(steer(owner, waiting, "cancel"))
        assert (done["status"], done["actions"]) == ("cancelled", ["retry"])
        with db.quick():
            assert db.value("SELECT status FROM jobs WHERE workflow_id = %(id)s", id=waiting) == "cancelled"

        at_work = started(owner)
        claim = flowing.claimed()
        answer = steer(owner, at_work, "cancel")
        assert (answer.status_code, body(answer, 202)["cancel_requested"]) == (202, True)
        with db.quick():
            assert db.value(
                "SELECT cancel_requested_at IS NOT NULL FROM jobs WHERE job_id = %(id)s", id=claim.job_id
            )

    def test_what_is_over_can_only_be_run_again(self, owner: Caller) -> None:
        workflow_id = started(owner)
        flowing.complete()
        flowing.complete()

        for verb in ("pause", "resume", "cancel"):
            refused = body(steer(owner, workflow_id, verb), 409)
            assert refused["allowed_actions"] == ["retry"]

    def test_a_failed_run_is_run_again_from_where_it_failed(self, owner: Caller) -> None:
        workflow_id = started(owner)
        flowing.complete()
        flowing.fail()
        assert shown(owner, workflow_id)["error"]["step_id"] == "second"

        again = body(steer(owner, workflow_id, "retry"), 201)
        assert (again["retry_of"], again["status"]) == (workflow_id, "running")
        steps = shown(owner, again["workflow_id"])["steps"]
        assert [(step["step_id"], step["kept"]) for step in steps] == [("first", True), ("second", False)]
        assert flowing.complete().parameters == {"text": "a secret word"}
        assert shown(owner, again["workflow_id"])["status"] == "completed"

    def test_a_step_may_be_named_to_begin_from(self, owner: Caller) -> None:
        workflow_id = started(owner)
        flowing.complete()
        flowing.complete()

        assert steer(owner, workflow_id, "retry").status_code == 409
        again = body(steer(owner, workflow_id, "retry", json={"from_step": "first"}), 201)
        assert [step["kept"] for step in shown(owner, again["workflow_id"])["steps"]] == [False, False]
        refused = steer(owner, workflow_id, "retry", json={"from_step": "third"})
        assert [place for place, _ in wrong(refused)] == ["/from_step"]

    def test_a_running_one_cannot_be_run_again(self, owner: Caller) -> None:
        assert steer(owner, started(owner), "retry").status_code == 409

    def test_what_one_may_do_is_told(self, owner: Caller, viewer: Caller, admin: Caller) -> None:
        workflow_id = started(owner)

        assert (
            shown(owner, workflow_id)["actions"]
            == shown(admin, workflow_id)["actions"]
            == ["pause", "cancel"]
        )
        assert shown(viewer, workflow_id)["actions"] == []


def test_who_did_what_is_kept(owner: Caller) -> None:
    workflow_id = started(owner)
    for verb in ("pause", "resume", "cancel"):
        body(steer(owner, workflow_id, verb))
    steer(owner, workflow_id, "retry")

    with db.quick():
        entries = db.rows(
            "SELECT action, actor, details::text AS details FROM audit_log WHERE subject = %(id)s ORDER BY id",
            id=workflow_id,
        )
    assert [entry["action"] for entry in entries] == [
        "workflow.submitted", "workflow.paused", "workflow.resumed", "workflow.cancelled", "workflow.retried",
    ]  # fmt: skip
    assert {entry["actor"] for entry in entries} == {owner.id}
    assert "secret" not in str(entries)


def test_an_inner_run_is_shown_with_its_parent(owner: Caller) -> None:
    inner = {
        "step_id": "inner",
        "type": "workflow",
        "definition": {"name": "Inner", "steps": [{"step_id": "one", "agent_id": "test-echo"}]},
    }
    outer = started(owner, {"name": "Outer", "steps": [inner]})
    (step,) = shown(owner, outer)["steps"]
    child = shown(owner, step["child_workflow_id"])
    assert child["parent"] == {"workflow_id": outer, "step_id": "inner"}
    flowing.complete({"text": "done"})
    with db.transaction():
        progress.child_settled(child["workflow_id"])

    assert shown(owner, outer)["output"] == {"text": "done"}
    assert [run["workflow_id"] for run in body(owner.get(WORKFLOWS))["workflows"]] == [outer]
