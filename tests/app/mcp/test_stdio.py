"""`callboard mcp`: a real process on standard input and output, against a real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mcp import Client

from app.cli import cli
from app.db import db
from app.jobs import lifecycle
from app.mcp.server import TOOLS
from app.settings import ROOT
from tests import acting
from tests.app.mcp.model import Model, by_stdio


def test_a_client_works_by_the_standard_streams(model: Model, tmp_path: Path) -> None:
    async def use(client: Client, tool: str, **arguments: Any) -> Any:
        said = await client.call_tool(tool, arguments)
        assert not said.is_error, said.content
        return said.structured_content

    def finish() -> None:
        with db.transaction():
            claim = acting.claim()
            assert claim is not None
            lifecycle.complete(claim, {"said": "tides"})

    async def whole(errors: Any) -> None:
        async with by_stdio(model.url, model.key, errors) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == [name for _, name, _ in TOOLS]
            made = await use(client, "create_task", agent_id="test-echo", parameters={"text": "tides"})
            assert made["url"].startswith(model.url)
            await asyncio.to_thread(finish)
            assert (await use(client, "wait_for_task", task_id=made["task_id"]))["done"]
            assert (await use(client, "get_task_result", task_id=made["task_id"]))["result"] == {
                "said": "tides"
            }
            read = await client.read_resource(f"callboard://jobs/{made['task_id']}/result")
            assert "tides" in read.contents[0].text  # type: ignore[union-attr]
            refused = await client.call_tool(
                "get_task_status", {"task_id": "0192f0c1-9d7e-7000-8000-000000000001"}
            )
            assert "no job" in refused.content[0].text  # type: ignore[union-attr]

    with (tmp_path / "errors").open("w+") as errors:
        asyncio.run(whole(errors))
        errors.seek(0)
        assert errors.read() == f"callboard mcp: owner@example.org (user) at {model.url}\n"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CALLBOARD_URL": "http://127.0.0.1:9"}, "set CALLBOARD_URL to where it is"),
        ({"CALLBOARD_API_KEY": "cb_wrong"}, "not valid (any more).\nSet CALLBOARD_API_KEY"),
        ({"CALLBOARD_API_KEY": ""}, "Set CALLBOARD_API_KEY"),
    ],
)
def test_what_is_missing_is_said_at_once(
    model: Model, environ: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"CALLBOARD_URL": model.url, "CALLBOARD_API_KEY": model.key} | environ).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, ["mcp"])
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stdout == ""


def test_configurations_are_what_clients_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBOARD_URL", "https://callboard.example.org/")
    monkeypatch.setenv("CALLBOARD_API_KEY", "cb_secret")

    def printed(*words: str) -> str:
        done = CliRunner().invoke(cli, ["mcp", "config", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert "cb_secret" not in printed()
    desktop = json.loads(printed("--client", "claude-desktop", "--with-key"))["mcpServers"]["callboard"]
    assert desktop["env"] == {
        "CALLBOARD_URL": "https://callboard.example.org",
        "CALLBOARD_API_KEY": "cb_secret",
    }
    assert json.loads(printed("--client", "cursor"))["mcpServers"]["callboard"]["args"][-1] == "mcp"
    assert (
        json.loads(printed("--client", "vscode", "--http"))["servers"]["callboard"]["url"]
        == "https://callboard.example.org/mcp"
    )
    codex = tomllib.loads(printed("--client", "codex"))["mcp_servers"]["callboard"]
    assert codex["env"]["CALLBOARD_URL"] == "https://callboard.example.org"
    assert tomllib.loads(printed("--client", "codex", "--http"))["mcp_servers"]["callboard"][
        "bearer_token_env_var"
    ]
    assert printed("--client", "claude-code").startswith("claude mcp add callboard --env")
    started = subprocess.run(
        [desktop["command"], *desktop["args"], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "standard input and output" in started.stdout
