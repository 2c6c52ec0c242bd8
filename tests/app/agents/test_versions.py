"""Versions: listed, shown, compared; what may be secret is for those who may configure agents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.agents import registry, versions
from app.agents.definition import parse
from app.db import db
from app.errors import NotFound

FIRST = """---
description: d
x-callboard:
  runner: command
  command:
    argv: [echo, "env: x"]
    env: {TOKEN: "hunter2", OTHER: 'plain ü value'}
    headers:
      X-Key: abc
---
One.
Two.
"""


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


@pytest.fixture
def numbered() -> list[str]:
    """Three versions of an agent, the second one with a sidecar."""
    made = [
        parse("caller", FIRST),
        parse("caller", FIRST, {"timeout": 5}),
        parse("caller", FIRST.replace("Two.", "Three.\nFour.")),
    ]
    for definition in made:
        registry.install(definition, "one test")
    return [definition.version for definition in made]


def test_the_list_says_what_each_version_changed(numbered: list[str]) -> None:
    listed = versions.listing("caller")
    assert [(row["number"], row["version"], row["current"]) for row in listed] == [
        (3, numbered[2], True), (2, numbered[1], False), (1, numbered[0], False),
    ]  # fmt: skip
    assert (listed[0]["added"], listed[2]["added"]) == (2, None)
    assert "definition" not in listed[0]


@pytest.mark.parametrize("name", ["2", "v2"])
def test_a_version_is_found_by_its_number_or_its_hash(numbered: list[str], name: str) -> None:
    assert versions.get("caller", name)["version"] == numbered[1]
    assert versions.get("caller", numbered[1])["number"] == 2
    for unknown in ("9", "0" * 16, "x"):
        with pytest.raises(NotFound):
            versions.get("caller", unknown)


def test_two_versions_are_compared_with_what_lies_over_them(numbered: list[str]) -> None:
    change = versions.compared(versions.get("caller", "1"), versions.get("caller", "2"))
    assert "+timeout: 5" in change.diff.splitlines()
    assert change.removed == 0


def test_what_became_of_the_version_of_a_job(numbered: list[str]) -> None:
    then = versions.since("caller", numbered[0])
    assert then is not None
    assert (then["number"], then["current_number"], then["added"], then["removed"]) == (1, 3, 2, 1)
    now = versions.since("caller", numbered[2])
    assert now is not None
    assert (now["number"], now["added"]) == (3, None)
    assert versions.since("caller", "0" * 16) is None
    assert versions.since("caller", None) is None


def test_values_that_may_be_secret_are_left_out_and_nothing_else() -> None:
    shown = versions.redacted(FIRST)
    assert not {"hunter2", "plain", "abc"} & set(shown.replace('"', " ").replace("'", " ").split())
    again = parse("caller", shown)
    assert again.runner_config == {
        "argv": ["echo", "env: x"], "env": {"TOKEN": "…", "OTHER": "…"}, "headers": {"X-Key": "…"},
    }  # fmt: skip
    assert again.instructions == "One.\nTwo."


def test_values_of_a_sidecar_are_left_out_too() -> None:
    row = {"definition": FIRST, "overlay": {"command": {"env": {"A": "secret"}, "argv": ["x"]}, "timeout": 5}}
    hidden = versions.hidden(row)
    assert hidden["overlay"] == {"command": {"env": {"A": "…"}, "argv": ["x"]}, "timeout": 5}
    assert row["overlay"]["command"]["env"] == {"A": "secret"}  # type: ignore[index]


def test_values_of_the_servers_a_runner_names_and_given_secrets_are_left_out_too() -> None:
    servers = "{mcp: {parcels: {url: 'https://x', headers: {X-Key: hunter2}}, two: {command: [y], env: {A: hunter2}}}}"
    text = f"""---
description: d
x-callboard:
  runner: llm
  llm: {servers}
  cli: {{adapter: claude, secrets: {{ANTHROPIC_API_KEY: hunter2}}, env: [NAMED]}}
  parameters: {{type: object, properties: {{env: {{type: object, title: Shown}}}}}}
---
"""
    over = {
        "llm": {"mcp": {"three": {"url": "https://z", "headers": {"X": "hunter2"}}}},
        "parameters": {"env": {"a": 1}},
    }
    row = versions.hidden({"definition": text, "overlay": over})

    assert "hunter2" not in str(row)
    assert row["overlay"]["parameters"] == {"env": {"a": 1}}
    again = parse("x", row["definition"])
    assert again.ours.parameters["properties"]["env"] == {"type": "object", "title": "Shown"}
    assert again.runner_config["mcp"]["two"] == {"command": ["y"], "env": {"A": "…"}}
    assert (again.ours.cli or {})["env"] == ["NAMED"]


def test_an_exported_definition_means_the_same_without_its_sidecar() -> None:
    over = {"timeout": 5, "team": "MINE"}
    whole = parse("caller", versions.whole(FIRST, over))
    assert whole.ours == parse("caller", FIRST, over).ours
    assert (whole.instructions, whole.overlay) == ("One.\nTwo.", None)
    assert versions.whole(FIRST, None) == FIRST


def test_a_comparison_of_endless_texts_ends() -> None:
    change = versions.difference("a\n" * 200_000, "b\n" * 200_000)
    assert (change.added, change.removed) == (versions.MOST_LINES, versions.MOST_LINES)
