"""Tools of real MCP servers: over standard input and output, and over HTTP behind the guard."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from actors.models import loop
from actors.models.guarded import guarded_client
from actors.runners.base import JSON
from actors.runners.outbound import BlockedAddress
from app.errors import Cancelled, PermanentError, TemporaryError
from app.settings import ROOT
from tests.actors.models.asking import ask, asked_aside
from tests.actors.models.desk import spec_of
from tests.doubles import RecordingContext
from tests.model_server import Model, Say, UseTool
from tests.openai_server import chat_model
from tests.waiting import until

MODULE = "tests.actors.models.mcp_server"


@pytest.fixture
def parcels() -> JSON:
    """The server as a definition names it; it runs in the workspace, so it is told where the tests are."""
    return {"command": [sys.executable, "-m", MODULE], "env": {"PYTHONPATH": str(ROOT)}}


@pytest.fixture
def address() -> Iterator[str]:
    """The same server over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-m", MODULE, str(port)], stderr=subprocess.DEVNULL) as server:

        def listening() -> bool:
            with socket.socket() as knock:
                return knock.connect_ex(("127.0.0.1", port)) == 0

        until(listening, 20)
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()


def servers_left() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if MODULE in " ".join(child.cmdline())]


def told_tools(model: Model) -> list[str]:
    return [tool["function"]["name"] for tool in model.asked[0].get("tools", [])]


def tool_answers(model: Model) -> list[str]:
    return [m["content"] for m in model.asked[-1]["messages"] if m["role"] == "tool"]


def test_a_tool_is_offered_called_and_its_answer_goes_to_the_model(
    context: RecordingContext, parcels: JSON
) -> None:
    with chat_model(UseTool("parcels__weigh", {"parcel": "box"}), Say("It has 3 kg.")) as model:
        result = ask(context, spec_of(model), mcp={"parcels": parcels})

    assert result["result"] == "It has 3 kg."
    assert "parcels__weigh" in told_tools(model)
    assert tool_answers(model) == ["box: 3 kg"]
    (call,) = context.tools
    assert (call["name"], call["arguments"], call["summary"]) == (
        "parcels__weigh",
        {"parcel": "box"},
        'parcel="box"',
    )
    assert (call["ok"], call["answer"]) == (True, "box: 3 kg")
    assert servers_left() == []


def test_what_goes_wrong_with_a_tool_is_told_to_the_model(context: RecordingContext, parcels: JSON) -> None:
    script = [
        UseTool("parcels__lose", {"parcel": "box"}),
        UseTool("parcels__weigh", {"wrong": 1}),
        UseTool("parcels__fly", {}),
        UseTool("parcels__wait", {"seconds": 30}),
        Say("Sorry."),
    ]
    with chat_model(*script) as model:
        ask(context, spec_of(model), mcp={"parcels": parcels}, tool_seconds=2.5)

    lost, wrong, unknown, late = tool_answers(model)
    assert "box is lost" in lost
    assert "parcel" in wrong
    assert "There is no tool parcels__fly; there are: parcels__weigh" in unknown
    assert "did not answer within 2.5 s" in late
    assert [call["ok"] for call in context.tools] == [False, False, False]


def test_a_server_gets_a_small_environment(
    context: RecordingContext, parcels: JSON, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    with chat_model(UseTool("parcels__variables", {}), Say("Fine.")) as model:
        ask(context, spec_of(model), mcp={"parcels": parcels})

    names = set(tool_answers(model)[0].split())
    assert {"PATH", "HOME", "PYTHONPATH", "CALLBOARD_JOB_ID"} <= names
    assert not {"ANTHROPIC_API_KEY", "DATABASE_URL", "SECRET_KEY"} & names


def test_tools_off_starts_no_server(context: RecordingContext) -> None:
    with chat_model(Say("Hello.")) as model:
        ask(context, spec_of(model), tools=False, mcp={"parcels": {"command": ["no-such-program"]}})

    assert told_tools(model) == []


def test_only_the_tools_that_are_named_are_offered(context: RecordingContext, parcels: JSON) -> None:
    with chat_model(Say("Hello.")) as model:
        ask(context, spec_of(model), mcp={"parcels": parcels | {"only": ["weigh"]}})

    assert told_tools(model) == ["parcels__weigh"]


@pytest.mark.parametrize(
    ("server", "kind", "why"),
    [
        ({"command": ["no-such-program"]}, PermanentError, "is not installed on this worker"),
        ({"command": [sys.executable, "-c", "raise SystemExit('broken')"]}, TemporaryError, "parcels"),
        ({"url_env": "NOBODY_SET_THIS"}, PermanentError, "set NOBODY_SET_THIS"),
        ({"url": "http://127.0.0.1:1/mcp"}, PermanentError, "not an address of the public internet"),
        ({"url": "file:///etc/passwd"}, PermanentError, "Only http"),
        ({"command": ["env"], "env": ["DATABASE_URL"]}, PermanentError, "An agent cannot have DATABASE_URL"),
    ],
)
def test_a_server_that_cannot_be_used_ends_the_attempt_before_anything_is_paid(
    context: RecordingContext, server: JSON, kind: type[Exception], why: str
) -> None:
    with chat_model(Say("Hello.")) as model, pytest.raises(kind, match=why):
        ask(context, spec_of(model), mcp={"parcels": server})

    assert model.asked == []


def test_what_a_broken_server_printed_is_kept(context: RecordingContext) -> None:
    server = {"command": [sys.executable, "-c", "raise SystemExit('no licence')"]}
    with chat_model(Say("Hello.")) as model, pytest.raises(TemporaryError) as failed:
        ask(context, spec_of(model), mcp={"parcels": server})

    assert "no licence" in failed.value.details["stderr"]


def test_an_optional_server_may_be_missing_and_others_stay(context: RecordingContext, parcels: JSON) -> None:
    servers = {"parcels": parcels, "search": {"url_env": "NOBODY_SET_THIS", "optional": True}}
    with chat_model(UseTool("parcels__weigh", {"parcel": "box"}), Say("Fine.")) as model:
        ask(context, spec_of(model), mcp=servers)

    assert tool_answers(model) == ["box: 3 kg"]
    assert any("search cannot be used" in event["message"] for event in context.events)


def test_a_stop_during_a_tool_call_ends_the_server_too(context: RecordingContext, parcels: JSON) -> None:
    with (
        chat_model(UseTool("parcels__wait", {"seconds": 60})) as model,
        asked_aside(context, spec_of(model), mcp={"parcels": parcels}) as running,
    ):
        until(lambda: context.tools)
        assert len(servers_left()) == 1
        began = time.monotonic()
        context.cancelled = True

    assert isinstance(running.raised, Cancelled)
    assert time.monotonic() - began < 8
    assert context.tools[0]["ok"] is False
    assert servers_left() == []


def test_tools_done_by_an_earlier_attempt_are_not_done_again(
    context: RecordingContext, parcels: JSON
) -> None:
    with chat_model(UseTool("parcels__weigh", {"parcel": "box"}), Say("Fine.")) as model:
        spec = spec_of(model)
        with asked_aside(context, spec, mcp={"parcels": parcels}):
            until(lambda: context.kept.get("conversation", {}).get("turns") == 2)
        ask(context, spec, mcp={"parcels": parcels})

    assert len(context.tools) == 1
    assert len(model.asked) == 2


def test_a_server_over_http(context: RecordingContext, address: str) -> None:
    with chat_model(UseTool("parcels__weigh", {"parcel": "box"}), Say("Fine.")) as model:
        ask(context, spec_of(model), mcp={"parcels": {"url": address}}, http_allow_private=True)

    assert tool_answers(model) == ["box: 3 kg"]


def test_an_address_may_come_from_the_workers_environment(
    context: RecordingContext, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELS_URL", address)
    with chat_model(Say("Fine.")) as model:
        ask(context, spec_of(model), mcp={"parcels": {"url_env": "PARCELS_URL"}}, http_allow_private=True)

    assert "parcels__weigh" in told_tools(model)


def test_the_guard_lets_nobody_into_the_private_network(address: str) -> None:
    async def call(*, allow_private: bool) -> Any:
        async with guarded_client({}, 5, allow_private=allow_private) as client:
            return (await client.get(address)).status_code

    with pytest.raises(BlockedAddress):
        loop.run(call(allow_private=False), lambda: None)
    assert loop.run(call(allow_private=True), lambda: None) >= 400
