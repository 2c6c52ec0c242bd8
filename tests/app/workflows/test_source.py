"""Text to definition: YAML and JSON, with lines, and without YAML's surprises."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.workflows.complaints import pointer
from app.workflows.source import LARGEST, BadSource, line_of, parse, written

TEXT = """\
name: Launch   # a remark
on: yes
date: 2024-05-01
steps:
  - step_id: a
    parameters:
      "a/b": [1,
        {c: 2}]
      text: |
        one
        two
  - step_id: b
"""


def test_lines_are_where_things_stand() -> None:
    raw, lines = parse(TEXT)
    assert raw["steps"][0]["parameters"] == {"a/b": [1, {"c": 2}], "text": "one\ntwo\n"}
    places = [
        "",
        "/name",
        "/steps",
        "/steps/0",
        "/steps/0/parameters/a~1b",
        "/steps/0/parameters/a~1b/1/c",
        "/steps/1",
    ]
    assert [lines[place] for place in places] == [1, 1, 4, 5, 7, 8, 12]


def test_what_has_no_line_stands_where_its_surroundings_do() -> None:
    lines = parse(TEXT)[1]
    assert line_of(lines, "/steps/1/agent_id") == 12
    assert line_of(lines, "/nowhere/at/all") == 1
    assert line_of({}, "/steps/1") == 1


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("2024-05-01", "2024-05-01"),
        ("012", "012"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("0x1F", "0x1F"),
        (".inf", ".inf"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-0", 0),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("|-\n  true", "true"),
        ('"{{steps.a.output}}"', "{{steps.a.output}}"),
        ('\'"{{a}}" == "b"\'', '"{{a}}" == "b"'),
    ],
)
def test_values_are_what_they_look_like(written: str, value: Any) -> None:
    got = parse(f"k: {written}")[0]["k"]
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize("key", ["on", "yes", "1", "1.5", "null", "2024-05-01", "<<"])
def test_keys_are_text(key: str) -> None:
    assert parse(f"{key}: {{a: 1}}")[0] == {key: {"a": 1}}


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a: 1\nb: {{x}}", 2, 5, 'a value with a placeholder goes in quotes: "{{…}}"'),
        ("a: 1\nwhen: {{x}} >= 3", 2, 8, "goes in quotes"),
        ('{"a": {{x}}}', 1, 8, "double quotes; a value with a placeholder goes in quotes"),
        ("a: 1\na: 2", 2, 1, "the key `a` stands here twice"),
        ('{"a": 1,\n "b": 2,\n "a": 3}', 3, 2, "the key `a` stands here twice"),
        ('{"a": 1,\n "b": }', 2, 7, "Expecting value"),
        ('{"a": 1\n "b": 2}', 2, 2, "Expecting ',' delimiter"),
        ("a: [1, 2", 2, 1, "did not find"),
        ("a: 'x", 1, 6, "unexpected end"),
        ("a: 1\n  b: 2", 2, 4, "not allowed"),
        ("a: 1\n\tb: 2", 2, 1, "tab character that violates"),
        ("a: &x 1\nb: *x", 1, 4, "anchors and aliases"),
        ("a: *x", 1, 4, "anchors and aliases"),
        ("a: !!python/object:os.system x", 1, 4, "tags"),
        ("a: !!int '3'", 1, 4, "tags"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document"),
        ("? [a]\n: b", 1, 3, "a key must be text"),
        ("a: 1\nb: x\x00", 2, 5, "NUL"),
        ("a: \ud800", 1, 4, "not valid Unicode"),
        ("a: \x07", 1, 1, "control characters"),
        ('{"a": NaN}', 1, 1, "cannot be kept"),
        ('{"a": ' + "9" * 5000 + "}", 1, 1, "cannot be kept"),
        ("[" * 100_000, 1, 66, "nested too deep"),
        ("- " * 100_000, 1, 131, "nested too deep"),
        ('{"a": ' * 40_000, 1, 1, "nested too deep"),
        ("{a: " * 60_000, 1, 261, "nested too deep"),
        ("x" * (LARGEST + 1), 1, 1, "longer than 256 KB"),
    ],
    ids=range(27),
)
def test_what_cannot_be_read_has_line_and_column(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(BadSource) as wrong:
        parse(text)
    assert what in wrong.value.message
    assert (wrong.value.line, wrong.value.column) == (line, column)
    assert wrong.value.message.startswith(f"line {line}, column {column}: ")


def test_json_may_use_tabs_and_whatever_json_may() -> None:
    text = '{\n\t"a": [1,\n\t\t{"b": "\\ud83d\\ude00\\/"}],\n\t"' + "k" * 2000 + '": 12345678901234567890\n}'
    raw, lines = parse(text)
    assert raw == json.loads(text)
    assert line_of(lines, "/a/1/b") in {1, 3}


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "\\u0000" not in json.dumps(value))


@given(
    st.dictionaries(st.text(max_size=20), JSONS, max_size=4).filter(lambda v: "\\u0000" not in json.dumps(v)),
    st.sampled_from([None, 2, "\t"]),
)
def test_json_reads_back_exactly_and_lines_are_where_things_stand(
    value: Any, indent: int | str | None
) -> None:
    text = json.dumps(value, indent=indent)
    raw, lines = parse(text)
    assert raw == value
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    if indent and lines:
        for name in value:
            assert json.dumps(name) in text.splitlines()[lines[pointer((name,))] - 1]


@given(
    st.dictionaries(st.text(max_size=20), JSONS, max_size=4).filter(lambda v: "\\u0000" not in json.dumps(v))
)
@example({"": "0E0"})
@example({"\x85": "a\u2028b\u2029"})
@example({"sha": ["12e4", "-.5E+3", "1.5e3"], "1e3": 1e300})
def test_yaml_reads_back_what_was_written(value: Any) -> None:
    assert parse(written(value))[0] == value


@given(st.text(alphabet="ab:-[]{},'\"\n \t#&*!|>?%@`{}", max_size=120))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        lines = parse(text)[1]
    except BadSource as error:
        lines = {"": error.line}
    assert all(line >= 1 for line in lines.values())


def test_a_long_key_above_many_entries_is_not_kept_for_each() -> None:
    text = '{"' + "k" * 100_000 + '": [' + "1," * 70_000 + "1]}"
    began = time.process_time()
    raw, lines = parse(text)
    assert len(raw["k" * 100_000]) == 70_001
    assert sum(map(len, lines)) < 10_000_000
    assert time.process_time() - began < 10
