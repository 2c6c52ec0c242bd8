"""Agent files: the format of others plus our own keys, and errors that say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.agents.definition import LARGEST_FILE, parse, per_second, read_folder
from app.errors import Invalid

MINIMAL = """---
name: writer
description: Writes.
tools: Read, Grep
model: sonnet
color: blue
x-callboard:
  runner: command
  command: {argv: [echo]}
---
Be brief.
"""


def test_a_file_in_the_format_of_others_is_a_whole_agent() -> None:
    found = parse("blog-writer", MINIMAL)
    assert (found.agent_id, found.title, found.description) == ("blog-writer", "Blog writer", "Writes.")
    assert found.instructions == "Be brief."
    assert (found.ours.pool, found.ours.max_concurrent, found.ours.retry.max_retries) == ("general", 5, 3)
    assert found.runner_config == {"argv": ["echo"]}
    assert found.ours.parameters["required"] == ["prompt"]


def test_keys_of_other_tools_are_kept() -> None:
    found = parse("x", MINIMAL)
    assert found.extra == {"name": "writer", "tools": "Read, Grep", "model": "sonnet", "color": "blue"}


def test_the_version_is_of_the_content() -> None:
    assert parse("a", MINIMAL).version == parse("b", MINIMAL).version
    assert parse("a", MINIMAL).version != parse("a", MINIMAL + "\nMore.").version


def _with(line: str) -> str:
    return MINIMAL.replace("  runner: command\n", f"  runner: command\n  {line}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no front matter", "front matter"),
        ("---\n[1, 2]\n---\n", "mapping"),
        ("---\na: [1\n---\n", "not YAML"),
        ("---\ndescription: x\n---\n", "/x-callboard/runner"),
        (MINIMAL.replace("runner: command", "runner: python"), "python"),
        (MINIMAL.replace("runner: command", "runner: magic"), "/x-callboard/runner"),
        (_with("pool: kitchen"), "/x-callboard/pool"),
        (_with("max_concurrent: 0"), "/x-callboard/max_concurrent"),
        (_with("rate_limit: often"), "10/minute"),
        (_with("rate_limit: 0/minute"), "10/minute"),
        (_with("timeout: 0"), "/x-callboard/timeout"),
        (_with("retry: {max_retries: 99}"), "/x-callboard/retry/max_retries"),
        (_with("retry: {sometimes: 1}"), "/x-callboard/retry/sometimes"),
        (_with("parameters: {type: 7}"), "not a JSON Schema"),
        ("x" * (LARGEST_FILE + 1), "larger than"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_place(text: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse("some-agent", text)
    assert words in refused.value.message
    assert "some-agent" in refused.value.message


@pytest.mark.parametrize("agent_id", ["Upper", "under_score", "-x", "x-", "a--b", "", "ä", "a b", "x" * 101])
def test_an_odd_id_is_refused(agent_id: str) -> None:
    with pytest.raises(Invalid):
        parse(agent_id, MINIMAL)


@pytest.mark.parametrize(
    ("rate", "speed", "burst"),
    [
        ("10/minute", 10 / 60, 10),
        ("10/m", 10 / 60, 10),
        ("3/s", 3, 3),
        ("1/hour", 1 / 3600, 1),
        ("5/day", 5 / 86400, 5),
    ],
)
def test_a_rate_is_a_speed_and_one_periods_worth_at_once(rate: str, speed: float, burst: float) -> None:
    assert per_second(rate) == pytest.approx((speed, burst))


def test_a_folder_is_read_in_order_and_only_its_markdown(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", "notes.txt"):
        (tmp_path / name).write_text(MINIMAL)
    assert [d.agent_id for d in read_folder(tmp_path)] == ["a", "b"]
