"""Agent files: the format of others plus our own keys, odd ones read with a word, broken ones refused with the line."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents.definition import LARGEST_FILE, BrokenDefinition, parse, per_second, slug
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
    assert (found.agent_id, found.title, found.description) == ("blog-writer", "Writer", "Writes.")
    assert found.instructions == "Be brief."
    assert (found.ours.pool, found.ours.max_concurrent, found.ours.retry.max_retries) == ("general", 5, 3)
    assert found.runner_config == {"argv": ["echo"]}
    assert found.ours.parameters["required"] == ["prompt"]
    assert found.warnings == ()


def test_keys_of_other_tools_are_kept_and_tools_are_a_list() -> None:
    found = parse("x", MINIMAL)
    assert found.extra == {"name": "writer", "tools": ["Read", "Grep"], "model": "sonnet", "color": "blue"}


def test_a_file_without_a_word_of_ours_is_an_agent_that_thinks() -> None:
    found = parse("reviewer", "---\nname: Code Reviewer\ndescription: Reviews.\n---\nYou review.\n")
    assert (found.title, found.ours.runner, found.ours.team) == ("Code Reviewer", "llm", "SYSTEM")
    assert list(found.ours.parameters["properties"]) == ["task", "context", "files"]
    assert found.ours.parameters["required"] == ["task"]


def test_an_empty_key_of_ours_is_the_same_as_none() -> None:
    assert parse("x", "---\ndescription: d\nx-callboard:\n---\n").ours.runner == "llm"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Lead Generation Agent", "Lead Generation Agent"),
        ("lead-gen", "Lead gen"),
        ("7", "7"),
        ('""', "Some agent"),
    ],
)
def test_the_name_is_the_title_and_the_id_only_where_there_is_none(name: str, title: str) -> None:
    assert parse("some-agent", f"---\nname: {name}\ndescription: d\n---\n").title == title


def test_the_version_is_of_the_content_and_of_what_lies_over_it() -> None:
    assert parse("a", MINIMAL).version == parse("b", MINIMAL).version
    assert parse("a", MINIMAL).version != parse("a", MINIMAL + "\nMore.").version
    assert parse("a", MINIMAL, {"pool": "testing"}).version != parse("a", MINIMAL).version
    assert parse("a", MINIMAL, {"pool": "testing"}).ours.pool == "testing"


def test_windows_line_ends_and_a_byte_order_mark_make_no_other_version() -> None:
    odd = parse("a", "\ufeff" + MINIMAL.replace("\n", "\r\n"))
    assert odd.version == parse("a", MINIMAL).version
    assert (odd.instructions, odd.description) == ("Be brief.", "Writes.")


def _tools(lines: str) -> Any:
    return parse("x", f"---\ndescription: d\ntools: {lines}\n---\n")


@pytest.mark.parametrize(
    ("lines", "tools", "warned"),
    [
        ("Read, Write,Edit", ["Read", "Write", "Edit"], ""),
        ("\n  - Read\n  - mcp__bright-data__*   # all of them", ["Read", "mcp__bright-data__*"], ""),
        (
            "Read, Write\n  - workspace_enforcer\n  - path_validator",
            ["Read", "Write", "workspace_enforcer", "path_validator"],
            "folds",
        ),
        ("[Read, Task (for subagents)]", ["Read", "Task"], "remark"),
        ("Bash(git log:*, git diff:*), Read", ["Bash(git log:*, git diff:*)", "Read"], ""),
        ("{read: true, bash: false}", ["read"], ""),
        ("'*'", ["*"], ""),
        ("[]", [], ""),
        ("Read, Read", ["Read"], ""),
    ],
)
def test_tools_become_a_list_however_they_are_written(lines: str, tools: list[str], warned: str) -> None:
    found = _tools(lines)
    assert found.extra["tools"] == tools
    assert [warned in said.message and said.pointer == "/tools" for said in found.warnings] == [True] * bool(
        warned
    )


def test_a_colon_without_quotes_is_read_as_text_with_a_word_about_it() -> None:
    text = '---\nname: x\ndescription: Use this agent when: always. Example: user: "do it"\nmodel: opus\n---\nBody\n'
    found = parse("x", text)
    assert found.description == 'Use this agent when: always. Example: user: "do it"'
    assert found.extra["model"] == "opus"
    assert [(said.line, said.pointer) for said in found.warnings] == [(3, "/description")]


def test_an_unknown_key_of_ours_is_kept_and_warned_about() -> None:
    found = parse("x", MINIMAL.replace("  runner: command\n", "  runner: command\n  timout: 5\n  zzz: 1\n"))
    assert found.ours.model_extra == {"timout": 5, "zzz": 1}
    assert [(said.line, said.pointer) for said in found.warnings] == [
        (9, "/x-callboard/timout"),
        (10, "/x-callboard/zzz"),
    ]
    assert "did you mean timeout?" in found.warnings[0].message


def test_keys_that_are_no_text_and_dates_do_no_harm() -> None:
    found = parse("x", "---\ndescription: d\non: 1\n7: x\ncreated: 2025-01-31\n---\n")
    assert set(found.extra) == {"True", "7", "created"}


def test_a_body_of_200_kb_is_accepted() -> None:
    assert len(parse("x", "---\ndescription: d\n---\n" + "wörd " * 40_000).instructions) > 199_000


def _with(line: str) -> str:
    return MINIMAL.replace("  runner: command\n", f"  runner: command\n  {line}\n")


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("no front matter", "no front matter", None),
        ("", "`description:`", None),
        ("---\nname: x\n", "second line ---", 1),
        ("---\n[1, 2]\n---\n", "mapping", 1),
        ("---\nname: x\na: [1\n---\n", "not YAML", 4),
        ("---\nname: x\n\tb: 1\n---\n", "not YAML", 3),
        ("---\nname: x\ndates: [2025-02-31]\n---\n", "not YAML", None),
        ("---\na: &a [1]\nb: *a\n---\n", "aliases", 3),
        ("---\nbase: &b {x: 1}\nc:\n  <<: *b\n---\n", "aliases", 4),
        (f"---\na: {'[' * 100}{']' * 100}\n---\n", "nested deeper", 2),
        ("---\nx-callboard: often\n---\n", "/x-callboard", 2),
        (MINIMAL.replace("runner: command", "runner: python"), "python", 7),
        (MINIMAL.replace("runner: command", "runner: magic"), "/x-callboard/runner", 8),
        (_with("pool: kitchen"), "/x-callboard/pool", 9),
        (_with("max_concurrent: 0"), "/x-callboard/max_concurrent", 9),
        (_with("rate_limit: often"), "10/minute", 9),
        (_with("rate_limit: 0/minute"), "10/minute", 9),
        (_with("timeout: 0"), "/x-callboard/timeout", 9),
        (_with("retry: {max_retries: 99}"), "/x-callboard/retry/max_retries", 9),
        (_with("retry: {sometimes: 1}"), "/x-callboard/retry/sometimes", 9),
        (_with("budget: {usd: -1}"), "/x-callboard/budget/usd", 9),
        (_with("watchdog: {mode: sometimes}"), "/x-callboard/watchdog/mode", 9),
        (_with("parameters: {type: 7}"), "not a JSON Schema", 9),
        (_with("parameters: {$ref: 'http://169.254.169.254/x'}"), "$ref may only point into", 9),
        (_with("parameters: {$dynamicRef: 'http://169.254.169.254/x'}"), "$dynamicRef may only", 9),
        (_with("parameters: {properties: {a: {type: string, pattern: '('}}}"), "not a JSON Schema", 9),
        (_with("parameters: {properties: {n: {minimum: 99999999999999999999}}}"), "64 bits", 9),
        (_with("budget: {tokens: 99999999999999999999}"), "/x-callboard/budget/tokens", 9),
        (_with('title: "written out: \\0"'), "NUL", 9),
        (_with("effects: ['send it!']"), "is no effect", 9),
        (_with("effects: 7"), "list of words", 9),
        (_with("permits: [send]"), "for agents that call context.permit themselves", 7),
        (_with("aliases: ['under score!']"), "is no name", 9),
        (_with("aliases: 7"), "list of names", 9),
        (_with("produced_by: ''"), "/x-callboard/produced_by", 9),
        ("---\nx-callboard:\n  produced_by: tools\n---\n", "says itself who answered", 2),
        (MINIMAL + "\x00", "NUL", None),
        ("x" * (LARGEST_FILE + 1), "larger than", None),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_place(
    text: str, words: str, line: int | None
) -> None:
    with pytest.raises(BrokenDefinition) as refused:
        parse("some-agent", text)
    assert words in refused.value.message
    assert "some-agent" in refused.value.message
    assert refused.value.complaints[0].line == line


def test_every_mistake_is_told_and_that_of_a_sidecar_is_not_looked_for_in_the_file() -> None:
    with pytest.raises(BrokenDefinition) as refused:
        parse("x", _with("timeout: 0"), {"pool": "kitchen"})
    told = {complaint.pointer: complaint for complaint in refused.value.complaints}
    assert set(told) == {"/x-callboard/timeout", "/x-callboard/pool"}
    assert (told["/x-callboard/pool"].line, "sidecar" in told["/x-callboard/pool"].message) == (None, True)


def test_effects_are_words_and_what_is_permitted_is_one_of_them() -> None:
    python = "runner: python\n  python: {call: 'a:b'}\n  effects: [Publish, send, publish]\n  permits: send"
    ours = parse("x", f"---\ndescription: d\nx-callboard:\n  {python}\n---\n").ours
    assert (ours.effects, ours.permits) == (("publish", "send"), ("send",))

    with pytest.raises(BrokenDefinition, match="permits draw, which is none of its effects"):
        parse("x", f"---\ndescription: d\nx-callboard:\n  {python}ing\n---\n".replace("sending", "draw"))


def test_properties_called_like_keywords_are_only_properties() -> None:
    schema = "{properties: {pattern: {type: string}, $ref: {type: string}}}"
    assert set(parse("x", _with(f"parameters: {schema}")).ours.parameters["properties"]) == {
        "pattern",
        "$ref",
    }


def test_other_names_are_written_in_one_way() -> None:
    assert parse("x", _with("aliases: [Claude_Code, claude, claude]")).ours.aliases == (
        "claude-code",
        "claude",
    )
    assert parse("x", _with("aliases: claude")).ours.aliases == ("claude",)


@pytest.mark.parametrize("agent_id", ["Upper", "under_score", "-x", "x-", "a--b", "", "ä", "a b", "x" * 101])
def test_an_odd_id_is_refused(agent_id: str) -> None:
    with pytest.raises(Invalid):
        parse(agent_id, MINIMAL)


@pytest.mark.parametrize(
    ("stem", "agent_id"),
    [
        ("Lead Gen Agent", "lead-gen-agent"),
        ("copywriter", "copywriter"),
        ("unit_test.agent", "unit-test"),
        ("Größe — 2", "grosse-2"),
        ("--x--", "x"),
        ("日本", ""),
    ],
)
def test_a_stem_becomes_an_id(stem: str, agent_id: str) -> None:
    assert slug(stem) == agent_id


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
