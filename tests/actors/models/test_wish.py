"""What a definition may wish."""

from __future__ import annotations

import pytest

from actors.models.wish import Wish
from app.errors import PermanentError


def test_the_usual_wishes() -> None:
    wish = Wish.of({"instructions": "whatever else is there", "tools": None})

    assert (wish.max_turns, wish.max_output_tokens, wish.temperature, wish.tools) == (20, 4000, None, True)


def test_the_tools_of_other_programs_are_no_wish() -> None:
    assert Wish.of({"tools": ["Read", "Write"]}).tools


def test_tools_off_turns_all_servers_off() -> None:
    servers = {"parcels": {"command": ["parcels"]}}

    assert list(Wish.of({"mcp": servers}).servers) == ["parcels"]
    assert Wish.of({"mcp": servers, "tools": False}).servers == {}


def test_a_model_is_named_by_provider_then_by_kind() -> None:
    wish = Wish.of({"models": {"groq": "small", "openai": "large"}})

    assert wish.model_of("groq", "openai", "usual") == "small"
    assert wish.model_of("openai", "openai", "usual") == "large"
    assert wish.model_of("anthropic", "anthropic", "usual") == "usual"


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"max_turns": 0}, "llm.max_turns"),
        ({"mcp": {"parcels": {}}}, "llm.mcp.parcels"),
        ({"mcp": {"parcels": {"url": "http://x", "command": ["x"]}}}, "llm.mcp.parcels"),
        ({"mcp": {"parcels": {"comand": ["x"]}}}, "llm.mcp.parcels"),
        ({"temperature": "hot"}, "llm.temperature"),
    ],
)
def test_a_wrong_wish_is_named(config: dict[str, object], where: str) -> None:
    with pytest.raises(PermanentError, match=where):
        Wish.of(config)
