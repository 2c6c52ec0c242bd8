"""Agents whose names let people expect a model say in their definition that none was asked."""

from __future__ import annotations

from actors.runners.llm import WITHOUT_MODEL
from tests.actors.builtin.desk import CATALOG, definition

STAND_INS = {
    "code-reviewer",
    "debugger",
    "editor",
    "fixture-agent",
    "presentation-designer",
    "research-agent",
    "researcher",
    "router-agent",
    "seo-specialist",
    "social-media-manager",
    "technical-writer",
    "test-engineer",
    "unit-test-agent",
    "user-story-agent",
    "visual-designer",
}


def test_who_stands_in_for_a_model_says_so_in_the_words_of_offline_functions() -> None:
    said = {path.stem: definition(path.stem).ours.produced_by for path in CATALOG.glob("*.md")}
    assert {agent: words for agent, words in said.items() if words} == dict.fromkeys(STAND_INS, WITHOUT_MODEL)
