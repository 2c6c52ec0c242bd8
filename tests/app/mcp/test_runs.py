"""Agents that run here use the tools with the token of their own attempt (MCP-08): by HTTP and by `callboard mcp`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from mcp import Client

from app.accounts import run_tokens
from app.db import db
from app.jobs import lifecycle
from app.jobs.claims import Claim
from tests import acting
from tests.app.mcp.model import Model, by_stdio
from tests.app.mcp.test_door import post


@pytest.fixture
def claim(model: Model) -> Claim:
    """A running job whose agent may delegate to the echo agent."""
    with db.transaction():
        acting.agent("boss", delegation={"to": ["test-echo"]})
        return acting.claimed("boss", submitted_by=model.user_id)


@pytest.fixture
def token(app: Flask, claim: Claim, model: Model) -> str:
    """What its agent gets as CALLBOARD_JOB_TOKEN."""
    key = app.config["CALLBOARD"].token_keys[0]
    return run_tokens.issue(claim.job_id, claim.fence, model.user_id, key=key, life=timedelta(minutes=5))


def parent_of(job_id: str) -> str | None:
    with db.quick():
        return str(acting.job(job_id)["parent_job_id"])


def test_by_http_it_delegates_follows_and_cancels_its_own(model: Model, claim: Claim, token: str) -> None:
    stranger = model.use("create_task", agent_id="test-echo")["task_id"]
    agent = Model(model.url, token)
    child = agent.use("create_task", agent_id="test-echo", parameters={"text": "tides"})["task_id"]
    assert parent_of(child) == claim.job_id
    assert agent.use("get_task_status", task_id=child)["status"] == "queued"
    assert agent.use("get_task_result", task_id=child)["done"] is False
    assert agent.use("cancel_task", task_id=child)["status"] == "cancelled"

    assert "no job" in agent.refused("get_task_status", task_id=stranger)
    assert "only lets its agent delegate" in agent.refused("list_tasks")
    with db.transaction():
        lifecycle.complete(claim, {})
    assert post(agent, {"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code == 401


def test_by_the_standard_streams_with_the_environment_of_an_agent(
    model: Model, claim: Claim, token: str, tmp_path: Path
) -> None:
    async def act(client: Client) -> Any:
        said = await client.call_tool("create_task", {"agent_id": "test-echo", "parameters": {"n": 1}})
        assert not said.is_error, said.content
        return said.structured_content

    async def whole(errors: Any) -> Any:
        async with by_stdio(model.url, "", errors, environ={"CALLBOARD_JOB_TOKEN": token}) as client:
            return await act(client)

    with (tmp_path / "errors").open("w+") as errors:
        child = asyncio.run(whole(errors))
        errors.seek(0)
        assert "a running job at" in errors.read()
    assert parent_of(child["task_id"]) == claim.job_id
