"""The tasks extension: run_agent as a task, for clients that know it, and as a plain tool for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client
from mcp.client import advertise

from app.db import db
from app.errors import PermanentError
from app.jobs import lifecycle
from app.jobs.claims import Claim
from app.jobs.states import Reason
from tests import acting
from tests.app.mcp.model import Model
from tests.app.mcp.test_door import ABOUT, CLIENT, MODERN, PROTOCOL, post

TASKS = "io.modelcontextprotocol/tasks"


def sent(model: Model, method: str, params: dict[str, Any], *, declared: bool = True) -> dict[str, Any]:
    """A request of a client that knows the extension, as it goes over the wire; answers the whole message."""
    knows = {"extensions": {TASKS: {}}} if declared else {}
    meta = {PROTOCOL: MODERN, CLIENT: knows, ABOUT: {"name": "hand", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta, **params}}
    name = str(params.get("name") or params.get("taskId"))
    answer = post(model, body, **{"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Name": name})
    said: dict[str, Any] = answer.json()
    return said


def run(model: Model, **arguments: Any) -> dict[str, Any]:
    params = {"name": "run_agent", "arguments": {"agent_id": "test-echo", **arguments}}
    result: dict[str, Any] = sent(model, "tools/call", params)["result"]
    return result


def got(model: Model, task: str) -> dict[str, Any]:
    result: dict[str, Any] = sent(model, "tasks/get", {"taskId": task})["result"]
    assert result["resultType"] == "complete"
    return result


def claimed() -> Claim:
    with db.quick():
        claim = acting.claim()
    assert claim is not None
    return claim


def test_a_task_is_made_followed_and_its_result_inlined(model: Model) -> None:
    made = run(model, parameters={"text": "tides"})
    assert (made["resultType"], made["status"], made["statusMessage"]) == ("task", "working", "queued #1")
    assert made["pollIntervalMs"] > 0
    claim = claimed()
    assert claim.job_id == made["taskId"]
    assert got(model, made["taskId"])["status"] == "working"
    with db.transaction():
        lifecycle.complete(claim, {"said": "tides"})
    done = got(model, made["taskId"])
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"]["result"] == {"said": "tides"}
    assert not done["result"].get("isError")


def test_a_failed_job_is_a_completed_task_whose_result_is_an_error(model: Model) -> None:
    made = run(model)
    with db.transaction():
        lifecycle.fail(claimed(), PermanentError("the sea is dry"), Reason.PERMANENT)
    done = got(model, made["taskId"])
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert "the sea is dry" in done["result"]["content"][0]["text"]


def test_a_question_is_asked_and_answered_by_update(model: Model) -> None:
    made = run(model)
    form = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    claim = claimed()
    with db.transaction():
        acting.asks(claim, "How big?", form=form)

    asked = got(model, made["taskId"])
    assert asked["status"] == "input_required"
    ((key, request),) = asked["inputRequests"].items()
    assert request["params"]["message"] == "How big?"
    schema = request["params"]["requestedSchema"]
    assert {"decision", "size"} <= set(schema["properties"])

    declined = {key: {"action": "decline"}}
    assert (
        sent(model, "tasks/update", {"taskId": made["taskId"], "inputResponses": declined})["result"][
            "resultType"
        ]
        == "complete"
    )
    assert got(model, made["taskId"])["status"] == "input_required"
    accepted = {
        key: {"action": "accept", "content": {"decision": "approve", "size": 3}},
        "approval-other": {"action": "accept"},
    }
    assert "result" in sent(model, "tasks/update", {"taskId": made["taskId"], "inputResponses": accepted})
    with db.quick():
        row = db.row("SELECT * FROM approvals")
    assert row is not None
    assert (row["status"], row["answer"]) == ("approved", {"size": 3})
    assert got(model, made["taskId"])["status"] == "working"


def test_cancelling_is_acknowledged_and_may_be_repeated(model: Model) -> None:
    made = run(model)
    for _ in range(2):
        assert "result" in sent(model, "tasks/cancel", {"taskId": made["taskId"]})
    assert got(model, made["taskId"])["status"] == "cancelled"


def test_only_those_who_declared_it_get_tasks(model: Model, make_model: Callable[..., Model]) -> None:
    params = {"name": "run_agent", "arguments": {"agent_id": "test-echo", "seconds": 0}}
    plain = sent(model, "tools/call", params, declared=False)["result"]
    assert plain["resultType"] == "complete"
    task = plain["structuredContent"]["task_id"]
    assert plain["structuredContent"]["done"] is False
    missing = sent(model, "tasks/get", {"taskId": task}, declared=False)["error"]
    assert missing["code"] == -32021
    assert TASKS in missing["data"]["requiredCapabilities"]["extensions"]
    for which, who in ((task, make_model("other", "user")), ("nonsense", model)):
        assert sent(who, "tasks/get", {"taskId": which})["error"]["code"] == -32602


def test_what_cannot_be_submitted_is_a_tools_error(model: Model) -> None:
    for arguments, said in (
        ({"agent_id": "nobody"}, "there is no agent"),
        ({"priority": "soon"}, "priority"),
    ):
        refused = run(model, **arguments)
        assert refused["isError"]
        assert said in refused["content"][0]["text"]


def test_the_sdks_client_declares_it(model: Model) -> None:
    async def ask(client: Client) -> Any:
        return client.server_capabilities

    capabilities = Model(model.url, model.key, mode="auto").within(ask, extensions=[advertise(TASKS)])
    assert TASKS in (capabilities.extensions or {})


@pytest.mark.parametrize("seconds", [0, 20])
def test_a_plain_client_waits_for_the_result(model: Model, seconds: float) -> None:
    outcome = model.use("run_agent", agent_id="test-echo", parameters={"n": 1}, seconds=0)
    with db.transaction():
        lifecycle.complete(claimed(), {"n": 1})
    again = model.use("wait_for_task", task_id=outcome["task_id"], seconds=seconds)
    assert again["done"]
