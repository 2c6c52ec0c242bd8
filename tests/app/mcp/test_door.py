"""/mcp as a door: who is let in, what of the protocol is spoken, and what it costs those who never come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from flask import Flask
from mcp import Client

from app import __version__
from app.api import access
from app.db import db
from app.mcp import http
from app.mcp.server import TOOLS
from app.settings import ROOT
from tests import acting
from tests.app.mcp.model import Model
from tests.waiting import until

PROTOCOL, CLIENT, ABOUT = (
    f"io.modelcontextprotocol/{name}" for name in ("protocolVersion", "clientCapabilities", "clientInfo")
)
MODERN = "2026-07-28"
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def post(model: Model, body: Any, **headers: str) -> httpx2.Response:
    """One raw request, with the key of `model`."""
    given = {"Authorization": f"Bearer {model.key}"} if model.key else {}
    return httpx2.post(f"{model.url}/mcp", json=body, headers={**JSON, **given, **headers}, timeout=20)


def modern(model: Model, method: str, params: dict[str, Any], **headers: str) -> httpx2.Response:
    """A request of the stateless protocol, by hand."""
    meta = {PROTOCOL: MODERN, CLIENT: {}, ABOUT: {"name": "hand", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": meta, **params}}
    named = {"Mcp-Name": str(params["name"])} if "name" in params else {}
    return post(model, body, **{"MCP-Protocol-Version": MODERN, "Mcp-Method": method, **named, **headers})


def test_without_a_valid_credential_nobody_comes_in(model: Model) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for key in ("", "cb_wrong", model.key + "x"):
        answer = post(Model(model.url, key), ping)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["X-Request-Id"]
    by_key = post(Model(model.url, ""), ping, **{"X-API-Key": model.key})
    assert by_key.json()["result"] == {}


def test_nothing_is_streamed(model: Model) -> None:
    headers = {"Authorization": f"Bearer {model.key}", "Accept": "text/event-stream"}
    for method in ("GET", "DELETE", "PUT"):
        answer = httpx2.request(method, f"{model.url}/mcp", headers=headers)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
        assert answer.json()["code"] == "method_not_allowed"
    listen = modern(model, "subscriptions/listen", {})
    assert listen.headers["Content-Type"] == "application/json"
    assert listen.json()["error"]["code"] in {-32601, -32602}


def test_the_handshake_of_older_clients(model: Model) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "old", "version": "1"},
    }
    answer = post(model, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    result = answer.json()["result"]
    assert result["protocolVersion"] == "2025-06-18"
    assert result["serverInfo"]["name"] == "callboard"
    assert result["serverInfo"]["version"] == __version__
    assert "run_agent" in result["instructions"]
    assert "Mcp-Session-Id" not in answer.headers  # any process may answer the next request
    told = post(
        model,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        **{"MCP-Protocol-Version": "2025-06-18"},
    )
    assert told.status_code == 202
    listed = post(
        model, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, **{"MCP-Protocol-Version": "2025-06-18"}
    )
    assert [tool["name"] for tool in listed.json()["result"]["tools"]] == [name for _, name, _ in TOOLS]


def test_a_stateless_request_stands_alone(model: Model) -> None:
    arguments = {"agent_id": "test-echo", "parameters": {"n": 1}}
    answer = modern(model, "tools/call", {"name": "create_task", "arguments": arguments})
    result = answer.json()["result"]
    assert result["resultType"] == "complete"
    with db.quick():
        assert acting.status(result["structuredContent"]["task_id"]) == "queued"


@pytest.mark.parametrize("mode", ["legacy", MODERN])
def test_everything_is_listed(model: Model, mode: str) -> None:
    async def listed(client: Client) -> tuple[Any, ...]:
        return (
            (await client.list_tools()).tools,
            (await client.list_resource_templates()).resource_templates,
            (await client.list_prompts()).prompts,
            await client.get_prompt("morning_meeting", {"session_id": "monday", "participants": "Ada"}),
        )

    tools, templates, prompts, meeting = Model(model.url, model.key, mode=mode).within(listed)
    assert [tool.name for tool in tools] == [name for _, name, _ in TOOLS]
    for tool in tools:
        assert tool.description
        assert tool.output_schema
        assert tool.annotations.read_only_hint == (
            tool.name.split("_")[0] in {"get", "list", "wait", "explain", "search", "query"}
        ), tool.name
    assert {template.uri_template for template in templates} == {
        "callboard://jobs/{task_id}", "callboard://jobs/{task_id}/log", "callboard://jobs/{task_id}/result",
        "callboard://artifacts/{artifact_id}", "callboard://sessions/{session_id}", "callboard://agents/{agent_id}",
    }  # fmt: skip
    assert {prompt.name for prompt in prompts} == {"do_it", "morning_meeting", "look_into"}
    assert "participants Ada" in meeting.messages[0].content.text


def test_another_name_of_the_host_is_refused(model: Model) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert post(model, ping, Host="evil.example:80").status_code == 421
    assert post(model, ping, Origin="https://evil.example").status_code == 403
    assert post(model, ping, Origin=model.url).status_code == 200


def test_the_names_of_a_deployment() -> None:
    assert {"callboard.example.org", "localhost:*"} <= set(http.hosts("https://callboard.example.org"))
    assert "https://callboard.example.org" in http.origins("https://callboard.example.org")


def test_bad_bodies_are_answered(model: Model, app: Flask) -> None:
    headers = {**JSON, "Authorization": f"Bearer {model.key}"}
    too_long = b"{" + b" " * app.config["MAX_CONTENT_LENGTH"]
    answer = httpx2.post(f"{model.url}/mcp", content=too_long, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert httpx2.post(f"{model.url}/mcp", content=b"{", headers=headers).status_code == 400
    assert modern(model, "no/such", {}).json()["error"]["code"] == -32601


def test_tools_obey_roles_and_owners(make_model: Callable[..., Model], model: Model) -> None:
    task = model.use("create_task", agent_id="test-echo", parameters={"text": "mine"})["task_id"]
    other, viewer = make_model("other", "user"), make_model("viewer", "viewer")
    for tool in (
        "get_task_status",
        "get_task_result",
        "wait_for_task",
        "cancel_task",
        "get_task_logs",
        "explain_task",
    ):
        assert "no job" in other.refused(tool, task_id=task), tool
    assert other.use("list_tasks")["total"] == 0

    assert viewer.use("get_task_status", task_id=task)["status"] == "queued"
    assert viewer.use("get_task_result", task_id=task)["files"] == []
    text = viewer.refused("create_task", agent_id="test-echo")
    assert "Ask an admin for a key" in text
    assert "Ask an admin for a key" in viewer.refused("get_task_logs", task_id=task)
    with db.quick():
        assert db.value("SELECT count(*) FROM jobs") == 1
        assert acting.status(task) == "queued"

    reader = make_model("reader", "user", frozenset({"read"}))
    assert "Ask an admin for a key" in reader.refused("create_task", agent_id="test-echo")
    read = modern(
        other,
        "resources/read",
        {"uri": f"callboard://jobs/{task}/result"},
        **{"Mcp-Name": f"callboard://jobs/{task}/result"},
    )
    assert read.json()["error"]["code"] == -32602
    assert "no job" in read.json()["error"]["message"]


def test_what_tools_do_is_audited_and_counted_as_the_callers(model: Model) -> None:
    access.write_down()  # a test client closes no answer: a process that ran many tests may be full, and count no names
    task = model.use("create_task", agent_id="test-echo")["task_id"]
    model.use("cancel_task", task_id=task)
    with db.quick():
        entry = db.row("SELECT * FROM audit_log WHERE action = 'job.cancelled'")
    assert entry is not None
    assert (str(entry["actor"]), entry["subject"], entry["ip"]) == (model.user_id, task, "127.0.0.1")

    def counted() -> set[str]:
        access.write_down()  # what a thread of the server took to write down itself may not be there yet
        with db.quick():
            rows = db.rows("SELECT * FROM api_access WHERE actor = %(id)s", id=model.user_id)
        return {row["endpoint"] for row in rows}

    until(lambda: {"/mcp", "/api/v1/jobs/<job_id>/cancel"} <= counted())


def test_limits_are_the_apis(model: Model, configure: Callable[..., None]) -> None:
    configure(rate_limit_per_minute=2)
    for _ in range(2):
        model.use("create_task", agent_id="test-echo")
    assert "slow down" in model.refused("create_task", agent_id="test-echo")
    configure(poll_limit_per_minute=1)
    assert post(model, {"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code in {200, 429}
    assert post(model, {"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code == 429


def test_a_process_that_gets_no_call_never_imports_the_sdk() -> None:
    script = "import sys, app.mcp.http; print([name for name in sys.modules if name in ('mcp', 'a2wsgi', 'starlette')])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
