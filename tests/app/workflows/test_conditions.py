"""Conditions: what holds, why, and where one cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.workflows.conditions import BadCondition, CannotCompare, parse, same
from app.workflows.references import StepValue, TooLarge, Values

RUN = Values(
    {
        "review": StepValue(
            "completed", {"score": 5, "verdict": "draft", "tags": ["a", 1], "ok": True, "by": {"n": 1}}
        ),
        "skipped": StepValue("skipped"),
    },
    inputs={"want": 5, "list": [1, 2], "empty": "", "name": "draft"},
)
SCORE = "{{steps.review.output.score}}"
VERDICT = "{{steps.review.output.verdict}}"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (f"{SCORE} >= 7", False),
        (f"{SCORE} >= 5", True),
        (f"{SCORE} > 5", False),
        (f"{SCORE} < 5.5", True),
        (f"{SCORE} <= 4", False),
        (f"{SCORE} == 5.0", True),
        (f'"{SCORE}" == 5', True),
        (f"'{SCORE}' == 5", True),
        (f'{SCORE} == "5"', False),
        (f'{SCORE} != "5"', True),
        (f"{SCORE}=={{{{inputs.want}}}}", True),
        ("{{steps.review.output.ok}} == 1", False),
        ("{{steps.review.output.ok}}", True),
        ("{{inputs.empty}}", False),
        ("not {{inputs.empty}}", True),
        (f'{VERDICT} > "abc"', True),
        (f'{VERDICT} in ["draft", "final"]', True),
        (f'{VERDICT} not in ["draft", "final"]', False),
        (f'{VERDICT} contains "raf"', True),
        (f'not {VERDICT} contains "x"', True),
        (f'{VERDICT} not contains "x"', True),
        ('{{steps.review.output.tags}} contains "a"', True),
        ('{{steps.review.output.tags}} contains "1"', False),
        ("{{steps.review.output.tags}} contains true", False),
        ('{{steps.review.output.by}} contains "n"', True),
        ("5 contains 5", False),
        ("{{inputs.list}} == [1, 2]", True),
        ("{{inputs.want}} in [1, {{inputs.want}}]", True),
        ("[] == []", True),
        ("{{steps.skipped.output.x}} == null", True),
        ("{{steps.gone.output}} != null", False),
        ("{{steps.skipped.output}} == 5", False),
        (f"{{{{steps.skipped.output ?? 9}}}} > {SCORE}", True),
        ('{{steps.skipped.status}} == "skipped"', True),
        ("true or {{steps.skipped.output}} > 3", True),
        ("{{steps.skipped.output}} != null and {{steps.skipped.output}} > 3", False),
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("not true or true", True),
        ("not (true or true)", False),
        ("not not true", True),
        ('"a {{inputs.name}}" == "a draft"', True),
        ("'it\\'s' == \"it's\"", True),
        ("-1 < 0", True),
        ("null", False),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert parse(text).holds(RUN) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SCORE} >= 7", f"{SCORE} is 5, not >= 7"),
        (f'"{SCORE}" >= 3', f"{SCORE} is 5, >= 3"),
        (f"not {SCORE} >= 3", f"{SCORE} is 5, >= 3"),
        (f"{SCORE} == {{{{ inputs.want }}}}", f"{SCORE} is 5, == {{{{inputs.want}}}} (5)"),
        (f'{VERDICT} not in ["draft"]', f'{VERDICT} is "draft", in ["draft"]'),
        ("{{steps.skipped.output}}", "{{steps.skipped.output}} is null"),
        (f'{SCORE} > 3 and {VERDICT} == "final"', f'{VERDICT} is "draft", not == "final"'),
        (f'{SCORE} > 3 and {VERDICT} == "draft"', f'{SCORE} is 5, > 3 and {VERDICT} is "draft", == "draft"'),
        (f'{SCORE} > 7 or {VERDICT} == "draft"', f'{VERDICT} is "draft", == "draft"'),
        (
            "{{steps.skipped.output}} > 3",
            "{{steps.skipped.output}} is null: null and a number cannot be compared by >",
        ),
    ],
)
def test_why_it_holds_or_not(text: str, said: str) -> None:
    assert parse(text).said(RUN) == said


def test_long_values_are_said_shortly() -> None:
    assert len(parse("{{inputs.x}} == 1").said(Values({}, {"x": "y" * 10_000}))) < 200


@pytest.mark.parametrize(
    "text", ["{{steps.skipped.output}} > 3", f'{SCORE} < "7"', "true < false", "[1] < [2]", "null <= null"]
)
def test_what_has_no_order_is_an_error_and_not_an_answer(text: str) -> None:
    with pytest.raises(CannotCompare) as wrong:
        parse(text).holds(RUN)
    assert wrong.value.retryable is False
    assert "cannot be compared by" in wrong.value.message


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("", 1, "expected a value or a placeholder, not the end"),
        ("{{inputs.n}} >=", 16, "not the end"),
        ("{{inputs.n}} = 3", 14, "nothing a condition knows"),
        ("score >= 7", 1, "`score` means nothing here"),
        ("steps.review.output.score >= 7", 1, "did you mean {{steps.review.output.score}}?"),
        ("1 < 2 < 3", 7, "compare two values at a time"),
        ("(true", 6, "expected `)`"),
        ("true)", 5, "expected `and`, `or` or the end"),
        ("true true", 6, "expected `and`, `or` or the end"),
        ("1 not == 2", 7, "`not` goes before `in` and `contains` only"),
        ("1 not", 6, "expected `in` or `contains` after `not`"),
        ("1 in [1 2]", 9, "expected `,`"),
        ("1 in [1", 8, "expected `,`"),
        ("{{nope.x}} == 1", 1, "a path starts with"),
        ("1 == {{inputs.n", 6, "never closed"),
        ('"x {{inputs.n" == 1', 1, "never closed"),
        ("__import__('os')", 1, "means nothing here"),
        ("1 == 'a", 6, "nothing a condition knows"),
        ('"\\q" == 1', 1, "an escape"),
        ("(" * 300 + ")" * 300, 22, "nested too deep"),
        ("not " * 200 + "true", 85, "nested too deep"),
        ("[" * 300, 22, "nested too deep"),
    ],
)
def test_what_cannot_be_read_names_the_column(text: str, column: int, what: str) -> None:
    with pytest.raises(BadCondition) as wrong:
        parse(text)
    assert wrong.value.column == column
    assert wrong.value.message.startswith(f"column {column}: ")
    assert what in wrong.value.message


def test_a_condition_knows_its_references() -> None:
    found = parse('{{inputs.a ?? 1}} in [{{steps.b.output}}, "x {{item}}"] and "{{index}}" > 1').references
    assert [each.text for each in found] == ["inputs.a ?? 1", "steps.b.output", "item", "index"]


def test_placeholders_in_values_are_not_read() -> None:
    run = Values({}, {"a": "{{inputs.b}}", "b": 1})
    assert parse("{{inputs.a}} == 1").holds(run) is False
    assert parse('{{inputs.a}} contains "inputs.b"').holds(run) is True


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=3),
    max_leaves=6,
)


@given(JSONS, JSONS)
def test_equality_is_of_type_and_value(left: Any, right: Any) -> None:
    run = Values({}, {"l": left, "r": right})
    holds = parse("{{inputs.l}} == {{inputs.r}}").holds(run)
    assert holds is same(left, right) is same(right, left)
    assert same(left, left)
    assert parse("{{inputs.l}} != {{inputs.r}}").holds(run) is not holds
    if holds:
        assert left == right


@given(st.text(alphabet="()[]{},.<>=! andortfinputs\"'1 ", max_size=80))
def test_whatever_is_written_is_answered_or_refused(text: str) -> None:
    try:
        condition = parse(text)
    except Invalid as error:
        said = error.message.partition("column ")[2]
    else:
        said = condition.said(RUN)
    assert said


def test_hostile_values_are_no_crash() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    run = Values({}, {"a": deep, "b": [deep]})
    with pytest.raises(TooLarge, match="nested too deep"):
        parse("{{inputs.a}} == {{inputs.b}}").holds(run)
    assert "nested too deep" in parse("{{inputs.a}} == {{inputs.b}}").said(run)
